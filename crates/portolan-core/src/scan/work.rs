//! The whole of a scan's work in one order: which host and port stand where.
//!
//! Hosts come in keyed order, a block of them at a time, and inside a block every host with every
//! port in keyed order again. So only the hosts of the blocks in hand are held, and a place in the
//! order is found, and found again, without a list.

use std::net::IpAddr;

use super::{Permutation, Plan, Question, TargetSet};
use crate::net::{Port, Transport};

/// The work of our shard.
#[derive(Debug)]
pub(super) struct Work {
    targets: TargetSet,
    order: Permutation,
    seed: u64,
    /// Hosts of ours are `first`, `first + step`, … in the order.
    first: u64,
    step: u64,
    hosts: u64,
    hosts_per_block: u64,
    ports: Vec<(Port, Transport)>,
    places: [Option<Box<[u32]>>; 2],
}

impl Work {
    /// What a plan asks for.
    pub(super) fn new(plan: &Plan) -> Self {
        let all = plan.targets.len();
        let (first, step) = plan.shard.map_or((0, 1), |s| (u64::from(s.number - 1), s.of.into()));
        // Shards share no host where there are enough of them, else no port.
        let by_host = all >= step;
        let ports: Vec<_> = if by_host {
            plan.ports.clone()
        } else {
            let ours = |(i, _): &(usize, _)| *i as u64 % step == first;
            plan.ports.iter().copied().enumerate().filter(ours).map(|(_, port)| port).collect()
        };
        let (first, step) = if by_host { (first, step) } else { (0, 1) };
        let hosts = if ports.is_empty() { 0 } else { all.saturating_sub(first).div_ceil(step) };
        let hosts_per_block = (PAIRS_PER_BLOCK / ports.len().max(1) as u64).clamp(1, MOST_HOSTS);
        Self {
            targets: plan.targets.clone(),
            order: Permutation::new(all.max(1), plan.seed),
            seed: plan.seed,
            first,
            step,
            hosts,
            hosts_per_block,
            places: places(&ports),
            ports,
        }
    }

    /// How many blocks there are.
    pub(super) const fn blocks(&self) -> u64 {
        self.hosts.div_ceil(self.hosts_per_block)
    }

    /// Ports of all hosts together.
    pub(super) const fn total(&self) -> u64 {
        self.hosts.saturating_mul(self.ports.len() as u64)
    }

    /// How many hosts there are.
    pub(super) const fn hosts(&self) -> u64 {
        self.hosts
    }

    /// Whether there are so many hosts that those who never answer decide how long it takes.
    pub(super) const fn is_large(&self) -> bool {
        self.hosts > LARGE
    }

    /// The hosts of a block.
    pub(super) fn hosts_of(&self, block: u64) -> Vec<IpAddr> {
        let from = block * self.hosts_per_block;
        let to = (from + self.hosts_per_block).min(self.hosts);
        let place = |number: u64| self.order.at(self.first + number * self.step);
        (from..to).filter_map(|number| self.targets.nth(place(number))).collect()
    }

    /// The order inside a block of `hosts` hosts: of numbers `host × ports + port`.
    pub(super) fn order_of(&self, block: u64, hosts: usize) -> Permutation {
        let seed = self.seed ^ (block + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Permutation::new(hosts as u64 * self.ports.len() as u64, seed)
    }

    /// The first position of a block in the whole order.
    pub(super) const fn position_of(&self, block: u64) -> u64 {
        block * self.hosts_per_block * self.ports.len() as u64
    }

    /// The ports asked of every host.
    pub(super) fn ports(&self) -> &[(Port, Transport)] {
        &self.ports
    }

    /// The place of a question's port among them.
    pub(super) fn place_of(&self, question: Question) -> Option<usize> {
        let (port, transport) = question.port()?;
        let places = self.places[usize::from(transport == Transport::Udp)].as_ref()?;
        let place = places[usize::from(port.0)];
        (place != NOWHERE).then_some(place as usize)
    }

    /// The question that asks for the port at a place.
    pub(super) fn question(&self, place: usize) -> Question {
        match self.ports[place] {
            (port, Transport::Udp) => Question::Udp(port),
            (port, _) => Question::Tcp(port),
        }
    }
}

fn places(ports: &[(Port, Transport)]) -> [Option<Box<[u32]>>; 2] {
    let mut places = [None, None];
    for (place, (port, transport)) in ports.iter().enumerate() {
        let table = &mut places[usize::from(*transport == Transport::Udp)];
        let table = table.get_or_insert_with(|| vec![NOWHERE; 65_536].into_boxed_slice());
        table[usize::from(port.0)] = u32::try_from(place).unwrap_or(NOWHERE);
    }
    places
}

const NOWHERE: u32 = u32::MAX;
/// Hosts of a large scan.
const LARGE: u64 = 4096;
/// Ports of a block's hosts together, about: what is held in memory for one block, at 8 bytes each.
const PAIRS_PER_BLOCK: u64 = 1 << 19;
/// Hosts of a block: each takes some hundred bytes.
const MOST_HOSTS: u64 = 1024;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    use super::*;
    use crate::scan::Shard;
    use crate::scan::scheduler::tests::plan;

    fn pairs(hosts: u32, ports: u16, shard: Option<Shard>) -> Vec<(IpAddr, Port)> {
        let targets = (0..hosts).map(|i| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + i))).collect();
        let ports: Vec<_> = (1..=ports).map(|p| (Port(p), Transport::Tcp)).collect();
        let work = Work::new(&Plan { shard, ..plan(targets, ports) });
        let mut found = Vec::new();
        for block in 0..work.blocks() {
            let hosts = work.hosts_of(block);
            found.extend(hosts.iter().flat_map(|h| work.ports().iter().map(|(p, _)| (*h, *p))));
        }
        assert_eq!(found.len() as u64, work.total());
        found
    }

    #[test]
    fn three_shards_are_the_whole_and_share_nothing() {
        for (hosts, ports) in [(16, 5), (2, 100), (1, 7), (1500, 1)] {
            let shards = (1..=3).map(|number| pairs(hosts, ports, Some(Shard { number, of: 3 })));
            let parts: Vec<_> = shards.flatten().collect();
            let set: HashSet<_> = parts.iter().copied().collect();
            assert_eq!(set.len(), parts.len(), "{hosts} hosts");
            assert_eq!(set, pairs(hosts, ports, None).into_iter().collect(), "{hosts} hosts");
        }
    }

    #[test]
    fn where_there_are_enough_hosts_none_is_in_two_shards() {
        let hosts = |number| -> HashSet<IpAddr> {
            pairs(16, 3, Some(Shard { number, of: 3 })).into_iter().map(|(host, _)| host).collect()
        };
        assert!(hosts(1).is_disjoint(&hosts(2)) && hosts(2).is_disjoint(&hosts(3)));
    }
}
