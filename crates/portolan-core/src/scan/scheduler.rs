//! The scan itself: which probe next, and what the answers mean.
//!
//! Passes over blocks of hosts ask every port; silent ones are asked again as often as the measured
//! loss demands, the last time a second or more after the first, and only while something that is known
//! to answer still does. What a host says at a limited rate goes through a slow lane. Open ports of
//! a host that is open everywhere are tried by a real connection before they are told.

mod answer;
mod judge;
#[cfg(test)]
pub(super) mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use super::block::{Block, Cell, CellState, Next, Pass, Phase};
use super::host::{HELLO, Host, Kind, LANE_CANARY, Watch};
use super::lane::Ask;
use super::loss::DOUBTFUL;
use super::pacer::{Pacer, Way};
use super::work::Work;
use super::{
    Ability, Capped, Event, LocalError, Manner, Pace, Plan, PortState, Positions, Probe, Progress,
    Question, Reason, Record,
};
use crate::net::{Moment, Transport};

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
    ignored: u64,
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
            ignored: 0,
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
            rate: self.blocks.front().map_or(0.0, |block| self.pacers[block.way as usize].rate()),
            held_back: self.pacers[Way::Routed as usize].is_held_back(now),
            remaining: left.map(|s| Duration::from_secs_f64(s.min(1e9))),
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

    /// A probe of the passes, if the pace allows one.
    fn next_of_passes(&mut self, now: Moment) -> Option<Probe> {
        self.idle = now + Duration::from_millis(50);
        if now < self.blocked {
            self.idle = self.blocked;
            return None;
        }
        let mut b = 0;
        loop {
            if b == self.blocks.len() && !self.open_block(now) {
                return None;
            }
            match self.blocks[b].peek(now) {
                Next::Cell(number) => return self.send_cell(b, number, now),
                Next::Later(at) => self.idle = self.idle.min(at),
                Next::End => self.end_pass(b, now),
            }
            if self.is_in_first_pass(b) {
                return None;
            }
            b += 1;
        }
    }

    fn is_in_first_pass(&self, b: usize) -> bool {
        let block = &self.blocks[b];
        block.pass == 1 && matches!(block.phase, Phase::Sending(_))
    }

    /// Begins the next block, if there is one and not too many are in hand.
    fn open_block(&mut self, now: Moment) -> bool {
        while self.blocks.len() < MOST_BLOCKS && self.next_block < self.work.blocks() {
            let block = self.make_block(self.next_block, now);
            self.next_block += 1;
            if block.open_hosts == 0 {
                continue;
            }
            for (slot, host) in block.hosts.iter().enumerate() {
                self.slots.insert(host.address, (block.number, slot));
            }
            self.blocks.push_back(block);
            return true;
        }
        false
    }

    fn make_block(&self, number: u64, now: Moment) -> Block {
        let ports = self.work.ports().len();
        let count = u32::try_from(ports).expect("131,072 ports at most");
        let addresses = self.work.hosts_of(number);
        let mut hosts: Vec<Host> = addresses
            .into_iter()
            .map(|a| Host::new(a, self.way_to(a), self.pace.own.contains(&a), count))
            .collect();
        let order = self.work.order_of(number, hosts.len());
        let base = self.work.position_of(number);
        let mut cells = vec![Cell::default(); hosts.len() * ports];
        if !self.done.is_empty() {
            for position in (0..order.len()).filter(|p| self.done.contains(base + p)) {
                let cell = usize::try_from(order.at(position)).expect("it is an index");
                cells[cell].state = CellState::Decided;
                hosts[cell / ports].undecided -= 1;
                hosts[cell / ports].fast -= 1;
            }
        }
        let is_routed = hosts.iter().any(|h| h.way == Way::Routed);
        let first = Pass { list: None, cursor: 0, spacing: Duration::ZERO, not_before: now };
        Block {
            number,
            base,
            way: if is_routed { Way::Routed } else { Way::Link },
            open_hosts: hosts.iter().filter(|h| !h.is_finished()).count(),
            hosts,
            order,
            cells,
            phase: Phase::Sending(first),
            pass: 1,
            asked_once: None,
            requeued: VecDeque::new(),
            refused: Default::default(),
            silent: VecDeque::new(),
        }
    }

    fn way_to(&self, address: IpAddr) -> Way {
        let near = self.pace.own.contains(&address)
            || address.is_loopback()
            || self.pace.on_link.iter().any(|net| net.contains(address));
        if near { Way::Link } else { Way::Routed }
    }

    /// Sends a port's probe, or before it what the host is asked besides.
    fn send_cell(&mut self, b: usize, number: u32, now: Moment) -> Option<Probe> {
        let block = &mut self.blocks[b];
        let ports = self.work.ports().len();
        let slot = number as usize / ports;
        let host = &mut block.hosts[slot];
        let wants_trial = wants_trial(host, block.pass, self.ability);
        let says_hello = self.ability.echo
            && !self.work.is_large()
            && !host.said_hello
            && block.pass >= 2
            && host.watch.kind() < Kind::Echo;
        let pacer = &mut self.pacers[block.way as usize];
        if !pacer.take(now, !wants_trial && !says_hello) {
            self.idle = self.idle.min(pacer.next(now));
            return None;
        }
        let wait = host.timeout();
        let (target, manner) = (host.address, Manner::Ask);
        if says_hello {
            host.said_hello = true;
            return Some(Probe { target, question: Question::Echo, attempt: HELLO, wait, manner });
        }
        if wants_trial && let Some(trial) = host.watch.ask(now, wait) {
            self.wake = self.wake.min(trial.due);
            let (question, attempt) = (trial.question, trial.attempt);
            return Some(Probe { target, question, attempt, wait, manner });
        }
        if let Phase::Settling(until) = &mut block.phase {
            *until = (*until).max(now + wait + GRACE);
        }
        host.sent_in_pass += 1;
        let is_first = host.begun.is_none();
        host.begun.get_or_insert(now);
        // The kernel takes three seconds to find out that nobody answers ARP.
        let asks_link = is_first && host.way == Way::Link && !host.is_own && !host.heard;
        let is_small = block.pass > 1 && host.fast < SMALL;
        let wait = match (asks_link, is_small) {
            (true, _) => RESOLUTION,
            (_, true) => wait.max(Duration::from_millis(300)),
            _ => wait,
        };
        let question = self.work.question(number as usize % ports);
        block.take(now, number);
        let attempt = block.cells[number as usize].tries.into();
        Some(Probe { target, question, attempt, wait, manner })
    }

    /// Everything of a pass has been sent.
    fn end_pass(&mut self, b: usize, now: Moment) {
        let block = &mut self.blocks[b];
        if !matches!(block.phase, Phase::Sending(_)) {
            return;
        }
        block.asked_once.get_or_insert(now);
        let busy = |h: &&mut Host| h.fast > 0;
        let mut wait = LEAST_SETTLING;
        for host in block.hosts.iter_mut().filter(busy) {
            wait = wait.max(host.timeout());
            // What still answers at the end of the pass did so all through it.
            for _ in 0..2 {
                if block.pass == 1 || host.watch.is_exhausted(self.ability.connects) {
                    break;
                }
                let Some(trial) = host.watch.ask(now, host.rtt.timeout(wait)) else { break };
                let (question, attempt) = (trial.question, trial.attempt);
                let (target, wait) = (host.address, trial.due - now);
                self.urgent.push_back(Probe {
                    target,
                    question,
                    attempt,
                    wait,
                    manner: Manner::Ask,
                });
            }
        }
        block.phase = Phase::Settling(now + wait + GRACE);
        self.wake = self.wake.min(now);
        self.idle = now;
    }

    /// Everything that is due besides sending.
    fn advance(&mut self, now: Moment) {
        if self.pace.budget.is_some_and(|budget| now.since_start() >= budget) {
            self.stop(now, Cut::Budget);
        }
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

    fn advance_host(&mut self, b: usize, slot: usize, now: Moment) {
        self.expire_trials(b, slot, now);
        let host = &self.blocks[b].hosts[slot];
        if host.is_finished() {
            return;
        }
        let has_lane = host.lanes.iter().any(Option::is_some);
        if has_lane {
            self.try_path(b, slot, now);
            (0..2).for_each(|lane| self.drive_lane(b, slot, lane, now));
        }
        if !self.blocks[b].hosts[slot].verifying.is_empty() {
            self.expire_verifications(b, slot, now);
        }
        if self.blocks[b].hosts[slot].undecided == 0 {
            self.settle(b, slot, now);
        }
    }

    /// While a lane is slow by nature, something else tells what the way there loses.
    fn try_path(&mut self, b: usize, slot: usize, now: Moment) {
        let host = &mut self.blocks[b].hosts[slot];
        let is_known = host.loss.trials() + host.watch.under_way() >= PATH_TRIALS;
        let by_icmp = host.lanes.iter().flatten().any(|lane| lane.what == Capped::Icmp);
        if is_known || !by_icmp {
            return;
        }
        let (target, wait, manner) = (host.address, host.timeout(), Manner::Ask);
        let (question, attempt) = if host.watch.kind() > Kind::Icmp {
            if now < host.next_trial || host.watch.is_exhausted(self.ability.connects) {
                self.wake = self.wake.min(host.next_trial.max(now + BETWEEN_TRIALS));
                return;
            }
            host.next_trial = now + BETWEEN_TRIALS;
            self.wake = self.wake.min(host.next_trial);
            let Some(trial) = host.watch.ask(now, wait) else { return };
            (trial.question, trial.attempt)
        } else if self.ability.echo && !host.said_hello {
            host.said_hello = true;
            (Question::Echo, HELLO)
        } else {
            return;
        };
        self.urgent.push_back(Probe { target, question, attempt, wait, manner });
    }

    fn expire_trials(&mut self, b: usize, slot: usize, now: Moment) {
        let block = &mut self.blocks[b];
        let host = &mut block.hosts[slot];
        while let Some(trial) = host.watch.expire(now) {
            host.loss.note(0, 1);
            self.pacers[block.way as usize].note_trial(now, trial.sent, false);
        }
        if let Some(due) = host.watch.next_due() {
            self.wake = self.wake.min(due);
        }
    }

    /// Lets a lane send, takes what it has proved, ends it when there is nothing left.
    fn drive_lane(&mut self, b: usize, slot: usize, which: usize, now: Moment) {
        let host = &mut self.blocks[b].hosts[slot];
        let Some(mut lane) = host.lanes[which].take() else { return };
        if lane.what == Capped::Icmp {
            lane.know_path(host.loss);
        }
        let (target, wait, manner) = (host.address, host.timeout(), Manner::Ask);
        let ports = self.work.ports().len();
        while let Some(ask) = lane.poll(now, wait) {
            let (question, attempt) = match ask {
                Ask::Canary(question) => (question, LANE_CANARY),
                Ask::Cell(number) => {
                    let cell = &mut self.blocks[b].cells[number as usize];
                    cell.tries = cell.tries.saturating_add(1);
                    cell.sent = super::block::stamp(now);
                    (self.work.question(number as usize % ports), cell.tries.into())
                }
            };
            self.urgent.push_back(Probe { target, question, attempt, wait, manner });
        }
        let proved = lane.take_silent();
        let miss = lane.miss();
        for number in proved {
            let number = number as usize;
            let (state, reason) = match miss {
                Some(miss) if miss > DOUBTFUL => (PortState::Unknown, Reason::HostSilent),
                _ => (self.silent_state(number % ports), Reason::NoResponse),
            };
            self.tell_cell(b, slot, number, state, reason, miss);
        }
        if lane.has_given_up() {
            let transport = if which == 1 { Transport::Udp } else { Transport::Tcp };
            self.end_lane(b, slot, &lane, transport);
        } else if lane.undecided() > 0 || lane.awaits_canary() {
            if let Some(next) = lane.next() {
                self.wake = self.wake.min(next);
            }
            self.blocks[b].hosts[slot].lanes[which] = Some(lane);
            return;
        }
        self.blocks[b].hosts[slot].close_lane(&lane);
        self.finish(b, slot);
    }

    /// What silence of a port means.
    fn silent_state(&self, place: usize) -> PortState {
        match self.work.ports()[place].1 {
            Transport::Udp => PortState::OpenFiltered,
            _ => PortState::Filtered,
        }
    }

    fn find(&self, address: IpAddr) -> Option<(usize, usize)> {
        let (number, slot) = *self.slots.get(&address)?;
        let b = self.blocks.iter().position(|block| block.number == number)?;
        Some((b, slot))
    }

    fn cell_of(&self, slot: usize, question: Question) -> Option<usize> {
        Some(slot * self.work.ports().len() + self.work.place_of(question)?)
    }

    /// Gives a cell its final state.
    fn tell_cell(
        &mut self,
        b: usize,
        slot: usize,
        number: usize,
        state: PortState,
        reason: Reason,
        miss: Option<f64>,
    ) {
        let record = self.record(b, slot, number, state, reason, miss);
        self.leave(b, slot, number, CellState::Decided);
        self.tell(record);
    }

    fn record(
        &self,
        b: usize,
        slot: usize,
        number: usize,
        state: PortState,
        reason: Reason,
        miss_probability: Option<f64>,
    ) -> Record {
        let block = &self.blocks[b];
        let (port, transport) = self.work.ports()[number % self.work.ports().len()];
        Record {
            address: block.hosts[slot].address,
            port,
            transport,
            state,
            reason,
            from: None,
            tries: block.cells[number].tries.into(),
            rtt: None,
            miss_probability,
            verified: None,
            note: None,
            position: block.base + block.order.position_of(number as u64),
        }
    }

    /// A cell is no longer undecided.
    fn leave(&mut self, b: usize, slot: usize, number: usize, state: CellState) {
        let block = &mut self.blocks[b];
        let was = std::mem::replace(&mut block.cells[number].state, state);
        let host = &mut block.hosts[slot];
        if matches!(was, CellState::Fast | CellState::Slow) {
            host.undecided -= 1;
        }
        if was == CellState::Fast {
            host.fast -= 1;
        }
    }

    fn tell(&mut self, record: Record) {
        self.decided += 1;
        self.events.push_back(Event::Port(record));
    }

    /// Tells some of a host's silent ports.
    fn tell_silence(&mut self, b: usize) {
        let Some(mut silence) = self.blocks[b].silent.pop_front() else { return };
        let (slot, cells) = (silence.slot, self.blocks[b].cells_of(silence.slot));
        let from = cells.start + silence.place;
        let to = cells.end.min(from + AT_ONCE);
        for number in from..to {
            let is_meant = match self.blocks[b].cells[number].state {
                CellState::Fast => true,
                CellState::Slow => silence.with_slow,
                _ => false,
            };
            if is_meant {
                let udp = self.work.ports()[number - cells.start].1 == Transport::Udp;
                let state = if udp { silence.udp } else { silence.tcp };
                self.tell_cell(b, slot, number, state, silence.reason, silence.miss);
            }
        }
        silence.place += to - from;
        if to < cells.end {
            self.blocks[b].silent.push_front(silence);
            return;
        }
        self.finish(b, slot);
        self.wake = Moment::START;
    }

    /// Tells of a host when nothing of it is left.
    fn finish(&mut self, b: usize, slot: usize) {
        let asked = self.work.ports().iter().filter(|(_, t)| *t == Transport::Tcp).count();
        let block = &mut self.blocks[b];
        let host = &mut block.hosts[slot];
        if !host.is_finished() || host.is_told {
            return;
        }
        host.is_told = true;
        host.lanes
            .iter_mut()
            .filter_map(Option::take)
            .collect::<Vec<_>>()
            .iter()
            .for_each(|lane| host.close_lane(lane));
        block.open_hosts -= 1;
        let report = host.report(u32::try_from(asked).unwrap_or(u32::MAX));
        self.events.push_back(Event::Host(Box::new(report)));
        self.wake = Moment::START;
    }

    fn drop_finished(&mut self) {
        self.blocks.retain(|block| {
            let keep = block.open_hosts > 0 || !block.silent.is_empty();
            if !keep {
                for host in &block.hosts {
                    self.slots.remove(&host.address);
                }
            }
            keep
        });
    }
}

/// Whether a host is asked something whose answer is known, before its next port is.
fn wants_trial(host: &Host, pass: u16, ability: Ability) -> bool {
    if host.watch.kind() == Kind::None || host.watch.is_exhausted(ability.connects) {
        return false;
    }
    let asked = host.watch.asked_in_pass;
    let stride = match pass {
        1 if asked < 256 => 64,
        1 => 256,
        _ => (host.fast / 64).clamp(1, 512),
    };
    let due = if pass == 1 { (asked + 1) * stride } else { asked * stride };
    host.sent_in_pass >= due
}

/// How many ports of a block count as half done: asked, not decided.
fn half_done(block: &Block) -> u64 {
    match &block.phase {
        Phase::Sending(pass) if block.pass == 1 => pass.cursor,
        _ => block.hosts.iter().map(|h| u64::from(h.undecided)).sum(),
    }
}

/// Trials that tell enough of a path, and the time between two of them beside a lane.
const PATH_TRIALS: u32 = 48;
const BETWEEN_TRIALS: Duration = Duration::from_millis(20);
/// Blocks in hand at once: while one waits for answers, the next are sent.
const MOST_BLOCKS: usize = 6;
/// Silent ports told at once.
const AT_ONCE: usize = 256;
/// Between two ports' tries when the machine has no room: at first, and at most.
const LEAST_BACKOFF: Duration = Duration::from_millis(1);
const MOST_BACKOFF: Duration = Duration::from_millis(200);
/// Refusals in a row, none of them overcome, after which a port stays unknown.
const HOPELESS: u32 = 200;
/// A host with fewer silent ports can afford to wait longer for each.
const SMALL: u32 = 2048;
/// Longer than Linux takes to call a neighbour unreachable (3 × 1 s, arp(7)).
const RESOLUTION: Duration = Duration::from_millis(3400);
const LEAST_SETTLING: Duration = Duration::from_millis(60);
/// So much later than the wait of the last probe an engine may be with the last answer.
const GRACE: Duration = Duration::from_millis(10);
