//! Rules as narrow as observed flows allow, with the proof.

use std::path::{Path, PathBuf};

use anyhow::Result;
use portolan_core::firewall::flow::Flow;
use portolan_core::firewall::simulate::Way;
use portolan_core::firewall::tighten::{self, Observed, Proof, Tally};
use portolan_core::firewall::{RulePlace, Ruleset};
use portolan_core::net::Gap;

use super::{flows, source};
use crate::fault::Fault;
use crate::ops::firewall::source::Sources;

/// A proposal.
#[derive(Debug)]
pub(crate) struct Report {
    /// What the flows need.
    pub(crate) observed: Observed,
    /// Rules no flow needed.
    pub(crate) unused: Vec<RulePlace>,
    /// The proposal as nft reads it.
    pub(crate) script: String,
    /// What was proved of it.
    pub(crate) proof: Proof,
    /// Lines of a log that told of no flow.
    pub(crate) passed_over: u64,
    /// Connections of the kernel's table that go another way.
    pub(crate) elsewhere: u64,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
    /// The flows that were asked about, and which rules were.
    pub(crate) asked: (PathBuf, Sources),
    /// How many networks a service's sources could become.
    pub(crate) budget: usize,
}

/// Runs the flows against the rules, narrows, and proves.
///
/// # Errors
/// As [`flows::load`] and [`source::load`]; flows none of which the rules let in.
pub(crate) fn tighten(path: &Path, sources: &Sources, budget: usize) -> Result<Report> {
    let flows = flows::load(path, Some(Way::Input))?;
    let rules = source::load(sources)?;
    let mut tally = Tally::of(&rules.ruleset);
    for (is_v6, count) in [(false, flows.header.v4), (true, flows.header.v6)] {
        if count > 0 {
            rules.refuse_untold(is_v6)?;
        }
        let collect =
            |found: &mut Vec<Flow>, record: &[u8]| found.extend(flows.header.flow(record));
        flows
            .each(is_v6, Vec::new, collect)?
            .into_iter()
            .flatten()
            .for_each(|flow| tally.push(flow));
    }
    let observed = tighten::observe(&rules.ruleset, &rules.world, &tally, Way::Input, budget);
    if observed.needs.is_empty() {
        let what = format!(
            "none of the {} flows is of TCP, UDP, SCTP or DCCP, to this machine and let in by the rules: \
             a table made of them would refuse every new connection",
            observed.total
        );
        let hint = "observe for longer; `portolan firewall replay` says what becomes of these";
        return Err(Fault::new(what, hint));
    }
    let new = tighten::tightened(&rules.ruleset, &observed.needs);
    let has_forward = tighten::guard::has_forward(&rules.ruleset);
    let guard = tighten::guard::table(&observed.needs, has_forward);
    let proof = tighten::prove(&rules.ruleset, &new, &rules.world, &tally);
    Ok(Report {
        unused: places(&rules.ruleset, &observed),
        script: tighten::guard::script(&guard),
        proof,
        passed_over: flows.passed_over,
        elsewhere: flows.elsewhere,
        gaps: [rules.gaps, flows.gaps].concat(),
        observed,
        asked: (path.to_owned(), sources.clone()),
        budget,
    })
}

fn places(ruleset: &Ruleset, observed: &Observed) -> Vec<RulePlace> {
    observed.unused.iter().filter_map(|id| ruleset.place(*id)).collect()
}
