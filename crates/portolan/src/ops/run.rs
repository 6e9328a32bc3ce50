//! A command on ports of its own.
//!
//! Three grades. Sockets that listen already are passed on (sd_listen_fds(3)); a number is given in
//! `PORT` and held until the command listens on it; a number the command insists on is changed on
//! its way into the kernel.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use jiff::SignedDuration;
use portolan_core::net::{Port, Transport, TransportSet};
use portolan_core::socket::conflict::{Claim, Meeting};
use portolan_core::socket::{Bind, Reuse, SocketTransport, State, StateSet};
use portolan_host::bind::{self, Call, Refusal};
use portolan_host::bind_watch::{Arrival, BindWatch};
use portolan_host::clock;
use portolan_host::launch::{Calls, Launch, Output};
use portolan_host::sockets::{self, InetFamily, Query};
use rustix::io::Errno;

use crate::fault::Fault;
use crate::ops::command::{self, Attendance, Event, Meanwhile};
use crate::ops::inventory::Asked;
use crate::ops::{pick, project, reservations};
use crate::store::{Kind, Lease};

/// What is to be run, and on which ports.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Sockets to pass on.
    pub(crate) listen: Vec<Listen>,
    /// Ports to change.
    pub(crate) remap: Vec<Remap>,
    /// What becomes of it when it ends.
    pub(crate) ending: Ending,
    /// The program and its arguments.
    pub(crate) command: Vec<OsString>,
    /// The inventory whose ports are kept.
    pub(crate) asked: Asked,
}

/// What follows when the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// So do we.
    End,
    /// It is started again.
    Restart,
}

/// A socket to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    /// Its name in LISTEN_FDNAMES.
    pub(crate) name: String,
    /// Where it listens; `None` is every address of both families.
    pub(crate) address: Option<IpAddr>,
    /// Which port.
    pub(crate) port: Wanted,
    /// TCP or UDP.
    pub(crate) transport: Transport,
}

/// A port the command insists on, and where it is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remap {
    /// What the command asks for.
    pub(crate) from: Port,
    /// What it gets.
    pub(crate) to: Wanted,
}

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// This one.
    Port(Port),
    /// The project's own.
    Own,
}

/// What happens on the way, for people.
#[derive(Debug)]
pub(crate) enum Told {
    /// A bind was sent to another port.
    Remapped { from: Port, to: Port },
    /// A bind was sent to another port, and refused there.
    Refused { from: Port, to: Port, errno: Errno },
    /// The calls of a process could not be looked into; they were left alone.
    Unseen { pid: u32, error: io::Error },
    /// The command ended and is started again after a pause.
    Restarts { code: u8, after: Duration },
}

impl Told {
    /// Whether something did not go as asked.
    pub(crate) const fn is_warning(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Unseen { .. } => true,
            Self::Restarts { code, .. } => *code != 0,
            Self::Remapped { .. } => false,
        }
    }
}

/// Runs the command to its end; what it ended with, as a shell tells it.
///
/// # Errors
/// When a port cannot be had, or this program cannot be started again.
pub(crate) fn run(request: &Request, tell: &mut dyn FnMut(Told)) -> Result<u8> {
    let passed = Passed::open(&request.listen, &request.asked)?;
    let held = Held::take(request)?;
    let mut attendance = Attendance::begin()?;
    let mut running = Running { tell, held, keep: request.ending == Ending::Restart };
    let mut pause = Duration::ZERO;
    loop {
        let started = Instant::now();
        let environment = environment(&passed, &running.held);
        let launch = Launch {
            command: &request.command,
            environment: &environment,
            sockets: &passed.sockets,
            watch: (!request.remap.is_empty()).then_some(Calls::Bind),
            output: Output::Ours,
        };
        let (mut child, watch) = launch.start().context("start this program once more")?;
        if let Some(watch) = watch {
            let (changes, sender) = (running.held.changes.clone(), attendance.sender());
            let answer = move || change(&watch, &changes, &sender);
            if let Err(error) = thread::Builder::new().spawn(answer) {
                // Nobody would answer its first bind().
                let _ = child.kill();
                let _ = child.wait();
                return Err(error).context("start a thread that answers the command's calls");
            }
        }
        let status = attendance.wait(&mut child, &mut running)?;
        let code = command::code(status);
        let is_over = request.ending == Ending::End || NOT_STARTED.contains(&code);
        if is_over || attendance.asked_to_end.is_some() {
            return Ok(code);
        }
        pause = next_pause(pause, started.elapsed());
        (running.tell)(Told::Restarts { code, after: pause });
        attendance.pause(pause, &mut running);
        if attendance.asked_to_end.is_some() {
            return Ok(code);
        }
    }
}

/// None after a decent life, else twice the last one.
fn next_pause(last: Duration, lived: Duration) -> Duration {
    if lived >= DECENT_LIFE { Duration::ZERO } else { (last * 2).clamp(FIRST_PAUSE, LAST_PAUSE) }
}

/// Sockets that listen and are passed on.
#[derive(Debug, Default)]
struct Passed {
    sockets: Vec<OwnedFd>,
    /// Name and port of each.
    names: Vec<(String, Port)>,
}

impl Passed {
    fn open(wanted: &[Listen], asked: &Asked) -> Result<Self> {
        let mut passed = Self::default();
        for listen in wanted {
            let port = number(listen.port, &listen.name, listen.transport, asked)?;
            let socket = open(listen, port).map_err(|refusal| {
                let earlier = wanted.iter().zip(&passed.names).map(|(l, (_, port))| (l, *port));
                refused((listen, port), earlier, refusal)
            })?;
            let address = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
            passed.sockets.push(socket);
            passed.names.push((listen.name.clone(), Port(address.port())));
        }
        Ok(passed)
    }
}

/// Why a socket cannot be had: one that stands before it on the command line may be in its way.
fn refused<'l>(
    (listen, port): (&Listen, Port),
    mut earlier: impl Iterator<Item = (&'l Listen, Port)>,
    refusal: Refusal,
) -> anyhow::Error {
    let wish = claim(listen, port);
    let is_in_the_way = |(other, at): &(&Listen, Port)| {
        (other.transport, *at) == (listen.transport, port)
            && claim(other, *at).meets(&wish) == Meeting::Meet
    };
    match earlier.find(is_in_the_way) {
        Some((other, _)) if refusal.errno == Errno::ADDRINUSE => Fault::new(
            format!("--listen {} and --listen {} both want port {port}", other.name, listen.name),
            "give each a port or an address of its own",
        ),
        _ => taken(port, listen.transport, refusal),
    }
}

fn claim(listen: &Listen, port: Port) -> Claim {
    let bind = match listen.address {
        Some(address) => Bind::at(listen.transport, address, port),
        None => Bind::dual_stack(listen.transport, port),
    };
    Claim::of_bind(&bind, 0, 0)
}

/// Binds, and listens with as long a queue as the machine allows: it holds whoever connects while
/// the command starts again.
fn open(listen: &Listen, port: Port) -> Result<OwnedFd, Refusal> {
    let hold = |bind: &Bind| bind::hold(&bind.clone().with(willing(listen.transport)));
    let socket = match listen.address {
        Some(address) => hold(&Bind::at(listen.transport, address, port)),
        None => bind::everywhere(listen.transport, port, hold),
    }?;
    if listen.transport == Transport::Tcp {
        rustix::net::listen(&socket, LONGEST_QUEUE)
            .map_err(|errno| Refusal { call: Call::Listen, errno })?;
    }
    Ok(socket)
}

/// SO_REUSEADDR, where it does not let strangers in.
const fn willing(transport: Transport) -> Reuse {
    match transport {
        Transport::Tcp => Reuse::ADDRESS,
        _ => Reuse::NONE,
    }
}

/// Numbers that are held for the command until it listens on them.
#[derive(Debug, Default)]
struct Held {
    /// What the command asks for, and what it gets.
    changes: Vec<(Port, Port)>,
    /// The number in PORT.
    port: Option<Port>,
    /// Bound, not listening, with SO_REUSEADDR: any server that sets it too may bind beside.
    holders: Vec<(Port, OwnedFd)>,
    /// How long to wait before looking again who listens.
    patience: Duration,
}

impl Held {
    fn take(request: &Request) -> Result<Self> {
        let mut held = Self { patience: FIRST_LOOK, ..Self::default() };
        for remap in &request.remap {
            let to = number(remap.to, &remap.from.to_string(), Transport::Tcp, &request.asked)?;
            held.hold(to)?;
            held.changes.push((remap.from, to));
        }
        held.port = held.changes.first().map(|(_, to)| *to);
        if request.listen.is_empty() && request.remap.is_empty() {
            let port = number(Wanted::Own, NAME, Transport::Tcp, &request.asked)?;
            held.hold(port)?;
            held.port = Some(port);
        }
        Ok(held)
    }

    fn hold(&mut self, port: Port) -> Result<()> {
        let hold = |bind: &Bind| bind::hold(&bind.clone().with(willing(Transport::Tcp)));
        let holder = bind::everywhere(Transport::Tcp, port, hold)
            .map_err(|r| taken(port, Transport::Tcp, r))?;
        self.holders.push((port, holder));
        Ok(())
    }

    /// Lets go of every number somebody listens on: nobody else was able to.
    fn let_go(&mut self) {
        let listening = listening();
        self.holders.retain(|(port, _)| !listening.contains(port));
    }
}

/// The TCP ports somebody listens on.
fn listening() -> Vec<Port> {
    let query = Query {
        transports: vec![SocketTransport::Tcp],
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::of(State::Listen),
        choice_of: StateSet::NONE,
        ephemeral: portolan_host::machine::local_ports().value.ephemeral,
        netns: 0,
        elsewhere: Vec::new(),
    };
    sockets::read(&query).value.iter().filter_map(|s| s.local.endpoint().map(|e| e.port)).collect()
}

/// The number that is wanted; the project's own is the one `pick --for NAME` gives.
fn number(wanted: Wanted, name: &str, transport: Transport, asked: &Asked) -> Result<Port> {
    if let Wanted::Port(port) = wanted {
        return Ok(port);
    }
    let project = project::here()?;
    if let Some(port) = known(name, transport, &project)? {
        return Ok(port);
    }
    let request = pick::Request {
        transports: TransportSet::NONE.with(transport),
        ..pick::Request::named(name, project, asked.clone())
    };
    // What could not be seen of other programs' ports does not matter: it is bound at once.
    let report = pick::pick(&request)?.value;
    report.ports.first().copied().ok_or_else(|| {
        Fault::new(format!("no number left for {name}"), format!("portolan pick --for {name}"))
    })
}

/// The number that was given before, not long ago, and is free: whatever rules numbers out was looked
/// at then, and looking again would cost more than all the rest of the start.
fn known(name: &str, transport: Transport, project: &Path) -> Result<Option<Port>> {
    let now = clock::now();
    let is_fresh = |lease: &Lease| now.duration_since(lease.used) < FRESH;
    let rows = reservations::list()?.into_iter().filter(|lease| {
        lease.kind == Kind::Project
            && lease.project == project
            && lease.name.as_deref() == Some(name)
    });
    let first = rows.min_by_key(|lease| lease.rank);
    let fresh = first.filter(|l| is_fresh(l) && l.transports.contains(transport));
    let can_be_had = |port| {
        let hold = |bind: &Bind| bind::hold(&bind.clone().with(willing(transport)));
        bind::everywhere(transport, port, hold).is_ok()
    };
    Ok(fresh.map(|lease| lease.port).filter(|port| can_be_had(*port)))
}

fn taken(port: Port, transport: Transport, refusal: Refusal) -> anyhow::Error {
    let what = match transport {
        Transport::Tcp => port.to_string(),
        other => format!("{port}/{other}"),
    };
    Fault::new(format!("port {what}: {refusal}"), format!("portolan explain {what}"))
}

/// What the command is told.
fn environment(passed: &Passed, held: &Held) -> Vec<(OsString, OsString)> {
    let mut all: Vec<(String, String)> = Vec::new();
    if !passed.sockets.is_empty() {
        let names: Vec<&str> = passed.names.iter().map(|(name, _)| name.as_str()).collect();
        all.push(("LISTEN_FDS".to_owned(), names.len().to_string()));
        all.push(("LISTEN_FDNAMES".to_owned(), names.join(":")));
    }
    let first = passed.names.first().map(|(_, port)| *port);
    if let Some(port) = first.or(held.port) {
        all.push(("PORT".to_owned(), port.to_string()));
    }
    let named = passed.names.iter().map(|(name, port)| (variable(name), port.to_string()));
    all.extend(named);
    all.into_iter().map(|(name, value)| (name.into(), value.into())).collect()
}

/// `PORT_ADMIN_API` for `admin-api`.
fn variable(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("PORT_{}", name.chars().map(letter).collect::<String>())
}

/// Answers the binds of a command: those on a number to change go to the other, also when the
/// command knows the other already and lacks SO_REUSEADDR; the rest is left alone.
fn change(watch: &BindWatch, changes: &[(Port, Port)], sender: &Sender<Event<Told>>) {
    loop {
        let told = match watch.next() {
            Ok(Arrival::Asked(asked)) => {
                let port = asked.bind.port;
                let change = changes.iter().find(|(from, to)| port == *from || port == *to);
                let Some(&(_, to)) = change else { continue };
                let outcome = asked.perform_at(to);
                asked.answer(outcome);
                match outcome {
                    Ok(()) => Told::Remapped { from: port, to },
                    Err(errno) => Told::Refused { from: port, to, errno },
                }
            }
            Ok(Arrival::Unseen(pid, error)) => Told::Unseen { pid, error },
            Ok(Arrival::Over) | Err(_) => return,
        };
        if sender.send(Event::Told(told)).is_err() {
            return;
        }
    }
}

/// While the command runs.
struct Running<'t> {
    tell: &'t mut dyn FnMut(Told),
    held: Held,
    /// Whether the numbers stay held: the command will need them again.
    keep: bool,
}

impl Meanwhile<Told> for Running<'_> {
    fn told(&mut self, told: Told) {
        (self.tell)(told);
    }

    fn again(&mut self) -> Option<Duration> {
        if self.keep || self.held.holders.is_empty() {
            return None;
        }
        self.held.let_go();
        self.held.patience = (self.held.patience * 2).min(LAST_LOOK);
        (!self.held.holders.is_empty()).then_some(self.held.patience)
    }
}

/// What the number in PORT belongs to within its project, for a command without flags.
const NAME: &str = "run";

/// For how long a number is taken as it was given.
const FRESH: SignedDuration = SignedDuration::from_hours(1);

/// The codes of a command that was not started: starting it again would change nothing.
const NOT_STARTED: [u8; 3] = [125, 126, 127];

/// Who lived as long may be started again at once.
const DECENT_LIFE: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// Looking who listens costs some 0.1 ms.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOK: Duration = Duration::from_millis(500);

/// somaxconn caps it (4096 by default since Linux 5.4).
const LONGEST_QUEUE: i32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_a_variable() {
        assert_eq!(variable("web"), "PORT_WEB");
        assert_eq!(variable("admin-api.2"), "PORT_ADMIN_API_2");
    }

    #[test]
    fn pauses_grow_until_a_decent_life() {
        let mut pause = Duration::ZERO;
        let mut pauses = Vec::new();
        for _ in 0..9 {
            pause = next_pause(pause, Duration::from_millis(5));
            pauses.push(pause.as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(next_pause(pause, Duration::from_secs(2)), Duration::ZERO);
    }
}
