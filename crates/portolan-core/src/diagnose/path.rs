//! The way to a port, hop by hop: what routers say when the hop limit runs out at them (RFC 792,
//! RFC 4443), asked with the very packets that go to the port.

use std::net::IpAddr;
use std::time::Duration;

use crate::scan::Icmp;

/// The hops that were asked, in their order, the first beside us.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Each hop once, from 1 on without a gap.
    pub hops: Vec<Hop>,
}

/// One distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The hop limit of what was sent.
    pub number: u8,
    /// What came back.
    pub answer: HopAnswer,
    /// From whom; `None` for silence.
    pub from: Option<IpAddr>,
    /// How soon.
    pub rtt: Option<Duration>,
}

/// What came back from a distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopAnswer {
    /// Nothing.
    Silence,
    /// The hop limit ran out there: a router on the way.
    Router,
    /// The target's own answer: it is that far away.
    Arrived,
    /// Another ICMP error: the way ends there.
    Refused(Icmp),
}

impl Path {
    /// The farthest hop that answered at all.
    #[must_use]
    pub fn last_answer(&self) -> Option<&Hop> {
        self.hops.iter().rev().find(|hop| hop.from.is_some())
    }

    /// The hop that is the target.
    #[must_use]
    pub fn arrival(&self) -> Option<&Hop> {
        self.hops.iter().find(|hop| hop.answer == HopAnswer::Arrived)
    }

    /// Whether nothing was heard from anywhere.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.last_answer().is_none()
    }

    /// The router that answers at more than one distance, as in a circle of routes.
    #[must_use]
    pub fn circle(&self) -> Option<IpAddr> {
        let routers = || self.hops.iter().filter(|hop| hop.answer == HopAnswer::Router);
        let met = |hop: &&Hop| routers().filter(|other| other.from == hop.from).count() > 2;
        routers().find(met).and_then(|hop| hop.from)
    }

    /// The hops worth showing: silence behind the last answer is told once.
    #[must_use]
    pub fn telling(&self) -> &[Hop] {
        let last = self.hops.iter().rposition(|hop| hop.from.is_some());
        let end = last.map_or(1, |at| at + 2).min(self.hops.len());
        &self.hops[..end]
    }
}

/// The way to a port that is silent beside the way to one that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The farthest hop that the silent port's packets are known to have come to.
    pub after: Option<Hop>,
    /// The next hop, known only from the port that answers: what is lost is lost there at the
    /// latest, or on the way to it.
    pub next: Option<Hop>,
}

impl Comparison {
    /// Compares; without a way that works only the first half is known.
    #[must_use]
    pub fn of(silent: &Path, working: Option<&Path>) -> Self {
        let after = silent.last_answer().copied();
        let reached = after.map_or(0, |hop| hop.number);
        let beyond = |path: &&Path| {
            path.hops.iter().find(|h| h.number > reached && h.from.is_some()).copied()
        };
        Self { after, next: working.as_ref().and_then(beyond) }
    }
}
