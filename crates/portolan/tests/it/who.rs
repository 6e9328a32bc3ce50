//! `portolan who`: whoever holds a port is named, and nobody is only said when nobody can be.

use serde_json::Value;

use crate::support::{Netns, Program, WITHOUT_NETLINK, require_root};

fn sockets(document: &Value) -> &[Value] {
    document["sockets"].as_array().expect("sockets is a list")
}

#[test]
fn a_listener_is_told_with_its_process_and_what_that_descends_from() {
    require_root!();
    let netns = Netns::new();
    let server = netns.listen("127.0.0.1:18080");
    let document = Program::line("who 18080 --json").inside(&netns).run().expect_code(0).json();
    assert_eq!(document["kind"], "who");
    let [socket] = sockets(&document) else { panic!("one socket: {document}") };
    assert_eq!(socket["owners"][0]["pid"], server.pid());
    assert_eq!(socket["state"], "listen");
    let ancestry = socket["ancestry"].as_array().expect("ancestry is a list");
    assert_eq!(ancestry[0]["pid"], std::process::id());
    assert_eq!(ancestry.last().expect("somebody is first")["pid"], 1);
}

#[test]
fn a_socket_bound_without_listening_is_found_and_its_holder_named() {
    require_root!();
    let netns = Netns::new();
    let server = netns.python("bound('127.0.0.1:22001')");
    let document = Program::line("who 22001 --json").inside(&netns).run().expect_code(0).json();
    assert_eq!(sockets(&document)[0]["state"], "bound");
    assert_eq!(sockets(&document)[0]["owners"][0]["pid"], server.pid());
    let text = Program::line("who 22001").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("bound, not listening"), "{text}");
}

#[test]
fn nobody_is_said_with_exit_code_one() {
    require_root!();
    let netns = Netns::new();
    let text = Program::line("who 18081").inside(&netns).run().expect_code(1).stdout;
    assert_eq!(text, "Nobody holds 18081 here.\n");
}

#[test]
fn a_process_without_sockets_is_not_said_to_be_held_by_nobody() {
    require_root!();
    let text = Program::line("who pid:1").inside(&Netns::new()).run().expect_code(1).stdout;
    assert_eq!(text, "pid:1 holds no socket in this network namespace.\n");
}

#[test]
fn a_port_of_the_other_transport_is_another_port() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:18082");
    Program::line("who 18082/tcp").inside(&netns).run().expect_code(0);
    Program::line("who 18082/udp").inside(&netns).run().expect_code(1);
}

#[test]
fn a_stranger_learns_that_somebody_holds_it_and_what_would_tell_more() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:28001");
    let ran = Program::line("who 28001").inside(&netns).by_user(65534).run().expect_code(3);
    assert!(ran.stdout.contains("127.0.0.1:28001/tcp"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hint: run with sudo"), "{}", ran.stderr);
}

#[test]
fn a_stranger_asking_for_a_program_is_not_told_that_nobody_runs_it() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:28002");
    let ran = Program::line("who nginx").inside(&netns).by_user(65534).run().expect_code(3);
    assert!(ran.stdout.contains("the owner of 1 socket could not be seen"), "{}", ran.stdout);
}

#[test]
fn a_program_and_a_process_are_found_by_all_they_hold() {
    require_root!();
    let netns = Netns::new();
    let script = "listener('127.0.0.1:18083'); bound('127.0.0.1:18084', socket.SOCK_DGRAM)";
    let server = netns.python(script);
    let ask = |what: String| {
        let document = Program::new(["who", &what, "--json"]).inside(&netns).run().expect_code(0);
        sockets(&document.json()).len()
    };
    assert_eq!(ask(format!("pid:{}", server.pid())), 2);
    assert_eq!(ask("python3".to_owned()), 2);
}

#[test]
fn a_port_of_the_kernel_is_named_by_its_tunnel() {
    require_root!();
    let netns = Netns::new();
    netns.ip("link set lo up");
    netns.ip("link add vx0 type vxlan id 1 dstport 4789 local 127.0.0.1");
    netns.ip("link set vx0 up");
    let ran = Program::line("who 4789/udp").inside(&netns).run().expect_code(0);
    assert!(ran.stdout.starts_with("kernel (vxlan vx0)\n"), "{}", ran.stdout);
    let document = Program::line("who 4789/udp --json").inside(&netns).run().expect_code(0).json();
    let owner = &sockets(&document)[0]["owners"][0];
    assert_eq!((&owner["process"], &owner["via"]), (&"kernel".into(), &"kernel".into()));
    let purpose = serde_json::json!({"kind": "vxlan", "device": "vx0"});
    assert_eq!(sockets(&document)[0]["kernel_use"], purpose);
    let list = Program::line("sockets").inside(&netns).run().expect_code(0).stdout;
    assert!(list.contains("kernel (vxlan vx0)"), "{list}");
}

#[test]
fn a_connection_nobody_has_accepted_yet_is_not_called_closing() {
    require_root!();
    let netns = Netns::new();
    let script = "listener('127.0.0.1:18085'); c = socket.create_connection(('127.0.0.1', 18085))";
    let _server = netns.python(script);
    let text = Program::line("who 18085").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("the listener has not accepted it yet"), "{text}");
}

#[test]
fn a_list_of_ports_and_a_prefix_are_ports_and_not_the_name_of_a_program() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("listener('127.0.0.1:18086'); datagram('127.0.0.1:18087')");
    for (what, found) in [("18086,18087", 2), ("u:18086-18087", 1), ("t:1,18086", 1)] {
        let ran = Program::new(["who", what, "--json"]).inside(&netns).run().expect_code(0);
        assert_eq!(sockets(&ran.json()).len(), found, "{what}");
    }
    Program::line("who u:18086").inside(&netns).run().expect_code(1);
}

#[test]
fn who_asks_for_a_service_nobody_runs_as_a_program_learns_its_port() {
    require_root!();
    let text = Program::line("who https").inside(&Netns::new()).run().expect_code(1).stdout;
    assert!(text.ends_with("portolan who 443\n"), "{text}");
}

#[test]
fn the_interface_a_socket_is_bound_to_is_part_of_its_place() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "listener('0.0.0.0:18088', options=[(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b'lo')])",
    );
    let text = Program::line("who 18088").inside(&netns).run().expect_code(0).stdout;
    assert!(text.contains("0.0.0.0%lo:18088/tcp"), "{text}");
}

#[test]
fn without_netlink_a_silent_socket_may_be_there_and_nobody_is_not_said() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("bound('127.0.0.1:22001')");
    let ask = |words: &str| {
        let blind = Program::line(words).inside(&netns);
        blind.through(["python3", "-c", WITHOUT_NETLINK]).run().expect_code(3)
    };
    let ran = ask("who 22001");
    assert!(ran.stdout.starts_with("Nobody visible holds 22001"), "{}", ran.stdout);
    assert!(ran.stderr.contains("not seen: what /proc/net does not tell"), "{}", ran.stderr);
    assert_eq!(ask("who 22001 --json").json()["gaps"][0]["why"], "unsupported");
}

#[test]
fn what_cannot_be_asked_for_is_refused_with_what_can() {
    for what in ["70000", "90-80", "53/upd", "pid:x", "unit:", ""] {
        let ran = Program::new(["who", what]).run().expect_code(2);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        assert!(ran.stderr.contains("\nhint: ask for 8080, 53/udp"), "{}", ran.stderr);
    }
}
