//! The list `nftables`: tables, chains, sets and rules, each an object of its own.

use std::collections::HashMap;

use serde_json::Value;

use super::json::{several, single, word, words};
use super::kind::Kind;
use super::scope::{Scope, Surroundings};
use super::set::{self, Data};
use super::statement;
use crate::firewall::{
    Base, Chain, ChainKind, ChainPolicy, Family, Hook, Origin, ReadError, Ruleset, Table,
};

/// An error, and a word near which it is.
pub(super) type Misread = (ReadError, String);

/// Reads the objects in their order. Those of a script (`{"add": {…}}`) are read as what they add.
/// Rules are let go of one by one: as JSON values they are many times as large.
pub(super) fn read(objects: Vec<Value>) -> Result<Ruleset, Misread> {
    let is_rule = |object: &Value| unwrapped(object).is_some_and(|(kind, _)| kind == "rule");
    let (rules, others): (Vec<Value>, Vec<Value>) = objects.into_iter().partition(is_rule);
    let mut reader = Reader::default();
    for object in &others {
        let Some((kind, body)) = unwrapped(object) else {
            return Err(misread("an entry of `nftables` is no object", ""));
        };
        reader.object(kind, body)?;
    }
    reader.finish_sets();
    let mut around = reader.surroundings();
    if rules.iter().any(puts_into_zone) {
        around.iter_mut().for_each(|table| table.has_zones = true);
    }
    for object in rules {
        let Some((_, body)) = unwrapped(&object) else { continue };
        reader.rule(object.get("insert").is_some(), body, &around)?;
    }
    reader.finish()
}

/// What an entry is or, in a script, adds.
fn unwrapped(object: &Value) -> Option<(&str, &Value)> {
    match single(object)? {
        ("add" | "create" | "insert", body) => single(body),
        bare => Some(bare),
    }
}

type TableKey<'a> = (Family, &'a str);

#[derive(Default)]
struct Reader<'a> {
    ruleset: Ruleset,
    tables: HashMap<TableKey<'a>, usize>,
    chains: HashMap<(usize, &'a str), usize>,
    /// Named sets, with the members that were added to them elsewhere.
    sets: Vec<(usize, &'a Value, Vec<&'a Value>)>,
    objects: Vec<(usize, &'a str, &'a Value)>,
    data: Vec<(usize, &'a str, Vec<Kind>)>,
    held: Vec<(usize, &'a str, Box<str>)>,
    sequence: u32,
    has_foreign: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn object(&mut self, kind: &'a str, body: &'a Value) -> Result<(), Misread> {
        match kind {
            // libnftables-json(5): the only version there is.
            "metainfo" if body.get("json_schema_version").is_none_or(|version| version == 1) => {}
            "metainfo" => return Err(misread("a `json_schema_version` that is not 1", "")),
            "flush" if body.get("ruleset").is_some() => {}
            "table" => {
                let table = self.table(body, "name")?;
                self.flags(table, body.get("flags").map_or(&[][..], several));
            }
            "chain" => self.chain(body)?,
            "set" | "map" => {
                let table = self.table(body, "table")?;
                let name = name(body, kind)?;
                let is_this = |(known, other, _): &(usize, &Value, _)| {
                    *known == table && word(other, "name") == Some(name)
                };
                if self.sets.iter().any(is_this) {
                    return Err(misread(format!("set {name} is listed twice"), name));
                }
                if let Data::Values(kinds) = set::data(body) {
                    self.data.push((table, name, kinds));
                }
                self.sets.push((table, body, Vec::new()));
            }
            "element" => self.element(body)?,
            "limit" | "quota" | "counter" | "ct helper" | "ct timeout" | "ct expectation"
            | "synproxy" | "secmark" | "flowtable" => {
                let table = self.table(body, "table")?;
                self.objects.push((table, kind, body));
            }
            "delete" | "destroy" | "replace" | "flush" | "rename" | "reset" | "list" => {
                return Err(misread(format!("`{kind}` is of a script, and no listing"), kind));
            }
            // Nothing that newer versions keep beside chains lets packets through by itself.
            other if !self.has_foreign.contains(&other) => self.has_foreign.push(other),
            _ => {}
        }
        Ok(())
    }

    fn table(&mut self, body: &'a Value, key: &str) -> Result<usize, Misread> {
        let family = family(body)?;
        let Some(name) = word(body, key) else {
            return Err(misread(format!("an object of `nftables` has no `{key}`"), ""));
        };
        if let Some(known) = self.tables.get(&(family, name)) {
            return Ok(*known);
        }
        let at = self.ruleset.tables.len();
        self.tables.insert((family, name), at);
        self.ruleset.tables.push(Table {
            family,
            name: name.into(),
            origin: Origin::Nft,
            is_dormant: false,
            chains: Vec::new(),
            sets: Vec::new(),
        });
        Ok(at)
    }

    /// A flag of a table. nft 1.0.6 prints freed memory for a single flag (table_flags_json), which has
    /// been `dormant` wherever it was seen; `owner` keeps a table for a process that lives.
    fn flags(&mut self, table: usize, flags: &[Value]) {
        let is_odd = |flag: &Value| !matches!(flag.as_str(), Some("dormant" | "owner" | "persist"));
        let table = &mut self.ruleset.tables[table];
        if flags.iter().any(is_odd) {
            let Table { family, name, .. } = table;
            let note = format!(
                "nft does not print the flag of table {family} {name} readably: it is taken for `dormant`, so \
                 that its chains are not asked"
            );
            self.ruleset.notes.push(note);
        }
        table.is_dormant |= flags.iter().any(|flag| flag == "dormant" || is_odd(flag));
    }

    fn chain(&mut self, body: &'a Value) -> Result<(), Misread> {
        let table = self.table(body, "table")?;
        let name = name(body, "chain")?;
        let base = match body.get("hook") {
            Some(_) => Some(self.base(body, name)?),
            None => None,
        };
        let chains = &mut self.ruleset.tables[table].chains;
        if self.chains.contains_key(&(table, name)) {
            return Err(misread(format!("chain {name} is listed twice"), name));
        }
        self.chains.insert((table, name), chains.len());
        chains.push(Chain { name: name.into(), base, rules: Vec::new() });
        Ok(())
    }

    fn base(&mut self, body: &Value, name: &str) -> Result<Base, Misread> {
        let wrong = |what: &str| {
            let found = body.get(what).map_or_else(|| "nothing".to_owned(), Value::to_string);
            misread(format!("chain {name}: `{what}` is {found}"), name)
        };
        let kind = match word(body, "type") {
            Some("filter") => ChainKind::Filter,
            Some("nat") => ChainKind::Nat,
            Some("route") => ChainKind::Route,
            _ => return Err(wrong("type")),
        };
        let hook = word(body, "hook").and_then(Hook::named).ok_or_else(|| wrong("hook"))?;
        let priority =
            body.get("prio").and_then(|p| priority(p, hook)).ok_or_else(|| wrong("prio"))?;
        let policy = match body.get("policy").map(Value::as_str) {
            None | Some(Some("accept")) => ChainPolicy::Accept,
            Some(Some("drop")) => ChainPolicy::Drop,
            Some(_) => return Err(wrong("policy")),
        };
        let devices = ["dev", "devices"].iter().flat_map(|key| words(body, key));
        let devices = devices.map(Into::into).collect();
        self.sequence += 1;
        Ok(Base { kind, hook, priority, sequence: self.sequence, policy, devices })
    }

    /// Members that are added apart from their set.
    fn element(&mut self, body: &'a Value) -> Result<(), Misread> {
        let table = self.table(body, "table")?;
        let name = name(body, "element")?;
        let set = self
            .sets
            .iter_mut()
            .find(|(at, set, _)| *at == table && word(set, "name") == Some(name));
        let Some((_, _, more)) = set else {
            return Err(misread(format!("members of a set {name} that is not listed"), name));
        };
        more.extend(body.get("elem").map_or(&[][..], several));
        Ok(())
    }

    fn finish_sets(&mut self) {
        for (table, body, more) in std::mem::take(&mut self.sets) {
            if let Some((name, held)) = word(body, "name").zip(set::held_with(body, &more)) {
                self.held.push((table, name, held));
            }
            let table = &mut self.ruleset.tables[table];
            let Some(mut set) = set::named(body) else { continue };
            if !more.is_empty() {
                set.elements = set.elements.and_then(|known| {
                    let more: Vec<Value> = more.into_iter().cloned().collect();
                    let added = set::members_of(body, &more)?;
                    Some(known.iter().chain(added.iter()).cloned().collect())
                });
            }
            if set.elements.is_none() {
                let place = format!("{} {} {}", table.family, table.name, set.name);
                self.ruleset.notes.push(format!("the members of set {place} are not understood"));
            }
            table.sets.push(set);
        }
    }

    fn surroundings(&self) -> Vec<Surroundings<'a>> {
        let mut all: Vec<Surroundings<'a>> = Vec::new();
        all.resize_with(self.ruleset.tables.len(), Surroundings::default);
        for (table, kind, body) in &self.objects {
            if let Some(name) = word(body, "name") {
                all[*table].objects.insert((kind, name), body);
            }
        }
        for (table, name, held) in &self.held {
            all[*table].held.insert(name, held.clone());
        }
        for (table, name, kinds) in &self.data {
            all[*table].data.insert(name, kinds.clone());
        }
        all
    }

    fn rule(
        &mut self,
        is_first: bool,
        body: &Value,
        around: &[Surroundings<'a>],
    ) -> Result<(), Misread> {
        let (family, table) = (family(body)?, word(body, "table").unwrap_or_default());
        let Some(table) = self.tables.get(&(family, table)).copied() else {
            return Err(misread(format!("a rule of a table {table} that is not listed"), table));
        };
        let Some(chain) = word(body, "chain") else {
            return Err(misread("a rule has no `chain`", ""));
        };
        let Some(at) = self.chains.get(&(table, chain)).copied() else {
            return Err(misread(format!("a rule of a chain {chain} that is not listed"), chain));
        };
        if !body.get("expr").is_some_and(Value::is_array) {
            return Err(misread(format!("a rule of chain {chain}: `expr` is no list"), chain));
        }
        let none = Surroundings::default();
        let owner = &mut self.ruleset.tables[table];
        let mut scope = Scope::new(owner.family, around.get(table).unwrap_or(&none));
        let rule = statement::rule(body, &mut scope);
        if is_of_iptables(body) {
            owner.origin = Origin::IptablesNft;
        }
        let rules = &mut owner.chains[at].rules;
        if is_first {
            rules.insert(0, rule);
        } else {
            rules.push(rule);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Ruleset, Misread> {
        for kind in &self.has_foreign {
            self.ruleset
                .notes
                .push(format!("the listing has objects `{kind}`, which are not understood"));
        }
        for table in &mut self.ruleset.tables {
            if is_builtin(table) {
                table.origin = Origin::IptablesNft;
            }
        }
        Ok(self.ruleset)
    }
}

/// Whether a rule may put connections into a zone: `ct zone set`, the target CT of iptables.
fn puts_into_zone(object: &Value) -> bool {
    let Some((_, body)) = unwrapped(object) else { return false };
    let is_zone = |key: &Value| key.get("ct").and_then(|ct| word(ct, "key")) == Some("zone");
    body.get("expr").map_or(&[][..], several).iter().any(|one| {
        one.get("mangle").and_then(|mangle| mangle.get("key")).is_some_and(is_zone)
            || one.get("xt").and_then(|xt| word(xt, "name")) == Some("CT")
    })
}

fn is_of_iptables(rule: &Value) -> bool {
    rule.get("expr").map_or(&[][..], several).iter().any(|one| one.get("xt").is_some())
}

/// Whether a table is one of those that iptables makes, by the names of its chains on hooks.
fn is_builtin(table: &Table) -> bool {
    let chains = match (table.family, &*table.name) {
        (Family::Ip | Family::Ip6, "filter" | "mangle" | "nat" | "raw" | "security") => {
            &table.chains
        }
        _ => return false,
    };
    let mut bases = chains.iter().filter(|chain| chain.base.is_some()).peekable();
    bases.peek().is_some()
        && bases.all(|chain| {
            ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"].contains(&&*chain.name)
        })
}

fn family(body: &Value) -> Result<Family, Misread> {
    let families =
        [Family::Ip, Family::Ip6, Family::Inet, Family::Arp, Family::Bridge, Family::Netdev];
    // What a script does not say is IPv4 (nft(8), "ADDRESS FAMILIES").
    let Some(given) = body.get("family") else { return Ok(Family::Ip) };
    let found = families.into_iter().find(|family| given.as_str() == Some(family.as_str()));
    found
        .ok_or_else(|| misread(format!("there is no family {given}"), given.as_str().unwrap_or("")))
}

fn name<'v>(body: &'v Value, kind: &str) -> Result<&'v str, Misread> {
    word(body, "name").ok_or_else(|| misread(format!("a {kind} has no name"), ""))
}

/// A number, or in scripts a name (nft(8), "CHAINS").
fn priority(value: &Value, hook: Hook) -> Option<i32> {
    if let Some(number) = value.as_i64() {
        return i32::try_from(number).ok();
    }
    Some(match value.as_str()? {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "filter" => 0,
        "security" => 50,
        "srcnat" if hook == Hook::Postrouting || hook == Hook::Input => 100,
        text => text.parse().ok()?,
    })
}

fn misread(problem: impl Into<String>, near: &str) -> Misread {
    let hint = "save the rules with: nft -j list ruleset > FILE";
    (ReadError::new(1, 1, problem).hinting(hint), near.to_owned())
}
