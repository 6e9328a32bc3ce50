//! Carrying the probes of a scan onto the wire, and the answers back.
//!
//! Two engines: `connect` needs no privilege, `raw` needs CAP_NET_RAW and is faster. Both hand in
//! the same answers; what they mean is decided in `portolan_core::scan`.

mod connect;
pub mod driver;
mod echo;
mod fault;
mod raw;
pub mod sounding;
pub mod trace;
mod udp;
mod window;

use std::io;
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::{Ability, Answer, LocalError, Probe};

pub use connect::{ConnectEngine, Options};
pub use raw::{Counts, RawEngine};

/// Something that carries probes.
pub trait Engine {
    /// What it can do.
    fn ability(&self) -> Ability;

    /// How many more probes it can take now.
    fn room(&self) -> usize;

    /// Takes a probe. It may leave together with others, at the latest with the next
    /// [`Self::receive`]; where it cannot leave, that is heard there.
    fn send(&mut self, now: Moment, probe: Probe);

    /// Sends what is still held, waits at most `wait` for something to arrive, and puts all that has
    /// arrived into `heard`.
    ///
    /// # Errors
    /// When the engine itself has failed: nothing more can be learned through it.
    fn receive(&mut self, now: Moment, wait: Duration, heard: &mut Vec<Heard>) -> io::Result<()>;
}

/// What an engine has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An answer to a probe.
    Answer(Answer),
    /// A probe that could not leave.
    Refused(Probe, LocalError),
}
