//! What becomes of a packet: the verdict first, then its way.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::simulate::{Because, Decision, Did, Outcome, Station, Step, Walk};
use portolan_core::firewall::{ChainKind, Packet, RuleId, Ruleset, Tuple};

use super::walk_words::{
    chain_words, decided_words, did_word, flag_words, instead_words, kind_is_source, kind_word,
    no_way_words, note_words, outcome_word, outcome_words, protocol_word, rule_place, state_word,
    taken_words, target_word,
};
use crate::ops::firewall::simulate::Report;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints the verdict, what it depends on, and the way.
pub(crate) fn text(screen: &mut Screen, report: &Report<'_>) -> Result<()> {
    let (walk, ruleset) = (&report.walk, report.ruleset);
    screen.paragraph(0, &packet_words(&report.packet))?;
    writeln!(screen)?;
    let (word, role) = match walk.outcome {
        _ if !walk.is_certain() => ("DEPENDS", Role::Warning),
        Outcome::Accept => ("ACCEPT", Role::Good),
        Outcome::Drop => ("DROP", Role::Bad),
        Outcome::Reject(_) => ("REJECT", Role::Bad),
    };
    let painted = screen.style.paint(role, word).to_string();
    if walk.is_certain() {
        write!(screen, "{painted} ")?;
        screen.behind(word.len() + 1, &decided_words(walk, ruleset))?;
        if let Some(others) = instead_words(walk, ruleset) {
            screen.hanging("or by ", &others)?;
        }
    } else {
        let word = painted;
        writeln!(screen, "{word} on what the packet does not say")?;
        dependencies(screen, walk, ruleset)?;
    }
    if walk.outcome != Outcome::Accept
        && let Some(tables) = accepted_before(walk, ruleset)
    {
        screen.hanging(
            "note: ",
            &format!("accepted in {tables}; an accept ends only its own chain"),
        )?;
    }
    for note in &ruleset.notes {
        screen.hanging("note: ", note)?;
    }
    for taken in &report.taken {
        screen.hanging("note: ", &taken_words(*taken))?;
    }
    writeln!(screen)?;
    steps(screen, walk, ruleset)?;
    Ok(screen.flush()?)
}

pub(super) fn packet_words(packet: &Packet) -> String {
    let end = |address: std::net::IpAddr, port| match port {
        0 => address.to_string(),
        port => std::net::SocketAddr::new(address, port).to_string(),
    };
    let mut words = format!(
        "{} {} → {}",
        protocol_word(packet.protocol),
        end(packet.source, packet.source_port),
        end(packet.destination, packet.destination_port)
    );
    if packet.protocol == 6 {
        words.push_str(&format!(" {}", flag_words(packet.tcp_flags.0)));
    }
    if matches!(packet.protocol, 1 | 58) {
        words.push_str(&format!(" type {} code {}", packet.icmp.kind, packet.icmp.code));
    }
    if let Some(state) = packet.state.filter(|state| *state != packet.fresh_state()) {
        words.push_str(&format!(" {}", state_word(state)));
    }
    if packet.is_later_fragment {
        words.push_str(" later fragment");
    }
    for (name, mark) in [("mark", packet.mark), ("ct mark", packet.ct_mark)] {
        if mark != 0 {
            words.push_str(&format!(" {name} {mark:#x}"));
        }
    }
    if !packet.interface_in.is_empty() {
        words.push_str(&format!(" in {}", sanitize(&packet.interface_in)));
    }
    if let Some(name) = &packet.interface_out {
        words.push_str(&format!(" out {}", sanitize(name)));
    }
    words
}

/// Tables whose rules accepted what another dropped.
fn accepted_before(walk: &Walk, ruleset: &Ruleset) -> Option<String> {
    let mut tables: Vec<String> = Vec::new();
    for step in &walk.steps {
        let Step::Ends { chain, by, outcome: Outcome::Accept } = step else { continue };
        let is_filter = ruleset
            .chain(*chain)
            .and_then(|chain| chain.base.as_ref())
            .is_some_and(|base| base.kind != ChainKind::Nat);
        let table = ruleset.tables.get(chain.table);
        if let (Some(_), true, Some(table)) = (by.rule, is_filter, table) {
            let name = format!("table {}", sanitize(&table.name));
            if !tables.contains(&name) {
                tables.push(name);
            }
        }
    }
    (!tables.is_empty()).then(|| tables.join(", "))
}

fn dependencies(screen: &mut Screen, walk: &Walk, ruleset: &Ruleset) -> Result<()> {
    for open in &walk.depends_on {
        let place = open.rule.map(|rule| format!(" ({})", rule_place(rule, ruleset)));
        let told = format!(
            "{}{}: {} if so, else {}",
            sanitize(&open.question),
            place.unwrap_or_default(),
            outcome_words(&open.if_yes),
            outcome_words(&open.if_no)
        );
        screen.paragraph(2, &told)?;
    }
    let about_links = |word: &str| walk.depends_on.iter().any(|o| o.question.starts_with(word));
    if about_links("iifname") || about_links("oifname") {
        writeln!(screen, "  --in and --out say the interfaces, --world the addresses and routes")?;
    }
    if !walk.is_complete {
        writeln!(screen, "  and on more: too much is open to be tried")?;
    }
    let presumed = match walk.depends_on.iter().all(|open| open.presumed.is_some()) {
        true => "as presumed for a single packet",
        false => "at worst",
    };
    let told = format!("{} {}", outcome_word(walk.outcome), decided_words(walk, ruleset));
    screen.paragraph(0, &format!("{presumed}: {told}"))
}

/// The way, a line a step.
fn steps(screen: &mut Screen, walk: &Walk, ruleset: &Ruleset) -> Result<()> {
    for step in &walk.steps {
        match step {
            Step::Hook(hook) => writeln!(screen, "{hook}")?,
            Step::Tracked(state) => writeln!(screen, "  connection: {}", state_word(*state))?,
            Step::Defragmented => writeln!(screen, "  fragments are put together")?,
            Step::Enters(id) => writeln!(screen, "  {}", chain_words(*id, ruleset))?,
            Step::Matched { rule, did } => matched(screen, *rule, *did, ruleset)?,
            Step::Assigned { target, value, .. } => {
                let value = value.map_or("unknown".to_owned(), |value| format!("{value:#x}"));
                writeln!(screen, "      {} becomes {value}", target_word(*target))?;
            }
            Step::Ends { by: RuleId { rule: None, .. }, outcome, .. } => {
                writeln!(screen, "    policy: {}", outcome_word(*outcome))?;
            }
            Step::Ends { .. } => {}
            Step::Translated { kind, before, after, .. } => {
                let side = kind_is_source(*kind);
                writeln!(
                    screen,
                    "    {}: {} → {}",
                    kind_word(*kind),
                    side_of(before, side),
                    side_of(after, side)
                )?;
            }
            Step::Routed { decision, because } => {
                screen.hanging("→ ", &routed_words(decision, *because))?;
            }
            Step::Note(note) => screen.hanging("  note: ", &note_words(note, ruleset))?,
        }
    }
    Ok(())
}

fn matched(screen: &mut Screen, rule: RuleId, did: Did, ruleset: &Ruleset) -> Result<()> {
    let Some(place) = ruleset.place(rule) else { return Ok(()) };
    let number = place.index.map_or(0, |index| index + 1);
    let chain = match ruleset.chain(rule.chain).is_some_and(|chain| chain.base.is_none()) {
        true => format!("{} ", sanitize(&place.chain)),
        false => String::new(),
    };
    // The verdict stays with the last word of the rule.
    let told = format!("{chain}rule {number}: {}  → {}", sanitize(&place.text), did_word(did));
    screen.paragraph(4, &told)
}

fn side_of(tuple: &Tuple, is_source: bool) -> std::net::SocketAddr {
    match is_source {
        true => std::net::SocketAddr::new(tuple.source, tuple.source_port),
        false => std::net::SocketAddr::new(tuple.destination, tuple.destination_port),
    }
}

fn routed_words(decision: &Decision, because: Because) -> String {
    let by = match &decision.interface {
        Some(name) => format!(" by {}", sanitize(name)),
        None => String::new(),
    };
    let why = match because {
        Because::Given => "as asked",
        Because::Routes => "by addresses and routes",
        Because::Unchanged => "its destination is taken for this machine; no addresses are known",
        Because::Translated => "its destination was translated",
    };
    match decision.station {
        Station::Here => format!("to this machine ({why})"),
        Station::Onward => format!("on to others{by} ({why})"),
        Station::Nowhere(no_way) => format!("nowhere: {}", no_way_words(no_way)),
    }
}
