//! `portolan kill PORT`.

use anyhow::Result;
use portolan_core::net::{Port, TransportSet};
use portolan_core::registry::{Registry, port_set};
use portolan_core::socket::stop::Wish;

use crate::cli::args::{Global, Kill};
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::kill::{Report, Standing, Survey, carry_out, survey};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Stops who listens there: 0 the port can be bound, 1 there was nobody, 2 it did not work or was
/// refused, 3 nobody was found, but not everything could be seen.
pub(crate) fn run(arguments: &Kill, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let found = survey(wish(arguments, &registry)?)?;
    let mut screen = Screen::open(global);
    if !global.json {
        render::kill::plan(&mut screen, &found, arguments.grace)?;
    }
    let consent = match found.standing() {
        Standing::Ready if !arguments.dry_run && found.plan.changes_system() => {
            let question = render::kill::question(&found);
            confirm(&question, arguments.yes, global.color)
        }
        _ => Ok(()),
    };
    let acts = found.standing() == Standing::Ready && !arguments.dry_run && consent.is_ok();
    let report = acts.then(|| carry_out(&found, arguments.grace));
    if global.json {
        let dry_run = arguments.dry_run;
        render::kill::json(&mut screen, &found, report.as_ref(), dry_run, &registry)?;
    } else if let Some(report) = &report {
        render::kill::report(&mut screen, &found, report)?;
    }
    consent?;
    end(&found, report.as_ref(), global)
}

/// Exactly one port, in one transport or in all.
fn wish(arguments: &Kill, registry: &Registry) -> Result<Wish> {
    let selection = port_set::parse(&arguments.port, TransportSet::ALL, registry)
        .map_err(|e| Fault::new(e.to_string(), WHAT))?;
    let ports: Vec<Port> = selection.ports().iter().take(2).collect();
    let [port] = ports[..] else {
        return Err(Fault::new(format!("`{}` is not one port", arguments.port), WHAT));
    };
    if port == Port(0) {
        return Err(Fault::new("nobody listens on 0: it asks the kernel for another number", WHAT));
    }
    let Kill { sockets, clients, .. } = *arguments;
    Ok(Wish { port, transports: selection.transports(), sockets, clients })
}

fn end(found: &Survey, report: Option<&Report>, global: &Global) -> Result<Exit> {
    match (found.standing(), report) {
        (_, Some(report)) if report.has_failed() || !report.is_bindable() => Ok(Exit::Failed),
        (Standing::Ready, _) => Ok(Exit::Yes),
        (Standing::Nothing, _) => Ok(Exit::No),
        (Standing::Refused, _) => {
            let (what, hint) = render::kill::refusal(found);
            Err(Fault::new(what, hint))
        }
        (Standing::Blind, _) => {
            if !global.json {
                render::gap::print(&found.gaps, global.color);
            }
            Ok(Exit::Partial)
        }
    }
}

const WHAT: &str = "name one port: portolan kill 3000, portolan kill 53/udp";
