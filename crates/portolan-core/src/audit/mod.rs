//! Floor 5, the judgement: where the inventory and what was seen disagree.
//!
//! A finding has a rule, a severity, a subject, evidence and a remedy, and an id that stays the
//! same as long as the thing found does. Values in, findings out: the sockets, the machine and the
//! date are given, and nothing is looked up that was not.

mod accepted;
mod binding;
mod case;
mod drift;
mod evidence;
mod exposure;
mod finding;
mod holder;
mod listening;
mod numbers;
mod opening;
mod paperwork;
mod reach;
mod reality;
mod rule;
mod wire;

pub use accepted::Accepted;
pub use case::{Judgement, Scene, judge};
pub use drift::Drift;
pub use finding::{FileLine, Finding, Subject};
pub use listening::Listening;
pub use opening::{Keeper, Line, Opening};
pub use reach::Reach;
pub use rule::Rule;
pub use wire::{Asked, Sight, WireScene, ask, judge_wire};

pub use crate::net::Severity;

#[cfg(test)]
mod tests;
