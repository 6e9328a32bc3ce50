//! Sets of packets as decision diagrams: exact, canonical, and small where rules are regular.
//!
//! A reduced ordered binary decision diagram (Bryant 1986) with complement edges (Brace, Rudell and
//! Bryant 1990): one arena of nodes, each stored once, so two sets are equal when their handles are.
//! Variables are numbered; what they mean is the caller's affair ([`Bits`] groups them into fields,
//! most significant first, because prefixes then are short paths). A [`Region`] is a handle and is
//! only good with the [`Bdd`] that made it.
//!
//! Nothing here can run away: every operation that could grow the arena past its budget ends with
//! [`Undecided`]. Recursion is as deep as there are variables, some hundreds at most.

mod deal;
mod field;
mod meetings;
mod node;
mod operate;
mod paths;
mod quantify;
#[cfg(test)]
mod tests;

pub use deal::Taker;
pub use field::Bits;
pub use node::{Bdd, Branch, Region};
pub use paths::Part;
pub use quantify::Substitution;

/// The budget of nodes ran out before there was an answer. Not a failure of the rules: nobody
/// knows, and the answer has to say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("undecided: more than {budget} nodes or steps would be needed")]
pub struct Undecided {
    /// How many nodes the arena may hold.
    pub budget: usize,
}
