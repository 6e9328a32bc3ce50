//! The sockets of this network namespace and of others, as the kernel tells of them.
//!
//! sock_diag first; /proc/net only where a diag module or netlink itself is missing, with a gap
//! for what it cannot tell.

mod destroy;
mod diag;
mod elsewhere;
mod procnet;
mod stray;

use std::io;

pub use destroy::{DestroyError, destroy};
use diag::Diag;
use portolan_core::net::{Gap, Observed, PortRange, Why};
use portolan_core::socket::{Socket, SocketTransport, State, StateSet};
pub use portolan_core::wire::sock_diag::InetFamily;

use rustix::system::uname;

use crate::namespace::Place;
use crate::netlink::Dump;

/// Which sockets are wanted, and how much of them.
#[derive(Clone, Debug)]
pub struct Query {
    /// The transports.
    pub transports: Vec<SocketTransport>,
    /// The IP families; unix and packet sockets have their own.
    pub families: Vec<InetFamily>,
    /// The states. Kernels before 6.8 leave `State::Bound` out without a word.
    pub states: StateSet,
    /// In which states to find out who chose the port: that takes a second dump.
    pub choice_of: StateSet,
    /// What the kernel chooses ports from, to tell its choice from a program's.
    pub ephemeral: PortRange,
    /// The network namespace, as its inode; 0 where unknown.
    pub netns: u64,
    /// Other network namespaces to read as well.
    pub elsewhere: Vec<Place>,
}

/// Reads the sockets that `query` wants, in the kernel's order, namespace by namespace.
#[must_use]
pub fn read(query: &Query) -> Observed<Vec<Socket>> {
    let mut seen = read_here(query);
    for place in &query.elsewhere {
        seen.value.extend(elsewhere::read(place, query).into_value(&mut seen.gaps));
    }
    seen
}

/// Reads those of the network namespace this thread is in.
fn read_here(query: &Query) -> Observed<Vec<Socket>> {
    let mut reading = Reading { query, sockets: Vec::new(), gaps: Vec::new() };
    match Diag::open(query) {
        Ok(mut diag) => query.transports.iter().for_each(|t| reading.ask(*t, &mut diag)),
        Err(error) => reading.without_netlink(&error),
    }
    reading.tell_of_bound_sockets();
    Observed { value: reading.sockets, gaps: reading.gaps }
}

struct Reading<'q> {
    query: &'q Query,
    sockets: Vec<Socket>,
    gaps: Vec<Gap>,
}

impl Reading<'_> {
    fn ask(&mut self, transport: SocketTransport, diag: &mut Diag<'_>) {
        if !may_ask(transport) {
            return self.read_files(transport);
        }
        match diag.dump(transport, &mut self.sockets) {
            Ok(Dump::Whole) => {}
            Ok(Dump::Interrupted) => self.gaps.push(Gap::new(
                format!("some {transport} sockets: their table changed while it was read"),
                Why::Vanished,
                "ask again",
            )),
            // The diag module is missing, or something between us and the kernel refuses.
            Ok(Dump::Refused(_)) | Err(_) => self.read_files(transport),
        }
    }

    fn read_files(&mut self, transport: SocketTransport) {
        let files = procnet::read(self.query, transport, &mut self.sockets);
        if files.refused > 0 {
            let what = format!("{transport} sockets");
            self.gaps.push(Gap::new(what, Why::NotPermitted, "run with sudo"));
        }
        if files.bad_lines > 0 {
            let what = format!("{} lines of the {transport} table", files.bad_lines);
            self.gaps.push(Gap::new(what, Why::Unsupported, ""));
        }
        let has_cookies = matches!(transport, SocketTransport::Raw | SocketTransport::Icmp);
        if files.found && !has_cookies {
            self.gaps.push(Gap::aside(
                format!("cookie, accept queue, cgroup and IPV6_V6ONLY of {transport} sockets"),
                Why::Unsupported,
                "the kernel's sock_diag module for them is missing",
            ));
        }
    }

    /// Kernels before 6.8 leave sockets out that are bound and do not listen, without a word.
    fn tell_of_bound_sockets(&mut self) {
        let asked = self.query.states.contains(State::Bound)
            && self.query.transports.contains(&SocketTransport::Tcp);
        let release = uname();
        let release = release.release().to_string_lossy();
        if asked && is_before(&release, TELLS_BOUND) {
            self.gaps.push(Gap::aside(
                "TCP sockets that are bound and do not listen",
                Why::Unsupported,
                "Linux 6.8 and later tell of them",
            ));
        }
    }

    fn without_netlink(&mut self, error: &io::Error) {
        let why = match error.kind() {
            io::ErrorKind::PermissionDenied => Why::NotPermitted,
            _ => Why::Unsupported,
        };
        self.gaps.push(Gap::new(
            format!("what /proc/net does not tell: sockets bound without listening, accept queues, who chose a port ({error})"),
            why,
            "allow netlink sockets (AF_NETLINK), or run outside the sandbox",
        ));
        for transport in self.query.transports.clone() {
            procnet::read(self.query, transport, &mut self.sockets);
        }
    }
}

/// Whether a kernel's release, such as `6.1.0-44-amd64`, is older than a version.
fn is_before(release: &str, version: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) < version,
        _ => false,
    }
}

/// The kernel whose TCP dumps know bit 13 (BOUND_INACTIVE).
const TELLS_BOUND: (u32, u32) = (6, 8);

/// Whether to ask sock_diag for a transport. Asking makes the kernel load the module of one it
/// does not know yet, which a reader must not cause, and for echo sockets there is none.
fn may_ask(transport: SocketTransport) -> bool {
    match transport {
        SocketTransport::Icmp => false,
        SocketTransport::Sctp => std::path::Path::new("/proc/thread-self/net/sctp").exists(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        for (release, before) in [
            ("6.1.0-44-amd64", true),
            ("6.8.0", false),
            ("6.18.44", false),
            ("5.15.0-1", true),
            ("7.0-rc1", false),
            ("odd", false),
        ] {
            assert_eq!(is_before(release, TELLS_BOUND), before, "{release}");
        }
    }
}
