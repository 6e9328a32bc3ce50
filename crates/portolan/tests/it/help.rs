//! The help of every command: what it says, and that it fits.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::support::repository::root;
use crate::support::{Netns, Program, eventually, require_root};

/// The help of `portolan WORDS… --help` and, after it, of every command below.
fn helps(words: &[String]) -> Vec<(String, String)> {
    let asked = words.iter().cloned().chain(["--help".to_owned()]);
    let help = Program::new(asked).run().expect_code(0).stdout;
    let name = ["portolan".to_owned()].into_iter().chain(words.iter().cloned());
    let mut all = vec![(name.collect::<Vec<_>>().join("-"), help.clone())];
    for command in commands_in(&help) {
        let below: Vec<String> = words.iter().cloned().chain([command]).collect();
        all.extend(helps(&below));
    }
    all
}

/// The names under `Commands:`. clap indents a name by two blanks and its text by more.
fn commands_in(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names = listed.filter_map(|l| l.strip_prefix("  ")).filter(|l| !l.starts_with(' '));
    names.filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    for (name, help) in helps(&[]) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, help);
        });
    }
}

#[test]
fn help_fits_80_columns() {
    for (name, help) in helps(&[]) {
        let wide: Vec<&str> = help.lines().filter(|l| l.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{name}: {wide:#?}");
    }
}

#[test]
fn every_command_that_does_something_shows_an_example() {
    for (name, help) in helps(&[]) {
        let only_groups = help.contains("Usage: ") && help.contains("<COMMAND>");
        assert!(only_groups || help.contains("portolan "), "{name} has no example");
        assert!(
            only_groups || help.contains("Example") || help.contains("Start with"),
            "{name} has no example"
        );
    }
}

/// The command lines that a help gives as examples.
fn examples(help: &str) -> Vec<String> {
    let leads = ["Example: ", "Examples: ", "Start with: "];
    let lead = |p: &&str| leads.iter().any(|lead| p.starts_with(lead));
    let lines = help.split("\n\n").filter(lead).flat_map(str::lines);
    let commands = lines.map(|l| leads.iter().fold(l, |l, lead| l.trim_start_matches(lead)).trim());
    // What stands behind several blanks explains it.
    commands.map(|l| l.split("   ").next().unwrap_or(l).to_owned()).collect()
}

/// A folder in which every example makes sense.
fn surroundings(folder: &Path, chart_of_the_machine: &str) {
    let iana = root().join("crates/portolan-core/tests/data/iana/sample.csv");
    fs::copy(iana, folder.join("service-names-port-numbers.csv")).unwrap();
    fs::create_dir(folder.join("bin")).unwrap();
    symlink(env!("CARGO_BIN_EXE_portolan"), folder.join("bin/portolan")).unwrap();
    // A server that fails as Node does.
    let npm = folder.join("bin/npm");
    let complaint = "Error: listen EADDRINUSE: address already in use 127.0.0.1:8080";
    let bind = "import socket; socket.socket().bind(('127.0.0.1', 8080))";
    let npm_script = format!("echo '{complaint}' >&2\nexec python3 -c \"{bind}\" 2>/dev/null");
    let server = folder.join("server");
    for (program, script) in [(npm, npm_script.as_str()), (server, "test -n \"$PORT\"")] {
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for chart in ["before.json", "after.json"] {
        fs::write(folder.join(chart), chart_of_the_machine).unwrap();
    }
    fs::write(folder.join("prod.toml"), INVENTORY).unwrap();
    rules(folder);
}

/// Saved rules of every kind, and packets to send through them.
fn rules(folder: &Path) {
    let json = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}]}"#;
    let saved = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
    let packet =
        r#"{"id": 1, "transport": "tcp", "src": "10.0.0.1", "dst": "10.0.0.2", "dport": 22}"#;
    for (file, text) in [
        ("ruleset.json", json),
        ("saved-rules.json", json),
        ("saved.txt", saved),
        ("saved.nft", "table inet t {\n}\n"),
        ("new.nft", "table inet t {\n}\n"),
        ("flows.csv", "tcp,192.0.2.7,40000,192.0.2.1,22,eth0\n"),
        ("flows.bin", "tcp,192.0.2.7,40000,192.0.2.1,22,eth0\n"),
        ("kern.log", "IN=eth0 OUT= SRC=192.0.2.7 DST=192.0.2.1 PROTO=TCP SPT=40000 DPT=22\n"),
        ("packets.jsonl", packet),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
}

const INVENTORY: &str = r#"
portolan = 1

[hosts.web]
address = ["192.0.2.1"]

[services.ssh]
on = ["web"]
ports = ["22/tcp"]
owner = "operations"

[services.web]
on = ["web"]
ports = ["80/tcp"]

[owners.operations]
[owners.platform]

[[ignore]]
match = { service = "web" }
reason = "not yet installed"
"#;

/// Runs an example as it stands, except that it writes into its own folder only.
fn try_example(ns: &Netns, chart: &str, example: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    surroundings(folder.path(), chart);
    if !example.contains("init") {
        fs::write(folder.path().join("portolan.toml"), INVENTORY).unwrap();
    }
    let here = folder.path().display();
    // The id of what the server is: host `web`, 8080/tcp, nothing declared.
    let line = example
        .replace("P101-0123456789", "P101-73d93c92fb")
        .replace("/etc/bash_completion.d", ".")
        .replace("/usr/local/share/man/man1", ".")
        .replace("/var/log/kern.log", "kern.log")
        // The namespace has no connection, and that is an error.
        .replace("--flows conntrack", "--flows flows.csv")
        .replace("| man -l -", "> page");
    // A pause is of rules that are there.
    let line = match line.contains("off --for") {
        true => format!("portolan firewall apply --inventory prod.toml --yes --detach && {line}"),
        false => line,
    };
    // What it leaves on trial, or away for a while, somebody would watch over.
    let line = match line.contains("firewall") || line.contains("--apply") {
        true => format!("{line}\ncode=$?; portolan firewall off --yes >end 2>&1; exit $code"),
        false => line,
    };
    let ran = ns
        .command("sh")
        .args(["-c", &line])
        .current_dir(folder.path())
        .env_clear()
        .envs([("EDITOR", "true"), ("LANG", "C.UTF-8")])
        .env("HOME", folder.path())
        .env("PORTOLAN_ROOT", folder.path().join("root"))
        .env("PATH", format!("{here}/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
        .output()
        .unwrap();
    eventually(example, || !is_watched(folder.path()));
    let complaint = String::from_utf8_lossy(&ran.stderr);
    let failed = complaint.contains("error:") || !matches!(ran.status.code(), Some(0 | 1 | 3));
    if failed {
        format!("{example}\n  {:?}: {complaint}", ran.status.code())
    } else {
        String::new()
    }
}

/// Whether a watchdog of rules that are kept below a folder runs.
fn is_watched(folder: &Path) -> bool {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut words = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    words.any(|words| {
        let words = String::from_utf8_lossy(&words);
        words.contains("firewall-watch") && words.contains(&folder)
    })
}

#[test]
fn every_example_in_a_help_works() {
    require_root!();
    let has_jq = Command::new("jq").arg("--version").output().is_ok();
    let ns = Netns::new();
    ns.ip("address add 192.0.2.1/32 dev lo");
    ns.ip("link add eth0 type veth peer name eth1");
    let _server = ns.listen("127.0.0.1:8080");
    let chart = Program::line("--json").inside(&ns).run().expect_code(0).stdout;
    let mut tried: Vec<String> = helps(&[]).iter().flat_map(|(_, help)| examples(help)).collect();
    tried.sort();
    tried.dedup();
    tried.retain(|example| has_jq || !example.contains("jq "));
    assert!(tried.len() > 20, "{tried:#?}");
    let failed: Vec<String> =
        tried.iter().map(|e| try_example(&ns, &chart, e)).filter(|e| !e.is_empty()).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What they answer depends on the machine; that they are commands must not.
#[test]
fn every_command_in_the_readme_is_understood() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let lines = readme.lines().filter_map(|l| l.strip_prefix("$ portolan"));
    let mut tried = 0;
    for words in lines.filter(|words| !words.contains('>')) {
        let folder = tempfile::tempdir().unwrap();
        // Understood, not done: the machine's own ports are nobody's to free.
        let dry = if words.starts_with(" kill") { " --dry-run" } else { "" };
        let line = format!("exec \"$0\"{words}{dry}");
        let ran = Program::new(Vec::<String>::new())
            .folder(folder.path())
            .through(["sh", "-c", &line])
            .run();
        assert!(!ran.stderr.contains("try --help"), "portolan{words}: {}", ran.stderr);
        tried += 1;
    }
    assert!(tried >= 10, "only {tried} commands stand in the README");
}
