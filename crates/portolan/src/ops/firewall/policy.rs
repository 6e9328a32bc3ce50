//! The policy of this machine: its part of the inventory, with names resolved and the machine asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::panic;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::firewall::Policy;
use portolan_core::inventory::{CutOff, Inventory, Resolutions, Server, ServerRole};
use portolan_core::net::{Gap, Why};
use portolan_core::socket::Machine;
use portolan_core::wire::dns::RecordKind;
use portolan_host::lookup::{self, Wish};
use portolan_host::{clock, machine, servers};

use crate::fault::Fault;
use crate::ops::inventory::{self, Asked, Loaded};

/// A policy, and where it comes from.
#[derive(Clone, Debug)]
pub(crate) struct Intended {
    /// The inventory.
    pub(crate) loaded: Loaded,
    /// What follows from it for this host.
    pub(crate) policy: Policy,
    /// What has ended by then is not in it.
    pub(crate) at: Timestamp,
    /// Whom the machine relies on and blocks keep from answering; of this machine alone.
    pub(crate) cut_off: Vec<CutOff>,
    /// What could not be found out, and so is not in the policy.
    pub(crate) gaps: Vec<Gap>,
    /// Whether this machine is that host, by its own name and addresses.
    pub(crate) is_here: bool,
    /// Which host of the inventory this machine is instead, by name or addresses.
    pub(crate) another: Option<String>,
}

/// Reads the inventory, finds out which host this is, and asks what the policy needs to know.
///
/// # Errors
/// No inventory, a broken one, or one that does not know this machine.
pub(crate) fn intended(asked: &Asked) -> Result<Intended> {
    let loaded = inventory::require(asked)?;
    let asking = Asking::of(&loaded.inventory);
    asking.intended(asked, loaded)
}

/// What this machine and its resolvers said, for inventories that differ in nothing but edits.
pub(crate) struct Asking {
    resolutions: Resolutions,
    at: Timestamp,
    gaps: Vec<Gap>,
}

impl Asking {
    /// Asks for what the policies of `inventory` need to know.
    pub(crate) fn of(inventory: &Inventory) -> Self {
        let mut gaps = Vec::new();
        let machine = machine::read().into_value(&mut gaps);
        let resolvers = servers::resolvers();
        let at = clock::now();
        let resolutions = Resolutions {
            names: resolve(&inventory.names_to_resolve()),
            servers: servers(&machine, &resolvers),
            resolvers,
            now: Some(at),
            machine,
        };
        Self { resolutions, at, gaps }
    }

    /// This machine, as it was asked.
    pub(crate) const fn machine(&self) -> &Machine {
        &self.resolutions.machine
    }

    /// What follows from an inventory for this host.
    ///
    /// # Errors
    /// One that does not know this machine.
    pub(crate) fn intended(&self, asked: &Asked, loaded: Loaded) -> Result<Intended> {
        let (machine, mut gaps) = (self.machine(), self.gaps.clone());
        let host = loaded.inventory.identify(machine, asked.host.as_deref()).map_err(|error| {
            let hint = error.hint();
            Fault::new(error.to_string(), hint)
        })?;
        let own = loaded.inventory.identify(machine, None).ok().map(|own| own.name.clone());
        let is_here = own.as_ref() == Some(&host.name);
        let policy = loaded.inventory.policy(host, &self.resolutions);
        if !is_here && !policy.resolved.is_empty() {
            let what = format!("names and DNS servers were looked up here, not on {}", policy.host);
            gaps.push(Gap::aside(what, Why::NotLooked, "compile it there, to be sure"));
        }
        gaps.extend(policy.notes.iter().map(|note| Gap::aside(note.as_str(), Why::NotLooked, "")));
        let cut_off = match is_here {
            true => loaded.inventory.cut_off(host, &self.resolutions),
            false => Vec::new(),
        };
        let another = own.filter(|_| !is_here);
        Ok(Intended { policy, at: self.at, cut_off, gaps, is_here, another, loaded })
    }
}

/// All at once: where no resolver answers, they are waited for together.
fn resolve(names: &[String]) -> BTreeMap<String, Vec<IpAddr>> {
    let ask = |name: &str| {
        let kinds = &[RecordKind::A, RecordKind::Aaaa];
        lookup::look_up(&Wish { name, kinds, limit: PATIENCE, netns: None }).addresses
    };
    let mut found = BTreeMap::new();
    for names in names.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let asked: Vec<_> =
                names.iter().map(|name| (name, scope.spawn(|| ask(name)))).collect();
            for (name, answer) in asked {
                let answer = answer.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
                found.insert(name.clone(), answer);
            }
        });
    }
    found
}

/// Names that are looked up at the same time.
const AT_ONCE: usize = 16;

/// How long a name is waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// Whom this machine relies on, itself not among them.
fn servers(machine: &Machine, resolvers: &[IpAddr]) -> Vec<Server> {
    let (leases, time) = servers::named();
    let groups = [
        (ServerRole::Names, resolvers.to_vec()),
        (ServerRole::Time, time),
        (ServerRole::Lease, leases),
        (ServerRole::Router, servers::gateways()),
    ];
    let all = groups.into_iter().flat_map(|(role, found)| {
        found.into_iter().map(move |address| Server { role, address: address.to_canonical() })
    });
    let is_own = |address: IpAddr| address.is_loopback() || machine.has_address(address);
    let mut all: Vec<Server> = all.filter(|server| !is_own(server.address)).collect();
    all.sort();
    all.dedup();
    all
}
