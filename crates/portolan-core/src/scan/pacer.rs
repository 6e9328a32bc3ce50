//! How fast probes leave, and whether a loss is the network's answer to our speed.
//!
//! The speed doubles while trials come back. When they do not, it is cut: if that helps, we were the
//! cause and stay below; if it does not, the loss is the path's own and speed has nothing to do
//! with it. A ceiling given by the user is never exceeded, and no setting can turn a lost answer into
//! the state of a port.

use std::collections::VecDeque;
use std::time::Duration;

use crate::net::Moment;

/// Where the probes go, which decides how they begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// To neighbours on our own links: full speed.
    Link,
    /// Over a router, whose connection table is other people's too: slowly, and bounded.
    Routed,
}

/// The speed towards hosts that are reached one way.
#[derive(Clone, Debug)]
pub(super) struct Pacer {
    way: Way,
    ceiling: f64,
    rate: f64,
    tokens: f64,
    refilled: Moment,
    /// When the speed was last changed; trials sent before say nothing about it.
    changed: Moment,
    answered: u32,
    lost: u32,
    /// The path's own loss, which a slower pace did not lessen.
    own_loss: f64,
    doubt: Option<Doubt>,
    /// Above this we lost packets: grow slowly there.
    limit: f64,
    /// Probes and answers at the present speed, and the share answered at the one before.
    sent: u32,
    heard: u32,
    share_before: Option<f64>,
    outstanding: Outstanding,
}

/// Loss was seen; now it is measured at a lower speed.
#[derive(Clone, Copy, Debug)]
struct Doubt {
    loss: f64,
    rate: f64,
}

impl Pacer {
    /// A pacer at its first speed.
    pub(super) fn new(way: Way, ceiling: Option<f64>, outstanding: usize) -> Self {
        let ceiling = ceiling.unwrap_or(f64::INFINITY).max(0.1);
        let first = match way {
            Way::Link => FIRST_ON_LINK,
            Way::Routed => FIRST_ROUTED,
        };
        Self {
            way,
            ceiling,
            rate: first.min(ceiling),
            tokens: 1.0,
            refilled: Moment::START,
            changed: Moment::START,
            answered: 0,
            lost: 0,
            own_loss: 0.0,
            doubt: None,
            limit: f64::INFINITY,
            sent: 0,
            heard: 0,
            share_before: None,
            outstanding: Outstanding::new(outstanding),
        }
    }

    /// Probes a second just now.
    pub(super) const fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether a probe may leave now; it counts as sent if so. `is_new_flow`: a router has not seen
    /// this flow yet.
    pub(super) fn take(&mut self, now: Moment, is_new_flow: bool) -> bool {
        self.grow(now);
        let earned = (now - self.refilled).as_secs_f64() * self.rate;
        self.refilled = self.refilled.max(now);
        self.tokens = (self.tokens + earned).min((self.rate * BURST).max(2.0));
        if self.tokens < 1.0 - 1e-6 || (self.way == Way::Routed && self.outstanding.is_full(now)) {
            return false;
        }
        self.tokens -= 1.0;
        self.sent = self.sent.saturating_add(1);
        if is_new_flow && self.way == Way::Routed {
            self.outstanding.sent(now);
        }
        true
    }

    /// When the next probe may leave.
    pub(super) fn next(&self, now: Moment) -> Moment {
        if self.is_held_back(now) {
            return now + Duration::from_millis(100);
        }
        let missing = (1.0 - self.tokens).max(0.0) / self.rate;
        now + Duration::from_secs_f64(missing.clamp(1e-6, 10.0))
    }

    /// Whether the bound on unanswered probes holds everything back.
    pub(super) fn is_held_back(&self, now: Moment) -> bool {
        self.way == Way::Routed && self.outstanding.is_full_at(now)
    }

    /// An answer to a probe that counted as outstanding.
    pub(super) fn answered(&mut self, now: Moment) {
        self.heard = self.heard.saturating_add(1);
        self.outstanding.answered(now);
    }

    /// A trial sent at `sent` has come to its end.
    pub(super) fn note_trial(&mut self, now: Moment, sent: Moment, answered: bool) {
        if sent < self.changed {
            return;
        }
        if answered {
            self.answered += 1;
        } else {
            self.lost += 1;
        }
        self.weigh(now);
    }

    /// Looks at the trials of the present speed once they are enough.
    fn weigh(&mut self, now: Moment) {
        let trials = self.answered + self.lost;
        if trials < ENOUGH * 3 || self.lost < 6 {
            return;
        }
        let loss = f64::from(self.lost) / f64::from(trials);
        match self.doubt {
            None if loss > self.own_loss + MARGIN => {
                self.doubt = Some(Doubt { loss, rate: self.rate });
                self.change(now, self.rate / 4.0);
            }
            Some(doubt) if loss > doubt.loss * 0.6 => {
                self.own_loss = self.own_loss.max((loss + doubt.loss) / 2.0);
                self.doubt = None;
                self.change(now, doubt.rate);
            }
            Some(doubt) if loss > self.own_loss + MARGIN => {
                self.limit = doubt.rate;
                self.change(now, self.rate / 2.0);
            }
            _ => {}
        }
    }

    /// Goes up when the last change has lasted and nothing speaks against it.
    fn grow(&mut self, now: Moment) {
        if now - self.changed < self.round() || self.rate >= self.ceiling.min(MOST) {
            return;
        }
        let trials = self.answered + self.lost;
        let loss = if trials == 0 { 0.0 } else { f64::from(self.lost) / f64::from(trials) };
        if loss > self.own_loss + MARGIN && self.lost >= 3 {
            return; // wait for more trials
        }
        if let Some(doubt) = self.doubt {
            // Slower, and nothing was lost: the speed was the cause.
            if self.answered >= ENOUGH {
                self.limit = doubt.rate;
                self.doubt = None;
                self.change(now, self.rate * 1.1);
            }
            return;
        }
        let share = f64::from(self.heard) / f64::from(self.sent.max(1));
        let expected = self.share_before.unwrap_or(0.0) * f64::from(self.sent);
        // Hosts come in no order, so at twice the speed as large a share of them answers.
        if self.way == Way::Routed && expected >= 30.0 && f64::from(self.heard) < expected * 0.6 {
            self.limit = self.rate;
            self.change(now, self.rate / 2.0);
            return;
        }
        let is_blind = self.way == Way::Routed && self.answered + self.heard == 0;
        if is_blind && self.rate >= BLIND {
            return;
        }
        if self.sent < 30 {
            return; // this speed has not been tried yet
        }
        let step = if self.rate * 2.0 > self.limit { 1.05 } else { 2.0 };
        self.share_before = (self.heard >= 30).then_some(share);
        self.change(now, self.rate * step);
    }

    fn change(&mut self, now: Moment, rate: f64) {
        self.rate = rate.clamp(1.0, self.ceiling.clamp(0.1, MOST).max(1.0)).min(self.ceiling);
        self.changed = now;
        (self.answered, self.lost) = (0, 0);
        (self.sent, self.heard) = (0, 0);
    }

    const fn round(&self) -> Duration {
        match self.way {
            Way::Link => Duration::from_millis(10),
            Way::Routed => Duration::from_millis(100),
        }
    }
}

/// Flows that nobody has answered, of the last two minutes: as long as Linux's connection tracking
/// keeps a SYN without answer (nf_conntrack_tcp_timeout_syn_sent, 120 s).
#[derive(Clone, Debug)]
struct Outstanding {
    most: usize,
    /// (second, flows begun in it and not answered), the oldest first.
    seconds: VecDeque<(u64, usize)>,
    total: usize,
}

impl Outstanding {
    fn new(most: usize) -> Self {
        Self { most: most.max(1), seconds: VecDeque::new(), total: 0 }
    }

    fn sent(&mut self, now: Moment) {
        let second = now.since_start().as_secs();
        match self.seconds.back_mut() {
            Some((latest, count)) if *latest == second => *count += 1,
            _ => self.seconds.push_back((second, 1)),
        }
        self.total += 1;
    }

    fn answered(&mut self, now: Moment) {
        self.forget(now);
        // Answers come soon, so it was one of the latest.
        if let Some((_, count)) = self.seconds.iter_mut().rev().find(|(_, count)| *count > 0) {
            *count -= 1;
            self.total -= 1;
        }
    }

    fn is_full(&mut self, now: Moment) -> bool {
        self.forget(now);
        self.total >= self.most
    }

    fn is_full_at(&self, now: Moment) -> bool {
        let second = now.since_start().as_secs();
        let over = self.seconds.iter().take_while(|(s, _)| s + KEPT <= second);
        self.total - over.map(|(_, count)| count).sum::<usize>() >= self.most
    }

    fn forget(&mut self, now: Moment) {
        let second = now.since_start().as_secs();
        while let Some((oldest, count)) = self.seconds.front().copied() {
            if oldest + KEPT > second {
                break;
            }
            self.total -= count;
            self.seconds.pop_front();
        }
    }
}

/// Seconds a router's table keeps a flow that nobody answered.
const KEPT: u64 = 120;
/// First speeds, probes a second.
const FIRST_ON_LINK: f64 = 4000.0;
const FIRST_ROUTED: f64 = 400.0;
/// Over a router, without a word from there, no faster than this.
const BLIND: f64 = 1600.0;
/// No network card of today takes more from one sender.
const MOST: f64 = 4e6;
/// Seconds of sending that may be caught up at once.
const BURST: f64 = 0.004;
/// Trials before loss is judged.
const ENOUGH: u32 = 8;
/// How much more loss than the path's own is a sign.
const MARGIN: f64 = 0.15;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::after(Duration::from_millis(ms))
    }

    /// Runs `ms` milliseconds with a trial each; `answers` says of a speed whether one comes back.
    fn run(pacer: &mut Pacer, from: u64, ms: u64, mut answers: impl FnMut(f64, u64) -> bool) {
        for t in from..from + ms {
            while pacer.take(at(t), false) {}
            pacer.note_trial(at(t), at(t), answers(pacer.rate(), t));
        }
    }

    #[test]
    fn on_link_it_is_fast_within_a_tenth_of_a_second() {
        let mut pacer = Pacer::new(Way::Link, None, 100);
        run(&mut pacer, 0, 120, |_, _| true);
        assert!(pacer.rate() > 500_000.0, "{}", pacer.rate());
    }

    #[test]
    fn a_ceiling_is_never_exceeded() {
        let mut pacer = Pacer::new(Way::Link, Some(100.0), 100);
        let mut sent = 0;
        for t in 0..10_000 {
            while pacer.take(at(t), true) {
                sent += 1;
            }
        }
        assert!((950..=1001).contains(&sent), "{sent}");
    }

    #[test]
    fn loss_that_our_speed_causes_brings_it_down() {
        let mut pacer = Pacer::new(Way::Link, None, 100);
        run(&mut pacer, 0, 3000, |rate, t| rate < 30_000.0 || t % 3 == 0);
        assert!((2_000.0..60_000.0).contains(&pacer.rate()), "{}", pacer.rate());
    }

    #[test]
    fn loss_that_has_nothing_to_do_with_speed_leaves_it_alone() {
        let mut pacer = Pacer::new(Way::Link, None, 100);
        run(&mut pacer, 0, 3000, |_, t| t % 5 > 1);
        assert!(pacer.rate() > 500_000.0, "{}", pacer.rate());
    }

    #[test]
    fn behind_a_router_silence_is_bounded_and_forgotten_after_two_minutes() {
        let mut pacer = Pacer::new(Way::Routed, None, 50);
        let count = |pacer: &mut Pacer, from: u64, to: u64| {
            (from..to).map(|t| (0..100).filter(|_| pacer.take(at(t), true)).count()).sum::<usize>()
        };
        assert_eq!(count(&mut pacer, 0, 5000), 50);
        assert!(pacer.is_held_back(at(5000)));
        pacer.answered(at(5000));
        assert_eq!(count(&mut pacer, 5000, 6000), 1);
        assert_eq!(count(&mut pacer, 130_000, 131_000), 50);
    }
}
