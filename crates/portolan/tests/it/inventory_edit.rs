//! `inventory set` and `inventory fmt`: what they change, and all they leave alone.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Program, Ran};

const FILE: &str = "\
#:schema ./portolan.schema.json
portolan = 1                       # the version
include  = [\"hosts.d/*.toml\"]

[owners.platform]
name = \"Platform team\"             # on the third floor

[hosts.web]
address = [\"192.0.2.10\"]

# Nobody remembers why.
[services.ssh]
on      = [\"web\"]
ports   = [\"22/tcp\"]               # the usual one
purpose = \"Shell\"
";

const INCLUDED: &str = "[hosts.db]\naddress = [\"192.0.2.20\"]\n[services.postgres]\non = [\"db\"]\nports = [\"5432/tcp\"]\n";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("portolan.toml"), FILE).unwrap();
    fs::create_dir(folder.path().join("hosts.d")).unwrap();
    fs::write(folder.path().join("hosts.d/db.toml"), INCLUDED).unwrap();
    folder
}

fn text(folder: &TempDir) -> String {
    fs::read_to_string(folder.path().join("portolan.toml")).unwrap()
}

fn run(folder: &TempDir, words: &[&str]) -> Ran {
    let words = std::iter::once("inventory").chain(words.iter().copied());
    Program::new(words).folder(folder.path()).run()
}

fn set(folder: &TempDir, key: &str, value: &str) -> Ran {
    Program::new(["inventory", "set", key, value]).folder(folder.path()).run()
}

fn left_beside(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn comments_and_order_survive_and_diff_shows_one_line() {
    let folder = folder();
    let ran = set(&folder, "services.ssh.owner", "platform").expect_code(0);
    assert_eq!(ran.stdout, "portolan.toml: services.ssh.owner set\n");
    let after = text(&folder);
    assert_eq!(after, FILE.replace("\"Shell\"\n", "\"Shell\"\nowner   = \"platform\"\n"));
    set(&folder, "services.ssh.purpose", "A way in").expect_code(0);
    assert_eq!(text(&folder), after.replace("\"Shell\"", "\"A way in\""));
    assert_eq!(left_beside(folder.path()), 2);
}

#[test]
fn the_same_value_again_writes_nothing() {
    let folder = folder();
    let document = Program::new(["inventory", "set", "services.ssh.purpose", "Shell", "--json"]);
    let document = document.folder(folder.path()).run().expect_code(0).json();
    assert_eq!((&document["kind"], &document["changed"]), (&"inventory-set".into(), &false.into()));
    assert_eq!(text(&folder), FILE);
}

#[test]
fn an_edit_that_would_not_be_valid_is_refused_and_nothing_is_written() {
    let folder = folder();
    for (key, value, complaint) in [
        ("services.ssh.owner", "nobody", "there is no owner `nobody`"),
        ("services.ssh.ports", "[\"70000/tcp\"]", "70000"),
        ("services.ssh.prots", "1", "ports"),
        ("services.new.purpose", "x", "lacks `on`"),
    ] {
        let ran = set(&folder, key, value).expect_code(2);
        assert!(ran.stderr.contains(complaint), "{}", ran.stderr);
        assert!(ran.stderr.contains("error: nothing was changed"), "{}", ran.stderr);
        assert_eq!(text(&folder), FILE);
    }
}

#[test]
fn a_key_of_an_included_file_is_set_there() {
    let folder = folder();
    let ran = set(&folder, "services.postgres.owner", "platform").expect_code(0);
    assert_eq!(ran.stdout, "hosts.d/db.toml: services.postgres.owner set\n");
    assert_eq!(text(&folder), FILE);
    let included = fs::read_to_string(folder.path().join("hosts.d/db.toml")).unwrap();
    assert_eq!(included, format!("{INCLUDED}owner = \"platform\"\n"));
}

#[test]
fn a_value_may_mend_a_file_that_is_not_valid() {
    let folder = folder();
    let broken = FILE.replace("22/tcp", "22/tpc");
    fs::write(folder.path().join("portolan.toml"), broken).unwrap();
    set(&folder, "services.ssh.ports.0", "22/tcp").expect_code(0);
    assert_eq!(text(&folder), FILE);
}

#[test]
fn crlf_stays_crlf() {
    let folder = folder();
    fs::write(folder.path().join("portolan.toml"), FILE.replace('\n', "\r\n")).unwrap();
    set(&folder, "services.ssh.owner", "platform").expect_code(0);
    let expected = FILE.replace("\"Shell\"\n", "\"Shell\"\nowner   = \"platform\"\n");
    assert_eq!(text(&folder), expected.replace('\n', "\r\n"));
}

#[test]
fn json_is_not_edited_and_the_way_out_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let json = "{\"portolan\": 1, \"title\": \"a\"}\n";
    fs::write(folder.path().join("a.json"), json).unwrap();
    for words in [vec!["set", "title", "b"], vec!["fmt"], vec!["init", "--merge"]] {
        let command = words.iter().copied().chain(["--inventory", "a.json"]);
        let ran = Program::new(std::iter::once("inventory").chain(command));
        let ran = ran.folder(folder.path()).run().expect_code(2);
        assert!(ran.stderr.contains("JSON") && ran.stderr.contains("hint: "), "{}", ran.stderr);
        assert_eq!(fs::read_to_string(folder.path().join("a.json")).unwrap(), json);
    }
}

#[test]
fn a_folder_that_may_not_be_written_is_an_error_and_the_file_stays() {
    let ran = Program::new(["inventory", "set", "title", "x", "--inventory", "/dev/null"]).run();
    assert!(ran.expect_code(2).stderr.contains("not a file that can be changed"));
}

#[test]
fn fmt_changes_the_form_and_nothing_else() {
    let folder = folder();
    assert_eq!(run(&folder, &["fmt", "--check"]).expect_code(0).stderr, "");
    let untidy = FILE.replace("[\"22/tcp\"]  ", "[ \"tcp/22\" ]") + "\n\n";
    fs::write(folder.path().join("portolan.toml"), &untidy).unwrap();
    let ran = run(&folder, &["fmt", "--check"]).expect_code(1);
    assert!(ran.stdout.starts_with("portolan.toml: would be formatted\n"), "{}", ran.stdout);
    assert_eq!(text(&folder), untidy);
    run(&folder, &["fmt"]).expect_code(0);
    let tidy = text(&folder);
    assert_eq!(tidy, FILE.replace("[\"22/tcp\"]  ", "[\"22/tcp\"]"));
    run(&folder, &["fmt"]).expect_code(0);
    assert_eq!(text(&folder), tidy);
}

#[test]
fn fmt_leaves_a_file_that_is_not_valid_alone() {
    let folder = folder();
    let broken = "portolan = 1\ntitel=1\n";
    fs::write(folder.path().join("portolan.toml"), broken).unwrap();
    let ran = run(&folder, &["fmt"]).expect_code(2);
    assert!(ran.stderr.contains("portolan.toml:2:1"), "{}", ran.stderr);
    assert_eq!(text(&folder), broken);
}

#[test]
fn the_example_is_in_its_usual_form() {
    let office = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/office");
    Program::line("inventory fmt --check").folder(office).run().expect_code(0);
}

#[test]
fn of_edits_made_at_once_none_is_lost() {
    let folder = folder();
    let run = |n: usize| {
        let key = format!("services.ssh.x-{n}");
        let folder = &folder;
        move || set(folder, &key, "1").expect_code(0)
    };
    std::thread::scope(|scope| {
        for thread in (0..6).map(|n| scope.spawn(run(n))).collect::<Vec<_>>() {
            thread.join().unwrap();
        }
    });
    let after = text(&folder);
    for n in 0..6 {
        assert!(after.contains(&format!("x-{n}")), "{n} is lost:\n{after}");
    }
}
