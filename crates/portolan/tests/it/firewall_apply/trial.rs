//! What is refused, and what brings back what was before.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::{eventually, require_root};

use super::stage::{OPEN, OTHER_SSH, SHUT, SSH, Stage};

#[test]
fn what_would_shut_out_the_caller_is_refused_and_rolls_back_where_it_is_forced() {
    require_root!();
    let stage = Stage::new();
    let _server = stage.here.listen("0.0.0.0:22");
    let before = stage.others();

    let refused = stage.apply(SHUT, "").run().expect_code(1);
    assert!(refused.stdout.contains("192.0.2.1 to 22/tcp is lost"), "{}", refused.stdout);
    assert!(!stage.has_table() && stage.reaches(22));

    let mut applying = stage.begin(SHUT, "--force --timeout 10s");
    assert!(!stage.reaches(22), "forced, it does what it says");
    let confirm = stage.firewall("confirm", SSH).run().expect_code(1);
    assert!(confirm.stderr.contains("this is the connection"), "{}", confirm.stderr);
    assert_eq!(applying.wait().unwrap().code(), Some(1));
    assert!(!stage.has_table() && stage.reaches(22));
    assert_eq!(stage.log(), ["applied", "refused", "rolled-back"]);
    assert_eq!(stage.others(), before, "another tool's table was touched");
}

#[test]
fn an_applying_process_that_is_killed_does_not_keep_its_rules() {
    require_root!();
    let stage = Stage::new();
    let before = stage.others();
    let mut applying = stage.begin(SHUT, "--force --timeout 10s");
    applying.kill().unwrap();
    applying.wait().unwrap();
    assert!(stage.has_table());
    stage.until_over();
    assert!(!stage.has_table());
    assert_eq!(stage.others(), before);
}

#[test]
fn a_lost_terminal_does_not_keep_the_rules() {
    require_root!();
    let stage = Stage::new();
    let command = stage.apply(SHUT, "--force --timeout 10s").command();
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_str().unwrap().to_owned())
        .collect();
    let root = stage.root();
    let script = format!(
        r#"
import pty, signal
pid, terminal = pty.fork()
if pid == 0:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.update({{"PORTOLAN_ROOT": {root:?}, "SSH_CONNECTION": {SSH:?}}})
    os.execvp({:?}, {words:?})
said = b""
while b"keep it from a new session" not in said:
    said += os.read(terminal, 4096)
os.close(terminal)
print(os.waitpid(pid, 0)[1] == signal.SIGHUP)
"#,
        words[0]
    );
    let ran = crate::support::Server::python(&script);
    assert_eq!(ran.said, "True", "the end of the terminal ends the command");
    assert!(stage.has_table(), "the time is not over yet");
    stage.until_over();
    assert!(!stage.has_table());
}

#[test]
fn a_signal_takes_back_what_was_applied_at_once() {
    require_root!();
    let stage = Stage::new();
    let mut applying = stage.begin(OPEN, "--timeout 10m");
    let pid = applying.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(applying.wait().unwrap().code(), Some(128 + 15));
    assert!(!stage.has_table());
    assert_eq!(stage.log(), ["applied", "rolled-back"]);
}

#[test]
fn a_watchdog_that_is_killed_is_missed() {
    require_root!();
    let stage = Stage::new();
    let mut applying = stage.begin(OPEN, "--timeout 10m");
    stage.kill(&stage.watchdogs());
    assert_eq!(applying.wait().unwrap().code(), Some(1));
    assert!(!stage.has_table());

    // Where nobody waits either, the next command that changes something notices.
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    stage.kill(&stage.watchdogs());
    let status = stage.firewall("status", SSH).run().expect_code(1);
    assert!(status.stderr.contains("the watchdogs are gone"), "{}", status.stderr);
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    assert_eq!(stage.log().iter().filter(|what| *what == "rolled-back").count(), 2);
    stage.firewall("rollback", SSH).run().expect_code(0);
}

/// Asked to end, as systemd does when it ends a session, it does not leave rules nobody watches.
#[test]
fn a_watchdog_that_is_asked_to_end_brings_back_what_was_before() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let told = fs::read_to_string(stage.state().join("watchdog")).unwrap();
    let pid = told.split_whitespace().nth(1).unwrap();
    Command::new("kill").args(["-HUP", pid]).status().unwrap();
    Command::new("kill").args(["-TERM", pid]).status().unwrap();
    stage.until_over();
    assert!(!stage.has_table());
}

#[test]
fn rules_that_were_confirmed_come_back_after_a_trial() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let kept = stage.table();
    stage.apply(SHUT, "--force --detach --timeout 5s").run().expect_code(0);
    assert_ne!(stage.table(), kept);
    stage.until_over();
    assert_eq!(stage.table(), kept);
    let status = stage.firewall("status --json", SSH).run().expect_code(0);
    assert_eq!(status.json()["state"], "confirmed");
}

#[test]
fn a_later_apply_takes_over_and_what_comes_back_is_what_was_confirmed() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let kept = stage.table();
    let mut first = stage.begin(SHUT, "--force --timeout 10m");
    let mut second = stage.begin(&OPEN.replace("80/tcp", "81/tcp"), "--timeout 10m");
    assert_eq!(first.wait().unwrap().code(), Some(1));
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(second.wait().unwrap().code(), Some(1));
    assert_eq!(stage.table(), kept);
    stage.firewall("rollback", SSH).run().expect_code(1);
    stage.firewall("confirm", OTHER_SSH).run().expect_code(1);
}

#[test]
fn rules_that_nft_does_not_take_are_never_on_trial() {
    require_root!();
    let stage = Stage::new();
    // A folder that others may write to could hold rules of theirs.
    fs::create_dir_all(stage.state()).unwrap();
    Command::new("chmod").arg("777").arg(stage.state()).status().unwrap();
    let ran = stage.apply(OPEN, "").run().expect_code(2);
    assert!(ran.stderr.contains("not a folder of ours alone"), "{}", ran.stderr);
    assert!(!stage.has_table());
}

#[test]
fn what_must_never_be_reachable_is_not_applied() {
    require_root!();
    let stage = Stage::new();
    let never = format!("{OPEN}[[never]]\nservice = \"web\"\nfrom = [\"any\"]\nreason = \"no\"\n");
    let ran = stage.apply(&never, "").run().expect_code(1);
    assert!(ran.stdout.contains("must never be"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("[[never]] no:"), "told twice: {}", ran.stdout);
    let ran = stage.apply(&never, "--json").run().expect_code(1);
    assert_eq!(ran.json()["outcome"], "refused");
    assert_eq!(ran.json()["violations"][0]["by"], "web");
    assert!(!stage.has_table());
}

#[test]
fn connections_that_the_rules_would_refuse_are_told_and_ended_where_wanted() {
    require_root!();
    let stage = Stage::new();
    // Connections are tracked where rules ask for it.
    stage.nft("table ip tracks { chain in { type filter hook input priority 0; ct state new counter; }; }");
    let _server = stage.here.listen("0.0.0.0:8080");
    let _client =
        stage.far.python("kept.append(socket.create_connection((\"192.0.2.2\", 8080)))\n");
    let plan = stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
    assert_eq!(plan["flows"][0]["destination"]["port"], 8080, "{plan}");
    assert_eq!(plan["cut"][0]["port"], 8080, "{plan}");
    stage.apply(OPEN, "--detach --timeout 10m --drop-flows").run().expect_code(0);
    let left = stage.here.output("cat /proc/net/nf_conntrack");
    assert!(!left.contains("dport=8080"), "{left}");
    stage.firewall("rollback", SSH).run().expect_code(0);
}

#[test]
fn ports_that_another_table_refuses_already_are_not_what_the_change_cuts() {
    require_root!();
    let stage = Stage::new();
    stage.nft(
        "table ip strict { chain in { type filter hook input priority 0; tcp dport 8081 ip saddr != 198.51.100.9 drop
            tcp dport { 8082, 8083 } drop
        }; }",
    );
    let ports = [8080, 8081, 8082, 8083];
    let _servers = ports.map(|port| stage.here.listen(&format!("0.0.0.0:{port}")));
    let plan = stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
    let cut = plan["cut"].as_array().unwrap();
    let rows: Vec<_> =
        cut.iter().map(|row| (row["port"].as_u64().unwrap(), row["already"] == true)).collect();
    assert_eq!(rows, [(8080, false), (8081, false), (8082, true), (8083, true)], "{plan}");
    assert_eq!(
        (&cut[2]["refused_by"]["table"], &cut[0]["refused_by"]),
        (&"strict".into(), &Value::Null)
    );
    let said = stage.apply(OPEN, "--dry-run").run().expect_code(0).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let wanted = "these today either: 0.0.0.0:8082/tcp";
    assert!(said.contains(wanted) && said.contains("refused by ip strict in rule 2"), "{said}");
    // A list of some bad ones is not what refuses everybody else.
    stage.nft(
        "table ip bad { chain in { type filter hook input priority -5; ip saddr 203.0.113.0/24 drop; }; }",
    );
    let plan = stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
    assert_eq!(plan["cut"][2]["refused_by"]["table"], "strict", "{plan}");
    // Ours alone refuse it: applied again, it is told as such.
    stage.nft("flush ruleset");
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let plan = stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
    assert_eq!(plan["cut"][0]["refused_by"]["table"], "portolan", "{plan}");
    stage.firewall("rollback", SSH).run().expect_code(0);
}

#[test]
fn who_reaches_a_port_no_longer_is_told_also_where_others_still_do() {
    require_root!();
    let stage = Stage::new();
    let _servers = [22, 80].map(|port| stage.here.listen(&format!("0.0.0.0:{port}")));
    let plan = || stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
    // Everybody reaches both; the policy lets anybody in to 80 and a network in to 22.
    let told = plan();
    let rows = told["narrowed"].as_array().unwrap();
    let [row] = rows.as_slice() else { panic!("{told}") };
    assert_eq!((&row["port"], &row["everybody"]), (&22.into(), &true.into()), "{told}");
    assert_eq!(row["to"], serde_json::json!(["192.0.2.0/24"]), "{told}");
    let said = stage.apply(OPEN, "--dry-run").run().expect_code(0).stdout;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("fewer will reach: 0.0.0.0:22/tcp"), "{said}");
    assert!(said.contains(": still 192.0.2.0/24; no longer everybody else"), "{said}");
    // Some more than the policy names.
    stage.nft(
        "table ip strict { chain in { type filter hook input priority 0; \
         tcp dport 22 ip saddr != { 192.0.2.0/24, 198.51.100.0/24 } drop; }; }",
    );
    let told = plan();
    assert_eq!(told["narrowed"][0]["lost"], serde_json::json!(["198.51.100.0/24"]), "{told}");
    assert_eq!(told["narrowed"][0]["everybody"], false, "{told}");
    // Nobody whom it names, and then nobody at all is left.
    stage.nft(
        "table ip strict { chain later { type filter hook input priority 1; \
         tcp dport 22 ip saddr 192.0.2.0/24 drop; }; }",
    );
    let told = plan();
    assert_eq!((&told["cut"][0]["port"], &told["cut"][0]["already"]), (&22.into(), &false.into()));
    assert_eq!(told["narrowed"], serde_json::json!([]), "{told}");
    // Whom a block names.
    stage.nft("flush ruleset");
    let blocking = format!("{OPEN}[[block]]\nfrom = [\"198.51.100.7\"]\nports = [\"80/tcp\"]\n");
    let told = stage.apply(&blocking, "--dry-run --json").run().expect_code(0).json();
    let row = &told["narrowed"][1];
    assert_eq!((&row["port"], &row["everybody"]), (&80.into(), &false.into()), "{told}");
    assert_eq!(row["lost"], serde_json::json!(["198.51.100.7"]), "{told}");
    // Nobody but whom it names.
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    assert_eq!(plan()["narrowed"], serde_json::json!([]));
    stage.firewall("rollback", SSH).run().expect_code(0);
}

/// Where no rule asks for tracking the kernel knows no connection: those that are open stay open all the
/// same, also where the peer speaks first, and end where that is wanted.
#[test]
fn connections_that_nothing_tracked_stay_open() {
    require_root!();
    for (flags, stays) in [("", true), ("--drop-flows", false)] {
        let stage = Stage::new();
        stage.here.output("nft flush ruleset");
        let server = "
s = listener('0.0.0.0:8080')
import threading
def serve():
    end, _ = s.accept(); kept.append(end)
    while data := end.recv(9): end.sendall(data)
threading.Thread(target=serve, daemon=True).start()";
        let _server = stage.here.python(server);
        let go = stage.root().with_extension("go");
        let mut client = Command::new("nsenter");
        let client = client.arg(format!("--net={}", stage.far.path().display())).args([
            "python3",
            "-c",
            "
import os, socket, sys, time
c = socket.create_connection(('192.0.2.2', 8080))
print('open', flush=True)
while not os.path.exists(sys.argv[1]): time.sleep(0.02)
c.settimeout(2)
c.sendall(b'hello')
try: print(c.recv(9))
except OSError as e: print('cut')",
            &go.display().to_string(),
        ]);
        let client = client.stdout(std::process::Stdio::piped()).spawn().unwrap();
        eventually("it is connected", || {
            stage.here.output("ss -tnH state established").contains(":8080")
        });
        let plan = stage.apply(OPEN, "--dry-run --json").run().expect_code(0).json();
        assert_eq!(plan["untracked"], 1, "{plan}");
        assert_eq!(plan["flows"][0]["destination"]["port"], 8080, "{plan}");
        stage.apply(OPEN, &format!("--detach --timeout 10m {flags}")).run().expect_code(0);
        assert!(!stage.reaches(8080), "a new one is refused");
        fs::write(&go, "").unwrap();
        let said = client.wait_with_output().unwrap();
        fs::remove_file(&go).unwrap();
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.contains("hello"), stays, "{said}");
        stage.firewall("rollback", SSH).run().expect_code(0);
    }
}

/// What passes through, and that nothing tracked, cannot be told of: that is said.
#[test]
fn forwarded_connections_that_nothing_tracked_are_a_gap() {
    require_root!();
    let stage = Stage::new();
    stage.here.output("nft flush ruleset");
    let shut = OPEN.replace("[services.ssh]", "firewall = { forward = \"drop\" }\n[services.ssh]");
    let has_gap = || {
        let plan = stage.apply(&shut, "--dry-run --json").run().expect_code(0).json();
        plan["gaps"].to_string().contains("conntrack tracked nothing")
    };
    stage.here.output("sysctl -qw net.ipv4.ip_forward=0");
    assert!(!has_gap());
    stage.here.output("sysctl -qw net.ipv4.ip_forward=1");
    assert!(has_gap());
}

#[test]
fn a_pause_of_what_was_never_confirmed_says_that_nothing_comes_back() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let ran = stage.firewall("off --for 10m --yes --dry-run", SSH).run().expect_code(0);
    assert!(ran.stdout.contains("nothing comes back"), "{}", ran.stdout);
    let ran = stage.firewall("off --for 10m --yes --json", SSH).run().expect_code(0);
    assert!(ran.json()["back_in_s"].is_null(), "{}", ran.stdout);
    stage.firewall("off --yes", SSH).run().expect_code(0);
}

#[test]
fn off_for_a_while_comes_back() {
    require_root!();
    let stage = Stage::new();
    stage.firewall("off --for 10m --yes", SSH).run().expect_code(2);
    stage.keep(OPEN);
    let kept = stage.table();
    stage.firewall("off --for 5s --yes", SSH).run().expect_code(0);
    assert!(!stage.has_table());
    assert_eq!(stage.firewall("status --json", SSH).run().json()["state"], "paused");
    stage.firewall("confirm", OTHER_SSH).run().expect_code(1);
    let took = stage.until_over();
    assert!(took < Duration::from_secs(9), "{took:?}");
    assert_eq!(stage.table(), kept);
    assert_eq!(stage.log(), ["applied", "confirmed", "off", "back"]);
}

#[test]
fn removal_leaves_nothing() {
    require_root!();
    let stage = Stage::new();
    let before = stage.others();
    fs::create_dir_all(stage.root()).unwrap();
    stage.keep(OPEN);
    assert!(stage.root().join("etc/portolan/firewall.nft").exists());
    stage.firewall("off --yes --purge", SSH).run().expect_code(0);
    assert!(!stage.has_table());
    let mut files = Vec::new();
    let mut folders = vec![stage.root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    assert_eq!(files, Vec::<std::path::PathBuf>::new());
    assert_eq!(stage.others(), before);
    eventually("no watchdog is left", || {
        let listed = Command::new("pgrep").args(["-f", stage.state().to_str().unwrap()]).output();
        listed.unwrap().stdout.is_empty()
    });
}
