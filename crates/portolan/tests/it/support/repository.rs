//! The repository's own files, for the tests that hold its rules.

use std::fs;
use std::path::{Path, PathBuf};

/// The top folder of the repository.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the tests run where they were built")
}

/// A source file: its path below the top folder, and its text.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every `.rs` file below `folder` (named from the top), sorted by path.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&root().join(folder), &mut files);
    let of_rust = files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "rs"));
    let mut sources: Vec<Source> = of_rust
        .map(|file| Source {
            text: fs::read_to_string(&file).expect("a source file is UTF-8"),
            path: from_top(&file),
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Every file of the repository's own: what a build or a fuzzer made is left out.
pub(crate) fn files() -> Vec<String> {
    let mut files = Vec::new();
    walk(&root(), &mut files);
    files.iter().map(|f| from_top(f)).collect()
}

fn from_top(file: &Path) -> String {
    file.strip_prefix(root()).expect("it was found below").display().to_string()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there").flatten() {
        let name = entry.file_name();
        let made = ["target", ".git", "artifacts", "coverage", "grown"].iter().any(|m| name == *m);
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !made => walk(&entry.path(), found),
            Ok(kind) if kind.is_file() && !made => found.push(entry.path()),
            _ => (),
        }
    }
}
