//! `portolan kill`.

use std::time::Duration;

use clap::Args;

use super::duration::duration;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, one each")]
pub(crate) struct Kill {
    /// PORT or PORT/TRANSPORT; a bare number means every transport
    #[arg(value_name = "PORT")]
    pub(crate) port: String,
    /// How long a process may take to end before it is killed, such as 500ms, 3s, 1m
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Also destroy what is left over: TIME-WAIT, orphans, connections without
    /// their listener; needs root
    #[arg(long)]
    pub(crate) sockets: bool,
    /// Also stop the processes whose own end of a connection this port is
    #[arg(long)]
    pub(crate) clients: bool,
    /// Print the plan, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask before units, containers or processes of others are stopped
    #[arg(short, long)]
    pub(crate) yes: bool,
}
