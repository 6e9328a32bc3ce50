//! What an answer means.

use std::time::Duration;

use super::super::block::{CellState, since};
use super::super::host::{HELLO, Held, Kind, LANE_CANARY, Watch};
use super::super::{Answer, Icmp, Note, PortState, Question, Reason, Record, Reply};
use super::{LEAST_BACKOFF, Scan};
use crate::net::{Moment, Transport};

impl Scan {
    /// Takes an answer.
    pub fn handle_input(&mut self, now: Moment, answer: &Answer) {
        let Some((b, slot)) = self.find(answer.target) else {
            self.ignored += 1;
            return;
        };
        self.backoff = LEAST_BACKOFF;
        self.refusals = 0;
        let host = &mut self.blocks[b].hosts[slot];
        match answer.reply {
            Reply::NoNeighbour => {
                host.no_neighbours = host.no_neighbours.saturating_add(1);
                return;
            }
            Reply::Kept | Reply::Dropped => return self.verified(b, slot, now, answer),
            Reply::Echo if answer.attempt == Some(HELLO) => {
                host.heard = true;
                host.watch.learn(Kind::Echo, Question::Echo);
                if let Some(rtt) = answer.rtt {
                    host.rtt.note(rtt);
                }
                return;
            }
            _ => host.heard = true,
        }
        if answer.from == answer.target {
            host.spoke = Some(now);
        }
        let is_aside = answer.attempt.is_some_and(|a| Watch::is_trial(a) || a == LANE_CANARY);
        let cell = self.cell_of(slot, answer.question);
        let undecided =
            |n: &usize| matches!(self.blocks[b].cells[*n].state, CellState::Fast | CellState::Slow);
        match cell.filter(undecided) {
            Some(number) if !is_aside => self.decide(b, slot, number, now, answer),
            _ => self.aside(b, slot, now, answer),
        }
    }

    /// An answer to what is known already: a trial, a lane's canary, or a double.
    fn aside(&mut self, b: usize, slot: usize, now: Moment, answer: &Answer) {
        let block = &mut self.blocks[b];
        let host = &mut block.hosts[slot];
        if is_lost_way(answer) && host.spoke.is_some() {
            self.ignored += 1; // not the word of what was asked
            return;
        }
        let awaits = |lane: &crate::scan::lane::Lane| {
            lane.awaits_canary()
                && lane.canary() == answer.question
                && answer.attempt.is_none_or(|a| a == LANE_CANARY)
        };
        if let Some(lane) = host.lanes.iter_mut().flatten().find(|lane| awaits(lane)) {
            lane.confirmed(now);
            self.wake = now;
            return;
        }
        if let Some(trial) = host.watch.answered(answer.question, answer.attempt) {
            host.loss.note(1, 0);
            host.deaf = 0;
            if let Some(rtt) = answer.rtt.filter(|rtt| *rtt <= host.timeout()) {
                host.rtt.note(rtt);
            }
            self.pacers[block.way as usize].note_trial(now, trial.sent, true);
        } else if host.watch.was_late(answer.attempt) {
            host.loss.was_late();
        } else {
            self.ignored += 1;
        }
    }

    /// The first answer of a port decides.
    fn decide(&mut self, b: usize, slot: usize, number: usize, now: Moment, answer: &Answer) {
        let Some((state, reason)) = verdict(answer) else {
            self.ignored += 1;
            return;
        };
        let what = u32::try_from(number).expect("a block has fewer cells");
        if let (Reply::Unreachable(icmp), true) = (answer.reply, is_lost_way(answer))
            && !self.blocks[b].hosts[slot].believes(what, icmp, answer.from, now)
        {
            return;
        }
        let cell = self.blocks[b].cells[number];
        // Without the try's number, an answer after a second try may be one to the first, or a SYN-ACK
        // that the host sent again after a second (Karn's rule).
        let is_of_last =
            answer.attempt.map_or(cell.tries == 1, |number| number == u16::from(cell.tries));
        let rtt = answer.rtt.or_else(|| is_of_last.then(|| since(now, cell.sent)));
        let tries = answer.attempt.unwrap_or(cell.tries.into());
        self.learn(b, slot, answer, state, reason, tries);
        let block = &mut self.blocks[b];
        let host = &mut block.hosts[slot];
        if let Some(rtt) = rtt.filter(|_| answer.attempt.is_some() || is_of_last) {
            host.rtt.note(rtt);
        }
        self.pacers[block.way as usize].answered(now);
        let record = Record {
            from: Some(answer.from),
            tries,
            rtt,
            ..self.record(b, slot, number, state, reason, Some(0.0))
        };
        let was_slow = cell.state == CellState::Slow;
        let hop_limit = answer.signature.as_ref().and_then(|s| s.hop_limit);
        // A RST is told together with the open ports where its hop limit can be compared with the
        // others' then; with many ports that is not worth the memory.
        let is_held = state == PortState::Open
            || (hop_limit.is_some() && self.work.ports().len() <= FEW_PORTS);
        self.leave(b, slot, number, if is_held { CellState::Held } else { CellState::Decided });
        if is_held {
            self.blocks[b].hosts[slot].opens.push(Held { record, hop_limit, is_tried: false });
        } else {
            self.tell(record);
        }
        if was_slow {
            self.blocks[b].hosts[slot]
                .lanes
                .iter_mut()
                .flatten()
                .for_each(|l| l.answered(now, what));
            self.wake = now;
        }
        if self.blocks[b].hosts[slot].undecided == 0 {
            self.settle(b, slot, now);
        }
    }

    /// What else an answer teaches of the host.
    fn learn(
        &mut self,
        b: usize,
        slot: usize,
        answer: &Answer,
        state: PortState,
        reason: Reason,
        tries: u16,
    ) {
        let host = &mut self.blocks[b].hosts[slot];
        let Some((port, transport)) = answer.question.port() else { return };
        if matches!(state, PortState::Open | PortState::Closed) && transport == Transport::Tcp {
            if tries > 1 { host.answered_later += 1 } else { host.answered_first += 1 }
        }
        let signature = answer.signature.as_ref();
        let is_lost_way = is_lost_way(answer);
        host.icmp_errors += u32::from(matches!(reason, Reason::Icmp(_)) && !is_lost_way);
        self.routers_refuse |= matches!(reason, Reason::Icmp(_)) && answer.from != answer.target;
        if let Some(hop_limit) = signature.and_then(|s| s.hop_limit) {
            host.hop_limit = Some(host.hop_limit.map_or(hop_limit, |h| h.min(hop_limit)));
        }
        match (transport, state, reason) {
            _ if is_lost_way => host.unreachable = true,
            (Transport::Udp, PortState::Closed, _) => {
                host.closed_udp.get_or_insert(answer.question);
            }
            (Transport::Udp, ..) => {}
            (_, PortState::Open, _) => {
                host.suspicion.note_open(port, signature);
                host.watch.learn(Kind::Open, answer.question);
            }
            (_, PortState::Closed, _) => {
                host.suspicion.note_closed(signature);
                host.watch.learn(Kind::Closed, answer.question);
            }
            _ => {
                host.refused_tcp.get_or_insert(answer.question);
                host.watch.learn(Kind::Icmp, answer.question);
            }
        }
    }

    /// A real connection has shown what an open port is.
    fn verified(&mut self, b: usize, slot: usize, now: Moment, answer: &Answer) {
        let host = &mut self.blocks[b].hosts[slot];
        let kept = answer.reply == Reply::Kept;
        let before = host.verifying.len();
        host.verifying.retain(|v| v.question != answer.question);
        if host.verifying.len() == before {
            self.ignored += 1;
            return;
        }
        let Some((port, _)) = answer.question.port() else { return };
        host.suspicion.note_verified(port, kept);
        let is_it = |h: &&mut Held| h.record.transport == Transport::Tcp && h.record.port == port;
        if let Some(held) = host.opens.iter_mut().find(is_it) {
            held.record.verified = Some(kept);
        }
        if host.verifying.is_empty() {
            self.settle(b, slot, now);
        }
    }

    /// Tells the open ports of a host, those that are doubtful after they were tried.
    pub(super) fn settle(&mut self, b: usize, slot: usize, now: Moment) {
        let host = &mut self.blocks[b].hosts[slot];
        if !host.verifying.is_empty() {
            return;
        }
        if host.suspicion.wants_verification()
            && self.stopped.is_none()
            && self.verify(b, slot, now)
        {
            return;
        }
        let host = &mut self.blocks[b].hosts[slot];
        let least = host.hop_limit;
        let opens = std::mem::take(&mut host.opens);
        let ports = self.work.ports().len();
        for Held { mut record, hop_limit, .. } in opens {
            if record.state == PortState::Closed && hop_limit > least {
                record.note = Some(Note::AnsweredNearer);
            }
            let question = match record.transport {
                Transport::Udp => Question::Udp(record.port),
                _ => Question::Tcp(record.port),
            };
            if let Some(place) = self.work.place_of(question) {
                self.leave(b, slot, slot * ports + place, CellState::Decided);
            }
            self.tell(record);
        }
        self.finish(b, slot);
    }
}

/// The state an answer proves; `None` for one that says nothing about the port.
fn verdict(answer: &Answer) -> Option<(PortState, Reason)> {
    let (port, transport) = answer.question.port()?;
    Some(match answer.reply {
        Reply::SynAck => (PortState::Open, Reason::SynAck),
        Reply::Syn => (PortState::Open, Reason::SplitHandshake),
        Reply::Reset => (PortState::Closed, Reason::Reset),
        Reply::Datagram { port: from } if from == port => (PortState::Open, Reason::UdpReply),
        Reply::Datagram { port: from } => (PortState::Open, Reason::ReplyFrom(from)),
        Reply::Unreachable(icmp) => {
            let says_closed = transport == Transport::Udp
                && is_port_unreachable(icmp)
                && answer.from == answer.target;
            match says_closed {
                true => (PortState::Closed, Reason::Icmp(icmp)),
                false if is_refusal(icmp) => (PortState::Filtered, Reason::Icmp(icmp)),
                false => return None,
            }
        }
        Reply::Echo | Reply::NoNeighbour | Reply::Kept | Reply::Dropped => return None,
    })
}

const fn is_port_unreachable(icmp: Icmp) -> bool {
    matches!((icmp.v6, icmp.kind, icmp.code), (false, 3, 3) | (true, 1, 4))
}

/// Whether an error says that the probe did not get through: destination unreachable and time
/// exceeded, but not "fragmentation needed" (RFC 792, RFC 1812 §5.2.7; RFC 4443 §3).
const fn is_refusal(icmp: Icmp) -> bool {
    match (icmp.v6, icmp.kind) {
        (false, 3) => icmp.code != 4,
        (false, 11 | 12) | (true, 1 | 3) => true,
        _ => false,
    }
}

/// Whether an answer is a router's word that it knows no way to the host just now: network or host
/// unreachable (RFC 1812 §5.2.7.1; RFC 4443 §3.1), time exceeded. All of that passes.
fn is_lost_way(answer: &Answer) -> bool {
    let Reply::Unreachable(icmp) = answer.reply else { return false };
    let passes = match (icmp.v6, icmp.kind) {
        (false, 3) => matches!(icmp.code, 0 | 1 | 5..=8 | 11 | 12),
        (true, 1) => matches!(icmp.code, 0 | 2 | 3),
        (false, 11) | (true, 3) => true,
        _ => false,
    };
    passes && answer.from != answer.target
}

/// Up to so many ports every answer of a host is told together.
const FEW_PORTS: usize = 256;
/// How long a connection is held to see whether it is kept, three round trips or
pub(super) const HOLD: Duration = Duration::from_millis(150);
