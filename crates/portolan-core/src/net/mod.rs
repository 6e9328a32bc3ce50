//! Floor 0, the words: ports, transports, endpoints, prefixes, scopes, and answers with gaps.
//!
//! Values that every other module speaks in. Numbers and addresses are parsed here, once, at the
//! edge; service names are resolved one floor up, in `registry::port_set`.

mod endpoint;
mod moment;
mod nearest;
mod observed;
mod port;
mod prefix;
mod scope;
mod severity;
mod transport;

pub use endpoint::Endpoint;
pub use moment::Moment;
pub use nearest::nearest;
pub use observed::{Gap, Observed, Why};
pub use port::{Port, PortClass, PortError, PortRange, PortSet};
pub use prefix::{Prefix, PrefixError};
pub use scope::Scope;
pub use severity::Severity;
pub use transport::{Transport, TransportError, TransportSet};
