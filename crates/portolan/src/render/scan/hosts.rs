//! Hosts as a table needs them: those that answered, equal ones together; the silent ones only
//! counted, so that they take no room.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use portolan_core::net::{Port, Transport};
use portolan_core::scan::{HostReport, Record};

use super::block::{Block, Row, Shape, Silence};

/// All hosts so far.
#[derive(Debug)]
pub(super) struct Hosts {
    silence: Silence,
    /// Hosts of which not every port is known yet.
    begun: HashMap<IpAddr, Block>,
    /// Hosts with rows or something else of their own.
    told: BTreeMap<IpAddr, Told>,
    /// Hosts without, by what they look like.
    alike: HashMap<Vec<Shape>, Vec<IpAddr>>,
}

/// A host that is finished.
#[derive(Debug)]
pub(super) struct Told {
    /// Its open ports.
    pub(super) rows: Vec<Row>,
    /// Its other ports.
    pub(super) shapes: Vec<Shape>,
    /// What else is known of it.
    pub(super) report: HostReport,
}

impl Hosts {
    /// None yet.
    pub(super) fn new(silence: Silence) -> Self {
        let (begun, told, alike) = Default::default();
        Self { silence, begun, told, alike }
    }

    /// Takes a port in.
    pub(super) fn port(&mut self, record: &Record) {
        self.begun.entry(record.address).or_default().take(record, self.silence);
    }

    /// The host has no port left.
    pub(super) fn host(&mut self, report: &HostReport, asked: &[(Port, Transport)]) {
        let Some(address) = report.address else { return };
        let Some(block) = self.begun.remove(&address) else { return };
        if !report.answered && block.is_silence() {
            return;
        }
        let (rows, shapes) = block.finish(asked, report.front.as_ref());
        let has_own = report.front.is_some() || !report.caps.is_empty();
        if rows.is_empty() && !has_own {
            self.alike.entry(shapes).or_default().push(address);
        } else {
            self.told.insert(address, Told { rows, shapes, report: report.clone() });
        }
    }

    /// Those with rows of their own, by address.
    pub(super) fn told(&self) -> impl Iterator<Item = (IpAddr, &Told)> {
        self.told.iter().map(|(address, told)| (*address, told))
    }

    /// Those without, in groups that look the same, each by address.
    pub(super) fn alike(&self) -> Vec<(Vec<IpAddr>, &[Shape])> {
        let sorted = |addresses: &Vec<IpAddr>| {
            let mut addresses = addresses.clone();
            addresses.sort_unstable();
            addresses
        };
        let mut groups: Vec<_> =
            self.alike.iter().map(|(shapes, hosts)| (sorted(hosts), &**shapes)).collect();
        groups.sort_unstable_by_key(|(hosts, _)| hosts.first().copied());
        groups
    }

    /// Every address with something to show.
    pub(super) fn shown(&self) -> impl Iterator<Item = IpAddr> {
        self.told.keys().copied().chain(self.alike.values().flatten().copied())
    }

    /// Nothing more comes, also of hosts that are not finished.
    pub(super) fn close(&mut self, asked: &[(Port, Transport)]) {
        let begun: Vec<IpAddr> = self.begun.keys().copied().collect();
        for address in begun {
            let report = HostReport { address: Some(address), ..HostReport::default() };
            self.host(&report, asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use portolan_core::scan::{PortState, Reason};

    use super::*;

    fn silent(address: IpAddr) -> Record {
        Record {
            address,
            port: Port(80),
            transport: Transport::Tcp,
            state: PortState::Filtered,
            reason: Reason::NoResponse,
            from: None,
            tries: 4,
            rtt: None,
            miss_probability: None,
            verified: None,
            note: None,
            position: 0,
        }
    }

    #[test]
    fn silent_hosts_leave_nothing_behind() {
        let mut hosts = Hosts::new(Silence::Counted);
        for number in 0..5000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            hosts.port(&silent(address));
            let report = HostReport { address: Some(address), ..HostReport::default() };
            hosts.host(&report, &[(Port(80), Transport::Tcp)]);
        }
        assert!(hosts.begun.is_empty() && hosts.told.is_empty() && hosts.alike.is_empty());
    }
}
