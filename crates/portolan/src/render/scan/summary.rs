//! What a scan adds up to, in a few lines.

use std::io::{self, Write as _};

use portolan_core::scan::{Cap, Capped};

use super::words::{self, counted, odds, percent, time};
use crate::ops::scan::{EngineKind, Opening, Summary};
use crate::render::number::thousands;
use crate::render::sanitize::sanitize;

/// Prints the summary on standard error, beside results that went elsewhere.
pub(crate) fn brief(opening: &Opening, summary: &Summary) {
    let mut out = io::stderr().lock();
    for line in lines(opening, summary, None).into_iter().chain(fronts(summary)) {
        // Nobody is left to tell when standard error is gone.
        let _ = writeln!(out, "{}", sanitize(&line));
    }
}

/// The numbers, then what should be known beside them. `silent` are the hosts that never answered,
/// where they are known.
pub(super) fn lines(opening: &Opening, summary: &Summary, silent: Option<&str>) -> Vec<String> {
    let mut lines = vec![found(opening, summary), effort(opening, summary)];
    lines.extend(beside(opening, summary, silent));
    lines
}

/// Everything that should be known beside the numbers, in sentences.
pub(super) fn remarks(opening: &Opening, summary: &Summary) -> Vec<String> {
    beside(opening, summary, None).into_iter().chain(fronts(summary)).collect()
}

/// `4 hosts with 1,000 ports each: 2 open, 3,997 closed, 1 filtered`.
fn found(opening: &Opening, summary: &Summary) -> String {
    let tally = &summary.tally;
    let states = [
        (tally.open, "open"),
        (tally.closed, "closed"),
        (tally.filtered, "filtered"),
        (tally.open_filtered, "open|filtered"),
        (tally.unknown, "unknown"),
    ];
    let states = states.iter().filter(|(count, word)| *count > 0 || *word == "open");
    let states: Vec<String> =
        states.map(|(count, word)| format!("{} {word}", thousands(*count))).collect();
    let ports = counted(opening.ports.len() as u64, "port");
    let each = if opening.hosts == 1 { "" } else { " each" };
    let hosts = counted(opening.hosts, "host");
    format!("{hosts} with {ports}{each}: {}", states.join(", "))
}

/// `0.9 s, 3,012 probes, engine connect (no CAP_NET_RAW), seed 7`.
fn effort(opening: &Opening, summary: &Summary) -> String {
    let engine = opening.engine;
    let mut parts = vec![
        time(summary.elapsed),
        counted(summary.probes, "probe"),
        format!("engine {} ({})", engine.kind.as_str(), engine.why),
    ];
    if let Some(loss) = summary.tally.worst_loss.filter(|loss| *loss > 0.0) {
        parts.push(format!("loss up to {}", percent(loss)));
    }
    parts.push(format!("seed {}", opening.seed));
    if let Some(shard) = opening.shard {
        parts.push(format!("part {} of {}", shard.number, shard.of));
    }
    parts.join(", ")
}

fn beside(opening: &Opening, summary: &Summary, silent: Option<&str>) -> Vec<String> {
    let mut remarks = Vec::new();
    remarks.extend(ended_early(opening, summary));
    remarks.extend(unanswered(summary, silent));
    remarks.extend(sureness(summary));
    remarks.extend(limits(summary));
    remarks.extend(own_troubles(opening, summary));
    remarks
}

fn ended_early(opening: &Opening, summary: &Summary) -> Option<String> {
    let left = summary.tally.not_finished + summary.untouched;
    if opening.resumed > 0 && summary.tally.ports() == 0 {
        return Some("everything was done already: nothing is left of this scan".to_owned());
    }
    let mut ports = format!("{} not asked to the end", counted(left, "port"));
    if summary.untouched > 0 {
        ports.push_str(&format!(", {} of them not at all", thousands(summary.untouched)));
    }
    match summary.interrupted {
        Some(_) => Some(format!("interrupted: {ports}")),
        None if left > 0 => Some(format!("time was up: {ports}")),
        None => None,
    }
}

fn unanswered(summary: &Summary, which: Option<&str>) -> Vec<String> {
    let tally = &summary.tally;
    let which = which.map(|which| format!(": {which}")).unwrap_or_default();
    let mut said = Vec::new();
    if tally.silent > 0 {
        let hosts = counted(tally.silent, "host");
        said.push(format!("{hosts} never answered{which} (down, or all to them is dropped)"));
    }
    if tally.no_neighbour > 0 {
        let hosts = counted(tally.no_neighbour, "host");
        said.push(format!("{hosts} not there{which} (nobody on the link answers for them)"));
    }
    said
}

fn fronts(summary: &Summary) -> Vec<String> {
    let tally = &summary.tally;
    let one = |(host, front): &(_, _)| format!("{host}: {}", words::in_front(front));
    let mut said: Vec<String> = tally.fronts.iter().map(one).collect();
    let shown = tally.fronts.len() as u64;
    if tally.hosts_fronted > shown {
        let more = counted(tally.hosts_fronted - shown, "more host");
        said.push(format!("{more} with something in front"));
    }
    said
}

fn sureness(summary: &Summary) -> Option<String> {
    let tally = &summary.tally;
    let miss = tally.worst_miss.filter(|miss| *miss > 0.0)?;
    let tries = counted(tally.tries.into(), "time");
    Some(format!("silent ports were asked up to {tries}: a miss has {} at most", odds(miss)))
}

fn limits(summary: &Summary) -> Vec<String> {
    let tally = &summary.tally;
    let mut said: Vec<String> = tally
        .capped
        .iter()
        .map(|capped| {
            let Cap { what, per_second, burst } = capped.cap;
            let what = match what {
                Capped::Reset => "resets",
                Capped::Icmp => "ICMP",
            };
            format!("{} answers with {what} at {per_second:.0}/s, {burst} at once", capped.host)
        })
        .collect();
    let shown = tally.capped.len() as u64;
    if tally.hosts_capped > shown {
        let more = counted(tally.hosts_capped - shown, "more host");
        said.push(format!("{more} limit their answers"));
    }
    said
}

/// What this machine itself could not do.
fn own_troubles(opening: &Opening, summary: &Summary) -> Vec<String> {
    let tally = &summary.tally;
    let mut said: Vec<String> = tally
        .local_errors
        .iter()
        .map(|(error, count)| {
            format!("{} not sent at first: {}", counted(*count, "probe"), error.as_str())
        })
        .collect();
    if tally.unasked > 0 {
        let ports = counted(tally.unasked, "port");
        said.push(format!("{ports} could not be asked from this machine"));
    }
    let silent = tally.silent > 0 && tally.answered == 0;
    if silent && opening.engine.kind == EngineKind::Connect {
        said.push(
            "were this machine's own output rules to drop, a connection would show the same silence"
                .to_owned(),
        );
    }
    said
}
