//! Changing this machine's firewall: the plan first, then what `portolan_host::firewall` does of it.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::firewall::analyse::AnalyseError;
use portolan_core::firewall::bdd::Undecided;
use portolan_core::firewall::{
    Doubt, FillLevel, LostLookups, Policy, Proof, Script, changed_resolvers, compile, fill_levels,
    prove,
};
use portolan_core::net::Gap;
use portolan_core::wire::conntrack::Entry;
use portolan_host::firewall::{self as host, ChangeError, Loading};
use portolan_host::{clock, conntrack, machine, servers};

pub(crate) use portolan_host::firewall::{
    Applied, Back, BootState, CallerInfo, Confirmed, Edit, LeftEdit, LogEntry, Outcome, Place,
    Purpose, Standing, Trial,
};

use crate::fault::{Fault, Hinted as _};
use crate::ops::inventory::{self, Asked};

use super::judge::{Judge, Scene, surroundings};
use super::policy::{Intended, intended};
use super::precheck::{Precheck, precheck};

/// What is about to be applied.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The policy and where it is from.
    pub(crate) intended: Intended,
    /// The table.
    pub(crate) script: Script,
    /// The identity of what is loaded now: `None` where no table of ours is.
    pub(crate) loaded: Option<LoadedPolicy>,
    /// How that differs from what was confirmed, where it is this policy by name.
    pub(crate) difference: Option<String>,
    /// How full the sets are that packets fill, where this very policy is loaded.
    pub(crate) sets: Vec<FillLevel>,
    /// What was looked at.
    pub(crate) precheck: Precheck,
    /// Who calls.
    pub(crate) caller: CallerInfo,
    /// Where it is remembered.
    pub(crate) place: Place,
    /// What is on trial now: this takes over from it, or where nobody watches it any more, it ends before
    /// this begins.
    pub(crate) trial: Option<Trial>,
    /// Which files are as a trial edited them although it is over, unconfirmed.
    pub(crate) left_edits: Vec<LeftEdit>,
    /// What is written into the inventory with it.
    pub(crate) edits: Vec<Edit>,
    /// When it was made.
    pub(crate) made: Timestamp,
}

/// What is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LoadedPolicy {
    /// A policy of this identity.
    Known(String),
    /// A table that does not say which policy it is.
    Unknown,
}

/// Makes the plan. Nothing is changed.
///
/// # Errors
/// An inventory that cannot be read or must not be trusted, rules that nft does not take.
pub(crate) fn plan(asked: &Asked) -> Result<Plan> {
    plan_of(asked, intended(asked)?, Vec::new())
}

/// The same for an inventory with `edits` that are written with it.
///
/// # Errors
/// As for [`plan`].
pub(crate) fn plan_of(asked: &Asked, intended: Intended, edits: Vec<Edit>) -> Result<Plan> {
    inventory::trust(asked, &intended.loaded)?;
    let place = Place::here();
    let trial = host::trial(&place).map_err(fault)?;
    let script = compile(&intended.policy);
    let mut gaps: Vec<Gap> = Vec::new();
    let machine = machine::read().into_value(&mut gaps);
    let caller = host::caller();
    // All of it is nft's work: a second each with a long block list.
    let (aside, found, now) = thread::scope(|scope| {
        let aside = scope.spawn(|| proven(&intended.policy, &script));
        let found = surroundings(&mut gaps);
        let now = loaded_now(&script, &place);
        let aside = aside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (aside, found, now)
    });
    let scene = Scene::of(&intended.policy, found);
    let judge = Judge::new(&scene, &machine);
    let (policy, declared) = (&intended.policy, intended.loaded.inventory.management.as_ref());
    let mut precheck = precheck(policy, declared, &judge, &machine, caller.caller.ssh);
    let (proof, gap) = aside?;
    match proof {
        Ok(proof) => precheck.proven = Some(proof),
        Err(undecided) => precheck.undecided = Some(undecided),
    }
    if let Some(gap) = gap {
        gaps.push(gap);
        let live = host::listing().map_err(|error| fault(error.into()))?;
        host::check(&script.to_string(), live.as_deref()).map_err(|error| fault(error.into()))?;
    }
    precheck.gaps.splice(0..0, gaps.into_iter().chain(intended.gaps.iter().cloned()));
    let Now { loaded, difference, sets } = now?;
    let left_edits = host::left_edits(&place);
    let made = clock::now();
    Ok(Plan {
        intended,
        script,
        loaded,
        difference,
        sets,
        precheck,
        caller,
        place,
        trial,
        left_edits,
        edits,
        made,
    })
}

/// What is loaded now.
struct Now {
    loaded: Option<LoadedPolicy>,
    /// Where it is the policy that is asked for: how it differs from what was confirmed.
    difference: Option<String>,
    /// Where it is the policy that is asked for: how full its sets are.
    sets: Vec<FillLevel>,
}

/// Looks what is loaded.
fn loaded_now(script: &Script, place: &Place) -> Result<Now> {
    let loaded = host::stamp().map_err(|error| fault(error.into()))?;
    let loaded = loaded.as_deref().map(identity);
    let is_it = loaded == Some(LoadedPolicy::Known(script.hash()));
    let standing = if is_it { host::standing(place).ok() } else { None };
    let table = standing.as_ref().and_then(|standing| standing.table.as_deref());
    let sets = table.map(fill_levels).unwrap_or_default();
    let difference = standing.and_then(|standing| standing.difference);
    Ok(Now { loaded, difference, sets })
}

/// Holds the table, as nft reads it, against what the policy means. Where nft cannot be asked it is held
/// so as our own reader reads it, and a gap says so.
///
/// # Errors
/// Where the two differ: nothing of that is applied.
fn proven(policy: &Policy, script: &Script) -> Result<(Result<Proof, Undecided>, Option<Gap>)> {
    let (read, gap) = super::prove::read_back(script)?;
    let gap = gap.map(|gap| Gap::aside(gap.what, gap.why, gap.hint));
    let proof = match prove(policy, &read) {
        Ok(proof) => proof,
        Err(AnalyseError::Undecided(undecided)) => return Ok((Err(undecided), gap)),
        Err(error) => return Err(error).hinted("the proof contradicts itself", REPORT_IT),
    };
    if proof.differences.is_empty() && proof.is_loaded {
        return Ok((Ok(proof), gap));
    }
    let way = proof.differences.first().map_or("input", |difference| difference.way.as_str());
    let message = format!("the compiled table is not what the policy means (at {way})");
    Err(Fault::new(message, REPORT_IT))
}

const REPORT_IT: &str = "this is an error of portolan's own: please report it with the inventory";

/// Puts a plan on trial; with `drop_flows` the connections it would refuse end, too.
///
/// # Errors
/// When it could not be; what was loaded still is.
pub(crate) fn apply(plan: &Plan, timeout: Duration, drop_flows: bool) -> Result<Applied> {
    let script = plan.script.to_string();
    let inventory = plan.intended.loaded.path.display().to_string();
    let policy = plan.script.hash();
    let caller = plan.caller;
    let (script, policy, inventory, edits) = (&*script, &*policy, &*inventory, &*plan.edits);
    let going_on = plan.trial.as_ref().filter(|trial| trial.is_watched());
    let over = going_on.map(|trial| &*trial.token);
    let ends = if drop_flows { &*plan.precheck.refused } else { &[] };
    let loading = Loading { script, policy, inventory, edits, over, ends, timeout, caller };
    let is_recovered = host::recover(&plan.place).map_err(fault)?;
    if is_recovered && host::has_left_edits(&plan.place) {
        let message = "the inventory was edited by a trial that nobody watches any more, and that could not \
                       be taken back";
        return Err(Fault::new(message, "portolan firewall status says where it stands"));
    }
    if is_recovered {
        let message = "the inventory was edited by a trial that nobody watches any more, and is as it \
                       was before that again";
        return Err(Fault::new(message, "run it again, to have its plan"));
    }
    let applied = host::apply(&plan.place, &loading).map_err(fault)?;
    if drop_flows {
        forget(&plan.precheck.refused, &applied)?;
    }
    Ok(applied)
}

/// Ends connections; where that fails nothing of the change stays.
fn forget(flows: &[Entry], applied: &Applied) -> Result<()> {
    conntrack::forget(flows).map(drop).or_else(|error| {
        applied.roll_back("connections could not be ended");
        Err(error).hinted("cannot end open connections; rolled back", "leave out --drop-flows")
    })
}

/// Keeps what is on trial; `Err` with the doubt where it proves nothing, or nothing is on trial.
///
/// # Errors
/// When it could not be done.
pub(crate) fn confirm(from: Option<IpAddr>) -> Result<Result<Confirmed, Refusal>> {
    match host::confirm(&Place::here(), &host::caller(), from) {
        Ok(confirmed) => Ok(Ok(confirmed)),
        Err(ChangeError::NoTrial) => Ok(Err(Refusal::NothingOnTrial)),
        Err(ChangeError::Over) => Ok(Err(Refusal::Over)),
        Err(ChangeError::IsOff) => Ok(Err(Refusal::IsOff)),
        Err(ChangeError::Doubtful(doubt)) => Ok(Err(Refusal::Doubtful(doubt))),
        Err(ChangeError::Changed(how)) => Ok(Err(Refusal::Changed(how))),
        Err(error) => Err(not_kept(error)),
    }
}

/// Says that the trial goes on, where it does.
fn not_kept(error: ChangeError) -> anyhow::Error {
    let trial = host::standing(&Place::here()).ok().and_then(|standing| standing.trial);
    let Some(trial) = trial else { return fault(error) };
    let left = trial.left().as_secs();
    let what = format!("not confirmed: the trial goes on, and is rolled back in {left} s");
    let hint = match hint_of(&error) {
        "" => "mend that and confirm again; portolan firewall apply begins a longer trial",
        hint => hint,
    };
    Err::<(), _>(error).hinted(what, hint).expect_err("it is an error")
}

/// Why a confirmation was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is nothing to confirm.
    NothingOnTrial,
    /// Its time was over and nobody watched: what was before is back just now.
    Over,
    /// The rules are away for a while.
    IsOff,
    /// It proves nothing.
    Doubtful(Doubt),
    /// Somebody changed the table since it was applied: how.
    Changed(String),
}

/// Brings back what was before; `None` where nothing is on trial and what was confirmed is loaded.
///
/// # Errors
/// When it could not be done.
pub(crate) fn roll_back() -> Result<Option<Back>> {
    match host::roll_back(&Place::here(), &host::caller()) {
        Ok(back) => Ok(Some(back)),
        Err(ChangeError::NoTrial) => Ok(None),
        Err(error) => Err(fault(error)),
    }
}

/// Which files are as a trial edited them although it is over.
pub(crate) fn left_edits() -> Vec<LeftEdit> {
    host::left_edits(&Place::here())
}

/// How things stand.
#[derive(Debug)]
pub(crate) struct Status {
    /// What is there.
    pub(crate) standing: Standing,
    /// Which policy is loaded.
    pub(crate) loaded: Option<LoadedPolicy>,
    /// Which policy was confirmed last.
    pub(crate) confirmed: Option<LoadedPolicy>,
    /// Resolvers of this machine that the loaded table was not made for.
    pub(crate) lost_lookups: Option<LostLookups>,
    /// How full the sets are that packets fill.
    pub(crate) sets: Vec<FillLevel>,
}

/// The word for how things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// What was confirmed is loaded.
    Confirmed,
    /// Something is on trial.
    OnTrial,
    /// The rules are away for a while.
    Paused,
    /// A table of ours is loaded that was not confirmed.
    Unconfirmed,
    /// There is none.
    Off,
}

impl Status {
    /// The word for it.
    pub(crate) fn state(&self) -> State {
        match (&self.standing.trial, &self.loaded) {
            (Some(trial), _) if trial.purpose == Purpose::Off => State::Paused,
            (Some(_), _) => State::OnTrial,
            (None, None) => State::Off,
            (None, loaded) if *loaded == self.confirmed && self.standing.difference.is_none() => {
                State::Confirmed
            }
            (None, Some(_)) => State::Unconfirmed,
        }
    }
}

/// Looks how things stand. Nothing is changed.
///
/// # Errors
/// When it cannot be seen.
pub(crate) fn status() -> Result<Status> {
    let standing = host::standing(&Place::here());
    let standing = standing.map_err(|error| failed("cannot see how the firewall stands", error))?;
    let loaded = standing.table.as_deref().map(identity);
    let confirmed = standing.confirmed.as_deref().map(identity);
    let table = standing.table.as_deref();
    let lost_lookups = table.and_then(|table| changed_resolvers(table, &servers::resolvers()));
    let sets = table.map(fill_levels).unwrap_or_default();
    Ok(Status { standing, loaded, confirmed, lost_lookups, sets })
}

/// Whether a table of ours is loaded; `None` where that cannot be seen.
pub(crate) fn is_loaded() -> Option<bool> {
    host::stamp().ok().map(|stamp| stamp.is_some())
}

/// Whether the rules are on trial or away for a while; `None` where that cannot be seen.
pub(crate) fn is_on_trial() -> Option<bool> {
    host::trial(&Place::here()).ok().map(|trial| trial.is_some())
}

/// Whether something loads a table of ours at boot; `None` where that cannot be seen.
pub(crate) fn boots() -> Option<bool> {
    let standing = host::standing(&Place::here()).ok()?;
    Some(standing.boot == BootState::Enabled)
}

/// Whether rules come back after a pause that begins now: what a trial has not confirmed does not.
pub(crate) fn comes_back() -> bool {
    let standing = host::standing(&Place::here()).ok();
    standing.and_then(|standing| standing.trial).is_none_or(|trial| trial.has_before)
}

/// Takes the rules away; what comes back and when, where they do.
///
/// # Errors
/// When it could not be done.
pub(crate) fn off(pause: Option<Duration>, purge: bool) -> Result<Option<Trial>> {
    let place = Place::here();
    let trial = host::off(&place, &host::caller(), pause).map_err(fault)?;
    if purge {
        host::purge(&place).map_err(fault)?;
    }
    Ok(trial)
}

/// Which policy a table says it is.
pub(super) fn identity(table: &str) -> LoadedPolicy {
    let told = table.split_once(STAMP).map(|(_, rest)| rest);
    let told = told.and_then(|rest| rest.split('"').next());
    told.map_or(LoadedPolicy::Unknown, |hash| LoadedPolicy::Known(hash.to_owned()))
}

/// What stands before the identity in the comment of a compiled table.
const STAMP: &str = "\"portolan policy ";

fn fault(error: ChangeError) -> anyhow::Error {
    failed("the firewall was not changed", error)
}

fn failed(what: &str, error: ChangeError) -> anyhow::Error {
    let hint = hint_of(&error);
    Err::<(), _>(error).hinted(what, hint).expect_err("it is an error")
}

fn hint_of(error: &ChangeError) -> &'static str {
    match error {
        ChangeError::Table(host::TableError::NotPermitted) => "run with sudo",
        ChangeError::Table(host::TableError::NoNft) => "install nftables",
        ChangeError::Table(_) => "`portolan firewall compile` prints the table",
        ChangeError::Place { source, .. } => match source.kind() {
            std::io::ErrorKind::PermissionDenied => "run with sudo",
            std::io::ErrorKind::WouldBlock => "run it again when the other has ended",
            _ => "",
        },
        ChangeError::Another(_) => "run it again, to have a plan that knows of it",
        ChangeError::NoTable => "`portolan firewall apply` makes it",
        _ => "",
    }
}
