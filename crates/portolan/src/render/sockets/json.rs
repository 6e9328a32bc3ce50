//! Sockets for programs: one object a kernel socket, every key always there.

use std::collections::HashMap;
use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Gap;
use portolan_core::socket::{Address, Held, Socket};
use serde::{Serialize, Serializer};

use super::{View, gather};
use crate::render::json::Document;
use crate::render::namespace::{NamespaceJson, namespaces_json};
use crate::render::screen::Screen;
use crate::render::socket::SocketJson;

/// Prints the sockets as one document.
pub(crate) fn json(screen: &mut Screen, view: &View<'_>, gaps: &[Gap]) -> Result<()> {
    let sockets = gather::sorted(view.table);
    let groups = Groups::of(&sockets);
    let rows = Rows { view, sockets: &sockets, groups: &groups };
    let body = Body {
        engine: view.table.engine.as_str(),
        namespaces: namespaces_json(view.table),
        sockets: rows,
    };
    screen.json(&Document::new("sockets", body, gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    engine: &'static str,
    namespaces: Vec<NamespaceJson<'a>>,
    sockets: Rows<'a>,
}

/// Makes each object when its turn comes: a list of them all would hold the table twice.
struct Rows<'a> {
    view: &'a View<'a>,
    sockets: &'a [&'a Held],
    groups: &'a Groups<'a>,
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View { table, registry, command_lines, .. } = *self.view;
        serializer.collect_seq(self.sockets.iter().map(|held| {
            let socket = SocketJson::new(held, table, registry, command_lines);
            socket.in_group_of(self.groups.size(held))
        }))
    }
}

/// How many listeners share an address and port.
struct Groups<'a>(HashMap<Place<'a>, usize>);

type Place<'a> = (u64, &'static str, &'a Address, Option<&'a str>, bool);

impl<'a> Groups<'a> {
    fn of(sockets: &[&'a Held]) -> Self {
        let mut groups = HashMap::new();
        // Those that share a place stand side by side.
        for pair in sockets.windows(2).filter(|p| gather::shares_port(p[0], p[1])) {
            *groups.entry(place(&pair[0].socket)).or_insert(1) += 1;
        }
        Self(groups)
    }

    fn size(&self, held: &Held) -> Option<usize> {
        held.socket.is_listener().then(|| self.0.get(&place(&held.socket)).copied()).flatten()
    }
}

fn place(socket: &Socket) -> Place<'_> {
    let device = socket.device.as_deref();
    let transport = socket.transport.as_str();
    (socket.netns, transport, &socket.local, device, socket.is_dual_stack())
}
