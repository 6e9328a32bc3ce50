//! What rules themselves tell of a machine nothing else is known of: interfaces and addresses they name,
//! ports they translate. Used for saved rules, and for ports that no socket holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::firewall::{
    Chain, ChainKind, Direction, Effect, Element, ElementValue, Expression, Field, Hook, Match,
    Rule, Ruleset, SetRef, Span, Statement, Table, Test, TupleSide, Value, address_of, number_of,
    protocol_of,
};
use crate::net::{Port, PortRange, PortSet, Transport};

use super::diversion::HOOKS;
use super::handed::{Handing, transports};

/// The interfaces that packets of other machines might come in by, as far as rules name them. Bridges of
/// containers and guests are not among them: nobody comes from the Internet by those.
pub(super) fn outer_interfaces(ruleset: &Ruleset) -> Vec<Box<str>> {
    let mut found: Vec<Box<str>> = Vec::new();
    for (table, _, rule) in rules(ruleset) {
        for m in matches(rule) {
            let (Expression::Field(Field::InterfaceIn), Test::In(set)) = (&m.left, &m.test) else {
                continue;
            };
            for element in elements(table, set) {
                if let [Span::Names { text, is_prefix: false }] = &element.key[..]
                    && !is_inner(text)
                    && !found.contains(text)
                {
                    found.push(text.clone());
                }
            }
        }
    }
    found.truncate(MOST);
    found
}

/// Whether it is loopback or, by its name, what containers and guests are at.
pub(super) fn is_inner(name: &str) -> bool {
    name.is_empty() || name == "lo" || INNER.iter().any(|start| name.starts_with(start))
}

/// Where the rules say that packets for `target` leave by: a rule that lets exactly them out by an
/// interface, or one that masquerades the network it lies in everywhere else.
pub(super) fn interface_of(ruleset: &Ruleset, target: IpAddr) -> Option<Box<str>> {
    let mut best: Option<(u128, Box<str>)> = None;
    for (table, _, rule) in rules(ruleset) {
        let Some((size, name)) = leaves_by(table, rule, target) else { continue };
        if best.as_ref().is_none_or(|(known, _)| size < *known) {
            best = Some((size, name));
        }
    }
    best.map(|(_, name)| name)
}

/// How many addresses a rule holds for beside `target`, and the interface it names for them.
fn leaves_by(table: &Table, rule: &Rule, target: IpAddr) -> Option<(u128, Box<str>)> {
    let number = number_of(target);
    let (source, destination) = match target {
        IpAddr::V4(_) => (Field::Source4, Field::Destination4),
        IpAddr::V6(_) => (Field::Source6, Field::Destination6),
    };
    let mut size = None;
    let mut name = None;
    let mut is_of_sender = false;
    for m in matches(rule) {
        match (&m.left, &m.test) {
            (Expression::Field(field), Test::In(set)) if *field == destination => {
                size = Some(span_with(table, set, number)?);
            }
            (Expression::Field(field), Test::In(set)) if *field == source => {
                size = Some(span_with(table, set, number)?);
                is_of_sender = true;
            }
            (Expression::Field(Field::InterfaceOut), Test::In(set)) => {
                name = Some((one_name(table, set)?, false));
            }
            (Expression::Field(Field::InterfaceOut), Test::NotIn(set)) => {
                name = Some((one_name(table, set)?, true));
            }
            _ => {}
        }
    }
    let (size, (name, is_elsewhere)) = (size?, name?);
    (is_of_sender == is_elsewhere).then_some((size, name))
}

fn span_with(table: &Table, set: &SetRef, number: u128) -> Option<u128> {
    elements(table, set).iter().find_map(|element| match &element.key[..] {
        [Span::Numbers { low, high }] if (*low..=*high).contains(&number) => Some(high - low),
        _ => None,
    })
}

fn one_name(table: &Table, set: &SetRef) -> Option<Box<str>> {
    match elements(table, set) {
        [Element { key, .. }] => match &key[..] {
            [Span::Names { text, is_prefix: false }] => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// Addresses the machine might have: one that no rule names, and those whose traffic rules translate.
pub(super) fn destinations(ruleset: Option<&Ruleset>, is_v6: bool) -> Vec<IpAddr> {
    let mut found = vec![if is_v6 { UNNAMED_6 } else { UNNAMED_4 }];
    let field = if is_v6 { Field::Destination6 } else { Field::Destination4 };
    let of_nat = ruleset
        .into_iter()
        .flat_map(rules)
        .filter(|(_, chain, _)| chain.base.as_ref().is_none_or(|base| base.kind == ChainKind::Nat));
    for (table, _, rule) in of_nat.filter(|(_, _, rule)| is_translation(rule)) {
        for m in matches(rule) {
            let (Expression::Field(left), Test::In(set)) = (&m.left, &m.test) else { continue };
            if *left != field {
                continue;
            }
            for element in elements(table, set) {
                if let [Span::Numbers { low, high }] = &element.key[..]
                    && low == high
                    && let address = address_of(*low, is_v6)
                    && !address.is_loopback()
                    && !found.contains(&address)
                {
                    found.push(address);
                }
            }
        }
    }
    found.truncate(MOST);
    found
}

/// The ports whose traffic rules send somewhere else, each with the protocol's number where the rule says
/// it; of ranges and maps the first few.
pub(super) fn translated_ports(ruleset: &Ruleset) -> Vec<(Option<u8>, u16)> {
    let mut found = Vec::new();
    for (table, rule) in translating(ruleset, &[Hook::Prerouting]) {
        let protocol = matches(rule).find_map(|m| match (&m.left, &m.test) {
            (Expression::Field(Field::Protocol), Test::In(set)) => {
                first_number(elements(table, set))
            }
            _ => None,
        });
        for port in rule.statements.iter().flat_map(|s| ports_in(table, s)) {
            if !found.contains(&(protocol, port)) && found.len() < MOST_PORTS {
                found.push((protocol, port));
            }
        }
    }
    found
}

/// The first protocol of a set.
fn first_number(elements: &[Element]) -> Option<u8> {
    let first = elements.iter().find_map(|element| match element.key.first() {
        Some(Span::Numbers { low, .. }) => Some(*low),
        _ => None,
    });
    first.and_then(|number| u8::try_from(number).ok())
}

/// The ports that rules name on the way to a translation of `transport`: those a server had better not
/// choose.
///
/// Rules that translate whatever the port is, as those before a transparent proxy, name none; nor do
/// those for more than a thousand ports, which are no claim on a number.
#[must_use]
pub fn named_ports(ruleset: &Ruleset, transport: Transport) -> PortSet {
    let mut found = PortSet::new();
    for (table, rule) in translating(ruleset, &HOOKS) {
        if !may_be_of(table, rule, protocol_of(transport)) {
            continue;
        }
        for (low, high) in rule.statements.iter().flat_map(|s| port_spans(table, s)) {
            let port = |number| u16::try_from(number).ok().map(Port);
            let range = port(low).zip(port(high)).and_then(|(a, b)| PortRange::new(a, b).ok());
            range.filter(|r| r.len() <= MOST_PORTS).into_iter().for_each(|r| found.insert_range(r));
        }
    }
    found
}

/// The rules that translate destinations at one of these hooks, or ask a chain that might.
fn translating<'a>(
    ruleset: &'a Ruleset,
    hooks: &'a [Hook],
) -> impl Iterator<Item = (&'a Table, &'a Rule)> {
    let is_one = move |chain: &Chain| hooks.iter().any(|hook| is_nat(chain, *hook));
    let found = rules(ruleset).filter(move |(table, chain, rule)| {
        let may_translate = chain.base.as_ref().is_none_or(|base| base.kind == ChainKind::Nat);
        may_translate && table.chains.iter().any(is_one) && leads_on(rule)
    });
    found.map(|(table, _, rule)| (table, rule))
}

/// Whether a rule may hold for packets of a protocol.
fn may_be_of(table: &Table, rule: &Rule, protocol: u8) -> bool {
    matches(rule).all(|m| match (&m.left, &m.test) {
        (Expression::Field(Field::Protocol), Test::In(set)) => has(table, set, &[protocol.into()]),
        (Expression::Field(Field::Protocol), Test::NotIn(set)) => {
            !has(table, set, &[protocol.into()])
        }
        _ => true,
    })
}

/// The ports whose packets rules hand to a socket as they are.
pub(super) fn handed_ports(ruleset: &Ruleset, handings: &[Handing]) -> Vec<(Transport, Port)> {
    let mut found = Vec::new();
    for handing in handings {
        let table = ruleset.tables.get(handing.rule.chain.table);
        let Some((table, rule)) = table.zip(ruleset.rule(handing.rule)) else { continue };
        let ports: Vec<u16> = rule.statements.iter().flat_map(|s| ports_in(table, s)).collect();
        // Of a proxy for everything no list is made.
        for port in ports.iter().filter(|_| ports.len() <= MOST_HANDED) {
            found.extend(transports(table, rule).into_iter().map(|t| (t, Port(*port))));
        }
    }
    found
}

/// The first few destination ports a statement asks for.
fn ports_in(table: &Table, statement: &Statement) -> Vec<u16> {
    let spans = port_spans(table, statement).into_iter();
    let ports = spans.flat_map(|(low, high)| (low..=high).take(MOST_PORTS)).take(MOST_PORTS);
    ports.filter_map(|number| u16::try_from(number).ok()).collect()
}

/// Destination ports a statement asks for: in a match, alone or in a concatenation, or as a map's key.
fn port_spans(table: &Table, statement: &Statement) -> Vec<(u128, u128)> {
    let (key, set) = match statement {
        Statement::Match(Match { left: Expression::Lookup { key, map }, .. }) => (&**key, map),
        Statement::Match(Match { left, test: Test::In(set) }) => (left, set),
        Statement::VerdictMap { key, map } => (key, map),
        Statement::Nat(nat) => match nat.address.as_ref().or(nat.port.as_ref()) {
            Some(Expression::Lookup { key, map }) => (&**key, map),
            _ => return Vec::new(),
        },
        _ => return Vec::new(),
    };
    let Some(part) = part_of_port(key) else { return Vec::new() };
    let spans = elements(table, set).iter().filter_map(|element| match element.key.get(part) {
        Some(Span::Numbers { low, high }) => Some((*low, *high)),
        _ => None,
    });
    spans.collect()
}

/// The ports that packets can have after translations, beside those they had; `None` where that cannot
/// be listed.
pub(super) fn ports_after(ruleset: &Ruleset) -> Option<Vec<u16>> {
    let mut found = Vec::new();
    for (table, _, rule) in rules(ruleset) {
        for statement in &rule.statements {
            match statement {
                Statement::Nat(nat) => match &nat.port {
                    None if has_only_constants(nat.address.as_ref()) => {}
                    Some(Expression::Constant(Value::Number(n))) => found.push(*n),
                    Some(Expression::Lookup { map, .. }) => {
                        let members = elements(table, map);
                        if members.is_empty() || members.len() > MOST_PORTS {
                            return None;
                        }
                        for member in members {
                            let ElementValue::Data(spans) = &member.value else { return None };
                            let Some(Span::Numbers { low, high }) = spans.last() else {
                                return None;
                            };
                            if low != high {
                                return None;
                            }
                            found.push(*low);
                        }
                    }
                    _ => return None,
                },
                Statement::Opaque { effect, .. } if *effect != Effect::Passes => return None,
                _ => {}
            }
        }
    }
    found.into_iter().map(|n| u16::try_from(n).ok()).collect()
}

/// Whether an address is given as such: one out of a map may come with a port.
const fn has_only_constants(address: Option<&Expression>) -> bool {
    matches!(address, None | Some(Expression::Constant(_) | Expression::OneOf(_)))
}

/// Which part of a key is the destination port.
pub(super) fn part_of_port(key: &Expression) -> Option<usize> {
    let is_port = |e: &Expression| matches!(e, Expression::Field(Field::DestinationPort));
    match key {
        Expression::Concat(parts) => parts.iter().position(is_port),
        one => is_port(one).then_some(0),
    }
}

/// Whether a packet with one of these protocols to one of these ports can get past the matches of a rule
/// that ask for both. Ports are those before and after every translation.
pub(super) fn may_match(table: &Table, rule: &Rule, protocols: &[u16], ports: &[u16]) -> bool {
    rule.statements.iter().all(|statement| {
        let Statement::Match(Match { left: Expression::Field(field), test: Test::In(set) }) =
            statement
        else {
            return true;
        };
        let of_original = Field::CtTuple(Direction::Original, TupleSide::DestinationPort);
        match field {
            Field::Protocol => has(table, set, protocols),
            _ if *field == Field::DestinationPort || *field == of_original => {
                has(table, set, ports)
            }
            _ => true,
        }
    })
}

fn has(table: &Table, set: &SetRef, numbers: &[u16]) -> bool {
    if let SetRef::Named(name) = set
        && table.set(name).is_none_or(|set| set.elements.is_none() || set.flags.is_dynamic)
    {
        return true;
    }
    elements(table, set).iter().any(|element| match &element.key[..] {
        [Span::Numbers { low, high }] => {
            numbers.iter().any(|n| (*low..=*high).contains(&u128::from(*n)))
        }
        _ => true,
    })
}

/// Whether a rule sends its packets to another place.
pub(super) fn is_translation(rule: &Rule) -> bool {
    use crate::firewall::NatKind::{Dnat, Redirect};
    rule.statements
        .iter()
        .any(|s| matches!(s, Statement::Nat(n) if matches!(n.kind, Dnat | Redirect)))
}

/// Whether a rule translates or asks another chain, which might.
fn leads_on(rule: &Rule) -> bool {
    use crate::firewall::Verdict::{Goto, Jump};
    let leads = |s: &Statement| {
        matches!(s, Statement::VerdictMap { .. } | Statement::Verdict(Jump(_) | Goto(_)))
    };
    is_translation(rule) || rule.statements.iter().any(leads)
}

/// Every rule with its table and chain.
pub(super) fn rules(ruleset: &Ruleset) -> impl Iterator<Item = (&Table, &Chain, &Rule)> {
    ruleset.tables.iter().flat_map(|table| {
        let chains = table.chains.iter();
        chains.flat_map(move |chain| chain.rules.iter().map(move |rule| (table, chain, rule)))
    })
}

pub(super) fn matches(rule: &Rule) -> impl Iterator<Item = &Match> {
    rule.statements.iter().filter_map(|statement| match statement {
        Statement::Match(m) => Some(m),
        _ => None,
    })
}

/// The members of a set, none where they could not be read.
pub(super) fn elements<'a>(table: &'a Table, set: &'a SetRef) -> &'a [Element] {
    match set {
        SetRef::Inline(elements) => elements,
        SetRef::Named(name) => {
            table.set(name).and_then(|set| set.elements.as_deref()).unwrap_or_default()
        }
    }
}

/// Whether a chain translates packets at a hook; at prerouting the destinations of those of other machines.
pub(super) fn is_nat(chain: &Chain, hook: Hook) -> bool {
    chain.base.as_ref().is_some_and(|base| base.kind == ChainKind::Nat && base.hook == hook)
}

/// Bridges and virtual interfaces as container runtimes and hypervisors call them.
const INNER: [&str; 11] =
    ["docker", "br-", "veth", "virbr", "cni", "podman", "flannel", "cali", "lxc", "vnet", "cilium"];
/// Addresses for documentation (RFC 5737, RFC 3849), which no real rule names.
const UNNAMED_4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
const UNNAMED_6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x77));
const MOST: usize = 8;
const MOST_PORTS: usize = 1024;
const MOST_HANDED: usize = 64;
