//! A narrower policy, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::Hook;
use portolan_core::firewall::tighten::{HookProof, Need};
use serde::Serialize;

use super::place::PlaceJson;
use super::replay::{FlowJson, elsewhere, port};
use super::source_words::{options, options_with, shell_word};
use crate::ops::firewall::tighten::Report;
use crate::render::json::Document;
use crate::render::number::{counted, thousands};
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// So many rows of a list are told; JSON has them all.
const SHOWN: usize = 20;

/// What `--budget` is where nobody says it.
const USUAL_BUDGET: usize = 16;

/// Prints what is needed, what is not, and the proof.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let observed = &report.observed;
    let need = if observed.total == 1 { "needs" } else { "need" };
    writeln!(screen, "{} {need}:", counted(observed.total, "flow"))?;
    for need in &observed.needs {
        writeln!(
            screen,
            "  {:<16} from {}{}  ({}, {})",
            ports(need),
            sources(need),
            by(need),
            counted(need.flows, "flow"),
            number(need.addresses)
        )?;
    }
    elsewhere(screen, report.elsewhere)?;
    refused(screen, report)?;
    unused(screen, report)?;
    proof(screen, report)?;
    Ok(screen.flush()?)
}

fn refused(screen: &mut Screen, report: &Report) -> Result<()> {
    let refused = &report.observed.refused;
    if refused.is_empty() {
        return Ok(());
    }
    writeln!(screen, "\nrefused already, and so not kept:")?;
    for (flow, count) in refused.iter().take(SHOWN) {
        let count = counted(*count, "flow");
        writeln!(
            screen,
            "  {:<12} from {} to {}  ({count})",
            port(flow),
            flow.source,
            flow.destination
        )?;
    }
    more(screen, refused.len())
}

fn unused(screen: &mut Screen, report: &Report) -> Result<()> {
    if report.unused.is_empty() {
        return Ok(());
    }
    writeln!(screen, "\nrules that no flow met and that have counted nothing:")?;
    for place in report.unused.iter().take(SHOWN) {
        writeln!(screen, "  {}", sanitize(&place.to_string()))?;
    }
    more(screen, report.unused.len())
}

fn more(screen: &mut Screen, length: usize) -> Result<()> {
    if length > SHOWN {
        writeln!(screen, "  and {} more (--json has all)", thousands((length - SHOWN) as u64))?;
    }
    Ok(())
}

fn proof(screen: &mut Screen, report: &Report) -> Result<()> {
    let proof = &report.proof;
    writeln!(screen, "\nproof:")?;
    let kept = proof.lost.is_empty();
    writeln!(screen, "  {}  every flow that passed still passes", verdict(Some(kept)))?;
    for hook in &proof.hooks {
        let who = match hook.hook {
            Hook::Forward => "through this machine",
            _ => "to this machine",
        };
        writeln!(
            screen,
            "  {}  nothing new passes {who}, over IPv4 or IPv6",
            verdict(hook.within_old)
        )?;
    }
    for flow in proof.lost.iter().take(SHOWN) {
        writeln!(
            screen,
            "       lost: {} from {} to {}",
            port(flow),
            flow.source,
            flow.destination
        )?;
    }
    match proof.narrows() {
        true => next(screen, report),
        false => Ok(writeln!(screen, "\nthe rules are as narrow as the flows already")?),
    }
}

/// How the table is written and tried.
fn next(screen: &mut Screen, report: &Report) -> Result<()> {
    let (path, sources) = &report.asked;
    let flows = shell_word(&path.display().to_string());
    let budget = match report.budget {
        USUAL_BUDGET => String::new(),
        other => format!(" --budget {other}"),
    };
    let rules = options(sources);
    writeln!(
        screen,
        "\nthe table:  portolan firewall tighten --flows {flows}{rules}{budget} --nft > narrow.nft"
    )?;
    let rules = options_with(sources, Some("narrow.nft"));
    writeln!(screen, "a trial:    portolan firewall replay --flows {flows}{rules}")?;
    Ok(writeln!(screen, "then load it:  nft -f narrow.nft")?)
}

/// `1 address`, `2 addresses`.
fn number(addresses: usize) -> String {
    let ending = if addresses == 1 { "" } else { "es" };
    format!("{} address{ending}", thousands(addresses as u64))
}

const fn verdict(holds: Option<bool>) -> &'static str {
    match holds {
        Some(true) => "proved   ",
        Some(false) => "REFUTED  ",
        None => "undecided",
    }
}

fn ports(need: &Need) -> String {
    let ports: Vec<String> = need.ports.iter().map(ToString::to_string).collect();
    format!("{}/{}", ports.join(","), need.transport)
}

fn by(need: &Need) -> String {
    let by = match need.interface.is_empty() {
        true => String::new(),
        false => format!(" by {}", sanitize(&need.interface)),
    };
    match need.hook {
        Hook::Forward => format!("{by}, translated and passed on"),
        _ => by,
    }
}

fn sources(need: &Need) -> String {
    let sources: Vec<String> = need.sources.iter().map(ToString::to_string).collect();
    sources.join(", ")
}

/// Prints all as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let observed = &report.observed;
    let refused = observed.refused.iter();
    let body = Body {
        flows: observed.total,
        depends: observed.depending,
        unjudged: observed.unjudged,
        needs: observed.needs.iter().map(NeedJson::from).collect(),
        refused: refused
            .map(|(flow, flows)| Refused { flows: *flows, flow: flow.into() })
            .collect(),
        unused: report.unused.iter().map(PlaceJson::from).collect(),
        nft: &report.script,
        proof: ProofJson {
            observed_within_new: report.proof.lost.is_empty(),
            new_within_old: report.proof.within_old(),
            hooks: report.proof.hooks.iter().map(HookJson::from).collect(),
            lost: report.proof.lost.iter().map(FlowJson::from).collect(),
        },
        narrows: report.proof.narrows(),
        lines_passed_over: report.passed_over,
        other_ways: report.elsewhere,
    };
    screen.json(&Document::new("firewall-tighten", body, &report.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    flows: u64,
    depends: u64,
    unjudged: u64,
    needs: Vec<NeedJson>,
    refused: Vec<Refused>,
    unused: Vec<PlaceJson>,
    nft: &'a str,
    proof: ProofJson,
    narrows: bool,
    lines_passed_over: u64,
    other_ways: u64,
}

#[derive(Serialize)]
struct Refused {
    flows: u64,
    flow: FlowJson,
}

#[derive(Serialize)]
struct ProofJson {
    observed_within_new: bool,
    new_within_old: Option<bool>,
    hooks: Vec<HookJson>,
    lost: Vec<FlowJson>,
}

/// Packets to this machine (`input`), and those through it (`forward`).
#[derive(Serialize)]
struct HookJson {
    hook: &'static str,
    new_within_old: Option<bool>,
    narrows: bool,
}

impl From<&HookProof> for HookJson {
    fn from(proof: &HookProof) -> Self {
        let HookProof { hook, within_old, narrows } = *proof;
        Self { hook: hook.as_str(), new_within_old: within_old, narrows }
    }
}

#[derive(Serialize)]
struct NeedJson {
    hook: &'static str,
    r#in: Option<String>,
    ports: Vec<String>,
    sources: Vec<String>,
    flows: u64,
    addresses: usize,
}

impl From<&Need> for NeedJson {
    fn from(need: &Need) -> Self {
        let port = |range| format!("{range}/{}", need.transport);
        Self {
            hook: need.hook.as_str(),
            r#in: (!need.interface.is_empty()).then(|| need.interface.to_string()),
            ports: need.ports.iter().map(port).collect(),
            sources: need.sources.iter().map(ToString::to_string).collect(),
            flows: need.flows,
            addresses: need.addresses,
        }
    }
}
