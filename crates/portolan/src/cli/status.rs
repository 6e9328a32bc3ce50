//! `portolan` and `portolan status`.

use anyhow::Result;
use portolan_core::net::Observed;
use portolan_host::machine;
use portolan_host::processes::Details;

use crate::cli::args::{Global, Status};
use crate::exit::Exit;
use crate::ops::sockets::Request;
use crate::ops::status::{Sources, chart};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Draws the chart; 0 also with gaps, unless `--strict` was said.
pub(crate) fn run(arguments: &Status, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let machine = machine::read().into_value(&mut gaps);
    let table = ops::sockets::observe(&Request::listeners(Details::Full))?.into_value(&mut gaps);
    let registry = ops::registry::load().into_value(&mut gaps);
    let intent = ops::inventory::intent(&global.asked(), &machine, &mut gaps)?;
    gaps.extend(intent.gap());
    let reaches = ops::reach::chart::chart(&table, &machine, &intent, &mut gaps);
    let openings = reaches.openings();
    let judgement = intent.declared().map(|(inventory, host)| {
        ops::audit::judge(inventory, host, &table, &machine, &registry, (&openings, &[]))
    });
    let sources = Sources {
        machine: &machine,
        table: &table,
        registry: &registry,
        intent: &intent,
        reaches,
        judgement: judgement.unwrap_or_default(),
    };
    let chart = Observed { value: chart(sources), gaps };
    let mut screen = Screen::open(global);
    if global.json {
        render::status::json(&mut screen, &chart, &table)?;
    } else {
        render::status::text(&mut screen, &chart.value)?;
        render::gap::print(&chart.gaps, global.color);
    }
    Ok(if arguments.strict && chart.is_partial() { Exit::Partial } else { Exit::Yes })
}
