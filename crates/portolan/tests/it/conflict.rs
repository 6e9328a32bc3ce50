//! The model of bind conflicts against the kernel: every combination is really bound.
//!
//! Works in a namespace of its own and on the library, as thousands of programs would take minutes;
//! `explain.rs` holds the program to the same answers.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use portolan_core::net::{Port, Transport};
use portolan_core::socket::conflict::{Claim, Judgement, judge};
use portolan_core::socket::passwd::Account;
use portolan_core::socket::{
    Bind, Held, LocalPorts, Reuse, Socket, SocketTransport, State, StateSet,
};
use portolan_host::as_user::as_user;
use portolan_host::bind::{attempt, hold};
use portolan_host::sockets::{InetFamily, Query, read};

use crate::support::{Netns, eventually, require_root};

/// The seven kinds of address, and whether they are v6-only.
const ADDRESSES: [(&str, bool); 7] = [
    ("0.0.0.0", false),
    ("127.0.0.1", false),
    ("127.0.0.2", false),
    ("::", false),
    ("::", true),
    ("::1", false),
    ("::ffff:127.0.0.1", false),
];
const OPTIONS: [Reuse; 4] = [Reuse::NONE, Reuse::ADDRESS, Reuse::PORT, Reuse::BOTH];
const PORT: Port = Port(18080);

fn bind(transport: Transport, (address, v6only): (&str, bool), reuse: Reuse) -> Bind {
    let address: IpAddr = address.parse().unwrap();
    Bind { v6only, ..Bind::at(transport, address, PORT).with(reuse) }
}

/// Every socket of the namespace we are in on a port, its options as they were set.
fn seen(port: Port, reuse: Reuse) -> Vec<Held> {
    let query = Query {
        transports: vec![SocketTransport::Tcp, SocketTransport::Udp],
        families: vec![InetFamily::V4, InetFamily::V6],
        states: StateSet::ALL,
        choice_of: StateSet::NONE,
        ephemeral: LocalPorts::default().ephemeral,
        netns: 1,
        elsewhere: Vec::new(),
    };
    let on_port = read(&query).value.into_iter().filter(|s| s.local_port() == Some(port));
    let with_options = on_port.map(|s| Socket { reuse: Some(reuse), ..s });
    with_options.map(|socket| Held { socket, holders: Vec::new(), unowned: None }).collect()
}

/// Binds, once the last one that was tried is gone.
fn taken(bind: &Bind, listening: bool) -> OwnedFd {
    eventually("the port is free", || seen(bind.port, Reuse::NONE).is_empty());
    if listening { attempt(bind) } else { hold(bind) }.unwrap()
}

/// The same, once the last one that was tried is gone.
fn alone(port: Port, reuse: Reuse) -> Vec<Held> {
    eventually("one socket on the port", || seen(port, reuse).len() == 1);
    seen(port, reuse)
}

/// What the model says to a wish of `uid`.
fn model(wish: &Bind, uid: u32, there: &[Held]) -> Judgement {
    judge(&Claim::of_bind(wish, uid, 1), there)
}

/// Counts cases, and remembers those in which the model and the kernel differ.
#[derive(Default)]
struct Tally {
    cases: usize,
    undecided: usize,
    differing: Vec<String>,
}

impl Tally {
    /// Holds the model's word against a bind. A process that another test starts just now has a
    /// copy of our sockets until it is a program of its own, so that a closed one lingers: what
    /// differs is asked again.
    fn take(
        &mut self,
        judgement: &Judgement,
        really: impl Fn() -> bool,
        case: impl FnOnce() -> String,
    ) {
        self.cases += 1;
        let Some(said) = judgement.is_bindable() else {
            self.undecided += 1;
            return;
        };
        let agrees = (0..100).any(|_| {
            let agrees = really() == said;
            if !agrees {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            agrees
        });
        if !agrees {
            self.differing.push(format!("{}: the model says {said}", case()));
        }
    }

    fn print(&self, what: &str) {
        let line = format!("{what}: {} cases, {} undecided\n", self.cases, self.undecided);
        // Past the harness, which would keep it to itself.
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
        assert!(self.differing.is_empty(), "{}", self.differing.join("\n"));
    }
}

#[test]
fn every_pair_of_binds_clashes_as_the_model_says() {
    require_root!();
    let tally = Netns::new().enter(|| {
        let mut tally = Tally::default();
        for transport in [Transport::Tcp, Transport::Udp] {
            for first in ADDRESSES {
                for options in OPTIONS {
                    for listening in [false, true] {
                        let there = bind(transport, first, options);
                        let _held = taken(&there, listening);
                        against(&there, listening, &mut tally);
                    }
                }
            }
        }
        tally
    });
    tally.print("bind conflicts, pairs of addresses, options, states and transports");
    assert_eq!(tally.cases, 7 * 7 * 4 * 4 * 2 * 2);
    assert_eq!(tally.undecided, 0);
}

/// Tries every address and option against what `there` holds.
fn against(there: &Bind, listening: bool, tally: &mut Tally) {
    let table = alone(PORT, there.reuse);
    for second in ADDRESSES {
        for options in OPTIONS {
            let wish = bind(there.transport, second, options);
            let really = || attempt(&wish).is_ok();
            tally.take(&model(&wish, 0, &table), really, || {
                format!("{there:?} listening {listening}, then {wish:?}")
            });
        }
    }
}

#[test]
fn another_user_shares_by_reuseaddr_and_not_by_reuseport() {
    require_root!();
    let nobody = Account { uid: 65534, gid: 65534 };
    let tally = Netns::new().enter(|| {
        let mut tally = Tally::default();
        for transport in [Transport::Tcp, Transport::Udp] {
            for theirs in OPTIONS {
                for listening in [false, true] {
                    let there = bind(transport, ("127.0.0.1", false), theirs);
                    let _held = taken(&there, listening);
                    let table = alone(PORT, theirs);
                    for ours in OPTIONS {
                        let wish = bind(transport, ("0.0.0.0", false), ours);
                        let really = || as_user(nobody, || attempt(&wish).is_ok()).unwrap();
                        tally.take(&model(&wish, nobody.uid, &table), really, || {
                            format!("{there:?} listening {listening}, then {wish:?} as nobody")
                        });
                    }
                }
            }
        }
        tally
    });
    tally.print("bind conflicts, another user");
    assert_eq!((tally.cases, tally.undecided), (64, 0));
}

#[test]
fn a_socket_limited_to_an_interface_leaves_the_port_to_others() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add left type veth peer name right");
    let tally = netns.enter(|| {
        let mut tally = Tally::default();
        for first in [None, Some("lo"), Some("left")] {
            let on = |device: Option<&str>| Bind {
                device: device.map(Into::into),
                ..bind(Transport::Tcp, ("0.0.0.0", false), Reuse::NONE)
            };
            let _held = taken(&on(first), true);
            let table = alone(PORT, Reuse::NONE);
            for second in [None, Some("lo"), Some("left")] {
                let really = || attempt(&on(second)).is_ok();
                tally.take(&model(&on(second), 0, &table), really, || {
                    format!("{first:?} {second:?}")
                });
            }
        }
        tally
    });
    tally.print("bind conflicts, interfaces");
    assert_eq!((tally.cases, tally.undecided), (9, 0));
}

/// A connection of a listener with options, as far along as a test wants it.
struct Connection {
    client: Option<TcpStream>,
    accepted: Option<TcpStream>,
    listener: Option<TcpListener>,
    port: Port,
}

impl Connection {
    fn new(options: Reuse) -> Self {
        let there = Bind { port: Port(0), ..bind(Transport::Tcp, ("127.0.0.1", false), options) };
        let listener = TcpListener::from(attempt(&there).unwrap());
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let port = Port(address.port());
        Self { client: Some(client), accepted: Some(accepted), listener: Some(listener), port }
    }

    fn until(self, state: State) -> Self {
        eventually("the connection's state", || {
            let there = seen(self.port, Reuse::NONE);
            there.len() == 1 && there[0].socket.state == state
        });
        self
    }

    fn established(options: Reuse) -> Self {
        let mut open = Self::new(options);
        open.listener = None;
        open.until(State::Established)
    }

    fn close_wait(options: Reuse) -> Self {
        let mut open = Self::established(options);
        open.client = None;
        open.until(State::CloseWait)
    }

    fn fin_wait_2(options: Reuse) -> Self {
        let mut open = Self::established(options);
        open.accepted = None;
        open.until(State::FinWait2)
    }

    fn time_wait(options: Reuse) -> Self {
        let mut open = Self::fin_wait_2(options);
        open.client = None;
        open.until(State::TimeWait)
    }
}

#[test]
fn what_a_listener_left_behind_blocks_as_the_model_says() {
    require_root!();
    let netns = Netns::new();
    let tally = netns.enter(|| {
        leftovers(&[Connection::established, Connection::close_wait, Connection::time_wait])
    });
    tally.print("bind conflicts, leftovers");
    assert_eq!((tally.cases, tally.undecided), (4 * 4 * 3 * 4, 0));
    // Whose an orphan was is not told: with SO_REUSEPORT on both sides only the kernel knows.
    let orphans = netns.enter(|| leftovers(&[Connection::fin_wait_2]));
    orphans.print("bind conflicts, orphans");
    assert_eq!(orphans.cases, 4 * 4 * 4);
    assert!(orphans.undecided <= 2 * 2 * 3, "{}", orphans.undecided);
}

/// Holds every combination of options and some addresses against what was left in these states.
fn leftovers(states: &[fn(Reuse) -> Connection]) -> Tally {
    let mut tally = Tally::default();
    for make in states {
        for theirs in OPTIONS {
            let left = make(theirs);
            let table = seen(left.port, theirs);
            for ours in OPTIONS {
                for address in ["127.0.0.1", "0.0.0.0", "127.0.0.9", "::"] {
                    let wish = bind(Transport::Tcp, (address, false), ours);
                    let wish = Bind { port: left.port, ..wish };
                    let really = || attempt(&wish).is_ok();
                    tally.take(&model(&wish, 0, &table), really, || {
                        format!("{:?} {theirs:?}, then {wish:?}", table[0].socket.state)
                    });
                }
            }
        }
    }
    tally
}

/// A client's socket, bound before it connects or not.
fn client(options: Option<Reuse>, server: SocketAddr) -> OwnedFd {
    let Some(options) = options else { return TcpStream::connect(server).unwrap().into() };
    let there = Bind { port: Port(0), ..bind(Transport::Tcp, ("127.0.0.1", false), options) };
    let socket = hold(&there).unwrap();
    rustix::net::connect(&socket, &server).unwrap();
    socket
}

#[test]
fn a_client_holds_its_port_as_the_model_says() {
    require_root!();
    let tally = Netns::new().enter(|| {
        let mut tally = Tally::default();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        for theirs in [None, Some(Reuse::NONE), Some(Reuse::ADDRESS), Some(Reuse::PORT)] {
            let socket = client(theirs, at);
            let port = TcpStream::from(socket.try_clone().unwrap()).local_addr().unwrap().port();
            let table = seen(Port(port), theirs.unwrap_or_default());
            for ours in OPTIONS {
                for address in ["127.0.0.1", "0.0.0.0", "127.0.0.9"] {
                    let wish = bind(Transport::Tcp, (address, false), ours);
                    let wish = Bind { port: Port(port), ..wish };
                    let really = || attempt(&wish).is_ok();
                    tally.take(&model(&wish, 0, &table), really, || {
                        format!("a client {theirs:?}, then {wish:?}")
                    });
                }
            }
        }
        tally
    });
    tally.print("bind conflicts, clients");
    assert_eq!((tally.cases, tally.undecided), (4 * 4 * 3, 0));
}

/// Numbers that look thrown and are the same on every run (splitmix64).
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        let sides = u64::try_from(of.len()).unwrap();
        of[usize::try_from(self.throw() % sides).unwrap()].clone()
    }

    /// A bind on a port, and who makes it.
    fn bind(&mut self, port: Port) -> (Bind, Account) {
        let transport = self.one(&[Transport::Tcp, Transport::Tcp, Transport::Udp]);
        let addresses = [&ADDRESSES[..], &[("::1", true), ("127.0.0.1", false)]].concat();
        let reuse = self.one(&OPTIONS);
        let address = self.one(&addresses);
        // IPv6 has [::1] on its own interface only (EADDRNOTAVAIL), whoever is there.
        let other = Some(if address.0 == "::1" { "lo" } else { "left" });
        let device = self.one(&[None, None, None, Some("lo"), other]);
        let there = bind(transport, address, reuse);
        let uid = self.one(&[0, 0, 0, 65534]);
        (Bind { port, device: device.map(Into::into), ..there }, Account { uid, gid: uid })
    }
}

/// What somebody did on a port: the socket, and its options in the end.
struct Deed {
    socket: OwnedFd,
    reuse: Reuse,
    said: String,
}

impl Deed {
    /// Binds as thrown and goes on as thrown; `None` where the kernel refuses the bind.
    fn thrown(dice: &mut Dice, port: Port, server: &TcpListener) -> Option<Self> {
        let (bind, user) = dice.bind(port);
        let further = dice.one(&["bound", "listens", "listens", "connects", "changes"]);
        let options = dice.one(&OPTIONS);
        // Who takes SO_REUSEPORT back is remembered as sharing all the same (tb->fastreuseport),
        // which nothing tells.
        let options = Reuse { port: options.port || bind.reuse.port, ..options };
        let socket = as_user(user, || hold(&bind)).unwrap().ok()?;
        let is_changed = further == "changes";
        match further {
            "listens" if bind.transport == Transport::Tcp => {
                let _ = rustix::net::listen(&socket, 8);
            }
            "connects" => {
                // From another interface nothing leads to the server.
                rustix::io::ioctl_fionbio(&socket, true).unwrap();
                let _ = rustix::net::connect(&socket, &server.local_addr().unwrap());
                let _ = server.accept();
            }
            "changes" => set(&socket, options),
            _ => {}
        }
        let reuse = if is_changed { options } else { bind.reuse };
        let said = format!("{bind:?} of {} {further} {reuse:?}", user.uid);
        Some(Self { socket, reuse, said })
    }

    fn inode(&self) -> u64 {
        rustix::fs::fstat(&self.socket).unwrap().st_ino
    }
}

fn set(socket: &OwnedFd, reuse: Reuse) {
    rustix::net::sockopt::set_socket_reuseaddr(socket, reuse.address).unwrap();
    rustix::net::sockopt::set_socket_reuseport(socket, reuse.port).unwrap();
}

#[test]
fn what_many_did_on_a_port_blocks_as_the_model_says() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add left type veth peer name right");
    netns.ip("link set left up");
    let tally = netns.enter(|| {
        let mut tally = Tally::default();
        let mut dice = Dice(20_000);
        let server = TcpListener::bind("127.0.0.1:9").unwrap();
        server.set_nonblocking(true).unwrap();
        for port in (10_000..12_000).map(Port) {
            let count = dice.one(&[1, 2, 2, 3, 4]);
            let deeds: Vec<Deed> =
                (0..count).filter_map(|_| Deed::thrown(&mut dice, port, &server)).collect();
            let mut table = seen(port, Reuse::NONE);
            for held in &mut table {
                let deed = deeds.iter().find(|deed| held.socket.inode == deed.inode());
                held.socket.reuse = deed.map(|deed| deed.reuse);
            }
            let (wish, user) = dice.bind(port);
            let really = || as_user(user, || attempt(&wish).is_ok()).unwrap();
            tally.take(&model(&wish, user.uid, &table), really, || {
                let said: Vec<&str> = deeds.iter().map(|deed| deed.said.as_str()).collect();
                format!("{}\n  then {wish:?} of {}", said.join("\n  "), user.uid)
            });
        }
        tally
    });
    tally.print("bind conflicts, many on a port");
}
