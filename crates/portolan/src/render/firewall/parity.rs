//! Where IPv4 and IPv6 are open differently, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::{Disparity, Openness};
use portolan_core::firewall::simulate::Way;
use serde_json::{Value, json};

use super::block::{address_words, networks};
use super::walk_words::{protocol_word, way_word};
use crate::ops::firewall::compare::{Parity, Report};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints a line a disparity, and apart from them what is restricted in both.
pub(crate) fn text(screen: &mut Screen, report: &Report<Option<Parity>>) -> Result<()> {
    let Some(found) = &report.found else {
        writeln!(screen, "undecided")?;
        return Ok(screen.flush()?);
    };
    let Some(Parity { known, restricted, unforwarded }) = found else {
        // Which one, a gap says.
        writeln!(screen, "not compared: the rules of one family are not there")?;
        return Ok(screen.flush()?);
    };
    lines(screen, known)?;
    if known.is_empty() {
        let told = "alike: every port is open to everybody, to some, or to nobody in both families";
        screen.hanging("", told)?;
    }
    if !restricted.is_empty() {
        let told = "open to some: whether these are the same hosts, no rule says:";
        writeln!(screen, "\n{}", screen.style.paint(Role::Dim, told))?;
        lines(screen, restricted)?;
    }
    if let Some(family) = unforwarded {
        let told =
            format!("{family} packets are not passed on here, so forwarding was not compared");
        writeln!(screen, "\n{}", screen.style.paint(Role::Dim, told))?;
    }
    Ok(screen.flush()?)
}

fn lines(screen: &mut Screen, disparities: &[Disparity]) -> Result<()> {
    for disparity in disparities {
        let head = format!(
            "{:7} {}/{}{}: ",
            way_word(disparity.way),
            ports(disparity),
            protocol_word(disparity.protocol),
            interfaces(disparity)
        );
        let four = words(&disparity.v4, disparity.way);
        let six = words(&disparity.v6, disparity.way);
        screen.hanging("", &format!("{head}IPv4 {four}; IPv6 {six}"))?;
    }
    Ok(())
}

/// ` by eth0 and wg*`; nothing where it is by all.
fn interfaces(disparity: &Disparity) -> String {
    let word = |name: &str| match name {
        "others" => "any other".to_owned(),
        name => sanitize(name).into_owned(),
    };
    let words: Vec<String> = disparity.interfaces.iter().map(|name| word(name)).collect();
    match words.as_slice() {
        [] => String::new(),
        [one] => format!(" by {one}"),
        [most @ .., last] => format!(" by {} and {last}", most.join(", ")),
    }
}

fn ports(disparity: &Disparity) -> String {
    match disparity.ports {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    }
}

fn words(openness: &Openness, way: Way) -> String {
    let peer = if way == Way::Output { "to" } else { "from" };
    match openness {
        Openness::Closed => "closed".to_owned(),
        Openness::To(sources) if sources.all_but.is_empty() => {
            format!("only {peer} {}", address_words(sources))
        }
        Openness::To(sources) => format!("{peer} {}", address_words(sources)),
        Openness::Any => format!("open {peer} any"),
    }
}

/// Prints it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report<Option<Parity>>) -> Result<()> {
    let found = report.found.as_ref().and_then(Option::as_ref);
    let all = |of: fn(&Parity) -> &[Disparity]| -> Vec<Value> {
        found.map_or(&[][..], of).iter().map(disparity_json).collect()
    };
    let body = json!({
        "equal": found.map(|found| found.known.is_empty()),
        "disparities": all(|found| &found.known),
        "restricted_in_both": all(|found| &found.restricted),
        "not_forwarded": found.and_then(|found| found.unforwarded),
    });
    screen.json(&Document::new("firewall-parity", body, &report.gaps))
}

fn disparity_json(disparity: &Disparity) -> Value {
    json!({
        "hook": way_word(disparity.way),
        "transport": protocol_word(disparity.protocol),
        "ports": ports(disparity),
        "interfaces": disparity.interfaces,
        "v4": openness_json(&disparity.v4),
        "v6": openness_json(&disparity.v6),
    })
}

fn openness_json(openness: &Openness) -> Value {
    let (state, sources) = match openness {
        Openness::Closed => ("closed", Vec::new()),
        Openness::To(sources) => ("restricted", networks(sources)),
        Openness::Any => ("open", vec!["any".to_owned()]),
    };
    json!({"state": state, "sources": sources})
}
