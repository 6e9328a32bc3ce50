//! Tables for a README or a wiki, as GitHub's Markdown has them.
//!
//! Every text of the inventory is escaped: a purpose may hold `|`, backticks and HTML. No date of
//! today stands in it, so that a page kept beside its inventory changes only with it.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use portolan_core::inventory::{
    Block, Door, Forward, Host, Ignore, Network, Never, Owner, Pool, Status, Word as _, duration,
};

use crate::ops::inventory::export::{Entry, Export};
use crate::render::inventory::export::words;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the page.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    screen.write_all(page(export).as_bytes())?;
    Ok(screen.flush()?)
}

fn page(export: &Export<'_>) -> String {
    let title = export.inventory.title.as_deref().unwrap_or("Ports");
    let mut page = Page(format!("# {}\n\n{}\n", text(title), summary(export)));
    page.heading("Who may reach what");
    for entries in export.by_host() {
        host(&mut page, export, entries);
    }
    page.table(
        "Forwards",
        &["Name", "On", "Takes", "Hands to", "How", "From", "Purpose"],
        forwards(export),
    );
    page.table("Doors", &["Name", "On", "Knock", "Open for", "From", "Purpose"], doors(export));
    page.table("Pools", &["Name", "On", "Numbers", "For", "Lease", "Purpose"], pools(export));
    page.table("Never reachable", &["What", "From", "Why"], never(export));
    page.table("Blocked", &["Who", "Until", "Why"], blocks(export));
    page.table("Accepted findings", &["On", "What", "Why", "Until"], ignores(export));
    page.table("Networks", &["Name", "Addresses"], networks(export));
    page.table("Owners", &["Key", "Name", "Contact", "On call"], owners(export));
    page.table("The base every host has", &["Name", "Hosts", "What", "With", "Why"], base(export));
    page.0
}

/// A page in the making.
struct Page(String);

impl Page {
    fn heading(&mut self, heading: &str) {
        let _ = write!(self.0, "\n## {heading}\n");
    }

    /// A section with a table; nothing where there is no row. The cells are escaped already.
    fn table(&mut self, heading: &str, columns: &[&str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.heading(heading);
            self.rows(columns, rows);
        }
    }

    fn rows(&mut self, columns: &[&str], rows: Vec<Vec<String>>) {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        self.0.push('\n');
        self.0.push_str(&line(columns.iter().map(|c| (*c).to_owned()).collect()));
        self.0.push_str(&line(columns.iter().map(|_| "---".to_owned()).collect()));
        for row in rows {
            self.0.push_str(&line(row));
        }
    }
}

fn summary(export: &Export<'_>) -> String {
    let counts = export.counts();
    let mut parts = vec![format!("{} active", counts.active)];
    let others =
        [(counts.planned, "planned"), (counts.retired, "retired"), (counts.observed, "observed")];
    parts.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")));
    format!("{} hosts, {} services: {}.", counts.hosts, counts.services, parts.join(", "))
}

fn host(page: &mut Page, export: &Export<'_>, entries: &[Entry<'_>]) {
    let host = entries[0].host;
    let _ = write!(page.0, "\n### {}\n\n{}\n", text(&host.name), about(host));
    let rows = entries.iter().map(|entry| row(export, entry)).collect();
    page.rows(&["Port", "Name", "From", "Purpose", "Owner", "Security"], rows);
}

fn about(host: &Host) -> String {
    let mut parts: Vec<String> = host.purpose.iter().map(|purpose| text(purpose)).collect();
    parts.push(joined(&words::texts(&host.address)));
    parts.extend(host.owner.iter().map(|owner| format!("owner {}", text(&owner.value))));
    parts.extend(host.links.iter().map(|url| link(url)));
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

fn row(export: &Export<'_>, entry: &Entry<'_>) -> Vec<String> {
    let docs = entry.subject.docs();
    let mut purpose: Vec<String> = docs.map(words::purpose).map(text).into_iter().collect();
    purpose.extend(docs.iter().flat_map(|d| &d.links).map(|url| link(url)));
    vec![
        words::ports(entry),
        name(entry),
        text(&words::from_line(export, entry)),
        purpose.join(" "),
        text(docs.and_then(|d| d.owner.as_ref()).map_or("", |owner| &owner.value)),
        text(docs.and_then(|d| d.security.as_deref()).unwrap_or_default()),
    ]
}

fn name(entry: &Entry<'_>) -> String {
    let name = text(entry.subject.name());
    match entry.subject.status() {
        Some(Status::Active) => name,
        Some(status) => format!("{name} (*{}*)", status.word()),
        None => format!("{name} (*{}*)", entry.subject.kind()),
    }
}

fn forwards(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |f: &Forward| {
        vec![
            text(&f.name),
            joined(&words::selectors(&f.on)),
            text(&f.listen.value.to_string()),
            text(&f.to.value.to_string()),
            words::via(f),
            text(&words::sources_line(export, &f.from, "this machine")),
            text(words::purpose(&f.docs)),
        ]
    };
    export.inventory.forwards.iter().map(row).collect()
}

fn doors(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |d: &Door| {
        vec![
            text(&d.name),
            joined(&words::selectors(&d.on)),
            text(&words::knock(&d.method)),
            d.open.map(duration).unwrap_or_default(),
            text(&words::sources_line(export, &d.from, "anybody")),
            text(words::purpose(&d.docs)),
        ]
    };
    export.inventory.doors.iter().map(row).collect()
}

fn pools(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |p: &Pool| {
        vec![
            text(&p.name),
            joined(&words::selectors(&p.on)),
            p.range.to_string(),
            text(&words::sources_line(export, &p.from, "this machine")),
            p.default_ttl.map(duration).unwrap_or_default(),
            text(p.purpose.as_deref().unwrap_or_default()),
        ]
    };
    export.inventory.pools.iter().map(row).collect()
}

fn never(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |n: &Never| {
        vec![
            text(&words::never_what(n)),
            text(&words::sources_line(export, &n.from, "anybody")),
            text(n.reason.as_deref().unwrap_or_default()),
        ]
    };
    export.inventory.never.iter().map(row).collect()
}

fn blocks(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |b: &Block| {
        vec![
            text(&words::sources_line(export, &b.from, "")),
            b.until.map(|day| day.to_string()).unwrap_or_default(),
            text(b.reason.as_deref().unwrap_or_default()),
        ]
    };
    export.inventory.blocks.iter().map(row).collect()
}

fn ignores(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |i: &Ignore| {
        vec![
            text(&words::ignore_on(i)),
            text(&words::ignore_what(i)),
            text(&i.reason),
            i.until.as_ref().map(|day| day.value.to_string()).unwrap_or_default(),
        ]
    };
    export.inventory.ignores.iter().map(row).collect()
}

fn networks(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |n: &Network| vec![text(&n.name), text(&words::extent(&n.extent))];
    export.inventory.networks.iter().map(row).collect()
}

fn owners(export: &Export<'_>) -> Vec<Vec<String>> {
    let optional = |value: &Option<String>| text(value.as_deref().unwrap_or_default());
    let row = |o: &Owner| {
        let contact = o.contact.as_deref().map(link).unwrap_or_default();
        vec![text(&o.id), optional(&o.name), contact, optional(&o.on_call)]
    };
    export.inventory.owners.iter().map(row).collect()
}

fn base(export: &Export<'_>) -> Vec<Vec<String>> {
    let row = |row: words::BaseLine<'_>| {
        vec![
            row.base.name.to_owned(),
            text(&row.hosts),
            format!("{}: {}", row.base.direction.as_str(), words::base_traffic(row.base.traffic)),
            row.base.peers.as_str().to_owned(),
            text(row.base.why),
        ]
    };
    words::base_lines(export).into_iter().map(row).collect()
}

fn joined(values: &[String]) -> String {
    text(&values.join(", "))
}

/// `url` to follow, or as text where it is not of a kind to follow.
fn link(url: &str) -> String {
    let shown = text(url.trim_start_matches("mailto:"));
    match words::followable(url) {
        Some(url) => format!("[{shown}](<{url}>)"),
        None => text(url),
    }
}

/// A text of the inventory that says in Markdown what it says.
///
/// A backslash before ASCII punctuation is that character (CommonMark §2.4); angle brackets and
/// ampersands become entities, which no renderer takes for HTML.
fn text(raw: &str) -> String {
    let mut escaped = String::with_capacity(raw.len());
    let clean = sanitize(raw);
    // What would begin a list or underline a heading: `- a`, `1. a`, `===`.
    let digits = clean.bytes().take_while(u8::is_ascii_digit).count();
    let numbers_a_list = digits > 0 && clean[digits..].chars().nth(1).is_none_or(|c| c == ' ');
    for (place, c) in clean.char_indices() {
        match c {
            '-' | '+' | '=' if place == 0 => escaped.extend(['\\', c]),
            '.' | ')' if place == digits && numbers_a_list => escaped.extend(['\\', c]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '$' | '!' => {
                escaped.extend(['\\', c]);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_leave_its_cell_or_become_html() {
        assert_eq!(text("a|b\n`c`"), r"a\|b\\nc".replace('c', r"\`c\`"));
        assert_eq!(text("<script>"), "&lt;script&gt;");
        assert_eq!(text("![x](y)"), r"\!\[x\](y)");
    }

    #[test]
    fn a_text_at_the_start_of_a_line_begins_no_list_and_no_heading() {
        assert_eq!(text("- a"), r"\- a");
        assert_eq!(text("1. a - b"), r"1\. a - b");
        assert_eq!(text("==="), r"\===");
        assert_eq!(text("192.0.2.1"), "192.0.2.1");
    }

    #[test]
    fn what_may_not_be_followed_is_text() {
        assert_eq!(link("https://e.org/a_b"), r"[https://e.org/a\_b](<https://e.org/a_b>)");
        assert_eq!(link("https://e.org/a|b>c"), r"https://e.org/a\|b&gt;c");
        assert_eq!(link("javascript:alert(1)"), "javascript:alert(1)");
    }
}
