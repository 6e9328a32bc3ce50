//! `portolan firewall …`: one file a subcommand.

mod change;
mod compare;
mod compile;
mod prove;
mod replay;
mod search;
mod show;
mod simulate;
mod source;
mod tighten;

use clap::Subcommand;

pub(crate) use change::{Apply, Confirm, Off, Watch};
pub(crate) use compare::{Diff, Lint, Parity};
pub(crate) use prove::Prove;
pub(crate) use replay::Replay;
pub(crate) use search::Search;
pub(crate) use show::Show;
pub(crate) use simulate::Simulate;
pub(crate) use source::Sources;
pub(crate) use tighten::Tighten;

#[derive(Debug, Subcommand)]
pub(crate) enum Firewall {
    /// The rules a packet meets, hook by hook, whoever wrote them
    #[command(after_help = show::HELP)]
    Show(Show),
    /// What becomes of one packet, hook by hook, and the rule that decides
    #[command(after_help = simulate::HELP)]
    Simulate(Box<Simulate>),
    /// Who can reach a port, of all packets there are
    #[command(after_help = search::HELP)]
    Search(Search),
    /// Rules that do nothing, hide others or mean something else
    #[command(after_help = compare::LINT_HELP)]
    Lint(Lint),
    /// What two rulesets do differently
    #[command(after_help = compare::DIFF_HELP)]
    Diff(Diff),
    /// Where IPv4 and IPv6 are open differently
    #[command(after_help = compare::PARITY_HELP)]
    Parity(Parity),
    /// The table of nft that follows from the inventory, for this host
    #[command(after_help = compile::HELP)]
    Compile,
    /// How observed flows fare under the rules, ten million in seconds
    #[command(after_help = replay::HELP)]
    Replay(Replay),
    /// Rules as narrow as observed flows allow, with the proof
    #[command(after_help = tighten::HELP)]
    Tighten(Tighten),
    /// Put the inventory's rules on trial, with a way back
    #[command(after_help = change::APPLY_HELP)]
    Apply(Apply),
    /// Keep what is on trial
    #[command(after_help = change::CONFIRM_HELP)]
    Confirm(Confirm),
    /// Bring back what was before the trial
    #[command(after_help = change::ROLLBACK_HELP)]
    Rollback,
    /// Whether the rules are loaded, on trial or off, and who changed them last
    #[command(after_help = change::STATUS_HELP)]
    Status,
    /// Take the rules away, for a while or for good
    #[command(after_help = change::OFF_HELP)]
    Off(Off),
    /// Proves that a table does what the inventory says, or shows a packet where not
    #[command(after_help = prove::HELP)]
    Prove(Prove),
}
