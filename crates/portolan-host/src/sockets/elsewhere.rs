//! The sockets of another network namespace: from inside where we may enter, else from the tables
//! that /proc has of a process there.

use std::io;

use portolan_core::net::{Gap, Observed, Why};
use portolan_core::socket::Socket;

use super::{Query, procnet, read_here, stray};
use crate::machine;
use crate::namespace::{Place, more_rights};

/// Reads the sockets that `query` wants in `place`.
pub(super) fn read(place: &Place, query: &Query) -> Observed<Vec<Socket>> {
    let inside = Query { netns: place.netns.inode, elsewhere: Vec::new(), ..query.clone() };
    let visit = || {
        // The range the kernel chooses from is each namespace's own.
        let ephemeral = machine::local_ports().value.ephemeral;
        read_here(&Query { ephemeral, ..inside.clone() })
    };
    match place.enter(visit) {
        Ok(mut seen) => {
            let name = place.netns.to_string();
            seen.gaps.iter_mut().for_each(|gap| gap.what = format!("{}, {name}", gap.what));
            seen
        }
        Err(_) if !place.strays.is_empty() => stray::read(place, &inside),
        // Its last process ended since, and its sockets with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = format!("sockets of {}", place.netns);
            Observed { value: Vec::new(), gaps: vec![Gap::aside(what, Why::Vanished, "")] }
        }
        Err(error) => read_tables(place, &inside, &error),
    }
}

/// What anybody may read: addresses, states, inodes. The kernel's choice of ports is not told.
fn read_tables(place: &Place, query: &Query, error: &io::Error) -> Observed<Vec<Socket>> {
    let (name, mut sockets, mut refused) = (place.netns.to_string(), Vec::new(), true);
    if let Some(folder) = place.tables() {
        for transport in &query.transports {
            let files = procnet::read_from(&folder, query, *transport, &mut sockets);
            refused &= files.refused > 0 || !files.found;
        }
    }
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied => Why::NotPermitted,
        _ => Why::Unsupported,
    };
    let what = if refused {
        format!("sockets of {name}")
    } else {
        format!(
            "what /proc/PID/net does not tell of {name}: sockets bound without listening, accept queues, who chose a port"
        )
    };
    Observed { value: sockets, gaps: vec![Gap::new(what, why, more_rights())] }
}
