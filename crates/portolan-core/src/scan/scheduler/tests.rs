//! Scans of simulated networks: virtual time, a seed each, no packet and no sleep.

mod network;
mod random;
mod single;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use network::Network;

use super::*;
use crate::net::{Port, Prefix, Transport};
use crate::scan::{Ability, HostReport, Pace, Record, TargetSet};

/// A plan on the way of a router, without any limits of its own.
pub(in crate::scan) fn plan(targets: TargetSet, ports: Vec<(Port, Transport)>) -> Plan {
    Plan {
        targets,
        ports,
        seed: 7,
        shard: None,
        pace: Pace {
            on_link: Vec::new(),
            own: Vec::new(),
            ceiling: None,
            outstanding: 16_384,
            budget: None,
        },
        ability: Ability { echo: true, connects: true },
        done: Positions::default(),
    }
}

/// The same with every target a neighbour.
fn on_link(targets: TargetSet, ports: Vec<(Port, Transport)>) -> Plan {
    let mut plan = plan(targets, ports);
    plan.pace.on_link = vec![Prefix::new([10, 0, 0, 0].into(), 8).unwrap()];
    plan
}

fn tcp(ports: impl IntoIterator<Item = u16>) -> Vec<(Port, Transport)> {
    ports.into_iter().map(|p| (Port(p), Transport::Tcp)).collect()
}

fn udp(ports: impl IntoIterator<Item = u16>) -> Vec<(Port, Transport)> {
    ports.into_iter().map(|p| (Port(p), Transport::Udp)).collect()
}

fn host(number: u8) -> IpAddr {
    [10, 0, 0, number].into()
}

fn targets(numbers: impl IntoIterator<Item = u8>) -> TargetSet {
    numbers.into_iter().map(host).collect()
}

/// What a scan told.
#[derive(Debug, Default)]
struct Told {
    records: HashMap<(IpAddr, Port, Transport), Record>,
    hosts: Vec<HostReport>,
    took: Duration,
    probes: u64,
}

impl Told {
    fn of(&self, address: IpAddr, port: u16) -> &Record {
        &self.records[&(address, Port(port), Transport::Tcp)]
    }

    fn count(&self, state: PortState) -> usize {
        self.records.values().filter(|r| r.state == state).count()
    }
}

/// Plays a scan against a network until it is done.
fn play(plan: Plan, network: &mut Network) -> Told {
    play_until(Scan::new(plan), network, |_, _| false)
}

/// The same; stops at once when `stop` says so.
fn play_until(
    mut scan: Scan,
    network: &mut Network,
    mut stop: impl FnMut(&mut Scan, Moment) -> bool,
) -> Told {
    let (mut told, mut now) = (Told::default(), Moment::START);
    loop {
        let mut sent = 0;
        while sent < 64
            && let Some(probe) = scan.poll_transmit(now)
        {
            if let Some(error) = network.send(now, &probe) {
                scan.handle_refusal(now, &probe, error);
            }
            sent += 1;
        }
        while let Some(event) = scan.poll_event() {
            take(&mut told, event);
        }
        if scan.is_done() || stop(&mut scan, now) {
            break;
        }
        let due = scan.poll_timeout().unwrap_or(now);
        now = due.min(network.next().unwrap_or(due)).max(now + Duration::from_micros(20));
        while let Some(answer) = network.arrived(now) {
            scan.handle_input(now, &answer);
        }
        assert!(now.since_start() < Duration::from_secs(40_000), "it does not end: {scan:#?}");
    }
    told.took = now.since_start();
    told.probes = scan.progress(now).probes;
    told
}

fn take(told: &mut Told, event: Event) {
    match event {
        Event::Port(record) => {
            let key = (record.address, record.port, record.transport);
            let before = told.records.insert(key, record);
            assert!(before.is_none(), "told twice: {before:?}");
        }
        Event::Host(report) => told.hosts.push(*report),
    }
}
