//! What to know beside the verdict.

use portolan_core::net::PortRange;
use portolan_core::reach::Diversion;
use portolan_core::socket::{Bind, Container};
use rustix::io::Errno;

use super::{Obstacle, Report};
use crate::ops::localhost::TwoBehindLocalhost;

/// Something that is true whatever the verdict is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// This kernel has no IPv6, so IPv4 alone was tried.
    NoIpv6,
    /// The kernel and the model of it differ, twice.
    Disagreement {
        /// What was tried.
        bind: Bind,
        /// Whether the model says it can be bound; the kernel says the opposite.
        model: bool,
    },
    /// The kernel hands this number out to connections.
    Ephemeral {
        /// What it chooses from.
        range: PortRange,
    },
    /// Rules that send traffic for the port somewhere else, whoever is bound to it.
    NatShadow(Vec<Diversion>),
    /// `localhost` leads to two programs.
    SplitFamily(TwoBehindLocalhost),
    /// A container that does not run will ask for the port when it is started.
    StoppedContainer(Container),
    /// When the sockets in the way are gone, this will be.
    Beside(Obstacle),
}

/// Adds what follows from the rest of the report.
pub(super) fn add(report: &mut Report) {
    let disagreements = report.attempts.iter().filter_map(|attempt| {
        let is_about_sockets = attempt.refusal.is_none_or(|r| r.errno == Errno::ADDRINUSE);
        let model = attempt.judgement.is_bindable()?;
        let differs = model != attempt.refusal.is_none() && attempt.bind.port.0 != 0;
        (is_about_sockets && differs)
            .then(|| Warning::Disagreement { bind: attempt.bind.clone(), model })
    });
    let mut found: Vec<Warning> = disagreements.collect();
    let beside = report.obstacle.clone().filter(|_| !report.blockers.is_empty());
    found.extend(beside.map(Warning::Beside));
    found.extend(ephemeral(report));
    report.warnings.extend(found);
}

/// An explicit bind in the ephemeral range races with every outgoing connection.
fn ephemeral(report: &Report) -> Option<Warning> {
    let bind = &report.decisive().bind;
    let (range, reserved) = (report.ports.ephemeral, &report.ports.reserved);
    let is_at_risk = range.contains(bind.port) && !reserved.contains(bind.port);
    is_at_risk.then_some(Warning::Ephemeral { range })
}
