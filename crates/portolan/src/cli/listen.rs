//! `portolan listen`.

use anyhow::Result;
use portolan_core::net::Transport;

use crate::cli::args::{Global, Listen, ListenPlace};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::listen::{Event, Request, Where, listen};
use crate::render;
use crate::render::listen::{Form, Told};
use crate::render::screen::Screen;

/// Listens: 0 somebody came, 1 nobody before the time was over.
pub(crate) fn run(arguments: &Listen, global: &Global) -> Result<Exit> {
    let (port, transport) = match arguments.port.split_once('/') {
        Some((port, transport)) => (port, transport.parse().map_err(|e| bad(arguments, e))?),
        None => (arguments.port.as_str(), Transport::Tcp),
    };
    if !matches!(transport, Transport::Tcp | Transport::Udp) {
        return Err(bad(arguments, "only tcp and udp can be listened on"));
    }
    let port = port.parse().map_err(|error| bad(arguments, error))?;
    let bind = match arguments.bind {
        None => Where::Loopback,
        Some(ListenPlace::Any) => Where::Any,
        Some(ListenPlace::At(address)) => Where::At(address),
    };
    let (once, timeout) = (arguments.once, arguments.timeout);
    let request = Request { transport, port, bind, once, timeout };
    let form = match () {
        () if global.json => Form::Document,
        () if arguments.jsonl => Form::Lines,
        () => Form::Text,
    };
    let mut told = Told::new(form);
    let count = listen(&request, &mut |event: &Event<'_>| {
        told.tell(&mut Screen::open(global), event, bind)
    })?;
    render::listen::end(&mut Screen::open(global), told)?;
    let is_over = timeout.is_some() && count == 0;
    Ok(if is_over { Exit::No } else { Exit::Yes })
}

fn bad(arguments: &Listen, why: impl std::fmt::Display) -> anyhow::Error {
    let message = format!("port `{}`: {why}", arguments.port);
    Fault::new(message, "portolan listen 9000, portolan listen 9000/udp")
}
