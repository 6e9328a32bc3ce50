//! `portolan pick`.

use anyhow::Result;
use portolan_core::net::{Port, Transport, TransportSet};

use crate::cli::args::{Global, Pick};
use crate::exit::Exit;
use crate::ops::pick::{Assigned, IfTaken, Place, Report, Request, pick};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Gives numbers: 0 as many as asked for, 1 when there are none or --strict finds them taken.
pub(crate) fn run(arguments: &Pick, global: &Global) -> Result<Exit> {
    let request = request(arguments, global)?;
    let observed = pick(&request)?;
    let report = &observed.value;
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let mut screen = Screen::open(global);
    if global.json {
        render::pick::json(&mut screen, report, &registry, &observed.gaps)?;
    } else {
        render::pick::text(&mut screen, report)?;
        // In a script a normal user's every call would tell of rules only root can see.
        let asked: Vec<_> = observed.gaps.iter().filter(|g| g.is_incomplete()).cloned().collect();
        render::gap::print(&asked, global.color);
    }
    render::pick::remarks(report, global.color);
    if request.name.is_some() || report.expires.is_some() {
        render::reservations::whose(ops::reservations::not_of_caller().as_deref(), global.color);
    }
    Ok(if is_whole(report, arguments.count) { Exit::Yes } else { Exit::No })
}

fn is_whole(report: &Report, count: u16) -> bool {
    report.ports.len() == usize::from(count)
}

fn request(arguments: &Pick, global: &Global) -> Result<Request> {
    let place = match (&arguments.pool, arguments.range) {
        (Some(pool), _) => Place::Pool(pool.clone()),
        (None, Some(range)) => Place::Range(range),
        (None, None) => Place::Usual,
    };
    Ok(Request {
        count: arguments.count,
        consecutive: arguments.consecutive,
        near: arguments.near.map(Port),
        place,
        name: arguments.name.clone(),
        if_taken: if arguments.strict { IfTaken::Refuse } else { IfTaken::Another },
        lease: arguments.lease,
        transports: transports(arguments),
        assigned: if arguments.allow_assigned { Assigned::Allowed } else { Assigned::Kept },
        ..Request::any(ops::project::here()?, global.asked())
    })
}

/// TCP unless said otherwise.
fn transports(arguments: &Pick) -> TransportSet {
    match (arguments.tcp, arguments.udp) {
        (_, false) => TransportSet::NONE.with(Transport::Tcp),
        (false, true) => TransportSet::NONE.with(Transport::Udp),
        (true, true) => TransportSet::NONE.with(Transport::Tcp).with(Transport::Udp),
    }
}
