//! The plan of an apply and what came of it, for reading and as JSON.

mod access;
mod cut;
mod json;
mod life;
mod marks;
mod multicast;

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use portolan_core::firewall::bdd::Undecided;
use portolan_core::firewall::{Pass, Policy};

use crate::cli::args::Color;
use crate::ops::firewall::change::{self, LoadedPolicy, Plan, Purpose, Trial};
use crate::ops::firewall::judge::Verdict;
use crate::ops::firewall::precheck::{Access, Who};
use crate::render::firewall::status::{duration, until};
use crate::render::firewall::{cut_off, fill_levels, left};
use crate::render::gap;
use crate::render::inventory::ended;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

pub(crate) use json::json;

/// How an apply ended.
#[derive(Debug)]
pub(crate) enum End {
    /// It was only planned.
    Planned,
    /// It must not be applied.
    Refused,
    /// It is on trial.
    OnTrial(Trial),
    /// It was confirmed.
    Confirmed(Trial),
    /// What was before is back, and why.
    RolledBack(Trial, String),
    /// Another apply took over.
    TakenOver(Trial),
    /// A signal ended it, and what was before is back.
    Interrupted(Trial, i32),
}

/// Prints what is going to change, and what to know before.
pub(crate) fn plan(screen: &mut Screen, plan: &Plan) -> Result<()> {
    let hash = plan.script.hash();
    let host = sanitize(&plan.intended.policy.host);
    let path = plan.intended.loaded.path.display().to_string();
    writeln!(screen, "policy {hash} for host {host}, from {}", sanitize(&path))?;
    if let Some(another) = &plan.intended.another {
        let label = screen.style.paint(Role::Warning, "another machine:").to_string();
        let text = format!("by name or addresses this one is {another}, not {host}");
        screen.hanging(&format!("  {label} "), &text)?;
    }
    replaces(screen, plan, &hash)?;
    fill_levels::text(screen, &plan.sets)?;
    if let Some(trial) = &plan.trial {
        screen.hanging("  ", &over(trial))?;
    }
    if !plan.left_edits.is_empty() {
        let places = left::places(&plan.left_edits);
        let text = format!(
            "the inventory has a change of a trial that is over, unconfirmed ({}): `portolan firewall \
             rollback` takes it back, `apply` takes it on",
            sanitize(&places)
        );
        screen.hanging("  ", &text)?;
    }
    if !plan.place.has_boot() {
        writeln!(screen, "  not at boot: this network namespace is not the machine's")?;
    }
    if plan.precheck.proven.is_some() {
        writeln!(screen, "  proved: the table does what the policy says, for every packet")?;
    }
    if let Some(undecided) = plan.precheck.undecided {
        let label = screen.style.paint(Role::Bad, "not proved:").to_string();
        screen.hanging(&format!("  {label} "), &unproved(undecided))?;
    }
    left_out(screen, &plan.intended.policy)?;
    access::access(screen, plan)?;
    cut::violations(screen, &plan.precheck.violations)?;
    cut::proved_violations(screen, &plan.precheck)?;
    life::text(screen, &plan.precheck.missing)?;
    cut_off::text(screen, &plan.intended)?;
    cut::cut(screen, &plan.precheck.cut)?;
    cut::narrowed(screen, &plan.precheck.narrowed)?;
    multicast::text(screen, &plan.precheck.multicast)?;
    marks::text(screen, &plan.precheck.mark_readers)?;
    cut::untracked(screen, plan.precheck.untracked)?;
    cut::flows(screen, &plan.precheck.refused)?;
    ended::text(screen, &plan.intended.loaded.inventory, plan.made)?;
    Ok(screen.flush()?)
}

/// What the table takes the place of.
fn replaces(screen: &mut Screen, plan: &Plan, hash: &str) -> Result<()> {
    match &plan.loaded {
        None => writeln!(screen, "  table inet portolan is made; no other table is touched")?,
        Some(LoadedPolicy::Known(loaded)) if *loaded == hash => match &plan.difference {
            None => writeln!(screen, "  is loaded already: the same rules are loaded again")?,
            Some(difference) => {
                let text = "takes the place of itself as it was changed since it was loaded: ";
                screen.hanging("  ", &format!("{text}{}", sanitize(difference)))?;
            }
        },
        Some(loaded) => {
            let which = words(loaded);
            writeln!(screen, "  takes the place of {which} in table inet portolan, no other")?;
        }
    }
    Ok(())
}

/// What becomes of a trial that is going on.
fn over(trial: &Trial) -> String {
    let what = match trial.purpose {
        Purpose::Apply => format!("a trial of policy {}", trial.policy),
        Purpose::Off => "a pause".to_owned(),
    };
    let (who, until) = (&trial.caller, until(trial));
    match trial.is_watched() {
        true => format!(
            "takes over from {what} that {who} began, until {until}: what was before that comes back \
             unless this is confirmed"
        ),
        false => format!(
            "first {what} that {who} began, and nobody watches any more, is rolled back: what was before \
             it comes back"
        ),
    }
}

/// Why the table is not held against the policy, and what to do.
fn unproved(undecided: Undecided) -> String {
    format!(
        "whether the table does what the policy says is too large to decide (more than {} nodes, some \
         600 MB). Services that the same senders reach are less as one service with all their ports, and \
         senders as few networks; `--force` puts it on trial unproved",
        undecided.budget
    )
}

/// What the inventory says and the rules do not.
fn left_out(screen: &mut Screen, policy: &Policy) -> Result<()> {
    for note in &policy.notes {
        let label = screen.style.paint(Role::Warning, "not in the rules:").to_string();
        screen.hanging(&format!("  {label} "), sanitize(note).as_ref())?;
    }
    Ok(())
}

/// A loaded policy in words: its identity, or that it does not say.
pub(crate) fn words(loaded: &LoadedPolicy) -> String {
    match loaded {
        LoadedPolicy::Known(hash) => format!("policy {}", sanitize(hash)),
        LoadedPolicy::Unknown => "rules without a policy's name".to_owned(),
    }
}

/// What a person is asked.
pub(crate) fn question(timeout: Duration) -> String {
    format!("put it on trial for {}?", duration(timeout))
}

/// Says how to keep what is loaded now.
pub(crate) fn on_trial(screen: &mut Screen, plan: &Plan, trial: &Trial) -> Result<()> {
    writeln!(screen, "on trial until {}", until(trial))?;
    if !plan.edits.is_empty() {
        writeln!(screen, "the inventory says so too, and no more unless it is confirmed")?;
    }
    writeln!(screen, "keep it from a new session: portolan firewall confirm")?;
    Ok(screen.flush()?)
}

/// Says how it ended.
pub(crate) fn end(screen: &mut Screen, plan: &Plan, end: &End, color: Color) -> Result<()> {
    match end {
        End::Planned | End::OnTrial(_) => {}
        End::Refused => {
            if plan.precheck.cuts_ssh() {
                gap::warning("nobody at all would reach the SSH server of this machine", color);
            }
            let too = if plan.edits.is_empty() { "" } else { ", and nothing was written" };
            gap::warning(&format!("not applied{too}"), color);
            let hint = match plan.edits.is_empty() {
                true => "mend the inventory, or say --force: it rolls back by itself",
                false => "mend the inventory first; without --apply it is written alone",
            };
            gap::hint(hint, color);
            management(screen, plan, color)?;
        }
        End::Confirmed(_) => writeln!(screen, "confirmed")?,
        End::RolledBack(_, why) => {
            writeln!(screen, "rolled back: {}", sanitize(why))?;
            edits_back(screen, plan, color)?;
            gap::hint("portolan firewall status shows what is loaded and the log", color);
        }
        End::TakenOver(_) => writeln!(screen, "another apply has taken over")?,
        End::Interrupted(..) => {
            writeln!(screen, "rolled back: interrupted")?;
            edits_back(screen, plan, color)?;
        }
    }
    Ok(screen.flush()?)
}

/// Whether what was written into the inventory is out again.
fn edits_back(screen: &mut Screen, plan: &Plan, color: Color) -> Result<()> {
    let left = change::left_edits();
    if !plan.edits.is_empty() && left.is_empty() {
        writeln!(screen, "the inventory is as it was, too")?;
    }
    screen.flush()?;
    left::warn(&left, color);
    Ok(())
}

/// What to add to the inventory so that who was shut out keeps access.
fn management(screen: &mut Screen, plan: &Plan, color: Color) -> Result<()> {
    let is_lost = |row: &&Access| matches!(row.verdict, Verdict::Lost(_)) || row.is_too_slow();
    let mut rows = plan.precheck.access.iter().filter(|row| row.who == Who::ThisSession);
    let Some(row) = rows.find(is_lost) else { return Ok(()) };
    let (source, port, transport) = (row.source, row.port, row.transport);
    let inventory = &plan.intended.loaded.inventory;
    let Some(declared) = &inventory.management else {
        writeln!(screen, "[management]\nfrom = [\"{source}\"]\nports = [\"{port}/{transport}\"]")?;
        return Ok(());
    };
    let names = |pass: &Pass| pass.peers.iter().any(|peers| peers.addresses.contains(source));
    if declared.names(port, transport) && plan.intended.policy.management.iter().any(names) {
        return Ok(());
    }
    let place = inventory.line_of(&declared.at);
    let mut text = format!("add \"{source}\" to `from` of [management]");
    if !declared.names(port, transport) {
        let _ = write!(text, ", and \"{port}/{transport}\" to its `ports`");
    }
    gap::hint(&format!("{text} ({}:{})", place.file, place.line), color);
    Ok(())
}
