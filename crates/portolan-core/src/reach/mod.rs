//! Floor 5, who can reach a port of this machine, and what decides it.
//!
//! ```text
//! a source ── arrives by ──▶ prerouting ─┬─▶ input ────▶ a socket bound there
//!                          (translated?) └─▶ forward ──▶ a container, another machine
//! ```
//! All packets to all ports asked about run through the analysis at once, which tells exactly whom the rules
//! treat alike; one packet of each such class goes through the simulator, and its answer back. Where it
//! ends, what listens there and what would have become of it without translation make the answer; that the
//! two agree is checked. So a published container that goes around the input rules is found by what rules do, whatever
//! their chains are called. Filters beyond this machine are not seen.

mod answer;
mod arrival;
mod classes;
mod diversion;
mod fix;
mod follow;
mod handed;
mod hints;
mod kinds;
mod listener;
mod own;
mod question;
mod refusal;
mod regions;
mod routed;
mod source;
mod survey;
mod translations;
mod travel;

pub use answer::{Answer, Around, AroundKind, By, Group, PortReach, Reached, Taker, Translated};
pub use arrival::SOME_INTERFACE;
pub use diversion::{Destination, Diversion, DivertingRule, Target, diversions, may_divert};
pub use fix::{Fix, fixes};
pub use follow::{End, Followed, FollowedStep, TRACING, followed};
pub use hints::named_ports;
pub use question::{Asking, Publication, Rules, Scene};
pub use refusal::{OwnRefusal, SentOn};
pub use source::{Source, Whence, senders};

#[cfg(test)]
mod tests;
