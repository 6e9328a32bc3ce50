//! What every command has in common: version, suggestions, errors, closed outputs.

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::support::{Netns, Program, Ran, Server, eventually, require_root};

#[test]
fn the_version_is_one_line() {
    let ran = Program::line("--version").run().expect_code(0);
    assert_eq!(ran.stdout, concat!("portolan ", env!("CARGO_PKG_VERSION"), "\n"));
    assert_eq!(ran.stderr, "");
}

#[test]
fn an_unknown_command_ends_with_2_and_the_nearest_one() {
    let ran = Program::line("sokets").run().expect_code(2);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: a similar subcommand exists: 'sockets'"), "{}", ran.stderr);
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut child = Program::line("sockets --help").command().spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Program::line("lookup 443").command();
    let output = command.stdout(Stdio::from(full)).spawn().unwrap().wait_with_output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{complaint}");
    assert!(complaint.starts_with("error: "), "{complaint}");
}

#[test]
fn a_closed_output_is_no_reason_to_fail() {
    for closed in ["exec \"$@\" >&-", "exec \"$@\" <&- 2>&-"] {
        Program::line("lookup 443").through(["sh", "-c", closed, "sh"]).run().expect_code(0);
    }
}

#[test]
fn what_was_typed_is_shown_harmless_in_an_error() {
    let ran = Program::new(["\x1b[2Jsock\u{202e}ets"]).run().expect_code(2);
    assert!(!ran.stderr.contains('\x1b'), "{:?}", ran.stderr);
    assert!(ran.stderr.contains("sock\\u{202e}ets"), "{}", ran.stderr);
}

#[test]
fn an_argument_that_is_not_utf_8_is_bad_usage() {
    use std::os::unix::ffi::OsStringExt as _;
    let ran = Program::new([OsString::from_vec(vec![b'w', 0xff])]).run().expect_code(2);
    assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
}

#[test]
fn colour_comes_only_where_it_was_asked_for() {
    let colored = |line: &str| Program::line(line).run().stdout.contains('\x1b');
    assert!(!colored("lookup 23"), "no terminal, no colour");
    assert!(colored("lookup 23 --color always"));
    assert!(!colored("lookup 23 --color never"));
    let refused = Program::line("lookup 23").env("NO_COLOR", "1").run();
    assert!(!refused.stdout.contains('\x1b'));
}

#[test]
fn an_error_says_what_and_then_the_way_out() {
    let ran = Program::line("diff old.json new.json").run().expect_code(2);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert!(lines[0].starts_with("error: "), "{}", ran.stderr);
    assert!(lines[1].starts_with("hint: "), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
}

/// One document with the same envelope, whatever was asked and however it ends.
#[test]
fn json_is_one_document_with_the_same_envelope() {
    for line in ["", "status", "sockets", "who 1", "lookup 443", "lookup qqqqqqq", "registry"] {
        let ran = Program::line(line).arg("--json").run();
        let document = ran.json();
        assert_eq!(document["portolan"], 1, "{line}");
        assert!(document["kind"].is_string(), "{line}");
        assert!(document["gaps"].is_array(), "{line}");
        assert!(ran.stdout.ends_with("}\n") && ran.stdout.lines().count() == 1, "{line}");
    }
}

#[test]
fn every_shell_has_a_completion_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Program::new(["completions", shell]).run().expect_code(0);
        assert!(ran.stdout.contains("sockets"), "{shell}");
    }
}

#[test]
fn bash_accepts_its_completion_script() {
    let script = Program::line("completions bash").run().expect_code(0).stdout;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("portolan"), script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(folder.path().join("portolan")).status();
    assert!(checked.unwrap().success());
}

#[test]
fn the_manual_has_a_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    Program::new(["man", "--out"]).arg(folder.path()).run().expect_code(0);
    let pages = std::fs::read_dir(folder.path()).unwrap().flatten();
    let mut names: Vec<String> = pages.map(|p| p.file_name().into_string().unwrap()).collect();
    names.sort();
    for page in ["portolan.1", "portolan-sockets.1", "portolan-inventory-init.1"] {
        assert!(names.iter().any(|n| n == page), "{page} is not among {names:?}");
    }
    assert!(names.iter().all(|n| n.ends_with(".1")), "something else was left there: {names:?}");
}

#[test]
fn a_manual_that_cannot_be_written_says_where_and_what_to_do() {
    let ran = Program::line("man --out /nonexistent/man1").run().expect_code(2);
    assert!(ran.stderr.starts_with("error: cannot write the manual: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: create the folder first"), "{}", ran.stderr);
}

/// The support code itself: a namespace is quiet, a server in it is seen, both vanish.
#[test]
fn a_namespace_of_the_tests_holds_only_its_own_servers() {
    require_root!();
    let ns = Netns::new();
    assert_eq!(ns.output("ss -tulnH"), "");
    let server: Server = ns.listen("127.0.0.1:18080");
    let user = ns.python_as(65534, "listener('[::1]:18081'); print(os.getuid())");
    assert_eq!(user.said, "65534");
    assert!(ns.output("ss -tlnpH").contains(&format!("pid={},", server.pid())));
    drop((server, user));
    eventually("both servers are gone", || ns.output("ss -tulnH").is_empty());
    let path = ns.path();
    drop(ns);
    assert!(!path.exists());
}

/// Run as somebody who cannot walk to the build folder.
#[test]
fn another_user_can_run_the_program_under_test() {
    require_root!();
    let ran: Ran = Program::line("--version").by_user(65534).run().expect_code(0);
    assert!(ran.stdout.starts_with("portolan "));
}
