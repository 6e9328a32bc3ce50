//! `portolan firewall apply`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use anyhow::Result;
use portolan_host::signals::{self, signal};

use crate::cli::args::Global;
use crate::cli::args::firewall::Apply;
use crate::cli::confirm::confirm;
use crate::exit::Exit;
use crate::fault::{Hinted as _, once_done};
use crate::ops::firewall::change::{self, Applied, Outcome, Plan};
use crate::render;
use crate::render::firewall::apply::End;
use crate::render::screen::Screen;

/// Puts the inventory's rules on trial: 0 they were confirmed, 1 refused or rolled back.
pub(crate) fn run(arguments: &Apply, global: &Global) -> Result<Exit> {
    go_on(&change::plan(&global.asked())?, arguments, global)
}

/// The same with a plan that was made already.
pub(crate) fn go_on(plan: &Plan, arguments: &Apply, global: &Global) -> Result<Exit> {
    let mut screen = Screen::open(global);
    if !global.json {
        render::firewall::apply::plan(&mut screen, plan)?;
        render::gap::print(&plan.precheck.gaps, global.color);
    }
    if plan.precheck.is_refused() && !arguments.force {
        return told(&mut screen, plan, &End::Refused, global);
    }
    if arguments.dry_run {
        return told(&mut screen, plan, &End::Planned, global);
    }
    let question = render::firewall::apply::question(arguments.timeout);
    confirm(&question, arguments.yes, global.color)?;
    // From here on ^C takes back what was done, whenever it comes.
    let caught = catch()?;
    let applied = change::apply(plan, arguments.timeout, arguments.drop_flows)?;
    if !global.json {
        once_done(render::firewall::apply::on_trial(&mut screen, plan, &applied.trial))?;
    }
    if arguments.detach && caught.load(Ordering::Relaxed) == 0 {
        return told(&mut screen, plan, &End::OnTrial(applied.trial), global);
    }
    let end = follow(&applied, &caught)?;
    told(&mut screen, plan, &end, global)
}

/// Waits until the trial has ended, or a signal ends it.
fn follow(applied: &Applied, caught: &AtomicI32) -> Result<End> {
    let is_caught = || caught.load(Ordering::Relaxed);
    let outcome = applied
        .wait(|_| is_caught() != 0)
        .hinted("cannot follow the trial", "it ends by itself; portolan firewall status")?;
    Ok(match outcome {
        Some(Outcome::Confirmed) => End::Confirmed(applied.trial.clone()),
        Some(Outcome::RolledBack { why }) => End::RolledBack(applied.trial.clone(), why),
        Some(Outcome::TakenOver) => End::TakenOver(applied.trial.clone()),
        None => {
            applied.roll_back("interrupted");
            End::Interrupted(applied.trial.clone(), is_caught())
        }
    })
}

fn catch() -> Result<Arc<AtomicI32>> {
    let caught = Arc::new(AtomicI32::new(0));
    let tell = Arc::clone(&caught);
    signals::each(&[signal::SIGINT, signal::SIGTERM], move |signal| {
        tell.store(signal.number, Ordering::Relaxed);
        true
    })
    .hinted("cannot listen for signals", "")?;
    Ok(caught)
}

fn told(screen: &mut Screen, plan: &Plan, end: &End, global: &Global) -> Result<Exit> {
    let told = match global.json {
        true => render::firewall::apply::json(screen, plan, end),
        false => render::firewall::apply::end(screen, plan, end, global.color),
    };
    match end {
        End::Planned | End::Refused => told?,
        _ => once_done(told)?,
    }
    Ok(match end {
        End::Planned | End::OnTrial(_) | End::Confirmed(_) => Exit::Yes,
        End::Refused | End::RolledBack(..) | End::TakenOver(_) => Exit::No,
        End::Interrupted(_, signal) => Exit::Interrupted(u8::try_from(*signal).unwrap_or(0)),
    })
}
