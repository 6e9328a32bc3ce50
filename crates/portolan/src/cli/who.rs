//! `portolan who WHAT`.

use anyhow::Result;
use portolan_core::socket::SocketTransport;
use portolan_host::clock;
use portolan_host::processes::{Details, ancestry};

use crate::cli::args::{Global, Who};
use crate::exit::Exit;
use crate::ops::sockets::{Namespaces, Request, WITH_PORTS};
use crate::ops::who::{Query, answer, look_around, service_ports};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells who holds it: 0 somebody, 1 nobody, 3 somebody whose name is not visible.
pub(crate) fn run(arguments: &Who, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let query = Query::parse(&arguments.what, &registry)?;
    let table =
        ops::sockets::observe(&request(&query, arguments.all_netns.into()))?.into_value(&mut gaps);
    let mut report = answer(&arguments.what, &query, &table, ancestry);
    look_around(&mut report, &table, &mut gaps);
    if report.groups.is_empty() {
        report.service_ports = service_ports(&query, &registry);
    }
    let context = render::who::Context {
        registry: &registry,
        command_lines: arguments.cmdline.into(),
        now: clock::now(),
    };
    let mut screen = Screen::open(global);
    if global.json {
        render::who::json(&mut screen, &report, &table, &context, &gaps)?;
    } else {
        render::who::text(&mut screen, &report, &table, &context)?;
        if report.is_partial() {
            render::gap::print(&gaps, global.color);
        }
    }
    Ok(match (report.is_partial(), report.groups.is_empty()) {
        (true, _) => Exit::Partial,
        (false, true) => Exit::No,
        (false, false) => Exit::Yes,
    })
}

/// Sockets with ports when a port is asked for; whoever else is asked for may hold any kind.
fn request(query: &Query, namespaces: Namespaces) -> Request {
    let mut request = Request { namespaces, ..Request::every_state(Details::Full) };
    if !matches!(query, Query::Ports { .. }) {
        request.transports = WITH_PORTS
            .into_iter()
            .chain([SocketTransport::Raw, SocketTransport::Icmp, SocketTransport::Packet])
            .collect();
    }
    request
}
