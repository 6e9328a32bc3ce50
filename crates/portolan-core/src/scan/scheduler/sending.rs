//! Which probe leaves next: block after block, pass after pass, as fast as the pace allows.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::super::block::{Block, Cell, CellState, Next, Pass, Phase};
use super::super::host::{HELLO, Host, Kind};
use super::super::pacer::Way;
use super::super::{Ability, Manner, Probe, Question};
use super::{RESOLUTION, Scan};
use crate::net::Moment;

impl Scan {
    /// A probe of the passes, if the pace allows one.
    pub(super) fn next_of_passes(&mut self, now: Moment) -> Option<Probe> {
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

    pub(super) fn is_in_first_pass(&self, b: usize) -> bool {
        let block = &self.blocks[b];
        block.pass == 1 && matches!(block.phase, Phase::Sending(_))
    }

    /// Begins the next block, if there is one and not too many are in hand.
    pub(super) fn open_block(&mut self, now: Moment) -> bool {
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

    pub(super) fn make_block(&self, number: u64, now: Moment) -> Block {
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
        let first = Pass { cursor: 0, spacing: Duration::ZERO, not_before: now };
        Block {
            number,
            base,
            way: if is_routed { Way::Routed } else { Way::Link },
            open_hosts: hosts.iter().filter(|h| !h.is_finished()).count(),
            hosts,
            order,
            cells,
            phase: Phase::Sending(first),
            list: Vec::new(),
            pass: 1,
            asked_once: None,
            requeued: VecDeque::new(),
            refused: Default::default(),
            silent: VecDeque::new(),
        }
    }

    pub(super) fn way_to(&self, address: IpAddr) -> Way {
        let near = self.pace.own.contains(&address)
            || address.is_loopback()
            || self.pace.on_link.iter().any(|net| net.contains(address));
        if near { Way::Link } else { Way::Routed }
    }

    /// Sends a port's probe, or before it what the host is asked besides.
    pub(super) fn send_cell(&mut self, b: usize, number: u32, now: Moment) -> Option<Probe> {
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
        // Of a far host nothing is known yet, and a try that is waited for costs no time.
        let may_be_far = !host.heard && !host.is_own && self.work.total() <= FEW_PAIRS;
        let is_small = block.pass > 1 && host.fast < SMALL;
        let wait = match (asks_link || may_be_far, is_small) {
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
    pub(super) fn end_pass(&mut self, b: usize, now: Moment) {
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

/// Blocks in hand at once: while one waits for answers, the next are sent.
const MOST_BLOCKS: usize = 6;
/// In a scan this small, answers of hosts that nobody has heard yet may take as long as the passes do.
const FEW_PAIRS: u64 = 256;
/// A host with fewer silent ports can afford to wait longer for each.
const SMALL: u32 = 2048;
const LEAST_SETTLING: Duration = Duration::from_millis(60);
/// So much later than the wait of the last probe an engine may be with the last answer.
const GRACE: Duration = Duration::from_millis(10);
