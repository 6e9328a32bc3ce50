//! What silence means, once a pass is over: asked often enough, ask again, or ask differently.

use std::time::Duration;

use super::super::block::{CellState, Pass, Phase, Silence};
use super::super::host::{Held, Host, Kind, LAST_AFTER, Verifying};
use super::super::lane::{Lane, Proof};
use super::super::loss::{DOUBTFUL, MISS_A_PORT};
use super::super::pacer::Way;
use super::super::{Capped, Manner, PortState, Probe, Question, Reason, Record};
use super::answer::HOLD;
use super::{RESOLUTION, Scan};
use crate::net::{Moment, Transport};

/// What is to be done about a host's silent ports.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ruling {
    /// They are silent, for this reason.
    Silent { reason: Reason, miss: Option<f64> },
    /// Ask again, `tries` times in all as far as can be told.
    Again { tries: u16 },
    /// The host limits its answers: a lane asks on.
    Lane(Capped),
    /// Nothing can be said before.
    Wait(Moment),
}

impl Scan {
    /// A pass is over and its answers are in.
    pub(super) fn judge(&mut self, b: usize, now: Moment) {
        if !self.blocks[b].requeued.is_empty() {
            self.blocks[b].phase = Phase::Settling(now + Duration::from_millis(60));
            self.idle = now;
            return;
        }
        let pass = self.blocks[b].pass;
        let (mut again, mut most, mut wait, mut deaf) = (false, 0, None, 0);
        for slot in 0..self.blocks[b].hosts.len() {
            self.settle_some(b, slot, now);
            let host = &self.blocks[b].hosts[slot];
            if host.fast == 0 || host.is_silenced {
                continue;
            }
            self.blocks[b].hosts[slot].tries = pass;
            self.move_udp(b, slot, now);
            if self.blocks[b].hosts[slot].fast == 0 {
                continue;
            }
            match self.rule(b, slot, now) {
                Ruling::Silent { reason, miss } => self.silence(b, slot, reason, miss, false),
                Ruling::Lane(what) => {
                    self.open_lane(b, slot, what, Transport::Tcp, now);
                    again |= self.blocks[b].hosts[slot].fast > 0;
                }
                Ruling::Wait(until) => wait = wait.max(Some(until)),
                Ruling::Again { tries } => {
                    again = true;
                    most = most.max(tries);
                    deaf = deaf.max(self.blocks[b].hosts[slot].deaf);
                }
            }
        }
        if again {
            self.begin_pass(b, most, deaf, now);
        } else {
            self.blocks[b].phase = wait.map_or(Phase::Quiet, Phase::Settling);
        }
        self.wake = now;
        self.idle = now;
    }

    /// Tells open ports found so far; a host with many is told of when all are in.
    fn settle_some(&mut self, b: usize, slot: usize, now: Moment) {
        if !self.blocks[b].hosts[slot].opens.is_empty() {
            self.settle(b, slot, now);
        }
    }

    fn rule(&mut self, b: usize, slot: usize, now: Moment) -> Ruling {
        let block = &mut self.blocks[b];
        let (pass, once) = (block.pass, block.asked_once.unwrap_or(now));
        let host = &mut block.hosts[slot];
        if !host.heard {
            let tries = match self.work.hosts() {
                0..=FEW_HOSTS if self.routers_refuse && host.fast <= FEW_SILENT => REFUSED_TRIES,
                _ if self.work.is_large() => 2,
                _ => UNHEARD_TRIES,
            };
            return unheard(host, pass, tries, once, now);
        }
        if host.is_lost() {
            return unheard(host, pass, UNHEARD_TRIES, once, now);
        }
        let loss = host.measured_loss();
        if host.loss.is_surely_above(SO_LOSSY)
            && host.watch.kind() == Kind::Closed
            && !host.lane_was_useless
        {
            return Ruling::Lane(Capped::Reset);
        }
        if host.watch.asked_in_pass >= 3 && host.watch.answered_in_pass == 0 {
            host.deaf += 1;
            let given_up = Ruling::Silent { reason: Reason::HostSilent, miss: None };
            return if host.deaf > DEAF { given_up } else { Ruling::Again { tries: pass + 2 } };
        }
        let limit = match host.loss.share() {
            None | Some(0.0) => FEW_TRIES,
            Some(_) => MOST_TRIES,
        };
        let tries = loss.tries_for(host.answering(), 2).unwrap_or(limit).min(limit);
        let is_late = now - once >= LAST_AFTER;
        if pass < tries || !is_late {
            return Ruling::Again { tries: tries.max(pass + 1) };
        }
        // Where nothing else was asked again, it also tells that the host was there all the time.
        let few = if host.loss.trials() == 0 { FEW_UNTRIED } else { FEW_SILENT };
        if host.refused_tcp.is_some() && host.fast <= few && !host.lane_was_useless {
            return Ruling::Lane(Capped::Icmp);
        }
        let miss = loss.miss(pass);
        let reason = if miss > DOUBTFUL { Reason::HostSilent } else { Reason::NoResponse };
        Ruling::Silent { reason, miss: Some(miss) }
    }

    /// Sends a further pass to what is silent; `tries` are expected to be needed in all.
    fn begin_pass(&mut self, b: usize, tries: u16, deaf: u8, now: Moment) {
        let block = &mut self.blocks[b];
        let silent = block.keep_silent();
        let rate = self.pacers[block.way as usize].rate();
        let is_cheap = silent < 2048 || (silent as f64) < rate * 0.02;
        block.pass += 1;
        let is_last = block.pass >= tries;
        let once = block.asked_once.unwrap_or(now);
        let (spacing, not_before) = match (is_last, is_cheap) {
            // Everything was asked once, so each has its own second since then.
            _ if block.pass == 2 && !is_cheap => (LAST_AFTER, now),
            (true, _) => (Duration::ZERO, once + LAST_AFTER),
            (false, true) => (Duration::ZERO, now),
            // What takes long is spread over the second.
            (false, false) => (LAST_AFTER / u32::from(tries - 1).max(1), now),
        };
        let pause =
            if deaf > 0 { Duration::from_millis(150) * (1 << deaf.min(5)) } else { Duration::ZERO };
        let not_before = not_before.max(now + pause);
        for host in block.hosts.iter_mut() {
            host.sent_in_pass = 0;
            host.watch.asked_in_pass = 0;
            host.watch.answered_in_pass = 0;
        }
        block.phase = Phase::Sending(Pass { cursor: 0, spacing, not_before });
    }

    /// What passes still ask of a host is silent, and will be told so.
    pub(super) fn silence(
        &mut self,
        b: usize,
        slot: usize,
        reason: Reason,
        miss: Option<f64>,
        with_slow: bool,
    ) {
        let is_known = matches!(reason, Reason::NoResponse | Reason::NoNeighbour);
        let (tcp, udp) = match reason {
            Reason::NoNeighbour => (PortState::Filtered, PortState::Filtered),
            _ if is_known => (PortState::Filtered, PortState::OpenFiltered),
            _ => (PortState::Unknown, PortState::Unknown),
        };
        let block = &mut self.blocks[b];
        block.hosts[slot].is_silenced = true;
        block.silent.push_back(Silence { slot, place: 0, tcp, udp, reason, miss, with_slow });
    }

    /// UDP ports of a host that says "closed" by ICMP go into their lane: that is always limited.
    fn move_udp(&mut self, b: usize, slot: usize, now: Moment) {
        let host = &self.blocks[b].hosts[slot];
        if host.closed_udp.or(host.refused_tcp).is_some() {
            self.open_lane(b, slot, Capped::Icmp, Transport::Udp, now);
        }
    }

    /// Moves the silent ports of a transport from the passes into a lane.
    fn open_lane(
        &mut self,
        b: usize,
        slot: usize,
        what: Capped,
        transport: Transport,
        now: Moment,
    ) {
        let ports = self.work.ports();
        let block = &mut self.blocks[b];
        let host = &mut block.hosts[slot];
        let canary = match (what, transport) {
            (_, Transport::Udp) => host.closed_udp.or(host.refused_tcp),
            (Capped::Icmp, _) => host.refused_tcp,
            (Capped::Reset, _) => host.watch.first(),
        };
        let range = slot * ports.len()..(slot + 1) * ports.len();
        let is_meant = |n: &usize| {
            block.cells[*n].state == CellState::Fast && ports[*n % ports.len()].1 == transport
        };
        let cells: Vec<usize> = range.filter(is_meant).collect();
        let which = usize::from(transport == Transport::Udp);
        let (Some(canary), false, true) = (canary, cells.is_empty(), host.lanes[which].is_none())
        else {
            host.lane_was_useless |= transport == Transport::Tcp;
            return;
        };
        for number in &cells {
            block.cells[*number].state = CellState::Slow;
            host.fast -= 1;
        }
        let proof = match (what, transport) {
            (Capped::Reset, _) | (_, Transport::Udp) => Proof::Miss(MISS_A_PORT),
            // Passes saw nothing that could tell how much gets lost, and were silent too.
            _ if host.loss.trials() == 0 => Proof::Miss(DOUBTFUL),
            // Their silence is proved already; only the word of a refusal is still missing.
            _ => Proof::Rounds(1),
        };
        // In no order of numbers: a host's answers go to ports all over.
        let mut cells: Vec<u32> = cells.into_iter().filter_map(|n| u32::try_from(n).ok()).collect();
        cells.sort_by_key(|n| block.order.position_of(u64::from(*n)));
        host.lanes[which] = Some(Box::new(Lane::new(what, canary, cells, proof, now)));
        host.lane_was_useless |= transport == Transport::Tcp;
        self.wake = now;
    }

    /// The host stopped confirming.
    pub(super) fn end_lane(&mut self, b: usize, slot: usize, lane: &Lane, transport: Transport) {
        let ports = self.work.ports().len();
        let range = slot * ports..(slot + 1) * ports;
        let (state, reason) = match (lane.what, transport) {
            (Capped::Icmp, Transport::Tcp) if self.blocks[b].hosts[slot].loss.trials() == 0 => {
                (PortState::Unknown, Reason::HostSilent)
            }
            // They were asked often enough before; only who refuses them was still to be heard.
            (Capped::Icmp, Transport::Tcp) => (PortState::Filtered, Reason::NoResponse),
            _ => (PortState::Unknown, Reason::RateLimited),
        };
        let miss = if state == PortState::Filtered {
            let host = &self.blocks[b].hosts[slot];
            Some(host.measured_loss().miss(host.tries))
        } else {
            None
        };
        for number in range {
            let is_slow = self.blocks[b].cells[number].state == CellState::Slow;
            if is_slow && self.work.ports()[number % ports].1 == transport {
                self.tell_cell(b, slot, number, state, reason, miss);
            }
        }
    }

    /// Everything of a host that is undecided stays so.
    pub(super) fn give_up(&mut self, b: usize, slot: usize) {
        let host = &mut self.blocks[b].hosts[slot];
        if host.is_finished() {
            return;
        }
        host.lanes = [None, None];
        host.verifying.clear();
        if host.undecided > 0 && !host.is_silenced {
            self.silence(b, slot, Reason::NotFinished, None, true);
        }
        self.settle(b, slot, Moment::START);
    }

    /// Connects to the open ports of a host for real; whether there are any left to try.
    pub(super) fn verify(&mut self, b: usize, slot: usize, now: Moment) -> bool {
        let host = &mut self.blocks[b].hosts[slot];
        let hold = host.rtt.mean().map_or(HOLD, |rtt| (rtt * 3).max(HOLD));
        let is_untried = |h: &&mut Held| {
            let Record { state, transport, .. } = h.record;
            state == PortState::Open && transport == Transport::Tcp && !h.is_tried
        };
        let due = now + host.timeout() * 3 + hold + Duration::from_millis(200);
        let room = MOST_TRIED.saturating_sub(usize::from(host.tried));
        for held in host.opens.iter_mut().filter(is_untried).take(room) {
            held.is_tried = true;
            host.tried += 1;
            let question = Question::Tcp(held.record.port);
            host.verifying.push(Verifying { question, due, attempt: 1 });
            let (target, manner) = (host.address, Manner::Verify);
            self.urgent.push_back(Probe { target, question, attempt: 1, wait: hold, manner });
        }
        self.wake = now;
        !host.verifying.is_empty()
    }

    /// Connections that were lost are tried again, twice.
    pub(super) fn expire_verifications(&mut self, b: usize, slot: usize, now: Moment) {
        let host = &mut self.blocks[b].hosts[slot];
        let hold = host.rtt.mean().map_or(HOLD, |rtt| (rtt * 3).max(HOLD));
        let (target, wait, manner) = (host.address, hold, Manner::Verify);
        let next = now + host.timeout() * 3 + hold + Duration::from_millis(200);
        host.verifying.retain_mut(|v| {
            if v.due > now {
                return true;
            }
            v.attempt += 1;
            v.due = next;
            if v.attempt <= 3 {
                let (question, attempt) = (v.question, v.attempt);
                self.urgent.push_back(Probe { target, question, attempt, wait, manner });
            }
            v.attempt <= 3
        });
        match host.verifying.iter().map(|v| v.due).min() {
            Some(due) => self.wake = self.wake.min(due),
            None => self.settle(b, slot, now),
        }
    }
}

/// A host of which nothing was heard.
fn unheard(host: &Host, pass: u16, tries: u16, once: Moment, now: Moment) -> Ruling {
    if host.no_neighbours > 0 {
        return Ruling::Silent { reason: Reason::NoNeighbour, miss: None };
    }
    let is_late = now - once >= LAST_AFTER;
    if pass < tries || !is_late {
        return Ruling::Again { tries: tries.max(pass + 1) };
    }
    let resolved = host.begun.unwrap_or(now) + RESOLUTION + Duration::from_millis(200);
    if host.way == Way::Link && !host.is_own && now < resolved {
        return Ruling::Wait(resolved);
    }
    Ruling::Silent { reason: Reason::NoResponse, miss: None }
}

/// Tries of a host that never answered where routers speak for others: what they have to say of this
/// one may have been held back, since they limit their errors for all of them together.
const REFUSED_TRIES: u16 = 5;
const FEW_HOSTS: u64 = 64;
/// Tries of a host that never answered, unless it is one of very many.
const UNHEARD_TRIES: u16 = 3;
/// Tries, at most, where nothing that was asked again got lost,
const FEW_TRIES: u16 = 8;
/// and where some did.
const MOST_TRIES: u16 = 60;
/// Above this share of loss among trials a limit on answers is the likely cause.
const SO_LOSSY: f64 = 0.6;
/// Passes in a row without any answer from what used to answer.
const DEAF: u8 = 6;
/// So few silent ports are asked on for the sake of an ICMP error that was held back.
const FEW_SILENT: u32 = 16;
/// The same where nothing but that error has shown that the host is there.
const FEW_UNTRIED: u32 = 256;
/// Open ports of one host that are tried by a connection.
const MOST_TRIED: usize = 256;
