//! `portolan firewall tighten`.

use std::path::PathBuf;

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
Runs observed flows (see `portolan firewall replay --help` for FILE) against
the rules and proposes a table that drops what no flow needed. Accept is never
final in netfilter and drop is, so the table only narrows: the rules stay as
they are, and what passes afterwards is what passed before and was observed.
That is proved for every packet, and every flow is tried again. Judged are
first packets of TCP, UDP, SCTP and DCCP to this machine and, at the hook
forward, those to its published and forwarded ports, by the port they had
before the translation; connections that exist, loopback, ICMP and what else
is passed on are left alone. Sources of a service become at most --budget
networks a family.

Nothing is loaded: look at the table, then `nft -f` it, or write the sources
into the inventory.

Examples: portolan firewall tighten --flows conntrack
          portolan firewall tighten --flows flows.csv --budget 4
          portolan firewall tighten --flows flows.csv --nft > narrow.nft

Exit code 0 when the rules are as narrow as the flows already, 1 when they
could be narrower, 3 when the proof is not complete.";

#[derive(Debug, Args)]
pub(crate) struct Tighten {
    /// The observed flows
    #[arg(long, value_name = "FILE")]
    pub(crate) flows: PathBuf,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// How many networks the sources of a service may become, each family
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) budget: u16,
    /// Print the table alone, ready for nft
    #[arg(long, conflicts_with = "json")]
    pub(crate) nft: bool,
}
