//! Floor 4, the intent: which ports are meant to be open, where, for whom, and why.
//!
//! These types mirror the inventory file (format version 1): what a person wrote, parsed, checked,
//! every reference resolved, each part with its place in the file. `file` reads them, `edit`
//! changes the text without disturbing it, `draft` makes a first file of what is observed.

mod admitted;
mod documentation;
pub mod draft;
pub mod edit;
mod end;
mod extent;
pub mod file;
mod forward;
pub mod glob;
mod host;
mod identify;
mod index;
pub mod matrix;
mod notation;
mod place;
mod policy;
mod port_spec;
mod problem;
pub mod program;
mod query;
mod ruled_out;
mod service;
mod source;
mod verdict;
mod word;

pub use admitted::Admitted;
pub use documentation::{Approval, Criticality, Documentation, Review, ReviewRule};
pub use end::{End, Ended};
pub use extent::{BUILT_IN_NETWORKS, SourceExtent};
pub use forward::{Door, DoorMethod, Forward, ForwardTarget, ForwardVia, Pool};
pub use host::{
    AddressSpec, FirewallDefault, FirewallDefaults, Host, HostSelector, Owner, ProbeDepth,
};
pub use identify::IdentifyError;
pub use notation::duration;
pub use place::{Located, Location, Place, SourceFile};
pub use policy::{CutOff, Resolutions, Server, ServerRole};
pub use port_spec::PortSpec;
pub use problem::{Problem, Refused};
pub use query::Declared;
pub use service::{Bind, Check, Expect, Helper, Need, Rate, Service, Status, Tls};
pub use source::{Management, Network, NetworkExtent, Source};
pub use verdict::{Block, Ignore, IgnoreMatch, Never};
pub use word::Word;

/// A whole inventory: the named file and everything it includes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The files it was read from; `Location::file` is an index into it. The first is the root.
    pub files: Vec<SourceFile>,
    /// What the inventory is of.
    pub title: Option<String>,
    /// How often every service is to be looked at again.
    pub review: Option<ReviewRule>,
    /// What must always stay reachable.
    pub management: Option<Management>,
    /// Named networks, in the file's order.
    pub networks: Vec<Network>,
    /// People and teams.
    pub owners: Vec<Owner>,
    /// Machines.
    pub hosts: Vec<Host>,
    /// What is meant to listen.
    pub services: Vec<Service>,
    /// Ports handed on to other machines.
    pub forwards: Vec<Forward>,
    /// Doors that open after a knock.
    pub doors: Vec<Door>,
    /// Ranges to take numbers from.
    pub pools: Vec<Pool>,
    /// What must not be reachable.
    pub never: Vec<Never>,
    /// Sources that are refused everything.
    pub blocks: Vec<Block>,
    /// Findings that are known and accepted.
    pub ignores: Vec<Ignore>,
}
