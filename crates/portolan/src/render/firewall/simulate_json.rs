//! What becomes of a packet, as JSON.

use anyhow::Result;
use portolan_core::firewall::simulate::{Because, Dependency, Did, NoWay, Outcome, Station, Step};
use portolan_core::firewall::{ChainId, Packet, RuleId, Ruleset, Tuple};
use portolan_core::net::Gap;
use serde::Serialize;
use serde_json::{Value, json};

use super::place::PlaceJson;
use super::walk_words::{
    did_word, flag_words, kind_word, note_words, outcome_word, protocol_word, reject_words,
    state_word, taken_words, target_word,
};
use crate::ops::firewall::simulate::Report;
use crate::render::json::Document;
use crate::render::screen::Screen;

/// Prints one document, with the id its sender gave it in a batch.
pub(crate) fn print(
    screen: &mut Screen,
    report: &Report<'_>,
    id: Option<&Value>,
    gaps: &[Gap],
) -> Result<()> {
    let walk = &report.walk;
    let place = |rule: RuleId| report.ruleset.place(rule);
    let taken = report.taken.iter().copied().map(taken_words);
    let body = Body {
        id,
        verdict: outcome_word(walk.outcome),
        certain: walk.is_certain(),
        complete: walk.is_complete,
        reject_with: match walk.outcome {
            Outcome::Reject(with) => Some(reject_words(with)),
            _ => None,
        },
        decided_by: walk.decided_by.and_then(place).as_ref().map(PlaceJson::from),
        or_by: walk.instead.rules.iter().map(|rule| place_json(*rule, report.ruleset)).collect(),
        or_by_depends_on: &walk.instead.open,
        hook: walk.hook.map(portolan_core::firewall::Hook::as_str),
        trace: walk.steps.iter().map(|step| step_json(step, report.ruleset)).collect(),
        depends_on: walk.depends_on.iter().map(|open| open_json(open, report.ruleset)).collect(),
        packet: packet_json(&walk.packet),
        notes: report.ruleset.notes.iter().cloned().chain(taken).collect(),
    };
    screen.json(&Document::new("firewall-simulate", body, gaps))
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Value>,
    /// `accept`, `drop` or `reject`.
    verdict: &'static str,
    /// Whether `depends_on` is empty and everything open was tried.
    certain: bool,
    complete: bool,
    reject_with: Option<String>,
    decided_by: Option<PlaceJson>,
    /// Those that may decide the same in its place, and the open questions that say which.
    or_by: Vec<Value>,
    or_by_depends_on: &'a [String],
    /// The last hook it met.
    hook: Option<&'static str>,
    trace: Vec<Value>,
    depends_on: Vec<Value>,
    /// As it was at the end.
    packet: Value,
    notes: Vec<String>,
}

fn place_json(rule: RuleId, ruleset: &Ruleset) -> Value {
    json!(ruleset.place(rule).as_ref().map(PlaceJson::from))
}

fn chain_json(id: ChainId, ruleset: &Ruleset) -> Value {
    let (Some(table), Some(chain)) = (ruleset.tables.get(id.table), ruleset.chain(id)) else {
        return Value::Null;
    };
    let priority = chain.base.as_ref().map(|base| base.priority);
    json!({
        "family": table.family.as_str(),
        "table": &*table.name,
        "chain": &*chain.name,
        "priority": priority,
    })
}

fn tuple_json(tuple: &Tuple) -> Value {
    json!({
        "src": tuple.source.to_string(),
        "sport": tuple.source_port,
        "dst": tuple.destination.to_string(),
        "dport": tuple.destination_port,
    })
}

pub(super) fn packet_json(packet: &Packet) -> Value {
    let mut json = tuple_json(&packet.tuple());
    if let Value::Object(fields) = &mut json {
        fields.insert("transport".to_owned(), protocol_word(packet.protocol).into());
        fields.insert("mark".to_owned(), packet.mark.into());
        fields.insert("ct_mark".to_owned(), packet.ct_mark.into());
        let state = packet.state.unwrap_or_else(|| packet.fresh_state());
        fields.insert("state".to_owned(), state_word(state).into());
        fields.insert("in".to_owned(), (*packet.interface_in).into());
        fields.insert("out".to_owned(), packet.interface_out.as_deref().into());
        let is_icmp = matches!(packet.protocol, 1 | 58);
        let flags = (packet.protocol == 6).then(|| flag_words(packet.tcp_flags.0));
        fields.insert("flags".to_owned(), flags.into());
        let icmp = is_icmp.then_some(packet.icmp);
        fields.insert("type".to_owned(), icmp.map(|icmp| icmp.kind).into());
        fields.insert("code".to_owned(), icmp.map(|icmp| icmp.code).into());
    }
    json
}

fn open_json(open: &Dependency, ruleset: &Ruleset) -> Value {
    let words = |outcomes: &[Outcome]| {
        let mut words: Vec<&str> = outcomes.iter().map(|outcome| outcome_word(*outcome)).collect();
        words.dedup();
        words
    };
    json!({
        "question": open.question,
        "rule": open.rule.map(|rule| place_json(rule, ruleset)),
        "presumed": open.presumed,
        "if_yes": words(&open.if_yes),
        "if_no": words(&open.if_no),
    })
}

fn step_json(step: &Step, ruleset: &Ruleset) -> Value {
    match step {
        Step::Hook(hook) => json!({"step": "hook", "hook": hook.as_str()}),
        Step::Tracked(state) => json!({"step": "conntrack", "state": state_word(*state)}),
        Step::Defragmented => json!({"step": "defragmented"}),
        Step::Enters(id) => json!({"step": "chain", "chain": chain_json(*id, ruleset)}),
        Step::Matched { rule, did } => {
            json!({"step": "rule", "rule": place_json(*rule, ruleset), "did": did_json(*did)})
        }
        Step::Assigned { rule, target, value } => json!({
            "step": "assign",
            "rule": place_json(*rule, ruleset),
            "target": target_word(*target).replace(' ', "-"),
            "value": value.and_then(|value| u64::try_from(value).ok()),
        }),
        Step::Ends { chain, by, outcome } => json!({
            "step": "verdict",
            "chain": chain_json(*chain, ruleset),
            "by": place_json(*by, ruleset),
            "verdict": outcome_word(*outcome),
        }),
        Step::Translated { by, kind, before, after } => json!({
            "step": "translate",
            "kind": kind_word(*kind),
            "rule": by.map(|rule| place_json(rule, ruleset)),
            "before": tuple_json(before),
            "after": tuple_json(after),
        }),
        Step::Routed { decision, because } => json!({
            "step": "route",
            "to": station_json(decision.station),
            "interface": decision.interface,
            "because": because_json(*because),
        }),
        Step::Note(note) => json!({"step": "note", "text": note_words(note, ruleset)}),
    }
}

const fn did_json(did: Did) -> &'static str {
    match did {
        Did::Pass => "continue",
        other => did_word(other),
    }
}

const fn station_json(station: Station) -> &'static str {
    match station {
        Station::Here => "here",
        Station::Onward => "onward",
        Station::Nowhere(NoWay::NotForwarding) => "not-forwarding",
        Station::Nowhere(NoWay::Unreachable) => "unreachable",
        Station::Nowhere(NoWay::Blackhole) => "blackhole",
        Station::Nowhere(NoWay::Prohibited) => "prohibited",
        Station::Nowhere(NoWay::Martian) => "martian",
        Station::Nowhere(NoWay::NoAddress) => "no-address",
        Station::Nowhere(NoWay::Source) => "source",
        Station::Nowhere(NoWay::ReversePath) => "reverse-path",
        Station::Nowhere(NoWay::NotPassedOn) => "not-passed-on",
    }
}

const fn because_json(because: Because) -> &'static str {
    match because {
        Because::Given => "given",
        Because::Routes => "routes",
        Because::Unchanged => "unchanged",
        Because::Translated => "translated",
    }
}
