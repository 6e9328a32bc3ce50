//! What nft makes of its own language, and what portolan reads of it: on the real kernel, in a
//! namespace of the test's own.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Netns, Program, require_root};

const SURROUNDINGS: &str = include_str!("data/firewall/surroundings.nft");
const STATEMENTS: &str = include_str!("data/firewall/statements.txt");

/// What newer kernels and those with more modules have beside [`SURROUNDINGS`].
const MORE: [&str; 4] = [
    "ct timeout inet t short { protocol tcp; l3proto ip; policy = { established: 100, close: 4 }; }",
    "ct expectation inet t expect { protocol tcp; dport 5432; timeout 1h; size 12; l3proto ip; }",
    "ct helper inet t ftp-standard { type \"ftp\" protocol tcp; }",
    "synproxy inet t syn { mss 1460; wscale 7; }",
];

/// A line of the file.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    is_open: bool,
    is_lossy: bool,
    family: &'a str,
    chain: &'a str,
    statement: &'a str,
}

fn lines() -> impl Iterator<Item = Line<'static>> {
    let lines = STATEMENTS.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (place, statement) = line[2..].split_once(" | ")?;
        let (family, chain) = place.split_once(' ')?;
        let is_lossy = line.as_bytes()[1] == b'~';
        Some(Line { is_open: line.starts_with('?'), is_lossy, family, chain, statement })
    })
}

/// Whether nft takes a script, and what it complains of.
fn nft(netns: &Netns, script: &str) -> Result<(), String> {
    let mut child = netns
        .command("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nft is installed");
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    match ended.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&ended.stderr).into_owned()),
    }
}

fn room() -> Netns {
    let netns = Netns::new();
    nft(&netns, SURROUNDINGS).unwrap();
    for object in MORE {
        let _ = nft(&netns, &format!("add {object}"));
    }
    netns
}

/// The rules that nft lists, by family and chain.
fn listed(netns: &Netns) -> BTreeMap<(String, String), Vec<Value>> {
    let listing: Value = serde_json::from_str(&netns.output("nft -j list ruleset")).unwrap();
    let mut chains: BTreeMap<_, Vec<Value>> = BTreeMap::new();
    for rule in listing["nftables"].as_array().unwrap().iter().filter_map(|o| o.get("rule")) {
        let key = (rule["family"].to_string(), rule["chain"].to_string());
        let mut expr = rule["expr"].clone();
        level(&mut expr);
        chains.entry(key).or_default().push(expr);
    }
    chains
}

/// Leaves out what was counted, and the order of hash sets.
fn level(value: &mut Value) {
    match value {
        Value::Object(parts) => {
            if let Some(counter @ Value::Object(_)) = parts.get_mut("counter") {
                *counter = Value::Null;
            }
            parts.values_mut().for_each(level);
            if let Some(Value::Array(members)) = parts.get_mut("set") {
                members.sort_by_key(Value::to_string);
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(level),
        _ => {}
    }
}

#[test]
fn every_statement_is_read_and_its_text_loads_as_the_same_rule() {
    require_root!();
    let netns = room();
    let mut taken = Vec::new();
    for line in lines() {
        let Line { family, chain, statement, .. } = line;
        // A kernel without a module refuses what wants it.
        if nft(&netns, &format!("add rule {family} t c_{chain} {statement}\n")).is_ok() {
            taken.push(line);
        }
    }
    assert!(taken.len() >= 150, "nft takes only {} statements", taken.len());

    let before = listed(&netns);
    let run = Program::line("firewall show --json").inside(&netns).run().expect_code(0);
    let shown: Value = serde_json::from_str(&run.stdout).unwrap();
    let mut rules: BTreeMap<(String, String), std::vec::IntoIter<Value>> = BTreeMap::new();
    for chain in shown["chains"].as_array().unwrap() {
        let key = (chain["family"].to_string(), chain["chain"].to_string());
        rules.insert(key, chain["rules"].as_array().unwrap().clone().into_iter());
    }
    let mut script = String::new();
    let mut wrong = Vec::new();
    for line in &taken {
        let key = (format!("{:?}", line.family), format!("\"c_{}\"", line.chain));
        let rule = rules.get_mut(&key).and_then(Iterator::next).unwrap();
        if rule["opaque"].as_bool() != Some(line.is_open) {
            wrong.push(format!("{} is read as {}", line.statement, rule));
        }
        let text = if line.is_lossy { line.statement } else { rule["text"].as_str().unwrap() };
        script.push_str(&format!("add rule {} t c_{} {text}\n", line.family, line.chain));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for family in ["inet", "ip", "ip6", "netdev", "bridge", "arp"] {
        script.insert_str(0, &format!("flush table {family} t\n"));
    }
    nft(&netns, &script).unwrap();
    let after = listed(&netns);
    for (chain, rules) in &before {
        let again = &after[chain];
        assert_eq!(rules.len(), again.len(), "{chain:?}");
        for (rule, again) in rules.iter().zip(again) {
            assert_eq!(rule, again, "{chain:?}");
        }
    }
}

#[test]
fn a_script_is_listed_in_a_namespace_of_its_own() {
    require_root!();
    let netns = Netns::new();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ports.nft"), "define open = { 22, 443 }\n").unwrap();
    let script = "include \"ports.nft\"\ntable inet t {\n chain in { type filter hook input priority 0; policy drop; tcp dport $open accept; }\n}\n";
    std::fs::write(folder.path().join("rules.txt"), script).unwrap();
    let show = || Program::line("firewall show --rules rules.txt").folder(&folder).inside(&netns);
    let run = show().run().expect_code(0);
    assert!(run.stdout.contains("tcp dport { 22, 443 } accept"), "{}", run.stdout);
    assert_eq!(netns.output("nft list ruleset"), "", "the namespace it ran in is untouched");
    // The same for anybody, where the kernel lets users have namespaces.
    let unprivileged = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
    if unprivileged.is_ok_and(|most| most.trim() != "0") {
        std::fs::set_permissions(
            folder.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let run = show().by_user(65534).run();
        assert!(run.stdout.contains("tcp dport { 22, 443 } accept"), "{}", run.stderr);
    }
}

#[test]
fn what_nft_refuses_is_told_with_its_place_and_the_way_out() {
    require_root!();
    let folder = tempfile::tempdir().unwrap();
    let write = |text: &str| std::fs::write(folder.path().join("r.nft"), text).unwrap();
    let show = || Program::line("firewall show --rules r.nft").folder(&folder).run().expect_code(2);
    write(
        "table inet t {\n chain in { type filter hook input priority 0; }\n}\nadd rule inet t in iif \"none0\" accept\n",
    );
    let run = show();
    assert!(run.stderr.contains("r.nft:4:24: Interface does not exist"), "{}", run.stderr);
    assert!(run.stderr.contains("hint: iif and oif want an interface"), "{}", run.stderr);
    write("table inet t {\n  chian in { }\n}\n");
    assert!(show().stderr.contains("r.nft:2:"), "{}", show().stderr);
}

#[test]
fn an_order_of_registration_is_shown_last_first() {
    require_root!();
    let netns = Netns::new();
    nft(&netns, "table inet a { chain c { type filter hook input priority 0; }\n}\ntable inet b { chain c { type filter hook input priority 0; }\n}\ntable inet c { chain c { type filter hook input priority -5; }\n}\n").unwrap();
    let run = Program::line("firewall show").inside(&netns).run().expect_code(0);
    let titles: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("input")).collect();
    assert_eq!(
        titles,
        [
            "input  priority -5  inet c c  policy accept",
            "input  priority 0  inet b c  policy accept",
            "input  priority 0  inet a c  policy accept",
        ]
    );
}
