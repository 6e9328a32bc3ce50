//! What numbers and names stand for, for reading and as JSON.
//!
//! One port is shown whole, its layers apart: what IANA assigned, what is commonly seen, what to
//! mind, what the inventory says. Several are a table.

use std::io::{self, Write};

use anyhow::Result;
use portolan_core::inventory::Declared;
use portolan_core::net::{Gap, Port, PortClass, PortRange, Severity, Transport, TransportSet};
use portolan_core::registry::{Assignment, CommonUse, SecurityNote};
use portolan_core::socket::LocalPorts;
use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::ops::lookup::{Answer, Hit, Kind};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;
use crate::render::table::{Cell, Column, Table, wrap};

/// Prints each answer.
pub(crate) fn text(screen: &mut Screen, answers: &[Answer<'_>], local: &LocalPorts) -> Result<()> {
    for (i, answer) in answers.iter().enumerate() {
        if i > 0 {
            writeln!(screen)?;
        }
        match &*answer.hits {
            [] => nothing(screen, answer)?,
            [hit] => whole(screen, hit, local)?,
            hits => {
                if answers.len() > 1 {
                    let style = screen.style;
                    writeln!(screen, "{}", style.paint(Role::Strong, sanitize(&answer.query)))?;
                }
                several(screen, hits, answer.kind)?;
            }
        }
    }
    Ok(screen.flush()?)
}

fn nothing(screen: &mut Screen, answer: &Answer<'_>) -> io::Result<()> {
    writeln!(screen, "Nothing is known of {}.", sanitize(&answer.query))?;
    if let Some(nearest) = answer.nearest {
        let hint = format!("Did you mean {}?", sanitize(nearest));
        let style = screen.style;
        writeln!(screen, "{}", style.paint(Role::Hint, hint))?;
    }
    Ok(())
}

/// One port with everything known of it.
fn whole(screen: &mut Screen, hit: &Hit<'_>, local: &LocalPorts) -> io::Result<()> {
    let style = screen.style;
    match hit.port {
        Some(port) => {
            let class = port.class();
            let class = format!("{} ({})", class.as_str(), class.alias());
            writeln!(screen, "{}  {class}", style.paint(Role::Strong, port))?;
            for fact in here(port, local) {
                paragraph(screen, "  ", "  ", &fact)?;
            }
        }
        None => {
            let name = hit.assignments.first().and_then(|a| a.service).unwrap_or_default();
            let name = style.paint(Role::Strong, sanitize(name));
            writeln!(screen, "{name}  a name without a port, for DNS alone (RFC 6335 §3)")?;
        }
    }
    assigned(screen, hit)?;
    seen(screen, &hit.common_uses)?;
    minded(screen, &hit.security)?;
    declared(screen, &hit.declared)
}

/// What this host's kernel does with the number, as far as it matters for it.
fn here(port: Port, local: &LocalPorts) -> Vec<String> {
    if port == Port(0) {
        return vec![
            "stands for no port: a program that binds it is given an ephemeral one".into(),
        ];
    }
    let mut facts = Vec::new();
    let start = local.unprivileged_start;
    if port < start {
        facts.push(format!("needs root or CAP_NET_BIND_SERVICE to be bound here (below {start})"));
    } else if port.class() == PortClass::System {
        facts.push(format!("any user may bind it here (unprivileged ports begin at {start})"));
    }
    let range = local.ephemeral;
    if range.contains(port) {
        facts.push(format!(
            "in this host's ephemeral range {range}: the kernel may give it to any program"
        ));
    }
    if local.reserved.contains(port) {
        facts.push("reserved here (ip_local_reserved_ports): the kernel never chooses it".into());
    }
    if range.contains(port)
        || DEFAULTS.iter().any(|(_, first, last)| (*first..=*last).contains(&port.0))
    {
        let defaults = DEFAULTS.map(|(system, first, last)| format!("{system} {first}-{last}"));
        let not = if range.contains(port) {
            String::new()
        } else {
            format!("not ephemeral here ({range}); ")
        };
        facts.push(format!("{not}default ephemeral ranges: {}", defaults.join(", ")));
    }
    facts
}

/// The ephemeral ranges systems come with: net/ipv4/af_inet.c; Microsoft's "Dynamic port range";
/// xnu's in_pcb.h.
const DEFAULTS: [(&str, u16, u16); 2] =
    [("Linux", 32768, 60999), ("Windows and macOS", 49152, 65535)];

fn assigned(screen: &mut Screen, hit: &Hit<'_>) -> io::Result<()> {
    heading(screen, "IANA has assigned")?;
    if hit.assignments.is_empty() {
        let free = match hit.port.map(Port::class) {
            Some(PortClass::Dynamic) => "nothing, and never will: this range is for private use",
            _ => "nothing",
        };
        return writeln!(screen, "  {free}");
    }
    let transports: Vec<String> = hit.assignments.iter().map(|a| listed(a.transports)).collect();
    let widest = transports.iter().map(String::len).max().unwrap_or_default();
    let names = hit.assignments.iter().filter_map(|a| a.service).map(UnicodeWidthStr::width);
    let longest = names.max().unwrap_or_default();
    for (Assignment { service, description, .. }, transports) in
        hit.assignments.iter().zip(&transports)
    {
        let name = service.map(sanitize).unwrap_or_default();
        let gap = if longest > 0 { "  " } else { "" };
        let label = format!("  {transports:widest$}  {name:longest$}{gap}");
        paragraph(screen, &label, &" ".repeat(label.width()), description)?;
    }
    Ok(())
}

fn seen(screen: &mut Screen, uses: &[CommonUse]) -> io::Result<()> {
    if uses.is_empty() {
        return Ok(());
    }
    heading(screen, "Commonly seen")?;
    for CommonUse { transports, product, kind, .. } in uses {
        let label = format!("  {}  ", listed(*transports));
        paragraph(screen, &label, &blanks(&label), &format!("{product} ({kind})"))?;
    }
    Ok(())
}

fn minded(screen: &mut Screen, notes: &[SecurityNote<'_>]) -> io::Result<()> {
    if notes.is_empty() {
        return Ok(());
    }
    heading(screen, "Security")?;
    let style = screen.style;
    for note in notes {
        let label = format!("  {}  ", listed(note.transports));
        let indent = blanks(&label);
        let severity = style.paint(role_of(note.severity), note.severity);
        writeln!(screen, "{label}{severity} ({}): {}", note.risk_class, note.exposure.phrase())?;
        paragraph(screen, &indent, &indent, &format!("{}: {}", note.service, note.why))?;
        let more = [
            ("safer: ", note.safer_alternative),
            ("encrypted twin: ", note.encrypted_twin),
            ("source: ", note.source),
        ];
        for (what, text) in more.into_iter().filter(|(_, text)| !text.is_empty()) {
            paragraph(screen, &indent, &format!("{indent}  "), &format!("{what}{text}"))?;
        }
    }
    Ok(())
}

fn declared(screen: &mut Screen, declared: &[Declared<'_>]) -> io::Result<()> {
    if declared.is_empty() {
        return Ok(());
    }
    heading(screen, "The inventory declares")?;
    for one in declared {
        let (kind, _, purpose) = facts_of(*one);
        let purpose = purpose.map(|p| format!(": {p}")).unwrap_or_default();
        let text = format!("{kind} {} on {}{purpose}", one.name(), hosts(*one).join(", "));
        paragraph(screen, "  ", "    ", &sanitize(&text))?;
    }
    Ok(())
}

/// The kind of a declaration, its status and its purpose.
fn facts_of(declared: Declared<'_>) -> (&'static str, Option<&'static str>, Option<&str>) {
    match declared {
        Declared::Service(service) => (
            "service",
            Some(service.status.as_str()),
            service.docs.purpose.as_ref().map(|p| p.value.as_str()),
        ),
        Declared::Forward(_) => ("forward", None, None),
        Declared::Door(_) => ("door", None, None),
        Declared::Pool(pool) => ("pool", None, pool.purpose.as_deref()),
    }
}

fn hosts(declared: Declared<'_>) -> Vec<String> {
    declared.on().iter().map(|on| on.value.to_string()).collect()
}

/// Several ports, a row each; equal rows that follow each other share one.
fn several(screen: &mut Screen, hits: &[Hit<'_>], kind: Kind) -> io::Result<()> {
    let shown = if kind == Kind::Words { hits.len().min(MOST_FOUND) } else { hits.len() };
    let mut grouped: Vec<(Option<PortRange>, Summary)> = Vec::new();
    for hit in &hits[..shown] {
        let summary = Summary::of(hit);
        match (grouped.last_mut(), hit.port) {
            (Some((Some(range), last)), Some(port))
                if *last == summary && follows(*range, port) =>
            {
                *range = PortRange::new(range.first(), port).unwrap_or(*range);
            }
            _ => grouped.push((hit.port.map(PortRange::from), summary)),
        }
    }
    let mut table = Table::new([
        Column::right("PORT"),
        Column::flexible("SERVICE", 12),
        Column::flexible("DESCRIPTION", 16),
        Column::flexible("COMMONLY SEEN", 14),
        Column::left("RISK"),
        Column::flexible("DECLARED", 8),
    ]);
    for (range, summary) in &grouped {
        table.push(summary.row(*range));
    }
    let (width, style) = (screen.width, screen.style);
    table.write(screen, width, style)?;
    if shown < hits.len() {
        let more = format!("… and {} more: add a word, or use --json", hits.len() - shown);
        writeln!(screen, "{}", style.paint(Role::Dim, more))?;
    }
    Ok(())
}

fn follows(range: PortRange, port: Port) -> bool {
    range.last().0.checked_add(1) == Some(port.0)
}

/// A row about a port, without its number.
#[derive(PartialEq, Eq)]
struct Summary {
    service: String,
    description: String,
    seen: String,
    risk: Option<Severity>,
    declared: String,
}

impl Summary {
    fn of(hit: &Hit<'_>) -> Self {
        let usual = Transport::ALL.into_iter().filter_map(|t| {
            let of_it = hit.assignments.iter().filter(|a| a.transports.contains(t));
            of_it.into_iter().find_map(|a| a.service)
        });
        let unnamed = hit.assignments.iter().filter(|a| a.transports.is_empty());
        let named = hit.assignments.iter().find(|a| a.service.is_some());
        let first = named.or(hit.assignments.first());
        Self {
            service: joined(usual.chain(unnamed.filter_map(|a| a.service))),
            description: first.map(|a| a.description.to_owned()).unwrap_or_default(),
            seen: joined(hit.common_uses.iter().map(|u| u.product)),
            risk: hit.security.iter().map(|note| note.severity).max(),
            declared: joined(hit.declared.iter().map(|d| d.name())),
        }
    }

    fn row(&self, range: Option<PortRange>) -> Vec<Cell> {
        let risk = self.risk.map_or(Cell::default(), |s| Cell::new(role_of(s), s.as_str()));
        vec![
            Cell::new(Role::Strong, range.map_or_else(|| "none".into(), |r| r.to_string())),
            (&self.service).into(),
            (&self.description).into(),
            (&self.seen).into(),
            risk,
            (&self.declared).into(),
        ]
    }
}

/// Each word once, in order, with commas between.
fn joined<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut each: Vec<&str> = Vec::new();
    for word in words {
        if !each.contains(&word) {
            each.push(word);
        }
    }
    each.join(", ")
}

const fn role_of(severity: Severity) -> Role {
    match severity {
        Severity::Critical | Severity::High => Role::Bad,
        Severity::Medium => Role::Warning,
        Severity::Low | Severity::Note => Role::Plain,
    }
}

fn heading(screen: &mut Screen, text: &str) -> io::Result<()> {
    let style = screen.style;
    writeln!(screen, "\n{}", style.paint(Role::Heading, text))
}

/// Text over as many lines as it takes, the first after `first`, the others after `rest`.
fn paragraph(screen: &mut Screen, first: &str, rest: &str, text: &str) -> io::Result<()> {
    let width = screen.width.saturating_sub(first.width().max(rest.width())).max(20);
    for (i, line) in wrap(&sanitize(text), width).iter().enumerate() {
        let line = format!("{}{line}", if i == 0 { first } else { rest });
        writeln!(screen, "{}", line.trim_end())?;
    }
    Ok(())
}

fn blanks(label: &str) -> String {
    " ".repeat(label.len())
}

/// Transports with blanks between; `any` where none is named.
fn listed(transports: TransportSet) -> String {
    if transports.is_empty() {
        return "any".into();
    }
    transports.iter().map(Transport::as_str).collect::<Vec<_>>().join(" ")
}

/// How many finds are shown; the first ones are the best.
const MOST_FOUND: usize = 20;

/// Prints the answers as one document.
pub(crate) fn json(
    screen: &mut Screen,
    answers: &[Answer<'_>],
    local: &LocalPorts,
    gaps: &[Gap],
) -> Result<()> {
    let results = answers.iter().flat_map(|answer| results(answer, local)).collect();
    let body = Body {
        results,
        host: HostJson {
            ephemeral: RangeJson::from(local.ephemeral),
            unprivileged_start: local.unprivileged_start.0,
            reserved: local.reserved.to_string(),
        },
    };
    screen.json(&Document::new("lookup", body, gaps))?;
    Ok(screen.flush()?)
}

/// One object a port; one without a port where nothing was found.
fn results<'a>(answer: &'a Answer<'a>, local: &LocalPorts) -> Vec<ResultJson<'a>> {
    let empty =
        ResultJson { query: &answer.query, nearest: answer.nearest, ..ResultJson::default() };
    if answer.hits.is_empty() {
        return vec![empty];
    }
    answer.hits.iter().map(|hit| empty.with(hit, local)).collect()
}

#[derive(Serialize)]
struct Body<'a> {
    results: Vec<ResultJson<'a>>,
    host: HostJson,
}

#[derive(Serialize)]
struct HostJson {
    ephemeral: RangeJson,
    unprivileged_start: u16,
    reserved: String,
}

#[derive(Serialize)]
struct RangeJson {
    first: u16,
    last: u16,
}

impl From<PortRange> for RangeJson {
    fn from(range: PortRange) -> Self {
        Self { first: range.first().0, last: range.last().0 }
    }
}

#[derive(Default, Serialize)]
struct ResultJson<'a> {
    query: &'a str,
    port: Option<u16>,
    class: Option<&'static str>,
    ephemeral_here: Option<bool>,
    privileged_here: Option<bool>,
    reserved_here: Option<bool>,
    assignments: Vec<AssignmentJson<'a>>,
    common_uses: Vec<CommonUseJson>,
    security: Vec<SecurityJson<'a>>,
    inventory: Vec<DeclaredJson<'a>>,
    nearest: Option<&'a str>,
}

impl<'a> ResultJson<'a> {
    fn with(&self, hit: &'a Hit<'a>, local: &LocalPorts) -> Self {
        Self {
            query: self.query,
            port: hit.port.map(|p| p.0),
            class: hit.port.map(|p| p.class().as_str()),
            ephemeral_here: hit.port.map(|p| local.ephemeral.contains(p)),
            privileged_here: hit.port.map(|p| p < local.unprivileged_start),
            reserved_here: hit.port.map(|p| local.reserved.contains(p)),
            assignments: hit.assignments.iter().flat_map(AssignmentJson::each).collect(),
            common_uses: hit.common_uses.iter().flat_map(CommonUseJson::each).collect(),
            security: hit.security.iter().flat_map(SecurityJson::each).collect(),
            inventory: hit.declared.iter().copied().map(DeclaredJson::from).collect(),
            nearest: self.nearest,
        }
    }
}

#[derive(Serialize)]
struct AssignmentJson<'a> {
    service: Option<&'a str>,
    transport: Option<&'static str>,
    description: &'a str,
}

impl<'a> AssignmentJson<'a> {
    /// One a transport; one without where IANA names none.
    fn each(assignment: &Assignment<'a>) -> Vec<Self> {
        let Assignment { service, description, transports, .. } = *assignment;
        let of = |transport| Self { service, transport, description };
        if transports.is_empty() {
            return vec![of(None)];
        }
        transports.iter().map(|t| of(Some(t.as_str()))).collect()
    }
}

#[derive(Serialize)]
struct CommonUseJson {
    product: &'static str,
    transport: &'static str,
    kind: &'static str,
}

impl CommonUseJson {
    fn each(common: &CommonUse) -> impl Iterator<Item = Self> {
        let CommonUse { product, kind, transports, .. } = *common;
        transports.iter().map(move |t| Self { product, transport: t.as_str(), kind })
    }
}

#[derive(Serialize)]
struct SecurityJson<'a> {
    service: &'a str,
    transport: &'static str,
    risk_class: &'a str,
    severity: &'static str,
    exposure: &'static str,
    why: &'a str,
    safer_alternative: Option<&'a str>,
    encrypted_twin: Option<&'a str>,
    source: &'a str,
}

impl<'a> SecurityJson<'a> {
    fn each(note: &SecurityNote<'a>) -> impl Iterator<Item = Self> {
        let note = *note;
        let some = |text: &'a str| Some(text).filter(|t| !t.is_empty());
        note.transports.iter().map(move |transport| Self {
            service: note.service,
            transport: transport.as_str(),
            risk_class: note.risk_class,
            severity: note.severity.as_str(),
            exposure: note.exposure.as_str(),
            why: note.why,
            safer_alternative: some(note.safer_alternative),
            encrypted_twin: some(note.encrypted_twin),
            source: note.source,
        })
    }
}

#[derive(Serialize)]
struct DeclaredJson<'a> {
    kind: &'static str,
    service: &'a str,
    status: Option<&'static str>,
    on: Vec<String>,
    purpose: Option<&'a str>,
}

impl<'a> From<Declared<'a>> for DeclaredJson<'a> {
    fn from(declared: Declared<'a>) -> Self {
        let (kind, status, purpose) = facts_of(declared);
        Self { kind, service: declared.name(), status, on: hosts(declared), purpose }
    }
}
