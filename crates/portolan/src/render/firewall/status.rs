//! How our rules stand, for reading and as JSON.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use portolan_core::inventory::Inventory;
use serde::Serialize;
use serde_json::Value;

use crate::cli::args::Color;
use crate::ops::firewall::change::{BootState, LogEntry, Purpose, State, Status, Trial};
use crate::render::firewall::apply::words;
use crate::render::firewall::fill_levels::{self, FillLevelJson};
use crate::render::firewall::left;
use crate::render::firewall::prove::lookups;
use crate::render::gap;
use crate::render::inventory::ended::{self, EndedJson};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints it.
pub(crate) fn text(screen: &mut Screen, status: &Status, color: Color) -> Result<()> {
    let state = status.state();
    let (role, word) = match state {
        State::Confirmed => (Role::Good, "confirmed"),
        State::OnTrial => (Role::Warning, "on trial"),
        State::Paused => (Role::Warning, "off for a while"),
        State::Unconfirmed => (Role::Warning, "loaded, but not what was confirmed"),
        State::Off => (Role::Bad, "off"),
    };
    let word = screen.style.paint(role, word).to_string();
    let which = status.loaded.as_ref().map(|loaded| format!(": {}", words(loaded)));
    writeln!(screen, "firewall {word}{}", which.unwrap_or_default())?;
    if let Some(trial) = &status.standing.trial {
        if trial.is_watched() {
            let what = if state == State::Paused { "back" } else { "rolled back" };
            writeln!(screen, "  {what} in {} unless something is said", duration(trial.left()))?;
        } else {
            screen.flush()?;
            gap::warning(unwatched(trial), color);
            gap::hint("portolan firewall rollback brings it back, and so does apply", color);
        }
    }
    if let Some(ended) = &status.standing.ended_with_machine {
        let text = match ended.purpose {
            Purpose::Apply => format!(
                "the trial of policy {} ended when the machine was started anew: nobody had confirmed it",
                ended.policy
            ),
            Purpose::Off => "the pause ended when the machine was started anew".to_owned(),
        };
        screen.hanging("  ", &text)?;
    }
    if let Some(lost) = &status.lost_lookups {
        screen.hanging("  ", &lost.to_string())?;
    }
    fill_levels::text(screen, &status.sets)?;
    unsettled(screen, status, color)?;
    writeln!(screen, "  at boot: {}", at_boot(status.standing.boot))?;
    if !status.standing.log.is_empty() {
        writeln!(screen, "\nlog")?;
    }
    for entry in &status.standing.log {
        screen.paragraph(2, &line(entry))?;
    }
    Ok(screen.flush()?)
}

/// What it means that nobody watches a trial.
fn unwatched(trial: &Trial) -> &'static str {
    match (trial.purpose, trial.left().is_zero()) {
        (_, false) => "the watchdogs are gone: nothing comes back by itself",
        (Purpose::Apply, true) => {
            "the time is over and the watchdogs are gone: what was before is not back, and the rules on \
             trial refuse nobody any more"
        }
        (Purpose::Off, true) => {
            "the time is over and the watchdogs are gone: the rules did not come back"
        }
    }
}

/// What is loaded that nobody confirmed, and the way out.
fn unsettled(screen: &mut Screen, status: &Status, color: Color) -> Result<()> {
    let standing = &status.standing;
    if standing.is_orphan {
        gap::warning(
            "it was on trial, and what was remembered of that is gone: nobody confirmed it",
            color,
        );
    }
    if !standing.left_edits.is_empty() {
        let places = left::places(&standing.left_edits);
        let what = "the inventory has a change of a trial that is over, unconfirmed";
        gap::warning(&format!("{what}: {places}"), color);
        gap::hint("portolan firewall rollback takes it back, apply takes it on", color);
    }
    if standing.boot_differs {
        gap::warning("what is loaded at boot is not what was confirmed", color);
        gap::hint("portolan firewall rollback mends that", color);
    }
    if let Some(difference) = &standing.difference {
        screen.paragraph(2, difference)?;
    }
    let hint = match (status.state(), standing.confirmed.is_some()) {
        (State::Unconfirmed, true) => "portolan firewall rollback loads what was confirmed",
        (State::Unconfirmed, false) => {
            "nothing was ever confirmed: portolan firewall rollback removes it"
        }
        (State::Off, true) => {
            "rules were confirmed and are not loaded: portolan firewall rollback loads them"
        }
        _ => return Ok(()),
    };
    // What comes on the screen before is about it.
    screen.flush()?;
    gap::hint(hint, color);
    Ok(())
}

fn line(entry: &LogEntry) -> String {
    let who = match (entry.sudo_uid, entry.ssh) {
        (Some(sudo), Some(peer)) => format!("uid {sudo} (sudo) from {}", peer.address),
        (None, Some(peer)) => format!("uid {} from {}", entry.uid, peer.address),
        (Some(sudo), None) => format!("uid {sudo} (sudo)"),
        (None, None) => format!("uid {}", entry.uid),
    };
    let policy = if entry.policy.is_empty() { "-" } else { &entry.policy };
    let (what, detail) = (&entry.what, &entry.detail);
    sanitize(&format!("{:.0} {what:11} {policy} by {who}: {detail}", entry.at)).to_string()
}

/// Prints it as one document, with what of the inventory has ended by now.
pub(crate) fn json(
    screen: &mut Screen,
    status: &Status,
    inventory: Option<(&Inventory, Timestamp)>,
) -> Result<()> {
    let state = match status.state() {
        State::Confirmed => "confirmed",
        State::OnTrial => "on-trial",
        State::Paused => "paused",
        State::Unconfirmed => "unconfirmed",
        State::Off => "off",
    };
    let body = Body {
        state,
        loaded: status.loaded.as_ref().map(words),
        confirmed: status.confirmed.as_ref().map(words),
        difference: status.standing.difference.as_deref(),
        lost_lookups: status.lost_lookups.as_ref().map(lookups),
        sets: fill_levels::json(&status.sets),
        boot_differs: status.standing.boot_differs,
        left_edits: !status.standing.left_edits.is_empty(),
        boot: boot_word(status.standing.boot),
        trial: status.standing.trial.as_ref().map(TrialJson::from),
        log: status.standing.log.iter().map(LogJson::from).collect(),
        ended: inventory.map(|(known, now)| ended::json(known, now)),
    };
    screen.json(&Document::new("firewall-status", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    state: &'static str,
    loaded: Option<String>,
    confirmed: Option<String>,
    /// How what is loaded differs from what was confirmed.
    difference: Option<&'a str>,
    /// Resolvers of this machine that what is loaded was not made for; null where there are none.
    lost_lookups: Option<Value>,
    /// How full the sets are that packets fill: limits, doors.
    sets: Vec<FillLevelJson<'a>>,
    /// Whether the inventory is as a trial edited it that ended with the machine, unconfirmed.
    left_edits: bool,
    /// Whether what is loaded at boot is not what was confirmed.
    boot_differs: bool,
    boot: &'static str,
    trial: Option<TrialJson<'a>>,
    log: Vec<LogJson<'a>>,
    /// What of the inventory has no effect any more; null where there is none to read.
    ended: Option<Vec<EndedJson<'a>>>,
}

#[derive(Serialize)]
struct TrialJson<'a> {
    token: &'a str,
    policy: &'a str,
    since: String,
    left_s: u64,
    watched: bool,
}

impl<'a> From<&'a Trial> for TrialJson<'a> {
    fn from(trial: &'a Trial) -> Self {
        Self {
            token: &trial.token,
            policy: &trial.policy,
            since: trial.at.to_string(),
            left_s: trial.left().as_secs(),
            watched: trial.is_watched(),
        }
    }
}

#[derive(Serialize)]
struct LogJson<'a> {
    at: String,
    what: &'a str,
    token: &'a str,
    policy: &'a str,
    uid: u32,
    sudo_uid: Option<u32>,
    ssh_peer: Option<String>,
    detail: &'a str,
}

impl<'a> From<&'a LogEntry> for LogJson<'a> {
    fn from(entry: &'a LogEntry) -> Self {
        Self {
            at: entry.at.to_string(),
            what: &entry.what,
            token: &entry.token,
            policy: &entry.policy,
            uid: entry.uid,
            sudo_uid: entry.sudo_uid,
            ssh_peer: entry.ssh.map(|peer| peer.to_string()),
            detail: &entry.detail,
        }
    }
}

/// What happens at boot, for reading.
const fn at_boot(boot: BootState) -> &'static str {
    match boot {
        BootState::Enabled => "the confirmed rules are loaded",
        BootState::Disabled => "nothing is loaded",
        BootState::NoBoot => "nothing is loaded: this network namespace is not the machine's",
    }
}

/// Whether rules are loaded at boot, in a word.
pub(crate) const fn boot_word(boot: BootState) -> &'static str {
    match boot {
        BootState::Enabled => "enabled",
        BootState::Disabled => "disabled",
        BootState::NoBoot => "not-here",
    }
}

/// A time to wait, in seconds and more.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    format!("{:#}", SignedDuration::from_secs(seconds))
}

/// When a trial ends.
pub(crate) fn until(trial: &Trial) -> String {
    let end = SignedDuration::try_from(trial.left()).ok();
    let end = end.and_then(|left| trial.at.checked_add(left).ok());
    end.map(|end| format!("{end:.0}")).unwrap_or_default()
}
