//! `portolan firewall prove`.

use clap::Args;

use super::Sources;

pub(crate) const HELP: &str = "\
The table that `firewall compile` prints is loaded into a network namespace of
its own, read back, and held against what the inventory means, said plainly by
other code: for every packet of IPv4 and IPv6, to, through and from this
machine, whatever doors are open and limits reached. Where the two differ, a
packet that shows it is named. Every [[never]] is proved as well: that nobody it
names gets in, none at all where it says any or no `from`; a network of the file
that is everybody (internet = \"any\") means whoever has no name there. --live
does the same with the table that is loaded here, and names what other tables
refuse of what is declared; --rules with a saved one. Where nft or a namespace
is not to be had, portolan reads the compiled text itself: that nft reads it
alike is then not shown.

Examples: portolan firewall prove
          portolan firewall prove --host web --inventory prod.toml
          portolan firewall prove --rules saved.nft

Exit code 0: proved, 1: not so, 3: too large to decide, or proved without nft.";

#[derive(Debug, Args)]
pub(crate) struct Prove {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// The table that is loaded here, beside all other tables
    #[arg(long, conflicts_with = "rules")]
    pub(crate) live: bool,
}
