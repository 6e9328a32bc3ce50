//! Why something exists and who answers for it: owners, approvals, reviews, links.

use jiff::civil::Date;
use portolan_core::inventory::{Approval, Documentation, Owner, Word};
use serde::Serialize;

use super::anchor;
use crate::ops::inventory::export::{Due, Export};
use crate::render::inventory::export::words;

/// Why something exists and who answers for it.
#[derive(Debug, Default, Serialize)]
pub(super) struct DocsView {
    purpose: String,
    security: String,
    owner: Option<OwnerView>,
    criticality: Option<&'static str>,
    approved: Option<ApprovalView>,
    review: Option<DueView>,
    links: Vec<Link>,
    tags: Vec<String>,
}

impl DocsView {
    pub(super) fn of(export: &Export<'_>, docs: Option<&Documentation>) -> Self {
        let Some(docs) = docs else { return Self::default() };
        Self {
            purpose: words::purpose(docs).to_owned(),
            security: docs.security.clone().unwrap_or_default(),
            owner: export.owner(docs).map(OwnerView::of),
            criticality: docs.criticality.map(Word::word),
            approved: docs.approved.as_ref().map(|a| ApprovalView::of(export, docs, a)),
            review: DueView::of(export.review(docs)),
            links: links(&docs.links),
            tags: docs.tags.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct ApprovalView {
    by: String,
    on: Option<String>,
    ticket: Option<String>,
    until: Option<DueView>,
}

impl ApprovalView {
    fn of(export: &Export<'_>, docs: &Documentation, approval: &Approval) -> Self {
        Self {
            by: approval.by.clone().unwrap_or_else(|| "somebody".to_owned()),
            on: approval.on.map(|day| day.to_string()),
            ticket: approval.ticket.clone(),
            until: DueView::of(export.approval_end(docs)),
        }
    }
}

/// A day, and how it stands to today.
#[derive(Debug, Serialize)]
pub(super) struct DueView {
    day: String,
    state: &'static str,
}

impl DueView {
    pub(super) fn of(due: Due) -> Option<Self> {
        let (day, state): (Date, _) = match due {
            Due::Undated => return None,
            Due::Past(day) => (day, "past"),
            Due::Soon(day) => (day, "soon"),
            Due::Later(day) => (day, "later"),
        };
        Some(Self { day: day.to_string(), state })
    }
}

#[derive(Debug, Serialize)]
pub(super) struct OwnerView {
    anchor: String,
    id: String,
    name: String,
    contact: Option<Link>,
    on_call: Option<String>,
}

impl OwnerView {
    pub(super) fn of(owner: &Owner) -> Self {
        Self {
            anchor: anchor("owner", &owner.id),
            id: owner.id.clone(),
            name: owner.name.clone().unwrap_or_else(|| owner.id.clone()),
            contact: owner.contact.as_deref().map(Link::of),
            on_call: owner.on_call.clone(),
        }
    }
}

/// A text, and where it leads if it may be followed.
#[derive(Debug, Serialize)]
pub(super) struct Link {
    text: String,
    href: Option<String>,
}

impl Link {
    pub(super) fn of(raw: &str) -> Self {
        let href = words::followable(raw).map(str::to_owned);
        let shown = match &href {
            Some(_) => raw.trim_start_matches("https://").trim_start_matches("mailto:"),
            None => raw,
        };
        Self { text: shown.to_owned(), href }
    }
}

pub(super) fn links(links: &[String]) -> Vec<Link> {
    links.iter().map(|link| Link::of(link)).collect()
}
