//! Where this process was called from: the SSH connection or the console, and since when that is.

use std::env;
use std::fmt;
use std::net::IpAddr;

use portolan_core::firewall::Caller;
use portolan_core::net::{Endpoint, Port, PortRange};
use portolan_core::socket::procpid::Stat;
use portolan_core::socket::stop::ssh_connection;
use portolan_core::socket::{Address, Engine, SocketTransport, State, StateSet};
use rustix::param::clock_ticks_per_second;
use rustix::process::getuid;

use crate::machine;
use crate::owners::{Choice, Search};
use crate::processes::{self, Details};
use crate::sockets::{self, InetFamily, Query};

/// Who calls, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerInfo {
    /// Where the command comes from.
    pub caller: Caller,
    /// The real user.
    pub uid: u32,
    /// Who called sudo, as sudo says.
    pub sudo_uid: Option<u32>,
}

impl CallerInfo {
    /// As SSH_CONNECTION says it; empty without.
    pub(crate) fn ssh_text(&self) -> String {
        let ends = self.caller.ssh.map(|(peer, local)| {
            format!("{} {} {} {}", peer.address, peer.port, local.address, local.port)
        });
        ends.unwrap_or_default()
    }

    /// Whether it came in by a connection of this machine with itself: that shows nothing of others.
    pub(super) fn is_from_here(&self) -> bool {
        self.caller.ssh.is_some_and(|(peer, _)| is_own(peer.address))
    }

    pub(crate) fn ssh_of(text: &str) -> Option<(Endpoint, Endpoint)> {
        ssh_connection(text).map(|way| (way.peer, way.local))
    }
}

impl fmt::Display for CallerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sudo_uid {
            Some(sudo) => write!(f, "uid {sudo} (sudo)")?,
            None => write!(f, "uid {}", self.uid)?,
        }
        match self.caller.ssh {
            Some((peer, _)) => write!(f, " from {}", peer.address),
            None => Ok(()),
        }
    }
}

/// Looks at this process and what it descends from.
#[must_use]
pub fn caller() -> CallerInfo {
    let line = lineage();
    let ssh = connection(&line);
    let served_ms = ssh.and_then(|ends| served_since(&line, ends));
    let caller = Caller {
        ssh,
        is_served: served_ms.is_some(),
        is_at_console: line.first().is_some_and(|stat| is_console(stat.terminal)),
        // Nothing known: as old as can be.
        began_ms: served_ms.or_else(|| session_began(&line)).unwrap_or(0),
    };
    let sudo_uid = env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    CallerInfo { caller, uid: getuid().as_raw(), sudo_uid }
}

/// This process and all it descends from.
fn lineage() -> Vec<Stat> {
    let mut line: Vec<Stat> = Vec::new();
    let mut next = std::process::id();
    while next != 0 && line.len() < GENERATIONS && line.iter().all(|stat| stat.pid != next) {
        let text = std::fs::read(format!("/proc/{next}/stat")).ok();
        let Some(stat) = text.and_then(|text| Stat::parse(&text)) else { break };
        next = stat.parent;
        line.push(stat);
    }
    line
}

/// SSH_CONNECTION of the nearest that has it: sudo and su keep it to themselves.
fn connection(line: &[Stat]) -> Option<(Endpoint, Endpoint)> {
    line.iter().find_map(|stat| CallerInfo::ssh_of(&processes::environment(stat.pid, VARIABLE)?))
}

/// When the connection began: with the process that serves it, which sshd starts for each, and which we
/// must descend from; `None` where there is none. A session kept by tmux or screen descends from no
/// server, and what an environment says anybody may have written.
fn served_since(line: &[Stat], (peer, local): (Endpoint, Endpoint)) -> Option<u64> {
    let held = holders(|ours, theirs| is_same(ours, local) && is_same(theirs, peer));
    let servers = held.into_iter().flatten().filter(|pid| is_server(*pid));
    // What was forked from it later holds the socket too: the oldest counts. But who listens for all
    // connections is older than any, and does not hold it.
    servers.filter_map(|pid| line.iter().find(|stat| stat.pid == pid)).map(ticks_ms).min()
}

/// Whether `from`, which is not this machine, has a connection to `port` here whose server began after
/// `since_ms`: sshd starts a process for each as it accepts it.
pub(super) fn has_come_in(from: IpAddr, port: Port, since_ms: u64) -> bool {
    let from = from.to_canonical();
    if is_own(from) {
        return false;
    }
    let began = began(|ours, theirs| ours.port == port && theirs.address.to_canonical() == from);
    began.into_iter().any(|began| began > since_ms)
}

/// Whether an address is of loopback, or one of this machine's.
fn is_own(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_it = |own: IpAddr| own.to_canonical() == address;
    address.is_loopback() || machine::read().value.addresses.iter().any(|own| is_it(own.address))
}

/// The first moment at which a process that begins then is told from one that began before `since_ms`:
/// the next tick of the clock that processes are dated by.
pub(super) fn next_tick_ms(since_ms: u64) -> u64 {
    let rate = clock_ticks_per_second().max(1);
    let ticks = since_ms.saturating_mul(rate) / 1000 + 1;
    ticks.saturating_mul(1000).div_ceil(rate)
}

/// When the connections began between these ends.
fn began(is_meant: impl Fn(Endpoint, Endpoint) -> bool) -> Vec<u64> {
    let oldest = |pids: Vec<u32>| pids.into_iter().filter_map(started_ms).min();
    holders(is_meant).into_iter().filter_map(oldest).collect()
}

/// Who holds the connections between these ends, one list each.
fn holders(is_meant: impl Fn(Endpoint, Endpoint) -> bool) -> Vec<Vec<u32>> {
    let none = Vec::new;
    let Ok(no_port) = PortRange::new(Port(0), Port(0)) else { return none() };
    let query = Query {
        transports: vec![SocketTransport::Tcp],
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::of(State::Established),
        choice_of: StateSet::NONE,
        ephemeral: no_port,
        netns: 0,
        elsewhere: Vec::new(),
    };
    let mut found = sockets::read(&query).value;
    found.retain(|socket| {
        let ends = socket.local.endpoint().zip(socket.peer.as_ref().and_then(Address::endpoint));
        ends.is_some_and(|(ours, theirs)| is_meant(ours, theirs))
    });
    if found.is_empty() {
        return none();
    }
    let search = Search::begin(&query, Choice::Only(Engine::Procfs));
    let Ok(table) = search.attach(found, &query, Details::Brief) else { return none() };
    let held = table.value.sockets.iter();
    held.map(|held| held.holders.iter().map(|holder| holder.pid).collect()).collect()
}

fn is_same(a: Endpoint, b: Endpoint) -> bool {
    a.port == b.port && a.address.to_canonical() == b.address.to_canonical()
}

/// Whether a process runs the program of an SSH server, also one that was replaced since.
fn is_server(pid: u32) -> bool {
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let name = program.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    SERVERS.contains(&name.strip_suffix(" (deleted)").unwrap_or(name))
}

/// When the session began that this is in; not one that sudo or su made for itself.
fn session_began(line: &[Stat]) -> Option<u64> {
    let leaders = line.iter().filter(|stat| stat.pid == stat.session);
    let mut own = leaders.filter(|stat| !CHANGERS.contains(&&*stat.name));
    // Whose leader has ended: what is left of its session says nothing of when that began.
    own.next().map(ticks_ms)
}

fn started_ms(pid: u32) -> Option<u64> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Stat::parse(&text).as_ref().map(ticks_ms)
}

fn ticks_ms(stat: &Stat) -> u64 {
    stat.start_ticks.saturating_mul(1000) / clock_ticks_per_second().max(1)
}

/// Whether a device number is that of a terminal with a line of its own: a virtual console, a serial
/// line, a hypervisor's console; not a pseudo terminal (Documentation/admin-guide/devices.txt).
const fn is_console(device: u32) -> bool {
    let (major, minor) = ((device >> 8) & 0xfff, device & 0xff);
    match major {
        4 => minor > 0,
        204 | 229 => true,
        _ => false,
    }
}

/// Programs that run a command as somebody else, in a session of their own making.
const CHANGERS: [&str; 5] = ["sudo", "su", "doas", "run0", "runuser"];

/// Programs that hold the connections they serve.
const SERVERS: [&str; 4] = ["sshd", "sshd-session", "dropbear", "dropbearmulti"];

const VARIABLE: &str = "SSH_CONNECTION";
const GENERATIONS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudo_terminal_is_no_console() {
        assert!(!is_console(0x8800), "/dev/pts/0");
        assert!(!is_console(0));
        assert!(is_console(0x0401) && is_console(0x0440), "tty1, ttyS0");
        assert!(is_console(0xe500), "hvc0");
    }

    #[test]
    fn what_begins_in_the_next_tick_is_younger() {
        let rate = clock_ticks_per_second();
        for since in [0, 9, 10, 11, 12_345] {
            let next = next_tick_ms(since);
            assert!(next * rate / 1000 * 1000 / rate > since, "{since}");
            assert!(next - since <= 1000_u64.div_ceil(rate), "{since}");
        }
    }

    #[test]
    fn a_connection_with_itself_is_from_here() {
        let of = |peer: &str| CallerInfo {
            caller: Caller {
                ssh: CallerInfo::ssh_of(&format!("{peer} 40000 192.0.2.2 22")),
                is_served: true,
                is_at_console: false,
                began_ms: 0,
            },
            uid: 0,
            sudo_uid: None,
        };
        for peer in ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"] {
            assert!(of(peer).is_from_here(), "{peer}");
        }
        assert!(!of("203.0.113.5").is_from_here());
    }

    #[test]
    fn we_descend_from_somebody() {
        let line = lineage();
        assert_eq!(line[0].pid, std::process::id());
        assert!(line.len() > 1);
        assert!(ticks_ms(&line[1]) <= ticks_ms(&line[0]));
    }
}
