//! `portolan firewall …`: one file a subcommand.

mod show;
mod source;

use clap::Subcommand;

pub(crate) use show::Show;
pub(crate) use source::Sources;

#[derive(Debug, Subcommand)]
pub(crate) enum Firewall {
    /// The rules a packet meets, hook by hook, whoever wrote them
    #[command(after_help = show::HELP)]
    Show(Show),
}
