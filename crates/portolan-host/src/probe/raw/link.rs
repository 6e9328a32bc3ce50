//! Who has an address on the link, asked by ourselves: the kernel's own table holds about a thousand
//! neighbours (gc_thresh3), and a sweep of a large network would push out those others need.
//!
//! Probes to somebody who is not known yet are held until an answer comes, or none does.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::Probe;
use portolan_core::wire::arp::LinkAddress;

use super::way::Hop;

/// An address behind an interface.
pub(super) type Key = (u32, IpAddr);

/// The neighbours.
#[derive(Debug, Default)]
pub(super) struct Links {
    entries: HashMap<Key, Entry>,
    /// When each that is being asked is to be asked again, or given up.
    due: BinaryHeap<Reverse<(Moment, Key)>>,
    /// When the next question may leave.
    slot: Moment,
    held: usize,
}

#[derive(Debug)]
enum Entry {
    Known { link: LinkAddress, until: Moment },
    Asked { times: usize, hop: Hop, held: Vec<Probe> },
    Absent { until: Moment },
}

/// What is known of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It lives here.
    At(LinkAddress),
    /// It is being asked.
    Asked,
    /// It does not answer.
    Absent,
    /// Nothing: nobody has asked.
    Unknown,
}

/// What is to be done about a neighbour that has not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask, once more.
    Ask(Key, Hop),
    /// These probes were for nobody.
    GiveUp(Hop, Vec<Probe>),
}

impl Links {
    /// What is known.
    pub(super) fn find(&self, now: Moment, key: Key) -> Found {
        match self.entries.get(&key) {
            Some(Entry::Known { link, until }) if now < *until => Found::At(*link),
            Some(Entry::Asked { .. }) => Found::Asked,
            Some(Entry::Absent { until }) if now < *until => Found::Absent,
            _ => Found::Unknown,
        }
    }

    /// It is known from elsewhere.
    pub(super) fn learn(&mut self, now: Moment, key: Key, link: LinkAddress) {
        self.make_room(now);
        self.entries.insert(key, Entry::Known { link, until: now + FRESH });
    }

    /// Begins to ask.
    pub(super) fn ask(&mut self, now: Moment, key: Key, hop: Hop) {
        self.make_room(now);
        let at = self.slot.max(now);
        self.slot = at + GAP;
        self.entries.insert(key, Entry::Asked { times: 0, hop, held: Vec::new() });
        self.due.push(Reverse((at, key)));
    }

    /// Keeps a probe for somebody who is being asked.
    pub(super) fn hold(&mut self, key: Key, probe: Probe) {
        if let Some(Entry::Asked { held, .. }) = self.entries.get_mut(&key) {
            held.push(probe);
            self.held += 1;
        }
    }

    /// How many probes are held.
    pub(super) const fn held(&self) -> usize {
        self.held
    }

    /// Somebody has answered: the probes held for it. `None` when nobody had asked.
    pub(super) fn heard(&mut self, now: Moment, key: Key, link: LinkAddress) -> Option<Vec<Probe>> {
        let entry = self.entries.get_mut(&key)?;
        let Entry::Asked { held, .. } = entry else { return None };
        let held = std::mem::take(held);
        self.held -= held.len();
        *entry = Entry::Known { link, until: now + FRESH };
        Some(held)
    }

    /// The next thing that is due by now.
    pub(super) fn due(&mut self, now: Moment) -> Option<Due> {
        while let Some(Reverse((at, key))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            let Some(Entry::Asked { times, hop, held }) = self.entries.get_mut(&key) else {
                continue; // answered meanwhile
            };
            let hop = *hop;
            if let Some(wait) = WAITS.get(*times) {
                *times += 1;
                self.due.push(Reverse((now + *wait, key)));
                return Some(Due::Ask(key, hop));
            }
            let held = std::mem::take(held);
            self.held -= held.len();
            self.entries.insert(key, Entry::Absent { until: now + ABSENT });
            return Some(Due::GiveUp(hop, held));
        }
        None
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Forgets what is stale, and if that is not enough everything but the open questions.
    fn make_room(&mut self, now: Moment) {
        if self.entries.len() < MOST {
            return;
        }
        self.entries.retain(|_, entry| match entry {
            Entry::Known { until, .. } | Entry::Absent { until } => now < *until,
            Entry::Asked { .. } => true,
        });
        if self.entries.len() >= MOST {
            self.entries.retain(|_, entry| matches!(entry, Entry::Asked { .. }));
        }
    }
}

/// How long is waited after each question: three seconds in all, as the kernel does by default
/// (mcast_solicit × retrans_time_ms), with one question more.
const WAITS: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(900),
    Duration::from_millis(1250),
];

/// Questions go to everybody on the link: this far apart, 20,000 a second.
const GAP: Duration = Duration::from_micros(50);

/// How long an answer is believed in, and a silence.
const FRESH: Duration = Duration::from_secs(60);
const ABSENT: Duration = Duration::from_secs(5);

/// How many neighbours are remembered.
const MOST: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use portolan_core::net::Port;
    use portolan_core::scan::{Manner, Question};

    use super::*;

    fn key() -> Key {
        (3, "10.0.0.9".parse().unwrap())
    }

    fn hop() -> Hop {
        let source = "10.0.0.1".parse().unwrap();
        Hop { source, interface: 3, neighbour: Some(key().1), link: Some([2; 6]), mtu: 1500 }
    }

    fn probe() -> Probe {
        Probe {
            target: key().1,
            question: Question::Tcp(Port(80)),
            attempt: 1,
            wait: Duration::from_secs(1),
            manner: Manner::Ask,
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::after(Duration::from_millis(millis))
    }

    #[test]
    fn who_answers_gets_what_was_held_for_it() {
        let mut links = Links::default();
        assert_eq!(links.find(at(0), key()), Found::Unknown);
        links.ask(at(0), key(), hop());
        links.hold(key(), probe());
        assert_eq!(links.due(at(0)), Some(Due::Ask(key(), hop())));
        assert_eq!((links.due(at(0)), links.find(at(0), key())), (None, Found::Asked));
        assert_eq!(links.heard(at(1), key(), [7; 6]), Some(vec![probe()]));
        assert_eq!((links.held(), links.find(at(1), key())), (0, Found::At([7; 6])));
        assert_eq!(links.heard(at(2), key(), [8; 6]), None, "nobody has asked");
        assert_eq!(links.due(at(5000)), None);
        assert_eq!(links.find(at(61_001), key()), Found::Unknown);
    }

    #[test]
    fn who_does_not_answer_is_absent_after_three_seconds_and_four_questions() {
        let mut links = Links::default();
        links.ask(at(0), key(), hop());
        links.hold(key(), probe());
        let mut asked = 0;
        for millis in 0..4000 {
            match links.due(at(millis)) {
                Some(Due::Ask(..)) => asked += 1,
                Some(Due::GiveUp(_, probes)) => {
                    assert_eq!((asked, probes.len()), (4, 1));
                    assert!(millis >= 3000, "{millis}");
                    assert_eq!(links.find(at(millis), key()), Found::Absent);
                    return;
                }
                None => {}
            }
        }
        panic!("never given up");
    }

    #[test]
    fn questions_are_spread_over_time() {
        let mut links = Links::default();
        for last in 0..200 {
            links.ask(at(0), (3, IpAddr::from([10, 0, 0, last])), hop());
        }
        let asked = std::iter::from_fn(|| links.due(at(5))).count();
        assert_eq!(asked, 101);
    }
}
