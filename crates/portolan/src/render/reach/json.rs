//! The answers as one JSON document.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Prefix;
use portolan_core::reach::{Around, Fix, Group, Reached, Taker, Translated, Whence};
use portolan_core::socket::SocketTable;
use serde::Serialize;

use super::{fix, words};
use crate::ops::behind::Behind;
use crate::ops::reach::inside::Inside;
use crate::ops::reach::{Report, Row};
use crate::render::firewall::place::PlaceJson;
use crate::render::json::Document;
use crate::render::owner::{CommandLines, OwnerJson, owners_json};
use crate::render::screen::Screen;

/// Prints them.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let table = report.table.as_ref();
    let body = Body {
        answer: report.answer().as_str(),
        bypass: report.rows.iter().find_map(bypass),
        from: &report.from,
        ports: report.rows.iter().map(|row| PortJson::new(row, table, &report.inside)).collect(),
    };
    screen.json(&Document::new("reach", body, &report.gaps))?;
    Ok(screen.flush()?)
}

fn bypass(row: &Row) -> Option<&'static str> {
    row.reach.around()?.around.as_ref().map(|around| around.kind.as_str())
}

#[derive(Serialize)]
struct Body<'a> {
    /// The best that anybody asked about gets at any port; without `from`, anybody else.
    answer: &'static str,
    /// `docker-dnat` and the like where a port is reached around the input rules.
    bypass: Option<&'static str>,
    from: &'a [String],
    ports: Vec<PortJson<'a>>,
}

#[derive(Serialize)]
struct PortJson<'a> {
    port: u16,
    transport: &'static str,
    service: Option<&'a str>,
    /// The port that was asked about, where traffic for this one ends up there.
    leads_to: Option<u16>,
    bound: Vec<String>,
    owners: Vec<OwnerJson<'a>>,
    /// The program that holds the port for a container.
    stand_in: Option<&'static str>,
    reach: Vec<ReachJson<'a>>,
    bypass: Option<&'static str>,
    fixes: Vec<FixJson>,
}

impl<'a> PortJson<'a> {
    fn new(row: &'a Row, table: Option<&'a SocketTable>, inside: &Inside) -> Self {
        let held: Vec<_> = table
            .into_iter()
            .flat_map(|table| row.sockets.iter().filter_map(|place| table.sockets.get(*place)))
            .collect();
        Self {
            port: row.reach.port.0,
            transport: row.reach.transport.as_str(),
            service: row.service.as_deref(),
            leads_to: row.leads_to.map(|port| port.0),
            bound: held
                .iter()
                .filter_map(|held| Some(held.socket.local_endpoint()?.address.to_string()))
                .collect(),
            owners: table
                .map(|t| {
                    held.iter().flat_map(|h| owners_json(t, h, CommandLines::Hidden)).collect()
                })
                .unwrap_or_default(),
            stand_in: match &row.stand_in {
                Some(Behind::Published { by, .. }) => Some(by.program),
                _ => None,
            },
            reach: row
                .reach
                .sources
                .iter()
                .map(|reached| {
                    ReachJson::new(reached, |group| inside.listens(group, row.reach.transport))
                })
                .collect(),
            bypass: bypass(row),
            fixes: row.fixes.iter().map(FixJson::from).collect(),
        }
    }
}

#[derive(Serialize)]
struct ReachJson<'a> {
    source: &'a str,
    answer: &'static str,
    /// What decides, in words; of several groups that of the first.
    by: String,
    /// Names that were not resolved, and so not asked about.
    unresolved: &'a [String],
    groups: Vec<GroupJson<'a>>,
    /// Neighbours who do not reach the port, but what stands behind it at its own address.
    straight: Vec<GroupJson<'a>>,
}

impl<'a> ReachJson<'a> {
    fn new(reached: &'a Reached, listens: impl Fn(&Group) -> Option<bool>) -> Self {
        let told = reached.groups.iter().find(|g| g.has_way()).or(reached.groups.first());
        let whence = &reached.source.whence;
        Self {
            source: &reached.source.name,
            answer: reached.answer.as_str(),
            by: told.map(|group| group.by.to_string()).unwrap_or_default(),
            unresolved: &reached.source.unresolved,
            groups: reached.groups.iter().map(|g| GroupJson::new(g, whence, listens(g))).collect(),
            straight: reached
                .straight
                .iter()
                .map(|g| GroupJson::new(g, whence, listens(g)))
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct GroupJson<'a> {
    answer: &'static str,
    by: &'static str,
    /// The rule that decides.
    rule: Option<PlaceJson>,
    family: &'static str,
    /// Who they are, as networks; the first hundred.
    senders: Vec<String>,
    sender_count: usize,
    interface: Option<&'a str>,
    to: Option<String>,
    taker: Option<TakerJson<'a>>,
    translated: Option<TranslatedJson>,
    /// To which socket of another port packets are handed as they are (tproxy).
    handed: Option<TranslatedJson>,
    bypass: Option<BypassJson>,
    depends_on: &'a [String],
    /// How many more rules decide the same about some of the senders.
    other_rules: usize,
    exact: bool,
}

impl<'a> GroupJson<'a> {
    fn new(group: &'a Group, whence: &Whence, listens: Option<bool>) -> Self {
        use portolan_core::reach::By::{Allowed, AnswerRefused, Refused};
        let rule = match &group.by {
            Allowed(rule) | AnswerRefused(rule) | Refused { rule, .. } => {
                Some(PlaceJson::from(rule))
            }
            _ => None,
        };
        let senders: Vec<Prefix> = group.senders.prefixes(group.is_v6);
        let here = (*whence == Whence::Here).then(|| "loopback".to_owned());
        Self {
            answer: group.answer.as_str(),
            by: words::by_word(&group.by),
            rule,
            family: if group.is_v6 { "ipv6" } else { "ipv4" },
            sender_count: senders.len() + usize::from(here.is_some()),
            senders: here
                .into_iter()
                .chain(senders.iter().map(Prefix::to_string))
                .take(MOST)
                .collect(),
            interface: group.interface.as_deref(),
            to: group.to.map(|to| to.to_string()),
            taker: group.taker.as_ref().map(|taker| TakerJson::new(taker, listens)),
            translated: group.translated.as_ref().map(TranslatedJson::from),
            handed: group.handed.as_ref().map(TranslatedJson::from),
            bypass: group.around.as_ref().map(BypassJson::from),
            depends_on: &group.depends_on,
            other_rules: group.other_rules,
            exact: group.is_exact,
        }
    }
}

#[derive(Serialize)]
struct TakerJson<'a> {
    /// `socket`, or `address` for something behind a translation.
    kind: &'static str,
    to: Option<String>,
    interface: Option<&'a str>,
    container: Option<&'a str>,
    /// Whether something listens there now; null where that is not known.
    listens: Option<bool>,
}

impl<'a> TakerJson<'a> {
    fn new(taker: &'a Taker, listens: Option<bool>) -> Self {
        match taker {
            Taker::Socket(socket) => Self {
                kind: "socket",
                to: None,
                interface: None,
                container: None,
                listens: socket.map(|_| true),
            },
            Taker::Behind { to, interface, container } => Self {
                kind: "address",
                to: Some(to.to_string()),
                interface: interface.as_deref(),
                container: container.as_deref(),
                listens,
            },
        }
    }
}

#[derive(Serialize)]
struct TranslatedJson {
    to: String,
    rule: Option<PlaceJson>,
}

impl From<&Translated> for TranslatedJson {
    fn from(translated: &Translated) -> Self {
        let rule = translated.rule.as_ref().map(PlaceJson::from);
        Self { to: translated.to.to_string(), rule }
    }
}

/// The rule of the input path that refuses it and is never asked.
#[derive(Serialize)]
struct BypassJson {
    kind: &'static str,
    rule: PlaceJson,
}

impl From<&Around> for BypassJson {
    fn from(around: &Around) -> Self {
        Self { kind: around.kind.as_str(), rule: PlaceJson::from(&around.rule) }
    }
}

#[derive(Serialize)]
struct FixJson {
    what: String,
    command: String,
}

impl From<&Fix> for FixJson {
    fn from(closes: &Fix) -> Self {
        Self { what: fix::what(closes), command: fix::command(closes) }
    }
}

const MOST: usize = 100;
