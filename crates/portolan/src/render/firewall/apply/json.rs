//! The plan of an apply and what came of it, as one document.

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Result;
use portolan_core::firewall::Tuple;
use serde::Serialize;

use super::cut::protocol;
use super::life::{self, MissingJson};
use super::multicast::{self, GroupJson, QueriesJson};
use super::{End, words};
use crate::ops::firewall::change::{self, Plan};
use crate::ops::firewall::cut::{Cut, Narrowed};
use crate::ops::firewall::judge::Verdict;
use crate::ops::firewall::outsiders::{Nobody, NobodyWhy};
use crate::ops::firewall::precheck::{self, Access, Violation, Who};
use crate::render::firewall::cut_off::{self, CutOffJson};
use crate::render::firewall::fill_levels::{self, FillLevelJson};
use crate::render::firewall::left::LeftJson;
use crate::render::firewall::place::PlaceJson;
use crate::render::firewall::status::duration;
use crate::render::inventory::ended::{self, EndedJson};
use crate::render::json::Document;
use crate::render::screen::Screen;

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
        narrowed: found.narrowed.iter().map(NarrowedJson::from).collect(),
        groups: multicast::groups(&found.multicast),
        queries: multicast::queries(&found.multicast),
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
    /// Listeners that fewer reach than today.
    narrowed: Vec<NarrowedJson<'a>>,
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
            lacks: row.lacks.map(life::word),
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
struct NarrowedJson<'a> {
    address: String,
    port: u16,
    transport: &'static str,
    processes: Vec<String>,
    /// Who reaches it then, by their names in the inventory; none: whoever knocks first.
    to: Vec<&'a str>,
    /// Who reaches it today and does no longer.
    lost: Vec<String>,
    /// Whether that is everybody else.
    everybody: bool,
}

impl<'a> From<&'a Narrowed> for NarrowedJson<'a> {
    fn from(row: &'a Narrowed) -> Self {
        let lost = [false, true].into_iter().flat_map(|is_v6| row.lost.prefixes(is_v6));
        Self {
            address: row.bound.address.to_string(),
            port: row.bound.port.0,
            transport: row.transport.as_str(),
            processes: row.owners.iter().map(|p| p.name.to_string()).collect(),
            to: row.to.iter().map(|name| &**name).collect(),
            lost: lost.map(|network| network.to_string()).collect(),
            everybody: row.is_everybody,
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
        let end = |address: IpAddr, port| EndJson { address: address.to_string(), port };
        Self {
            protocol: protocol(tuple.protocol),
            source: end(tuple.source, tuple.source_port),
            destination: end(tuple.destination, tuple.destination_port),
        }
    }
}
