//! Few networks that hold all of many addresses, and little else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Prefix;

/// The networks, at most `budget` a family (at least one), that hold every address. Exact where the budget
/// allows; else the two neighbours that lie closest together become one network, again and again, so that
/// the networks stay as small as they can. The same addresses give the same networks.
#[must_use]
pub fn cover(addresses: &[IpAddr], budget: usize) -> Vec<Prefix> {
    let four = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(four) => Some(u128::from(u32::from(*four))),
        IpAddr::V6(_) => None,
    });
    let six = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(six) => Some(u128::from(*six)),
    });
    let mut found = family(four.collect(), 32, budget);
    found.extend(family(six.collect(), 128, budget));
    found
}

/// A network as its first address and how many bits of it are free.
type Block = (u128, u32);

fn family(mut addresses: Vec<u128>, width: u32, budget: usize) -> Vec<Prefix> {
    addresses.sort_unstable();
    addresses.dedup();
    let mut blocks: Vec<Block> = addresses.into_iter().map(|address| (address, 0)).collect();
    for free in 1..=width {
        if blocks.len() <= budget.max(1) {
            break;
        }
        blocks = joined(&blocks, free, budget.max(1));
    }
    blocks = siblings_joined(blocks, width);
    blocks.into_iter().filter_map(|block| prefix(block, width)).collect()
}

/// Neighbours that lie in one block of `free` free bits become it, the fullest ones first, until there are
/// no more than `budget`.
fn joined(blocks: &[Block], free: u32, budget: usize) -> Vec<Block> {
    let base = |address: u128| address.checked_shr(free).unwrap_or(0);
    let mut groups: Vec<&[Block]> = blocks.chunk_by(|a, b| base(a.0) == base(b.0)).collect();
    let mut order: Vec<usize> = (0..groups.len()).filter(|at| groups[*at].len() > 1).collect();
    order.sort_by_key(|at| std::cmp::Reverse(groups[*at].len()));
    let mut surplus = blocks.len() - budget;
    let mut merged = vec![false; groups.len()];
    for at in order {
        if surplus == 0 {
            break;
        }
        merged[at] = true;
        surplus = surplus.saturating_sub(groups[at].len() - 1);
    }
    let mut result = Vec::new();
    for (group, is_merged) in groups.drain(..).zip(merged) {
        match group.first() {
            Some(first) if is_merged => {
                result.push((base(first.0).checked_shl(free).unwrap_or(0), free));
            }
            _ => result.extend(group),
        }
    }
    result
}

/// Two halves that are both there become the whole, which costs nothing.
fn siblings_joined(blocks: Vec<Block>, width: u32) -> Vec<Block> {
    let mut result: Vec<Block> = Vec::new();
    for mut block in blocks {
        while let Some(last) = result.last().copied() {
            let is_half = last.1 == block.1 && block.1 < width;
            if !is_half || last.0 >> block.1 ^ block.0 >> block.1 != 1 {
                break;
            }
            result.pop();
            block = (last.0, block.1 + 1);
        }
        result.push(block);
    }
    result
}

fn prefix((address, free): Block, width: u32) -> Option<Prefix> {
    let address = if width == 32 {
        IpAddr::from(Ipv4Addr::from(u32::try_from(address).ok()?))
    } else {
        Ipv6Addr::from(address).into()
    };
    Prefix::new(address, u8::try_from(width - free).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(addresses: &[&str], budget: usize) -> String {
        let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
        let networks = cover(&addresses, budget).into_iter().map(|network| network.to_string());
        networks.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn within_the_budget_nothing_else_is_let_in() {
        assert_eq!(told(&["10.0.0.1", "10.0.0.9", "::1"], 8), "10.0.0.1 10.0.0.9 ::1");
        assert_eq!(told(&["10.0.0.2", "10.0.0.3", "10.0.0.3"], 8), "10.0.0.2/31");
    }

    #[test]
    fn beyond_it_the_closest_neighbours_share_a_network() {
        assert_eq!(told(&["10.0.0.1", "10.0.0.2", "192.0.2.7"], 2), "10.0.0.0/30 192.0.2.7");
        assert_eq!(told(&["10.0.0.1", "192.0.2.7"], 1), "0.0.0.0/0");
    }

    proptest! {
        #[test]
        fn every_address_is_held_and_the_budget_kept(
            addresses in prop::collection::vec(any::<u32>(), 1..200),
            budget in 1usize..20,
        ) {
            let addresses: Vec<IpAddr> =
                addresses.into_iter().map(|bits| Ipv4Addr::from(bits).into()).collect();
            let networks = cover(&addresses, budget);
            prop_assert!(networks.len() <= budget);
            for address in &addresses {
                prop_assert_eq!(networks.iter().filter(|network| network.contains(*address)).count(), 1);
            }
            let mut other = addresses.clone();
            other.reverse();
            prop_assert_eq!(cover(&other, budget), networks);
        }
    }
}
