//! A ruleset made ready for many packets: the order of chains at each hook, names, indexes of sets.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use super::answers::Answers;
use super::explore;
use super::index::Index;
use super::walk::{Outcome, Walk, Way};
use crate::firewall::bridge::BridgeTable;
use crate::firewall::{
    ChainId, ChainKind, Effect, Element, Expression, Family, Field, Hook, Match, Nat, NatKind,
    Packet, Rule, Ruleset, SetRef, Span, Statement, Table, Test, World, bits,
};

/// A ruleset and its surroundings, ready.
#[derive(Debug)]
pub struct Prepared<'r> {
    pub(super) ruleset: &'r Ruleset,
    pub(super) world: &'r World,
    pub(super) tables: Vec<ReadyTable<'r>>,
    /// Of large sets written into rules, by where their members lie.
    inline: HashMap<usize, Index>,
    /// What happens at each hook, in order; by [`slot`].
    stations: Vec<Vec<Event>>,
    /// Tables of bridges that may end packets on their way in, on their way out.
    bridges: [Vec<BridgeTable>; 2],
    /// Whether chains of type nat see IPv4 and IPv6.
    pub(super) translates: [bool; 2],
    /// Whether conntrack, and with it the putting together of fragments, is on for IPv4 and IPv6.
    pub(super) tracks: [bool; 2],
    /// Whether packets are dropped that routing refuses whatever the rules say.
    pub(super) minds_senders: bool,
}

/// A table ready.
#[derive(Debug)]
pub(super) struct ReadyTable<'r> {
    pub(super) chains: HashMap<&'r str, usize>,
    /// Chains that come to themselves again.
    pub(super) circular: Vec<bool>,
    pub(super) sets: HashMap<&'r str, (usize, Index)>,
    /// Sets that packets take elements out of.
    pub(super) emptied: HashSet<&'r str>,
}

/// What happens at a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::firewall) enum Event {
    /// Conntrack puts fragments together.
    Defragment,
    /// Conntrack looks the packet up.
    Track,
    /// The chains of type nat, in their order.
    Translate(Vec<ChainId>),
    /// A base chain.
    Chain(ChainId),
    /// One or the other, by an answer nobody has: the order of what has the same priority.
    Either {
        /// What is asked for the first.
        question: String,
        first: Vec<Event>,
        second: Vec<Event>,
    },
}

/// NF_IP_PRI_CONNTRACK_DEFRAG (include/uapi/linux/netfilter_ipv4.h).
const DEFRAGMENT: i32 = -400;
/// NF_IP_PRI_CONNTRACK.
const TRACK: i32 = -200;
/// NF_IP_PRI_NAT_DST: here all chains of type nat run at prerouting and output, whatever their priority.
const TRANSLATE_DESTINATION: i32 = -100;
/// NF_IP_PRI_NAT_SRC: the same at input and postrouting.
const TRANSLATE_SOURCE: i32 = 100;

fn slot(hook: Hook, is_v6: bool) -> usize {
    let at = Hook::ALL.iter().position(|known| *known == hook).unwrap_or(0);
    at * 2 + usize::from(is_v6)
}

impl<'r> Prepared<'r> {
    /// Makes a ruleset ready.
    #[must_use]
    pub fn new(ruleset: &'r Ruleset, world: &'r World) -> Self {
        let mut prepared = Self {
            ruleset,
            world,
            tables: ruleset.tables.iter().map(ReadyTable::new).collect(),
            inline: HashMap::new(),
            stations: Vec::new(),
            bridges: [Hook::Ingress, Hook::Egress].map(|hook| ruleset.bridge_tables(hook)),
            translates: [false, true].map(|is_v6| has_nat(ruleset, is_v6)),
            tracks: [false, true].map(|is_v6| tracking_since(ruleset, is_v6).is_some()),
            minds_senders: false,
        };
        prepared.stations = Hook::ALL
            .iter()
            .flat_map(|hook| [false, true].map(|is_v6| events(ruleset, *hook, is_v6)))
            .collect();
        for table in &ruleset.tables {
            for set in table.looked_into() {
                prepared.index_inline(set);
            }
        }
        prepared
    }

    /// The same, where a packet also ends that the kernel refuses whatever the rules say: from a group, from
    /// nobody, from an address of this machine or by another way than the one back (`rp_filter`), or for
    /// others and not to be passed on. The exact analysis asks about the rules, and has all of those come.
    #[must_use]
    pub fn minding_senders(self) -> Self {
        Self { minds_senders: true, ..self }
    }

    /// What becomes of a packet, with the whole way.
    #[must_use]
    pub fn walk(&self, packet: &Packet, way: Way, answers: &dyn Answers) -> Walk {
        explore::walk(self, packet, way, answers)
    }

    /// Only how it ends; `None` where that depends on something.
    #[must_use]
    pub fn outcome(&self, packet: &Packet, way: Way, answers: &dyn Answers) -> Option<Outcome> {
        explore::outcome(self, packet, way, answers)
    }

    /// The ruleset.
    #[must_use]
    pub const fn ruleset(&self) -> &'r Ruleset {
        self.ruleset
    }

    /// Its surroundings.
    pub(in crate::firewall) fn world(&self) -> &'r World {
        self.world
    }

    /// Whether chains of type nat see packets of this family.
    pub(in crate::firewall) fn translates(&self, is_v6: bool) -> bool {
        self.translates.get(usize::from(is_v6)).copied().unwrap_or(false)
    }

    /// Whether rules write into packets what is not followed ([`Effect::Rewrites`]).
    #[must_use]
    pub fn loses_packets(&self) -> bool {
        let rules = self.ruleset.chains().flat_map(|(_, chain)| &chain.rules);
        let mut statements = rules.flat_map(|rule| &rule.statements);
        let is_lost = |statement: &Statement| {
            matches!(statement, Statement::Opaque { effect: Effect::Rewrites, .. })
        };
        statements.any(is_lost)
    }

    /// Whether rules write ports or addresses into packets themselves.
    pub(in crate::firewall) fn rewrites(&self) -> bool {
        let rules = self.ruleset.chains().flat_map(|(_, chain)| &chain.rules);
        let mut statements = rules.flat_map(|rule| &rule.statements);
        let is_one = |statement: &Statement| match statement {
            Statement::Opaque { effect, .. } => *effect == Effect::Rewrites,
            Statement::Assign { target, .. } => target.is_port(),
            _ => false,
        };
        statements.any(is_one)
    }

    /// Whether connections of this family are tracked, and fragments put together.
    pub(in crate::firewall) fn tracks(&self, is_v6: bool) -> bool {
        self.tracks.get(usize::from(is_v6)).copied().unwrap_or(false)
    }

    /// The tables of bridges that may end packets at a hook of devices.
    pub(in crate::firewall) fn bridge_tables(&self, hook: Hook) -> &[BridgeTable] {
        let [way_in, way_out] = &self.bridges;
        match hook {
            Hook::Ingress => way_in,
            Hook::Egress => way_out,
            _ => &[],
        }
    }

    /// What happens at a hook, in order.
    pub(in crate::firewall) fn events(&self, hook: Hook, is_v6: bool) -> &[Event] {
        self.stations.get(slot(hook, is_v6)).map_or(&[], Vec::as_slice)
    }

    fn index_inline(&mut self, set: &SetRef) {
        let SetRef::Inline(elements) = set else { return };
        let index = Index::new(elements);
        if !matches!(index, Index::Linear) {
            self.inline.insert(elements.as_ptr().addr(), index);
        }
    }

    /// The index of a set written into a rule.
    pub(super) fn inline(&self, elements: &[Element]) -> &Index {
        if self.inline.is_empty() {
            return &Index::Linear;
        }
        self.inline.get(&elements.as_ptr().addr()).unwrap_or(&Index::Linear)
    }
}

impl<'r> ReadyTable<'r> {
    fn new(table: &'r Table) -> Self {
        // The first of a name holds, as in `Table::chain`; the kernel has no two.
        let chains = by_name(table);
        let sets = table.sets.iter().enumerate().rev().map(|(at, set)| {
            let index = set.elements.as_deref().map_or(Index::Linear, Index::new);
            (&*set.name, (at, index))
        });
        let emptied = table.emptied().collect();
        Self { circular: circular(&asks_of(table, &chains)), chains, sets: sets.collect(), emptied }
    }
}

/// The chains of a table by their names; the first of a name holds.
pub(in crate::firewall) fn by_name(table: &Table) -> HashMap<&str, usize> {
    table.chains.iter().enumerate().rev().map(|(at, chain)| (&*chain.name, at)).collect()
}

/// The chains each chain asks, by their indexes, once for each place.
pub(in crate::firewall) fn asks_of(
    table: &Table,
    chains: &HashMap<&str, usize>,
) -> Vec<Vec<usize>> {
    let targets = |chain| table.asked_by(chain).filter_map(|name| chains.get(name).copied());
    table.chains.iter().map(|chain| targets(chain).collect()).collect()
}

/// Chains that come to themselves again by jumps and gotos.
pub(in crate::firewall) fn circular(asks: &[Vec<usize>]) -> Vec<bool> {
    // Kahn: what remains after taking away all that nobody asks, again and again, is in a circle or is
    // asked from one; the same from the other end leaves the circles and what lies between them.
    let mut is_left = vec![true; asks.len()];
    for reversed in [false, true] {
        let edges = if reversed { turned(asks) } else { asks.to_vec() };
        let mut degree = vec![0_usize; edges.len()];
        let mut ready = Vec::new();
        for (from, to) in edges.iter().enumerate() {
            for to in to
                .iter()
                .filter(|to| is_left.get(from) == Some(&true) && is_left.get(**to) == Some(&true))
            {
                degree[*to] += 1;
            }
        }
        ready.extend((0..edges.len()).filter(|at| is_left[*at] && degree[*at] == 0));
        while let Some(at) = ready.pop() {
            is_left[at] = false;
            for &to in edges[at].iter().filter(|to| is_left[**to]) {
                degree[to] -= 1;
                if degree[to] == 0 {
                    ready.push(to);
                }
            }
        }
    }
    is_left
}

pub(in crate::firewall) fn turned(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut back = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate() {
        for &to in to {
            back[to].push(from);
        }
    }
    back
}

/// Base chains at a hook with their place in the order.
fn bases(
    ruleset: &Ruleset,
    hook: Hook,
    is_v6: bool,
) -> Vec<(i32, Reverse<u32>, ChainId, ChainKind)> {
    let is_device = matches!(hook, Hook::Ingress | Hook::Egress);
    let mut found = Vec::new();
    for (t, table) in ruleset.tables.iter().enumerate() {
        let passes = table.family.passes(is_v6) || (is_device && table.family == Family::Netdev);
        if table.is_dormant || !passes {
            continue;
        }
        for (c, chain) in table.chains.iter().enumerate() {
            if let Some(base) = chain.base.as_ref().filter(|base| base.hook == hook) {
                let id = ChainId { table: t, chain: c };
                found.push((base.priority, Reverse(base.sequence), id, base.kind));
            }
        }
    }
    found.sort_unstable();
    found
}

/// What happens at a hook, in order.
fn events(ruleset: &Ruleset, hook: Hook, is_v6: bool) -> Vec<Event> {
    let (nat, others): (Vec<_>, Vec<_>) =
        bases(ruleset, hook, is_v6).into_iter().partition(|base| base.3 == ChainKind::Nat);
    let mut events: Vec<(i32, Reverse<u32>, Event)> = others
        .into_iter()
        .map(|(priority, sequence, id, _)| (priority, sequence, Event::Chain(id)))
        .collect();
    if matches!(hook, Hook::Prerouting | Hook::Output) {
        let since = tracking_since(ruleset, is_v6).unwrap_or(u32::MAX);
        events.push((DEFRAGMENT, Reverse(since), Event::Defragment));
        events.push((TRACK, Reverse(since), Event::Track));
    }
    let at = match hook {
        Hook::Prerouting | Hook::Output => Some(TRANSLATE_DESTINATION),
        Hook::Input | Hook::Postrouting => Some(TRANSLATE_SOURCE),
        _ => None,
    };
    if let Some(at) = at {
        let chains = nat.into_iter().map(|(_, _, id, _)| id).collect();
        // The kernel's hook is made with the first chain of type nat (nf_nat_register_fn).
        let since = nat_bases(ruleset, is_v6).min().unwrap_or(0);
        events.push((at, Reverse(since), Event::Translate(chains)));
    }
    events.sort_by_key(|(priority, sequence, event)| {
        (*priority, *sequence, matches!(event, Event::Chain(_)))
    });
    let is_on = |event: &Event| match event {
        Event::Translate(_) => has_nat(ruleset, is_v6),
        _ => tracking_since(ruleset, is_v6).is_some(),
    };
    let mut ordered = Vec::new();
    for equals in events.chunk_by(|one, other| one.0 == other.0) {
        let mut of_kernel = equals.iter().filter(|(_, _, e)| !matches!(e, Event::Chain(_)));
        match of_kernel.next().filter(|(_, _, event)| equals.len() > 1 && is_on(event)) {
            Some((_, _, event)) => {
                let chains = equals.iter().filter(|(_, _, other)| other != event);
                let chains: Vec<Event> = chains.map(|(_, _, event)| event.clone()).collect();
                ordered.extend(orders(ruleset, event, &chains));
            }
            None => ordered.extend(equals.iter().map(|(_, _, event)| event.clone())),
        }
    }
    ordered
}

/// The kernel's own step among chains of its priority. Conntrack and translation are switched on by the first
/// rule that needs them, be it of another table or long gone, and no listing tells when that was (measured: the
/// same script loaded twice turns the order).
fn orders(ruleset: &Ruleset, own: &Event, chains: &[Event]) -> Vec<Event> {
    let words = match own {
        Event::Defragment => "the putting together of fragments",
        Event::Track => "conntrack",
        _ => "translation",
    };
    let mut order = [chains, std::slice::from_ref(own)].concat();
    for (at, chain) in chains.iter().enumerate().take(MOST_EQUALS).rev() {
        let Event::Chain(id) = chain else { continue };
        let name = ruleset
            .tables
            .get(id.table)
            .zip(ruleset.chain(*id))
            .map(|(table, chain)| format!("{} {} {}", table.family, table.name, chain.name));
        let question =
            format!("{words} comes before {} of equal priority", name.unwrap_or_default());
        let mut first = chains.to_owned();
        first.insert(at, own.clone());
        order = vec![Event::Either { question, first, second: order }];
    }
    order
}

/// So many chains of the priority of a step of the kernel's own are told apart.
const MOST_EQUALS: usize = 8;

fn active(ruleset: &Ruleset, is_v6: bool) -> impl Iterator<Item = &Table> {
    ruleset.tables.iter().filter(move |table| !table.is_dormant && table.family.passes(is_v6))
}

/// When each chain of type nat was registered.
fn nat_bases(ruleset: &Ruleset, is_v6: bool) -> impl Iterator<Item = u32> {
    let bases =
        active(ruleset, is_v6).flat_map(|table| &table.chains).filter_map(|c| c.base.as_ref());
    bases.filter(|base| base.kind == ChainKind::Nat).map(|base| base.sequence)
}

fn has_nat(ruleset: &Ruleset, is_v6: bool) -> bool {
    nat_bases(ruleset, is_v6).next().is_some()
}

/// When conntrack was switched on, on the scale of the chains' registrations; `None` if it is off. The
/// first rule that asks for it does that (nf_ct_netns_get), after all chains of its table were made.
fn tracking_since(ruleset: &Ruleset, is_v6: bool) -> Option<u32> {
    // The rules of a dormant table are on no hook and still switch it on (measured).
    let here = ruleset.tables.iter().filter(|table| table.family.passes(is_v6));
    let users = here.filter(|table| uses_conntrack(table, is_v6));
    // Rules of a table without chains on any hook do so too (measured).
    let last = |table: &Table| {
        let bases = table.chains.iter().filter_map(|c| c.base.as_ref());
        bases.map(|base| base.sequence).max().unwrap_or(0)
    };
    users.map(last).min()
}

fn uses_conntrack(table: &Table, is_v6: bool) -> bool {
    let mut rules = table.chains.iter().flat_map(|c| c.rules.iter().map(move |rule| (c, rule)));
    rules.any(|(chain, rule)| {
        // What nobody understands in a chain of type nat translates.
        let is_nat = chain.base.as_ref().is_some_and(|base| base.kind == ChainKind::Nat);
        rule.statements.iter().any(|statement| match statement {
            Statement::Nat(nat) => translates(nat, rule, is_v6),
            Statement::Match(found) => is_of_conntrack(&found.left),
            Statement::VerdictMap { key, .. } => is_of_conntrack(key),
            Statement::Update { key, conditions, .. } => {
                is_of_conntrack(key) || conditions.iter().any(|c| is_text_of_conntrack(&c.text))
            }
            Statement::Assign { target, value } => {
                *target == crate::firewall::Target::CtMark || is_of_conntrack(value)
            }
            Statement::Condition(condition) => is_text_of_conntrack(&condition.text),
            Statement::Opaque { effect: Effect::Decides | Effect::Rewrites, text } => {
                is_nat || is_text_of_conntrack(text)
            }
            Statement::Template { .. } => true,
            // `ct label set 3`, `ct event set new`: what decides nothing switches it on all the same.
            Statement::Opaque { effect: Effect::Passes, text } => text.starts_with("ct "),
            Statement::Verdict(_) | Statement::NoTrack => false,
        })
    })
}

/// Whether a translation may be one of this version of IP: `snat ip6 to …` switches conntrack on for IPv6
/// alone (nft_nat_init), and readers put the match of the version before it.
fn translates(nat: &Nat, rule: &Rule, is_v6: bool) -> bool {
    let version = if is_v6 { bits::NFPROTO_IPV6 } else { bits::NFPROTO_IPV4 };
    let is_other = |statement: &Statement| match statement {
        Statement::Match(Match {
            left: Expression::Field(Field::NetworkProtocol),
            test: Test::In(SetRef::Inline(all)),
        }) => !all.iter().any(|one| one.key == [Span::number(version)]),
        _ => false,
    };
    let names_version = matches!(nat.kind, NatKind::Snat | NatKind::Dnat) && nat.address.is_some();
    !(names_version && rule.statements.iter().any(is_other))
}

/// `ct count over 3`, `connlimit`, `xt match "conntrack"`, `-m helper`, `synproxy`.
fn is_text_of_conntrack(text: &str) -> bool {
    ["ct ", "conn", "helper", "synproxy", "SYNPROXY", "-m state", "NAT"]
        .iter()
        .any(|word| text.contains(word))
}

fn is_of_conntrack(expression: &Expression) -> bool {
    match expression {
        Expression::Field(field) => matches!(
            field,
            Field::CtState
                | Field::CtStatus
                | Field::CtDirection
                | Field::CtMark
                | Field::CtTuple(..)
        ),
        Expression::Bits { of, .. } => is_of_conntrack(of),
        Expression::Lookup { key, .. } => is_of_conntrack(key),
        Expression::Concat(parts) => parts.iter().any(is_of_conntrack),
        // `CONNMARK --restore-mark --mask 0x0f`
        Expression::Unknown(text) => text.contains("CONNMARK") || is_text_of_conntrack(text),
        Expression::Constant(_) | Expression::OneOf(_) => false,
    }
}
