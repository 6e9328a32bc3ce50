//! Whose confirmation counts.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{BINARY, eventually, require_root, skip};

use super::stage::{OPEN, OTHER_SSH, SHUT, SSH, Stage};

#[test]
fn a_new_session_keeps_the_rules_also_at_boot() {
    require_root!();
    let stage = Stage::new();
    let mut applying = stage.begin(OPEN, "--timeout 10m");
    stage.confirm();
    assert_eq!(applying.wait().unwrap().code(), Some(0));
    assert!(stage.has_table());
    let unit =
        stage.root().join("etc/systemd/system/sysinit.target.wants/portolan-firewall.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    assert!(unit.contains("ExecStart=nft -f /etc/portolan/firewall.nft"));
    // What is loaded at boot is what was confirmed.
    let kept = stage.table();
    stage.here.output("nft delete table inet portolan");
    let rules = stage.root().join("etc/portolan/firewall.nft");
    stage.here.output(&format!("nft -f {}", rules.display()));
    assert_eq!(stage.table(), kept);
    let files = [rules, stage.state().join("log"), stage.state().join("confirmed.nft")];
    for file in files {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    assert_eq!(stage.log(), ["applied", "confirmed"]);
}

#[test]
fn nothing_is_loaded_at_boot_that_nobody_confirmed() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    assert!(!stage.root().join("etc/portolan/firewall.nft").exists());
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert!(!stage.root().join("etc").exists());
}

#[test]
fn a_session_that_was_there_before_proves_nothing() {
    require_root!();
    let stage = Stage::new();
    // A shell that came by another connection, and waits.
    let confirm = stage.firewall("confirm", OTHER_SSH).command();
    let words: Vec<_> = confirm.get_args().collect();
    let mut old = Command::new("sh")
        .args(["-c", "read line; \"$0\" \"$@\""])
        .arg(confirm.get_program())
        .args(words)
        .env("PORTOLAN_ROOT", stage.root())
        .env("SSH_CONNECTION", OTHER_SSH)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    old.stdin.take().unwrap().write_all(b"\n").unwrap();
    let said = old.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("no SSH server that this command descends from"), "{said}");
    // What leaves the session behind has no connection to show.
    let ran = stage
        .firewall("confirm", OTHER_SSH)
        .through(["env", "-u", "SSH_CONNECTION", "setsid", "--wait"])
        .run();
    assert_ne!(ran.code, 0, "{}", ran.stdout);
    stage.firewall("rollback", OTHER_SSH).run().expect_code(0);
}

/// Nothing stands between this machine and itself, whatever the rules are.
#[test]
fn a_session_from_this_machine_itself_proves_nothing() {
    require_root!();
    let stage = Stage::new();
    stage.apply(SHUT, "--force --detach --timeout 10m").run().expect_code(0);
    for own in ["127.0.0.1", "192.0.2.2"] {
        let ran = stage.session_from_here("confirm --json", own).expect_code(1);
        assert_eq!(ran.json()["reason"], "this-machine", "{own}");
    }
    let ran = stage.session_from_here("confirm", "127.0.0.1").expect_code(1);
    assert!(ran.stderr.contains("from this machine itself"), "{}", ran.stderr);
    stage.session("confirm").expect_code(0);
}

/// A real server: its sessions have what sshd gives them, and nothing else.
#[test]
fn a_real_ssh_session_confirms_and_the_one_before_does_not() {
    require_root!();
    let sshd = "/usr/sbin/sshd";
    if !std::path::Path::new(sshd).exists() {
        skip!("no sshd (scripts/setup)");
    }
    let stage = Stage::new();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    for key in ["host", "own"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", &file(key)])
            .status();
        assert!(made.unwrap().success());
    }
    std::fs::copy(file("own.pub"), file("authorized")).unwrap();
    let config = format!(
        "HostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\nUsePAM no\n\
         PermitRootLogin yes\nListenAddress 192.0.2.2\n",
        file("host"),
        file("authorized")
    );
    std::fs::write(file("config"), config).unwrap();
    let _ = std::fs::create_dir_all("/run/sshd");
    let mut server = stage
        .here
        .command(sshd)
        .args(["-D", "-f", &file("config"), "-E", &file("log")])
        .spawn()
        .unwrap();
    eventually("sshd listens", || stage.here.output("ss -tlnH").contains(":22"));
    let login_with = |more: &[&str], line: &str| {
        let options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
        let mut command = stage.far.command("ssh");
        command.args(options.iter().flat_map(|option| ["-o", option]));
        command.args(more).args(["-q", "-i", &file("own"), "root@192.0.2.2"]);
        let root = stage.root().display().to_string();
        command.arg(format!("PORTOLAN_ROOT={root} {BINARY} firewall {line}"));
        command
    };
    let login = |line: &str| login_with(&[], line);
    let inventory = stage.inventory(OPEN).display().to_string();
    let apply = format!("apply --yes --detach --timeout 10m --host box --inventory {inventory}");
    // A session that was there before: it waits for a line.
    let root = stage.root().display().to_string();
    let mut old = login(&format!(
        "status >/dev/null; read x; PORTOLAN_ROOT={root} {BINARY} firewall confirm"
    ))
    .stdin(Stdio::piped())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    eventually("it is logged in", || {
        stage.here.output("ss -tnH state established").contains(":22")
    });
    let applied = login(&apply).output().unwrap();
    let said = String::from_utf8_lossy(&applied.stdout);
    assert!(applied.status.success() && said.contains("(this SSH session)"), "{applied:?}");
    old.stdin.take().unwrap().write_all(b"x\n").unwrap();
    let old = old.wait_with_output().unwrap();
    assert_eq!(old.status.code(), Some(1), "{old:?}");
    // Another channel of a connection that was there before is that connection.
    login("rollback").output().unwrap();
    let path = format!("ControlPath={}", file("master"));
    let shared = ["-o", "ControlMaster=auto", "-o", "ControlPersist=60", "-o", &path];
    let applied = login_with(&shared, &apply).output().unwrap();
    assert!(applied.status.success(), "{applied:?}");
    let channel = login_with(&shared, "confirm --json").output().unwrap();
    let said = String::from_utf8_lossy(&channel.stdout);
    assert!(said.contains("same-connection") && channel.status.code() == Some(1), "{channel:?}");
    // A host that holds no newer connection has proved nothing; one that does has, whoever says it.
    let confirm = |from: &str, code| {
        stage.firewall(&format!("confirm --from {from}"), SSH).run().expect_code(code);
    };
    confirm("192.0.2.1", 1);
    confirm("192.0.2.2", 1);
    confirm("127.0.0.1", 1);
    let mut waiting = login("status >/dev/null; read x").stdin(Stdio::piped()).spawn().unwrap();
    eventually("it came in", || stage.firewall("confirm --from 192.0.2.1", SSH).run().code == 0);
    drop(waiting.stdin.take());
    waiting.wait().unwrap();
    login_with(&["-O", "exit", "-o", &path], "").output().unwrap();
    // A session that began afterwards.
    login(&apply).output().unwrap();
    let new = login("confirm").output().unwrap();
    assert_eq!(new.status.code(), Some(0), "{new:?}");
    assert_eq!(stage.log()[..4], ["applied", "refused", "rolled-back", "applied"]);
    assert_eq!(stage.log().last().unwrap(), "confirmed");
    server.kill().unwrap();
    server.wait().unwrap();
}
