//! What `iptables-save` and `ip6tables-save` print, legacy or on nftables, read into tables.
//!
//! The grammar is iptables-restore's (iptables(8), iptables-extensions(8)). A match that cannot be
//! evaluated stays as a condition with its text, a target that is not known as a statement that may
//! decide. A file that is cut, wrapped or speaks of chains that are not there is refused with the
//! place: what is left of it would let through what the whole refuses.

mod base;
mod jumps;
mod matches;
mod nat;
mod options;
mod protocol;
mod rewrite;
mod rule;
mod save;
mod target;
#[cfg(test)]
mod tests;
mod updates;
mod vocabulary;
mod whole;
mod words;

pub(super) use save::number_registrations;
pub use save::{Incompatible, Save};
