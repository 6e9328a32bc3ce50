//! What a record of a scan means for a declaration, and what it leaves open.

use super::evidence::SHOWN;
use crate::net::{Gap, Why};
use crate::scan::{PortState, Reason, Record};

/// What a record means for a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open,
    NotOpen,
    Undecided,
}

/// What it means; `Undecided` wherever there is a [`Doubt`].
pub(super) fn outcome(record: &Record) -> Outcome {
    match record.state {
        _ if Doubt::of(record).is_some() => Outcome::Undecided,
        PortState::Open => Outcome::Open,
        PortState::Closed | PortState::Filtered => Outcome::NotOpen,
        PortState::OpenFiltered | PortState::Unknown => Outcome::Undecided,
    }
}

/// Why a port that was asked is not known, the gravest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doubt {
    /// UDP said nothing.
    Silent,
    /// Something in front accepts and drops every connection.
    Dropped,
    /// The host never answered anything, so that its silence says nothing of one port.
    NoHost,
    /// The scan could not find out.
    Unknown,
}

impl Doubt {
    pub(super) fn of(record: &Record) -> Option<Self> {
        match record.state {
            PortState::OpenFiltered => Some(Self::Silent),
            PortState::Unknown => Some(Self::Unknown),
            PortState::Open if record.verified == Some(false) => Some(Self::Dropped),
            PortState::Filtered
                if record.reason == Reason::NoResponse && record.miss_probability.is_none() =>
            {
                Some(Self::NoHost)
            }
            PortState::Open | PortState::Closed | PortState::Filtered => None,
        }
    }

    pub(super) fn gap(self, host: &str, ports: &[String]) -> Gap {
        let shown = ports.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let ports = match ports.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        };
        let (what, hint) = match self {
            Self::Silent => (
                format!("whether {ports} of {host} is open (no answer to UDP)"),
                "a program that answers nobody looks like a filter; ask it there: portolan audit",
            ),
            Self::Dropped => (
                format!("what listens on {ports} of {host} (connections are accepted, then reset)"),
                "something in front accepts for the host",
            ),
            Self::NoHost => (
                format!("{ports} of {host} (the host answered nothing at all)"),
                "portolan check says where the way ends",
            ),
            Self::Unknown => (format!("{ports} of {host} (not found out)"), "run it again"),
        };
        Gap::new(what, Why::TimedOut, hint)
    }
}
