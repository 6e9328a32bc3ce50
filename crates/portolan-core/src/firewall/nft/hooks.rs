//! `nft list hooks`: which chains are on which hook, in the order in which packets meet them.

use std::collections::HashMap;

use crate::firewall::{Hook, Ruleset};

impl Ruleset {
    /// Corrects the order of registration by what `nft list hooks` printed, the one place where chains
    /// of equal priority stand in their real order. What it does not name keeps its order.
    pub fn order_by_hooks(&mut self, text: &str) {
        let met = met(text);
        if !met.is_empty() {
            self.forget_order_of_tables();
        }
        for table in &mut self.tables {
            for chain in &mut table.chains {
                let Some(base) = &mut chain.base else { continue };
                let place = met.get(&base.hook).and_then(|chains| {
                    let is_it = |(family, name, of): Met<'_>| {
                        table.family.as_str() == family
                            && *table.name == *name
                            && *chain.name == *of
                    };
                    chains.iter().position(|met| is_it(*met)).map(|at| chains.len() - at)
                });
                if let Some(place) = place.and_then(|place| u32::try_from(place).ok()) {
                    base.sequence = place;
                }
            }
        }
    }
}

/// Family, table and name.
type Met<'a> = (&'a str, &'a str, &'a str);

/// The chains of each hook. A chain of family inet stands in the lists of both versions of IP, so
/// that the second list is woven into the first at the chains they share.
fn met(text: &str) -> HashMap<Hook, Vec<Met<'_>>> {
    let mut met: HashMap<Hook, Vec<Met<'_>>> = HashMap::new();
    let mut hook = None;
    let mut at = 0;
    for line in text.lines() {
        if let Some(rest) = line.trim().strip_prefix("hook ") {
            hook = rest.split_whitespace().next().and_then(Hook::named);
            at = 0;
            continue;
        }
        let (Some(hook), Some(found)) = (hook, chain(line)) else { continue };
        let chains = met.entry(hook).or_default();
        at = match chains.iter().position(|known| *known == found) {
            Some(known) => known + 1,
            None => {
                chains.insert(at.min(chains.len()), found);
                at + 1
            }
        };
    }
    met
}

/// `0000000000 chain inet filter input [nf_tables]`.
fn chain(line: &str) -> Option<Met<'_>> {
    let rest = line.split_once("chain ")?.1;
    let mut words = rest.split_whitespace();
    Some((words.next()?, words.next()?, words.next()?))
}
