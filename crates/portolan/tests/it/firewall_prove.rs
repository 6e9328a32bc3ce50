//! `firewall prove`: the compiled, the loaded and a changed table, held against the inventory.

use std::path::PathBuf;

use crate::support::{Netns, Program, Ran, require_root};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop")
}

fn shop(line: &str) -> Program {
    Program::line(&format!("firewall {line}")).folder(folder())
}

fn compiled(host: &str) -> String {
    shop(&format!("compile --host {host}")).run().expect_code(0).stdout
}

fn live(netns: &Netns, host: &str, more: &str) -> Ran {
    shop(&format!("prove --live --host {host} {more}")).inside(netns).run()
}

#[test]
fn the_table_of_every_host_of_the_shop_and_of_the_office_is_proved() {
    require_root!();
    for host in ["bastion", "web", "db"] {
        let ran = shop(&format!("prove --host {host}")).run().expect_code(0);
        assert!(
            ran.stdout.starts_with(&format!("PROVED {host}: the compiled table")),
            "{}",
            ran.stdout
        );
    }
    for host in ["gate", "ns1", "files", "mail", "phones", "forge"] {
        Program::line(&format!("firewall prove --host {host}"))
            .folder(folder().join("../office"))
            .run()
            .expect_code(0);
    }
}

/// nft hidden behind a file that nobody may run, or no namespace for a user: our own reader proves, and
/// says that it is less.
#[test]
fn without_nft_the_table_is_proved_as_portolan_reads_it_and_that_is_said() {
    require_root!();
    let hide = "for nft in /usr/sbin/nft /usr/local/sbin/nft /sbin/nft; do [ -e $nft ] || continue; \
                mount --bind /dev/null $nft; done; exec \"$@\"";
    let run = |more: &str| {
        let prove = shop(&format!("prove --host web {more}"));
        prove.through(["unshare", "-m", "sh", "-c", hide, "sh"]).run().expect_code(3)
    };
    let ran = run("");
    let said = "PROVED web, as portolan itself reads the compiled table; not\n";
    assert!(ran.stdout.starts_with(said), "{}", ran.stdout);
    assert!(ran.stderr.contains("how nft reads the table"), "{}", ran.stderr);
    let document = run("--json").json();
    assert_eq!((&document["holds"], &document["reading"]), (&true.into(), &"own".into()));
    assert_eq!(document["gaps"][0]["why"], "unsupported", "{document:#}");
}

#[test]
fn the_loaded_table_is_proved_and_one_changed_element_is_shown_by_a_packet() {
    require_root!();
    let netns = Netns::new();
    let before = live(&netns, "db", "").expect_code(1);
    assert!(before.stdout.contains("there is no table inet portolan"), "{}", before.stdout);
    netns.rules(&compiled("db"));
    let document = live(&netns, "db", "--json").expect_code(0).json();
    assert_eq!(document["kind"], "firewall-prove");
    assert_eq!((&document["holds"], &document["against"]), (&true.into(), &"live".into()));
    netns.output("nft add element inet portolan addr-bastion-v4 { 10.20.0.66 }");
    let changed = live(&netns, "db", "").expect_code(1);
    assert!(changed.stdout.contains("tcp 10.20.0.66"), "{}", changed.stdout);
    assert!(changed.stdout.contains("the table lets it through, the inventory does not"));
    let document = live(&netns, "db", "--json").expect_code(1).json();
    let difference = &document["differences"][0];
    assert_eq!((&difference["way"], &difference["wanted"]), (&"input".into(), &false.into()));
    assert_eq!(difference["witness"]["src"], "10.20.0.66");
    assert_eq!(difference["decided_by"]["table"], "portolan");
    netns.output("nft delete element inet portolan addr-bastion-v4 { 10.20.0.66 }");
    live(&netns, "db", "").expect_code(0);
}

/// The audit says so too, of an element and of a rule that were added.
#[test]
fn the_audit_finds_what_was_changed_in_the_loaded_table() {
    require_root!();
    let netns = Netns::new();
    let found = || {
        let audit = Program::line("audit --json --host db").folder(folder()).inside(&netns).run();
        let document = audit.json();
        let findings = document["findings"].as_array().unwrap().clone();
        let ours = |finding: &serde_json::Value| finding["subject"] == "table inet portolan";
        findings.into_iter().filter(ours).collect::<Vec<_>>()
    };
    assert!(found().is_empty(), "there is no table");
    netns.rules(&compiled("db"));
    assert!(found().is_empty());
    netns.output("nft add element inet portolan addr-bastion-v4 { 10.20.0.66 }");
    let [element] = &found()[..] else { panic!("one finding of the element") };
    assert_eq!((&element["rule"], &element["severity"]), (&"P114".into(), &"high".into()));
    assert!(element["evidence"].to_string().contains("10.20.0.66"), "{element:#}");
    netns.output("nft delete element inet portolan addr-bastion-v4 { 10.20.0.66 }");
    assert!(found().is_empty());
    netns.output("nft insert rule inet portolan input tcp dport 5432 drop");
    let [rule] = &found()[..] else { panic!("one finding of the rule") };
    assert_eq!((&rule["severity"], &rule["id"]), (&"medium".into(), &element["id"]));
    assert!(rule["evidence"].to_string().contains("5432 is not let through"), "{rule:#}");
}

/// The rules of what has ended stay where they are and do nothing: that is no difference to an inventory in
/// which it has ended.
#[test]
fn the_audit_finds_nothing_of_what_has_ended_and_still_what_differs() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let write = |until: &str| {
        let text = format!(
            "portolan = 1\n[hosts.h]\naddress = \"10.0.0.1\"\n[services.a]\non = \"h\"\nports = \"4242/tcp\"\n\
             from = \"10.0.0.2\"\napproved = {{ by = \"ann\", until = {until} }}\n[[block]]\nfrom = \"10.0.0.3\"\n\
             reason = \"loud\"\nuntil = {until}\n"
        );
        std::fs::write(folder.path().join("portolan.toml"), text).unwrap();
    };
    let netns = Netns::new();
    for line in ["link add eth0 type veth peer name other", "link set eth0 up", "link set other up"]
    {
        netns.ip(line);
    }
    netns.ip("address add 10.0.0.1/24 dev eth0");
    let _listens = netns.listen("10.0.0.1:4242");
    let found = || {
        let audit = Program::line("audit --json --host h").folder(folder.path()).inside(&netns);
        let document = audit.run().json();
        let findings = document["findings"].as_array().unwrap().clone();
        let ours = |finding: &serde_json::Value| finding["rule"] == "P114";
        findings.into_iter().filter(ours).collect::<Vec<_>>()
    };
    let compile = Program::line("firewall compile --host h").folder(folder.path());
    write("2999-01-01T00:00:00Z");
    let table = compile.run().expect_code(0).stdout;
    let end = "18446744073";
    assert!(table.matches(end).count() > 1, "{table}");
    netns.rules(&table);
    assert_eq!(found(), [] as [serde_json::Value; 0]);
    write("2026-01-01T00:00:00Z");
    netns.output("nft flush ruleset");
    netns.rules(&table.replace(end, "1767225600"));
    assert_eq!(found(), [] as [serde_json::Value; 0]);
    netns.output("nft insert rule inet portolan input tcp dport 4242 accept");
    assert_eq!(found().len(), 1, "{:#?}", found());
}

#[test]
fn a_saved_table_is_proved_too() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let saved = folder.path().join("saved.nft");
    let prove = || shop(&format!("prove --host web --rules {}", saved.display())).run();
    std::fs::write(&saved, compiled("web")).unwrap();
    let good = prove().expect_code(0);
    assert!(good.stdout.contains("the saved table"), "{}", good.stdout);
    std::fs::write(&saved, compiled("web").replace("443 : jump", "8443 : jump")).unwrap();
    prove().expect_code(1);
    for (chain, told) in [
        ("type filter hook output priority -300\n notrack", "notrack"),
        ("type filter hook prerouting priority -300\n ct zone set 5", "ct zone set 5"),
        ("type nat hook output priority -100\n tcp dport 8000 dnat ip to 192.0.2.9", "dnat ip to"),
        ("type nat hook input priority 100\n snat ip to 192.0.2.9", "snat ip to"),
    ] {
        let table = compiled("web");
        let open = table.trim_end().strip_suffix('}').expect("a closing brace");
        std::fs::write(&saved, format!("{open}chain more {{\n{chain}\n}}\n}}\n")).unwrap();
        let found = prove().expect_code(1);
        assert!(found.stdout.contains("knows nothing of changes packets"), "{}", found.stdout);
        assert!(found.stdout.contains(told), "{}", found.stdout);
    }
}

#[test]
fn what_other_tables_refuse_of_the_policy_is_told() {
    require_root!();
    let netns = Netns::new();
    netns.rules(&compiled("web"));
    netns.rules(
        "table ip theirs { chain in { type filter hook input priority 0
            tcp dport 443 drop
        } }"
        .replace("} }", "}\n}")
        .as_str(),
    );
    let ran = live(&netns, "web", "").expect_code(0);
    assert!(ran.stdout.contains("other tables refuse `shop-https`: tcp"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ip theirs in rule 1: tcp dport 443 drop"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("shop-http`"), "{}", ran.stdout);
}

#[test]
fn where_nothing_is_loaded_yet_only_what_is_declared_counts_as_refused() {
    require_root!();
    let netns = Netns::new();
    netns.rules(
        "table ip theirs { chain in { type filter hook input priority 0
            tcp dport 22 ip saddr != { 10.0.0.0/8, 203.0.113.130 } drop\ntcp dport 443 drop
        }\n}",
    );
    let document = live(&netns, "web", "--json").expect_code(1).json();
    let rows = document["refused_by_others"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().filter_map(|row| row["service"].as_str()).collect();
    assert_eq!(names, ["shop-https"], "{rows:#?}");
}

const NEEDY: &str = r#"portolan = 1
[networks]
office = "203.0.113.0/24"
[hosts.web]
address = "10.0.0.1"
firewall = { egress = "drop" }
[hosts.gate]
address = "10.0.0.2"
firewall = { forward = "drop" }
[hosts.db]
address = "10.9.0.2"
[services.shop]
on = "web"
ports = "443/tcp"
from = "any"
needs = ["sql@db"]
[services.sql]
on = "db"
ports = "5432/tcp"
from = "web"
"#;

/// A live proof in a namespace with this machine's address, a translation and other tables.
fn hindered(host: &str, address: &str, others: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portolan.toml"), NEEDY).unwrap();
    let run =
        |line: &str| Program::line(&format!("firewall {line} --host {host}")).folder(folder.path());
    let netns = Netns::new();
    netns.ip("link add eth0 type veth peer name other");
    netns.ip("link set eth0 up");
    netns.ip("link set other up");
    netns.ip(&format!("address add {address}/24 dev eth0"));
    netns.ip("route add default via 10.0.0.254");
    netns.set("net/ipv4/ip_forward", 1);
    netns.rules(&run("compile").run().expect_code(0).stdout);
    netns.rules(others);
    run("prove --live --json").inside(&netns).run().expect_code(0)
}

fn refused(ran: &Ran) -> Vec<(String, String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let document = ran.json();
    let all = document["refused_by_others"].as_array().unwrap();
    let one = |row: &serde_json::Value| {
        (text(&row["service"]), text(&row["way"]), text(&row["decided_by"]["chain"]))
    };
    all.iter().map(one).collect()
}

fn told(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

#[test]
fn what_other_tables_refuse_of_a_published_port_is_told() {
    require_root!();
    let docker = "table ip docker {
        chain pre { type nat hook prerouting priority -100
            fib daddr type local tcp dport 443 dnat to 172.18.0.2:8443
        }
        chain forward { type filter hook forward priority 0
            tcp dport 8443 drop
        }
    }";
    let ran = hindered("web", "10.0.0.1", docker);
    assert_eq!(refused(&ran), told(&[("shop", "input", "forward")]));
}

#[test]
fn what_another_table_translates_is_not_said_to_be_refused_by_it() {
    require_root!();
    let theirs = "table ip theirs {
        chain pre { type nat hook prerouting priority -100
            fib daddr type local tcp dport 443 redirect to :8443
        }
    }";
    let ran = hindered("web", "10.0.0.1", theirs);
    assert_eq!(refused(&ran), told(&[("shop", "input", "input")]));
    let row = ran.json()["refused_by_others"][0].clone();
    let by = |who: &str| row[who]["table"].as_str().unwrap_or_default().to_owned();
    assert_eq!((by("decided_by"), by("translated_by")), ("portolan".into(), "theirs".into()));
}

#[test]
fn what_other_tables_refuse_of_what_goes_out_is_told() {
    require_root!();
    let others = "table inet theirs { chain out { type filter hook output priority 0
        ip daddr 10.9.0.0/16 drop\nudp dport 123 drop
    }\n}";
    let ran = hindered("web", "10.0.0.1", others);
    let wanted = ["sql", "base-ntp", "base-ntp"].map(|name| (name, "output", "out"));
    assert_eq!(refused(&ran), told(&wanted));
}

#[test]
fn what_other_tables_refuse_on_the_way_through_a_router_is_told() {
    require_root!();
    let others = "table inet theirs { chain through { type filter hook forward priority 0
        tcp dport 5432 drop
    }\n}";
    let ran = hindered("gate", "10.0.0.2", others);
    assert_eq!(refused(&ran), told(&[("sql", "forward", "through")]));
}

#[test]
fn a_never_that_the_inventory_itself_breaks_is_no_proof() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(self::folder().join("portolan.toml")).unwrap();
    let never =
        "\n[[never]]\nservice = \"shop-http\"\nfrom = [\"office\"]\nreason = \"no clear text\"\n";
    std::fs::write(folder.path().join("portolan.toml"), text + never).unwrap();
    let ran = Program::line("firewall prove --host web").folder(folder.path()).run().expect_code(1);
    assert!(ran.stdout.contains("must never be: no clear text"), "{}", ran.stdout);
}

/// Rules changed in one chain are told of that chain, by a packet that can be sent; what another table
/// could translate is told of the chain it then comes to.
#[test]
fn no_chain_is_named_that_is_as_it_should_be() {
    require_root!();
    let netns = Netns::new();
    let told = |change: &str| {
        netns.output("nft flush ruleset");
        netns.rules(&compiled("web"));
        netns.output(&format!("nft {change}"));
        let document = live(&netns, "web", "--json").expect_code(1).json();
        let differences = document["differences"].as_array().unwrap().clone();
        let violations = document["violations"].as_array().unwrap().clone();
        for found in differences.iter().chain(&violations) {
            let witness = &found["witness"];
            assert!(witness["dport"].as_u64().is_none_or(|port| port > 0), "{change}: {found:#}");
            assert!(!witness["src"].as_str().unwrap().starts_with("0."), "{change}: {found:#}");
        }
        let place = |found: &serde_json::Value| {
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
            (text(&found["way"]), text(&found["decided_by"]["chain"]))
        };
        let mut places: Vec<(String, String)> = differences.iter().map(place).collect();
        places.sort();
        places.dedup();
        places
    };
    let one = |way: &str, chain: &str| vec![(way.to_owned(), chain.to_owned())];
    assert_eq!(told("insert rule inet portolan input accept"), one("input", "input"));
    let moved = told("insert rule inet portolan input ct status dnat accept");
    assert_eq!(moved, one("input", "input"));
    let published = told("insert rule inet portolan forward ct status dnat accept");
    assert_eq!(published, one("forward", "forward"));
    let element = told("add element inet portolan in-tcp { 9999 : jump svc-ssh }");
    assert!(element.iter().all(|(way, _)| way == "input"), "{element:?}");
}
