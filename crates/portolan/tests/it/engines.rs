//! Two ways to find owners, one answer: what the kernel's own program says is what /proc says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::ss::sockets;
use crate::support::{Netns, Program, Server, require_root, skip};

/// A crowd with every way to hold a socket that both engines must tell alike.
const CROWD: &str = "import ctypes, threading, time
share = [(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]
listener('127.0.0.1:18080'); listener('[::]:18081'); datagram('0.0.0.0:18082')
listener('127.0.0.1:18083', options=share); listener('127.0.0.1:18083', options=share)
only = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)]
bound('[::1]:18084', options=only).listen(); bound('127.0.0.1:18085')
u = socket.socket(socket.AF_UNIX); u.bind('\\0portolan-engines-' + str(os.getpid())); u.listen()
pair = socket.socketpair(); kept += [u, *pair]
a = socket.create_connection(('127.0.0.1', 18080)); b = kept[0].accept()[0]; kept += [a, b]
os.dup(kept[0].fileno())
for _ in range(3):
    if os.fork() == 0: sys.stdin.read(); os._exit(0)
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
ended = os.fork()
if ended == 0:
    for _ in range(3): threading.Thread(target=lambda: time.sleep(600)).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
import atexit, signal
while open(f'/proc/{ended}/stat').read().split(') ')[1][0] != 'Z': time.sleep(0.005)
print(ended)";

fn ask(netns: &Netns, words: &str, engine: &str) -> Value {
    let document =
        Program::line(words).arg("--engine").arg(engine).inside(netns).run().expect_code(0).json();
    assert_eq!(document["engine"], engine);
    document
}

/// What both engines must say alike of each socket.
fn told(document: &Value) -> Vec<Value> {
    let mut told: Vec<Value> = sockets(document).to_vec();
    for socket in &mut told {
        // The kernel's records tell it of connections too, where sock_diag is silent.
        let socket = socket.as_object_mut().expect("an object");
        socket.remove("v6only");
        socket.remove("reuse");
    }
    told
}

/// Ends the process whose first thread has ended: closing its input does not.
struct Ended(i32);

impl Ended {
    fn of(server: &Server) -> Self {
        Self(server.said.parse().expect("a pid"))
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.0) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

#[test]
fn both_engines_name_the_same_owners_of_every_socket() {
    require_root!();
    let netns = Netns::new();
    let root = netns.python(CROWD);
    let stranger = netns.python_as(65534, CROWD.replace("1808", "1908").as_str());
    let _ended = [Ended::of(&root), Ended::of(&stranger)];
    if !runs_here(&netns) {
        skip!("the bpf engine does not run here");
    }
    for words in ["sockets --json", "sockets -a --inactive --json", "sockets -a -x --json"] {
        let (bpf, procfs) = (ask(&netns, words, "bpf"), ask(&netns, words, "procfs"));
        assert!(sockets(&bpf).len() > 5, "{bpf:#}");
        assert_eq!(told(&bpf), told(&procfs), "{words}");
        assert_eq!(bpf["gaps"], procfs["gaps"], "{words}");
    }
    let text = |engine: &str| {
        let ran = Program::line("sockets -a --engine").arg(engine).inside(&netns).run();
        ran.expect_code(0).stdout
    };
    assert_eq!(text("bpf"), text("procfs"));
}

/// Outside a namespace of ours other programs come and go: what both saw twice must agree.
#[test]
fn both_engines_agree_on_the_whole_machine() {
    require_root!();
    if !runs_here(&Netns::new()) {
        skip!("the bpf engine does not run here");
    }
    let ask = |engine: &str| {
        let ran = Program::line("sockets -a --json --engine").arg(engine).run();
        owners(&ran.expect_code(0).json())
    };
    let (before, bpf, after) = (ask("procfs"), ask("bpf"), ask("procfs"));
    for (cookie, owners) in before.iter().filter(|(c, owners)| after.get(c) == Some(owners)) {
        if let Some(found) = bpf.get(cookie) {
            assert!(found.is_superset(owners), "{cookie}: {found:?}, {owners:?}");
        }
    }
}

fn owners(document: &Value) -> BTreeMap<u64, BTreeSet<String>> {
    let sockets = sockets(document).iter();
    let known = sockets.filter_map(|s| Some((s["cookie"].as_u64()?, &s["owners"])));
    let words = |owners: &Value| {
        let owners = owners.as_array().expect("a list").iter();
        owners.map(|o| format!("{} {} {}", o["pid"], o["fd"], o["process"])).collect()
    };
    known.map(|(cookie, owners)| (cookie, words(owners))).collect()
}

#[test]
fn the_kernel_tells_of_connections_whether_they_refuse_ipv4() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "listener('[::1]:18080'); c = socket.create_connection(('::1', 18080)); kept.append(c)
kept.append(kept[0].accept()[0])",
    );
    if !runs_here(&netns) {
        skip!("the bpf engine does not run here");
    }
    let document = ask(&netns, "sockets -a --json state established", "bpf");
    assert_eq!(sockets(&document).len(), 2);
    for socket in sockets(&document) {
        // Who binds to an address of IPv6 refuses IPv4 by that (net/ipv6/af_inet6.c).
        let accepted = socket["local"]["port"] == 18080;
        assert_eq!(socket["v6only"], accepted, "{document:#}");
    }
}

#[test]
fn where_the_bpf_engine_cannot_run_it_says_why_and_what_helps() {
    require_root!();
    let ran = Program::line("sockets --engine bpf").by_user(65534).run().expect_code(2);
    assert!(ran.stderr.contains("bpf engine"), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: ") && ran.stderr.contains("--engine procfs"),
        "{}",
        ran.stderr
    );
    let inside = Program::line("sockets --engine bpf")
        .through(["unshare", "--pid", "--fork", "--mount-proc"])
        .run()
        .expect_code(2);
    assert!(inside.stderr.contains("pid namespace"), "{}", inside.stderr);
    let blind = Program::line("sockets --engine bpf")
        .through(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"])
        .run()
        .expect_code(2);
    assert!(blind.stderr.contains("hint: mount /proc"), "{}", blind.stderr);
    let contained = Program::line("sockets --engine bpf")
        .through(["setpriv", "--bounding-set=-all", "--inh-caps=-all"])
        .run()
        .expect_code(2);
    assert!(!contained.stderr.contains("sudo"), "root already: {}", contained.stderr);
}

#[test]
fn without_a_choice_the_engine_that_runs_is_taken_and_named() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18080");
    let ask = |program: Program| program.run().expect_code(0).json();
    let stranger = Program::line("sockets --json").inside(&netns).by_user(65534);
    assert_eq!(ask(stranger)["engine"], "procfs");
    let contained = Program::line("sockets --json").inside(&netns).through([
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
    ]);
    assert_eq!(ask(contained)["engine"], "procfs");
    let document = ask(Program::line("sockets --json").inside(&netns));
    assert_eq!(sockets(&document)[0]["owners"][0]["pid"], server.pid());
}

/// Sockets in another namespace than their process's are found by their own.
#[test]
fn a_process_that_left_a_namespace_still_holds_its_socket_there() {
    require_root!();
    let netns = Netns::new();
    if !runs_here(&netns) {
        skip!("the bpf engine does not run here");
    }
    let here = netns.enter(|| std::net::TcpListener::bind("127.0.0.1:18080").expect("it is free"));
    let document = ask(&netns, "sockets --json", "bpf");
    let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
    let pids: Vec<&Value> =
        socket["owners"].as_array().expect("a list").iter().map(|o| &o["pid"]).collect();
    assert!(pids.contains(&&json!(std::process::id())), "{document:#}");
    drop(here);
}

/// A thread may leave the table of its process for one of its own (unshare(2)), also where the first
/// thread has ended.
#[test]
fn a_socket_that_only_one_thread_holds_has_an_owner_by_either_engine() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import ctypes, threading, time
libc = ctypes.CDLL(None)
def alone(port, ready):
    assert libc.unshare(0x400) == 0 # CLONE_FILES
    listener(f'127.0.0.1:{port}'); ready.wait(); time.sleep(600)
def start(*ports):
    ready = threading.Barrier(len(ports) + 1)
    for port in ports: threading.Thread(target=alone, args=(port, ready), daemon=True).start()
    ready.wait()
start(18080)
child = os.fork()
if child == 0:
    start(18081, 18082)
    libc.syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
while open(f'/proc/{child}/stat').read().split(') ')[1][0] != 'Z': time.sleep(0.005)
print(child)",
    );
    let ended = Ended::of(&server);
    let mut engines = vec!["procfs"];
    engines.extend(runs_here(&netns).then_some("bpf"));
    for engine in engines {
        let document = ask(&netns, "sockets --json", engine);
        let pids = sockets(&document).iter().map(|s| s["owners"][0]["pid"].clone());
        let expected = [json!(server.pid()), json!(ended.0), json!(ended.0)];
        assert_eq!(pids.collect::<Vec<_>>(), expected, "{engine}: {document:#}");
    }
}

fn runs_here(netns: &Netns) -> bool {
    Program::line("sockets --engine bpf").inside(netns).run().code == 0
}

/// Walking the text tables makes the kernel format every connection of the machine.
#[test]
fn a_list_of_listeners_opens_no_table_of_proc_net() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("listener('127.0.0.1:18080'); datagram('[::1]:18081')");
    for engine in ["auto", "procfs"] {
        let trace = ["strace", "-f", "-qq", "-e", "trace=open,openat", "-o", "|cat >&2"];
        let ran =
            Program::line("sockets -l --engine").arg(engine).inside(&netns).through(trace).run();
        if ran.stdout.is_empty() {
            skip!("strace cannot be run: {}", ran.stderr);
        }
        assert!(ran.stdout.contains(":18080"), "{}", ran.stdout);
        assert!(ran.stderr.contains("openat("), "{}", ran.stderr);
        let tables: Vec<&str> = ran.stderr.lines().filter(|l| is_socket_table(l)).collect();
        assert!(tables.is_empty(), "{engine}: {tables:#?}");
    }
}

/// `/proc/net/tcp`, `/proc/thread-self/net/udp6` …
fn is_socket_table(line: &str) -> bool {
    ["tcp", "udp", "raw", "unix", "packet", "icmp", "netlink"]
        .iter()
        .any(|table| line.contains(&format!("/net/{table}")))
}
