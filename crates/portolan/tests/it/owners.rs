//! Owners of sockets: all of them, the right ones, and never "nobody" where somebody may be hidden.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use serde_json::{Value, json};

use crate::support::ss::{owners, owners_of, sockets};
use crate::support::{Netns, Program, WITHOUT_NETLINK, eventually, require_root, skip};

fn listed(netns: &Netns) -> Value {
    Program::line("sockets --json").inside(netns).run().expect_code(0).json()
}

#[test]
fn every_holder_of_a_shared_socket_is_named() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "listener('127.0.0.1:18080')
workers = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        sys.stdin.read(); os._exit(0)
    workers.append(pid)
print(*workers)",
    );
    let document = listed(&netns);
    let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
    let mut expected: Vec<u32> = server.said.split(' ').map(|pid| pid.parse().unwrap()).collect();
    expected.push(server.pid());
    expected.sort_unstable();
    let found = socket["owners"].as_array().unwrap().iter();
    assert_eq!(found.map(|o| o["pid"].clone()).collect::<Vec<_>>(), expected);
}

#[test]
fn sockets_that_share_a_port_are_a_group_each_with_its_own_process() {
    require_root!();
    let netns = Netns::new();
    let share =
        "listener('127.0.0.1:18080', options=[(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)])";
    let servers = [netns.python(share), netns.python(share), netns.python(share)];
    let document = listed(&netns);
    let mut pids = Vec::new();
    for socket in sockets(&document) {
        assert_eq!(socket["reuseport_group"], 3, "{socket:#}");
        assert_eq!(socket["owners"].as_array().unwrap().len(), 1);
        pids.push(socket["owners"][0]["pid"].as_u64().unwrap());
    }
    let mut expected: Vec<u64> = servers.iter().map(|s| s.pid().into()).collect();
    pids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(pids, expected);
    let text = Program::line("sockets").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("3 sockets share this port"), "{text}");
}

#[test]
fn owners_of_listeners_are_those_ss_names() {
    require_root!();
    let netns = Netns::new();
    let script = |port: u16| {
        format!(
            "listener('127.0.0.1:{port}'); datagram('0.0.0.0:{port}'); listener('[::1]:{port}')
listener('0.0.0.0:0')
if os.fork() == 0: sys.stdin.read(); os._exit(0)"
        )
    };
    let _servers = [18001, 18002, 18003].map(|port| netns.python(&script(port)));
    let ours = owners_of(&listed(&netns));
    assert_eq!(ours.len(), 12);
    assert_eq!(ours, owners(&netns, "-tulpnH"));
}

#[test]
fn owners_are_found_while_processes_come_and_go() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18080");
    let _crowd = netns.python(
        "import threading
def churn():
    while True:
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitpid(pid, 0)
threading.Thread(target=churn, daemon=True).start()",
    );
    for _ in 0..8 {
        let document = listed(&netns);
        let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
        assert_eq!(socket["owners"][0]["pid"], server.pid(), "{document:#}");
        assert_eq!(document["gaps"], json!([]));
    }
}

#[test]
fn a_process_that_ends_while_it_is_read_is_no_error() {
    require_root!();
    let netns = Netns::new();
    let _crowd = netns.python(
        "import threading
def churn():
    while True:
        pid = os.fork()
        if pid == 0:
            s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(1); os._exit(0)
        os.waitpid(pid, 0)
threading.Thread(target=churn, daemon=True).start()",
    );
    for _ in 0..8 {
        let ran = Program::line("sockets --json --strict").inside(&netns).run();
        assert!(ran.code == 0 || ran.stdout.contains("not-permitted"), "{}", ran.stdout);
    }
}

#[test]
fn a_hostile_process_name_is_shown_not_obeyed() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "listener('127.0.0.1:18080')
open('/proc/self/comm', 'wb').write(b'\\x1b[2J\\x1b]0;x\\x07\\n\\xff')",
    );
    let text =
        Program::line("sockets --cmdline --color always").inside(&netns).run().expect_code(0);
    assert!(text.stdout.contains("\\x1b[2J"), "{}", text.stdout);
    let painted = text.stdout.replace("\x1b[0m", "").replace("\x1b[1m", "").replace("\x1b[2m", "");
    assert!(!painted.contains(['\x1b', '\x07']), "{:?}", text.stdout);
    let document = listed(&netns);
    let name = sockets(&document)[0]["owners"][0]["process"].as_str().unwrap();
    assert!(name.starts_with("\x1b[2J\x1b]0;x\x07"), "{name:?}");
}

#[test]
fn a_stranger_is_told_that_owners_are_hidden_and_by_what() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:18080");
    let ask = |words: &str| Program::line(words).inside(&netns).by_user(STRANGER).run();
    let document = ask("sockets --json").expect_code(0).json();
    assert_eq!(sockets(&document)[0]["owners"], json!([]));
    assert_eq!(sockets(&document)[0]["owner_gap"], "not-permitted");
    assert_eq!(
        document["gaps"],
        json!([{"what": "the owner of 1 socket", "why": "not-permitted", "hint": "run with sudo"}])
    );
    let strict = ask("sockets --strict").expect_code(3);
    assert!(strict.stdout.contains("not visible"), "{}", strict.stdout);
}

#[test]
fn a_stranger_sees_the_owner_of_what_is_their_own() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python_as(STRANGER, "listener('127.0.0.1:18080')");
    let ran = Program::line("sockets --json --strict").inside(&netns).by_user(STRANGER).run();
    let document = ran.expect_code(0).json();
    assert_eq!(sockets(&document)[0]["owners"][0]["pid"], server.pid());
    assert_eq!(document["gaps"], json!([]));
}

#[test]
fn a_proc_that_hides_processes_is_a_gap() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:18080");
    let hide = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let ran = Program::line("sockets --json --strict")
        .inside(&netns)
        .through(["unshare", "--mount", "sh", "-c", hide, "sh"])
        .by_user(STRANGER)
        .run()
        .expect_code(3);
    let document = ran.json();
    assert_eq!(sockets(&document)[0]["owner_gap"], "not-permitted");
    let hint = document["gaps"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("hidepid"), "{hint}");
}

#[test]
fn without_netlink_the_text_tables_tell_what_they_can_and_the_rest_is_a_gap() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python("listener('127.0.0.1:18080'); datagram('[::1]:18081')");
    let ran = Program::line("sockets --json --strict")
        .inside(&netns)
        .through(["python3", "-c", WITHOUT_NETLINK])
        .run()
        .expect_code(3);
    let document = ran.json();
    let seen: Vec<_> = sockets(&document).iter().map(|s| &s["local"]).collect();
    assert_eq!(
        seen,
        [
            &json!({"address": "127.0.0.1", "port": 18080}),
            &json!({"address": "::1", "port": 18081})
        ]
    );
    for socket in sockets(&document) {
        assert_eq!(socket["owners"][0]["pid"], server.pid());
        assert_eq!(socket["port_choice"], Value::Null);
        assert_eq!(socket["cookie"], Value::Null);
    }
    let what = document["gaps"][0]["what"].as_str().unwrap();
    assert!(what.contains("/proc/net"), "{what}");
}

#[test]
fn without_netlink_interfaces_still_have_their_names() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "for dev in (b'lo', None):
    s = socket.socket(socket.AF_INET6); s.bind(('::1', 18080)) if dev else s.bind(('::1', 18081))
    if dev: s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, dev)
    s.listen(); kept.append(s)
p = socket.socket(17, socket.SOCK_DGRAM, 0x0608); p.bind(('lo', 0x0806)); kept.append(p)",
    );
    let ask = |words: &str| {
        let blind = Program::line(words).inside(&netns);
        blind.through(["python3", "-c", WITHOUT_NETLINK]).run().expect_code(0)
    };
    assert_eq!(sockets(&ask("sockets -0 --json").json())[0]["device"], "lo");
    ask("sockets dev lo");
}

#[test]
fn where_proc_is_missing_the_hint_is_to_mount_it() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:18080");
    let ran = Program::line("sockets --json")
        .inside(&netns)
        .through(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc && exec \"$@\"", "sh"])
        .run()
        .expect_code(0);
    let gaps = ran.json()["gaps"].clone();
    let owner = gaps.as_array().unwrap().iter().find(|g| g["what"] == "the owner of 1 socket");
    assert_eq!(owner.expect("a gap")["hint"], "mount /proc");
}

#[test]
fn a_tunnels_port_belongs_to_the_kernel() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    netns.ip("link set vx0 up");
    let document = listed(&netns);
    for socket in sockets(&document) {
        assert_eq!(socket["local"]["port"], 4789);
        let kernel = json!([{"pid": null, "process": "kernel", "exe": null, "user": null,
            "started": null, "fd": null, "via": "kernel", "netns": null}]);
        assert_eq!(socket["owners"], kernel);
        assert_eq!(socket["owner_gap"], Value::Null);
    }
    assert!(!sockets(&document).is_empty());
    assert_eq!(document["gaps"], json!([]));
}

#[test]
fn a_socket_that_only_an_io_uring_holds_has_an_owner() {
    require_root!();
    let netns = Netns::new();
    let Some((server, ring)) = netns.listen_in_ring("127.0.0.1:18080") else {
        skip!("io_uring is not to be had");
    };
    let document = listed(&netns);
    let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
    let owner = &socket["owners"][0];
    assert_eq!((&owner["pid"], &owner["fd"]), (&json!(server.pid()), &json!(ring)));
    assert_eq!((&owner["via"], &socket["owner_gap"]), (&json!("io-uring"), &Value::Null));
}

/// TCP and packet sockets can be mapped; the mapping keeps them when the descriptor is closed.
#[test]
fn a_socket_that_only_a_mapping_holds_has_an_owner() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import mmap
s = listener('127.0.0.1:18080')
libc = __import__('ctypes').CDLL(None)
libc.mmap.restype = __import__('ctypes').c_void_p
print(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, s.fileno(), 0) != 2 ** 64 - 1)
s.close()",
    );
    assert_eq!(server.said, "True");
    for words in ["sockets --json", "sockets --json --engine procfs"] {
        let document = Program::line(words).inside(&netns).run().expect_code(0).json();
        let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
        let owner = &socket["owners"][0];
        assert_eq!((&owner["pid"], &owner["fd"]), (&json!(server.pid()), &Value::Null));
        assert_eq!((&owner["via"], &socket["owner_gap"]), (&json!("mapping"), &Value::Null));
    }
    let who = Program::line("who 18080").inside(&netns).run().expect_code(0).stdout;
    assert!(who.contains("by memory it is mapped into"), "{who}");
    Program::line("kill 18080 --yes").inside(&netns).run().expect_code(0);
}

/// A fork bomb leaves its user nothing, and that is when one asks.
#[test]
fn where_no_thread_is_to_be_had_it_is_answered_without() {
    require_root!();
    let netns = Netns::new();
    let user = 64_000; // nobody else's, so that no other process counts
    let _server = netns.python("listener('127.0.0.1:18080')");
    for words in ["sockets", "sockets -a", "sockets --all-netns", "status", "who 18080"] {
        let alone = Program::line(words).inside(&netns).through(["prlimit", "--nproc=1:1"]);
        let ran = alone.by_user(user).run();
        assert!(ran.code == 0 || ran.code == 3, "{words}: {}", ran.stderr);
        assert!(ran.stdout.contains("18080"), "{words}: {}{}", ran.stdout, ran.stderr);
    }
}

/// A script that has a process send sockets over a unix socket that nobody reads, then close them.
fn sender(kind: &str, addresses: &[&str]) -> String {
    format!(
        "near, far = socket.socketpair(socket.AF_UNIX, socket.{kind})
child = os.fork()
if child == 0:
    near.close()
    sys.stdin.read(); os._exit(0)
fd = far.fileno(); far.close()
for address in {addresses:?}:
    s = listener(address)
    socket.send_fds(near, [b'x'], [s.fileno()]); s.close()
print(child, fd)"
    )
}

#[test]
fn a_socket_on_its_way_belongs_to_the_process_that_may_receive_it() {
    require_root!();
    for kind in ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET"] {
        let netns = Netns::new();
        let server = netns.python(&sender(kind, &["127.0.0.1:18080"]));
        let (receiver, fd) = server.said.split_once(' ').expect("two numbers");
        // By either engine, and looking takes nothing away.
        for words in ["sockets --json", "sockets --json --engine procfs"] {
            let document = Program::line(words).inside(&netns).run().expect_code(0).json();
            let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
            let owners = socket["owners"].as_array().unwrap();
            let [owner] = &owners[..] else { panic!("one owner: {socket:#}") };
            assert_eq!(owner["pid"], receiver.parse::<u32>().unwrap());
            assert_eq!(owner["fd"], fd.parse::<i32>().unwrap());
            assert_eq!((&owner["via"], &socket["owner_gap"]), (&json!("in-flight"), &Value::Null));
        }
        let text = Program::line("who 18080").inside(&netns).run().expect_code(0).stdout;
        assert!(text.contains("not received yet"), "{text}");
    }
}

#[test]
fn what_waits_behind_another_message_has_a_likely_receiver_only() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(&sender("SOCK_STREAM", &["127.0.0.1:18080", "127.0.0.1:18081"]));
    let receiver: u32 = server.said.split_once(' ').expect("two numbers").0.parse().unwrap();
    let document = listed(&netns);
    let [first, second] = sockets(&document) else { panic!("two sockets: {document:#}") };
    assert_eq!((&first["owners"][0]["pid"], &first["owner_gap"]), (&json!(receiver), &Value::Null));
    let owner = &second["owners"][0];
    assert_eq!((&owner["pid"], &owner["via"]), (&json!(receiver), &json!("in-flight")));
    // Where even root may not look into every process, a hidden one may hold it as well.
    let gap = &second["owner_gap"];
    assert!(gap == "in-flight" || gap == "not-permitted", "{second:#}");
    let text = Program::line("sockets").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("likely python"), "{text}");
}

#[test]
fn a_process_whose_first_thread_has_ended_still_owns_its_sockets() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import ctypes, threading, time
listener('127.0.0.1:18080')
child = os.fork()
if child == 0:
    threading.Thread(target=lambda: time.sleep(60)).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)
for s in kept: s.close()
import atexit, signal
while open(f'/proc/{child}/stat').read().split(') ')[1][0] != 'Z': time.sleep(0.005)
print(child)",
    );
    let document = listed(&netns);
    let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
    let child = server.said.parse::<u32>().expect("a pid");
    assert_eq!(socket["owners"][0]["pid"], child, "{document:#}");
    let pid = rustix::process::Pid::from_raw(child.cast_signed()).expect("not zero");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("our own");
}

#[test]
fn the_cgroup_of_a_socket_names_unit_and_candidate_to_a_stranger() {
    require_root!();
    let Some(cgroup) = Cgroup::new("x.service") else { skip!("no unified cgroup hierarchy") };
    let netns = Netns::new();
    let procs = cgroup.service.join("cgroup.procs");
    let server = netns.python(&format!(
        "open({procs:?}, 'w').write(str(os.getpid()))\nlistener('127.0.0.1:28001')"
    ));
    let stranger = |words: &str| Program::line(words).inside(&netns).by_user(STRANGER).run();

    let document = stranger("sockets --json --cmdline").expect_code(0).json();
    let [socket] = sockets(&document) else { panic!("one socket: {document:#}") };
    assert_eq!(
        (&socket["unit"], &socket["owner_gap"]),
        (&json!("x.service"), &json!("not-permitted"))
    );
    let owner = &socket["owners"][0];
    assert_eq!((&owner["pid"], &owner["fd"]), (&json!(server.pid()), &Value::Null));
    assert_eq!(owner["via"], "cgroup");
    assert!(owner["cmdline"].to_string().contains("28001"), "{owner:#}");

    let who = stranger("who 28001").expect_code(3);
    assert!(who.stdout.contains("x.service"), "{}", who.stdout);

    let chart = stranger("status").expect_code(0).stdout;
    assert!(chart.contains("likely python"), "{chart}");
    assert!(who.stdout.contains(&server.pid().to_string()), "{}", who.stdout);
    assert!(!who.stdout.to_lowercase().contains("free"), "{}", who.stdout);
    assert!(who.stderr.contains("run with sudo"), "{}", who.stderr);

    let root = Program::line("who 28001 --json").inside(&netns).run().expect_code(0).json();
    assert_eq!(sockets(&root)[0]["owners"][0]["via"], "fd");
    assert_eq!(sockets(&root)[0]["unit"], "x.service");
}

/// A cgroup of a service, gone when this is dropped.
pub(crate) struct Cgroup {
    top: PathBuf,
    pub(crate) service: PathBuf,
}

impl Cgroup {
    pub(crate) fn new(service: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/mounts").ok()?;
        let mount = mounts.lines().find(|l| l.split(' ').nth(2) == Some("cgroup2"))?;
        let top =
            Path::new(mount.split(' ').nth(1)?).join(format!("portolan-it-{}", process::id()));
        let cgroup = Self { service: top.join(service), top };
        fs::create_dir_all(&cgroup.service).ok()?;
        Some(cgroup)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes were killed before it; the kernel may still be taking them out.
        eventually("an empty cgroup", || fs::remove_dir(&self.service).is_ok());
        let _ = fs::remove_dir(&self.top);
    }
}

const STRANGER: u32 = 65534;
