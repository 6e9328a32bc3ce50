//! The routing decision: which packets are for here, which go onward or out and by which interface, and
//! which go nowhere.

use crate::firewall::analyse::chain::Run;
use crate::firewall::analyse::effect::{Effect, Translated};
use crate::firewall::analyse::number::in_ranges;
use crate::firewall::analyse::space::{Question, Space};
use crate::firewall::analyse::stream::Streams;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::Way;
use crate::firewall::{Interface, RouteKind, World};

impl Run<'_> {
    /// Where packets go that have come in: here, onward.
    pub(super) fn route(
        &mut self,
        way: Way,
        streams: Streams,
    ) -> Result<(Streams, Streams), Undecided> {
        let (mut here, mut onward) = (Streams::default(), Streams::default());
        for stream in streams.0 {
            let packets = self.without_martians(&stream.effect, stream.packets)?;
            let goes_here = self.goes_here(way, &stream.effect)?;
            let bdd = &mut self.space.bdd;
            let stays = bdd.and(packets, goes_here)?;
            let leaves = bdd.minus(packets, stays)?;
            here.add(bdd, &stream.effect, stays)?;
            self.route_onward(way, &stream.effect, leaves, &mut onward)?;
        }
        Ok((here, onward))
    }

    /// Loopback addresses are refused from outside unless the kernel is told not to.
    fn without_martians(&mut self, effect: &Effect, packets: Region) -> Result<Region, Undecided> {
        if self.space.is_v6 {
            return Ok(packets);
        }
        let space = &mut *self.space;
        let strange = space.loopback_from_outside(effect)?;
        if !space.bdd.meets(packets, strange) {
            return Ok(packets);
        }
        let is_let = |interface: &Interface| interface.route_localnet;
        let (on, off) = space.by_setting(self.around.world, is_let)?;
        let open = space.bdd.minus(strange, on)?;
        let asked = space.bdd.minus(open, off)?;
        let mut refused = open;
        if space.bdd.meets(packets, asked) {
            let text = "net.ipv4.conf.*.route_localnet = 1".to_owned();
            let question = Question { presumed: Some(false), ..Question::new(text.clone()) };
            let is_on = space.question(text, question)?;
            let let_in = space.bdd.and(asked, is_on)?;
            refused = space.bdd.minus(open, let_in)?;
        }
        let refused = space.bdd.and(packets, refused)?;
        self.ends.dropped.push(refused);
        self.space.bdd.minus(packets, refused)
    }

    /// For which packets the routing decision is "here".
    fn goes_here(&mut self, way: Way, effect: &Effect) -> Result<Region, Undecided> {
        let moved = self.moved(effect)?;
        let is_known = self.around.world.is_known();
        let space = &mut *self.space;
        let address = space.bits_now(space.layout.destination, effect)?;
        let is_redirected = effect.destination == Translated::Here;
        let decided = if is_known {
            space.for_here(&address, self.around.world)?
        } else if is_redirected {
            Region::ALL
        } else {
            let loopback = space.loopback(&address)?;
            space.bdd.or(!moved, loopback)?
        };
        match way {
            Way::Input => space.bdd.or(!moved, decided),
            Way::Forward if !is_redirected => space.bdd.and(moved, decided),
            _ => Ok(decided),
        }
    }

    /// The packets whose destination was translated to another address.
    fn moved(&mut self, effect: &Effect) -> Result<Region, Undecided> {
        match effect.destination {
            Translated::No => Ok(Region::NONE),
            _ => self.space.moved(effect),
        }
    }

    /// What is sent on: with a hop less, by the interface of its route, and without what has neither left.
    fn route_onward(
        &mut self,
        way: Way,
        effect: &Effect,
        packets: Region,
        onward: &mut Streams,
    ) -> Result<(), Undecided> {
        let mut effect = effect.clone();
        effect.forget(self.space.layout.interface_out);
        let packets = self.with_hops_left(&effect, packets)?;
        self.space.lose_a_hop(&mut effect)?;
        let world = self.around.world;
        if !world.is_known() {
            return onward.add(&mut self.space.bdd, &effect, packets);
        }
        let moved = self.moved(&effect)?;
        let given = way == Way::Forward && effect.destination != Translated::Here;
        let by_route = if given { moved } else { Region::ALL };
        let forwards = self.space.forwards(world)?;
        let space = &mut *self.space;
        let address = space.bits_now(space.layout.destination, &effect)?;
        let routable = space.routable(&address, world)?;
        let routed = space.bdd.and(routable, forwards)?;
        let lost = space.bdd.minus(by_route, routed)?;
        let lost = space.bdd.and(packets, lost)?;
        // Those that nothing is known of but that they are passed on never come to the hook without a route.
        let unrouted = if given && !world.has_policy() { !routable } else { Region::NONE };
        let unrouted = space.bdd.minus(unrouted, moved)?;
        let unrouted = space.bdd.and(packets, unrouted)?;
        self.ends.unrouted.push(unrouted);
        let lost = space.bdd.or(lost, unrouted)?;
        self.ends.dropped.push(lost);
        let packets = self.space.bdd.minus(packets, lost)?;
        self.space.bind_interface_out(&mut effect, world, None)?;
        onward.add(&mut self.space.bdd, &effect, packets)
    }

    /// Without the packets that are passed on no more for the time to live that a rule wrote.
    fn with_hops_left(&mut self, effect: &Effect, packets: Region) -> Result<Region, Undecided> {
        let ttl = self.space.layout.ttl;
        if ttl.variables().all(|variable| effect.get(variable).is_none()) {
            return Ok(packets);
        }
        let now = self.space.bits_now(ttl, effect)?;
        let none_left = in_ranges(&mut self.space.bdd, &now, &[(0, 1)])?;
        self.ends.dropped.push(self.space.bdd.and(packets, none_left)?);
        self.space.bdd.minus(packets, none_left)
    }

    /// The way out of packets that this machine sends.
    pub(super) fn route_out(&mut self, streams: Streams) -> Result<Streams, Undecided> {
        let world = self.around.world;
        if !world.is_known() {
            return Ok(streams);
        }
        let mut routed = Streams::default();
        for stream in streams.0 {
            let mut effect = stream.effect;
            let space = &mut *self.space;
            let address = space.bits_now(space.layout.destination, &effect)?;
            let local = space.for_here(&address, world)?;
            let routable = space.routable(&address, world)?;
            let routable = space.bdd.or(routable, local)?;
            let lost = space.bdd.minus(stream.packets, routable)?;
            self.ends.dropped.push(lost);
            let packets = self.space.bdd.and(stream.packets, routable)?;
            self.space.bind_interface_out(&mut effect, world, Some("lo"))?;
            routed.add(&mut self.space.bdd, &effect, packets)?;
        }
        Ok(routed)
    }
}

impl Space {
    /// The packets to these addresses that a route leads on.
    fn routable(&mut self, address: &[Region], world: &World) -> Result<Region, Undecided> {
        let routes = self.routes(address, world)?;
        let unicast = routes.iter().filter(|routed| routed.kind == Some(RouteKind::Unicast));
        self.bdd.union(unicast.map(|routed| routed.packets).collect())
    }

    /// Packets to loopback addresses that come in by another interface than that.
    fn loopback_from_outside(&mut self, effect: &Effect) -> Result<Region, Undecided> {
        let address = self.bits_now(self.layout.destination, effect)?;
        let loopback = self.loopback(&address)?;
        let by_lo = self.comes_by("lo")?;
        self.bdd.minus(loopback, by_lo)
    }

    /// The same, as they come.
    pub(in crate::firewall::analyse) fn strangers_to_loopback(
        &mut self,
    ) -> Result<Region, Undecided> {
        self.loopback_from_outside(&Effect::default())
    }
}
