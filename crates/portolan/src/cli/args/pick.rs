//! `portolan pick`, `portolan reserve`, `portolan reservations`.

use std::time::Duration;

use clap::Args;
use portolan_core::net::PortRange;

use super::duration::duration;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, one each")]
pub(crate) struct Pick {
    /// How many ports
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) count: u16,
    /// One after the other
    #[arg(long)]
    pub(crate) consecutive: bool,
    /// As near to this port as possible; without --range from 1024 on
    #[arg(long, value_name = "PORT")]
    pub(crate) near: Option<u16>,
    /// From this range [default: 20000-29999]
    #[arg(long, value_name = "A-B")]
    pub(crate) range: Option<PortRange>,
    /// From this pool of the inventory
    #[arg(long, value_name = "NAME", conflicts_with = "range")]
    pub(crate) pool: Option<String>,
    /// Keep others who ask portolan from getting it for this long [default: that of
    /// --pool]; --for keeps it anyway
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) lease: Option<Duration>,
    /// The same number again for the same project (worktree, else folder) and name
    #[arg(long = "for", value_name = "NAME", conflicts_with_all = ["count", "consecutive"])]
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
    /// Fail when the number that belongs to --for is taken, instead of giving another
    #[arg(long, requires = "name")]
    pub(crate) strict: bool,
    /// Free for TCP (the default)
    #[arg(short, long)]
    pub(crate) tcp: bool,
    /// Free for UDP; with -t for both
    #[arg(short, long)]
    pub(crate) udp: bool,
    /// Also ports that IANA has assigned
    #[arg(long)]
    pub(crate) allow_assigned: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reserve {
    /// PORT or PORT/TRANSPORT; a bare number means TCP
    #[arg(value_name = "PORT")]
    pub(crate) port: String,
    /// For how long
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(crate) ttl: Duration,
    /// Give it back
    #[arg(long, conflicts_with = "ttl")]
    pub(crate) release: bool,
}

/// What the process is told that holds a port.
#[derive(Debug, Args)]
pub(crate) struct HoldPort {
    /// PORT/TRANSPORT, for those who look at the process
    #[arg(value_name = "WHAT")]
    what: String,
    /// When it ends
    pub(crate) until: jiff::Timestamp,
}
