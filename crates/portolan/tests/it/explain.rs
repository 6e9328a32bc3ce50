//! `portolan explain`: whether a port can be bound, who is in the way, and what to do.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use portolan_core::net::{Port, Transport};
use portolan_core::socket::{Bind, Reuse};
use portolan_host::bind::{Refusal, attempt, hold};
use serde_json::{Value, json};

use crate::owners::Cgroup;
use crate::support::{Netns, Program, WITHOUT_NETLINK, eventually, require_root, skip};

/// The document of `explain WORDS --json`; its exit code must agree with it.
#[track_caller]
fn explain(netns: &Netns, words: &str) -> Value {
    told(Program::line(&format!("explain {words} --json")).inside(netns))
}

#[track_caller]
fn told(program: Program) -> Value {
    let ran = program.run();
    let document = ran.json();
    assert_eq!(document["kind"], "explain");
    let bindable = document["bindable"].as_bool().expect("bindable is a bool");
    assert_eq!(bindable, document["verdict"] == "free", "{document:#}");
    ran.expect_code(i32::from(!bindable));
    document
}

#[track_caller]
fn text(netns: &Netns, words: &str) -> String {
    let ran = Program::line(&format!("explain {words}")).inside(netns).run();
    let shown = ran.stdout;
    let widest = shown.lines().map(|line| line.chars().count()).max().unwrap_or_default();
    assert!(widest <= 80, "{widest} columns:\n{shown}");
    assert!(shown.lines().count() <= 24, "more than a screen:\n{shown}");
    shown
}

fn first(document: &Value) -> &Value {
    &document["blockers"][0]
}

fn commands(document: &Value) -> Vec<&str> {
    let remedies = document["remedies"].as_array().expect("remedies is a list");
    remedies.iter().filter_map(|remedy| remedy["command"].as_str()).collect()
}

fn warnings(document: &Value) -> Vec<&str> {
    let warnings = document["warnings"].as_array().expect("warnings is a list");
    warnings.iter().filter_map(|warning| warning["kind"].as_str()).collect()
}

#[test]
fn a_free_port_is_free() {
    require_root!();
    let netns = Netns::new();
    let document = explain(&netns, "18080");
    assert_eq!(document["probe"]["errno"], Value::Null);
    assert_eq!((&document["blockers"], &document["remedies"]), (&json!([]), &json!([])));
    assert_eq!(text(&netns, "18080"), "tcp *:18080 can be bound\n");
}

#[test]
fn a_listener_is_named_with_its_owner_and_how_to_stop_it() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "listener('127.0.0.1:18080')
for _ in range(2): kept.append(socket.create_connection(('127.0.0.1', 18080)))",
    );
    let document = explain(&netns, "18080");
    assert_eq!(document["verdict"], "listener");
    assert_eq!(document["probe"]["errno"], "EADDRINUSE");
    assert_eq!(document["blockers"].as_array().map(Vec::len), Some(1), "{document:#}");
    let blocker = first(&document);
    assert_eq!(blocker["owners"][0]["pid"], server.pid());
    assert_eq!((&blocker["verdict"], &blocker["connections"]), (&json!("listener"), &json!(2)));
    assert_eq!(blocker["reuse"], json!({"address": true, "port": false}));
    assert_eq!(blocker["port_choice"], "fixed");
    assert_eq!(blocker["ancestry"][0]["pid"], std::process::id());
    assert_eq!(commands(&document)[0], "portolan kill 18080");
    let shown = text(&netns, "18080");
    assert!(shown.contains(&format!("({})", server.pid())), "{shown}");
    assert!(shown.contains("1. portolan kill 18080"), "{shown}");
}

#[test]
fn several_listeners_are_all_named_and_stopped_by_one_command() {
    require_root!();
    let netns = Netns::new();
    let servers = ["127.0.0.1:18080", "127.0.0.2:18080"].map(|place| netns.listen(place));
    let document = explain(&netns, "18080");
    assert_eq!(document["blockers"].as_array().map(Vec::len), Some(2));
    let kills = commands(&document).into_iter().filter(|c| c.starts_with("portolan kill"));
    assert_eq!(kills.collect::<Vec<_>>(), ["portolan kill 18080"]);
    let shown = text(&netns, "18080");
    for server in servers {
        assert!(shown.contains(&server.pid().to_string()), "{shown}");
    }
}

#[test]
fn a_bound_socket_that_never_listened_is_found() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python("bound('127.0.0.1:22001')");
    assert_eq!(netns.output("ss -tanH"), "");
    let document = explain(&netns, "22001");
    assert_eq!(document["verdict"], "bound-inactive");
    assert_eq!(first(&document)["owners"][0]["pid"], server.pid());
    assert!(text(&netns, "22001").contains("without listening"));
}

#[test]
fn the_kernels_own_socket_is_told_with_its_device() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    netns.ip("link set vx0 up");
    let document = explain(&netns, "4789/udp");
    assert_eq!(document["verdict"], "kernel");
    assert_eq!(commands(&document)[0], "ip link set vx0 down");
    assert!(text(&netns, "4789/udp").contains("vxlan vx0"));
    netns.ip("link set vx0 down");
    assert_eq!(explain(&netns, "4789/udp")["verdict"], "free");
}

#[test]
fn an_outgoing_connection_is_told_from_a_server() {
    require_root!();
    let netns = Netns::new();
    sysctl(&netns, "net.ipv4.ip_local_port_range=40000 40007");
    sysctl(&netns, "net.ipv4.ip_local_reserved_ports=45000");
    let _server = netns.listen("127.0.0.1:9000");
    let client = netns.python(
        "kept.append(socket.create_connection(('127.0.0.1', 9000)))
print(kept[0].getsockname()[1])",
    );
    let port = &client.said;
    let document = explain(&netns, port);
    assert_eq!(document["verdict"], "outgoing", "{document:#}");
    assert_eq!(first(&document)["owners"][0]["pid"], client.pid());
    assert_eq!(first(&document)["peer"], json!({"address": "127.0.0.1", "port": 9000}));
    let keep = format!("sysctl -w net.ipv4.ip_local_reserved_ports={port},45000");
    assert!(commands(&document).contains(&&*keep), "{:?}", commands(&document));
    // A server's SO_REUSEADDR is of no use: the client has not set it.
    assert_eq!(document["probe"]["with_reuseaddr"]["errno"], "EADDRINUSE");
    assert_eq!(explain(&netns, &format!("{port} --reuseaddr"))["verdict"], "outgoing");
    let elsewhere = explain(&netns, &format!("127.0.0.9:{port}"));
    assert_eq!(elsewhere["verdict"], "free");
    assert_eq!(elsewhere["irrelevant"][0]["why"], "other-address");
    assert_eq!(warnings(&elsewhere), ["ephemeral"]);
}

#[test]
fn a_client_that_bound_its_port_itself_is_outgoing_too() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:9000");
    let _client = netns.python("bound('127.0.0.1:7000').connect(('127.0.0.1', 9000))");
    assert_eq!(explain(&netns, "7000")["verdict"], "outgoing");
}

/// A script that leaves a connection of a server in TIME-WAIT.
fn closed(port: u16, reuseaddr: bool) -> String {
    format!(
        "server = bound('127.0.0.1:{port}', options=[(socket.SOL_SOCKET, socket.SO_REUSEADDR, {})])
server.listen(5)
client = socket.create_connection(('127.0.0.1', {port}))
accepted, _ = server.accept()
accepted.close(); client.close(); server.close()",
        i32::from(reuseaddr)
    )
}

#[test]
fn time_wait_is_told_to_the_second_and_whether_reuseaddr_helps() {
    require_root!();
    let netns = Netns::new();
    for (port, reuseaddr) in [(18070, true), (18071, false)] {
        let _gone = netns.python(&closed(port, reuseaddr));
        let before = seconds_of_ss(&netns, port);
        let document = explain(&netns, &port.to_string());
        let after = seconds_of_ss(&netns, port);
        assert_eq!(document["verdict"], "time-wait", "{document:#}");
        let left = first(&document)["seconds_left"].as_u64().expect("a number of seconds");
        assert!((after.saturating_sub(1)..=before + 1).contains(&left), "{after} {left} {before}");
        let with_option = &document["probe"]["with_reuseaddr"]["errno"];
        assert_eq!(with_option.is_null(), reuseaddr);
        let helps = explain(&netns, &format!("{port} --reuseaddr"));
        assert_eq!(helps["bindable"], reuseaddr);
        let said = if reuseaddr { "SO_REUSEADDR helps" } else { "SO_REUSEADDR does not help" };
        assert!(text(&netns, &port.to_string()).contains(said));
        assert!(commands(&document).contains(&&*format!("portolan kill {port} --sockets")));
    }
}

/// What `ss -o` shows: `timer:(timewait,59sec,0)`, or `1min` at the very start.
#[track_caller]
fn seconds_of_ss(netns: &Netns, port: u16) -> u64 {
    let shown = netns.output(&format!("ss -tanoH state time-wait sport = :{port}"));
    let timer = shown.split("timewait,").nth(1).expect("a socket in TIME-WAIT");
    let (number, unit) = timer.split_at(timer.find(|c: char| !c.is_ascii_digit()).unwrap());
    let number: u64 = number.parse().unwrap();
    if unit.starts_with("min") { number * 60 } else { number }
}

#[test]
fn what_a_listener_left_behind_is_told_by_how_far_it_is_closed() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "def left(port):
    server = listener(f'127.0.0.1:{port}')
    client = socket.create_connection(('127.0.0.1', port)); accepted, _ = server.accept()
    server.close(); kept.extend([client, accepted])
    return client, accepted
left(18060)
client, accepted = left(18061); accepted.close()
client, accepted = left(18062); client.close()",
    );
    let open = explain(&netns, "18060");
    assert_eq!(open["verdict"], "established-leftover");
    assert_eq!(first(&open)["owners"][0]["pid"], server.pid());
    assert!(text(&netns, "18060").contains("1 connection that the listener accepted is still"));
    assert_eq!(explain(&netns, "18061")["verdict"], "fin-wait");
    assert_eq!(explain(&netns, "18062")["verdict"], "fin-wait");
}

#[test]
fn a_port_that_others_share_is_told_with_the_terms() {
    require_root!();
    let netns = Netns::new();
    let _server = netns
        .python("listener('0.0.0.0:18093', options=[(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)])");
    let other = explain(&netns, "18093 --reuseport --as nobody");
    assert_eq!(other["verdict"], "listener-shared");
    assert_eq!(first(&other)["unshared"], "other-user");
    assert_eq!(other["uid"], 65534);
    assert!(text(&netns, "18093 --reuseport --as nobody").contains("own user, root"));
    let without = explain(&netns, "18093");
    assert_eq!(
        (&without["verdict"], &first(&without)["unshared"]),
        (&json!("listener-shared"), &json!("not-asked"))
    );
    let same = explain(&netns, "18093 --reuseport");
    assert_eq!(
        (&same["bindable"], same["sharers"].as_array().map(Vec::len)),
        (&json!(true), Some(1))
    );
}

#[test]
fn a_low_port_is_kept_from_ordinary_users_with_four_ways_out() {
    require_root!();
    let netns = Netns::new();
    let document = explain(&netns, "80 --as nobody");
    assert_eq!(
        (&document["verdict"], &document["probe"]["errno"]),
        (&json!("privileged"), &json!("EACCES"))
    );
    assert_eq!(document["remedies"].as_array().map(Vec::len), Some(4));
    assert!(document["reason"].as_str().unwrap().contains("below 1024"), "{document:#}");
    assert_eq!(explain(&netns, "80")["verdict"], "free");
    sysctl(&netns, "net.ipv4.ip_unprivileged_port_start=80");
    assert_eq!(explain(&netns, "80 --as nobody")["verdict"], "free");
}

#[test]
fn a_low_port_that_is_taken_is_told_as_taken_and_low() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("0.0.0.0:80");
    let document = explain(&netns, "80 --as nobody");
    assert_eq!(
        (&document["verdict"], warnings(&document)),
        (&json!("listener"), vec!["privileged"])
    );
}

#[test]
fn another_user_is_only_for_root() {
    require_root!();
    let netns = Netns::new();
    let ran = Program::line("explain 8080 --as daemon").inside(&netns).by_user(65534).run();
    let ran = ran.expect_code(2);
    assert!(ran.stderr.contains("hint: --as needs root"), "{}", ran.stderr);
    Program::line("explain 8080 --as nobody-of-that-name").run().expect_code(2);
}

#[test]
fn an_address_that_is_not_here_is_told_so_until_the_kernel_takes_it() {
    require_root!();
    let netns = Netns::new();
    // A listener on every address is not what stands in the way.
    let _server = netns.listen("0.0.0.0:8080");
    let document = explain(&netns, "10.9.9.9:8080");
    assert_eq!((&document["verdict"], &document["blockers"]), (&json!("not-local"), &json!([])));
    assert_eq!(document["probe"]["errno"], "EADDRNOTAVAIL");
    sysctl(&netns, "net.ipv4.ip_nonlocal_bind=1");
    assert_eq!(explain(&netns, "10.9.9.9:8081")["verdict"], "free");
}

#[test]
fn ipv6_that_is_switched_off_is_told_so() {
    require_root!();
    let netns = Netns::new();
    sysctl(&netns, "net.ipv6.conf.all.disable_ipv6=1");
    let document = explain(&netns, "[::1]:8080");
    assert_eq!(document["verdict"], "not-local");
    assert!(document["reason"].as_str().unwrap().contains("switched off"), "{document:#}");
}

#[test]
fn a_link_local_address_needs_its_interface() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add left type veth peer name right");
    netns.ip("link set left up");
    netns.ip("link set right up");
    netns.ip("address add fe80::1/64 dev left nodad");
    let without = explain(&netns, "[fe80::1]:8080");
    assert_eq!(
        (&without["verdict"], &without["probe"]["errno"]),
        (&json!("not-local"), &json!("EINVAL"))
    );
    assert!(text(&netns, "[fe80::1]:8080").contains("which is meant"));
    assert_eq!(explain(&netns, "[fe80::1%left]:8080")["verdict"], "free");
    let unknown = explain(&netns, "[fe80::1%nowhere]:8080");
    assert_eq!(unknown["verdict"], "not-local");
}

#[test]
fn a_range_without_a_port_left_is_exhausted_and_its_top_holder_named() {
    require_root!();
    let netns = Netns::new();
    sysctl(&netns, "net.ipv4.ip_local_port_range=40000 40007");
    let small = netns.python("for port in range(40000, 40002): bound(f'0.0.0.0:{port}')");
    let large = netns.python("for port in range(40002, 40008): bound(f'0.0.0.0:{port}')");
    let document = explain(&netns, "0");
    assert_eq!(
        (&document["verdict"], &document["probe"]["errno"]),
        (&json!("exhausted"), &json!("EADDRINUSE"))
    );
    let shown = text(&netns, "0");
    let position = |pid: u32| shown.find(&format!("({pid})")).expect("it is named");
    assert!(position(large.pid()) < position(small.pid()), "{shown}");
    assert!(shown.contains("6 ports"), "{shown}");
}

#[test]
fn families_and_protocols_apart_are_not_in_the_way() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:18080");
    let v6only = explain(&netns, "[::]:18080 --v6only");
    assert_eq!(
        (&v6only["verdict"], &v6only["irrelevant"][0]["why"]),
        (&json!("free"), &json!("other-family"))
    );
    let udp = explain(&netns, "18080/udp");
    assert_eq!(
        (&udp["verdict"], &udp["irrelevant"][0]["why"]),
        (&json!("free"), &json!("other-protocol"))
    );
    assert_eq!(explain(&netns, "[::ffff:127.0.0.1]:18080")["verdict"], "listener");
    assert_eq!(explain(&netns, "localhost:18080")["verdict"], "listener");
}

#[test]
fn a_stranger_gets_the_kernels_word_where_the_options_are_hidden() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "bound('0.0.0.0:18050', options=[(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)])
bound('0.0.0.0:18051')",
    );
    let ask = |words: &str| {
        told(Program::line(&format!("explain {words} --json")).inside(&netns).by_user(65534))
    };
    let shares = ask("18050 --reuseaddr");
    assert_eq!((&shares["verdict"], &shares["probes"][0]["model"]), (&json!("free"), &Value::Null));
    let refused = ask("18051 --reuseaddr");
    assert_eq!(refused["verdict"], "bound-inactive");
    assert_eq!(
        (&first(&refused)["unshared"], &first(&refused)["reuse"]),
        (&Value::Null, &Value::Null)
    );
    assert!(commands(&refused)[0].starts_with("sudo "), "{refused:#}");
}

#[test]
fn a_socket_in_an_io_uring_or_on_its_way_is_told_so() {
    require_root!();
    let netns = Netns::new();
    let sender = "near, far = socket.socketpair()
s = listener('127.0.0.1:18041')
socket.send_fds(near, [b'x'], [s.fileno()]); s.close()
kept.extend([near, far])";
    let sender = netns.python(sender);
    let document = explain(&netns, "18041");
    assert_eq!(document["verdict"], "in-flight");
    // `portolan kill` refuses what is not proved, so it is not what is told.
    assert_eq!(document["remedies"][0]["command"], format!("kill {}", sender.pid()));
    let server = netns.python(
        "import ctypes
libc = ctypes.CDLL(None, use_errno=True)
ring = libc.syscall(425, 8, ctypes.create_string_buffer(120))
s = listener('127.0.0.1:18040')
files = (ctypes.c_int * 1)(s.fileno())
done = ring >= 0 and libc.syscall(427, ring, 2, files, 1) == 0
s.close()
print('yes' if done else 'no')",
    );
    if server.said != "yes" {
        skip!("io_uring is not to be had");
    }
    let document = explain(&netns, "18040");
    assert_eq!(document["verdict"], "io-uring");
    assert_eq!(first(&document)["owners"][0]["pid"], server.pid());
}

#[test]
fn what_would_start_it_again_is_stopped_rather_than_the_process() {
    require_root!();
    let netns = Netns::new();
    let container = "0123456789abcdef".repeat(4);
    for (group, port, command) in [
        ("shop-x.service".to_owned(), 18030, "systemctl stop shop-x.service".to_owned()),
        (format!("docker-{container}.scope"), 18031, format!("docker stop {}", &container[..12])),
    ] {
        let Some(cgroup) = Cgroup::new(&group) else { skip!("no unified cgroup hierarchy") };
        let procs = cgroup.service.join("cgroup.procs");
        let _server = netns.python(&format!(
            "open({procs:?}, 'w').write(str(os.getpid()))\nlistener('0.0.0.0:{port}')"
        ));
        let document = explain(&netns, &port.to_string());
        assert_eq!(document["verdict"], "listener");
        assert_eq!(commands(&document)[0], command, "{document:#}");
    }
}

/// Runs its arguments under a seccomp filter that answers system call `call` with an error where
/// its argument `which` has a value.
fn refusing(call: [u32; 2], which: u32, value: u32, errno: i32) -> [String; 3] {
    let [intel, arm] = call;
    let script = format!(
        "import ctypes, os, platform, struct, sys
CALL = {{'x86_64': {intel}, 'aarch64': {arm}}}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
steps = [(LOAD, 0, 0, 0), (EQUAL, 0, 3, CALL), (LOAD, 0, 0, 16 + 8 * {which}),
    (EQUAL, 0, 1, {value}), (RETURN, 0, 0, 0x00050000 | {errno}), (RETURN, 0, 0, 0x7fff0000)]
program = b''.join(struct.pack('HBBI', *step) for step in steps)
buffer = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack('H6xP', len(steps), ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, fprog) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])"
    );
    ["/usr/bin/python3".into(), "-c".into(), script]
}

const BIND: [u32; 2] = [49, 200];
const SOCKET: [u32; 2] = [41, 198];
const LISTEN: [u32; 2] = [50, 201];
/// What the program listens with, the second argument of listen(2).
const BACKLOG: u32 = 128;
/// Bytes of a struct sockaddr_in6, the third argument of bind(2).
const IPV6: u32 = 28;

/// A listener that joins others gets its share of their connections and would take them along.
#[test]
fn asking_with_reuseport_joins_no_group_of_listeners() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "listener('127.0.0.1:8080', options=[(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)])",
    );
    let without_listen = |words: &str| {
        let program = Program::line(&format!("explain {words} --json")).inside(&netns);
        told(program.through(refusing(LISTEN, 1, BACKLOG, libc_errno::EADDRINUSE)))
    };
    assert_eq!(without_listen("8080 --reuseport")["verdict"], "free");
    let elsewhere = without_listen("8081");
    assert_eq!(
        (&elsewhere["verdict"], &elsewhere["probe"]["call"]),
        (&json!("unknown"), &json!("listen"))
    );
}

#[test]
fn a_rule_that_refuses_is_policy() {
    require_root!();
    let netns = Netns::new();
    for errno in [libc_errno::EPERM, libc_errno::EACCES] {
        let program = Program::line("explain 8080 --json").inside(&netns);
        let document = told(program.through(refusing(BIND, 2, IPV6, errno)));
        assert_eq!(document["verdict"], "policy", "{document:#}");
    }
}

#[test]
fn a_refusal_that_nothing_explains_is_told_with_both_answers() {
    require_root!();
    let netns = Netns::new();
    let refusing = refusing(BIND, 2, IPV6, libc_errno::EADDRINUSE);
    let program = Program::line("explain 8080 --json").inside(&netns);
    let document = told(program.through(refusing));
    assert_eq!((&document["verdict"], &document["blockers"]), (&json!("unknown"), &json!([])));
    assert_eq!(warnings(&document), ["disagreement"]);
    assert_eq!(document["probes"][0]["model"], true);
}

#[test]
fn without_netlink_a_holder_that_cannot_be_seen_is_not_denied() {
    require_root!();
    let netns = Netns::new();
    let _servers = netns.python("bound('127.0.0.1:18010'); listener('127.0.0.1:18011')");
    let ask = |words: &str| {
        let program = Program::line(&format!("explain {words} --json")).inside(&netns);
        told(program.through(["/usr/bin/python3", "-c", WITHOUT_NETLINK]))
    };
    let hidden = ask("18010");
    assert_eq!(hidden["verdict"], "unknown");
    assert!(hidden["reason"].as_str().unwrap().contains("not every socket"), "{hidden:#}");
    assert_eq!(ask("18011")["verdict"], "listener");
}

#[test]
fn without_ipv6_the_port_is_tried_with_ipv4_and_that_is_said() {
    require_root!();
    let netns = Netns::new();
    let refusing = refusing(SOCKET, 0, 10, libc_errno::EAFNOSUPPORT);
    let program = Program::line("explain 8080 --json").inside(&netns);
    let document = told(program.through(refusing.clone()));
    assert_eq!((&document["verdict"], warnings(&document)), (&json!("free"), vec!["no-ipv6"]));
    assert_eq!(document["target"]["address"], "0.0.0.0");
    let named = Program::line("explain [::1]:8080 --json").inside(&netns);
    assert_eq!(told(named.through(refusing))["verdict"], "not-local");
}

/// The numbers of asm-generic/errno.h.
mod libc_errno {
    pub(super) const EPERM: i32 = 1;
    pub(super) const EACCES: i32 = 13;
    pub(super) const EAFNOSUPPORT: i32 = 97;
    pub(super) const EADDRINUSE: i32 = 98;
}

#[test]
fn what_is_no_target_is_bad_usage() {
    for words in ["", "70000", "::1:80", "127.0.0.1:80 --v6only", "80/icmp", "80/dccp"] {
        let ran = Program::line(&format!("explain {words}")).run().expect_code(2);
        assert!(ran.stderr.starts_with("error: "), "{words}: {}", ran.stderr);
    }
}

const ADDRESSES: [(&str, &str, bool); 7] = [
    ("0.0.0.0", "0.0.0.0:18080", false),
    ("127.0.0.1", "127.0.0.1:18080", false),
    ("127.0.0.2", "127.0.0.2:18080", false),
    ("::", "[::]:18080", false),
    ("::", "[::]:18080 --v6only", true),
    ("::1", "[::1]:18080", false),
    ("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:18080", false),
];

fn bind((address, _, v6only): (&str, &str, bool), reuse: Reuse) -> Bind {
    let address: IpAddr = address.parse().unwrap();
    Bind { v6only, ..Bind::at(Transport::Tcp, address, Port(18080)).with(reuse) }
}

/// Asks the program, the model inside it, and the kernel from here. A process that another test
/// starts just now has a copy of our sockets until it is a program of its own, so that a closed one
/// lingers: what differs is asked again.
#[track_caller]
fn agree(netns: &Netns, wish: &Bind, words: &str, there: &Bind) {
    eventually(&format!("one answer to {wish:?} beside {there:?}"), || {
        let document = explain(netns, words);
        let really = netns.enter(|| attempt(wish).is_ok());
        document["bindable"] == really
            && document["probes"][0]["model"] == really
            && !warnings(&document).contains(&"disagreement")
    });
}

/// Takes `there`, once the last one that was tried is gone.
fn taken(netns: &Netns, there: &Bind, take: fn(&Bind) -> Result<OwnedFd, Refusal>) -> OwnedFd {
    let mut held = None;
    eventually("the last socket is gone", || {
        held = netns.enter(|| take(there)).ok();
        held.is_some()
    });
    held.expect("that was waited for")
}

#[test]
fn the_program_answers_as_a_real_bind_does() {
    require_root!();
    let netns = Netns::new();
    for first in ADDRESSES {
        let there = bind(first, Reuse::NONE);
        let held = taken(&netns, &there, attempt);
        for second in ADDRESSES {
            agree(&netns, &bind(second, Reuse::NONE), second.1, &there);
        }
        drop(held);
    }
    let options =
        [(Reuse::NONE, ""), (Reuse::ADDRESS, "--reuseaddr"), (Reuse::PORT, "--reuseport")];
    for (theirs, _) in options {
        for listening in [false, true] {
            let there = bind(ADDRESSES[1], theirs);
            let held = taken(&netns, &there, if listening { attempt } else { hold });
            for (ours, flag) in options {
                let wish = bind(ADDRESSES[0], ours);
                agree(&netns, &wish, &format!("{} {flag}", ADDRESSES[0].1), &there);
            }
            drop(held);
        }
    }
}

#[track_caller]
fn sysctl(netns: &Netns, setting: &str) {
    let done = netns.command("sysctl").args(["-qw", setting]).status().expect("sysctl is there");
    assert!(done.success(), "{setting}");
}
