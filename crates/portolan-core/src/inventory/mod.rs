//! Floor 4, the intent: which ports are meant to be open, where, for whom, and why.
//!
//! These types mirror the inventory file (format version 1): what a person wrote, parsed, checked,
//! every reference resolved, each part with its place in the file. `file` reads them, `edit`
//! changes the text without disturbing it, `draft` makes a first file of what is observed.

use std::net::IpAddr;
use std::ops::Range;

use jiff::SignedDuration;
use jiff::civil::Date;

use crate::net::{PortRange, Prefix, Transport, TransportSet};

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

/// A file the inventory was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path as a user would write it, relative to the working folder where that is shorter.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A place in one of the inventory's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Index into `Inventory::files`.
    pub file: usize,
    /// Bytes of its text.
    pub span: Range<usize>,
}

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Location,
}

/// `review = { every, warn }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReviewRule {
    /// From one review to the next.
    pub every: SignedDuration,
    /// How long before that it is announced.
    pub warn: SignedDuration,
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

/// An item of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortSpec {
    /// `443/tcp`, `53/tcp+udp`, `5000-5010/tcp`.
    Ports {
        /// The numbers.
        range: PortRange,
        /// Their transports, at least one.
        transports: TransportSet,
    },
    /// `ip:112`, `esp` …: an IP protocol without ports, for the firewall only.
    Protocol {
        /// IANA's protocol number.
        number: u8,
        /// The name it was written with, for showing it again.
        name: Option<String>,
    },
}

impl PortSpec {
    /// The (range, transport) pairs meant; none for a protocol without ports.
    pub fn pairs(&self) -> impl Iterator<Item = (PortRange, Transport)> + '_ {
        let (range, transports) = match self {
            Self::Ports { range, transports } => (*range, *transports),
            Self::Protocol { .. } => (PortRange::ALL, TransportSet::NONE),
        };
        transports.iter().map(move |t| (range, t))
    }
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

/// The documentation fields that services share with forwards, doors and pools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Documentation {
    /// Why it exists.
    pub purpose: Option<Located<String>>,
    /// Who answers for it: a key of `owners`.
    pub owner: Option<Located<String>>,
    /// How bad it is when it fails.
    pub criticality: Option<Criticality>,
    /// What makes a risky service bearable.
    pub security: Option<String>,
    /// Further reading.
    pub links: Vec<String>,
    /// Free labels.
    pub tags: Vec<String>,
    /// When it is to be looked at again.
    pub review: Option<Located<Review>>,
    /// Who approved it.
    pub approved: Option<Approval>,
}

/// `criticality`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Criticality {
    /// Nobody is woken.
    Low,
    /// Working hours.
    Medium,
    /// At once.
    High,
}

impl Criticality {
    /// The word in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// `review` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Review {
    /// On this day.
    On(Date),
    /// So long after `approved.on`.
    Every(SignedDuration),
}

/// `approved = { by, on, ticket, until }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Who.
    pub by: Option<String>,
    /// When.
    pub on: Option<Date>,
    /// Where it is written down.
    pub ticket: Option<String>,
    /// When it ends.
    pub until: Option<Located<Date>>,
    /// The key.
    pub at: Location,
}

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

/// `[[block]]`: refused everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Who.
    pub from: Vec<Located<Source>>,
    /// Until when.
    pub until: Option<Date>,
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
