//! The phrases by which runtimes and servers say that an address could not be had.

use super::Refused;
use crate::net::Transport;

/// The error that a line tells of, if it is one about an address or port.
pub(super) fn error(line: &str) -> Option<Refused> {
    let line = line.to_ascii_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| line.contains(phrase));
    match () {
        () if has(&WINDOWS_DENIED) => Some(Refused::WindowsDenied),
        () if has(&WINDOWS_IN_USE) => Some(Refused::WindowsInUse),
        () if has(&NOT_AVAILABLE) => Some(Refused::NotAvailable),
        () if has(&IN_USE) => Some(Refused::InUse),
        () if has(&["port"]) && has(&IN_USE_OF_PORT) => Some(Refused::InUse),
        // A file may be refused as well: the line must speak of sockets.
        () if has(&DENIED) && has(&SOCKETS) => Some(Refused::Denied),
        () => None,
    }
}

/// The transport that a line names.
pub(super) fn transport(line: &str) -> Option<Transport> {
    let mut words = line.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| match word.to_ascii_lowercase().as_str() {
        "tcp" | "tcp4" | "tcp6" => Some(Transport::Tcp),
        "udp" | "udp4" | "udp6" | "dgram" => Some(Transport::Udp),
        "sctp" => Some(Transport::Sctp),
        _ => None,
    })
}

/// Whether a line without an error may name the port that the error is about.
pub(super) fn is_about_ports(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    let is_trace = line.trim_start().starts_with("at ");
    !is_trace && ABOUT_PORTS.iter().any(|word| line.contains(word))
}

const IN_USE: [&str; 13] = [
    "eaddrinuse",
    "addrinuse",
    "address already in use",
    "address in use",
    "port is already allocated",
    "port already in use",
    "connection in use",
    "errno 98]",
    "errno 48]",
    "os error 98)",
    "os error 48)",
    "(98: ",
    "(48: ",
];

/// About a port, where the line names one too.
const IN_USE_OF_PORT: [&str; 10] = [
    "already be in use",
    "already in use",
    "is in use",
    "already used",
    "already taken",
    "already being used",
    "already running on port",
    "failed listening on port",
    "connector configured to listen on port",
    "is not available",
];

const NOT_AVAILABLE: [&str; 7] = [
    "eaddrnotavail",
    "addrnotavailable",
    "assign requested address",
    "address not available",
    "requested address is not valid in its context",
    "errno 99]",
    "errno 49]",
];

const DENIED: [&str; 5] = ["eacces", "permission denied", "errno 13]", "os error 13)", "(13: "];

const SOCKETS: [&str; 6] = ["bind", "listen", "socket", "address", "port", "make_sock"];

const WINDOWS_DENIED: [&str; 3] =
    ["wsaeacces", "forbidden by its access permissions", "winerror 10013"];

const WINDOWS_IN_USE: [&str; 4] =
    ["wsaeaddrinuse", "only one usage of each socket address", "winerror 10048", "errno 10048"];

const ABOUT_PORTS: [&str; 6] = ["port", "listen", "://", "bind", "address", "connector["];
