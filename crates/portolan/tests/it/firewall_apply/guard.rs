//! What may go wrong while rules are on trial, and that nobody is locked out by it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::support::{eventually, require_root};

use super::stage::{OPEN, OTHER_SSH, SHUT, SSH, Stage};

impl Stage {
    /// The token of what is on trial.
    fn token(&self) -> String {
        let trial = fs::read_to_string(self.state().join("trial")).unwrap();
        trial.lines().find_map(|line| line.strip_prefix("token=")).unwrap().to_owned()
    }

    #[track_caller]
    fn try_out(&self, timeout: &str) {
        let flags = format!("--force --detach --timeout {timeout}");
        self.apply(SHUT, &flags).run().expect_code(0);
    }

    /// `status`: its code, and what it says on both streams.
    fn status(&self) -> (i32, String) {
        let ran = self.firewall("status", SSH).run();
        (ran.code, format!("{}{}", ran.stdout, ran.stderr))
    }
}

#[test]
fn a_trial_whose_record_is_lost_is_rolled_back() {
    require_root!();
    let stage = Stage::new();
    let lose: [&dyn Fn(); 3] = [
        &|| fs::remove_file(stage.state().join("trial")).unwrap(),
        &|| fs::write(stage.state().join("trial"), b"\xff no trial").unwrap(),
        // Whoever writes there meanwhile is in the way.
        &|| eventually("it is gone", || fs::remove_dir_all(stage.root()).is_ok()),
    ];
    for lose in lose {
        stage.try_out("10m");
        assert!(stage.has_table());
        lose();
        eventually("nothing is loaded", || !stage.has_table());
        eventually("it is told", || stage.log().last().is_some_and(|l| l == "rolled-back"));
        eventually("nobody watches", || stage.watchdogs().is_empty());
    }
    // What was confirmed comes back, also from memory.
    stage.keep(OPEN);
    let kept = stage.table();
    stage.try_out("10m");
    eventually("it is gone", || fs::remove_dir_all(stage.root()).is_ok());
    eventually("what was confirmed is back", || stage.has_table() && stage.table() == kept);
}

#[test]
fn either_of_two_watchdogs_is_enough_and_the_kernel_waits_behind_them() {
    require_root!();
    let stage = Stage::new();
    for which in [0, 1] {
        stage.try_out("5s");
        let watchdogs = stage.watchdogs();
        assert_eq!(watchdogs.len(), 2);
        let least = Command::new("sh").args(["-c", "echo -1000 > /proc/$$/oom_score_adj"]).output();
        if least.unwrap().status.success() {
            let score = fs::read_to_string(format!("/proc/{}/oom_score_adj", watchdogs[which]));
            assert_eq!(score.unwrap().trim(), "-1000");
        }
        stage.kill(&watchdogs[which..=which]);
        stage.until_over();
        assert!(!stage.has_table());
    }
    let _server = stage.here.listen("0.0.0.0:22");
    stage.try_out("5s");
    stage.kill(&stage.watchdogs());
    assert!(!stage.reaches(22));
    sleep(Duration::from_secs(14));
    eventually("the rules refuse nobody any more", || stage.reaches(22));
    let (code, said) = stage.status();
    assert!(code == 1 && said.contains("the rules on trial refuse nobody"), "{said}");
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert!(!stage.has_table());
}

#[test]
fn rules_that_were_confirmed_have_no_end() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 5s").run().expect_code(0);
    assert!(stage.table().contains("trial-gate"));
    stage.confirm();
    assert!(!stage.table().contains("trial"), "{}", stage.table());
    eventually("nobody watches", || stage.watchdogs().is_empty());
}

/// nft is replaced while packages are upgraded, and needs memory.
#[test]
fn a_rollback_that_fails_is_tried_again() {
    require_root!();
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (broken, real, fake) = (file("broken"), file("real"), file("fake"));
    let nft = ["/usr/sbin/nft", "/sbin/nft"].into_iter().find(|p| fs::metadata(p).is_ok());
    let nft = nft.unwrap();
    fs::copy(nft, &real).unwrap();
    let text = format!("#!/bin/sh\n[ -e {broken} ] && exit 1\nexec {real} \"$@\"\n");
    fs::write(&fake, text).unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!("mount --bind {fake} {nft} && exec \"$@\"");
    stage
        .apply(SHUT, "--force --detach --timeout 5s")
        .through(["unshare", "-m", "sh", "-c", &script, "sh"])
        .run()
        .expect_code(0);
    fs::write(&broken, "").unwrap();
    eventually("it fails", || stage.log().last().is_some_and(|last| last == "failed"));
    assert!(stage.has_table() && stage.state().join("trial").exists());
    fs::remove_file(&broken).unwrap();
    stage.until_over();
    assert!(!stage.has_table());
    // The log is written last.
    eventually("it is told", || stage.log().last().is_some_and(|last| last == "rolled-back"));
    // The other one still waits to try again, and needs the program until it has seen that it is done.
    eventually("nobody watches", || stage.watchdogs().is_empty());
}

#[test]
fn a_confirmation_that_fails_leaves_the_trial_and_nothing_at_boot() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 8s").run().expect_code(0);
    fs::create_dir_all(stage.root().join("etc")).unwrap();
    // No folder can be made here.
    fs::write(stage.root().join("etc/portolan"), "").unwrap();
    sleep(Duration::from_millis(20));
    let ran = stage.session("confirm").expect_code(2);
    assert!(ran.stderr.contains("the trial goes on, and is rolled back in "), "{}", ran.stderr);
    assert!(stage.state().join("trial").exists());
    stage.until_over();
    assert!(!stage.has_table());
    // Whoever brought it back clears up after it has said that the trial is over.
    for name in ["confirmed.nft", "confirming.nft", "trial.nft"] {
        eventually(name, || !stage.state().join(name).exists());
    }
    assert!(!stage.root().join("etc/systemd/system/portolan-firewall.service").exists());
}

#[test]
fn a_confirmation_that_is_killed_on_the_way_is_finished() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let rules = fs::read_to_string(stage.state().join("trial.nft")).unwrap();
    let committed = format!("# confirmed: trial {}\n{rules}", stage.token());
    // As it was written first, and nothing else done.
    fs::write(stage.state().join("confirming.new"), committed).unwrap();
    fs::rename(stage.state().join("confirming.new"), stage.state().join("confirming.nft")).unwrap();
    stage.until_over();
    assert!(!stage.table().contains("trial"));
    assert!(stage.root().join("etc/portolan/firewall.nft").exists());
    assert_eq!(stage.status().0, 0);
    assert_eq!(stage.log().last().unwrap(), "confirmed");
}

#[test]
fn a_table_that_somebody_changed_is_not_what_was_confirmed() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let kept = stage.table();
    assert_eq!(stage.status().0, 0);
    for (change, told) in [
        ("insert rule inet portolan input accept", "chain input has `accept`"),
        ("flush chain inet portolan input", "chain input lacks"),
        ("add table inet portolan { flags dormant; }", "flags dormant"),
    ] {
        stage.here.output(&format!("nft {change}"));
        let (code, said) = stage.status();
        assert!(code == 1 && said.contains(told), "{change}: {said}");
        assert!(said.contains("not what was confirmed") && said.contains("rollback"), "{said}");
        stage.firewall("rollback", SSH).run().expect_code(0);
        assert_eq!((stage.status().0, stage.table()), (0, kept.clone()), "{change}");
    }
    // It is judged by the rules, not by what nft called them then.
    fs::write(stage.state().join("confirmed.list"), "table inet portolan {\n}\n").unwrap();
    assert_eq!(stage.status().0, 0);
    stage.here.output("nft delete table inet portolan");
    assert!(stage.status().1.contains("rollback loads them"));
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(stage.table(), kept);
    stage.firewall("rollback", SSH).run().expect_code(1);
}

#[test]
fn what_was_changed_during_the_trial_is_not_confirmed() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    stage.here.output("nft insert rule inet portolan input accept");
    sleep(Duration::from_millis(20));
    let ran = stage.session("confirm").expect_code(1);
    assert!(ran.stderr.contains("chain input has `accept`"), "{}", ran.stderr);
    stage.firewall("rollback", OTHER_SSH).run().expect_code(0);
    assert!(!stage.has_table());
}

#[test]
fn a_forged_connection_confirms_nothing() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    sleep(Duration::from_millis(20));
    let ran = stage.firewall("confirm --json", OTHER_SSH).run().expect_code(1);
    assert_eq!(ran.json()["reason"], "not-served");
    stage.session("confirm").expect_code(0);
}

/// The one that applied is let in, and the next one, which is to confirm, is one too many.
#[test]
fn a_limit_that_refuses_the_next_session_is_told() {
    require_root!();
    let stage = Stage::new();
    let limited = |limit: &str| {
        OPEN.replace("[\"192.0.2.0/24\"]", &format!("[\"192.0.2.0/24\"]\nlimit = \"{limit}\""))
    };
    let ran = stage.apply(&limited("1/1d"), "").run().expect_code(1);
    assert!(ran.stdout.contains("at most 1 in 24h"), "{}", ran.stdout);
    assert!(ran.stdout.contains("[management]\nfrom = [\"192.0.2.1\"]"), "{}", ran.stdout);
    let ran = stage.apply(&limited("5/1m"), "--dry-run").run().expect_code(0);
    assert!(ran.stdout.contains("at most 5 in 1m"), "{}", ran.stdout);
}

#[test]
fn an_ssh_server_that_nobody_would_reach_is_told() {
    require_root!();
    let stage = Stage::new();
    let web = "portolan = 1\n[hosts.box]\naddress = [\"192.0.2.2\"]\n[services.web]\non = [\"box\"]\n\
               ports = [\"80/tcp\"]\nfrom = [\"any\"]\n";
    let script = "import socket, time; s = socket.create_server(('192.0.2.2', 22)); time.sleep(60)";
    let mut sshd = stage.here.command(&stage.sshd());
    let mut sshd = sshd.args(["-c", script]).spawn().unwrap();
    eventually("it listens", || stage.here.output("ss -tlnH").contains(":22"));
    let ran = stage.apply(web, "").env("SSH_CONNECTION", "").run().expect_code(1);
    sshd.kill().unwrap();
    sshd.wait().unwrap();
    assert!(ran.stdout.contains("nothing was checked"), "{}", ran.stdout);
    assert!(ran.stderr.contains("reach the SSH server"), "{}", ran.stderr);
}

#[test]
fn a_table_that_nobody_remembers_is_told_and_goes() {
    require_root!();
    let stage = Stage::new();
    stage.try_out("10m");
    stage.kill(&stage.watchdogs());
    eventually("it is gone", || fs::remove_dir_all(stage.root()).is_ok());
    let (code, said) = stage.status();
    assert!(code == 1 && said.contains("nobody confirmed it"), "{said}");
    assert!(said.contains("rollback removes it"), "{said}");
    let ran = stage.firewall("rollback", SSH).run().expect_code(0);
    assert!(ran.stdout.contains("is removed"), "{}", ran.stdout);
    assert!(!stage.has_table());
}

#[test]
fn a_dry_run_changes_nothing() {
    require_root!();
    let stage = Stage::new();
    stage.try_out("10m");
    stage.kill(&stage.watchdogs());
    let (before, token) = (stage.chains(), stage.token());
    let ran = stage.apply(OPEN, "--dry-run").run().expect_code(0);
    assert!(ran.stdout.contains("is rolled back"), "{}", ran.stdout);
    assert_eq!((stage.chains(), stage.token()), (before, token));
    stage.keep(OPEN);
    assert_eq!(stage.log().iter().filter(|what| *what == "rolled-back").count(), 1);
}

/// `off` for good is not undone by who watched before.
#[test]
fn nothing_comes_back_after_off() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    stage.firewall("off --yes --for 50s", SSH).run().expect_code(0);
    stage.firewall("off --yes --for 60s", SSH).run().expect_code(0);
    eventually("one pair watches", || stage.watchdogs().len() == 2);
    stage.firewall("off --yes --purge", SSH).run().expect_code(0);
    eventually("nobody watches", || stage.watchdogs().is_empty());
    assert!(!stage.has_table() && !stage.state().exists());
}

impl Stage {
    fn chains(&self) -> String {
        self.here.output("nft list chains inet")
    }

    /// The processes that watch over a trial here.
    pub(super) fn watchdogs(&self) -> Vec<u32> {
        let state = self.state().display().to_string();
        let is_ours = |pid: &u32| {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let arguments = String::from_utf8_lossy(&arguments).into_owned();
            arguments.split('\0').skip(1).take(2).eq(["firewall-watch", &state])
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(is_ours).collect()
    }

    pub(super) fn kill(&self, pids: &[u32]) {
        for pid in pids {
            Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        }
        eventually("they are gone", || self.watchdogs().iter().all(|pid| !pids.contains(pid)));
    }
}

#[test]
fn a_policy_of_another_host_is_told_to_be_one() {
    require_root!();
    let stage = Stage::new();
    let two = format!("{OPEN}[hosts.web]\naddress = [\"198.51.100.9\"]\n");
    let path = stage.inventory(&two);
    for (host, is_told) in [("web", true), ("box", false)] {
        let line = format!("apply --yes --dry-run --host {host} --inventory {}", path.display());
        let said = stage.firewall(&line, SSH).run().stdout;
        assert_eq!(said.contains("this one is box, not web"), is_told, "{said}");
    }
}

#[test]
fn nothing_is_put_off_where_nothing_is_loaded() {
    require_root!();
    let stage = Stage::new();
    for flags in ["", "--dry-run"] {
        let ran = stage.firewall(&format!("off --yes --for 5s {flags}"), SSH).run().expect_code(2);
        assert!(
            ran.stderr.contains("there is no table inet portolan to put off"),
            "{}",
            ran.stderr
        );
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    let ran = stage.firewall("off --dry-run", SSH).run().expect_code(0);
    assert!(ran.stdout.contains("no table is loaded, and none at boot"), "{}", ran.stdout);
}
