//! `portolan sockets`: one object a kernel socket, every fact about it right.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::ss::sockets;
use crate::support::{Netns, Program, require_root};

fn listed(netns: &Netns, words: &str) -> Value {
    Program::line(&format!("sockets --json {words}")).inside(netns).run().expect_code(0).json()
}

#[track_caller]
fn only(document: &Value) -> &Value {
    let [socket] = sockets(document) else { panic!("one socket: {document:#}") };
    socket
}

#[test]
fn a_listener_is_one_object_with_every_fact_right() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "s = listener('127.0.0.1:18080', backlog=5)\nprint(os.fstat(s.fileno()).st_ino, s.fileno())",
    );
    let (inode, fd) = server.said.split_once(' ').expect("two numbers");
    let document = listed(&netns, "--cmdline");
    let socket = only(&document);
    for (key, value) in [
        ("transport", json!("tcp")),
        ("family", json!("ipv4")),
        ("local", json!({"address": "127.0.0.1", "port": 18080})),
        ("peer", Value::Null),
        ("state", json!("listen")),
        ("scope", json!("loopback")),
        ("v6only", Value::Null),
        ("dual_stack", json!(false)),
        ("device", Value::Null),
        ("inode", json!(inode.parse::<u64>().unwrap())),
        ("uid", json!(0)),
        ("user", json!("root")),
        ("port_choice", json!("fixed")),
        ("backlog", json!({"queued": 0, "max": 5})),
        ("reuseport_group", Value::Null),
        ("unit", Value::Null),
        ("container", Value::Null),
        ("owner_gap", Value::Null),
    ] {
        assert_eq!(socket[key], value, "{key} of {socket:#}");
    }
    // /proc does not tell how a socket shares its port; the kernel itself does.
    let shares = match document["engine"].as_str() {
        Some("bpf") => json!({"address": true, "port": false}),
        _ => Value::Null,
    };
    assert_eq!(socket["reuse"], shares);
    assert_eq!(socket["netns"]["name"], netns.name());
    assert!(socket["cookie"].as_u64().is_some_and(|cookie| cookie > 0));
    let [owner] = &socket["owners"].as_array().unwrap()[..] else { panic!("{socket:#}") };
    assert_eq!(owner["pid"], server.pid());
    assert_eq!(owner["fd"], json!(fd.parse::<i32>().unwrap()));
    assert_eq!((&owner["via"], &owner["user"]), (&json!("fd"), &json!("root")));
    assert!(owner["process"].as_str().unwrap().starts_with("python"));
    assert!(owner["exe"].as_str().unwrap().contains("python"));
    assert!(owner["started"].as_str().unwrap().ends_with('Z'));
    assert!(owner["cmdline"].as_array().unwrap().len() > 1);
}

#[test]
fn command_lines_are_shown_on_request_only() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("secret = 'hunter2'\nlistener('127.0.0.1:18080')");
    for hidden in ["sockets --json", "sockets"] {
        let ran = Program::line(hidden).inside(&netns).run().expect_code(0);
        assert!(!ran.stdout.contains("hunter2"), "{}", ran.stdout);
    }
    let shown = Program::line("sockets --cmdline").inside(&netns).run().expect_code(0);
    assert!(shown.stdout.contains("hunter2"), "{}", shown.stdout);
}

#[test]
fn a_filter_that_finds_no_listener_does_not_hide_that_connections_were_left_out() {
    require_root!();
    let netns = Netns::new();
    let ask = |words: &str| Program::line(words).inside(&netns).run().expect_code(0).stderr;
    assert!(ask("sockets dport = :443").contains("hint: only listeners were asked for; -a"));
    for said in ["sockets", "sockets -a dport = :443", "sockets state established"] {
        assert_eq!(ask(said), "", "{said}");
    }
}

#[test]
fn every_kind_of_address_has_its_scope_and_a_dual_stack_listener_is_one_row() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link add left type veth peer name right");
    netns.ip("link set left up");
    netns.ip("link set right up");
    netns.ip("address add 10.1.1.1/24 dev left");
    netns.ip("address add 203.0.113.5/32 dev lo");
    netns.ip("address add 100.64.0.1/32 dev lo");
    netns.ip("address add fe80::1/64 dev left nodad");
    let _server = netns.python(
        "no, yes = [(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, n) for n in (0, 1)]
listener('0.0.0.0:1001'); listener('[::]:1002', options=[no]); listener('[::]:1003', options=[yes])
listener('127.0.0.1:1004'); listener('[::1]:1005'); listener('10.1.1.1:1006')
listener('203.0.113.5:1007'); listener('[fe80::1%left]:1008'); listener('100.64.0.1:1009')",
    );
    let document = listed(&netns, "");
    let facts: BTreeMap<u64, Value> = sockets(&document)
        .iter()
        .map(|s| {
            let facts = json!([
                s["local"]["address"],
                s["scope"],
                s["dual_stack"],
                s["v6only"],
                s["device"]
            ]);
            (s["local"]["port"].as_u64().unwrap(), facts)
        })
        .collect();
    let expected = BTreeMap::from([
        (1001, json!(["0.0.0.0", "wildcard", false, null, null])),
        (1002, json!(["::", "wildcard", true, false, null])),
        (1003, json!(["::", "wildcard", false, true, null])),
        (1004, json!(["127.0.0.1", "loopback", false, null, null])),
        (1005, json!(["::1", "loopback", false, true, null])), // the kernel's doing (inet6_bind)
        (1006, json!(["10.1.1.1", "private", false, null, null])),
        (1007, json!(["203.0.113.5", "global", false, null, null])),
        (1008, json!(["fe80::1", "link-local", false, true, "left"])),
        (1009, json!(["100.64.0.1", "cgnat", false, null, null])),
    ]);
    assert_eq!(facts, expected);
    assert_eq!(sockets(&document).len(), 9);
}

#[test]
fn a_port_the_kernel_chose_is_told_from_one_a_program_asked_for() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "s = listener('127.0.0.1:0'); listener('127.0.0.1:26001')
d = datagram('127.0.0.1:0'); datagram('127.0.0.1:26002')
u = socket.socket(); u.listen(1); kept.append(u)
print(s.getsockname()[1], d.getsockname()[1], u.getsockname()[1])",
    );
    let document = listed(&netns, "");
    let chosen = |port: u64| {
        let socket = sockets(&document).iter().find(|s| s["local"]["port"] == port);
        socket.unwrap_or_else(|| panic!("{port}: {document:#}"))["port_choice"].clone()
    };
    for port in server.said.split(' ') {
        assert_eq!(chosen(port.parse().unwrap()), "kernel", "{port}");
    }
    assert_eq!(chosen(26001), "fixed");
    assert_eq!(chosen(26002), "fixed");
}

#[test]
fn a_socket_bound_without_listening_is_shown_on_request() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python("bound('127.0.0.1:22001')");
    assert_eq!(netns.output("ss -tanH"), "");
    assert!(sockets(&listed(&netns, "-a")).is_empty());
    let document = listed(&netns, "--inactive");
    assert_eq!(only(&document)["state"], "bound");
    assert_eq!(only(&document)["owners"][0]["pid"], server.pid());
}

#[test]
fn unix_raw_and_packet_sockets_are_listed_on_request_with_their_owner() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "import tempfile
def unix(name, kind=socket.SOCK_STREAM):
    s = socket.socket(socket.AF_UNIX, kind); s.bind(name); kept.append(s); return s
folder = tempfile.mkdtemp()
unix(folder + '/a.sock').listen(3); unix(folder + '/d.sock', socket.SOCK_DGRAM)
unix('\\0portolan-abstract').listen(3)
kept.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
kept.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.ntohs(3)))
print(folder)",
    );
    let document = listed(&netns, "-x -w -0");
    std::fs::remove_dir_all(&server.said).expect("the folder of the test");
    let seen = |transport: &str, local: Value| {
        let found =
            sockets(&document).iter().find(|s| s["transport"] == transport && s["local"] == local);
        found.unwrap_or_else(|| panic!("{transport} {local}: {document:#}")).clone()
    };
    let all = [
        seen("unix", json!({"path": format!("{}/a.sock", server.said)})),
        seen("unix", json!({"path": format!("{}/d.sock", server.said)})),
        seen("unix", json!({"path": "@portolan-abstract"})),
        seen("raw", json!({"address": "0.0.0.0", "port": 1})),
        seen("packet", json!({"protocol": "0x0003"})),
    ];
    for socket in &all {
        assert_eq!(socket["owners"][0]["pid"], server.pid(), "{socket:#}");
        assert_eq!(socket["service"], Value::Null);
    }
    assert_eq!(all[0]["state"], "listen");
    assert_eq!(all[0]["backlog"], json!({"queued": 0, "max": 3}));
    assert!(sockets(&listed(&netns, "")).is_empty());
}

#[test]
fn a_full_accept_queue_is_flagged() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "listener('127.0.0.1:18080', backlog=1)
for _ in range(4):
    c = socket.socket(); c.setblocking(False); c.connect_ex(('127.0.0.1', 18080)); kept.append(c)",
    );
    for words in ["sockets", "who 18080", "status"] {
        let text = Program::line(words).inside(&netns).run().expect_code(0).stdout;
        assert!(text.contains("accept queue 2/1 full"), "{text}");
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words.matches("turned away by full queues").count(), 1, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    let document = listed(&netns, "");
    assert_eq!(only(&document)["backlog"], json!({"queued": 2, "max": 1}));
    let counters = netns.output("nstat -asz TcpExtListenOverflows TcpExtListenDrops");
    let counter = |name: &str| {
        let line = counters.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    };
    assert!(counter("TcpExtListenOverflows") > 0, "{counters}");
    let told = &document["namespaces"][0]["turned_away"];
    let at_most = |key: &str, name| told[key].as_u64().is_some_and(|n| 0 < n && n <= counter(name));
    assert!(at_most("listen_overflows", "TcpExtListenOverflows"), "{told} {counters}");
    assert!(at_most("listen_drops", "TcpExtListenDrops"), "{told} {counters}");
}

#[test]
fn the_table_fits_80_columns_and_gathers_ports_that_follow_each_other() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python(
        "for port in range(3000, 3011): listener(f'127.0.0.1:{port}')
listener('[::]:443', options=[(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)])",
    );
    let ran = Program::line("sockets").inside(&netns).run().expect_code(0);
    let name = std::fs::read_to_string(format!("/proc/{}/comm", server.pid())).unwrap();
    let process = format!("{} ({})", name.trim_end(), server.pid());
    let width = process.len();
    let expected = format!(
        "TYPE  LOCAL                {:width$}  USER  SCOPE     SERVICE\n\
         tcp   *:443                {process}  root  wildcard  https\n\
         tcp   127.0.0.1:3000-3010  {process}  root  loopback\n",
        "PROCESS"
    );
    assert_eq!(ran.stdout, expected);
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_empty_machine_has_an_empty_answer_and_no_gap() {
    require_root!();
    let netns = Netns::new();
    let ran = Program::line("sockets").inside(&netns).run().expect_code(0);
    assert_eq!((&*ran.stdout, &*ran.stderr), ("No such socket.\n", ""));
    let document =
        Program::line("ls -a --json --strict").inside(&netns).run().expect_code(0).json();
    let keys = ["portolan", "kind", "sockets", "gaps"].map(|key| document[key].clone());
    assert_eq!(keys, [json!(1), json!("sockets"), json!([]), json!([])]);
    let [own] = &document["namespaces"].as_array().unwrap()[..] else { panic!("{document:#}") };
    assert_eq!((&own["name"], &own["own"]), (&json!(netns.name()), &json!(true)));
}

#[test]
fn a_filter_that_cannot_be_read_is_refused_with_what_was_meant() {
    let ran = Program::line("sockets state estblished").run().expect_code(2);
    assert!(ran.stderr.contains("`estblished` is no state"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

#[test]
fn a_reader_that_stops_reading_ends_it_as_the_signal_would() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("for port in range(2000, 4000, 2): listener(f'127.0.0.1:{port}')");
    let ran = Program::line("sockets --json")
        .through(["bash", "-o", "pipefail", "-c", "\"$@\" | head -c 100 >/dev/null", "bash"])
        .inside(&netns)
        .run();
    assert_eq!((ran.code, &*ran.stderr), (141, ""));
}
