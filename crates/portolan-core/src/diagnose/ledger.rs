//! What a watched endpoint did over time: counts, round trips, and when it was down.
//!
//! Memory does not grow with the time watched: round trips are counted in buckets, and of the
//! outages the last are kept.

use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;

use super::Outcome;
use crate::scan::{PortState, Reason};

/// The book of one endpoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Probes sent.
    pub sent: u64,
    /// Of those found open.
    pub open: u64,
    /// Of those answered in any way: refused and rejected ones too.
    pub answered: u64,
    /// Of those that could not be sent or judged, a name without an address among them.
    pub unknown: u64,
    trips: Trips,
    current: Option<Outage>,
    outages: Vec<Outage>,
    /// Outages that are over and no longer kept.
    forgotten: u64,
    down: Duration,
    address: Option<IpAddr>,
}

/// A time in which the endpoint was not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The first probe that was not open.
    pub from: Timestamp,
    /// The first that was open again; `None` while it lasts.
    pub until: Option<Timestamp>,
    /// How many probes were not open.
    pub probes: u64,
    /// What the first of them showed, and why; `None` where the name had no address.
    pub cause: Option<(PortState, Reason)>,
}

/// Statistics of round trips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// The shortest.
    pub min: Duration,
    /// Their mean.
    pub avg: Duration,
    /// At most one in twenty takes longer; within 4 %.
    pub p95: Duration,
    /// The longest.
    pub max: Duration,
}

impl Ledger {
    /// Enters what one probe showed; `None` where the name had no address to be asked.
    pub fn enter(&mut self, at: Timestamp, outcome: Option<&Outcome>) {
        self.sent += 1;
        match outcome.map(|outcome| outcome.state) {
            Some(PortState::Open) => self.open += 1,
            Some(PortState::Unknown) | None => self.unknown += 1,
            _ => {}
        }
        self.answered += u64::from(outcome.is_some_and(|outcome| outcome.from.is_some()));
        if let Some(open) = outcome.filter(|outcome| outcome.is_open()) {
            self.trips.enter(open.rtt);
            self.end_outage(at);
            return;
        }
        let cause = outcome.map(|outcome| (outcome.state, outcome.reason));
        let begun = Outage { from: at, until: None, probes: 0, cause };
        self.current.get_or_insert(begun).probes += 1;
    }

    fn end_outage(&mut self, at: Timestamp) {
        let Some(outage) = self.current.take() else { return };
        self.down += length(outage.from, at);
        if self.outages.len() == KEPT {
            self.outages.remove(0);
            self.forgotten += 1;
        }
        self.outages.push(Outage { until: Some(at), ..outage });
    }

    /// Notes where the name leads now; what it was before where that is another address.
    pub fn moves_to(&mut self, address: IpAddr) -> Option<IpAddr> {
        self.address.replace(address).filter(|before| *before != address)
    }

    /// Whether there was never anything to ask: the name had no address at any time.
    #[must_use]
    pub fn never_had_an_address(&self) -> bool {
        let nameless = |outage: &Outage| outage.cause.is_none();
        self.sent > 0 && self.address.is_none() && self.outages().all(nameless)
    }

    /// The outages, the last one open-ended while it lasts; only the last thousand.
    pub fn outages(&self) -> impl Iterator<Item = &Outage> {
        self.outages.iter().chain(&self.current)
    }

    /// How many outages there were.
    #[must_use]
    pub fn outage_count(&self) -> u64 {
        self.forgotten + self.outages().count() as u64
    }

    /// How long it was down altogether, as of `now`.
    #[must_use]
    pub fn down(&self, now: Timestamp) -> Duration {
        self.down + self.current.map_or(Duration::ZERO, |outage| length(outage.from, now))
    }

    /// Share of probes without any answer, 0 to 1; of those that could be sent.
    #[must_use]
    pub fn loss(&self) -> Option<f64> {
        let judged = self.sent - self.unknown;
        #[expect(clippy::cast_precision_loss, reason = "a share of at most 2^52 probes")]
        let share = |part: u64| part as f64 / judged as f64;
        (judged > 0).then(|| share(judged - self.answered.min(judged)))
    }

    /// Round trips of the probes found open; `None` where none was.
    #[must_use]
    pub fn round_trips(&self) -> Option<Spell> {
        self.trips.spell()
    }

    /// Whether every probe was open.
    #[must_use]
    pub const fn was_always_open(&self) -> bool {
        self.open == self.sent
    }
}

fn length(from: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(from)).unwrap_or_default()
}

/// Round trips in buckets, sixteen to each doubling.
#[derive(Clone, Debug, Default, PartialEq)]
struct Trips {
    count: u64,
    sum: Duration,
    min: Option<Duration>,
    max: Duration,
    buckets: Vec<u64>,
}

impl Trips {
    fn enter(&mut self, rtt: Option<Duration>) {
        let Some(rtt) = rtt else { return };
        self.count += 1;
        self.sum += rtt;
        self.min = Some(self.min.map_or(rtt, |min| min.min(rtt)));
        self.max = self.max.max(rtt);
        let bucket = bucket(rtt);
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
    }

    fn spell(&self) -> Option<Spell> {
        let avg = self.sum.checked_div(u32::try_from(self.count).unwrap_or(u32::MAX))?;
        Some(Spell { min: self.min?, avg, p95: self.percentile(95), max: self.max })
    }

    /// The upper end of the bucket in which this share of all is reached.
    fn percentile(&self, percent: u64) -> Duration {
        let wanted = (self.count * percent).div_ceil(100);
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(self.max, |bucket| upper_end(bucket).min(self.max))
    }
}

/// Whole microseconds below 16 have a bucket each; above, the first bit and the next four decide.
fn bucket(rtt: Duration) -> usize {
    let micros = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
    if micros < 16 {
        return usize::try_from(micros).unwrap_or_default();
    }
    let shift = micros.ilog2() - 4;
    let step = usize::try_from(micros >> shift).unwrap_or_default(); // 16 to 31
    step + 16 * shift as usize
}

fn upper_end(bucket: usize) -> Duration {
    if bucket < 32 {
        return Duration::from_micros(bucket as u64);
    }
    let (shift, step) = (bucket / 16 - 1, bucket % 16 + 16);
    Duration::from_micros(((step as u64 + 1) << shift) - 1)
}

/// Outages that are kept.
const KEPT: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Endpoint, Port, Transport};
    use crate::scan::Reply;

    const HOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    const DOOR: Endpoint = Endpoint { address: HOST, port: Port(443) };

    fn open(micros: u64) -> Outcome {
        let outcome = Outcome::of_answer(Transport::Tcp, DOOR, Reply::SynAck, HOST);
        Outcome { rtt: Some(Duration::from_micros(micros)), ..outcome }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_outage_lasts_from_the_first_miss_to_the_first_answer() {
        let refused = Outcome::of_answer(Transport::Tcp, DOOR, Reply::Reset, HOST);
        let mut ledger = Ledger::default();
        for (second, outcome) in [
            (0, open(100)),
            (1, refused),
            (2, Outcome::of_silence(Transport::Tcp)),
            (3, open(100)),
            (4, refused),
        ] {
            ledger.enter(at(second), Some(&outcome));
        }
        let outages: Vec<Outage> = ledger.outages().copied().collect();
        assert_eq!(outages.len(), 2);
        assert_eq!((outages[0].from, outages[0].until, outages[0].probes), (at(1), Some(at(3)), 2));
        let refused = Some((PortState::Closed, Reason::Reset));
        assert_eq!((outages[0].cause, outages[1].until), (refused, None));
        assert_eq!(ledger.down(at(10)), Duration::from_secs(2 + 6));
        assert_eq!((ledger.sent, ledger.open, ledger.answered), (5, 2, 4));
        assert!((ledger.loss().unwrap() - 0.2).abs() < 1e-9);
        assert!(!ledger.was_always_open());
    }

    #[test]
    fn round_trips_are_summed_up_within_a_twenty_fifth() {
        let mut ledger = Ledger::default();
        for micros in 1..=1000 {
            ledger.enter(at(micros), Some(&open(u64::try_from(micros).unwrap())));
        }
        let spell = ledger.round_trips().unwrap();
        assert_eq!((spell.min.as_micros(), spell.max.as_micros()), (1, 1000));
        assert_eq!(spell.avg.as_nanos(), 500_500);
        let p95 = spell.p95.as_micros();
        assert!((950..=990).contains(&p95), "{p95}");
    }

    #[test]
    fn every_bucket_ends_where_the_next_begins() {
        for micros in (0..5000).chain([u64::from(u32::MAX), u64::MAX >> 1]) {
            let rtt = Duration::from_micros(micros);
            let end = upper_end(bucket(rtt));
            assert!(end >= rtt && bucket(end) == bucket(rtt), "{micros}: {end:?}");
            assert!(end.as_micros() as f64 <= micros as f64 * 1.07 + 1.0, "{micros}: {end:?}");
        }
    }

    #[test]
    fn memory_stays_bounded_and_nothing_is_lost_from_the_sums() {
        let mut ledger = Ledger::default();
        for second in 0..3000 {
            let silent = Outcome::of_silence(Transport::Tcp);
            ledger.enter(at(second), Some(&if second % 2 == 0 { silent } else { open(5) }));
        }
        assert_eq!(ledger.outages().count(), KEPT);
        assert_eq!(ledger.outage_count(), 1500);
        assert_eq!(ledger.down(at(3000)), Duration::from_secs(1500));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_noticed_once() {
        let mut ledger = Ledger::default();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(ledger.moves_to(HOST), None);
        assert_eq!(ledger.moves_to(other), Some(HOST));
        assert_eq!(ledger.moves_to(other), None);
    }
}
