//! In which order chains of type nat are asked where legacy iptables has one beside those of nf_tables.
//!
//! Of equal priority the one registered last is asked first (nf_nat_register_fn), and no tool tells
//! when legacy iptables was. Each place that its chain may have is a case of its own.

use super::{ChainId, Origin, Ruleset};

/// One possible order.
pub(super) struct NatOrder {
    /// What is asked for it to be this one, none of the earlier; `None` for the last.
    pub(super) question: Option<String>,
    /// The chains.
    pub(super) chains: Vec<ChainId>,
}

/// The orders in which `chains` may be asked; none where theirs is known.
pub(super) fn orders(ruleset: &Ruleset, chains: &[ChainId]) -> Vec<NatOrder> {
    let is_legacy = |id: &&ChainId| {
        ruleset.tables.get(id.table).is_some_and(|table| table.origin == Origin::IptablesLegacy)
    };
    let priority = |id: &ChainId| Some(ruleset.chain(*id)?.base.as_ref()?.priority);
    let Some(legacy) = chains.iter().find(is_legacy) else { return Vec::new() };
    let others: Vec<ChainId> = chains.iter().filter(|id| *id != legacy).copied().collect();
    let here = priority(legacy);
    let first = others.iter().take_while(|id| priority(id) < here).count();
    let beside: Vec<ChainId> =
        others.iter().skip(first).take_while(|id| priority(id) == here).copied().collect();
    let place = |at: usize| {
        let mut all = others.clone();
        all.insert((first + at).min(all.len()), *legacy);
        all
    };
    let asks = |other: &ChainId| {
        let name = |id: ChainId| {
            let table = ruleset.tables.get(id.table)?;
            Some(format!("{} {} {}", table.family, table.name, table.chains.get(id.chain)?.name))
        };
        let (own, other) = (name(*legacy)?, name(*other)?);
        Some(format!("legacy {own} is asked before {other}"))
    };
    let mut orders: Vec<NatOrder> = (beside.iter().enumerate())
        .map(|(at, other)| NatOrder { question: asks(other), chains: place(at) })
        .collect();
    orders.push(NatOrder { question: None, chains: place(beside.len()) });
    orders
}
