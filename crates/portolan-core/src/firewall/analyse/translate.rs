//! Translation: new ends for the first packet of a connection, the known ones for later packets.

use super::chain::{Did, Run, Step, write};
use super::effect::{Effect, Presaid, Translated};
use super::evaluate::{Evaluated, Memo, Place};
use super::number::{Number, in_ranges};
use super::space::{Question, Space};
use super::stream::{Stream, Streams};
use super::surroundings::first_address;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::nat_order::orders;
use crate::firewall::simulate::chosen_another;
use crate::firewall::{ChainId, Expression, Hook, Nat, NatKind, RuleId, Span, bits};

use super::layout::State;

impl Run<'_> {
    /// Asks chains of type nat one after the other, until one translates.
    fn ask_in_order(
        &mut self,
        chains: &[ChainId],
        mut asking: Streams,
        left: &mut Streams,
    ) -> Result<(), Undecided> {
        for id in chains {
            self.is_in_nat = true;
            let passed = self.base_chain(*id, asking);
            self.is_in_nat = false;
            asking = Streams::default();
            for stream in passed?.0 {
                let is_done = stream.effect.is_translated;
                let into = if is_done { &mut *left } else { &mut asking };
                into.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
            }
        }
        left.extend(&mut self.space.bdd, asking)
    }

    /// The station of translation at a hook: chains of type nat for the first packet of a
    /// connection, its own mapping for later ones.
    pub(super) fn translation(
        &mut self,
        chains: &[ChainId],
        entering: Streams,
    ) -> Result<Streams, Undecided> {
        let mut left = Streams::default();
        let mut first = Streams::default();
        for stream in entering.0 {
            let asked = self.begins(&stream.effect)?;
            let bdd = &mut self.space.bdd;
            let begins = bdd.and(stream.packets, asked)?;
            let others = bdd.minus(stream.packets, begins)?;
            first.add(bdd, &stream.effect, begins)?;
            self.keep_mapping(&Stream { effect: stream.effect, packets: others }, &mut left)?;
        }
        let orders = orders(self.ruleset, chains);
        for order in orders {
            let is_so = match order.question {
                Some(text) => {
                    let key = text.clone();
                    let question = Question::new(text);
                    self.space.question(key, question)?
                }
                None => Region::ALL,
            };
            let (mut these, mut rest) = (Streams::default(), Streams::default());
            for stream in first.0 {
                let bdd = &mut self.space.bdd;
                let hit = bdd.and(stream.packets, is_so)?;
                let missed = bdd.minus(stream.packets, hit)?;
                these.add(bdd, &stream.effect, hit)?;
                rest.add(bdd, &stream.effect, missed)?;
            }
            self.ask_in_order(&order.chains, these, &mut left)?;
            first = rest;
        }
        self.ask_in_order(chains, first, &mut left)?;
        let mut done = Streams::default();
        for mut stream in left.0 {
            stream.effect.is_translated = false;
            done.add(&mut self.space.bdd, &stream.effect, stream.packets)?;
        }
        Ok(done)
    }

    /// The packets that chains of type nat are asked about: those that begin a connection, and
    /// related ones that are no ICMP error.
    fn begins(&mut self, effect: &Effect) -> Result<Region, Undecided> {
        if !self.is_tracked || !self.tracks || effect.connection == Presaid::Untracked {
            return Ok(Region::NONE);
        }
        // What a rule said of a connection that conntrack did not make passes for a new one.
        if effect.connection == Presaid::Template {
            return Ok(Region::ALL);
        }
        let space = &mut *self.space;
        let new = space.bdd.equal(space.layout.state, State::New.number())?;
        let related = space.bdd.equal(space.layout.state, State::Related.number())?;
        let icmp = space.protocol(1)?;
        let icmpv6 = space.protocol(58)?;
        let errors = space.bdd.or(icmp, icmpv6)?;
        let related = space.bdd.minus(related, errors)?;
        let known =
            space.bdd.any_bit(space.layout.status, bits::STATUS_DNAT | bits::STATUS_SNAT)?;
        let related = space.bdd.minus(related, known)?;
        space.bdd.or(new, related)
    }

    fn is_source_side(&self) -> bool {
        matches!(self.hook, Hook::Input | Hook::Postrouting)
    }

    /// Later packets of a translated connection become what it says.
    fn keep_mapping(&mut self, stream: &Stream, left: &mut Streams) -> Result<(), Undecided> {
        let is_source = self.is_source_side();
        let space = &mut *self.space;
        let layout = space.layout;
        let (from_status, to_status) = match is_source {
            true => (bits::STATUS_SNAT, bits::STATUS_DNAT),
            false => (bits::STATUS_DNAT, bits::STATUS_SNAT),
        };
        let reply = space.bdd.variable(layout.direction.first)?;
        let forth = space.bdd.any_bit(layout.status, from_status)?;
        let back = space.bdd.any_bit(layout.status, to_status)?;
        let mapped = space.bdd.either(reply, back, forth)?;
        let tracked =
            space.bdd.range(layout.state, State::Established.number(), State::Related.number())?;
        let mapped = space.bdd.and(mapped, tracked)?;
        let is_apart = stream.effect.connection != Presaid::Nothing;
        let mapped = if is_apart { Region::NONE } else { mapped };
        let hit = space.bdd.and(stream.packets, mapped)?;
        let becomes = layout.becomes;
        let (address, port) = match is_source {
            true => ((layout.source, becomes.source), (layout.source_port, becomes.source_port)),
            false => (
                (layout.destination, becomes.destination),
                (layout.destination_port, becomes.destination_port),
            ),
        };
        let moved = if is_source { Region::ALL } else { space.bdd.variable(layout.moved.first)? };
        let with_ports = space.protocols_with_ports()?;
        let mut rest = stream.packets;
        for (has_port, is_moved) in [(true, true), (true, false), (false, true)] {
            let ports = if has_port { with_ports } else { !with_ports };
            let kind = space.bdd.and(ports, if is_moved { moved } else { !moved })?;
            let packets = space.bdd.and(hit, kind)?;
            rest = space.bdd.minus(rest, packets)?;
            let mut effect = stream.effect.clone();
            if has_port {
                space.bind(&mut effect, port)?;
            }
            if is_moved {
                space.bind(&mut effect, address)?;
                if !is_source {
                    effect.destination = Translated::Elsewhere;
                }
            }
            left.add(&mut space.bdd, &effect, packets)?;
        }
        left.add(&mut space.bdd, &stream.effect, rest)
    }

    /// A statement that translates.
    pub(super) fn translate(
        &mut self,
        nat: &Nat,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        if nat.kind == NatKind::Tproxy {
            return self.tproxy(stream, step);
        }
        if stream.effect.connection == Presaid::Template {
            return self.translate_nothing(nat, &stream, step);
        }
        let is_source = matches!(nat.kind, NatKind::Snat | NatKind::Masquerade);
        let mut known = Region::ALL;
        let (mut address, mut port) = (None, None);
        for (expression, is_port) in [(&nat.address, false), (&nat.port, true)] {
            let Some(expression) = expression else { continue };
            let at = self.place(step.id, &stream.effect);
            let width = if is_port { 16 } else { self.space.layout.source.width };
            let parts = match self.space.chosen_end(expression, at, &mut self.memo)? {
                Evaluated::Numbers(parts) => parts,
                Evaluated::Open(_) => {
                    let what = if is_port { "a port" } else { "an address" };
                    vec![self.any_number(width, step.id, what)?]
                }
            };
            for (place, part) in parts.into_iter().enumerate() {
                known = self.space.bdd.and(known, part.known)?;
                *(if is_port || place == 1 { &mut port } else { &mut address }) = Some(part);
            }
        }
        let packets = self.space.bdd.and(stream.packets, known)?;
        let missed = self.space.bdd.minus(stream.packets, packets)?;
        step.next.add(&mut self.space.bdd, &stream.effect, missed)?;
        if packets.is_none() {
            return Ok(());
        }
        let mut effect = stream.effect;
        match nat.kind {
            NatKind::Redirect => address = self.redirected(&mut effect)?,
            NatKind::Masquerade => address = Some(self.masqueraded(&effect)?),
            NatKind::Dnat | NatKind::Snat | NatKind::Tproxy => {}
        }
        if nat.flags.iter().any(|flag| matches!(&**flag, "prefix" | "netmap")) {
            address = Some(match nat.address.as_ref() {
                Some(Expression::OneOf(Span::Numbers { low, high })) => {
                    self.space.within_network((*low, *high), is_source, &effect)?
                }
                _ => self.any_number(self.space.layout.source.width, step.id, "an address")?,
            });
        }
        if is_source && port.is_none() && nat.flags.iter().any(|flag| flag.contains("random")) {
            port = Some(self.space.any_number(16, "random source port", "a port by chance")?);
        }
        // A port that a rule wrote is none that the connection knows, and the packet becomes what that says.
        if port.is_none() && address.is_some() && effect.has_port_written {
            port = Some(self.any_number(16, step.id, "a port")?);
        }
        let addressed = address.as_ref().map_or(Region::ALL, |number| number.known);
        let lost = self.space.bdd.minus(packets, addressed)?;
        self.ends.dropped.push(lost);
        let packets = self.space.bdd.minus(packets, lost)?;
        let port = match port {
            Some(port) => Some(self.where_ports_are(port, packets, is_source, &effect)?),
            None => None,
        };
        let spans = [span_of(nat.address.as_ref()), span_of(nat.port.as_ref())];
        let ends = [(address.as_ref(), spans[0]), (port.as_ref(), spans[1])];
        self.write_ends(&mut effect, is_source, ends, step.id)?;
        if !is_source && address.is_some() && nat.kind == NatKind::Dnat {
            effect.destination = Translated::Elsewhere;
        }
        effect.is_translated = true;
        self.decide(step.id, Did::Translated, packets);
        step.flow.accepted.add(&mut self.space.bdd, &effect, packets)
    }

    /// A statement that translates, for a packet of no connection that could be: it accepts, and the next chain
    /// is asked.
    fn translate_nothing(
        &mut self,
        nat: &Nat,
        stream: &Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let mut packets = stream.packets;
        for expression in nat.address.iter().chain(&nat.port) {
            let at = self.place(step.id, &stream.effect);
            if let Evaluated::Numbers(parts) =
                self.space.chosen_end(expression, at, &mut self.memo)?
            {
                for part in parts {
                    packets = self.space.bdd.and(packets, part.known)?;
                }
            }
        }
        let missed = self.space.bdd.minus(stream.packets, packets)?;
        step.next.add(&mut self.space.bdd, &stream.effect, missed)?;
        self.decide(step.id, Did::Translated, packets);
        step.flow.accepted.add(&mut self.space.bdd, &stream.effect, packets)
    }

    /// A new port, and the old one for protocols that have none (no tool lets a rule say so).
    fn where_ports_are(
        &mut self,
        mut port: Number,
        packets: Region,
        is_source: bool,
        effect: &Effect,
    ) -> Result<Number, Undecided> {
        let ports = self.space.protocols_with_ports()?;
        if self.space.bdd.covers(ports, packets) {
            return Ok(port);
        }
        let layout = self.space.layout;
        let field = if is_source { layout.source_port } else { layout.destination_port };
        let before = self.space.bits_now(field, effect)?;
        let missing = before.len().saturating_sub(port.bits.len());
        port.bits.splice(0..0, std::iter::repeat_n(Region::NONE, missing));
        let surplus = port.bits.len() - before.len();
        let mut bits = Vec::with_capacity(before.len());
        for (before, after) in before.into_iter().zip(port.bits.split_off(surplus)) {
            bits.push(self.space.bdd.either(ports, after, before)?);
        }
        Ok(Number { bits, ..port })
    }

    /// Writes the new ends, and says so in the connection's status where anything is new.
    fn write_ends(
        &mut self,
        effect: &mut Effect,
        is_source: bool,
        [address, port]: [End<'_>; 2],
        rule: RuleId,
    ) -> Result<(), Undecided> {
        let layout = self.space.layout;
        let (address_field, port_field, status) = match is_source {
            true => (layout.source, layout.source_port, bits::STATUS_SNAT),
            false => (layout.destination, layout.destination_port, bits::STATUS_DNAT),
        };
        let (mut changed, mut may_stay, mut is_chosen) = (Vec::new(), Region::ALL, false);
        for (field, (number, span)) in [(address_field, address), (port_field, port)] {
            let Some(number) = number else { continue };
            let before = self.space.bits_now(field, effect)?;
            write(effect, field, number);
            let after = self.space.bits_now(field, effect)?;
            if !self.space.is_loose(&after) {
                let differs = self.space.differs(&before, &after)?;
                may_stay = self.space.bdd.minus(may_stay, differs)?;
                changed.push(differs);
                continue;
            }
            is_chosen = true;
            if let Some(span) = span {
                let among = in_ranges(&mut self.space.bdd, &before, &[span])?;
                may_stay = self.space.bdd.and(may_stay, among)?;
            }
        }
        let mut changed = self.space.bdd.union(changed)?;
        if is_chosen {
            let another = self.chooses_another(rule)?;
            let others = self.space.bdd.or(another, !may_stay)?;
            changed = self.space.bdd.or(changed, others)?;
        }
        let variable = status_variable(layout.status, status);
        let before = match effect.get(variable) {
            Some(value) => value,
            None => self.space.bdd.variable(variable)?,
        };
        let now = self.space.bdd.or(before, changed)?;
        effect.set(variable, now);
        Ok(())
    }

    /// Whether the kernel chooses another end than the packet had.
    fn chooses_another(&mut self, rule: RuleId) -> Result<Region, Undecided> {
        let text = chosen_another(self.ruleset.rule(rule).map_or("", |rule| &*rule.text));
        let key = format!("{text} {rule:?}");
        let question = Question { text, rule: Some(rule), presumed: None, is_choice: false };
        self.space.question(key, question)
    }

    /// This machine's address for a redirect: of the interface it came in by, loopback for its own.
    /// Its known packets are those for which there is one; the others end there.
    fn redirected(&mut self, effect: &mut Effect) -> Result<Option<Number>, Undecided> {
        let width = self.space.layout.destination.width;
        if self.hook == Hook::Output {
            let loopback = if self.space.is_v6 { 1 } else { 0x7f00_0001 };
            return Ok(Some(Number::constant(loopback, width)));
        }
        effect.destination = Translated::Here;
        if !self.around.world.is_known() {
            return Ok(None);
        }
        let layout = self.space.layout;
        let mut number = self.address_of_link(layout.interface_in, layout.destination, effect)?;
        if !self.around.world.are_interfaces_known() {
            // Those of other interfaces were not told: it stays as it is.
            let now = self.space.bits_now(layout.destination, effect)?;
            for (bit, now) in number.bits.iter_mut().zip(now) {
                *bit = self.space.bdd.either(number.known, *bit, now)?;
            }
            number.known = Region::ALL;
        }
        Ok(Some(number))
    }

    /// The address of the interface it leaves by; any, where that is not known.
    fn masqueraded(&mut self, effect: &Effect) -> Result<Number, Undecided> {
        let layout = self.space.layout;
        // Of whatever rule, it is the same for the same packet.
        let any = self.space.any_number(layout.source.width, "masquerade", OWN_ADDRESS)?;
        if !self.around.world.is_known() {
            return Ok(any);
        }
        let mut number = self.address_of_link(layout.interface_out, layout.source, effect)?;
        for (bit, any) in number.bits.iter_mut().zip(any.bits) {
            *bit = self.space.bdd.either(number.known, *bit, any)?;
        }
        number.known = Region::ALL;
        Ok(number)
    }

    /// The address of the interface in a field, of the scope of the address in another.
    fn address_of_link(
        &mut self,
        link: Bits,
        like: Bits,
        effect: &Effect,
    ) -> Result<Number, Undecided> {
        let world = self.around.world;
        let space = &mut *self.space;
        let width = space.layout.source.width;
        let now = space.bits_now(link, effect)?;
        let like = space.bits_now(like, effect)?;
        let link_local = in_ranges(&mut space.bdd, &like, &[(0xfe80 << 112, (0xfec0 << 112) - 1)])?;
        let mut number = Number { known: Region::NONE, ..Number::constant(0, width) };
        let names: std::collections::BTreeSet<_> =
            world.addresses.iter().map(|own| own.interface.clone()).collect();
        for (name, is_link_local) in names.iter().flat_map(|name| [(name, false), (name, true)]) {
            let found = first_address(world, name, space.is_v6, is_link_local);
            let Some(address) = found.filter(|_| space.is_v6 || !is_link_local) else { continue };
            let code = space.interfaces.number(name);
            let by_it = in_ranges(&mut space.bdd, &now, &[(code, code)])?;
            let scope = if is_link_local { link_local } else { !link_local };
            let by_it = space.bdd.and(by_it, scope)?;
            number.known = space.bdd.or(number.known, by_it)?;
            for (bit, one) in number.bits.iter_mut().zip(Number::constant(address, width).bits) {
                if one.is_all() {
                    *bit = space.bdd.or(*bit, by_it)?;
                }
            }
        }
        Ok(number)
    }

    /// What is not understood in a chain of type nat may have translated to anything.
    pub(super) fn translated_anyhow(
        &mut self,
        effect: &mut Effect,
        rule: RuleId,
    ) -> Result<(), Undecided> {
        if !self.is_in_nat {
            return Ok(());
        }
        let layout = self.space.layout;
        let (address, port) = match self.is_source_side() {
            true => (layout.source, layout.source_port),
            false => (layout.destination, layout.destination_port),
        };
        let new_address = self.any_number(address.width, rule, "an address")?;
        let new_port = self.any_number(port.width, rule, "a port")?;
        write(effect, address, &new_address);
        write(effect, port, &new_port);
        effect.is_translated = true;
        if !self.is_source_side() {
            effect.destination = Translated::Elsewhere;
        }
        Ok(())
    }

    /// Handed to a socket here if one waits, which nobody knows.
    fn tproxy(&mut self, stream: Stream, step: &mut Step<'_>) -> Result<(), Undecided> {
        let rule = self.ruleset.rule(step.id).map_or("", |rule| &*rule.text);
        let text = format!("a transparent socket waits: {rule}");
        let question = Question::new(text.clone());
        let waits = self.space.question(text, question)?;
        self.go_on_if(waits, stream, step)
    }
}

/// What a masqueraded packet's source becomes, where that is not known.
pub(super) const OWN_ADDRESS: &str = "this machine's address";

impl Space {
    /// A number nobody knows: a question a bit. The same key is the same number.
    pub(super) fn any_number(
        &mut self,
        width: u32,
        key: &str,
        what: &str,
    ) -> Result<Number, Undecided> {
        let mut number = Number::constant(0, width);
        for (place, bit) in number.bits.iter_mut().enumerate() {
            let key = format!("unknown {key} {place}");
            let text = what.to_owned();
            let question = Question { is_choice: true, ..Question::new(text) };
            *bit = self.question(key, question)?;
        }
        Ok(number)
    }

    /// What a translation says an end becomes. Of several the kernel chooses by the packet's ends, the same
    /// in whichever rule they stand.
    fn chosen_end(
        &mut self,
        end: &Expression,
        at: Place<'_>,
        memo: &mut Memo,
    ) -> Result<Evaluated, Undecided> {
        match end {
            Expression::OneOf(span) => self.one_of(span, &|| "an end".to_owned()),
            other => self.evaluate(other, at, memo),
        }
    }

    /// The address with the same host part in another network (NETMAP, `dnat ip prefix to`).
    fn within_network(
        &mut self,
        (low, high): (u128, u128),
        is_source: bool,
        effect: &Effect,
    ) -> Result<Number, Undecided> {
        let field = if is_source { self.layout.source } else { self.layout.destination };
        let before = self.bits_now(field, effect)?;
        let mut number = Number::constant(low, field.width);
        for ((variable, before), bit) in field.variables().zip(before).zip(&mut number.bits) {
            if field.bit(low ^ high, variable) == Some(true) {
                *bit = before;
            }
        }
        Ok(number)
    }

    /// Writes the variables of one field into another.
    fn bind(
        &mut self,
        effect: &mut Effect,
        (field, becomes): (Bits, Bits),
    ) -> Result<(), Undecided> {
        for (variable, becomes) in field.variables().zip(becomes.variables()) {
            let value = self.bdd.variable(becomes)?;
            effect.set(variable, value);
        }
        Ok(())
    }

    /// Whether the source, whether the destination was written anew.
    pub(super) fn translated_sides(&self, effect: &Effect) -> [bool; 2] {
        let layout = &self.layout;
        let sides =
            [[layout.source, layout.source_port], [layout.destination, layout.destination_port]];
        sides.map(|fields| {
            let mut variables = fields.into_iter().flat_map(Bits::variables);
            variables.any(|variable| effect.get(variable).is_some())
        })
    }
}

/// The variable of a single bit of `ct status`.
fn status_variable(field: Bits, bit: u128) -> u32 {
    field.end() - 1 - bit.trailing_zeros()
}

/// A new end, and the numbers that the kernel chooses it from, where these are known.
type End<'a> = (Option<&'a Number>, Option<(u128, u128)>);

/// The numbers that the kernel chooses from.
const fn span_of(end: Option<&Expression>) -> Option<(u128, u128)> {
    match end {
        Some(Expression::OneOf(Span::Numbers { low, high })) => Some((*low, *high)),
        _ => None,
    }
}
