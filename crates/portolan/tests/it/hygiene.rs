//! The repository's promises that are no architecture: licences, origins, documents that hold.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::repository::{Source, files, root, sources};
use crate::support::skip;

/// The licences a dependency may be used under; an expression needs one of its alternatives here.
const PERMISSIVE: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "Unlicense",
    "0BSD",
    "BSL-1.0",
    "CC0-1.0",
];

/// Whether an SPDX expression can be satisfied with permissive licences alone. The old form with a
/// slash means OR. Nested parentheses do not occur in practice and are refused.
fn is_permissive(expression: &str) -> bool {
    let one_of = |text: &str| {
        text.replace('/', " OR ").split(" OR ").any(|licence| PERMISSIVE.contains(&licence.trim()))
    };
    expression.split(" AND ").all(|part| one_of(part.trim().trim_matches(['(', ')'])))
}

#[test]
fn every_dependency_has_a_permissive_licence_and_comes_from_the_registry() {
    let asked = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(root())
        .output();
    let asked = match asked {
        Ok(asked) if asked.status.success() => asked,
        Ok(asked) => skip!("cargo metadata: {}", String::from_utf8_lossy(&asked.stderr).trim()),
        Err(error) => skip!("cargo cannot be run: {error}"),
    };
    let metadata: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 20, "only {} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or("none stated");
        assert!(is_permissive(licence), "{name}: {licence}");
        let source = package["source"].as_str();
        assert!(source.is_none_or(|s| s.starts_with("registry+")), "{name}: {source:?}");
    }
}

#[test]
fn a_copyleft_licence_is_refused_unless_there_is_a_choice() {
    assert!(is_permissive("MIT OR Apache-2.0"));
    assert!(is_permissive("(MIT OR GPL-3.0) AND Unicode-3.0"));
    assert!(is_permissive("Unlicense/MIT"));
    assert!(!is_permissive("GPL-3.0-or-later"));
    assert!(!is_permissive("MIT AND MPL-2.0"));
}

#[test]
fn every_dependency_says_why_it_is_there() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let listed = manifest.split_once("[workspace.dependencies]").unwrap().1;
    let listed = listed.split("\n[").next().unwrap();
    let entries = listed.lines().filter(|l| l.contains(" = ") && !l.starts_with('#'));
    let silent: Vec<&str> = entries.filter(|l| !l.contains('#') && !l.contains("path =")).collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_lock_file_is_committed() {
    assert!(root().join("Cargo.lock").exists());
    let ignored = fs::read_to_string(root().join(".gitignore")).unwrap();
    assert!(!ignored.contains("Cargo.lock"));
}

#[test]
fn every_embedded_data_file_has_its_origin_written_down() {
    let readme = fs::read_to_string(root().join("data/README.md")).unwrap();
    for file in files().iter().filter_map(|f| f.strip_prefix("data/")) {
        let name = file.rsplit('/').next().unwrap();
        assert!(name == "README.md" || readme.contains(name), "data/README.md lacks {file}");
    }
}

/// A file that names the folder it was made in works on one machine only.
#[test]
fn no_file_names_the_folder_it_was_built_in() {
    let here = root().display().to_string();
    for file in files() {
        let text = fs::read(root().join(&file)).unwrap();
        let found = text.windows(here.len()).any(|w| w == here.as_bytes());
        assert!(!found, "{file} names {here}");
    }
}

/// The names of all tests, as `fn NAME(` after `#[test]` or inside `proptest!`.
fn names_of_functions() -> BTreeSet<String> {
    let all: Vec<Source> = ["crates", "oracle"].into_iter().flat_map(sources).collect();
    let names = all.iter().flat_map(|s| s.text.split("fn ").skip(1));
    names.filter_map(|t| t.split(['(', '<']).next()).map(str::to_owned).collect()
}

/// ARCHITECTURE.md ends each invariant with `(held by NAME)`; a renamed test would leave a lie.
#[test]
fn every_test_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let known = names_of_functions();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let held = text.split("held by ").skip(1).filter_map(|t| t.split(')').next());
    let named: Vec<&str> = held
        .flat_map(|t| t.split('`').skip(1).step_by(2))
        .filter(|n| !n.contains(['.', '/', ' ']))
        .collect();
    assert!(named.len() >= 8, "only {} tests are named", named.len());
    let missing: Vec<&&str> = named.iter().filter(|n| !known.contains(**n)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The folder drawing in ARCHITECTURE.md is what a newcomer goes by.
#[test]
fn every_top_module_stands_in_the_map() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for folder in ["crates/portolan-core/src", "crates/portolan-host/src", "crates/portolan/src"] {
        for entry in fs::read_dir(root().join(folder)).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            assert!(text.contains(name.as_str()), "ARCHITECTURE.md lacks {folder}/{name}");
        }
    }
}
