//! Statements that look up verdicts, write marks, or do nobody knows what.

use std::collections::HashMap;

use super::{Did, Flow, Run, Step};
use crate::firewall::analyse::effect::{Effect, Presaid};
use crate::firewall::analyse::evaluate::{Evaluated, elements_of};
use crate::firewall::analyse::number::Number;
use crate::firewall::analyse::space::Question;
use crate::firewall::analyse::stream::{Stream, Streams};
use crate::firewall::bdd::{Bits, Region, Taker, Undecided};
use crate::firewall::simulate::rewritten;
use crate::firewall::{Element, ElementValue, Expression, RuleId, SetRef, Target, Verdict};

impl Run<'_> {
    pub(super) fn verdict_map(
        &mut self,
        key: &Expression,
        map: &SetRef,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let parts = match self.space.evaluate(key, at, &mut self.memo)? {
            Evaluated::Numbers(parts) => parts,
            Evaluated::Open(text) => return self.anything(&text, stream, step),
        };
        let Some(elements) = elements_of(map, at) else {
            return self.anything("a map that could not be read", stream, step);
        };
        let mut by_verdict: Vec<(Verdict, Vec<Element>)> = Vec::new();
        let mut index: HashMap<Verdict, usize> = HashMap::new();
        for element in elements.iter() {
            let ElementValue::Verdict(verdict) = &element.value else { continue };
            let at = *index.entry(verdict.clone()).or_insert_with(|| {
                by_verdict.push((verdict.clone(), Vec::new()));
                by_verdict.len() - 1
            });
            by_verdict[at].1.push(element.clone());
        }
        let known = parts.iter().map(|part| part.known).collect::<Vec<_>>();
        let known = self.space.bdd.intersection(known)?;
        let mut takers = Vec::with_capacity(by_verdict.len());
        for (label, (_, elements)) in (0..).zip(&by_verdict) {
            let inside = self.space.in_elements(&parts, elements)?;
            let region = self.space.bdd.and(inside, known)?;
            takers.push(Taker { region, label, passes_on: false });
        }
        let (mut next, mut returned, mut accepted) = (Vec::new(), Vec::new(), Vec::new());
        for (label, packets) in self.deal(takers, stream.packets)? {
            let stream = Stream { effect: stream.effect.clone(), packets };
            let Some((verdict, _)) = by_verdict.get(label as usize) else {
                next.push(stream);
                continue;
            };
            let (mut on, mut flow) = (Streams::default(), Flow::default());
            let active = std::mem::take(&mut step.active);
            let (id, statement, depth) = (step.id, step.statement, step.depth);
            let mut one = Step { id, statement, depth, active, next: &mut on, flow: &mut flow };
            self.verdict(verdict, stream, &mut one)?;
            step.active = one.active;
            next.extend(on.0);
            returned.extend(flow.returned.0);
            accepted.extend(flow.accepted.0);
        }
        // All at once: one after the other, what there is already would grow for each of thousands.
        let bdd = &mut self.space.bdd;
        step.next.gather(bdd, next)?;
        step.flow.returned.gather(bdd, returned)?;
        step.flow.accepted.gather(bdd, accepted)
    }

    pub(super) fn assign(
        &mut self,
        target: Target,
        value: &Expression,
        mut stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let number = match self.space.evaluate(value, at, &mut self.memo)? {
            Evaluated::Numbers(mut parts) if parts.len() == 1 => parts.remove(0),
            _ => {
                let width = target.field().width().unwrap_or(32);
                self.any_number(width, step.id, &format!("{target:?}"))?
            }
        };
        let hit = self.space.bdd.and(stream.packets, number.known)?;
        let missed = self.space.bdd.minus(stream.packets, hit)?;
        step.next.add(&mut self.space.bdd, &stream.effect, missed)?;
        let (field, number) = match target {
            Target::Mark => (self.space.layout.mark, number),
            Target::CtMark => {
                let number = self.ct_mark(number, &stream.effect, step.id)?;
                (self.space.layout.ct_mark, number)
            }
            header => match self.space.layout.plain(header.field(), self.space.is_v6) {
                Some(field) => (field, number),
                None => {
                    step.go_on(stream.effect, hit);
                    return Ok(());
                }
            },
        };
        write(&mut stream.effect, field, &number);
        stream.effect.has_port_written |= target.is_port();
        step.go_on(stream.effect, hit);
        Ok(())
    }

    /// What `ct mark` is after being set: without a connection there is nothing to set, and the
    /// rule goes on (nft_ct_set_eval).
    fn ct_mark(
        &mut self,
        number: Number,
        effect: &Effect,
        rule: RuleId,
    ) -> Result<Number, Undecided> {
        let tracked = self.space.has_connection(self.place(rule, effect))?;
        let before = self.space.bits_now(self.space.layout.ct_mark, effect)?;
        let mut padded = number.bits;
        let missing = before.len().saturating_sub(padded.len());
        padded.splice(0..0, std::iter::repeat_n(Region::NONE, missing));
        let surplus = padded.len() - before.len();
        let mut bits = Vec::with_capacity(before.len());
        for (before, after) in before.into_iter().zip(padded.split_off(surplus)) {
            bits.push(self.space.bdd.either(tracked, after, before)?);
        }
        Ok(Number { bits, known: Region::ALL, is_name: false })
    }

    /// A number nobody knows.
    pub(in crate::firewall::analyse) fn any_number(
        &mut self,
        width: u32,
        rule: RuleId,
        what: &str,
    ) -> Result<Number, Undecided> {
        // Not by its number: the same rule of another ruleset takes the same.
        let key = format!("{what} of {:?}", self.ruleset.identity(rule));
        self.space.any_number(width, &key, what)
    }

    /// `notrack`: nothing where there is a connection already, or is said what it is to be.
    pub(super) fn no_track(
        &mut self,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        match stream.effect.connection {
            Presaid::Template => {
                step.active.push(stream);
                Ok(())
            }
            _ => self.say_of_connection(Presaid::Untracked, stream, step),
        }
    }

    /// `ct zone set` and its like: nothing where there is a connection already.
    pub(super) fn template(
        &mut self,
        is_over_untracked: bool,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        if stream.effect.connection == Presaid::Untracked && !is_over_untracked {
            step.active.push(stream);
            return Ok(());
        }
        self.say_of_connection(Presaid::Template, stream, step)
    }

    fn say_of_connection(
        &mut self,
        said: Presaid,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        let has_connection = self.space.has_connection(at)?;
        let bdd = &mut self.space.bdd;
        let tracked = bdd.and(stream.packets, has_connection)?;
        let loose = bdd.minus(stream.packets, tracked)?;
        step.go_on(stream.effect.clone(), tracked);
        let mut effect = stream.effect;
        effect.connection = said;
        step.go_on(effect, loose);
        Ok(())
    }

    /// A statement that writes into packets what is not followed: they may go to any port of any address, and
    /// end there or before.
    pub(in crate::firewall::analyse) fn rewrites(
        &mut self,
        text: &str,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let text = rewritten(text);
        let key = format!("{text} {:?} {}", self.ruleset.identity(step.id), step.statement);
        let rule = Some(step.id);
        let question = Question { rule, ..Question::new(text) };
        let passes = self.space.question(key, question)?;
        let through = self.space.bdd.and(stream.packets, passes)?;
        let dropped = self.space.bdd.minus(stream.packets, through)?;
        self.decide(step.id, Did::Accepted, through);
        self.decide(step.id, Did::Dropped, dropped);
        self.ends.dropped.push(dropped);
        let layout = self.space.layout;
        let mut effect = stream.effect;
        for (field, what) in
            [(layout.destination, "an address"), (layout.destination_port, "a port")]
        {
            let any = self.any_number(field.width, step.id, what)?;
            write(&mut effect, field, &any);
        }
        self.ends.through.add(&mut self.space.bdd, &effect, through)
    }

    /// A statement nobody understands: it may let packets go on, end the rule, accept or drop.
    pub(in crate::firewall::analyse) fn anything(
        &mut self,
        text: &str,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        // Not by its number, as with limits; but what it keeps in mind is its own.
        let place = self.ruleset.identity(step.id);
        let mut ask = |what: &str| {
            let text = format!("`{text}` {what}");
            let key = format!("{text} {place:?} {}", step.statement);
            let rule = Some(step.id);
            self.space.question(key, Question { rule, ..Question::new(text) })
        };
        let goes_on = ask("lets it go on")?;
        let ends_rule = ask("ends its rule only")?;
        let accepts = ask("accepts")?;
        let bdd = &mut self.space.bdd;
        let on = bdd.and(stream.packets, goes_on)?;
        let rest = bdd.minus(stream.packets, on)?;
        let over = bdd.and(rest, ends_rule)?;
        let rest = bdd.minus(rest, over)?;
        let accepted = bdd.and(rest, accepts)?;
        let dropped = bdd.minus(rest, accepted)?;
        step.next.add(bdd, &stream.effect, over)?;
        let mut effect = stream.effect.clone();
        self.translated_anyhow(&mut effect, step.id)?;
        step.flow.accepted.add(&mut self.space.bdd, &effect, accepted)?;
        self.ends.dropped.push(dropped);
        self.decide(step.id, Did::Accepted, accepted);
        self.decide(step.id, Did::Dropped, dropped);
        step.go_on(stream.effect, on);
        Ok(())
    }
}

/// Writes a number's lowest bits into a field.
pub(in crate::firewall::analyse) fn write(effect: &mut Effect, field: Bits, number: &Number) {
    let mut bits = number.bits.iter().rev();
    for variable in field.variables().rev() {
        effect.set(variable, bits.next().copied().unwrap_or(Region::NONE));
    }
}
