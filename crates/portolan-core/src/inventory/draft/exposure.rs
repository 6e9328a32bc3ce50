//! Where a program is bound, and who could come there.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::net::{Prefix, Scope};
use crate::socket::{Held, Machine};

/// `from`, `bind` and `to` of a service that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exposure {
    /// Who could come.
    pub from: Reachable,
    /// The addresses it is bound to, where it is not the wildcard.
    pub bind: Binding,
    /// The multicast groups it is bound to.
    pub to: Vec<IpAddr>,
}

/// Who could come, by where it is bound.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reachable {
    /// Bound to loopback alone.
    ThisMachine,
    /// Bound to addresses with these networks.
    Networks(Vec<Prefix>),
    /// Bound to every address.
    Any,
}

/// What is to be written as `bind`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binding {
    /// Nothing: it is bound to every address.
    Unsaid,
    /// `"loopback"`
    Loopback,
    /// These.
    Addresses(Vec<IpAddr>),
}

impl Exposure {
    /// The exposure of one program's sockets on one port; `shared` says that another program has
    /// the same port, so that loopback addresses have to be told apart.
    pub(super) fn of(sockets: &[&Held], machine: &Machine, shared: bool) -> Self {
        let addresses: BTreeSet<IpAddr> = sockets.iter().filter_map(|h| bound_to(h)).collect();
        let with = |scopes: &[Scope]| -> Vec<IpAddr> {
            addresses.iter().copied().filter(|a| scopes.contains(&Scope::of(*a))).collect()
        };
        let to = with(&[Scope::Multicast]);
        let wildcard = !with(&[Scope::Wildcard]).is_empty() || !to.is_empty();
        let beyond = with(&[Scope::LinkLocal, Scope::Private, Scope::Cgnat, Scope::Global]);
        let (from, bind) = match (wildcard, beyond.is_empty()) {
            (true, _) => (Reachable::Any, Binding::Unsaid),
            (false, true) if shared => {
                (Reachable::ThisMachine, Binding::Addresses(addresses.into_iter().collect()))
            }
            (false, true) => (Reachable::ThisMachine, Binding::Loopback),
            (false, false) => (
                Reachable::Networks(networks(&beyond, machine)),
                Binding::Addresses(addresses.into_iter().collect()),
            ),
        };
        Self { from, bind, to }
    }
}

/// The address a socket is bound to; one bound to the loopback device stays on this machine
/// whatever its address says (SO_BINDTODEVICE, socket(7)).
fn bound_to(held: &Held) -> Option<IpAddr> {
    let address = held.socket.local_endpoint()?.address.to_canonical();
    match held.socket.device.as_deref() {
        Some("lo") => Some(IpAddr::from([127, 0, 0, 1])),
        _ => Some(address),
    }
}

/// The networks of addresses, as the interfaces have them; an address no interface has stands for
/// itself.
fn networks(addresses: &[IpAddr], machine: &Machine) -> Vec<Prefix> {
    let network = |address: &IpAddr| {
        let own = machine.addresses.iter().find(|a| a.address == *address);
        let around = || machine.addresses.iter().find(|a| a.network.contains(*address));
        own.or_else(around).map_or_else(|| Prefix::from(*address), |a| a.network)
    };
    addresses.iter().map(network).collect::<BTreeSet<_>>().into_iter().collect()
}
