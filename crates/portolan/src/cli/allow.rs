//! `portolan allow PORT --from SOURCE` and `portolan deny PORT`.

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Port, Transport};

use crate::cli::args::firewall::Apply;
use crate::cli::args::{Allow, Deny, Global, Until};
use crate::cli::firewall::apply;
use crate::exit::Exit;
use crate::fault::{Fault, Hinted as _};
use crate::ops::firewall::allow::{self, Edited, Wish};
use crate::render;
use crate::render::screen::Screen;

/// Lets somebody in.
pub(crate) fn allow(arguments: &Allow, global: &Global) -> Result<Exit> {
    let (port, transport) = target(&arguments.port)?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { port, transport, source: Some(arguments.from.clone()), until };
    let edited = allow::allow(&global.asked(), &wish)?;
    told(&edited, arguments.apply, arguments.yes, global)
}

/// Lets somebody in no more.
pub(crate) fn deny(arguments: &Deny, global: &Global) -> Result<Exit> {
    let (port, transport) = target(&arguments.port)?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { port, transport, source: arguments.from.clone(), until };
    let edited = allow::deny(&global.asked(), &wish)?;
    told(&edited, arguments.apply, arguments.yes, global)
}

/// Says what was edited, and goes on to put it on trial where that is wanted.
fn told(edited: &Edited, then_apply: bool, yes: bool, global: &Global) -> Result<Exit> {
    let mut screen = Screen::open(global);
    if then_apply {
        if !global.json {
            render::firewall::allow::edited(&mut screen, edited)?;
        }
        drop(screen);
        return apply::run(&Apply::of_edit(yes), global);
    }
    if global.json {
        render::firewall::allow::json(&mut screen, edited)?;
    } else {
        render::firewall::allow::edited(&mut screen, edited)?;
        render::firewall::allow::next(&mut screen, edited)?;
    }
    Ok(if edited.still.is_empty() { Exit::Yes } else { Exit::No })
}

/// When a time that was typed is over: not before now.
fn moment(until: Until) -> Result<Timestamp> {
    match until {
        Until::For(lasts) => allow::from_now(lasts),
        Until::At(end) => allow::not_over(end.moment()),
    }
}

/// `443` is TCP; `53/udp` says it.
fn target(text: &str) -> Result<(Port, Transport)> {
    let (port, transport) = text.split_once('/').unwrap_or((text, "tcp"));
    let cannot = || format!("`{text}` is not one port");
    let port: Port = port.parse().hinted(cannot(), EXAMPLE)?;
    let transport: Transport = transport.parse().hinted(cannot(), EXAMPLE)?;
    if port == Port(0) {
        return Err(Fault::new(cannot(), EXAMPLE));
    }
    Ok((port, transport))
}

const EXAMPLE: &str = "for example 443/tcp or 53/udp";
