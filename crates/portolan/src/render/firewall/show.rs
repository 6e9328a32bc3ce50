//! The rules, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::{
    Base, ChainKind, ChainPolicy, Family, Hook, Origin, Rule, Set, Table,
};
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use super::members;
use crate::ops::firewall::show::{Report, Shown, is_idle, is_of_frames, is_open};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::wrap;

/// Prints a table a chain.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let chains = report.chains();
    if chains.is_empty() {
        writeln!(screen, "{}", nothing(report))?;
    }
    let mut is_any_open = false;
    let (idle, busy): (Vec<_>, Vec<_>) = chains.into_iter().partition(|shown| is_idle(*shown));
    let mut are_frames = false;
    for (at, shown) in busy.iter().enumerate() {
        if at > 0 {
            writeln!(screen)?;
        }
        if is_of_frames(shown.table) && !are_frames {
            are_frames = true;
            let title = "frames of bridges and ARP, not evaluated";
            writeln!(screen, "{}\n", screen.style.paint(Role::Warning, title))?;
        }
        is_any_open |= chain(screen, *shown)?;
    }
    if !idle.is_empty() {
        let s = if idle.len() == 1 { "" } else { "s" };
        let told = format!("{} empty chain{s} of legacy iptables, policy accept", idle.len());
        let gap = if busy.is_empty() { "" } else { "\n" };
        writeln!(screen, "{gap}{}", screen.style.paint(Role::Dim, told))?;
    }
    sets(screen, report)?;
    let (style, notes) = (screen.style, &report.rules.ruleset.notes);
    if is_any_open {
        writeln!(screen, "\n{}", style.paint(Role::Dim, "?  not evaluated by portolan"))?;
    }
    for note in notes {
        write!(screen, "{} ", style.paint(Role::Warning, "note:"))?;
        screen.behind("note: ".len(), note)?;
    }
    Ok(screen.flush()?)
}

fn nothing(report: &Report) -> String {
    match report.hook {
        Some(hook) => format!("No chain on hook {hook}: every packet passes it."),
        None => "No rules: every packet passes.".to_owned(),
    }
}

/// The named sets and maps: a line each, with the first of their members.
fn sets(screen: &mut Screen, report: &Report) -> Result<()> {
    if report.hook.is_some() {
        return Ok(());
    }
    let tables = report.rules.ruleset.tables.iter();
    let mut is_first = true;
    for (table, set) in tables.flat_map(|table| table.sets.iter().map(move |set| (table, set))) {
        if std::mem::take(&mut is_first) {
            writeln!(screen)?;
        }
        let kind = if set.flags.is_map { "map" } else { "set" };
        let name = format!("{kind} {} {} {}", table.family, table.name, set.name);
        let told = sanitize(&name).into_owned();
        let members = match &set.elements {
            None => "members not known".to_owned(),
            Some(all) => {
                let first: Vec<String> =
                    all.iter().take(MEMBERS).map(|one| members::text(set, one)).collect();
                let more = if all.len() > MEMBERS { ", …" } else { "" };
                let s = if all.len() == 1 { "" } else { "s" };
                let begins = if first.is_empty() { "" } else { ": " };
                format!("{} member{s}{begins}{}{more}", all.len(), first.join(", "))
            }
        };
        write!(screen, "{}", screen.style.paint(Role::Strong, &told))?;
        screen.behind(told.width() + 1, &format!(" {members}"))?;
    }
    Ok(())
}

/// So many members are shown of a set.
const MEMBERS: usize = 4;

/// Whether one of its rules is not evaluated.
fn chain(screen: &mut Screen, shown: Shown<'_>) -> Result<bool> {
    let (style, width) = (screen.style, screen.width);
    let Shown { table, chain } = shown;
    let name = format!("{} {} {}", table.family, table.name, chain.name);
    let title = match &chain.base {
        Some(base) => {
            format!("{}  priority {}  {name}  policy {}", base.hook, base.priority, policy(base))
        }
        None => name,
    };
    writeln!(
        screen,
        "{}{}",
        style.paint(Role::Strong, sanitize(&title)),
        remarks(table, chain.base.as_ref())
    )?;
    let counted = |rule: &Rule| rule.counter.map_or_else(String::new, |c| c.packets.to_string());
    let number = chain.rules.len().to_string().len();
    let count = chain.rules.iter().map(|rule| counted(rule).len()).max().unwrap_or(0);
    // The number, the mark, what was counted; then the rule, whole.
    let indent = number + 2 + count + usize::from(count > 0) + 1;
    let mut is_any_open = false;
    for (index, rule) in chain.rules.iter().enumerate() {
        let is_open = is_open(rule);
        is_any_open |= is_open;
        let mark = style.paint(Role::Warning, if is_open { "?" } else { " " });
        write!(screen, "{:>number$} {mark}", index + 1)?;
        if count > 0 {
            write!(screen, " {}", style.paint(Role::Dim, format!("{:>count$}", counted(rule))))?;
        }
        let lines = wrap(&sanitize(&rule.text), width.saturating_sub(indent).max(NARROWEST));
        for (at, line) in lines.iter().enumerate() {
            let before = if at == 0 { 1 } else { indent };
            writeln!(screen, "{:before$}{line}", "")?;
        }
        if lines.is_empty() {
            writeln!(screen)?;
        }
    }
    Ok(is_any_open)
}

/// Columns a rule always has.
const NARROWEST: usize = 30;

const fn policy(base: &Base) -> &'static str {
    match base.policy {
        ChainPolicy::Accept => "accept",
        ChainPolicy::Drop => "drop",
    }
}

/// What is unusual about a chain.
fn remarks(table: &Table, base: Option<&Base>) -> String {
    let mut remarks = Vec::new();
    match table.origin {
        Origin::Nft => {}
        Origin::IptablesNft => remarks.push("iptables".to_owned()),
        Origin::IptablesLegacy => remarks.push("legacy iptables".to_owned()),
    }
    if table.is_dormant {
        remarks.push("dormant: no packet meets it".to_owned());
    }
    if let Some(base) = base.filter(|base| !base.devices.is_empty()) {
        remarks.push(format!("on {}", base.devices.join(", ")));
    }
    if matches!(base.map(|base| base.kind), Some(ChainKind::Nat)) {
        remarks.push("nat: first packets only".to_owned());
    }
    match remarks.is_empty() {
        true => String::new(),
        false => sanitize(&format!("  ({})", remarks.join("; "))).into_owned(),
    }
}

/// Prints all as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let ruleset = &report.rules.ruleset;
    let body = Body {
        live: report.rules.is_live,
        tables: ruleset.tables.iter().map(TableJson::from).collect(),
        chains: report.chains().into_iter().map(ChainJson::from).collect(),
        notes: &ruleset.notes,
    };
    screen.json(&Document::new("firewall-show", body, &report.rules.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    live: bool,
    tables: Vec<TableJson<'a>>,
    chains: Vec<ChainJson<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct TableJson<'a> {
    family: &'static str,
    table: &'a str,
    origin: &'static str,
    dormant: bool,
    sets: Vec<SetJson<'a>>,
}

impl<'a> From<&'a Table> for TableJson<'a> {
    fn from(table: &'a Table) -> Self {
        Self {
            family: table.family.as_str(),
            table: &table.name,
            origin: match table.origin {
                Origin::Nft => "nft",
                Origin::IptablesNft => "iptables-nft",
                Origin::IptablesLegacy => "iptables-legacy",
            },
            dormant: table.is_dormant,
            sets: table.sets.iter().map(SetJson::from).collect(),
        }
    }
}

/// A set: how many members it has, and which.
#[derive(Serialize)]
struct SetJson<'a> {
    name: &'a str,
    key: &'a [Box<str>],
    elements: Option<usize>,
    members: Option<Vec<String>>,
    size: Option<u32>,
    map: bool,
    interval: bool,
    dynamic: bool,
    timeout: bool,
}

impl<'a> From<&'a Set> for SetJson<'a> {
    fn from(set: &'a Set) -> Self {
        Self {
            name: &set.name,
            key: &set.key,
            elements: set.elements.as_ref().map(|elements| elements.len()),
            members: set
                .elements
                .as_ref()
                .map(|all| all.iter().map(|one| members::text(set, one)).collect()),
            size: set.size,
            map: set.flags.is_map,
            interval: set.flags.is_interval,
            dynamic: set.flags.is_dynamic,
            timeout: set.flags.has_timeout,
        }
    }
}

#[derive(Serialize)]
struct ChainJson<'a> {
    family: &'static str,
    table: &'a str,
    chain: &'a str,
    hook: Option<&'static str>,
    r#type: Option<&'static str>,
    priority: Option<i32>,
    policy: Option<&'static str>,
    devices: &'a [Box<str>],
    rules: Vec<RuleJson<'a>>,
}

impl<'a> From<Shown<'a>> for ChainJson<'a> {
    fn from(Shown { table, chain }: Shown<'a>) -> Self {
        let base = chain.base.as_ref();
        Self {
            family: Family::as_str(table.family),
            table: &table.name,
            chain: &chain.name,
            hook: base.map(|base| Hook::as_str(base.hook)),
            r#type: base.map(|base| match base.kind {
                ChainKind::Filter => "filter",
                ChainKind::Nat => "nat",
                ChainKind::Route => "route",
            }),
            priority: base.map(|base| base.priority),
            policy: base.map(policy),
            devices: base.map_or(&[], |base| &base.devices),
            rules: chain.rules.iter().enumerate().map(RuleJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct RuleJson<'a> {
    index: usize,
    handle: Option<u64>,
    line: Option<u32>,
    text: &'a str,
    comment: Option<&'a str>,
    packets: Option<u64>,
    bytes: Option<u64>,
    opaque: bool,
}

impl<'a> From<(usize, &'a Rule)> for RuleJson<'a> {
    fn from((index, rule): (usize, &'a Rule)) -> Self {
        Self {
            index,
            handle: rule.handle,
            line: rule.line,
            text: &rule.text,
            comment: rule.comment.as_deref(),
            packets: rule.counter.map(|counter| counter.packets),
            bytes: rule.counter.map(|counter| counter.bytes),
            opaque: is_open(rule),
        }
    }
}
