//! `portolan firewall …`: one file a subcommand.

mod compile;
mod show;
mod simulate;
mod source;

use clap::Subcommand;

pub(crate) use show::Show;
pub(crate) use simulate::Simulate;
pub(crate) use source::Sources;

#[derive(Debug, Subcommand)]
pub(crate) enum Firewall {
    /// The rules a packet meets, hook by hook, whoever wrote them
    #[command(after_help = show::HELP)]
    Show(Show),
    /// What becomes of one packet, hook by hook, and the rule that decides
    #[command(after_help = simulate::HELP)]
    Simulate(Simulate),
    /// The table of nft that follows from the inventory, for this host
    #[command(after_help = compile::HELP)]
    Compile,
}
