//! What one statement of a rule does with all packets that come to it.

use super::{Did, Run, Step};
use crate::firewall::analyse::stream::Stream;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::{Statement, Verdict};

impl Run<'_> {
    pub(super) fn statement(
        &mut self,
        statement: &Statement,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let at = self.place(step.id, &stream.effect);
        match statement {
            Statement::Match(wanted) => {
                let holds = self.space.matching(wanted, at, &mut self.memo)?;
                self.go_on_if(holds, stream, step)
            }
            Statement::Condition(asked) => {
                let holds = self.space.condition(asked, at)?;
                self.go_on_if(holds, stream, step)
            }
            Statement::Verdict(verdict) => self.verdict(verdict, stream, step),
            Statement::VerdictMap { key, map } => self.verdict_map(key, map, stream, step),
            Statement::Assign { target, value } => self.assign(*target, value, stream, step),
            Statement::Nat(nat) => self.translate(nat, stream, step),
            Statement::NoTrack => self.no_track(stream, step),
            Statement::Template { is_over_untracked } => {
                self.template(*is_over_untracked, stream, step)
            }
            Statement::Update { operation, set, key, conditions } => {
                self.update(*operation, set, (key, conditions), stream, step)
            }
            Statement::Opaque { effect: crate::firewall::Effect::Passes, .. } => {
                step.active.push(stream);
                Ok(())
            }
            Statement::Opaque { text, effect: crate::firewall::Effect::Rewrites } => {
                self.rewrites(text, stream, step)
            }
            Statement::Opaque { text, .. } => self.anything(text, stream, step),
        }
    }

    pub(in crate::firewall::analyse) fn go_on_if(
        &mut self,
        holds: Region,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let bdd = &mut self.space.bdd;
        let hit = bdd.and(stream.packets, holds)?;
        let missed = bdd.minus(stream.packets, hit)?;
        step.next.add(bdd, &stream.effect, missed)?;
        step.go_on(stream.effect, hit);
        Ok(())
    }

    pub(super) fn verdict(
        &mut self,
        verdict: &Verdict,
        stream: Stream,
        step: &mut Step<'_>,
    ) -> Result<(), Undecided> {
        let packets = stream.packets;
        match verdict {
            Verdict::Accept => {
                self.decide(step.id, Did::Accepted, packets);
                step.flow.accepted.add(&mut self.space.bdd, &stream.effect, packets)?;
            }
            Verdict::Drop => {
                self.decide(step.id, Did::Dropped, packets);
                self.ends.dropped.push(packets);
            }
            Verdict::Reject(with) => {
                self.decide(step.id, Did::Rejected(*with), packets);
                self.ends.rejected.entry(*with).or_default().push(packets);
            }
            Verdict::Continue => step.go_on(stream.effect, packets),
            Verdict::Return => {
                self.decide(step.id, Did::Held, packets);
                step.flow.returned.add(&mut self.space.bdd, &stream.effect, packets)?;
            }
            Verdict::Jump(name) => {
                self.decide(step.id, Did::Held, packets);
                let flow = self.ask(name, stream, step, step.depth + 1)?;
                step.flow.accepted.extend(&mut self.space.bdd, flow.accepted)?;
                step.next.extend(&mut self.space.bdd, flow.returned)?;
            }
            Verdict::Goto(name) => {
                self.decide(step.id, Did::Held, packets);
                let flow = self.ask(name, stream, step, step.depth)?;
                step.flow.accepted.extend(&mut self.space.bdd, flow.accepted)?;
                step.flow.returned.extend(&mut self.space.bdd, flow.returned)?;
            }
        }
        Ok(())
    }
}
