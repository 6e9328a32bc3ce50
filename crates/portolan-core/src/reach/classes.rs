//! Senders that meet with the same: of each class one packet speaks for all.
//!
//! Every set of senders that is treated alike cuts the addresses into intervals; two intervals that lie
//! in the same sets belong to the same class. So ten thousand banned addresses are one class.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher as _};

use crate::firewall::{Addresses, Interval};

/// What tells senders apart.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    /// Where something begins (added) or ends (taken away), sorted.
    edges: Vec<(u128, u64, Edge)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Edge {
    Begins,
    Ends,
}

impl Classes {
    /// All senders are alike.
    pub(super) const fn one() -> Self {
        Self { edges: Vec::new() }
    }

    /// Sets these apart from all others; `by` says what does, and the same twice is no difference.
    pub(super) fn cut(&mut self, senders: &Addresses, by: &impl Hash) {
        let mut hasher = DefaultHasher::new();
        by.hash(&mut hasher);
        let weight = hasher.finish();
        for (low, high) in senders.intervals(false).iter().chain(senders.intervals(true)) {
            self.edges.push((*low, weight, Edge::Begins));
            if let Some(after) = high.checked_add(1) {
                self.edges.push((after, weight, Edge::Ends));
            }
        }
    }

    /// Ready for use: what was cut must be of one family.
    pub(super) fn sorted(mut self) -> Self {
        self.edges.sort_unstable();
        self
    }

    /// Splits addresses of that family into classes, those with the lowest addresses first.
    pub(super) fn split(&self, addresses: &Addresses, is_v6: bool) -> Vec<Addresses> {
        let mut order: Vec<u64> = Vec::new();
        let mut parts: HashMap<u64, Vec<Interval>> = HashMap::new();
        let mut add = |token: u64, span: Interval| {
            let part = parts.entry(token).or_insert_with(|| {
                order.push(token);
                Vec::new()
            });
            part.push(span);
        };
        let (mut next, mut token) = (0, 0_u64);
        for (low, high) in addresses.intervals(is_v6).iter().copied() {
            let mut first = low;
            loop {
                while let Some((at, weight, edge)) = self.edges.get(next).copied()
                    && at <= first
                {
                    token = match edge {
                        Edge::Begins => token.wrapping_add(weight),
                        Edge::Ends => token.wrapping_sub(weight),
                    };
                    next += 1;
                }
                match self.edges.get(next).filter(|(at, _, _)| *at <= high) {
                    Some((at, _, _)) => {
                        add(token, (first, at - 1));
                        first = *at;
                    }
                    None => {
                        add(token, (first, high));
                        break;
                    }
                }
            }
        }
        let take = |token| Addresses::of_intervals(is_v6, parts.remove(&token).unwrap_or_default());
        order.into_iter().map(take).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(cuts: &[&[Interval]]) -> Vec<String> {
        let mut classes = Classes::one();
        for (number, cut) in cuts.iter().enumerate() {
            classes.cut(&Addresses::of_intervals(false, cut.to_vec()), &number);
        }
        let all = Addresses::of_intervals(false, vec![(0, 99), (200, 299)]);
        let parts = classes.sorted().split(&all, false);
        parts.iter().map(|part| format!("{:?}", part.intervals(false))).collect()
    }

    #[test]
    fn without_cuts_everybody_is_of_one_class() {
        assert_eq!(split(&[]), ["[(0, 99), (200, 299)]"]);
    }

    #[test]
    fn a_cut_is_made_at_its_edges_and_equal_pieces_are_one_class() {
        assert_eq!(
            split(&[&[(10, 19)], &[(90, 249)]]),
            ["[(0, 9), (20, 89), (250, 299)]", "[(10, 19)]", "[(90, 99), (200, 249)]"]
        );
    }

    #[test]
    fn members_of_one_set_are_one_class() {
        let members: Vec<Interval> = (0..40_u128).map(|n| (n * 2, n * 2)).collect();
        assert_eq!(split(&[&members]).len(), 2);
    }
}
