//! Rules looked at as a whole: what is idle, what two rulesets do differently, where families differ.

use anyhow::Result;
use portolan_core::firewall::TABLE;
use portolan_core::firewall::analyse::{
    self, AnalyseError, Code, DEFAULT_BUDGET, Differences, Disparity, Finding, Space,
};
use portolan_core::firewall::simulate::{Prepared, Way};
use portolan_core::firewall::{Family, Hook, Rule, Ruleset, Statement, Table, World};
use portolan_core::net::{Gap, Why};

use super::source::{self, Rules};
use crate::fault::Fault;
use crate::ops::firewall::source::Sources;

/// What was found; `None` where the rules are too large to decide.
#[derive(Debug)]
pub(crate) struct Report<T> {
    /// The rules it speaks of (of two: the second).
    pub(crate) ruleset: Ruleset,
    pub(crate) found: Option<T>,
    pub(crate) gaps: Vec<Gap>,
}

/// What was found of rules that people and other programs write.
#[derive(Debug)]
pub(crate) struct Linted {
    pub(crate) findings: Vec<Finding>,
    /// How many more speak of rules that `firewall compile` made: what is wrong with those is found by
    /// `prove`, and an idle base row is there on purpose.
    pub(crate) own: usize,
}

impl Linted {
    fn of(ruleset: &Ruleset, findings: Vec<Finding>) -> Self {
        let is_own = |finding: &Finding| {
            let table = ruleset.tables.get(finding.rule.chain.table);
            let is_ours = |table: &Table| table.family == Family::Inet && &*table.name == TABLE;
            let comment = ruleset.rule(finding.rule).and_then(|rule| rule.comment.as_deref());
            table.is_some_and(is_ours) && comment.is_none_or(|text| text.starts_with("pt:"))
        };
        let (own, findings): (Vec<_>, Vec<_>) = findings.into_iter().partition(is_own);
        Self { findings, own: own.len() }
    }
}

/// Looks at every rule.
///
/// # Errors
/// Rules that cannot be read, an analysis that contradicts the simulator.
pub(crate) fn lint(sources: &Sources) -> Result<Report<Linted>> {
    let rules = source::load(sources)?;
    let nothing = World::default();
    let found = {
        // Whatever its addresses are: rules are to hold for all of them.
        let prepared = Prepared::new(&rules.ruleset, &nothing);
        let (mut v4, mut v6) = spaces(&[&rules.ruleset], &nothing);
        analyse::lint(&mut [&mut v4, &mut v6], &prepared)
    };
    let skipped = found.as_ref().ok().map(|linted| skipped(linted, &rules.ruleset));
    let mut found = found.map(|linted| Linted::of(&rules.ruleset, linted.findings));
    let untold = rules.untold.contains(&true);
    if let Some(linted) = found.as_mut().ok().filter(|_| untold) {
        // A family of which nothing is known is not open wider.
        linted.findings.retain(|finding| finding.code != Code::Disparity);
    }
    let aside = |gap: Gap| Gap { asked: false, why: Why::NotLooked, ..gap };
    let gaps = rules.untold_of_both().into_iter().map(aside).collect::<Vec<_>>();
    let mut report = report(rules, found)?;
    report.gaps.extend(gaps);
    report.gaps.extend(skipped.unwrap_or_default());
    Ok(report)
}

/// What was not looked for.
fn skipped(linted: &analyse::Linted, ruleset: &Ruleset) -> Vec<Gap> {
    let gaps = linted.skipped.iter().map(|(chain, code)| {
        let table = ruleset.tables.get(chain.table).map_or("", |table| &*table.name);
        let chain = ruleset.chain(*chain).map_or("", |chain| &*chain.name);
        let what = format!("findings \"{}\" in chain {table} {chain}", code.as_str());
        Gap::new(what, Why::Unsupported, "the rules are too large to decide")
    });
    let place = |rule| match ruleset.place(rule) {
        Some(place) => place.to_string(),
        None => "a rule".to_owned(),
    };
    let open = linted.open.iter().map(|finding| {
        let what = format!("whether {} is {}", place(finding.rule), finding.code.as_str());
        let on: Vec<String> = finding.depends_on.iter().map(|on| format!("`{on}`")).collect();
        Gap::new(what, Why::Unsupported, format!("it depends on {}", on.join(", ")))
    });
    gaps.chain(open).collect()
}

/// The ways on which the families are compared.
pub(crate) const WAYS: [(&str, Way); 3] =
    [("input", Way::Input), ("forward", Way::Forward), ("output", Way::Output)];

/// Where the families differ.
#[derive(Debug)]
pub(crate) struct Parity {
    /// Known to differ.
    pub(crate) known: Vec<Disparity>,
    /// Restricted in both, to addresses of which no rule says whether they are the same hosts.
    pub(crate) restricted: Vec<Disparity>,
    /// A family whose packets this machine does not pass on, so that forwarding was not compared.
    pub(crate) unforwarded: Option<&'static str>,
}

/// Compares the families, on one way or on all. `None` too where the rules of one are not there.
///
/// # Errors
/// Rules that cannot be read; a hook that is none.
pub(crate) fn parity(sources: &Sources, hook: Option<&str>) -> Result<Report<Option<Parity>>> {
    let only = hook.map(named).transpose()?;
    let rules = source::load(sources)?;
    let nothing = World::default();
    let gaps = rules.untold_of_both();
    let unforwarded = match (rules.is_live, rules.world.forwards_v4, rules.world.forwards_v6) {
        (false, ..) | (true, true, true) => None,
        (true, false, _) => Some("IPv4"),
        (true, true, false) => Some("IPv6"),
    };
    let ways = WAYS.into_iter().map(|(_, way)| way);
    let ways: Vec<Way> = ways
        .filter(|way| only.is_none_or(|only| only == *way))
        .filter(|way| *way != Way::Forward || unforwarded.is_none())
        .collect();
    let found = match gaps.is_empty() {
        true => unlike(&rules.ruleset, &nothing, &ways).map(Some),
        false => Ok(None),
    };
    let is_asked = only.is_none_or(|only| only == Way::Forward);
    let found = found.map(|found| {
        let (known, restricted) = found?.into_iter().partition(Disparity::is_known);
        Some(Parity { known, restricted, unforwarded: unforwarded.filter(|_| is_asked) })
    });
    let mut report = report(rules, found)?;
    report.gaps.extend(gaps);
    Ok(report)
}

fn named(word: &str) -> Result<Way> {
    let found = WAYS.iter().find(|(name, _)| *name == word);
    found.map(|(_, way)| *way).ok_or_else(|| {
        let hint = "families are compared on input, forward and output";
        Fault::new(format!("there is no comparison at the hook `{word}`"), hint)
    })
}

fn unlike(ruleset: &Ruleset, world: &World, ways: &[Way]) -> Result<Vec<Disparity>, AnalyseError> {
    let prepared = Prepared::new(ruleset, world);
    let (mut v4, mut v6) = spaces(&[ruleset], world);
    let mut found = Vec::new();
    for way in ways {
        found.extend(analyse::unlike(&mut v4, &mut v6, &prepared, *way)?);
    }
    found.retain(|disparity| !disparity.is_of_one_family());
    Ok(found)
}

/// What two rulesets do differently.
#[derive(Debug)]
pub(crate) struct Compared {
    /// The rules before; those after are the report's.
    pub(crate) before: Ruleset,
    /// For IPv4 and IPv6.
    pub(crate) families: [OfFamily; 2],
}

/// What two rulesets do differently with the packets of one family.
#[derive(Debug)]
pub(crate) enum OfFamily {
    /// This.
    Found(Differences),
    /// Neither side tells its rules: nobody asks for it.
    NotAsked,
    /// Only one side does: the rules before (`true`) or those after.
    ToldOnly(bool),
}

impl OfFamily {
    /// What was found, where it was compared.
    pub(crate) const fn found(&self) -> Option<&Differences> {
        match self {
            Self::Found(found) => Some(found),
            Self::NotAsked | Self::ToldOnly(_) => None,
        }
    }

    /// Whether what is not known of its packets is only where they are sent.
    pub(crate) fn ends_alike(&self) -> bool {
        let mut open = self.found().into_iter().flat_map(|found| &found.open);
        open.all(|open| open.before.ends.is_some())
    }

    /// Whether the same becomes of every packet of it; `None` where that is not known.
    pub(crate) fn is_equal(&self) -> Option<bool> {
        let found = self.found()?;
        match (found.regions.is_empty(), found.open.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }
}

impl Compared {
    /// Whether the same becomes of every packet of the families that either side tells; `None` where that is
    /// not known.
    pub(crate) fn is_equal(&self) -> Option<bool> {
        let asked = self.families.iter().filter(|of| !matches!(of, OfFamily::NotAsked));
        let equal: Vec<Option<bool>> = asked.map(OfFamily::is_equal).collect();
        match equal.contains(&Some(false)) {
            true => Some(false),
            false => equal.into_iter().all(|equal| equal == Some(true)).then_some(true),
        }
    }

    /// Whether what is not known of packets is only where they are sent.
    pub(crate) fn ends_alike(&self) -> bool {
        self.families.iter().all(OfFamily::ends_alike)
    }

    /// Whether a family that a side tells could not be compared.
    pub(crate) fn lacks_a_family(&self) -> bool {
        self.families.iter().any(|of| matches!(of, OfFamily::ToldOnly(_)))
    }

    /// Whether every difference is told: all was compared that either side tells.
    pub(crate) fn is_whole(&self) -> bool {
        !self.lacks_a_family() && self.found().all(|found| found.is_whole)
    }

    fn found(&self) -> impl Iterator<Item = &Differences> {
        self.families.iter().filter_map(OfFamily::found)
    }
}

/// Compares two rulesets; for each family what differs.
///
/// # Errors
/// Rules that cannot be read, an analysis that contradicts the simulator.
pub(crate) fn diff(before: &str, after: &str) -> Result<Report<Compared>> {
    let (mut old, mut new) = (source::one(before)?, source::one(after)?);
    let families = compared(&old, &new);
    let writes_alike = writing(&old.ruleset) == writing(&new.ruleset);
    new.gaps.append(&mut old.gaps);
    let gaps = untold(&old, &new);
    let found = families.map(|families| Compared { before: old.ruleset, families });
    let mut report = report(new, found)?;
    report.gaps.extend(gaps);
    if report.found.as_ref().is_some_and(|found| found.found().any(|one| !one.open.is_empty())) {
        let hint = "portolan firewall simulate shows where one packet is sent";
        let what = match report.found.as_ref().is_none_or(Compared::ends_alike) {
            true => "whether some packets are sent to the same end",
            false => "whether the same becomes of some packets",
        };
        report.gaps.push(Gap::new(what, Why::Unsupported, hint));
    }
    if !writes_alike {
        let what = "what rules write into packets (marks, DSCP, TTL); these rules are not the same";
        report.gaps.push(Gap::aside(what, Why::NotLooked, ""));
    }
    Ok(report)
}

/// A rule that writes into packets: its chain, where packets enter that, and the rule as written.
type Writing<'r> = (&'r str, Option<(Hook, i32)>, &'r str);

fn writing(ruleset: &Ruleset) -> Vec<Writing<'_>> {
    let writes = |rule: &&Rule| {
        rule.statements.iter().any(|statement| matches!(statement, Statement::Assign { .. }))
    };
    let all = ruleset.chains().flat_map(|(_, chain)| {
        let place = chain.base.as_ref().map(|base| (base.hook, base.priority));
        let rules = chain.rules.iter().filter(writes);
        rules.map(move |rule| (&*chain.name, place, &*rule.text))
    });
    all.collect()
}

/// What is told of a family by one side alone leaves the answer open; what neither tells is said beside it.
fn untold(old: &Rules, new: &Rules) -> Vec<Gap> {
    let gaps = [false, true].into_iter().filter_map(|is_v6| {
        match (old.is_untold(is_v6), new.is_untold(is_v6)) {
            (true, true) => old.untold(is_v6),
            _ => old.missing(is_v6).or_else(|| new.missing(is_v6)),
        }
    });
    gaps.collect()
}

/// For IPv4 and IPv6. Of a family that one of both does not tell, nothing can be compared.
fn compared(old: &Rules, new: &Rules) -> Result<[OfFamily; 2], AnalyseError> {
    let nothing = World::default();
    let before = Prepared::new(&old.ruleset, &nothing);
    let after = Prepared::new(&new.ruleset, &nothing);
    let of_family = |is_v6| match (old.is_untold(is_v6), new.is_untold(is_v6)) {
        (true, true) => Ok(OfFamily::NotAsked),
        (false, true) => Ok(OfFamily::ToldOnly(true)),
        (true, false) => Ok(OfFamily::ToldOnly(false)),
        (false, false) => {
            let mut space =
                Space::new(is_v6, &[&old.ruleset, &new.ruleset], &nothing, DEFAULT_BUDGET);
            let ways = WAYS.map(|(_, way)| way);
            analyse::diff(&mut space, &before, &after, &ways).map(OfFamily::Found)
        }
    };
    Ok([of_family(false)?, of_family(true)?])
}

fn spaces(rulesets: &[&Ruleset], world: &World) -> (Space, Space) {
    let space = |is_v6| Space::new(is_v6, rulesets, world, DEFAULT_BUDGET);
    (space(false), space(true))
}

fn report<T>(rules: Rules, found: Result<T, AnalyseError>) -> Result<Report<T>> {
    let Rules { ruleset, mut gaps, .. } = rules;
    let found = match found {
        Ok(found) => Some(found),
        Err(AnalyseError::Undecided(undecided)) => {
            let hint = "the rules are too large to decide";
            gaps.push(Gap::new(undecided.to_string(), Why::Unsupported, hint));
            None
        }
        Err(internal) => return Err(internal.into()),
    };
    Ok(Report { ruleset, found, gaps })
}
