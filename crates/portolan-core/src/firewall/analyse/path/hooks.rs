//! The hooks one after another, and what packets meet at each: conntrack, translation, chains.

use crate::firewall::analyse::chain::{Did, Flow, Run};
use crate::firewall::analyse::effect::{Effect, Presaid};
use crate::firewall::analyse::space::Question;
use crate::firewall::analyse::stream::Streams;
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Event, Prepared, Way};
use crate::firewall::{ChainId, ChainPolicy, Hook, RuleId};

impl Run<'_> {
    pub(super) fn sent_on(
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

    /// A base chain and its policy; what it accepts goes on.
    pub(in crate::firewall::analyse) fn base_chain(
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
}
