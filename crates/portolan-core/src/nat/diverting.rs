//! Which rules take traffic for a place before a socket there sees it.
//!
//! Walks the chains as the kernel does: base chains by priority, rules in order, jumps and returns;
//! the first translation ends the walk (nft(8), statement NAT). Where a rule may or may not match,
//! both ways are followed, so that an answer holds every rule that could divert.

use super::condition::{Answer, Destination, all_hold};
use super::{Chain, Path, Rule, RuleFamily, Target, Translations, Verdict};
use crate::net::PortRange;

/// A rule that takes traffic away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// Whose traffic: that from outside, or that of this machine.
    pub path: Path,
    /// The rule.
    pub rule: &'a Rule,
    /// Where it sends the traffic.
    pub target: Target,
    /// Whether it takes all of it; else it depends on something the destination does not tell: the
    /// sender, the interface, a rule before it.
    pub takes_all: bool,
}

impl Translations {
    /// What takes traffic to `destination` away, by path, in the order packets meet it. A rule
    /// that leads to the same place is none.
    #[must_use]
    pub fn diverting(&self, destination: &Destination) -> Vec<Diversion<'_>> {
        Path::ALL.into_iter().flat_map(|path| self.on_path(path, destination)).collect()
    }

    fn on_path(&self, path: Path, destination: &Destination) -> Vec<Diversion<'_>> {
        let priority = |chain: &Chain| chain.hook.filter(|(p, _)| *p == path).map(|(_, n)| n);
        let mut bases: Vec<(i64, &Chain)> =
            self.chains.iter().filter_map(|c| Some((priority(c)?, c))).collect();
        bases.sort_by_key(|(priority, _)| *priority);
        let whole = destination.narrowed(path, RuleFamily::Inet).addresses.len();
        let mut found = Vec::new();
        let mut done_at = None;
        for (priority, base) in bases {
            // Of equal priorities the listing does not tell which is first: both are told.
            if done_at.is_some_and(|done| done != priority) {
                break;
            }
            let to = destination.narrowed(path, base.family);
            if to.addresses.is_empty() {
                continue;
            }
            let mut walk = Walk { all: self, path, to, found: Vec::new(), steps: STEPS };
            let covers_all = walk.to.addresses.len() == whole;
            if walk.chain(base, Answer::Yes, 0) == After::Ended && covers_all {
                done_at = Some(priority);
            }
            found.append(&mut walk.found);
        }
        found
    }
}

struct Walk<'a> {
    all: &'a Translations,
    path: Path,
    to: Destination,
    found: Vec<Diversion<'a>>,
    /// How many more rules are looked at: chains that jump to each other could go on for ages.
    steps: usize,
}

/// What becomes of the traffic behind a chain or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// All of it goes on with the next rule.
    GoesOn,
    /// Some of it may.
    MayGoOn,
    /// None of it stays in this chain.
    Returned,
    /// None of it stays in this hook's chain.
    Ended,
}

impl<'a> Walk<'a> {
    /// Sends traffic through `chain`; `sure` is no more than perhaps where it may not get there.
    fn chain(&mut self, chain: &'a Chain, mut sure: Answer, depth: usize) -> After {
        let mut after = After::GoesOn;
        for rule in &chain.rules {
            if self.steps == 0 {
                return After::MayGoOn;
            }
            self.steps -= 1;
            match self.rule(chain, rule, sure, depth) {
                After::GoesOn => {}
                After::MayGoOn => (after, sure) = (After::MayGoOn, Answer::Perhaps),
                // Behind a fork "ended" holds for the traffic that is left only.
                done if after == After::GoesOn => return done,
                _ => return After::MayGoOn,
            }
        }
        after
    }

    fn rule(&mut self, chain: &'a Chain, rule: &'a Rule, sure: Answer, depth: usize) -> After {
        let mut after = After::GoesOn;
        for branch in &rule.branches {
            let met = all_hold(&branch.conditions, &self.to, self.path).min(sure_of(sure, after));
            if met == Answer::No {
                continue;
            }
            let done = self.verdict(chain, rule, &branch.verdict, met, depth);
            let is_certain = all_hold(&branch.conditions, &self.to, self.path) == Answer::Yes;
            if is_certain && after == After::GoesOn {
                return done;
            }
            after = if done == After::GoesOn { after } else { After::MayGoOn };
        }
        after
    }

    fn verdict(
        &mut self,
        chain: &'a Chain,
        rule: &'a Rule,
        verdict: &Verdict,
        met: Answer,
        depth: usize,
    ) -> After {
        match verdict {
            Verdict::Translate(target) => {
                self.divert(rule, *target, met);
                After::Ended
            }
            Verdict::End => After::Ended,
            Verdict::Return => After::Returned,
            Verdict::Jump(name) => match self.other(chain, name, met, depth) {
                After::Returned => After::GoesOn,
                after => after,
            },
            Verdict::Goto(name) => match self.other(chain, name, met, depth) {
                After::GoesOn => After::Returned,
                after => after,
            },
        }
    }

    fn other(&mut self, from: &Chain, name: &str, met: Answer, depth: usize) -> After {
        let is_it =
            |c: &&Chain| c.is(from.family, &from.table, name) && c.is_legacy == from.is_legacy;
        match self.all.chains.iter().find(is_it) {
            Some(chain) if depth < DEPTH => self.chain(chain, met, depth + 1),
            _ => After::GoesOn,
        }
    }

    /// Notes a diversion, once for a rule that several jumps lead to.
    fn divert(&mut self, rule: &'a Rule, target: Target, met: Answer) {
        let (path, takes_all) = (self.path, met == Answer::Yes);
        let mut known = self.found.iter_mut().filter(|d| d.target == target);
        if let Some(known) = known.find(|d| std::ptr::eq(d.rule, rule)) {
            known.takes_all |= takes_all;
        } else if !self.leads_back(target) {
            self.found.push(Diversion { path, rule, target, takes_all });
        }
    }

    /// Whether a target is where the traffic goes anyway.
    fn leads_back(&self, target: Target) -> bool {
        let same = |ports: Option<PortRange>| ports.is_none_or(|p| p == self.to.port.into());
        match target {
            Target::Redirect { ports } => same(ports),
            Target::Dnat { addresses, ports } => {
                let at_home = addresses
                    .is_none_or(|range| range.is_one() && self.to.addresses.contains(&range.first));
                at_home && same(ports)
            }
            Target::Opaque => false,
        }
    }
}

/// How sure it is that traffic reaches a branch behind others that may have taken it.
const fn sure_of(sure: Answer, after: After) -> Answer {
    match after {
        After::GoesOn => sure,
        _ => Answer::Perhaps,
    }
}

/// How deep chains may jump (nft(8): the kernel allows 16).
const DEPTH: usize = 16;
/// More rules than any ruleset holds on one packet's way.
const STEPS: usize = 100_000;
