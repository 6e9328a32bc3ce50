//! Sockets through the text files of /proc/net: where netlink or a diag module is missing.

use std::fs;
use std::io;
use std::path::Path;

use portolan_core::socket::procnet::Table;
use portolan_core::socket::{Family, Socket, SocketTransport};
use portolan_core::wire::sock_diag::InetFamily;

use super::Query;
use super::diag::Interfaces;

/// What the files of one transport gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Lines that could not be read.
    pub(super) bad_lines: usize,
    /// Files that are there but may not be read.
    pub(super) refused: usize,
    /// Whether any file is there: without one the kernel does not know the transport.
    pub(super) found: bool,
}

/// Appends the sockets of `transport` to `sockets`.
pub(super) fn read(query: &Query, transport: SocketTransport, sockets: &mut Vec<Socket>) -> Files {
    // Of this thread, which may have entered another namespace than the process.
    let (folder, interfaces) = (Path::new("/proc/thread-self/net"), Interfaces::default());
    read_in(folder, interfaces, query, transport, sockets)
}

/// The same from the tables of another namespace, whose interfaces have no names here.
pub(super) fn read_from(
    folder: &Path,
    query: &Query,
    transport: SocketTransport,
    sockets: &mut Vec<Socket>,
) -> Files {
    read_in(folder, Interfaces::nameless(), query, transport, sockets)
}

fn read_in(
    folder: &Path,
    mut interfaces: Interfaces,
    query: &Query,
    transport: SocketTransport,
    sockets: &mut Vec<Socket>,
) -> Files {
    let mut files = Files::default();
    for table in Table::of(transport).filter(|t| is_wanted(query, t.family)) {
        match fs::read(folder.join(table.file)) {
            Ok(text) => files.take(query, table, &text, &mut interfaces, sockets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => files.refused += 1,
        }
    }
    files
}

impl Files {
    fn take(
        &mut self,
        query: &Query,
        table: Table,
        text: &[u8],
        interfaces: &mut Interfaces,
        sockets: &mut Vec<Socket>,
    ) {
        self.found = true;
        for row in table.rows(text, query.netns) {
            let Ok(row) = row else {
                self.bad_lines += 1;
                continue;
            };
            if query.states.contains(row.socket.state) {
                let device = interfaces.name(row.interface);
                sockets.push(Socket { device, ..row.socket });
            }
        }
    }
}

fn is_wanted(query: &Query, family: Family) -> bool {
    match family {
        Family::Ipv4 => query.families.contains(&InetFamily::V4),
        Family::Ipv6 => query.families.contains(&InetFamily::V6),
        Family::Unix | Family::Packet => true,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portolan_core::net::PortRange;
    use portolan_core::socket::StateSet;

    use super::*;

    #[test]
    fn a_listener_is_found_in_the_text_table_with_its_inode() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let query = Query {
            transports: vec![SocketTransport::Tcp],
            families: vec![InetFamily::V4],
            states: StateSet::LISTENING,
            choice_of: StateSet::NONE,
            ephemeral: PortRange::ALL,
            netns: 0,
            elsewhere: Vec::new(),
        };
        let mut sockets = Vec::new();
        let files = read(&query, SocketTransport::Tcp, &mut sockets);
        assert_eq!(files, Files { found: true, ..Files::default() });
        let port = listener.local_addr().unwrap().port();
        let found = sockets.iter().find(|s| s.local_port().is_some_and(|p| p.0 == port)).unwrap();
        assert_ne!(found.inode, 0);
        assert!(sockets.iter().all(|s| query.states.contains(s.state)));
    }
}
