//! What a scan adds up to.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::net::IpAddr;
use std::time::Duration;

use portolan_core::scan::{Cap, Front, HostReport, LocalError, PortState, Reason, Record};

/// A scan that is over, in numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Summary {
    /// What was counted.
    pub(crate) tally: Tally,
    /// Ports of hosts that were not begun.
    pub(crate) untouched: u64,
    /// Probes sent.
    pub(crate) probes: u64,
    /// How long it took.
    pub(crate) elapsed: Duration,
    /// The signal that ended it.
    pub(crate) interrupted: Option<c_int>,
}

impl Summary {
    /// Whether every port asked has an answer.
    pub(crate) const fn is_complete(&self) -> bool {
        self.tally.unknown == 0 && self.untouched == 0
    }
}

/// What has been found so far, in numbers. Its size does not depend on how many hosts there are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Ports by state.
    pub(crate) open: u64,
    /// The same.
    pub(crate) closed: u64,
    /// The same.
    pub(crate) filtered: u64,
    /// The same.
    pub(crate) open_filtered: u64,
    /// The same.
    pub(crate) unknown: u64,
    /// Of the unknown: those there was no time for.
    pub(crate) not_finished: u64,
    /// Hosts all of whose ports are known.
    pub(crate) hosts: u64,
    /// Of these: that answered something.
    pub(crate) answered: u64,
    /// Of these: that nobody on the link answered for.
    pub(crate) no_neighbour: u64,
    /// Of these: that never answered, and were all asked.
    pub(crate) silent: u64,
    /// The first host that never answered.
    pub(crate) first_silent: Option<IpAddr>,
    /// The most that was lost on the way to a host and back.
    pub(crate) worst_loss: Option<f64>,
    /// The most tries a silent port had.
    pub(crate) tries: u16,
    /// The most likely miss among ports of hosts that answer.
    pub(crate) worst_miss: Option<f64>,
    /// Limits found on answers: the first few hosts that have one.
    pub(crate) capped: Vec<Capped>,
    /// How many hosts have one.
    pub(crate) hosts_capped: u64,
    /// Things in front of hosts that accept every connection: the first few.
    pub(crate) fronts: Vec<(IpAddr, Front)>,
    /// How many hosts have one.
    pub(crate) hosts_fronted: u64,
    /// Probes that could not be sent at first, by cause.
    pub(crate) local_errors: BTreeMap<LocalError, u64>,
    /// Ports whose state could not be found out because they could not be asked.
    pub(crate) unasked: u64,
}

/// A limit and whose it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Capped {
    /// The host.
    pub(crate) host: IpAddr,
    /// Its limit.
    pub(crate) cap: Cap,
}

impl Tally {
    /// All ports that have a state.
    pub(crate) const fn ports(&self) -> u64 {
        self.open + self.closed + self.filtered + self.open_filtered + self.unknown
    }

    /// Takes a port in.
    pub(crate) fn port(&mut self, record: &Record) {
        let count = match record.state {
            PortState::Open => &mut self.open,
            PortState::Closed => &mut self.closed,
            PortState::Filtered => &mut self.filtered,
            PortState::OpenFiltered => &mut self.open_filtered,
            PortState::Unknown => &mut self.unknown,
        };
        *count += 1;
        match record.reason {
            Reason::NotFinished => self.not_finished += 1,
            Reason::LocalError(_) => self.unasked += 1,
            Reason::NoResponse => self.tries = self.tries.max(record.tries),
            _ => {}
        }
        if record.state != PortState::Unknown {
            self.worst_miss = most(self.worst_miss, record.miss_probability);
        }
    }

    /// Takes a host in.
    pub(crate) fn host(&mut self, report: &HostReport, was_asked: bool) {
        self.hosts += 1;
        self.worst_loss = most(self.worst_loss, report.loss);
        for (error, count) in &report.local_errors {
            *self.local_errors.entry(*error).or_default() += count;
        }
        match (report.answered, report.no_neighbour) {
            (true, _) => self.answered += 1,
            (false, true) => self.no_neighbour += 1,
            (false, false) if was_asked => {
                self.silent += 1;
                self.first_silent = self.first_silent.or(report.address);
            }
            (false, false) => {}
        }
        self.limits_and_fronts(report);
    }

    fn limits_and_fronts(&mut self, report: &HostReport) {
        self.hosts_capped += u64::from(!report.caps.is_empty());
        self.hosts_fronted += u64::from(report.front.is_some());
        let Some(host) = report.address else { return };
        let room = KEPT.saturating_sub(self.fronts.len());
        self.fronts.extend(report.front.iter().take(room).map(|front| (host, *front)));
        let room = KEPT.saturating_sub(self.capped.len());
        self.capped.extend(report.caps.iter().take(room).map(|cap| Capped { host, cap: *cap }));
    }
}

/// As many as anybody reads.
const KEPT: usize = 8;

fn most(so_far: Option<f64>, next: Option<f64>) -> Option<f64> {
    match (so_far, next) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}
