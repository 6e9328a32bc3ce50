//! `portolan firewall show`.

use anyhow::Result;

use crate::cli::args::Global;
use crate::cli::args::firewall::Show;
use crate::exit::Exit;
use crate::ops::firewall::search::Wanted;
use crate::render::screen::Screen;
use crate::{ops, render};

/// Shows the rules in the order in which packets meet them; 3 when some could not be seen.
pub(crate) fn run(arguments: &Show, global: &Global) -> Result<Exit> {
    if arguments.allowed {
        return allowed(arguments, global);
    }
    let report = ops::firewall::show::show(&arguments.sources.asked(), arguments.hook.as_deref())?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::show::json(&mut screen, &report)?;
    } else {
        render::firewall::show::text(&mut screen, &report)?;
        render::gap::print(&report.rules.gaps, global.color);
    }
    let is_partial = report.rules.gaps.iter().any(portolan_core::net::Gap::is_incomplete);
    Ok(if is_partial { Exit::Partial } else { Exit::Yes })
}

/// Shows what gets in; 3 when not everything could be seen or decided.
fn allowed(arguments: &Show, global: &Global) -> Result<Exit> {
    let registry = ops::registry::load().value;
    let wanted = Wanted {
        to_port: None,
        is_of_everything: true,
        from: "any".to_owned(),
        hook: None,
        sources: arguments.sources.asked(),
    };
    let report = ops::firewall::search::search(&wanted, &global.asked(), &registry)?;
    let mut screen = Screen::open(global);
    if global.json {
        render::firewall::allowed::json(&mut screen, &report)?;
    } else {
        render::firewall::allowed::text(&mut screen, &report)?;
        render::gap::print(&report.gaps, global.color);
    }
    let is_partial = report.answer.is_none()
        || report.gaps.iter().any(portolan_core::net::Gap::is_incomplete)
        || report.found.iter().any(|found| !found.is_whole);
    Ok(if is_partial { Exit::Partial } else { Exit::Yes })
}
