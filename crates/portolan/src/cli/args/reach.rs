//! `portolan reach`.

use std::time::Duration;

use clap::Args;

use super::duration::duration;
use super::firewall::Sources;

#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// A port or a set of them: 5432, 53/udp, 80,443 [default: every open one]
    #[arg(value_name = "PORT")]
    pub(crate) port: Option<String>,
    /// From there only: an address (fe80::7%eth0, too), a network, a name of the inventory, iface:eth0,
    /// any, internet, private, loopback, or caller (whoever came in by SSH)
    #[arg(long, value_name = "SOURCE")]
    pub(crate) from: Vec<String>,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Follow a real packet from --from ADDRESS to the port: whether it arrives and which rule takes
    /// it
    #[arg(long, requires = "from", requires = "port", conflicts_with = "rules")]
    pub(crate) live: bool,
    /// With --live: how long the packet is waited for
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    #[arg(requires = "live")]
    pub(crate) wait: Duration,
    /// With --live: say what would be changed, and change nothing
    #[arg(long, requires = "live")]
    pub(crate) dry_run: bool,
    /// With --live: do not ask
    #[arg(long, requires = "live")]
    pub(crate) yes: bool,
}

pub(super) const HELP: &str = "\
A packet of every kind of sender that the rules tell apart goes through the
rules in thought: routed, translated, filtered, taken by the socket that is
bound there or by a container, and its answer back. Whom an answer holds for
is exact, however many senders there are. Of two answers for IPv4 and IPv6
both are shown. Neighbours who reach a container not by the port but at its
own address, through this machine, are told of beside it. As root; without
rights to read the rules the answer is `unknown`. What filters between here
and the sender is not seen.

With --rules the answer is about saved rules of another machine: which sockets
it has is not known, nor its addresses (--local, --world tell them). Where its
routes are not told, others are taken to come by any interface.

A limit (limit rate 5/minute) is taken to be kept, and told as what a yes
depends on.

--live puts a table of its own in front of all rules for as long as it waits,
with one rule that traces the packets asked about; it decides nothing and is
removed, also when the command is killed. From an address of this machine the
packet is sent; else the command to run on the other machine is printed.

Examples: portolan reach
          portolan reach 5432
          portolan reach 5432 --from 10.0.0.7
          portolan reach 8080 --from internet --rules saved-rules.json
          portolan reach 443 --live --from 192.0.2.7 --dry-run

Exit code 0 when it can be reached (without --from: from another machine), 1
when not, when a translation goes around input rules that refuse it, or when
neighbours get to the container behind it; 3 when not everything could be
seen, or it depends. Without PORT: 1 when a port goes around the input rules
or neighbours get behind one, else 0 or 3. With --live: 0 when the packet came
there and its answer, where one is due, got out again, else 1.";
