//! Choosing among what is left: candidates in an order, each one tried on the kernel.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Port, PortRange, PortSet, TransportSet};
use portolan_core::socket::choose::{Exclusion, Exclusions, Order, Wish, choose};
use portolan_host::bind::{self, Call};
use portolan_host::namespace;
use rustix::io::Errno;

use super::area::Area;
use super::{Report, Request, end};
use crate::fault::Hinted as _;
use crate::ops::reservations::{self, tidy};
use crate::store::{Kind, Lease, Leases};

/// A request, and what this machine has to say about it.
pub(super) struct Picker<'r> {
    /// What is asked for.
    pub(super) request: &'r Request,
    /// Where to look.
    pub(super) area: Area,
    /// What the clock said when it was asked for.
    pub(super) now: Timestamp,
}

impl Picker<'_> {
    /// Free numbers that nobody remembers.
    pub(super) fn loose(&self) -> Result<Report> {
        let (ports, exclusions) = self.choose(random(), &reservations::list()?)?;
        Ok(self.report(ports, &exclusions))
    }

    /// Free numbers that nobody else is given for a while.
    pub(super) fn leased(&self, leases: &Leases<'_>) -> Result<Report> {
        let (ports, exclusions) = self.choose(random(), &tidy(leases, self.now)?)?;
        let expires = self.lasts().map(|lasts| end(self.now, lasts)).transpose()?;
        for port in &ports {
            leases.insert(&Lease { expires, ..self.row(*port, Kind::Lease) })?;
        }
        Ok(Report { expires, ..self.report(ports, &exclusions) })
    }

    /// How long nobody else gets the numbers, if that was asked for or is the pool's rule.
    pub(super) fn lasts(&self) -> Option<Duration> {
        self.request.lease.or(self.area.default_ttl)
    }

    /// The first numbers of an order, or those nearest to the wished one, that are not excluded and
    /// can be bound; none if there are not as many as asked for.
    pub(super) fn choose(&self, order: Order, rows: &[Lease]) -> Result<(Vec<Port>, Exclusions)> {
        let mut exclusions = self.taken(rows);
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

    /// What is out of the question before any socket is looked at.
    pub(super) fn settled(&self, rows: &[Lease]) -> Exclusions {
        let mut exclusions = self.area.exclusions.clone();
        let leased: PortSet = rows.iter().map(|row| PortRange::from(row.port)).collect();
        exclusions.add(Exclusion::Leased, &leased);
        exclusions
    }

    /// The same with what some socket uses.
    pub(super) fn taken(&self, rows: &[Lease]) -> Exclusions {
        let mut exclusions = self.settled(rows);
        exclusions.add(Exclusion::InUse, &self.area.in_use);
        exclusions
    }

    /// A row for a number that is given now.
    pub(super) fn row(&self, port: Port, kind: Kind) -> Lease {
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

    /// What there is to tell about `ports`.
    pub(super) fn report(&self, ports: Vec<Port>, exclusions: &Exclusions) -> Report {
        let consecutive = self.request.consecutive;
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
            in_a_row: consecutive.then(|| exclusions.longest_run_in(self.area.range)),
            excluded: exclusions.within(self.area.range),
        }
    }
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
