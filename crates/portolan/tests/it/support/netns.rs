//! Network namespaces and the servers in them: the real kernel, none of the machine's own ports.
//!
//! A namespace is made with `ip netns`, so that its name is visible as an administrator's would be.
//! Its name carries our process id; one whose process has ended is removed by the next run.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PREFIX: &str = "portolan-it";
const FOLDER: &str = "/run/netns";

/// A network namespace with its loopback up, gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    /// A new, empty namespace. Ask [`super::require_root`] first.
    pub(crate) fn new() -> Self {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        SWEPT.call_once(remove_leftovers);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let namespace = Self { name: format!("{PREFIX}-{}-{number}", std::process::id()) };
        ip(&["netns", "add", &namespace.name]);
        namespace.ip("link set lo up");
        namespace
    }

    /// Its name, as `ip netns` shows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub(crate) fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// `ip -n NAME …`, split at blanks; it must succeed.
    #[track_caller]
    pub(crate) fn ip(&self, line: &str) {
        let words: Vec<&str> = ["-n", &self.name].into_iter().chain(line.split(' ')).collect();
        ip(&words);
    }

    /// A command that will run inside, its mounts and cgroup left as they are.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg(program);
        command
    }

    /// What a command prints inside, split at blanks; it must succeed: `ns.output("ss -tlnH")`.
    #[track_caller]
    pub(crate) fn output(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program's name");
        let output = self.command(program).args(words).output().expect("nsenter is installed");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {complaint}");
        String::from_utf8(output.stdout).expect("output is UTF-8")
    }

    /// Runs `work` on a thread inside: sockets it makes belong to this namespace and this process.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let place = File::open(self.path()).expect("the namespace is there");
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A Python program inside, see [`Server::start`].
    pub(crate) fn python(&self, script: &str) -> Server {
        Server::start(self.command("setpriv"), &["--pdeathsig", "KILL"], script)
    }

    /// The same as another user without groups.
    pub(crate) fn python_as(&self, uid: u32, script: &str) -> Server {
        let uid = uid.to_string();
        let user = ["--reuid", &uid, "--regid", &uid, "--clear-groups", "--pdeathsig", "KILL"];
        Server::start(self.command("setpriv"), &user, script)
    }

    /// A TCP server inside on `address`, such as `127.0.0.1:18080` or `[::]:80`.
    pub(crate) fn listen(&self, address: &str) -> Server {
        self.python(&format!("listener({address:?})"))
    }
}

impl Netns {
    /// A TCP server inside whose listener only an io_uring holds, and the ring's descriptor; `None`
    /// where io_uring is not to be had.
    pub(crate) fn listen_in_ring(&self, address: &str) -> Option<(Server, i32)> {
        let server = self.python(&format!(
            "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
SETUP, REGISTER, FILES = 425, 427, 2
ring = libc.syscall(SETUP, 8, ctypes.create_string_buffer(120))
s = listener({address:?})
files = (ctypes.c_int * 1)(s.fileno())
done = ring >= 0 and libc.syscall(REGISTER, ring, FILES, files, 1) == 0
s.close()
print(ring if done else 'no')"
        ));
        let ring = server.said.parse().ok()?;
        Some((server, ring))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// A process that holds sockets until it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Closing the input is a second way to end the script; a closed output would break it.
    _pipes: (Option<ChildStdin>, BufReader<ChildStdout>),
    /// What the script printed on its way.
    pub(crate) said: String,
}

impl Server {
    /// Starts Python, waits until the script has run through, and keeps it alive.
    ///
    /// The script has `socket`, `os`, `sys`, `json` imported, `listener(ADDRESS, backlog=5)` and
    /// `bound(ADDRESS, kind)` to make sockets that stay open, and may `print` facts
    /// (`print(os.getpid())`), found in `said`.
    pub(crate) fn start(mut through: Command, options: &[&str], script: &str) -> Self {
        let script =
            format!("{PRELUDE}\n{script}\nprint({READY:?}, flush=True)\nsys.stdin.read()\n");
        let python = if Path::new(PYTHON).exists() { PYTHON } else { "python3" };
        through.args(options).args([python, "-c", &script]).current_dir("/");
        through.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = through.spawn().expect("Python is installed (scripts/setup)");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut said = String::new();
        while !said.ends_with(&format!("{READY}\n")) {
            let read = output.read_line(&mut said).expect("Python speaks UTF-8");
            assert!(read > 0, "the Python server ended before it was ready:\n{script}");
        }
        let said = said.trim_end_matches(&format!("{READY}\n")).trim().to_owned();
        Self { _pipes: (child.stdin.take(), output), child, said }
    }

    /// A Python program outside any namespace made here, on the machine itself.
    pub(crate) fn python(script: &str) -> Self {
        Self::start(Command::new("setpriv"), &["--pdeathsig", "KILL"], script)
    }

    /// Its process: `nsenter` and `setpriv` have become the script.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's own, before whatever stands first in somebody's PATH and nobody else may read.
const PYTHON: &str = "/usr/bin/python3";

/// What a script says when it has run through.
const READY: &str = "the sockets are open";

const PRELUDE: &str = r#"
import json, os, socket, sys
kept = []
def bound(address, kind=socket.SOCK_STREAM, options=()):
    host, port = address.rsplit(":", 1)
    host, _, zone = host.strip("[]").partition("%")
    six = ":" in host
    s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind)
    kept.append(s)
    for level, name, value in options:
        s.setsockopt(level, name, value)
    s.bind((host, int(port), 0, socket.if_nametoindex(zone) if zone else 0) if six else (host, int(port)))
    return s
def listener(address, backlog=5, options=()):
    reuse = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s = bound(address, options=[reuse, *options])
    s.listen(backlog)
    return s
def datagram(address, options=()):
    return bound(address, socket.SOCK_DGRAM, options)
"#;

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("iproute2 (scripts/setup)");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {}: {complaint}", words.join(" "));
}

/// Removes namespaces of test processes that are gone.
fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    for name in entries.flatten().filter_map(|e| e.file_name().into_string().ok()) {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').nth(1));
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = Command::new("ip").args(["netns", "delete", &name]).status();
        }
    }
}
