//! The fields of a packet as they are now, bit by bit, and for which packets they are there.

use super::Place;
use crate::firewall::analyse::effect::{Effect, Presaid};
use crate::firewall::analyse::layout::{State, turned};
use crate::firewall::analyse::number::Number;
use crate::firewall::analyse::space::{Question, Space};
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::{Direction, Field, TupleSide, bits};

impl Space {
    /// A field's bits as they are now.
    pub(in crate::firewall::analyse) fn bits_now(
        &mut self,
        field: Bits,
        effect: &Effect,
    ) -> Result<Vec<Region>, Undecided> {
        field
            .variables()
            .map(|variable| match effect.get(variable) {
                Some(value) => Ok(value),
                None => self.bdd.variable(variable),
            })
            .collect()
    }

    pub(super) fn field(
        &mut self,
        field: Field,
        at: Place<'_>,
    ) -> Result<Option<Number>, Undecided> {
        if let Some(constant) = self.given(field) {
            return Ok(Some(constant));
        }
        Ok(Some(match field {
            Field::CtState => self.state(at)?,
            Field::CtTuple(direction, side) => return self.tuple(direction, side, at),
            // As the simulator: what comes in may have got a socket already.
            Field::SocketUser | Field::SocketGroup if !at.around.is_own => return Ok(None),
            Field::PacketType if at.around.is_own => Number::constant(bits::PACKET_HOST, 8),
            Field::NextHeader6 if self.is_v6 => self.next_header(at)?,
            Field::FragmentOffset if !self.is_v6 => self.fragment_offset(at)?,
            Field::Length6 if self.is_v6 => self.payload_length(at)?,
            _ => {
                let Some(bits) = self.layout.plain(field, self.is_v6) else {
                    return Ok(is_of_other_family(field, self.is_v6).then(Number::absent));
                };
                let known = self.availability(field, at)?;
                let is_name = matches!(field, Field::InterfaceIn | Field::InterfaceOut);
                Number { bits: self.bits_now(bits, at.effect)?, known, is_name }
            }
        }))
    }

    /// Fields that are the same for every packet of the family.
    fn given(&self, field: Field) -> Option<Number> {
        let value = match (field, self.is_v6) {
            (Field::NetworkProtocol, false) => bits::NFPROTO_IPV4,
            (Field::NetworkProtocol, true) => bits::NFPROTO_IPV6,
            (Field::EtherType, false) => 0x0800,
            (Field::EtherType, true) => 0x86dd,
            _ => return None,
        };
        Some(Number::constant(value, 16))
    }

    /// For which packets a field is there.
    fn availability(&mut self, field: Field, at: Place<'_>) -> Result<Region, Undecided> {
        // The transport header too: in a later fragment rules read what stands in its place.
        match field {
            Field::CtStatus | Field::CtDirection | Field::CtMark => self.has_connection(at),
            Field::SocketUser | Field::SocketGroup => {
                let has = self.bits_now(self.layout.has_socket, at.effect)?;
                Ok(has.first().copied().unwrap_or(Region::NONE))
            }
            _ => Ok(Region::ALL),
        }
    }

    /// The packets that belong to a connection here: looked up, and neither invalid nor untracked.
    pub(in crate::firewall::analyse) fn has_connection(
        &mut self,
        at: Place<'_>,
    ) -> Result<Region, Undecided> {
        if !at.is_tracked || at.effect.connection != Presaid::Nothing {
            return Ok(Region::NONE);
        }
        self.bdd.range(self.layout.state, 0, State::Related.number())
    }

    /// `ct state`: before connections are looked up every packet is `invalid`
    /// (net/netfilter/nft_ct.c), but for those that said they are not to be.
    fn state(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        match at.effect.connection {
            Presaid::Untracked => return Ok(Number::constant(bits::UNTRACKED, 32)),
            Presaid::Template => return Ok(Number::constant(bits::NEW, 32)),
            Presaid::Nothing => {}
        }
        if !at.is_tracked {
            return Ok(Number::constant(bits::INVALID, 32));
        }
        let mut number = Number::constant(0, 32);
        for state in State::ALL {
            let place = 31 - state.bit().trailing_zeros() as usize;
            number.bits[place] = self.bdd.equal(self.layout.state, state.number())?;
        }
        Ok(number)
    }

    /// One of the time to live is gone (ip_forward, before the hook); 0 stays.
    pub(in crate::firewall::analyse) fn lose_a_hop(
        &mut self,
        effect: &mut Effect,
    ) -> Result<(), Undecided> {
        let ttl = self.layout.ttl;
        let now = self.bits_now(ttl, effect)?;
        let mut borrow = Region::ALL;
        let mut less = Vec::with_capacity(now.len());
        for bit in now.iter().rev() {
            less.push(self.bdd.xor(*bit, borrow)?);
            borrow = self.bdd.minus(borrow, *bit)?;
        }
        for (variable, bit) in ttl.variables().zip(less.into_iter().rev()) {
            let bit = self.bdd.minus(bit, borrow)?;
            effect.set(variable, bit);
        }
        Ok(())
    }

    /// `ip6 length`: without the fixed header's 40 bytes.
    fn payload_length(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let whole = self.bits_now(self.layout.length, at.effect)?;
        let mut borrow = Region::NONE;
        let mut less = Vec::with_capacity(whole.len());
        for (bit, taken) in whole.iter().zip(Number::constant(40, 16).bits).rev() {
            // What is taken is the same for every packet, so each step asks one bit and the borrow.
            let (without, with) = if taken.is_all() { (!*bit, *bit) } else { (*bit, !*bit) };
            less.push(self.bdd.either(borrow, with, without)?);
            borrow = match taken.is_all() {
                true => self.bdd.or(borrow, !*bit)?,
                false => self.bdd.minus(borrow, *bit)?,
            };
        }
        let mut bits = Vec::with_capacity(less.len());
        for bit in less.into_iter().rev() {
            bits.push(self.bdd.minus(bit, borrow)?);
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// `ip frag-off`: how far a later fragment lies does not matter, so it is 1. Whether a packet is not to be
    /// fragmented (DF, RFC 791 §3.1), stands in the same bytes, and is its sender's affair: a question.
    fn fragment_offset(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let mut number = Number::constant(0, 16);
        let place = number.bits.len() - 1 - bits::DONT_FRAGMENT.trailing_zeros() as usize;
        let text = bits::ASKS_DONT_FRAGMENT.to_owned();
        let question = Question::new(text);
        number.bits[place] = self.question(bits::ASKS_DONT_FRAGMENT.to_owned(), question)?;
        number.bits[15] = self.bits_now(self.layout.later_fragment, at.effect)?[0];
        Ok(number)
    }

    /// `ip6 nexthdr`: that of the fixed header, which is "fragment" (44) for later fragments.
    fn next_header(&mut self, at: Place<'_>) -> Result<Number, Undecided> {
        let fragment = self.bits_now(self.layout.later_fragment, at.effect)?;
        let fragment = fragment.first().copied().unwrap_or(Region::NONE);
        let mut bits = self.bits_now(self.layout.protocol, at.effect)?;
        for (bit, of_fragment) in bits.iter_mut().zip(Number::constant(44, 8).bits) {
            *bit = self.bdd.either(fragment, of_fragment, *bit)?;
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// A part of the connection's tuple. The first packet's is the packet as it came; of answers it
    /// is what they become when the translation is undone. What answers look like is what the packet
    /// is now, turned around.
    fn tuple(
        &mut self,
        direction: Direction,
        side: TupleSide,
        at: Place<'_>,
    ) -> Result<Option<Number>, Undecided> {
        let (Some((here, _)), Some((across, becomes))) =
            (self.layout.tuple(side, self.is_v6), self.layout.tuple(turned(side), self.is_v6))
        else {
            return Ok(Some(Number::absent()));
        };
        let known = self.has_connection(at)?;
        let reply = self.bdd.variable(self.layout.direction.first)?;
        let goes_back = if direction == Direction::Reply { !reply } else { reply };
        let translated = self.across_translated(side, direction)?;
        let new = self.bdd.equal(self.layout.state, State::New.number())?;
        let translated = self.bdd.minus(translated, new)?;
        let now = self.bits_now(across, at.effect)?;
        let mut bits = Vec::new();
        for (place, (here, becomes)) in here.variables().zip(becomes.variables()).enumerate() {
            let here = self.bdd.variable(here)?;
            let becomes = self.bdd.variable(becomes)?;
            let turned = self.bdd.either(translated, becomes, now[place])?;
            bits.push(self.bdd.either(goes_back, turned, here)?);
        }
        Ok(Some(Number { bits, known, is_name: false }))
    }

    /// Of packets that go the other way than the tuple: those whose other end was translated.
    fn across_translated(
        &mut self,
        side: TupleSide,
        direction: Direction,
    ) -> Result<Region, Undecided> {
        let is_source =
            matches!(side, TupleSide::Source4 | TupleSide::Source6 | TupleSide::SourcePort);
        let status = match (direction, is_source) {
            (_, _) if side == TupleSide::Protocol => return Ok(Region::NONE),
            (Direction::Original, true) | (Direction::Reply, false) => bits::STATUS_SNAT,
            _ => bits::STATUS_DNAT,
        };
        self.bdd.any_bit(self.layout.status, status)
    }
}

const fn is_of_other_family(field: Field, is_v6: bool) -> bool {
    match field {
        Field::Source4 | Field::Destination4 | Field::Length4 | Field::FragmentOffset => is_v6,
        Field::Source6 | Field::Destination6 | Field::Length6 | Field::NextHeader6 => !is_v6,
        _ => false,
    }
}
