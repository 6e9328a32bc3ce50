//! `portolan firewall search`.

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
Answers for every packet at once: the first packet of a connection, over all
sources, destinations, ports and interfaces, IPv4 and IPv6. A port that
another one is translated to is found by that one.

always    every packet asked about passes, whatever is open
never     none does
depends   some do, or it hangs on what no packet says, such as a limit
undecided the rules are too large for the node budget

Of a family whose rules no file tells nothing is known (iptables-save prints
IPv4's only): the answers stand by family then.

Without --hook, addresses and routes decide whether packets are for this
machine. A bare port means TCP and UDP. SOURCE is an address, a network, a
name of the inventory, iface:eth0, any (the default), internet, private or
caller.

Examples: portolan firewall search --to-port 5432 --from internet
          portolan firewall search --to-port 22/tcp --from 10.0.0.0/8
          portolan firewall search --to-port 80,443 --rules ruleset.json --json

Exit code 0: it can be reached, 1: never, 3: only if what is named holds, or
undecided.";

#[derive(Debug, Args)]
pub(crate) struct Search {
    /// The ports that are to be reached; all of TCP and UDP without it
    #[arg(long, value_name = "PORTS")]
    pub(crate) to_port: Option<String>,
    /// Who wants to
    #[arg(long, value_name = "SOURCE", default_value = "any")]
    pub(crate) from: String,
    /// The packets' way: input, forward or output
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Option<String>,
    #[command(flatten)]
    pub(crate) sources: Sources,
}
