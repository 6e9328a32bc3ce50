//! What is ruled out and what is put up with: `[[never]]`, `[[block]]`, `[[ignore]]`.
//!
//! The audit checks the first, the firewall the second; the third silences findings, with a reason.

use jiff::civil::Date;

use super::{Bind, End, HostSelector, Located, Location, PortSpec, Source};

/// `[[never]]`: must not be reachable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Never {
    /// What: a service …
    pub service: Option<Located<String>>,
    /// … or ports.
    pub ports: Vec<Located<PortSpec>>,
    /// From whom.
    pub from: Vec<Located<Source>>,
    /// Why.
    pub reason: Option<String>,
    /// The table's header.
    pub at: Location,
}

/// `[[block]]`: refused everything, or some ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// On which machines; empty means all.
    pub on: Vec<Located<HostSelector>>,
    /// Who.
    pub from: Vec<Located<Source>>,
    /// Which ports; empty means everything.
    pub ports: Vec<Located<PortSpec>>,
    /// Until when.
    pub until: Option<End>,
    /// Why.
    pub reason: Option<String>,
    /// The table's header.
    pub at: Location,
}

/// `[[ignore]]`: known and accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ignore {
    /// On which machines; empty means all.
    pub on: Vec<Located<HostSelector>>,
    /// What it covers; every given field must agree.
    pub matches: IgnoreMatch,
    /// Why it is fine.
    pub reason: String,
    /// The last day it counts.
    pub until: Option<Located<Date>>,
    /// The table's header.
    pub at: Location,
}

/// `match` of an ignore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreMatch {
    /// A finding's id.
    pub id: Option<String>,
    /// A rule, such as `P101`.
    pub rule: Option<String>,
    /// A service.
    pub service: Option<String>,
    /// Ports; empty means any.
    pub ports: Vec<PortSpec>,
    /// Glob of executable, command name or unit.
    pub process: Option<String>,
    /// Where it is bound: `any`, `loopback` or addresses.
    pub bind: Option<Bind>,
    /// A login name.
    pub user: Option<String>,
    /// A container.
    pub container: Option<String>,
}
