//! UDP: what answers, what refuses, and what cannot be told.

use crate::support::lab::{DST, DST6, Lab, udp_services};
use crate::support::require_root;
use crate::support::scan::{Engine, both, each};

#[test]
fn udp_ports_are_told_by_answer_refusal_and_silence() {
    require_root!();
    let scan = |engine: Engine| {
        let lab = Lab::new();
        let _services = udp_services(&lab.dst);
        lab.dst.filter_input(
            "udp dport 6002 drop
             udp dport 6003 reject with icmpx type admin-prohibited",
        );
        lab.rtr.filter_forward("udp dport 6004 reject with icmpx type port-unreachable");
        engine.scan(&lab.src, "10.78.0.2 fd78::2 -p u:53,123,6000-6005")
    };
    for scanned in each(scan) {
        scanned.expect(
            DST,
            &[
                ("53/udp", "open udp-reply 10.78.0.2"),
                ("123/udp", "open udp-reply 10.78.0.2"),
                ("6000/udp", "open|filtered no-response"),
                ("6001/udp", "closed icmp-3-3 10.78.0.2"),
                ("6002/udp", "open|filtered no-response"),
                ("6003/udp", "filtered icmp-3-13 10.78.0.2"),
                ("6004/udp", "filtered icmp-3-3 10.77.0.254"),
                ("6005/udp", "open reply-from:6006 10.78.0.2"),
            ],
        );
        scanned.expect(
            DST6,
            &[
                ("53/udp", "open udp-reply fd78::2"),
                ("123/udp", "open udp-reply fd78::2"),
                ("6000/udp", "open|filtered no-response"),
                ("6001/udp", "closed icmp6-1-4 fd78::2"),
                ("6002/udp", "open|filtered no-response"),
                ("6003/udp", "filtered icmp6-1-1 fd78::2"),
                ("6004/udp", "filtered icmp6-1-4 fd77::fe"),
                ("6005/udp", "open reply-from:6006 fd78::2"),
            ],
        );
    }
}

/// The kernel answers six at once and then one a second: who asks faster learns less.
#[test]
fn twenty_closed_udp_ports_behind_the_kernel_s_limit_are_closed() {
    require_root!();
    let twenty = |engine: Engine| {
        let lab = Lab::new();
        engine.scan(&lab.src, "10.78.0.2 -p u:7000-7019")
    };
    for scanned in each(twenty) {
        assert_eq!(scanned.with_state("closed").len(), 20, "{:?}", scanned.counts());
        let caps = scanned.hosts[&DST]["caps"].as_array().unwrap();
        let cap = caps.iter().find(|cap| cap["what"] == "icmp").expect("the limit is told");
        let rate = cap["per_second"].as_f64().unwrap();
        assert!((0.7..1.5).contains(&rate), "{cap}");
    }
}

#[test]
fn tcp_and_udp_go_in_one_run() {
    require_root!();
    let lab = Lab::new();
    let _services = (udp_services(&lab.dst), lab.dst.listen_on([53]));
    for scanned in both(&lab.src, "10.78.0.2 -p t:53,54,u:53,54") {
        scanned.expect(
            DST,
            &[
                ("53/tcp", "open syn-ack 10.78.0.2"),
                ("54/tcp", "closed reset 10.78.0.2"),
                ("53/udp", "open udp-reply 10.78.0.2"),
                ("54/udp", "closed icmp-3-3 10.78.0.2"),
            ],
        );
    }
}
