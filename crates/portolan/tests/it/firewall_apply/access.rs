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

/// The same with somebody else in `[management]`.
fn managed_by(from: &str) -> String {
    MANAGED.replace("192.0.2.0/24", from)
}

#[test]
fn a_management_that_names_this_machine_only_shuts_everybody_out() {
    require_root!();
    let stage = Stage::new();
    let _sshd = stage.here.listen("0.0.0.0:22");
    for own in ["loopback", "192.0.2.2"] {
        let inventory = managed_by(own);
        let path = stage.inventory(&inventory);
        let line = format!("apply --dry-run --host box --inventory {}", path.display());
        let text = stage.firewall(&line, "").run().expect_code(1).stdout;
        let said = "22/tcp is lost: [management] names this machine itself only: nobody outside";
        assert!(text.contains(said), "{text}");
        assert!(text.contains("nobody outside will reach:\n  0.0.0.0:22/tcp"), "{text}");
        let plan = stage.firewall(&format!("{line} --json"), "").run().expect_code(1).json();
        assert_eq!(plan["nobody"][0]["why"], "itself", "{plan}");
        assert_eq!(plan["nobody"][0]["ports"], "22");
        assert_eq!(plan["access"], Value::Array(Vec::new()));
    }
    // Where somebody else is let in to that port, or named too, nobody is shut out.
    let service = "[services.ssh]\non = [\"box\"]\nports = [\"22/tcp\"]\nfrom = [\"any\"]\n";
    let plan = planned(&stage, &format!("{}{service}", managed_by("loopback")), 0);
    assert_eq!(plan["nobody"], Value::Array(Vec::new()));
    let plan = planned(&stage, &managed_by("192.0.2.1\", \"192.0.2.2"), 0);
    assert_eq!(plan["nobody"], Value::Array(Vec::new()));
    assert!(plan["access"].as_array().unwrap().iter().all(|row| row["source"] == "192.0.2.1"));
}

#[test]
fn a_management_bound_to_an_interface_its_packets_do_not_come_by_is_lost() {
    require_root!();
    let stage = Stage::new();
    stage.here.ip("link add v2 type veth peer name v3");
    stage.here.ip("address add 198.51.100.2/24 dev v2");
    stage.here.ip("link set v2 up");
    stage.here.ip("link set v3 up");
    let bound = |interface: &str| {
        let network = format!(
            "[networks]\nadm = {{ cidr = [\"192.0.2.0/24\"], interface = \"{interface}\" }}\n"
        );
        let path = stage.inventory(&format!("{}{network}", managed_by("adm")));
        format!("apply --dry-run --host box --inventory {}", path.display())
    };
    let line = bound("v2");
    let text = stage.firewall(&line, "").run().expect_code(1).stdout;
    assert!(text.contains("192.0.2.254 to 22/tcp is lost (management: adm)"), "{text}");
    assert!(text.contains("let in by v2 only, and its packets come by v0"), "{text}");
    let plan = stage.firewall(&format!("{line} --json"), "").run().expect_code(1).json();
    assert_eq!(plan["access"][0]["comes_by"], "v0", "{plan}");
    let text = stage.firewall(&bound("v0"), "").run().expect_code(0).stdout;
    assert!(text.contains("192.0.2.254 to 22/tcp stays (management: adm)"), "{text}");
}

#[test]
fn a_management_of_names_that_nobody_knows_is_told_and_shuts_everybody_out() {
    require_root!();
    let stage = Stage::new();
    let inventory =
        format!("{}[hosts.x]\naddress = [\"dns:nonexistent.invalid\"]\n", managed_by("x"));
    let path = stage.inventory(&inventory);
    let line = format!("apply --dry-run --host box --inventory {}", path.display());
    let text = stage.firewall(&line, "").run().expect_code(1).stdout;
    assert!(text.contains("not in the rules: `dns:nonexistent.invalid` is not resolved"), "{text}");
    assert!(text.contains("22/tcp is lost: no address is known of whom [management]"), "{text}");
    assert!(!text.contains("no [management]"), "{text}");
}

#[test]
fn whom_a_management_lacks_is_added_to_it_not_put_in_its_place() {
    require_root!();
    let stage = Stage::new();
    let ran = stage.apply(&managed_by("198.51.100.0/24"), "--dry-run").run().expect_code(1);
    let hint = "add \"192.0.2.1\" to `from` of [management] (";
    assert!(ran.stderr.contains(hint) && ran.stderr.contains("portolan.toml:5)"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("from = ["), "{}", ran.stdout);
}

/// Our table keeps a bit of a new connection's mark until it is routed: who asks for the whole mark there is
/// told, and who does so later sees nothing of it.
#[test]
fn rules_of_others_that_meet_our_bit_of_the_mark_are_told() {
    require_root!();
    let stage = Stage::new();
    let plan = |flags: &str| stage.apply(OPEN, &format!("--dry-run {flags}")).run().expect_code(0);
    stage.nft(
        "table ip marks {
            chain pre { type nat hook prerouting priority -100
                ct mark and 0xff == 0x1 accept
            }
            chain through { type filter hook forward priority -150
                meta mark set ct mark
            }\n}\n",
    );
    assert_eq!(plan("--json").json()["mark_readers"], serde_json::json!([]));
    stage.nft("add rule ip marks pre ct mark 0 tcp dport 80 dnat to 10.92.0.2:4444\n");
    let rules = plan("--json").json()["mark_readers"].clone();
    assert_eq!((&rules[0]["chain"], &rules[1]), (&"pre".into(), &Value::Null));
    let text = plan("").stdout;
    assert!(text.contains("0xf7ffffff") && text.contains("ip marks pre rule 2"), "{text}");
}
