//! Packets that get lost on the way: by turns, and at random.

use crate::support::lab::{DST, Lab};
use crate::support::require_root;
use crate::support::scan::{ENGINES, Engine, both, each};

#[test]
fn an_open_port_whose_every_other_packet_is_lost_is_found_at_the_second_try() {
    require_root!();
    for engine in ENGINES {
        let lab = Lab::new();
        let _open = lab.dst.listen_on([5000]);
        lab.dst.filter_input(
            "tcp dport 5000 tcp flags & (syn | ack) == syn numgen inc mod 2 == 0 drop",
        );
        let scanned = engine.scan(&lab.src, "10.78.0.2 -p 5000,5001");
        let port = scanned.record(DST, "5000/tcp");
        assert_eq!(port["state"], "open", "{port}");
        // A connection of the kernel's sends its own SYN again after a second (RFC 6298 §2.1), which may
        // be before our second try: then the first one is answered, so late.
        let is_repeated = port["rtt_us"].as_u64().is_some_and(|late| late >= 1_000_000);
        assert!(port["tries"] == 2 || port["tries"] == 1 && is_repeated, "{port}");
    }
}

/// A fifth of all packets on the way there, a fifth on the way back: of a hundred probes, 36 come to
/// nothing. Congestion would get better with fewer packets; this does not.
#[test]
fn a_fifth_of_all_packets_lost_each_way_changes_no_state() {
    require_root!();
    let open: Vec<u16> = (20_000..21_000).step_by(10).collect();
    let scan = |engine: Engine| {
        let lab = Lab::new();
        let _open = lab.dst.listen_on(open.clone());
        lab.dst.lose(20, "20000-20999");
        engine.scan(&lab.src, "10.78.0.2 -p 20000-20999")
    };
    for _ in 0..3 {
        for scanned in each(scan) {
            assert_eq!(scanned.with_state("open"), open);
            assert_eq!(scanned.with_state("closed").len(), 900);
        }
    }
}

#[test]
fn loss_on_the_way_to_both_families_changes_no_state() {
    require_root!();
    let lab = Lab::new();
    let _open = lab.dst.listen_on([22, 80]);
    lab.dst.lose(5, "1-200");
    lab.dst.rules(
        "table inet more { chain more { type filter hook input priority 1
            tcp dport 101-110 drop
         }
        }",
    );
    for scanned in both(&lab.src, "10.78.0.2 fd78::2 -p 1-200") {
        let counts = scanned.counts();
        assert_eq!((counts["open"], counts["closed"], counts["filtered"]), (4, 376, 20));
    }
}
