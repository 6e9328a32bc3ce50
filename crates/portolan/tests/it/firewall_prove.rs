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
