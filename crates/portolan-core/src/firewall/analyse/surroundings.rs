//! Addresses and routes as regions: whom a packet is for, which way it leaves.

use super::effect::Effect;
use super::evaluate::{Evaluated, Place};
use super::number::{Number, in_ranges};
use super::space::{Question, Space, number_of, span_of};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{FibKey, FibResult, Route, RouteKind, World, bits};
use crate::net::Prefix;

/// What is known around the rules, and how the packets asked about come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) world: &'a World,
    /// Whether this machine sends them.
    pub(super) is_own: bool,
    /// Whether they are given as being for this machine.
    pub(super) is_for_here: bool,
}

/// Packets of one route.
pub(super) struct Routed {
    /// `None`: no route.
    pub(super) kind: Option<RouteKind>,
    pub(super) interface: Box<str>,
    pub(super) packets: Region,
}

impl Space {
    fn networks(&mut self, address: &[Region], networks: &[Prefix]) -> Result<Region, Undecided> {
        let same = networks.iter().filter(|network| network.address().is_ipv6() == self.is_v6);
        let ranges: Vec<_> = same.map(|network| span_of(*network)).collect();
        in_ranges(&mut self.bdd, address, &ranges)
    }

    pub(super) fn loopback(&mut self, address: &[Region]) -> Result<Region, Undecided> {
        let range = match self.is_v6 {
            true => (1, 1),
            false => (0x7f00_0000, 0x7fff_ffff),
        };
        in_ranges(&mut self.bdd, address, &[range])
    }

    fn multicast(&mut self, address: &[Region]) -> Result<Region, Undecided> {
        let range = match self.is_v6 {
            true => (0xff << 120, u128::MAX),
            false => (0xe000_0000, 0xefff_ffff),
        };
        in_ranges(&mut self.bdd, address, &[range])
    }

    /// The addresses of this machine.
    pub(super) fn local(&mut self, address: &[Region], world: &World) -> Result<Region, Undecided> {
        let own = world.addresses.iter().map(|own| own.address.into());
        let own: Vec<Prefix> = own.chain(world.local_networks.iter().copied()).collect();
        let own = self.networks(address, &own)?;
        let loopback = self.loopback(address)?;
        self.bdd.or(own, loopback)
    }

    fn broadcast(&mut self, address: &[Region], world: &World) -> Result<Region, Undecided> {
        let own = world.broadcasts().map(number_of);
        let ranges: Vec<_> = if self.is_v6 { Vec::new() } else { own.map(|b| (b, b)).collect() };
        in_ranges(&mut self.bdd, address, &ranges)
    }

    /// Whom this machine takes for itself.
    pub(super) fn for_here(
        &mut self,
        address: &[Region],
        world: &World,
    ) -> Result<Region, Undecided> {
        let all = if self.is_v6 { Vec::new() } else { vec![(0xffff_ffff, 0xffff_ffff)] };
        let parts = vec![
            self.local(address, world)?,
            self.multicast(address)?,
            self.broadcast(address, world)?,
            in_ranges(&mut self.bdd, address, &all)?,
        ];
        self.bdd.union(parts)
    }

    /// Every address by its route: the longest prefix, then the lowest metric.
    pub(super) fn routes(
        &mut self,
        address: &[Region],
        world: &World,
    ) -> Result<Vec<Routed>, Undecided> {
        let is_v6 = self.is_v6;
        let mut sorted: Vec<_> = world
            .routes
            .iter()
            .filter(|route| route.destination.address().is_ipv6() == is_v6)
            .collect();
        sorted.sort_by_key(|route| (std::cmp::Reverse(route.destination.length()), route.metric));
        let mut left = Region::ALL;
        let mut found: Vec<Routed> = Vec::new();
        for route in sorted {
            let there = self.networks(address, &[route.destination])?;
            let packets = self.bdd.and(left, there)?;
            left = self.bdd.minus(left, packets)?;
            let same = found
                .iter_mut()
                .find(|known| known.kind == Some(route.kind) && known.interface == route.interface);
            match same {
                Some(known) => known.packets = self.bdd.or(known.packets, packets)?,
                None => found.push(Routed {
                    kind: Some(route.kind),
                    interface: route.interface.clone(),
                    packets,
                }),
            }
        }
        found.push(Routed { kind: None, interface: "".into(), packets: left });
        Ok(found)
    }

    /// Binds the interface a packet leaves by to what the routes say; packets to this machine's own
    /// addresses leave by `local_by`, where that is said. Without a route it stays open.
    pub(super) fn bind_interface_out(
        &mut self,
        effect: &mut Effect,
        world: &World,
        local_by: Option<&str>,
    ) -> Result<(), Undecided> {
        let address = self.bits_now(self.layout.destination, effect)?;
        let mut by = Vec::new();
        let mut taken = Region::NONE;
        if let Some(name) = local_by {
            taken = self.local(&address, world)?;
            by.push((self.interfaces.number(name), taken));
        }
        let mut known = taken;
        for routed in self.routes(&address, world)? {
            if routed.interface.is_empty() {
                continue;
            }
            let packets = self.bdd.minus(routed.packets, taken)?;
            known = self.bdd.or(known, packets)?;
            by.push((self.interfaces.number(&routed.interface), packets));
        }
        let number = self.numbered(&by, self.layout.interface_out.width)?;
        for (variable, bit) in self.layout.interface_out.variables().zip(number.bits) {
            let open = self.bdd.variable(variable)?;
            effect.set(variable, self.bdd.either(known, bit, open)?);
        }
        Ok(())
    }

    /// The number that has each value for these packets, and 0 for all others.
    fn numbered(&mut self, by: &[(u128, Region)], width: u32) -> Result<Number, Undecided> {
        let mut number = Number::constant(0, width);
        for (value, packets) in by {
            for (bit, is_one) in number.bits.iter_mut().zip(Number::constant(*value, width).bits) {
                if is_one.is_all() {
                    *bit = self.bdd.or(*bit, *packets)?;
                }
            }
        }
        Ok(number)
    }

    /// `fib`: what the routing table says of an address.
    pub(super) fn fib(
        &mut self,
        key: FibKey,
        result: FibResult,
        at: Place<'_>,
    ) -> Result<Evaluated, Undecided> {
        let field = if key.is_source { self.layout.source } else { self.layout.destination };
        let address = self.bits_now(field, at.effect)?;
        match result {
            FibResult::Type => self.fib_type(&address, key, at),
            _ if !at.around.world.is_known() => {
                Ok(Evaluated::Open("fib oif (routes are not known)".into()))
            }
            _ if at.around.world.has_policy() => {
                Ok(Evaluated::Open("fib oif (rules of policy routing decide it)".into()))
            }
            FibResult::Interface if self.is_untold(key, at)? => {
                Ok(Evaluated::Open("fib oif (routes are not known)".into()))
            }
            FibResult::Interface | FibResult::Exists => self
                .fib_route(&address, key, result, at)
                .map(|number| Evaluated::Numbers(vec![number])),
        }
    }

    fn fib_type(
        &mut self,
        address: &[Region],
        key: FibKey,
        at: Place<'_>,
    ) -> Result<Evaluated, Undecided> {
        let world = at.around.world;
        let multicast = self.multicast(address)?;
        let everywhere: &[(u128, u128)] =
            if self.is_v6 { &[] } else { &[(0, 0x00ff_ffff), (0xffff_ffff, 0xffff_ffff)] };
        let everywhere = in_ranges(&mut self.bdd, address, everywhere)?;
        let has_link = key.has_input || key.has_output;
        let loopback = if has_link { Region::NONE } else { self.loopback(address)? };
        let link = self.link(key, at)?;
        let (local, broadcast) = match (world.is_known(), link) {
            (true, Some(link)) => self.on_link(address, &link, at)?,
            (true, None) => (self.local(address, world)?, self.broadcast(address, world)?),
            (false, _) => (self.guessed_local(key.is_source, at)?, Region::NONE),
        };
        let local = self.bdd.or(local, loopback)?;
        let broadcast = self.bdd.or(broadcast, everywhere)?;
        let mut taken = multicast;
        let mut by = vec![(bits::FIB_MULTICAST, multicast)];
        for (kind, packets) in [
            (bits::FIB_BROADCAST, everywhere),
            (bits::FIB_LOCAL, local),
            (bits::FIB_BROADCAST, broadcast),
        ] {
            by.push((kind, self.bdd.minus(packets, taken)?));
            taken = self.bdd.or(taken, packets)?;
        }
        by.push((bits::FIB_UNICAST, !taken));
        Ok(Evaluated::Numbers(vec![self.numbered(&by, 32)?]))
    }

    /// Local and broadcast addresses of the interface the packet comes in or leaves by.
    fn on_link(
        &mut self,
        address: &[Region],
        link: &[Region],
        at: Place<'_>,
    ) -> Result<(Region, Region), Undecided> {
        let (mut local, mut broadcasts) = (Vec::new(), Vec::new());
        let lo = self.interfaces.number("lo");
        let by_lo = in_ranges(&mut self.bdd, link, &[(lo, lo)])?;
        let loopback = self.loopback(address)?;
        local.push(self.bdd.and(by_lo, loopback)?);
        for own in &at.around.world.addresses {
            let number = self.interfaces.number(&own.interface);
            let by_it = in_ranges(&mut self.bdd, link, &[(number, number)])?;
            let it = self.networks(address, &[own.address.into()])?;
            local.push(self.bdd.and(by_it, it)?);
            if let Some(last) = own.broadcast().map(number_of).filter(|_| !self.is_v6) {
                let it = in_ranges(&mut self.bdd, address, &[(last, last)])?;
                broadcasts.push(self.bdd.and(by_it, it)?);
            }
        }
        Ok((self.bdd.union(local)?, self.bdd.union(broadcasts)?))
    }

    /// The interface a `fib` expression is asked for; `None` where it asks for none, or there is
    /// none at this hook.
    fn link(&mut self, key: FibKey, at: Place<'_>) -> Result<Option<Vec<Region>>, Undecided> {
        let field = match (key.has_input, key.has_output) {
            (true, _) => self.layout.interface_in,
            (_, true) => self.layout.interface_out,
            _ => return Ok(None),
        };
        let link = self.bits_now(field, at.effect)?;
        let is_there = link.iter().any(|bit| !bit.is_none());
        Ok(is_there.then_some(link))
    }

    /// The packets whose destination was translated to another address; all of them, where that
    /// cannot be told.
    pub(super) fn moved(&mut self, effect: &Effect) -> Result<Region, Undecided> {
        let field = self.layout.destination;
        let before = self.bits_now(field, &Effect::default())?;
        let after = self.bits_now(field, effect)?;
        self.differs(&before, &after)
    }

    /// Whether a number hangs on more than the packet: what is chosen, or what nobody knows.
    pub(super) fn is_loose(&self, bits: &[Region]) -> bool {
        let loose = self.layout.becomes.protocol.first;
        bits.iter().any(|bit| self.bdd.support(*bit).range(loose..).next().is_some())
    }

    /// Where two numbers differ; taken to be everywhere where one is a number by chance or of an
    /// earlier translation, for then the answer is always "nearly everywhere", and costs too much.
    pub(super) fn differs(
        &mut self,
        before: &[Region],
        after: &[Region],
    ) -> Result<Region, Undecided> {
        if self.is_loose(after) {
            return Ok(Region::ALL);
        }
        let mut differing = Vec::with_capacity(before.len());
        for (before, after) in before.iter().zip(after) {
            differing.push(self.bdd.xor(*before, *after)?);
        }
        self.bdd.union(differing)
    }

    /// Without addresses: whom a packet is for was given.
    fn guessed_local(&mut self, is_source: bool, at: Place<'_>) -> Result<Region, Undecided> {
        let around = at.around;
        if is_source {
            return Ok(if around.is_own { Region::ALL } else { Region::NONE });
        }
        let text = "fib daddr type (addresses are not known)".to_owned();
        let question = Question::new(text.clone());
        let is_for_here = !around.is_own && around.is_for_here;
        let moved = if is_for_here { self.moved(at.effect)? } else { Region::ALL };
        if moved.is_none() {
            return Ok(Region::ALL);
        }
        let is_local = self.question(text, question)?;
        self.bdd.either(moved, is_local, Region::ALL)
    }

    /// Whether a route may be by an interface that nobody told, and none is asked of.
    fn is_untold(&mut self, key: FibKey, at: Place<'_>) -> Result<bool, Undecided> {
        let is_untold = |route: &Route| {
            route.interface.is_empty()
                && route.kind == RouteKind::Unicast
                && route.destination.address().is_ipv6() == self.is_v6
        };
        Ok(at.around.world.routes.iter().any(is_untold) && self.link(key, at)?.is_none())
    }

    fn fib_route(
        &mut self,
        address: &[Region],
        key: FibKey,
        result: FibResult,
        at: Place<'_>,
    ) -> Result<Number, Undecided> {
        let world = at.around.world;
        let width = self.layout.interface_in.width;
        let lo = self.interfaces.number("lo");
        let link_in = self.bits_now(self.layout.interface_in, at.effect)?;
        let by_lo = in_ranges(&mut self.bdd, &link_in, &[(lo, lo)])?;
        let local = self.local(address, world)?;
        let taken = self.bdd.or(by_lo, local)?;
        let link = self.link(key, at)?;
        let mut by = vec![(lo, by_lo)];
        // By an interface nobody told: taken to be the one it is asked of.
        let mut untold = Region::NONE;
        for routed in self.routes(address, world)? {
            if routed.kind != Some(RouteKind::Unicast) {
                continue;
            }
            let number = self.interfaces.number(&routed.interface);
            let mut packets = self.bdd.minus(routed.packets, taken)?;
            if number == 0 {
                untold = self.bdd.or(untold, packets)?;
                continue;
            }
            if let Some(link) = &link {
                let by_it = in_ranges(&mut self.bdd, link, &[(number, number)])?;
                packets = self.bdd.and(packets, by_it)?;
            }
            by.push((number, packets));
        }
        if result == FibResult::Exists {
            by.iter_mut().for_each(|(number, _)| *number = u128::from(*number != 0));
            by.push((1, untold));
            return self.numbered(&by, 1);
        }
        let mut number = self.numbered(&by, width)?;
        for (bit, of_link) in number.bits.iter_mut().zip(link.into_iter().flatten()) {
            let taken = self.bdd.and(untold, of_link)?;
            *bit = self.bdd.or(*bit, taken)?;
        }
        Ok(Number { is_name: true, ..number })
    }
}

/// The first address of an interface, as a number; of IPv6 the first that is link-local or is not.
pub(super) fn first_address(
    world: &World,
    interface: &str,
    is_v6: bool,
    is_link_local: bool,
) -> Option<u128> {
    let own = world.addresses.iter().filter(|own| *own.interface == *interface);
    let mut same = own.map(|own| own.address).filter(|address| address.is_ipv6() == is_v6);
    same.find(|address| match address {
        std::net::IpAddr::V4(_) => true,
        std::net::IpAddr::V6(address) => address.is_unicast_link_local() == is_link_local,
    })
    .map(number_of)
}
