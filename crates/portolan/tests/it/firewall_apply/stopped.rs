//! A confirm that is stopped on the way: what is loaded and what is loaded at boot are the same in the end.

use std::fs;
use std::process::Command;

use crate::support::require_root;

use super::stage::{OPEN, SSH, Stage};

/// What a confirm that is killed before its last step leaves: all is done but for the end of the trial.
fn confirmed_but_not_ended(stage: &Stage) {
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let trial = fs::read(stage.state().join("trial")).unwrap();
    let watchdogs = stage.watchdogs();
    send("-STOP", &watchdogs);
    stage.confirm();
    fs::write(stage.state().join("trial"), trial).unwrap();
    send("-CONT", &watchdogs);
}

fn send(signal: &str, pids: &[u32]) {
    let pids = pids.iter().map(u32::to_string);
    assert!(Command::new("kill").arg(signal).args(pids).status().unwrap().success());
}

fn at_boot(stage: &Stage) -> String {
    fs::read_to_string(stage.root().join("etc/portolan/firewall.nft")).unwrap_or_default()
}

#[test]
fn a_confirm_that_is_killed_before_the_trial_ends_is_finished_by_the_watchdog() {
    require_root!();
    let stage = Stage::new();
    confirmed_but_not_ended(&stage);
    stage.until_over();
    assert_eq!(stage.log(), ["applied", "confirmed"]);
    assert!(stage.table().contains("80 :") && at_boot(&stage).contains("80 :"));
    let status = stage.firewall("status --json", SSH).run().expect_code(0).json();
    assert_eq!((&status["state"], &status["boot_differs"]), (&"confirmed".into(), &false.into()));
}

#[test]
fn a_confirm_that_is_killed_with_those_who_watch_is_finished_by_the_next_command() {
    require_root!();
    let stage = Stage::new();
    for next in ["rollback", "confirm"] {
        stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
        let trial = fs::read(stage.state().join("trial")).unwrap();
        stage.confirm();
        fs::write(stage.state().join("trial"), trial).unwrap();
        stage.firewall(next, SSH).run();
        assert!(!stage.state().join("trial").exists(), "{next}");
        assert!(stage.table().contains("80 :") && at_boot(&stage).contains("80 :"), "{next}");
        assert_eq!(stage.log().last().unwrap(), "confirmed", "{next}");
    }
}

#[test]
fn what_is_loaded_at_boot_and_was_not_confirmed_is_told_and_mended() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let (path, before) = (stage.root().join("etc/portolan/firewall.nft"), at_boot(&stage));
    fs::write(&path, before.replace("80 :", "81 :")).unwrap();
    let said = stage.firewall("status", SSH).run().stderr;
    assert!(said.contains("what is loaded at boot is not what was confirmed"), "{said}");
    let said = stage.firewall("rollback", SSH).run().expect_code(0).stdout;
    assert!(said.contains("what was confirmed is loaded at boot again"), "{said}");
    assert_eq!(at_boot(&stage), before);
    stage.firewall("rollback", SSH).run().expect_code(1);
}
