//! `portolan explain`.

use std::ffi::OsString;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// PORT, ADDRESS:PORT or [IPV6]:PORT, with /udp for UDP; without an address [::] for both
    /// families, as servers do; `-` reads an error message from standard input
    #[arg(value_name = "TARGET", required_unless_present = "command")]
    pub(crate) target: Option<String>,
    /// Bind with SO_REUSEADDR
    #[arg(long)]
    pub(crate) reuseaddr: bool,
    /// Bind with SO_REUSEPORT
    #[arg(long)]
    pub(crate) reuseport: bool,
    /// Bind with IPV6_V6ONLY
    #[arg(long)]
    pub(crate) v6only: bool,
    /// Bind as this user, a name or a number; needs root
    #[arg(long, value_name = "USER")]
    pub(crate) r#as: Option<String>,
    /// Whole command lines; they can hold passwords
    #[arg(long)]
    pub(crate) cmdline: bool,
    /// A command to run; what it fails to bind is explained
    #[arg(last = true, value_name = "COMMAND", conflicts_with_all = ["target", "reuseaddr", "reuseport", "v6only", "as"])]
    pub(crate) command: Vec<OsString>,
}
