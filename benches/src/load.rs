//! A machine full of sockets: many processes that hold many descriptors each, in a network namespace
//! of their own, gone when it is dropped or its maker dies.

use std::env;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The word that makes this program one of the processes of a load, see [`hold`].
pub(crate) const HOLD: &str = "hold";

/// What each process of a load holds, besides its standard input and outputs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Each {
    /// TCP sockets that listen.
    pub(crate) listeners: usize,
    /// TCP connections to the first of them, both ends of each.
    pub(crate) connections: usize,
    /// Pairs of unix sockets.
    pub(crate) pairs: usize,
    /// Other files.
    pub(crate) files: usize,
}

/// Processes with sockets in a namespace of their own.
pub(crate) struct Load {
    namespace: String,
    children: Vec<Child>,
}

impl Load {
    /// Starts `processes` processes that hold `each`. Needs root.
    pub(crate) fn start(processes: usize, each: Each) -> io::Result<Self> {
        let namespace = format!("portolan-load-{}", std::process::id());
        ip(&["netns", "add", &namespace])?;
        let mut load = Self { namespace, children: Vec::with_capacity(processes) };
        ip(&["-n", &load.namespace, "link", "set", "lo", "up"])?;
        load.children = load.spawn(processes, each)?;
        for child in &mut load.children {
            let mut ready = String::new();
            let output = child.stdout.as_mut().expect("it is piped");
            BufReader::new(output).read_line(&mut ready)?;
            if ready.trim() != READY {
                return Err(io::Error::other("a process of the load could not bind its ports"));
            }
        }
        Ok(load)
    }

    /// A command that will run among them.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// The namespace's name, as `ip netns` shows it.
    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.namespace)
    }

    /// A thread enters the namespace, and what it starts is inside: one `nsenter` a process would
    /// take most of the time.
    fn spawn(&self, processes: usize, each: Each) -> io::Result<Vec<Child>> {
        let place = File::open(self.path())?;
        let program = env::current_exe()?;
        let start = |number: usize| {
            let mut command = Command::new(&program);
            let Each { listeners, connections, pairs, files } = each;
            let numbers = [number * listeners, listeners, connections, pairs, files];
            command.arg(HOLD).args(numbers.map(|number| number.to_string()));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        };
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
                (0..processes).map(start).collect()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
        let _ = ip(&["netns", "delete", &self.namespace]);
    }
}

/// What a process of the load does: listens on ports beginning at number `first` of the load, holds
/// the rest, says so, and ends with its standard input, that is with its maker.
pub(crate) fn hold(first: usize, each: Each) -> io::Result<()> {
    let allowed = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: allowed.maximum, ..allowed })?;
    let listeners: io::Result<Vec<TcpListener>> =
        (first..first + each.listeners).map(listen).collect();
    let listeners = listeners?;
    let mut kept = Vec::with_capacity(each.connections);
    for _ in 0..each.connections {
        let server = listeners.first().ok_or_else(|| io::Error::other("a server is needed"))?;
        kept.push((TcpStream::connect(server.local_addr()?)?, server.accept()?));
    }
    let pairs: io::Result<Vec<_>> = (0..each.pairs).map(|_| UnixStream::pair()).collect();
    let files: io::Result<Vec<File>> = (0..each.files).map(|_| File::open("/dev/null")).collect();
    let _kept = (pairs?, files?, kept);
    say(READY)?;
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Listener `number` of the load: 50,000 ports on each loopback address.
fn listen(number: usize) -> io::Result<TcpListener> {
    let address = Ipv4Addr::new(127, 0, 0, u8::try_from(1 + number / PORTS).unwrap_or(u8::MAX));
    let port = u16::try_from(FIRST_PORT + number % PORTS).expect("60,000 is the last one");
    TcpListener::bind((address, port))
}

fn say(word: &str) -> io::Result<()> {
    use std::io::Write as _;
    writeln!(io::stdout(), "{word}")
}

fn ip(words: &[&str]) -> io::Result<()> {
    let status = Command::new("ip").args(words).status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {} failed", words.join(" "))))
}

const READY: &str = "ready";
const FIRST_PORT: usize = 10_000;
const PORTS: usize = 50_000;
