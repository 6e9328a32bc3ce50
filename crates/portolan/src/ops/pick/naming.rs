//! The number that belongs to a project under a name: the same again, another while somebody else
//! has it, and the first of its own order when there was none before.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use anyhow::Result;
use portolan_core::net::{Gap, Port};
use portolan_core::socket::choose::{Exclusions, Order};

use super::picker::Picker;
use super::standing::{Standing, Taken};
use super::{IfTaken, Place, Report};
use crate::ops::reservations::tidy;
use crate::store::{Kind, Lease, Leases};

/// A project's name, and all numbers that were given.
pub(super) struct Naming<'n> {
    picker: &'n Picker<'n>,
    name: &'n str,
    leases: &'n Leases<'n>,
    /// The rows of this project and name: its own number, then its stand-ins.
    own: Vec<Lease>,
    /// Everybody else's rows.
    others: Vec<Lease>,
}

/// What was found for a name that has no number it can use.
#[derive(Default)]
struct Found {
    port: Option<Port>,
    wanted: Option<Port>,
    taken: Option<Taken>,
    exclusions: Exclusions,
}

impl<'n> Naming<'n> {
    /// Reads the rows and removes those that are over. Where a place was named the number moves
    /// there, so a row of another place goes too.
    pub(super) fn begin(
        picker: &'n Picker<'n>,
        name: &'n str,
        leases: &'n Leases<'n>,
    ) -> Result<Self> {
        let request = picker.request;
        let is_own = |row: &Lease| {
            row.kind == Kind::Project
                && row.project == request.project
                && row.name.as_deref() == Some(name)
        };
        let live = tidy(leases, picker.now)?;
        let (own, others): (Vec<Lease>, Vec<Lease>) = live.into_iter().partition(is_own);
        let is_elsewhere =
            |row: &Lease| request.place != Place::Usual && !picker.area.range.contains(row.port);
        let (left, mut own): (Vec<Lease>, Vec<Lease>) = own.into_iter().partition(is_elsewhere);
        left.iter().try_for_each(|row| leases.remove(row.id))?;
        own.sort_unstable_by_key(|row| row.rank);
        Ok(Self { picker, name, leases, own, others })
    }

    /// The number.
    pub(super) fn number(&self, gaps: &mut Vec<Gap>) -> Result<Report> {
        let ports: Vec<Port> = self.own.iter().map(|row| row.port).collect();
        let mut standings = Vec::new();
        for port in ports {
            standings.push(self.standing(port, gaps)?);
        }
        // The one the project's server is on, else the first that is not taken.
        let served = standings.iter().position(Standing::is_ours);
        let usable = || standings.iter().position(|standing| !standing.is_taken());
        match served.or_else(usable) {
            Some(at) if at == 0 || self.may_differ() => self.again(at, &standings),
            _ => {
                let taken = standings.into_iter().next().and_then(Standing::into_taken);
                self.anew(taken, gaps)
            }
        }
    }

    /// A number that was given before.
    fn again(&self, at: usize, standings: &[Standing]) -> Result<Report> {
        let (first, row) = (&self.own[0], &self.own[at]);
        let asked = self.picker.request.transports;
        let transports = row.transports.iter().chain(asked.iter()).collect();
        self.leases.touch(first.id, first.transports, self.picker.now)?;
        self.leases.touch(row.id, transports, self.picker.now)?;
        if at == 0 {
            // It is free for its project again: nobody needs the stand-ins.
            self.own[1..].iter().try_for_each(|stand_in| self.leases.remove(stand_in.id))?;
        }
        let exclusions = self.picker.taken(&self.others);
        Ok(Report {
            wanted: Some(first.port),
            taken: standings[0].taken().filter(|_| at != 0).cloned(),
            has_leftovers: standings[at].is_leftover(),
            ..self.picker.report(vec![row.port], &exclusions)
        })
    }

    /// A number the name did not have before, where there may be another.
    fn anew(&self, taken: Option<Taken>, gaps: &mut Vec<Gap>) -> Result<Report> {
        let found = match self.own.first() {
            Some(first) => {
                self.stand_in(Found { wanted: Some(first.port), taken, ..Found::default() })?
            }
            None => self.first(gaps)?,
        };
        if let Some(port) = found.port {
            let rank = self.own.iter().map(|row| row.rank + 1).max().unwrap_or(0);
            let row = self.picker.row(port, Kind::Project);
            self.leases.insert(&Lease { name: Some(self.name.to_owned()), rank, ..row })?;
        }
        let Found { port, wanted, taken, exclusions } = found;
        let report = self.picker.report(port.into_iter().collect(), &exclusions);
        Ok(Report { wanted, taken, ..report })
    }

    /// The number for a name that has none: the first of its order that is nobody's. Where a server
    /// of the project's is on that already, the store was lost and the number is not.
    fn first(&self, gaps: &mut Vec<Gap>) -> Result<Found> {
        let settled = self.picker.settled(&self.others);
        let best = self.order().ports(self.picker.area.range).find(|p| !settled.contains(*p));
        let used = best.filter(|port| self.picker.area.in_use.contains(*port));
        let taken = match used.map(|port| self.standing(port, gaps)).transpose()? {
            Some(Standing::Ours) => {
                let exclusions = self.picker.taken(&self.others);
                return Ok(Found { port: best, wanted: best, taken: None, exclusions });
            }
            standing => standing.and_then(Standing::into_taken),
        };
        let is_taken = taken.is_some();
        let found = self.stand_in(Found { wanted: best, taken, ..Found::default() })?;
        let wanted = if is_taken { best } else { found.port };
        Ok(Found { wanted, ..found })
    }

    /// The next number that can be had, unless the wanted one is taken and no other will do.
    fn stand_in(&self, found: Found) -> Result<Found> {
        let rows: Vec<Lease> = self.own.iter().chain(&self.others).cloned().collect();
        if found.taken.is_some() && !self.may_differ() {
            return Ok(Found { exclusions: self.picker.taken(&rows), ..found });
        }
        let (ports, exclusions) = self.picker.choose(self.order(), &rows)?;
        Ok(Found { port: ports.first().copied(), exclusions, ..found })
    }

    fn may_differ(&self) -> bool {
        self.picker.request.if_taken == IfTaken::Another
    }

    /// The order in which numbers are tried for this project and name.
    fn order(&self) -> Order {
        Order::of_name(&key(&self.picker.request.project, self.name))
    }

    fn standing(&self, port: Port, gaps: &mut Vec<Gap>) -> Result<Standing> {
        let Picker { request, area, .. } = self.picker;
        // Sockets were looked at before it was our turn: the kernel is asked again.
        if !area.in_use.contains(port) && Standing::is_unused(port, request.transports) {
            return Ok(Standing::Free);
        }
        let ours = |row: &&Lease| row.kind == Kind::Reservation && row.project == request.project;
        let holders = self.others.iter().filter(ours).filter_map(|row| row.holder.as_ref());
        let holders: Vec<u32> = holders.map(|holder| holder.pid).collect();
        Standing::of(port, request.transports, &request.project, &holders, gaps)
    }
}

/// What a project's number under a name is decided by.
fn key(project: &Path, name: &str) -> Vec<u8> {
    [project.as_os_str().as_bytes(), b"\0", name.as_bytes()].concat()
}
