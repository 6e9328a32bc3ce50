//! One packet on its way through the hooks, as the kernel would take it.
//!
//! ```text
//!            ingress                                              ┌─ input ── a socket
//! a device ────────── prerouting ── routing decision ─────────────┤
//!                                                                 └─ forward ── postrouting ── a device
//! a socket ── output ── routed anew ── postrouting ── a device
//!
//! at prerouting and output: fragments are put together at −400, the connection is looked up at −200,
//! chains of type nat run at −100 whatever their own priority says (it orders them among themselves);
//! at input and postrouting: chains of type nat run at 100                       (measured, Linux 6.18)
//! ```
//! What the packet alone does not decide (a limit, a set that could not be read, a statement nobody
//! understood) is asked of [`Answers`]; what stays open is tried both ways, and a verdict that changes with
//! it comes with what it depends on. Follows net/netfilter/nf_tables_core.c, nf_nat_core.c and
//! nf_conntrack_core.c; the facts are tests, here and against the kernel.

mod answers;
mod chain;
mod conntrack;
mod evaluate;
mod explore;
mod fib;
mod fields;
mod index;
mod lookup;
mod path;
mod prepared;
mod roughly;
mod rule_run;
mod sender;
#[cfg(test)]
mod tests;
mod translate;
mod walk;

pub use answers::{About, Answers, Open, Presumed, Question};
pub use prepared::Prepared;
pub(in crate::firewall) use prepared::{Event, asks_of, by_name, circular, turned};
pub(in crate::firewall) use rule_run::rewritten;
pub(in crate::firewall) use translate::chosen_another;
pub use walk::{
    Because, Decision, Dependency, Did, Instead, NoWay, Note, Outcome, Station, Step, Walk, Way,
};

use super::{Packet, Ruleset, World};

/// What becomes of one packet. For many packets prepare the ruleset once: [`Prepared::walk`].
#[must_use]
pub fn simulate(
    ruleset: &Ruleset,
    world: &World,
    packet: &Packet,
    way: Way,
    answers: &dyn Answers,
) -> Walk {
    Prepared::new(ruleset, world).walk(packet, way, answers)
}
