//! `portolan reserve`: the kernel gives a held port to nobody, servers start on it all the same, and
//! everything about it ends when it should.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Netns, Program, Ran, eventually, require_root};

/// A namespace, a state folder and a project of its own.
struct Place {
    ns: Netns,
    state: TempDir,
    project: TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Self { ns: Netns::new(), state: folder(), project: folder() }
    }

    fn portolan(&self, line: &str) -> Program {
        let state = self.state.path();
        let program = Program::line(line).inside(&self.ns).folder(self.project.path());
        program.env("XDG_STATE_HOME", state)
    }

    #[track_caller]
    fn run(&self, line: &str, code: i32) -> Ran {
        self.portolan(line).run().expect_code(code)
    }

    /// Reserves and gives the process that holds the port.
    #[track_caller]
    fn reserve(&self, words: &str) -> u32 {
        let told = self.run(&format!("reserve {words} --json"), 0).json();
        u32::try_from(told["holders"][0]["pid"].as_u64().unwrap()).unwrap()
    }

    /// What a Python program inside printed.
    fn python(&self, script: &str) -> String {
        self.ns.python(script).said.clone()
    }
}

impl Drop for Place {
    /// The holding processes outlive whoever started them.
    fn drop(&mut self) {
        let list = self.portolan("reservations --json").run().json();
        for row in list["reservations"].as_array().unwrap() {
            let words = format!("{}/{}", row["port"], row["transport"].as_str().unwrap());
            self.portolan(&format!("reserve {words} --release")).run();
        }
    }
}

/// A server that is ended when this is dropped.
struct Running(Child);

impl Running {
    fn start(mut command: Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a process runs; one that nobody has waited for yet does not.
fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

const SMALL_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

#[test]
fn the_kernel_never_chooses_a_reserved_port() {
    require_root!();
    let place = Place::new();
    place.ns.enter(|| fs::write(SMALL_RANGE, "40000 40007")).unwrap();
    let used = "\
server = listener('127.0.0.1:25000')
ports = set()
for _ in range(500):
    s = socket.socket()
    s.bind(('0.0.0.0', 0))
    ports.add(s.getsockname()[1])
    s.close()
for _ in range(500):
    s = socket.create_connection(('127.0.0.1', 25000))
    ports.add(s.getsockname()[1])
    # Reset instead of TIME-WAIT: eight ports must do for five hundred connections.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')
    s.close()
    server.accept()[0].close()
print(json.dumps(sorted(ports)))";
    assert_eq!(place.python(used), "[40000, 40001, 40002, 40003, 40004, 40005, 40006, 40007]");
    place.reserve("40003 --ttl 5m");
    assert_eq!(place.python(used), "[40000, 40001, 40002, 40004, 40005, 40006, 40007]");
    place.run("reserve 40003 --release", 0);
    assert!(place.python(used).contains("40003"));
}

#[test]
fn whoever_does_not_share_is_refused_and_servers_start_all_the_same() {
    require_root!();
    let place = Place::new();
    let holder = place.reserve("40003 --ttl 5m");
    let refused = place.python(
        "for address in '127.0.0.1', '0.0.0.0', '192.0.2.1':\n\
         \x20   try: socket.socket().bind((address, 40003))\n\
         \x20   except OSError as e: print(e.errno)",
    );
    // EADDRINUSE for our own addresses; EADDRNOTAVAIL for one that is not.
    assert_eq!(refused, "98\n98\n99");
    let mut servers = Vec::new();
    let mut python = place.ns.command("/usr/bin/python3");
    python.args(["-m", "http.server", "40003"]).current_dir(place.project.path());
    servers.push(python);
    if Command::new("node").arg("--version").output().is_ok() {
        let mut node = place.ns.command("node");
        node.args(["-e", "require('http').createServer((q, s) => s.end('ok')).listen(40003)"]);
        servers.push(node);
    }
    for server in servers {
        let _running = Running::start(server);
        eventually("the server answers", || {
            let asked = "import urllib.request as u; u.urlopen('http://127.0.0.1:40003/').read()";
            let asked = place.ns.command("/usr/bin/python3").args(["-c", asked]).output();
            asked.unwrap().status.success()
        });
    }
    assert!(is_alive(holder), "its socket is still there");
    let who = place.run("who 40003 --json", 0).stdout;
    assert!(who.contains("portolan-hold"), "{who}");
}

#[test]
fn the_holding_process_keeps_nothing_of_where_it_was_started() {
    require_root!();
    let place = Place::new();
    let holder = place.reserve("40003 --ttl 5m");
    let of = |file: &str| fs::read(format!("/proc/{holder}/{file}")).unwrap();
    let arguments = String::from_utf8(of("cmdline")).unwrap();
    assert!(arguments.starts_with("portolan\0hold-port\x0040003/tcp\x0020"), "{arguments:?}");
    assert_eq!(of("comm"), b"portolan-hold\n");
    assert_eq!(of("environ"), b"");
    assert_eq!(fs::read_link(format!("/proc/{holder}/cwd")).unwrap(), Path::new("/"));
    let open = fs::read_dir(format!("/proc/{holder}/fd")).unwrap().flatten();
    assert!(open.count() <= 3, "only its socket and its two outputs");
    let stat = String::from_utf8(of("stat")).unwrap();
    let session = stat.rsplit(") ").next().unwrap().split(' ').nth(3).unwrap();
    assert_eq!(session, holder.to_string(), "a session of its own");
    let explained = place.run("explain 40003 --json", 1).json();
    assert_eq!(explained["verdict"], "reserved", "{explained}");
}

#[test]
fn when_its_time_has_come_the_process_ends_and_the_port_is_free() {
    require_root!();
    let place = Place::new();
    place.ns.enter(|| fs::write(SMALL_RANGE, "40003 40003")).unwrap();
    let holder = place.reserve("40003 --ttl 1s");
    let choose = "s = socket.socket()\n\
                  try: s.bind(('', 0)); print(s.getsockname()[1])\n\
                  except OSError as e: print(e.errno)";
    assert_eq!(place.python(choose), "98");
    let listed = place.run("reservations --json", 0).json();
    let row = &listed["reservations"][0];
    assert_eq!((&row["port"], &row["kind"]), (&40003.into(), &"reservation".into()));
    assert_eq!(row["holder"]["pid"], holder);
    eventually("the process has ended", || !is_alive(holder));
    assert_eq!(place.python(choose), "40003");
    let listed = place.run("reservations --json", 0).json();
    assert_eq!(listed["reservations"], Value::Array(Vec::new()), "what is over is not shown");
}

#[test]
fn reserving_again_holds_it_longer_without_a_gap() {
    require_root!();
    let place = Place::new();
    let first = place.reserve("40003 --ttl 60s");
    let second = place.reserve("40003 --ttl 5m");
    assert_ne!(first, second);
    assert!(!is_alive(first) && is_alive(second));
    assert_eq!(
        place.run("reservations --json", 0).json()["reservations"][0]["holder"]["pid"],
        second
    );
    place.run("reserve 40003 --release", 0);
    assert!(!is_alive(second));
    let nothing = place.run("reserve 40003 --release", 1);
    assert_eq!(nothing.stdout, "40003/tcp was not given to you\n");
}

#[test]
fn a_taken_port_is_refused_with_its_holder() {
    require_root!();
    let place = Place::new();
    let server = place.ns.listen("127.0.0.1:40003");
    let ran = place.run("reserve 40003", 1);
    assert!(ran.stderr.contains(&format!("taken by python3 ({})", server.pid())), "{}", ran.stderr);
    let told = place.run("reserve 40003 --json", 1).json();
    assert_eq!((&told["reserved"], &told["reason"]), (&false.into(), &"in-use".into()));
    assert_eq!(told["blockers"][0]["owners"][0]["pid"], server.pid());
    // With its server just gone and a connection in TIME-WAIT, it can be had.
    drop(server);
    place.python(
        "s = listener('127.0.0.1:40003')\n\
         c = socket.create_connection(('127.0.0.1', 40003))\n\
         s.accept()[0].close()\nc.close()\ns.close()",
    );
    assert!(place.ns.output("ss -tanH").contains("TIME-WAIT"));
    place.reserve("40003 --ttl 60s");
}

#[test]
fn what_is_given_to_one_project_another_does_not_get() {
    require_root!();
    let place = Place::new();
    place.reserve("26100 --ttl 60s");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = |line: &str| place.portolan(line).folder(elsewhere.path()).run();
    let refused = other("reserve 26100").expect_code(1);
    let project = place.project.path().display().to_string();
    assert!(refused.stderr.contains(&project), "{}", refused.stderr);
    other("pick --range 26100-26100").expect_code(1);
    // The project's own server is to run there, so its own name may have the number.
    let leased = other("pick --range 26101-26101 --lease 60s").expect_code(0);
    assert_eq!(leased.stdout, "26101\n");
    place.run("reserve 26101", 1);
}

#[test]
fn a_reservation_whose_process_was_killed_counts_no_longer() {
    require_root!();
    let place = Place::new();
    let holder = place.reserve("40003 --ttl 5m");
    let killed = Command::new("kill").args(["-KILL", &holder.to_string()]).status().unwrap();
    assert!(killed.success());
    eventually("it is gone from the list", || {
        place.run("reservations --json", 0).json()["reservations"] == Value::Array(Vec::new())
    });
    place.reserve("40003 --ttl 60s");
}

/// A process without a row would keep the port from everybody, and nobody could give it back.
#[test]
fn what_cannot_be_written_down_is_not_held() {
    require_root!();
    let place = Place::new();
    let first = place.reserve("40003 --ttl 60s");
    let full = "mount -t tmpfs -o size=28k tmpfs \"$XDG_STATE_HOME\" && \
                \"$1\" pick --lease 60s && \
                { cat /dev/zero > \"$XDG_STATE_HOME/fill\" || true; } && exec \"$@\"";
    let ran = place
        .portolan("reserve 40004 --ttl 60s")
        .through(["unshare", "-m", "sh", "-c", full, "sh"]);
    let ran = ran.run().expect_code(2);
    assert!(ran.stderr.contains("disk is full\nhint: make room there"), "{}", ran.stderr);
    assert!(!place.ns.output("ss -tanH").contains("40004"));
    let holders = place.run("sockets --inactive -tn --json", 0).stdout;
    assert!(holders.contains("40003") && !holders.contains("40004"), "{holders}");
    assert!(is_alive(first));
}

#[test]
fn another_users_reservation_tells_of_itself_what_nobody_else_can_see() {
    require_root!();
    let place = Place::new();
    let state = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(state.path(), Some(65534), Some(65534)).unwrap();
    let reserve = Program::line("reserve 40003 --ttl 5s").inside(&place.ns).by_user(65534);
    reserve.env("XDG_STATE_HOME", state.path()).run().expect_code(0);
    let explain = Program::line("explain 40003 --json").inside(&place.ns).by_user(65533);
    let told = explain.run().expect_code(1).json();
    assert_eq!(told["verdict"], "reserved", "{told}");
    let first = told["remedies"][0]["effect"].as_str().unwrap();
    assert!(first.contains("free by itself"), "it is not ours to give back: {first}");
}

#[test]
fn another_network_namespace_has_its_own_ports() {
    require_root!();
    let place = Place::new();
    let here = place.reserve("40003 --ttl 60s");
    let other = Netns::new();
    let there = |line: &str| place.portolan(line).inside(&other).run();
    there("reserve 40003 --ttl 60s").expect_code(0);
    assert!(is_alive(here), "the other one's is left alone");
    there("reserve 40003 --release").expect_code(0);
    assert!(is_alive(here), "the other one's is left alone");
}

/// What SO_REUSEADDR means for UDP, measured: the help says so.
#[test]
fn a_udp_server_beside_the_holder_is_given_every_datagram() {
    require_root!();
    let place = Place::new();
    place.reserve("40003/udp --ttl 60s");
    let received = place.python(
        "reuse = [(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)]\n\
         try: datagram('0.0.0.0:40003')\n\
         except OSError as e: print('plain', e.errno)\n\
         for address in '[::]:40003', '0.0.0.0:40003', '127.0.0.1:40003':\n\
         \x20   s = datagram(address, reuse)\n\
         \x20   s.settimeout(2)\n\
         \x20   for _ in range(50):\n\
         \x20       socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 40003))\n\
         \x20   print(address, sum(len(s.recv(9)) for _ in range(50)))\n\
         \x20   s.close()",
    );
    let expected = "plain 98\n[::]:40003 50\n0.0.0.0:40003 50\n127.0.0.1:40003 50";
    assert_eq!(received, expected);
}

#[test]
fn both_transports_are_held_or_none() {
    require_root!();
    let place = Place::new();
    let _server = place.ns.python("datagram('127.0.0.1:40003')");
    let told = place.run("reserve 40003/tcp+udp --json", 1).json();
    assert_eq!(told["blockers"][0]["transport"], "udp");
    assert_eq!(place.ns.output("ss -tanH").trim(), "");
    let held = place.run("reserve 40004/tcp+udp --ttl 60s --json", 0).json();
    assert_eq!(held["holders"].as_array().unwrap().len(), 2);
}

#[test]
fn only_root_is_told_how_to_keep_the_kernel_away_for_good() {
    require_root!();
    let place = Place::new();
    place.ns.enter(|| fs::write("/proc/sys/net/ipv4/ip_local_reserved_ports", "50000")).unwrap();
    let ran = place.run("reserve 40003 --ttl 60s", 0);
    let line = "sysctl -w net.ipv4.ip_local_reserved_ports=40003,50000";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
    let line = Program::line("reserve 40004 --ttl 1s").inside(&place.ns).by_user(65534);
    let ran = line.env("XDG_STATE_HOME", folder.path()).run().expect_code(0);
    assert!(!ran.stderr.contains("sysctl"), "{}", ran.stderr);
    let line = Program::line("reserve 80 --ttl 1s").inside(&place.ns).by_user(65534);
    let ran = line.env("XDG_STATE_HOME", folder.path()).run().expect_code(1);
    assert!(ran.stderr.contains("cannot be bound: bind: Permission denied"), "{}", ran.stderr);
}

#[test]
fn a_port_or_a_time_that_is_none_is_bad_usage() {
    for (line, hint) in [
        ("reserve 0", "for example 8080"),
        ("reserve 70000", "for example 8080"),
        ("reserve 80/sctp", "for example 8080"),
        ("reserve 8080 --ttl 0s", "such as 30s"),
        ("reserve 8080 --ttl 99999999h", "say less"),
        ("pick --lease 0s", "such as 30s"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ran = Program::line(line).env("XDG_STATE_HOME", folder.path()).run().expect_code(2);
        assert!(ran.stderr.contains(hint), "{line}: {}", ran.stderr);
    }
}

/// Nobody types this; who does gets an error and no process that waits for ever.
#[test]
fn the_holding_process_cannot_be_started_by_hand() {
    let ran = Program::line("hold-port 8080/tcp 2999-01-01T00:00:00Z").run().expect_code(2);
    assert!(ran.stderr.contains("portolan reserve PORT"), "{}", ran.stderr);
}
