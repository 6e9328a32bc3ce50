//! What must hold between tables, once all of them are read.

use std::collections::HashMap;

use crate::inventory::index::Index;
use crate::inventory::problem::{Problem, Problems};
use crate::inventory::{
    ForwardTarget, ForwardVia, Host, HostSelector, Inventory, Located, Location, Need,
};

/// Says what does not hold in `inventory`.
pub(super) fn check(inventory: &Inventory, problems: &mut Problems) {
    let index = Lookup(Index::of(inventory));
    let runs = inventory.forwards.iter().filter_map(|f| index.forward_target(&f.to));
    let needs = inventory.services.iter().flat_map(|s| &s.needs).filter_map(|n| index.need(n));
    runs.chain(needs).for_each(|p| problems.push(p));
    selections(inventory).filter_map(|on| index.leaves_none(on)).for_each(|p| problems.push(p));
    refuse_shared_names(inventory, problems);
    refuse_lost_management(inventory, problems);
}

/// What the checks look things up in.
struct Lookup<'a>(Index<'a>);

impl Lookup<'_> {
    fn forward_target(&self, to: &Located<ForwardTarget>) -> Option<Problem> {
        match &to.value {
            ForwardTarget::Service { service, host } => self.runs_on(service, host, &to.at),
            ForwardTarget::Endpoint(_) => None,
        }
    }

    fn need(&self, need: &Located<Need>) -> Option<Problem> {
        match &need.value {
            Need::Service { name, host: Some(host) } => self.runs_on(name, host, &need.at),
            Need::Service { host: None, .. } | Need::Endpoint { .. } => None,
        }
    }

    /// A problem unless `service` is on `host`.
    fn runs_on(&self, service: &str, host: &str, at: &Location) -> Option<Problem> {
        let (found, host) = (self.0.service(service)?, self.0.host(host)?);
        if host.is_meant_by(&found.on) {
            return None;
        }
        let message = format!("the service `{service}` is not on `{}`", host.name);
        let on: Vec<String> =
            self.0.hosts_on(&found.on).iter().take(4).map(|h| format!("`{}`", h.name)).collect();
        let hint = match on.len() {
            0 => "it is on no host".to_owned(),
            4 => format!("it is on {} and others", on[..3].join(", ")),
            _ => format!("it is on {}", on.join(", ")),
        };
        Some(Problem::new(at.clone(), message, hint).related(&found.at, "the service"))
    }

    /// A problem where the exclusions of `on` leave no host. Without one, every known name leaves
    /// some.
    fn leaves_none(&self, on: &[Located<HostSelector>]) -> Option<Problem> {
        let excludes =
            |s: &HostSelector| matches!(s, HostSelector::NotHost(_) | HostSelector::NotGroup(_));
        let exclusion = on.iter().find(|s| excludes(&s.value))?;
        if !self.0.hosts_on(on).is_empty() {
            return None;
        }
        let hint = "leave the exclusion out, or add a host before it";
        Some(Problem::new(exclusion.at.clone(), "with this, `on` leaves no host", hint))
    }
}

/// Every `on` of the inventory.
fn selections(inventory: &Inventory) -> impl Iterator<Item = &[Located<HostSelector>]> {
    let services = inventory.services.iter().map(|s| s.on.as_slice());
    services
        .chain(inventory.forwards.iter().map(|f| f.on.as_slice()))
        .chain(inventory.doors.iter().map(|d| d.on.as_slice()))
        .chain(inventory.pools.iter().map(|p| p.on.as_slice()))
        .chain(inventory.ignores.iter().map(|i| i.on.as_slice()))
}

/// A translated port is gone for the machine itself: of `[management]`'s, nobody would get in any more.
fn refuse_lost_management(inventory: &Inventory, problems: &mut Problems) {
    let Some(management) = &inventory.management else { return };
    let ports = management.ports.iter().flat_map(|spec| spec.value.pairs());
    let ports: Vec<_> = ports.collect();
    for forward in inventory.forwards.iter().filter(|f| f.via == ForwardVia::Nat) {
        let mut taken = forward.listen.value.pairs();
        let is_lost = taken.any(|(range, transport)| {
            ports.iter().any(|(own, of)| *of == transport && own.overlaps(range))
        });
        if is_lost {
            let message = format!(
                "`{}` hands a port of [management] on to another machine: nobody would get in",
                forward.listen.value
            );
            let hint = "listen on another port";
            let problem = Problem::new(forward.listen.at.clone(), message, hint);
            problems.push(problem.related(&management.at, "[management]"));
        }
    }
}

/// A machine is found by its names, in whatever case, so two hosts must not share one.
fn refuse_shared_names(inventory: &Inventory, problems: &mut Problems) {
    let mut taken: HashMap<String, &Host> = HashMap::new();
    let names = inventory.hosts.iter().map(|host| (&host.name, host));
    let aliases = inventory.hosts.iter().flat_map(|h| h.aliases.iter().map(move |a| (a, h)));
    for (name, host) in names.chain(aliases) {
        let other = *taken.entry(name.to_lowercase()).or_insert(host);
        if other.name == host.name {
            continue;
        }
        let message = format!("`{name}` is a name of two hosts, `{}` and this", other.name);
        let hint = "a machine is found by its names: leave one out";
        let problem = Problem::new(host.at.clone(), message, hint);
        problems.push(problem.related(&other.at, "the other host"));
    }
}
