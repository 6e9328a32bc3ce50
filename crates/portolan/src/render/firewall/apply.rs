//! The plan of an apply and what came of it, for reading and as JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use portolan_core::firewall::bdd::Undecided;
use portolan_core::firewall::{Pass, Policy, RulePlace, Tuple};
use portolan_core::wire::conntrack::Entry;
use serde::Serialize;

use crate::cli::args::Color;
use crate::ops::firewall::change::{self, LoadedPolicy, Plan, Purpose, Trial};
use crate::ops::firewall::judge::Verdict;
use crate::ops::firewall::outsiders::{Nobody, NobodyWhy, OtherWay};
use crate::ops::firewall::precheck::{self, Access, Cut, Violation, Who};
use crate::render::firewall::apply_life::{self, MissingJson};
use crate::render::firewall::apply_marks;
use crate::render::firewall::apply_multicast::{self, GroupJson, QueriesJson};
use crate::render::firewall::cut_off::{self, CutOffJson};
use crate::render::firewall::fill_levels::{self, FillLevelJson};
use crate::render::firewall::left::{self, LeftJson};
use crate::render::firewall::place::PlaceJson;
use crate::render::firewall::status::{duration, until};
use crate::render::gap;
use crate::render::inventory::ended::{self, EndedJson};
use crate::render::json::Document;
use crate::render::owner::process_names;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// How an apply ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was only planned.
    Planned,
    /// It must not be applied.
    Refused,
    /// It is on trial.
    OnTrial(Trial),
    /// It was confirmed.
    Confirmed(Trial),
    /// What was before is back, and why.
    RolledBack(Trial, String),
    /// Another apply took over.
    TakenOver(Trial),
    /// A signal ended it, and what was before is back.
    Interrupted(Trial, i32),
}

/// Prints what is going to change, and what to know before.
pub(crate) fn plan(screen: &mut Screen, plan: &Plan) -> Result<()> {
    let hash = plan.script.hash();
    let host = sanitize(&plan.intended.policy.host);
    let path = plan.intended.loaded.path.display().to_string();
    writeln!(screen, "policy {hash} for host {host}, from {}", sanitize(&path))?;
    match &plan.loaded {
        None => writeln!(screen, "  table inet portolan is made; no other table is touched")?,
        Some(LoadedPolicy::Known(loaded)) if *loaded == hash => match &plan.difference {
            None => writeln!(screen, "  is loaded already: the same rules are loaded again")?,
            Some(difference) => {
                let text = "takes the place of itself as it was changed since it was loaded: ";
                screen.hanging("  ", &format!("{text}{}", sanitize(difference)))?;
            }
        },
        Some(loaded) => {
            let which = words(loaded);
            writeln!(screen, "  takes the place of {which} in table inet portolan, no other")?;
        }
    }
    fill_levels::text(screen, &plan.sets)?;
    if let Some(trial) = &plan.trial {
        screen.hanging("  ", &over(trial))?;
    }
    if !plan.left_edits.is_empty() {
        let places = left::places(&plan.left_edits);
        let text = format!(
            "the inventory has a change of a trial that is over, unconfirmed ({}): `portolan firewall \
             rollback` takes it back, `apply` takes it on",
            sanitize(&places)
        );
        screen.hanging("  ", &text)?;
    }
    if !plan.place.has_boot() {
        writeln!(screen, "  not at boot: this network namespace is not the machine's")?;
    }
    if plan.precheck.proven.is_some() {
        writeln!(screen, "  proved: the table does what the policy says, for every packet")?;
    }
    if let Some(undecided) = plan.precheck.undecided {
        let label = screen.style.paint(Role::Bad, "not proved:").to_string();
        screen.hanging(&format!("  {label} "), &unproved(undecided))?;
    }
    left_out(screen, &plan.intended.policy)?;
    access(screen, plan)?;
    violations(screen, &plan.precheck.violations)?;
    proved_violations(screen, &plan.precheck)?;
    apply_life::text(screen, &plan.precheck.missing)?;
    cut_off::text(screen, &plan.intended)?;
    cut(screen, &plan.precheck.cut)?;
    apply_multicast::text(screen, &plan.precheck.multicast)?;
    apply_marks::text(screen, &plan.precheck.mark_readers)?;
    untracked(screen, plan.precheck.untracked)?;
    flows(screen, &plan.precheck.refused)?;
    ended::text(screen, &plan.intended.loaded.inventory, plan.made)?;
    Ok(screen.flush()?)
}

/// What becomes of a trial that is going on.
fn over(trial: &Trial) -> String {
    let what = match trial.purpose {
        Purpose::Apply => format!("a trial of policy {}", trial.policy),
        Purpose::Off => "a pause".to_owned(),
    };
    let (who, until) = (&trial.caller, until(trial));
    match trial.is_watched() {
        true => format!(
            "takes over from {what} that {who} began, until {until}: what was before that comes back \
             unless this is confirmed"
        ),
        false => format!(
            "first {what} that {who} began, and nobody watches any more, is rolled back: what was before \
             it comes back"
        ),
    }
}

/// Why the table is not held against the policy, and what to do.
fn unproved(undecided: Undecided) -> String {
    format!(
        "whether the table does what the policy says is too large to decide (more than {} nodes, some \
         600 MB). Services that the same senders reach are less as one service with all their ports, and \
         senders as few networks; `--force` puts it on trial unproved",
        undecided.budget
    )
}

/// What the inventory says and the rules do not.
fn left_out(screen: &mut Screen, policy: &Policy) -> Result<()> {
    for note in &policy.notes {
        let label = screen.style.paint(Role::Warning, "not in the rules:").to_string();
        screen.hanging(&format!("  {label} "), sanitize(note).as_ref())?;
    }
    Ok(())
}

fn access(screen: &mut Screen, plan: &Plan) -> Result<()> {
    let rows = &plan.precheck.access;
    if plan.intended.loaded.inventory.management.is_none() {
        let whom = if rows.is_empty() {
            "nobody: no [management] in the inventory, and this is no SSH session: nothing was checked"
        } else {
            "only this SSH session: no [management] in the inventory"
        };
        screen.hanging("access that must stay: ", whom)?;
    } else {
        writeln!(screen, "access that must stay:")?;
    }
    for row in &plan.precheck.nobody {
        let word = screen.style.paint(Role::Bad, "is lost").to_string();
        let (range, transport) = (row.range, row.transport);
        screen.hanging(&format!("  {range}/{transport} {word}: "), nobody(row.why))?;
    }
    for row in rows {
        let (role, word) = match row.verdict {
            Verdict::Kept => (Role::Good, "stays"),
            Verdict::Open(_) => (Role::Warning, "is not certain"),
            Verdict::Refused(_) => (Role::Warning, "is refused already, and stays so"),
            Verdict::Lost(_) => (Role::Bad, "is lost"),
        };
        let word = screen.style.paint(role, word).to_string();
        let (port, transport) = (row.port, row.transport);
        writeln!(screen, "  {} to {port}/{transport} {word} ({})", row.source, who(&row.who))?;
        if let Some(limit) = row.limit {
            let often = format!("at most {} in {}", limit.count, duration(limit.per));
            let role = if row.is_too_slow() { Role::Bad } else { Role::Warning };
            let often = screen.style.paint(role, &often).to_string();
            let then = if row.is_too_slow() {
                ": the connection that is to confirm is one of them"
            } else {
                ""
            };
            writeln!(screen, "    {often}{then}")?;
        }
        if let Some(why) = why(&row.verdict) {
            writeln!(screen, "    {}", sanitize(&why))?;
        }
        if let Some(need) = row.lacks {
            screen.hanging("    ", apply_life::lacks(need))?;
        }
        let other_way = row.other_way.iter().filter(|_| matches!(row.verdict, Verdict::Lost(_)));
        for OtherWay { said, by } in other_way {
            let (said, by) = (sanitize(said), sanitize(by));
            let text = format!("let in by {said} only, and its packets come by {by}");
            screen.hanging("    ", &text)?;
        }
    }
    Ok(())
}

/// Why a port of `[management]` is lost to everybody.
const fn nobody(why: NobodyWhy) -> &'static str {
    match why {
        NobodyWhy::Itself => {
            "[management] names this machine itself only: nobody outside will reach it"
        }
        NobodyWhy::Unknown => {
            "no address is known of whom [management] names: nobody outside will reach it"
        }
    }
}

/// What decides where it is not this policy alone.
fn why(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Kept | Verdict::Lost(None) => None,
        Verdict::Open(question) => Some(format!("another table asks, today as well: {question}")),
        Verdict::Refused(place) => {
            let place =
                place.as_ref().map_or_else(|| "another table".to_owned(), ToString::to_string);
            Some(format!("not by this policy, but by {place}"))
        }
        Verdict::Lost(Some(place)) => Some(format!("by {place}")),
    }
}

fn who(who: &Who) -> String {
    match who {
        Who::ThisSession => "this SSH session".to_owned(),
        Who::Management(label) => format!("management: {}", sanitize(label)),
    }
}

fn violations(screen: &mut Screen, rows: &[Violation]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let title = screen.style.paint(Role::Bad, "would be let in, and must never be:").to_string();
    writeln!(screen, "{title}")?;
    for row in rows {
        let ports = row.ports.map(|ports| format!(" to {ports}")).unwrap_or_default();
        let (pass, never) = (sanitize(&row.pass).to_string(), sanitize(&row.never).to_string());
        writeln!(screen, "  {}{ports} by {pass}: {never}", row.sources)?;
    }
    Ok(())
}

/// Those of the proof name a packet; what is told already is not told again.
fn proved_violations(screen: &mut Screen, found: &precheck::Precheck) -> Result<()> {
    let mut told: Vec<&str> = found.violations.iter().map(|row| &*row.never).collect();
    for violation in found.proven.iter().flat_map(|proof| &proof.violations) {
        if told.contains(&&*violation.name) {
            continue;
        }
        told.push(&violation.name);
        let packet = violation.witness.packet.tuple();
        let never = sanitize(&violation.name).to_string();
        writeln!(screen, "  [[never]] {never}: {} would be let in", flow(&packet))?;
    }
    Ok(())
}

/// What is cut first, then what is refused already, by whom.
fn cut(screen: &mut Screen, rows: &[Cut]) -> Result<()> {
    let (refused, cut): (Vec<&Cut>, Vec<&Cut>) = rows.iter().partition(|row| row.already.is_some());
    if !cut.is_empty() {
        writeln!(screen, "nobody outside will reach:")?;
    }
    for row in cut {
        writeln!(screen, "  {}", listener(row))?;
    }
    if !refused.is_empty() {
        writeln!(screen, "nobody outside reaches these today either:")?;
    }
    let by = |row: &Cut| row.already.as_ref().and_then(|already| already.by.clone());
    let mut groups: Vec<(Option<RulePlace>, Vec<String>)> = Vec::new();
    for row in refused {
        match groups.iter_mut().find(|(place, _)| *place == by(row)) {
            Some((_, rows)) => rows.push(listener(row)),
            None => groups.push((by(row), vec![listener(row)])),
        }
    }
    for (place, rows) in groups {
        let by = place.map(|place| format!(" refused by {place}"));
        screen.hanging("  ", &format!("{}{}", rows.join(", "), by.unwrap_or_default()))?;
    }
    Ok(())
}

fn listener(row: &Cut) -> String {
    let owners = process_names(&row.owners);
    let by = match row.sent_to {
        Some(to) => format!("  sent on to {to}"),
        None if owners.is_empty() => String::new(),
        None => format!("  {}", sanitize(&owners)),
    };
    format!("{}/{}{by}", row.bound, row.transport)
}

/// That connections stay which the rules alone would cut.
fn untracked(screen: &mut Screen, count: usize) -> Result<()> {
    if count > 0 {
        let text = "that the kernel does not track yet: it is told of them, and they stay open";
        writeln!(screen, "open connections {text}: {count}")?;
    }
    Ok(())
}

fn flows(screen: &mut Screen, rows: &[Entry]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(screen, "open connections that the rules would refuse (--drop-flows ends them):")?;
    for row in rows.iter().take(MOST_FLOWS) {
        writeln!(screen, "  {}", flow(&precheck::ends(row)))?;
    }
    let more = rows.len().saturating_sub(MOST_FLOWS);
    if more > 0 {
        writeln!(screen, "  and {more} more (--json has all)")?;
    }
    Ok(())
}

fn flow(tuple: &Tuple) -> String {
    let end = |address: std::net::IpAddr, port: u16| match port {
        0 => address.to_string(),
        port => std::net::SocketAddr::new(address, port).to_string(),
    };
    let source = end(tuple.source, tuple.source_port);
    let destination = end(tuple.destination, tuple.destination_port);
    format!("{} {source} to {destination}", protocol(tuple.protocol))
}

pub(super) fn protocol(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        33 => "dccp".to_owned(),
        58 => "icmpv6".to_owned(),
        132 => "sctp".to_owned(),
        other => format!("ip:{other}"),
    }
}

const MOST_FLOWS: usize = 10;

/// What a person is asked.
pub(crate) fn question(timeout: Duration) -> String {
    format!("put it on trial for {}?", duration(timeout))
}

/// Says how to keep what is loaded now.
pub(crate) fn on_trial(screen: &mut Screen, plan: &Plan, trial: &Trial) -> Result<()> {
    writeln!(screen, "on trial until {}", until(trial))?;
    if !plan.edits.is_empty() {
        writeln!(screen, "the inventory says so too, and no more unless it is confirmed")?;
    }
    writeln!(screen, "keep it from a new session: portolan firewall confirm")?;
    Ok(screen.flush()?)
}

/// Says how it ended.
pub(crate) fn end(screen: &mut Screen, plan: &Plan, end: &End, color: Color) -> Result<()> {
    match end {
        End::Planned | End::OnTrial(_) => {}
        End::Refused => {
            if plan.precheck.cuts_ssh() {
                gap::warning("nobody at all would reach the SSH server of this machine", color);
            }
            let too = if plan.edits.is_empty() { "" } else { ", and nothing was written" };
            gap::warning(&format!("not applied{too}"), color);
            let hint = match plan.edits.is_empty() {
                true => "mend the inventory, or say --force: it rolls back by itself",
                false => "mend the inventory first; without --apply it is written alone",
            };
            gap::hint(hint, color);
            management(screen, plan, color)?;
        }
        End::Confirmed(_) => writeln!(screen, "confirmed")?,
        End::RolledBack(_, why) => {
            writeln!(screen, "rolled back: {}", sanitize(why))?;
            edits_back(screen, plan, color)?;
            gap::hint("portolan firewall status shows what is loaded and the log", color);
        }
        End::TakenOver(_) => writeln!(screen, "another apply has taken over")?,
        End::Interrupted(..) => {
            writeln!(screen, "rolled back: interrupted")?;
            edits_back(screen, plan, color)?;
        }
    }
    Ok(screen.flush()?)
}

/// Whether what was written into the inventory is out again.
fn edits_back(screen: &mut Screen, plan: &Plan, color: Color) -> Result<()> {
    let left = change::left_edits();
    if !plan.edits.is_empty() && left.is_empty() {
        writeln!(screen, "the inventory is as it was, too")?;
    }
    screen.flush()?;
    left::warn(&left, color);
    Ok(())
}

/// What to add to the inventory so that who was shut out keeps access.
fn management(screen: &mut Screen, plan: &Plan, color: Color) -> Result<()> {
    let is_lost = |row: &&Access| matches!(row.verdict, Verdict::Lost(_)) || row.is_too_slow();
    let mut rows = plan.precheck.access.iter().filter(|row| row.who == Who::ThisSession);
    let Some(row) = rows.find(is_lost) else { return Ok(()) };
    let (source, port, transport) = (row.source, row.port, row.transport);
    let inventory = &plan.intended.loaded.inventory;
    let Some(declared) = &inventory.management else {
        writeln!(screen, "[management]\nfrom = [\"{source}\"]\nports = [\"{port}/{transport}\"]")?;
        return Ok(());
    };
    let names = |pass: &Pass| pass.peers.iter().any(|peers| peers.addresses.contains(source));
    if declared.names(port, transport) && plan.intended.policy.management.iter().any(names) {
        return Ok(());
    }
    let place = inventory.line_of(&declared.at);
    let mut text = format!("add \"{source}\" to `from` of [management]");
    if !declared.names(port, transport) {
        let _ = write!(text, ", and \"{port}/{transport}\" to its `ports`");
    }
    gap::hint(&format!("{text} ({}:{})", place.file, place.line), color);
    Ok(())
}

/// Prints all of it as one document.
pub(crate) fn json(screen: &mut Screen, plan: &Plan, end: &End) -> Result<()> {
    let found = &plan.precheck;
    let (outcome, trial, detail) = match end {
        End::Planned => ("planned", None, None),
        End::Refused => ("refused", None, None),
        End::OnTrial(trial) => ("on-trial", Some(trial), None),
        End::Confirmed(trial) => ("confirmed", Some(trial), None),
        End::RolledBack(trial, why) => ("rolled-back", Some(trial), Some(why.as_str())),
        End::TakenOver(trial) => ("taken-over", Some(trial), None),
        End::Interrupted(trial, _) => ("rolled-back", Some(trial), Some("interrupted")),
    };
    let body = Body {
        host: &plan.intended.policy.host,
        inventory: plan.intended.loaded.path.display().to_string(),
        hash: plan.script.hash(),
        loaded: plan.loaded.as_ref().map(words),
        proved: found.proven.is_some(),
        unproved: found.undecided.map(|undecided| undecided.to_string()),
        has_management: !plan.intended.policy.management.is_empty(),
        access: found.access.iter().map(AccessJson::from).collect(),
        nobody: found.nobody.iter().map(NobodyJson::from).collect(),
        violations: found.violations.iter().map(ViolationJson::from).collect(),
        missing: found.missing.iter().map(MissingJson::from).collect(),
        cut_off: cut_off::json(&plan.intended),
        ended: ended::json(&plan.intended.loaded.inventory, plan.made),
        cut: found.cut.iter().map(CutJson::from).collect(),
        groups: apply_multicast::groups(&found.multicast),
        queries: apply_multicast::queries(&found.multicast),
        mark_readers: found.mark_readers.iter().map(PlaceJson::from).collect(),
        sets: fill_levels::json(&plan.sets),
        flows: found.refused.iter().map(|e| FlowJson::from(precheck::ends(e))).collect(),
        untracked: found.untracked,
        edited: plan.edits.iter().map(|edit| edit.path.display().to_string()).collect(),
        left: match end {
            End::RolledBack(..) | End::Interrupted(..) => LeftJson::of(&change::left_edits()),
            _ => Vec::new(),
        },
        outcome,
        detail,
        token: trial.map(|trial| trial.token.as_str()),
    };
    screen.json(&Document::new("firewall-apply", body, &found.gaps))?;
    Ok(screen.flush()?)
}

/// A loaded policy in words: its identity, or that it does not say.
pub(crate) fn words(loaded: &LoadedPolicy) -> String {
    match loaded {
        LoadedPolicy::Known(hash) => format!("policy {}", sanitize(hash)),
        LoadedPolicy::Unknown => "rules without a policy's name".to_owned(),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    inventory: String,
    hash: String,
    loaded: Option<String>,
    proved: bool,
    /// Why it is not; then it is not applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    unproved: Option<String>,
    has_management: bool,
    access: Vec<AccessJson>,
    /// Ports of `[management]` that nobody outside is let in to.
    nobody: Vec<NobodyJson>,
    violations: Vec<ViolationJson<'a>>,
    missing: Vec<MissingJson>,
    /// Servers that the machine relies on and blocks refuse.
    cut_off: Vec<CutOffJson<'a>>,
    /// What of the inventory has no effect any more.
    ended: Vec<EndedJson<'a>>,
    cut: Vec<CutJson>,
    groups: Vec<GroupJson>,
    queries: Vec<QueriesJson<'a>>,
    /// Rules of other tables that meet the bit of `ct mark` that the table uses.
    mark_readers: Vec<PlaceJson>,
    /// How full the sets are that packets fill, where this policy is loaded already.
    sets: Vec<FillLevelJson<'a>>,
    flows: Vec<FlowJson>,
    /// How many open connections the kernel does not track and is told of.
    untracked: usize,
    /// Files of the inventory that are written with it, and back as they were unless it is confirmed.
    edited: Vec<String>,
    /// Where they stand although it was rolled back.
    left: Vec<LeftJson>,
    outcome: &'static str,
    detail: Option<&'a str>,
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct NobodyJson {
    /// One, or `first-last`.
    ports: String,
    transport: &'static str,
    /// `itself`: it names this machine only; `unknown`: no address is known of whom it names.
    why: &'static str,
}

impl From<&Nobody> for NobodyJson {
    fn from(row: &Nobody) -> Self {
        let why = match row.why {
            NobodyWhy::Itself => "itself",
            NobodyWhy::Unknown => "unknown",
        };
        Self { ports: row.range.to_string(), transport: row.transport.as_str(), why }
    }
}

#[derive(Serialize)]
struct AccessJson {
    who: String,
    source: String,
    port: u16,
    transport: &'static str,
    kept: bool,
    /// `kept`, `open` or `refused` by other tables as today, or `lost`.
    verdict: &'static str,
    /// The rule of another table that refuses it.
    by: Option<PlaceJson>,
    depends_on: Option<String>,
    /// What it lacks although its first packet is let in: `answers`, `neighbours`.
    lacks: Option<&'static str>,
    /// The interface its packets come by, where it is let in by another only.
    #[serde(skip_serializing_if = "Option::is_none")]
    comes_by: Option<String>,
    /// No more connections than this, such as `1/24h`.
    limit: Option<String>,
}

impl From<&Access> for AccessJson {
    fn from(row: &Access) -> Self {
        let who = match &row.who {
            Who::ThisSession => "this-session".to_owned(),
            Who::Management(label) => label.to_string(),
        };
        let (verdict, by, depends_on) = match &row.verdict {
            Verdict::Kept => ("kept", None, None),
            Verdict::Open(question) => ("open", None, Some(question.clone())),
            Verdict::Refused(place) => ("refused", place.as_ref(), None),
            Verdict::Lost(place) => ("lost", place.as_ref(), None),
        };
        let by = by.map(PlaceJson::from);
        Self {
            who,
            source: row.source.to_string(),
            port: row.port.0,
            transport: row.transport.as_str(),
            kept: row.verdict == Verdict::Kept,
            verdict,
            by,
            depends_on,
            lacks: row.lacks.map(apply_life::word),
            comes_by: row.other_way.as_ref().map(|way| way.by.to_string()),
            limit: row.limit.map(|l| format!("{}/{}", l.count, duration(l.per))),
        }
    }
}

#[derive(Serialize)]
struct ViolationJson<'a> {
    never: &'a str,
    by: &'a str,
    sources: String,
    ports: Option<String>,
}

impl<'a> From<&'a Violation> for ViolationJson<'a> {
    fn from(row: &'a Violation) -> Self {
        Self {
            never: &row.never,
            by: &row.pass,
            sources: row.sources.to_string(),
            ports: row.ports.map(|ports| ports.to_string()),
        }
    }
}

#[derive(Serialize)]
struct CutJson {
    address: String,
    port: u16,
    transport: &'static str,
    processes: Vec<String>,
    /// Where rules send it on to; left out where a socket here holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_to: Option<String>,
    /// Whether nobody reaches it today either.
    already: bool,
    /// The rule that is loaded and refuses a stranger; left out where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused_by: Option<PlaceJson>,
}

impl From<&Cut> for CutJson {
    fn from(row: &Cut) -> Self {
        Self {
            address: row.bound.address.to_string(),
            port: row.bound.port.0,
            transport: row.transport.as_str(),
            processes: row.owners.iter().map(|p| p.name.to_string()).collect(),
            sent_to: row.sent_to.map(|to| to.to_string()),
            already: row.already.is_some(),
            refused_by: row.already.as_ref().and_then(|a| a.by.as_ref()).map(PlaceJson::from),
        }
    }
}

#[derive(Serialize)]
struct FlowJson {
    protocol: String,
    source: EndJson,
    destination: EndJson,
}

#[derive(Serialize)]
struct EndJson {
    address: String,
    port: u16,
}

impl From<Tuple> for FlowJson {
    fn from(tuple: Tuple) -> Self {
        let end = |address: std::net::IpAddr, port| EndJson { address: address.to_string(), port };
        Self {
            protocol: protocol(tuple.protocol),
            source: end(tuple.source, tuple.source_port),
            destination: end(tuple.destination, tuple.destination_port),
        }
    }
}
