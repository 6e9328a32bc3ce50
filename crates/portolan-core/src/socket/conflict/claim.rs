//! What a socket, or the wish for one, claims of the port space: where, and on what terms.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::net::{Port, Transport};
use crate::socket::{Bind, Reuse, Socket, SocketTransport, State};

/// A place in the port space of a machine, and whether it may be shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Each protocol has ports of its own.
    pub transport: SocketTransport,
    /// The port.
    pub port: Port,
    /// Inode of the network namespace; 0 where unknown, which is taken for ours.
    pub netns: u64,
    /// The interface it is limited to.
    pub device: Option<Arc<str>>,
    /// Its options; `None` where they could not be found out.
    pub reuse: Option<Reuse>,
    /// The user who made it; `None` where the kernel does not tell.
    pub uid: Option<u32>,
    /// How far it has come.
    pub stage: Stage,
    /// What it takes of IPv4.
    pub(super) ipv4: Cover<Ipv4Addr>,
    /// What it takes of IPv6.
    pub(super) ipv6: Cover<Ipv6Addr>,
}

/// As far as sharing depends on a socket's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A SYN was answered: the kernel keeps it apart from bound sockets until the handshake ends.
    HalfOpen,
    /// It listens: for TCP, SO_REUSEADDR no longer shares.
    Listening,
    /// TIME-WAIT, where the user is not compared.
    TimeWait,
    /// Any other.
    Held,
}

/// How much of one address family a socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover<A> {
    None,
    One(A),
    All,
    /// An IPv6 wildcard of which it is not known whether it takes IPv4 too.
    AllOrNone,
}

/// Whether two claims meet on some address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// They do.
    Meet,
    /// They have no family in common.
    OtherFamily,
    /// They have a family in common, but different addresses of it.
    OtherAddress,
    /// Depends on what is unknown: whether a `[::]` takes IPv4 too.
    Unknown,
}

impl Claim {
    /// What a wish claims when `uid` makes it in the namespace `netns`.
    #[must_use]
    pub fn of_bind(bind: &Bind, uid: u32, netns: u64) -> Self {
        let (ipv4, ipv6) = covers(bind.address, Some(bind.v6only));
        Self {
            transport: match bind.transport {
                Transport::Tcp => SocketTransport::Tcp,
                Transport::Udp => SocketTransport::Udp,
                Transport::Sctp => SocketTransport::Sctp,
                Transport::Dccp => SocketTransport::Dccp,
            },
            port: bind.port,
            netns,
            device: bind.device.clone(),
            reuse: Some(bind.reuse),
            uid: Some(uid),
            stage: Stage::Held,
            ipv4,
            ipv6,
        }
    }

    /// What a socket of the table claims; `None` where it has no port.
    #[must_use]
    pub fn of_socket(socket: &Socket) -> Option<Self> {
        let port = socket.local_port().filter(|port| port.0 != 0)?;
        let (ipv4, ipv6) = covers(socket.local_endpoint()?.address, socket.v6only);
        Some(Self {
            transport: socket.transport,
            port,
            netns: socket.netns,
            device: socket.device.clone(),
            reuse: socket.reuse,
            uid: socket.uid,
            stage: stage(socket),
            ipv4,
            ipv6,
        })
    }

    /// The same with other options: "what if it had set SO_REUSEADDR".
    #[must_use]
    pub fn with(self, reuse: Reuse) -> Self {
        Self { reuse: Some(reuse), ..self }
    }

    /// Whether both claim some address. Symmetric, as the kernel's rule is.
    #[must_use]
    pub fn meets(&self, other: &Self) -> Meeting {
        let families = [overlap(self.ipv4, other.ipv4), overlap(self.ipv6, other.ipv6)];
        if families.contains(&Meeting::Meet) {
            return Meeting::Meet;
        }
        if families.contains(&Meeting::Unknown) {
            return Meeting::Unknown;
        }
        match families.contains(&Meeting::OtherAddress) {
            true => Meeting::OtherAddress,
            false => Meeting::OtherFamily,
        }
    }
}

/// An IPv4-mapped address is IPv4; a `[::]` that is not v6-only takes both families.
fn covers(address: IpAddr, v6only: Option<bool>) -> (Cover<Ipv4Addr>, Cover<Ipv6Addr>) {
    let v6 = match address {
        IpAddr::V4(v4) => return (one_or_all(v4, v4.is_unspecified()), Cover::None),
        IpAddr::V6(v6) => v6,
    };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return (one_or_all(v4, v4.is_unspecified()), Cover::None);
    }
    let ipv4 = match v6only {
        _ if !v6.is_unspecified() => Cover::None,
        Some(true) => Cover::None,
        Some(false) => Cover::All,
        None => Cover::AllOrNone,
    };
    (ipv4, one_or_all(v6, v6.is_unspecified()))
}

const fn one_or_all<A: Copy>(address: A, is_wildcard: bool) -> Cover<A> {
    if is_wildcard { Cover::All } else { Cover::One(address) }
}

fn overlap<A: PartialEq>(one: Cover<A>, other: Cover<A>) -> Meeting {
    match (one, other) {
        (Cover::None, _) | (_, Cover::None) => Meeting::OtherFamily,
        (Cover::AllOrNone, _) | (_, Cover::AllOrNone) => Meeting::Unknown,
        (Cover::One(a), Cover::One(b)) if a != b => Meeting::OtherAddress,
        _ => Meeting::Meet,
    }
}

fn stage(socket: &Socket) -> Stage {
    match socket.state {
        State::SynRecv => Stage::HalfOpen,
        State::Listen => Stage::Listening,
        State::TimeWait => Stage::TimeWait,
        _ => Stage::Held,
    }
}
