//! What is let in or refused until a moment: the kernel ends it, and nothing brings it back.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{eventually, require_root};

use super::stage::{OPEN, SSH, Stage};

/// `portolan LINE` of the inventory here.
fn ran(stage: &Stage, line: &str, path: &Path, code: i32) -> String {
    let line = format!("{line} --host box --inventory {}", path.display());
    stage.program(&line, SSH).run().expect_code(code).stdout
}

/// Waits until the one moment that an inventory names is over.
fn sleep_until_the_end(text: &str) {
    let end = text.split_once("until = ").unwrap().1.split_once('Z').unwrap().0;
    let end: jiff::Timestamp = format!("{end}Z").parse().unwrap();
    while jiff::Timestamp::now() <= end {
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_is_let_in_for_a_while_is_closed_by_the_kernel_and_no_boot_opens_it_again() {
    require_root!();
    let stage = Stage::new();
    let _web = stage.here.listen("0.0.0.0:80");
    let _other = stage.here.listen("0.0.0.0:8080");
    let path = stage.inventory(OPEN);
    let said = ran(&stage, "allow 8080/tcp --from 192.0.2.1 --until 25s", &path, 0);
    assert!(said.contains("the kernel ends it by itself"), "{said}");
    stage.keep(&fs::read_to_string(&path).unwrap());
    let kept = stage.table();
    assert!(stage.reaches(8080) && stage.reaches(80));
    ran(&stage, "firewall prove --live", &path, 0);
    let open = ran(&stage, "firewall search --to-port 8080 --from 192.0.2.1 --json", &path, 0);
    assert!(open.contains("\"ports\":[\"8080\"]") && open.contains("\"depends_on\":[]"), "{open}");
    sleep_until_the_end(&fs::read_to_string(&path).unwrap());
    assert!(stage.reaches(80) && !stage.reaches(8080));
    assert_eq!(stage.table(), kept, "nobody changed a rule");
    ran(&stage, "firewall prove --live", &path, 0);
    let over = ran(&stage, "firewall search --to-port 8080 --from 192.0.2.1 --json", &path, 1);
    assert!(over.contains("never"), "{over}");
    // As after a reboot.
    stage.here.output("nft delete table inet portolan");
    let boot = stage.root().join("etc/portolan/firewall.nft");
    stage.here.output(&format!("env TZ=Asia/Tokyo nft -f {}", boot.display()));
    assert_eq!(stage.table(), kept);
    assert!(stage.reaches(80) && !stage.reaches(8080));
    // What is compiled now does not know it any more, and says so.
    let plan =
        stage.program(&format!("firewall compile --host box --inventory {}", path.display()), SSH);
    let plan = plan.run().expect_code(0).stdout;
    assert!(plan.contains("was approved until") && !plan.contains("8080"), "{plan}");
}

#[test]
fn rules_that_come_back_after_a_trial_still_end_when_they_should() {
    require_root!();
    let stage = Stage::new();
    let _other = stage.here.listen("0.0.0.0:8080");
    let path = stage.inventory(OPEN);
    ran(&stage, "allow 8080/tcp --from 192.0.2.1 --until 30s", &path, 0);
    let text = fs::read_to_string(&path).unwrap();
    stage.keep(&text);
    let kept = stage.table();
    // The caller's time zone is nobody's business.
    let other = stage.apply(OPEN, "--detach --timeout 10m").env("TZ", "America/New_York");
    other.run().expect_code(0);
    assert!(!stage.reaches(8080));
    stage.firewall("rollback", SSH).env("TZ", "Asia/Tokyo").run().expect_code(0);
    assert_eq!(stage.table(), kept);
    assert!(stage.reaches(8080));
    sleep_until_the_end(&text);
    assert!(!stage.reaches(8080));
}

#[test]
fn what_is_denied_for_a_while_is_refused_and_let_in_again_by_the_kernel() {
    require_root!();
    let stage = Stage::new();
    let _web = stage.here.listen("0.0.0.0:80");
    let _ssh = stage.here.listen("0.0.0.0:22");
    let path = stage.inventory(OPEN);
    let said = ran(&stage, "deny 80/tcp --from 192.0.2.1 --until 10s", &path, 0);
    assert!(said.contains("a [[block]] of 80/tcp is written"), "{said}");
    stage.keep(&fs::read_to_string(&path).unwrap());
    assert!(!stage.reaches(80) && stage.reaches(22));
    ran(&stage, "firewall prove --live", &path, 0);
    std::thread::sleep(Duration::from_secs(2));
    eventually("it is let in again", || stage.reaches(80));
}

#[test]
fn more_for_a_while_stands_beside_what_is_there_and_can_be_made_longer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, OPEN).unwrap();
    let run = |line: &str, code| {
        let line = format!("{line} --host box --inventory {}", path.display());
        crate::support::Program::line(&line).run().expect_code(code)
    };
    run("allow 22/tcp --from 198.51.100.7 --until 2h", 0);
    let text = fs::read_to_string(&path).unwrap();
    let added = text.strip_prefix(OPEN).unwrap();
    assert!(added.contains("[services.ssh-2]") && added.contains("approved = { until = 20"));
    let said = run("allow 22/tcp --from 198.51.100.7 --until 2999-01-01", 0).stdout;
    assert!(said.contains(", later than so far (20"), "{said}");
    let said = run("allow 22/tcp --from 198.51.100.7 --until 2h --dry-run", 0).stdout;
    assert!(said.contains(", earlier than so far (2999-01-02T00:00:00Z)"), "{said}");
    let longer = fs::read_to_string(&path).unwrap();
    assert!(longer.contains("until = 2999-01-02T00:00:00Z"), "{longer}");
    assert_eq!(longer.matches("[services.").count(), 3);
    // What is let in already does not end.
    let said = run("allow 22/tcp --from 192.0.2.0/24 --until 2h", 2).stderr;
    assert!(said.contains("without an end"), "{said}");
    run("allow 22/tcp --from 203.0.113.0/24", 0);
    run("deny 22/tcp --from 198.51.100.7", 0);
    let denied = fs::read_to_string(&path).unwrap();
    assert!(!denied.contains("198.51.100.7") && denied.contains("203.0.113.0/24"), "{denied}");
    for wrong in ["2001-01-01", "soon", "2027-03-01T16:00"] {
        run(&format!("allow 9/tcp --from any --until {wrong}"), 2);
    }
    // Two who share a port for a while do not contradict each other.
    let audit = run("inventory validate", 0);
    assert!(!audit.stdout.contains("P109"), "{}", audit.stdout);
}

#[test]
fn the_plan_and_the_status_name_what_has_ended_with_its_line() {
    require_root!();
    let stage = Stage::new();
    let over = "[[block]]\nfrom = [\"198.51.100.0/24\"]\nreason = \"storm\"\nuntil = 2020-01-01\n";
    let text = format!("{OPEN}{over}");
    let line = 1 + OPEN.matches('\n').count();
    let plan = stage.apply(&text, "--dry-run --json").run().expect_code(0).json();
    assert_eq!(plan["ended"][0]["line"], line, "{plan}");
    let told = format!("portolan.toml:{line}: [[block]] ended on 2020-01-01");
    let said = stage.apply(&text, "--dry-run").run().expect_code(0).stdout;
    assert!(said.contains(&told) && said.contains("delete what is not needed any more"), "{said}");
    let path = stage.inventory(&text);
    let said = ran(&stage, "firewall status", &path, 1);
    assert!(said.contains(&told), "{said}");
    let said = ran(&stage, "firewall status --json", &path, 1);
    assert!(said.contains("\"table\":\"[[block]]\""), "{said}");
}
