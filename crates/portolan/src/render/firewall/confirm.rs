//! What came of a confirmation or of a rollback, for reading and as JSON.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::Doubt;
use serde::Serialize;

use crate::cli::args::Color;
use crate::ops::firewall::change::{self, Back, BootState, Confirmed, Refusal};
use crate::render::firewall::left::{self, LeftJson};
use crate::render::firewall::status::boot_word;
use crate::render::gap;
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Says that it is kept, or why not and what to do.
pub(crate) fn text(
    screen: &mut Screen,
    confirmed: &Result<Confirmed, Refusal>,
    color: Color,
) -> Result<()> {
    match confirmed {
        Ok(confirmed) => {
            let policy = sanitize(&confirmed.trial.policy).to_string();
            let boot = match confirmed.boot {
                BootState::Enabled => "; it is loaded at boot, too",
                BootState::Disabled => "",
                BootState::NoBoot => "; not at boot: this network namespace does not come back",
            };
            writeln!(screen, "policy {policy} is kept{boot}")?;
        }
        Err(refusal) => {
            let (what, hint) = why(refusal);
            gap::warning(&what, color);
            gap::hint(hint, color);
        }
    }
    Ok(screen.flush()?)
}

fn why(refusal: &Refusal) -> (String, &'static str) {
    let (what, hint) = match refusal {
        Refusal::Changed(how) => {
            let how = sanitize(how);
            let what = format!("not confirmed: the table is not what was applied: {how}");
            return (what, "portolan firewall rollback, or apply again");
        }
        Refusal::NothingOnTrial => ("nothing is on trial", "portolan firewall status says why"),
        Refusal::Over => (
            "not confirmed: the time was over, and nobody was left to bring back what was before; it \
             is back now",
            "portolan firewall apply begins another trial",
        ),
        Refusal::IsOff => (
            "the rules are away for a while, which is nothing to confirm",
            "portolan firewall rollback brings them back; off without --for is for good",
        ),
        Refusal::Doubtful(Doubt::SameConnection) => (
            "not confirmed: this is the connection the rules were applied over, and it was open \
             before them",
            "open another SSH session and say it there; portolan firewall rollback counts here, too",
        ),
        Refusal::Doubtful(Doubt::Older) => (
            "not confirmed: this session is older than the rules, so it proves nothing about new \
             ones",
            "open another session (not a window of an old tmux or screen) and say it there",
        ),
        Refusal::Doubtful(Doubt::NotServed) => (
            "not confirmed: no SSH server that this command descends from holds the connection that \
             SSH_CONNECTION names",
            "say it in a new SSH session itself, not in tmux, screen or a service",
        ),
        Refusal::Doubtful(Doubt::NoConnection) => (
            "not confirmed: the rules were applied over SSH, and this came by no connection",
            "say it in a new SSH session, or at the console",
        ),
        Refusal::Doubtful(Doubt::NotSeen) => (
            "not confirmed: that host holds no SSH connection to here that began after the rules",
            "connect from there (ssh … sleep 60), then say it again; an address of this machine \
             proves nothing",
        ),
        Refusal::Doubtful(Doubt::ThisMachine) => (
            "not confirmed: this SSH session comes from this machine itself, an address of its own or \
             of loopback, which proves nothing about others",
            "say it in a new SSH session from another host, or at the console",
        ),
    };
    (what.to_owned(), hint)
}

/// The same as one document.
pub(crate) fn json(screen: &mut Screen, confirmed: &Result<Confirmed, Refusal>) -> Result<()> {
    let body = match confirmed {
        Ok(done) => Body {
            confirmed: true,
            policy: Some(&done.trial.policy),
            boot: Some(boot_word(done.boot)),
            reason: None,
        },
        Err(refusal) => {
            let reason = Some(match refusal {
                Refusal::NothingOnTrial => "nothing-on-trial",
                Refusal::Over => "over",
                Refusal::Changed(_) => "changed",
                Refusal::IsOff => "off",
                Refusal::Doubtful(Doubt::SameConnection) => "same-connection",
                Refusal::Doubtful(Doubt::Older) => "older-session",
                Refusal::Doubtful(Doubt::NotServed) => "not-served",
                Refusal::Doubtful(Doubt::NoConnection) => "no-connection",
                Refusal::Doubtful(Doubt::NotSeen) => "not-seen",
                Refusal::Doubtful(Doubt::ThisMachine) => "this-machine",
            });
            Body { confirmed: false, policy: None, boot: None, reason }
        }
    };
    screen.json(&Document::new("firewall-confirm", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct Body<'a> {
    confirmed: bool,
    policy: Option<&'a str>,
    boot: Option<&'static str>,
    reason: Option<&'static str>,
}

/// Says that what was before is back.
pub(crate) fn rolled_back(screen: &mut Screen, back: Option<&Back>, color: Color) -> Result<()> {
    match back {
        Some(Back::Before(_)) => writeln!(screen, "rolled back")?,
        Some(Back::Confirmed) => writeln!(screen, "what was confirmed is back")?,
        Some(Back::Nothing) => {
            writeln!(screen, "table inet portolan is removed: nothing was ever confirmed")?;
        }
        Some(Back::Edits) => {
            writeln!(screen, "the inventory is as it was before a trial that is over")?;
        }
        Some(Back::NotAllEdits) => {}
        Some(Back::Boot) => writeln!(screen, "what was confirmed is loaded at boot again")?,
        None => gap::warning("nothing is on trial", color),
    }
    screen.flush()?;
    left::warn(&change::left_edits(), color);
    Ok(())
}

/// The same as one document.
pub(crate) fn rolled_back_json(screen: &mut Screen, back: Option<&Back>) -> Result<()> {
    let trial = match back {
        Some(Back::Before(trial)) => Some(trial),
        _ => None,
    };
    let body = RolledBack {
        rolled_back: back.is_some_and(|back| *back != Back::NotAllEdits),
        to: back.map(|back| match back {
            Back::Before(_) => "before",
            Back::Confirmed => "confirmed",
            Back::Nothing => "nothing",
            Back::Edits | Back::NotAllEdits => "edits",
            Back::Boot => "boot",
        }),
        left: LeftJson::of(&change::left_edits()),
        policy: trial.map(|trial| trial.policy.as_str()).filter(|policy| !policy.is_empty()),
    };
    screen.json(&Document::new("firewall-rollback", body, &[]))?;
    Ok(screen.flush()?)
}

#[derive(Serialize)]
struct RolledBack<'a> {
    rolled_back: bool,
    /// What is there now: what was `before` the trial, what was `confirmed`, `nothing` of ours, or the
    /// inventory without the `edits` of a trial that is over; `boot`: what was confirmed, at boot again.
    to: Option<&'static str>,
    /// Changes of the inventory that could not be taken back.
    left: Vec<LeftJson>,
    policy: Option<&'a str>,
}
