//! A watch: a line a probe, and at its end what each endpoint did over the time.

use std::io::Write as _;
use std::net::IpAddr;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::diagnose::{Ledger, Outage, Spell};
use portolan_core::net::Gap;
use portolan_core::scan::{PortState, Reason};
use serde::Serialize;

use super::json::micros;
use super::words::{loose, state, state_because, time};
use crate::ops::check::target::Target;
use crate::ops::check::watch::{Probed, Watched};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// How each probe is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// A line for people.
    Text,
    /// One JSON object.
    Json,
    /// Not at all: there will be one document.
    None,
}

impl Lines {
    /// Tells of one probe, at once.
    pub(crate) fn tell(self, screen: &mut Screen, probed: &Probed<'_>) -> Result<()> {
        match self {
            Self::None => return Ok(()),
            Self::Json => screen.json(&ProbeJson::from(probed))?,
            Self::Text => line(screen, probed)?,
        }
        Ok(screen.flush()?)
    }
}

/// `23:40:01Z  10.78.0.2:22/tcp  open  0.18 ms`.
fn line(screen: &mut Screen, probed: &Probed<'_>) -> Result<()> {
    let (target, style) = (probed.target, screen.style);
    if let (Some(before), Some(address)) = (probed.showed.moved_from, probed.showed.address) {
        let moved = format!("{} is {address} now, and was {before}", target.text);
        writeln!(screen, "{}", style.paint(Role::Warning, sanitize(&moved)))?;
    }
    let place = match probed.showed.address {
        Some(address) => {
            let endpoint = portolan_core::net::Endpoint::new(address, target.port);
            format!("{endpoint}/{}", target.transport)
        }
        None => target.text.clone(),
    };
    let (role, said, rtt) = match &probed.showed.outcome {
        None => (Role::Bad, "no address".to_owned(), None),
        Some(outcome) if outcome.is_open() => (Role::Good, state(outcome), outcome.rtt),
        Some(outcome) => (Role::Bad, state(outcome), outcome.rtt),
    };
    let rtt = rtt.map_or(String::new(), |rtt| format!("  {}", loose(&time(rtt))));
    let clock = clock(probed.showed.at);
    writeln!(screen, "{clock}  {}  {}{rtt}", sanitize(&place), style.paint(role, said))?;
    Ok(())
}

/// The time of day, UTC.
fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%SZ").to_string()
}

#[derive(Debug, Serialize)]
struct ProbeJson<'a> {
    kind: &'static str,
    number: u64,
    target: &'a str,
    at: String,
    address: Option<IpAddr>,
    port: u16,
    transport: &'static str,
    state: &'static str,
    reason: String,
    from: Option<IpAddr>,
    rtt_us: Option<u64>,
    moved_from: Option<IpAddr>,
}

impl<'a> From<&'a Probed<'_>> for ProbeJson<'a> {
    fn from(probed: &'a Probed<'_>) -> Self {
        let outcome = probed.showed.outcome.as_ref();
        Self {
            kind: "probe",
            number: probed.number,
            target: &probed.target.text,
            at: probed.showed.at.to_string(),
            address: probed.showed.address,
            port: probed.target.port.0,
            transport: probed.target.transport.as_str(),
            state: outcome.map_or("unknown", |outcome| outcome.state.as_str()),
            reason: outcome.map_or_else(|| NO_ADDRESS.to_owned(), |o| o.reason.to_string()),
            from: outcome.and_then(|outcome| outcome.from),
            rtt_us: outcome.and_then(|outcome| outcome.rtt).map(micros),
            moved_from: probed.showed.moved_from,
        }
    }
}

/// The end of a watch.
pub(crate) struct Summary<'a>(pub(crate) &'a Watched);

impl Summary<'_> {
    /// For people.
    pub(crate) fn text(&self, screen: &mut Screen) -> Result<()> {
        for (target, ledger) in &self.0.books {
            writeln!(screen)?;
            book(screen, target, ledger, self.0.until)?;
        }
        Ok(screen.flush()?)
    }

    /// The last line of JSON Lines.
    pub(crate) fn line(&self, screen: &mut Screen) -> Result<()> {
        #[derive(Serialize)]
        struct Last<'a> {
            kind: &'static str,
            summary: Vec<BookJson<'a>>,
        }
        screen.json(&Last { kind: "summary", summary: self.books() })?;
        Ok(screen.flush()?)
    }

    /// One document.
    pub(crate) fn json(&self, screen: &mut Screen, gaps: &[Gap]) -> Result<()> {
        #[derive(Serialize)]
        struct Body<'a> {
            watched: Vec<BookJson<'a>>,
        }
        let body = Body { watched: self.books() };
        screen.json(&Document::new("check-watch", body, gaps))
    }

    fn books(&self) -> Vec<BookJson<'_>> {
        let Watched { books, until } = self.0;
        books.iter().map(|(target, ledger)| BookJson::new(target, ledger, *until)).collect()
    }
}

fn book(screen: &mut Screen, target: &Target, ledger: &Ledger, until: Timestamp) -> Result<()> {
    let style = screen.style;
    let loss =
        ledger.loss().map_or(String::new(), |loss| format!(", {:.1} % unanswered", loss * 1e2));
    let probes = if ledger.sent == 1 { "probe" } else { "probes" };
    let counts = format!("{} {probes}, {} open{loss}", ledger.sent, ledger.open);
    let name = sanitize(&target.text).into_owned();
    writeln!(screen, "{}  {counts}", style.paint(Role::Strong, name))?;
    if let Some(Spell { min, avg, p95, max }) = ledger.round_trips() {
        let [min, avg, p95, max] = [min, avg, p95, max].map(|t| loose(&time(t)));
        writeln!(screen, "  round trip  min {min}, avg {avg}, p95 {p95}, max {max}")?;
    }
    let down = ledger.outage_count();
    if down > 0 {
        let times = if down == 1 { "once".to_owned() } else { format!("{down} times") };
        let long = loose(&time(ledger.down(until)));
        writeln!(screen, "  not open    {times}, {long} in all")?;
    }
    let shown: Vec<&Outage> = ledger.outages().collect();
    for outage in shown.iter().skip(shown.len().saturating_sub(SHOWN)) {
        let end = outage.until.map_or_else(|| "(still)".to_owned(), clock);
        let why = outage.cause.map_or(NO_ADDRESS_WORDS.to_owned(), |(s, r)| state_because(s, r));
        let probes = outage.probes;
        writeln!(screen, "    {:.0} – {end}  {probes} missed  {why}", outage.from)?;
    }
    Ok(())
}

#[derive(Debug, Serialize)]
struct BookJson<'a> {
    target: &'a str,
    port: u16,
    transport: &'static str,
    sent: u64,
    open: u64,
    answered: u64,
    unknown: u64,
    loss: Option<f64>,
    rtt_min_us: Option<u64>,
    rtt_avg_us: Option<u64>,
    rtt_p95_us: Option<u64>,
    rtt_max_us: Option<u64>,
    outage_count: u64,
    down_ms: u64,
    outages: Vec<OutageJson>,
}

#[derive(Debug, Serialize)]
struct OutageJson {
    from: String,
    until: Option<String>,
    probes: u64,
    state: &'static str,
    reason: String,
}

impl<'a> BookJson<'a> {
    fn new(target: &'a Target, ledger: &Ledger, until: Timestamp) -> Self {
        let trips = ledger.round_trips();
        let trip = |of: fn(&Spell) -> std::time::Duration| trips.as_ref().map(of).map(micros);
        Self {
            target: &target.text,
            port: target.port.0,
            transport: target.transport.as_str(),
            sent: ledger.sent,
            open: ledger.open,
            answered: ledger.answered,
            unknown: ledger.unknown,
            loss: ledger.loss(),
            rtt_min_us: trip(|spell| spell.min),
            rtt_avg_us: trip(|spell| spell.avg),
            rtt_p95_us: trip(|spell| spell.p95),
            rtt_max_us: trip(|spell| spell.max),
            outage_count: ledger.outage_count(),
            down_ms: micros(ledger.down(until)) / 1000,
            outages: ledger.outages().map(OutageJson::from).collect(),
        }
    }
}

impl From<&Outage> for OutageJson {
    fn from(outage: &Outage) -> Self {
        Self {
            from: outage.from.to_string(),
            until: outage.until.map(|until| until.to_string()),
            probes: outage.probes,
            state: outage.cause.map_or("unknown", |(state, _): (PortState, Reason)| state.as_str()),
            reason: outage.cause.map_or_else(|| NO_ADDRESS.to_owned(), |(_, r)| r.to_string()),
        }
    }
}

/// The reason of a target whose name leads nowhere.
const NO_ADDRESS: &str = "no-address";
const NO_ADDRESS_WORDS: &str = "no address";

/// Outages that are listed; JSON has more.
const SHOWN: usize = 20;
