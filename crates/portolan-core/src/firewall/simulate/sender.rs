//! Packets that the kernel refuses whatever the rules say: for who sends them, or for being passed on no more
//! (`ip_route_input_slow` in net/ipv4/route.c, `fib_validate_source` in net/ipv4/fib_frontend.c, `ip_forward`,
//! `ip6_rcv_core`, `ip6_forward`; measured with Linux 6.18).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answers::About;
use super::path::{Link, Stop, Walker, nowhere};
use super::walk::{Because, Decision, NoWay, Outcome, Station, Step};
use crate::firewall::{Interface, ReversePath, RouteKind, bits};

impl Walker<'_> {
    /// IPv6 looks at both ends before anything else (`ip6_rcv_core`).
    pub(super) fn refused_at_once(&mut self) -> Option<Stop> {
        let (IpAddr::V6(from), IpAddr::V6(to)) = (self.packet.source, self.packet.destination)
        else {
            return None;
        };
        if !self.prepared.minds_senders || self.is_by_loopback() || is_heard(from, to) {
            return None;
        }
        let decision = nowhere(if to.is_loopback() { NoWay::Martian } else { NoWay::Source });
        self.note(Step::Routed { decision, because: Because::Unchanged });
        Some((Outcome::Drop, None))
    }

    /// Why a packet ends where it is routed.
    pub(super) fn refused(&mut self, decision: &Decision) -> Option<NoWay> {
        if !self.prepared.minds_senders || self.is_by_loopback() {
            return None;
        }
        let refused = match decision.station {
            Station::Nowhere(_) => return None,
            Station::Here => None,
            Station::Onward => self.not_passed_on(),
        };
        match (self.packet.source, self.packet.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => self.refused_sender(from, to).or(refused),
            _ => refused,
        }
    }

    fn is_by_loopback(&self) -> bool {
        matches!(&self.link_in, Link::Named(name) if &**name == "lo")
    }

    /// `ip_forward`, `ip6_forward`: before the hook.
    fn not_passed_on(&self) -> Option<NoWay> {
        let is_for_one = u128::from(self.packet.packet_type) == bits::PACKET_HOST;
        // Of hops that nobody knows it is asked later.
        let has_hops = self.hops_written == Some(false) || self.packet.ttl >= 2;
        if !is_for_one || !has_hops {
            return Some(NoWay::NotPassedOn);
        }
        match self.packet.source {
            IpAddr::V6(from) if from.is_unspecified() => Some(NoWay::Source),
            IpAddr::V6(from) if from.is_unicast_link_local() => Some(NoWay::NotPassedOn),
            _ => None,
        }
    }

    /// Whether a rule wrote a time to live with which a packet is not passed on. What it comes with is minded
    /// only where that is asked for.
    pub(super) fn has_no_hop_left(&mut self) -> bool {
        let Some(is_known) = self.hops_written else { return false };
        if is_known {
            return self.packet.ttl < 2;
        }
        let text = "the time to live that a rule wrote is more than 1";
        !self.ask(text, None, About::Setting, None)
    }

    /// `ip_route_input_slow`, and `ip_mc_validate_source` for groups.
    fn refused_sender(&mut self, from: Ipv4Addr, to: Ipv4Addr) -> Option<NoWay> {
        if from.is_multicast() || from.is_broadcast() {
            return Some(NoWay::Source);
        }
        if from.is_unspecified() {
            let is_local_group = to.octets()[..3] == [224, 0, 0];
            let is_let = is_local_group
                || to.is_multicast() && self.packet.protocol == IGMP
                || to.is_broadcast()
                || to.is_unspecified();
            return (!is_let).then_some(NoWay::Source);
        }
        if to.is_unspecified() {
            return Some(NoWay::Source);
        }
        if from.is_loopback() && !self.is_localnet_routed() {
            return Some(NoWay::Martian);
        }
        self.refused_by_way_back(from.into())
    }

    /// Whether loopback addresses may come in by this interface.
    pub(super) fn is_localnet_routed(&mut self) -> bool {
        let Link::Named(name) = &self.link_in else { return true };
        if let Some(is_let) = self.prepared.world.interface(name).and_then(|i| i.route_localnet) {
            return is_let;
        }
        let setting = format!("net.ipv4.conf.{name}.route_localnet = 1");
        self.ask(&setting, None, About::Setting, Some(false))
    }

    /// `fib_validate_source`. What is not known of the way back is taken to be right.
    fn refused_by_way_back(&mut self, from: IpAddr) -> Option<NoWay> {
        let Link::Named(name) = &self.link_in else { return None };
        let world = self.prepared.world;
        let name = name.clone();
        let link = world.interface(&name);
        let way = link.and_then(|link| link.reverse_path).unwrap_or(ReversePath::Unchecked);
        let is_unchecked = way == ReversePath::Unchecked;
        // Where the way is not looked for, only the addresses themselves are (inet_lookup_ifaddr_rcu).
        let is_named = world.addresses.iter().any(|own| own.address == from);
        let is_own = is_named || !is_unchecked && world.is_local(from);
        if is_own && !self.accepts_own(&name, link) {
            return Some(NoWay::Source);
        }
        if is_unchecked {
            return None;
        }
        if world.broadcasts().any(|broadcast| broadcast == from) {
            return Some(NoWay::Source);
        }
        let has_address =
            world.addresses.iter().any(|own| own.interface == name && own.address.is_ipv4());
        let (is_there, is_back) = if is_own {
            (true, world.addresses.iter().any(|own| own.address == from && own.interface == name))
        } else {
            let route = world.route(from).filter(|route| route.kind == RouteKind::Unicast);
            (route.is_some(), route.is_some_and(|route| route.interface == name))
        };
        let is_right = is_back || is_there && has_address && way == ReversePath::Loose;
        (!is_right).then_some(NoWay::ReversePath)
    }

    fn accepts_own(&mut self, name: &str, link: Option<&Interface>) -> bool {
        if let Some(accepts) = link.and_then(|link| link.accept_local) {
            return accepts;
        }
        let setting = format!("net.ipv4.conf.{name}.accept_local = 1");
        self.ask(&setting, None, About::Setting, Some(false))
    }
}

/// Whether IPv6 takes a packet between these that another machine sends.
fn is_heard(from: Ipv6Addr, to: Ipv6Addr) -> bool {
    // The last four bits of the second byte of a group are its scope (RFC 4291 §2.7): none, this interface.
    let is_nowhere = to.is_multicast() && to.octets()[1] & 15 < 2;
    !(from.is_multicast() || from.is_loopback() || to.is_loopback() || is_nowhere)
}

/// IANA's number of IGMP.
const IGMP: u8 = 2;
