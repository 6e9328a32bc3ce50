//! Blocks of packets and witnesses, the same wherever they are told.

use portolan_core::firewall::analyse::{Block, SourceSet, Witness};
use portolan_core::firewall::{Packet, RuleId, Ruleset};
use portolan_core::net::Prefix;
use serde_json::{Value, json};

use super::place::PlaceJson;
use super::simulate_json::packet_json;
use super::walk_words::protocol_word;
use crate::render::sanitize::sanitize;

/// So many networks are told in a line of text.
const SHOWN: usize = 4;

/// A block as JSON; `transport` is null where it is more than one.
pub(super) fn block_json(block: &Block) -> Value {
    json!({
        "sources": networks(&block.sources),
        "destinations": networks(&block.destinations),
        "ports": ports(block),
        "transport": transport(block),
        "interfaces": block.interfaces.iter().map(|name| &**name).collect::<Vec<_>>(),
    })
}

pub(super) fn networks(set: &SourceSet) -> Vec<String> {
    set.networks.iter().map(ToString::to_string).collect()
}

fn ports(block: &Block) -> Vec<String> {
    let word = |(from, to): &(u16, u16)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    block.ports.iter().map(word).collect()
}

fn transport(block: &Block) -> Option<String> {
    match block.protocols.as_slice() {
        [(one, last)] if one == last => Some(protocol_word(*one)),
        _ => None,
    }
}

/// A block in a line; sources that are those asked for by that name.
pub(super) fn block_words(block: &Block, asked: Option<&(String, Vec<Prefix>)>) -> String {
    let ports = match block.ports.as_slice() {
        [(0, u16::MAX)] => "any port".to_owned(),
        _ => cut(&ports(block)),
    };
    let transport = transport(block).unwrap_or_else(|| "any protocol".to_owned());
    let is_asked = |(_, networks): &&(String, Vec<Prefix>)| {
        let is_v6 = |prefix: &Prefix| prefix.address().is_ipv6();
        let family = block.sources.networks.first().map(is_v6);
        let same = networks.iter().filter(|network| Some(is_v6(network)) == family);
        same.eq(block.sources.networks.iter())
    };
    let sources = match asked.filter(is_asked) {
        Some((name, _)) => sanitize(name).to_string(),
        None => address_words(&block.sources),
    };
    let mut words = format!("{transport} {ports} from {sources}");
    if !block.destinations.is_any {
        words.push_str(&format!(" to {}", address_words(&block.destinations)));
    }
    if !block.interfaces.is_empty() {
        let names: Vec<String> =
            block.interfaces.iter().map(|name| sanitize(name).to_string()).collect();
        words.push_str(&format!(" by {}", cut(&names)));
    }
    words
}

pub(super) fn address_words(set: &SourceSet) -> String {
    if set.is_any { "any".to_owned() } else { cut(&networks(set)) }
}

fn cut(words: &[String]) -> String {
    let shown = words.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A witness as JSON: the packet, and the answers it needs.
pub(super) fn witness_json(witness: Option<&Witness>) -> Value {
    let Some(witness) = witness else { return Value::Null };
    let mut value = packet_json(&witness.packet);
    let answer =
        |(question, answer): &(String, bool)| json!({"question": question, "answer": answer});
    if let Value::Object(object) = &mut value {
        let answers = witness.answers.iter().map(answer).collect();
        object.insert("answers".to_owned(), Value::Array(answers));
    }
    value
}

/// A packet in a few words.
pub(super) fn packet_words(packet: &Packet) -> String {
    let end = |address: std::net::IpAddr, port: u16| match packet.protocol {
        6 | 17 | 33 | 132 | 136 => std::net::SocketAddr::new(address, port).to_string(),
        _ => address.to_string(),
    };
    format!(
        "{} {} → {}",
        protocol_word(packet.protocol),
        end(packet.source, packet.source_port),
        end(packet.destination, packet.destination_port)
    )
}

/// Rules as JSON.
pub(super) fn places(rules: &[RuleId], ruleset: &Ruleset) -> Vec<PlaceJson> {
    let places = rules.iter().filter_map(|rule| ruleset.place(*rule));
    places.map(|place| PlaceJson::from(&place)).collect()
}

/// A rule in words.
pub(super) fn rule_text(rule: RuleId, ruleset: &Ruleset) -> String {
    ruleset.place(rule).map_or_else(String::new, |place| sanitize(&place.to_string()).to_string())
}
