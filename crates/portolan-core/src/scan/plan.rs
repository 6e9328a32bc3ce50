//! What a scan is asked to do, and under which conditions.

use std::net::IpAddr;
use std::time::Duration;

use super::target::TargetSet;
use crate::net::{Port, Prefix, Transport};

/// Everything a scan needs to know before its first probe.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The hosts.
    pub targets: TargetSet,
    /// The ports to ask each of them, in order, none twice. TCP and UDP only.
    pub ports: Vec<(Port, Transport)>,
    /// What the order is derived from: the same seed, the same order.
    pub seed: u64,
    /// Which part of the work is ours.
    pub shard: Option<Shard>,
    /// How hard the network may be worked.
    pub pace: Pace,
    /// What the engine can do.
    pub ability: Ability,
    /// What an earlier run has found already, as positions in the order.
    pub done: Positions,
}

/// One of several parts that together are the whole and share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 1.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

/// How hard the network may be worked.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Networks on our own links: full speed there. Everything else is behind a router.
    pub on_link: Vec<Prefix>,
    /// Addresses of this machine itself.
    pub own: Vec<IpAddr>,
    /// Probes a second that are never exceeded.
    pub ceiling: Option<f64>,
    /// Behind a router: unanswered probes of the last two minutes, at most; as many entries a small
    /// router's connection table may hold for us.
    pub outstanding: usize,
    /// When to stop and call the rest unknown.
    pub budget: Option<Duration>,
}

/// What the engine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// It can send ICMP echo requests.
    pub echo: bool,
    /// Its TCP probes are connections: an open port's program sees them come and go.
    pub connects: bool,
}

/// Positions in a scan's order, as ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// Start → end (exclusive), neither overlapping nor touching.
    ranges: std::collections::BTreeMap<u64, u64>,
}

impl Positions {
    /// Puts `from..to` in.
    pub fn insert(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let (mut from, mut to) = (from, to);
        if let Some((start, end)) = self.before(from).filter(|(_, end)| *end >= from) {
            from = start;
            to = to.max(end);
        }
        while let Some((start, end)) = self.ranges.range(from..=to).next().map(|(a, b)| (*a, *b)) {
            self.ranges.remove(&start);
            to = to.max(end);
        }
        self.ranges.insert(from, to);
    }

    /// Whether `position` is inside.
    #[must_use]
    pub fn contains(&self, position: u64) -> bool {
        self.before(position).is_some_and(|(_, end)| position < end)
    }

    /// How many are inside.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| to - from).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, ascending, each `from..to`.
    pub fn ranges(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter().map(|(from, to)| (*from, *to))
    }

    fn before(&self, position: u64) -> Option<(u64, u64)> {
        self.ranges.range(..=position).next_back().map(|(from, to)| (*from, *to))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn positions_hold_what_was_put_in(ranges in prop::collection::vec((0u64..200, 0u64..20), 0..20)) {
            let mut positions = Positions::default();
            ranges.iter().for_each(|(from, length)| positions.insert(*from, from + length));
            let inside = |p: u64| ranges.iter().any(|(from, length)| (*from..from + length).contains(&p));
            for p in 0..230 {
                prop_assert_eq!(positions.contains(p), inside(p), "{}", p);
            }
            prop_assert_eq!(positions.len(), (0..230).filter(|p| inside(*p)).count() as u64);
            let found: Vec<_> = positions.ranges().collect();
            prop_assert!(found.windows(2).all(|w| w[0].1 < w[1].0), "{:?}", found);
        }
    }
}
