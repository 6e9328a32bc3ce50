//! Chosen numbers: alone on standard output, for `$(portolan pick)`; everything else beside it.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::{Gap, Transport};
use portolan_core::registry::Registry;
use portolan_core::socket::choose::Exclusion;
use serde::Serialize;

use crate::cli::args::Color;
use crate::ops::pick::{Report, Taken};
use crate::render::gap::{hint, warning};
use crate::render::json::Document;
use crate::render::owner::{CommandLines, process_names, unowned_word};
use crate::render::screen::Screen;
use crate::render::socket::SocketJson;

/// Prints the numbers, one a line.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    for port in &report.ports {
        writeln!(screen, "{port}")?;
    }
    Ok(screen.flush()?)
}

/// Says on standard error what there is to say about the numbers.
pub(crate) fn remarks(report: &Report, color: Color) {
    if let Some(taken) = &report.taken {
        let name = report.name.as_deref().unwrap_or_default();
        let instead = match report.ports.first() {
            Some(port) => format!("; {port} instead"),
            None => String::new(),
        };
        let (port, holder) = (taken.port, holder(taken));
        warning(
            &format!("{port}, which belongs to `{name}` here, is taken by {holder}{instead}"),
            color,
        );
        hint(&format!("portolan explain {port}"), color);
    } else if report.ports.is_empty() {
        warning(&nothing(report), color);
        hint("another --range, --allow-assigned, or fewer with --count", color);
    }
    if report.has_leftovers {
        let port = report.ports.first().map(ToString::to_string).unwrap_or_default();
        let text = "connections of an earlier server keep it for up to a minute from a server \
                    that does not set SO_REUSEADDR";
        hint(&format!("{port}: {text}"), color);
    }
}

/// Who has a number, in words.
pub(crate) fn holder(taken: &Taken) -> String {
    let Some(held) = taken.by.sockets.first() else {
        return "somebody who cannot be seen from here".to_owned();
    };
    let processes = process_names(taken.by.owners(held));
    match held.unowned {
        _ if !processes.is_empty() => processes,
        Some(unowned) => format!("a socket whose process is {}", unowned_word(unowned)),
        None => "a process that has ended meanwhile".to_owned(),
    }
}

/// Why there is no number.
fn nothing(report: &Report) -> String {
    let reasons: Vec<String> = report
        .excluded
        .iter()
        .map(|(reason, ports)| format!("{} {}", ports.len(), words(*reason)))
        .collect();
    if let Some(longest @ 1..) = report.in_a_row {
        let range = report.range;
        return format!("not as many free ports in a row in {range}: {longest} are, at most");
    }
    if report.left > 0 {
        return format!("not as many free ports in {}: {} are left", report.range, report.left);
    }
    format!("no free port in {}: {}", report.range, reasons.join(", "))
}

/// A reason as one reads it after a count.
const fn words(reason: Exclusion) -> &'static str {
    match reason {
        Exclusion::Privileged => "for root alone",
        Exclusion::Ephemeral => "the kernel itself chooses from",
        Exclusion::Reserved => "in ip_local_reserved_ports",
        Exclusion::Assigned => "assigned by IANA",
        Exclusion::BlockedByBrowsers => "blocked by browsers",
        Exclusion::NodePort => "node ports of Kubernetes",
        Exclusion::Inventory => "in the inventory",
        Exclusion::Translated => "named by NAT rules or containers",
        Exclusion::Leased => "given to others",
        Exclusion::InUse => "in use",
        Exclusion::Refused => "refused by the kernel",
    }
}

/// Prints numbers and reasons as one document.
pub(crate) fn json(
    screen: &mut Screen,
    report: &Report,
    registry: &Registry,
    gaps: &[Gap],
) -> Result<()> {
    let taken = report.taken.as_ref();
    let held = taken.and_then(|t| Some((t, t.by.sockets.first()?)));
    let body = Body {
        ports: report.ports.iter().map(|port| port.0).collect(),
        wanted: report.wanted.map(|port| port.0),
        got: report.name.as_ref().and(report.ports.first()).map(|port| port.0),
        holder: held.map(|(t, held)| SocketJson::new(held, &t.by, registry, CommandLines::Hidden)),
        transports: report.transports.iter().map(Transport::as_str).collect(),
        project: report.project.to_string_lossy().into_owned(),
        name: report.name.as_deref(),
        expires: report.expires.map(|end| end.to_string()),
        range: report.range.to_string(),
        left: report.left,
        excluded: report
            .excluded
            .iter()
            .map(|(reason, ports)| ExcludedJson {
                reason: reason.as_str(),
                count: ports.len(),
                ranges: ports.ranges().iter().map(ToString::to_string).collect(),
            })
            .collect(),
    };
    screen.json(&Document::new("pick", body, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    ports: Vec<u16>,
    wanted: Option<u16>,
    got: Option<u16>,
    holder: Option<SocketJson<'a>>,
    transports: Vec<&'static str>,
    project: String,
    name: Option<&'a str>,
    expires: Option<String>,
    range: String,
    left: usize,
    excluded: Vec<ExcludedJson>,
}

#[derive(Serialize)]
struct ExcludedJson {
    reason: &'static str,
    count: usize,
    ranges: Vec<String>,
}
