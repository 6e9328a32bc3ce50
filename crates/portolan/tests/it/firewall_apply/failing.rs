//! What fails around a trial: two at once, a disk that is full, a machine that starts anew, a terminal
//! that is lost, a pause that nobody is left to end.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::support::{Program, Ran, eventually, require_root};

use super::stage::{OPEN, OTHER_SSH, SHUT, SSH, Stage};

/// A mount namespace in which things are not as they are elsewhere, as long as it is kept.
struct Mounts(Child);

impl Mounts {
    /// With what `script` mounts.
    fn new(script: &str) -> Self {
        let script = format!("{script} && echo ready && exec sleep 300");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut ready = [0; 5];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        Self(child)
    }

    fn run(&self, program: Program) -> Ran {
        let pid = self.0.id().to_string();
        program.through(["nsenter", "-m", "-t", &pid]).run()
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn file(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.display().to_string()
}

/// Both once they wait for a lock; nothing where one has ended before.
fn waiting(mut both: [Child; 2], lock: &Path) -> Option<[Child; 2]> {
    let waits = |child: &Child| {
        let fds = fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten();
        let mut targets = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        targets.any(|target| target == lock)
    };
    while !both.iter().all(waits) {
        if both.iter_mut().any(|child| child.try_wait().unwrap().is_some()) {
            for child in &mut both {
                let _ = child.kill();
                child.wait().unwrap();
            }
            return None;
        }
        sleep(Duration::from_millis(5));
    }
    Some(both)
}

#[test]
fn of_two_who_apply_at_once_one_is_refused_and_told_who_the_other_is() {
    require_root!();
    let stage = Stage::new();
    fs::create_dir_all(stage.state()).unwrap();
    Command::new("chmod").args(["700", &stage.state().display().to_string()]).status().unwrap();
    let lock = stage.state().join("lock");
    let hold = "import fcntl, os, sys, time\nf = open(sys.argv[1], 'a+')\nfcntl.flock(f, fcntl.LOCK_EX)\n\
                f.write(f'{os.getpid()}\\n'); f.flush(); print('held', flush=True); time.sleep(600)";
    let mut holder = Command::new("python3");
    let mut holder = holder.args(["-c", hold]).arg(&lock).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut [0; 4]).unwrap();
    // Who has it is told.
    let ran = stage.apply(OPEN, "--detach").run().expect_code(2);
    let who = format!("right now: process {} of uid 0", holder.id());
    assert!(ran.stderr.contains(&who) && ran.stderr.contains("run it again"), "{}", ran.stderr);
    // Two who planned without the other wait for it.
    let begin = || {
        let program = stage.apply(OPEN, "--detach --timeout 10m");
        program.command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // On a busy machine the first may have given up before the second comes to it.
    let mut tries = (0..20).filter_map(|_| waiting([begin(), begin()], &lock));
    let both = tries.next().expect("both wait at once");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let ended = both.map(|child| child.wait_with_output().unwrap());
    let mut codes = ended.each_ref().map(|output| output.status.code());
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(2)]);
    let refused = ended.iter().find(|output| output.status.code() == Some(2)).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("another trial has begun meanwhile, by uid 0 from 192.0.2.1"), "{said}");
    assert_eq!(stage.log(), ["applied"]);
    // Who knows of it takes over, and says so.
    let ran = stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    assert!(ran.stdout.contains("takes over from a trial of policy"), "{}", ran.stdout);
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert!(!stage.has_table());
}

#[test]
fn a_full_disk_leaves_all_as_it_was_or_a_whole_trial() {
    require_root!();
    let stage = Stage::new();
    fs::create_dir_all(stage.state()).unwrap();
    let state = stage.state().display().to_string();
    let mut ended = Vec::new();
    for pages in [1, 3, 5, 16] {
        let size = pages * 4;
        let mount = format!("mount -t tmpfs -o size={size}k,mode=700 full {state}");
        let mounts = Mounts::new(&mount);
        let ran = mounts.run(stage.apply(OPEN, "--detach --timeout 10m"));
        match ran.code {
            0 => {
                assert!(stage.has_table(), "{size}k");
                mounts.run(stage.firewall("rollback", SSH)).expect_code(0);
            }
            // A watchdog that cannot say so does not watch.
            _ => assert!(
                ["No space left on device", "does not say that it watches"]
                    .iter()
                    .any(|why| ran.stderr.contains(why)),
                "{size}k: {}",
                ran.stderr
            ),
        }
        assert!(!stage.has_table(), "{size}k: {}", ran.stderr);
        eventually("nobody watches", || stage.watchdogs().is_empty());
        ended.push(ran.code);
    }
    assert!(ended.first() == Some(&2) && ended.last() == Some(&0), "{ended:?}");
}

#[test]
fn a_disk_that_fills_up_before_the_confirmation_leaves_the_trial() {
    require_root!();
    let stage = Stage::new();
    fs::create_dir_all(stage.state()).unwrap();
    let state = stage.state().display().to_string();
    let mounts = Mounts::new(&format!("mount -t tmpfs -o size=128k,mode=700 full {state}"));
    mounts.run(stage.apply(OPEN, "--detach --timeout 8s")).expect_code(0);
    let pid = mounts.0.id().to_string();
    let fill = format!("of={state}/fill");
    let mut dd = Command::new("nsenter");
    dd.args(["-m", "-t", &pid, "dd", "if=/dev/zero", &fill, "bs=4k", "count=64"]);
    let filled = dd.stderr(Stdio::piped()).output().unwrap();
    assert!(String::from_utf8_lossy(&filled.stderr).contains("No space left"), "{filled:?}");
    sleep(Duration::from_millis(20));
    let sshd = stage.sshd();
    let far = stage.far.path().display().to_string();
    let enter = ["nsenter", "-m", "-t", &pid, &sshd, "-c", super::stage::SESSION, &far];
    let ran = stage.firewall("confirm", "").through(enter).run().expect_code(2);
    assert!(ran.stderr.contains("the trial goes on, and is rolled back in"), "{}", ran.stderr);
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert!(stage.has_table());
    eventually("it is rolled back", || !stage.has_table());
}

#[test]
fn a_folder_that_cannot_be_written_is_told_and_nothing_changes() {
    require_root!();
    let stage = Stage::new();
    fs::create_dir_all(stage.state()).unwrap();
    let state = stage.state().display().to_string();
    let mounts = Mounts::new(&format!("mount -t tmpfs -o ro,mode=700 full {state}"));
    let refused = |program: Program| {
        let ran = mounts.run(program);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains("Read-only file system"), "{}", ran.stderr);
    };
    refused(stage.apply(OPEN, "--detach"));
    assert!(!stage.has_table());
    stage.here.output("nft add table inet portolan");
    refused(stage.firewall("off --yes --for 5s", SSH));
    assert!(stage.has_table());
}

/// The machine starts anew: no process, no rules, another boot, and the unit loads what it loads.
fn start_anew(stage: &Stage, number: u32) -> Mounts {
    stage.kill(&stage.watchdogs());
    stage.here.output("nft flush ruleset");
    let boot = stage.root().join("etc/portolan/firewall.nft");
    if boot.exists() {
        stage.here.output(&format!("nft -f {}", boot.display()));
    }
    let id = format!("00000000-0000-4000-8000-{number:012}\n");
    let id = file(&stage.root().join(format!("boot-{number}")), &id);
    Mounts::new(&format!("mount --bind {id} /proc/sys/kernel/random/boot_id"))
}

#[test]
fn a_machine_that_starts_anew_during_a_trial_has_what_was_confirmed() {
    require_root!();
    let stage = Stage::new();
    // Nothing was ever confirmed.
    stage.apply(SHUT, "--force --detach --timeout 10m").run().expect_code(0);
    let anew = start_anew(&stage, 1);
    let ran = anew.run(stage.firewall("status", SSH)).expect_code(1);
    assert!(ran.stdout.contains("firewall off"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ended when the machine was started anew"), "{}", ran.stdout);
    assert!(!stage.has_table());
    drop(anew);
    // Something was.
    stage.keep(OPEN);
    let kept = stage.table();
    stage.apply(SHUT, "--force --detach --timeout 10m").run().expect_code(0);
    assert_ne!(stage.table(), kept);
    let anew = start_anew(&stage, 2);
    assert_eq!(stage.table(), kept);
    let ran = anew.run(stage.firewall("status", SSH)).expect_code(0);
    assert!(ran.stdout.contains("firewall confirmed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("ended when the machine was started anew"), "{}", ran.stdout);
    anew.run(stage.firewall("confirm", OTHER_SSH)).expect_code(1);
    anew.run(stage.firewall("rollback", SSH)).expect_code(1);
    assert_eq!(stage.table(), kept);
    // A new trial goes its way, and the log says what became of the other.
    anew.run(stage.apply(SHUT, "--force --detach --timeout 10m")).expect_code(0);
    anew.run(stage.firewall("rollback", SSH)).expect_code(0);
    assert_eq!(stage.table(), kept);
    let log = fs::read_to_string(stage.state().join("log")).unwrap();
    assert!(log.contains("the%20machine%20was%20started%20anew"), "{log}");
}

#[test]
fn an_edit_whose_trial_ended_with_the_machine_is_told_and_can_be_taken_back() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let path = stage.inventory(OPEN);
    let line =
        format!("allow 443/tcp --from any --apply --yes --host box --inventory {}", path.display());
    let mut applying = stage.program(&line, SSH).command().spawn().unwrap();
    eventually("it is on trial", || {
        stage.log().iter().filter(|what| *what == "applied").count() == 2
    });
    applying.kill().unwrap();
    applying.wait().unwrap();
    let anew = start_anew(&stage, 3);
    let ran = anew.run(stage.firewall("status", SSH)).expect_code(0);
    assert!(
        ran.stderr.contains("the inventory has a change of a trial that is over"),
        "{}",
        ran.stderr
    );
    assert_ne!(fs::read_to_string(&path).unwrap(), OPEN);
    let plan = anew.run(
        stage.firewall(&format!("apply --dry-run --host box --inventory {}", path.display()), SSH),
    );
    assert!(plan.expect_code(0).stdout.contains("has a change of a trial"));
    let ran = anew.run(stage.firewall("rollback", SSH)).expect_code(0);
    assert!(ran.stdout.contains("the inventory is as it was"), "{}", ran.stdout);
    assert_eq!(fs::read_to_string(&path).unwrap(), OPEN);
}

#[test]
fn a_pause_ends_also_when_its_terminal_is_lost() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let kept = stage.table();
    // A terminal of its own that is gone as soon as the rules are away.
    let lose = "
import os, pty, sys, time
pid, end = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
said = b''
while b'off until' not in said:
    said += os.read(end, 1000)
os.close(end)
";
    let off = stage.firewall("off --yes --for 5s", SSH);
    off.through(["python3", "-c", lose]).run().expect_code(0);
    assert!(!stage.has_table());
    eventually("the rules are back", || stage.has_table() && stage.table() == kept);
    assert_eq!(stage.log().last().unwrap(), "back");
}

#[test]
fn a_pause_that_nobody_is_left_to_end_ends_with_the_next_change_or_boot() {
    require_root!();
    let stage = Stage::new();
    stage.keep(OPEN);
    let kept = stage.table();
    let pause = || {
        stage.firewall("off --yes --for 5s", SSH).run().expect_code(0);
        stage.kill(&stage.watchdogs());
        sleep(Duration::from_secs(6));
        assert!(!stage.has_table());
    };
    pause();
    let ran = stage.firewall("status", SSH).run().expect_code(1);
    assert!(
        ran.stderr.contains("the time is over and the watchdogs are gone: the rules did not"),
        "{}",
        ran.stderr
    );
    let ran = stage.firewall("confirm", OTHER_SSH).run().expect_code(1);
    assert!(ran.stderr.contains("it is back now"), "{}", ran.stderr);
    assert_eq!(stage.table(), kept);
    pause();
    let ran = stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    assert!(ran.stdout.contains("first a pause that uid 0 from 192.0.2.1 began"), "{}", ran.stdout);
    stage.firewall("rollback", SSH).run().expect_code(0);
    assert_eq!(stage.table(), kept);
    pause();
    let anew = start_anew(&stage, 4);
    assert_eq!(stage.table(), kept);
    let ran = anew.run(stage.firewall("status", SSH)).expect_code(0);
    assert!(
        ran.stdout.contains("the pause ended when the machine was started anew"),
        "{}",
        ran.stdout
    );
}

/// What a person reads of the gate while the trial goes on: nothing is over.
#[test]
fn the_gate_of_a_trial_is_shown_as_what_it_is_and_changes_no_answer() {
    require_root!();
    let stage = Stage::new();
    stage.apply(OPEN, "--detach --timeout 10m").run().expect_code(0);
    let shown = stage.firewall("show", SSH).run().expect_code(0).stdout;
    assert!(shown.contains("meta nfproto != @trial-gate accept"), "{shown}");
    assert!(shown.contains("pt:only once the trial is over"), "{shown}");
    let simulate = |port: u16, code: i32| {
        let line = format!("simulate tcp 192.0.2.1 192.0.2.2:{port} --in v0 --hook input --json");
        stage.firewall(&line, SSH).run().expect_code(code).json()
    };
    let (open, shut) = (simulate(80, 0), simulate(81, 1));
    assert_eq!((&open["verdict"], &shut["verdict"]), (&"accept".into(), &"drop".into()));
    assert!(!open["decided_by"]["text"].as_str().unwrap().contains("trial"), "{open}");
    assert!(shut["depends_on"].as_array().unwrap().is_empty(), "{shut}");
    let path = stage.inventory(OPEN);
    let line = format!("prove --live --host box --inventory {}", path.display());
    let proved = stage.firewall(&line, SSH).run().expect_code(0).stdout;
    assert!(proved.contains("as long as its trial lasts"), "{proved}");
    stage.firewall("rollback", SSH).run().expect_code(0);
}
