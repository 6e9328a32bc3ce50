//! Machines, the people who answer for them, and which machines a list of names means.
//!
//! A host is declared once; groups exist by being named in some host's `groups`.

use std::net::IpAddr;

use super::{Located, Location};
use crate::net::Prefix;

/// `[owners.NAME]`: who answers for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The key.
    pub id: String,
    /// The name to show.
    pub name: Option<String>,
    /// How to reach them.
    pub contact: Option<String>,
    /// Whom to call at night.
    pub on_call: Option<String>,
    /// The table.
    pub at: Location,
}

/// `[hosts.NAME]`: a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The key.
    pub name: String,
    /// Its addresses, the first for management.
    pub address: Vec<Located<AddressSpec>>,
    /// Addresses of a 1:1 NAT in front of it.
    pub public: Vec<IpAddr>,
    /// Groups it is in, without `@`.
    pub groups: Vec<String>,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// What its firewall does with what nobody declared.
    pub firewall: FirewallDefaults,
    /// How far a probe may go.
    pub probe: ProbeDepth,
    /// What it is for.
    pub purpose: Option<String>,
    /// Who answers for it: a key of `owners`.
    pub owner: Option<Located<String>>,
    /// Free labels.
    pub tags: Vec<String>,
    /// Further reading.
    pub links: Vec<String>,
    /// The table.
    pub at: Location,
}

/// `firewall = { input, forward, egress, base }` of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirewallDefaults {
    /// To this machine; default drop.
    pub input: FirewallDefault,
    /// Through this machine; default keep.
    pub forward: FirewallDefault,
    /// From this machine; default accept.
    pub egress: FirewallDefault,
    /// Whether the base rows are compiled in; default yes.
    pub base: bool,
}

impl Default for FirewallDefaults {
    fn default() -> Self {
        Self {
            input: FirewallDefault::Drop,
            forward: FirewallDefault::Keep,
            egress: FirewallDefault::Accept,
            base: true,
        }
    }
}

/// What happens to traffic nobody declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirewallDefault {
    /// Let through.
    Accept,
    /// Dropped.
    Drop,
    /// Left to whoever ruled it before.
    Keep,
}

/// How far a probe may go with a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProbeDepth {
    /// Connect and speak.
    #[default]
    Full,
    /// Connect and listen.
    Banner,
    /// Never.
    Never,
}

/// ADDRESS: how an address may be written where a machine's own is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSpec {
    /// An address or a network.
    Prefix(Prefix),
    /// `iface:eth0`: whatever that interface has.
    Interface(String),
    /// `dns:NAME`: whatever that name resolves to.
    Dns(String),
}

/// An item of `on`: which machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostSelector {
    /// `*`
    All,
    /// A host.
    Host(String),
    /// `@group`
    Group(String),
    /// `!host`
    NotHost(String),
    /// `!@group`
    NotGroup(String),
}
