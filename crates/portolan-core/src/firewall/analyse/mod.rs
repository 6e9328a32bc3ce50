//! All packets at once: what a ruleset does with every packet there can be, exactly.
//!
//! ```text
//! Space      every packet of one family, as bits; open questions (limits, unknown matches) as bits too
//! fates      which of them pass, and which rules decide that, hook by hook as `simulate` does it
//! search     who can reach this?      lint    which rules do nothing, which hide others?
//! diff       what changed?            parity  are IPv4 and IPv6 treated alike?
//! ```
//! A region always speaks of the packet as it was sent; what rules change on the way (marks,
//! translations) is kept beside it, bit by bit, as a function of that packet. An answer is "always" or
//! "never" only if it is so whatever the open questions' answers are. Every packet named as a witness is
//! sent through the simulator before it is shown; if that says otherwise, it is an error of ours and said so.

mod cells;
mod chain;
mod confirm;
mod diff;
mod effect;
mod evaluate;
mod feature;
mod heads;
mod interfaces;
mod layout;
mod lint;
mod number;
mod parity;
mod path;
mod pitfall;
mod record;
mod search;
mod senders;
mod sent;
mod space;
mod stream;
mod surroundings;
#[cfg(test)]
mod tests;
mod told;
mod translate;
mod witness;

pub use chain::{Decision, Did};
pub use confirm::{Claim, answered, confirm};
pub use diff::{Beside, Difference, Differences, Fate, diff};
pub use feature::{Feature, Quantity};
pub use lint::{Code, Finding, Linted, lint};
pub use parity::{Disparity, Openness, parity, unlike};
pub use path::{Arrival, Detail, deciding, fates, fates_among};
pub use search::{Allowed, Answer, Found, Search, search};
pub use senders::{Alike, Like, Shadow};
pub use sent::{End, Ends, Side};
pub use space::{DEFAULT_BUDGET, Question, Space};
pub use told::{Block, SourceSet};
pub use witness::Witness;

use super::RejectWith;
use super::bdd::{Region, Undecided};

/// What becomes of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fates {
    /// They pass every hook of their way.
    pub accepted: Region,
    /// They end in silence.
    pub dropped: Region,
    /// They end and the sender is told.
    pub rejected: Vec<(RejectWith, Region)>,
    /// Those dropped that were given as passed on, and that no route leads on: the hook never sees them.
    pub unrouted: Region,
    /// Those accepted whose destination was translated.
    pub arrivals: Vec<Arrival>,
    /// Who decided, where that was asked for ([`Detail::Decisions`]), in the order of the way.
    pub decisions: Vec<Decision>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnalyseError {
    /// The node budget was used up.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// The analysis and the simulator disagree about a packet: one of them is wrong, and nothing
    /// either says is worth much.
    #[error("the analysis says {claimed}, the simulator {simulated}, of {packet}")]
    Internal {
        /// What the analysis says.
        claimed: String,
        /// What the simulator says.
        simulated: String,
        /// Of this packet.
        packet: String,
    },
}
