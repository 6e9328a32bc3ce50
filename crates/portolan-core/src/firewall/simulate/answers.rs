//! Questions a packet does not answer, who answers them, and what was asked on one walk.

use crate::firewall::{Condition, Match, RuleId};

/// Who answers what a packet leaves open.
pub trait Answers {
    /// Whether it holds; `None` leaves it open, and the walk is tried both ways.
    fn answer(&self, question: &Question<'_>) -> Option<bool>;
}

impl<F: Fn(&Question<'_>) -> Option<bool>> Answers for F {
    fn answer(&self, question: &Question<'_>) -> Option<bool> {
        self(question)
    }
}

/// Answers nothing: everything is tried both ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Answers for Open {
    fn answer(&self, _: &Question<'_>) -> Option<bool> {
        None
    }
}

/// Answers as presumed, as for a single packet after a long silence: limits are kept. The rest stays open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Presumed;

impl Answers for Presumed {
    fn answer(&self, question: &Question<'_>) -> Option<bool> {
        question.presumed
    }
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// In words; the same words are answered the same on one walk, unless [`Condition::is_own`].
    pub text: &'a str,
    /// The rule that asks.
    pub rule: Option<RuleId>,
    /// What it is about.
    pub about: About<'a>,
    /// What is taken where nobody knows.
    pub presumed: Option<bool>,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// A condition, before its negation.
    Condition(&'a Condition),
    /// A comparison whose left side or whose set is not known: whether it holds, negation included.
    Match(&'a Match),
    /// Whether a looked-up key is found, or found there: the set is not known, or the key only roughly.
    Lookup,
    /// Whether the statement that is not understood lets the packet go on to the next statement.
    GoesOn,
    /// Whether the statement, which does not let the packet go on, ends its rule and no more.
    EndsRule,
    /// Whether the statement, which ends more than its rule, accepts; else it drops.
    Accepts,
    /// Whether the packet comes in by the interface of this name, or by one whose name begins so.
    InterfaceIn(&'a str),
    /// Whether it leaves by this interface.
    InterfaceOut(&'a str),
    /// Whether a set has room.
    Room,
    /// Whether a transparent socket waits for what tproxy hands over.
    Socket,
    /// A setting of the kernel.
    Setting,
    /// A bit of the packet's header that it is not given with.
    Header,
}

/// What was asked on one walk and how it was answered.
pub(super) struct Asker<'a> {
    given: &'a dyn Answers,
    /// Answers for this walk, by key; the first `forced` ones were set beforehand.
    pub(super) asked: Vec<Asked>,
}

/// An open question that came up, and the answer this walk goes on with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) rule: Option<RuleId>,
    pub(super) presumed: Option<bool>,
    pub(super) answer: bool,
    /// Whether the question was whether it does not hold.
    pub(super) is_negated: bool,
}

impl<'a> Asker<'a> {
    pub(super) fn new(given: &'a dyn Answers, forced: Vec<Asked>) -> Self {
        Self { given, asked: forced }
    }

    /// The answer; `key` tells questions apart that the same walk may answer differently. A question and
    /// its negation have the same key.
    pub(super) fn ask(&mut self, question: &Question<'_>, key: String, is_negated: bool) -> bool {
        if let Some(asked) = self.asked.iter().find(|asked| asked.key == key) {
            return asked.answer == (asked.is_negated == is_negated);
        }
        if let Some(answer) = self.given.answer(question) {
            return answer;
        }
        let answer = question.presumed.unwrap_or(true);
        let text = question.text.to_owned();
        self.asked.push(Asked {
            key,
            text,
            rule: question.rule,
            presumed: question.presumed,
            answer,
            is_negated,
        });
        answer
    }
}
