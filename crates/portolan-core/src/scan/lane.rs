//! The slow lane: ports of a host that limits how often it says "closed".
//!
//! Hosts answer with RST or ICMP errors from a token bucket (Linux: 6 ICMP errors at once, then one a
//! second; net/ipv4/inetpeer.c). Whoever asks faster hears silence from closed ports. So the lane
//! first *harvests*: it asks round and round, a little faster than answers come, until a whole round
//! brought none. What is left is then *proved*: after a rest in which a token surely came back, all
//! are asked while no answer uses it up, and a port known to be closed confirms at the end that the
//! host would have answered. Only tries of a confirmed round count. While no limit has shown itself the
//! rest is short, and two confirmations in a row are wanted: the second token was there before the
//! round was. A host that stops confirming leaves its ports unknown.

use std::collections::VecDeque;
use std::time::Duration;

use super::loss::Loss;
use super::{Capped, Question};
use crate::net::Moment;

/// Ports of one host and one kind of answer.
#[derive(Debug)]
pub(super) struct Lane {
    /// What is limited.
    pub(super) what: Capped,
    /// A port that answers in this way, to confirm with.
    canary: Question,
    cells: VecDeque<Cell>,
    flight: VecDeque<Flight>,
    phase: Phase,
    /// The next probe leaves then.
    next: Moment,
    /// Between two probes of a harvest.
    pace: Duration,
    /// Times of the latest answers.
    answers: VecDeque<Moment>,
    /// Ports that answered in the lane.
    pub(super) answered: u32,
    last_answer: Moment,
    /// Probes sent since the last answer.
    since: usize,
    /// When a silent port's silence is proof.
    proof: Proof,
    failures: u8,
    /// Whether a confirmation ever failed.
    was_refused: bool,
    /// Confirmations, got and missed.
    loss: Loss,
    /// What the way there loses, as far as others have shown.
    path: Loss,
    silent: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    cell: u32,
    good: u8,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    /// `None`: the canary.
    cell: Option<Cell>,
    due: Moment,
}

#[derive(Debug)]
enum Phase {
    /// Asking round and round.
    Harvest,
    /// Waiting until a token has surely come back.
    Rest(Moment),
    /// Asking those in `left`; `silent` were, in this round.
    Prove { left: VecDeque<Cell>, silent: Vec<Cell> },
    /// The canary is to tell whether their silence counts, by so many answers more.
    Confirm { silent: Vec<Cell>, asked: bool, more: u8 },
}

/// When a port's silence in confirmed rounds is proof.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Proof {
    /// After so many.
    Rounds(u8),
    /// When a port that answers was missed with this probability at most, by what the way is known to
    /// lose or else by the confirmations, of which every round brings one.
    Miss(f64),
}

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// A port that is still undecided.
    Cell(u32),
    /// The port that confirms.
    Canary(Question),
}

impl Lane {
    /// A lane that begins now; a silent port is asked in confirmed rounds until `proof`.
    pub(super) fn new(
        what: Capped,
        canary: Question,
        cells: impl IntoIterator<Item = u32>,
        proof: Proof,
        now: Moment,
    ) -> Self {
        Self {
            what,
            canary,
            cells: cells.into_iter().map(|cell| Cell { cell, good: 0 }).collect(),
            flight: VecDeque::new(),
            phase: Phase::Harvest,
            next: now,
            pace: FIRST_PACE,
            answers: VecDeque::new(),
            answered: 0,
            last_answer: now,
            since: 0,
            proof,
            failures: 0,
            was_refused: false,
            loss: Loss::default(),
            path: Loss::default(),
            silent: Vec::new(),
        }
    }

    /// Takes in what questions of another kind have shown of the way there.
    pub(super) const fn know_path(&mut self, path: Loss) {
        self.path = path;
    }

    /// Ports of this lane that are neither answered nor proved silent.
    pub(super) fn undecided(&self) -> usize {
        let flying = self.flight.iter().filter(|f| f.cell.is_some()).count();
        let round = match &self.phase {
            Phase::Prove { left, silent } => left.len() + silent.len(),
            Phase::Confirm { silent, .. } => silent.len(),
            _ => 0,
        };
        self.cells.len() + flying + round
    }

    /// The port that confirms.
    pub(super) const fn canary(&self) -> Question {
        self.canary
    }

    /// Whether the canary was asked and has not answered.
    pub(super) fn awaits_canary(&self) -> bool {
        self.flight.iter().any(|f| f.cell.is_none())
    }

    /// Whether the host has stopped confirming: what is left cannot be told.
    pub(super) const fn has_given_up(&self) -> bool {
        self.failures >= PATIENCE
    }

    /// Ports that were proved silent since this was last asked.
    pub(super) fn take_silent(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.silent)
    }

    /// Answers a second, as far as they were seen to be limited.
    pub(super) fn per_second(&self) -> Option<f64> {
        let (first, last) = (self.answers.front()?, self.answers.back()?);
        let between = (*last - *first).as_secs_f64();
        (self.answers.len() > 2 && between > 0.0).then(|| (self.answers.len() - 1) as f64 / between)
    }

    /// How long it takes if all that is left answers, at the rate answers come.
    pub(super) fn remaining(&self) -> Duration {
        let usual = match self.what {
            Capped::Icmp => 1.0,
            Capped::Reset => 20.0,
        };
        let rate = self.per_second().unwrap_or(usual);
        Duration::from_secs_f64((self.undecided() as f64 / rate).min(1e9))
    }

    /// The next probe, if one is due; `wait` is how long its answer may take.
    pub(super) fn poll(&mut self, now: Moment, wait: Duration) -> Option<Ask> {
        self.expire(now);
        self.advance(now);
        if now < self.next {
            return None;
        }
        let due = now + wait;
        match &mut self.phase {
            Phase::Harvest => {
                let cell = self.cells.pop_front()?;
                self.flight.push_back(Flight { cell: Some(cell), due });
                self.next = now + self.pace;
                self.since += 1;
                Some(Ask::Cell(cell.cell))
            }
            Phase::Prove { left, .. } => {
                let cell = left.pop_front()?;
                self.flight.push_back(Flight { cell: Some(cell), due });
                self.next = now + LEAST_PACE;
                Some(Ask::Cell(cell.cell))
            }
            Phase::Confirm { asked, .. } if !*asked => {
                *asked = true;
                self.flight.push_back(Flight { cell: None, due });
                Some(Ask::Canary(self.canary))
            }
            _ => None,
        }
    }

    /// When to poll again if nothing is heard; `None` when there is nothing left to do.
    pub(super) fn next(&self) -> Option<Moment> {
        let wish = match &self.phase {
            Phase::Harvest if self.cells.is_empty() => None,
            Phase::Prove { left, .. } if left.is_empty() => None,
            Phase::Confirm { asked: true, .. } => None,
            Phase::Rest(until) => self.flight.is_empty().then_some(*until),
            _ => Some(self.next),
        };
        let due = self.flight.iter().map(|f| f.due).min();
        wish.into_iter().chain(due).min()
    }

    /// A port has answered and is decided: it leaves the lane. The answer used up a token, so what
    /// was asked after it, in a round of proof, is asked again.
    pub(super) fn answered(&mut self, now: Moment, cell: u32) {
        self.flight.retain(|f| f.cell.is_none_or(|c| c.cell != cell));
        self.cells.retain(|c| c.cell != cell);
        self.silent.retain(|c| *c != cell);
        self.note_answer(now);
        match std::mem::replace(&mut self.phase, Phase::Harvest) {
            Phase::Harvest => {}
            Phase::Rest(_) => self.rest(now),
            Phase::Prove { left, mut silent } => {
                silent.retain(|c| c.cell != cell);
                self.count(silent); // there was a token then, for there was one after
                let flying: Vec<Cell> = self.flight.drain(..).filter_map(|f| f.cell).collect();
                let again = left.into_iter().chain(flying);
                self.cells.extend(again.filter(|c| c.cell != cell));
                self.rest(now);
            }
            Phase::Confirm { silent, .. } => {
                self.flight.clear();
                self.cells.extend(silent.into_iter().filter(|c| c.cell != cell));
                self.rest(now);
            }
        }
    }

    /// The port that confirms has answered.
    pub(super) fn confirmed(&mut self, now: Moment) {
        self.flight.retain(|f| f.cell.is_some());
        self.failures = 0;
        self.loss.note(1, 0);
        self.last_answer = now;
        if let Phase::Confirm { silent, asked, more } = &mut self.phase {
            *more = more.saturating_sub(1);
            if *more > 0 {
                *asked = false;
                return;
            }
            let silent = std::mem::take(silent);
            self.count(silent);
            self.rest(now);
        }
    }

    fn note_answer(&mut self, now: Moment) {
        self.answered += 1;
        self.last_answer = now;
        self.since = 0;
        self.failures = 0;
        self.answers.push_back(now);
        if self.answers.len() > REMEMBERED {
            self.answers.pop_front();
        }
        // A third more often than answers come, so that none is left waiting.
        if let Some(rate) = self.per_second() {
            let pace = Duration::from_secs_f64((1.0 / (3.0 * rate)).clamp(0.001, 1.0));
            self.pace = pace.clamp(LEAST_PACE, MOST_PACE);
        }
    }

    /// Confirmed tries a silent port needs: what the path demands, where that is known; else what the
    /// confirmations demand, of which every round brings one.
    fn needed(&self) -> u8 {
        let most = match self.proof {
            Proof::Rounds(rounds) => return rounds,
            Proof::Miss(most) => most,
        };
        let enough = |loss: Loss| (2..MOST_NEEDED).find(|n| loss.miss(u16::from(*n)) <= most);
        let (of_path, own) = (enough(self.path), enough(self.loss));
        of_path.into_iter().chain(own).min().unwrap_or(MOST_NEEDED)
    }

    /// How likely a port that answers was silent all the same; `None` where nothing tells.
    pub(super) fn miss(&self) -> Option<f64> {
        let tries = u16::from(self.needed());
        let known = [self.path, self.loss].into_iter().filter(|loss| loss.trials() > 0);
        known.map(|loss| loss.miss(tries)).reduce(f64::min)
    }

    /// The silence of these counts.
    fn count(&mut self, cells: Vec<Cell>) {
        let needed = self.needed();
        for Cell { cell, good } in cells {
            if good + 1 >= needed {
                self.silent.push(cell);
            } else {
                self.cells.push_back(Cell { cell, good: good + 1 });
            }
        }
    }

    fn rest(&mut self, now: Moment) {
        let rest = if self.is_unlimited() { SHORT_REST } else { self.recovery() };
        self.phase = Phase::Rest(now + rest);
    }

    /// Whether nothing speaks for a limit so far.
    const fn is_unlimited(&self) -> bool {
        self.answered == 0 && !self.was_refused
    }

    /// How long it surely takes until a token has come back.
    fn recovery(&self) -> Duration {
        if self.is_unlimited() {
            return USUAL_GAP; // a usual limit would have let one through by then
        }
        let usual = match self.what {
            Capped::Icmp => USUAL_GAP,
            Capped::Reset => Duration::from_millis(200),
        };
        let gap = self.per_second().map_or(usual, |rate| Duration::from_secs_f64(1.0 / rate));
        let gap = gap.max(Duration::from_millis(20)) * (1 + u32::from(self.failures));
        (gap * 5 / 2).min(Duration::from_secs(6))
    }

    /// Probes nobody has answered in their time.
    fn expire(&mut self, now: Moment) {
        while let Some(place) = self.flight.iter().position(|f| f.due <= now) {
            let Some(Flight { cell, .. }) = self.flight.remove(place) else { return };
            match (cell, &mut self.phase) {
                (Some(cell), Phase::Prove { silent, .. }) => silent.push(cell),
                (Some(cell), _) => self.cells.push_back(cell),
                (None, _) => self.not_confirmed(now),
            }
        }
    }

    fn not_confirmed(&mut self, now: Moment) {
        self.failures += 1;
        self.was_refused = true;
        self.loss.note(0, 1);
        if let Phase::Confirm { silent, .. } = &mut self.phase {
            let silent = std::mem::take(silent);
            self.cells.extend(silent);
        }
        self.rest(now);
    }

    fn advance(&mut self, now: Moment) {
        let more = if self.is_unlimited() { 2 } else { 1 };
        match &mut self.phase {
            Phase::Harvest => {
                let round = self.cells.len() + self.flight.len();
                if now - self.last_answer > Duration::from_secs(1) {
                    // No token is used up: whoever is left is silent, and is asked once quickly.
                    self.pace = if self.since < round { LEAST_PACE } else { MOST_PACE };
                }
                if round > 0 && self.since >= round && now - self.last_answer >= self.recovery() {
                    self.phase = Phase::Rest(now);
                }
            }
            Phase::Rest(until) if now >= *until && self.flight.is_empty() => {
                let many = self.cells.len().min(ROUND);
                let left: VecDeque<Cell> = self.cells.drain(..many).collect();
                if !left.is_empty() {
                    self.phase = Phase::Prove { left, silent: Vec::new() };
                }
            }
            Phase::Prove { left, silent } if left.is_empty() && self.flight.is_empty() => {
                let silent = std::mem::take(silent);
                self.phase = Phase::Confirm { silent, asked: false, more };
            }
            _ => {}
        }
    }
}

/// A second, as Linux's limit has it, and a little.
const USUAL_GAP: Duration = Duration::from_millis(1100);
/// Between rounds of proof while nothing speaks for a limit.
const SHORT_REST: Duration = Duration::from_millis(250);
/// Between the first probes of a harvest.
const FIRST_PACE: Duration = Duration::from_millis(50);
/// Never faster,
const LEAST_PACE: Duration = Duration::from_millis(10);
/// nor slower.
const MOST_PACE: Duration = Duration::from_millis(250);
/// Answers whose times are kept.
const REMEMBERED: usize = 32;
/// Ports asked before the canary is.
const ROUND: usize = 64;
/// Confirmations that may fail one after the other.
const PATIENCE: u8 = 5;
/// Confirmed tries of a silent port, at most.
const MOST_NEEDED: u8 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Port;

    /// A host with a token bucket; plays the lane until nothing is left and gives
    /// (answered, silent, seconds, given up).
    fn play(closed: u32, silent: u32, per_second: f64, burst: f64) -> (u32, usize, f64, bool) {
        let mut lane = Lane::new(
            Capped::Icmp,
            Question::Udp(Port(9)),
            0..closed + silent,
            Proof::Miss(1e-3),
            Moment::START,
        );
        let (mut tokens, mut ms, mut answered, mut proved) = (0.0_f64, 0_u64, 0, 0);
        while lane.undecided() > 0 && !lane.has_given_up() && ms < 3_600_000 {
            let now = Moment::after(Duration::from_millis(ms));
            while let Some(ask) = lane.poll(now, Duration::from_millis(60)) {
                let answers = !matches!(ask, Ask::Cell(cell) if cell >= closed);
                if !answers || tokens < 1.0 {
                    continue;
                }
                tokens -= 1.0;
                match ask {
                    Ask::Cell(cell) => {
                        answered += 1;
                        lane.answered(now, cell);
                    }
                    Ask::Canary(_) => lane.confirmed(now),
                }
            }
            let found = lane.take_silent();
            assert!(found.iter().all(|cell| *cell >= closed), "a closed port was called silent");
            proved += found.len();
            ms += 1;
            tokens = (tokens + per_second / 1000.0).min(burst);
        }
        (answered, proved, ms as f64 / 1000.0, lane.has_given_up())
    }

    #[test]
    fn closed_ports_come_in_as_fast_as_the_host_says_so() {
        let (answered, silent, seconds, _) = play(14, 0, 1.0, 6.0);
        assert_eq!((answered, silent), (14, 0));
        assert!(seconds < 15.5, "{seconds}");
        let (answered, _, seconds, _) = play(195, 0, 20.0, 5.0);
        assert_eq!(answered, 195);
        assert!(seconds < 10.5, "{seconds}");
    }

    #[test]
    fn silent_ports_among_closed_ones_are_proved_silent() {
        for (closed, silent, rate, burst) in
            [(5, 30, 1.0, 6.0), (40, 200, 10.0, 1.0), (0, 10, 1.0, 6.0), (3, 1, 0.5, 1.0)]
        {
            let found = play(closed, silent, rate, burst);
            assert_eq!((found.0, found.1 as u32), (closed, silent), "{found:?}");
        }
    }

    #[test]
    fn a_host_that_falls_silent_proves_nothing() {
        let (_, silent, seconds, given_up) = play(20, 20, 0.0, 0.0);
        assert_eq!((silent, given_up), (0, true));
        assert!(seconds < 120.0, "{seconds}");
    }
}
