//! The answer in a word: free, or what stands in the way.

use std::fmt;

/// Whether a port can be had, and if not, by what. In the order in which the first one found names
/// the whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It can be bound.
    Free,
    /// Somebody listens, or receives UDP.
    Listener,
    /// Somebody listens and would share by SO_REUSEPORT, with the same user and the same option.
    ListenerShared,
    /// Bound, and never listened: most tools do not show it.
    BoundInactive,
    /// A client's connection uses it as its own end.
    Outgoing,
    /// The listener is gone, a connection it accepted is still open.
    EstablishedLeftover,
    /// A closed connection waits out old segments.
    TimeWait,
    /// A connection is closing down: FIN-WAIT, CLOSING, LAST-ACK, or CLOSE-WAIT without a listener.
    FinWait,
    /// The kernel itself holds it: a tunnel, NFS.
    Kernel,
    /// A file registered with io_uring holds it, no descriptor does.
    IoUring,
    /// A descriptor on its way over a unix socket holds it.
    InFlight,
    /// Process 1 holds it for a unit that starts when somebody connects.
    SocketActivation,
    /// A container publishes it.
    ContainerPublish,
    /// It can be bound, but a NAT rule leads its traffic elsewhere.
    NatShadow,
    /// A lease of portolan holds it.
    Reserved,
    /// Below the first port that everybody may bind.
    Privileged,
    /// The address is none of this machine's.
    NotLocal,
    /// The kernel has no port left to choose.
    Exhausted,
    /// A security module, a cgroup's program or Landlock refuses.
    Policy,
    /// Another program has the number in the other family: `localhost` leads to either.
    SplitFamily,
    /// The kernel refuses, and nothing that can be seen from here explains it.
    Unknown,
}

impl Verdict {
    /// Every verdict, in order.
    pub const ALL: [Self; 21] = [
        Self::Free,
        Self::Listener,
        Self::ListenerShared,
        Self::BoundInactive,
        Self::Outgoing,
        Self::EstablishedLeftover,
        Self::TimeWait,
        Self::FinWait,
        Self::Kernel,
        Self::IoUring,
        Self::InFlight,
        Self::SocketActivation,
        Self::ContainerPublish,
        Self::NatShadow,
        Self::Reserved,
        Self::Privileged,
        Self::NotLocal,
        Self::Exhausted,
        Self::Policy,
        Self::SplitFamily,
        Self::Unknown,
    ];

    /// The word used in JSON, kebab-case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Listener => "listener",
            Self::ListenerShared => "listener-shared",
            Self::BoundInactive => "bound-inactive",
            Self::Outgoing => "outgoing",
            Self::EstablishedLeftover => "established-leftover",
            Self::TimeWait => "time-wait",
            Self::FinWait => "fin-wait",
            Self::Kernel => "kernel",
            Self::IoUring => "io-uring",
            Self::InFlight => "in-flight",
            Self::SocketActivation => "socket-activation",
            Self::ContainerPublish => "container-publish",
            Self::NatShadow => "nat-shadow",
            Self::Reserved => "reserved",
            Self::Privileged => "privileged",
            Self::NotLocal => "not-local",
            Self::Exhausted => "exhausted",
            Self::Policy => "policy",
            Self::SplitFamily => "split-family",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
