//! Rules that do nothing, hide others, or mean something else than they say.

mod conflict;
mod disparity;
mod family;
mod idle;
mod redundant;
mod unmet;
mod words;

use family::Family;
use idle::OfChain;

use super::AnalyseError;
use super::pitfall::pitfalls;
use super::space::{Rows, Space};
use super::witness::Witness;
use crate::firewall::simulate::Prepared;
use crate::firewall::{ChainId, RuleId};

/// What was found, and what could not be looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linted {
    /// By rule.
    pub findings: Vec<Finding>,
    /// What is not known to be so: the simulator leaves open whether the rule holds.
    pub open: Vec<Finding>,
    /// Not looked for in these chains, as it would have taken too long.
    pub skipped: Vec<(ChainId, Code)>,
}

impl Linted {
    fn skip(&mut self, chain: ChainId, code: Code) {
        if !self.skipped.contains(&(chain, code)) {
            self.skipped.push((chain, code));
        }
    }
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub code: Code,
    /// The rule.
    pub rule: RuleId,
    /// The rules that make it so, as few as suffice.
    pub blockers: Vec<RuleId>,
    /// In words.
    pub message: String,
    /// A packet that shows it.
    pub witness: Option<Witness>,
    /// What the simulator does not know of that packet, in the rules' words: then it is not known whether it is so.
    pub depends_on: Vec<String>,
}

impl Finding {
    /// Whether another of the same rule says more: that there are packets it matches.
    fn says_less(&self, other: &Self) -> bool {
        self.code == Code::NeverMatches && other.message == idle::NONE_OF_ITS_OWN
    }
}

/// The kinds of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Rules before it take all its packets, and do something else with them.
    Shadowed,
    /// Without it the same would become of every packet.
    Redundant,
    /// It and an earlier rule want different things of the same packets, and neither is a part of
    /// the other: the order decides.
    Conflict,
    /// No packet there is can match it.
    NeverMatches,
    /// One family is open where the other is not.
    Disparity,
    /// It means something else than it says.
    Pitfall,
}

impl Code {
    /// The word of the JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shadowed => "shadowed",
            Self::Redundant => "redundant",
            Self::Conflict => "conflict",
            Self::NeverMatches => "never-matches",
            Self::Disparity => "disparity",
            Self::Pitfall => "pitfall",
        }
    }
}

/// Looks at every rule of a ruleset, for the families whose spaces are given.
///
/// # Errors
/// When a node budget is used up, or the simulator disagrees about a witness.
pub fn lint(spaces: &mut [&mut Space], prepared: &Prepared<'_>) -> Result<Linted, AnalyseError> {
    spaces.iter_mut().for_each(|space| space.rows = Some(Rows::new()));
    let linted = linted(spaces, prepared);
    spaces.iter_mut().for_each(|space| space.rows = None);
    linted
}

fn linted(spaces: &mut [&mut Space], prepared: &Prepared<'_>) -> Result<Linted, AnalyseError> {
    let ruleset = prepared.ruleset();
    let mut linted = Linted { findings: pitfalls(ruleset), ..Linted::default() };
    let mut families = Vec::new();
    for (number, space) in spaces.iter_mut().enumerate() {
        families.push(Family::look(number, space, prepared)?);
    }
    let mut chains: Vec<ChainId> =
        families.iter().flat_map(|family| family.met.iter().map(|met| met.chain)).collect();
    chains.sort_unstable();
    chains.dedup();
    for chain in &chains {
        look_at(*chain, spaces, &families, prepared, &mut linted)?;
    }
    linted.findings.extend(unmet::unasked(ruleset, &families));
    linted.findings.extend(disparity::disparities(spaces, &families, prepared)?);
    if prepared.loses_packets() {
        // Nobody knows which rules those still come to that were written anew.
        linted.findings.retain(|finding| finding.code != Code::NeverMatches);
    }
    linted.findings.sort_by_key(|finding| (finding.rule, finding.code));
    let is_open = |finding: &mut Finding| !finding.depends_on.is_empty();
    linted.open = linted.findings.extract_if(.., is_open).collect();
    Ok(linted)
}

/// Looks at the rules of a chain, for every family and way that meets it.
fn look_at(
    chain: ChainId,
    spaces: &mut [&mut Space],
    families: &[Family],
    prepared: &Prepared<'_>,
    linted: &mut Linted,
) -> Result<(), AnalyseError> {
    let ruleset = prepared.ruleset();
    let count = ruleset.chain(chain).map_or(0, |chain| chain.rules.len());
    let is_idle = |index: &usize| {
        let rule = RuleId { chain, rule: Some(*index) };
        families.iter().all(|family| !family.hits.contains_key(&rule))
    };
    let idle: Vec<usize> = (0..count).filter(is_idle).collect();
    let mut of_chain = Vec::new();
    for family in families {
        let space = &mut *spaces[family.number];
        for met in family.met.iter().filter(|met| met.chain == chain) {
            let mut one = OfChain::new(family, space, prepared, met)?;
            one.look_before(space, &idle)?;
            of_chain.push(one);
        }
    }
    if let Some(finding) = unmet::unmet(ruleset, spaces, &mut of_chain, (chain, idle.len()))? {
        linted.findings.push(finding);
        return Ok(());
    }
    for index in idle {
        linted.findings.extend(why_idle(spaces, &mut of_chain, index)?);
    }
    conflict::look(spaces, &mut of_chain, chain, linted)?;
    redundant::look(spaces, &of_chain, ruleset, (chain, linted));
    Ok(())
}

/// Why no packet of any family comes to a rule: what a family says that has packets for it.
fn why_idle(
    spaces: &mut [&mut Space],
    of_chain: &mut [OfChain<'_>],
    index: usize,
) -> Result<Option<Finding>, AnalyseError> {
    let mut found = None;
    for one in of_chain {
        let space = &mut *spaces[one.family.number];
        found = match (one.idle(space, index)?, found) {
            (Some(new), Some(known)) => Some(if new.says_less(&known) { known } else { new }),
            (new, known) => new.or(known),
        };
        if found.as_ref().is_some_and(|found: &Finding| found.code != Code::NeverMatches) {
            break;
        }
    }
    Ok(found)
}
