//! Limits: of a host's answers, and of how many ports there are.

use crate::support::lab::{DST, Lab, NEAR, Pair};
use crate::support::require_root;
use crate::support::scan::{ENGINES, Engine, both, each};

/// 20 RSTs a second, as a firewall that defends itself would limit them.
#[test]
fn closed_ports_behind_a_limit_on_resets_are_all_closed_and_the_limit_is_told() {
    require_root!();
    let scan = |engine: Engine| {
        let lab = Lab::new();
        lab.dst.filter_output("tcp flags & rst == rst limit rate over 20/second drop");
        engine.scan(&lab.src, "10.78.0.2 -p 2000-2119")
    };
    for scanned in each(scan) {
        assert_eq!(scanned.with_state("closed").len(), 120);
        let caps = scanned.hosts[&DST]["caps"].as_array().unwrap();
        let cap = caps.first().and_then(|cap| cap["per_second"].as_f64());
        assert!(cap.is_some_and(|cap| (10.0..40.0).contains(&cap)), "{caps:?}");
    }
}

#[test]
fn every_port_of_a_host_has_exactly_one_state() {
    require_root!();
    let pair = Pair::new();
    let _open = pair.dst.listen_on([1, 22, 32_768, 65_535]);
    for scanned in both(&pair.src, "10.76.0.2 -p-") {
        assert_eq!(scanned.ports.len(), 65_535);
        assert_eq!(scanned.with_state("open"), [1, 22, 32_768, 65_535]);
        assert_eq!(scanned.with_state("closed").len(), 65_531);
        assert_eq!(scanned.summary["closed"], 65_531);
    }
}

/// A rate is a ceiling. What is lost because it is high is asked again, not called filtered.
#[test]
fn a_high_rate_makes_no_port_filtered() {
    require_root!();
    let pair = Pair::new();
    let _open = pair.dst.listen_on([22]);
    for scanned in both(&pair.src, "10.76.0.2 -p- --rate 1000000") {
        assert_eq!(scanned.with_state("open"), [22]);
        assert_eq!(scanned.with_state("closed").len(), 65_534);
    }
}

#[test]
fn a_low_rate_is_kept() {
    require_root!();
    let pair = Pair::new();
    for engine in ENGINES {
        let scanned = engine.scan(&pair.src, "10.76.0.2 -p 1-100 --rate 100");
        assert_eq!(scanned.with_state("closed").len(), 100);
        let (probes, ms) = (&scanned.summary["probes"], &scanned.summary["elapsed_ms"]);
        let rate = probes.as_f64().unwrap() * 1e3 / ms.as_f64().unwrap();
        assert!(rate <= 115.0, "{rate}");
    }
}

#[test]
fn a_budget_ends_a_scan_and_leaves_the_rest_unknown() {
    require_root!();
    let pair = Pair::new();
    for engine in ENGINES {
        let words = "10.76.0.2 -p 1-1000 --rate 100 --budget 1s";
        let ran = engine.program(&pair.src, words).run().expect_code(3);
        let scanned = crate::support::scan::Scanned::new(ran);
        let counts = scanned.counts();
        assert_eq!(counts["closed"] + counts["unknown"], 1000, "{counts:?}");
        assert!(counts["closed"] >= 50 && counts["unknown"] >= 500, "{counts:?}");
        let unknown = scanned.ports.values().filter(|r| r["state"] == "unknown");
        assert!(unknown.clone().all(|r| r["reason"] == "not-finished"));
        assert_eq!(scanned.record(NEAR, "1/tcp")["ip"], "10.76.0.2");
    }
}
