//! Stopping whoever listens on a port: what is there and what would be done, and then doing it.
//!
//! [`survey`] looks and plans, [`carry_out`] acts. Between the two the caller may ask a person:
//! the processes to be ended are held on to from the survey on, so that time passing harms nobody.

mod act;
mod proof;

use std::collections::HashMap;
use std::env;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use portolan_core::net::{Gap, PortRange};
use portolan_core::socket::stop::{
    self, Action, Caller, Plan, StandsFor, Surroundings, Wish, ssh_connection,
};
use portolan_core::socket::{Process, SocketTable};
use portolan_host::ending::{SignalError, Target};
use portolan_host::machine;
use portolan_host::processes::{self, Details};
use portolan_host::tool::Tool;
use rustix::process::geteuid;

pub(crate) use act::{Outcome, carry_out, systemctl_words};
pub(crate) use proof::{Bindable, Proof, Restart, longest_wait};

use crate::ops::behind::{Asking, Behind};
use crate::ops::sockets::{Request, observe};

/// What was found and what would be done.
#[derive(Debug)]
pub(crate) struct Survey {
    /// What is asked for.
    pub(crate) wish: Wish,
    /// The sockets the plan speaks of.
    pub(crate) table: SocketTable,
    /// The plan.
    pub(crate) plan: Plan,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
    /// What the kernel chooses ports from.
    ephemeral: PortRange,
    /// The processes of the plan, held on to, or why one could not be.
    targets: HashMap<u32, Result<Target, SignalError>>,
}

/// What can be done about a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The plan can be carried out.
    Ready,
    /// There is nothing to stop.
    Nothing,
    /// Something that is protected holds the port.
    Refused,
    /// Somebody holds it, or may, who could not be seen.
    Blind,
}

impl Survey {
    /// What can be done.
    pub(crate) fn standing(&self) -> Standing {
        let Plan { steps, spared, .. } = &self.plan;
        match () {
            () if spared.iter().any(|s| !s.reason.is_blindness()) => Standing::Refused,
            () if !spared.is_empty() => Standing::Blind,
            () if !steps.is_empty() => Standing::Ready,
            () if self.table.may_lack_sockets => Standing::Blind,
            () => Standing::Nothing,
        }
    }

    /// The process `pid`, where it holds a socket.
    pub(crate) fn process(&self, pid: u32) -> Option<&Process> {
        self.table.processes.get(&pid)
    }

    /// The sockets whose going the port waits for, as positions in the table.
    fn wanted_gone(&self) -> impl Iterator<Item = usize> {
        let Plan { listeners, clients, leftovers, .. } = &self.plan;
        let clients = clients.iter().filter(|_| self.wish.clients);
        let leftovers = leftovers.iter().filter(|_| self.wish.sockets);
        listeners.iter().chain(clients).chain(leftovers).copied()
    }
}

/// What was done and how it ended.
#[derive(Debug)]
pub(crate) struct Report {
    /// What came of each step of the plan, in its order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Whether each address that was held can be bound now.
    pub(crate) proofs: Vec<Proof>,
    /// Who listens there again.
    pub(crate) restart: Option<Restart>,
    /// What is left over on the port and keeps it from being bound without SO_REUSEADDR: how many
    /// sockets, and the longest wait of those in TIME-WAIT.
    pub(crate) left: (usize, Option<Duration>),
}

impl Report {
    /// Whether every address can be bound, as servers do it at least.
    pub(crate) fn is_bindable(&self) -> bool {
        let refused = |proof: &Proof| matches!(proof.bindable, Bindable::Refused(_));
        self.restart.is_none() && !self.proofs.iter().any(refused)
    }

    /// Whether something was not done.
    pub(crate) fn has_failed(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed { .. }))
    }
}

/// Looks who holds the port and plans what to do.
///
/// # Errors
/// None so far: what cannot be seen is a gap.
pub(crate) fn survey(wish: Wish) -> Result<Survey> {
    let mut gaps = Vec::new();
    let table = observe(&Request::every_state(Details::Full))?.into_value(&mut gaps);
    let ephemeral = machine::local_ports().into_value(&mut gaps).ephemeral;
    let [listeners, ..] = stop::roles(&wish, &table, ephemeral);
    let plan = stop::plan(
        &wish,
        &Surroundings {
            table: &table,
            ephemeral,
            caller: &caller(),
            ancestry: &processes::ancestry,
            has_tool: &has_tool,
            stand_ins: &stand_ins(&table, &listeners, &mut gaps),
        },
    );
    let targets = hold(&plan, &table);
    Ok(Survey { wish, table, plan, gaps, ephemeral, targets })
}

/// Takes hold of every process that is to be signalled.
fn hold(plan: &Plan, table: &SocketTable) -> HashMap<u32, Result<Target, SignalError>> {
    let mut targets = HashMap::new();
    for step in &plan.steps {
        if let Action::Signal { pid } = step.action {
            let inodes = step.sockets.iter().map(|socket| table.sockets[*socket].socket.inode);
            targets.insert(pid, Target::open(pid, inodes));
        }
    }
    targets
}

fn caller() -> Caller {
    let line = processes::ancestry(std::process::id());
    let own = env::var("SSH_CONNECTION").ok();
    // sudo and su keep it to themselves; the shell they were called from has it.
    let inherited = line
        .iter()
        .skip(1)
        .filter_map(|process| processes::environment(process.pid, "SSH_CONNECTION"));
    let came_in =
        own.into_iter().chain(inherited).filter_map(|value| ssh_connection(&value)).collect();
    let behalf = env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok());
    Caller { line, uid: geteuid().as_raw(), behalf, came_in }
}

/// The address from which whoever asks came in by SSH.
pub(crate) fn came_in() -> Option<std::net::IpAddr> {
    caller().came_in.first().map(|way| way.peer.address)
}

/// Whether a supervisor's program is installed, and in charge.
fn has_tool(name: &str) -> bool {
    let in_charge = name != "systemctl" || Path::new(BOOTED_WITH_SYSTEMD).exists();
    in_charge && Tool::find(name).is_some()
}

/// For whom systemd or a proxy holds the listeners. Both are asked only where they hold one.
fn stand_ins(
    table: &SocketTable,
    listeners: &[usize],
    gaps: &mut Vec<Gap>,
) -> HashMap<usize, StandsFor> {
    let mut asking = Asking::default();
    let stand_ins = listeners.iter().filter_map(|socket| {
        let behind = asking.about(table, &table.sockets[*socket])?;
        Some((*socket, stands_for(behind)?))
    });
    let stand_ins = stand_ins.collect();
    gaps.append(&mut asking.gaps);
    stand_ins
}

fn stands_for(behind: Behind) -> Option<StandsFor> {
    match behind {
        Behind::Activation { unit, service, .. } => {
            Some(StandsFor::Units(std::iter::once(unit).chain(service).collect()))
        }
        Behind::Published { container, .. } => {
            let container = container?;
            let name = container.name.as_ref().unwrap_or(&container.id).clone();
            Some(StandsFor::Container { program: container.runtime.clone(), name })
        }
    }
}

/// sd_booted(3): whether process 1 is systemd.
const BOOTED_WITH_SYSTEMD: &str = "/run/systemd/system";
