//! Files of rules that are broken, or of something else: every command that reads them says what and where,
//! names a way out, and answers nothing.

use std::fs;

use tempfile::TempDir;

use crate::support::{Program, require_root};

const JSON: &str = r#"{"nftables": [{"table": {"family": "inet", "name": "f", "handle": 1}},
 {"chain": {"family": "inet", "table": "f", "name": "i", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}},
 {"set": {"family": "inet", "name": "s", "table": "f", "type": "ipv4_addr", "handle": 2, "elem": ["10.0.0.1"]}},
 {"rule": {"family": "inet", "table": "f", "chain": "i", "handle": 3, "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@s"}}, {"accept": null}]}}]}
"#;
const SAVE: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:a - [0:0]\n\
                    -A INPUT -p tcp -m tcp --dport 22 -j a\n-A a -j ACCEPT\nCOMMIT\n";

/// What every command says of a file that it cannot use.
fn refused(bytes: &[u8]) -> String {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rules");
    fs::write(&path, bytes).unwrap();
    fs::write(folder.path().join("whole"), JSON).unwrap();
    let mut told = Vec::new();
    for words in [
        "firewall simulate tcp 10.0.0.1 10.0.0.2:22 --hook input --rules rules",
        "firewall search --to-port 22 --rules rules",
        "firewall lint --rules rules",
        "firewall parity --rules rules",
        "firewall show --rules rules",
        "firewall diff rules whole",
        "firewall diff whole rules",
        "reach 22 --rules rules",
    ] {
        let ran = Program::line(words).folder(&folder).run().expect_code(2);
        assert!(ran.stdout.is_empty(), "{words}: {}", ran.stdout);
        told.push(ran.stderr);
    }
    told.dedup();
    assert_eq!(told.len(), 1, "all say the same: {told:?}");
    told.remove(0)
}

/// Whether it is refused with these words, and a way out.
#[track_caller]
fn expect(bytes: &[u8], words: &[&str]) {
    let told = refused(bytes);
    for word in words.iter().chain(&["hint: "]) {
        assert!(told.contains(word), "`{word}` is missing in: {told}");
    }
}

#[test]
fn a_listing_that_was_cut_is_refused_at_the_place_where_it_ends() {
    let parts =
        ["\"f\", \"hand", "\"policy", "\"elem\": [", "\"expr\": [{", "\"right\": \"@", "null}"];
    for part in parts {
        let at = JSON.find(part).unwrap() + part.len();
        let line = JSON[..at].matches('\n').count() + 1;
        expect(&JSON.as_bytes()[..at], &[&format!("rules:{line}:"), "the JSON ends"]);
    }
}

#[test]
fn a_save_that_was_cut_or_wrapped_is_refused_with_its_line() {
    expect(SAVE.replace("COMMIT\n", "").as_bytes(), &["rules:7:1", "COMMIT is missing"]);
    expect(SAVE.replace("-m tcp --dport", "-m tcp\n--dport").as_bytes(), &["rules:7:1", "wrapped"]);
    expect(SAVE.replace(":a - [0:0]\n", "").as_bytes(), &["rules:5:", "no chain `a`"]);
    let circle = SAVE.replace("-A a -j ACCEPT", "-A a -j a");
    expect(circle.as_bytes(), &["rules:7:", "a circle of jumps"]);
    let unprinted = format!("{SAVE}# Table `nat' is incompatible, use 'nft' tool.\n");
    expect(unprinted.as_bytes(), &["rules:9:1", "table nat"]);
}

#[test]
fn chains_that_are_missing_or_go_in_a_circle_are_refused() {
    let (start, end) = (JSON.find(" {\"chain\"").unwrap(), JSON.find(" {\"set\"").unwrap());
    let without = format!("{}{}", &JSON[..start], &JSON[end..]);
    expect(without.as_bytes(), &["rules:3:", "chain i that is not listed"]);
    let circle = JSON.replace("{\"accept\": null}", "{\"jump\": {\"target\": \"i\"}}");
    expect(circle.as_bytes(), &["rules:2:", "in a circle: i → i"]);
}

#[test]
fn what_is_no_text_is_named() {
    expect(b"", &["it is empty"]);
    expect(b"\n \n", &["it is empty"]);
    expect(&[0x1f, 0x8b, 8, 0, 1, 2], &["gzip", "zcat"]);
    expect(&[0xff, 0xfe, b'*', 0], &["UTF-16", "iconv"]);
    let (start, end) = JSON.split_at(40);
    expect(format!("{start}\0{end}").as_bytes(), &["rules:1:41", "a byte 0"]);
}

#[test]
fn files_of_other_tools_are_named() {
    for (text, tool) in [
        ("set skip on lo\nblock in all\n", "pf"),
        ("00100 allow ip from any to any\n", "ipfw"),
        ("<?xml version=\"1.0\"?>\n<zone></zone>\n", "firewalld"),
        ("public (active)\n  target: default\n", "firewall-cmd"),
        ("Status: active\n", "ufw status"),
        ("#!/bin/sh\niptables -A INPUT -j DROP\n", "iptables-save"),
        ("Chain INPUT (policy DROP)\ntarget prot opt source destination\n", "iptables-save"),
        ("*filter\n:ufw-user-input - [0:0]\n-I ufw-user-input -j DROP\nCOMMIT\n", "ufw"),
        ("{\"SecurityGroups\": []}", "nft -j list ruleset"),
        ("[1, 2]", "nft -j list ruleset"),
    ] {
        expect(text.as_bytes(), &[tool]);
    }
}

#[test]
fn a_folder_is_no_file_of_rules() {
    let folder = TempDir::new().unwrap();
    let line = format!("firewall lint --rules {}", folder.path().display());
    let told = Program::line(&line).run().expect_code(2).stderr;
    assert!(told.contains("directory") && told.contains("hint: "), "{told}");
}

#[test]
fn what_editors_and_mailers_do_to_whole_files_changes_nothing() {
    for text in [SAVE.replace('\n', "\r\n"), format!("\u{feff}{SAVE}")] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules"), text).unwrap();
        fs::write(folder.path().join("whole"), SAVE).unwrap();
        let diff = Program::line("firewall diff rules whole --json").folder(&folder).run();
        assert_eq!(diff.expect_code(0).json()["equal"], true);
    }
}

#[test]
fn a_set_that_is_not_listed_leaves_the_answer_open() {
    let (start, end) = (JSON.find(" {\"set\"").unwrap(), JSON.find(" {\"rule\"").unwrap());
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("rules"), format!("{}{}", &JSON[..start], &JSON[end..])).unwrap();
    let words = "firewall simulate tcp 10.0.0.1 10.0.0.2:22 --hook input --rules rules --json";
    let told = Program::line(words).folder(&folder).run().expect_code(3).json();
    assert_eq!((&told["verdict"], &told["certain"]), (&"drop".into(), &false.into()), "{told}");
    let words = "firewall search --to-port 22/tcp --rules rules --json";
    let told = Program::line(words).folder(&folder).run().expect_code(3).json();
    assert_eq!(told["answer"], "depends");
}

#[test]
fn scripts_of_nft_are_refused_as_nft_does_it_and_tell_nothing_of_what_they_include() {
    require_root!();
    let table = |body: &str| {
        format!(
            "table inet f {{\n  chain i {{\n    type filter hook input priority 0; policy drop;\n    \
             {body}\n  }}\n}}\n"
        )
    };
    expect(table("tcp dport 22 acept").as_bytes(), &["rules:4:", "syntax error"]);
    expect(table("iif \"eth9\" accept").as_bytes(), &["rules:4:", "iifname"]);
    let circle = table("jump a")
        .replace("{\n  chain i", "{ chain a { jump b\n}; chain b { jump a\n}\n  chain i");
    expect(circle.as_bytes(), &["rules:", "circle"]);
    expect(b"include \"nosuch.nft\"\n", &["rules:1:1", "nosuch.nft"]);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("secret"), "root:$y$hidden:19000\n").unwrap();
    let include = format!("\ninclude \"{}/secret\"\n", folder.path().display());
    let told = refused(include.as_bytes());
    assert!(told.contains("rules:2:1") && told.contains("/secret:1:5: syntax error"), "{told}");
    assert!(!told.contains("hidden"), "{told}");
}

#[test]
fn scripts_of_nft_bring_their_includes_definitions_and_a_flush() {
    require_root!();
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("lan.nft"), "define LAN = 10.0.0.0/8\n").unwrap();
    let rules = "#!/usr/sbin/nft -f\nflush ruleset\ninclude \"lan.nft\"\ndefine PORTS = { 22, 443 }\n\
                 table inet f {\n  chain i {\n    type filter hook input priority 0; policy drop;\n    \
                 ip saddr $LAN tcp dport $PORTS accept\n  }\n}\n";
    fs::write(folder.path().join("rules.nft"), rules).unwrap();
    let search = "firewall search --to-port 22/tcp --rules rules.nft --json";
    let told = Program::line(search).folder(&folder).run().expect_code(0).json();
    assert_eq!(told["allowed"][0]["sources"], serde_json::json!(["10.0.0.0/8"]), "{told}");
}
