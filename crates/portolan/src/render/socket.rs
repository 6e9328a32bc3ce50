//! A kernel socket as JSON: one object a socket, every key always present.

use std::net::IpAddr;

use portolan_core::net::{Endpoint, Scope};
use portolan_core::registry::Registry;
use portolan_core::socket::{
    Address, Backlog, Held, KernelUse, PortChoice, Queues, Reuse, SocketTable, Unowned,
};
use serde::Serialize;

use crate::render::namespace::NetnsJson;
use crate::render::owner::{CommandLines, ContainerJson, OwnerJson, owners_json};

/// A socket and its owners.
#[derive(Debug, Serialize)]
pub(crate) struct SocketJson<'a> {
    transport: &'static str,
    family: &'static str,
    local: AddressJson<'a>,
    peer: Option<AddressJson<'a>>,
    state: &'static str,
    scope: Option<&'static str>,
    v6only: Option<bool>,
    dual_stack: bool,
    device: Option<&'a str>,
    netns: NetnsJson<'a>,
    cookie: Option<u64>,
    inode: Option<u64>,
    uid: Option<u32>,
    user: Option<&'a str>,
    port_choice: Option<&'static str>,
    backlog: Option<BacklogJson>,
    queues: QueuesJson,
    reuse: Option<ReuseJson>,
    reuseport_group: Option<usize>,
    owners: Vec<OwnerJson<'a>>,
    unit: Option<&'a str>,
    container: Option<ContainerJson<'a>>,
    service: Option<&'a str>,
    owner_gap: Option<&'static str>,
    kernel_use: Option<KernelUseJson<'a>>,
}

impl<'a> SocketJson<'a> {
    /// The socket `held` of `table`.
    pub(crate) fn new(
        held: &'a Held,
        table: &'a SocketTable,
        registry: &'a Registry,
        command_lines: CommandLines,
    ) -> Self {
        let socket = &held.socket;
        let transport = socket.transport.with_ports();
        let named = transport.zip(socket.local_port());
        Self {
            transport: socket.transport.as_str(),
            family: socket.family.as_str(),
            local: AddressJson::from(&socket.local),
            peer: socket.peer.as_ref().map(AddressJson::from),
            state: socket.state.as_str(),
            scope: socket.scope().map(Scope::as_str),
            v6only: socket.v6only,
            dual_stack: socket.is_dual_stack(),
            device: socket.device.as_deref(),
            netns: NetnsJson::of(socket.netns, table),
            cookie: socket.cookie,
            inode: (socket.inode != 0).then_some(socket.inode),
            uid: socket.uid,
            user: socket.uid.and_then(|uid| table.users.get(&uid)).map(|user| &**user),
            port_choice: socket.port_choice.map(PortChoice::as_str),
            backlog: socket.backlog.map(BacklogJson::from),
            queues: socket.queues.into(),
            reuse: socket.reuse.map(ReuseJson::from),
            reuseport_group: None,
            owners: owners_json(table, held, command_lines),
            unit: table.unit(held),
            container: table.container(held).map(ContainerJson::from),
            service: named.and_then(|(t, port)| registry.service_name(port, t)),
            owner_gap: held.unowned.and_then(gap_word),
            kernel_use: table.kernel_use(held).map(KernelUseJson::from),
        }
    }

    /// The same with the number of listeners that share its address and port.
    pub(crate) fn in_group_of(self, listeners: Option<usize>) -> Self {
        Self { reuseport_group: listeners, ..self }
    }
}

/// An endpoint with the interface its socket is bound to: `[fe80::1]%eth0:80`.
pub(crate) fn on_device(endpoint: Endpoint, device: Option<&str>) -> String {
    let text = endpoint.to_string();
    match (device, text.rsplit_once(':')) {
        (Some(device), Some((host, port))) => format!("{host}%{device}:{port}"),
        _ => text,
    }
}

/// Why no owner is proved, in JSON; the kernel is an owner and no gap.
pub(crate) const fn gap_word(unowned: Unowned) -> Option<&'static str> {
    match unowned {
        Unowned::Kernel => None,
        Unowned::NoFile => Some("no-file"),
        Unowned::NotPermitted => Some("not-permitted"),
        Unowned::InFlight => Some("in-flight"),
        Unowned::Vanished => Some("vanished"),
        Unowned::NotLooked => Some("not-looked"),
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum AddressJson<'a> {
    Inet { address: IpAddr, port: u16 },
    Unix { path: Option<&'a str> },
    Packet { protocol: String },
}

impl<'a> From<&'a Address> for AddressJson<'a> {
    fn from(address: &'a Address) -> Self {
        match address {
            Address::Inet(endpoint) => {
                Self::Inet { address: endpoint.address, port: endpoint.port.0 }
            }
            Address::Unix(path) => Self::Unix { path: path.as_deref() },
            Address::Packet { protocol } => Self::Packet { protocol: format!("0x{protocol:04x}") },
        }
    }
}

/// What the kernel holds a socket of its own for.
#[derive(Debug, Serialize)]
struct KernelUseJson<'a> {
    kind: &'a str,
    device: Option<&'a str>,
}

impl<'a> From<&'a KernelUse> for KernelUseJson<'a> {
    fn from(purpose: &'a KernelUse) -> Self {
        Self { kind: &purpose.kind, device: purpose.device.as_deref() }
    }
}

/// SO_REUSEADDR and SO_REUSEPORT: how far a socket is willing to share its port.
#[derive(Debug, Serialize)]
pub(crate) struct ReuseJson {
    address: bool,
    port: bool,
}

impl From<Reuse> for ReuseJson {
    fn from(reuse: Reuse) -> Self {
        Self { address: reuse.address, port: reuse.port }
    }
}

#[derive(Debug, Serialize)]
struct BacklogJson {
    queued: u32,
    max: u32,
}

impl From<Backlog> for BacklogJson {
    fn from(backlog: Backlog) -> Self {
        Self { queued: backlog.queued, max: backlog.max }
    }
}

#[derive(Debug, Serialize)]
struct QueuesJson {
    receive: u32,
    send: u32,
}

impl From<Queues> for QueuesJson {
    fn from(queues: Queues) -> Self {
        Self { receive: queues.receive, send: queues.send }
    }
}
