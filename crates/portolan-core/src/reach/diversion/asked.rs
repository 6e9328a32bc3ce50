//! Packets of one family for a place, all at once: who takes some of them, and where to.

use std::net::IpAddr;

use super::{Destination, LOOPBACK, Target};
use crate::firewall::analyse::{
    Arrival, DEFAULT_BUDGET, Decision, Detail, Did, Fates, Space, answered, fates,
};
use crate::firewall::bdd::{Region, Undecided};
use crate::firewall::simulate::{Prepared, Step, Way};
use crate::firewall::{
    Chain, Effect, Expression, Hook, Nat, NatKind, RuleId, Ruleset, Span, Statement, Tuple, Value,
    World, address_of, protocol_of,
};
use crate::net::{Port, PortRange, Prefix};
use crate::reach::hints;

/// Packets of one family for a place, at a hook.
pub(super) struct Asked<'a> {
    pub(super) ruleset: &'a Ruleset,
    pub(super) world: &'a World,
    pub(super) with: &'a Prepared<'a>,
    pub(super) to: &'a Destination,
    pub(super) hook: Hook,
    pub(super) is_v6: bool,
}

impl Asked<'_> {
    /// Which rules take some of them, where to, and whether all.
    pub(super) fn taken(&self) -> Result<Vec<(RuleId, Target, bool)>, Undecided> {
        let addresses = self.to.at(self.hook, self.is_v6);
        if addresses.is_empty() || !self.is_translated_at() {
            return Ok(Vec::new());
        }
        let mut space = Space::new(self.is_v6, &[self.ruleset], self.world, DEFAULT_BUDGET);
        let start = self.packets(&mut space, &addresses)?;
        let start = space.of_way(start, self.way())?;
        let fates = fates(&mut space, self.with, self.way(), start, Detail::Decisions)?;
        let mut found = Vec::new();
        for (rule, packets) in self.takers(&mut space, &fates)? {
            for (target, part) in self.targets(&mut space, rule, packets, &fates.arrivals)? {
                if !self.to.is(target) {
                    let gone = space.bdd.or(part, fates.dropped)?;
                    let (always, _) = space.certainly_and_possibly(gone)?;
                    found.push((rule, target, space.bdd.covers(always, start)));
                }
            }
        }
        Ok(found)
    }

    fn is_translated_at(&self) -> bool {
        let met = self.ruleset.at(self.hook, self.is_v6);
        let mut chains = met.into_iter().filter_map(|id| self.ruleset.chain(id));
        chains.any(|chain| hints::is_nat(chain, self.hook))
    }

    fn way(&self) -> Way {
        if self.hook == Hook::Output { Way::Output } else { Way::Prerouting }
    }

    /// First packets of connections to the place.
    fn packets(&self, space: &mut Space, to: &[Prefix]) -> Result<Region, Undecided> {
        let begin = match self.hook {
            Hook::Output => {
                let own = self.world.addresses.iter().map(|own| own.address).chain(LOOPBACK);
                let own: Vec<Prefix> = own.map(Prefix::from).collect();
                let (fresh, own) = (space.fresh()?, space.from(&own)?);
                space.bdd.and(fresh, own)?
            }
            _ => space.from_outside()?,
        };
        let protocol = space.protocol(protocol_of(self.to.transport))?;
        let port = space.to_ports(&[(self.to.port.0, self.to.port.0)])?;
        let to = space.to(to)?;
        let all = space.bdd.intersection([begin, protocol, port, to])?;
        space.of_any_mark(all)
    }

    /// The rules that translate here, each with its packets.
    fn takers(&self, space: &mut Space, fates: &Fates) -> Result<Vec<(RuleId, Region)>, Undecided> {
        let mut found: Vec<(RuleId, Region)> = Vec::new();
        for decision in fates.decisions.iter().filter(|decision| self.translates(decision)) {
            match found.iter_mut().find(|(rule, _)| *rule == decision.rule) {
                Some((_, packets)) => *packets = space.bdd.or(*packets, decision.packets)?,
                None => found.push((decision.rule, decision.packets)),
            }
        }
        Ok(found)
    }

    fn translates(&self, decision: &Decision) -> bool {
        if decision.hook != self.hook {
            return false;
        }
        match decision.did {
            Did::Translated => true,
            Did::Accepted => self.may_translate(decision.rule),
            _ => false,
        }
    }

    /// Whether a rule that is not understood stands where rules translate.
    fn may_translate(&self, id: RuleId) -> bool {
        let is_nat = |chain: &Chain| hints::is_nat(chain, self.hook);
        let table = self.ruleset.tables.get(id.chain.table);
        let is_asked_from = table.is_some_and(|table| table.chains.iter().any(is_nat));
        let chain = self.ruleset.chain(id.chain);
        let stands_there = chain.is_some_and(|c| is_nat(c) || (c.base.is_none() && is_asked_from));
        stands_there && self.ruleset.rule(id).is_some_and(|rule| is_anything(&rule.statements))
    }

    /// Where a rule sends its packets, and which of them there.
    fn targets(
        &self,
        space: &mut Space,
        rule: RuleId,
        packets: Region,
        arrivals: &[Arrival],
    ) -> Result<Vec<(Target, Region)>, Undecided> {
        let Some(nat) = self.ruleset.rule(rule).and_then(|rule| nat(&rule.statements)) else {
            return Ok(vec![(Target::Unknown, packets)]);
        };
        match constant(nat, self.is_v6) {
            Some(target) => Ok(vec![(target, packets)]),
            None => self.looked_up(space, nat, packets, arrivals),
        }
    }

    /// Where packets go by a map: one of them is sent, those that end up where it does are set aside, and
    /// so on.
    fn looked_up(
        &self,
        space: &mut Space,
        nat: &Nat,
        packets: Region,
        arrivals: &[Arrival],
    ) -> Result<Vec<(Target, Region)>, Undecided> {
        let mut found = Vec::new();
        let mut left = packets;
        while !left.is_none() && found.len() < MOST_TARGETS {
            let Some(witness) = space.witness(left)? else { break };
            let walk = answered(self.with, self.way(), &witness);
            let Some(after) = translated(&walk.steps) else { break };
            let address = nat.address.is_some().then_some(after.destination);
            let mut there = Vec::new();
            for arrival in arrivals {
                let ending = space.ending_at(arrival, address, Port(after.destination_port))?;
                there.push(space.bdd.and(left, ending)?);
            }
            let part = match space.bdd.union(there)? {
                // They come to their end behind it.
                none if none.is_none() => left,
                part => part,
            };
            found.push((self.target(nat, address, after), part));
            left = space.bdd.minus(left, part)?;
        }
        if !left.is_none() {
            found.push((Target::Unknown, left));
        }
        Ok(found)
    }

    fn target(&self, nat: &Nat, address: Option<IpAddr>, after: Tuple) -> Target {
        let port = Port(after.destination_port);
        let is_named = nat.port.is_some() || port != self.to.port;
        let ports = is_named.then(|| port.into());
        Target::Known { addresses: address.map(|address| (address, address)), ports }
    }
}

/// What a rule's translation of the destination is.
fn nat(statements: &[Statement]) -> Option<&Nat> {
    statements.iter().find_map(|statement| match statement {
        Statement::Nat(nat) if matches!(nat.kind, NatKind::Dnat | NatKind::Redirect) => Some(nat),
        _ => None,
    })
}

/// Whether nobody understands what a rule does.
pub(super) fn is_anything(statements: &[Statement]) -> bool {
    statements
        .iter()
        .any(|s| matches!(s, Statement::Opaque { effect: Effect::Decides | Effect::Rewrites, .. }))
}

/// The target that is the same for every packet; `None` where maps or the packet's own end make it.
fn constant(nat: &Nat, is_v6: bool) -> Option<Target> {
    if nat.flags.iter().any(|flag| matches!(&**flag, "prefix" | "netmap")) {
        return None;
    }
    let addresses = match &nat.address {
        Some(address) => {
            let (low, high) = span(address)?;
            Some((address_of(low, is_v6), address_of(high, is_v6)))
        }
        None => None,
    };
    let ports = match &nat.port {
        Some(port) => {
            let (low, high) = span(port)?;
            let port = |number| u16::try_from(number).ok().map(Port);
            Some(PortRange::new(port(low)?, port(high)?).ok()?)
        }
        None => None,
    };
    Some(Target::Known { addresses, ports })
}

fn span(end: &Expression) -> Option<(u128, u128)> {
    match end {
        Expression::Constant(Value::Number(number)) => Some((*number, *number)),
        Expression::OneOf(Span::Numbers { low, high }) => Some((*low, *high)),
        _ => None,
    }
}

/// The ends of a packet after its destination was translated.
fn translated(steps: &[Step]) -> Option<Tuple> {
    steps.iter().find_map(|step| match step {
        Step::Translated { kind: NatKind::Dnat | NatKind::Redirect, after, .. } => Some(*after),
        _ => None,
    })
}

/// Of a map for more, the rest is somewhere else.
const MOST_TARGETS: usize = 8;
