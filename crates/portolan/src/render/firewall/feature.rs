//! What packets of a block have in common beside ends and ports, in words and as JSON.

use portolan_core::firewall::analyse::{Feature, Quantity};
use portolan_core::firewall::{Direction, IcmpMessage, bits};
use serde_json::{Map, Value, json};

use super::block::cut;
use super::walk_words::{flag_names, state_word};
use crate::render::sanitize::sanitize;

/// The states, for before the transport: `new or invalid`.
pub(super) fn state_words(features: &[Feature]) -> Option<String> {
    let states = features.iter().find_map(|feature| match feature {
        Feature::State(states) => Some(states),
        _ => None,
    })?;
    let words: Vec<&str> = states.iter().map(|state| state_word(*state)).collect();
    Some(either(&words))
}

/// The messages of ICMP, for behind the transport: `type 134 (nd-router-advert)`.
pub(super) fn message_words(features: &[Feature], is_v6: bool) -> Option<String> {
    let messages = features.iter().find_map(|feature| match feature {
        Feature::Messages(messages) => Some(messages),
        _ => None,
    })?;
    let words: Vec<String> = messages.iter().map(|range| message(*range, is_v6)).collect();
    Some(words.join(", "))
}

fn message((from, to): (u16, u16), is_v6: bool) -> String {
    let [first, low] = from.to_be_bytes();
    let [last, high] = to.to_be_bytes();
    let name = |kind: u8| {
        let name = IcmpMessage::name_of(kind, is_v6);
        name.map_or_else(|| kind.to_string(), |name| format!("{kind} ({name})"))
    };
    match (first == last, (low, high)) {
        (true, (0, u8::MAX)) => format!("type {}", name(first)),
        (true, (low, high)) if low == high => format!("type {} code {low}", name(first)),
        (true, (low, high)) => format!("type {} codes {low}-{high}", name(first)),
        (false, (0, u8::MAX)) => format!("types {first}-{last}"),
        (false, _) => format!("types {first} code {low} to {last} code {high}"),
    }
}

/// Everything else, a word or a few each.
pub(super) fn other_words(features: &[Feature]) -> Vec<String> {
    features.iter().filter_map(other).collect()
}

fn other(feature: &Feature) -> Option<String> {
    Some(match feature {
        Feature::State(_) | Feature::Messages(_) => return None,
        Feature::TcpFlags { mask, set } => flags(*mask, *set),
        Feature::Status { mask, set } => status(*mask, *set),
        Feature::LeavesBy { interfaces, all_but } => {
            format!("leaving by {}", interface_words(interfaces, all_but))
        }
        Feature::Direction(Direction::Reply) => "in reply".to_owned(),
        Feature::Direction(Direction::Original) => "not in reply".to_owned(),
        Feature::SourcePorts(ports) => format!("from port {}", ranges(&wide(ports)).join(", ")),
        Feature::LaterFragment(true) => "later fragments".to_owned(),
        Feature::LaterFragment(false) => "no later fragments".to_owned(),
        Feature::HasSocket(true) => "of a socket here".to_owned(),
        Feature::HasSocket(false) => "of no socket here".to_owned(),
        Feature::Number(quantity, values) => {
            format!("{} {}", quantity_word(*quantity), numbers(*quantity, values).join(", "))
        }
        Feature::Answer { text, holds: true } => format!("where `{}` holds", sanitize(text)),
        Feature::Answer { text, holds: false } => {
            format!("where `{}` does not hold", sanitize(text))
        }
        Feature::Also(quantity) => format!("depending on {}", quantity_word(*quantity)),
    })
}

fn flags(mask: u8, set: u8) -> String {
    let (with, without) = (flag_names(set), flag_names(mask & !set));
    match (with.is_empty(), without.is_empty()) {
        (false, true) => format!("with {}", with.join("+")),
        (true, _) => format!("without {}", either(&without)),
        (false, false) => format!("with {}, without {}", with.join("+"), either(&without)),
    }
}

const STATUS: [(&str, u128); 6] = [
    ("expected", bits::STATUS_EXPECTED),
    ("seen-reply", bits::STATUS_SEEN_REPLY),
    ("assured", bits::STATUS_ASSURED),
    ("confirmed", bits::STATUS_CONFIRMED),
    ("snat", bits::STATUS_SNAT),
    ("dnat", bits::STATUS_DNAT),
];

fn status(mask: u128, set: u128) -> String {
    let words =
        STATUS.iter().filter(|(_, bit)| mask & bit != 0).map(|(name, bit)| match set & bit {
            0 => format!("no {name}"),
            _ => (*name).to_owned(),
        });
    format!("ct status {}", words.collect::<Vec<_>>().join(", "))
}

const fn quantity_word(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Mark => "mark",
        Quantity::CtMark => "ct mark",
        Quantity::Ttl => "ttl",
        Quantity::Dscp => "dscp",
        Quantity::Ecn => "ecn",
        Quantity::Length => "length",
        Quantity::PacketType => "packet type",
        Quantity::User => "user",
        Quantity::Group => "group",
        Quantity::EarlierTranslation => "an earlier translation of its connection",
        Quantity::Other => "other fields",
    }
}

fn numbers(quantity: Quantity, values: &[(u128, u128)]) -> Vec<String> {
    match quantity {
        Quantity::Mark | Quantity::CtMark | Quantity::Dscp => {
            values.iter().map(|range| range_of(range, |n| format!("{n:#x}"))).collect()
        }
        Quantity::PacketType => values.iter().map(|range| range_of(range, packet_type)).collect(),
        _ => ranges(values),
    }
}

fn packet_type(number: u128) -> String {
    let names = [
        (bits::PACKET_HOST, "host"),
        (bits::PACKET_BROADCAST, "broadcast"),
        (bits::PACKET_MULTICAST, "multicast"),
        (bits::PACKET_OTHER_HOST, "other"),
    ];
    let found = names.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

fn range_of((from, to): &(u128, u128), word: impl Fn(u128) -> String) -> String {
    if from == to { word(*from) } else { format!("{}-{}", word(*from), word(*to)) }
}

fn ranges(values: &[(u128, u128)]) -> Vec<String> {
    values.iter().map(|range| range_of(range, |n| n.to_string())).collect()
}

fn wide(ports: &[(u16, u16)]) -> Vec<(u128, u128)> {
    ports.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect()
}

/// `eth0, eth1`, `any but eth0`.
pub(super) fn interface_words(names: &[Box<str>], all_but: &[Box<str>]) -> String {
    let clean = |names: &[Box<str>]| -> Vec<String> {
        names.iter().map(|name| sanitize(name).into_owned()).collect()
    };
    match all_but {
        [] => cut(&clean(names)),
        but => format!("any but {}", cut(&clean(but))),
    }
}

fn either(words: &[&str]) -> String {
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}

/// As an object with a key for each that matters.
pub(super) fn features_json(features: &[Feature]) -> Value {
    let mut object = Map::new();
    let mut answers = Vec::new();
    let mut untold: Vec<&str> = Vec::new();
    for feature in features {
        let (key, value) = match feature {
            Feature::State(states) => {
                ("state", json!(states.iter().map(|s| state_word(*s)).collect::<Vec<_>>()))
            }
            Feature::TcpFlags { mask, set } => {
                ("tcp_flags", json!({"set": flag_names(*set), "clear": flag_names(mask & !set)}))
            }
            Feature::Status { mask, set } => {
                ("ct_status", json!({"mask": *mask as u64, "set": *set as u64}))
            }
            Feature::Messages(messages) => ("icmp", json!(messages_json(messages))),
            Feature::LeavesBy { interfaces, .. } => ("out", json!(interfaces)),
            Feature::Direction(direction) => (
                "direction",
                json!(if *direction == Direction::Reply { "reply" } else { "original" }),
            ),
            Feature::SourcePorts(ports) => ("source_ports", json!(ranges(&wide(ports)))),
            Feature::LaterFragment(is_it) => ("later_fragment", json!(is_it)),
            Feature::HasSocket(has) => ("has_socket", json!(has)),
            Feature::Number(quantity, values) => {
                object.insert(quantity_word(*quantity).replace(' ', "_"), json!(ranges(values)));
                continue;
            }
            Feature::Answer { text, holds } => {
                answers.push(json!({"question": text, "answer": holds}));
                continue;
            }
            Feature::Also(quantity) => {
                untold.push(quantity_word(*quantity));
                continue;
            }
        };
        object.insert(key.to_owned(), value);
    }
    for (key, list) in [("answers", json!(answers)), ("untold", json!(untold))] {
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            object.insert(key.to_owned(), list);
        }
    }
    Value::Object(object)
}

fn messages_json(messages: &[(u16, u16)]) -> Vec<Value> {
    let one = |(from, to): &(u16, u16)| {
        let ([first, low], [last, high]) = (from.to_be_bytes(), to.to_be_bytes());
        json!({"types": range_of(&(first.into(), last.into()), |n| n.to_string()),
               "codes": range_of(&(low.into(), high.into()), |n| n.to_string())})
    };
    messages.iter().map(one).collect()
}
