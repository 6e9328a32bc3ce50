//! A port that is kept, or why it cannot be, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::{Gap, Port, Transport, TransportSet};
use portolan_core::registry::Registry;
use portolan_core::socket::LocalPorts;
use rustix::io::Errno;
use serde::Serialize;

use crate::cli::args::Color;
use crate::ops::reserve::{Outcome, Report};
use crate::render::errno::errno_name;
use crate::render::gap::{hint, warning};
use crate::render::json::Document;
use crate::render::owner::CommandLines;
use crate::render::pick::holder;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::socket::SocketJson;
use crate::store::Lease;

/// Prints what is kept.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    if let Outcome::Kept { holders, until } = &report.outcome {
        for (transport, holder) in holders {
            let (port, pid) = (report.port, holder.pid);
            writeln!(screen, "{port}/{transport} is held until {until:.0} by process {pid}")?;
        }
    }
    Ok(screen.flush()?)
}

/// Says on standard error why not, or what to know about it.
pub(crate) fn remarks(report: &Report, is_root: bool, color: Color) {
    let what = format!("{}/{}", report.port, report.transports);
    let port = report.port;
    match &report.outcome {
        Outcome::Kept { .. } => kept(report, is_root, color),
        Outcome::Taken(taken) => {
            warning(&format!("{what} is taken by {}", holder(taken)), color);
            hint(&format!("portolan explain {what}; portolan pick --near {port}"), color);
        }
        Outcome::Given(lease) => {
            warning(&format!("{what} was given to {}", given(lease)), color);
            hint(&format!("portolan pick; or portolan reserve {port} --release"), color);
        }
        Outcome::Refused(refusal) => {
            warning(&format!("{what} cannot be bound: {refusal}"), color);
            let next = match refusal.errno {
                Errno::ACCESS => {
                    format!("run with sudo, or portolan pick; portolan explain {what}")
                }
                _ => format!("portolan explain {what}"),
            };
            hint(&next, color);
        }
    }
}

fn kept(report: &Report, is_root: bool, color: Color) {
    if report.transports.contains(Transport::Tcp) {
        let servers = "servers that set SO_REUSEADDR, as most do, start on it; \
                       for others: portolan run";
        hint(servers, color);
    }
    let LocalPorts { ephemeral, reserved, .. } = &report.kernel;
    if is_root && ephemeral.contains(report.port) && !reserved.contains(report.port) {
        let mut ports = reserved.clone();
        ports.insert(report.port);
        let line = format!("sysctl -w net.ipv4.ip_local_reserved_ports={ports}");
        hint(&format!("to keep the kernel from choosing it for longer: {line}"), color);
    }
}

/// To whom a number was given, in words.
fn given(lease: &Lease) -> String {
    let project = lease.project.display();
    let name = lease.name.as_ref().map(|name| format!(" for `{name}`")).unwrap_or_default();
    let until = lease.expires.map(|end| format!(" until {end:.0}")).unwrap_or_default();
    format!("{project}{name}{until}")
}

/// Prints the same as one document.
pub(crate) fn json(
    screen: &mut Screen,
    report: &Report,
    registry: &Registry,
    gaps: &[Gap],
) -> Result<()> {
    let mut body = Body {
        port: report.port.0,
        transports: report.transports.iter().map(Transport::as_str).collect(),
        project: report.project.to_string_lossy().into_owned(),
        reserved: false,
        reason: None,
        errno: None,
        expires: None,
        holders: Vec::new(),
        blockers: Vec::new(),
        given_to: None,
    };
    match &report.outcome {
        Outcome::Kept { holders, until } => {
            body.reserved = true;
            body.expires = Some(until.to_string());
            let each = holders.iter();
            let json = each.map(|(t, h)| HolderJson { transport: t.as_str(), pid: h.pid });
            body.holders = json.collect();
        }
        Outcome::Taken(taken) => {
            body.reason = Some("in-use");
            let sockets = taken.by.sockets.iter();
            let json = |held| SocketJson::new(held, &taken.by, registry, CommandLines::Hidden);
            body.blockers = sockets.map(json).collect();
        }
        Outcome::Given(lease) => {
            body.reason = Some("leased");
            body.given_to = Some(lease.project.to_string_lossy().into_owned());
            body.expires = lease.expires.map(|end| end.to_string());
        }
        Outcome::Refused(refusal) => {
            body.reason = Some("refused");
            body.errno = Some(errno_name(refusal.errno));
        }
    }
    screen.json(&Document::new("reserve", body, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    port: u16,
    transports: Vec<&'static str>,
    project: String,
    reserved: bool,
    reason: Option<&'static str>,
    errno: Option<String>,
    expires: Option<String>,
    holders: Vec<HolderJson>,
    blockers: Vec<SocketJson<'a>>,
    given_to: Option<String>,
}

#[derive(Serialize)]
struct HolderJson {
    transport: &'static str,
    pid: u32,
}

/// Prints what was given back.
pub(crate) fn released_text(
    screen: &mut Screen,
    port: Port,
    transports: TransportSet,
    rows: &[Lease],
) -> Result<()> {
    if rows.is_empty() {
        writeln!(screen, "{port}/{transports} was not given to you")?;
    }
    for row in rows {
        let (kind, whom) = (row.kind.as_str(), given(row));
        writeln!(screen, "{port}/{} given back: {kind} of {}", row.transports, sanitize(&whom))?;
    }
    Ok(screen.flush()?)
}

/// Prints the same as one document.
pub(crate) fn released_json(screen: &mut Screen, port: Port, rows: &[Lease]) -> Result<()> {
    let released = rows.iter().map(|row| row.kind.as_str()).collect();
    let body = Released { port: port.0, released };
    screen.json(&Document::new("release", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Released {
    port: u16,
    released: Vec<&'static str>,
}
