//! What the fuzzer kept is replayed by the ordinary tests, without a fuzzer.

use std::fs;
use std::path::PathBuf;

use crate::support::repository::root;

#[expect(unreachable_pub, reason = "public for the fuzzer's programs")]
#[path = "../../../../fuzz/src/targets.rs"]
mod targets;

/// The files a target keeps.
fn corpus(target: &str) -> Vec<PathBuf> {
    let folder = root().join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.flatten().map(|e| e.path()).collect()
}

#[test]
fn the_corpus_of_every_target_is_replayed() {
    for (name, target) in targets::ALL {
        let files = corpus(name);
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let held = std::panic::catch_unwind(|| target(&bytes));
            assert!(held.is_ok(), "{} breaks {name}", file.display());
        }
    }
}

/// Also what nobody kept: every prefix of every kept file.
#[test]
fn truncation_at_every_length_breaks_no_target() {
    for (name, target) in targets::ALL {
        for file in corpus(name) {
            let bytes = fs::read(&file).unwrap();
            let step = 1 + bytes.len() / 200;
            for end in (0..bytes.len()).step_by(step) {
                let held = std::panic::catch_unwind(|| target(&bytes[..end]));
                assert!(held.is_ok(), "{} cut at {end} breaks {name}", file.display());
            }
        }
    }
}

#[test]
fn every_target_has_its_program_and_its_corpus_and_no_other_exists() {
    let mut names: Vec<String> = targets::ALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    let listed = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).unwrap().flatten();
        let stem = |e: fs::DirEntry| e.path().file_stem().unwrap().to_str().unwrap().to_owned();
        let mut stems: Vec<String> = entries.map(stem).collect();
        stems.sort();
        stems
    };
    assert_eq!(listed("fuzz/fuzz_targets"), names);
    assert_eq!(listed("fuzz/corpus"), names);
}
