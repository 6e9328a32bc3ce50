//! How a name was looked up, question by question, and why it has no address if it has none.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::wire::dns::{RecordKind, ResponseCode};

/// A name and everything that was asked about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The name as it was typed.
    pub name: String,
    /// The questions in their order.
    pub lookups: Vec<Lookup>,
    /// What came of it: each address once, in the order in which clients try them.
    pub addresses: Vec<IpAddr>,
}

/// One question about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// The name as it was asked for: with a domain of the search list behind it, perhaps.
    pub asked: String,
    /// For which addresses; `None` for both at once.
    pub kind: Option<RecordKind>,
    /// Who was asked.
    pub source: LookupSource,
    /// What was said.
    pub outcome: LookupOutcome,
    /// How long that took.
    pub took: Duration,
}

/// Who was asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupSource {
    /// /etc/hosts.
    HostsFile,
    /// A DNS server.
    Dns(SocketAddr),
    /// The system's own resolver, getaddrinfo(3), with all its modules.
    System,
}

/// What was said about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupOutcome {
    /// Its addresses, and the name that it is an alias for.
    Addresses {
        /// At least one.
        found: Vec<IpAddr>,
        /// The last of its aliases.
        alias: Option<String>,
    },
    /// The name is there and has no address of the kind.
    NoAddress,
    /// There is no such name.
    NoSuchName,
    /// The server could not or would not tell.
    Failed(ResponseCode),
    /// No answer in time.
    TimedOut,
    /// The server could not be asked: errno(3).
    Unreachable(i32),
    /// Something that is no answer came back.
    Malformed,
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFailure {
    /// It cannot be a name.
    NotAName,
    /// A server said that there is none (NXDOMAIN), or no source knows it.
    NoSuchName {
        /// Who said so; `None` where no server was asked.
        server: Option<SocketAddr>,
    },
    /// It is there, without an address of the family asked for.
    NoAddress {
        /// Who said so.
        server: Option<SocketAddr>,
    },
    /// The server failed or refused; the name may be fine.
    ServerFailed {
        /// Which.
        server: SocketAddr,
        /// As it said it.
        code: ResponseCode,
    },
    /// No server answered in time; the name may be fine.
    TimedOut {
        /// The last of them.
        server: SocketAddr,
    },
    /// No server could be asked.
    Unreachable {
        /// The last of them.
        server: SocketAddr,
        /// Why, errno(3).
        errno: i32,
    },
    /// Something that is no answer came back.
    Malformed {
        /// From where.
        server: SocketAddr,
    },
}

impl Resolution {
    /// Why there is no address; `None` where there is one.
    ///
    /// A server that failed says nothing of the name, so its failure is the reason even where
    /// another domain of the search list is known not to have it.
    #[must_use]
    pub fn failure(&self) -> Option<NameFailure> {
        if !self.addresses.is_empty() {
            return None;
        }
        let failures = || self.lookups.iter().rev();
        let certain = failures().find_map(Lookup::trouble);
        Some(certain.or_else(|| self.absence()).unwrap_or(NameFailure::NotAName))
    }

    /// What is known of the name itself.
    fn absence(&self) -> Option<NameFailure> {
        let with =
            |outcome: &LookupOutcome| self.lookups.iter().rev().find(|l| l.outcome == *outcome);
        // The family that was not asked for may be there.
        let is_there =
            self.lookups.iter().any(|l| matches!(l.outcome, LookupOutcome::Addresses { .. }));
        if let Some(lookup) = with(&LookupOutcome::NoAddress) {
            return Some(NameFailure::NoAddress { server: lookup.server() });
        }
        if is_there {
            return Some(NameFailure::NoAddress { server: None });
        }
        let unknown = with(&LookupOutcome::NoSuchName)?;
        let dns = self.lookups.iter().rev().find_map(Lookup::server);
        Some(NameFailure::NoSuchName { server: unknown.server().or(dns) })
    }

    /// Whether one family has an address and the other has none, both having been asked for.
    #[must_use]
    pub fn lacks(&self) -> Option<RecordKind> {
        let has = |kind: RecordKind| self.addresses.iter().any(|a| kind.is_of(*a));
        let is_absent = |kind: RecordKind| {
            let mut of_kind = self.lookups.iter().filter(|l| l.kind == Some(kind));
            !has(kind) && of_kind.any(|l| l.outcome == LookupOutcome::NoAddress)
        };
        RecordKind::BOTH.into_iter().find(|kind| is_absent(*kind) && !self.addresses.is_empty())
    }
}

impl Lookup {
    fn server(&self) -> Option<SocketAddr> {
        match self.source {
            LookupSource::Dns(server) => Some(server),
            LookupSource::HostsFile | LookupSource::System => None,
        }
    }

    /// What went wrong on the way to an answer.
    fn trouble(&self) -> Option<NameFailure> {
        let server = self.server()?;
        match self.outcome {
            LookupOutcome::Failed(code) => Some(NameFailure::ServerFailed { server, code }),
            LookupOutcome::TimedOut => Some(NameFailure::TimedOut { server }),
            LookupOutcome::Unreachable(errno) => Some(NameFailure::Unreachable { server, errno }),
            LookupOutcome::Malformed => Some(NameFailure::Malformed { server }),
            _ => None,
        }
    }
}
