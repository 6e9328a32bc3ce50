//! `allow` and `deny`: edits of the inventory, and what follows from them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Program, eventually, require_root};

use super::stage::{OPEN, SSH, Stage};

const SITE: &str = r#"portolan = 1
[hosts.box]   # this one
address = ["192.0.2.2"]
[services.web]
on = ["box"]
ports = ["80/tcp"]
from = [
  "192.0.2.0/24",   # the office
  "any"
]
[services.both]
on = ["box"]
ports = ["8080/tcp", "8081/tcp"]
from = ["203.0.113.0/24"]
[services.mail]
on = ["box"]
ports = ["25/tcp"]
from = [
  "192.0.2.0/24",   # the office
  "203.0.113.0/24"
]
[services.seen]
on = ["box"]
ports = ["9000/tcp"]
status = "observed"
"#;

fn edited(line: &str, code: i32) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, SITE).unwrap();
    let ran = Program::line(&format!("{line} --host box --inventory {}", path.display())).run();
    let ran = ran.expect_code(code);
    (fs::read_to_string(path).unwrap(), ran.stdout + &ran.stderr)
}

#[test]
fn what_is_allowed_stands_in_the_inventory_and_nothing_else_changes() {
    let (text, said) = edited("allow 443/tcp --from 198.51.100.7", 0);
    assert!(said.contains("service https is written"), "{said}");
    let added = text.strip_prefix(SITE).unwrap();
    assert!(
        added.contains("ports = [\"443/tcp\"]") && added.contains("\"198.51.100.7\""),
        "{added}"
    );

    let (text, _) = edited("allow 25/tcp --from 198.51.100.0/24", 0);
    let wider = SITE.replace(
        "  \"203.0.113.0/24\"\n]\n[services.seen]",
        "  \"203.0.113.0/24\", \"198.51.100.0/24\"\n]\n[services.seen]",
    );
    assert_eq!(text, wider);
    assert_eq!(edited("allow 80 --from any", 0).0, SITE);

    let (text, _) = edited("allow 9000/tcp --from any", 0);
    assert!(text.contains("status = \"active\""), "{text}");
    let (text, _) = edited("allow 8443/tcp --from any --until 2h", 0);
    assert!(text.contains("approved = { until = 20"), "{text}");
}

#[test]
fn each_item_of_a_list_is_written_as_a_service_of_its_own() {
    let (text, said) = edited("allow 443,6000-6007/tcp 53/tcp+udp 25/tcp --from 198.51.100.7", 0);
    let added: Vec<&str> = text.lines().filter(|l| l.starts_with("ports")).collect();
    let expected = ["[\"443/tcp\"]", "[\"6000-6007/tcp\"]", "[\"53/tcp+udp\"]"];
    assert_eq!(added[4..], expected.map(|ports| format!("ports = {ports}")), "{text}");
    assert!(
        text.contains("[services.domain]") && text.contains("\"203.0.113.0/24\", \"198.51.100.7\"")
    );
    for line in [
        "443/tcp, 6000-6007/tcp, 53/tcp+udp, 25/tcp on box: whom the inventory lets in",
        "service x11 is written",
        "  +   \"203.0.113.0/24\", \"198.51.100.7\"\n  + [services.https]",
        "  before: 192.0.2.0/24, 203.0.113.0/24 by mail at 25/tcp\n",
        "198.51.100.7 by domain at 53/tcp+udp",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let (_, said) = edited("allow 443/tcp,6000:6007/tcp --from any", 2);
    assert!(said.contains("with a hyphen: 6000-6007/tcp"), "{said}");
    let (text, _) = edited("allow 80/tcp,443 --from nobody", 2);
    assert_eq!(text, SITE, "all of it or nothing");
}

#[test]
fn a_list_that_names_all_of_a_service_changes_that_service() {
    let (text, said) = edited("allow 8080-8090/tcp --from 198.51.100.7", 0);
    assert!(text.contains("from = [\"203.0.113.0/24\", \"198.51.100.7\"]"), "{text}");
    assert!(text.contains("ports = [\"8082-8090/tcp\"]"), "what is left is written: {said}");
    let (text, _) = edited("deny 8080,8081,80/tcp", 0);
    assert_eq!(text.matches("from = []").count(), 1, "{text}");
    assert!(!text.contains("\"any\""), "{text}");
    let (text, said) = edited("deny 80,443/tcp --from 192.0.2.7 --until 2h", 0);
    assert!(text.contains("ports = [\"80/tcp\", \"443/tcp\"]"), "{text}");
    assert!(said.contains("a [[block]] of 80/tcp, 443/tcp is written"), "{said}");
}

#[test]
fn the_json_of_a_list_tells_every_service_and_at_which_ports_a_block_holds_it_shut() {
    let block = "[[block]]\nfrom = [\"198.51.100.7\"]\nports = [\"443/tcp\"]\nreason = \"abuse\"\n";
    let site = format!("{SITE}{block}");
    let (_, _, said) = told(&site, "allow 25,443/tcp --from 198.51.100.7", 1);
    assert_eq!((&said["port"], &said["ports"]), (&Value::Null, &json!(["25/tcp", "443/tcp"])));
    let changes = said["changes"].as_array().unwrap().iter().map(|one| &one["service"]);
    assert_eq!(changes.collect::<Vec<_>>(), ["mail", "https"]);
    assert_eq!(said["blocks"][0]["ports"], json!(["443/tcp"]), "{said}");
}

#[test]
fn what_is_denied_goes_and_comments_stay() {
    let (text, _) = edited("deny 80/tcp --from any", 0);
    assert_eq!(text, SITE.replace("\"any\"\n]\n[services.both]", "\n]\n[services.both]"));
    let (text, said) = edited("deny 80/tcp", 0);
    assert!(said.contains("is changed") && text.contains("# the office"), "{text}");
    let (text, said) = edited("deny 4444/tcp --from any", 0);
    assert!(said.contains("no service lets anybody in"), "{said}");
    assert_eq!(text, SITE);
}

#[test]
fn what_lets_the_denied_in_all_the_same_is_told() {
    let site = "portolan = 1\n[networks]\noffice = [\"10.0.0.0/8\"]\n[management]\nfrom = [\"office\"]\n\
                ports = [\"22/tcp\"]\n[hosts.box]\naddress = [\"10.1.1.1\"]\n[services.web]\non = [\"box\"]\n\
                ports = [\"80/tcp\"]\nfrom = [\"office\", \"any\"]\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, site).unwrap();
    let run = |line: &str| {
        Program::line(&format!("{line} --host box --inventory {}", path.display())).run()
    };
    let ran = run("deny 80/tcp --from office").expect_code(1);
    assert!(ran.stdout.contains("still open: service web is for any"), "{}", ran.stdout);
    let ran = run("deny 22/tcp").expect_code(1);
    assert!(ran.stdout.contains("still open: [management] lets office in"), "{}", ran.stdout);
    run("deny 80/tcp").expect_code(0);
}

#[test]
fn what_was_only_observed_is_approved_for_the_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.toml");
    let root = folder.path().join("site.toml");
    fs::write(
        &root,
        "portolan = 1\ninclude = [\"part.toml\"]\n[hosts.box]\naddress = [\"10.1.1.1\"]\n",
    )
    .unwrap();
    let service = "[services.db]\non = [\"box\"]\nports = [\"5432/tcp\"]\nfrom = [\"any\"]\nstatus = \"observed\"\n";
    fs::write(&part, service).unwrap();
    let line = "allow 5432/tcp --from 10.0.0.5 --host box --inventory";
    let ran = Program::line(&format!("{line} {}", root.display())).run().expect_code(0);
    let text = fs::read_to_string(part).unwrap();
    assert!(text.contains("from = [\"10.0.0.5\"]") && text.contains("\"active\""), "{text}");
    assert!(ran.stdout.contains("approved for this source alone"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("--inventory {}", root.display())), "{}", ran.stdout);
}

#[test]
fn more_than_was_asked_for_is_never_changed() {
    let (text, said) = edited("deny 8081/tcp", 2);
    assert!(said.contains("service both has more than"), "{said}");
    assert!(said.contains("all of it: portolan deny 8080/tcp,8081/tcp"), "{said}");
    assert_eq!(text, SITE);
    let (text, _) = edited("allow 8080/tcp --from 192.0.2.1", 0);
    let added = text.strip_prefix(SITE).expect("it stands beside the other");
    assert!(added.contains("ports = [\"8080/tcp\"]") && added.contains("\"192.0.2.1\""), "{added}");
    let (text, said) = edited("allow 8080/tcp --from 203.0.113.7", 0);
    assert!(text == SITE && said.contains("service both lets 203.0.113.7 in already"), "{said}");
    let (text, said) = edited("deny 80/tcp --from 192.0.2.7", 2);
    assert!(said.contains("does not name 192.0.2.7"), "{said}");
    assert_eq!(text, SITE);
    let (text, _) = edited("allow 80/tcp --from nowhere", 2);
    assert_eq!(text, SITE, "what would not be valid is not written");
}

/// Whom `line` says that 443/tcp lets in before and after, and its whole answer.
fn told(site: &str, line: &str, code: i32) -> (Value, Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, site).unwrap();
    let line = format!("{line} --json --host box --inventory {}", path.display());
    let said = Program::line(&line).run().expect_code(code).json();
    let who = |list: &Value| {
        let all = list.as_array().unwrap().iter();
        all.map(|guest| guest["source"].as_str().unwrap().to_owned()).collect::<Vec<_>>().into()
    };
    let is_written = said["outcome"] == "written" && said["change"] != "unchanged";
    assert_eq!(is_written, fs::read_to_string(&path).unwrap() != site, "{said}");
    (who(&said["before"]), who(&said["after"]), said)
}

#[test]
fn who_gets_in_before_and_after_is_told() {
    let (before, after, said) = told(SITE, "allow 443/tcp --from 198.51.100.7", 0);
    assert_eq!((before, after), (json!([]), json!(["198.51.100.7"])));
    assert_eq!(said["after"][0]["by"], "https");
    let (before, after, _) = told(SITE, "deny 80/tcp --from any", 0);
    assert_eq!((before, after), (json!(["192.0.2.0/24, any"]), json!(["192.0.2.0/24"])));
    let (_, after, said) = told(SITE, "allow 443/tcp --from any --until 2h --dry-run", 0);
    assert!(after == json!(["any"]) && said["after"][0]["until"].is_string(), "{said}");
    let (_, said) = edited("allow 443/tcp --from 198.51.100.7 --dry-run", 0);
    for line in [
        "service https would be written",
        "  + from  = [\"198.51.100.7\"]",
        "443/tcp on box: whom the inventory lets in",
        "  before: nobody",
        "  after:  198.51.100.7 by https",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[test]
fn a_denial_with_an_end_names_its_block() {
    let line = "deny 80/tcp --from 198.51.100.7 --until 2h";
    let (_, _, said) = told(SITE, line, 0);
    assert_eq!(said["blocks"][0]["sources"], "198.51.100.7", "{said}");
    let (_, said) = edited(line, 0);
    assert!(said.contains("  but not: 198.51.100.7, refused by [[block]]"), "{said}");
    let (_, said) = edited(&format!("{line} --dry-run"), 0);
    assert!(said.contains("but not: 198.51.100.7"), "{said}");
}

#[test]
fn what_changes_nothing_is_not_called_written() {
    for line in ["deny 3000/tcp", "allow 80/tcp --from any"] {
        let (_, _, said) = told(SITE, line, 0);
        assert_eq!(said["outcome"], "unchanged", "{said}");
        assert_eq!(edited(line, 0).0, SITE);
    }
}

#[test]
fn who_is_let_in_by_a_wider_entry_is_not_written_beside_it() {
    for (line, source, at) in [
        ("allow 80/tcp --from 10.0.0.0/8", "any", 9),
        ("allow 80/tcp --from 192.0.2.7", "192.0.2.0/24", 8),
        ("allow 25/tcp --from 203.0.113.128/25", "203.0.113.0/24", 20),
        ("allow 80/tcp --from any", "any", 9),
    ] {
        let (_, _, said) = told(SITE, line, 0);
        assert_eq!(said["outcome"], "unchanged", "{said}");
        let already = &said["changes"][0]["already"];
        assert_eq!((&already[0]["source"], &already[0]["line"]), (&json!(source), &json!(at)));
        let (text, said) = edited(line, 0);
        assert_eq!(text, SITE);
        assert!(said.contains(&format!("site.toml:{at}: service ")), "{said}");
        assert!(said.contains("in already"), "{said}");
    }
    let (_, said) = edited("allow 80/tcp --from 10.0.0.0/8", 0);
    assert!(said.contains("service web lets 10.0.0.0/8 in already, by `any`\n"), "{said}");
    // Nor one that ends, and what is no source is none, whoever is let in.
    let (text, said) = edited("allow 80/tcp --from 10.0.0.0/8 --until 2h", 2);
    assert!(text == SITE && said.contains("site.toml:9): there is nothing to do"), "{said}");
    let (text, said) = edited("allow 80/tcp --from @nobody", 2);
    assert!(text == SITE && said.contains("--from: "), "{said}");
}

#[test]
fn whom_nobody_lets_in_needs_no_denial() {
    let line = "deny 25/tcp --from 198.51.100.7";
    let (before, after, said) = told(SITE, line, 0);
    assert_eq!((&said["outcome"], &before), (&json!("unchanged"), &after), "{said}");
    let (text, said) = edited(line, 0);
    assert!(text == SITE && said.contains("lets nobody of 198.51.100.7 in anyway"), "{said}");
    let (_, said) = edited("deny 25/tcp --from 192.0.2.7", 2);
    assert!(
        said.contains("`192.0.2.0/24` (") && said.contains("site.toml:19): deny that"),
        "{said}"
    );
    // What is denied itself may be let in by a wider entry.
    let site = SITE.replace("  \"203.0.113.0/24\"\n", "  \"203.0.113.0/24\", \"203.0.113.7\"\n");
    let (_, _, said) = told(&site, "deny 25/tcp --from 203.0.113.7", 1);
    let still = said["still"][0].as_str().unwrap();
    assert!(still.contains("service mail lets 203.0.113.0/24 in (") && still.contains(":20)"));
}

#[test]
fn what_must_never_be_is_not_written() {
    let never =
        "[[never]]\nports = [\"443/tcp\"]\nfrom = [\"198.51.100.0/24\"]\nreason = \"audit 7\"\n";
    let site = format!("{SITE}{never}");
    let (_, _, said) = told(&site, "allow 443/tcp --from 198.51.100.7", 1);
    assert_eq!(
        (&said["outcome"], &said["violations"][0]["never"]),
        (&json!("refused"), &json!("audit 7"))
    );
    told(&site, "allow 443/tcp --from 198.51.100.7 --apply --yes", 1);
    told(&site, "allow 443/tcp --from 192.0.2.7", 0);
    // What was so before is not this change's doing.
    let known = format!(
        "{site}[services.https]\non = [\"box\"]\nports = [\"443/tcp\"]\nfrom = [\"198.51.100.0/24\"]\n"
    );
    told(&known, "deny 443/tcp --from 198.51.100.0/24", 0);
}

#[test]
fn what_a_block_still_holds_shut_is_told() {
    let block = "[[block]]\nfrom = [\"198.51.100.0/25\"]\nreason = \"abuse\"\n";
    let site = format!("{SITE}{block}");
    let (_, _, said) = told(&site, "allow 443/tcp --from 198.51.100.7", 1);
    assert_eq!(
        said["blocks"],
        json!([{"block": "abuse", "sources": "198.51.100.7", "whole": true, "until": null, "ports": ["443/tcp"]}])
    );
    let (_, _, said) = told(&site, "allow 443/tcp --from 198.51.100.0/24", 0);
    assert_eq!(
        (&said["blocks"][0]["sources"], &said["blocks"][0]["whole"]),
        (&json!("198.51.100.0/25"), &json!(false))
    );
    // Also where a wider word lets them in already.
    let (_, _, said) = told(&site, "allow 80/tcp --from 198.51.100.9", 1);
    assert_eq!(said["blocks"][0]["sources"], "198.51.100.9");
    let (_, _, said) = told(&site, "allow 443/tcp --from 203.0.113.7", 0);
    assert_eq!(said["blocks"], json!([]));
}

#[test]
fn what_another_tool_still_refuses_is_told() {
    require_root!();
    let stage = Stage::new();
    stage.nft(
        "table ip strict { chain in { type filter hook input priority 0; tcp dport 443 drop; }; }",
    );
    let path = stage.inventory(SITE);
    let line = format!("allow 443/tcp --from 192.0.2.1 --host box --inventory {}", path.display());
    let said = stage.program(&line, SSH).run().expect_code(0).stdout;
    assert!(said.contains("still shut: 192.0.2.1 is refused by ip strict in rule 1"), "{said}");
    // Of everybody it is the family that is told, not one address of it.
    let said = stage.program(&line.replace("192.0.2.1", "any"), SSH).run().expect_code(0).stdout;
    assert!(said.contains("still shut: IPv4 is refused by ip strict in rule 1"), "{said}");
}

#[test]
fn whom_another_tool_refuses_is_named_as_a_whole_or_as_some_of_it() {
    require_root!();
    let stage = Stage::new();
    stage.here.ip("address add 2001:db8::2/64 dev v0 nodad");
    stage.here.ip("route add default via 192.0.2.1");
    stage.nft(
        "table ip bad { set s { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 }; }; \
         chain in { type filter hook input priority -5; ip saddr @s drop; }; }; \
         table inet strict { chain in { type filter hook input priority 0; \
         tcp dport 5000 drop; tcp dport 9090 ip saddr != 192.0.2.0/24 drop; \
         meta nfproto ipv6 tcp dport 80 drop; }; }",
    );
    let path = stage.inventory(SITE);
    let shut = |line: &str| {
        let line =
            format!("allow {line} --host box --json --dry-run --inventory {}", path.display());
        let said = stage.program(&line, SSH).run().expect_code(0).json();
        let refused = said["refused_by"].as_array().unwrap().clone();
        let who = |one: &Value| one["callers"].as_str().unwrap().to_owned();
        refused.iter().map(who).collect::<Vec<_>>()
    };
    // The network of this machine itself: its own address is no caller.
    assert_eq!(shut("5000 --from 192.0.2.0/24"), ["192.0.2.0/24"]);
    assert_eq!(shut("9090 --from 192.0.2.0/24"), [""; 0]);
    assert_eq!(shut("443 --from 203.0.0.0/16"), ["203.0.113.0/24"]);
    assert_eq!(shut("443 --from 203.0.113.0/24"), ["203.0.113.0/24"]);
    assert_eq!(shut("9090 --from any"), ["IPv4 but for 192.0.2.0/24"]);
    // Nobody calls from a multicast address.
    assert_eq!(shut("8081 --from any"), ["10.0.0.0/8", "203.0.113.0/24"]);
    stage.nft("flush table ip bad");
    assert_eq!(shut("9090 --from any"), ["IPv4 but for 192.0.2.0/24"]);
}

#[test]
fn without_an_inventory_nothing_is_done_and_the_way_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Program::line("allow 443/tcp --from any --apply --yes").folder(folder.path()).run();
    let said = ran.expect_code(2).stderr;
    assert!(said.contains("there is no inventory here: nothing was changed"), "{said}");
    assert!(said.contains("portolan inventory init --inventory /etc/portolan"), "{said}");
}

/// A site that lets its caller in, and what else is to be let in.
const OURS: &str = "portolan = 1\n[hosts.box]\naddress = [\"192.0.2.2\"]\n[management]\n\
                    from = [\"192.0.2.0/24\"]\nports = [\"22/tcp\"]\n";

impl Stage {
    /// `allow 80/tcp --apply` of [`OURS`], and where that is.
    fn allowing(&self, line: &str) -> (Program, PathBuf) {
        let path = self.inventory(OURS);
        let line = format!("{line} --host box --inventory {}", path.display());
        (self.program(&line, SSH), path)
    }
}

const ALLOW: &str = "allow 80/tcp --from any --apply --yes";

#[test]
fn what_cannot_be_applied_is_not_written() {
    require_root!();
    let stage = Stage::new();
    let text = |path: &PathBuf| fs::read_to_string(path).unwrap();
    // A caller from elsewhere would be shut out.
    let (program, path) = stage.allowing(ALLOW);
    let ran = program.env("SSH_CONNECTION", "198.51.100.1 4000 192.0.2.2 22").run().expect_code(1);
    assert!(ran.stderr.contains("not applied, and nothing was written"), "{}", ran.stderr);
    assert_eq!(text(&path), OURS);
    // Root takes no file that it was not told.
    let (_, path) = stage.allowing(ALLOW);
    let line = format!("{ALLOW} --host box");
    let ran = stage.program(&line, SSH).folder(path.parent().unwrap()).run().expect_code(2);
    assert!(ran.stderr.contains("was not named"), "{}", ran.stderr);
    assert_eq!(text(&path), OURS);
    // Nobody is asked, and nobody says yes.
    let (program, path) = stage.allowing("allow 80/tcp --from any --apply");
    program.run().expect_code(2);
    assert_eq!(text(&path), OURS);
    let (program, path) = stage.allowing("allow 80/tcp --from any --apply --dry-run");
    program.run().expect_code(0);
    assert_eq!(text(&path), OURS);
    assert!(!stage.has_table());
}

#[test]
fn an_edit_that_is_not_confirmed_is_taken_back_with_its_rules() {
    require_root!();
    let stage = Stage::new();
    let begin = |stage: &Stage| {
        let (program, path) = stage.allowing(ALLOW);
        let child = program.command().spawn().unwrap();
        eventually("it is on trial", || stage.log().last().is_some_and(|last| last == "applied"));
        assert!(fs::read_to_string(&path).unwrap().contains("[services.http]"));
        (child, path)
    };
    let is_back = |path: &PathBuf| fs::read_to_string(path).unwrap() == OURS;
    // Rolled back.
    let (mut child, path) = begin(&stage);
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(is_back(&path) && !stage.has_table());
    // Interrupted.
    let (mut child, path) = begin(&stage);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    child.wait().unwrap();
    eventually("it is over", || !stage.state().join("trial").exists());
    assert!(is_back(&path));
    // Killed: whoever watches does it.
    let (mut child, path) = begin(&stage);
    child.kill().unwrap();
    child.wait().unwrap();
    let watchdogs = stage.watchdogs();
    Command::new("kill").args(["-TERM", &watchdogs[0].to_string()]).status().unwrap();
    eventually("it is over", || !stage.state().join("trial").exists());
    assert!(is_back(&path));
    // All killed: the next command does it, and plans anew.
    let (mut child, path) = begin(&stage);
    child.kill().unwrap();
    child.wait().unwrap();
    stage.kill(&stage.watchdogs());
    let line = format!("apply --yes --detach --host box --inventory {}", path.display());
    let ran = stage.firewall(&line, SSH).run().expect_code(2);
    assert!(ran.stderr.contains("run it again"), "{}", ran.stderr);
    assert!(is_back(&path) && !stage.has_table());
    // Confirmed, it stays.
    let (mut child, path) = begin(&stage);
    stage.confirm();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(!is_back(&path) && !stage.state().join("edits").exists());
    stage.firewall("rollback", SSH).run().expect_code(1);
    assert!(!is_back(&path));
}

#[test]
fn an_edit_goes_on_trial_where_that_is_wanted() {
    require_root!();
    let stage = Stage::new();
    let path = stage.inventory(&SITE.replace("  \"any\"\n", ""));
    let line = format!("deny 8080/tcp --apply --yes --host box --inventory {}", path.display());
    stage.program(&line, SSH).run().expect_code(2);
    assert!(!stage.has_table(), "an edit that was refused is not applied");
    let line =
        format!("allow 22/tcp --from any --apply --yes --host box --inventory {}", path.display());
    let mut applying = stage.program(&line, SSH).command().spawn().unwrap();
    eventually("it is on trial", || stage.log() == ["applied"]);
    stage.confirm();
    assert_eq!(applying.wait().unwrap().code(), Some(0));
    assert!(stage.table().contains("22 : jump"), "{}", stage.table());
}

#[test]
fn an_edit_goes_with_its_rules_also_where_the_file_was_changed_meanwhile() {
    require_root!();
    let stage = Stage::new();
    let begin = |change: &dyn Fn(&str) -> String| {
        let (program, path) = stage.allowing(ALLOW);
        let program = program.command().stderr(Stdio::piped()).spawn();
        eventually("it is on trial", || stage.log().last().is_some_and(|last| last == "applied"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("[services.http]"), "{text}");
        fs::write(&path, change(&text)).unwrap();
        let ran = stage.firewall("rollback --json", SSH).run();
        let output = program.unwrap().wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (ran, String::from_utf8(said).unwrap(), fs::read_to_string(&path).unwrap(), path)
    };
    // A remark after it: both stay apart.
    let (ran, said, text, _) = begin(&|text| format!("{text}# remark\n"));
    assert_eq!(text, format!("{OURS}# remark\n"));
    assert_eq!(ran.expect_code(0).json()["left"], json!([]));
    assert!(said.contains("the inventory is as it was, too"), "{said}");
    let status = stage.firewall("status --json", SSH).run().json();
    assert_eq!(status["left_edits"], false);

    // A change of the very same line: it stands, and that is said.
    let mine = |text: &str| text.replace("\"any\"", "\"192.0.2.7\"");
    let (ran, said, text, path) = begin(&mine);
    assert!(text.contains("[services.http]"), "{text}");
    let line = text.lines().position(|line| line == "[services.http]").unwrap() + 1;
    let place = format!("{}:{line}", path.display());
    assert!(said.contains("still in the inventory") && said.contains(&place), "{said}");
    assert!(!said.contains("the inventory is as it was"), "{said}");
    assert_eq!(ran.expect_code(0).json()["left"][0]["line"], line);
    let status = stage.firewall("status --json", SSH).run().json();
    assert_eq!(status["left_edits"], true);
    // Once it can be taken back it is.
    stage.firewall("rollback", SSH).run().expect_code(1);
    fs::write(&path, text.replace("\"192.0.2.7\"", "\"any\"")).unwrap();
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), OURS);
}

#[test]
fn a_source_that_is_none_is_told_of_the_command_line() {
    let (text, said) = edited("allow 443/tcp --from 10.1.2.3/8", 2);
    assert_eq!(text, SITE);
    assert!(said.contains("error: --from: `10.1.2.3/8` has bits set beyond"), "{said}");
    assert!(said.contains("hint: write 10.0.0.0/8") && !said.contains("site.toml:"), "{said}");
    let (text, said) = edited("allow 443/tcp --from nobody", 2);
    assert!(text == SITE && said.contains("--from: there is no network and no host"), "{said}");
    let (text, said) = edited("allow 443/tcp --from any --until 0s", 2);
    assert!(text == SITE && said.contains("--until is over already"), "{said}");
}

#[test]
fn the_reason_of_a_block_is_told_as_a_reason() {
    let block = "[[block]]\nfrom = [\"198.51.100.7\"]\n";
    let site = format!("{SITE}{block}reason = \"bad\"\n");
    for (site, words) in [
        (site, "a [[block]] (reason: bad) refuses"),
        (format!("{SITE}{block}"), "a [[block]] refuses"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.toml");
        fs::write(&path, site).unwrap();
        let line =
            format!("allow 443/tcp --from 198.51.100.7 --host box --inventory {}", path.display());
        let said = Program::line(&line).run().expect_code(1).stdout;
        assert!(said.contains(&format!("still shut: {words} 198.51.100.7")), "{said}");
    }
}

/// What `inventory init` writes of one program with several ports.
const OBSERVED: &str = "portolan = 1\n[hosts.box]\naddress = [\"192.0.2.2\"]\n[services.python3]\n\
                        on = [\"box\"]\nports = [\"22/tcp\", \"53/tcp+udp\", \"5000-5002/tcp\"]\n\
                        from = [\"any\"]\nstatus = \"observed\"\nprocess = \"python3\"\n";

#[test]
fn one_port_of_what_was_observed_with_others_is_let_in_and_no_longer_two_services() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    for (ports, left) in [
        ("22", "[\"53/tcp+udp\", \"5000-5002/tcp\"]"),
        ("u:53", "[\"22/tcp\", \"5000-5002/tcp\", \"53/tcp\"]"),
        ("5001", "[\"22/tcp\", \"53/tcp+udp\", \"5000/tcp\", \"5002/tcp\"]"),
    ] {
        fs::write(&path, OBSERVED).unwrap();
        let line = format!("allow {ports} --from 198.51.100.7 --host box --inventory");
        let ran = Program::line(&format!("{line} {}", path.display())).run().expect_code(0);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("ports = {left}")), "{ports}: {text}");
        let (_, new) = text.split_once("status = \"observed\"").unwrap();
        assert!(new.contains("from  = [\"198.51.100.7\"]"), "{new}");
        assert!(new.contains("process = [\"python3\"]"), "{new}");
        assert!(
            ran.stdout.contains("only observed so far, keeps its other ports"),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("  after:  198.51.100.7 by "), "{}", ran.stdout);
    }
}

#[test]
fn what_was_only_observed_needs_no_denial() {
    for ports in ["22", "5000-5002,22"] {
        let (before, after, said) = told(OBSERVED, &format!("deny {ports}"), 0);
        assert_eq!((before, after), (json!([]), json!([])), "{said}");
        assert_eq!((&said["outcome"], &said["change"]), (&json!("unchanged"), &json!("observed")));
    }
}

#[test]
fn whether_the_inventory_is_in_force_is_told_also_where_nothing_was_to_be_written() {
    require_root!();
    let stage = Stage::new();
    let path = stage.inventory(OPEN);
    let run = |line: &str| {
        let line = format!("{line} --host box --inventory {}", path.display());
        let said = stage.program(&line, SSH).run().expect_code(0).stdout;
        let document = stage.program(&format!("{line} --json"), SSH).run().expect_code(0).json();
        (said, document["in_force"].clone())
    };
    let (said, force) = run("deny 3306 --dry-run");
    assert!(said.contains("in force: nothing of it: no firewall of portolan is loaded"), "{said}");
    assert_eq!(force, "nothing");
    let (said, _) = run("deny 3306");
    assert!(said.contains("Next: sudo portolan firewall apply --inventory "), "{said}");
    stage.keep(OPEN);
    let (said, force) = run("deny 3306");
    assert!(said.contains("in force: this") && !said.contains("Next:"), "{said}");
    assert_eq!(force, "now");
    let (said, force) = run("deny 80 --dry-run");
    assert!(said.contains("in force: what was before"), "{said}");
    assert_eq!(force, "before");
    stage.inventory(&OPEN.replace("80/tcp", "81/tcp"));
    let (said, force) = run("deny 3306");
    assert!(said.contains("in force: another firewall than") && said.contains("Next:"), "{said}");
    assert_eq!(force, "other");
}

#[test]
fn a_denial_of_everybody_by_name_and_an_unknown_internet_say_what_to_write() {
    let (text, said) = edited("deny 25/tcp --from any", 2);
    assert!(text == SITE && said.contains("for everybody: portolan deny 25/tcp"), "{said}");
    let (text, said) = edited("allow 443 --from internet", 2);
    assert!(text == SITE && said.contains("--from any"), "{said}");
}

#[test]
fn a_source_that_is_none_says_what_would_be_one() {
    for (from, hint) in [
        ("example.com", "declare a host: [hosts.NAME]"),
        ("10.0.0.1,10.0.0.2", "one source at a time"),
        ("10.0.0.1-10.0.0.9", "as networks"),
        ("iface:eth0", "declare a network"),
        ("x\\u{1b}", "a network or host of the inventory"),
    ] {
        for line in ["allow 443 --from", "deny 443 --until 2h --from"] {
            let (text, said) = edited(&format!("{line} {from}"), 2);
            assert_eq!(text, SITE);
            assert!(
                said.contains("error: --from: ") && said.contains(hint),
                "{line} {from}: {said}"
            );
        }
    }
}

#[test]
fn nobody_is_let_in_by_what_was_approved_until_yesterday() {
    let old = "[services.old]\non = [\"box\"]\nports = [\"5432/tcp\"]\nfrom = [\"any\"]\n\
               approved = { until = 2001-01-01 }\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    let site = format!("{SITE}{old}");
    let run = |line: &str, code| {
        fs::write(&path, &site).unwrap();
        let line = format!("{line} --host box --inventory {}", path.display());
        let ran = Program::line(&line).run().expect_code(code);
        (fs::read_to_string(&path).unwrap(), ran.stdout + &ran.stderr)
    };
    for from in ["any", "198.51.100.7"] {
        let (text, said) = run(&format!("allow 5432 --from {from}"), 2);
        assert!(
            text == site && said.contains("service old was approved until 2001-01-01"),
            "{said}"
        );
    }
    let (text, said) = run("allow 5432 --from any --until 2h", 0);
    assert!(text.contains("from  = [\"any\"]\napproved = { until = 20"), "{text}");
    assert!(said.contains("  after:  any by "), "{said}");
}
