//! `portolan reservations`.

use anyhow::Result;
use portolan_host::clock;

use crate::cli::args::Global;
use crate::exit::Exit;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Shows what is given to whom. Nothing at all is an answer too.
pub(crate) fn run(global: &Global) -> Result<Exit> {
    let leases = ops::reservations::list()?;
    let mut screen = Screen::open(global);
    if global.json {
        render::reservations::json(&mut screen, &leases, clock::now())?;
    } else {
        render::reservations::text(&mut screen, &leases, clock::now())?;
    }
    render::reservations::whose(ops::reservations::not_of_caller().as_deref(), global.color);
    Ok(Exit::Yes)
}
