//! Forwards, doors and pools: ports handed on, opened after a knock, or leased out.
//!
//! All three hold numbers on their hosts just as services do.

use jiff::SignedDuration;

use super::{Documentation, HostSelector, Located, Location, PortSpec, Source};
use crate::net::PortRange;

/// `[forwards.NAME]`: a port handed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The key.
    pub name: String,
    /// The machine that hands on, one or more.
    pub on: Vec<Located<HostSelector>>,
    /// The port it takes.
    pub listen: Located<PortSpec>,
    /// Where it hands it to.
    pub to: Located<ForwardTarget>,
    /// How.
    pub via: ForwardVia,
    /// Who may come; empty means this machine only.
    pub from: Vec<Located<Source>>,
    /// Whether the target sees the forwarder's address.
    pub masquerade: bool,
    /// Whether the PROXY protocol header is sent.
    pub proxy_protocol: bool,
    /// Why it exists and who answers for it.
    pub docs: Documentation,
    /// The table's header.
    pub at: Location,
}

/// `to` of a forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardTarget {
    /// `service@host`.
    Service {
        /// A key of `services`.
        service: String,
        /// A key of `hosts`.
        host: String,
    },
    /// `ip:port`.
    Endpoint(crate::net::Endpoint),
}

/// `via` of a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardVia {
    /// Kernel translation (DNAT).
    Nat,
    /// A process in between.
    Proxy,
    /// A router's port mapping.
    Router,
}

/// `[doors.NAME]`: opens a service after a knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// The key.
    pub name: String,
    /// On which machines.
    pub on: Vec<Located<HostSelector>>,
    /// How one knocks.
    pub method: DoorMethod,
    /// File of keys.
    pub keys: Option<String>,
    /// How long it stays open.
    pub open: Option<SignedDuration>,
    /// Who may knock; empty means anybody.
    pub from: Vec<Located<Source>>,
    /// Why it exists and who answers for it.
    pub docs: Documentation,
    /// The table's header.
    pub at: Location,
}

/// `method` of a door, with what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoorMethod {
    /// One signed packet to this port.
    Spa {
        /// The port.
        listen: Located<PortSpec>,
    },
    /// These ports in this order.
    Sequence {
        /// The ports.
        ports: Vec<Located<PortSpec>>,
        /// Within this time.
        window: Option<SignedDuration>,
    },
}

/// `[pools.NAME]`: numbers to take from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The key.
    pub name: String,
    /// On which machines.
    pub on: Vec<Located<HostSelector>>,
    /// The numbers.
    pub range: PortRange,
    /// For services that lease here; opens nothing itself.
    pub from: Vec<Located<Source>>,
    /// What it is for.
    pub purpose: Option<String>,
    /// How long a lease lasts.
    pub default_ttl: Option<SignedDuration>,
    /// The table's header.
    pub at: Location,
}
