//! Something in front that accepts connections for ports behind which nothing listens.

use crate::support::lab::{DST, Lab};
use crate::support::require_root;
use crate::support::scan::{Engine, both};

/// The router answers each SYN with a cookie and asks the host only then (nft-synproxy).
fn synproxy(lab: &Lab) {
    lab.rtr.set("net/netfilter/nf_conntrack_tcp_loose", 0);
    lab.rtr.set("net/ipv4/tcp_syncookies", 1);
    lab.rtr.rules(
        "table inet proxy {
           chain before { type filter hook prerouting priority raw
             iifname near tcp dport 4000-4099 tcp flags & (syn | ack | fin | rst) == syn notrack
           }
           chain through { type filter hook forward priority 0
             iifname near tcp dport 4000-4099 ct state invalid,untracked synproxy mss 1460 wscale 7 timestamp sack-perm
             ct state invalid drop
           }
         }",
    );
}

#[test]
fn a_syn_proxy_is_recognised_and_only_the_real_listener_verified() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([4000]);
    synproxy(&lab);
    let [connect, raw] = both(&lab.src, "10.78.0.2 -p 3999-4099");
    for scanned in [&connect, &raw] {
        assert_eq!(scanned.with_state("open").len(), 100);
        assert_eq!(scanned.with_state("closed"), [3999]);
        let verified: Vec<_> = scanned.ports.values().filter(|r| r["verified"] == true).collect();
        assert_eq!(verified.len(), 1, "{verified:?}");
        assert_eq!(scanned.record(DST, "4000/tcp")["verified"], true);
        let refuted = scanned.ports.values().filter(|r| r["verified"] == false).count();
        assert_eq!(refuted, 99);
        assert_eq!(scanned.hosts[&DST]["front"]["what"], "syn-proxy", "{:?}", scanned.hosts);
    }
    let front = &raw.hosts[&DST]["front"];
    assert_eq!(front["zero_window"], true, "{front}");
    assert_eq!(front["hop_limits"], serde_json::json!([64, 63]), "{front}");
}

#[test]
fn a_syn_proxy_is_one_line_of_the_table() {
    require_root!();
    let lab = Lab::new();
    synproxy(&lab);
    let program = Engine::Raw.program(&lab.src, "10.78.0.2 -p 3999-4099");
    let table = program.without("--jsonl").run().expect_code(0).stdout;
    assert!(table.lines().count() < 20, "{table}");
    assert!(table.to_lowercase().contains("syn proxy"), "{table}");
}

/// All ports lead to one: each connection is kept, and all look the same.
#[test]
fn a_thousand_ports_that_lead_to_one_are_told_as_one() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([80]);
    lab.dst.rules(
        "table ip lead { chain lead { type nat hook prerouting priority dstnat
            tcp dport 8000-8999 redirect to :80
         }
        }",
    );
    for scanned in both(&lab.src, "10.78.0.2 -p 8000-8999") {
        assert_eq!(scanned.with_state("open").len(), 1000);
        let front = &scanned.hosts[&DST]["front"];
        assert_eq!(front["ports"], 1000, "{front}");
    }
    let program = Engine::Raw.program(&lab.src, "10.78.0.2 -p 8000-8999");
    let table = program.without("--jsonl").run().expect_code(0).stdout;
    assert!(table.lines().count() < 20, "{table}");
}
