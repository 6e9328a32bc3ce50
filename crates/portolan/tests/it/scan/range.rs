//! Many targets: a few hosts in a large network, and the memory that takes.

use std::net::IpAddr;

use crate::support::Server;
use crate::support::lab::{Lab, responder};
use crate::support::require_root;
use crate::support::scan::{ENGINES, Engine, Scanned, each};

/// Hosts of 10.79.0.0/20, two of them in its first /24.
const THERE: [[u8; 4]; 4] = [[10, 79, 0, 1], [10, 79, 0, 200], [10, 79, 3, 4], [10, 79, 15, 255]];

fn large_network(lab: &Lab) -> Server {
    lab.rtr.ip("route add 10.79.0.0/16 via 10.78.0.2");
    responder(
        &lab.dst,
        &THERE.map(IpAddr::from),
        "for reply in host_like(p, [80]): yield (.002, reply)",
    )
}

/// Starts its arguments and tells the largest resident set, as wait4(2) reports it.
const MEASURED: [&str; 3] = [
    "/usr/bin/python3",
    "-c",
    "import os, sys
child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
status, usage = os.wait4(child, 0)[1:]
print('peak', usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))",
];

/// The scan and its peak memory in kilobytes.
fn measured(engine: Engine, lab: &Lab, words: &str) -> (Scanned, u64) {
    let ran = engine.program_within(&lab.src, words, &MEASURED).run().expect_code(0);
    let peak = ran.stderr.lines().find_map(|line| line.strip_prefix("peak ")?.parse().ok());
    let peak = peak.unwrap_or_else(|| panic!("{}", ran.stderr));
    (Scanned::new(ran), peak)
}

/// Sixteen times the addresses; `make bench` has a /16.
#[test]
fn a_large_network_is_complete_and_takes_no_more_memory_than_a_small_one() {
    require_root!();
    each(|engine| {
        let lab = Lab::new();
        let _hosts = large_network(&lab);
        let (small, of_small) = measured(engine, &lab, "10.79.0.0/24 -p 80");
        assert_eq!(small.ports.len(), 256);
        let (large, of_large) = measured(engine, &lab, "10.79.0.0/20 -p 80");
        assert_eq!(large.ports.len(), 1 << 12);
        let open = large.ports.iter().filter(|(_, r)| r["state"] == "open");
        let there: Vec<IpAddr> = open.map(|((address, _), _)| *address).collect();
        assert_eq!(there, THERE.map(IpAddr::from));
        assert_eq!(large.with_state("filtered").len(), (1 << 12) - THERE.len());
        assert!(of_large < of_small + 5_000, "{of_small} kB, then {of_large} kB");
        large
    });
}

/// A host that answers nothing but one odd port is found, because every host is asked for its ports.
#[test]
fn a_host_that_answers_one_port_only_is_not_hidden_by_discovery() {
    require_root!();
    let lab = Lab::new();
    lab.rtr.ip("route add 10.79.0.0/16 via 10.78.0.2");
    let shy: IpAddr = [10, 79, 0, 5].into();
    let _host = responder(&lab.dst, &[shy], "if p.is_syn and p.dport == 4711: yield syn_ack(p)");
    for engine in ENGINES {
        let scanned = engine.scan(&lab.src, "10.79.0.0/28 -p 80,4711");
        assert_eq!(scanned.ports.len(), 32);
        assert_eq!(scanned.with_state("open"), [4711]);
        assert_eq!(scanned.record(shy, "4711/tcp")["state"], "open");
    }
}
