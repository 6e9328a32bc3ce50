//! What one look at every process showed, whichever engine looked.

use portolan_core::socket::{Holder, Process, Reuse};

use super::in_flight::Mailbox;

/// Holders of the sockets that were wanted, and what kept others from being seen.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Who holds what; in no order, some perhaps twice.
    pub(super) holdings: Vec<Holding>,
    /// The processes that hold one.
    pub(super) processes: Vec<Process>,
    /// Processes whose descriptors may not be read.
    pub(super) refused: usize,
    /// /proc hides the processes of others (hidepid=2, proc(5)).
    pub(super) hidden: bool,
    /// Unix sockets with descriptors on their way to a process.
    pub(super) mailboxes: Vec<Mailbox>,
}

/// That a socket is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    /// Position of the socket in the index.
    pub(super) position: u32,
    /// Who holds it.
    pub(super) holder: Holder,
    /// What is set on it, where the engine is told.
    pub(super) settings: Option<Settings>,
}

/// What sock_diag does not tell of a socket, or not in every state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// How it is willing to share its port.
    pub(super) reuse: Reuse,
    /// Whether it, being an IPv6 socket, refuses IPv4.
    pub(super) v6only: bool,
}

impl Pass {
    /// What either saw.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.holdings.extend(other.holdings);
        self.processes.extend(other.processes);
        self.refused += other.refused;
        self.hidden |= other.hidden;
        self.mailboxes.extend(other.mailboxes);
        self
    }
}
