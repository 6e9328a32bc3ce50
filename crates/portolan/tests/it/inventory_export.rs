//! `inventory export`: every form of it, and what a hostile inventory cannot do with them.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Program, Ran};

/// A day on which the office has a review overdue and another soon.
const DAY: &str = "2026-11-23";

const FORMS: [&str; 7] = ["markdown", "html", "csv", "json", "mermaid", "netbox-csv", "cyclonedx"];

fn office() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/office")
}

fn export_in(folder: &Path, form: &str) -> Ran {
    Program::line(&format!("inventory export --as-of {DAY} --format {form}")).folder(folder).run()
}

fn exported(form: &str) -> String {
    let ran = export_in(&office(), form).expect_code(0);
    assert_eq!(ran.stderr, "");
    ran.stdout
}

fn folder_with(file: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(file), text).unwrap();
    folder
}

/// What `text` is exported as.
fn of_text(text: &str, form: &str) -> String {
    let folder = folder_with("portolan.toml", text);
    export_in(folder.path(), form).expect_code(0).stdout
}

/// Without the version of the program, so that a release changes no snapshot.
fn unversioned(text: &str) -> String {
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

fn pretty(json: &str) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(json).unwrap()).unwrap()
}

fn rows(csv: &str) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).collect()
}

/// The cells of `name`, whatever column that is.
fn column(csv: &str, name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let place = reader.headers().unwrap().iter().position(|h| h == name).unwrap();
    reader.records().map(|row| row.unwrap()[place].to_owned()).collect()
}

// ------------------------------------------------------------------------------------ as reviewed

#[test]
fn the_office_in_markdown_is_as_reviewed() {
    insta::assert_snapshot!(exported("markdown"));
}

#[test]
fn the_office_as_a_page_is_as_reviewed() {
    insta::assert_snapshot!(unversioned(&exported("html")));
}

#[test]
fn the_office_as_csv_is_as_reviewed() {
    insta::assert_snapshot!(exported("csv"));
}

#[test]
fn the_office_as_json_is_as_reviewed() {
    insta::assert_snapshot!(pretty(&exported("json")));
}

#[test]
fn the_office_as_a_diagram_is_as_reviewed() {
    insta::assert_snapshot!(exported("mermaid"));
}

#[test]
fn the_office_for_netbox_is_as_reviewed() {
    insta::assert_snapshot!(exported("netbox-csv"));
}

#[test]
fn the_office_as_a_bill_of_services_is_as_reviewed() {
    insta::assert_snapshot!(unversioned(&pretty(&exported("cyclonedx"))));
}

// --------------------------------------------------------------------------------------- in common

#[test]
fn the_same_inventory_gives_the_same_bytes() {
    for form in FORMS {
        assert!(exported(form) == exported(form), "{form} differs between two runs");
    }
}

#[test]
fn only_the_page_depends_on_the_day() {
    for form in FORMS {
        let later = Program::line(&format!("inventory export --as-of 2031-01-01 --format {form}"));
        let same = later.folder(office()).run().expect_code(0).stdout == exported(form);
        assert_eq!(same, form != "html", "{form}");
    }
}

#[test]
fn an_inventory_of_nothing_is_exported_in_every_form() {
    for form in FORMS {
        assert!(!of_text("portolan = 1\n", form).is_empty(), "{form}");
    }
}

#[test]
fn with_a_host_only_its_ports_are_in_it() {
    let of_mail = |form: &str| {
        let line = format!("inventory export --host mail --as-of {DAY} --format {form}");
        Program::line(&line).folder(office()).run().expect_code(0).stdout
    };
    assert!(column(&of_mail("csv"), "host").iter().all(|host| host == "mail"));
    let document: Value = serde_json::from_str(&of_mail("json")).unwrap();
    assert!(document["matrix"].as_array().unwrap().iter().all(|row| row["host"] == "mail"));
    assert!(of_mail("html").contains("id=\"host-mail\""));
    assert!(!of_mail("html").contains("id=\"host-files\""));
    Program::line("inventory export --host mial --format csv")
        .folder(office())
        .run()
        .expect_code(2);
}

// -------------------------------------------------------------------------------------- exit codes

#[test]
fn without_an_inventory_there_is_nothing_to_export() {
    let ran = Program::line("inventory export --format csv").run().expect_code(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
}

#[test]
fn a_broken_inventory_is_not_exported() {
    let folder = folder_with("portolan.toml", "portolan = 1\n[services.a]\non = [\"nowhere\"]\n");
    for form in FORMS {
        let ran = export_in(folder.path(), form).expect_code(2);
        assert_eq!(ran.stdout, "", "{form}");
        assert!(ran.stderr.contains("portolan.toml:3"), "{form}: {}", ran.stderr);
    }
}

#[test]
fn what_is_asked_for_must_be_said_and_said_once() {
    let run = |line: &str| Program::line(line).folder(office()).run();
    run("inventory export").expect_code(2);
    run("inventory export --format yaml").expect_code(2);
    run("inventory export --format html --as-of tomorrow").expect_code(2);
    let both = run("inventory export --format csv --json").expect_code(2);
    assert!(both.stderr.contains("two forms at once"), "{}", both.stderr);
    let json = run("inventory export --json").expect_code(0).stdout;
    assert_eq!(json, exported("json"));
}

// ---------------------------------------------------------------------------------------- the page

#[test]
fn a_review_is_overdue_from_the_day_after_it_was_due() {
    let text = "portolan = 1\n[hosts.a]\naddress = [\"192.0.2.1\"]\n[services.s]\non = [\"a\"]\n\
                ports = [\"9/tcp\"]\nreview = 2026-09-01\n";
    let folder = folder_with("portolan.toml", text);
    let page = |day: &str| {
        let line = format!("inventory export --format html --as-of {day}");
        Program::line(&line).folder(folder.path()).run().expect_code(0).stdout
    };
    assert!(!page("2026-07-01").contains(">overdue<"));
    assert!(!page("2026-09-01").contains(">overdue<"));
    assert!(page("2026-09-02").contains("its review was due on 2026-09-01"));
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = exported("html");
    for outside in ["src=", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn every_link_inside_the_page_leads_somewhere() {
    let page = exported("html");
    let after = |mark: &str| -> Vec<String> {
        page.split(mark).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let targets = after(" id=\"");
    for link in after("href=\"#") {
        assert_eq!(targets.iter().filter(|id| **id == link).count(), 1, "#{link}");
    }
}

#[test]
fn a_tidy_inventory_leaves_nothing_to_look_at() {
    let text = "portolan = 1\n[owners.o]\nname = \"O\"\n[hosts.a]\naddress = [\"192.0.2.1\"]\n\
                [services.s]\non = [\"a\"]\nports = [\"9999/tcp\"]\nowner = \"o\"\npurpose = \"P\"\n";
    assert!(of_text(text, "html").contains("Nothing: everything open has an owner"));
}

#[test]
fn a_service_that_anybody_may_reach_past_its_door_is_shown_as_exposed() {
    let text = "portolan = 1\n[hosts.a]\naddress = [\"192.0.2.1\"]\n[services.s]\non = [\"a\"]\n\
                ports = [\"9999/tcp\"]\nfrom = [\"private\"]\nbehind = \"d\"\n\
                [doors.d]\non = \"a\"\nmethod = \"spa\"\nlisten = \"62201/udp\"\n\
                [forwards.f]\non = \"a\"\nlisten = \"9998/tcp\"\nto = \"s@a\"\nvia = \"nat\"\nfrom = [\"any\"]\n";
    let page = of_text(text, "html");
    let exposed = page.lines().filter(|line| line.contains(">exposed<"));
    assert_eq!(exposed.filter(|line| line.contains("#service-s")).count(), 1);
}

// ------------------------------------------------------------------------------------ other readers

#[test]
fn the_inventory_inside_the_json_is_an_inventory_that_says_the_same() {
    let document: Value = serde_json::from_str(&exported("json")).unwrap();
    assert_eq!((&document["portolan"], &document["kind"]), (&1.into(), &"inventory-export".into()));
    let folder = folder_with("again.json", &document["inventory"].to_string());
    let again = Program::line("inventory export --json --inventory again.json");
    let again = again.folder(folder.path()).run().expect_code(0).json();
    assert_eq!(again["inventory"], document["inventory"]);
    let bare = |rows: &Value| -> Vec<(Value, Value, Value)> {
        let rows = rows.as_array().unwrap().iter();
        rows.map(|r| (r["host"].clone(), r["subject"].clone(), r["from"].clone())).collect()
    };
    assert_eq!(bare(&again["matrix"]), bare(&document["matrix"]));
}

#[test]
fn netbox_gets_what_answers_and_nothing_it_would_refuse() {
    let table = exported("netbox-csv");
    let names = column(&table, "name");
    for absent in ["wall-screen", "imap-plain", "vrrp", "side-door", "management"] {
        assert!(!names.iter().any(|name| name == absent), "{absent}");
    }
    let mappings = column(&table, "port_mappings");
    for mapping in mappings.iter().flat_map(|cell| cell.split(',')) {
        let (transport, ports) = mapping.split_once('/').unwrap();
        assert!(["tcp", "udp", "sctp"].contains(&transport), "{mapping}");
        assert!(ports.split('-').all(|port| port.parse::<u16>().is_ok()), "{mapping}");
    }
    let kinds = column(&table, "parent_object_type");
    let parents = column(&table, "parent");
    let kind_of = |host: &str| &kinds[parents.iter().position(|p| p == host).unwrap()];
    assert_eq!(kind_of("mail"), "virtualization.virtualmachine");
    assert_eq!(kind_of("gate"), "dcim.device");
}

#[test]
fn a_bill_of_services_refers_only_to_what_is_in_it() {
    let bill: Value = serde_json::from_str(&exported("cyclonedx")).unwrap();
    let services = bill["services"].as_array().unwrap();
    let known: Vec<&Value> = services.iter().map(|service| &service["bom-ref"]).collect();
    let unique: std::collections::BTreeSet<String> =
        known.iter().map(ToString::to_string).collect();
    assert_eq!(unique.len(), known.len());
    for dependency in bill["dependencies"].as_array().unwrap() {
        assert!(known.contains(&&dependency["ref"]));
        assert!(dependency["dependsOn"].as_array().unwrap().iter().all(|d| known.contains(&d)));
    }
    let nfs = services.iter().find(|service| service["bom-ref"] == "files/nfs").unwrap();
    assert_eq!(nfs["x-trust-boundary"], false);
    assert_eq!(nfs["trustZone"], "servers");
    let smtp = services.iter().find(|service| service["bom-ref"] == "mail/smtp").unwrap();
    assert_eq!(smtp["x-trust-boundary"], true);
}

// ------------------------------------------------------------------------------------------ hostile

/// A text that would be something else in each of the forms.
const HOSTILE: &str = "=cmd|' /C calc'!A0 <script>alert(1)</script> \"q\" `code` | ]; end \
                       javascript:alert(1) \u{1b}[2J\u{202e} {{ 7 * 7 }} {% x %} --> %% $x$\nnew\tline\r";

/// An inventory with that text wherever any text may stand.
fn hostile() -> String {
    serde_json::json!({
        "portolan": 1,
        "title": HOSTILE,
        "owners": {"o": {"name": HOSTILE, "contact": HOSTILE, "on_call": HOSTILE}},
        "hosts": {"h": {
            "address": ["192.0.2.1"], "purpose": HOSTILE, "owner": "o", "tags": [HOSTILE],
            "links": [HOSTILE, "javascript:alert(1)", "https://example.org/\"><script>"],
            "aliases": ["h.example.org"],
        }},
        "networks": {"n": {"cidr": ["192.0.2.0/24"], "interface": "eth0"}},
        "services": {"s": {
            "on": ["h"], "ports": ["443/tcp", "6000-6010/udp", "esp"], "from": ["n", "any"],
            "speaks": [HOSTILE], "process": [HOSTILE], "user": HOSTILE, "unit": HOSTILE,
            "container": HOSTILE, "exe": HOSTILE, "purpose": HOSTILE, "owner": "o",
            "security": HOSTILE, "tags": [HOSTILE], "links": [HOSTILE],
            "approved": {"by": HOSTILE, "on": "2026-01-01", "ticket": HOSTILE},
            "tls": {"names": [HOSTILE]}, "behind": "d",
        }},
        "forwards": {"f": {
            "on": "h", "listen": "444/tcp", "to": "s@h", "via": "nat", "from": ["any"],
            "purpose": HOSTILE, "security": HOSTILE,
        }},
        "doors": {"d": {
            "on": "h", "method": "spa", "listen": "62201/udp", "keys": HOSTILE, "purpose": HOSTILE,
        }},
        "pools": {"p": {"on": ["h"], "range": "20000-20010", "purpose": HOSTILE}},
        "never": [{"ports": ["23/tcp"], "from": ["any"], "reason": HOSTILE}],
        "block": [{"from": ["203.0.113.9"], "reason": HOSTILE}],
        "ignore": [{
            "on": ["*"], "reason": HOSTILE,
            "match": {"process": HOSTILE, "user": HOSTILE, "container": HOSTILE},
        }],
    })
    .to_string()
}

fn of_hostile(form: &str) -> String {
    let folder = folder_with("h.json", &hostile());
    let line = format!("inventory export --inventory h.json --as-of {DAY} --format {form}");
    Program::line(&line).folder(folder.path()).run().expect_code(0).stdout
}

#[test]
fn no_form_lets_an_escape_code_through() {
    for form in FORMS {
        let text = of_hostile(form);
        let control = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\r'));
        assert_eq!(control, None, "{form}");
    }
}

#[test]
fn a_hostile_text_stays_text_in_the_page() {
    let page = of_hostile("html");
    assert!(!page.contains("<script"), "a script got in");
    assert!(!page.to_lowercase().contains("href=\"javascript"), "a script behind a link");
    assert!(page.contains("&lt;script&gt;alert(1)"), "the text is gone");
    assert!(page.contains("{{ 7 * 7 }}"), "a template inside a text was run");
    assert!(!page.contains('\u{202e}'));
    assert!(!page.contains("href=\"https://example.org"), "a link that leaves its attribute");
}

#[test]
fn a_hostile_text_stays_in_its_cell_in_markdown() {
    let page = of_hostile("markdown");
    assert!(!page.contains("<script") && !page.contains("](<javascript"));
    let bars = |line: &str| line.replace("\\\\", "").replace("\\|", "").matches('|').count();
    for table in page.split("\n\n").filter(|block| block.starts_with('|')) {
        let columns = bars(table.lines().next().unwrap());
        assert!(table.lines().all(|line| bars(line) == columns), "{table}");
    }
}

#[test]
fn no_cell_of_a_csv_is_a_formula() {
    for form in ["csv", "netbox-csv"] {
        let table = of_hostile(form);
        let rows = rows(&table);
        assert!(!rows.is_empty());
        for cell in rows.iter().flatten() {
            assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{form}: {cell}");
        }
        let purposes = column(&table, if form == "csv" { "purpose" } else { "description" });
        assert!(purposes.iter().any(|cell| cell.starts_with("'=cmd|")), "{form}: {purposes:?}");
    }
}

#[test]
fn a_hostile_text_stays_in_its_label_in_the_diagram() {
    let diagram = of_hostile("mermaid");
    for line in diagram.lines().skip(2) {
        let outside: String = line.split('"').step_by(2).collect();
        let grammar = |c: char| c.is_ascii_alphanumeric() || " []()<>-=.:".contains(c);
        assert!(outside.chars().all(grammar), "{line}");
        let mut labels = line.split('"').skip(1).step_by(2);
        assert!(labels.all(|label| !label.replace("<br>", "").contains(['<', '>', '`'])), "{line}");
    }
}

#[test]
fn json_forms_keep_a_hostile_text_as_it_is() {
    let document: Value = serde_json::from_str(&of_hostile("json")).unwrap();
    assert_eq!(document["inventory"]["title"], HOSTILE);
    assert_eq!(document["inventory"]["services"]["s"]["purpose"], HOSTILE);
    let bill: Value = serde_json::from_str(&of_hostile("cyclonedx")).unwrap();
    let services = bill["services"].as_array().unwrap();
    assert_eq!(services[0]["description"], HOSTILE);
    assert!(!bill.to_string().contains("\"url\":\"javascript"));
}
