//! The NAT chains of `nft -j list ruleset` (libnftables-json(5)).
//!
//! Statements and expressions that only a packet's destination decides become conditions; sets and
//! maps are followed by name; all else is opaque and keeps its place. Rules that iptables made show
//! here as the names of their matches alone: such a chain is marked as veiled.

mod text;

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::condition::{AddressRange, Condition, Test, protocol};
use super::{Branch, Chain, Path, Place, Rule, RuleFamily, Target, Translations, Verdict};
use crate::net::{Port, PortRange, Prefix};

/// Why an answer of nft cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NatError {
    /// Not JSON.
    #[error("the answer of nft is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON without the list that every version of nft gives.
    #[error("the answer of nft has no list named `nftables`")]
    Shape,
}

impl Translations {
    /// Reads what `nft -j list ruleset` printed.
    ///
    /// # Errors
    /// When it is not JSON or has no list named `nftables`.
    pub fn from_nft(text: &[u8]) -> Result<Self, NatError> {
        let ruleset: Value = serde_json::from_slice(text)?;
        let objects = ruleset.get("nftables").and_then(Value::as_array).ok_or(NatError::Shape)?;
        Ok(Self { chains: Reader::new(objects).chains(objects) })
    }
}

/// The elements of every named set and map, by family, table and name.
struct Reader<'a> {
    sets: HashMap<(RuleFamily, &'a str, &'a str), &'a [Value]>,
}

/// What stands around a rule while it is read.
struct Scope<'a> {
    sets: &'a Reader<'a>,
    family: RuleFamily,
    table: &'a str,
}

impl<'a> Reader<'a> {
    fn new(objects: &'a [Value]) -> Self {
        let sets = objects.iter().filter_map(|o| o.get("set").or_else(|| o.get("map")));
        let read = |set: &'a Value| {
            let elements = set.get("elem").and_then(Value::as_array).map_or(&[][..], |e| e);
            Some(((family(set)?, word(set, "table")?, word(set, "name")?), elements))
        };
        Self { sets: sets.filter_map(read).collect() }
    }

    /// The chains of type nat and all that could be jumped to from them.
    fn chains(&self, objects: &'a [Value]) -> Vec<Chain> {
        let listed = objects.iter().filter_map(|o| o.get("chain"));
        let mut chains: Vec<Chain> = listed.filter_map(chain).collect();
        let position: HashMap<(RuleFamily, Box<str>, Box<str>), usize> = chains
            .iter()
            .enumerate()
            .map(|(at, c)| ((c.family, c.table.clone(), c.name.clone()), at))
            .collect();
        for rule in objects.iter().filter_map(|o| o.get("rule")) {
            let place = || Some((family(rule)?, word(rule, "table")?, word(rule, "chain")?));
            let Some((family, table, name)) = place() else { continue };
            let key = (family, table.into(), name.into());
            let Some(chain) = position.get(&key).and_then(|at| chains.get_mut(*at)) else {
                continue;
            };
            let scope = Scope { sets: self, family, table };
            chain.is_veiled |= is_veiled(rule);
            let place = Place {
                family,
                table: chain.table.clone(),
                chain: chain.name.clone(),
                handle: rule.get("handle").and_then(Value::as_u64),
                index: chain.rules.len(),
                is_legacy: false,
            };
            chain.rules.push(scope.rule(place, rule));
        }
        chains
    }
}

/// A chain without its rules; `None` for one that no destination is translated in.
fn chain(value: &Value) -> Option<Chain> {
    let is_base = value.get("hook").is_some();
    let hook = if is_base { Some(hook(value)?) } else { None };
    Some(Chain {
        family: family(value)?,
        table: word(value, "table")?.into(),
        name: word(value, "name")?.into(),
        hook,
        rules: Vec::new(),
        is_veiled: false,
        is_legacy: false,
    })
}

fn hook(chain: &Value) -> Option<(Path, i64)> {
    let name = word(chain, "hook").filter(|_| word(chain, "type") == Some("nat"))?;
    let path = Path::ALL.into_iter().find(|path| path.as_str() == name)?;
    Some((path, chain.get("prio").and_then(Value::as_i64).unwrap_or(DSTNAT)))
}

fn is_veiled(rule: &Value) -> bool {
    expressions(rule).iter().any(|e| e.get("xt").is_some())
}

fn expressions(rule: &Value) -> &[Value] {
    rule.get("expr").and_then(Value::as_array).map_or(&[], |e| e)
}

impl<'a> Scope<'a> {
    fn rule(&self, place: Place, rule: &Value) -> Rule {
        let mut reading = Reading::default();
        for statement in expressions(rule) {
            self.statement(statement, &mut reading);
        }
        Rule { place, text: text::rule(rule).into(), branches: reading.branches }
    }

    fn statement(&self, statement: &Value, to: &mut Reading) {
        let Some((kind, body)) = statement.as_object().and_then(|o| o.iter().next()) else {
            return;
        };
        match kind.as_str() {
            "match" => to.conditions.extend(self.matching(body)),
            "vmap" => self.verdict_map(body, to),
            "accept" | "drop" | "reject" | "queue" | "masquerade" | "snat" => to.end(Verdict::End),
            "return" => to.end(Verdict::Return),
            "jump" => to.end(Verdict::Jump(word(body, "target").unwrap_or_default().into())),
            "goto" => to.end(Verdict::Goto(word(body, "target").unwrap_or_default().into())),
            "redirect" => self.translate(body, Kind::Redirect, to),
            "dnat" => self.translate(body, Kind::Dnat, to),
            "xt" => veiled(body, to),
            _ if WITHOUT_EFFECT.contains(&kind.as_str()) => {}
            _ => to.conditions.push(Condition::OTHER),
        }
    }

    fn matching(&self, body: &Value) -> Vec<Condition> {
        let op = word(body, "op").unwrap_or("==");
        let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
            return vec![Condition::OTHER];
        };
        match op {
            "==" | "in" => self.tests(left, right, false),
            "!=" => self.tests(left, right, true),
            _ => compared(left, op, right).unwrap_or_else(|| vec![Condition::OTHER]),
        }
    }

    /// What `left` must be for `right` to hold it.
    fn tests(&self, left: &Value, right: &Value, negated: bool) -> Vec<Condition> {
        let Some(elements) = self.elements(right) else { return vec![Condition::OTHER] };
        if let Some(fields) = left.get("concat").and_then(Value::as_array) {
            let groups = elements.iter().map(|e| concatenated(fields, e)).collect();
            return vec![Condition { test: Test::AnyOf(groups), negated }];
        }
        let (mut conditions, test) = leaf(left, &elements);
        conditions.push(Condition { negated: negated && test != Test::Other, test });
        conditions
    }

    /// The elements a right side stands for; `None` for a set that is not there. A map's elements
    /// are its keys.
    fn elements<'v>(&self, right: &'v Value) -> Option<Vec<&'v Value>>
    where
        'a: 'v,
    {
        let list = self.list(right);
        let elements = match list {
            Some(list) => list.iter().map(key).collect(),
            None if right.as_str().is_some_and(|name| name.starts_with('@')) => return None,
            None => vec![key(right)],
        };
        Some(elements)
    }

    /// The list behind `@name` or `{"set": […]}`.
    fn list<'v>(&self, value: &'v Value) -> Option<&'v [Value]>
    where
        'a: 'v,
    {
        if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
            return self.sets.sets.get(&(self.family, self.table, name)).copied();
        }
        value.get("set").and_then(Value::as_array).map(Vec::as_slice)
    }

    /// The entries of a map: what the key must be, and the value behind it.
    fn entries<'v>(&self, map: &'v Value) -> Option<Vec<(Vec<Condition>, &'v Value)>>
    where
        'a: 'v,
    {
        let (asked, list) = (map.get("key")?, self.list(map.get("data")?)?);
        let entry = |pair: &'v Value| {
            let [_, value] = pair.as_array()?.as_slice() else { return None };
            Some((self.tests(asked, pair.get(0)?, false), value))
        };
        Some(list.iter().filter_map(entry).collect())
    }

    fn verdict_map(&self, body: &Value, to: &mut Reading) {
        for (conditions, value) in self.entries(body).unwrap_or_default() {
            let mut entry = Reading { conditions: to.and(conditions), branches: Vec::new() };
            self.statement(value, &mut entry);
            to.branches.append(&mut entry.branches);
        }
    }

    fn translate(&self, body: &Value, kind: Kind, to: &mut Reading) {
        match word(body, "family") {
            Some("ip") => to.conditions.push(Test::IsIpv4(true).into()),
            Some("ip6") => to.conditions.push(Test::IsIpv4(false).into()),
            _ => {}
        }
        let (address, port) = (body.get("addr"), body.get("port"));
        let map = address.and_then(|a| a.get("map")).or_else(|| port.and_then(|p| p.get("map")));
        let Some(map) = map else {
            let target = kind.target(address, port).unwrap_or(Target::Opaque);
            return to.end(Verdict::Translate(target));
        };
        let by_address = address.is_some_and(|a| a.get("map").is_some());
        let Some(entries) = self.entries(map) else {
            to.conditions.push(Condition::OTHER);
            return to.end(Verdict::Translate(Target::Opaque));
        };
        for (conditions, value) in entries {
            let target = match by_address {
                true => kind.target(Some(value), port),
                false => kind.target(address, Some(value)),
            };
            let verdict = Verdict::Translate(target.unwrap_or(Target::Opaque));
            to.branches.push(Branch { conditions: to.and(conditions), verdict });
        }
    }
}

/// A rule while its statements are read.
#[derive(Default)]
struct Reading {
    /// What held so far.
    conditions: Vec<Condition>,
    branches: Vec<Branch>,
}

impl Reading {
    fn end(&mut self, verdict: Verdict) {
        self.branches.push(Branch { conditions: self.conditions.clone(), verdict });
    }

    fn and(&self, more: Vec<Condition>) -> Vec<Condition> {
        self.conditions.iter().cloned().chain(more).collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Redirect,
    Dnat,
}

impl Kind {
    /// The target that an address and a port stand for; an address may carry the port with it, as
    /// `10.0.0.5 . 3307` in a map.
    fn target(self, address: Option<&Value>, port: Option<&Value>) -> Option<Target> {
        let pair = address.and_then(|a| a.get("concat")).and_then(Value::as_array);
        let (address, port) = match pair.map(Vec::as_slice) {
            Some([address, port]) => (Some(address), Some(port)),
            Some(_) => return None,
            None => (address, port),
        };
        let ports = match port {
            Some(port) => Some(ports(port)?),
            None => None,
        };
        let addresses = match address {
            Some(address) => Some(addresses(address)?),
            None => None,
        };
        Some(match self {
            Self::Redirect => Target::Redirect { ports },
            Self::Dnat => Target::Dnat { addresses, ports },
        })
    }
}

/// A match or target that iptables made: nft knows its name, no more.
fn veiled(body: &Value, to: &mut Reading) {
    match (word(body, "type"), word(body, "name")) {
        (Some("target"), Some("DNAT" | "REDIRECT")) => {
            to.end(Verdict::Translate(Target::Opaque));
        }
        (Some("target"), Some("ACCEPT" | "DROP" | "REJECT")) => to.end(Verdict::End),
        (Some("target"), _) | (_, Some("comment")) => {}
        _ => to.conditions.push(Condition::OTHER),
    }
}

/// One element of a concatenation: each field must be what stands in its place.
fn concatenated(fields: &[Value], element: &Value) -> Vec<Condition> {
    let Some(parts) = element.get("concat").and_then(Value::as_array) else {
        return vec![Condition::OTHER];
    };
    let pairs = fields.iter().zip(parts);
    pairs
        .flat_map(|(field, part)| {
            let (mut conditions, test) = leaf(field, &[part]);
            conditions.push(test.into());
            conditions
        })
        .collect()
}

/// The test that one field makes, and what it takes for granted: `tcp dport` that it is TCP.
fn leaf(field: &Value, elements: &[&Value]) -> (Vec<Condition>, Test) {
    let read = payload(field, elements)
        .or_else(|| meta(field, elements).map(|test| (Vec::new(), test)))
        .or_else(|| fib(field, elements).map(|test| (Vec::new(), test)));
    read.unwrap_or((Vec::new(), Test::Other))
}

fn payload(field: &Value, elements: &[&Value]) -> Option<(Vec<Condition>, Test)> {
    let payload = field.get("payload")?;
    let (header, name) = (word(payload, "protocol")?, word(payload, "field")?);
    match (header, name) {
        ("th", "dport") => Some((Vec::new(), Test::Port(all(elements, ports)?))),
        (_, "dport") => {
            let is_it = Test::Protocol(vec![protocol(header)?]);
            Some((vec![is_it.into()], Test::Port(all(elements, ports)?)))
        }
        ("ip" | "ip6", "daddr") => {
            let family = Test::IsIpv4(header == "ip");
            Some((vec![family.into()], Test::Address(all(elements, addresses)?)))
        }
        ("ip", "protocol") | ("ip6", "nexthdr") => {
            let family = Test::IsIpv4(header == "ip");
            Some((vec![family.into()], Test::Protocol(all(elements, protocol_of)?)))
        }
        // A field of one transport's header: the rest is not understood, but it is that transport.
        (_, "sport" | "flags") => {
            let is_it = Test::Protocol(vec![protocol(header)?]);
            Some((vec![is_it.into()], Test::Other))
        }
        _ => None,
    }
}

fn meta(field: &Value, elements: &[&Value]) -> Option<Test> {
    let key = word(field.get("meta")?, "key")?;
    match key {
        "l4proto" => Some(Test::Protocol(all(elements, protocol_of)?)),
        "nfproto" | "protocol" => match elements {
            [one] => match one.as_str()? {
                "ipv4" | "ip" => Some(Test::IsIpv4(true)),
                "ipv6" | "ip6" => Some(Test::IsIpv4(false)),
                _ => None,
            },
            _ => None,
        },
        "iif" | "iifname" => Some(Test::In(all(elements, |e| Some(e.as_str()?.into()))?)),
        "oif" | "oifname" => Some(Test::Out(all(elements, |e| Some(e.as_str()?.into()))?)),
        _ => None,
    }
}

/// `fib daddr type local`: whether the destination is this machine.
fn fib(field: &Value, elements: &[&Value]) -> Option<Test> {
    let fib = field.get("fib")?;
    let flags = fib.get("flags")?;
    let asks_destination = match flags.as_array().map(Vec::as_slice) {
        Some([flag]) => flag == "daddr",
        Some(_) => false,
        None => flags == "daddr",
    };
    let is_local = matches!(elements, [one] if **one == "local");
    (word(fib, "result") == Some("type") && asks_destination && is_local).then_some(Test::Local)
}

/// `tcp dport > 1024` and the like.
fn compared(left: &Value, op: &str, right: &Value) -> Option<Vec<Condition>> {
    let limit = ports(right).filter(|range| range.len() == 1)?.first().0;
    let (first, last) = match op {
        "<" => (0, limit.checked_sub(1)?),
        "<=" => (0, limit),
        ">" => (limit.checked_add(1)?, u16::MAX),
        ">=" => (limit, u16::MAX),
        _ => return None,
    };
    let range = PortRange::new(Port(first), Port(last)).ok()?;
    let (mut conditions, test) = leaf(left, &[right]);
    let Test::Port(_) = test else { return None };
    conditions.push(Test::Port(vec![range]).into());
    Some(conditions)
}

/// What `read` makes of every element, or nothing if one of them is beyond it.
fn all<T>(elements: &[&Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    elements.iter().map(|e| read(e)).collect()
}

/// An element without what may stand around it: a timeout, a counter, the value of a map.
fn key(element: &Value) -> &Value {
    let element = element.get(0).filter(|_| element.is_array()).unwrap_or(element);
    element.get("elem").and_then(|e| e.get("val")).unwrap_or(element)
}

fn ports(value: &Value) -> Option<PortRange> {
    let one = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok()).map(Port);
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => PortRange::new(one(first)?, one(last)?).ok(),
        Some(_) => None,
        None => one(value).map(PortRange::from),
    }
}

fn addresses(value: &Value) -> Option<AddressRange> {
    let one = |v: &Value| v.as_str().and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(prefix) = value.get("prefix") {
        let length = prefix.get("len").and_then(Value::as_u64)?.try_into().ok()?;
        return Some(Prefix::new(one(prefix.get("addr")?)?, length).ok()?.into());
    }
    match value.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([first, last]) => Some(AddressRange { first: one(first)?, last: one(last)? }),
        Some(_) => None,
        None => one(value).map(AddressRange::from),
    }
}

fn protocol_of(value: &Value) -> Option<u8> {
    let number = value.as_u64().and_then(|n| u8::try_from(n).ok());
    number.or_else(|| value.as_str().and_then(protocol))
}

fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn family(value: &Value) -> Option<RuleFamily> {
    let name = word(value, "family")?;
    [RuleFamily::Ip, RuleFamily::Ip6, RuleFamily::Inet].into_iter().find(|f| f.as_str() == name)
}

/// The priority `dstnat`, where the listing has none.
const DSTNAT: i64 = -100;

/// Statements that neither test a packet nor decide about it.
const WITHOUT_EFFECT: [&str; 8] =
    ["counter", "log", "mangle", "notrack", "ct helper", "ct timeout", "set", "dup"];
