//! What `allow` and `deny` are asked for: which ports, for whom, until when.

use std::fmt;

use jiff::Timestamp;
use portolan_core::net::{Port, PortRange, PortSet, Transport, TransportSet};

/// Who is to be let in where.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The ports.
    pub(crate) ports: Wanted,
    /// A source as `from` takes it; `None`, for a denial: everybody.
    pub(crate) source: Option<String>,
    /// Until when.
    pub(crate) until: Option<Timestamp>,
}

/// Ports with their transports: what is one item was said in one word, and is written as one service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    items: Vec<Item>,
}

/// `443/tcp`, `53/tcp+udp`, `6000-6007/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The numbers.
    pub(crate) range: PortRange,
    /// Their transports.
    pub(crate) transports: TransportSet,
}

impl Wanted {
    /// Adds numbers; those that stand there already get the transports besides. `false`: some of them
    /// stand there by another range.
    pub(crate) fn add(&mut self, range: PortRange, transports: TransportSet) -> bool {
        let is_crossed = |item: &Item| {
            let both = item.transports.iter().any(|t| transports.contains(t));
            item.range != range && both && item.range.overlaps(range)
        };
        if self.items.iter().any(is_crossed) {
            return false;
        }
        match self.items.iter_mut().find(|item| item.range == range) {
            Some(known) => {
                known.transports = known.transports.iter().chain(transports.iter()).collect();
            }
            None => self.items.push(Item { range, transports }),
        }
        true
    }

    /// In the order they were asked for.
    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Each range with each of its transports.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (PortRange, Transport)> + '_ {
        self.items.iter().flat_map(|item| item.transports.iter().map(|t| (item.range, t)))
    }

    /// The port, where it is a single one.
    pub(crate) fn one(&self) -> Option<(Port, Transport)> {
        let mut pairs = self.pairs();
        match (pairs.next(), pairs.next()) {
            (Some((range, transport)), None) if range.len() == 1 => {
                Some((range.first(), transport))
            }
            _ => None,
        }
    }

    /// Whether some of these ports are among them.
    pub(crate) fn touches(&self, (range, transport): (PortRange, Transport)) -> bool {
        self.pairs().any(|(own, of)| of == transport && own.overlaps(range))
    }

    /// Whether all of these ports are among them.
    pub(crate) fn covers(&self, (range, transport): (PortRange, Transport)) -> bool {
        let own = self.of(transport);
        range.iter().all(|port| own.contains(port))
    }

    /// Whether there are none.
    pub(crate) const fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether they are the same ports, however they were said.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Transport::ALL.into_iter().all(|transport| self.of(transport) == other.of(transport))
    }

    /// All of both.
    pub(crate) fn with(&self, others: &Self) -> Self {
        self.pairs().chain(others.pairs()).collect()
    }

    /// Those that are none of `others`.
    pub(crate) fn without(&self, others: &Self) -> Self {
        let mut left = Self::default();
        for item in &self.items {
            for transport in item.transports.iter() {
                let mut set = PortSet::new();
                set.insert_range(item.range);
                others.of(transport).iter().for_each(|port| set.remove(port));
                for range in set.ranges() {
                    left.add(range, TransportSet::NONE.with(transport));
                }
            }
        }
        left
    }

    fn of(&self, transport: Transport) -> PortSet {
        let mut set = PortSet::new();
        let own = self.pairs().filter(|(_, of)| *of == transport);
        own.for_each(|(range, _)| set.insert_range(range));
        set
    }
}

impl FromIterator<(PortRange, Transport)> for Wanted {
    /// Ranges that cross are cut where they do.
    fn from_iter<I: IntoIterator<Item = (PortRange, Transport)>>(pairs: I) -> Self {
        let mut sets = Transport::ALL.map(|transport| (transport, PortSet::new()));
        for (range, of) in pairs {
            let mut sets = sets.iter_mut().filter(|(transport, _)| *transport == of);
            sets.by_ref().for_each(|(_, set)| set.insert_range(range));
        }
        let mut all = Self::default();
        for (transport, set) in sets {
            for range in set.ranges() {
                all.add(range, TransportSet::NONE.with(transport));
            }
        }
        all
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.range, self.transports)
    }
}

impl fmt::Display for Wanted {
    /// As `ports` of the inventory has them, with commas between.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.items.iter().enumerate() {
            write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(pairs: &[(u16, u16, Transport)]) -> Wanted {
        let range = |a, b| PortRange::new(Port(a), Port(b)).unwrap();
        pairs.iter().map(|(a, b, t)| (range(*a, *b), *t)).collect()
    }

    #[test]
    fn one_number_of_two_transports_is_one_item() {
        let mut dns = wanted(&[(53, 53, Transport::Tcp)]);
        assert_eq!(dns.one(), Some((Port(53), Transport::Tcp)));
        assert!(dns.add(Port(53).into(), TransportSet::NONE.with(Transport::Udp)));
        assert_eq!((dns.to_string(), dns.one()), ("53/tcp+udp".to_owned(), None));
        assert!(!dns.add(PortRange::new(Port(50), Port(60)).unwrap(), dns.items()[0].transports));
    }

    #[test]
    fn what_is_left_is_in_ranges_around_what_is_taken() {
        let all = wanted(&[(5000, 5010, Transport::Tcp), (53, 53, Transport::Udp)]);
        let taken = wanted(&[(5005, 5005, Transport::Tcp), (53, 53, Transport::Tcp)]);
        assert!(all.covers((Port(5005).into(), Transport::Tcp)));
        assert!(!all.covers((Port(53).into(), Transport::Tcp)));
        let left = all.without(&taken);
        assert_eq!(left.to_string(), "5000-5004/tcp, 5006-5010/tcp, 53/udp");
        assert!(!left.touches((Port(5005).into(), Transport::Tcp)));
    }
}
