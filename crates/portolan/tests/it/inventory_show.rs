//! `inventory show`: who may reach what, and why.

use std::path::{Path, PathBuf};

use crate::support::{Program, Ran};

fn office() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/office")
}

fn show(line: &str) -> Ran {
    Program::line(&format!("inventory show {line}")).folder(office()).run()
}

fn of_text(text: &str, line: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portolan.toml"), text).unwrap();
    Program::line(&format!("inventory show {line}")).folder(folder.path()).run()
}

#[test]
fn the_office_has_the_matrix_its_file_implies() {
    let ran = show("").expect_code(0);
    assert_eq!(ran.stderr, "");
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for columns in ["80", "100", "72"] {
        let ran = Program::line("inventory show").folder(office()).env("COLUMNS", columns).run();
        let table = ran.stdout.lines().take_while(|l| !l.is_empty());
        let widest = table.map(|l| l.chars().count()).max().unwrap();
        assert!(widest <= columns.parse().unwrap(), "{columns}: {widest}");
    }
}

#[test]
fn one_host_is_shown_alone() {
    let document = show("--host files --json").expect_code(0).json();
    assert_eq!(document["kind"], "inventory-show");
    let rows = document["rows"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["host"] == "files"));
    assert!(document["base"].as_array().unwrap().iter().all(|row| row["host"] == "files"));
    let samba = rows.iter().find(|row| row["service"] == "samba").unwrap();
    assert_eq!(samba["subject"], "445/tcp");
    assert_eq!((&samba["port"], &samba["transport"]), (&445.into(), &"tcp".into()));
    assert_eq!(samba["from"], serde_json::json!(["staff", "vpn", "gate"]));
    assert_eq!(
        samba["implied"],
        serde_json::json!([{"source": "gate", "forward": "branch-files"}])
    );
}

#[test]
fn what_nobody_approved_is_shown_and_marked() {
    let document = show("--host forge --json").expect_code(0).json();
    let rows = document["rows"].as_array().unwrap();
    let observed = rows.iter().find(|row| row["service"] == "unknown-8088").unwrap();
    assert_eq!((&observed["compiled"], &observed["status"]), (&false.into(), &"observed".into()));
    // `any` has the name the file gives it.
    assert_eq!(observed["from"], serde_json::json!(["internet"]));
    let absent = show("--json").json().to_string();
    assert!(!absent.contains("wall-screen") && !absent.contains("imap-plain"));
}

#[test]
fn base_rows_stand_apart_and_a_closed_host_has_more_of_them() {
    let document = show("--json").expect_code(0).json();
    let declared = document["rows"].as_array().unwrap();
    assert!(declared.iter().all(|row| !row["service"].as_str().unwrap().starts_with("base-")));
    let base = document["base"].as_array().unwrap();
    assert!(base.iter().all(|row| row["name"].as_str().unwrap().starts_with("base-")));
    let resolves = |host: &str| base.iter().any(|r| r["host"] == host && r["name"] == "base-dns");
    assert!(resolves("files") && !resolves("mail"));
}

#[test]
fn a_host_nobody_declared_is_refused_with_the_nearest_one() {
    let ran = show("--host flies").expect_code(2);
    assert_eq!(
        ran.stderr,
        "error: the inventory has no host `flies`\nhint: did you mean `files`?\n"
    );
}

#[test]
fn an_inventory_without_a_service_says_so() {
    let ran = of_text("portolan = 1\n", "").expect_code(0);
    assert_eq!(ran.stdout, "Nothing is declared to be reachable.\n");
}

#[test]
fn escapes_in_a_name_are_shown_not_obeyed() {
    let text = "portolan = 1\n[hosts.a]\naddress = [\"192.0.2.1\"]\n[services.x]\non = [\"a\"]\nports = [\"1/tcp\"]\ncontainer = \"\\u001b[2Jy\"\n";
    let ran = of_text(text, "").expect_code(0);
    assert!(ran.stdout.contains("[container \\x1b[2Jy]"), "{}", ran.stdout);
}

/// One that is over, one that goes on, and a block of each.
const ENDING: &str = "portolan = 1\n[hosts.box]\naddress = \"192.0.2.1\"\n\
    [services.a]\non = \"box\"\nports = \"1000/tcp\"\nfrom = [\"any\"]\napproved = { until = 2020-01-01T10:00:00Z }\n\
    [services.b]\non = \"box\"\nports = \"2000/tcp\"\nfrom = [\"any\"]\napproved = { until = 2999-01-01 }\n\
    [[block]]\nfrom = [\"10.0.0.1\"]\nuntil = 2020-01-01\n[[block]]\nfrom = [\"10.0.0.2\"]\nuntil = 2999-01-01\n";

#[test]
fn the_end_of_a_row_is_shown_and_what_is_over_is_marked() {
    let shown = of_text(ENDING, "").expect_code(0).stdout;
    for told in [
        "a [ended 2020-01-01T10:00:00Z: closed]",
        "b [until 2999-01-01]",
        "Refused everything until 2020-01-01, which is over: 10.0.0.1",
        "Refused everything until 2999-01-01: 10.0.0.2",
    ] {
        assert!(shown.contains(told), "{shown}");
    }
    let document = of_text(ENDING, "--json").expect_code(0).json();
    assert_eq!(
        (&document["ended"], &document["rows"][0]["until"]),
        (&1.into(), &"2020-01-01T10:00:00Z".into())
    );
}

#[test]
fn what_has_ended_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portolan.toml"), ENDING).unwrap();
    let run = |line: &str| Program::line(line).folder(folder.path()).run().expect_code(0);
    let said = run("inventory validate").stdout;
    assert!(said.contains("portolan.toml:4: [services.a] ended on 2020-01-01T10:00:00Z"), "{said}");
    assert!(said.contains("portolan.toml:14: [[block]] ended on 2020-01-01"), "{said}");
    assert!(!said.contains("services.b"), "{said}");
    let ended = run("inventory validate --json").json()["ended"].clone();
    assert_eq!(ended.as_array().unwrap().len(), 2, "{ended}");
}
