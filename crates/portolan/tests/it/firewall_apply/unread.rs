//! Whoever reads the output may go: nothing is said to have been done that was not, and what was begun
//! is followed to its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};

use crate::support::{Program, eventually, require_root};

use super::stage::{OPEN, SSH, Stage};

/// SIGPIPE and 128.
const UNREAD: Option<i32> = Some(141);

/// Starts a program whose output nobody reads from the beginning.
fn unread(program: &Program) -> (Option<i32>, String) {
    let mut child =
        program.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    ended(child)
}

fn ended(mut child: Child) -> (Option<i32>, String) {
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    (child.wait().unwrap().code(), complaint)
}

#[test]
fn a_plan_that_nobody_reads_is_not_applied() {
    require_root!();
    let stage = Stage::new();
    for flags in ["--dry-run", "", "--detach"] {
        let (code, complaint) = unread(&stage.apply(OPEN, flags));
        assert_eq!(code, UNREAD, "{flags}: {complaint}");
        assert!(!complaint.contains("error"), "{complaint}");
        assert!(!stage.has_table());
    }
    assert_eq!(unread(&stage.firewall("show", SSH)).0, UNREAD);
    assert_eq!(unread(&stage.firewall("status --json", SSH)).0, UNREAD);
}

#[test]
fn a_trial_that_nobody_reads_of_goes_on_and_its_end_is_the_code() {
    require_root!();
    let stage = Stage::new();
    let begin = |code: Option<i32>, end: &dyn Fn()| {
        let mut child = stage.apply(OPEN, "--timeout 10m").command().spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // The plan, and no more.
        assert!(lines.next().unwrap().unwrap().starts_with("policy "));
        drop(lines);
        eventually("it is on trial", || stage.state().join("trial.list").exists());
        end();
        assert_eq!(ended(child).0, code);
    };
    begin(Some(1), &|| drop(stage.firewall("rollback", SSH).run().expect_code(0)));
    assert!(!stage.has_table());
    begin(Some(0), &|| stage.confirm());
    assert!(stage.has_table());
}

/// What was done is done, whether anybody reads of it.
#[test]
fn what_was_done_is_the_code_whoever_reads() {
    require_root!();
    let stage = Stage::new();
    let path = stage.inventory(OPEN);
    stage.apply(OPEN, "--detach --json --timeout 10m").run().expect_code(0);
    assert_eq!(unread(&stage.firewall("rollback", SSH)).0, Some(0));
    assert_eq!(unread(&stage.firewall("rollback", SSH)).0, Some(1));
    let line = format!("allow 443/tcp --from any --host box --inventory {}", path.display());
    assert_eq!(unread(&stage.program(&line, SSH)).0, Some(0));
    assert!(std::fs::read_to_string(&path).unwrap().contains("https"));
    let line = format!("{line} --dry-run");
    assert_eq!(unread(&stage.program(&line, SSH)).0, UNREAD);
}
