//! Ports that say nothing: dropped, or with a queue that is full.

use crate::support::lab::{DST, Lab, NEAR, Pair};
use crate::support::require_root;
use crate::support::scan::{ENGINES, both};

#[test]
fn a_thousand_dropped_ports_are_filtered_and_the_one_that_answers_is_why_we_know() {
    require_root!();
    let pair = Pair::new();
    pair.dst.filter_input("tcp dport != 777 drop\nmeta l4proto icmp drop");
    for scanned in both(&pair.src, "10.76.0.2 -p 1-1000") {
        assert_eq!(scanned.with_state("closed"), [777]);
        assert_eq!(scanned.with_state("filtered").len(), 999);
        assert!(scanned.ports.values().all(|r| r["miss_probability"].as_f64() < Some(1e-3)));
        let canary = scanned.hosts[&NEAR]["canary"].to_string();
        assert!(canary.contains("777"), "{canary}");
    }
}

#[test]
fn a_host_that_never_answers_is_filtered_without_a_claim() {
    require_root!();
    let lab = Lab::new();
    lab.dst.filter_input("drop");
    for scanned in both(&lab.src, "10.78.0.2 -p 1-20") {
        assert_eq!(scanned.with_state("filtered").len(), 20);
        assert!(scanned.ports.values().all(|r| r["miss_probability"].is_null()));
        assert_eq!(scanned.summary["hosts_silent"], 1);
    }
}

#[test]
fn an_address_that_nobody_has_on_the_link_is_no_filtered_host() {
    require_root!();
    let pair = Pair::new();
    for engine in ENGINES {
        let scanned = engine.scan(&pair.src, "10.76.0.9 -p 22,80");
        assert_eq!(scanned.summary["hosts_not_there"], 1, "{}", scanned.summary);
        assert!(scanned.with_state("open").is_empty() && scanned.with_state("closed").is_empty());
    }
}

/// The kernel drops a SYN to a listener whose queue is full: it looks like a firewall, never closed.
#[test]
fn a_listener_with_a_full_queue_is_filtered_and_never_closed() {
    require_root!();
    let lab = Lab::new();
    let _full = lab.dst.listen_with_full_backlog(DST, 3001);
    for scanned in both(&lab.src, "10.78.0.2 -p 3001,3002") {
        let (full, free) = ("filtered no-response", "closed reset 10.78.0.2");
        scanned.expect(DST, &[("3001/tcp", full), ("3002/tcp", free)]);
    }
}

/// Processor time of a process so far, in ticks: utime and stime of proc_pid_stat(5).
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit(") ").next().unwrap().split(' ');
    fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum()
}

#[test]
fn waiting_takes_no_processor_time_while_neighbours_talk() {
    require_root!();
    let pair = Pair::new();
    pair.dst.filter_input("tcp dport 1-2000 drop");
    for engine in ENGINES {
        let mut scan = engine.program_bare(&pair.src, "10.76.0.9 fd76::9 -p 1-20").command();
        let mut scan = scan.stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(700));
        pair.dst.ip("neigh flush all");
        pair.dst.enter(|| std::net::TcpStream::connect("[fd76::1]:1").unwrap_err());
        let before = ticks(scan.id());
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let spent = ticks(scan.id()) - before;
        scan.wait().unwrap();
        assert!(spent < 50, "{spent} ticks of 150 with {engine:?}");
    }
}
