//! `portolan sockets [FILTER…]`, also `ls`.

use anyhow::Result;
use portolan_core::socket::filter::Filter;
use portolan_core::socket::{self, Family, SocketTransport, State, StateSet};
use portolan_host::owners::Choice;
use portolan_host::processes::Details;
use portolan_host::sockets::InetFamily;

use crate::cli::args::{Engine, Global, Sockets};
use crate::exit::Exit;
use crate::ops::sockets::{Request, WITH_PORTS};
use crate::render::owner::CommandLines;
use crate::render::screen::Screen;
use crate::render::sockets::{Names, View};
use crate::{ops, render};

/// Lists the sockets asked for; with `--strict` 3 when something could not be seen.
pub(crate) fn run(arguments: &Sockets, global: &Global) -> Result<Exit> {
    if arguments.ephemeral {
        return super::ephemeral::run(arguments, global);
    }
    let registry = ops::registry::load().value;
    let filter = ops::sockets::filter(&arguments.filter, &registry)?;
    let states = filter.states().unwrap_or_else(|| states(arguments));
    let full = global.json || arguments.cmdline || arguments.all_netns;
    let request = Request {
        transports: transports(arguments, filter.families()),
        families: families(arguments),
        states,
        choice_of: if global.json || !filter.is_empty() { states } else { SERVING },
        details: if full { Details::Full } else { Details::Brief },
        engine: engine(arguments.engine),
        filter,
        namespaces: arguments.all_netns.into(),
    };
    let observed = ops::sockets::observe(&request)?;
    let view = View {
        table: &observed.value,
        registry: &registry,
        names: if arguments.numeric { Names::Hidden } else { Names::Shown },
        command_lines: if arguments.cmdline { CommandLines::Shown } else { CommandLines::Hidden },
        heading: !arguments.no_header,
    };
    let mut screen = Screen::open(global);
    if global.json {
        render::sockets::json(&mut screen, &view, &observed.gaps)?;
    } else {
        render::sockets::text(&mut screen, &view)?;
        render::gap::print(&observed.gaps, global.color);
        if observed.value.sockets.is_empty() && leaves_connections_out(arguments, &request.filter) {
            render::gap::hint(ONLY_LISTENERS, global.color);
        }
    }
    let partial = arguments.strict && observed.is_partial();
    std::mem::forget(observed); // the kernel takes it back as a whole
    Ok(if partial { Exit::Partial } else { Exit::Yes })
}

fn transports(arguments: &Sockets, families: &[Family]) -> Vec<SocketTransport> {
    let letters = [
        (arguments.tcp, &[SocketTransport::Tcp][..]),
        (arguments.udp, &[SocketTransport::Udp, SocketTransport::UdpLite]),
        (arguments.raw, &[SocketTransport::Raw, SocketTransport::Icmp]),
        (arguments.unix, &[SocketTransport::Unix]),
        (arguments.packet, &[SocketTransport::Packet]),
    ];
    let asked: Vec<_> =
        letters.iter().filter(|(on, _)| *on).flat_map(|(_, t)| t.iter().copied()).collect();
    match families {
        _ if !asked.is_empty() => asked,
        [Family::Unix] => vec![SocketTransport::Unix],
        [Family::Packet] => vec![SocketTransport::Packet],
        _ if arguments.all => {
            [&WITH_PORTS[..], &[SocketTransport::Raw, SocketTransport::Icmp]].concat()
        }
        _ => WITH_PORTS.to_vec(),
    }
}

fn families(arguments: &Sockets) -> Vec<InetFamily> {
    match (arguments.ipv4, arguments.ipv6) {
        (true, false) => vec![InetFamily::V4],
        (false, true) => vec![InetFamily::V6],
        _ => vec![InetFamily::V4, InetFamily::V6],
    }
}

pub(super) const fn engine(asked: Engine) -> Choice {
    match asked {
        Engine::Auto => Choice::Auto,
        Engine::Bpf => Choice::Only(socket::Engine::Bpf),
        Engine::Procfs => Choice::Only(socket::Engine::Procfs),
    }
}

/// As `ss`: `-a` is every state, but sockets bound without listening take a flag of their own.
fn states(arguments: &Sockets) -> StateSet {
    let bound = StateSet::of(State::Bound);
    let states = if arguments.all { StateSet::ORDINARY } else { StateSet::LISTENING };
    if arguments.inactive { states | bound } else { states }
}

/// Whether a filter was put to listeners alone without anybody having said so.
fn leaves_connections_out(arguments: &Sockets, filter: &Filter) -> bool {
    !(filter.is_empty() || arguments.all || arguments.listening) && filter.states().is_none()
}

const ONLY_LISTENERS: &str = "only listeners were asked for; -a finds connections too";

/// The states in which a table tells who chose the port.
const SERVING: StateSet = StateSet::LISTENING.or(StateSet::of(State::Bound));
