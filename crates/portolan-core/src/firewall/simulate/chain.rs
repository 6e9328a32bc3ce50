//! One base chain with all the chains it asks: jumps, gotos, returns (nft_do_chain).

use super::path::Walker;
use super::rule_run::Flow;
use super::walk::{Did, Note, Outcome, Step};
use crate::firewall::{ChainId, ChainPolicy, Origin, RuleId, Verdict};

/// One less than NFT_JUMP_STACK_SIZE (include/net/netfilter/nf_tables.h): rules that jump deeper are not
/// loaded (measured).
const MAX_DEPTH: usize = 15;
/// So many rules are asked for one packet, and no more: far beyond what a kernel would bear.
pub(super) const MAX_RULES: u64 = 20_000_000;

/// How a base chain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) by: RuleId,
    /// By a translation.
    pub(super) is_translated: bool,
}

/// Where the walk through a base chain stands.
struct Cursor {
    chain: usize,
    next: usize,
    stack: Vec<(usize, usize)>,
}

impl<'r> Walker<'r> {
    /// Runs a base chain.
    pub(super) fn run_base(&mut self, base: ChainId) -> Ended {
        if self.is_through {
            let by = RuleId { chain: base, rule: None };
            return Ended { outcome: Outcome::Accept, by, is_translated: false };
        }
        self.note(Step::Enters(base));
        let ended = self.run_rules(base);
        self.note(Step::Ends { chain: base, by: ended.by, outcome: ended.outcome });
        ended
    }

    fn run_rules(&mut self, base: ChainId) -> Ended {
        let prepared = self.prepared;
        let chains = prepared.ruleset.tables.get(base.table).map_or(&[][..], |t| &t.chains);
        let mut cursor = Cursor { chain: base.chain, next: 0, stack: Vec::new() };
        loop {
            let rules = chains.get(cursor.chain).map_or(&[][..], |chain| &chain.rules);
            let Some(rule) = rules.get(cursor.next) else {
                if cursor.back() {
                    continue;
                }
                return self.policy(base);
            };
            let chain = ChainId { table: base.table, chain: cursor.chain };
            let id = RuleId { chain, rule: Some(cursor.next) };
            cursor.next += 1;
            self.rules_asked += 1;
            if self.rules_asked > MAX_RULES {
                self.note(Step::Note(Note::Endless));
                return self.anything(id);
            }
            let flow = self.run_rule(rule, id);
            if let Some(ended) = self.follow(flow, id, base, &mut cursor) {
                return ended;
            }
        }
    }

    /// Does what a rule says; gives how the base chain ended, if it did.
    fn follow(
        &mut self,
        flow: Flow<'r>,
        id: RuleId,
        base: ChainId,
        cursor: &mut Cursor,
    ) -> Option<Ended> {
        let ends = |outcome| Some(Ended { outcome, by: id, is_translated: false });
        let verdict = match flow {
            Flow::Break => return None,
            Flow::On => {
                self.matched(id, Did::Pass);
                return None;
            }
            Flow::Translated => {
                self.matched(id, Did::Translate);
                return Some(Ended { outcome: Outcome::Accept, by: id, is_translated: true });
            }
            Flow::Through => {
                self.is_through = true;
                self.matched(id, Did::Accept);
                return ends(Outcome::Accept);
            }
            Flow::OpaqueAccept => return Some(self.opaque_accept(id)),
            Flow::OpaqueDrop => {
                self.matched(id, Did::Drop);
                return ends(Outcome::Drop);
            }
            Flow::Verdict(verdict) => verdict,
        };
        match verdict {
            Verdict::Accept => {
                self.matched(id, Did::Accept);
                ends(Outcome::Accept)
            }
            Verdict::Drop => {
                self.matched(id, Did::Drop);
                ends(Outcome::Drop)
            }
            Verdict::Reject(with) => {
                self.matched(id, Did::Reject(*with));
                ends(Outcome::Reject(*with))
            }
            Verdict::Continue => None,
            Verdict::Return => {
                self.matched(id, Did::Return);
                if cursor.back() { None } else { Some(self.policy(base)) }
            }
            Verdict::Jump(name) => self.enter(name, true, id, cursor),
            Verdict::Goto(name) => self.enter(name, false, id, cursor),
        }
    }

    fn enter(
        &mut self,
        name: &str,
        comes_back: bool,
        id: RuleId,
        cursor: &mut Cursor,
    ) -> Option<Ended> {
        let table = id.chain.table;
        let ready = self.prepared.tables.get(table)?;
        let origin = self.prepared.ruleset.tables.get(table).map(|table| table.origin);
        // Legacy iptables makes its stack as deep as its chains are.
        let has_room =
            !comes_back || cursor.stack.len() < MAX_DEPTH || origin == Some(Origin::IptablesLegacy);
        let target = ready.chains.get(name).copied().filter(|_| has_room);
        let is_sound = |chain: &usize| ready.circular.get(*chain) == Some(&false);
        let Some(chain) = target.filter(is_sound) else {
            self.note(Step::Note(Note::Unloadable(id)));
            return self.anything_or_on(id);
        };
        let to = ChainId { table, chain };
        self.matched(id, if comes_back { Did::Jump(to) } else { Did::Goto(to) });
        if comes_back {
            cursor.stack.push((cursor.chain, cursor.next));
        }
        (cursor.chain, cursor.next) = (chain, 0);
        None
    }

    fn matched(&mut self, rule: RuleId, did: Did) {
        self.note(Step::Matched { rule, did });
    }

    fn policy(&self, base: ChainId) -> Ended {
        let chain = self.prepared.ruleset.chain(base);
        let policy = chain.and_then(|chain| chain.base.as_ref()).map(|base| base.policy);
        let outcome = match policy {
            Some(ChainPolicy::Drop) => Outcome::Drop,
            _ => Outcome::Accept,
        };
        Ended { outcome, by: RuleId { chain: base, rule: None }, is_translated: false }
    }

    /// What is not understood accepts.
    fn opaque_accept(&mut self, id: RuleId) -> Ended {
        self.matched(id, Did::Accept);
        let is_translated = self.translates_anyhow();
        Ended { outcome: Outcome::Accept, by: id, is_translated }
    }

    /// Rules no kernel loads: anything may come of them.
    fn anything(&mut self, id: RuleId) -> Ended {
        self.anything_or_on(id).unwrap_or(Ended {
            outcome: Outcome::Drop,
            by: id,
            is_translated: false,
        })
    }

    fn anything_or_on(&mut self, id: RuleId) -> Option<Ended> {
        let at = super::evaluate::Place { rule: id, statement: 0 };
        let text = self.text_of(at);
        match self.opaque(&text, false, at) {
            Flow::OpaqueAccept => Some(self.opaque_accept(id)),
            Flow::OpaqueDrop => {
                self.matched(id, Did::Drop);
                Some(Ended { outcome: Outcome::Drop, by: id, is_translated: false })
            }
            _ => None,
        }
    }
}

impl Cursor {
    /// Back to where the chain was asked; false in the base chain.
    fn back(&mut self) -> bool {
        let Some((chain, next)) = self.stack.pop() else { return false };
        (self.chain, self.next) = (chain, next);
        true
    }
}
