//! `portolan run`.

use std::ffi::OsString;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Listen here and pass the socket on (LISTEN_FDS); `auto` is the project's own number for NAME
    #[arg(long, value_name = "NAME=PORT|auto")]
    pub(crate) listen: Vec<String>,
    /// A port the program insists on: its bind() is sent to the project's own number instead
    #[arg(long, value_name = "PORT")]
    pub(crate) remap: Vec<u16>,
    /// Start the program again whenever it ends
    #[arg(long)]
    pub(crate) restart: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
