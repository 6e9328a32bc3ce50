//! Floor 5, what is the matter with one endpoint: from what each step showed to one verdict and what
//! to do next.
//!
//! The steps are taken elsewhere (names, sockets of this machine, route, connect, canaries, the way
//! hop by hop); here are their outcomes as values and what follows from them. No text for people.

mod case;
mod here;
mod ledger;
mod name;
mod path;
mod verdict;

#[cfg(test)]
mod tests;

pub use case::{CanaryAnswer, Case, Hold, Outcome, PairOutcome, Way};
pub use here::{Here, here};
pub use ledger::{Ledger, Outage, Spell};
pub use name::{Lookup, LookupOutcome, LookupSource, NameFailure, Resolution};
pub use path::{Comparison, Hop, HopAnswer, Path};
pub use verdict::{Bound, Next, Verdict, judge};
