//! `portolan run`: sockets passed on, binds sent elsewhere, signals and ends of the command.

use std::collections::BTreeSet;
use std::fs::{Permissions, set_permissions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{BINARY, Netns, Program, eventually, require_root, skip};

/// A started command; killed with everything it started when dropped.
struct Running(Child);

impl Running {
    fn start(program: &Program) -> Self {
        Self(program.command().spawn().expect("the program starts"))
    }

    /// The first line of standard output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let output = self.0.stdout.as_mut().expect("it is piped");
        BufReader::with_capacity(1, output).read_line(&mut line).expect("it prints UTF-8");
        line.trim().to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        self.signal(signal);
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command gets SIGTERM from the kernel when we die (PR_SET_PDEATHSIG).
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python(script: &str) -> [String; 3] {
    ["/usr/bin/python3".to_owned(), "-c".to_owned(), script.to_owned()]
}

fn run(options: &str, command: &[String]) -> Program {
    let words = format!("run {options} --");
    command.iter().fold(Program::line(&words), Program::arg)
}

/// A state folder that any user may write to.
fn state() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder in /tmp");
    // Whatever the umask is.
    set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("it is ours");
    folder
}

/// On the project's own number, kept in a state folder of the test's own.
fn own(state: &TempDir, options: &str, command: &[String]) -> Program {
    run(options, command).folder(state.path()).env("XDG_STATE_HOME", state.path())
}

/// What a server at an address says before it closes.
fn read(namespace: &Netns, address: &str) -> Option<String> {
    let connect = || {
        let mut said = String::new();
        TcpStream::connect(address).ok()?.read_to_string(&mut said).ok()?;
        Some(said)
    };
    namespace.enter(connect)
}

#[test]
fn a_command_finds_its_sockets_from_descriptor_3_on() {
    require_root!();
    let namespace = Netns::new();
    let script = "
import fcntl, os, socket
names = ['LISTEN_FDS', 'LISTEN_FDNAMES', 'PORT', 'PORT_WEB', 'PORT_ADMIN_API', 'PORT_DNS']
print(*(os.environ[name] for name in names))
print(os.environ['LISTEN_PID'] == str(os.getpid()))
for fd in 3, 4, 5:
    s = socket.socket(fileno=os.dup(fd))
    listens = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    print(*s.getsockname()[:2], listens, fcntl.fcntl(fd, fcntl.F_GETFD))
s.close()
links = [f'/proc/self/fd/{fd}' for fd in os.listdir('/proc/self/fd')]
print(sum(os.readlink(link).startswith('socket:') for link in links if os.path.exists(link)))";
    let sockets = "--listen web=8080 --listen admin-api=127.0.0.1:8081 --listen dns=[::1]:53/udp";
    let ran = run(sockets, &python(script)).inside(&namespace).run().expect_code(0);
    let expected = "3 web:admin-api:dns 8080 8080 8081 53\nTrue\n:: 8080 1 0\n127.0.0.1 8081 1 0\n\
                    ::1 53 0 0\n3\n";
    assert_eq!(ran.stdout, expected);
}

/// What a server needs of sd_listen_fds(3), which serves some and ends.
const TAKES_ITS_SOCKET: &str = "
import os, socket
assert os.environ['LISTEN_PID'] == str(os.getpid())
s = socket.socket(fileno=3)
for _ in range(200):
    c, _ = s.accept()
    c.sendall(str(os.getpid()).encode())
    c.close()";

#[test]
fn of_1000_connects_during_5_restarts_none_is_refused() {
    require_root!();
    let namespace = Netns::new();
    let program = run("--listen web=8080 --restart", &python(TAKES_ITS_SOCKET));
    let running = Running::start(&program.inside(&namespace));
    eventually("the socket to listen", || namespace.output("ss -tlnH").contains(":8080"));
    let connect = || {
        let mut stream = TcpStream::connect("127.0.0.1:8080").expect("never refused");
        let mut said = String::new();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.read_to_string(&mut said).expect("served to its end");
        said
    };
    let client = || namespace.enter(|| (0..250).map(|_| connect()).collect::<Vec<String>>());
    let served: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        clients.into_iter().flat_map(|c| c.join().unwrap()).collect()
    });
    assert_eq!(served.len(), 1000);
    assert!(served.iter().all(|pid| !pid.is_empty()));
    let servers: BTreeSet<&String> = served.iter().collect();
    assert_eq!(servers.len(), 5, "five lives of 200 connections each");
    // Between two lives the last one's status stands, in the sixth the signal.
    assert!(matches!(running.end(Signal::TERM), Some(0 | 143)));
}

#[test]
fn who_connects_before_the_command_is_ready_waits() {
    require_root!();
    let namespace = Netns::new();
    let script = "
import socket, sys
sys.stdin.read(0); print('up', flush=True)
s = socket.socket(fileno=3)
import time; time.sleep(0.3)
c, _ = s.accept(); c.sendall(b'late'); c.close()";
    let mut running = Running::start(&run("--listen web=8080", &python(script)).inside(&namespace));
    assert_eq!(running.line(), "up");
    assert_eq!(read(&namespace, "[::1]:8080").as_deref(), Some("late"));
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_port_that_is_taken_ends_it_with_125() {
    require_root!();
    let namespace = Netns::new();
    let _server = namespace.listen("127.0.0.1:8080");
    for options in ["--listen web=8080", "--remap 3000=8080"] {
        let ran = run(options, &["true".to_owned()]).inside(&namespace).run().expect_code(125);
        assert!(ran.stderr.contains("port 8080: bind: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("hint: portolan explain 8080"), "{}", ran.stderr);
    }
}

#[test]
fn two_sockets_that_want_the_same_are_told_apart_from_a_port_that_is_taken() {
    let state = state();
    let words = ["true".to_owned()];
    let twice = own(&state, "--listen web=auto --listen web=127.0.0.1:auto", &words).run();
    let stderr = twice.expect_code(125).stderr;
    assert!(stderr.starts_with("error: --listen web and --listen web both want port"), "{stderr}");
    own(&state, "--listen web=127.0.0.1:auto --listen web=[::1]:auto", &words).run().expect_code(0);
    own(&state, "--listen web=auto --listen web=auto/udp", &words).run().expect_code(0);
}

#[test]
fn a_udp_port_that_is_taken_is_explained_as_one() {
    require_root!();
    let namespace = Netns::new();
    let _server = namespace.python("datagram('127.0.0.1:5353')");
    let words = ["true".to_owned()];
    let ran = run("--listen dns=5353/udp", &words).inside(&namespace).run().expect_code(125);
    assert!(ran.stderr.contains("hint: portolan explain 5353/udp"), "{}", ran.stderr);
}

/// Listens on 3000 as address and options say, from a thread, and says its real port to whoever
/// connects.
fn hard_coded(address: &str, before: &str) -> [String; 3] {
    python(&format!(
        "
import socket, threading
def bind():
    global s
    s = socket.socket(socket.AF_INET6 if ':' in '{address}' else socket.AF_INET)
    {before}
    s.bind(('{address}', 3000))
    s.listen()
t = threading.Thread(target=bind); t.start(); t.join()
print(s.getsockname()[1], flush=True)
while True:
    c, _ = s.accept(); c.sendall(str(s.getsockname()[1]).encode()); c.close()"
    ))
}

#[test]
fn a_hard_coded_port_becomes_another_for_every_kind_of_address() {
    require_root!();
    let namespace = Netns::new();
    let only_v6 = "s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)";
    let kinds = [
        ("127.0.0.1", "pass", "127.0.0.1:4000"),
        ("0.0.0.0", "pass", "127.0.0.1:4000"),
        ("::", "pass", "127.0.0.1:4000"),
        ("::", only_v6, "[::1]:4000"),
        ("::1", "pass", "[::1]:4000"),
        ("::ffff:127.0.0.1", "pass", "127.0.0.1:4000"),
    ];
    for (address, before, reached_at) in kinds {
        let command = hard_coded(address, before);
        let program = run("--remap 3000=4000", &command).inside(&namespace).by_user(65534);
        let mut running = Running::start(&program);
        assert_eq!(running.line(), "4000", "{address} {before}");
        assert_eq!(read(&namespace, reached_at).as_deref(), Some("4000"), "{address} {before}");
        assert_eq!(running.end(Signal::TERM), Some(143));
    }
}

/// Go's servers ask for it by default.
#[test]
fn a_hard_coded_port_becomes_another_for_multipath_tcp_too() {
    require_root!();
    let namespace = Netns::new();
    let script = "
import socket
try: s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM, 262)
except OSError as e: print(e)
else:
    s.bind(('::', 3000)); s.listen()
    print(s.getsockname()[1])";
    let ran = run("--remap 3000=4000", &python(script)).inside(&namespace).run().expect_code(0);
    if ran.stdout.contains("Protocol not") {
        skip!("the kernel has no Multipath TCP");
    }
    assert_eq!(ran.stdout, "4000\n");
}

#[test]
fn another_port_than_the_one_to_change_is_left_alone() {
    require_root!();
    let namespace = Netns::new();
    let script = "
import socket
kept = [socket.socket() for _ in range(3)]
kept[0].bind(('127.0.0.1', 3001))
kept[1].bind(('127.0.0.1', 0))
try: kept[2].bind(('192.0.2.1', 3002))
except OSError as e: print(e.errno)
u = socket.socket(socket.AF_UNIX); u.bind('\\0portolan-it-run')
print(kept[0].getsockname()[1], kept[1].getsockname()[1] > 0)";
    let ran = run("--remap 3000=4000", &python(script)).inside(&namespace).run().expect_code(0);
    assert_eq!(ran.stdout, "99\n3001 True\n");
}

#[test]
fn a_change_that_fails_is_told_to_the_command_and_to_its_user() {
    require_root!();
    let namespace = Netns::new();
    let script = "
import socket
one, two = socket.socket(), socket.socket()
one.bind(('127.0.0.1', 3000)); one.listen()
try: two.bind(('127.0.0.1', 3000))
except OSError as e: print(e.errno)";
    let ran = run("--remap 3000=4000", &python(script)).inside(&namespace).run().expect_code(0);
    assert_eq!(ran.stdout, "98\n");
    assert!(ran.stderr.starts_with("warning: 4000 instead of 3000: "), "{}", ran.stderr);
}

/// `run` inside `run`: the kernel lets one supervisor watch a call.
#[test]
fn a_second_watch_inside_the_first_is_refused() {
    let state = state();
    let inner = [BINARY, "run", "--remap", "3000", "--", "true"].map(str::to_owned);
    let outer = own(&state, "--remap 4000", &inner);
    let ran = outer.run().expect_code(125);
    assert!(ran.stderr.contains("true: watch its bind()"), "{}", ran.stderr);
    assert!(ran.stderr.contains("inside another `portolan run --remap`"), "{}", ran.stderr);
}

#[test]
fn the_end_of_the_command_is_ours() {
    let state = state();
    let cases = [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -9 $$", 137)];
    for (script, code) in cases {
        let words = ["sh".to_owned(), "-c".to_owned(), script.to_owned()];
        let ran = own(&state, "", &words).run().expect_code(code);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""), "{script}");
    }
    let missing = ["portolan-no-such-program".to_owned()];
    let ran = own(&state, "", &missing).run().expect_code(127);
    assert_eq!(ran.stderr, "error: portolan-no-such-program: command not found\n");
    let script = state.path().join("script");
    std::fs::write(&script, "#!/nonexistent/interpreter\n").unwrap();
    set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    let ran = own(&state, "", &[script.display().to_string()]).run().expect_code(127);
    assert!(ran.stderr.ends_with("/script: its interpreter is not there\n"), "{}", ran.stderr);
    let refused = ["/".to_owned()];
    own(&state, "--remap 3000", &refused).run().expect_code(126);
    for wrong in ["run", "run --remap 0 -- true", "--color never run --listen x -- true"] {
        Program::line(wrong).run().expect_code(125);
    }
    Program::line("run --help").run().expect_code(0);
}

/// Whoever runs the tests in the background has them ignored.
const DEFAULT_SIGNALS: [&str; 2] = ["env", "--default-signal"];

#[test]
fn signals_reach_the_command_once() {
    // Neither print(), which may not be interrupted by itself, nor pause(), which misses a signal
    // that comes just before it.
    let script = "
import os, signal, sys, time
def seen(n, _):
    os.write(1, b'%d\\n' % n)
    if n == signal.SIGTERM: sys.exit(42)
for n in signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH:
    signal.signal(n, seen)
os.write(1, b'up\\n')
while True: time.sleep(0.01)";
    let state = state();
    let program = own(&state, "", &python(script)).through(DEFAULT_SIGNALS);
    let mut running = Running::start(&program);
    assert_eq!(running.line(), "up");
    let all = [Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::WINCH];
    for signal in all {
        running.signal(signal);
        assert_eq!(running.line(), signal.as_raw().to_string());
    }
    running.signal(Signal::TERM);
    assert_eq!(running.line(), "15");
    assert_eq!(running.0.wait().unwrap().code(), Some(42));
}

/// The terminal sends it to the whole group; if we sent it on as well, there would be two.
#[test]
fn a_terminals_interrupt_reaches_the_command_once() {
    let counting = "
import signal, sys, time
count = 0
def seen(n, _):
    global count
    count += 1
signal.signal(signal.SIGINT, seen)
print('up', flush=True)
while count == 0: time.sleep(0.01)
time.sleep(0.3)
print('interrupts:', count, flush=True)
sys.exit(5)";
    let on_terminal = "
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0: os.execv(sys.argv[1], sys.argv[1:])
said = b''
while b'up' not in said: said += os.read(terminal, 1000)
os.write(terminal, b'\\x03')
try:
    while True: said += os.read(terminal, 1000)
except OSError: pass
print(said.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))";
    let mut command = Command::new(DEFAULT_SIGNALS[0]);
    command.args([DEFAULT_SIGNALS[1], "/usr/bin/python3", "-c", on_terminal]);
    let state = state();
    command.args([BINARY, "run", "--"]).env("XDG_STATE_HOME", state.path());
    let output = command.args(python(counting)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("interrupts: 1"), "{said}");
    assert!(said.trim_end().ends_with(" 5"), "{said}");
}

/// nohup(1), and a shell's `&` without job control.
#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let script = "
import signal
print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, signal.getsignal(signal.SIGUSR1) is signal.SIG_IGN)";
    let state = state();
    let ran = own(&state, "", &python(script))
        .through(["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"])
        .run()
        .expect_code(0);
    assert_eq!(ran.stdout, "True False\n");
}

#[test]
fn a_command_that_ends_at_once_is_started_again_after_growing_pauses() {
    let state = state();
    let lives = state.path().join("lives");
    let script = format!("echo life >> {}; exit 3", lives.display());
    let words = ["sh".to_owned(), "-c".to_owned(), script];
    let mut running = Running::start(&own(&state, "--restart", &words));
    let mut told = running.0.stderr.take().unwrap();
    let count = || std::fs::read_to_string(&lives).unwrap_or_default().lines().count();
    eventually("four lives", || count() >= 4);
    assert_eq!(running.end(Signal::TERM), Some(3));
    // 50 + 100 + 200 ms lie before the fourth; without pauses there would be hundreds.
    assert!(count() < 8, "{} lives", count());
    let mut log = String::new();
    told.read_to_string(&mut log).unwrap();
    assert!(
        log.starts_with("warning: ended with 3, starts again in 0.1 s\n"),
        "a log tells: {log}"
    );
}

#[test]
fn the_command_does_not_outlive_us() {
    let state = state();
    let script = "import os, time; print(os.getpid(), flush=True); time.sleep(60)";
    let mut running = Running::start(&own(&state, "", &python(script)));
    let pid: u32 = running.line().parse().unwrap();
    running.0.kill().unwrap();
    running.0.wait().unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{pid}/stat"));
    let is_gone = || match std::fs::read_to_string(&process) {
        // Nobody may be there to wait for it (pid 1 of a container).
        Ok(stat) => stat.contains(") Z "),
        Err(_) => true,
    };
    eventually("the command to end too", is_gone);
}

/// Killed just after it has started us, nobody would be told: the kernel tells of later deaths only.
#[test]
fn a_command_whose_portolan_is_gone_already_is_not_started() {
    let ran =
        Program::line("start-command --parent 4000000000 -- echo started").run().expect_code(125);
    assert_eq!(ran.stdout, "");
    assert_eq!(ran.stderr, "error: echo: not started: portolan has ended\n");
}

const NODE: &str = "
const server = require('http').createServer((asked, answer) => {
  answer.writeHead(200, { Connection: 'close' });
  answer.end(String(server.address().port));
});
server.listen(3000, () => console.log(server.address().port));";

#[test]
fn two_projects_with_the_same_hard_coded_port_both_serve() {
    require_root!();
    let namespace = Netns::new();
    let mut commands = vec![hard_coded("127.0.0.1", "pass").to_vec()];
    if Command::new("node").arg("--version").output().is_ok() {
        commands.push(["node", "-e", NODE].map(str::to_owned).to_vec());
    }
    for command in commands {
        let (state, projects) = (state(), [state(), state()]);
        let start = |project: &TempDir| {
            let program = own(&state, "--remap 3000", &command).folder(project.path());
            let mut running = Running::start(&program.inside(&namespace).by_user(65534));
            (running.line(), running)
        };
        let running = projects.each_ref().map(start);
        let ports: BTreeSet<&str> = running.iter().map(|(port, _)| port.as_str()).collect();
        assert_eq!(ports.len(), 2, "{ports:?} {command:?}");
        for port in ports {
            assert_ne!(port, "3000");
            let said = read_http(&namespace, &format!("127.0.0.1:{port}"));
            assert!(said.ends_with(port), "{said}");
        }
        let first = running[0].0.clone();
        drop(running);
        // The same number again for the same project.
        eventually("its port to be free", || !namespace.output("ss -tlnH").contains(&first));
        assert_eq!(start(&projects[0]).0, first);
    }
}

/// What a server says to a request, or to nobody in particular.
fn read_http(namespace: &Netns, address: &str) -> String {
    let talk = || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut said = String::new();
        // A server that does not read resets what it has not read; what it said arrived before.
        let _ = stream.read_to_string(&mut said);
        said
    };
    namespace.enter(talk)
}

/// A server as most are: it takes PORT and sets SO_REUSEADDR.
const TAKES_PORT: &str = "
import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', int(os.environ['PORT'])))
print(s.getsockname()[1], flush=True)
sys.stdin.readline()
s.listen()
while True: s.accept()";

#[test]
fn a_number_is_held_until_the_command_listens_on_it() {
    require_root!();
    let (namespace, state) = (Netns::new(), state());
    let program = own(&state, "", &python(TAKES_PORT)).inside(&namespace).input("");
    let mut command = program.command();
    let mut running = Running(command.spawn().unwrap());
    let port = running.line();
    let picked = Program::line("pick --for run").inside(&namespace).folder(state.path());
    let picked = picked.env("XDG_STATE_HOME", state.path()).run().expect_code(0);
    assert_eq!(picked.stdout.trim(), port);
    // Bound twice, by us and by the command, and nobody listens.
    let bound = || {
        let ran = Program::line("sockets --inactive -tnH").inside(&namespace).run().expect_code(0);
        ran.stdout.matches(&format!(":{port}")).count()
    };
    assert_eq!(bound(), 2);
    running.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    eventually("only the listener to be left", || bound() == 1);
    assert!(namespace.output("ss -tlnH").contains(&format!(":{port} ")));
    assert_eq!(running.end(Signal::TERM), Some(143));
}

#[test]
fn sockets_of_the_projects_own_number_are_named_as_pick_names_them() {
    require_root!();
    let (namespace, state) = (Netns::new(), state());
    let words = ["sh", "-c", "echo $PORT $PORT_ADMIN"].map(str::to_owned);
    let ran = own(&state, "--listen web=auto --listen admin=127.0.0.1:auto", &words);
    let ran = ran.inside(&namespace).run().expect_code(0);
    let picked = |name: &str| {
        let program = Program::new(["pick", "--for", name]).inside(&namespace);
        let program = program.folder(state.path()).env("XDG_STATE_HOME", state.path());
        program.run().expect_code(0).stdout.trim().to_owned()
    };
    assert_eq!(ran.stdout.trim(), format!("{} {}", picked("web"), picked("admin")));
}

/// Each process more that its user may have, the command comes one step further.
#[test]
fn at_the_limit_of_processes_it_says_what_it_cannot_start() {
    require_root!();
    let namespace = Netns::new();
    let command = ["true".to_owned()];
    let codes: BTreeSet<i32> = (1..8)
        .map(|most| {
            let limit = format!("--nproc={most}:{most}");
            let program = run("--remap 3000=4000", &command).inside(&namespace);
            program.through(["prlimit", &limit]).by_user(64_001).run().code // no panic: run() asserts it
        })
        .collect();
    assert_eq!(codes, BTreeSet::from([0, 125]));
}
