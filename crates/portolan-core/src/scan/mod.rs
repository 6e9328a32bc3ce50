//! Floor 3, the wire as a witness: which probe to send next, and what the answers prove.
//!
//! Sans-IO: a scan is handed answers and the time, and hands out probes and findings. An engine of
//! portolan-host (or a simulated network of the tests) carries them. Nothing here opens a socket,
//! and no failure on our own side ever becomes the state of a port.

mod block;
pub mod cookie;
mod event;
mod front;
mod host;
pub mod journal;
mod lane;
mod loss;
pub mod os_guess;
mod pacer;
pub mod payload;
mod permutation;
mod plan;
mod ports;
mod probe;
mod rtt;
mod scheduler;
mod siphash;
mod state;
pub mod target;
mod work;

pub use event::{Canary, Cap, Capped, Event, Front, HostReport, Progress};
pub use front::Suspicion;
pub use permutation::Permutation;
pub use plan::{Ability, Pace, Plan, Positions, Shard};
pub use ports::{Unscannable, ports};
pub use probe::{Answer, LocalError, Manner, Probe, Question, Reply, Signature};
pub use scheduler::{Cut, Scan};
pub use siphash::SipHash;
pub use state::{Icmp, Note, PortState, Reason, Record};
pub use target::TargetSet;
