//! `portolan sockets --ephemeral`.

use anyhow::Result;
use portolan_core::net::Observed;

use crate::cli::args::{Global, Sockets};
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells what is left of the ports the kernel chooses; with `--strict` 3 when something could not
/// be seen.
pub(crate) fn run(arguments: &Sockets, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let engine = super::sockets::engine(arguments.engine);
    let table = ops::ephemeral::sockets(arguments.all_netns.into(), engine)?.into_value(&mut gaps);
    let reports = ops::ephemeral::reports(&table, &mut gaps);
    let observed = Observed { value: reports, gaps };
    let mut screen = Screen::open(global);
    if global.json {
        let (reports, gaps) = (&observed.value, &observed.gaps);
        render::ephemeral::json(&mut screen, reports, &table, &registry, gaps)?;
    } else {
        render::ephemeral::text(&mut screen, &observed.value, &table, &registry)?;
        render::gap::print(&observed.gaps, global.color);
    }
    let partial = arguments.strict && observed.is_partial();
    Ok(if partial { Exit::Partial } else { Exit::Yes })
}
