//! `portolan registry`: which copy is in use, taking another, and refusing a bad one.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Program, Ran};

const CSV: &str = include_str!("../../../portolan-core/tests/data/iana/sample.csv");
const XML: &str = include_str!("../../../portolan-core/tests/data/iana/sample.xml");

/// A home of its own with one file in it.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder in /tmp") }
    }

    fn table(&self) -> PathBuf {
        self.folder.path().join("portolan/iana.tsv")
    }

    fn run(&self, line: &str) -> Ran {
        Program::line(line)
            .folder(self.folder.path())
            .env("XDG_DATA_HOME", self.folder.path())
            .run()
    }

    fn import(&self, content: impl AsRef<[u8]>) -> Ran {
        fs::write(self.folder.path().join("file"), content).expect("the file is written");
        self.run("registry update --import file")
    }
}

#[test]
fn the_built_in_registry_tells_its_day_and_its_size() {
    let home = Home::new();
    let text = home.run("registry").expect_code(0).stdout;
    assert!(text.contains("built in") && text.contains("days old"), "{text}");
    let document = home.run("registry --json").expect_code(0).json();
    assert_eq!((&document["kind"], &document["source"]), (&"registry".into(), &"embedded".into()));
    assert!(document["assignments"].as_u64().unwrap() > 12_000);
    assert!(document["age_days"].as_i64().is_some());
    assert!(!home.table().exists(), "reading writes nothing");
}

#[test]
fn an_imported_registry_is_used_at_once() {
    for (content, date) in [(CSV, "2026-05-27"), (XML, "2026-08-17")] {
        let home = Home::new();
        home.import(content).expect_code(0);
        let document = home.run("registry --json").expect_code(0).json();
        assert_eq!((&document["source"], &document["date"]), (&"imported".into(), &date.into()));
        assert_eq!(document["names_without_port"], 1);
        assert_eq!(document["path"].as_str(), home.table().to_str());
        home.run("lookup x11").expect_code(0);
        home.run("lookup 5432").expect_code(0); // its security note is built in
        home.run("lookup submissions/tcp").expect_code(2);
        let portless = home.run("lookup 1password --json").expect_code(0).json();
        assert!(portless["results"][0]["port"].is_null());
    }
}

#[test]
fn a_bad_file_is_refused_with_its_line_and_changes_nothing() {
    let home = Home::new();
    home.import(CSV).expect_code(0);
    let before = fs::read(home.table()).unwrap();
    for (content, why) in [
        (CSV.replace("6000-6063", "6063-6000").into_bytes(), "line 14: the range 6063-6000"),
        (CSV.replace("6000-6063", "66000").into_bytes(), "line 14: port 66000"),
        (XML.split("<people>").next().unwrap().as_bytes().to_vec(), "the file ends in the middle"),
        (b"<html><body>moved</body></html>".to_vec(), "not IANA's registry"),
        (b"\xff\xfe\x00".to_vec(), "line 1: "),
        (Vec::new(), "line 1: "),
    ] {
        let ran = home.import(content).expect_code(2);
        assert!(
            ran.stderr.starts_with("error: import file: ") && ran.stderr.contains(why),
            "{}",
            ran.stderr
        );
    }
    home.run("registry update --import nowhere").expect_code(2);
    assert_eq!(fs::read(home.table()).unwrap(), before);
    assert_eq!(fs::read_dir(home.table().parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_file_that_was_cut_between_two_lines_is_taken_with_a_word_about_it() {
    let ran = Home::new().import(CSV).expect_code(0);
    assert!(ran.stderr.contains("is the file whole?"), "{}", ran.stderr);
}

#[test]
fn a_broken_copy_is_a_gap_and_the_built_in_registry_answers() {
    let home = Home::new();
    home.import(CSV).expect_code(0);
    let half = fs::read(home.table()).unwrap();
    fs::write(home.table(), &half[..half.len() - 3]).unwrap();
    let ran = home.run("lookup 5432 --json").expect_code(0);
    let document = ran.json();
    assert_eq!(document["results"][0]["assignments"][0]["service"], "postgresql");
    assert_eq!(document["gaps"][0]["why"], "unsupported");
    let ran = home.run("lookup 5432").expect_code(0);
    assert!(ran.stderr.contains("portolan registry update"), "{}", ran.stderr);
}

#[test]
fn no_home_is_no_reason_to_fail() {
    let ran = Program::line("registry --json").env("HOME", "").run().expect_code(0);
    assert_eq!(ran.json()["source"], "embedded");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), CSV).unwrap();
    let update = Program::line("registry update --import file");
    let ran = update.folder(folder.path()).env("HOME", "").run().expect_code(2);
    assert!(ran.stderr.contains("XDG_DATA_HOME"), "{}", ran.stderr);
}
