//! Policies drawn at random: nft takes every table compiled from one, and it is proved to be right.

use std::process::Stdio;

use portolan_core::firewall::{Difference, Policy, Ruleset, compile, prove};
use portolan_core::inventory::{Resolutions, file};

use crate::support::policies::policy;
use crate::support::{Netns, require_root};

/// So many policies are tried; each takes some twenty milliseconds.
const POLICIES: u64 = 150;

/// What nft says about a table, without loading it.
fn complaint(netns: &Netns, policy: &Policy) -> Option<String> {
    use std::io::Write as _;
    let mut command = netns.command("nft");
    command.args(["-c", "-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut nft = command.spawn().unwrap();
    let text = compile(policy).to_string();
    nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = nft.wait_with_output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned() + &text)
}

#[test]
fn nft_takes_the_table_of_every_policy() {
    require_root!();
    let netns = Netns::new();
    for seed in 0..POLICIES {
        let complaint = complaint(&netns, &policy(seed));
        assert!(complaint.is_none(), "policy {seed}: {}", complaint.unwrap_or_default());
    }
}

#[test]
fn the_same_policy_gives_the_same_bytes() {
    for seed in 0..POLICIES {
        assert_eq!(compile(&policy(seed)).to_string(), compile(&policy(seed)).to_string());
    }
}

/// Loads the table of a policy and reads it back.
fn read_back(policy: &Policy) -> Ruleset {
    loaded(&compile(policy).to_string())
}

fn loaded(text: &str) -> Ruleset {
    let netns = Netns::new();
    netns.rules(text);
    Ruleset::from_nft_json(netns.output("nft -j list ruleset").as_bytes()).unwrap()
}

#[test]
fn the_table_of_every_policy_is_proved_to_do_what_the_policy_says() {
    require_root!();
    for seed in 0..POLICIES / 2 {
        let policy = policy(seed);
        let proof = prove(&policy, &read_back(&policy)).unwrap();
        let told = |d: &Difference| format!("{:?} {} {:?}", d.way, d.is_intended, d.witness);
        let differences: Vec<String> = proof.differences.iter().map(told).collect();
        assert!(
            proof.holds(),
            "policy {seed}: {differences:#?}\n{}\n{:#?}",
            compile(&policy),
            policy
        );
    }
}

const SITE: &str = r#"portolan = 1
[management]
from = ["10.0.0.0/24"]
ports = ["22/tcp"]
[networks]
office = ["203.0.113.0/28", "198.51.100.7", "2001:db8:0ff1::/48"]
lab = { cidr = "10.9.0.0/16", interface = "eth1" }
[hosts.web]
address = "10.0.0.1"
firewall = { egress = "drop" }
[hosts.db]
address = "10.0.0.2"
[services.app]
on = "web"
ports = ["443/tcp", "8000-8010/udp"]
from = ["office", "lab"]
limit = "6/30s"
[services.open]
on = "web"
ports = "80/tcp"
from = "any"
[services.hidden]
on = "web"
ports = "22/tcp"
from = "any"
behind = "gate"
[services.sql]
on = "db"
ports = "5432/tcp"
from = "web"
[doors.gate]
on = "web"
method = "sequence"
sequence = ["7000/tcp", "8000/tcp"]
[forwards.sql-in]
on = "web"
listen = "15432/tcp"
to = "sql@db"
via = "nat"
masquerade = true
from = "office"
[[block]]
from = ["192.0.2.0/24", "192.0.3.1"]
"#;

/// Changes of the text, each of which changes what the table does.
const TAMPERED: &[(&str, &str)] = &[
    ("198.51.100.7", "198.51.100.6"),
    ("203.0.113.0/28", "203.0.113.0/29"),
    ("443 : jump svc-app", "444 : jump svc-app"),
    ("8000-8010 : jump svc-app", "8000-8011 : jump svc-app"),
    ("80 : jump svc-open", "80 : jump svc-app"),
    ("elements = { 5432 : jump svc-sql }", ""),
    ("rate over 12/minute burst 6 packets", "rate over 13/minute burst 6 packets"),
    ("rate over 12/minute burst 6 packets", "rate over 12/minute burst 7 packets"),
    ("ip saddr != @limit-app-v4 ", ""),
    ("update @limit-app-rest { meta l4proto limit rate over 20/second burst 600 packets } ", ""),
    ("iifname \"eth1\" ", ""),
    ("ip saddr @door-gate-v4 ", "meta nfproto ipv4 "),
    ("saddr @door-gate-v4 ", "saddr @knock-gate-1-v4 "),
    ("ct state invalid counter drop", "ct state invalid counter"),
    ("ct state established,related", "ct state established"),
    ("ip6 hoplimit 255", "ip6 hoplimit 254"),
    ("icmp type { 3, 8,", "icmp type { 3, 9,"),
    ("counter drop comment \"pt:default\"", "counter"),
    ("counter drop comment \"pt:block\"", "counter"),
    ("dnat ip to 10.0.0.2:5432", "dnat ip to 10.0.0.2:5433"),
    ("dnat ip to 10.0.0.2:5432", "dnat ip to 10.0.0.3:5432"),
    ("fib daddr type local", ""),
    ("proto-dst 15432 counter masquerade", "proto-dst 15433 counter masquerade"),
    ("ct status dnat ct direction original jump", "ct status dnat ct direction reply jump"),
    ("fib daddr type != local", "fib daddr type local"),
    ("ct mark set ct mark | 0x08000000", "ct mark set ct mark | 0x04000000"),
    ("== 0x08000000 ct mark set ct mark & 0xf7ffffff accept", "== 0 accept"),
    ("tcp flags ack tcp sport", "tcp flags fin tcp sport"),
    ("hook output", "hook input"),
    ("update @limit-app-v4 { ip saddr", "update @limit-app-v4 { ip daddr"),
];

#[test]
fn whatever_is_changed_in_a_table_is_found_with_a_packet_that_shows_it() {
    require_root!();
    let inventory = file::parse("portolan.toml", SITE.as_bytes()).unwrap();
    let policy = inventory.policy(inventory.host("web").unwrap(), &Resolutions::default());
    let text = compile(&policy).to_string();
    assert!(prove(&policy, &loaded(&text)).unwrap().holds(), "{text}");
    for (what, instead) in TAMPERED {
        let changed = text.replace(what, instead);
        assert_ne!(text, changed, "{what}\n{text}");
        let proof = prove(&policy, &loaded(&changed)).unwrap();
        assert!(!proof.differences.is_empty(), "{what} → {instead} is not noticed\n{changed}");
    }
}

/// Without nft: our own reader understands every table, and what it understands is proved.
#[test]
fn the_table_of_every_policy_is_proved_without_nft_too() {
    for seed in 0..POLICIES / 5 {
        let policy = policy(seed);
        let text = compile(&policy).to_string();
        let read = Ruleset::from_own_text(&text).unwrap_or_else(|e| panic!("{seed}: {e}\n{text}"));
        let proof = prove(&policy, &read).unwrap();
        assert!(proof.holds(), "policy {seed}: {:#?}\n{text}", proof.differences);
    }
}

#[test]
fn whatever_is_changed_in_a_table_is_found_without_nft_too() {
    let inventory = file::parse("portolan.toml", SITE.as_bytes()).unwrap();
    let policy = inventory.policy(inventory.host("web").unwrap(), &Resolutions::default());
    let text = compile(&policy).to_string();
    for (what, instead) in TAMPERED {
        let changed = text.replace(what, instead);
        // A word that `compile` does not write is not understood, and so not proved either.
        let Ok(read) = Ruleset::from_own_text(&changed) else { continue };
        let proof = prove(&policy, &read).unwrap();
        assert!(!proof.differences.is_empty(), "{what} → {instead} is not noticed\n{changed}");
    }
}

#[test]
fn what_must_never_be_reachable_is_found_where_it_is() {
    require_root!();
    let never = "[[never]]\nservice = \"open\"\nfrom = [\"198.51.100.0/24\"]\nreason = \"audit\"\n\
                 [[never]]\nports = [\"8080/tcp\"]\nfrom = [\"any\"]\n";
    let inventory = file::parse("portolan.toml", format!("{SITE}{never}").as_bytes()).unwrap();
    let policy = inventory.policy(inventory.host("web").unwrap(), &Resolutions::default());
    let proof = prove(&policy, &read_back(&policy)).unwrap();
    assert!(proof.differences.is_empty() && !proof.holds());
    let found: Vec<(&str, &str)> =
        proof.violations.iter().map(|v| (&*v.name, v.way.as_str())).collect();
    assert_eq!(found, [("audit", "input"), ("audit", "forward")]);
    assert_eq!(proof.violations[0].witness.packet.destination_port, 80);
}
