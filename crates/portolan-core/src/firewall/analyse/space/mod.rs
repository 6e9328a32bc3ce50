//! The space of all packets of one family, and the words in which regions of it are said.
//!
//! ```text
//! possible   packets that there can be: as they come, as a client sends them, from outside, going out
//! asked      those that a question names: by interface, network, port, protocol, state
//! ```

mod asked;
mod possible;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::effect::Effect;
use super::interfaces::Interfaces;
use super::layout::Layout;
use crate::firewall::bdd::{Bdd, Bits, Region, Undecided};
use crate::firewall::packet::has_ports;
use crate::firewall::{ChainId, ChainKind, RuleId, Ruleset, Statement, World};
use crate::net::Prefix;

/// All packets of one family that the given rulesets may meet, with every open question as a
/// variable of its own. Regions of one space can be combined, also those of different rulesets.
#[derive(Debug)]
pub struct Space {
    /// The sets of packets.
    pub bdd: Bdd,
    pub(super) is_v6: bool,
    /// Whether routes say by which interface packets leave.
    pub(super) has_routes: bool,
    /// Whether any of the rulesets translates packets of this family.
    has_nat: bool,
    /// Whether any of them writes marks: else what is known of marks need not be kept with every rule.
    has_marks: bool,
    pub(super) layout: Layout,
    pub(super) interfaces: Interfaces,
    pub(super) questions: Vec<Question>,
    by_key: HashMap<String, u32>,
    /// Of this machine's networks.
    broadcasts: Vec<(u128, u128)>,
    /// What the matches of rules hold for, kept while one ruleset alone is asked about, again and again.
    pub(super) rows: Option<Rows>,
}

/// What the matches of each rule of a chain hold for, by what was done to packets before and what is
/// known of their way.
pub(super) type Rows = HashMap<(ChainId, Effect, [bool; 3]), Arc<[Region]>>;

/// Something that no packet answers: a limit, a set that could not be read, an unknown match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// In the words of the rule's tool.
    pub text: String,
    /// The rule that asks it, where other rules' answers to the same words may differ.
    pub rule: Option<RuleId>,
    /// The answer that is taken where nobody knows.
    pub presumed: Option<bool>,
    /// Whether it picks a value (of a translation, by chance) and so decides nothing by itself.
    pub is_choice: bool,
}

impl Question {
    /// One that has the same answer wherever the same words ask it, and nothing is presumed of.
    pub(super) const fn new(text: String) -> Self {
        Self { text, rule: None, presumed: None, is_choice: false }
    }
}

/// So many nodes by default: some 600 MB at most, reached by nothing but unnatural rules.
pub const DEFAULT_BUDGET: usize = 24_000_000;

impl Space {
    /// The space for packets of IPv4 or IPv6 that meet these rulesets.
    #[must_use]
    pub fn new(is_v6: bool, rulesets: &[&Ruleset], world: &World, budget: usize) -> Self {
        let interfaces = Interfaces::of(rulesets, world);
        Self {
            bdd: Bdd::new(budget),
            is_v6,
            has_routes: world.is_known(),
            has_nat: rulesets.iter().any(|ruleset| translates(ruleset, is_v6)),
            has_marks: rulesets.iter().any(|ruleset| writes_marks(ruleset)),
            layout: Layout::new(is_v6, interfaces.count()),
            interfaces,
            questions: Vec::new(),
            by_key: HashMap::new(),
            broadcasts: broadcasts(world),
            rows: None,
        }
    }

    /// Whether its packets are of IPv6.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        self.is_v6
    }

    /// The open questions met so far.
    #[must_use]
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The variable of an open question; the same key is the same question.
    pub(super) fn question(
        &mut self,
        key: String,
        question: Question,
    ) -> Result<Region, Undecided> {
        let next = self.layout.end + self.questions.len() as u32;
        let variable = *self.by_key.entry(key).or_insert(next);
        if variable == next {
            self.questions.push(question);
        }
        self.bdd.variable(variable)
    }

    /// The question a variable stands for.
    pub(super) fn asked(&self, variable: u32) -> Option<&Question> {
        self.questions.get(variable.checked_sub(self.layout.end)? as usize)
    }

    /// The open questions a region depends on.
    #[must_use]
    pub fn depends_on(&self, region: Region) -> Vec<Question> {
        let support = self.bdd.support(region);
        support.into_iter().filter_map(|variable| self.asked(variable)).cloned().collect()
    }

    /// Whether a packet in `region` may depend on answers: quantifies them away. First: the packets
    /// in it whatever the answers are; second: with some answers.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub fn certainly_and_possibly(
        &mut self,
        region: Region,
    ) -> Result<(Region, Region), Undecided> {
        let (mut always, mut maybe) = self.whatever_is_unread(region)?;
        if !self.questions.is_empty() {
            let end = self.layout.end;
            let cube = self.bdd.cube(end..end + self.questions.len() as u32)?;
            always = self.bdd.for_all(always, cube)?;
            maybe = self.bdd.exists(maybe, cube)?;
        }
        Ok((always, maybe))
    }

    /// The packets that are in a region whatever stands in those bytes of their transport header that no
    /// field tells (the checksum of ICMP, where a rule reads a port: `th dport`), and those that are in it
    /// with some such bytes.
    fn whatever_is_unread(&mut self, region: Region) -> Result<(Region, Region), Undecided> {
        let layout = self.layout;
        let ports = self.protocols_with_ports()?;
        let icmp = [self.protocol(1)?, self.protocol(58)?];
        let messages = self.bdd.union(icmp.to_vec())?;
        let has_first = self.bdd.or(ports, messages)?;
        let (mut always, mut maybe) = (region, region);
        for (field, is_told) in [
            (layout.destination_port, ports),
            (layout.source_port, has_first),
            (layout.tcp_flags, self.protocol(6)?),
        ] {
            let others = self.bdd.minus(maybe, is_told)?;
            if self.bdd.support(others).range(field.variables()).next().is_none() {
                continue;
            }
            let cube = self.bdd.cube(field.variables())?;
            let told = [self.bdd.and(always, is_told)?, self.bdd.and(maybe, is_told)?];
            let sure = self.bdd.or(always, is_told)?;
            let sure = self.bdd.for_all(sure, cube)?;
            let sure = self.bdd.minus(sure, is_told)?;
            let some = self.bdd.exists(others, cube)?;
            let some = self.bdd.minus(some, is_told)?;
            (always, maybe) = (self.bdd.or(told[0], sure)?, self.bdd.or(told[1], some)?);
        }
        Ok((always, maybe))
    }

    /// The packets whose protocol has ports.
    pub(super) fn protocols_with_ports(&mut self) -> Result<Region, Undecided> {
        let mut ports = Vec::new();
        for protocol in (0..=u8::MAX).filter(|protocol| has_ports(*protocol)) {
            ports.push(self.protocol(protocol)?);
        }
        self.bdd.union(ports)
    }

    /// The marks, where rules write them.
    fn marks(&self) -> Vec<Bits> {
        match self.has_marks {
            true => vec![self.layout.mark, self.layout.ct_mark],
            false => Vec::new(),
        }
    }

    /// The packets within the bounds of a region, as far as fields tell them that rules usually ask for: a
    /// wider region, and a simpler one.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(super) fn bounds(&mut self, region: Region) -> Result<Region, Undecided> {
        let layout = self.layout;
        let mut kept = vec![
            layout.interface_in,
            layout.state,
            layout.protocol,
            layout.destination_port,
            layout.source_port,
            layout.destination,
            layout.source,
        ];
        kept.extend(self.marks());
        self.projected(region, &kept)
    }

    /// The same by the fields that stand before addresses: rules for other ports are left out, and those
    /// for some addresses stay as they are.
    ///
    /// # Errors
    /// When the node budget is used up.
    pub(super) fn wide_bounds(&mut self, region: Region) -> Result<Region, Undecided> {
        let layout = self.layout;
        let mut kept =
            vec![layout.interface_in, layout.state, layout.protocol, layout.destination_port];
        kept.extend(self.marks());
        self.projected(region, &kept)
    }
}

/// The broadcast addresses of this machine's networks.
fn broadcasts(world: &World) -> Vec<(u128, u128)> {
    let mut found: Vec<_> = world.broadcasts().map(number_of).map(|own| (own, own)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Whether a rule writes something into the packet or its connection.
fn writes_marks(ruleset: &Ruleset) -> bool {
    let mut rules = ruleset.chains().flat_map(|(_, chain)| &chain.rules);
    rules.any(|rule| rule.statements.iter().any(|one| matches!(one, Statement::Assign { .. })))
}

/// Whether chains of type nat see packets of a family.
fn translates(ruleset: &Ruleset, is_v6: bool) -> bool {
    let tables = ruleset.tables.iter();
    let seeing = tables.filter(|table| !table.is_dormant && table.family.passes(is_v6));
    let mut bases = seeing.flat_map(|table| &table.chains).filter_map(|chain| chain.base.as_ref());
    bases.any(|base| base.kind == ChainKind::Nat)
}

/// An address as a number.
pub(super) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(four) => u32::from(four).into(),
        IpAddr::V6(six) => six.into(),
    }
}

/// The first and last address of a network, as numbers.
pub(super) fn span_of(network: Prefix) -> (u128, u128) {
    let first = number_of(network.address());
    let width: u32 = if network.address().is_ipv4() { 32 } else { 128 };
    let host = Bits { first: 0, width: width.saturating_sub(network.length().into()) };
    (first, first | host.greatest())
}
