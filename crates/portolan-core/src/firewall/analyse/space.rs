//! The space of all packets of one family, and the words in which regions of it are said.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::effect::Effect;
use super::interfaces::Interfaces;
use super::layout::{Layout, State};
use crate::firewall::bdd::{Bdd, Bits, Region, Undecided};
use crate::firewall::packet::has_ports;
use crate::firewall::{ChainId, ChainKind, Interface, RuleId, Ruleset, Statement, World, bits};
use crate::net::Prefix;

/// All packets of one family that the given rulesets may meet, with every open question as a
/// variable of its own. Regions of one space can be combined, also those of different rulesets.
#[derive(Debug)]
pub struct Space {
    /// The sets of packets.
    pub bdd: Bdd,
    pub(super) is_v6: bool,
    /// Whether routes say by which interface packets leave.
    pub(super) has_routes: bool,
    /// Whether any of the rulesets translates packets of this family.
    has_nat: bool,
    /// Whether any of them writes marks: else what is known of marks need not be kept with every rule.
    has_marks: bool,
    pub(super) layout: Layout,
    pub(super) interfaces: Interfaces,
    pub(super) questions: Vec<Question>,
    by_key: HashMap<String, u32>,
    /// Of this machine's networks.
    broadcasts: Vec<(u128, u128)>,
    /// What the matches of rules hold for, kept while one ruleset alone is asked about, again and again.
    pub(super) rows: Option<Rows>,
}

/// What the matches of each rule of a chain hold for, by what was done to packets before and what is
/// known of their way.
pub(super) type Rows = HashMap<(ChainId, Effect, [bool; 3]), Arc<[Region]>>;

/// Something that no packet answers: a limit, a set that could not be read, an unknown match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In the words of the rule's tool.
    pub text: String,
    /// The rule that asks it, where other rules' answers to the same words may differ.
    pub rule: Option<RuleId>,
    /// The answer that is taken where nobody knows.
    pub presumed: Option<bool>,
    /// Whether it picks a value (of a translation, by chance) and so decides nothing by itself.
    pub is_choice: bool,
}

impl Question {
    /// One that has the same answer wherever the same words ask it, and nothing is presumed of.
    pub(super) const fn new(text: String) -> Self {
        Self { text, rule: None, presumed: None, is_choice: false }
    }
}

/// So many nodes by default: some 600 MB at most, reached by nothing but unnatural rules.
pub const DEFAULT_BUDGET: usize = 24_000_000;

impl Space {
    /// The space for packets of IPv4 or IPv6 that meet these rulesets.
    #[must_use]
    pub fn new(is_v6: bool, rulesets: &[&Ruleset], world: &World, budget: usize) -> Self {
        let interfaces = Interfaces::of(rulesets, world);
        Self {
            bdd: Bdd::new(budget),
            is_v6,
            has_routes: world.is_known(),
            has_nat: rulesets.iter().any(|ruleset| translates(ruleset, is_v6)),
            has_marks: rulesets.iter().any(|ruleset| writes_marks(ruleset)),
            layout: Layout::new(is_v6, interfaces.count()),
            interfaces,
            questions: Vec::new(),
            by_key: HashMap::new(),
            broadcasts: broadcasts(world),
            rows: None,
        }
    }

    /// Whether its packets are of IPv6.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// The open questions met so far.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The variable of an open question; the same key is the same question.
    pub(super) fn question(
        &mut self,
        key: String,
        question: Question,
    ) -> Result<Region, Undecided> {
        let next = self.layout.end + self.questions.len() as u32;
        let variable = *self.by_key.entry(key).or_insert(next);
        if variable == next {
            self.questions.push(question);
        }
        self.bdd.variable(variable)
    }

    /// The question a variable stands for.
    pub(super) fn asked(&self, variable: u32) -> Option<&Question> {
        self.questions.get(variable.checked_sub(self.layout.end)? as usize)
    }

    /// Whether a packet in `region` may depend on answers: quantifies them away. First: the packets
    /// in it whatever the answers are; second: with some answers.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn certainly_and_possibly(
        &mut self,
        region: Region,
    ) -> Result<(Region, Region), Undecided> {
        let (mut always, mut maybe) = self.whatever_is_unread(region)?;
        if !self.questions.is_empty() {
            let end = self.layout.end;
            let cube = self.bdd.cube(end..end + self.questions.len() as u32)?;
            always = self.bdd.for_all(always, cube)?;
            maybe = self.bdd.exists(maybe, cube)?;
        }
        Ok((always, maybe))
    }

    /// The packets whose protocol has ports.
    pub(super) fn protocols_with_ports(&mut self) -> Result<Region, Undecided> {
        let mut ports = Vec::new();
        for protocol in (0..=u8::MAX).filter(|protocol| has_ports(*protocol)) {
            ports.push(self.protocol(protocol)?);
        }
        self.bdd.union(ports)
    }

    /// The packets that are in a region whatever stands in those bytes of their transport header that no
    /// field tells (the checksum of ICMP, where a rule reads a port: `th dport`), and those that are in it
    /// with some such bytes.
    fn whatever_is_unread(&mut self, region: Region) -> Result<(Region, Region), Undecided> {
        let layout = self.layout;
        let ports = self.protocols_with_ports()?;
        let icmp = [self.protocol(1)?, self.protocol(58)?];
        let messages = self.bdd.union(icmp.to_vec())?;
        let has_first = self.bdd.or(ports, messages)?;
        let (mut always, mut maybe) = (region, region);
        for (field, is_told) in [
            (layout.destination_port, ports),
            (layout.source_port, has_first),
            (layout.tcp_flags, self.protocol(6)?),
        ] {
            let others = self.bdd.minus(maybe, is_told)?;
            if self.bdd.support(others).range(field.variables()).next().is_none() {
                continue;
            }
            let cube = self.bdd.cube(field.variables())?;
            let told = [self.bdd.and(always, is_told)?, self.bdd.and(maybe, is_told)?];
            let sure = self.bdd.or(always, is_told)?;
            let sure = self.bdd.for_all(sure, cube)?;
            let sure = self.bdd.minus(sure, is_told)?;
            let some = self.bdd.exists(others, cube)?;
            let some = self.bdd.minus(some, is_told)?;
            (always, maybe) = (self.bdd.or(told[0], sure)?, self.bdd.or(told[1], some)?);
        }
        Ok((always, maybe))
    }

    /// The open questions a region depends on.
    #[must_use]
    pub fn depends_on(&self, region: Region) -> Vec<Question> {
        let support = self.bdd.support(region);
        support.into_iter().filter_map(|variable| self.asked(variable)).cloned().collect()
    }
}

/// The broadcast addresses of this machine's networks.
fn broadcasts(world: &World) -> Vec<(u128, u128)> {
    let mut found: Vec<_> = world.broadcasts().map(number_of).map(|own| (own, own)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// What a question about packets may ask for, as regions.
impl Space {
    /// Every packet there can be: states that exist, flags that go with a new connection (a packet
    /// without an earlier flow: see `Packet::fresh_state`), packets that do not come in from
    /// nowhere.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn possible(&mut self) -> Result<Region, Undecided> {
        let layout = self.layout;
        let states = self.bdd.range(layout.state, 0, State::Untracked.number())?;
        let new = self.bdd.equal(layout.state, State::New.number())?;
        let opening = self.opening()?;
        let flags = self.bdd.or(!new, opening)?;
        let untracked = self.bdd.equal(layout.state, State::Untracked.number())?;
        let neighbours = match self.is_v6 {
            true => self.message(58, &[(130, 136), (143, 143), (151, 152)])?,
            false => Region::NONE,
        };
        let is_tracked = self.bdd.or(!untracked, neighbours)?;
        let tracked = self.messages_tracked(neighbours)?;
        let reply = self.bdd.equal(layout.direction, 1)?;
        let new_reply = self.bdd.and(new, reply)?;
        let translated = bits::STATUS_DNAT | bits::STATUS_SNAT;
        let translated = self.bdd.any_bit(layout.status, translated)?;
        let without = if self.has_nat { new } else { Region::ALL };
        let translated_before = self.bdd.and(without, translated)?;
        let known = self.bdd.range(layout.interface_in, 0, self.interfaces.count() as u128 - 1)?;
        let known_out =
            self.bdd.range(layout.interface_out, 0, self.interfaces.count() as u128 - 1)?;
        self.bdd.intersection([
            states,
            flags,
            is_tracked,
            tracked,
            !new_reply,
            !translated_before,
            known,
            known_out,
        ])
    }

    /// Packets that begin a connection where there was none (`Packet::fresh_state`): of TCP a SYN or
    /// a bare ACK, whatever PSH, URG, ECE and CWR say, of ICMP requests, everything else.
    fn opening(&mut self) -> Result<Region, Undecided> {
        let syn = self.bdd.masked(self.layout.tcp_flags, 0b0001_0111, 0b0000_0010)?;
        let ack = self.bdd.masked(self.layout.tcp_flags, 0b0001_0111, 0b0001_0000)?;
        let flags = self.bdd.or(syn, ack)?;
        let tcp = self.protocol(6)?;
        let mut opening = self.bdd.or(!tcp, flags)?;
        for (protocol, kinds) in
            [(1, &[(8, 8), (13, 13), (15, 15), (17, 17)][..]), (58, &[(128, 128), (139, 139)][..])]
        {
            let others = self.protocol(protocol)?;
            let requests = self.message(protocol, kinds)?;
            let fits = self.bdd.or(!others, requests)?;
            opening = self.bdd.and(opening, fits)?;
        }
        Ok(opening)
    }

    /// Messages of ICMP in a state they can have: only requests and their answers are of a connection of
    /// their own, only errors belong to another one, those of neighbours are not tracked
    /// (nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c; what is neither is invalid).
    fn messages_tracked(&mut self, neighbours: Region) -> Result<Region, Undecided> {
        let (protocol, own, errors) = match self.is_v6 {
            false => (1, &[(0, 0), (8, 8), (13, 18)][..], &[(3, 5), (11, 12)][..]),
            true => (58, &[(128, 129), (139, 140)][..], &[(1, 127)][..]),
        };
        let (own, errors) = (self.message(protocol, own)?, self.message(protocol, errors)?);
        let all = self.protocol(protocol)?;
        let mut can = !all;
        for (state, which) in [
            (State::New, own),
            (State::Established, own),
            (State::Related, errors),
            (State::Untracked, neighbours),
        ] {
            let state = self.bdd.equal(self.layout.state, state.number())?;
            let both = self.bdd.and(state, which)?;
            can = self.bdd.or(can, both)?;
        }
        // Those by which multicast routers are found are invalid before Linux 6.9.
        let routers = self.message(58, &[(151, 152)])?;
        let always = self.bdd.minus(neighbours, routers)?;
        let invalid = self.bdd.equal(self.layout.state, State::Invalid.number())?;
        let invalid = self.bdd.minus(invalid, always)?;
        self.bdd.or(can, invalid)
    }

    /// Messages of ICMP or ICMPv6 of these types.
    fn message(&mut self, protocol: u8, kinds: &[(u128, u128)]) -> Result<Region, Undecided> {
        let kind = Bits { first: self.layout.source_port.first, width: 8 };
        let kinds = self.bdd.ranges(kind, kinds)?;
        let protocol = self.protocol(protocol)?;
        self.bdd.and(protocol, kinds)
    }

    /// The first packet of a connection as a client sends it: new, a SYN where it is TCP, whole,
    /// without marks.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn fresh(&mut self) -> Result<Region, Undecided> {
        let layout = self.layout;
        let established =
            self.bdd.range(layout.state, State::Established.number(), State::Invalid.number())?;
        let tcp = self.protocol(6)?;
        let syn = self.bdd.equal(layout.tcp_flags, 2)?;
        let flags = self.bdd.or(!tcp, syn)?;
        let plain = [
            (layout.direction, 0),
            (layout.status, 0),
            (layout.mark, 0),
            (layout.ct_mark, 0),
            (layout.later_fragment, 0),
        ];
        let possible = self.possible()?;
        let framed = self.framed()?;
        let mut all = self.bdd.intersection([possible, !established, flags, framed])?;
        for (bits, value) in plain {
            let field = self.bdd.equal(bits, value)?;
            all = self.bdd.and(all, field)?;
        }
        Ok(all)
    }

    /// Packets in the frames that bring them: those to groups in frames to groups, those to everybody in
    /// frames to everybody, others in frames to one machine. What this machine sends is in none yet.
    fn framed(&mut self) -> Result<Region, Undecided> {
        let layout = self.layout;
        let (groups, everybody) = match self.is_v6 {
            true => (vec![(0xff << 120, u128::MAX)], Vec::new()),
            false => {
                let all = u128::from(u32::MAX);
                let own = self.broadcasts.iter().copied();
                (vec![(0xe000_0000, 0xefff_ffff)], own.chain([(all, all)]).collect())
            }
        };
        let own = self.comes_by("")?;
        let mut others = !own;
        let mut framed = Vec::new();
        for (kind, destinations) in
            [(bits::PACKET_MULTICAST, groups), (bits::PACKET_BROADCAST, everybody)]
        {
            let there = self.bdd.ranges(layout.destination, &destinations)?;
            let there = self.bdd.and(others, there)?;
            others = self.bdd.minus(others, there)?;
            let in_frame = self.bdd.equal(layout.packet_type, kind)?;
            framed.push(self.bdd.and(there, in_frame)?);
        }
        let to_one = self.bdd.equal(layout.packet_type, bits::PACKET_HOST)?;
        let others = self.bdd.or(own, others)?;
        framed.push(self.bdd.and(others, to_one)?);
        self.bdd.union(framed)
    }

    /// A region without the question in which frame a packet comes: in the one that brings it.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(in crate::firewall) fn in_any_frame(
        &mut self,
        region: Region,
    ) -> Result<Region, Undecided> {
        let framed = self.framed()?;
        let region = self.bdd.and(region, framed)?;
        let cube = self.bdd.cube(self.layout.packet_type.variables())?;
        self.bdd.exists(region, cube)
    }

    /// The same, come in from another host: not by the loopback interface, not by none,
    /// neither from nor to loopback addresses.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn from_outside(&mut self) -> Result<Region, Undecided> {
        let fresh = self.fresh()?;
        let by_lo = self.comes_by("lo")?;
        let by_none = self.comes_by("")?;
        let layout = self.layout;
        let address = self.bits_now(layout.source, &Effect::default())?;
        let from_loopback = self.loopback(&address)?;
        let address = self.bits_now(layout.destination, &Effect::default())?;
        let to_loopback = self.loopback(&address)?;
        self.bdd.intersection([fresh, !by_lo, !by_none, !from_loopback, !to_loopback])
    }

    /// The first packets of connections that go out to another host: not by the loopback interface, not to
    /// loopback addresses.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(super) fn going_outside(&mut self) -> Result<Region, Undecided> {
        let fresh = self.fresh()?;
        let by_lo = self.leaves_by("lo")?;
        let address = self.bits_now(self.layout.destination, &Effect::default())?;
        let to_loopback = self.loopback(&address)?;
        self.bdd.intersection([fresh, !by_lo, !to_loopback])
    }

    /// The packets of a transport, by IANA's number.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn protocol(&mut self, number: u8) -> Result<Region, Undecided> {
        self.bdd.equal(self.layout.protocol, number.into())
    }

    /// The packets to one of these ports (both ends included).
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn to_ports(&mut self, ports: &[(u16, u16)]) -> Result<Region, Undecided> {
        let ranges = wide(ports);
        self.bdd.ranges(self.layout.destination_port, &ranges)
    }

    /// The packets from one of these ports.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn from_ports(&mut self, ports: &[(u16, u16)]) -> Result<Region, Undecided> {
        let ranges = wide(ports);
        self.bdd.ranges(self.layout.source_port, &ranges)
    }

    /// The packets from these networks; networks of the other family hold none.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn from(&mut self, networks: &[Prefix]) -> Result<Region, Undecided> {
        let ranges = self.ranges(networks);
        self.bdd.ranges(self.layout.source, &ranges)
    }

    /// The packets to these networks.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn to(&mut self, networks: &[Prefix]) -> Result<Region, Undecided> {
        let ranges = self.ranges(networks);
        self.bdd.ranges(self.layout.destination, &ranges)
    }

    /// The marks, where rules write them.
    fn marks(&self) -> Vec<Bits> {
        match self.has_marks {
            true => vec![self.layout.mark, self.layout.ct_mark],
            false => Vec::new(),
        }
    }

    /// The packets within the bounds of a region, as far as fields tell them that rules usually ask for: a
    /// wider region, and a simpler one.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(super) fn bounds(&mut self, region: Region) -> Result<Region, Undecided> {
        let layout = self.layout;
        let mut kept = vec![
            layout.interface_in,
            layout.state,
            layout.protocol,
            layout.destination_port,
            layout.source_port,
            layout.destination,
            layout.source,
        ];
        kept.extend(self.marks());
        self.projected(region, &kept)
    }

    /// The same by the fields that stand before addresses: rules for other ports are left out, and those
    /// for some addresses stay as they are.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(super) fn wide_bounds(&mut self, region: Region) -> Result<Region, Undecided> {
        let layout = self.layout;
        let mut kept =
            vec![layout.interface_in, layout.state, layout.protocol, layout.destination_port];
        kept.extend(self.marks());
        self.projected(region, &kept)
    }

    /// The packets that come in by the interface.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn comes_by(&mut self, interface: &str) -> Result<Region, Undecided> {
        let number = self.interfaces.number(interface);
        self.bdd.equal(self.layout.interface_in, number)
    }

    /// The packets that come in by an interface where a setting is known to be on, and those where it
    /// is known to be off.
    pub(super) fn by_setting(
        &mut self,
        world: &World,
        setting: impl Fn(&Interface) -> Option<bool>,
    ) -> Result<(Region, Region), Undecided> {
        let (mut on, mut off) = (Region::NONE, Region::NONE);
        for interface in &world.interfaces {
            let Some(is_on) = setting(interface) else { continue };
            let by = self.comes_by(&interface.name)?;
            let side = if is_on { &mut on } else { &mut off };
            *side = self.bdd.or(*side, by)?;
        }
        Ok((on, off))
    }

    /// The packets that come in by an interface whose packets are passed on.
    pub(super) fn forwards(&mut self, world: &World) -> Result<Region, Undecided> {
        if self.is_v6 {
            return Ok(if world.forwards_v6 { Region::ALL } else { Region::NONE });
        }
        let (on, off) = self.by_setting(world, |interface| interface.forwards_v4)?;
        if world.forwards_v4 { Ok(!off) } else { Ok(on) }
    }

    /// The packets that leave by the interface.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn leaves_by(&mut self, interface: &str) -> Result<Region, Undecided> {
        let number = self.interfaces.number(interface);
        self.bdd.equal(self.layout.interface_out, number)
    }

    /// The packets whose connection has this state, one of [`crate::firewall::bits`].
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn in_state(&mut self, bit: u128) -> Result<Region, Undecided> {
        match State::of_bit(bit) {
            Some(state) => self.bdd.equal(self.layout.state, state.number()),
            None => Ok(Region::NONE),
        }
    }

    fn ranges(&self, networks: &[Prefix]) -> Vec<(u128, u128)> {
        let same = networks.iter().filter(|network| network.address().is_ipv6() == self.is_v6);
        same.map(|network| span_of(*network)).collect()
    }
}

/// Whether a rule writes something into the packet or its connection.
fn writes_marks(ruleset: &Ruleset) -> bool {
    let mut rules = ruleset.chains().flat_map(|(_, chain)| &chain.rules);
    rules.any(|rule| rule.statements.iter().any(|one| matches!(one, Statement::Assign { .. })))
}

/// Whether chains of type nat see packets of a family.
fn translates(ruleset: &Ruleset, is_v6: bool) -> bool {
    let tables = ruleset.tables.iter();
    let seeing = tables.filter(|table| !table.is_dormant && table.family.passes(is_v6));
    let mut bases = seeing.flat_map(|table| &table.chains).filter_map(|chain| chain.base.as_ref());
    bases.any(|base| base.kind == ChainKind::Nat)
}

fn wide(ports: &[(u16, u16)]) -> Vec<(u128, u128)> {
    ports.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect()
}

/// An address as a number.
pub(super) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u32::from(four).into(),
        IpAddr::V6(six) => six.into(),
    }
}

/// The first and last address of a network, as numbers.
pub(super) fn span_of(network: Prefix) -> (u128, u128) {
    let first = number_of(network.address());
    let width: u32 = if network.address().is_ipv4() { 32 } else { 128 };
    let host = Bits { first: 0, width: width.saturating_sub(network.length().into()) };
    (first, first | host.greatest())
}
