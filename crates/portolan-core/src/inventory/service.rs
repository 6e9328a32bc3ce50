//! Services: what is meant to listen, where, and what it must look like.
//!
//! Every field mirrors a key of `[services.NAME]`; a field that is empty was not written.

use std::net::IpAddr;

use jiff::SignedDuration;

use super::{AddressSpec, Documentation, HostSelector, Located, Location, PortSpec, Source};

/// `[services.NAME]`: something that is meant to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The key.
    pub name: String,
    /// On which machines, as written; `Inventory::hosts_on` resolves it.
    pub on: Vec<Located<HostSelector>>,
    /// Which ports.
    pub ports: Vec<Located<PortSpec>>,
    /// Who may come; empty means this machine only.
    pub from: Vec<Located<Source>>,
    /// Where it stands in its life.
    pub status: Status,
    /// How many of its machines are to have it running.
    pub expect: Expect,
    /// Which addresses it is to bind; `None` where nothing is said.
    pub bind: Option<Bind>,
    /// Only on the interface of this network (`at`).
    pub at_network: Option<Located<String>>,
    /// Multicast groups or broadcast addresses it listens to (`to`).
    pub to: Vec<IpAddr>,
    /// Application protocols it speaks.
    pub speaks: Vec<String>,
    /// What TLS must look like.
    pub tls: Option<Tls>,
    /// How to test it.
    pub check: Option<Check>,
    /// New connections per source.
    pub limit: Option<Rate>,
    /// A protocol whose data connections the kernel must follow.
    pub helper: Option<Helper>,
    /// Globs of executable, command name or unit.
    pub process: Vec<String>,
    /// The login name it must run as.
    pub user: Option<String>,
    /// The systemd unit.
    pub unit: Option<String>,
    /// The container, `project/service` or a name.
    pub container: Option<String>,
    /// The executable's path.
    pub exe: Option<String>,
    /// The door it is behind: a key of `doors`.
    pub behind: Option<Located<String>>,
    /// What it needs to reach itself.
    pub needs: Vec<Located<Need>>,
    /// Why it exists and who answers for it.
    pub docs: Documentation,
    /// The table's header.
    pub at: Location,
}

/// `status` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Status {
    /// Meant to run.
    #[default]
    Active,
    /// Holds its number, expected closed.
    Planned,
    /// Gone; alarms when it is back.
    Retired,
    /// Found by `init`, approved by nobody.
    Observed,
}

impl Status {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Planned => "planned",
            Self::Retired => "retired",
            Self::Observed => "observed",
        }
    }
}

/// `expect` of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// On every machine of `on`, always.
    #[default]
    Always,
    /// It may be down.
    Sometimes,
    /// On exactly one machine of `on`.
    OneOf,
}

/// `bind` of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// The wildcard address is fine.
    Any,
    /// Loopback only.
    Loopback,
    /// These.
    Addresses(Vec<Located<AddressSpec>>),
}

/// `tls` of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The lowest version, such as `1.2`.
    pub min: Option<String>,
    /// Names the certificate must hold.
    pub names: Vec<String>,
    /// How long before its end it counts as expiring.
    pub expires: Option<SignedDuration>,
    /// Whether a client certificate is asked for.
    pub client_auth: Option<bool>,
}

/// `check` of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// Not tested.
    None,
    /// A connection is enough.
    Connect,
    /// Something is said and something expected.
    Probe {
        /// Path of an HTTP request.
        http: Option<String>,
        /// Its status.
        status: Option<u16>,
        /// Text in the answer.
        contains: Option<String>,
        /// A regular expression the banner matches.
        banner: Option<String>,
        /// How often.
        every: Option<SignedDuration>,
        /// How long to wait.
        timeout: Option<SignedDuration>,
    },
}

/// `limit = "6/30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// New connections.
    pub count: u32,
    /// In this time.
    pub per: SignedDuration,
}

/// `helper` of a service: protocols that open further ports on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Helper {
    /// RFC 959.
    Ftp,
    /// RFC 1350.
    Tftp,
    /// RFC 3261.
    Sip,
}

/// An item of `needs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// `postgres` or `postgres@db`.
    Service {
        /// The service.
        name: String,
        /// On which host; all of its hosts where not said.
        host: Option<String>,
    },
    /// `dns:deb.example.org:443/tcp`, `any:443/tcp`, `10.0.0.0/8:443/tcp`.
    Endpoint {
        /// A network, `dns:NAME`, a host or an address, as written.
        target: String,
        /// The port.
        port: PortSpec,
    },
}
