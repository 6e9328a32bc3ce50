//! Who may come: named networks and the items of `from`.
//!
//! Names are the only indirection in the file; what they stand for is said by `extent`.

use super::{Located, Location, PortSpec};
use crate::net::{Port, Prefix, Transport};

/// `[networks]`: a name for some addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// The name.
    pub name: String,
    /// Its extent.
    pub extent: NetworkExtent,
    /// The key.
    pub at: Location,
}

/// What addresses a network has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkExtent {
    /// Every address of both families.
    Any,
    /// These.
    Prefixes {
        /// Inside.
        prefixes: Vec<Prefix>,
        /// Taken out again.
        except: Vec<Prefix>,
        /// Only through this interface.
        interface: Option<String>,
    },
}

/// An item of `from`: who may come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A network of the file, or the built-in `any`, `private`, `loopback`.
    Network(String),
    /// A host, by all its addresses.
    Host(String),
    /// `@group`, every host in it.
    Group(String),
    /// A network written out.
    Prefix(Prefix),
    /// `service:NAME`, every host that service is on.
    Service(String),
}

/// `[management]`: compiled first, checked before every change of the firewall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Management {
    /// Who keeps access.
    pub from: Vec<Located<Source>>,
    /// To which ports.
    pub ports: Vec<Located<PortSpec>>,
    /// The table.
    pub at: Location,
}

impl Management {
    /// Whether it names this port.
    #[must_use]
    pub fn names(&self, port: Port, transport: Transport) -> bool {
        let mut pairs = self.ports.iter().flat_map(|spec| spec.value.pairs());
        pairs.any(|(range, of)| of == transport && range.contains(port))
    }
}
