//! All packets on their way through the hooks, as `simulate` sends one.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::net::IpAddr;

use super::chain::{Did, Ends, Entry, Flow, Run};
use super::effect::{Effect, Presaid, Translated};
use super::evaluate::Memo;
use super::number::in_ranges;
use super::space::{Question, Space, number_of};
use super::stream::Streams;
use super::surroundings::Around;
use super::{Decision, Fates};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::device::{Device, Devices, asks_port};
use crate::firewall::simulate::{Event, Prepared, Way};
use crate::firewall::{ChainId, ChainPolicy, Hook, Interface, RouteKind, RuleId};
use crate::net::Port;

/// What is asked of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Only what becomes of the packets.
    Fates,
    /// Also which rules decide it; slower with many rules.
    Decisions,
}

/// What becomes of the packets of `start` on their way.
///
/// # Errors
/// When the node budget is used up.
pub fn fates(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
    detail: Detail,
) -> Result<Fates, Undecided> {
    fates_among(space, prepared, way, start, detail, &|_| true)
}

/// The same, where rules that are not `relevant` are known to hold for no packet of `start`, also not
/// after a translation: they are left out, which is much faster where they are many.
///
/// # Errors
/// When the node budget is used up.
pub fn fates_among<'a>(
    space: &'a mut Space,
    prepared: &'a Prepared<'a>,
    way: Way,
    start: Region,
    detail: Detail,
    relevant: &'a dyn Fn(RuleId) -> bool,
) -> Result<Fates, Undecided> {
    let start = space.of_way(start, way)?;
    let run = Run { relevant: Some(relevant), ..begun(space, prepared, way, detail) };
    Ok(followed(run, prepared, way, start)?.0)
}

/// How packets come to each chain.
pub(super) type Entries = HashMap<ChainId, Vec<Entry>>;

/// The fates with their decisions, those told roughly ([`Decision::among`]).
pub(super) fn fates_roughly(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<Fates, Undecided> {
    Ok(fates_and_entries(space, prepared, way, start, false)?.0)
}

/// The same, and how packets come to each chain where that is asked for.
pub(super) fn fates_and_entries(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
    wants_entries: bool,
) -> Result<(Fates, Entries), Undecided> {
    let start = space.of_way(start, way)?;
    let mut run = begun(space, prepared, way, Detail::Decisions);
    run.is_rough = true;
    run.entered = wants_entries.then(HashMap::new);
    followed(run, prepared, way, start)
}

/// The fates, and the ends that those accepted have then: packets with the same ends together.
pub(super) fn fates_and_ends(
    space: &mut Space,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<(Fates, Vec<Sent>), Undecided> {
    let start = space.of_way(start, way)?;
    let mut run = begun(space, prepared, way, Detail::Fates);
    let passed = run.sent_on(prepared, way, start)?;
    let mut sent: Vec<Sent> = Vec::new();
    for stream in &passed.0 {
        let ends = run.space.ends_now(&stream.effect)?;
        match sent.iter_mut().find(|known| known.ends == ends) {
            Some(known) => {
                known.packets = run.space.bdd.or(known.packets, stream.packets)?;
            }
            None => sent.push(Sent { packets: stream.packets, ends }),
        }
    }
    Ok((concluded(run, &passed)?.0, sent))
}

fn followed(
    mut run: Run<'_>,
    prepared: &Prepared<'_>,
    way: Way,
    start: Region,
) -> Result<(Fates, Entries), Undecided> {
    let passed = run.sent_on(prepared, way, start)?;
    concluded(run, &passed)
}

fn concluded(mut run: Run<'_>, passed: &Streams) -> Result<(Fates, Entries), Undecided> {
    let accepted = passed.packets(&mut run.space.bdd)?;
    let arrivals = run.arrivals(passed)?;
    let Run { ends, decisions, entered, space, .. } = run;
    let mut rejected = Vec::new();
    for (with, regions) in ends.rejected {
        rejected.push((with, space.bdd.union(regions)?));
    }
    rejected.retain(|(_, region)| !region.is_none());
    let dropped = space.bdd.union(ends.dropped)?;
    let decisions = decisions.unwrap_or_default();
    let unrouted = space.bdd.union(ends.unrouted)?;
    let fates = Fates { accepted, dropped, rejected, unrouted, arrivals, decisions };
    Ok((fates, entered.unwrap_or_default()))
}

/// A run that has not begun.
pub(super) fn begun<'a>(
    space: &'a mut Space,
    prepared: &Prepared<'a>,
    way: Way,
    detail: Detail,
) -> Run<'a> {
    let around = Around {
        world: prepared.world(),
        is_own: way == Way::Output,
        is_for_here: matches!(way, Way::Input | Way::ByRoute),
    };
    let tracks = prepared.tracks(space.is_v6);
    Run {
        space,
        ruleset: prepared.ruleset(),
        around,
        memo: Memo::default(),
        ends: Ends::default(),
        decisions: (detail == Detail::Decisions).then(Vec::new),
        is_rough: false,
        hook: Hook::Prerouting,
        is_tracked: false,
        tracks,
        is_in_nat: false,
        chains_asked: 0,
        nesting: 0,
        summaries: HashMap::new(),
        traits: OnceCell::new(),
        relevant: None,
        entered: None,
    }
}

/// Accepted packets, and the ends that they have then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    /// They, as they came.
    pub(super) packets: Region,
    /// Destination, its port, source, its port: each bit by bit.
    pub(super) ends: [Vec<Region>; 4],
}

/// Accepted packets whose destination was translated, and what it is then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// They, as they came.
    pub packets: Region,
    /// The address, bit by bit.
    pub(super) destination: Vec<Region>,
    /// The port.
    pub(super) port: Vec<Region>,
}

impl Arrival {
    /// The address and the port, where they are the same for all.
    #[must_use]
    pub fn constant(&self) -> (Option<u128>, Option<u16>) {
        let port = spelled(&self.port).and_then(|port| u16::try_from(port).ok());
        (spelled(&self.destination), port)
    }
}

/// The number bits spell that are the same for every packet.
fn spelled(bits: &[Region]) -> Option<u128> {
    bits.iter().try_fold(0, |number, bit| match (bit.is_all(), bit.is_none()) {
        (true, _) => Some(number << 1 | 1),
        (_, true) => Some(number << 1),
        _ => None,
    })
}

impl Space {
    /// The packets of a region that can come this way: those of this machine by no interface and
    /// from a socket, others by one and from none.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn of_way(&mut self, region: Region, way: Way) -> Result<Region, Undecided> {
        let by_none = self.bdd.equal(self.layout.interface_in, 0)?;
        let has_socket = self.bdd.variable(self.layout.has_socket.first)?;
        let own = self.bdd.and(by_none, has_socket)?;
        let others = self.bdd.and(!by_none, !has_socket)?;
        self.bdd.and(region, if way == Way::Output { own } else { others })
    }

    /// The packets of a region, and the same with other marks: not rules alone set them (SO_MARK of
    /// socket(7), tc(8)).
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn of_any_mark(&mut self, region: Region) -> Result<Region, Undecided> {
        let cube = self.bdd.cube(self.layout.mark.variables())?;
        self.bdd.exists(region, cube)
    }

    /// Accepted packets that end up at one of these ports, translated or not.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn arriving_at(
        &mut self,
        fates: &Fates,
        ports: &[(u128, u128)],
    ) -> Result<Region, Undecided> {
        let straight = self.bdd.ranges(self.layout.destination_port, ports)?;
        let mut moved = Vec::new();
        let mut there = Vec::new();
        for arrival in &fates.arrivals {
            let fits = in_ranges(&mut self.bdd, &arrival.port, ports)?;
            there.push(self.bdd.and(arrival.packets, fits)?);
            moved.push(arrival.packets);
        }
        let moved = self.bdd.union(moved)?;
        let plain = self.bdd.minus(fates.accepted, moved)?;
        there.push(self.bdd.and(plain, straight)?);
        self.bdd.union(there)
    }

    /// The packets of an arrival that end up at this port, and at this address where one is given.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn ending_at(
        &mut self,
        arrival: &Arrival,
        address: Option<IpAddr>,
        port: Port,
    ) -> Result<Region, Undecided> {
        let exact = |number: u128| [(number, number)];
        let fits = in_ranges(&mut self.bdd, &arrival.port, &exact(port.0.into()))?;
        let mut there = self.bdd.and(arrival.packets, fits)?;
        if let Some(address) = address {
            let of_it = exact(number_of(address));
            let fits = in_ranges(&mut self.bdd, &arrival.destination, &of_it)?;
            there = self.bdd.and(there, fits)?;
        }
        Ok(there)
    }
}

impl Space {
    /// Packets to loopback addresses that come in by another interface than that.
    fn loopback_from_outside(&mut self, effect: &Effect) -> Result<Region, Undecided> {
        let address = self.bits_now(self.layout.destination, effect)?;
        let loopback = self.loopback(&address)?;
        let by_lo = self.comes_by("lo")?;
        self.bdd.minus(loopback, by_lo)
    }

    /// The same, as they come.
    pub(super) fn strangers_to_loopback(&mut self) -> Result<Region, Undecided> {
        self.loopback_from_outside(&Effect::default())
    }

    fn ends_now(&mut self, effect: &Effect) -> Result<[Vec<Region>; 4], Undecided> {
        let [destination, port, source, source_port] = self.ends();
        Ok([
            self.bits_now(destination, effect)?,
            self.bits_now(port, effect)?,
            self.bits_now(source, effect)?,
            self.bits_now(source_port, effect)?,
        ])
    }

    /// Destination, its port, source, its port.
    pub(super) const fn ends(&self) -> [Bits; 4] {
        let layout = &self.layout;
        [layout.destination, layout.destination_port, layout.source, layout.source_port]
    }
}

impl Run<'_> {
    fn sent_on(
        &mut self,
        prepared: &Prepared<'_>,
        way: Way,
        start: Region,
    ) -> Result<Streams, Undecided> {
        let mut passed = match self.around.is_own {
            true => self.leave(prepared, start)?,
            false => self.arrive(prepared, way, start)?,
        };
        let through = std::mem::take(&mut self.ends.through);
        passed.extend(&mut self.space.bdd, through)?;
        Ok(passed)
    }

    fn arrivals(&mut self, passed: &Streams) -> Result<Vec<Arrival>, Undecided> {
        let layout = self.space.layout;
        let mut arrivals = Vec::new();
        for stream in &passed.0 {
            let mut fields =
                layout.destination.variables().chain(layout.destination_port.variables());
            if fields.all(|variable| stream.effect.get(variable).is_none()) {
                continue;
            }
            arrivals.push(Arrival {
                packets: stream.packets,
                destination: self.space.bits_now(layout.destination, &stream.effect)?,
                port: self.space.bits_now(layout.destination_port, &stream.effect)?,
            });
        }
        Ok(arrivals)
    }

    fn arrive(
        &mut self,
        prepared: &Prepared<'_>,
        way: Way,
        start: Region,
    ) -> Result<Streams, Undecided> {
        let mut effect = Effect::default();
        effect.set_number(self.space.layout.interface_out, 0);
        let streams = self.pass(prepared, Hook::Ingress, Streams::one(effect, start))?;
        let streams = self.pass(prepared, Hook::Prerouting, streams)?;
        if way == Way::Prerouting {
            return Ok(streams);
        }
        let (here, onward) = self.route(way, streams)?;
        let here = self.put_together(here)?;
        let mut passed = self.pass(prepared, Hook::Input, here)?;
        let onward = self.pass(prepared, Hook::Forward, onward)?;
        let onward = self.pass(prepared, Hook::Postrouting, onward)?;
        let onward = self.pass(prepared, Hook::Egress, onward)?;
        passed.extend(&mut self.space.bdd, onward)?;
        Ok(passed)
    }

    fn leave(&mut self, prepared: &Prepared<'_>, start: Region) -> Result<Streams, Undecided> {
        let mut effect = Effect::default();
        effect.set_number(self.space.layout.interface_in, 0);
        let streams = self.route_out(Streams::one(effect, start))?;
        let streams = self.pass(prepared, Hook::Output, streams)?;
        let streams = self.route_out(streams)?;
        let streams = self.pass(prepared, Hook::Postrouting, streams)?;
        self.pass(prepared, Hook::Egress, streams)
    }

    fn pass(
        &mut self,
        prepared: &Prepared<'_>,
        hook: Hook,
        streams: Streams,
    ) -> Result<Streams, Undecided> {
        self.hook = hook;
        self.summaries.clear();
        let mut streams = self.pass_bridge(prepared, streams)?;
        if hook == Hook::Egress {
            // Of where it came in by nothing is told there (nf_hook_egress; measured).
            for stream in &mut streams.0 {
                stream.effect.set_number(self.space.layout.interface_in, 0);
            }
        }
        for event in prepared.events(hook, self.space.is_v6) {
            if streams.is_empty() {
                break;
            }
            streams = self.meet(prepared, event, streams)?;
        }
        Ok(streams)
    }

    fn meet(
        &mut self,
        prepared: &Prepared<'_>,
        event: &Event,
        streams: Streams,
    ) -> Result<Streams, Undecided> {
        match event {
            Event::Defragment => self.defragment(prepared, streams),
            Event::Track => {
                self.is_tracked = true;
                self.summaries.clear();
                self.looked_up(streams)
            }
            Event::Translate(chains) => self.translation(chains, streams),
            Event::Chain(id) => self.device_chain(*id, streams),
            Event::Either { question, first, second } => {
                self.either_order(prepared, question, [first, second], &streams)
            }
        }
    }

    /// The same steps in two orders, by an answer nobody has.
    fn either_order(
        &mut self,
        prepared: &Prepared<'_>,
        question: &str,
        orders: [&[Event]; 2],
        streams: &Streams,
    ) -> Result<Streams, Undecided> {
        let text = question.to_owned();
        let asked = Question::new(text.clone());
        let is_first = self.space.question(text, asked)?;
        let was_tracked = self.is_tracked;
        let mut passed = Streams::default();
        for (events, is_so) in orders.into_iter().zip([is_first, !is_first]) {
            self.is_tracked = was_tracked;
            self.summaries.clear();
            let mut these = Streams::default();
            for stream in &streams.0 {
                let hit = self.space.bdd.and(stream.packets, is_so)?;
                these.add(&mut self.space.bdd, &stream.effect, hit)?;
            }
            for event in events {
                these = self.meet(prepared, event, these)?;
            }
            passed.extend(&mut self.space.bdd, these)?;
        }
        Ok(passed)
    }

    /// Packets behind conntrack, which has made connections of what was said of them.
    fn looked_up(&mut self, streams: Streams) -> Result<Streams, Undecided> {
        let mut tracked = Streams::default();
        for mut stream in streams.0 {
            if stream.effect.connection == Presaid::Template {
                stream.effect.connection = Presaid::Nothing;
            }
            tracked.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
        }
        Ok(tracked)
    }

    /// Tables of bridges, which are not evaluated: packets of a bridge may end there.
    fn pass_bridge(
        &mut self,
        prepared: &Prepared<'_>,
        mut streams: Streams,
    ) -> Result<Streams, Undecided> {
        let link = match self.hook {
            Hook::Ingress => self.space.layout.interface_in,
            _ => self.space.layout.interface_out,
        };
        for table in prepared.bridge_tables(self.hook) {
            let passes = self.open(table.question.clone(), table.rule.chain)?;
            let names = 1..self.space.interfaces.count() as u128;
            let world = self.around.world;
            let bridges = names.filter(|at| world.may_be_bridge(&self.space.interfaces.name(*at)));
            let bridges: Vec<_> = bridges.map(|at| (at, at)).collect();
            let mut passed = Streams::default();
            for stream in streams.0 {
                let now = self.space.bits_now(link, &stream.effect)?;
                let bdd = &mut self.space.bdd;
                let of_bridge = in_ranges(bdd, &now, &bridges)?;
                let lost = bdd.minus(of_bridge, passes)?;
                let lost = bdd.and(stream.packets, lost)?;
                let kept = bdd.minus(stream.packets, lost)?;
                passed.add(bdd, &stream.effect, kept)?;
                self.ends.dropped.push(lost);
                self.decide(table.rule, Did::Dropped, lost);
            }
            streams = passed;
        }
        Ok(streams)
    }

    fn defragment(
        &mut self,
        prepared: &Prepared<'_>,
        streams: Streams,
    ) -> Result<Streams, Undecided> {
        if !prepared.tracks(self.space.is_v6) {
            return Ok(streams);
        }
        self.whole(streams)
    }

    /// Fragments for this machine, which IPv4 puts together before it asks who takes them
    /// (`ip_local_deliver`).
    fn put_together(&mut self, streams: Streams) -> Result<Streams, Undecided> {
        if self.space.is_v6 { Ok(streams) } else { self.whole(streams) }
    }

    fn whole(&mut self, streams: Streams) -> Result<Streams, Undecided> {
        let mut whole = Streams::default();
        for mut stream in streams.0 {
            stream.effect.set_number(self.space.layout.later_fragment, 0);
            whole.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
        }
        Ok(whole)
    }

    /// A base chain, which on the hooks of devices sees their packets only.
    fn device_chain(&mut self, id: ChainId, streams: Streams) -> Result<Streams, Undecided> {
        let (mut on_it, mut past) = (Streams::default(), Streams::default());
        for stream in streams.0 {
            let Some(theirs) = self.on_devices(id, &stream.effect)? else {
                on_it.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
                continue;
            };
            let bdd = &mut self.space.bdd;
            let hit = bdd.and(stream.packets, theirs)?;
            let missed = bdd.minus(stream.packets, hit)?;
            on_it.add(bdd, &stream.effect, hit)?;
            past.add(bdd, &stream.effect, missed)?;
        }
        let on_it = self.base_chain(id, on_it)?;
        past.extend(&mut self.space.bdd, on_it)?;
        Ok(past)
    }

    /// The packets of the devices a chain is on; `None` where it sees all.
    fn on_devices(&mut self, id: ChainId, effect: &Effect) -> Result<Option<Region>, Undecided> {
        let devices = match self.ruleset.devices(id) {
            Devices::All => return Ok(None),
            Devices::Unknown(question) => return self.open(question, id).map(Some),
            Devices::Named(devices) => devices,
        };
        let link = match self.hook {
            Hook::Ingress => self.space.layout.interface_in,
            _ => self.space.layout.interface_out,
        };
        let now = self.space.bits_now(link, effect)?;
        let numbers = |one: &Device<'_>| self.space.interfaces.numbers(one.text, one.is_prefix);
        let ranges: Vec<_> = devices.iter().flat_map(numbers).collect();
        let mut theirs = in_ranges(&mut self.space.bdd, &now, &ranges)?;
        // A packet of a bridge passes a port of it too: by which is not known.
        for port in &self.around.world.interfaces {
            let Some(bridge) = port.master.as_deref() else { continue };
            if !devices.iter().any(|device| device.is(&port.name)) {
                continue;
            }
            let number = self.space.interfaces.number(bridge);
            let of_bridge = in_ranges(&mut self.space.bdd, &now, &[(number, number)])?;
            let by_it = self.open(asks_port(&port.name, bridge), id)?;
            let by_it = self.space.bdd.and(of_bridge, by_it)?;
            theirs = self.space.bdd.or(theirs, by_it)?;
        }
        Ok(Some(theirs))
    }

    /// A question that nobody answers, about where a chain is.
    fn open(&mut self, text: String, id: ChainId) -> Result<Region, Undecided> {
        let rule = Some(RuleId { chain: id, rule: None });
        let question = Question { rule, ..Question::new(text.clone()) };
        self.space.question(text, question)
    }

    /// A base chain and its policy; what it accepts goes on.
    pub(super) fn base_chain(
        &mut self,
        id: ChainId,
        entering: Streams,
    ) -> Result<Streams, Undecided> {
        let Flow { returned, mut accepted } = self.chain(id, entering, 0)?;
        let base = self.ruleset.chain(id).and_then(|chain| chain.base.as_ref());
        let policy = RuleId { chain: id, rule: None };
        for stream in &returned.0 {
            let drops = base.is_some_and(|base| base.policy == ChainPolicy::Drop);
            self.decide(policy, if drops { Did::Dropped } else { Did::Accepted }, stream.packets);
            if drops {
                self.ends.dropped.push(stream.packets);
            } else {
                accepted.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
            }
        }
        Ok(accepted)
    }

    /// Where packets go that have come in: here, onward.
    fn route(&mut self, way: Way, streams: Streams) -> Result<(Streams, Streams), Undecided> {
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
        let routes = space.routes(&address, world)?;
        let unicast = routes.iter().filter(|routed| routed.kind == Some(RouteKind::Unicast));
        let routable = space.bdd.union(unicast.map(|routed| routed.packets).collect())?;
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
    fn route_out(&mut self, streams: Streams) -> Result<Streams, Undecided> {
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
            let routes = space.routes(&address, world)?;
            let unicast = routes.iter().filter(|routed| routed.kind == Some(RouteKind::Unicast));
            let routable = space.bdd.union(unicast.map(|routed| routed.packets).collect())?;
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

/// The rules that decide about packets of a region, in the order in which they were asked.
#[must_use]
pub fn deciding(space: &mut Space, decisions: &[Decision], region: Region) -> Vec<Decision> {
    let meets = |decision: &&Decision| space.bdd.meets(decision.packets, region);
    decisions.iter().filter(meets).cloned().collect()
}
