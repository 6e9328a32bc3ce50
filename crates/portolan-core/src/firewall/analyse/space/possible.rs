//! Packets that there can be: all of them, those that begin a connection, those that come from outside.

use super::Space;
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::layout::State;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::bits;

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
    pub(in crate::firewall::analyse) fn going_outside(&mut self) -> Result<Region, Undecided> {
        let fresh = self.fresh()?;
        let by_lo = self.leaves_by("lo")?;
        let address = self.bits_now(self.layout.destination, &Effect::default())?;
        let to_loopback = self.loopback(&address)?;
        self.bdd.intersection([fresh, !by_lo, !to_loopback])
    }
}
