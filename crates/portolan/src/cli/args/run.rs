//! `portolan run`, and the hidden subcommand by which it starts.

use std::ffi::OsString;
use std::net::IpAddr;
use std::os::fd::RawFd;

use clap::Args;
use portolan_core::net::{Port, Transport};
use portolan_host::launch::Calls;

use crate::ops::run::{Listen, Remap, Wanted};

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Listen, and pass the socket on (LISTEN_FDS): NAME=PORT, NAME=ADDRESS:PORT or NAME=auto, the
    /// project's own number for NAME; with /udp a UDP socket
    #[arg(long, value_name = "NAME=PORT|auto", value_parser = listen)]
    pub(crate) listen: Vec<Listen>,
    /// A port the command insists on: its bind() goes to the project's own number instead, or to
    /// the one after `=`
    #[arg(long, value_name = "PORT[=PORT]", value_parser = remap)]
    pub(crate) remap: Vec<Remap>,
    /// Start the command again whenever it ends, after a growing pause when it ends at once, until
    /// TERM or INT
    #[arg(long)]
    pub(crate) restart: bool,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

pub(super) const HELP: &str = "\
Three ways, chosen by what is asked for:
  --listen  sockets that listen already are passed on from descriptor 3, with
            LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, PORT (the first) and
            PORT_NAME each. Whoever connects while the command starts, or starts
            again, waits in the queue: nobody is refused.
  (none)    PORT is the project's own number, held until the command listens on
            it. The command must set SO_REUSEADDR, as Node, Go, Rust, Java,
            nginx and Python's http.server do; for others take --remap.
  --remap   bind() to that port goes to another, for programs that insist on
            their port or lack SO_REUSEADDR; PORT is set too. No privilege is
            needed, and the command cannot gain any (sudo inside will not work).
            It sees its real port in getsockname(), which workers of Node's
            `cluster` take for a failed bind (EADDRINUSE). Not changed:
            connect(), 32-bit programs, binds through io_uring. It is no
            sandbox.

Examples: portolan run --listen web=auto -- ./server
          portolan run --remap 3000 -- npm start
          portolan run --listen web=9090 --listen api=auto -- ./server
          portolan run -- ./server

A number of its own stays with the project (git worktree or folder): `auto` is
that of `portolan pick --for NAME`, --remap 3000 that of `pick --for 3000`,
without flags that of `pick --for run`.

Signals are passed on. What the command leaves running when it ends can bind no
more ports under --remap.

Exit code: that of the command, 128+N after signal N; 125 when portolan itself
failed, 126 when the command cannot be run, 127 when there is none.";

/// What `run` tells the process that becomes the command.
#[derive(Debug, Args)]
pub(crate) struct StartCommand {
    /// The process that starts it
    #[arg(long, value_name = "PID")]
    pub(crate) parent: u32,
    /// A socket to pass on, by its descriptor
    #[arg(long, value_name = "DESCRIPTOR")]
    pub(crate) sockets: Vec<RawFd>,
    /// The calls to stop
    #[arg(long, value_name = "CALLS", requires = "tell")]
    pub(crate) watch: Option<Calls>,
    /// Where to send what answers them
    #[arg(long, value_name = "DESCRIPTOR", requires = "watch")]
    pub(crate) tell: Option<RawFd>,
    /// The command
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Reads `web=auto`, `web=8080`, `web=127.0.0.1:8080`, `web=[::1]:auto`, `dns=53/udp`.
fn listen(text: &str) -> Result<Listen, String> {
    let (name, place) = text.split_once('=').ok_or("expected NAME=PORT or NAME=auto")?;
    // sd_listen_fds_with_names(3): names stand between colons.
    if name.is_empty() || name.contains(|c: char| c == ':' || c.is_control()) {
        return Err(format!("`{name}` is no name: it is empty or has a colon"));
    }
    let (place, transport) = match place.split_once('/') {
        Some((place, "tcp")) => (place, Transport::Tcp),
        Some((place, "udp")) => (place, Transport::Udp),
        Some((_, other)) => return Err(format!("expected /tcp or /udp, found `/{other}`")),
        None => (place, Transport::Tcp),
    };
    let (address, port) = match place.rsplit_once(':') {
        Some((address, port)) => (Some(self::address(address)?), port),
        None => (None, place),
    };
    Ok(Listen { name: name.to_owned(), address, port: wanted(port)?, transport })
}

/// An IPv4 address, or an IPv6 address in brackets.
fn address(text: &str) -> Result<IpAddr, String> {
    let address = match text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
        Some(inner) => inner.parse().map(IpAddr::V6),
        None => text.parse().map(IpAddr::V4),
    };
    address.map_err(|_| format!("`{text}` is no address; IPv6 stands in brackets"))
}

/// Reads `3000` or `3000=4000`.
fn remap(text: &str) -> Result<Remap, String> {
    let (from, to) = match text.split_once('=') {
        Some((from, to)) => (from, wanted(to)?),
        None => (text, Wanted::Own),
    };
    Ok(Remap { from: port(from)?, to })
}

fn wanted(text: &str) -> Result<Wanted, String> {
    if text == "auto" { Ok(Wanted::Own) } else { port(text).map(Wanted::Port) }
}

/// A port that can be asked for; 0 would be another one every time.
fn port(text: &str) -> Result<Port, String> {
    match text.parse::<Port>() {
        Ok(Port(0)) => Err("0 is no port; say auto".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_socket_to_pass_on_has_a_name_and_a_place() {
        let web = |address, port, transport| {
            Ok(Listen { name: "web".to_owned(), address, port, transport })
        };
        let port = Wanted::Port(Port(80));
        assert_eq!(listen("web=auto"), web(None, Wanted::Own, Transport::Tcp));
        assert_eq!(listen("web=80/udp"), web(None, port, Transport::Udp));
        let loopback = Some(Ipv6Addr::LOCALHOST.into());
        assert_eq!(listen("web=[::1]:80"), web(loopback, port, Transport::Tcp));
        for wrong in ["80", "=80", "a:b=80", "web=0", "web=::1:80", "web=80/sctp", "web=x:80"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_change_has_one_or_two_ports() {
        assert_eq!(remap("3000"), Ok(Remap { from: Port(3000), to: Wanted::Own }));
        let to = Wanted::Port(Port(4000));
        assert_eq!(remap("3000=4000"), Ok(Remap { from: Port(3000), to }));
        assert!(remap("0").is_err());
        assert!(remap("3000=").is_err());
    }
}
