//! `portolan check`.

use std::net::IpAddr;
use std::time::Duration;

use clap::Args;

use super::duration::duration;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "a flag each")]
pub(crate) struct Check {
    /// HOST:PORT, HOST PORT, a URL, or SERVICE@HOST of the inventory; /udp behind the port for
    /// UDP, brackets around IPv6
    #[arg(required = true, value_name = "TARGET")]
    pub(crate) targets: Vec<String>,
    /// IPv4 only
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub(crate) ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// How long an answer is waited for
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Again and again: a line a probe, at the end loss, times and outages
    #[arg(long)]
    pub(crate) watch: bool,
    /// With --watch: from one probe to the next
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    #[arg(requires = "watch")]
    pub(crate) interval: Duration,
    /// With --watch: end after so many probes
    #[arg(long, value_name = "N", requires = "watch", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// With --watch: one JSON object a probe, the summary last
    #[arg(long, requires = "watch", conflicts_with = "json")]
    pub(crate) jsonl: bool,
    /// Expect `portolan listen` at the other end and prove the path both ways
    #[arg(long, conflicts_with = "watch")]
    pub(crate) pair: bool,
    /// Ask from this address of this machine
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) source: Option<IpAddr>,
    /// Ask out of this interface
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Option<String>,
    /// Ask from this network namespace
    #[arg(long, value_name = "NAME")]
    pub(crate) netns: Option<String>,
    /// Ask from inside this container
    #[arg(long, value_name = "NAME", conflicts_with = "netns")]
    pub(crate) container: Option<String>,
}

pub(super) const HELP: &str = "\
Every address of a name is tested. The steps are shown with their outcome: the
name, the route and the neighbour on the link, the connection; where there is no
answer also four other ports of the host (22, 80, 443, 53) and the way to the
port hop by hop, with the packets that go to it. On an address of this machine:
who listens, and where. No root is needed.

A UDP port that does not answer may be open all the same: `open|filtered`. Run
`portolan listen` at the other end and ask with --pair to know.

Examples: portolan check 127.0.0.1:8080
          portolan check localhost 8080
          portolan check '[::1]:53/udp' --timeout 1s
          portolan check http://localhost:8080/ --json
          portolan check localhost:8080 --watch --count 3 --interval 100ms

Exit code 0 when all is open (with --watch: with every probe), 1 when something
is not, 2 when a name has no address, 3 when this machine could not ask. An
address of a family without a route here does not count while the other family
is open.";
