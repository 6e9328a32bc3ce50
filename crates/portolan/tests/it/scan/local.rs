//! What goes wrong on our own side, which must never become the state of a port.

use crate::support::lab::{DST, Lab, NEAR, Pair};
use crate::support::require_root;
use crate::support::scan::{Engine, Scanned};

const FEW_DESCRIPTORS: [&str; 4] = ["sh", "-c", "ulimit -n 64; exec \"$@\"", "sh"];

fn mixed(pair: &Pair) -> crate::support::Server {
    pair.dst.filter_input("tcp dport { 100-104, 2990-2999 } drop");
    pair.dst.listen_on((50..3000).step_by(100))
}

fn expect_mixed(scanned: &Scanned) {
    let counts = scanned.counts();
    assert_eq!((counts["open"], counts["filtered"]), (30, 15), "{counts:?}");
    assert_eq!(counts["closed"], 2955, "{counts:?}");
}

#[test]
fn sixty_four_descriptors_change_no_state() {
    require_root!();
    let pair = Pair::new();
    let _open = mixed(&pair);
    let words = "10.76.0.2 -p 1-3000";
    let program = Engine::Connect.program_within(&pair.src, words, &FEW_DESCRIPTORS);
    expect_mixed(&Scanned::new(program.run().expect_code(0)));
}

#[test]
fn fifty_source_ports_change_no_state() {
    require_root!();
    let pair = Pair::new();
    let _open = mixed(&pair);
    pair.src.set("net/ipv4/ip_local_port_range", "40000 40049");
    expect_mixed(&Engine::Connect.scan(&pair.src, "10.76.0.2 -p 1-3000"));
}

#[test]
fn fifty_source_ports_and_sixty_four_descriptors_change_no_state_of_udp() {
    require_root!();
    let pair = Pair::new();
    pair.src.set("net/ipv4/ip_local_port_range", "40000 40049");
    let words = "10.76.0.2 -p u:7000-7004";
    let program = Engine::Connect.program_within(&pair.src, words, &FEW_DESCRIPTORS);
    let scanned = Scanned::new(program.run().expect_code(0));
    assert_eq!(scanned.with_state("closed").len(), 5);
}

/// An output rule of our own refuses sendto(2) with EPERM: nothing was asked, so nothing is known.
#[test]
fn udp_that_our_own_rules_refuse_is_unknown() {
    require_root!();
    let pair = Pair::new();
    pair.src.filter_output("udp dport 7001 drop");
    let program = Engine::Connect.program(&pair.src, "10.76.0.2 -p u:7000-7001");
    let scanned = Scanned::new(program.run().expect_code(3));
    scanned.expect(
        NEAR,
        &[("7000/udp", "closed icmp-3-3 10.76.0.2"), ("7001/udp", "unknown local-error")],
    );
    assert_eq!(scanned.record(NEAR, "7001/udp")["local_error"], "not-permitted");
}

/// Of TCP the kernel says nothing: to the program a dropped SYN of its own is silence. A packet
/// socket is not asked by those rules.
#[test]
fn tcp_that_our_own_rules_drop_is_silent_to_a_connect_and_seen_by_packets() {
    require_root!();
    let lab = Lab::new();
    lab.src.filter_output("tcp dport 81 drop");
    let connect = Engine::Connect.scan(&lab.src, "10.78.0.2 -p 80-81");
    let raw = Engine::Raw.scan(&lab.src, "10.78.0.2 -p 80-81");
    let closed = "closed reset 10.78.0.2";
    connect.expect(DST, &[("80/tcp", closed), ("81/tcp", "filtered no-response")]);
    raw.expect(DST, &[("80/tcp", closed), ("81/tcp", closed)]);
}

#[test]
fn a_network_without_a_route_is_unknown_and_not_filtered() {
    require_root!();
    let pair = Pair::new();
    for engine in crate::support::scan::ENGINES {
        let ran = engine.program(&pair.src, "10.200.0.1 -p 80").run().expect_code(3);
        let scanned = Scanned::new(ran);
        scanned.expect([10, 200, 0, 1].into(), &[("80/tcp", "unknown local-error")]);
        let record = scanned.record([10, 200, 0, 1].into(), "80/tcp");
        assert_eq!(record["local_error"], "no-route", "{record}");
    }
}
