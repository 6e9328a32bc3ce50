//! One packet out of a region, as the simulator takes it, and the check that it says the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layout::State;
use super::space::{Space, number_of};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::{Direction, IcmpMessage, Packet, TcpFlags, Tuple, bits};

/// A packet of a region and, where the region depends on open questions, the answers that put it
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The packet.
    pub packet: Packet,
    /// Open questions with the answers that matter.
    pub answers: Vec<(String, bool)>,
    /// Whether the interface it comes in by is any but loopback's, as no rule names another.
    pub is_by_any: bool,
}

impl Witness {
    /// The packet as people are told it: without a name for an interface that may be any.
    #[must_use]
    pub fn told(&self) -> Packet {
        let mut packet = self.packet.clone();
        if self.is_by_any {
            packet.interface_in = "".into();
        }
        packet
    }
}

/// Nothing listens on port 0.
const PORTS: &[(u128, u128)] = &[(1, 65_535)];

/// So many packets are tried before a region is taken to hold none.
const MOST_TRIES: usize = 8;

/// What a witness has in bits nobody cares about: a client's packet from a documentation address.
struct Usual {
    source: u128,
    destination: u128,
}

impl Usual {
    fn of(is_v6: bool) -> Self {
        let parsed = |text: &str| text.parse().map_or(0, number_of);
        match is_v6 {
            true => Self { source: parsed("2001:db8::7"), destination: parsed("2001:db8:1::1") },
            false => Self { source: parsed("203.0.113.7"), destination: parsed("192.0.2.1") },
        }
    }
}

impl Space {
    /// Whether a packet is in a region, for some answers to the open questions or for all. The
    /// packet must be of this space's family.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn holds(&mut self, region: Region, packet: &Packet) -> Result<(bool, bool), Undecided> {
        let (always, possibly) = self.certainly_and_possibly(region)?;
        let bits = self.encoded(packet);
        let bit = |variable: u32| bits.get(variable as usize).copied().unwrap_or(false);
        Ok((self.bdd.contains(always, bit), self.bdd.contains(possibly, bit)))
    }

    /// The bits of a packet as it comes, by variable.
    #[must_use]
    pub fn encoded(&self, packet: &Packet) -> Vec<bool> {
        let layout = self.layout;
        let mut bits = vec![false; layout.end as usize];
        let mut write = |field: Bits, value: u128| {
            for variable in field.variables() {
                bits[variable as usize] = field.bit(value, variable) == Some(true);
            }
        };
        let (came, becomes) = as_it_comes(packet);
        let state = State::of_bit(packet.state.unwrap_or_else(|| packet.fresh_state()));
        let status = status_of(packet, &came, &becomes);
        write(layout.interface_in, self.interfaces.number(&packet.interface_in));
        let out = packet.interface_out.as_deref().unwrap_or_default();
        write(layout.interface_out, self.interfaces.number(out));
        write(layout.state, state.unwrap_or(State::Invalid).number());
        write(layout.direction, u128::from(packet.direction == Direction::Reply));
        write(layout.status, status);
        write(layout.moved, u128::from(came.destination != becomes.destination));
        write(layout.mark, packet.mark.into());
        write(layout.ct_mark, packet.ct_mark.into());
        write(layout.protocol, packet.protocol.into());
        write(layout.tcp_flags, packet.tcp_flags.0.into());
        write(layout.later_fragment, packet.is_later_fragment.into());
        let is_icmp = matches!(packet.protocol, 1 | 58);
        let message = u16::from_be_bytes([packet.icmp.kind, packet.icmp.code]);
        write(layout.source_port, if is_icmp { message } else { came.source_port }.into());
        write(layout.destination_port, came.destination_port.into());
        write(layout.source, number_of(came.source));
        write(layout.destination, number_of(came.destination));
        write(layout.becomes.source, number_of(becomes.source));
        write(layout.becomes.destination, number_of(becomes.destination));
        write(layout.becomes.source_port, becomes.source_port.into());
        write(layout.becomes.destination_port, becomes.destination_port.into());
        write(layout.becomes.protocol, becomes.protocol.into());
        write(layout.ttl, packet.ttl.into());
        write(layout.traffic_class, packet.traffic_class.into());
        write(layout.length, packet.length.into());
        write(layout.packet_type, packet.packet_type.into());
        if let Some((user, group)) = packet.socket {
            write(layout.has_socket, 1);
            write(layout.user, user.into());
            write(layout.group, group.into());
        }
        bits
    }

    /// A packet of a region; a usual one where there is a choice. `None` where the region is empty.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn witness(&mut self, region: Region) -> Result<Option<Witness>, Undecided> {
        let mut region = region;
        for _ in 0..MOST_TRIES {
            let usual = self.usual_part(region)?;
            let Some(chosen) = self.chosen(usual) else { return Ok(None) };
            let (packet, answers) = self.spelled_out(&chosen);
            let encoded = self.encoded(&packet);
            let answered = |variable: u32| {
                let found = chosen.binary_search_by_key(&variable, |bit| bit.0);
                found.is_ok_and(|found| chosen[found].1)
            };
            let bit = |v: u32| encoded.get(v as usize).copied().unwrap_or_else(|| answered(v));
            if self.bdd.contains(region, bit) {
                let number = self.interfaces.number(&packet.interface_in);
                let is_by_any = self.interfaces.is_any(number);
                return Ok(Some(Witness { packet, answers, is_by_any }));
            }
            // Moved to the address it had: there is no such packet. Another address may do.
            let from = self.layout.destination;
            let same = chosen.iter().filter(|(v, _)| from.variables().contains(v));
            let mut all = Region::ALL;
            for (variable, value) in same {
                let is = self.bdd.variable(*variable)?;
                all = self.bdd.and(all, if *value { is } else { !is })?;
            }
            region = self.bdd.minus(region, all)?;
        }
        Ok(None)
    }

    /// The same, one that is in the region whatever the open questions' answers are, where there is one;
    /// and whether it is.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn surest_witness(&mut self, region: Region) -> Result<Option<(Witness, bool)>, Undecided> {
        let (certain, _) = self.certainly_and_possibly(region)?;
        if let Some(witness) = self.witness(certain)? {
            return Ok(Some((witness, true)));
        }
        Ok(self.witness(region)?.map(|witness| (witness, false)))
    }

    /// The part of a region where packets are as usual as they get in it.
    fn usual_part(&mut self, region: Region) -> Result<Region, Undecided> {
        let layout = self.layout;
        let usual = Usual::of(self.is_v6);
        let wishes: Vec<(Bits, u128)> = vec![
            (layout.later_fragment, 0),
            (layout.state, State::New.number()),
            (layout.direction, 0),
            (layout.status, 0),
            (layout.moved, 0),
            (layout.mark, 0),
            (layout.ct_mark, 0),
            (layout.packet_type, 0),
            (layout.protocol, 6),
            (layout.tcp_flags, 2),
            (layout.source, usual.source),
            (layout.destination, usual.destination),
            (layout.source_port, 40_000),
            (layout.ttl, 64),
            (layout.traffic_class, 0),
            (layout.length, if self.is_v6 { 60 } else { 40 }),
            (layout.user, 0),
            (layout.group, 0),
        ];
        let wishes = wishes.into_iter().map(|(field, value)| (field, vec![(value, value)]));
        let sendable = self.sendable().map(|(field, ranges)| (field, ranges.to_vec()));
        let mut all = Vec::new();
        for (field, ranges) in wishes.chain(sendable) {
            all.push(self.bdd.ranges(field, &ranges)?);
        }
        let region = self.granted(region, &all)?;
        let by_lo = self.comes_by("lo")?;
        // A name that somebody knows rather than one that is made up.
        let named = self.interfaces.named();
        let mut wishes = vec![!by_lo, self.bdd.ranges(layout.interface_in, &[named])?];
        // Where it does not matter by which interface it leaves, none is named.
        let out = self.bdd.range(layout.interface_out, 0, self.interfaces.count() as u128 - 1)?;
        let cube = self.bdd.cube(layout.interface_out.variables())?;
        let whatever = self.bdd.exists(region, cube)?;
        if self.bdd.and(whatever, out)? != self.bdd.and(region, out)? {
            let to_lo = self.leaves_by("lo")?;
            let named = self.bdd.ranges(layout.interface_out, &[named])?;
            wishes.extend([self.bdd.range(layout.interface_out, 1, u128::MAX)?, !to_lo, named]);
        }
        self.granted(region, &wishes)
    }

    /// The part of a region where as many wishes hold as may, the first before the later ones; cut once, not
    /// for each.
    fn granted(&mut self, region: Region, wishes: &[Region]) -> Result<Region, Undecided> {
        let mut granted = Region::ALL;
        for wish in wishes {
            let both = self.bdd.and(granted, *wish)?;
            if self.bdd.meets(region, both) {
                granted = both;
            }
        }
        self.bdd.and(region, granted)
    }

    /// What a packet has that can be sent: one machine's address at each end, and a port that somebody can
    /// listen on.
    fn sendable(&self) -> [(Bits, &'static [(u128, u128)]); 3] {
        // RFC 1122 §3.2.1.3: no net 0, no loopback, no groups. RFC 4291 §2.4: not ::, ::1, ff00::/8.
        let machines: &[(u128, u128)] = match self.is_v6 {
            true => &[(2, 0xfeff << 112 | ((1 << 112) - 1))],
            false => &[(1 << 24, 0x7eff_ffff), (0x8000_0000, 0xdfff_ffff)],
        };
        let layout = &self.layout;
        [
            (layout.source, machines),
            (layout.destination, machines),
            (layout.destination_port, PORTS),
        ]
    }

    /// What a usual packet has in a variable of an address.
    fn prefers(&self, variable: u32) -> bool {
        let usual = Usual::of(self.is_v6);
        let places =
            [(self.layout.source, usual.source), (self.layout.destination, usual.destination)];
        places.iter().find_map(|(field, value)| field.bit(*value, variable)).unwrap_or(false)
    }

    /// Bits of one packet of a region, those that matter.
    fn chosen(&self, region: Region) -> Option<Vec<(u32, bool)>> {
        self.bdd.one_of(region, |variable| self.prefers(variable))
    }

    /// The packet with these bits, and the answers among them.
    fn spelled_out(&self, chosen: &[(u32, bool)]) -> (Packet, Vec<(String, bool)>) {
        let bit = |variable: u32| {
            let found = chosen.binary_search_by_key(&variable, |bit| bit.0);
            found.ok().map(|found| chosen[found].1)
        };
        let bit = |variable: u32| {
            let free = || match self.layout.before_becoming(variable) {
                // A translated packet differs from what it was, if only in its last bit.
                Some((before, is_last)) => {
                    bit(before).unwrap_or_else(|| self.prefers(before)) != is_last
                }
                None => self.prefers(variable),
            };
            bit(variable).unwrap_or_else(free)
        };
        let answers = chosen
            .iter()
            .filter_map(|(variable, answer)| Some((self.asked(*variable)?, *answer)))
            .filter(|(question, _)| !question.is_choice)
            .map(|(question, answer)| (question.text.clone(), answer))
            .collect();
        (self.packet(bit), answers)
    }

    /// The packet whose bits are these.
    fn packet(&self, bit: impl Fn(u32) -> bool) -> Packet {
        let layout = self.layout;
        let read = |field: Bits| -> u128 {
            field.variables().fold(0, |value, variable| value << 1 | u128::from(bit(variable)))
        };
        let narrow = |field: Bits| read(field) as u16;
        let address = |field: Bits| self.address(read(field));
        let mut packet = Packet::new(
            read(layout.protocol) as u8,
            address(layout.source),
            address(layout.destination),
        );
        packet.tcp_flags = TcpFlags(read(layout.tcp_flags) as u8);
        let source_port = narrow(layout.source_port);
        let is_icmp = matches!(packet.protocol, 1 | 58);
        if is_icmp {
            let [kind, code] = source_port.to_be_bytes();
            packet.icmp = IcmpMessage { kind, code };
        } else {
            packet = packet.ports(source_port, narrow(layout.destination_port));
        }
        packet.is_later_fragment = bit(layout.later_fragment.first);
        packet.interface_in = self.interfaces.name(read(layout.interface_in));
        let out = read(layout.interface_out);
        packet.interface_out = (out != 0 && !self.has_routes).then(|| self.interfaces.name(out));
        let state = State::ALL.into_iter().find(|state| state.number() == read(layout.state));
        packet.state = state.map(State::bit);
        packet.direction =
            if bit(layout.direction.first) { Direction::Reply } else { Direction::Original };
        packet.mark = read(layout.mark) as u32;
        packet.ct_mark = read(layout.ct_mark) as u32;
        packet.ttl = read(layout.ttl) as u8;
        packet.traffic_class = read(layout.traffic_class) as u8;
        packet.length = narrow(layout.length);
        packet.packet_type = read(layout.packet_type) as u8;
        packet.socket = bit(layout.has_socket.first)
            .then(|| (read(layout.user) as u32, read(layout.group) as u32));
        let status = read(layout.status);
        packet.status = status & !(bits::STATUS_DNAT | bits::STATUS_SNAT);
        let becomes = Tuple {
            source: address(layout.becomes.source),
            destination: address(layout.becomes.destination),
            protocol: packet.protocol,
            source_port: narrow(layout.becomes.source_port),
            destination_port: narrow(layout.becomes.destination_port),
        };
        if state != Some(State::New) {
            let is_moved = bit(layout.moved.first);
            translated(&mut packet, status, &becomes, is_moved);
        }
        packet
    }

    /// A number as an address of this family.
    pub(super) fn address(&self, number: u128) -> IpAddr {
        match self.is_v6 {
            true => Ipv6Addr::from_bits(number).into(),
            false => Ipv4Addr::from_bits(number as u32).into(),
        }
    }
}

/// Makes it a packet of a connection that was translated. The simulator takes a packet of the
/// original direction as it is after translation, with the tuple it had before; one of the reply
/// direction as it comes.
fn translated(packet: &mut Packet, status: u128, becomes: &Tuple, is_moved: bool) {
    let is_reply = packet.direction == Direction::Reply;
    let (of_source, of_destination) = match is_reply {
        true => (bits::STATUS_DNAT, bits::STATUS_SNAT),
        false => (bits::STATUS_SNAT, bits::STATUS_DNAT),
    };
    if status & (of_source | of_destination) == 0 {
        return;
    }
    let came = packet.tuple();
    let mut after = came;
    if status & of_source != 0 {
        (after.source, after.source_port) = (becomes.source, becomes.source_port);
    }
    if status & of_destination != 0 {
        after.destination_port = becomes.destination_port;
        if is_moved {
            after.destination = becomes.destination;
        }
    }
    if is_reply {
        packet.original = Some(after.inverse());
        return;
    }
    packet.original = Some(came);
    (packet.source, packet.source_port) = (after.source, after.source_port);
    (packet.destination, packet.destination_port) = (after.destination, after.destination_port);
}

/// The tuple a packet comes with, and what translation makes of it.
fn as_it_comes(packet: &Packet) -> (Tuple, Tuple) {
    let now = packet.tuple();
    match (packet.original, packet.direction) {
        (None, _) => (now, now),
        // An ICMP error about a connection of another protocol.
        (Some(original), _) if original.protocol != now.protocol => (now, now),
        (Some(original), Direction::Original) => (original, now),
        (Some(original), Direction::Reply) => (now, original.inverse()),
    }
}

/// `ct status` of a packet with what its connection's translation says.
fn status_of(packet: &Packet, came: &Tuple, becomes: &Tuple) -> u128 {
    let source = (came.source, came.source_port) != (becomes.source, becomes.source_port);
    let destination = (came.destination, came.destination_port)
        != (becomes.destination, becomes.destination_port);
    let (of_source, of_destination) = match packet.direction {
        Direction::Original => (bits::STATUS_SNAT, bits::STATUS_DNAT),
        Direction::Reply => (bits::STATUS_DNAT, bits::STATUS_SNAT),
    };
    packet.status
        | if source { of_source } else { 0 }
        | if destination { of_destination } else { 0 }
}
