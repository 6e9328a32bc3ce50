//! What the analysis says of a packet, held against the simulator: nothing is shown that it does not say
//! too, with the same rule.

use std::cell::RefCell;

use super::AnalyseError;
use super::chain::{Decision, Did};
use super::space::Space;
use super::witness::Witness;
use crate::firewall::bdd::Undecided;
use crate::firewall::simulate::{
    Answers, Open, Outcome, Prepared, Presumed, Question, Step, Walk, Way,
};
use crate::firewall::{Packet, RuleId};

/// What is claimed of a witness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// It ends so, whatever the open questions' answers are.
    Certain(Outcome),
    /// It may end so.
    Possible(Outcome),
}

impl Claim {
    /// That a packet ends so, certainly or possibly.
    #[must_use]
    pub const fn of(outcome: Outcome, is_certain: bool) -> Self {
        if is_certain { Self::Certain(outcome) } else { Self::Possible(outcome) }
    }
}

/// Sends a witness through the simulator. It must come to the end that was claimed, a possible one with some
/// answers. Where it leaves a certain one open ([`leaves_open`]) it does not contradict: what one of the two does
/// not know is not known, and the walk says what it hangs on.
///
/// # Errors
/// [`AnalyseError::Internal`] where the simulator says otherwise than was claimed.
pub fn confirm(
    prepared: &Prepared<'_>,
    way: Way,
    witness: &Witness,
    claim: Claim,
) -> Result<Walk, AnalyseError> {
    let walk = prepared.walk(&witness.packet, way, &Open);
    let is_right = match claim {
        _ if !walk.is_complete => is_met(prepared, way, witness, claim),
        Claim::Certain(outcome) | Claim::Possible(outcome) => may_end(&walk, outcome),
    };
    if is_right {
        return Ok(walk);
    }
    let doubt = if walk.is_certain() { "" } else { ", depending on what is open" };
    Err(AnalyseError::Internal {
        claimed: format!("{claim:?}"),
        simulated: format!("{:?}{doubt}", walk.outcome),
        packet: format!("{:?}", witness.packet),
    })
}

/// Whether the simulator, having tried everything, does not know how a packet ends.
pub(super) fn leaves_open(walk: &Walk) -> bool {
    walk.is_complete && !walk.is_certain()
}

/// What the simulator finds open about a packet on its way, in the rules' words, whether its end hangs on it or
/// not; on one of the ways it may take. Empty: nothing, and there is only one.
pub(super) fn open_questions(prepared: &Prepared<'_>, way: Way, packet: &Packet) -> Vec<String> {
    let asked = RefCell::new(Vec::new());
    let answers = |question: &Question<'_>| {
        let (mut asked, text) = (asked.borrow_mut(), question.text.to_owned());
        if !asked.contains(&text) {
            asked.push(text);
        }
        Some(question.presumed.unwrap_or(true))
    };
    let _ = prepared.walk(packet, way, &answers);
    asked.into_inner()
}

/// The same of a walk whose questions were too many to try them all: with the answers that the witness
/// comes with, and with everything else answered in three ways.
fn is_met(prepared: &Prepared<'_>, way: Way, witness: &Witness, claim: Claim) -> bool {
    let others: [&dyn Answers; 3] =
        [&Presumed, &|_: &Question<'_>| Some(true), &|_: &Question<'_>| Some(false)];
    let mut walks = others.iter().map(|others| {
        let answers = Given { witness, others: *others };
        prepared.walk(&witness.packet, way, &answers)
    });
    match claim {
        Claim::Certain(outcome) => walks.all(|walk| may_end(&walk, outcome)),
        Claim::Possible(outcome) => walks.any(|walk| may_end(&walk, outcome)),
    }
}

/// The way of a witness with the answers it comes with; what else is asked is answered as it usually is.
#[must_use]
pub fn answered(prepared: &Prepared<'_>, way: Way, witness: &Witness) -> Walk {
    let answers = Given { witness, others: &Presumed };
    prepared.walk(&witness.packet, way, &answers)
}

/// The answers a witness comes with, and others for the rest.
struct Given<'a> {
    witness: &'a Witness,
    others: &'a dyn Answers,
}

impl Answers for Given<'_> {
    fn answer(&self, question: &Question<'_>) -> Option<bool> {
        let mut known = self.witness.answers.iter().filter(|(text, _)| text == question.text);
        match (known.next(), known.next()) {
            (Some((_, answer)), None) => Some(*answer),
            // Several rules ask in the same words: nobody can tell whose answer it is.
            _ => self.others.answer(question).or(question.presumed),
        }
    }
}

/// Whether a walk ends so, or may.
fn may_end(walk: &Walk, outcome: Outcome) -> bool {
    let mut possible = walk.depends_on.iter().flat_map(|on| on.if_yes.iter().chain(&on.if_no));
    walk.outcome == outcome || possible.any(|other| *other == outcome)
}

impl Space {
    /// Whether each rule and policy that ends a base chain on a walk is one that the analysis says may do
    /// so for this packet.
    ///
    /// # Errors
    /// [`AnalyseError::Internal`] where it is not.
    pub(super) fn confirm_rules(
        &mut self,
        walk: &Walk,
        packet: &Packet,
        decisions: &[Decision],
    ) -> Result<(), AnalyseError> {
        let enders = walk.steps.iter().filter_map(|step| match step {
            Step::Ends { by, .. } => Some(*by),
            _ => None,
        });
        for by in enders {
            if !self.may_decide(by, packet, decisions)? {
                return Err(AnalyseError::Internal {
                    claimed: "that other rules decide".to_owned(),
                    simulated: format!("that {by:?} does"),
                    packet: format!("{packet:?}"),
                });
            }
        }
        Ok(())
    }

    fn may_decide(
        &mut self,
        rule: RuleId,
        packet: &Packet,
        decisions: &[Decision],
    ) -> Result<bool, Undecided> {
        let of_rule = decisions.iter().filter(|one| one.rule == rule && one.did != Did::Held);
        for decision in of_rule {
            let packets = self.bdd.and(decision.packets, decision.among)?;
            if self.holds(packets, packet)?.1 {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
