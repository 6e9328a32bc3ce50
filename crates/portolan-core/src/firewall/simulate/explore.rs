//! Trying open questions both ways: the tree of answers, reduced to those that matter.

use super::answers::{Answers, Asked};
use super::path;
use super::prepared::Prepared;
use super::walk::{Dependency, Instead, Outcome, Walk, Way};
use crate::firewall::{Packet, RuleId};

/// So many walks are tried for one packet.
const MAX_WALKS: usize = 1024;
/// With more open questions than this on one walk, not all are tried.
const MAX_QUESTIONS: usize = 256;

/// How a packet ends by the answers to open questions.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tree {
    /// How, and by which rule.
    Leaf(Outcome, Option<RuleId>),
    /// Not tried: too many.
    Cut,
    Asks {
        question: Box<Asked>,
        yes: Box<Tree>,
        no: Box<Tree>,
    },
}

struct Explorer<'a> {
    prepared: &'a Prepared<'a>,
    packet: &'a Packet,
    way: Way,
    answers: &'a dyn Answers,
    walks: usize,
}

/// The walk of a packet with everything it depends on.
pub(super) fn walk(
    prepared: &Prepared<'_>,
    packet: &Packet,
    way: Way,
    answers: &dyn Answers,
) -> Walk {
    let first = path::walk(prepared, packet, way, answers, Vec::new(), true);
    if first.asked.is_empty() {
        return first.walk;
    }
    let mut explorer = Explorer { prepared, packet, way, answers, walks: 0 };
    let by_rule = explorer.tree(Vec::new());
    let tree = by_outcome(by_rule.clone());
    let mut chosen = Vec::new();
    let is_complete = choose(&tree, &mut chosen).1;
    let walk = path::walk(prepared, packet, way, answers, chosen, true).walk;
    let mut depends_on = Vec::new();
    dependencies(&tree, &mut depends_on);
    if !is_complete {
        // Not everything was tried, so the packet may end anywhere: an accept would be a guess.
        return Walk { outcome: Outcome::Drop, decided_by: None, depends_on, is_complete, ..walk };
    }
    if !depends_on.is_empty() {
        return Walk { depends_on, ..walk };
    }
    Walk { instead: instead(&by_rule, walk.decided_by), ..walk }
}

/// What the rule that decided hangs on, where the outcome does not, and which others decide in its place.
fn instead(tree: &Tree, decided_by: Option<RuleId>) -> Instead {
    let mut rules = Vec::new();
    deciders(tree, &mut rules);
    rules.retain(|rule| Some(*rule) != decided_by);
    let mut open = Vec::new();
    dependencies(tree, &mut open);
    Instead { rules, open: open.into_iter().map(|open| open.question).collect() }
}

fn deciders(tree: &Tree, into: &mut Vec<RuleId>) {
    match tree {
        Tree::Leaf(_, Some(rule)) if !into.contains(rule) => into.push(*rule),
        Tree::Leaf(..) | Tree::Cut => {}
        Tree::Asks { yes, no, .. } => {
            deciders(yes, into);
            deciders(no, into);
        }
    }
}

/// A tree without the questions that only decide which rule it is.
fn by_outcome(tree: Tree) -> Tree {
    match tree {
        Tree::Leaf(outcome, _) => Tree::Leaf(outcome, None),
        Tree::Cut => Tree::Cut,
        Tree::Asks { question, yes, no } => join(question, by_outcome(*yes), by_outcome(*no)),
    }
}

/// Only the outcome; `None` where it is not certain.
pub(super) fn outcome(
    prepared: &Prepared<'_>,
    packet: &Packet,
    way: Way,
    answers: &dyn Answers,
) -> Option<Outcome> {
    let first = path::walk(prepared, packet, way, answers, Vec::new(), false);
    if first.asked.is_empty() {
        return Some(first.walk.outcome);
    }
    let mut explorer = Explorer { prepared, packet, way, answers, walks: 0 };
    match by_outcome(explorer.tree(Vec::new())) {
        Tree::Leaf(outcome, _) => Some(outcome),
        Tree::Cut | Tree::Asks { .. } => None,
    }
}

impl Explorer<'_> {
    /// Every way on from these answers. Each call has one more of them than its caller, so it nests as deep
    /// as there are open questions on one walk, and never deeper than walks are tried.
    fn tree(&mut self, forced: Vec<Asked>) -> Tree {
        if self.walks >= MAX_WALKS {
            return Tree::Cut;
        }
        self.walks += 1;
        let known = forced.len();
        let ended = path::walk(self.prepared, self.packet, self.way, self.answers, forced, false);
        let mut asked = ended.asked;
        let is_too_many = asked.len() > MAX_QUESTIONS;
        asked.truncate(MAX_QUESTIONS);
        let mut tree = if is_too_many {
            Tree::Cut
        } else {
            Tree::Leaf(ended.walk.outcome, ended.walk.decided_by)
        };
        for at in (known..asked.len()).rev() {
            let mut other: Vec<Asked> = asked.iter().take(at + 1).cloned().collect();
            let Some(last) = other.last_mut() else { continue };
            last.answer = !last.answer;
            let question = Box::new(last.clone());
            let (here, there) = (tree, self.tree(other));
            let (yes, no) = if question.answer { (there, here) } else { (here, there) };
            tree = join(question, yes, no);
        }
        tree
    }
}

fn join(question: Box<Asked>, yes: Tree, no: Tree) -> Tree {
    if yes == no {
        return yes;
    }
    Tree::Asks { question, yes: Box::new(yes), no: Box::new(no) }
}

/// The answers to go by: as presumed, else the worst for the packet. Gives the outcome, and whether
/// nothing was cut off anywhere.
fn choose(tree: &Tree, chosen: &mut Vec<Asked>) -> (Option<Outcome>, bool) {
    let Tree::Asks { question, yes, no } = tree else {
        return match tree {
            Tree::Leaf(outcome, _) => (Some(*outcome), true),
            _ => (None, false),
        };
    };
    let (mut if_yes, mut if_no) = (Vec::new(), Vec::new());
    let (at_yes, all_yes) = choose(yes, &mut if_yes);
    let (at_no, all_no) = choose(no, &mut if_no);
    let answer = match question.presumed {
        Some(presumed) => presumed,
        None => at_yes >= at_no,
    };
    chosen.push(Asked { answer, ..(**question).clone() });
    chosen.extend(if answer { if_yes } else { if_no });
    (if answer { at_yes } else { at_no }, all_yes && all_no)
}

fn dependencies(tree: &Tree, into: &mut Vec<Dependency>) {
    let Tree::Asks { question, yes, no } = tree else { return };
    let mut add = |if_yes: Vec<Outcome>, if_no: Vec<Outcome>| {
        let same = into
            .iter_mut()
            .find(|known| known.question == question.text && known.rule == question.rule);
        if let Some(known) = same {
            merge(&mut known.if_yes, if_yes);
            merge(&mut known.if_no, if_no);
            return;
        }
        into.push(Dependency {
            question: question.text.clone(),
            rule: question.rule,
            presumed: question.presumed,
            if_yes,
            if_no,
        });
    };
    add(outcomes(yes), outcomes(no));
    dependencies(yes, into);
    dependencies(no, into);
}

fn merge(into: &mut Vec<Outcome>, more: Vec<Outcome>) {
    into.extend(more);
    into.sort_unstable();
    into.dedup();
}

fn outcomes(tree: &Tree) -> Vec<Outcome> {
    match tree {
        Tree::Leaf(outcome, _) => vec![*outcome],
        Tree::Cut => Vec::new(),
        Tree::Asks { yes, no, .. } => {
            let mut all = outcomes(yes);
            merge(&mut all, outcomes(no));
            all
        }
    }
}
