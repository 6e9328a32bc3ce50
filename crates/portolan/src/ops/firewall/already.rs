//! Who reaches ports today, by the rules that are loaded: what a change does not open is not what it cuts.
//!
//! Exact for all callers; where the rules are too large for that, nothing is said.

use portolan_core::firewall::analyse::{self, AnalyseError, Block, Search, Space};
use portolan_core::firewall::simulate::{Prepared, Way};
use portolan_core::firewall::{Addresses, RuleId, RulePlace, Ruleset, Tuple, protocol_of};
use portolan_core::net::{Endpoint, Prefix, Transport};

use super::judge::Judge;
use super::samples::{SOME_PORT, strangers};

/// What the loaded rules do with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Already {
    /// The rule that refuses a stranger, where one can be named.
    pub(crate) by: Option<RulePlace>,
}

/// Whether they are decided at once. Long lists of addresses are sets, not rules.
fn is_small(live: &Ruleset) -> bool {
    live.rule_count() <= MOST_RULES
}

const MOST_RULES: usize = 5_000;

/// Nodes of a diagram: some tens of megabytes.
const BUDGET: usize = 2_000_000;

/// Who reaches ports today.
pub(super) struct Today<'t> {
    judge: &'t Judge<'t>,
    live: &'t Ruleset,
    prepared: Prepared<'t>,
    four: Vec<Block>,
    six: Vec<Block>,
}

impl<'t> Today<'t> {
    /// Asks the rules that are loaded; `None` where they are too large to be decided at once.
    pub(super) fn of(
        judge: &'t Judge<'t>,
        live: &'t Ruleset,
        ports: &[(Endpoint, Transport)],
    ) -> Option<Self> {
        if ports.is_empty() || !is_small(live) {
            return None;
        }
        let prepared = Prepared::new(live, judge.world());
        let mut today = Self { judge, live, prepared, four: Vec::new(), six: Vec::new() };
        today.four = today.reached(false, ports).ok().flatten()?;
        today.six = today.reached(true, ports).ok().flatten()?;
        Some(today)
    }

    /// What refuses everybody who calls a port; `None` where somebody reaches it.
    pub(super) fn refused(&self, bound: Endpoint, transport: Transport) -> Option<Already> {
        let is_reached = self.blocks(bound, transport).next().is_some();
        (!is_reached).then(|| Already { by: self.refuser((bound, transport)) })
    }

    /// Who reaches a port, or may.
    pub(super) fn senders(&self, bound: Endpoint, transport: Transport) -> Addresses {
        let networks = self.blocks(bound, transport).flat_map(|block| &block.sources.networks);
        Addresses::of(networks.copied())
    }

    /// What comes through to a port; a socket of IPv6 that is bound to no address may take IPv4 as well.
    fn blocks(&self, bound: Endpoint, transport: Transport) -> impl Iterator<Item = &Block> {
        let own = bound.address;
        let four = self.four.iter().filter(move |_| own.is_ipv4() || own.is_unspecified());
        let six = self.six.iter().filter(move |_| own.is_ipv6());
        four.chain(six).filter(move |block| is_of(block, bound.port.0, transport))
    }

    /// What of the ports somebody outside may reach, in one family: nothing without an address of it.
    /// `None` where that is too much to be told.
    fn reached(
        &self,
        is_v6: bool,
        ports: &[(Endpoint, Transport)],
    ) -> Result<Option<Vec<Block>>, AnalyseError> {
        let own = self.judge.own(is_v6).map(Prefix::from);
        let own = Addresses::of(own).prefixes(is_v6);
        if own.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut space = Space::new(is_v6, &[self.live], self.judge.world(), BUDGET);
        let (outside, to) = (space.from_outside()?, space.to(&own)?);
        let packets = space.bdd.and(outside, to)?;
        let numbers = ports.iter().map(|(bound, _)| (bound.port.0, bound.port.0));
        let (ports, way) = (Some(numbers.collect()), Way::ByRoute);
        let found = analyse::search(&mut space, &self.prepared, &Search { packets, ports, way })?;
        let all = found.allowed.into_iter().map(|allowed| allowed.block);
        Ok(found.is_whole.then(|| all.collect()))
    }

    /// The rule that refuses most strangers who call it.
    fn refuser(&self, (bound, transport): (Endpoint, Transport)) -> Option<RulePlace> {
        let is_v6 = bound.address.is_ipv6() && self.judge.own(true).next().is_some();
        let own = match bound.address.is_unspecified() {
            true => self.judge.own(is_v6).next()?,
            false => bound.address,
        };
        let (protocol, destination_port) = (protocol_of(transport), bound.port.0);
        let mut by: Vec<(RuleId, usize)> = Vec::new();
        for source in strangers(own.is_ipv6()) {
            let (destination, source_port) = (own, SOME_PORT);
            let call = Tuple { source, destination, protocol, source_port, destination_port };
            let Some(rule) = self.judge.refuser(&self.prepared, &call) else { continue };
            match by.iter_mut().find(|(known, _)| *known == rule) {
                Some((_, count)) => *count += 1,
                None => by.push((rule, 1)),
            }
        }
        let (rule, _) = by.into_iter().rev().max_by_key(|(_, count)| *count)?;
        self.live.place(rule)
    }
}

fn is_of(block: &Block, port: u16, transport: Transport) -> bool {
    let protocol = protocol_of(transport);
    let is_protocol = block.protocols.iter().any(|(a, b)| (*a..=*b).contains(&protocol));
    is_protocol && block.ports.iter().any(|(a, b)| (*a..=*b).contains(&port))
}
