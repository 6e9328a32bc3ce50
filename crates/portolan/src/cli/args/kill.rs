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
    /// How long a process may take to end before it is killed
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) grace: Duration,
    /// Also destroy what is left over: TIME-WAIT, orphans, connections without their listener
    #[arg(long)]
    pub(crate) sockets: bool,
    /// Also stop the clients whose own port this is
    #[arg(long)]
    pub(crate) clients: bool,
    /// Print the plan, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}
