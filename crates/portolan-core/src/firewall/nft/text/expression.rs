//! Fields, values, sets and maps in nft's syntax.

use serde_json::Value;

use super::super::symbol::{self, Symbols};
use super::statement::{limit, statement};
use super::{Over, SHOWN, foreign, quoted, several, single, word};

/// What is looked at: `tcp dport`, `ct original ip saddr`, `meta mark & 255`.
pub(in super::super) fn expression(value: &Value) -> String {
    let Some((kind, body)) = single(value) else { return value_of(value, &[]) };
    let of = |key| word(body, key).unwrap_or_default();
    match kind {
        "payload" => payload(body),
        "meta" => meta(of("key")),
        "ct" => spaced(["ct", of("dir"), of("key")]),
        "rt" => spaced(["rt", of("family"), of("key")]),
        "socket" => socket(body),
        "osf" => match of("ttl") {
            "" => spaced(["osf", of("key")]),
            ttl => spaced(["osf ttl", ttl, of("key")]),
        },
        "ipsec" => ipsec(body),
        "tunnel" => spaced(["tunnel", of("key")]),
        "exthdr" => match of("field") {
            "" => format!("exthdr {}", of("name")),
            field => spaced([of("name"), field]),
        },
        "tcp option" | "ip option" | "sctp chunk" | "dccp option" => option(kind, body),
        "fib" => {
            let flags: Vec<&str> = super::super::json::words(body, "flags");
            format!("fib {} {}", flags.join(" . "), of("result"))
        }
        "concat" => joined(several(body), " . ", expression),
        // nft 1.0.6 lists `ip dscp` in a concatenation with the shift that its place in the byte needs.
        ">>" if is_shifted(several(body)) => expression(&body[0]),
        "&" | "|" | "^" | "<<" | ">>" => operation(kind, several(body)),
        "numgen" => generated(&format!("numgen {}", of("mode")), body),
        "symhash" => generated("symhash", body),
        "jhash" => {
            let hashed = body.get("expr").map(expression).unwrap_or_default();
            generated(&format!("jhash {hashed}"), body)
        }
        "map" => map(body, "map"),
        "elem" | "set" | "range" | "prefix" => value_of(value, &[]),
        _ => foreign(value),
    }
}

/// A map after its key: `tcp dport vmap { 22 : accept }`.
pub(super) fn map(body: &Value, word: &str) -> String {
    let (Some(key), Some(data)) = (body.get("key"), body.get("data")) else { return foreign(body) };
    let quotes = quotes(key);
    format!("{} {word} {}", expression(key), value_of(data, &quotes))
}

/// A right side. `quotes` says of each part whether its words stand in quotes: names of interfaces do.
pub(super) fn value_of(value: &Value, quotes: &[Style]) -> String {
    match value {
        Value::String(text) => string(text, quotes.first() == Some(&Style::Quoted)),
        Value::Number(number) => number.to_string(),
        Value::Bool(true) => "exists".to_owned(),
        Value::Bool(false) => "missing".to_owned(),
        Value::Null => "{}".to_owned(),
        Value::Array(parts) => joined(parts, " | ", |part| value_of(part, quotes)),
        Value::Object(_) => object(value, quotes),
    }
}

fn object(value: &Value, quotes: &[Style]) -> String {
    let Some((kind, body)) = single(value) else { return "{}".to_owned() };
    match kind {
        "set" => set(several(body), quotes),
        "range" => joined(several(body), "-", |end| range_end(end, quotes)),
        "prefix" => {
            let part = |key| body.get(key).map(|p| value_of(p, &[])).unwrap_or_default();
            format!("{}/{}", part("addr"), part("len"))
        }
        "concat" => {
            let part = |(at, part)| value_of(part, quotes.get(at..=at).unwrap_or_default());
            several(body).iter().enumerate().map(part).collect::<Vec<_>>().join(" . ")
        }
        "elem" => element(body, quotes),
        "|" => joined(several(body), " | ", |part| value_of(part, quotes)),
        "accept" | "drop" | "continue" | "return" | "jump" | "goto" => statement(value),
        _ => expression(value),
    }
}

/// A string of nft's JSON. nft 1.0.6 prints `0x50 [invalid type]` where it does not know a set's type.
fn string(text: &str, is_quoted: bool) -> String {
    match text.strip_suffix(" [invalid type]") {
        Some(number) => number.to_owned(),
        None if is_quoted && !text.starts_with('@') => quoted(text),
        None => text.to_owned(),
    }
}

fn set(members: &[Value], quotes: &[Style]) -> String {
    let member = |member: &Value| match member {
        Value::Array(pair) if pair.len() == 2 => {
            let data = match &pair[1] {
                Value::String(text) if text.parse::<std::net::IpAddr>().is_err() => {
                    name_or_symbol(text)
                }
                data => value_of(data, &[]),
            };
            format!("{} : {data}", value_of(&pair[0], quotes))
        }
        other => value_of(other, quotes),
    };
    let mut shown: Vec<String> = members.iter().take(SHOWN).map(member).collect();
    if members.len() > SHOWN {
        shown.push("…".to_owned());
    }
    format!("{{ {} }}", shown.join(", "))
}

/// What a map gives: words of nft stay as they are, names of objects stand in quotes for safety.
fn name_or_symbol(text: &str) -> String {
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '_'));
    if is_plain { text.to_owned() } else { quoted(text) }
}

fn element(body: &Value, quotes: &[Style]) -> String {
    let mut text = body.get("val").map(|val| value_of(val, quotes)).unwrap_or_default();
    for key in ["timeout", "expires"] {
        if let Some(seconds) = body.get(key).and_then(Value::as_u64) {
            text.push_str(&format!(" {key} {seconds}s"));
        }
    }
    for (kind, inner) in body.as_object().into_iter().flatten() {
        match kind.as_str() {
            "counter" => text.push_str(" counter"),
            "limit" | "quota" | "ct count" => {
                text.push(' ');
                text.push_str(&limit(kind, inner, Over::Shown));
            }
            _ => {}
        }
    }
    if let Some(comment) = word(body, "comment") {
        text.push_str(" comment ");
        text.push_str(&quoted(comment));
    }
    text
}

/// The end of a range: nft does not take `nd-router-solicit-nd-neighbor-advert`.
fn range_end(end: &Value, quotes: &[Style]) -> String {
    let number = match (quotes.first(), end.as_str()) {
        (Some(Style::Numbers(symbols)), Some(word)) => symbol::number(symbols, word),
        _ => None,
    };
    number.map_or_else(|| value_of(end, quotes), |number| number.to_string())
}

/// How the words of a part of the right side are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// As they are.
    Plain,
    /// In quotes.
    Quoted,
    /// As they are, in ranges as numbers.
    Numbers(Symbols),
}

/// Which parts of a left side have words that stand in quotes on the right.
pub(super) fn quotes(left: &Value) -> Vec<Style> {
    match single(left) {
        Some(("concat", parts)) => several(parts).iter().flat_map(quotes).collect(),
        Some((kind, body)) => {
            let key = word(body, "key").or_else(|| word(body, "result")).unwrap_or_default();
            let is_quoted = match kind {
                "meta" => QUOTED.contains(&key),
                "ct" => key == "helper",
                "osf" => key == "name",
                "fib" => key.starts_with("oif"),
                "socket" => key == "cgroupv2",
                _ => false,
            };
            vec![match word(body, "protocol") {
                _ if is_quoted => Style::Quoted,
                Some("icmp") => Style::Numbers(symbol::ICMP_TYPE),
                Some("icmpv6") => Style::Numbers(symbol::ICMP6_TYPE),
                _ => Style::Plain,
            }]
        }
        None => vec![Style::Plain],
    }
}

/// Keys of `meta` whose values are names or times.
const QUOTED: [&str; 13] = [
    "iif", "iifname", "oif", "oifname", "ibrname", "obrname", "ibriport", "iifkind", "oifkind",
    "sdifname", "time", "hour", "day",
];

fn payload(body: &Value) -> String {
    match (word(body, "protocol"), word(body, "field")) {
        (Some(protocol), Some(field)) => format!("{protocol} {field}"),
        _ => {
            let part = |key| body.get(key).map(|p| value_of(p, &[])).unwrap_or_default();
            format!("@{},{},{}", part("base"), part("offset"), part("len"))
        }
    }
}

/// nft leaves the first word out where it can.
fn meta(key: &str) -> String {
    let is_bare =
        ["iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup", "iiftype", "oiftype"];
    if is_bare.contains(&key) { key.to_owned() } else { format!("meta {key}") }
}

fn socket(body: &Value) -> String {
    let key = word(body, "key").unwrap_or_default();
    match body.get("level").and_then(Value::as_u64) {
        Some(level) => format!("socket {key} level {level}"),
        None => format!("socket {key}"),
    }
}

fn ipsec(body: &Value) -> String {
    let of = |key| word(body, key).unwrap_or_default();
    let number = match body.get("spnum").and_then(Value::as_u64) {
        Some(number) if number > 0 => format!("spnum {number}"),
        _ => String::new(),
    };
    spaced(["ipsec", of("dir"), &number, of("family"), of("key")])
}

fn option(kind: &str, body: &Value) -> String {
    let of = |key| word(body, key).unwrap_or_default();
    match (of("name"), body.get("base").and_then(Value::as_u64)) {
        ("", Some(base)) => {
            let part = |key| body.get(key).map(|p| value_of(p, &[])).unwrap_or_default();
            format!("{kind} @{base},{},{}", part("offset"), part("len"))
        }
        (name, _) => spaced([kind, name, of("field")]),
    }
}

fn generated(start: &str, body: &Value) -> String {
    let mut text = start.to_owned();
    for key in ["mod", "seed", "offset"] {
        match body.get(key).and_then(Value::as_u64) {
            Some(0) if key == "offset" => {}
            Some(number) if key == "seed" => text.push_str(&format!(" seed {number:#x}")),
            Some(number) => text.push_str(&format!(" {key} {number}")),
            None => {}
        }
    }
    text
}

fn is_shifted(sides: &[Value]) -> bool {
    let [Value::Object(_), shift] = sides else { return false };
    let field = sides[0].get("payload").and_then(|payload| word(payload, "field"));
    matches!((field, shift.as_u64()), (Some("dscp"), Some(2 | 6)) | (Some("ecn"), Some(4)))
}

fn operation(sign: &str, sides: &[Value]) -> String {
    let side = |side: &Value| {
        let is_operation = |kind: &str| matches!(kind, "&" | "|" | "^" | "<<" | ">>");
        match (side, single(side)) {
            (Value::Array(parts), _) if parts.len() > 1 => format!("({})", value_of(side, &[])),
            (_, Some((kind, _))) if is_operation(kind) => format!("({})", expression(side)),
            _ => expression(side),
        }
    };
    joined(sides, &format!(" {sign} "), side)
}

fn joined(parts: &[Value], by: &str, text: impl Fn(&Value) -> String) -> String {
    parts.iter().map(text).collect::<Vec<_>>().join(by)
}

fn spaced<const N: usize>(words: [&str; N]) -> String {
    let words = words.into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
