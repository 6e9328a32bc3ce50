//! What becomes of one packet, or of many.

use anyhow::{Result, anyhow};
use portolan_core::firewall::simulate::{Open, Prepared, Step, Walk};
use portolan_core::firewall::{Chain, ChainId, Packet, Ruleset};
use serde_json::{Map, Value};

use super::packet::{Taken, Written};
use super::source::Rules;

/// A packet and its way through these rules.
#[derive(Debug)]
pub(crate) struct Report<'r> {
    pub(crate) ruleset: &'r Ruleset,
    /// As it began.
    pub(crate) packet: Packet,
    pub(crate) walk: Walk,
    /// What was taken as usual though rules on its way ask for it.
    pub(crate) taken: Vec<Taken>,
}

/// Rules made ready for packets.
pub(crate) struct Simulator<'r> {
    rules: &'r Rules,
    prepared: Prepared<'r>,
    /// Whether some rule asks for what a packet is seldom said to have ([`Taken`]).
    asks_more: bool,
}

impl<'r> Simulator<'r> {
    /// Makes rules ready.
    pub(crate) fn new(rules: &'r Rules) -> Self {
        let prepared = Prepared::new(&rules.ruleset, &rules.world);
        let chains: Vec<&Chain> = rules.ruleset.chains().map(|(_, chain)| chain).collect();
        let asks_more = Taken::asked(&chains).contains(&true);
        Self { rules, prepared: prepared.minding_senders(), asks_more }
    }

    /// What becomes of a packet.
    ///
    /// # Errors
    /// A word of it that is none.
    pub(crate) fn run(&self, written: &Written) -> Result<Report<'r>> {
        let (packet, way) = written.read(&self.rules.world)?;
        self.rules.refuse_untold(packet.is_v6())?;
        let walk = self.prepared.walk(&packet, way, &Open);
        let ruleset = &self.rules.ruleset;
        let taken = match self.asks_more {
            true => written.taken(&packet, &chains_met(&walk, ruleset)),
            false => Vec::new(),
        };
        Ok(Report { ruleset, packet, walk, taken })
    }
}

/// The chains a packet has met, and those they may have sent it to.
fn chains_met<'r>(walk: &Walk, ruleset: &'r Ruleset) -> Vec<&'r Chain> {
    let met = |id: &ChainId| {
        walk.steps.iter().any(|step| match step {
            Step::Enters(entered)
                if ruleset.chain(*id).is_some_and(|chain| chain.base.is_some()) =>
            {
                entered == id
            }
            Step::Enters(entered) => entered.table == id.table,
            _ => false,
        })
    };
    ruleset.chains().filter(|(id, _)| met(id)).map(|(_, chain)| chain).collect()
}

/// A line of a batch: the packet, and what its sender calls it.
///
/// # Errors
/// No JSON object, a key that is none, a value of the wrong kind.
pub(crate) fn line(text: &str) -> Result<(Value, Written)> {
    let value: Value = serde_json::from_str(text).map_err(|e| anyhow!("no JSON: {e}"))?;
    let Value::Object(object) = value else { return Err(anyhow!("not a JSON object")) };
    let id = object.get("id").cloned().unwrap_or(Value::Null);
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(anyhow!("there is no key `{key}`; keys are {}", KEYS.join(", ")));
    }
    let need = |key| word(&object, key)?.ok_or_else(|| anyhow!("`{key}` is missing"));
    let written = Written {
        transport: need("transport")?,
        source: need("src")?,
        source_port: number(&object, "sport")?,
        destination: need("dst")?,
        destination_port: number(&object, "dport")?,
        interface_in: word(&object, "in")?,
        interface_out: word(&object, "out")?,
        state: word(&object, "state")?,
        flags: words(&object, "flags")?,
        hook: word(&object, "hook")?,
        icmp_type: word(&object, "type")?,
        code: number(&object, "code")?,
        mark: word(&object, "mark")?,
        length: number(&object, "length")?,
        ttl: number(&object, "ttl")?,
        dscp: number(&object, "dscp")?,
    };
    Ok((id, written))
}

const KEYS: [&str; 17] = [
    "id",
    "transport",
    "src",
    "sport",
    "dst",
    "dport",
    "in",
    "out",
    "state",
    "flags",
    "hook",
    "type",
    "code",
    "mark",
    "length",
    "ttl",
    "dscp",
];

fn word(object: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(anyhow!("`{key}` is not a string")),
    }
}

/// `"syn,ack"` or `["syn", "ack"]`.
fn words(object: &Map<String, Value>, key: &str) -> Result<Option<String>> {
    let Some(Value::Array(list)) = object.get(key) else { return word(object, key) };
    let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let words = words.ok_or_else(|| anyhow!("`{key}` is not a list of strings"))?;
    Ok(Some(if words.is_empty() { "none".to_owned() } else { words.join(",") }))
}

fn number<T: TryFrom<u64>>(object: &Map<String, Value>, key: &str) -> Result<Option<T>> {
    let out_of_range = || anyhow!("`{key}` is no number in its range");
    let found = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    let found = found.and_then(|number| T::try_from(number).ok());
    found.map(Some).ok_or_else(out_of_range)
}
