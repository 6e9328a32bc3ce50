//! Whom this machine relies on, and a `[[block]]` of the inventory keeps from answering.
//!
//! A block refuses what comes from somebody, also the answers to what this machine asked: a list of
//! strangers that has the only resolver in it leaves the machine without names, whatever the base rows
//! let out.

use std::net::IpAddr;

use super::{Making, Resolutions};
use crate::firewall::{Block, Pass, PassTraffic};
use crate::inventory::{Host, Inventory, Location};
use crate::net::{Port, Transport};

/// Somebody this machine asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Server {
    /// For what.
    pub role: ServerRole,
    /// Where.
    pub address: IpAddr,
}

/// What somebody is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServerRole {
    /// Names: DNS.
    Names,
    /// The time: NTP.
    Time,
    /// The lease of its address: DHCP.
    Lease,
    /// The way to others: the default gateway.
    Router,
}

/// A server that a block refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// The server.
    pub server: Server,
    /// Whether no other that is known of this role is left.
    pub is_last: bool,
    /// The block's reason.
    pub block: Box<str>,
    /// The block's header.
    pub at: Location,
}

impl ServerRole {
    /// The role in a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Names => "names",
            Self::Time => "time",
            Self::Lease => "lease",
            Self::Router => "router",
        }
    }

    /// The ports an answer can come to: one of the program's own, or the protocol's.
    const fn answered_at(self) -> &'static [u16] {
        match self {
            Self::Names => &[SOME_PORT],
            Self::Time => &[SOME_PORT, 123],
            Self::Lease => &[68, 546],
            Self::Router => &[],
        }
    }
}

/// In the middle of the kernel's usual range (ip(7), `ip_local_port_range`).
const SOME_PORT: u16 = 50_000;

impl Inventory {
    /// Which of [`Resolutions::servers`] the blocks of `host` keep from answering, by role.
    #[must_use]
    pub fn cut_off(&self, host: &Host, resolutions: &Resolutions) -> Vec<CutOff> {
        let mut making = Making::new(self, host, resolutions);
        let management = making.management(&self.matrix());
        let blocks = making.blocks_with_places();
        let hit = |server: &Server| {
            let mut all = blocks.iter();
            all.find(|(block, _)| refuses(block, &management, server))
        };
        let servers = &resolutions.servers;
        let is_left = |role| servers.iter().any(|other| other.role == role && hit(other).is_none());
        let mut found: Vec<CutOff> = servers
            .iter()
            .filter_map(|server| {
                let (block, at) = hit(server)?;
                let (server, is_last) = (*server, !is_left(server.role));
                Some(CutOff { server, is_last, block: block.name.clone(), at: at.clone() })
            })
            .collect();
        found.sort_by_key(|cut| cut.server);
        found.dedup_by_key(|cut| cut.server);
        found
    }
}

/// Whether `block` refuses an answer of `server` that `management` does not let in before it.
fn refuses(block: &Block, management: &[Pass], server: &Server) -> bool {
    let is_of = |t: &PassTraffic, port: u16| {
        t.protocol() == crate::firewall::protocol_of(Transport::Udp)
            && t.ports().is_none_or(|range| range.contains(Port(port)))
    };
    let holds = |peers: &crate::firewall::Peers| peers.addresses.contains(server.address);
    let is_managed = |port: u16| {
        let mut passes = management.iter();
        passes.any(|pass| is_of(&pass.traffic, port) && pass.peers.iter().any(holds))
    };
    let ports = server.role.answered_at();
    let is_meant = match (block.traffic.is_empty(), ports.is_empty()) {
        (true, true) => true,
        (false, true) => false,
        (is_whole, false) => ports.iter().any(|&port| {
            let is_refused = is_whole || block.traffic.iter().any(|t| is_of(t, port));
            is_refused && !is_managed(port)
        }),
    };
    // Where nobody knows the interface it comes by, one that the block names is taken for it.
    is_meant && block.peers.iter().any(holds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;

    fn cut_off(text: &str, servers: &[(ServerRole, &str)]) -> Vec<String> {
        let site = format!("portolan = 1\n[hosts.box]\naddress = \"192.0.2.2\"\n{text}");
        let inventory = file::parse("site.toml", site.as_bytes()).unwrap();
        let servers = servers
            .iter()
            .map(|(role, address)| Server { role: *role, address: address.parse().unwrap() });
        let resolutions = Resolutions {
            servers: servers.collect(),
            now: "2026-06-01T12:00:00Z".parse().ok(),
            ..Resolutions::default()
        };
        let found = inventory.cut_off(inventory.host("box").unwrap(), &resolutions);
        let line = |cut: &CutOff| {
            let last = if cut.is_last { " last" } else { "" };
            let line = inventory.line_of(&cut.at).line;
            format!(
                "{} {}{last} {} {line}",
                cut.server.role.as_str(),
                cut.server.address,
                cut.block
            )
        };
        found.iter().map(line).collect()
    }

    const NAMES: ServerRole = ServerRole::Names;

    #[test]
    fn a_block_that_has_the_only_resolver_is_told_with_its_line() {
        let block = "[[block]]\nfrom = [\"10.0.0.0/24\"]\nreason = \"strangers\"\n";
        assert_eq!(cut_off(block, &[(NAMES, "10.0.0.53")]), ["names 10.0.0.53 last strangers 4"]);
        let both = [(NAMES, "10.0.0.53"), (NAMES, "10.1.0.53")];
        assert_eq!(cut_off(block, &both), ["names 10.0.0.53 strangers 4"]);
        assert!(cut_off(block, &[(NAMES, "10.1.0.53")]).is_empty());
    }

    #[test]
    fn a_block_of_other_ports_or_that_is_over_refuses_no_answer() {
        let of = |more: &str| format!("[[block]]\nfrom = [\"10.0.0.1\"]\n{more}\n");
        let all = [NAMES, ServerRole::Time, ServerRole::Lease, ServerRole::Router];
        let all = all.map(|role| (role, "10.0.0.1"));
        let roles = |more: &str| {
            let found = cut_off(&of(more), &all).into_iter();
            found.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(roles(""), ["names", "time", "lease", "router"]);
        assert!(roles("ports = [\"22/tcp\", \"53/udp\"]").is_empty());
        assert_eq!(roles("ports = [\"123/udp\"]"), ["time"]);
        assert_eq!(roles("ports = [\"60-70/udp\"]"), ["lease"]);
        assert!(roles("until = 2026-05-01").is_empty());
        assert!(roles("on = [\"*\", \"!box\"]").is_empty());
    }
}
