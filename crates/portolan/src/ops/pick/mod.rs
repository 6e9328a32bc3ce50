//! Free port numbers: any, leased for a while, or the one that belongs to a project and a name.
//!
//! Whoever is given a number that others must not get decides alone (`Store::alone`), the attempt
//! to bind included, so that two who ask at once get two numbers.

mod area;
mod standing;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Gap, Observed, Port, PortRange, PortSet, Transport, TransportSet};
use portolan_core::socket::choose::{Exclusion, Exclusions, Order, Wish, choose};
use portolan_host::bind::{self, Call};
use portolan_host::{clock, namespace};
use rustix::io::Errno;

use crate::fault::{Fault, Hinted as _};
use crate::ops::inventory::Asked;
use crate::ops::reservations::{self, tidy};
use crate::store::{Kind, Lease, Leases, Store};

use area::Area;
use standing::Standing;
pub(crate) use standing::{Taken, sockets_on};

/// What kind of numbers are asked for, and for whom.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// How many.
    pub(crate) count: u16,
    /// Whether they must follow one another.
    pub(crate) consecutive: bool,
    /// As near to this one as possible.
    pub(crate) near: Option<Port>,
    /// Where to look.
    pub(crate) place: Place,
    /// The name they belong to within the project: one number, and the same again.
    pub(crate) name: Option<String>,
    /// What to do when the number that belongs to the name is taken.
    pub(crate) if_taken: IfTaken,
    /// Nobody else who asks gets them for so long.
    pub(crate) lease: Option<Duration>,
    /// For which transports they must be free.
    pub(crate) transports: TransportSet,
    /// Whether numbers that IANA has assigned may be among them.
    pub(crate) assigned: Assigned,
    /// The inventory whose ports are kept.
    pub(crate) asked: Asked,
    /// The project that asks, see [`crate::ops::project`].
    pub(crate) project: PathBuf,
}

/// Where to look for numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// 20000-29999; near a port anywhere from 1024 on.
    Usual,
    /// This range.
    Range(PortRange),
    /// This pool of the inventory.
    Pool(String),
}

/// What to do when the number that belongs to a name is taken by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfTaken {
    /// Give another, which stays the same as long as the first is taken.
    Another,
    /// Give none.
    Refuse,
}

/// Whether numbers that IANA has assigned may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Assigned {
    /// They may.
    Allowed,
    /// They are kept free.
    Kept,
}

impl Request {
    /// One free TCP port, whichever.
    pub(crate) fn any(project: PathBuf, asked: Asked) -> Self {
        Self {
            count: 1,
            consecutive: false,
            near: None,
            place: Place::Usual,
            name: None,
            if_taken: IfTaken::Another,
            lease: None,
            transports: TransportSet::NONE.with(Transport::Tcp),
            assigned: Assigned::Kept,
            asked,
            project,
        }
    }

    /// The TCP port that belongs to `name` within a project.
    pub(crate) fn named(name: impl Into<String>, project: PathBuf, asked: Asked) -> Self {
        Self { name: Some(name.into()), ..Self::any(project, asked) }
    }
}

/// What was chosen, and what was not.
#[derive(Debug)]
pub(crate) struct Report {
    /// The numbers, ascending; none when there are not as many.
    pub(crate) ports: Vec<Port>,
    /// Where they were looked for.
    pub(crate) range: PortRange,
    /// For which transports.
    pub(crate) transports: TransportSet,
    /// The project that asked.
    pub(crate) project: PathBuf,
    /// The name within it.
    pub(crate) name: Option<String>,
    /// The number that belongs to the name.
    pub(crate) wanted: Option<Port>,
    /// Who has that number, when somebody else has.
    pub(crate) taken: Option<Taken>,
    /// Whether connections of an earlier server are still in the way of one without SO_REUSEADDR.
    pub(crate) has_leftovers: bool,
    /// Until when nobody else is given the numbers.
    pub(crate) expires: Option<Timestamp>,
    /// How many numbers of the range could have been given.
    pub(crate) left: usize,
    /// What was excluded, and why.
    pub(crate) excluded: Vec<(Exclusion, PortSet)>,
}

/// Chooses the numbers, and remembers them where that was asked for.
///
/// # Errors
/// A pool or an inventory that is not there, a store that cannot be used, a machine that makes no
/// sockets.
pub(crate) fn pick(request: &Request) -> Result<Observed<Report>> {
    let mut gaps = Vec::new();
    let area = Area::of(request, &mut gaps)?;
    let picker = Picker { request, area, now: clock::now() };
    let report = match &request.name {
        Some(name) => Store::open()?.alone(|leases| picker.named(name, leases, &mut gaps)),
        None if picker.lasts().is_some() => Store::open()?.alone(|leases| picker.leased(leases)),
        None => picker.loose(),
    }?;
    Ok(Observed { value: report, gaps })
}

struct Picker<'r> {
    request: &'r Request,
    area: Area,
    now: Timestamp,
}

impl Picker<'_> {
    /// Free numbers that nobody remembers.
    fn loose(&self) -> Result<Report> {
        let (ports, exclusions) = self.choose(random(), &reservations::list()?)?;
        Ok(self.report(ports, &exclusions))
    }

    /// Free numbers that nobody else is given for a while.
    fn leased(&self, leases: &Leases<'_>) -> Result<Report> {
        let (ports, exclusions) = self.choose(random(), &tidy(leases, self.now)?)?;
        let expires = self.lasts().map(|lasts| end(self.now, lasts)).transpose()?;
        for port in &ports {
            leases.insert(&Lease { expires, ..self.row(*port, Kind::Lease) })?;
        }
        Ok(Report { expires, ..self.report(ports, &exclusions) })
    }

    /// The number that belongs to the project and `name`, or another while somebody else has it.
    fn named(&self, name: &str, leases: &Leases<'_>, gaps: &mut Vec<Gap>) -> Result<Report> {
        let live = tidy(leases, self.now)?;
        let (own, others) = self.split(name, live, leases)?;
        let mut standings = Vec::new();
        for row in &own {
            standings.push(self.standing(row.port, &others, gaps)?);
        }
        if let Some(report) = self.again(&own, &standings, leases)? {
            return Ok(report);
        }
        let taken = standings.into_iter().next().and_then(Standing::into_taken);
        self.first(name, &own, &others, taken, leases, gaps)
    }

    /// The project's own rows of a name in the order of their rank, and everybody's other rows. A
    /// place that was named is where the number is from now on.
    fn split(
        &self,
        name: &str,
        live: Vec<Lease>,
        leases: &Leases<'_>,
    ) -> Result<(Vec<Lease>, Vec<Lease>)> {
        let is_own = |row: &Lease| {
            row.kind == Kind::Project
                && row.project == self.request.project
                && row.name.as_deref() == Some(name)
        };
        let (own, others): (Vec<Lease>, Vec<Lease>) = live.into_iter().partition(is_own);
        let elsewhere =
            |row: &Lease| self.request.place != Place::Usual && !self.area.range.contains(row.port);
        let (left, mut own): (Vec<Lease>, Vec<Lease>) = own.into_iter().partition(elsewhere);
        left.iter().try_for_each(|row| leases.remove(row.id))?;
        own.sort_unstable_by_key(|row| row.rank);
        Ok((own, others))
    }

    /// The number that was given before and can be used: the one the project's server is on, else
    /// the first that is not taken.
    fn again(
        &self,
        own: &[Lease],
        standings: &[Standing],
        leases: &Leases<'_>,
    ) -> Result<Option<Report>> {
        let Some(first) = own.first() else { return Ok(None) };
        let served = standings.iter().position(Standing::is_ours);
        let usable = || standings.iter().position(|s| !s.is_taken());
        let wanted = Some(first.port);
        match served.or_else(usable) {
            Some(at) if at == 0 || self.request.if_taken == IfTaken::Another => {
                let row = &own[at];
                let transports = row.transports.iter().chain(self.request.transports.iter());
                leases.touch(first.id, first.transports, self.now)?;
                leases.touch(row.id, transports.collect(), self.now)?;
                if at == 0 {
                    // The number is free for its project again: nobody needs the stand-ins.
                    own[1..].iter().try_for_each(|stand_in| leases.remove(stand_in.id))?;
                }
                Ok(Some(Report {
                    wanted,
                    taken: standings[0].taken().filter(|_| at != 0).cloned(),
                    has_leftovers: standings[at].is_leftover(),
                    ..self.report(vec![row.port], &self.area.exclusions)
                }))
            }
            _ if self.request.if_taken == IfTaken::Refuse => Ok(Some(Report {
                wanted,
                taken: standings[0].taken().cloned(),
                ..self.report(Vec::new(), &self.area.exclusions)
            })),
            _ => Ok(None),
        }
    }

    /// A number that this project and name did not have before: the first of their own order that
    /// nobody else has.
    fn first(
        &self,
        name: &str,
        own: &[Lease],
        others: &[Lease],
        mut taken: Option<Taken>,
        leases: &Leases<'_>,
        gaps: &mut Vec<Gap>,
    ) -> Result<Report> {
        let order = Order::of_name(&key(&self.request.project, name));
        let rows: Vec<Lease> = own.iter().chain(others).cloned().collect();
        let settled = self.exclusions(&rows);
        let best = order.ports(self.area.range).find(|port| !settled.contains(*port));
        let mut wanted = own.first().map(|row| row.port).or(best);
        let mut ports = Vec::new();
        let mut exclusions = settled;
        if let Some(best) = best.filter(|best| own.is_empty() && self.area.in_use.contains(*best)) {
            match self.standing(best, others, gaps)? {
                // A server of the project's is on it: the store was lost, the number is not.
                Standing::Ours => ports.push(best),
                standing => taken = standing.into_taken(),
            }
        }
        if ports.is_empty() && (self.request.if_taken == IfTaken::Another || taken.is_none()) {
            (ports, exclusions) =
                self.choose(self.request.near.map_or(order, Order::Near), &rows)?;
        }
        if taken.is_none() {
            wanted = ports.first().copied();
        }
        if let Some(port) = ports.first() {
            let rank = own.iter().map(|row| row.rank + 1).max().unwrap_or(0);
            let row = self.row(*port, Kind::Project);
            leases.insert(&Lease { name: Some(name.to_owned()), rank, ..row })?;
        }
        Ok(Report { wanted, taken, ..self.report(ports, &exclusions) })
    }

    fn standing(&self, port: Port, others: &[Lease], gaps: &mut Vec<Gap>) -> Result<Standing> {
        // Sockets were looked at before it was our turn: the kernel is asked again.
        let transports = self.request.transports;
        if !self.area.in_use.contains(port) && Standing::is_unused(port, transports) {
            return Ok(Standing::Free);
        }
        let reserved = others
            .iter()
            .filter(|row| row.kind == Kind::Reservation && row.project == self.request.project)
            .filter_map(|row| row.holder.as_ref().map(|holder| holder.pid));
        Standing::of(port, transports, &self.request.project, &reserved.collect::<Vec<_>>(), gaps)
    }

    /// What is out of the question before any socket is looked at.
    fn exclusions(&self, rows: &[Lease]) -> Exclusions {
        let mut exclusions = self.area.exclusions.clone();
        let leased: PortSet = rows.iter().map(|row| PortRange::from(row.port)).collect();
        exclusions.add(Exclusion::Leased, &leased);
        exclusions
    }

    fn choose(&self, order: Order, rows: &[Lease]) -> Result<(Vec<Port>, Exclusions)> {
        let mut exclusions = self.exclusions(rows);
        exclusions.add(Exclusion::InUse, &self.area.in_use);
        let wish = Wish {
            range: self.area.range,
            count: self.request.count,
            consecutive: self.request.consecutive,
            order: self.request.near.map_or(order, Order::Near),
        };
        let mut failure = None;
        let ports = choose(&wish, &mut exclusions, |port| {
            failure.is_none() && can_be_bound(port, self.request.transports, &mut failure)
        });
        match failure {
            Some(refusal) => Err(refusal).hinted(
                "try whether a port is free",
                "the machine is short of descriptors or memory, or forbids sockets",
            ),
            // Some of what was asked for is not what was asked for.
            None if ports.len() < usize::from(wish.count) => Ok((Vec::new(), exclusions)),
            None => Ok((ports, exclusions)),
        }
    }

    /// How long nobody else gets the numbers, if that was asked for or is the pool's rule.
    fn lasts(&self) -> Option<Duration> {
        self.request.lease.or(self.area.default_ttl)
    }

    fn row(&self, port: Port, kind: Kind) -> Lease {
        Lease {
            id: 0,
            port,
            transports: self.request.transports,
            kind,
            project: self.request.project.clone(),
            name: None,
            rank: 0,
            holder: None,
            netns: namespace::network().inode,
            made: self.now,
            used: self.now,
            expires: None,
        }
    }

    fn report(&self, ports: Vec<Port>, exclusions: &Exclusions) -> Report {
        Report {
            ports,
            range: self.area.range,
            transports: self.request.transports,
            project: self.request.project.clone(),
            name: self.request.name.clone(),
            wanted: None,
            taken: None,
            has_leftovers: false,
            expires: None,
            left: exclusions.left_in(self.area.range),
            excluded: exclusions.within(self.area.range),
        }
    }
}

/// When something given for a while is over.
///
/// # Errors
/// No time at all, or more than the calendar has.
pub(crate) fn end(now: Timestamp, lasts: Duration) -> Result<Timestamp> {
    let never = || Fault::new("a lease of no time at all", "say for how long, such as 30s or 5m");
    let end = now.checked_add(lasts).hinted("a lease that long", "say less, such as 1h")?;
    (end > now).then_some(end).ok_or_else(never)
}

/// What a project's number under a name is decided by.
fn key(project: &Path, name: &str) -> Vec<u8> {
    [project.as_os_str().as_bytes(), b"\0", name.as_bytes()].concat()
}

/// An order that nobody else is likely to have.
fn random() -> Order {
    Order::Scattered(RandomState::new().build_hasher().finish())
}

/// Whether the kernel lets a server without any option have the port; a failure that says nothing
/// of the port is put into `failure`.
fn can_be_bound(port: Port, transports: TransportSet, failure: &mut Option<bind::Refusal>) -> bool {
    transports.iter().all(|transport| match bind::hold_alone(transport, port) {
        Ok(_) => true,
        Err(refusal) => {
            let of_port = matches!(refusal.errno, Errno::ADDRINUSE | Errno::ACCESS | Errno::PERM);
            if !of_port || refusal.call != Call::Bind {
                *failure = Some(refusal);
            }
            false
        }
    })
}
