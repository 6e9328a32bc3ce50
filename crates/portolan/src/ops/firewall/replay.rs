//! How observed flows fare under rules.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portolan_core::firewall::flow::Flow;
use portolan_core::firewall::flow::binary::RECORD6;
use portolan_core::firewall::replay::{Fate, Replayer};
use portolan_core::firewall::simulate::Way;
use portolan_core::net::Gap;
use portolan_host::clock::Stopwatch;

use super::flows::{self, Flows};
use super::source;
use crate::ops::firewall::source::Sources;

/// What became of all flows.
#[derive(Debug)]
pub(crate) struct Report {
    /// How many there were to judge.
    pub(crate) flows: u64,
    /// Let through, whatever else holds.
    pub(crate) accepted: u64,
    /// Refused, most frequent port first.
    pub(crate) refused: Vec<Group>,
    /// That depends on what no flow tells, most frequent first.
    pub(crate) depending: Vec<Group>,
    /// Lines of a log that told of no flow.
    pub(crate) passed_over: u64,
    /// Connections of the kernel's table that go another way.
    pub(crate) elsewhere: u64,
    /// Errors and answers of ICMP: they belong to a connection, and begin none.
    pub(crate) of_connections: u64,
    /// How long the replay took, reading the records included.
    pub(crate) took: Duration,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
    /// Which rules were asked.
    pub(crate) sources: Sources,
    /// The way the flows went: input or forward.
    pub(crate) hook: String,
}

impl Report {
    /// How many flows were refused.
    pub(crate) fn refused_flows(&self) -> u64 {
        self.refused.iter().map(|group| group.flows).sum()
    }

    /// How many depend on something.
    pub(crate) fn depending_flows(&self) -> u64 {
        self.depending.iter().map(|group| group.flows).sum()
    }
}

/// Flows with the same end: a transport and a port.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// How many.
    pub(crate) flows: u64,
    /// One of them.
    pub(crate) example: Flow,
}

/// Which way flows go.
pub(crate) fn way(hook: &str) -> Way {
    if hook == "forward" { Way::Forward } else { Way::Input }
}

/// Replays the flows of a file.
///
/// # Errors
/// As [`flows::load`] and [`source::load`]; rules too irregular to be analysed.
pub(crate) fn replay(path: &Path, sources: &Sources, hook: &str) -> Result<Report> {
    let flows = flows::load(path, Some(way(hook)))?;
    let rules = source::load(sources)?.just_now();
    let names = &flows.header.interfaces;
    let mut replayer = Replayer::new(&rules.ruleset, &rules.world, way(hook), names);
    let watch = Stopwatch::start();
    let mut total = Counts::default();
    let mut gaps = [rules.gaps.clone(), flows.gaps.clone()].concat();
    for (is_v6, count) in [(false, flows.header.v4), (true, flows.header.v6)] {
        if count == 0 {
            continue;
        }
        let missing = rules.missing(is_v6);
        match &missing {
            Some(gap) => gaps.push(gap.clone()),
            None => replayer.prepare(is_v6)?,
        }
        let message = |record: &[u8]| {
            Replayer::is_of_messages(record).then(|| flows.header.flow(record)).flatten()
        };
        let fate = |record: &[u8]| match message(record) {
            Some(flow) if replayer.is_of_a_connection(&flow) => None,
            _ if missing.is_some() => Some(Fate::Depends),
            message => message
                .and_then(|flow| replayer.fate_alone(&flow))
                .or_else(|| Some(replayer.fate(is_v6, record))),
        };
        total.add(counted(&flows, is_v6, fate)?);
    }
    let took = watch.now().since_start();
    let groups = |found: HashMap<Port, Seen>| {
        let group = |seen: Seen| {
            Some(Group { flows: seen.flows, example: flows.header.flow(seen.bytes())? })
        };
        let mut groups: Vec<Group> = found.into_values().filter_map(group).collect();
        groups.sort_by(|a, b| (b.flows, &a.example).cmp(&(a.flows, &b.example)));
        groups
    };
    Ok(Report {
        flows: flows.len().saturating_sub(total.of_connections),
        accepted: total.accepted,
        refused: groups(total.refused),
        depending: groups(total.depending),
        passed_over: flows.passed_over,
        elsewhere: flows.elsewhere,
        of_connections: total.of_connections,
        took,
        gaps,
        sources: sources.clone(),
        hook: hook.to_owned(),
    })
}

/// Protocol and port.
type Port = [u8; 3];

/// The lowest record with this end, and how many there were.
#[derive(Clone, Copy, Debug)]
struct Seen {
    flows: u64,
    record: [u8; RECORD6],
    length: usize,
}

impl Seen {
    fn bytes(&self) -> &[u8] {
        self.record.get(..self.length).unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    of_connections: u64,
    refused: HashMap<Port, Seen>,
    depending: HashMap<Port, Seen>,
}

impl Counts {
    fn take(&mut self, fate: Option<Fate>, record: &[u8]) {
        match fate {
            None => self.of_connections += 1,
            Some(Fate::Accepted) => self.accepted += 1,
            Some(Fate::Refused) => see(&mut self.refused, record),
            Some(Fate::Depends) => see(&mut self.depending, record),
        }
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.of_connections += other.of_connections;
        for (mine, theirs) in
            [(&mut self.refused, other.refused), (&mut self.depending, other.depending)]
        {
            for (port, seen) in theirs {
                let known = mine.entry(port).or_insert(Seen { flows: 0, ..seen });
                known.flows += seen.flows;
                if seen.bytes() < known.bytes() {
                    *known = Seen { flows: known.flows, ..seen };
                }
            }
        }
    }
}

fn see(groups: &mut HashMap<Port, Seen>, record: &[u8]) {
    let Some(ends) = record.len().checked_sub(8).and_then(|at| record.get(at..)) else { return };
    let port = match ends {
        [first, second, _, _, protocol @ (1 | 58), ..] => [*protocol, *first, *second],
        [_, _, first, second, protocol, ..] => [*protocol, *first, *second],
        _ => return,
    };
    let seen = groups.entry(port).or_insert_with(|| {
        let mut copy = [0; RECORD6];
        copy.iter_mut().zip(record).for_each(|(to, from)| *to = *from);
        Seen { flows: 0, record: copy, length: record.len() }
    });
    seen.flows += 1;
    if record < seen.bytes() {
        seen.record.iter_mut().zip(record).for_each(|(to, from)| *to = *from);
    }
}

fn counted(
    flows: &Flows,
    is_v6: bool,
    fate: impl Fn(&[u8]) -> Option<Fate> + Sync,
) -> Result<Counts> {
    let work = |counts: &mut Counts, record: &[u8]| counts.take(fate(record), record);
    let mut total = Counts::default();
    for counts in flows.each(is_v6, Counts::default, work)? {
        total.add(counts);
    }
    Ok(total)
}
