//! Blocks of packets and witnesses, the same wherever they are told.

use anyhow::Result;
use portolan_core::firewall::analyse::{Block, SourceSet, Witness};
use portolan_core::firewall::{Addresses, RuleId, Ruleset};
use portolan_core::net::{Gap, Prefix, Why};
use serde_json::{Value, json};

use super::feature::{features_json, interface_words, message_words, other_words, state_words};
use super::in_short::{BUT, in_short};
use super::place::PlaceJson;
use super::simulate_json::packet_json;
use super::walk_words::{has_ports, protocol_word};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// So many networks are told in a line of text.
const SHOWN: usize = 6;

/// A block as JSON; `transport` is null where it is more than one.
pub(super) fn block_json(block: &Block) -> Value {
    json!({
        "sources": networks(&block.sources),
        "destinations": networks(&block.destinations),
        "ports": ports(block),
        "transport": transport(block),
        "interfaces": block.interfaces.iter().map(|name| &**name).collect::<Vec<_>>(),
        "features": features_json(&block.features),
    })
}

pub(super) fn networks(set: &SourceSet) -> Vec<String> {
    set.networks.iter().map(ToString::to_string).collect()
}

fn ports(block: &Block) -> Vec<String> {
    ranges(&block.ports)
}

fn ranges(ports: &[(u16, u16)]) -> Vec<String> {
    let word = |(from, to): &(u16, u16)| match from == to {
        true => from.to_string(),
        false => format!("{from}-{to}"),
    };
    ports.iter().map(word).collect()
}

fn transport(block: &Block) -> Option<String> {
    match block.protocols.as_slice() {
        [(one, last)] if one == last => Some(protocol_word(*one)),
        _ => None,
    }
}

/// A block in a line; sources that are those asked for by that name.
pub(super) fn block_words(block: &Block, asked: Option<&(String, Vec<Prefix>)>) -> String {
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
    let mut words = format!("{} from {sources}", traffic_words(block));
    if !block.destinations.is_any {
        words.push_str(&format!(" to {}", address_words(&block.destinations)));
    }
    if !block.interfaces.is_empty() {
        let names = interface_words(&block.interfaces, &block.all_but_interfaces);
        words.push_str(&format!(" by {names}"));
    }
    for other in other_words(&block.features) {
        words.push_str(&format!(", {other}"));
    }
    words
}

/// State, transport, ports or message: `new tcp 22`, `icmpv6 type 134 (nd-router-advert)`.
fn traffic_words(block: &Block) -> String {
    let state = state_words(&block.features).map(|words| words + " ").unwrap_or_default();
    let is_any_port = matches!(block.ports.as_slice(), [(0, u16::MAX)]);
    let with_ports = block.protocols.iter().all(|(from, to)| (*from..=*to).all(has_ports));
    let is_v6 = block.protocols == [(58, 58)];
    let what = match message_words(&block.features, is_v6) {
        Some(messages) => format!(" {messages}"),
        None if !is_any_port => format!(" {}", port_words(block)),
        None if with_ports => " any port".to_owned(),
        None => String::new(),
    };
    format!("{state}{}{what}", protocol_words(block))
}

/// The ports, or those they are not where these are fewer.
fn port_words(block: &Block) -> String {
    let gaps = gaps(&block.ports);
    match gaps.len() < block.ports.len() {
        true => format!("any port but {}", cut(&ranges(&gaps))),
        false => cut(&ports(block)),
    }
}

fn gaps(ports: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut found = Vec::new();
    let mut next = Some(0);
    for (from, to) in ports {
        if let Some(begin) = next.filter(|begin| begin < from) {
            found.push((begin, from - 1));
        }
        next = to.checked_add(1);
    }
    found.extend(next.map(|begin| (begin, u16::MAX)));
    found
}

fn protocol_words(block: &Block) -> String {
    let count: usize = block.protocols.iter().map(|(a, b)| usize::from(b - a) + 1).sum();
    let all = || block.protocols.iter().flat_map(|(first, last)| *first..=*last);
    let others = || {
        let mut others = (0..=u8::MAX).filter(|n| !all().any(|one| one == *n)).map(protocol_word);
        let first: Vec<String> = others.by_ref().take(SHOWN).collect();
        others.next().is_none().then(|| first.join(", "))
    };
    match (count, others()) {
        (256, _) => "any protocol".to_owned(),
        (_, Some(others)) => format!("any protocol but {others}"),
        _ => cut(&all().map(protocol_word).collect::<Vec<_>>()),
    }
}

pub(super) fn address_words(set: &SourceSet) -> String {
    match (set.is_any, set.all_but.as_slice()) {
        (true, _) => "any".to_owned(),
        (false, []) => few_words(set),
        (false, but) => {
            format!("any but {}", cut(&but.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
    }
}

/// Networks, the larger ones with what is missing in them where that is shorter: `10.0.0.0/24 but 10.0.0.5`.
fn few_words(set: &SourceSet) -> String {
    let is_v6 = set.networks.first().is_some_and(|network| network.address().is_ipv6());
    let (inside, missing) = in_short(&Addresses::of(set.networks.iter().copied()), is_v6);
    let words = |all: &[Prefix]| cut(&all.iter().map(ToString::to_string).collect::<Vec<_>>());
    match missing.is_empty() {
        true => cut(&networks(set)),
        false => format!("{}{BUT}{}", words(&inside), words(&missing)),
    }
}

pub(super) fn cut(words: &[String]) -> String {
    let shown = words.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// A witness as JSON: the packet, and the answers it needs.
pub(super) fn witness_json(witness: Option<&Witness>) -> Value {
    let Some(witness) = witness else { return Value::Null };
    let mut value = packet_json(&witness.told());
    let answer =
        |(question, answer): &(String, bool)| json!({"question": question, "answer": answer});
    if let Value::Object(object) = &mut value {
        let answers = witness.answers.iter().map(answer).collect();
        object.insert("answers".to_owned(), Value::Array(answers));
    }
    value
}

/// What files say nothing of, at the end of the results: it is no failure, and decides what they mean.
pub(super) fn untold(screen: &mut Screen, gaps: &[Gap]) -> Result<()> {
    for gap in gaps.iter().filter(|gap| gap.why == Why::NotLooked) {
        screen.hanging("not seen: ", &format!("{} ({})", gap.what, gap.hint))?;
    }
    Ok(())
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
