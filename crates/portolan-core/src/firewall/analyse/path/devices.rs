//! Chains on the hooks of devices, which see the packets of those only, and tables of bridges.

use crate::firewall::analyse::chain::{Did, Run};
use crate::firewall::analyse::effect::Effect;
use crate::firewall::analyse::number::in_ranges;
use crate::firewall::analyse::space::Question;
use crate::firewall::analyse::stream::Streams;
use crate::firewall::bdd::{Bits, Region, Undecided};
use crate::firewall::device::{Device, Devices, asks_port};
use crate::firewall::simulate::Prepared;
use crate::firewall::{ChainId, Hook, RuleId};

impl Run<'_> {
    /// Tables of bridges, which are not evaluated: packets of a bridge may end there.
    pub(super) fn pass_bridge(
        &mut self,
        prepared: &Prepared<'_>,
        mut streams: Streams,
    ) -> Result<Streams, Undecided> {
        let link = self.link();
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

    /// A base chain, which on the hooks of devices sees their packets only.
    pub(super) fn device_chain(
        &mut self,
        id: ChainId,
        streams: Streams,
    ) -> Result<Streams, Undecided> {
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
        let link = self.link();
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

    /// The interface that a hook of devices is about.
    const fn link(&self) -> Bits {
        match self.hook {
            Hook::Ingress => self.space.layout.interface_in,
            _ => self.space.layout.interface_out,
        }
    }

    /// A question that nobody answers, about where a chain is.
    fn open(&mut self, text: String, id: ChainId) -> Result<Region, Undecided> {
        let rule = Some(RuleId { chain: id, rule: None });
        let question = Question { rule, ..Question::new(text.clone()) };
        self.space.question(text, question)
    }
}
