//! `portolan reserve PORT`, and the process it starts.

use anyhow::Result;
use portolan_core::net::{Port, Transport, TransportSet};

use crate::cli::args::{Global, HoldPort, Reserve};
use crate::exit::Exit;
use crate::fault::{Fault, Hinted as _};
use crate::ops::reserve::{Outcome, Request, hold, release, reserve};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Keeps a port or gives it back: 0 done, 1 taken, or nothing to give back.
pub(crate) fn run(arguments: &Reserve, global: &Global) -> Result<Exit> {
    let (port, transports) = target(&arguments.port)?;
    if arguments.release {
        return give_back(port, transports, global);
    }
    let project = ops::project::here()?;
    let observed = reserve(&Request { port, transports, lasts: arguments.ttl, project })?;
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let mut screen = Screen::open(global);
    if global.json {
        render::reserve::json(&mut screen, &observed.value, &registry, &observed.gaps)?;
    } else {
        render::reserve::text(&mut screen, &observed.value)?;
        render::gap::print(&observed.gaps, global.color);
    }
    let is_root = rustix::process::geteuid().is_root();
    render::reserve::remarks(&observed.value, is_root, global.color);
    render::reservations::whose(ops::reservations::not_of_caller().as_deref(), global.color);
    Ok(match observed.value.outcome {
        Outcome::Kept { .. } => Exit::Yes,
        _ => Exit::No,
    })
}

fn give_back(port: Port, transports: TransportSet, global: &Global) -> Result<Exit> {
    let rows = release(port, transports)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::reserve::released_json(&mut screen, port, &rows)?;
    } else {
        render::reserve::released_text(&mut screen, port, transports, &rows)?;
    }
    render::reservations::whose(ops::reservations::not_of_caller().as_deref(), global.color);
    Ok(if rows.is_empty() { Exit::No } else { Exit::Yes })
}

/// The process that holds a port: it ends when its time has come.
pub(crate) fn hold_port(arguments: &HoldPort) -> Result<Exit> {
    hold(arguments.until)?;
    Ok(Exit::Yes)
}

/// `8080` is TCP; `53/udp`, `53/tcp+udp` say it.
fn target(text: &str) -> Result<(Port, TransportSet)> {
    let (port, transports) = match text.split_once('/') {
        Some((port, transports)) => (port, transports.parse()),
        None => (text, Ok(TransportSet::NONE.with(Transport::Tcp))),
    };
    let cannot = || format!("cannot reserve `{text}`");
    let port: Port = port.parse().hinted(cannot(), EXAMPLE)?;
    let transports: TransportSet = transports.hinted(cannot(), EXAMPLE)?;
    if port == Port(0) || [Transport::Sctp, Transport::Dccp].iter().any(|t| transports.contains(*t))
    {
        return Err(Fault::new(cannot(), EXAMPLE));
    }
    Ok((port, transports))
}

const EXAMPLE: &str = "for example 8080, 5353/udp or 53/tcp+udp";
