//! Sets and maps: named ones with their types, and those that stand in a rule.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::json::{number, several, single, word, words};
use super::kind::Kind;
use super::statement::verdict;
use super::text;
use crate::firewall::{Element, ElementValue, Elements, Set, SetFlags, SetRef, Span};

/// What a map gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    /// It is a set.
    Nothing,
    /// Objects that count, limit or help, by name.
    Objects,
    /// Verdicts.
    Verdicts,
    /// Values of these types.
    Values(Vec<Kind>),
}

/// A named set or map, without what was added to it elsewhere.
pub(super) fn named(body: &Value) -> Option<Set> {
    let types = body.get("type").map_or(&[][..], several);
    let kinds: Vec<Kind> = types.iter().flat_map(types_of).collect();
    let data = data(body);
    let flags = words(body, "flags");
    let listed = body.get("elem").map_or(&[][..], several);
    let elements = elements(listed, &kinds, &data).filter(|_| tells_members(body));
    Some(Set {
        name: word(body, "name")?.into(),
        key: types.iter().flat_map(type_names).collect(),
        flags: SetFlags {
            is_dynamic: flags.contains(&"dynamic"),
            has_timeout: flags.contains(&"timeout") || body.get("timeout").is_some(),
            is_interval: flags.contains(&"interval"),
            is_map: data != Data::Nothing,
        },
        size: number(body, "size").and_then(|size| u32::try_from(size).ok()),
        elements,
    })
}

/// Whether its members can stand nowhere but under `elem`: there is no list under a key of another name.
fn tells_members(body: &Value) -> bool {
    let may_hold = |(key, value): (&String, &Value)| match key.as_str() {
        "elem" => value.is_null(),
        "type" | "map" | "flags" | "stmt" | "expr" => false,
        _ => value.is_array() || value.is_object(),
    };
    body.as_object().is_none_or(|body| !body.iter().any(may_hold))
}

/// Members of a named set that are listed apart from it.
pub(super) fn members_of(body: &Value, listed: &[Value]) -> Option<Elements> {
    let types = body.get("type").map_or(&[][..], several);
    let kinds: Vec<Kind> = types.iter().flat_map(types_of).collect();
    elements(listed, &kinds, &data(body))
}

/// What is kept with the members of a set and may end a rule that finds one, in words: a limit, a quota, a
/// count of connections. `None` where nothing is, or only counters.
pub(super) fn held_with(body: &Value, more: &[&Value]) -> Option<Box<str>> {
    let own = ["stmt", "expr"].iter().filter_map(|key| body.get(key)).flat_map(several);
    let listed = body.get("elem").map_or(&[][..], several).iter().chain(more.iter().copied());
    let name = word(body, "name").unwrap_or_default();
    let held = own.filter_map(single).chain(listed.flat_map(beside));
    let mut held = held.filter(|(kind, _)| !matches!(*kind, "counter" | "last"));
    held.next().map(|(kind, body)| match kind {
        "limit" | "quota" | "ct count" => {
            let words = text::limit(kind, body, text::Over::Shown);
            format!("{words} of its element in @{name}").into()
        }
        _ => format!("`{kind}` of its element in @{name}").into(),
    })
}

/// The statements that stand beside the value of a member.
fn beside(member: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let key = match member {
        Value::Array(pair) => pair.first().unwrap_or(member),
        _ => member,
    };
    let details = key.get("elem").and_then(Value::as_object).into_iter().flatten();
    details.flat_map(|(kind, body)| match &**kind {
        "val" | "timeout" | "expires" | "comment" => Vec::new(),
        "stmt" | "expr" => several(body).iter().filter_map(single).collect(),
        kind => vec![(kind, body)],
    })
}

/// The types of the values of a named map.
pub(super) fn data(body: &Value) -> Data {
    let Some(map) = body.get("map") else { return Data::Nothing };
    match map.as_str() {
        Some("verdict") => Data::Verdicts,
        Some(word) if OBJECTS.contains(&word) => Data::Objects,
        _ => Data::Values(several(map).iter().flat_map(types_of).collect()),
    }
}

/// The kinds of objects a map gives by name (libnftables-json(5), "NAMED OBJECTS"; `data_json` and
/// `obj_type_name` of nft's json.c write these words).
const OBJECTS: [&str; 9] = [
    "counter",
    "quota",
    "limit",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "secmark",
    "synproxy",
    "tunnel",
];

/// Types by name, several as `ipv4_addr . inet_service` (nft 1.0.6, for what a map gives), or by a field
/// or several (`typeof ip saddr . tcp dport`, listed so since nft 1.1).
fn types_of(value: &Value) -> Vec<Kind> {
    match value.as_str() {
        Some(names) => names.split('.').map(|name| Kind::named(name.trim())).collect(),
        None => super::operand::read_alone(value.get("typeof").unwrap_or(value)).kinds,
    }
}

fn type_names(value: &Value) -> Vec<Box<str>> {
    if let Some(names) = value.as_str() {
        return names.split('.').map(|name| name.trim().into()).collect();
    }
    let of = value.get("typeof").unwrap_or(value);
    let parts = of.get("concat").map_or(std::slice::from_ref(of), several);
    parts.iter().map(|part| text::expression(part).into()).collect()
}

/// The set that stands on the right of a match or behind a map; `None` where it is not understood.
pub(super) fn reference(value: &Value, kinds: &[Kind], data: &Data) -> Option<SetRef> {
    if let Some(name) = value.as_str().and_then(|text| text.strip_prefix('@')) {
        return Some(SetRef::Named(name.into()));
    }
    let listed = match value.get("set") {
        Some(list) => several(list),
        None => std::slice::from_ref(value),
    };
    let is_held = |member| beside(member).any(|(kind, _)| !matches!(kind, "counter" | "last"));
    if listed.iter().any(is_held) {
        return None;
    }
    elements(listed, kinds, data).map(SetRef::Inline)
}

/// All members; `None` where one of them is not understood.
pub(super) fn elements(listed: &[Value], kinds: &[Kind], data: &Data) -> Option<Elements> {
    listed.iter().map(|member| element(member, kinds, data)).collect::<Option<Arc<[_]>>>()
}

fn element(member: &Value, kinds: &[Kind], data: &Data) -> Option<Element> {
    let (key, value) = match (member, data) {
        (_, Data::Nothing) => (member, None),
        (Value::Array(pair), _) => {
            let [key, value] = pair.as_slice() else { return None };
            (key, Some(value))
        }
        _ => return None,
    };
    let value = match (data, value) {
        (Data::Verdicts, Some(value)) => ElementValue::Verdict(verdict(value)?),
        (Data::Values(kinds), Some(value)) => ElementValue::Data(spans(value, kinds)?),
        _ => ElementValue::None,
    };
    let details = key.get("elem");
    Some(Element {
        key: spans(key, kinds)?,
        value,
        expires: details.and_then(|d| number(d, "expires")).map(Duration::from_secs),
        comment: details.and_then(|d| word(d, "comment")).map(Into::into),
    })
}

/// A span for each part of a key or value.
fn spans(value: &Value, kinds: &[Kind]) -> Option<Vec<Span>> {
    let value = value.get("elem").and_then(|elem| elem.get("val")).unwrap_or(value);
    if value.as_str() == Some("*") {
        return Some(kinds.iter().map(|kind| kind.all()).collect());
    }
    let parts = match single(value) {
        Some(("concat", parts)) => several(parts),
        _ => std::slice::from_ref(value),
    };
    // nft 1.0.6 leaves out parts whose type it does not know.
    if parts.len() != kinds.len() {
        return None;
    }
    parts.iter().zip(kinds).map(|(part, kind)| kind.span(part)).collect()
}
