//! `portolan firewall lint`, `diff` and `parity`.

use clap::Args;

use super::Sources;

pub(crate) const LINT_HELP: &str = "\
Looks at every rule with all packets there can be, IPv4 and IPv6:

shadowed       rules before it take all its packets and do something else
redundant      without it the same becomes of every packet
conflict       an earlier rule wants something else of some packets
never-matches  no packet can match it, or none gets to it
disparity      IPv4 and IPv6 are open differently
pitfall        it means something else than it says

The rules named as the cause are as few as suffice. Nothing is judged by how
it looks: a rule is reported when no packet shows that it is needed.

Examples: portolan firewall lint
          portolan firewall lint --rules ruleset.json
          portolan firewall lint --json | jq '.findings[] | [.code, .rule.text]'

Exit code 0: nothing found, 1: findings, 3: the rules are too large to decide.";

pub(crate) const DIFF_HELP: &str = "\
Compares what becomes of every packet, not how rules are written: whether it
is let through, and where it is sent. The same rules in another order are equal
if no packet tells them apart. What differs is told as networks, ports, states,
flags and whatever else it needs, with the rules that decide on both sides and
a packet that shows it. `live` is what this machine has loaded; several files
that make one ruleset stand with commas between them. Marks and other fields
that rules write are compared only as far as they change that.

Examples: portolan firewall diff saved.nft ruleset.json
          portolan firewall diff live ruleset.json --json
          portolan firewall diff old.json,v4.txt,v6.txt new.json,v4.new,v6.new

Exit code 0: equal, 1: they differ, 3: too large to decide, or some addresses
that packets are sent to are not known, or one side alone tells the rules of a
family (iptables-save prints IPv4's only), which is not compared then.";

pub(crate) const PARITY_HELP: &str = "\
Compares what IPv4 and IPv6 let in from outside, through to others and out,
port by port, TCP and UDP. A port restricted to some networks in one family and
open to everybody in the other is the usual accident. Where both are restricted
no rule says whether the addresses are of the same hosts: these are told apart
for you to compare, and are a finding only where one family lets in networks of
your own alone and the other addresses of the internet. Interfaces are compared
one by one; what they all do alike is told without them.

Examples: portolan firewall parity
          portolan firewall parity --hook input --rules ruleset.json --json

Exit code 0: alike, 1: they differ, 3: too large to decide, or the rules of one
family are not there (what iptables-save prints is IPv4's only).";

#[derive(Debug, Args)]
pub(crate) struct Lint {
    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Args)]
pub(crate) struct Parity {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Compare on this way alone: input, forward or output
    #[arg(long, value_name = "HOOK")]
    pub(crate) hook: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The rules before: a file, FILE,FILE…, or `live`
    #[arg(value_name = "A")]
    pub(crate) before: String,
    /// The rules after
    #[arg(value_name = "B")]
    pub(crate) after: String,
}
