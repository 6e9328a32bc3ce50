//! `portolan` and `portolan status`: the chart, with and without an inventory.

use std::fs;

use serde_json::Value;

use crate::support::{Netns, Program, Ran, require_root};

/// An inventory of a host `here` with `services` after it.
fn inventory(services: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the inventory");
    let text = format!("portolan = 1\n[hosts.here]\naddress = [\"10.9.9.9\"]\n{services}");
    fs::write(folder.path().join("portolan.toml"), text).expect("the folder is ours");
    folder
}

const WEB: &str = r#"
[services.web]
on = ["here"]
ports = ["8443/tcp"]
from = ["any"]
purpose = "The site"
"#;

fn chart(netns: &Netns, folder: &tempfile::TempDir) -> Value {
    let program = Program::line("status --json --host here").inside(netns).folder(folder.path());
    program.run().expect_code(0).json()
}

fn plain(netns: &Netns) -> Ran {
    Program::line("").inside(netns).run().expect_code(0)
}

#[test]
fn an_empty_machine_is_a_sentence_and_a_next_step() {
    require_root!();
    let text = plain(&Netns::new()).stdout;
    assert!(text.contains("\nNo port is open.\n"), "{text}");
    assert!(text.ends_with("next: portolan sockets -a     (connections too)\n"), "{text}");
}

#[test]
fn what_others_could_reach_stands_before_what_only_this_machine_can() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("listener('127.0.0.1:2001'); listener('0.0.0.0:9001')");
    let text = plain(&netns).stdout;
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in\n{text}"));
    assert!(place("9001/tcp") < place("From this machine only"));
    assert!(place("From this machine only") < place("2001/tcp"));
    // No way leads to it from anywhere, and the column says so too.
    assert!(place("From other machines, once a way leads here") < place("9001/tcp"));
    let told = "2 open ports: 1 from other machines once a way leads here, 1 from this machine";
    assert!(text.contains(told), "{text}");
    netns.ip("link add far type veth peer name near");
    netns.ip("link set near up");
    netns.ip("addr add 10.80.0.1/24 dev far");
    netns.ip("link set far up");
    netns.ip("route add default via 10.80.0.2");
    let text = plain(&netns).stdout;
    assert!(text.contains("2 open ports: 1 from any network, 1 from this machine only."), "{text}");
}

#[test]
fn why_no_owner_is_told_is_the_same_word_as_in_sockets() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("127.0.0.1:2001");
    let document =
        Program::line("--json").inside(&netns).by_user(65534).run().expect_code(0).json();
    assert_eq!(document["ports"][0]["owner_gap"], "not-permitted");
}

#[test]
fn what_init_left_to_do_is_counted_and_does_not_bury_the_chart() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("listener('127.0.0.1:2001'); listener('0.0.0.0:9001')");
    let folder = tempfile::tempdir().expect("a folder for the inventory");
    let run = |words: &str| Program::line(words).inside(&netns).folder(folder.path()).run();
    run("inventory init").expect_code(0);
    let text = run("status").expect_code(0).stdout;
    assert!(text.contains(" on the inventory: portolan audit\n"), "{text}");
    assert!(!text.contains("P117"), "{text}");
}

#[test]
fn no_line_is_wider_than_eighty_columns() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "open('/proc/self/comm','w').write('a-name-of-15-by'); listener('0.0.0.0:161'); listener('[::]:6379')",
    );
    let text = plain(&netns).stdout;
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn what_is_declared_by_the_management_table_alone_is_told_whole() {
    require_root!();
    let netns = Netns::new();
    let folder = inventory("[management]\nfrom = [\"10.0.0.0/8\"]\nports = [\"22/tcp\"]\n");
    let _server = netns.python(
        "open('/proc/self/comm','w').write('a-name-of-15-by'); listener('0.0.0.0:22'); listener('0.0.0.0:8080')",
    );
    let line = Program::line("status --host here").inside(&netns).folder(folder.path());
    let text = line.run().expect_code(0).stdout;
    assert!(text.contains("[management]\n"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn a_dual_stack_listener_is_one_row() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.listen("[::]:9002");
    let document = Program::line("--json").inside(&netns).run().expect_code(0).json();
    let ports = document["ports"].as_array().expect("ports is a list");
    assert_eq!(ports.len(), 1, "{document}");
    assert_eq!(ports[0]["bound"][0]["dual_stack"], true);
}

#[test]
fn neighbouring_ports_of_one_program_are_one_row_of_the_table_and_each_in_json() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python("[listener(f'127.0.0.1:{p}') for p in range(3000, 3011)]");
    let text = plain(&netns).stdout;
    assert!(text.contains("3000-3010/tcp"), "{text}");
    let document = Program::line("--json").inside(&netns).run().expect_code(0).json();
    assert_eq!(document["ports"].as_array().expect("ports is a list").len(), 11);
}

#[test]
fn a_declared_port_has_its_service_and_an_undeclared_one_a_finding() {
    require_root!();
    let netns = Netns::new();
    let folder = inventory(WEB);
    let _server = netns.python("listener('0.0.0.0:8443'); listener('0.0.0.0:8444')");
    let document = chart(&netns, &folder);
    let of = |port: u64| {
        let ports = document["ports"].as_array().expect("ports is a list");
        ports.iter().find(|p| p["port"] == port).expect("it is open").clone()
    };
    assert_eq!(of(8443)["declared"]["service"], "web");
    assert_eq!(of(8443)["declared"]["status"], "active");
    assert_eq!(of(8444)["declared"], Value::Null);
    let finding = of(8444)["findings"][0].as_str().expect("an id").to_owned();
    assert!(finding.starts_with("P101-"), "{finding}");
    assert!(of(8443)["reach"].as_array().is_some_and(|r| !r.is_empty()));
}

#[test]
fn an_undeclared_port_that_was_accepted_is_called_so() {
    require_root!();
    let netns = Netns::new();
    let folder =
        inventory("[[ignore]]\nmatch = { ports = [\"9006/tcp\"] }\nreason = \"a probe\"\n");
    let _server = netns.listen("127.0.0.1:9006");
    let port = &chart(&netns, &folder)["ports"][0];
    assert_eq!((&port["declared"], &port["accepted"]), (&Value::Null, &"a probe".into()));
    let program = Program::line("--host here").inside(&netns).folder(folder.path());
    let text = program.run().expect_code(0).stdout;
    assert!(text.contains("accepted") && text.contains("; 0 undeclared"), "{text}");
}

#[test]
fn a_declared_service_that_does_not_listen_is_told_below_the_chart() {
    require_root!();
    let netns = Netns::new();
    let folder = inventory(WEB);
    let document = chart(&netns, &folder);
    assert_eq!(document["findings"][0]["rule"], "P102");
    let program = Program::line("--host here").inside(&netns).folder(folder.path());
    let text = program.run().expect_code(0).stdout;
    assert!(text.contains("P102"), "{text}");
    assert!(text.contains("next: portolan audit"), "{text}");
}

#[test]
fn a_broken_inventory_that_was_only_found_does_not_hide_the_chart() {
    require_root!();
    let netns = Netns::new();
    let folder = inventory("nonsense");
    let _server = netns.listen("127.0.0.1:9003");
    let ran = Program::line("").inside(&netns).folder(folder.path()).run().expect_code(0);
    assert!(ran.stdout.contains("9003/tcp"), "{}", ran.stdout);
    assert!(ran.stdout.contains("next: portolan inventory validate"), "{}", ran.stdout);
    assert!(ran.stderr.contains("not seen: what is declared"), "{}", ran.stderr);
    let strict = Program::line("--strict").inside(&netns).folder(folder.path());
    strict.run().expect_code(3);
}

#[test]
fn a_broken_inventory_that_was_named_is_an_error() {
    let folder = inventory("nonsense");
    let path = folder.path().join("portolan.toml");
    let ran = Program::line("--inventory").arg(path).run().expect_code(2);
    assert!(ran.stderr.contains("portolan.toml:4:"), "{}", ran.stderr);
}

#[test]
fn a_hostile_process_name_is_shown_and_not_obeyed() {
    require_root!();
    let netns = Netns::new();
    let _server = netns.python(
        "open('/proc/self/comm','wb').write(b'\\x1b[2J\\x1b[31mevil'); listener('127.0.0.1:9004')",
    );
    for arguments in ["", "who 9004", "sockets"] {
        let text = Program::line(arguments).inside(&netns).run().expect_code(0).stdout;
        assert!(!text.contains('\x1b'), "{arguments}: {text:?}");
        assert!(text.contains("\\x1b[2J"), "{arguments}: {text}");
    }
}

#[test]
fn two_charts_differ_by_the_port_that_was_opened_between_them() {
    require_root!();
    let netns = Netns::new();
    let folder = tempfile::tempdir().expect("a folder for the charts");
    let save = |name: &str| {
        let ran = Program::line("status --json").inside(&netns).run().expect_code(0);
        fs::write(folder.path().join(name), ran.stdout).expect("the folder is ours");
    };
    save("old");
    let _server = netns.listen("0.0.0.0:9005");
    save("new");
    let diff = |line: &str| Program::line(line).folder(folder.path()).run();
    let text = diff("diff old new").expect_code(1).stdout;
    assert!(text.contains("opened  9005/tcp"), "{text}");
    let document = diff("diff old new --json").expect_code(1).json();
    assert_eq!((&document["kind"], &document["opened"][0]["port"]), (&"diff".into(), &9005.into()));
    assert_eq!(diff("diff new old").expect_code(1).stdout.matches("closed").count(), 2);
    assert_eq!(diff("diff new new").expect_code(0).stdout, "No difference.\n");
    let error = diff("diff old nothing").expect_code(2).stderr;
    assert!(error.starts_with("error: read nothing: "), "{error}");
}
