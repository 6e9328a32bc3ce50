//! A rule of nft's JSON in words, near to what `nft list` prints: its JSON has no text.
//!
//! For people to recognise the rule by, not for nft to read back: what is not known is shown by its
//! name in braces, and long lists are cut.

use serde_json::Value;

/// The whole rule, its comment at the end.
pub(super) fn rule(rule: &Value) -> String {
    let mut words: Vec<String> = super::expressions(rule).iter().map(statement).collect();
    words.retain(|word| !word.is_empty());
    if let Some(comment) = super::word(rule, "comment") {
        words.push(format!("comment {comment:?}"));
    }
    words.join(" ")
}

fn statement(statement: &Value) -> String {
    let Some((kind, body)) = statement.as_object().and_then(|o| o.iter().next()) else {
        return "{…}".to_owned();
    };
    match kind.as_str() {
        "match" => matching(body),
        "counter" => String::new(), // its numbers say nothing of where packets go
        "jump" | "goto" => format!("{kind} {}", super::word(body, "target").unwrap_or("?")),
        "vmap" => format!("{} vmap {}", field(body.get("key")), value(body.get("data"))),
        "dnat" | "redirect" => translation(kind, body),
        "xt" => format!("{{iptables {}}}", super::word(body, "name").unwrap_or("?")),
        "limit" => limit(body),
        _ if body.is_null() => kind.clone(),
        _ => format!("{{{kind}}}"),
    }
}

fn matching(body: &Value) -> String {
    let op = super::word(body, "op").filter(|op| !matches!(*op, "==" | "in"));
    let (left, right) = (field(body.get("left")), value(body.get("right")));
    match op {
        Some(op) => format!("{left} {op} {right}"),
        None => format!("{left} {right}"),
    }
}

fn limit(body: &Value) -> String {
    let rate = body.get("rate").map_or_else(String::new, Value::to_string);
    format!("limit rate {rate}/{}", super::word(body, "per").unwrap_or("second"))
}

fn translation(kind: &str, body: &Value) -> String {
    let family = super::word(body, "family").map_or_else(String::new, |f| format!(" {f}"));
    let address = body.get("addr").map(|a| value(Some(a)));
    let port = body.get("port").map(|p| value(Some(p)));
    let to = match (address, port) {
        (None, None) => return kind.to_owned(),
        (None, Some(port)) => format!(":{port}"),
        (Some(address), None) => address,
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (Some(address), Some(port)) => format!("{address}:{port}"),
    };
    format!("{kind}{family} to {to}")
}

/// The left side of a match, or the key of a map.
fn field(left: Option<&Value>) -> String {
    let Some((kind, body)) = left.and_then(Value::as_object).and_then(|o| o.iter().next()) else {
        return value(left);
    };
    let inner = |key| super::word(body, key).unwrap_or("?");
    match kind.as_str() {
        "payload" => format!("{} {}", inner("protocol"), inner("field")),
        // nft leaves the word out where it can: `iifname`, not `meta iifname`.
        "meta" if inner("key").starts_with(['i', 'o']) => inner("key").to_owned(),
        "meta" | "ct" => format!("{kind} {}", inner("key")),
        "fib" => format!("fib {} {}", joined(body.get("flags"), " . "), inner("result")),
        "concat" => {
            let parts = body.as_array().map_or(&[][..], |parts| parts);
            parts.iter().map(|part| field(Some(part))).collect::<Vec<_>>().join(" . ")
        }
        _ => format!("{{{kind}}}"),
    }
}

fn value(right: Option<&Value>) -> String {
    let Some(right) = right else { return "?".to_owned() };
    if let Some(text) = right.as_str() {
        return text.to_owned();
    }
    if let Some(pair) = right.as_array() {
        return pair.iter().map(element).collect::<Vec<_>>().join(" : ");
    }
    let Some((kind, body)) = right.as_object().and_then(|o| o.iter().next()) else {
        return right.to_string();
    };
    match kind.as_str() {
        "set" => set(body),
        "range" => joined(Some(body), "-"),
        "concat" => joined(Some(body), " . "),
        "elem" => value(body.get("val")),
        "map" => format!("{} map {}", field(body.get("key")), value(body.get("data"))),
        "prefix" => format!("{}/{}", value(body.get("addr")), value(body.get("len"))),
        _ => statement(right),
    }
}

fn element(part: &Value) -> String {
    value(Some(part))
}

fn set(body: &Value) -> String {
    let Some(elements) = body.as_array() else { return value(Some(body)) };
    let mut shown: Vec<String> = elements.iter().take(SHOWN).map(element).collect();
    if elements.len() > SHOWN {
        shown.push("…".to_owned());
    }
    format!("{{ {} }}", shown.join(", "))
}

fn joined(list: Option<&Value>, by: &str) -> String {
    match list.and_then(Value::as_array) {
        Some(parts) => parts.iter().map(element).collect::<Vec<_>>().join(by),
        None => value(list),
    }
}

/// Elements of a set that are shown before it is cut.
const SHOWN: usize = 8;
