//! Least privilege from traffic: a policy as narrow as the flows that were observed.
//!
//! Flows are run against the rules; those that pass are needed, and their sources become few networks
//! ([`cover`]). What is needed becomes a table that drops the rest ([`guard`]). That the result is no wider
//! than the old rules and loses no observed flow is for the analysis to prove: observed ⊆ new ⊆ old.

mod cover;
pub mod guard;
mod proof;
mod source_ports;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::flow::Flow;
use super::simulate::{Did, Open, Outcome, Prepared, Step, Walk, Way};
use super::{
    ChainId, Expression, Family, Field, Hook, IcmpMessage, Match, Packet, RuleId, Ruleset, SetRef,
    Statement, Table, Test, Value, Verdict, World, bits,
};
use crate::net::{Port, PortRange, Prefix, Transport};

pub use cover::cover;
pub use proof::{HookProof, Proof, prove};
pub use source_ports::SourcePorts;

/// What observed traffic needs of the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What has to stay reachable, by interface, transport and sources.
    pub needs: Vec<Need>,
    /// Rules that accept, drop or translate and that no flow met and no packet was counted by.
    pub unused: Vec<RuleId>,
    /// Flows the rules refuse already, each once without its source port, with how often it was seen.
    pub refused: Vec<(Flow, u64)>,
    /// Flows whose fate depends on what no flow tells; they count as needed.
    pub depending: u64,
    /// Flows that are let through and not judged: ICMP and other protocols without ports, loopback, what
    /// goes on to other machines without being translated. Also errors and answers of ICMP, let through or not:
    /// they belong to a connection.
    pub unjudged: u64,
    /// All flows.
    pub total: u64,
}

/// One thing that is needed: some networks reach some ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// At this hook: input, or forward for what is translated and passed on.
    pub hook: Hook,
    /// By this interface; empty: by any.
    pub interface: Box<str>,
    /// The transport.
    pub transport: Transport,
    /// The ports; at forward those the packets had before they were translated.
    pub ports: Vec<PortRange>,
    /// From here.
    pub sources: Vec<Prefix>,
    /// How many flows need it.
    pub flows: u64,
    /// How many different addresses they came from.
    pub addresses: usize,
}

impl Need {
    /// IANA's number of its transport.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
            Transport::Sctp => 132,
            Transport::Dccp => 33,
        }
    }
}

/// Flows, each once but for source ports that no rule tells apart, with how often it was seen.
#[derive(Clone, Debug)]
pub struct Tally {
    source_ports: SourcePorts,
    seen: HashMap<Flow, u64>,
}

impl Tally {
    /// For flows that are run against these rules.
    #[must_use]
    pub fn of(ruleset: &Ruleset) -> Self {
        Self { source_ports: SourcePorts::of(ruleset), seen: HashMap::new() }
    }

    /// Adds a flow.
    pub fn push(&mut self, flow: Flow) {
        let source_port = match has_ports(flow.protocol) {
            true => self.source_ports.stands_for(flow.source_port, SOURCE_PORT),
            false => flow.source_port,
        };
        *self.seen.entry(Flow { source_port, ..flow }).or_default() += 1;
    }

    /// How many different ones there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// The flows in order.
    #[must_use]
    pub fn flows(&self) -> Vec<(&Flow, u64)> {
        let mut flows: Vec<_> = self.seen.iter().map(|(flow, count)| (flow, *count)).collect();
        flows.sort_unstable();
        flows
    }
}

const fn has_ports(protocol: u8) -> bool {
    transport(protocol).is_some()
}

const fn transport(protocol: u8) -> Option<Transport> {
    match protocol {
        6 => Some(Transport::Tcp),
        17 => Some(Transport::Udp),
        132 => Some(Transport::Sctp),
        33 => Some(Transport::Dccp),
        _ => None,
    }
}

/// The source port that stands for all a client may have chosen: the first of those the kernel chooses from
/// (`net.ipv4.ip_local_port_range`).
const SOURCE_PORT: u16 = 32_768;

/// A flow as the first packet of its connection.
#[must_use]
pub fn packet(flow: &Flow, world: &World) -> Packet {
    let packet = Packet::new(flow.protocol, flow.source, flow.destination).framed(world);
    let packet = Packet { interface_in: flow.interface.clone(), ..packet };
    if has_ports(flow.protocol) {
        return packet.ports(flow.source_port, flow.destination_port);
    }
    let byte = |number: u16| u8::try_from(number).unwrap_or(0);
    let icmp = IcmpMessage { kind: byte(flow.source_port), code: byte(flow.destination_port) };
    Packet { icmp, ..packet }
}

/// Runs the flows against the rules on `way`, and says what they need of the hook input and, where they are
/// translated and passed on, of forward. `budget` is how many networks a need may list of a family.
#[must_use]
pub fn observe(
    ruleset: &Ruleset,
    world: &World,
    tally: &Tally,
    way: Way,
    budget: usize,
) -> Observed {
    let prepared = Prepared::new(ruleset, world);
    let mut found = Observed::default();
    let mut met = BTreeSet::new();
    let mut passed: BTreeMap<Key, Passed> = BTreeMap::new();
    for (flow, count) in tally.flows() {
        found.total += count;
        let packet = packet(flow, world);
        let walk = prepared.walk(&packet, way, &Open);
        met.extend(rules_met(&walk.steps));
        if packet.is_of_a_connection() {
            found.unjudged += count;
            continue;
        }
        if !walk.is_certain() {
            found.depending += count;
        } else if walk.outcome != Outcome::Accept {
            found.refused.push((flow.clone(), count));
            continue;
        }
        match transport(flow.protocol).zip(judged_at(flow, &walk)) {
            Some((transport, (hook, port))) => {
                let key = (hook, interface(flow), transport, port);
                passed.entry(key).or_default().add(flow.source, count);
            }
            None => found.unjudged += count,
        }
    }
    found.unused = unused(ruleset, &met);
    found.needs = needs(passed, budget);
    found
}

type Key = (Hook, Box<str>, Transport, u16);

/// The hook at which the guard judges a flow, and the port it sees there.
fn judged_at(flow: &Flow, walk: &Walk) -> Option<(Hook, u16)> {
    let passes = |hook| walk.steps.contains(&Step::Hook(hook));
    let there = &walk.packet;
    let is_moved =
        (there.destination, there.destination_port) != (flow.destination, flow.destination_port);
    match &*flow.interface {
        "lo" => None,
        // A redirect has changed the port before the guard sees the packet.
        _ if passes(Hook::Input) => Some((Hook::Input, there.destination_port)),
        _ if passes(Hook::Forward) && is_moved => Some((Hook::Forward, flow.destination_port)),
        _ => None,
    }
}

fn interface(flow: &Flow) -> Box<str> {
    if guard::is_plain(&flow.interface) { flow.interface.clone() } else { "".into() }
}

#[derive(Default)]
struct Passed {
    sources: BTreeSet<IpAddr>,
    flows: u64,
}

impl Passed {
    fn add(&mut self, source: IpAddr, count: u64) {
        self.sources.insert(source);
        self.flows += count;
    }
}

fn rules_met(steps: &[Step]) -> impl Iterator<Item = RuleId> {
    steps.iter().filter_map(|step| match step {
        Step::Matched { rule, did } if *did != Did::Pass => Some(*rule),
        Step::Translated { by, .. } => *by,
        _ => None,
    })
}

/// Rules that decide, and that neither these flows nor the kernel's counters have met. Rules for packets of
/// connections that exist already are met by no first packet, and so are not among them.
fn unused(ruleset: &Ruleset, met: &BTreeSet<RuleId>) -> Vec<RuleId> {
    let mut found = Vec::new();
    let of_others =
        |id: ChainId| ruleset.tables.get(id.table).is_none_or(|t| &*t.name != guard::TABLE);
    for (id, chain) in ruleset.chains().filter(|(id, _)| of_others(*id)) {
        for (index, rule) in chain.rules.iter().enumerate() {
            let id = RuleId { chain: id, rule: Some(index) };
            let has_counted = rule.counter.is_some_and(|counter| counter.packets > 0);
            let is_silent = !has_counted && !met.contains(&id);
            if is_silent && decides(&rule.statements) && may_be_first(&rule.statements) {
                found.push(id);
            }
        }
    }
    found
}

fn may_be_first(statements: &[Statement]) -> bool {
    statements.iter().all(|statement| match statement {
        Statement::Match(Match { left: Expression::Field(Field::CtState), test }) => match test {
            Test::AnyBit(states) => states & bits::NEW != 0,
            Test::In(SetRef::Inline(elements)) => {
                let new = Value::Number(bits::NEW);
                elements.iter().flat_map(|element| &element.key).any(|span| span.contains(&new))
            }
            _ => true,
        },
        _ => true,
    })
}

fn decides(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Verdict(verdict) => {
            matches!(verdict, Verdict::Accept | Verdict::Drop | Verdict::Reject(_))
        }
        Statement::Nat(_) | Statement::VerdictMap { .. } => true,
        _ => false,
    })
}

/// Ports with the same sources by the same interface are told together.
fn needs(passed: BTreeMap<Key, Passed>, budget: usize) -> Vec<Need> {
    let mut found: Vec<Need> = Vec::new();
    let mut ports: Vec<BTreeSet<u16>> = Vec::new();
    for ((hook, interface, transport, port), passed) in passed {
        let addresses: Vec<IpAddr> = passed.sources.into_iter().collect();
        let sources = cover(&addresses, budget);
        let same = found.iter().position(|need| {
            (need.hook, &need.interface, need.transport) == (hook, &interface, transport)
                && need.sources == sources
        });
        let at = same.unwrap_or_else(|| {
            let addresses = addresses.len();
            found.push(Need {
                hook,
                interface,
                transport,
                ports: Vec::new(),
                sources,
                flows: 0,
                addresses,
            });
            ports.push(BTreeSet::new());
            found.len() - 1
        });
        found[at].flows += passed.flows;
        found[at].addresses = found[at].addresses.max(addresses.len());
        ports[at].insert(port);
    }
    for (need, ports) in found.iter_mut().zip(ports) {
        need.ports = ranges(&ports);
    }
    found
}

fn ranges(ports: &BTreeSet<u16>) -> Vec<PortRange> {
    let mut found: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match found.last_mut() {
            Some(last) if last.1.checked_add(1) == Some(*port) => last.1 = *port,
            _ => found.push((*port, *port)),
        }
    }
    found.into_iter().filter_map(|(from, to)| PortRange::new(Port(from), Port(to)).ok()).collect()
}

/// The old rules with the guard before them, in place of one they have already.
#[must_use]
pub fn tightened(ruleset: &Ruleset, needs: &[Need]) -> Ruleset {
    let mut tightened = ruleset.clone();
    let guard = guard::table(needs, guard::has_forward(ruleset));
    let is_guard = |table: &Table| &*table.name == guard::TABLE && table.family == Family::Inet;
    match tightened.tables.iter_mut().find(|table| is_guard(table)) {
        Some(table) => *table = guard,
        None => tightened.tables.push(guard),
    }
    tightened
}

#[cfg(test)]
mod tests;
