//! What `allow` and `deny` write, and who gets in before and after, for reading and as JSON.

use std::cmp::Ordering;
use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::place::PlaceJson;
use super::status::duration;
use crate::cli::args::Color;
use crate::ops::firewall::allow::{Change, Done, Edited};
use crate::ops::firewall::entries::Entry;
use crate::ops::firewall::force::Force;
use crate::ops::firewall::outlook::{Guest, Outlook, Shut};
use crate::ops::firewall::precheck::Violation;
use crate::ops::firewall::still::Elsewhere;
use crate::ops::firewall::wish::{Wanted, Wish};
use crate::ops::inventory::edit::Changed;
use crate::render::gap;
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// What is told.
pub(crate) struct Shown<'s> {
    /// What was asked for.
    pub(crate) wish: Wish,
    /// What follows for the inventory.
    pub(crate) edited: Edited,
    /// What follows for the port.
    pub(crate) outlook: &'s Outlook,
}

/// What became of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stands there.
    Written,
    /// Nothing was to be written.
    Unchanged,
    /// It is only told, or still to be put on trial.
    Planned,
    /// It is forbidden.
    Refused,
}

/// Says all of it.
pub(crate) fn text(screen: &mut Screen, shown: &Shown<'_>, fate: Fate, color: Color) -> Result<()> {
    edit(screen, shown, fate)?;
    let (ports, outlook) = (&shown.wish.ports, shown.outlook);
    let host = sanitize(&shown.edited.host);
    screen.hanging("", &format!("{ports} on {host}: whom the inventory lets in"))?;
    screen.hanging("  before: ", &guests(&outlook.before, outlook.is_open, ports))?;
    screen.hanging("  after:  ", &guests(&outlook.after, outlook.is_open, ports))?;
    for still in &shown.edited.still {
        screen.hanging("  still open: ", still)?;
    }
    for Shut { block, addresses, until, ports: some, .. } in &outlook.refusing {
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        let whom =
            if addresses.is_all() { "any".into() } else { shortened(&addresses.to_string()) };
        let at = at(some, ports);
        screen
            .hanging("  but not: ", &format!("{whom}{at}, refused by [[block]] {block}{until}"))?;
    }
    shut(screen, outlook, ports)?;
    in_force(screen, outlook, fate)?;
    violations(screen, &outlook.violations)?;
    screen.flush()?;
    gap::print(&outlook.gaps, color);
    match fate {
        Fate::Written => next(screen, &shown.edited)?,
        Fate::Unchanged if outlook.force.as_ref().is_some_and(Force::is_behind) => {
            next(screen, &shown.edited)?;
        }
        Fate::Unchanged | Fate::Planned => {}
        Fate::Refused => {
            gap::warning("nothing was written", color);
            gap::hint("name others, or change that [[never]] of the inventory", color);
        }
    }
    Ok(screen.flush()?)
}

/// What stands in the inventory now, or would.
fn edit(screen: &mut Screen, shown: &Shown<'_>, fate: Fate) -> Result<()> {
    let edited = &shown.edited;
    let source = shown.wish.source.as_deref().unwrap_or("any");
    let is = if fate == Fate::Written { "is" } else { "would be" };
    for done in &edited.done {
        let path = sanitize(&done.path.display().to_string()).to_string();
        let service = sanitize(&done.service).to_string();
        let what = match done.change {
            Change::Written => format!("service {service} {is} written"),
            Change::Changed => format!("`from` of service {service} {is} changed"),
            Change::Approved => format!(
                "service {service}, only observed so far, {is} approved for this source alone"
            ),
            Change::Unchanged if done.already.is_empty() => {
                format!("service {service} says so already")
            }
            Change::Unchanged => {
                already(screen, done, source)?;
                continue;
            }
            Change::OnlyObserved => {
                format!("service {service} is only observed: the inventory lets nobody in by it")
            }
            Change::TakenOut => {
                let keeps = if fate == Fate::Written { "keeps" } else { "would keep" };
                format!("service {service}, only observed so far, {keeps} its other ports")
            }
            Change::NotLetIn => {
                format!("service {service} lets nobody of {} in anyway", sanitize(source))
            }
            Change::Refused => format!("a [[block]] of {service} {is} written"),
            Change::NotDeclared => "no service lets anybody in there".to_owned(),
        };
        writeln!(screen, "{path}: {what}")?;
    }
    for file in edited.draft.changed() {
        lines(screen, file)?;
    }
    if let Some(until) = edited.done.iter().find_map(|done| done.until) {
        let was = edited.done.iter().find_map(|done| done.was_until);
        let was = match was.map(|was| (was, was.cmp(&until))) {
            Some((was, Ordering::Greater)) => format!(", earlier than so far ({was})"),
            Some((was, Ordering::Less)) => format!(", later than so far ({was})"),
            _ => String::new(),
        };
        writeln!(screen, "  until {until}{was}, when the kernel ends it by itself")?;
    }
    Ok(())
}

/// Which entry lets them in already, where it stands.
fn already(screen: &mut Screen, done: &Done, source: &str) -> Result<()> {
    let mut words = format!("service {} lets {source} in already", done.service);
    let others: Vec<String> = done.already.iter().map(|e| format!("`{}`", e.source)).collect();
    if done.already.iter().any(|entry| entry.source != source) {
        words.push_str(&format!(", by {}", others.join(" and ")));
    }
    if let Some(Entry { file, line, .. }) = done.already.first() {
        writeln!(screen, "{}", sanitize(&format!("{file}:{line}: {words}")))?;
    }
    Ok(())
}

/// The lines that go and those that come.
fn lines(screen: &mut Screen, file: &Changed) -> Result<()> {
    let all = edits(&file.before, &file.after);
    let told = all.iter().filter(|(_, line)| !line.trim().is_empty()).collect::<Vec<_>>();
    for (sign, line) in told.iter().take(MOST_LINES) {
        writeln!(screen, "  {sign} {}", sanitize(line))?;
    }
    if told.len() > MOST_LINES {
        writeln!(screen, "  and {} more lines", told.len() - MOST_LINES)?;
    }
    Ok(())
}

/// Each line that goes (`-`) or comes (`+`), in the file's order.
fn edits<'t>(before: &'t str, after: &'t str) -> Vec<(char, &'t str)> {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let same = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
    let rest = before.len().min(after.len()) - same;
    let ends = before.iter().rev().zip(after.iter().rev()).take(rest);
    let end = ends.take_while(|(a, b)| a == b).count();
    let (old, new) = (&before[same..before.len() - end], &after[same..after.len() - end]);
    let common = common(old, new);
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        let is_old = i < old.len();
        if is_old && j < new.len() && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if is_old && (j == new.len() || common(i + 1, j) >= common(i, j + 1)) {
            found.push(('-', old[i]));
            i += 1;
        } else {
            found.push(('+', new[j]));
            j += 1;
        }
    }
    found
}

/// How many lines the rest of `old` from one line on, and of `new` from another on, have in common in the
/// same order. Of texts that differ in very much it is not asked: then all of one is before the other.
fn common(old: &[&str], new: &[&str]) -> impl Fn(usize, usize) -> u32 {
    let width = new.len() + 1;
    let is_small = (old.len() + 1).saturating_mul(width) <= MOST_COMPARED;
    let mut table = vec![0_u32; if is_small { (old.len() + 1) * width } else { 0 }];
    for i in (0..if is_small { old.len() } else { 0 }).rev() {
        for j in (0..new.len()).rev() {
            table[i * width + j] = match old[i] == new[j] {
                true => table[(i + 1) * width + j + 1] + 1,
                false => table[(i + 1) * width + j].max(table[i * width + j + 1]),
            };
        }
    }
    move |i, j| table.get(i * width + j).copied().unwrap_or_default()
}

/// Sixteen megabytes of counts.
const MOST_COMPARED: usize = 4_000_000;

const MOST_LINES: usize = 12;

/// At which ports, where it is not at all that were asked about.
fn at(ports: &Wanted, asked: &Wanted) -> String {
    if ports.is_same(asked) { String::new() } else { format!(" at {ports}") }
}

fn guests(guests: &[Guest], is_open: bool, asked: &Wanted) -> String {
    if is_open {
        return "everybody whom nothing refuses: `firewall.input` of this host is \"accept\""
            .to_owned();
    }
    if guests.is_empty() {
        return "nobody".to_owned();
    }
    let shown = guests.iter().take(MOST_GUESTS).map(|one| guest(one, asked));
    let shown = shown.collect::<Vec<_>>().join("; ");
    match guests.len().saturating_sub(MOST_GUESTS) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

const MOST_GUESTS: usize = 12;

fn guest(guest: &Guest, asked: &Wanted) -> String {
    let mut words = format!("{} by {}{}", guest.who, guest.by, at(&guest.ports, asked));
    if let Some(limit) = guest.limit {
        words.push_str(&format!(", at most {} in {}", limit.count, duration(limit.per)));
    }
    if let Some(door) = &guest.door {
        words.push_str(&format!(", after knocking at {door}"));
    }
    if let Some(until) = guest.until {
        words.push_str(&format!(", until {until}"));
    }
    words
}

/// What refuses them all the same.
fn shut(screen: &mut Screen, outlook: &Outlook, asked: &Wanted) -> Result<()> {
    for Shut { block, addresses, is_whole, until, ports } in &outlook.shut {
        let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
        let some = if *is_whole { "" } else { " of them" };
        let whom = shortened(&addresses.to_string());
        // One without a reason is called so.
        let which = match &**block {
            "block" => "a [[block]]".to_owned(),
            reason => format!("a [[block]] (reason: {})", sanitize(reason)),
        };
        let text = format!("{which} refuses {whom}{some}{}{until}", at(ports, asked));
        screen.hanging(STILL_SHUT, &text)?;
    }
    for Elsewhere { callers: source, place, ports, .. } in &outlook.refused {
        let place = place.as_ref().map_or_else(|| "another table".to_owned(), ToString::to_string);
        let at = at(ports, asked);
        let text = format!("{source} is refused{at} by {place}, which no rule of ours can open");
        screen.hanging(STILL_SHUT, &text)?;
    }
    Ok(())
}

const STILL_SHUT: &str = "  still shut: ";

fn violations(screen: &mut Screen, rows: &[Violation]) -> Result<()> {
    for row in rows {
        let whom = shortened(&row.sources.to_string());
        let text = format!("{whom} let in by {}: [[never]] {}", row.pass, row.never);
        screen.hanging("  must never be: ", &text)?;
    }
    Ok(())
}

/// The first few of a list of addresses.
fn shortened(addresses: &str) -> String {
    let all: Vec<&str> = addresses.split(", ").collect();
    match all.len() {
        0..=4 => addresses.to_owned(),
        many => format!("{} and {} more", all[..3].join(", "), many - 3),
    }
}

/// What of it the firewall does, which is not the file.
fn in_force(screen: &mut Screen, outlook: &Outlook, fate: Fate) -> Result<()> {
    let Some(force) = outlook.force.as_ref().filter(|_| fate != Fate::Refused) else {
        return Ok(());
    };
    let words = match force {
        Force::Now => "this: the firewall that is loaded is what the inventory says".to_owned(),
        Force::Changed(how) => {
            format!(
                "not quite this: the firewall was changed since it was loaded: {}",
                sanitize(how)
            )
        }
        Force::Before => "what was before: the firewall that is loaded".to_owned(),
        Force::Other => "another firewall than the inventory says, loaded earlier".to_owned(),
        Force::Nothing => {
            "nothing of it: no firewall of portolan is loaded on this machine".to_owned()
        }
    };
    screen.hanging("  in force: ", &words)
}

/// Says what makes it so.
fn next(screen: &mut Screen, edited: &Edited) -> Result<()> {
    let path = sanitize(&edited.draft.root.display().to_string()).to_string();
    let next = screen.style.paint(Role::Hint, "Next:").to_string();
    writeln!(screen, "{next} sudo portolan firewall apply --inventory {path}")?;
    Ok(())
}

/// The same as one document.
pub(crate) fn json(screen: &mut Screen, shown: &Shown<'_>, fate: Fate) -> Result<()> {
    let outlook = shown.outlook;
    let changes: Vec<ChangeJson<'_>> = shown.edited.done.iter().map(ChangeJson::from).collect();
    let first = changes.iter().find(|one| one.change != "unchanged").or(changes.first());
    let one = shown.wish.ports.one();
    let body = Body {
        host: &shown.edited.host,
        port: one.map(|(port, _)| port.0),
        transport: one.map(|(_, transport)| transport.as_str()),
        ports: texts(&shown.wish.ports),
        file: first.map(|first| first.file.clone()).unwrap_or_default(),
        service: first.and_then(|first| first.service),
        change: first.map_or("unchanged", |first| first.change),
        outcome: match fate {
            Fate::Written => "written",
            Fate::Unchanged => "unchanged",
            Fate::Planned => "planned",
            Fate::Refused => "refused",
        },
        until: shown.edited.done.iter().find_map(|done| done.until).map(|day| day.to_string()),
        still: &shown.edited.still,
        in_force: outlook.force.as_ref().map(|force| match force {
            Force::Now => "now",
            Force::Changed(_) => "changed",
            Force::Before => "before",
            Force::Other => "other",
            Force::Nothing => "nothing",
        }),
        is_open: outlook.is_open,
        before: outlook.before.iter().map(GuestJson::from).collect(),
        after: outlook.after.iter().map(GuestJson::from).collect(),
        violations: outlook.violations.iter().map(NeverJson::from).collect(),
        blocks: outlook.shut.iter().chain(&outlook.refusing).map(BlockJson::from).collect(),
        refused_by: outlook
            .refused
            .iter()
            .map(|refused| RefusedJson {
                source: refused.example.to_string(),
                callers: &refused.callers,
                by: refused.place.as_ref().map(PlaceJson::from),
                ports: texts(&refused.ports),
            })
            .collect(),
        changes,
    };
    screen.json(&Document::new("firewall-edit", body, &outlook.gaps))?;
    Ok(screen.flush()?)
}

fn texts(ports: &Wanted) -> Vec<String> {
    ports.items().iter().map(ToString::to_string).collect()
}

#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    /// The port, where it is a single one of one transport.
    port: Option<u16>,
    transport: Option<&'static str>,
    /// All of them, as the inventory writes them.
    ports: Vec<String>,
    /// Of the first of `changes` that changes something.
    file: String,
    service: Option<&'a str>,
    change: &'static str,
    /// Whether it stands there: `written`, `unchanged` where there was nothing to write,
    /// `planned`, `refused`.
    outcome: &'static str,
    until: Option<String>,
    /// What lets the denied in all the same.
    still: &'a [String],
    /// What of it is loaded: `now` all of it, `changed` that with somebody's changes, `before` what was
    /// before the edit, `other`, `nothing`; `null` where that is not to be seen, or of another host.
    in_force: Option<&'static str>,
    /// Whether this host lets in whatever nothing refuses.
    is_open: bool,
    /// Who gets in to the port as the inventory was.
    before: Vec<GuestJson<'a>>,
    /// Who gets in as it is then.
    after: Vec<GuestJson<'a>>,
    /// What a `[[never]]` forbids of it.
    violations: Vec<NeverJson<'a>>,
    /// Blocks that refuse some of them all the same, or that the change adds.
    blocks: Vec<BlockJson<'a>>,
    /// Rules of other tools that refuse some of them all the same.
    refused_by: Vec<RefusedJson<'a>>,
    /// What becomes of each service.
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    file: String,
    service: Option<&'a str>,
    change: &'static str,
    /// The entries of `from` that let the source in already.
    already: Vec<EntryJson<'a>>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    source: &'a str,
    file: &'a str,
    line: usize,
}

impl<'a> From<&'a Entry> for EntryJson<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self { source: &entry.source, file: &entry.file, line: entry.line }
    }
}

impl<'a> From<&'a Done> for ChangeJson<'a> {
    fn from(done: &'a Done) -> Self {
        let change = match done.change {
            Change::Written => "written",
            Change::Changed => "changed",
            Change::Approved => "approved",
            Change::Unchanged | Change::NotLetIn => "unchanged",
            Change::OnlyObserved => "observed",
            Change::TakenOut => "taken-out",
            Change::Refused => "refused",
            Change::NotDeclared => "not-declared",
        };
        let service = Some(done.service.as_str()).filter(|name| !name.is_empty());
        let already = done.already.iter().map(EntryJson::from).collect();
        Self { file: done.path.display().to_string(), service, change, already }
    }
}

#[derive(Serialize)]
struct GuestJson<'a> {
    source: &'a str,
    by: &'a str,
    limit: Option<String>,
    door: Option<&'a str>,
    until: Option<String>,
    /// Of the ports asked about these.
    ports: Vec<String>,
}

impl<'a> From<&'a Guest> for GuestJson<'a> {
    fn from(guest: &'a Guest) -> Self {
        Self {
            source: &guest.who,
            by: &guest.by,
            limit: guest.limit.map(|l| format!("{}/{}", l.count, duration(l.per))),
            door: guest.door.as_deref(),
            until: guest.until.map(|until| until.to_string()),
            ports: texts(&guest.ports),
        }
    }
}

#[derive(Serialize)]
struct NeverJson<'a> {
    never: &'a str,
    by: &'a str,
    sources: String,
}

impl<'a> From<&'a Violation> for NeverJson<'a> {
    fn from(row: &'a Violation) -> Self {
        Self { never: &row.never, by: &row.pass, sources: row.sources.to_string() }
    }
}

#[derive(Serialize)]
struct BlockJson<'a> {
    block: &'a str,
    sources: String,
    /// Whether these are all whom the change lets in; everybody for a block that it adds.
    whole: bool,
    until: Option<String>,
    ports: Vec<String>,
}

impl<'a> From<&'a Shut> for BlockJson<'a> {
    fn from(row: &'a Shut) -> Self {
        Self {
            block: &row.block,
            sources: row.addresses.to_string(),
            whole: row.is_whole,
            until: row.until.map(|until| until.to_string()),
            ports: texts(&row.ports),
        }
    }
}

#[derive(Serialize)]
struct RefusedJson<'a> {
    /// One of them.
    source: String,
    /// All of the callers that were asked about: a network, a range, `IPv4`, `IPv6`.
    callers: &'a str,
    by: Option<PlaceJson>,
    ports: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::edits;

    #[test]
    fn only_the_lines_that_changed_are_told() {
        let found = edits("a\nb\nc\nd\n", "a\nB\nc\nd\nb\ne\n");
        assert_eq!(found, [('-', "b"), ('+', "B"), ('+', "b"), ('+', "e")]);
        assert_eq!(edits("a\nb\nc\n", "a\nc\n"), [('-', "b")]);
        assert_eq!(edits("", "a\n"), [('+', "a")]);
        assert_eq!(edits("a\n", "a\n"), []);
    }
}
