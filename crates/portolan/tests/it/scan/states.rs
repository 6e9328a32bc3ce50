//! Open, closed and filtered, who said so and why: by hosts, routers and their rules.

use std::net::IpAddr;

use crate::support::lab::{DST, DST6, Lab, Pair, RTR};
use crate::support::require_root;
use crate::support::scan::{Engine, both, each};

#[test]
fn open_closed_and_dropped_ports_are_told_apart_behind_a_router() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([22, 80]);
    lab.dst.filter_input("tcp dport 82 drop");
    for scanned in both(&lab.src, "10.78.0.2 -p 22,80-82") {
        scanned.expect(
            DST,
            &[
                ("22/tcp", "open syn-ack 10.78.0.2"),
                ("80/tcp", "open syn-ack 10.78.0.2"),
                ("81/tcp", "closed reset 10.78.0.2"),
                ("82/tcp", "filtered no-response"),
            ],
        );
        assert_eq!(scanned.record(DST, "22/tcp")["miss_probability"], 0.0);
        let miss = scanned.record(DST, "82/tcp")["miss_probability"].as_f64().unwrap();
        assert!(miss < 1e-3, "{miss}");
    }
}

#[test]
fn open_closed_and_dropped_ports_are_told_apart_on_the_link() {
    require_root!();
    let pair = Pair::new();
    let _open = pair.dst.listen_on([22, 80]);
    pair.dst.filter_input("tcp dport 82 drop");
    for scanned in both(&pair.src, "10.76.0.2 fd76::2 -p 22,81,82") {
        for address in ["10.76.0.2", "fd76::2"] {
            let said = |word: &str| format!("{word} {address}");
            scanned.expect(
                address.parse().unwrap(),
                &[
                    ("22/tcp", &said("open syn-ack")),
                    ("81/tcp", &said("closed reset")),
                    ("82/tcp", "filtered no-response"),
                ],
            );
        }
    }
}

#[test]
fn a_reset_means_closed_whoever_sends_it() {
    require_root!();
    let lab = Lab::new();
    lab.dst.filter_input("tcp dport 83 reject with tcp reset");
    lab.rtr.filter_forward("tcp dport 93 reject with tcp reset");
    let [connect, raw] = both(&lab.src, "10.78.0.2 -p 80-83,93");
    for scanned in [&connect, &raw] {
        assert_eq!(scanned.with_state("closed"), [80, 81, 82, 83, 93]);
    }
    // Only who sees the packet sees that it came from nearer.
    assert_eq!(raw.record(DST, "93/tcp")["note"], "answered-nearer");
    assert!(raw.record(DST, "83/tcp")["note"].is_null());
}

#[test]
fn a_refusal_by_icmp_is_filtered_and_names_who_refuses() {
    require_root!();
    let lab = Lab::new();
    lab.dst.filter_input(
        "tcp dport 84 reject with icmp type admin-prohibited
         tcp dport 85 reject with icmp type port-unreachable",
    );
    lab.rtr.filter_forward(
        "tcp dport 91 reject with icmp type admin-prohibited
         tcp dport 92 reject with icmp type port-unreachable",
    );
    for scanned in both(&lab.src, "10.78.0.2 -p 81,84,85,91,92") {
        scanned.expect(
            DST,
            &[
                ("81/tcp", "closed reset 10.78.0.2"),
                ("84/tcp", "filtered icmp-3-13 10.78.0.2"),
                ("85/tcp", "filtered icmp-3-3 10.78.0.2"),
                ("91/tcp", "filtered icmp-3-13 10.77.0.254"),
                ("92/tcp", "filtered icmp-3-3 10.77.0.254"),
            ],
        );
    }
}

/// Seven refusals in a row: the kernel sends six at once and then one a second.
#[test]
fn every_code_of_unreachable_comes_back_though_they_are_limited() {
    require_root!();
    let codes = [
        ("host-unreachable", 86),
        ("net-unreachable", 87),
        ("host-prohibited", 88),
        ("net-prohibited", 89),
        ("prot-unreachable", 90),
        ("admin-prohibited", 91),
        ("port-unreachable", 92),
    ];
    let rules = codes.map(|(code, port)| format!("tcp dport {port} reject with icmp type {code}"));
    let scan = |engine: Engine| {
        let lab = Lab::new();
        lab.dst.filter_input(&rules.join("\n"));
        engine.scan(&lab.src, "10.78.0.2 -p 86-92")
    };
    for scanned in each(scan) {
        scanned.expect(
            DST,
            &[
                ("86/tcp", "filtered icmp-3-1 10.78.0.2"),
                ("87/tcp", "filtered icmp-3-0 10.78.0.2"),
                ("88/tcp", "filtered icmp-3-10 10.78.0.2"),
                ("89/tcp", "filtered icmp-3-9 10.78.0.2"),
                ("90/tcp", "filtered icmp-3-2 10.78.0.2"),
                ("91/tcp", "filtered icmp-3-13 10.78.0.2"),
                ("92/tcp", "filtered icmp-3-3 10.78.0.2"),
            ],
        );
    }
}

#[test]
fn a_packet_that_runs_out_of_hops_is_filtered_where_it_did() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.rules(
        "table ip short { chain short {
            type filter hook prerouting priority mangle
            tcp dport 5100 ip ttl set 1
         }
        }",
    );
    for scanned in both(&lab.src, "10.78.0.2 -p 5099,5100") {
        let (closed, short) = ("closed reset 10.78.0.2", "filtered icmp-11-0 10.77.0.254");
        scanned.expect(DST, &[("5099/tcp", closed), ("5100/tcp", short)]);
    }
}

/// Such a route of Linux allows the sender two or three errors at once and one every other second.
#[test]
fn a_route_that_refuses_is_told_by_its_router_for_every_port() {
    require_root!();
    for (route, why) in [("unreachable", "icmp-3-1"), ("prohibit", "icmp-3-13")] {
        let scan = |engine: Engine| {
            let lab = Lab::new();
            lab.rtr.ip(&format!("route add {route} 10.78.1.0/24"));
            engine.scan(&lab.src, "10.78.1.1 -p 80,81")
        };
        let why = format!("filtered {why} 10.77.0.254");
        for scanned in each(scan) {
            scanned.expect([10, 78, 1, 1].into(), &[("80/tcp", &why), ("81/tcp", &why)]);
        }
    }
}

#[test]
fn a_route_that_swallows_is_silent_without_a_claim() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.ip("route add blackhole 10.78.3.0/24");
    for scanned in both(&lab.src, "10.78.3.1 -p 80,81") {
        let (host, silent) = ([10, 78, 3, 1].into(), "filtered no-response");
        scanned.expect(host, &[("80/tcp", silent), ("81/tcp", silent)]);
        let record = scanned.record(host, "80/tcp");
        assert!(record["miss_probability"].is_null(), "nobody ever answered: {record}");
        assert_eq!(scanned.summary["hosts_silent"], 1, "{}", scanned.summary);
    }
}

#[test]
fn both_families_are_scanned_in_one_run() {
    require_root!();
    let scan = |engine: Engine| {
        let lab = Lab::new();
        let _open = lab.dst.listen_on([22]);
        lab.dst.filter_input(
            "tcp dport 82 drop
             meta nfproto ipv6 tcp dport 84 reject with icmpv6 type admin-prohibited
             meta nfproto ipv6 tcp dport 85 reject with icmpv6 type port-unreachable
             meta nfproto ipv6 tcp dport 86 reject with icmpv6 type addr-unreachable
             meta nfproto ipv6 tcp dport 87 reject with icmpv6 type no-route",
        );
        engine.scan(&lab.src, "10.78.0.2 fd78::2 -p 22,81-87")
    };
    for scanned in each(scan) {
        scanned.expect(
            DST6,
            &[
                ("22/tcp", "open syn-ack fd78::2"),
                ("81/tcp", "closed reset fd78::2"),
                ("82/tcp", "filtered no-response"),
                ("83/tcp", "closed reset fd78::2"),
                ("84/tcp", "filtered icmp6-1-1 fd78::2"),
                ("85/tcp", "filtered icmp6-1-4 fd78::2"),
                ("86/tcp", "filtered icmp6-1-3 fd78::2"),
                ("87/tcp", "filtered icmp6-1-0 fd78::2"),
            ],
        );
        let closed = [81, 83, 84, 85, 86, 87].map(|port| format!("{port}/tcp"));
        for port in closed {
            assert_eq!(scanned.record(DST, &port)["state"], "closed", "{port}");
        }
        assert_eq!(scanned.record(DST, "82/tcp")["state"], "filtered");
    }
}

/// The router is a host too, on the link and with another address behind.
#[test]
fn a_router_answers_for_itself_on_both_sides() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.rtr.listen_on([179]);
    for scanned in both(&lab.src, "10.77.0.254 10.78.0.254 -p 179,180") {
        for address in [RTR, IpAddr::from([10, 78, 0, 254])] {
            let (open, closed) =
                (format!("open syn-ack {address}"), format!("closed reset {address}"));
            scanned.expect(address, &[("179/tcp", &open), ("180/tcp", &closed)]);
        }
    }
}
