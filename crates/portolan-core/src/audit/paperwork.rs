//! What the file itself owes: P112, reviews and approvals, and P117, what `init` left to do.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::inventory::{Declared, Documentation, End, Host, Location, Review, Service, Status};
use crate::net::Severity;

use super::case::{Case, Words};
use super::{Rule, Subject};

/// Speaks for every entry of this host, its forwards and doors, and the host itself.
pub(super) fn judge(case: &mut Case<'_>) {
    let mut undated = Vec::new();
    for declared in case.claims.declared.clone() {
        let Some((docs, item)) = documented(declared) else { continue };
        if !matches!(declared, Declared::Service(s) if s.status == Status::Retired) {
            if is_undated(docs) {
                undated.push(item.shown.clone());
            }
            overdue(case, docs, &item);
        }
        left_to_do(case, docs, &item);
    }
    host_to_do(case, case.scene.host);
    case.notes.extend(never_reviewed(&undated));
}

/// An entry with papers: how it is named, and where it stands.
struct Item<'a> {
    shown: String,
    service: Option<&'a Service>,
    at: &'a Location,
}

impl Item<'_> {
    fn subject(&self) -> Subject {
        Subject::Name(self.shown.clone())
    }

    fn service_name(&self) -> Option<&str> {
        self.service.map(|s| s.name.as_str())
    }

    /// The path `inventory set` takes.
    fn path(&self) -> String {
        match self.shown.split_once(' ') {
            Some((kind, name)) => format!("{kind}s.{name}"),
            None => format!("services.{}", self.shown),
        }
    }
}

fn documented(declared: Declared<'_>) -> Option<(&Documentation, Item<'_>)> {
    Some(match declared {
        Declared::Service(s) => {
            (&s.docs, Item { shown: s.name.clone(), service: Some(s), at: &s.at })
        }
        Declared::Forward(f) => {
            (&f.docs, Item { shown: format!("forward {}", f.name), service: None, at: &f.at })
        }
        Declared::Door(d) => {
            (&d.docs, Item { shown: format!("door {}", d.name), service: None, at: &d.at })
        }
        Declared::Pool(_) => return None,
    })
}

/// Whether no date says when it is to be looked at again.
fn is_undated(docs: &Documentation) -> bool {
    let approved_on = docs.approved.as_ref().and_then(|a| a.on);
    let review_date = docs.review.as_ref().is_some_and(|r| matches!(r.value, Review::On(_)));
    approved_on.is_none() && !review_date
}

fn never_reviewed(undated: &[String]) -> Option<String> {
    let count = undated.len();
    let verb = if count == 1 { "entry has" } else { "entries have" };
    (count > 0).then(|| {
        format!("{count} {verb} neither a review date nor approved.on, so no review is ever due")
    })
}

fn overdue<'a>(case: &mut Case<'a>, docs: &'a Documentation, item: &Item<'a>) {
    let today = case.scene.today();
    let warn = case.scene.inventory.review.map_or(DEFAULT_WARNING, |rule| rule.warn);
    let mut told: Vec<(Severity, String, &Location)> = Vec::new();
    if let Some(due) = docs.review_due(case.scene.inventory.review.as_ref()) {
        let at = docs.review.as_ref().map_or(item.at, |review| &review.at);
        let told_so = at_time(today, due, warn, ("review was due on", "review is due on"));
        told.extend(
            told_so
                .map(|(late, text)| (if late { Severity::Low } else { Severity::Note }, text, at)),
        );
    }
    if let Some(until) = docs.approved.as_ref().and_then(|a| a.until.as_ref()) {
        let told_so = match near(until.value, case.scene.now) {
            Some(told) => Some(told),
            None => {
                at_time(today, until.value.day(), warn, ("approval ended on", "approval ends on"))
            }
        };
        let severity = |late| if late { Severity::Medium } else { Severity::Note };
        told.extend(told_so.map(|(late, text)| (severity(late), text, &until.at)));
    }
    told.sort_by_key(|(severity, ..)| std::cmp::Reverse(*severity));
    let Some((severity, _, at)) = told.first() else { return };
    let texts: Vec<&str> = told.iter().map(|(_, text, _)| text.as_str()).collect();
    let path = item.path();
    let remedy = match has_ended(docs, case.scene.now) {
        true => format!(
            "nobody is let in by it any more: delete [{path}] from the file, or approve it again: \
             portolan inventory set {path}.approved '{{ by = \"…\", on = {today} }}'"
        ),
        false => format!(
            "look at it again, then: portolan inventory set {path}.approved '{{ by = \"…\", on = {today} }}'"
        ),
    };
    let words = Words {
        message: format!("{}: {}", item.shown, texts.join("; ")),
        evidence: approval(docs),
        remedy,
        at,
        sockets: Vec::new(),
    };
    let (severity, subject) = (*severity, item.subject());
    case.find(Rule::P112, severity, subject, item.service_name(), words);
}

/// Whether it was approved until a time that is over.
fn has_ended(docs: &Documentation, now: Timestamp) -> bool {
    let until = docs.approved.as_ref().and_then(|approved| approved.until.as_ref());
    until.is_some_and(|until| until.value.is_over(now))
}

/// The end of an approval to the moment, where that is near: in hours and minutes.
fn near(end: End, now: Timestamp) -> Option<(bool, String)> {
    let End::Moment(moment) = end else { return None };
    let left = moment.duration_since(now);
    if left.abs() >= NEAR {
        return None;
    }
    let minutes = left.abs().as_secs() / 60;
    let words = match (minutes / 60, minutes % 60) {
        (0, 0) => "less than a minute".to_owned(),
        (0, minutes) => format!("{minutes}m"),
        (hours, 0) => format!("{hours}h"),
        (hours, minutes) => format!("{hours}h {minutes}m"),
    };
    Some(match end.is_over(now) {
        true => (true, format!("approval ended {words} ago ({end}): it is closed")),
        false => (false, format!("approval ends in {words} ({end})")),
    })
}

/// Nearer than this, hours are told.
const NEAR: SignedDuration = SignedDuration::from_hours(48);

/// Whether a day has come, or will within `warn`, in words.
fn at_time(
    today: Date,
    day: Date,
    warn: SignedDuration,
    (late, soon): (&str, &str),
) -> Option<(bool, String)> {
    // The day itself still counts.
    if day < today {
        return Some((true, format!("{late} {day}")));
    }
    let warned_from = day.checked_sub(warn.as_hours().div_euclid(24).days()).unwrap_or(day);
    (warned_from <= today).then(|| (false, format!("{soon} {day}")))
}

fn approval(docs: &Documentation) -> Vec<String> {
    let Some(approved) = &docs.approved else { return vec!["never approved".to_owned()] };
    let by = approved.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let on = approved.on.map(|on| format!(" on {on}")).unwrap_or_default();
    let ticket = approved.ticket.as_deref().map(|t| format!(" ({t})")).unwrap_or_default();
    vec![format!("approved{by}{on}{ticket}")]
}

/// P117, one for each entry: found by `init` and not approved, or with a TODO in it.
fn left_to_do<'a>(case: &mut Case<'a>, docs: &Documentation, item: &Item<'a>) {
    let observed = item.service.is_some_and(|s| s.status == Status::Observed);
    let todo = todo_fields(docs);
    let mut texts = Vec::new();
    if observed {
        texts.push("was found by init and is not approved yet".to_owned());
    }
    if !todo.is_empty() {
        texts.push(format!("still says TODO in {}", todo.join(", ")));
    }
    let remedy = if observed {
        format!(
            "describe it, then approve it: portolan inventory set {}.status active",
            item.path()
        )
    } else {
        format!("portolan inventory set {}.{} '…'", item.path(), todo.first().unwrap_or(&"purpose"))
    };
    to_do(case, item.subject(), item.service_name(), &texts, (remedy, item.at));
}

fn host_to_do<'a>(case: &mut Case<'a>, host: &'a Host) {
    let docs = [
        ("purpose", host.purpose.as_deref()),
        ("owner", host.owner.as_ref().map(|o| o.value.as_str())),
    ];
    let Some((field, _)) = docs.iter().find(|(_, text)| text.is_some_and(is_todo)) else { return };
    let remedy = format!("portolan inventory set hosts.{}.{field} '…'", host.name);
    let subject = Subject::Name(format!("host {}", host.name));
    to_do(case, subject, None, &[format!("still says TODO in {field}")], (remedy, &host.at));
}

fn to_do<'a>(
    case: &mut Case<'a>,
    subject: Subject,
    service: Option<&str>,
    texts: &[String],
    (remedy, at): (String, &'a Location),
) {
    if texts.is_empty() {
        return;
    }
    let message = format!("{subject} {}", texts.join("; it "));
    let words = Words { message, evidence: Vec::new(), remedy, at, sockets: Vec::new() };
    case.find(Rule::P117, Severity::Note, subject, service, words);
}

fn todo_fields(docs: &Documentation) -> Vec<&'static str> {
    let text = |located: &Option<crate::inventory::Located<String>>| {
        located.as_ref().is_some_and(|l| is_todo(&l.value))
    };
    let fields = [
        ("purpose", text(&docs.purpose)),
        ("owner", text(&docs.owner)),
        ("security", docs.security.as_deref().is_some_and(is_todo)),
    ];
    fields.into_iter().filter(|(_, todo)| *todo).map(|(name, _)| name).collect()
}

/// The word on its own, so that a todo list may be somebody's purpose.
fn is_todo(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| word == "TODO")
}

/// How long before its day a review is announced where `review.warn` is not said.
const DEFAULT_WARNING: SignedDuration = SignedDuration::from_hours(14 * 24);
