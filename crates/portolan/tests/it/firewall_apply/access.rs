//! Whom a change must not shut out, judged among the tables of other tools.

use serde_json::Value;

use crate::support::require_root;

use super::stage::{OPEN, Stage};

/// Lets in what the caller needs.
const MANAGED: &str = r#"
portolan = 1
[hosts.box]
address = ["192.0.2.2"]
[management]
from = ["192.0.2.0/24"]
ports = ["22/tcp"]
"#;

#[track_caller]
fn planned(stage: &Stage, inventory: &str, code: i32) -> Value {
    stage.apply(inventory, "--dry-run --json").run().expect_code(code).json()
}

#[test]
fn what_another_table_refuses_already_is_told_and_no_reason_to_refuse() {
    require_root!();
    let stage = Stage::new();
    let plan = planned(&stage, MANAGED, 0);
    assert!(plan["access"].as_array().unwrap().iter().all(|row| row["verdict"] == "kept"));

    stage.nft(
        "table ip strict { chain in { type filter hook input priority 0; tcp dport 22 drop; }; }",
    );
    let plan = planned(&stage, MANAGED, 0);
    let session = &plan["access"][0];
    assert_eq!((&session["who"], &session["verdict"]), (&"this-session".into(), &"refused".into()));
    assert_eq!(session["kept"], false);
    assert_eq!(session["by"]["table"], "strict", "{session}");
    assert_eq!(session["by"]["text"], "tcp dport 22 drop");
    let text = stage.apply(MANAGED, "--dry-run").run().expect_code(0).stdout;
    assert!(text.contains("192.0.2.1 to 22/tcp is refused already, and stays so"), "{text}");
    assert!(
        text.contains("not by this policy, but by ip strict in rule 1: tcp dport 22"),
        "{text}"
    );

    // Where the policy refuses as well, it is the policy's fault.
    let shut = MANAGED.replace("192.0.2.0/24", "198.51.100.0/24");
    let plan = planned(&stage, &shut, 1);
    assert_eq!(plan["access"][0]["verdict"], "lost", "{plan}");
    assert_eq!(plan["outcome"], "refused");
    assert_eq!(plan["access"][1]["verdict"], "refused", "{plan}");
}

#[test]
fn what_another_table_leaves_open_is_told_with_its_question() {
    require_root!();
    let stage = Stage::new();
    stage.nft(
        "table ip moody { chain in { type filter hook input priority 0; \
         tcp dport 22 numgen random mod 2 0 drop; }; }",
    );
    let plan = planned(&stage, MANAGED, 0);
    assert_eq!(plan["access"][0]["verdict"], "open", "{plan}");
    assert!(plan["access"][0]["depends_on"].as_str().unwrap().contains("numgen"), "{plan}");
}

#[test]
fn our_own_rules_of_before_refuse_nothing() {
    require_root!();
    let stage = Stage::new();
    let shut = MANAGED.replace("192.0.2.0/24", "198.51.100.0/24");
    stage.apply(&shut, "--force --detach --timeout 10m").run().expect_code(0);
    let plan = planned(&stage, MANAGED, 0);
    assert!(
        plan["access"].as_array().unwrap().iter().all(|row| row["verdict"] == "kept"),
        "{plan}"
    );
    stage.firewall("rollback", super::stage::SSH).run().expect_code(0);
}

#[test]
fn a_forward_that_takes_the_port_of_the_session_shuts_it_out() {
    require_root!();
    let stage = Stage::new();
    // Of a port of [management] the inventory says so itself.
    let taken = format!(
        "{OPEN}[forwards.taken]\non = \"box\"\nlisten = \"22/tcp\"\nto = \"192.0.2.1:22\"\n\
         from = [\"any\"]\nvia = \"nat\"\n"
    );
    let plan = planned(&stage, &taken, 1);
    assert_eq!(plan["access"][0]["verdict"], "lost", "{plan}");
}
