//! `portolan kill`: listeners end, clients live, and 0 is said only of a port that can be bound.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::support::{Netns, Program, Server, eventually, require_root, skip};

/// Whether a process is there and no zombie.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Whether the kernel lets a plain bind without options have the port.
fn binds_plainly(netns: &Netns, port: u16) -> bool {
    let script = format!("import socket; s = socket.socket(); s.bind(('0.0.0.0', {port}))");
    netns.command("python3").args(["-c", &script]).output().unwrap().status.success()
}

fn kill(netns: &Netns, words: &str) -> Program {
    Program::line(&format!("kill {words}")).inside(netns)
}

/// A server on 127.0.0.1:18090 and a client of it whose own end is 40001.
fn server_and_client(netns: &Netns) -> (Server, Server) {
    let server = netns.python("listener('127.0.0.1:18090')");
    let client = netns.python("c = bound('127.0.0.1:40001'); c.connect(('127.0.0.1', 18090))");
    (server, client)
}

#[test]
fn a_clients_own_end_is_no_listener_and_nothing_is_killed() {
    require_root!();
    let netns = Netns::new();
    let (server, client) = server_and_client(&netns);
    let reason =
        format!("no listener; outgoing connection of pid {}; nothing to kill", client.pid());
    for words in ["40001 --dry-run", "40001"] {
        let ran = kill(&netns, words).run().expect_code(1);
        assert!(ran.stdout.contains(&reason), "{}", ran.stdout);
        let document = kill(&netns, &format!("{words} --json")).run().expect_code(1).json();
        assert_eq!(document["kind"], "kill");
        assert_eq!(
            (&document["verdict"], &document["reason"]),
            (&"no-listener".into(), &reason.clone().into())
        );
        assert_eq!(document["clients"][0]["owners"][0]["pid"], client.pid());
        assert_eq!(document["plan"].as_array().unwrap().len(), 0);
    }
    assert!(lives(server.pid()) && lives(client.pid()));
}

/// In a pid namespace without a /proc of its own every number in /proc means another process.
#[test]
fn where_proc_numbers_processes_otherwise_than_we_do_nobody_is_signalled() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18090");
    let inside = kill(&netns, "18090 --yes --json").through(["unshare", "--pid", "--fork"]);
    let ran = inside.run().expect_code(2);
    assert!(ran.stdout.contains("another pid namespace"), "{}{}", ran.stdout, ran.stderr);
    assert!(lives(server.pid()));
}

#[test]
fn only_the_listener_ends_its_client_lives_and_the_port_can_be_bound() {
    require_root!();
    let netns = Netns::new();
    let (server, client) = server_and_client(&netns);
    let document = kill(&netns, "18090 --json").run().expect_code(0).json();
    assert_eq!((&document["verdict"], &document["bindable"]), (&"freed".into(), &true.into()));
    let [step] = &document["plan"].as_array().unwrap()[..] else { panic!("{document:#}") };
    assert_eq!(step["action"], "signal");
    assert_eq!(step["target"]["processes"][0]["pid"], server.pid());
    assert_eq!(step["outcome"]["result"], "ended");
    assert!(!lives(server.pid()) && lives(client.pid()));
    let _again = netns.listen("127.0.0.1:18090");
}

#[test]
fn a_client_is_stopped_when_it_is_asked_for() {
    require_root!();
    let netns = Netns::new();
    let (server, client) = server_and_client(&netns);
    kill(&netns, "40001 --clients --sockets").run().expect_code(0);
    assert!(lives(server.pid()) && !lives(client.pid()));
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_the_grace() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); listener('127.0.0.1:18091')",
    );
    let document = kill(&netns, "18091 --grace 300ms --json").run().expect_code(0).json();
    let outcome = &document["plan"][0]["outcome"];
    assert_eq!(outcome["result"], "killed");
    assert!(outcome["after_ms"].as_u64().unwrap() >= 300, "{outcome}");
    assert!(!lives(server.pid()) && binds_plainly(&netns, 18091));
}

#[test]
fn a_server_that_closes_its_listener_and_runs_on_is_not_killed() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import signal; s = listener('127.0.0.1:18092')
signal.signal(signal.SIGTERM, lambda *_: s.close())",
    );
    let document = kill(&netns, "18092 --json").run().expect_code(0).json();
    assert_eq!(document["plan"][0]["outcome"]["result"], "let-go");
    assert!(lives(server.pid()) && binds_plainly(&netns, 18092));
}

#[test]
fn a_dry_run_prints_the_same_plan_and_changes_nothing() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18093");
    let dry = kill(&netns, "18093 --dry-run").run().expect_code(0).stdout;
    let document = kill(&netns, "18093 --dry-run --json").run().expect_code(0).json();
    assert_eq!((&document["verdict"], &document["dry_run"]), (&"planned".into(), &true.into()));
    assert_eq!(
        (&document["bindable"], &document["plan"][0]["outcome"]),
        (&Value::Null, &Value::Null)
    );
    assert!(lives(server.pid()));
    let real = kill(&netns, "18093").run().expect_code(0).stdout;
    assert!(dry.contains("(TERM), kill after 3 s") && real.starts_with(&dry), "{dry}\n{real}");
    assert!(!lives(server.pid()));
}

#[test]
fn nobody_is_said_with_exit_code_one() {
    require_root!();
    let netns = Netns::new();
    let ran = kill(&netns, "18094").run().expect_code(1);
    assert_eq!(ran.stdout, "18094      no listener; nothing to kill\n");
}

#[test]
fn every_address_transport_and_worker_of_a_port_ends_and_no_other_port() {
    require_root!();
    let netns = Netns::new();
    let reuse = "options=[(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)]";
    let group: Vec<Server> =
        (0..2).map(|_| netns.python(&format!("listener('127.0.0.1:18095', {reuse})"))).collect();
    let other_places = netns.python("listener('[::1]:18095'); datagram('127.0.0.1:18095')");
    let parent = netns.python(
        "listener('127.0.0.2:18095')
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        sys.stdin.read(); os._exit(0)
    workers.append(pid)
print(*workers)",
    );
    let bystander = netns.listen("127.0.0.1:18096");
    let document = kill(&netns, "18095 --json").run().expect_code(0).json();
    let workers = parent.said.split(' ').map(|pid| pid.parse::<u32>().unwrap());
    let servers = group.iter().chain([&other_places, &parent]).map(Server::pid);
    for pid in servers.chain(workers) {
        assert!(!lives(pid), "{pid} lives: {document:#}");
    }
    assert!(lives(bystander.pid()));
    assert_eq!(document["proofs"].as_array().unwrap().len(), 4, "{document:#}");
}

#[test]
fn one_transport_can_be_named() {
    require_root!();
    let netns = Netns::new();
    let tcp = netns.listen("127.0.0.1:18097");
    let udp = netns.python("datagram('127.0.0.1:18097')");
    kill(&netns, "18097/udp").run().expect_code(0);
    assert!(lives(tcp.pid()) && !lives(udp.pid()));
}

#[test]
fn a_socket_that_only_holds_its_port_is_let_go_of() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python("bound('127.0.0.1:18098')");
    let ran = kill(&netns, "18098").run().expect_code(0);
    assert!(ran.stdout.starts_with("holds "), "{}", ran.stdout);
    assert!(!lives(server.pid()) && binds_plainly(&netns, 18098));
}

#[test]
fn time_wait_is_destroyed_on_request_and_nobody_is_signalled() {
    require_root!();
    let netns = Netns::new();
    let client = netns.python(
        "s = listener('127.0.0.1:18099'); c = socket.create_connection(('127.0.0.1', 18099))
a, _ = s.accept(); a.close(); c.recv(1); c.close(); s.close()",
    );
    let state = || netns.output("ss -tanH sport = :18099");
    eventually("TIME-WAIT", || state().contains("TIME-WAIT"));
    assert!(!binds_plainly(&netns, 18099));
    let ran = kill(&netns, "18099").run().expect_code(1);
    assert!(ran.stdout.contains("1 time-wait"), "{}", ran.stdout);
    assert!(ran.stdout.contains("portolan kill 18099 --sockets"), "{}", ran.stdout);
    let document = kill(&netns, "18099 --sockets --json").run().expect_code(0).json();
    let [step] = &document["plan"].as_array().unwrap()[..] else { panic!("{document:#}") };
    assert_eq!(
        (&step["action"], &step["outcome"]["result"]),
        (&"destroy".into(), &"destroyed".into())
    );
    assert_eq!(step["outcome"]["sockets"], 1);
    assert_eq!(document["proofs"][0]["with"], "no-option");
    assert_eq!(state(), "");
    assert!(lives(client.pid()) && binds_plainly(&netns, 18099));
}

#[test]
fn an_orphan_and_a_connection_that_outlived_its_listener_are_destroyed_too() {
    require_root!();
    let netns = Netns::new();
    // The first connection is closed here and held open there: FIN-WAIT-2. The second stays open on
    // both sides while the listener goes.
    let holder = netns.python(
        "s = listener('127.0.0.1:18100')
kept.append(socket.create_connection(('127.0.0.1', 18100))); a, _ = s.accept(); a.close()
kept.append(socket.create_connection(('127.0.0.1', 18100))); kept.append(s.accept()[0]); s.close()",
    );
    let states = || netns.output("ss -tanH sport = :18100");
    eventually("FIN-WAIT-2", || states().contains("FIN-WAIT-2"));
    let document = kill(&netns, "18100 --json").run().expect_code(1).json();
    assert_eq!(document["leftovers"].as_array().unwrap().len(), 2, "{document:#}");
    let document = kill(&netns, "18100 --sockets --json").run().expect_code(0).json();
    assert_eq!(document["plan"][0]["outcome"]["sockets"], 2, "{document:#}");
    assert!(lives(holder.pid()) && binds_plainly(&netns, 18100));
}

#[test]
fn what_a_server_leaves_behind_is_told_and_destroyed_on_request() {
    require_root!();
    let accepted = "s = listener('127.0.0.1:18101')
import threading
threading.Thread(target=lambda: kept.append(s.accept()), daemon=True).start()";
    let netns = Netns::new();
    let server = netns.python(accepted);
    let client = netns.python("kept.append(socket.create_connection(('127.0.0.1', 18101)))");
    eventually("the connection is accepted", || {
        netns.output("ss -tnpH sport = :18101").contains(&format!("pid={}", server.pid()))
    });
    let document = kill(&netns, "18101 --json").run().expect_code(0).json();
    assert_eq!(document["proofs"][0]["with"], "reuseaddr", "{document:#}");
    assert_eq!(document["proofs"][0]["errno"], "EADDRINUSE");
    assert_eq!(document["left"]["sockets"], 1);
    assert!(!binds_plainly(&netns, 18101));
    kill(&netns, "18101 --sockets").run().expect_code(0);
    assert!(binds_plainly(&netns, 18101) && lives(client.pid()));
}

#[test]
fn somebody_who_starts_it_again_is_named() {
    require_root!();
    let netns = Netns::new();
    let supervisor = netns.python(
        "import subprocess, threading
CHILD = 'import socket,time; s=socket.socket(); s.setsockopt(1,2,1); s.bind((\"127.0.0.1\",18102)); s.listen(); print(1,flush=True); time.sleep(60)'
ready = threading.Event()
def loop():
    while True:
        p = subprocess.Popen(['setpriv', '--pdeathsig', 'KILL', sys.executable, '-c', CHILD], stdout=subprocess.PIPE)
        p.stdout.readline(); ready.set(); p.wait()
threading.Thread(target=loop, daemon=True).start(); ready.wait()",
    );
    let document = kill(&netns, "18102 --json").run().expect_code(2).json();
    assert_eq!(document["verdict"], "restarted", "{document:#}");
    assert_eq!(document["restarted"]["parent"]["pid"], supervisor.pid());
    let text = kill(&netns, "18102").run().expect_code(2).stdout;
    let named = format!("its parent python3 ({}) starts it again", supervisor.pid());
    assert!(text.split_whitespace().collect::<Vec<_>>().join(" ").contains(&named), "{text}");
}

#[test]
fn root_ends_somebody_elses_process_only_when_it_is_confirmed() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python_as(65534, "listener('127.0.0.1:18103')");
    let ran = kill(&netns, "18103").run().expect_code(2);
    assert!(ran.stderr.starts_with("error: nothing was done"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: add --yes"), "{}", ran.stderr);
    let document = kill(&netns, "18103 --json").run().expect_code(2).json();
    assert_eq!(
        (&document["verdict"], &document["changes_system"]),
        (&"planned".into(), &true.into())
    );
    assert!(lives(server.pid()));
    kill(&netns, "18103").env("SUDO_UID", "65533").run().expect_code(2);
    assert!(lives(server.pid()));
    kill(&netns, "18103 --yes").run().expect_code(0);
    assert!(!lives(server.pid()));
    let of_caller = netns.python_as(65534, "listener('127.0.0.1:18103')");
    kill(&netns, "18103").env("SUDO_UID", "65534").run().expect_code(0);
    assert!(!lives(of_caller.pid()));
}

/// Runs its arguments on a terminal and types what the environment says when it is asked.
const ON_A_TERMINAL: &str = r#"
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b""
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    said += part
    if b"[y/N]" in said and os.environ.get("ANSWER") is not None:
        os.write(terminal, os.environb.pop(b"ANSWER"))
sys.stdout.buffer.write(said.replace(b"\r\n", b"\n"))
sys.stdout.flush()
os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

#[test]
fn on_a_terminal_a_person_is_asked_and_only_a_yes_is_one() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python_as(65534, "listener('127.0.0.1:18111')");
    let answer = |answer: &str| {
        let asked = kill(&netns, "18111").env("ANSWER", answer).env("NO_COLOR", "1");
        asked.through(["/usr/bin/python3", "-c", ON_A_TERMINAL]).run()
    };
    // The last is what control-D types: the end of input.
    for no in ["\n", "n\n", "\u{4}"] {
        let ran = answer(no).expect_code(2);
        assert!(ran.stdout.contains("Free 18111 this way? [y/N]"), "{}", ran.stdout);
        assert!(ran.stdout.contains("nothing was done"), "{}", ran.stdout);
        assert!(lives(server.pid()));
    }
    let ran = answer("y\n").expect_code(0);
    assert!(ran.stdout.contains("127.0.0.1:18111/tcp can be bound"), "{}", ran.stdout);
    assert!(!lives(server.pid()));
}

#[test]
fn a_stranger_ends_nothing_and_is_told_that_he_did_not_see() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18104");
    let ran = kill(&netns, "18104").by_user(65534).run().expect_code(3);
    assert!(ran.stdout.contains("could not be seen"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: run with sudo"), "{}", ran.stderr);
    assert!(lives(server.pid()));
}

#[test]
fn a_user_ends_his_own_server_without_a_question() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python_as(65534, "listener('127.0.0.1:18105')");
    kill(&netns, "18105").by_user(65534).run().expect_code(0);
    assert!(!lives(server.pid()));
}

#[test]
fn what_the_caller_descends_from_and_came_in_by_is_left_alone() {
    require_root!();
    let netns = Netns::new();
    // The server itself starts portolan.
    let script = "import os, socket, subprocess, sys
s = socket.socket(); s.bind(('127.0.0.1', 18106)); s.listen()
sys.exit(subprocess.run(sys.argv[1:]).returncode)";
    let ran = kill(&netns, "18106").through(["python3", "-c", script]).run().expect_code(2);
    assert!(ran.stderr.contains("you descend from it"), "{}", ran.stderr);
    let sshd = netns.listen("127.0.0.1:18107");
    let by_ssh =
        kill(&netns, "18107 --yes").env("SSH_CONNECTION", "127.0.0.1 50000 127.0.0.1 18107");
    let ran = by_ssh.run().expect_code(2);
    assert!(ran.stderr.contains("you came in by it"), "{}", ran.stderr);
    assert!(lives(sshd.pid()));
    let document = kill(&netns, "18107 --json")
        .env("SSH_CONNECTION", "127.0.0.1 50000 127.0.0.1 18107")
        .run()
        .expect_code(2)
        .json();
    assert_eq!(document["protected"][0]["reason"], "callers-way-in");
    // As under sudo: the variable is gone, and the shell that was logged in has it.
    let without = "env -u SSH_CONNECTION \"$@\"; exit $?";
    let logged_in = "SSH_CONNECTION=127.0.0.1 50000 127.0.0.1 18107";
    let by_sudo = kill(&netns, "18107").through(["env", logged_in, "sh", "-c", without, "sh"]);
    assert!(by_sudo.run().expect_code(2).stderr.contains("you came in by it"));
    assert!(lives(sshd.pid()));
}

#[test]
fn a_port_of_the_kernel_is_left_alone() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    netns.ip("link set vx0 up");
    let document = kill(&netns, "4789/udp --yes --json").run().expect_code(2).json();
    assert_eq!(document["protected"][0]["reason"], "kernel");
}

/// A process that calls itself like Docker's proxy.
#[test]
fn a_containers_proxy_is_never_ended() {
    require_root!();
    let netns = Netns::new();
    let proxy = netns
        .python("open('/proc/self/comm', 'w').write('docker-proxy'); listener('127.0.0.1:18108')");
    let ran = kill(&netns, "18108 --yes").run().expect_code(2);
    assert!(ran.stderr.contains("docker ps --filter publish=18108"), "{}", ran.stderr);
    assert!(lives(proxy.pid()));
}

#[test]
fn a_server_whose_listener_only_an_io_uring_holds_is_ended() {
    require_root!();
    let netns = Netns::new();
    let Some((server, _)) = netns.listen_in_ring("127.0.0.1:18112") else {
        skip!("io_uring is not to be had");
    };
    kill(&netns, "18112").run().expect_code(0);
    assert!(!lives(server.pid()) && binds_plainly(&netns, 18112));
}

#[test]
fn a_reserved_port_is_given_back_and_its_holder_not_killed() {
    require_root!();
    let netns = Netns::new();
    let state = tempfile::tempdir().unwrap();
    let run = |line: &str| Program::line(line).inside(&netns).env("XDG_STATE_HOME", state.path());
    run("reserve 18113 --ttl 1m").run().expect_code(0);
    let ran = run("kill 18113/tcp --yes").run().expect_code(2);
    assert!(ran.stderr.contains("hint: portolan reserve 18113 --release"), "{}", ran.stderr);
    run("reserve 18113 --release").run().expect_code(0);
    run("kill 18113/tcp").run().expect_code(1);
}

#[test]
fn what_is_not_one_port_is_refused() {
    for what in ["70000", "80,81", "8000-8010", "0/tpc", "0", ""] {
        let ran = Program::new(["kill", what]).run().expect_code(2);
        assert!(ran.stderr.contains("hint: name one port"), "{}", ran.stderr);
    }
}

/// A `systemctl` that says what it was told and ends the process whose id stands in a file.
const FAKE_SYSTEMCTL: &str = "#!/bin/sh
echo \"$@\" >> \"$(dirname \"$0\")/said\"
[ -e \"$(dirname \"$0\")/fails\" ] && { echo 'Failed to stop: no' >&2; exit 1; }
kill $(cat \"$(dirname \"$0\")/pid\")
";

/// In a mount namespace of its own: our `systemctl` in the first folder that is looked at, and what
/// says that process 1 is systemd.
const WITH_SYSTEMD: &str = "mount --bind \"$1\" /usr/sbin && mount -t tmpfs none /run/systemd \
    && mkdir /run/systemd/system && shift && exec \"$@\"";

fn with_systemd(program: Program, folder: &Path) -> Program {
    let folder = folder.to_str().unwrap();
    program.through(["/usr/bin/unshare", "-m", "/bin/sh", "-c", WITH_SYSTEMD, "sh", folder])
}

fn install(folder: &Path, name: &str, script: &str) {
    fs::write(folder.join(name), script).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_service_is_stopped_by_systemctl_and_asked_for_first() {
    require_root!();
    if !Path::new("/run/systemd").exists() {
        skip!("no /run/systemd to stand in for systemd's");
    }
    let Some(cgroup) = crate::owners::Cgroup::new("portolan-kill.service") else {
        skip!("no unified cgroup hierarchy")
    };
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18109");
    fs::write(cgroup.service.join("cgroup.procs"), server.pid().to_string()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    install(folder.path(), "systemctl", FAKE_SYSTEMCTL);
    fs::write(at("pid"), server.pid().to_string()).unwrap();
    let run = |words: &str| with_systemd(kill(&netns, words), folder.path()).run();

    let document = run("18109 --dry-run --json").expect_code(0).json();
    let step = &document["plan"][0];
    assert_eq!(step["action"], "stop-unit", "{document:#}");
    assert_eq!(step["target"]["units"][0], "portolan-kill.service");
    assert_eq!(step["command"], "systemctl stop portolan-kill.service");
    run("18109").expect_code(2);
    assert!(!at("said").exists() && lives(server.pid()), "not without a yes");

    fs::write(at("fails"), "").unwrap();
    let ran = run("18109 --yes").expect_code(2);
    assert!(ran.stdout.contains("systemctl: Failed to stop: no"), "{}", ran.stdout);
    assert!(lives(server.pid()));
    fs::remove_file(at("fails")).unwrap();

    let ran = run("18109 --yes").expect_code(0);
    assert!(ran.stdout.contains("systemctl stop portolan-kill.service"), "{}", ran.stdout);
    let said = fs::read_to_string(at("said")).unwrap();
    assert!(said.ends_with("--no-ask-password stop -- portolan-kill.service\n"), "{said}");
    assert!(!lives(server.pid()) && binds_plainly(&netns, 18109));
}

/// A `docker` that knows one container, which publishes 18110, and whose `stop` ends its proxy.
const FAKE_DOCKER: &str = r#"#!/bin/sh
here="$(dirname "$0")"
case "$1" in
ps) echo 0123456789abcdef ;;
inspect) echo '[{"Id": "0123456789abcdef", "Name": "/shop-web-1", "State": {"Running": true},
  "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "18110"}]}}}]' ;;
stop) echo "$@" >> "$here/said"; kill $(cat "$here/pid") ;;
esac
"#;

#[test]
fn the_container_behind_a_proxy_is_stopped_by_its_runtime() {
    require_root!();
    if !Path::new("/run/systemd").exists() {
        skip!("no /run/systemd to stand in for systemd's");
    }
    let netns = Netns::new();
    let script = "open('/proc/self/comm', 'w').write('docker-proxy'); listener('0.0.0.0:18110')";
    let proxy = netns.python(script);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("pid"), proxy.pid().to_string()).unwrap();
    install(folder.path(), "docker", FAKE_DOCKER);
    let run = |words: &str| with_systemd(kill(&netns, words), folder.path()).run();
    let document = run("18110 --dry-run --json").expect_code(0).json();
    assert_eq!(document["plan"][0]["action"], "stop-container", "{document:#}");
    assert_eq!(document["plan"][0]["command"], "docker stop shop-web-1");
    run("18110").expect_code(2);
    assert!(lives(proxy.pid()));
    run("18110 --yes").expect_code(0);
    let said = fs::read_to_string(folder.path().join("said")).unwrap();
    assert_eq!(said, "stop -t 3 -- shop-web-1\n");
    assert!(!lives(proxy.pid()) && binds_plainly(&netns, 18110));
}
