//! What keeps a port from being bound beside other sockets.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use portolan_core::net::{Port, PortRange};
use portolan_core::socket::conflict::Verdict;
use portolan_core::socket::{Bind, Held};
use portolan_host::bind::Refusal;
use portolan_host::machine;
use rustix::io::Errno;

use super::Report;

/// Why the kernel refuses where no socket is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Below the first port that everybody may bind.
    Privileged {
        /// That port, net.ipv4.ip_unprivileged_port_start.
        start: Port,
    },
    /// The address cannot be bound here.
    NotLocal(NotLocal),
    /// No port is left to choose.
    Exhausted(Exhaustion),
    /// Something beside the kernel's own rules refuses.
    Policy(Errno),
    /// The kernel refuses and nothing visible explains it.
    Unexplained(Errno),
}

impl Obstacle {
    /// The word for it.
    pub(crate) const fn verdict(&self) -> Verdict {
        match self {
            Self::Privileged { .. } => Verdict::Privileged,
            Self::NotLocal(_) => Verdict::NotLocal,
            Self::Exhausted(_) => Verdict::Exhausted,
            Self::Policy(_) => Verdict::Policy,
            Self::Unexplained(_) => Verdict::Unknown,
        }
    }

    /// Whether it alone decides, whoever else is on the port.
    pub(super) const fn is_alone(&self) -> bool {
        matches!(self, Self::NotLocal(_) | Self::Exhausted(_))
    }
}

/// Why an address cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotLocal {
    /// No interface has it.
    NoSuchAddress,
    /// An interface has it, but it is still being checked for duplicates, or is one (RFC 4862 §5.4).
    Tentative,
    /// IPv6 is switched off (net.ipv6.conf.all.disable_ipv6).
    Ipv6Disabled,
    /// The kernel runs without IPv6.
    NoIpv6,
    /// A link-local address without the interface it is meant on (RFC 4007 §6).
    NoZone,
    /// No interface has that name.
    NoSuchDevice,
}

/// Who holds the ports that the kernel chooses from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exhaustion {
    /// What it chooses from.
    pub(crate) range: PortRange,
    /// How many of them are held.
    pub(crate) held: usize,
    /// Sockets of the same holder: a position in the table of one of them, and how many ports.
    pub(crate) holders: Vec<(usize, usize)>,
}

/// What the refusal of the decisive attempt means. An address in use is a matter of sockets.
pub(super) fn find(report: &Report) -> Option<Obstacle> {
    let attempt = report.decisive();
    let (bind, Refusal { errno, .. }) = (&attempt.bind, attempt.refusal?);
    let start = report.ports.unprivileged_start;
    Some(match errno {
        Errno::ADDRINUSE if bind.port == Port(0) => Obstacle::Exhausted(exhaustion(report)),
        Errno::ADDRINUSE => return None,
        Errno::ACCESS if bind.port < start => Obstacle::Privileged { start },
        Errno::ACCESS | Errno::PERM => Obstacle::Policy(errno),
        Errno::ADDRNOTAVAIL => Obstacle::NotLocal(why_not_local(bind)),
        Errno::AFNOSUPPORT => Obstacle::NotLocal(NotLocal::NoIpv6),
        Errno::NODEV => Obstacle::NotLocal(NotLocal::NoSuchDevice),
        Errno::INVAL if needs_zone(bind) => Obstacle::NotLocal(NotLocal::NoZone),
        _ => Obstacle::Unexplained(errno),
    })
}

fn needs_zone(bind: &Bind) -> bool {
    let is_link_local =
        matches!(bind.address, IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_multicast());
    is_link_local && bind.device.is_none()
}

fn why_not_local(bind: &Bind) -> NotLocal {
    let ours = machine::addresses().unwrap_or_default();
    let has_ipv6 = ours.iter().any(|a| a.address.is_ipv6());
    match () {
        () if ours.iter().any(|a| a.address == bind.address) => NotLocal::Tentative,
        () if bind.address.is_ipv6() && !is_mapped(bind.address) && !has_ipv6 => {
            NotLocal::Ipv6Disabled
        }
        () => NotLocal::NoSuchAddress,
    }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn exhaustion(report: &Report) -> Exhaustion {
    let mut by_holder: BTreeMap<Vec<u32>, (usize, HashSet<Port>)> = BTreeMap::new();
    let mut held = HashSet::new();
    let transport = report.decisive().bind.transport;
    for (position, row) in report.table.sockets.iter().enumerate() {
        if row.socket.transport.with_ports() != Some(transport) {
            continue;
        }
        let Some(port) = row.socket.local_port() else { continue };
        held.insert(port);
        by_holder.entry(pids(row)).or_insert_with(|| (position, HashSet::new())).1.insert(port);
    }
    let mut holders: Vec<_> = by_holder.into_values().map(|(p, ports)| (p, ports.len())).collect();
    holders.sort_by_key(|(position, ports)| (std::cmp::Reverse(*ports), *position));
    Exhaustion { range: report.ports.ephemeral, held: held.len(), holders }
}

fn pids(held: &Held) -> Vec<u32> {
    let mut pids: Vec<u32> = held.holders.iter().map(|h| h.pid).collect();
    pids.dedup();
    pids
}
