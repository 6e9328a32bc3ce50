//! What is kept with sets, their elements, and under names: limits, quotas, counts of connections, counters,
//! times. Budgets are so big, or so small, that no packet of a run changes what they answer.

use std::net::IpAddr;

use super::matches::Matches;
use super::values;
use super::{Draft, Edge, Line};
use crate::chance::Chance;

/// What a set keeps for each of its elements. The last ones end every rule that finds an element.
const KEPT: &[&str] = &[
    "counter; ",
    "counter; ",
    "limit rate 1000000/second burst 60000 packets; ",
    "limit rate 900 mbytes/second burst 900 mbytes; ",
    "quota 900 mbytes; ",
    "ct count 60000; ",
    "limit rate over 1000000/second burst 60000 packets; ",
    "quota over 900 mbytes; ",
    "ct count over 60000; ",
];

/// A look into a set that keeps something.
pub(super) fn condition(rule: &mut Matches<'_, '_>) {
    match rule.draft.chance.below(10) {
        0..3 => return by_port(rule),
        3 | 4 => return by_both(rule),
        5 => return budget(rule),
        _ => {}
    }
    let is_v6 = rule.version() == 6;
    let (family, kind) = if is_v6 { ("ip6", "ipv6_addr") } else { ("ip", "ipv4_addr") };
    let has_ranges = rule.draft.chance.percent(60);
    let (elements, around) = match has_ranges {
        true => values::places(rule.draft.chance, is_v6),
        false => values::single_places(rule.draft.chance, is_v6),
    };
    let name = set(rule.draft, kind, elements, has_ranges);
    let is_source = rule.draft.chance.percent(70);
    let edge = |a: IpAddr| if is_source { Edge::Source(a) } else { Edge::Destination(a) };
    let side = if is_source { "saddr" } else { "daddr" };
    let not = if rule.draft.chance.percent(25) { "!= " } else { "" };
    let edges = around.into_iter().map(edge).collect();
    rule.push(format!("{family} {side} {not}@{name}"), edges);
}

fn by_port(rule: &mut Matches<'_, '_>) {
    let Some(transport @ ("tcp" | "udp")) = rule.with_ports() else { return };
    let pool = [22, 53, 80, 443, 8080];
    let (elements, around) = values::several(rule.draft.chance, &pool, 65_535);
    let has_ranges = elements.iter().any(|element| element.contains('-'));
    let name = set(rule.draft, "inet_service", elements, has_ranges);
    let not = if rule.draft.chance.percent(25) { "!= " } else { "" };
    let edges = around.into_iter().map(|port| Edge::DestinationPort(port as u16)).collect();
    rule.push(format!("{transport} dport {not}@{name}"), edges);
}

fn by_both(rule: &mut Matches<'_, '_>) {
    let is_v6 = rule.version() == 6;
    let Some(transport @ ("tcp" | "udp")) = rule.with_ports() else { return };
    let (family, kind) = if is_v6 { ("ip6", "ipv6_addr") } else { ("ip", "ipv4_addr") };
    let (places, around) = values::places(rule.draft.chance, is_v6);
    let ports = ["80", "22-53", "443"];
    let pairs = places.iter().zip(ports.iter().cycle());
    let elements = pairs.map(|(place, port)| format!("{place} . {port}")).collect();
    let name = set(rule.draft, &format!("{kind} . inet_service"), elements, true);
    rule.edges.push(around.into_iter().map(Edge::Source).collect());
    let edges = [80, 22, 53, 54, 443, 21].map(Edge::DestinationPort).to_vec();
    rule.push(format!("{family} saddr . {transport} dport @{name}"), edges);
}

/// A named set whose elements have times and notes, and which keeps something for each.
fn set(draft: &mut Draft<'_>, kind: &str, elements: Vec<String>, has_ranges: bool) -> String {
    let has_times = draft.chance.percent(40);
    let mut flags = Vec::new();
    if has_ranges {
        flags.push("interval");
    }
    if has_times {
        flags.push("timeout");
    }
    let mut head = format!("type {kind}; ");
    if !flags.is_empty() {
        head += &format!("flags {}; ", flags.join(","));
    }
    if has_times && draft.chance.percent(50) {
        head += "timeout 1h; ";
    }
    // nft 1.0.6 lists a set of ranges of several fields no limits.
    if draft.chance.percent(75) {
        head += draft.chance.word(KEPT);
    }
    let mut elements: Vec<String> =
        elements.into_iter().map(|element| dressed(draft.chance, element, has_times)).collect();
    let is_single = !kind.contains(" . ");
    if is_single && draft.chance.percent(8) {
        elements.push("*".to_owned());
    }
    let name = format!("kept{}", draft.sets.len());
    let text = format!(
        "add set {} {} {name} {{ {head}elements = {{ {} }}; }}",
        draft.family,
        draft.name,
        elements.join(", ")
    );
    draft.sets.push(Line { text, ..Line::default() });
    name
}

/// An element with a time or a note of its own.
fn dressed(chance: &mut Chance, element: String, has_times: bool) -> String {
    match chance.below(6) {
        0 | 1 if has_times => format!("{element} timeout 2h"),
        2 if has_times => format!("{element} timeout 3h expires 2h"),
        3 => format!("{element} comment \"x {}\"", chance.below(9)),
        _ => element,
    }
}

/// A limit of a rule's own, or one under a name.
fn budget(rule: &mut Matches<'_, '_>) {
    let draft = &mut *rule.draft;
    let (kind, text) = *draft.chance.pick(&[
        ("limit", "rate 1000000/second burst 60000 packets"),
        ("limit", "rate over 1000000/second burst 60000 packets"),
        ("quota", "900 mbytes"),
        ("quota", "over 900 mbytes"),
        ("ct count", "60000"),
        ("ct count", "over 60000"),
    ]);
    let is_named = kind != "ct count" && draft.chance.percent(60);
    if !is_named {
        return rule.push(format!("{kind} {text}"), vec![]);
    }
    let name = object(draft, kind, text);
    rule.push(format!("{kind} name \"{name}\""), vec![]);
}

fn object(draft: &mut Draft<'_>, kind: &str, text: &str) -> String {
    let name = format!("o{}", draft.sets.len());
    let body = if text.is_empty() { String::new() } else { format!(" {{ {text}; }}") };
    let text = format!("add {kind} {} {} {name}{body}", draft.family, draft.name);
    draft.sets.push(Line { text, ..Line::default() });
    name
}

/// What the packet path writes into sets, with what is kept there; objects chosen by maps.
pub(super) fn statement(
    draft: &mut Draft<'_>,
    version: Option<u8>,
    transport: Option<&'static str>,
) -> String {
    let key = match (version, transport) {
        (Some(4), Some(t @ ("tcp" | "udp"))) if draft.chance.percent(30) => {
            ("ipv4_addr . inet_service", format!("ip saddr . {t} dport"))
        }
        (Some(4), _) => ("ipv4_addr", "ip saddr".to_owned()),
        (Some(6), _) => ("ipv6_addr", "ip6 saddr".to_owned()),
        (_, Some(t @ ("tcp" | "udp"))) => return chosen(draft, t),
        _ => ("mark", "meta mark".to_owned()),
    };
    if let Some(t @ ("tcp" | "udp")) = transport
        && draft.chance.percent(35)
    {
        return chosen(draft, t);
    }
    write(draft, key.0, &key.1)
}

/// `add @s { ip saddr limit rate … }`.
fn write(draft: &mut Draft<'_>, kind: &str, key: &str) -> String {
    let kept = *draft.chance.pick(&[
        "",
        " counter",
        " limit rate 1000000/second burst 60000 packets",
        " limit rate over 1000000/second burst 60000 packets",
        " quota 900 mbytes",
        " quota over 900 mbytes",
        " ct count 60000",
        " ct count over 60000",
        " counter limit rate 1000000/second burst 60000 packets",
    ]);
    let is_timed = draft.chance.percent(40);
    let (flags, time) = if is_timed { ("dynamic,timeout", " timeout 1h") } else { ("dynamic", "") };
    let time = if draft.chance.percent(50) { time } else { "" };
    let name = format!("filled{}", draft.sets.len());
    let text = format!(
        "add set {} {} {name} {{ type {kind}; size 65535; flags {flags}; }}",
        draft.family, draft.name
    );
    draft.sets.push(Line { text, ..Line::default() });
    let word = if is_timed { *draft.chance.pick(&["add", "update"]) } else { "add" };
    let write = format!("{word} @{name} {{ {key}{time}{kept} }}");
    match draft.chance.below(6) {
        // Found by the packet that put it in.
        0 => format!("{write} {key} @{name}"),
        1 => format!("{write} {key} != @{name}"),
        _ => write,
    }
}

/// A limit, quota or counter that a map chooses.
fn chosen(draft: &mut Draft<'_>, transport: &str) -> String {
    let (kind, text) = *draft.chance.pick(&[
        ("counter", ""),
        ("limit", "rate 1000000/second burst 60000 packets"),
        ("limit", "rate over 1000000/second burst 60000 packets"),
        ("quota", "900 mbytes"),
        ("quota", "over 900 mbytes"),
    ]);
    let name = object(draft, kind, text);
    format!("{kind} name {transport} dport map {{ 22 : \"{name}\", 80-90 : \"{name}\" }}")
}
