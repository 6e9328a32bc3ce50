//! Multicast that a change would cut: told before, with the port only where it is known.

use serde_json::{Value, json};

use crate::support::{Server, require_root};

use super::stage::{OPEN, Stage};

/// Joins groups on v0 and waits on ports; `raw` waits for protocols.
fn member(stage: &Stage, groups: &[&str], ports: &[u16], raw: &[u8]) -> Server {
    stage.here.python(&format!(
        r#"
import struct
index = socket.if_nametoindex("v0")
def join(group):
    if ":" in group:
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.setsockopt(41, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
    else:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton("192.0.2.2"))
    kept.append(s)
def wait(port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("::", port))
    kept.append(s)
for group in {groups:?}: join(group)
for port in {ports:?}: wait(port)
for protocol in {raw:?}: kept.append(socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))
"#
    ))
}

#[track_caller]
fn planned(stage: &Stage, inventory: &str) -> Value {
    stage.apply(inventory, "--dry-run --json").run().expect_code(0).json()
}

/// `group protocol port processes refused`, a row each.
fn rows(plan: &Value) -> Vec<String> {
    let row = |row: &Value| {
        assert_eq!(row["interface"], "v0");
        let port = row["port"].as_u64().map_or("-".to_owned(), |port| port.to_string());
        let processes = row["processes"].as_array().unwrap().len();
        let word = |key: &str| row[key].as_str().unwrap_or("-").to_owned();
        let words = [word("group"), word("name"), word("protocol"), port];
        format!("{} {processes} {}", words.join(" "), word("refused"))
    };
    plan["groups"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn groups_that_would_be_cut_are_told_with_what_is_known_of_their_use() {
    require_root!();
    let stage = Stage::new();
    let groups = ["224.0.0.251", "224.0.0.18", "239.255.255.250", "239.1.2.3", "ff02::fb"];
    let _member = member(&stage, &groups, &[5353, 1900], &[112]);
    let plan = planned(&stage, OPEN);
    assert_eq!(
        rows(&plan),
        [
            "224.0.0.18 VRRP ip:112 - 1 all",
            "224.0.0.251 mDNS udp 5353 1 all",
            "239.1.2.3 - udp - 0 all",
            // WS-Discovery has the same address, but nobody waits for it.
            "239.255.255.250 SSDP udp 1900 1 all",
            "ff02::fb mDNS udp 5353 1 all",
        ]
    );
    assert_eq!(plan["queries"], json!([]), "the base answers who asks for members");
    let text = stage.apply(OPEN, "--dry-run").run().expect_code(0).stdout;
    assert!(text.contains("multicast that would no longer arrive:"), "{text}");
    assert!(text.contains("  224.0.0.251 on v0: 5353/udp (mDNS)  python3"), "{text}");
    assert!(text.contains("  224.0.0.18 on v0: ip:112 (VRRP)  python3"), "{text}");
    assert!(text.contains("  239.1.2.3 on v0: its port is not known, no port of UDP"), "{text}");
}

#[test]
fn what_the_policy_lets_in_is_not_told() {
    require_root!();
    let stage = Stage::new();
    let _member = member(&stage, &["224.0.0.251", "224.0.0.18", "239.1.2.3"], &[5353], &[112]);
    let with = |more: &str| format!("{OPEN}{more}");
    let mdns = "[services.mdns]\non = [\"box\"]\nports = [\"5353/udp\"]\nfrom = [\"any\"]\nto = [\"224.0.0.251\"]\n";
    let vrrp = "[services.vrrp]\non = [\"box\"]\nports = [\"ip:112\"]\nfrom = [\"192.0.2.0/24\"]\n";
    let plan = planned(&stage, &with(&[mdns, vrrp].concat()));
    assert_eq!(rows(&plan), ["239.1.2.3 - udp - 0 all"]);

    // Open to every address: the port of the unknown group may be among them.
    let wide = "[services.wide]\non = [\"box\"]\nports = [\"5000-5010/udp\"]\nfrom = [\"any\"]\n";
    let plan = planned(&stage, &with(&[mdns, vrrp, wide].concat()));
    assert_eq!(rows(&plan), ["239.1.2.3 - udp - 0 other-ports"]);
    assert_eq!(plan["groups"][0]["let_in"], "5000-5010");

    // From half of the neighbours only.
    let half = vrrp.replace("192.0.2.0/24", "192.0.2.0/25");
    let plan = planned(&stage, &with(&[mdns, &half].concat()));
    assert_eq!(rows(&plan)[0], "224.0.0.18 VRRP ip:112 - 1 some");
    assert_eq!(plan["groups"][0]["sender"], "192.0.2.254");
}

#[test]
fn a_group_whose_socket_is_bound_to_it_has_a_port() {
    require_root!();
    let stage = Stage::new();
    let _member = stage.here.python(
        r#"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("239.9.9.9", 7000))
s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.9.9.9") + socket.inet_aton("192.0.2.2"))
kept.append(s)
"#,
    );
    assert_eq!(rows(&planned(&stage, OPEN)), ["239.9.9.9 - udp 7000 1 all"]);
}

/// Without the base a switch that asks for members gets no answer.
#[test]
fn queries_that_would_be_refused_are_told() {
    require_root!();
    let stage = Stage::new();
    let _member = member(&stage, &["224.0.0.251", "ff02::fb"], &[5353], &[]);
    let bare = OPEN.replace(
        "address = [\"192.0.2.2\"]\n",
        "address = [\"192.0.2.2\"]\nfirewall = { base = false }\n",
    );
    let plan = planned(&stage, &bare);
    assert_eq!(
        plan["queries"],
        json!([{"protocol": "igmp", "interface": "v0"}, {"protocol": "mld", "interface": "v0"}])
    );
    let text = stage.apply(&bare, "--dry-run").run().expect_code(0).stdout;
    assert!(text.contains("IGMP queries on v0 would be refused"), "{text}");
}
