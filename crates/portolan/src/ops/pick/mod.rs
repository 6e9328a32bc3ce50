//! Free port numbers: any, leased for a while, or the one that belongs to a project and a name.
//!
//! Whoever is given a number that others must not get decides alone (`Store::alone`), the attempt
//! to bind included, so that two who ask at once get two numbers.

mod area;
mod naming;
mod picker;
mod standing;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Observed, Port, PortRange, PortSet, Transport, TransportSet};
use portolan_core::socket::choose::Exclusion;
use portolan_host::clock;

use crate::fault::Fault;
use crate::ops::inventory::Asked;
use crate::store::Store;

use area::Area;
use naming::Naming;
use picker::Picker;
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
    /// How many of them follow one another at most, where that was asked for.
    pub(crate) in_a_row: Option<usize>,
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
        Some(name) => Store::open()?.alone(|leases| {
            let naming = Naming::begin(&picker, name, leases)?;
            naming.number(&mut gaps)
        }),
        None if picker.lasts().is_some() => Store::open()?.alone(|leases| picker.leased(leases)),
        None => picker.loose(),
    }?;
    Ok(Observed { value: report, gaps })
}

/// When something given for a while is over.
///
/// # Errors
/// No time at all, or more than the calendar has.
pub(crate) fn end(now: Timestamp, lasts: Duration) -> Result<Timestamp> {
    let too_long = || Fault::new("a lease beyond the year 9999", "say less, such as 1h");
    let never = || Fault::new("a lease of no time at all", "say for how long, such as 30s or 5m");
    let end = now.checked_add(lasts).map_err(|_| too_long())?;
    (end > now).then_some(end).ok_or_else(never)
}
