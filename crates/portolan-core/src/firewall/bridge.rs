//! Tables of family bridge, which are not evaluated: where they may end a packet, answers say so.

use super::{ChainPolicy, Effect, Family, Hook, RuleId, Ruleset, Statement, Table, Verdict, World};

/// A table of family bridge that may end packets on their way in, or out.
#[derive(Debug)]
pub(super) struct BridgeTable {
    /// Whether it lets the packet pass, as a question.
    pub(super) question: String,
    /// The first of its chains there, by its policy.
    pub(super) rule: RuleId,
}

impl Ruleset {
    /// The tables of family bridge that may end a packet at the hook of devices `hook`.
    pub(super) fn bridge_tables(&self, hook: Hook) -> Vec<BridgeTable> {
        let hooks = match hook {
            Hook::Ingress => [Hook::Prerouting, Hook::Input],
            Hook::Egress => [Hook::Output, Hook::Postrouting],
            _ => return Vec::new(),
        };
        let tables = self.tables.iter().enumerate();
        let tables = tables.filter(|(_, table)| table.family == Family::Bridge && may_end(table));
        let found = tables.filter_map(|(at, table)| {
            let is_there = |base: &super::Base| hooks.contains(&base.hook);
            let mut chains = table.chains.iter();
            let chain = chains.position(|chain| chain.base.as_ref().is_some_and(is_there))?;
            let chain = super::ChainId { table: at, chain };
            let question = format!("table bridge {}, not evaluated, lets it pass", table.name);
            Some(BridgeTable { question, rule: RuleId { chain, rule: None } })
        });
        found.collect()
    }

    /// Notes the tables of family bridge that may end packets.
    pub(crate) fn note_bridge_tables(&mut self) {
        let tables = self.tables.iter();
        let tables = tables.filter(|table| table.family == Family::Bridge && may_end(table));
        let note = |table: &Table| {
            format!("table bridge {} is not evaluated: packets of bridges depend on it", table.name)
        };
        let notes: Vec<String> = tables.map(note).collect();
        self.notes.extend(notes);
    }
}

/// Whether any packet may end there.
fn may_end(table: &Table) -> bool {
    let mut bases = table.chains.iter().filter_map(|chain| chain.base.as_ref());
    let mut statements =
        table.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.statements);
    let ends = |statement: &Statement| {
        matches!(
            statement,
            Statement::Verdict(Verdict::Drop | Verdict::Reject(_))
                | Statement::VerdictMap { .. }
                | Statement::Opaque { effect: Effect::Decides | Effect::Rewrites, .. }
        )
    };
    !table.is_dormant
        && (bases.any(|base| base.policy == ChainPolicy::Drop) || statements.any(ends))
}

impl World {
    /// Whether there is a bridge, or may be one.
    pub(super) fn has_bridge(&self) -> bool {
        self.interfaces.is_empty() || self.interfaces.iter().any(|one| one.master.is_some())
    }

    /// Whether an interface is a bridge, or may be one for all that is known.
    pub(super) fn may_be_bridge(&self, name: &str) -> bool {
        name != "lo" && (self.interfaces.is_empty() || self.ports_of(name).next().is_some())
    }
}
