//! `portolan sockets --ephemeral`: what is reported as full is what the kernel refuses, and nothing
//! is called full before.

use serde_json::{Value, json};

use crate::support::{Netns, Program, require_root};

/// A namespace whose kernel chooses from so few ports.
fn narrow(range: &str, reserved: &str) -> Netns {
    let netns = Netns::new();
    netns.enter(|| {
        let setting = |name: &str, value: &str| {
            std::fs::write(format!("/proc/sys/net/ipv4/{name}"), format!("{value}\n")).unwrap();
        };
        setting("ip_local_port_range", range);
        setting("ip_local_reserved_ports", reserved);
    });
    netns
}

/// What a script may use: servers at 25000 and 25001, and `fill`, which makes sockets until the
/// kernel refuses one and tells how many there were and why no more.
const TOOLS: &str = "
import errno
for port in (25000, 25001): listener(f'0.0.0.0:{port}', backlog=4096)
def fill(make, most=100):
    for n in range(most):
        s = socket.socket()
        try: make(s)
        except OSError as e: s.close(); print(n, errno.errorcode[e.errno]); return
        kept.append(s)
    print(most, '-')
def plain(port): return lambda s: s.connect(('127.0.0.1', port))
def bound(port, *options):
    def make(s):
        for option in options: s.setsockopt(socket.SOL_IP, option, 1)
        s.bind(('127.0.0.1', 0)); s.connect(('127.0.0.1', port))
    return make
";
const NO_PORT: &str = "24"; // IP_BIND_ADDRESS_NO_PORT, linux/in.h

fn report(netns: &Netns) -> Value {
    let document =
        Program::line("sockets --ephemeral --json").inside(netns).run().expect_code(0).json();
    assert_eq!(document["kind"], "ephemeral");
    document["namespaces"][0].clone()
}

/// (port, used, full) of each destination from 127.0.0.1.
fn destinations(report: &Value) -> Vec<(u64, u64, bool)> {
    let all = report["destinations"].as_array().unwrap().iter();
    let mut found: Vec<_> = all
        .map(|d| {
            let number = |key: &str| d[key].as_u64().unwrap();
            (number("port"), number("used"), d["full"].as_bool().unwrap())
        })
        .collect();
    found.sort_unstable();
    found
}

fn address<'a>(report: &'a Value, transport: &str, address: &str) -> &'a Value {
    let all = report["addresses"].as_array().unwrap();
    let is_it = |a: &&Value| a["address"] == address && a["transport"] == transport;
    all.iter().find(is_it).unwrap_or_else(|| panic!("{transport} {address}: {report:#}"))
}

#[test]
fn connections_fill_the_range_for_their_destination_alone() {
    require_root!();
    for (range, reserved, usable) in
        [("40000 40011", "", 12), ("40000 40007", "40003", 7), ("40001 40008", "40002-40003", 6)]
    {
        let netns = narrow(range, reserved);
        let server = netns.python(&format!("{TOOLS}\nfill(plain(25000)); fill(plain(25001), 3)"));
        assert_eq!(server.said, format!("{usable} EADDRNOTAVAIL\n3 -"));
        let report = report(&netns);
        assert_eq!((&report["usable"], &report["bound"]), (&json!(usable), &json!(0)));
        assert_eq!(destinations(&report), [(25000, usable, true), (25001, 3, false)]);
        assert_eq!(report["likely_bound"], 0, "{report:#}");
        assert_eq!(report["tightest"]["percent"], 100);
        let holder = &report["holders"][0];
        assert_eq!((&holder["pid"], &holder["ports"]), (&json!(server.pid()), &json!(usable)));
    }
}

#[test]
fn nothing_is_full_while_the_kernel_still_finds_a_port() {
    require_root!();
    let netns = narrow("40000 40007", "");
    let server = netns.python(&format!("{TOOLS}\nfill(plain(25000), 7)"));
    assert_eq!(server.said, "7 -");
    let before = report(&netns);
    assert_eq!(destinations(&before), [(25000, 7, false)]);
    assert_eq!(before["tightest"]["full"], false);
}

#[test]
fn a_bind_before_the_connect_takes_the_port_from_every_destination() {
    require_root!();
    let netns = narrow("40000 40011", "");
    let script = format!("{TOOLS}\nfill(bound(25000)); fill(bound(25001)); fill(plain(25001))");
    let server = netns.python(&script);
    assert_eq!(server.said, "12 EADDRINUSE\n0 EADDRINUSE\n0 EADDRNOTAVAIL");
    let all = report(&netns);
    let fill = address(&all, "tcp", "127.0.0.1");
    assert_eq!((&fill["used"], &fill["full"]), (&json!(12), &json!(true)), "{all:#}");

    let half = narrow("40000 40011", "");
    let _server = half.python(&format!("{TOOLS}\nfill(bound(25000), 6)"));
    let report = report(&half);
    assert_eq!(report["likely_bound"], 6, "{report:#}");
    let codes: Vec<_> = report["advice"].as_array().unwrap().iter().map(|a| &a["code"]).collect();
    assert!(codes.contains(&&json!("bind-address-no-port")), "{report:#}");
}

#[test]
fn with_bind_address_no_port_each_destination_has_the_range_again() {
    require_root!();
    let netns = narrow("40000 40011", "");
    let server = netns
        .python(&format!("{TOOLS}\nfill(bound(25000, {NO_PORT})); fill(bound(25001, {NO_PORT}))"));
    assert_eq!(server.said, "12 EADDRNOTAVAIL\n12 EADDRNOTAVAIL");
    assert_eq!(destinations(&report(&netns)), [(25000, 12, true), (25001, 12, true)]);
}

#[test]
fn listeners_on_chosen_ports_leave_none_for_connections_from_anywhere() {
    require_root!();
    let netns = narrow("40000 40007", "");
    let script = format!(
        "{TOOLS}
fill(plain(25000), 1)
fill(lambda s: (s.bind(('127.0.0.1', 0)), s.listen()))
fill(plain(25001))
fill(lambda s: (s.bind(('127.0.0.2', 0)), s.listen()), 2)"
    );
    let server = netns.python(&script);
    // The port of the first connection is no bind's, so it leads to one other destination.
    assert_eq!(server.said, "1 -\n7 EADDRINUSE\n1 EADDRNOTAVAIL\n2 -");
    let report = report(&netns);
    assert_eq!(report["bound"], 7);
    assert_eq!(destinations(&report), [(25000, 8, true), (25001, 8, true)]);
    let used = |place: &str| address(&report, "tcp", place)["used"].clone();
    assert_eq!((used("127.0.0.1"), used("127.0.0.2")), (json!(8), json!(2)));
    assert_eq!(address(&report, "tcp", "127.0.0.1")["full"], true);
    assert_eq!(report["tightest"]["full"], true);
}

#[test]
fn udp_fills_each_address_for_itself() {
    require_root!();
    let netns = narrow("40000 40007", "");
    let script = "
def fill(address):
    n = 0
    while True:
        try: datagram(f'{address}:0'); n += 1
        except OSError as e: print(n); return
fill('127.0.0.1')
datagram('127.0.0.2:0')";
    assert_eq!(netns.python(script).said, "8");
    let server = netns.python(script);
    let report = report(&netns);
    assert_eq!(address(&report, "udp", "127.0.0.1")["full"], true);
    assert_eq!(address(&report, "udp", "127.0.0.2")["used"], 1);
    assert_eq!(report["holders"][0]["pid"], server.pid());
}

#[test]
fn time_wait_is_told_with_its_end_and_what_would_help() {
    require_root!();
    let netns = narrow("40000 40007", "");
    // Without reuse; a connection closed by its client first stays for 60 s.
    netns.enter(|| std::fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap());
    let server = netns.python(&format!(
        "{TOOLS}
gate = kept[0]
def gone(s):
    s.connect(('127.0.0.1', 25000)); other, _ = gate.accept(); s.close(); other.recv(1); other.close()
fill(gone)"
    ));
    assert_eq!(server.said, "8 EADDRNOTAVAIL");
    let report = report(&netns);
    assert_eq!(destinations(&report), [(25000, 8, true)]);
    let destination = &report["destinations"][0];
    assert_eq!((&destination["time_wait"], &destination["live"]), (&json!(8), &json!(0)));
    let end = destination["last_end_ms"].as_u64().unwrap();
    assert!((1..=60_000).contains(&end), "{end}");
    let commands: Vec<_> =
        report["advice"].as_array().unwrap().iter().map(|a| &a["command"]).collect();
    assert!(commands.contains(&&json!("sysctl -w net.ipv4.tcp_tw_reuse=1")), "{commands:?}");
    // The exact line helps.
    netns.output("sysctl -w net.ipv4.tcp_tw_reuse=1");
    let text = Program::line("sockets --ephemeral").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("100 % TIME-WAIT, last ends in"), "{text}");
    assert!(!text.contains("tcp_tw_reuse=1\n"), "{text}");
}

#[test]
fn a_fixed_port_in_the_range_comes_with_the_line_that_keeps_it() {
    require_root!();
    let netns = narrow("40000 40063", "40001");
    let server = netns
        .python("listener('0.0.0.0:40003'); listener('0.0.0.0:40001'); datagram('0.0.0.0:40005')");
    let before = report(&netns);
    let fixed: Vec<_> = before["fixed"].as_array().unwrap().iter().map(|f| &f["port"]).collect();
    assert_eq!(fixed, [40003, 40005]);
    assert_eq!(before["fixed"][0]["owners"][0]["pid"], server.pid());
    let line = before["advice"][0]["command"].as_str().unwrap();
    assert_eq!(line, "sysctl -w net.ipv4.ip_local_reserved_ports=40001,40003,40005");
    netns.output(line);
    let after = report(&netns);
    assert_eq!((&after["fixed"], &after["advice"]), (&json!([]), &json!([])));
}

#[test]
fn a_full_range_is_a_screen_that_says_who_and_what_to_do() {
    require_root!();
    let netns = narrow("40000 40007", "");
    let server = netns.python(&format!("{TOOLS}\nfill(plain(25000))"));
    let text = Program::line("sockets --ephemeral").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("full: connect() fails with EADDRNOTAVAIL"), "{text}");
    assert!(text.contains(&format!("({})", server.pid())), "{text}");
    assert!(text.contains("sysctl -w net.ipv4.ip_local_port_range=\"10240 65535\"\n"), "{text}");
    assert!(text.lines().count() <= 24, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_range_of_which_every_port_is_reserved_is_not_called_unused() {
    require_root!();
    let netns = narrow("40000 40003", "40000-40003");
    let server = netns
        .python(&format!("{TOOLS}\nfill(plain(25000)); fill(lambda s: s.bind(('127.0.0.1', 0)))"));
    assert_eq!(server.said, "0 EADDRNOTAVAIL\n0 EADDRINUSE");
    assert_eq!(report(&netns)["tightest"]["full"], true);
    let text = Program::line("sockets --ephemeral").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("left         none, for all are reserved"), "{text}");
    assert!(!text.contains("in use"), "{text}");
    assert!(text.contains("sysctl -w net.ipv4.ip_local_port_range="), "{text}");
}

#[test]
fn udp_that_connects_is_told_its_own_error() {
    require_root!();
    let netns = narrow("40000 40000", "");
    let server = netns.python(
        "import errno
datagram('0.0.0.0:0')
try: socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 53))
except OSError as e: print(errno.errorcode[e.errno])",
    );
    assert_eq!(server.said, "EAGAIN");
    let text = Program::line("sockets --ephemeral").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("connect() and sendto() with EAGAIN"), "{text}");
    assert!(text.contains("40000: 1 port\n"), "{text}");
}

#[test]
fn each_namespace_is_counted_with_its_own_range() {
    require_root!();
    let (here, there) = (narrow("40000 40007", ""), narrow("50000 50003", ""));
    let _server = there.python(&format!("{TOOLS}\nfill(plain(25000))"));
    let ran = Program::line("sockets --ephemeral --all-netns --json").inside(&here).run();
    let document = ran.expect_code(0).json();
    let all = document["namespaces"].as_array().unwrap();
    assert_eq!((&all[0]["own"], &all[0]["tightest"]["used"]), (&json!(true), &json!(0)));
    let other = all.iter().find(|n| n["netns"]["name"] == there.name()).expect("it is listed");
    assert_eq!(
        (&other["range"]["first"], &other["tightest"]["full"]),
        (&json!(50000), &json!(true))
    );
}

#[test]
fn a_stranger_gets_the_counts_and_is_told_that_holders_are_hidden() {
    require_root!();
    let netns = narrow("40000 40007", "");
    let _server = netns.python(&format!("{TOOLS}\nfill(plain(25000), 3)"));
    let ran = Program::line("sockets --ephemeral --strict").inside(&netns).by_user(65534).run();
    let ran = ran.expect_code(3);
    assert!(ran.stdout.contains("not visible"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: run with sudo"), "{}", ran.stderr);
}

#[test]
fn what_shapes_a_list_is_refused_beside_the_count() {
    for words in ["-t", "-a", "--inactive", "state established"] {
        let ran = Program::line(&format!("sockets --ephemeral {words}")).run().expect_code(2);
        assert!(ran.stderr.contains("cannot be used with"), "{}", ran.stderr);
    }
}
