//! `portolan lookup`: layers, ranges, words, mistakes, and what the kernel here says.

use serde_json::Value;

use crate::support::{Netns, Program, Ran, require_root};

fn lookup(what: &[&str]) -> Ran {
    what.iter().fold(Program::line("lookup"), Program::arg).run()
}

fn results(what: &[&str]) -> Vec<Value> {
    let line = Program::line("lookup --json");
    let document = what.iter().fold(line, Program::arg).run().expect_code(0).json();
    assert_eq!(document["kind"], "lookup");
    document["results"].as_array().expect("results is a list").clone()
}

fn services(result: &Value) -> Vec<&str> {
    let assignments = result["assignments"].as_array().expect("assignments is a list");
    assignments.iter().filter_map(|a| a["service"].as_str()).collect()
}

fn ports(results: &[Value]) -> Vec<u64> {
    results.iter().filter_map(|r| r["port"].as_u64()).collect()
}

#[test]
fn a_number_has_its_layers_apart() {
    let [result] = &*results(&["9200"]) else { panic!("one result") };
    assert_eq!((&result["query"], &result["port"]), (&"9200".into(), &9200.into()));
    assert_eq!(result["class"], "user");
    assert_eq!(services(result), ["wap-wsp", "wap-wsp"]);
    assert_eq!(result["assignments"][1]["transport"], "udp");
    assert!(result["common_uses"][0]["product"].as_str().unwrap().contains("Elasticsearch"));
    assert_eq!(result["security"][0]["severity"], "critical");
    assert!(!result["security"][0]["source"].as_str().unwrap().is_empty());
    assert_eq!(result["inventory"], Value::Array(Vec::new()));
}

#[test]
fn of_several_names_the_usual_one_is_first() {
    for (port, name) in [("80", "http"), ("443", "https"), ("42", "nameserver"), ("113", "ident")] {
        assert_eq!(services(&results(&[port])[0])[0], name, "{port}");
    }
    assert!(services(&results(&["80"])[0]).contains(&"www-http"));
}

#[test]
fn a_transport_narrows_the_answer() {
    let [result] = &*results(&["512/udp"]) else { panic!("one result") };
    assert_eq!(services(result), ["biff", "comsat"]);
    assert_eq!(services(&results(&["t:512"])[0]), ["exec"]);
}

#[test]
fn a_range_has_a_result_for_each_port_that_is_known() {
    let results = results(&["5430-5435"]);
    assert!(ports(&results).contains(&5432));
    assert!(results.iter().all(|r| r["query"] == "5430-5435"));
    let table = lookup(&["6000-6070"]).expect_code(0).stdout;
    assert!(table.contains("6034-6063  x11"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn names_and_words_are_told_apart() {
    assert_eq!(ports(&results(&["https", "ssh"])), [443, 22]);
    assert_eq!(ports(&results(&["HTTPS"])), [443]);
    let found = results(&["time", "server"]);
    assert!(found.iter().all(|r| r["query"] == "time server"));
    assert!(ports(&found).contains(&525));
    assert_eq!(ports(&results(&["elasticsearch"]))[0], 9200);
    let mixed = results(&["22", "time", "server", "80,443"]);
    let queries: Vec<_> = mixed.iter().filter_map(|r| r["query"].as_str()).collect();
    assert_eq!((queries[0], queries[1], *queries.last().unwrap()), ("22", "time server", "80,443"));
}

#[test]
fn what_nobody_knows_ends_with_1_and_the_nearest_name() {
    let ran = lookup(&["postgress"]).expect_code(1);
    assert!(ran.stdout.contains("postgresql"), "{}", ran.stdout);
    let document = Program::line("lookup --json postgress").run().expect_code(1).json();
    assert_eq!(document["results"][0]["nearest"], "postgresql");
    assert_eq!(document["results"][0]["port"], Value::Null);
    let ran = lookup(&["55555"]).expect_code(1);
    assert!(ran.stdout.contains("dynamic (private)"), "{}", ran.stdout);
}

#[test]
fn numbers_that_are_none_end_with_2_and_say_why() {
    for (what, why) in [
        ("70000", "larger than 65535"),
        ("80-70000", "larger than 65535"),
        ("90-80", "reversed"),
        ("80,htps", "no service is called `htps`"),
        ("443/tpc", "`tpc` is not a transport"),
        ("top:1001", "more than is ranked for tcp (1000)"),
    ] {
        let ran = lookup(&[what]).expect_code(2);
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(why), "{}", ran.stderr);
        assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    }
}

#[test]
fn every_text_fits_80_columns_and_names_its_source() {
    for what in ["512", "53", "80", "502", "40000", "3478", "sctp", "remote"] {
        let text = lookup(&[what]).expect_code(0).stdout;
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
    let text = lookup(&["23"]).expect_code(0).stdout;
    for part in ["system (well-known)", "IANA has assigned", "Security", "source: "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_kernels_own_settings_are_told() {
    require_root!();
    let ns = Netns::new();
    for setting in
        ["local_port_range=20000 20999", "local_reserved_ports=20500", "unprivileged_port_start=80"]
    {
        let setting = format!("net.ipv4.ip_{setting}");
        assert!(ns.command("sysctl").args(["-qw", &setting]).status().unwrap().success());
    }
    let of = |port: &str| {
        let document = Program::new(["lookup", "--json", port]).inside(&ns).run().json();
        assert_eq!(document["host"]["ephemeral"]["first"], 20000);
        let result = &document["results"][0];
        ["ephemeral_here", "privileged_here", "reserved_here"].map(|key| result[key] == true)
    };
    assert_eq!(of("20500"), [true, false, true]);
    assert_eq!(of("40000"), [false, false, false]);
    assert_eq!(of("79"), [false, true, false]);
    let text = Program::line("lookup 40000 443").inside(&ns).run().stdout;
    assert!(text.contains("not ephemeral here (20000-20999)"), "{text}");
    assert!(text.contains("any user may bind it here"), "{text}");
}

#[test]
fn what_the_inventory_declares_stands_beside_the_registry() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("portolan.toml");
    let inventory = "portolan = 1\n[hosts.web]\naddress = [\"192.0.2.1\"]\n\
        [services.shop]\non = [\"web\"]\nports = [\"9200/tcp\", \"9999/tcp\"]\n\
        purpose = \"full-text search of the shop\"\n";
    std::fs::write(&file, inventory).unwrap();
    let here = |line: &str| Program::line(line).folder(folder.path()).run();
    let document = here("lookup --json 9200 9200/udp").expect_code(0).json();
    let declared = &document["results"][0]["inventory"][0];
    assert_eq!((&declared["service"], &declared["on"][0]), (&"shop".into(), &"web".into()));
    assert_eq!(document["results"][1]["inventory"], Value::Array(Vec::new()));
    let text = here("lookup 9200").expect_code(0).stdout;
    assert!(text.contains("service shop on web: full-text search of the shop"), "{text}");
    assert_eq!(here("lookup --json shop").json()["results"][1]["port"], 9999);

    std::fs::write(&file, "portolan = 1\nno such key").unwrap();
    let ran = here("lookup --json 9200").expect_code(0);
    assert_eq!(ran.json()["gaps"][0]["why"], "unsupported");
    here("lookup 9200 --inventory portolan.toml").expect_code(2);
}
