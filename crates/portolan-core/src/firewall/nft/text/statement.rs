//! Statements in nft's syntax.

use serde_json::Value;

use super::expression::{expression, map, quotes, value_of};
use super::{foreign, quoted, several, single, word};
use crate::firewall::nft::json::{number, words};

/// Whether `over` is written: a condition holds its negation beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Over {
    /// As nft does.
    Shown,
    /// Never.
    Left,
}

/// One statement.
pub(in super::super) fn statement(value: &Value) -> String {
    let Some((kind, body)) = single(value) else {
        return value.as_str().map_or_else(|| foreign(value), str::to_owned);
    };
    let target = || word(body, "target").unwrap_or("?");
    match kind {
        "match" => matching(body),
        "vmap" => map(body, "vmap"),
        "accept" | "drop" | "continue" | "return" | "notrack" | "last" => kind.to_owned(),
        "jump" | "goto" => format!("{kind} {}", target()),
        "counter" => named(kind, body).unwrap_or_else(|| kind.to_owned()),
        "limit" | "quota" | "ct count" => limit(kind, body, Over::Shown),
        "log" => log(body),
        "reject" => reject(body),
        "mangle" => mangle(body),
        "set" | "map" => update(kind, body),
        "meter" => meter(body),
        "dnat" | "snat" | "masquerade" | "redirect" | "tproxy" => translation(kind, body),
        "ct helper" | "ct timeout" | "ct expectation" => {
            format!("{kind} set {}", by_name(body).unwrap_or_default())
        }
        "secmark" => format!("meta secmark set {}", by_name(body).unwrap_or_default()),
        "queue" => queue(body),
        "dup" | "fwd" => copy(kind, body),
        "flow" => {
            format!("flow add {}", word(body, "flowtable").unwrap_or("?"))
        }
        "synproxy" => named(kind, body).unwrap_or_else(|| synproxy(body)),
        "reset" => format!("reset {}", expression(body)),
        "xt" => match (word(body, "type"), word(body, "name")) {
            (Some(kind), Some(name)) => format!("xt {kind} {}", quoted(name)),
            _ => "xt".to_owned(),
        },
        _ => foreign(value),
    }
}

fn matching(body: &Value) -> String {
    let (Some(left), Some(right)) = (body.get("left"), body.get("right")) else {
        return foreign(body);
    };
    let (quotes, left_text) = (quotes(left), expression(left));
    let by_comma = || {
        let parts = several(right).iter().map(|part| value_of(part, &quotes));
        parts.collect::<Vec<_>>().join(",")
    };
    match word(body, "op").unwrap_or("in") {
        "in" => format!("{left_text} {}", by_comma()),
        "!" => format!("{left_text} ! {}", by_comma()),
        // For flags a bare value asks for bits, so the sign is said.
        "==" if is_plain(left, right) => format!("{left_text} {}", value_of(right, &quotes)),
        op => format!("{left_text} {op} {}", value_of(right, &quotes)),
    }
}

fn is_plain(left: &Value, right: &Value) -> bool {
    let has_flags = match single(left) {
        Some(("payload", body)) => word(body, "field") == Some("flags"),
        Some(("ct", body)) => matches!(word(body, "key"), Some("state" | "status" | "label")),
        Some(("&" | "|" | "^" | "<<" | ">>", _)) => true,
        _ => false,
    };
    !has_flags || right.get("set").is_some() || right.as_str().is_some_and(|r| r.starts_with('@'))
}

/// `limit rate over 5/minute burst 10 packets`, `quota over 10 mbytes`, `ct count over 10`.
pub(in super::super) fn limit(kind: &str, body: &Value, over: Over) -> String {
    if let Some(text) = named(kind, body) {
        return text;
    }
    let is_over = over == Over::Shown && body.get("inv").and_then(Value::as_bool) == Some(true);
    let over = if is_over { "over " } else { "" };
    let of = |key| number(body, key).unwrap_or(0);
    match kind {
        "limit" => {
            let unit = word(body, "rate_unit").filter(|unit| *unit != "packets");
            let rate = match unit {
                Some(unit) => format!("{} {unit}", of("rate")),
                None => of("rate").to_string(),
            };
            let per = word(body, "per").unwrap_or("second");
            let burst_unit = word(body, "burst_unit").unwrap_or("packets");
            let burst = match of("burst") {
                0 => String::new(),
                burst => format!(" burst {burst} {burst_unit}"),
            };
            format!("limit rate {over}{rate}/{per}{burst}")
        }
        "quota" => {
            let unit = |key| word(body, key).unwrap_or("bytes");
            let used = match number(body, "used") {
                Some(used) if used > 0 => format!(" used {used} {}", unit("used_unit")),
                _ => String::new(),
            };
            format!("quota {over}{} {}{used}", of("val"), unit("val_unit"))
        }
        _ => format!("ct count {over}{}", of("val")),
    }
}

/// An object asked by its name, or by a map of names.
fn named(kind: &str, body: &Value) -> Option<String> {
    by_name(body).map(|name| format!("{kind} name {name}"))
}

fn by_name(body: &Value) -> Option<String> {
    match body {
        Value::String(name) => Some(quoted(name)),
        Value::Object(_) => body.get("map").map(|inner| map(inner, "map")),
        _ => None,
    }
}

fn log(body: &Value) -> String {
    let mut text = "log".to_owned();
    if let Some(prefix) = word(body, "prefix") {
        text.push_str(&format!(" prefix {}", quoted(prefix)));
    }
    if let Some(level) = word(body, "level") {
        text.push_str(&format!(" level {level}"));
    }
    for key in ["group", "snaplen", "queue-threshold"] {
        if let Some(number) = number(body, key) {
            text.push_str(&format!(" {key} {number}"));
        }
    }
    for flag in words(body, "flags") {
        text.push_str(&format!(" flags {flag}"));
    }
    text
}

fn reject(body: &Value) -> String {
    let code = || body.get("expr").map(|code| value_of(code, &[])).unwrap_or_default();
    match word(body, "type") {
        None => "reject".to_owned(),
        Some("tcp reset") => "reject with tcp reset".to_owned(),
        Some(kind) => format!("reject with {kind} type {}", code()),
    }
}

fn mangle(body: &Value) -> String {
    let (Some(key), Some(value)) = (body.get("key"), body.get("value")) else {
        return foreign(body);
    };
    let value = match value {
        Value::Array(flags) => {
            flags.iter().map(|flag| value_of(flag, &[])).collect::<Vec<_>>().join(",")
        }
        value => value_of(value, &quotes(key)),
    };
    format!("{} set {value}", expression(key))
}

fn update(kind: &str, body: &Value) -> String {
    let of = |key| word(body, key).unwrap_or_default();
    let key = body.get("elem").map(key_of_update).unwrap_or_default();
    let data = match body.get("data") {
        Some(data) => format!(" : {}", expression(data)),
        None => String::new(),
    };
    format!("{} {} {{ {key}{}{data} }}", of("op"), of(kind), inner(body))
}

fn key_of_update(elem: &Value) -> String {
    let Some(elem) = elem.get("elem") else { return expression(elem) };
    let mut text = elem.get("val").map(expression).unwrap_or_default();
    for key in ["timeout", "expires"] {
        if let Some(seconds) = number(elem, key) {
            text.push_str(&format!(" {key} {seconds}s"));
        }
    }
    text
}

fn inner(body: &Value) -> String {
    let statements = body.get("stmt").map_or(&[][..], several);
    statements.iter().map(|one| format!(" {}", statement(one))).collect()
}

fn meter(body: &Value) -> String {
    let size = number(body, "size").map_or_else(String::new, |size| format!(" size {size}"));
    let key = body.get("key").map(key_of_update).unwrap_or_default();
    let name = word(body, "name").unwrap_or_default();
    format!("meter {name}{size} {{ {key}{} }}", inner(body))
}

fn translation(kind: &str, body: &Value) -> String {
    let mut text = kind.to_owned();
    if let Some(family) = word(body, "family") {
        text.push_str(&format!(" {family}"));
    }
    if words(body, "type_flags").contains(&"prefix") {
        text.push_str(" prefix");
    }
    let address = body.get("addr").map(|address| value_of(address, &[]));
    let port = body.get("port").map(|port| value_of(port, &[]));
    match (address, port) {
        (None, None) => {}
        (None, Some(port)) => text.push_str(&format!(" to :{port}")),
        (Some(address), None) => text.push_str(&format!(" to {address}")),
        (Some(address), Some(port)) if is_v6(&body["addr"]) => {
            text.push_str(&format!(" to {}:{port}", bracketed(&body["addr"], &address)));
        }
        (Some(address), Some(port)) => text.push_str(&format!(" to {address}:{port}")),
    }
    let flags = words(body, "flags").into_iter().filter(|flag| *flag != "netmap");
    let flags = flags.collect::<Vec<_>>().join(",");
    if !flags.is_empty() {
        text.push_str(&format!(" {flags}"));
    }
    text
}

fn is_v6(address: &Value) -> bool {
    let first = address.get("range").map_or(&[][..], several).first().unwrap_or(address);
    first.as_str().is_some_and(|text| text.contains(':'))
}

fn bracketed(address: &Value, text: &str) -> String {
    match address.get("range").map_or(&[][..], several) {
        [low, high] => format!("[{}]-[{}]", value_of(low, &[]), value_of(high, &[])),
        _ => format!("[{text}]"),
    }
}

fn queue(body: &Value) -> String {
    let flags = words(body, "flags");
    let flags = match flags.is_empty() {
        true => String::new(),
        false => format!(" flags {}", flags.join(",")),
    };
    match body.get("num") {
        Some(to) => format!("queue{flags} to {}", value_of(to, &[])),
        None => format!("queue{flags}"),
    }
}

fn copy(kind: &str, body: &Value) -> String {
    let of = |key| body.get(key).map(|part| value_of(part, &[]));
    let device = || of("dev").map(|device| quoted(&device));
    let family = word(body, "family").map_or_else(String::new, |family| format!(" {family}"));
    match (of("addr"), device()) {
        (Some(address), Some(device)) => format!("{kind}{family} to {address} device {device}"),
        (Some(address), None) => format!("{kind} to {address}"),
        (None, Some(device)) => format!("{kind} to {device}"),
        (None, None) => kind.to_owned(),
    }
}

fn synproxy(body: &Value) -> String {
    let mut text = "synproxy".to_owned();
    for key in ["mss", "wscale"] {
        if let Some(number) = number(body, key) {
            text.push_str(&format!(" {key} {number}"));
        }
    }
    for flag in words(body, "flags") {
        text.push_str(&format!(" {flag}"));
    }
    text
}
