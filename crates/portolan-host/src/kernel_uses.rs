//! What the kernel itself uses ports for, in the network namespace of this thread.
//!
//! Asked are the interfaces (rtnetlink), the families wireguard, fou and l2tp of generic netlink
//! where they exist, and files of /proc. All is read for a number at hand that nobody holds, so
//! what cannot be read is left out: the socket stays the kernel's, only without a name. wireguard
//! and l2tp answer administrators of the namespace alone (CAP_NET_ADMIN).

use std::fs;
use std::io;

use portolan_core::net::{Port, Transport};
use portolan_core::socket::{KernelUse, nfsd_ports, rxrpc_ports};
use portolan_core::wire::genetlink::{self, Family};
use portolan_core::wire::rtnetlink::Link;
use rustix::net::netlink::GENERIC;

use crate::machine;
use crate::netlink::Netlink;

/// What the kernel says it uses ports for; `netns` is the inode of this thread's namespace.
#[must_use]
pub fn read(netns: u64) -> Vec<KernelUse> {
    let links = machine::links().unwrap_or_default();
    let mut found = Found { netns, uses: Vec::new() };
    for link in &links {
        if let (Some(kind), Some(port)) = (&link.kind, link.udp_port) {
            found.add(Transport::Udp, port, kind, Some(&link.name));
        }
    }
    // Without these families (the usual case) nothing is lost by the refusal.
    let _ = found.ask_families(&links);
    for (transport, port) in nfsd_ports(&text("/proc/fs/nfsd/portlist")) {
        found.add(transport, port, "nfsd", None);
    }
    for port in rxrpc_ports(&text("/proc/thread-self/net/rxrpc/locals")) {
        found.add(Transport::Udp, port, "rxrpc", None);
    }
    found.uses.sort();
    found.uses.dedup();
    found.uses
}

/// What a port of the kernel is likely for: settings and fixed numbers of modules that are there,
/// which do not prove that the module listens.
#[must_use]
pub fn likely(netns: u64) -> Vec<KernelUse> {
    let mut found = Found { netns, uses: Vec::new() };
    for (path, transport, kind) in SETTINGS {
        if let Ok(port @ 1..) = text(path).trim().parse() {
            found.add(transport, Port(port), kind, None);
        }
    }
    for (path, transport, port, kind) in FIXED {
        if fs::exists(path).unwrap_or(false) {
            found.add(transport, Port(port), kind, None);
        }
    }
    found.uses
}

struct Found {
    netns: u64,
    uses: Vec<KernelUse>,
}

impl Found {
    fn add(&mut self, transport: Transport, port: Port, kind: &str, device: Option<&str>) {
        let device = device.map(Into::into);
        let kind = kind.into();
        self.uses.push(KernelUse { netns: self.netns, transport, port, kind, device });
    }

    fn ask_families(&mut self, links: &[Link]) -> io::Result<()> {
        let mut netlink = Netlink::open(Some(GENERIC))?;
        let mut families = Vec::new();
        netlink.dump(genetlink::CONTROLLER, &genetlink::families(), |_, body| {
            families.extend(Family::parse(body));
        })?;
        let id = |name| families.iter().find(|family| family.name == name).map(|f| f.id);
        if let Some(wireguard) = id("wireguard") {
            for link in links.iter().filter(|link| link.kind.as_deref() == Some("wireguard")) {
                netlink.dump(wireguard, &genetlink::wireguard(&link.name), |_, body| {
                    if let Some(port) = genetlink::wireguard_port(body) {
                        self.add(Transport::Udp, port, "wireguard", Some(&link.name));
                    }
                })?;
            }
        }
        if let Some(fou) = id("fou") {
            netlink.dump(fou, &genetlink::fou(), |_, body| {
                if let Some((kind, port)) = genetlink::fou_port(body) {
                    self.add(Transport::Udp, port, kind, None);
                }
            })?;
        }
        if let Some(l2tp) = id("l2tp") {
            netlink.dump(l2tp, &genetlink::l2tp(), |_, body| {
                if let Some(port) = genetlink::l2tp_port(body) {
                    self.add(Transport::Udp, port, "l2tp", None);
                }
            })?;
        }
        Ok(())
    }
}

/// A small file of the kernel; empty where it is not there.
fn text(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Files with a port that a kernel service uses once it runs; 0 leaves it to the kernel.
const SETTINGS: [(&str, Transport, &str); 3] = [
    ("/proc/sys/fs/nfs/nlm_tcpport", Transport::Tcp, "lockd"),
    ("/proc/sys/fs/nfs/nlm_udpport", Transport::Udp, "lockd"),
    ("/sys/module/nfs/parameters/callback_tcpport", Transport::Tcp, "nfs-callback"),
];

/// Protocols that listen on one number: RDS_TCP_PORT (net/rds/tcp.h), the UDP bearer of TIPC
/// (IANA: 6118).
const FIXED: [(&str, Transport, u16, &str); 2] = [
    ("/proc/sys/net/rds", Transport::Tcp, 16385, "rds"),
    ("/proc/sys/net/tipc", Transport::Udp, 6118, "tipc"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_the_kernel_never_hangs_and_names_the_namespace_asked_about() {
        let all = [read(7), likely(7)].concat();
        assert!(all.iter().all(|found| found.netns == 7));
    }
}
