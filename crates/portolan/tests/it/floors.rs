//! The architecture, held: which crate and which module may use which.
//!
//! ARCHITECTURE.md draws it; these tests read the sources and refuse what does not fit the drawing.

use std::collections::BTreeSet;
use std::fs;

use crate::support::repository::{Source, files, root, sources};

/// The floors of core. A module uses lower floors only, and none on its own.
const FLOORS: &[(&str, u8)] = &[
    ("net", 0),
    ("wire", 1),
    ("container", 2),
    ("firewall", 2),
    ("registry", 2),
    ("socket", 2),
    ("scan", 3),
    ("inventory", 4),
    ("audit", 5),
    ("diagnose", 5),
    ("reach", 5),
];

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The modules that a text names after `crate::`, in a path or in braces.
fn used_modules(text: &str) -> BTreeSet<&str> {
    let after = text.match_indices("crate::").map(|(at, start)| &text[at + start.len()..]);
    after.flat_map(first_names).collect()
}

/// `net::Port` gives `net`; `{net::{Gap, Port}, wire}` gives both.
fn first_names(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(word(group[start..at].trim_start()));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(word(group[start..at].trim_start()));
                start = at + 1;
            }
            _ => (),
        }
    }
    names
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// What a file of core uses that it must not.
fn trespasses(source: &Source) -> Vec<String> {
    let inside = source.path.trim_start_matches("crates/portolan-core/src/");
    let own = inside.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    if own == "lib" {
        return Vec::new();
    }
    let Some(own_floor) = floor(own) else {
        return vec![format!("{}: `{own}` has no floor yet", source.path)];
    };
    let used = used_modules(&source.text).into_iter().filter(|m| *m != own);
    let too_high = used.filter(|m| floor(m).is_some_and(|floor| floor >= own_floor));
    too_high.map(|m| format!("{}: uses `{m}`", source.path)).collect()
}

#[test]
fn a_module_of_core_uses_lower_floors_only() {
    let found: Vec<String> =
        sources("crates/portolan-core/src").iter().flat_map(trespasses).collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// The test above must be able to fail.
#[test]
fn an_upward_and_a_sideways_use_are_found() {
    let of = |path: &str, text: &str| {
        let path = format!("crates/portolan-core/src/{path}");
        trespasses(&Source { path, text: text.to_owned() }).len()
    };
    assert_eq!(of("socket/mod.rs", "use crate::registry::Registry;"), 1);
    assert_eq!(of("wire/a.rs", "use crate::{net::{Gap, Port}, socket, audit::Finding};"), 2);
    assert_eq!(of("audit/mod.rs", "use crate::{net::Port, inventory};\ncrate::socket::x()"), 0);
    assert_eq!(of("novel/mod.rs", ""), 1);
}

/// The names of our own crates in a manifest's dependencies, also those for tests.
fn own_dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(manifest)).unwrap();
    let keys = text.lines().filter_map(|l| l.split(['.', ' ', '=']).next());
    let ours = keys.filter(|k| k.starts_with("portolan")).map(str::to_owned);
    ours.collect::<BTreeSet<_>>().into_iter().collect()
}

#[test]
fn the_crates_depend_in_one_direction() {
    assert_eq!(own_dependencies("crates/portolan-core/Cargo.toml"), [""; 0]);
    assert_eq!(own_dependencies("crates/portolan-host/Cargo.toml"), ["portolan-core"]);
    assert_eq!(own_dependencies("crates/portolan/Cargo.toml"), ["portolan-core", "portolan-host"]);
}

#[test]
fn the_libraries_know_no_json() {
    for manifest in ["crates/portolan-core/Cargo.toml", "crates/portolan-host/Cargo.toml"] {
        let text = fs::read_to_string(root().join(manifest)).unwrap();
        // Reading somebody's JSON is fine (nft's), deriving a shape of ours is not.
        let text = text.replace("serde_json", "");
        assert!(!text.contains("serde"), "{manifest} depends on serde");
    }
}

#[test]
fn operations_know_neither_the_command_line_nor_text() {
    for source in sources("crates/portolan/src/ops") {
        let used = used_modules(&source.text);
        for face in ["cli", "render"] {
            assert!(!used.contains(face), "{}: uses `{face}`", source.path);
        }
    }
}

#[test]
fn render_asks_nothing_of_the_machine() {
    for source in sources("crates/portolan/src/render") {
        let text = &source.text;
        let asks = text.match_indices("portolan_host::").map(|(at, p)| &text[at + p.len()..]);
        let allowed = ["terminal"]; // how wide it is
        let asked: Vec<&str> = asks.map(word).filter(|m| !allowed.contains(m)).collect();
        assert!(asked.is_empty(), "{}: uses portolan_host::{asked:?}", source.path);
    }
}

#[test]
fn core_and_the_program_forbid_unsafe_code() {
    for file in ["crates/portolan-core/src/lib.rs", "crates/portolan/src/main.rs"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        assert!(text.contains("\n#![forbid(unsafe_code)]\n"), "{file}");
    }
}

/// Where a source says `unsafe`, and whether each block, function and trait of it has its reason in
/// the lines above.
fn unsafe_places(source: &Source) -> Vec<(usize, bool)> {
    let lines: Vec<&str> = source.text.lines().collect();
    let says = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe")
    };
    let explained = |at: usize| {
        let above = lines[at.saturating_sub(REACH)..at].iter().rev();
        above.take_while(|l| !l.trim().is_empty()).any(|l| {
            let text = l.trim_start();
            text.starts_with("// SAFETY:") || text.starts_with("/// # Safety")
        })
    };
    let places = (0..lines.len()).filter(|at| says(lines[*at]));
    places.map(|at| (at + 1, explained(at))).collect()
}

/// Lines from a reason to the code it is for.
const REACH: usize = 8;

#[test]
fn unsafe_code_stands_in_one_folder_with_its_reasons() {
    let mut found = 0;
    for folder in ["crates", "benches", "oracle", "fuzz"] {
        for source in sources(folder).iter().filter(|s| !s.path.ends_with("it/floors.rs")) {
            for (line, explained) in unsafe_places(source) {
                let place = format!("{}:{line}", source.path);
                assert!(source.path.starts_with("crates/portolan-host/src/kernel/"), "{place}");
                assert!(explained, "{place} has no `// SAFETY:`");
                found += 1;
            }
        }
    }
    assert!(found > 3, "only {found} places: is the test looking?");
}

#[test]
fn an_unsafe_block_without_its_reason_is_found() {
    let of = |text: &str| unsafe_places(&Source { path: String::new(), text: text.to_owned() });
    assert_eq!(of("fn a() {\n    unsafe { b() }\n}"), [(2, false)]);
    assert_eq!(of("// SAFETY: so.\nunsafe { b() }"), [(2, true)]);
    assert_eq!(of("// SAFETY: so.\n\nlet c = unsafe { b() };"), [(3, false)]);
    assert_eq!(of("// nothing unsafe here\n#![expect(unsafe_code)]"), []);
}

#[test]
fn every_module_begins_by_saying_what_it_is() {
    // A file of unit tests is part of the module it tests.
    let own = |s: &Source| !s.path.ends_with("tests.rs");
    for folder in ["crates", "benches", "oracle", "fuzz"] {
        for source in sources(folder).into_iter().filter(own) {
            assert!(source.text.starts_with("//! "), "{} has no //! paragraph", source.path);
        }
    }
}

#[test]
fn nothing_runs_while_building() {
    for file in files() {
        assert!(!file.ends_with("build.rs"), "{file}: building must not run code of ours");
        if file.ends_with("Cargo.toml") {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            assert!(!text.contains("proc-macro = true"), "{file}: no macro crate of ours");
        }
    }
}
