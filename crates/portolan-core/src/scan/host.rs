//! What is known of one host while it is scanned: how far it is, what it loses, what keeps telling
//! that it still answers.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::event::{Canary, Cap, Capped, HostReport};
use super::lane::Lane;
use super::loss::Loss;
use super::pacer::Way;
use super::rtt::Rtt;
use super::{Icmp, LocalError, Question, Record, Suspicion};
use crate::net::Moment;

/// A host of a block in hand.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) address: IpAddr,
    pub(super) way: Way,
    /// Whether it is this machine.
    pub(super) is_own: bool,
    pub(super) rtt: Rtt,
    /// Trials of TCP or echo, sent among the other probes.
    pub(super) loss: Loss,
    /// Ports of ours without a final state.
    pub(super) undecided: u32,
    /// Those of them that passes ask; the others are in a lane or wait to be told.
    pub(super) fast: u32,
    /// Ports that answered, on the first try and on a later one.
    pub(super) answered_first: u32,
    pub(super) answered_later: u32,
    /// Whether anything was heard of it, or of the way to it.
    pub(super) heard: bool,
    /// When it was last heard itself.
    pub(super) spoke: Option<Moment>,
    /// Whether a router said that there is no way to it.
    pub(super) unreachable: bool,
    /// Ports of which a router said, after the host had spoken, that there is no way to it.
    pub(super) lost_ways: HashMap<u32, LostWay>,
    pub(super) no_neighbours: u8,
    /// When it was first asked.
    pub(super) begun: Option<Moment>,
    pub(super) watch: Watch,
    pub(super) lanes: [Option<Box<Lane>>; 2],
    /// A lane was tried and the host's answers turned out not to be limited, only lost.
    pub(super) lane_was_useless: bool,
    pub(super) caps: Vec<Cap>,
    /// Open ports that are not told yet.
    pub(super) opens: Vec<Held>,
    /// Real connections to them that are under way.
    pub(super) verifying: Vec<Verifying>,
    pub(super) suspicion: Suspicion,
    /// The lowest hop limit seen: what a higher one came from is nearer.
    pub(super) hop_limit: Option<u8>,
    pub(super) local_errors: Vec<(LocalError, u64)>,
    /// A closed UDP port, to confirm with.
    pub(super) closed_udp: Option<Question>,
    /// A TCP port that an ICMP error answers for.
    pub(super) refused_tcp: Option<Question>,
    pub(super) said_hello: bool,
    /// When the next trial beside a lane may leave.
    pub(super) next_trial: Moment,
    /// Its silent ports are being told.
    pub(super) is_silenced: bool,
    /// Its report was given.
    pub(super) is_told: bool,
    /// Open ports that were tried by a connection.
    pub(super) tried: u16,
    /// ICMP errors that answered for its ports.
    pub(super) icmp_errors: u32,
    pub(super) sent_in_pass: u32,
    /// Passes in which nothing was heard although something used to answer.
    pub(super) deaf: u8,
    pub(super) tries: u16,
}

impl Host {
    /// A host nothing is known of, with so many ports to find out.
    pub(super) fn new(address: IpAddr, way: Way, is_own: bool, ports: u32) -> Self {
        Self {
            address,
            way,
            is_own,
            rtt: Rtt::default(),
            loss: Loss::default(),
            undecided: ports,
            fast: ports,
            answered_first: 0,
            answered_later: 0,
            heard: false,
            spoke: None,
            unreachable: false,
            lost_ways: HashMap::new(),
            no_neighbours: 0,
            begun: None,
            watch: Watch::default(),
            lanes: [None, None],
            lane_was_useless: false,
            caps: Vec::new(),
            opens: Vec::new(),
            verifying: Vec::new(),
            suspicion: Suspicion::default(),
            hop_limit: None,
            local_errors: Vec::new(),
            closed_udp: None,
            refused_tcp: None,
            said_hello: false,
            next_trial: Moment::START,
            is_silenced: false,
            is_told: false,
            tried: 0,
            icmp_errors: 0,
            sent_in_pass: 0,
            deaf: 0,
            tries: 0,
        }
    }

    /// How long to wait for an answer.
    pub(super) fn timeout(&self) -> Duration {
        self.rtt.timeout(match self.way {
            Way::Link => Duration::from_millis(250),
            Way::Routed => Duration::from_millis(1000),
        })
    }

    /// Ports that answered.
    pub(super) const fn answering(&self) -> u32 {
        self.answered_first + self.answered_later
    }

    /// What the trials and the answers say of lost probes. Before a second pass, answers to the first
    /// say nothing: the lost ones look like silent ports.
    pub(super) fn measured_loss(&self) -> Loss {
        let mut loss = self.loss;
        if loss.trials() == 0 {
            loss.note(self.icmp_errors, 0);
        }
        if self.tries >= 2 {
            loss.note(self.answering(), self.answered_later);
        }
        loss
    }

    /// Counts a failure of ours.
    pub(super) fn note_local_error(&mut self, error: LocalError) {
        match self.local_errors.iter_mut().find(|(known, _)| *known == error) {
            Some((_, count)) => *count += 1,
            None => self.local_errors.push((error, 1)),
        }
    }

    /// Whether nothing was heard of it but a router's word that there is no way to it. That explains
    /// why all of it is silent; to hear it again for each port would take a second or more each.
    pub(super) fn is_lost(&self) -> bool {
        self.unreachable && self.spoke.is_none() && self.watch.kind() == Kind::None
    }

    /// Whether a router's word that there is no way to a port, though the host is there, is to be
    /// believed: only when it says so again after the host has spoken in between, for a host that
    /// reboots is called unreachable too.
    pub(super) fn believes(&mut self, cell: u32, icmp: Icmp, from: IpAddr, now: Moment) -> bool {
        let settled = self.timeout().max(Duration::from_millis(250));
        let Some(spoke) = self.spoke else { return true };
        let fresh = LostWay { icmp, from, first: now, last: now, is_of_port: false };
        let way = self.lost_ways.entry(cell).or_insert(fresh);
        way.last = now;
        way.is_of_port |= spoke >= way.first + settled;
        way.is_of_port && now - way.first >= LAST_AFTER
    }

    /// Whether nothing more will be learned.
    pub(super) fn is_finished(&self) -> bool {
        self.undecided == 0 && self.opens.is_empty()
    }

    /// What was learned besides the ports.
    pub(super) fn report(&self, asked: u32) -> HostReport {
        HostReport {
            address: Some(self.address),
            answered: self.heard,
            no_neighbour: self.no_neighbours > 0 && !self.heard,
            rtt: self.rtt.mean(),
            loss: self.measured_loss().share(),
            tries: self.tries,
            canary: self.watch.told(),
            caps: self.caps.clone(),
            front: self.suspicion.conclude(asked),
            open_looks: self.suspicion.open_looks(),
            closed_looks: self.suspicion.closed_looks(),
            local_errors: self.local_errors.clone(),
        }
    }

    /// Ends a lane, and keeps what it found out about the limit.
    pub(super) fn close_lane(&mut self, lane: &Lane) {
        let Some(per_second) = lane.per_second() else { return };
        let all = match lane.what {
            Capped::Icmp => self.icmp_errors,
            Capped::Reset => self.answered_first,
        };
        let burst = all.saturating_sub(lane.answered);
        if !self.caps.iter().any(|cap| cap.what == lane.what) {
            self.caps.push(Cap { what: lane.what, per_second, burst });
        }
    }
}

/// A router's word that there is no way to the host, about one of its ports.
#[derive(Clone, Copy, Debug)]
pub(super) struct LostWay {
    pub(super) icmp: Icmp,
    pub(super) from: IpAddr,
    /// When it first said so, and last.
    first: Moment,
    pub(super) last: Moment,
    /// Whether the host spoke in between.
    pub(super) is_of_port: bool,
}

/// An answered port that is not told yet.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) record: Record,
    /// The hop limit of its answer.
    pub(super) hop_limit: Option<u8>,
    /// Whether a real connection was asked for.
    pub(super) is_tried: bool,
}

/// A real connection to an open port, under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verifying {
    pub(super) question: Question,
    pub(super) due: Moment,
    pub(super) attempt: u16,
}

/// The questions whose answers tell that a host still answers, the canary of the mine.
#[derive(Debug, Default)]
pub(super) struct Watch {
    kind: Kind,
    questions: Vec<Question>,
    next: usize,
    asked: u16,
    waiting: VecDeque<Trial>,
    /// Trials that are over, of late: attempt numbers of lost ones, in case they come late.
    lost: VecDeque<u16>,
    /// When the latest answered trial was sent.
    pub(super) alive: Option<Moment>,
    /// In this pass.
    pub(super) asked_in_pass: u32,
    pub(super) answered_in_pass: u32,
}

/// A trial on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial {
    pub(super) question: Question,
    pub(super) attempt: u16,
    pub(super) sent: Moment,
    pub(super) due: Moment,
}

/// Kinds of canaries, the best last: one of the same transport tells more than an echo, and a closed
/// port troubles no program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    #[default]
    None,
    /// A port that an ICMP error answers for: those are limited almost everywhere.
    Icmp,
    Echo,
    Open,
    Closed,
}

impl Watch {
    /// Something answered, so it can be asked again.
    pub(super) fn learn(&mut self, kind: Kind, question: Question) {
        if kind < self.kind {
            return;
        }
        if kind > self.kind {
            self.questions.clear();
            self.kind = kind;
        }
        if self.questions.len() < MOST_QUESTIONS && !self.questions.contains(&question) {
            self.questions.push(question);
        }
    }

    /// One of the questions.
    pub(super) fn first(&self) -> Option<Question> {
        self.questions.first().copied()
    }

    /// What kind there is.
    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// How many trials one question may still have: programs behind open ports see connections.
    pub(super) fn is_exhausted(&self, connects: bool) -> bool {
        let per_question = match self.kind {
            // An ICMP error is limited: asked again, it tells of the limit and not of the way.
            Kind::None | Kind::Icmp => return true,
            Kind::Open if connects => 24,
            Kind::Open | Kind::Echo | Kind::Closed => return false,
        };
        usize::from(self.asked) >= per_question * self.questions.len()
    }

    /// The next trial.
    pub(super) fn ask(&mut self, now: Moment, wait: Duration) -> Option<Trial> {
        let question = *self.questions.get(self.next % self.questions.len().max(1))?;
        self.next = self.next.wrapping_add(1);
        self.asked = self.asked.saturating_add(1);
        let attempt = FIRST_TRIAL + self.next as u16 % TRIALS;
        let trial = Trial { question, attempt, sent: now, due: now + wait };
        self.waiting.push_back(trial);
        self.asked_in_pass += 1;
        Some(trial)
    }

    /// The trial an answer belongs to.
    pub(super) fn answered(&mut self, question: Question, attempt: Option<u16>) -> Option<Trial> {
        let is_it = |t: &Trial| t.question == question && attempt.is_none_or(|a| a == t.attempt);
        // Where the try is not told it is the latest: those before were lost.
        let trial = self.waiting.remove(self.waiting.iter().rposition(is_it)?)?;
        self.alive = self.alive.max(Some(trial.sent));
        self.answered_in_pass += 1;
        Some(trial)
    }

    /// Whether an answer is one to a trial that was given up already.
    pub(super) fn was_late(&mut self, attempt: Option<u16>) -> bool {
        let place = self.lost.iter().position(|a| Some(*a) == attempt);
        place.is_some_and(|place| self.lost.remove(place).is_some())
    }

    /// A trial that nobody answered in its time.
    pub(super) fn expire(&mut self, now: Moment) -> Option<Trial> {
        self.waiting.front().filter(|t| t.due <= now)?;
        let trial = self.waiting.pop_front()?;
        self.lost.push_back(trial.attempt);
        if self.lost.len() > MOST_QUESTIONS * 8 {
            self.lost.pop_front();
        }
        Some(trial)
    }

    /// The trial could not leave.
    pub(super) fn refused(&mut self, attempt: u16) {
        self.waiting.retain(|t| t.attempt != attempt);
    }

    /// When the oldest trial is over.
    pub(super) fn next_due(&self) -> Option<Moment> {
        self.waiting.front().map(|t| t.due)
    }

    /// How many are waited for.
    pub(super) fn under_way(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Whether a trial with this number is one of ours.
    pub(super) const fn is_trial(attempt: u16) -> bool {
        attempt >= FIRST_TRIAL && attempt < FIRST_TRIAL + TRIALS
    }

    fn told(&self) -> Option<Canary> {
        let port = self.questions.first().and_then(|q| q.port());
        match (self.kind, port) {
            (Kind::Echo, _) => Some(Canary::Echo),
            (Kind::Open, Some((port, _))) => Some(Canary::Open(port)),
            (Kind::Closed, Some((port, _))) => Some(Canary::Closed(port)),
            _ => None,
        }
    }
}

/// The last try of a silent port comes so long after the first at least: bursts of loss are shorter,
/// and who answers a second SYN only (greylisting) has seen one.
pub(super) const LAST_AFTER: Duration = Duration::from_secs(1);
/// Attempt numbers of trials, apart from those of ports.
const FIRST_TRIAL: u16 = 0x4000;
const TRIALS: u16 = 0x4000;
/// Attempt numbers of a lane's canary.
pub(super) const LANE_CANARY: u16 = 0x8001;
/// Attempt numbers of echo requests that look whether a host is there.
pub(super) const HELLO: u16 = 0x8002;
const MOST_QUESTIONS: usize = 8;
