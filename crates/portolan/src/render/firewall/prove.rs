//! Whether a table does what the inventory says, and a packet where it does not.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::analyse::Witness;
use portolan_core::firewall::{
    self, Difference, LostLookups, Obstacle, Proof, ProofWay, RulePlace, Violation,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::place::PlaceJson;
use super::simulate::packet_words;
use super::simulate_json::packet_json;
use crate::ops::firewall::prove::{Against, Reading, Report};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints the answer, then what speaks against it.
pub(crate) fn text(screen: &mut Screen, report: &Report) -> Result<()> {
    let host = sanitize(&report.intended.policy.host).into_owned();
    let table = match report.against {
        Against::Compiled => "the compiled table",
        Against::Live => "the loaded table",
        Against::Saved => "the saved table",
    };
    let Some(proof) = &report.proof else {
        let word = screen.style.paint(Role::Warning, "UNDECIDED");
        writeln!(screen, "{word} {host}: too large to be decided")?;
        return Ok(screen.flush()?);
    };
    if proof.holds() {
        let role = if report.reading == Reading::Own { Role::Warning } else { Role::Good };
        let word = screen.style.paint(role, "PROVED");
        match report.reading {
            Reading::Nft => {
                writeln!(
                    screen,
                    "{word} {host}: {table} does what the inventory says, for every packet"
                )?;
            }
            Reading::Own => {
                writeln!(
                    screen,
                    "{word} {host}, as portolan itself reads the compiled table; not"
                )?;
                writeln!(screen, "shown is that nft takes its text and reads it alike. It does")?;
                writeln!(screen, "what the inventory says, for every packet")?;
            }
        }
        writeln!(
            screen,
            "of IPv4 and IPv6 to, through and from this machine, whatever doors are open"
        )?;
    } else {
        let word = screen.style.paint(Role::Bad, "NOT PROVED");
        writeln!(screen, "{word} {host}: {table} does not do what the inventory says")?;
        against(screen, proof)?;
    }
    if proof.is_on_trial {
        writeln!(
            screen,
            "as long as its trial lasts; after that it refuses nobody until it is gone"
        )?;
    }
    for obstacle in &report.obstacles {
        let packet = packet_words(&obstacle.witness.told());
        let name = sanitize(&obstacle.name);
        let on_its_way = on_its_way(obstacle.way);
        let decided = by(obstacle.decided_by.as_ref());
        match &obstacle.translated_by {
            None => {
                writeln!(screen, "\nother tables refuse `{name}`{on_its_way}: {packet}{decided}")?;
            }
            Some(rule) => {
                let rule = sanitize(&rule.to_string()).into_owned();
                writeln!(
                    screen,
                    "\nother tables translate `{name}`{on_its_way} to where it may not go: {packet}\n  \
                     translated by {rule}{decided}"
                )?;
            }
        }
        assumed(screen, &obstacle.witness)?;
    }
    Ok(screen.flush()?)
}

const fn on_its_way(way: ProofWay) -> &'static str {
    match way {
        ProofWay::Forward => " on its way through",
        ProofWay::Output => " on its way out",
        _ => "",
    }
}

fn against(screen: &mut Screen, proof: &Proof) -> Result<()> {
    if !proof.is_loaded {
        writeln!(screen, "there is no table inet portolan")?;
    }
    if let Some(lost) = &proof.lost_lookups {
        screen.hanging("", &lost.to_string())?;
    }
    for difference in &proof.differences {
        let packet = packet_words(&difference.witness.told());
        writeln!(screen, "\n{}: {packet}", difference.way.as_str())?;
        assumed(screen, &difference.witness)?;
        writeln!(screen, "  {}{}", says(difference), by(difference.decided_by.as_ref()))?;
    }
    for stranger in &proof.strangers {
        writeln!(screen)?;
        screen.hanging("", "a rule that the inventory knows nothing of changes packets")?;
        screen.hanging("  ", &stranger.to_string())?;
    }
    for violation in &proof.violations {
        let packet = packet_words(&violation.witness.told());
        let name = sanitize(&violation.name);
        writeln!(screen, "\n{}: {packet}", violation.way.as_str())?;
        assumed(screen, &violation.witness)?;
        writeln!(screen, "  is let in although it must never be: {name}")?;
    }
    Ok(())
}

fn assumed(screen: &mut Screen, witness: &Witness) -> Result<()> {
    for (question, answer) in &witness.answers {
        let answer = if *answer { "yes" } else { "no" };
        writeln!(screen, "  given: {}: {answer}", sanitize(question))?;
    }
    Ok(())
}

fn says(difference: &Difference) -> &'static str {
    let is_translated = matches!(difference.way, ProofWay::Prerouting | ProofWay::Postrouting);
    match (is_translated, difference.is_intended) {
        (false, false) => "the table lets it through, the inventory does not",
        (false, true) => "the inventory lets it through, the table does not",
        (true, false) => "the table translates it, the inventory does not so",
        (true, true) => "the inventory translates it, the table does not so",
    }
}

fn by(place: Option<&RulePlace>) -> String {
    place.map_or_else(String::new, |place| {
        format!("\n  decided by {}", sanitize(&place.to_string()))
    })
}

/// Prints all of it as one document.
pub(crate) fn json(screen: &mut Screen, report: &Report) -> Result<()> {
    let proof = report.proof.as_ref();
    let body = Body {
        host: &report.intended.policy.host,
        inventory: report.intended.loaded.path.display().to_string(),
        against: match report.against {
            Against::Compiled => "compiled",
            Against::Live => "live",
            Against::Saved => "saved",
        },
        reading: match report.reading {
            Reading::Nft => "nft",
            Reading::Own => "own",
        },
        holds: proof.map(Proof::holds),
        loaded: proof.map(|proof| proof.is_loaded),
        on_trial: proof.map(|proof| proof.is_on_trial),
        hash: firewall::compile(&report.intended.policy).hash(),
        differences: proof.map_or_else(Vec::new, |p| p.differences.iter().map(different).collect()),
        violations: proof.map_or_else(Vec::new, |p| p.violations.iter().map(violated).collect()),
        strangers: proof
            .map_or_else(Vec::new, |p| p.strangers.iter().map(PlaceJson::from).collect()),
        refused_by_others: report.obstacles.iter().map(refused).collect(),
        lost_lookups: proof.and_then(|proof| proof.lost_lookups.as_ref()).map(lookups),
    };
    screen.json(&Document::new("firewall-prove", body, &report.gaps))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    host: &'a str,
    inventory: String,
    /// `compiled`, `live` or `saved`.
    against: &'static str,
    /// `nft`, or `own` where nft could not be asked.
    reading: &'static str,
    /// null where it is too large to decide.
    holds: Option<bool>,
    loaded: Option<bool>,
    /// Whether the table is on trial: judged is how it is as long as that lasts.
    on_trial: Option<bool>,
    hash: String,
    differences: Vec<Value>,
    violations: Vec<Value>,
    /// Rules that change packets as no policy does.
    strangers: Vec<PlaceJson>,
    refused_by_others: Vec<Value>,
    /// Resolvers of this machine that the table keeps it from asking; null where there are none.
    lost_lookups: Option<Value>,
}

/// Resolvers that cannot be asked, in JSON.
pub(super) fn lookups(lookups: &LostLookups) -> Value {
    let prefixes = [false, true].map(|is_v6| lookups.made_for.prefixes(is_v6)).concat();
    json!({
        "now": lookups.now.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "made_for": prefixes.iter().map(|p| p.address().to_string()).collect::<Vec<_>>(),
        "message": lookups.to_string(),
    })
}

fn different(difference: &Difference) -> Value {
    json!({
        "way": difference.way.as_str(),
        "wanted": difference.is_intended,
        "witness": packet_json(&difference.witness.told()),
        "given": answers(&difference.witness),
        "decided_by": difference.decided_by.as_ref().map(PlaceJson::from),
        "message": says(difference),
    })
}

fn violated(violation: &Violation) -> Value {
    json!({
        "way": violation.way.as_str(),
        "reason": violation.name,
        "witness": packet_json(&violation.witness.told()),
        "given": answers(&violation.witness),
    })
}

fn refused(obstacle: &Obstacle) -> Value {
    json!({
        "service": obstacle.name,
        "way": obstacle.way.as_str(),
        "witness": packet_json(&obstacle.witness.told()),
        "given": answers(&obstacle.witness),
        "decided_by": obstacle.decided_by.as_ref().map(PlaceJson::from),
        "translated_by": obstacle.translated_by.as_ref().map(PlaceJson::from),
    })
}

fn answers(witness: &Witness) -> Vec<Value> {
    let answer = |(question, answer): &(String, bool)| json!({"text": question, "answer": answer});
    witness.answers.iter().map(answer).collect()
}
