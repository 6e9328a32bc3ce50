//! What a change of rules leaves as it is: what packets have filled, and who translates first.

use serde_json::Value;

use crate::support::require_root;

use super::stage::{OPEN, SSH, Stage};

/// A door of a sequence: its sets are filled by packets.
const DOOR: &str = r#"
[doors.door]
on = "box"
method = "sequence"
sequence = ["7001/tcp", "7002/tcp"]
open = "10m"
from = ["any"]
[services.behind]
on = ["box"]
ports = ["8443/tcp"]
from = ["any"]
behind = "door"
"#;

#[test]
fn that_a_limit_has_no_room_left_is_told_with_what_follows() {
    require_root!();
    let stage = Stage::new();
    let site = OPEN.replace("from = [\"192.0.2.0/24\"]\n", "from = [\"any\"]\nlimit = \"6/30s\"\n");
    stage.keep(&site);
    let of = |status: &Value| {
        let sets = status["sets"].as_array().unwrap().iter();
        let set = sets.into_iter().find(|set| set["name"] == "limit-ssh-v4").unwrap().clone();
        (set["members"].as_u64(), set["size"].as_u64(), set["state"].as_str().map(str::to_owned))
    };
    let status = || of(&stage.firewall("status --json", SSH).run().expect_code(0).json());
    assert_eq!(status(), (Some(0), Some(65_535), Some("room".to_owned())));
    let said = stage.firewall("status", SSH).run().expect_code(0).stdout;
    assert!(!said.contains("the set "), "{said}");

    // As many sources as it takes, each for as long as the test lasts.
    let sources = (0..65_535_u32).map(|n| format!("10.9.{}.{} timeout 9m", n >> 8, n & 255));
    let sources: Vec<String> = sources.collect();
    let fill = format!("add element inet portolan limit-ssh-v4 {{ {} }}", sources.join(", "));
    stage.nft(&fill);
    assert_eq!(status(), (Some(65_535), Some(65_535), Some("full".to_owned())));
    let told =
        "the set limit-ssh-v4 is full, 65535 of 65535: sources that are not in it share one limit";
    for line in ["status", "apply --dry-run --host box --inventory "] {
        let path = if line == "status" {
            String::new()
        } else {
            stage.inventory(&site).display().to_string()
        };
        let said = stage.firewall(&format!("{line}{path}"), SSH).run().expect_code(0).stdout;
        let words: Vec<&str> = said.split_whitespace().collect();
        assert!(words.join(" ").contains(told), "{said}");
    }
}

/// The handles of our base chains: one that is registered again has another.
fn base_chains(stage: &Stage) -> Vec<(String, u64)> {
    let listed: Value = serde_json::from_str(&stage.here.output("nft -j list chains")).unwrap();
    let chains = listed["nftables"].as_array().unwrap().iter().map(|object| &object["chain"]);
    let ours = chains.filter(|chain| chain["table"] == "portolan" && chain["hook"].is_string());
    ours.map(|c| (c["name"].as_str().unwrap().to_owned(), c["handle"].as_u64().unwrap())).collect()
}

#[test]
fn open_doors_stay_open_and_chains_registered_when_the_rules_change() {
    require_root!();
    let stage = Stage::new();
    stage.keep(&format!("{OPEN}{DOOR}"));
    let table: Value =
        serde_json::from_str(&stage.here.output("nft -j list table inet portolan")).unwrap();
    let sets = table["nftables"].as_array().unwrap().iter().map(|object| &object["set"]);
    let dynamic: Vec<&str> = sets
        .filter(|set| set["type"] == "ipv4_addr" && set["flags"].to_string().contains("timeout"))
        .map(|set| set["name"].as_str().unwrap())
        .collect();
    assert!(!dynamic.is_empty(), "{table}");
    for set in &dynamic {
        let add = format!("nft add element inet portolan {set} {{ 192.0.2.77 timeout 9m }}");
        stage.here.output(&add);
    }
    let chains = base_chains(&stage);
    assert!(chains.len() > 1, "{chains:?}");

    let other = OPEN.replace("80/tcp", "81/tcp");
    stage.keep(&format!("{other}{DOOR}"));
    assert_eq!(base_chains(&stage), chains);
    let table = stage.table();
    assert!(table.contains("81 :") && !table.contains("80 :"), "{table}");
    assert_eq!(table.matches("192.0.2.77").count(), dynamic.len(), "{table}");

    // Rolling back keeps them, too: what packets filled meanwhile counts.
    stage.apply(&format!("{OPEN}{DOOR}"), "--detach --timeout 10m").run().expect_code(0);
    stage.here.output(&format!(
        "nft add element inet portolan {} {{ 192.0.2.78 timeout 9m }}",
        dynamic[0]
    ));
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(base_chains(&stage), chains);
    let table = stage.table();
    assert_eq!(table.matches("192.0.2.77").count(), dynamic.len(), "{table}");
    assert!(table.contains("192.0.2.78") && table.contains("81 :"), "{table}");
}

#[test]
fn the_same_rules_again_change_nothing() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let (table, chains) = (stage.table(), base_chains(&stage));
    stage.keep(OPEN);
    assert_eq!((stage.table(), base_chains(&stage)), (table, chains));
}

#[test]
fn rules_that_somebody_changed_are_not_the_same_rules() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let plan = || stage.apply(OPEN, "--dry-run").run().stdout;
    assert!(plan().contains("is loaded already: the same rules"), "{}", plan());
    stage.here.output("nft insert rule inet portolan input tcp dport 4444 accept");
    let said = plan();
    assert!(said.contains("takes the place of itself as it was changed"), "{said}");
    assert!(!said.contains("the same rules"), "{said}");
}

#[test]
fn what_a_killed_process_left_is_removed_by_the_next() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let (dead, alive) =
        (stage.state().join("trial.4194305.new"), stage.state().join("trial.1.new"));
    for path in [&dead, &alive] {
        std::fs::write(path, "").unwrap();
    }
    stage.firewall("rollback", SSH).run().expect_code(1);
    assert!(!dead.exists() && alive.exists());
}
