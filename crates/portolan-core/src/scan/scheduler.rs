//! The scan itself: which probe next, and what the answers mean.
//!
//! Passes over blocks of hosts ask every port; silent ones are asked again as often as the measured
//! loss demands, the last time a second or more after the first, and only while something that is known
//! to answer still does. What a host says at a limited rate goes through a slow lane. Open ports of
//! a host that is open everywhere are tried by a real connection before they are told.

mod answer;
mod judge;
mod lanes;
mod sending;
mod telling;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::block::{Block, CellState, Phase};
use super::host::{HELLO, LANE_CANARY, Watch};
use super::pacer::{Pacer, Way};
use super::work::Work;
use super::{
    Ability, Event, LocalError, Manner, Pace, Plan, PortState, Positions, Probe, Progress,
    Question, Reason,
};
use crate::net::Moment;

/// A scan in progress.
#[derive(Debug)]
pub struct Scan {
    work: Work,
    pace: Pace,
    ability: Ability,
    done: Positions,
    blocks: VecDeque<Block>,
    next_block: u64,
    slots: HashMap<IpAddr, (u64, usize)>,
    pacers: [Pacer; 2],
    urgent: VecDeque<Probe>,
    events: VecDeque<Event>,
    /// When something besides sending is due.
    wake: Moment,
    /// When there may be something to send again.
    idle: Moment,
    /// Nothing leaves before, after local errors.
    blocked: Moment,
    backoff: Duration,
    refusals: u32,
    decided: u64,
    probes: u64,
    speed: Speed,
    ignored: u64,
    /// Whether a router answered for a host with an ICMP error.
    routers_refuse: bool,
    stopped: Option<Cut>,
}

/// Why a scan ends before everything is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The time it was given is over.
    Budget,
    /// Somebody stopped it.
    Interrupted,
}

impl Scan {
    /// A scan that has sent nothing yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let pacer = |way| Pacer::new(way, plan.pace.ceiling, plan.pace.outstanding);
        Self {
            work: Work::new(&plan),
            pacers: [pacer(Way::Link), pacer(Way::Routed)],
            decided: plan.done.len(),
            pace: plan.pace,
            ability: plan.ability,
            done: plan.done,
            blocks: VecDeque::new(),
            next_block: 0,
            slots: HashMap::new(),
            urgent: VecDeque::new(),
            events: VecDeque::new(),
            wake: Moment::START,
            idle: Moment::START,
            blocked: Moment::START,
            backoff: LEAST_BACKOFF,
            refusals: 0,
            probes: 0,
            speed: Speed::default(),
            ignored: 0,
            routers_refuse: false,
            stopped: None,
        }
    }

    /// The next probe to send now, if one is due. An engine without room does not ask.
    pub fn poll_transmit(&mut self, now: Moment) -> Option<Probe> {
        if now >= self.wake {
            self.advance(now);
        }
        let probe = self.urgent.pop_front().or_else(|| self.next_of_passes(now))?;
        self.idle = now; // there may be more
        self.probes += 1;
        Some(probe)
    }

    /// When to ask again at the latest, if nothing arrives before; `None` when done.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Moment> {
        (!self.is_done()).then(|| self.wake.min(self.idle))
    }

    /// Ends it: what is undecided becomes unknown. Hosts that were not begun are not told of.
    pub fn stop(&mut self, _now: Moment, cut: Cut) {
        if self.stopped.replace(cut).is_some() {
            return;
        }
        self.next_block = self.work.blocks();
        self.urgent.clear();
        for b in 0..self.blocks.len() {
            self.blocks[b].phase = Phase::Quiet;
            self.blocks[b].requeued.clear();
            for slot in 0..self.blocks[b].hosts.len() {
                self.give_up(b, slot);
            }
        }
        self.wake = Moment::START;
    }

    /// Whether every port is decided and every event was taken.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.events.is_empty() && self.blocks.is_empty() && self.next_block >= self.work.blocks()
    }

    /// Why it ended early, if it did.
    #[must_use]
    pub const fn cut(&self) -> Option<Cut> {
        self.stopped
    }

    /// Answers that belonged to nothing that was asked, or to what had its answer already.
    #[must_use]
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self, now: Moment) -> Progress {
        let total = self.work.total();
        let asked: u64 = self.blocks.iter().map(half_done).sum();
        let share = (self.decided + asked / 2) as f64 / total.max(1) as f64;
        let spent = now.since_start();
        let enough = spent > Duration::from_secs(1) && share > 0.001 && share < 1.0;
        let left = enough.then(|| spent.as_secs_f64() * (1.0 - share) / share);
        Progress {
            decided: self.decided,
            total,
            probes: self.probes,
            rate: self.speed.rate,
            held_back: self.pacers[Way::Routed as usize].is_held_back(now),
            remaining: self.lanes_remaining().or_else(|| {
                left.filter(|_| share < 0.9).map(|s| Duration::from_secs_f64(s.min(1e9)))
            }),
        }
    }

    /// The next thing that is now known.
    pub fn poll_event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let b = self.blocks.iter().position(|block| !block.silent.is_empty())?;
            self.tell_silence(b);
        }
    }

    /// Takes back a probe that could not be sent.
    pub fn handle_refusal(&mut self, now: Moment, probe: &Probe, error: LocalError) {
        let Some((b, slot)) = self.find(probe.target) else { return };
        let host = &mut self.blocks[b].hosts[slot];
        host.note_local_error(error);
        self.probes = self.probes.saturating_sub(1);
        if error.is_passing() {
            self.refusals += 1;
            self.blocked = now + self.backoff;
            self.backoff = (self.backoff * 2).min(MOST_BACKOFF);
        }
        if probe.manner == Manner::Verify {
            host.verifying.retain(|v| v.question != probe.question);
            self.wake = now;
            return;
        }
        if Watch::is_trial(probe.attempt) {
            host.watch.refused(probe.attempt);
            return;
        }
        if probe.attempt == LANE_CANARY || probe.attempt == HELLO {
            return; // silence of our own making; asked again when its time is over
        }
        let Some(number) = self.cell_of(slot, probe.question) else { return };
        self.requeue(b, slot, number, error);
    }

    fn requeue(&mut self, b: usize, slot: usize, number: usize, error: LocalError) {
        let block = &mut self.blocks[b];
        let cell = &mut block.cells[number];
        let place = u32::try_from(number).expect("a block has fewer cells");
        cell.tries = cell.tries.saturating_sub(1);
        let is_hopeless = if error.is_passing() {
            self.refusals > HOPELESS
        } else {
            !block.refused.insert(place)
        };
        match cell.state {
            CellState::Fast | CellState::Slow if is_hopeless => {
                let reason = Reason::LocalError(error);
                self.tell_cell(b, slot, number, PortState::Unknown, reason, None);
                self.finish(b, slot);
            }
            CellState::Fast => block.requeued.push_back(place),
            _ => {}
        }
    }

    /// Everything that is due besides sending.
    fn advance(&mut self, now: Moment) {
        if self.pace.budget.is_some_and(|budget| now.since_start() >= budget) {
            self.stop(now, Cut::Budget);
        }
        self.speed.note(now, self.probes);
        self.wake = now + Duration::from_millis(100);
        for b in 0..self.blocks.len() {
            for slot in 0..self.blocks[b].hosts.len() {
                self.advance_host(b, slot, now);
            }
            if let Phase::Settling(until) = self.blocks[b].phase {
                if now >= until {
                    self.judge(b, now);
                } else {
                    self.wake = self.wake.min(until);
                }
            }
        }
        self.drop_finished();
    }

    /// How long the slow lanes take, at the rate answers come.
    fn lanes_remaining(&self) -> Option<Duration> {
        let hosts = self.blocks.iter().flat_map(|block| &block.hosts);
        hosts.flat_map(|host| host.lanes.iter().flatten()).map(|lane| lane.remaining()).max()
    }

    fn find(&self, address: IpAddr) -> Option<(usize, usize)> {
        let (number, slot) = *self.slots.get(&address)?;
        let b = self.blocks.iter().position(|block| block.number == number)?;
        Some((b, slot))
    }

    fn cell_of(&self, slot: usize, question: Question) -> Option<usize> {
        Some(slot * self.work.ports().len() + self.work.place_of(question)?)
    }
}

/// Probes a second, of late.
#[derive(Clone, Copy, Debug, Default)]
struct Speed {
    rate: f64,
    /// When it was last taken, and how many probes had been sent.
    at: Moment,
    probes: u64,
}

impl Speed {
    fn note(&mut self, now: Moment, probes: u64) {
        let passed = now - self.at;
        if passed >= Duration::from_millis(500) {
            let rate = probes.saturating_sub(self.probes) as f64 / passed.as_secs_f64();
            *self = Self { rate, at: now, probes };
        }
    }
}

/// How many ports of a block count as half done: asked, not decided.
fn half_done(block: &Block) -> u64 {
    match &block.phase {
        Phase::Sending(pass) if block.pass == 1 => pass.cursor as u64,
        _ => block.hosts.iter().map(|h| u64::from(h.undecided)).sum(),
    }
}

/// Between two ports' tries when the machine has no room: at first, and at most.
const LEAST_BACKOFF: Duration = Duration::from_millis(1);
const MOST_BACKOFF: Duration = Duration::from_millis(200);
/// Refusals in a row, none of them overcome, after which a port stays unknown.
const HOPELESS: u32 = 200;
/// Longer than Linux takes to call a neighbour unreachable (3 × 1 s, arp(7)).
const RESOLUTION: Duration = Duration::from_millis(3400);
