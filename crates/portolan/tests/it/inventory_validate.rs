//! `inventory validate` and `inventory schema`: finding the file, and saying what is wrong with it.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Program, Ran, require_root};

const EVERY_KEY: &str = include_str!("../../../portolan-core/tests/data/inventory/every-key.json");

/// A folder with these files, below it where their paths say so.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn validate(folder: &TempDir) -> Ran {
    Program::line("inventory validate").folder(folder.path()).run()
}

/// What is said of a single file; it must be refused.
#[track_caller]
fn complaint(text: &str) -> String {
    let ran = validate(&folder(&[("portolan.toml", text)])).expect_code(2);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[test]
fn a_file_without_a_mistake_is_told_with_what_it_contains() {
    let office = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/office");
    let ran = Program::line("inventory validate").folder(office).run().expect_code(0);
    assert!(
        ran.stdout.contains(": valid\n") && ran.stdout.contains(" services on "),
        "{}",
        ran.stdout
    );
    assert_eq!(ran.stderr, "");
}

#[test]
fn a_mistake_is_shown_with_file_line_column_caret_and_hint() {
    let stderr = complaint(
        "portolan = 1\n[hosts.web]\n\n[services.web-site]\non = [\"web\"]\nprots = [\"80/tcp\"]\nports = [\"80/tcp\"]\n",
    );
    insta::assert_snapshot!(stderr);
}

#[test]
fn each_of_these_is_refused_on_its_line() {
    let service = "portolan = 1\n[hosts.web]\n[services.a]\n";
    for (lines, place, words) in [
        ("on = []\nports = [\"1/tcp\"]", "portolan.toml:4:6", "empty"),
        ("on = [\"wbe\"]\nports = [\"1/tcp\"]", "portolan.toml:4:7", "did you mean `web`?"),
        ("on = \"web\"\nports = [\"70000/tcp\"]", "portolan.toml:5:10", "65535"),
        ("on = \"web\"\nports = [\"90-80/tcp\"]", "portolan.toml:5:10", "reversed"),
        ("on = \"web\"\nports = [\"1/tcp\"]\nfrom = [\"offcie\"]", "portolan.toml:6:9", "offcie"),
        (
            "on = \"web\"\nports = [\"1/tcp\"]\nfrom = [\"10.0.0.1/8\"]",
            "portolan.toml:6:9",
            "10.0.0.0/8",
        ),
        (
            "on = \"web\"\nports = [\"1/tcp\"]\n[forwards.f]\non = \"web\"\nlisten = \"2/tcp\"\nvia = \"nat\"\nto = \"b@web\"",
            "portolan.toml:10:6",
            "`b`",
        ),
        ("on = \"web\"", "portolan.toml:3:1", "lacks `ports`"),
    ] {
        let stderr = complaint(&format!("{service}{lines}\n"));
        assert!(stderr.contains(place) && stderr.contains(words), "{lines}\n{stderr}");
    }
}

#[test]
fn in_json_every_mistake_has_its_place() {
    let text = "portolan = 1\n[hosts.web]\nadress = []\nprobe = \"nevr\"\n";
    let folder = folder(&[("portolan.toml", text)]);
    let ran = Program::line("inventory validate --json").folder(folder.path()).run().expect_code(2);
    let document = ran.json();
    assert_eq!(
        (&document["portolan"], &document["kind"]),
        (&1.into(), &"inventory-validate".into())
    );
    let places: Vec<_> = document["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| {
            (
                p["file"].as_str().unwrap(),
                p["line"].as_u64().unwrap(),
                p["column"].as_u64().unwrap(),
                p["hint"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        places,
        [
            ("portolan.toml", 3, 1, "did you mean `address`?"),
            ("portolan.toml", 4, 9, "did you mean \"never\"?"),
        ]
    );
    let fine = Program::line("inventory validate --json").arg("--inventory").arg(every_key()).run();
    let document = fine.expect_code(0).json();
    assert_eq!(document["problems"], Value::Array(Vec::new()));
    assert_eq!(document["contains"]["services"], 6);
}

fn every_key() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../portolan-core/tests/data/inventory/every-key.json")
        .to_owned()
}

#[test]
fn includes_are_relative_to_the_file_they_stand_in() {
    let folder = folder(&[
        ("etc/portolan.toml", "portolan = 1\ninclude = [\"parts/*.toml\", \"more/*.none\"]\n"),
        ("etc/parts/a.toml", "include = \"deep/b.toml\"\n[hosts.a]\n"),
        ("etc/parts/.hidden.toml", "[hosts.a]\n"),
        ("etc/parts/deep/b.toml", "[networks]\nbad = { file = \"bad.txt\" }\n[hosts.b]\n"),
        ("etc/parts/deep/bad.txt", "192.0.2.0/24\n198.51.100.7/24 # slip\n"),
    ]);
    let run = |line: &str| Program::line(line).folder(folder.path()).run();
    let stderr = run("inventory validate --inventory etc/portolan.toml").expect_code(2).stderr;
    assert!(stderr.contains("etc/parts/deep/bad.txt:2:1: "), "{stderr}");
    // What looks like an address is shown and marked, and nothing else of its line.
    assert!(stderr.contains("2 | 198.51.100.7/24\n  | ^^^^^^^^^^^^^^^"), "{stderr}");
    assert!(!stderr.contains("slip"), "{stderr}");
    assert!(stderr.contains("etc/parts/deep/b.toml:2:16: the list is named here"), "{stderr}");
    fs::write(folder.path().join("etc/parts/deep/bad.txt"), "192.0.2.0/24\n").unwrap();
    let fine = run("inventory validate --inventory etc/portolan.toml").expect_code(0);
    assert!(
        fine.stdout.starts_with("etc/portolan.toml and 3 other files: valid\n"),
        "{}",
        fine.stdout
    );
    assert!(fine.stdout.contains("on 2 hosts"), "{}", fine.stdout);
}

/// Whoever may have root read an inventory names any file in it.
#[test]
fn secrets_in_files_that_an_inventory_names_stay_there() {
    let folder = folder(&[
        (
            "portolan.toml",
            "portolan = 1\ninclude = \"key\"\n[networks]\nbad = { file = \"shadow\" }\n",
        ),
        ("shadow", "root:$6$salt$hash:19000:0:99999:7:::\n"),
        ("key", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEI\n"),
    ]);
    for line in ["inventory validate", "inventory validate --json", "firewall compile"] {
        let ran = Program::line(line).folder(folder.path()).run().expect_code(2);
        let said = ran.stdout + &ran.stderr;
        assert!(said.contains("shadow") || said.contains("key"), "{line}: {said}");
        for secret in ["salt", "BEGIN", "MC4CAQ"] {
            assert!(!said.contains(secret), "{line}: {said}");
        }
    }
}

#[test]
fn what_cannot_be_included_is_an_error_where_it_is_written() {
    for (include, place, cause) in [
        ("[\"parts/none.toml\"]", "portolan.toml:2:12: ", "no such file"),
        ("[\"parts\"]", "portolan.toml:2:12: ", "not a file"),
        ("[\"*.toml\"]", "portolan.toml:2:12: ", "includes itself"),
        ("[\"parts/loop.toml\"]", "parts/loop.toml:1:11: ", "includes itself through"),
    ] {
        let folder = folder(&[
            ("portolan.toml", &format!("portolan = 1\ninclude = {include}\n")),
            ("parts/loop.toml", "include = \"../portolan.toml\"\n"),
        ]);
        let stderr = validate(&folder).expect_code(2).stderr;
        assert!(stderr.contains(place) && stderr.contains(cause), "{include}\n{stderr}");
    }
}

#[test]
fn a_name_declared_in_two_files_is_refused_with_both_places() {
    let folder = folder(&[
        ("portolan.toml", "portolan = 1\ninclude = \"b.toml\"\n[hosts.web]\n"),
        ("b.toml", "# again\n[hosts.web]\n"),
    ]);
    let stderr = validate(&folder).expect_code(2).stderr;
    assert!(stderr.contains("b.toml:2:8: the host `web` is declared twice"), "{stderr}");
    assert!(stderr.contains("portolan.toml:3:8: declared here first"), "{stderr}");
}

#[test]
fn a_fifo_among_the_includes_is_not_waited_for() {
    let folder = folder(&[("portolan.toml", "portolan = 1\ninclude = \"*.part\"\n")]);
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("a.part")).status();
    assert!(made.unwrap().success());
    let stderr = validate(&folder).expect_code(2).stderr;
    assert!(stderr.contains("not a file"), "{stderr}");
}

#[test]
fn the_file_is_the_named_one_then_the_variables_then_the_folders() {
    let one = |host: &str| format!("portolan = 1\n[hosts.{host}]\n[hosts.{host}-b]\n");
    let folder = folder(&[
        ("portolan.toml", "portolan = 1\n"),
        ("by-variable.toml", &one("v")),
        ("by-flag.toml", "portolan = 1\n[hosts.f]\n"),
    ]);
    let hosts = |program: Program| {
        let document = program.folder(folder.path()).run().expect_code(0).json();
        document["contains"]["hosts"].as_u64().unwrap()
    };
    let line = || Program::line("inventory validate --json");
    assert_eq!(hosts(line()), 0);
    assert_eq!(hosts(line().env("PORTOLAN_INVENTORY", "")), 0);
    let by_variable = || line().env("PORTOLAN_INVENTORY", "by-variable.toml");
    assert_eq!(hosts(by_variable()), 2);
    assert_eq!(hosts(by_variable().arg("--inventory").arg("by-flag.toml")), 1);
}

#[test]
fn a_named_file_that_is_not_there_is_an_error_and_none_at_all_has_a_way_out() {
    let ran = Program::line("inventory validate --inventory none.toml").run().expect_code(2);
    assert!(
        ran.stderr.starts_with("error: cannot read the inventory none.toml: "),
        "{}",
        ran.stderr
    );
    let ran = Program::line("inventory validate").env("PORTOLAN_INVENTORY", "none").run();
    assert!(ran.expect_code(2).stderr.contains("hint: "));
    let ran = Program::line("inventory validate").run().expect_code(2);
    assert!(ran.stderr.contains("portolan inventory init"), "{}", ran.stderr);
}

#[test]
fn a_file_in_the_folder_that_may_not_be_read_is_a_gap_to_a_chart() {
    require_root!();
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder(&[("portolan.toml", "portolan = 1\n")]);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("portolan.toml");
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    let run = |line: &str| Program::line(line).folder(folder.path()).by_user(65_534).run();
    let gaps = run("status --json").expect_code(0).json()["gaps"].clone();
    let about = |gap: &Value| gap["what"].as_str().unwrap().contains("portolan.toml");
    let gap =
        gaps.as_array().unwrap().iter().find(|g| about(g)).unwrap_or_else(|| panic!("{gaps}"));
    assert_eq!(gap["why"], "not-permitted");
    let stderr = run("inventory validate --inventory portolan.toml").expect_code(2).stderr;
    assert!(stderr.contains("cannot read the inventory portolan.toml"), "{stderr}");
}

#[test]
fn an_inventory_may_come_through_a_pipe() {
    let ran = Program::line("inventory validate --inventory /dev/stdin").input(EVERY_KEY).run();
    assert!(ran.expect_code(0).stdout.contains("6 services on 2 hosts"));
}

#[test]
fn escape_codes_in_a_file_are_shown_and_not_obeyed() {
    let stderr = complaint("portolan = 1\n[hosts.\"\\u001b[2J\\u202e\"]\n\"x\u{202e}y\" = 1\n");
    assert!(!stderr.contains('\u{1b}') && !stderr.contains('\u{202e}'), "{stderr:?}");
    assert!(stderr.contains("\\x1b[2J"), "{stderr}");
}

#[test]
fn a_long_line_is_shown_around_its_mistake_only() {
    let services: String =
        (0..5000).map(|i| format!("\"s{i}\":{{\"on\":\"a\",\"ports\":\"1/tcp\"}},")).collect();
    let text = format!(
        "{{\"portolan\":1,\"hosts\":{{\"a\":{{}}}},\"services\":{{{services}\"z\":{{\"on\":\"q\",\"ports\":\"1/tcp\"}}}}}}"
    );
    let stderr = complaint(&text);
    assert!(stderr.len() < 1000, "{} bytes", stderr.len());
    let column = text.find("\"q\"").unwrap() + 1;
    assert!(
        stderr.contains(&format!("portolan.toml:1:{column}: there is no host `q`")),
        "{stderr}"
    );
}

#[test]
fn a_file_of_ten_megabytes_is_answered_whatever_is_in_it() {
    let filled = |with: &str| with.repeat(10_000_000 / with.len());
    let comment = format!("portolan = 1\n{}[hosts\n", filled("# nothing to see\n"));
    let networks =
        (0..500_000).map(|i| format!("\"10.{}.{}.{}\",\n", i >> 16, i >> 8 & 255, i & 255));
    let list = format!("portolan = 1\n[networks]\na = [{}\"x\"]\n", networks.collect::<String>());
    for (text, place) in [
        (comment, "portolan.toml:588237:7: "),
        (list, "portolan.toml:500003:1: "),
        (filled("["), "portolan.toml:1:"),
        (filled("{"), "portolan.toml:1:"),
        (filled("\0"), "portolan.toml:1:1: "),
        (filled("a = [[ig]]\n"), "portolan.toml:1:"),
    ] {
        let stderr = complaint(&text);
        assert!(stderr.contains(place), "{}", &stderr[..stderr.len().min(500)]);
    }
}

#[test]
fn a_file_that_is_not_text_is_refused_at_its_first_bad_byte() {
    let folder = folder(&[]);
    fs::write(folder.path().join("portolan.toml"), b"portolan = 1\n# \xfc\n").unwrap();
    let stderr = validate(&folder).expect_code(2).stderr;
    assert!(stderr.contains("portolan.toml:2:3: the file is not UTF-8"), "{stderr}");
}

#[test]
fn the_schema_accepts_every_key_and_refuses_what_validate_refuses() {
    let ran = Program::line("inventory schema").run().expect_code(0);
    let schema: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
    let every_key: Value = serde_json::from_str(EVERY_KEY).unwrap();
    assert_eq!(misfit(&schema, &every_key, "$"), None);
    for (pointer, value) in [
        ("/services/ssh/status", Value::from("actve")),
        ("/services/ssh/prots", Value::from("1/tcp")),
        ("/portolan", Value::from(2)),
        ("/services/postgres/check/status", Value::from(99)),
        ("/review/every", Value::from("soon")),
        ("/hosts/db/address/0", Value::from(1)),
    ] {
        let mut changed = every_key.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match changed.pointer_mut(parent).unwrap() {
            Value::Array(items) => items[0] = value,
            object => object[key] = value,
        }
        assert!(misfit(&schema, &changed, "$").is_some(), "{pointer}");
    }
}

/// Where `value` does not fit `schema`: as much of draft-07 as the schema uses, patterns aside
/// from durations.
fn misfit(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let wrong = |what: &str| Some(format!("{path}: {what}: {value}"));
    if let Some(any) = schema["anyOf"].as_array() {
        return if any.iter().any(|s| misfit(s, value, path).is_none()) {
            None
        } else {
            wrong("anyOf")
        };
    }
    let fits = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        _ => true,
    };
    if !fits {
        return wrong("type");
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return wrong("enum");
    }
    let duration =
        schema["pattern"].as_str().is_some_and(|p| p.contains("ms|s|m|h|d|w") && !p.contains('/'));
    if duration && !value.as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()) {
        return wrong("pattern");
    }
    if let Some(number) = value.as_i64()
        && (schema["minimum"].as_i64().is_some_and(|m| number < m)
            || schema["maximum"].as_i64().is_some_and(|m| number > m))
    {
        return wrong("range");
    }
    let items =
        value.as_array().into_iter().flatten().find_map(|v| misfit(&schema["items"], v, path));
    items.or_else(|| misfit_of_object(schema, value, path))
}

fn misfit_of_object(schema: &Value, value: &Value, path: &str) -> Option<String> {
    let object = value.as_object()?;
    let required = schema["required"].as_array().into_iter().flatten();
    if let Some(missing) = required.map(|k| k.as_str().unwrap()).find(|k| !object.contains_key(*k))
    {
        return Some(format!("{path} lacks {missing}"));
    }
    object.iter().find_map(|(key, value)| {
        let path = format!("{path}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(known), _) => misfit(known, value, &path),
            (None, Value::Bool(false)) if !key.starts_with("x-") => {
                Some(format!("{path}: unknown"))
            }
            (None, inner @ Value::Object(_)) => misfit(inner, value, &path),
            _ => None,
        }
    })
}
