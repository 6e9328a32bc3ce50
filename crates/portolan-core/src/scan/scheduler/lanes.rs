//! What goes on beside the passes: trials that come to their end, and the slow lanes.

use std::time::Duration;

use super::super::block::stamp;
use super::super::host::{HELLO, Kind, LANE_CANARY};
use super::super::lane::Ask;
use super::super::loss::DOUBTFUL;
use super::super::{Capped, Manner, PortState, Probe, Question, Reason};
use super::Scan;
use crate::net::{Moment, Transport};

impl Scan {
    pub(super) fn advance_host(&mut self, b: usize, slot: usize, now: Moment) {
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
    pub(super) fn try_path(&mut self, b: usize, slot: usize, now: Moment) {
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

    pub(super) fn expire_trials(&mut self, b: usize, slot: usize, now: Moment) {
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
    pub(super) fn drive_lane(&mut self, b: usize, slot: usize, which: usize, now: Moment) {
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
                    cell.sent = stamp(now);
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
    pub(super) fn silent_state(&self, place: usize) -> PortState {
        match self.work.ports()[place].1 {
            Transport::Udp => PortState::OpenFiltered,
            _ => PortState::Filtered,
        }
    }
}

/// Trials that tell enough of a path, and the time between two of them beside a lane.
const PATH_TRIALS: u32 = 48;
const BETWEEN_TRIALS: Duration = Duration::from_millis(20);
