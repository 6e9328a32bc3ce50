//! `firewall search`, `lint`, `diff` and `parity` on saved rules, as scripts call them.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::support::{Program, require_root};

const HEAD: &str = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";

/// A file of iptables-save with these rules in INPUT.
fn saved(folder: &TempDir, name: &str, rules: &[&str]) -> PathBuf {
    let rules: String = rules.iter().map(|rule| format!("-A INPUT {rule}\n")).collect();
    let path = folder.path().join(name);
    fs::write(&path, format!("{HEAD}{rules}COMMIT\n")).unwrap();
    path
}

const RULES: [&str; 5] = [
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-s 10.0.0.0/8 -p tcp -m tcp --dport 5432 -j ACCEPT",
    "-s 10.1.0.0/16 -p tcp -m tcp --dport 5432 -j DROP",
    "-p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT",
    "-p tcp -m tcp --dport 443 -j ACCEPT",
];

#[test]
fn a_search_says_who_may_and_by_which_rule() {
    let folder = TempDir::new().unwrap();
    let rules = saved(&folder, "saved", &RULES);
    let search = |words: &str| {
        let line = format!("firewall search {words} --rules v4:{}", rules.display());
        Program::line(&line).run()
    };
    let everybody = "--from 0.0.0.0/0";
    let document = search(&format!("--to-port 5432/tcp {everybody} --json")).expect_code(0).json();
    assert_eq!(document["kind"], "firewall-search");
    assert_eq!(document["answer"], "depends");
    assert_eq!(document["allowed"][0]["sources"], serde_json::json!(["10.0.0.0/8"]));
    assert_eq!(document["allowed"][0]["rules"][0]["index"], 1);
    assert_eq!(document["witness"]["dport"], 5432);
    let document = search(&format!("--to-port 443/tcp {everybody} --json")).expect_code(0).json();
    assert_eq!(document["answer"], "always");
    let document = search("--to-port 5432 --from 192.0.2.0/24 --json").expect_code(1).json();
    assert_eq!(document["answer"], "never");
    let document = search(&format!("--to-port 22/tcp {everybody} --json")).expect_code(3).json();
    assert_eq!(document["answer"], "depends");
    assert!(document["allowed"][0]["depends_on"][0].as_str().unwrap().contains("limit"));
}

#[test]
fn what_leaves_this_machine_is_searched_as_it_is_simulated() {
    let folder = TempDir::new().unwrap();
    let save = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
                -A OUTPUT -p tcp -m tcp --dport 25 -j DROP\nCOMMIT\n";
    let path = folder.path().join("saved");
    fs::write(&path, save).unwrap();
    let run = |words: &str| {
        Program::line(&format!("firewall {words} --hook output --rules v4:{}", path.display()))
            .run()
    };
    for (port, code, answer) in [(25, 1, "never"), (22, 0, "always")] {
        let found = run(&format!("search --to-port {port}/tcp --from 0.0.0.0/0 --json"))
            .expect_code(code)
            .json();
        assert_eq!(found["answer"], answer);
        run(&format!("simulate tcp 10.0.0.1 10.0.0.2:{port}")).expect_code(code);
    }
}

#[test]
fn rules_that_translate_to_elsewhere_are_not_called_equal() {
    let folder = TempDir::new().unwrap();
    let write = |name: &str, to: &str| {
        let save = format!(
            "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT \
             [0:0]\n-A PREROUTING -p tcp -m tcp --dport 81 -j DNAT --to-destination {to}\nCOMMIT\n"
        );
        let path = folder.path().join(name);
        fs::write(&path, save).unwrap();
        path.display().to_string()
    };
    let (one, other) = (write("one", "172.30.0.2:80"), write("other", "172.30.0.3:80"));
    let diff =
        |after: &str| Program::line(&format!("firewall diff v4:{one} v4:{after} --json")).run();
    let told = diff(&other).expect_code(1).json();
    assert_eq!(told["equal"], false, "{told}");
    let region = &told["regions"][0];
    assert_eq!((&region["before"], &region["after"]), (&"accept".into(), &"accept".into()));
    let to = |side: &str| region[side]["translated_to"].clone();
    assert_eq!(to("before_detail"), serde_json::json!({"dst": "172.30.0.2", "dport": 80}));
    assert_eq!(to("after_detail"), serde_json::json!({"dst": "172.30.0.3", "dport": 80}));
    assert_eq!(region["after_detail"]["translated_by"]["index"], 0);
    assert_eq!(diff(&one).expect_code(0).json()["equal"], true);
}

#[test]
fn lint_names_the_rule_and_what_hides_it() {
    let folder = TempDir::new().unwrap();
    let rules = saved(&folder, "saved", &RULES);
    let line = format!("firewall lint --rules v4:{} --json", rules.display());
    let document = Program::line(&line).run().expect_code(1).json();
    let shadowed = document["findings"].as_array().unwrap();
    let shadowed = shadowed.iter().find(|finding| finding["code"] == "shadowed").unwrap();
    assert_eq!(shadowed["rule"]["index"], 2);
    assert_eq!(shadowed["blockers"][0]["index"], 1);
    let clean = saved(&folder, "clean", &["-p tcp -m tcp --dport 443 -j ACCEPT"]);
    let six = folder.path().join("six");
    fs::copy(&clean, &six).unwrap();
    let (four, six) = (clean.display(), six.display());
    Program::line(&format!("firewall lint --rules v4:{four} v6:{six}")).run().expect_code(0);
    Program::line(&format!("firewall parity --rules v4:{four} v6:{six}")).run().expect_code(0);
    let alone = |words: &str| Program::line(&format!("firewall {words} --rules v4:{four}")).run();
    let untold = alone("parity --json").expect_code(3).json();
    assert!(
        untold["equal"].is_null() && untold["disparities"] == serde_json::json!([]),
        "{untold}"
    );
    assert_eq!(untold["gaps"][0]["what"], "the rules of IPv6");
    let told = alone("lint").expect_code(0);
    assert!(told.stdout.contains("not seen: the rules of IPv6"), "{}", told.stdout);
    let packet = alone("simulate tcp 2001:db8::1 [2001:db8::2]:443").expect_code(2);
    assert!(packet.stderr.contains("ip6tables-save"), "{}", packet.stderr);
}

#[test]
fn what_files_tell_of_one_family_alone_is_no_answer_for_both() {
    let folder = TempDir::new().unwrap();
    let rules = saved(&folder, "v4", &["-p tcp -m tcp --dport 443 -j ACCEPT"]);
    fs::copy(&rules, folder.path().join("six")).unwrap();
    let run = |line: &str| Program::line(&format!("firewall {line}")).folder(folder.path()).run();
    let search = |words: &str| run(&format!("search --to-port {words} --rules v4:v4"));

    let told = search("22 --json").expect_code(3).json();
    assert_eq!((&told["answer"], &told["complete"]), (&"depends".into(), &false.into()), "{told}");
    let families = serde_json::json!([
        {"family": "ip", "answer": "never"}, {"family": "ip6", "answer": null}
    ]);
    assert_eq!(told["families"], families);
    let told = search("22").expect_code(3);
    assert!(told.stdout.starts_with("NEVER over IPv4  no packet"), "{}", told.stdout);
    assert!(told.stdout.contains("\nNOT KNOWN over IPv6  "), "{}", told.stdout);
    assert!(told.stderr.contains("hint: name what ip6tables-save prints"), "{}", told.stderr);
    let told = search("443/tcp --json").expect_code(0).json();
    assert_eq!(
        (&told["answer"], &told["families"][0]["answer"]),
        (&"depends".into(), &"always".into())
    );
    search("22 --from 2001:db8::/32").expect_code(3);
    let told = search("22 --from 10.0.0.0/8 --json").expect_code(1).json();
    assert_eq!((&told["answer"], &told["complete"]), (&"never".into(), &true.into()));
    assert_eq!(told["gaps"], serde_json::json!([]));

    let shut = saved(&folder, "shut", &[]);
    let told = run(&format!("show --allowed --rules v4:{}", shut.display())).expect_code(3).stdout;
    assert!(
        told.starts_with("No new connection gets in over IPv4.\nNOT KNOWN over IPv6"),
        "{told}"
    );
    let told = run("show --allowed --rules v4:v4 --json").expect_code(3).json();
    assert_eq!(
        (&told["complete"], &told["families"][1]["answer"]),
        (&false.into(), &serde_json::Value::Null)
    );

    let told = run("diff v4:v4 v6:six --json").expect_code(3).json();
    assert_eq!(
        (&told["equal"], &told["complete"]),
        (&serde_json::Value::Null, &false.into()),
        "{told}"
    );
    let told = run("diff v4:v4 v4:v4,v6:six").expect_code(3).stdout;
    assert!(told.starts_with("IPv4: equal: the same"), "{told}");
    assert!(told.contains("IPv6: not compared: the rules before are of the other"), "{told}");
    let told = run("diff v4:v4 v4:shut,v6:six --json").expect_code(1).json();
    assert_eq!((&told["equal"], &told["complete"]), (&false.into(), &false.into()), "{told}");
    let told = run("diff v4:v4 v4:v4").expect_code(0).stdout;
    assert!(told.contains("IPv6: not compared: neither side tells its rules"), "{told}");
}

#[test]
fn lint_tells_of_rules_that_lack_the_same_once() {
    let folder = TempDir::new().unwrap();
    let error = |kind: u8| format!("-p icmp -m icmp --icmp-type {kind} -j ACCEPT");
    let rules = ["-m conntrack --ctstate INVALID -j DROP", &error(9), &error(10), &error(8)];
    let rules = saved(&folder, "saved", &rules);
    let told = Program::line(&format!("firewall lint --rules v4:{}", rules.display())).run();
    let told = told.expect_code(1).stdout;
    assert!(told.contains("shadowed (2 rules)\n"), "{told}");
    assert!(told.contains("--icmp-type 9 ") && told.contains("--icmp-type 10 "), "{told}");
    assert_eq!(told.matches("each: a rule before it").count(), 1, "{told}");
    assert!(!told.contains("--icmp-type 8 ") && told.contains("2 findings in 4 rules"), "{told}");
}

#[test]
fn families_are_compared_on_every_way_and_as_far_as_rules_tell_them_apart() {
    require_root!();
    let folder = TempDir::new().unwrap();
    let nft = |name: &str, input: &str, forward: &str, output: &str| {
        let rules = |of: &str| of.replace(';', "\n");
        let text = format!(
            "table inet f {{
                chain i {{ type filter hook input priority 0; policy drop; {}
                }}
                chain f {{ type filter hook forward priority 0; policy drop; {}
                }}
                chain o {{ type filter hook output priority 0; policy drop; {}
                }}
            }}",
            rules(input),
            rules(forward),
            rules(output)
        );
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let parity = |path: &str, words: &str| {
        Program::line(&format!("firewall parity --rules {path} {words} --json")).run()
    };
    let open = "ip saddr 10.0.0.0/8 tcp dport 22 accept; meta nfproto ipv6 tcp dport 22 accept";
    let input = nft("input", open, "", "");
    let told = parity(&input, "").expect_code(1).json();
    let one = &told["disparities"][0];
    assert_eq!(
        (&one["hook"], &one["ports"], &one["v6"]["state"]),
        (&"input".into(), &"22".into(), &"open".into())
    );
    assert_eq!(told["disparities"].as_array().unwrap().len(), 1);
    let forward = nft("forward", "", open, "");
    assert_eq!(parity(&forward, "").expect_code(1).json()["disparities"][0]["hook"], "forward");
    assert_eq!(parity(&forward, "--hook input").expect_code(0).json()["equal"], true);
    let calls = "ip daddr 10.0.0.0/8 udp dport 53 accept; meta nfproto ipv6 udp dport 53 accept";
    let output = nft("output", "", "", calls);
    let one = &parity(&output, "").expect_code(1).json()["disparities"][0];
    assert_eq!((&one["hook"], &one["v4"]["sources"][0]), (&"output".into(), &"10.0.0.0/8".into()));
    // Networks of one's own in both: to compare by eye. The internet in one of them: a finding.
    let own = "ip saddr 10.0.0.0/8 tcp dport 22 accept; ip6 saddr fd00::/8 tcp dport 22 accept";
    let told = parity(&nft("own", own, "", ""), "").expect_code(0).json();
    assert_eq!(told["restricted_in_both"][0]["v6"]["sources"][0], "fd00::/8");
    let wide = own.replace("fd00::/8", "2001:db8::/32");
    parity(&nft("wide", &wide, "", ""), "").expect_code(1);
    // A block list of one family leaves both open.
    let blocked = "ip saddr 192.0.2.0/24 drop; tcp dport 443 accept";
    let told = parity(&nft("blocked", blocked, "", ""), "").expect_code(0).json();
    assert_eq!(told["restricted_in_both"][0]["ports"], "443");
    parity(&input, "--hook prerouting").expect_code(2);
}

#[test]
fn rules_in_another_order_are_equal_and_a_narrower_one_is_shown() {
    let folder = TempDir::new().unwrap();
    let web = "-p tcp -m tcp --dport 443 -j ACCEPT";
    let ssh = "-p tcp -m tcp --dport 22 -j ACCEPT";
    let narrow = "-s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT";
    let one = saved(&folder, "one", &[web, ssh]);
    let other = saved(&folder, "other", &[ssh, web]);
    let third = saved(&folder, "third", &[web, narrow]);
    let diff = |after: &PathBuf| {
        Program::line(&format!("firewall diff {} {} --json", one.display(), after.display())).run()
    };
    assert_eq!(diff(&other).expect_code(0).json()["equal"], true);
    let document = diff(&third).expect_code(1).json();
    assert_eq!(document["equal"], false);
    assert_eq!(document["regions"][0]["before"], "accept");
    assert_eq!(document["regions"][0]["after"], "drop");
    assert_eq!(document["regions"][0]["witness"]["dport"], 22);
}
