//! Hosts that are asked together, every port of them pass by pass.
//!
//! The first pass asks everything once, in keyed order; each further pass asks what is still silent,
//! in the same order, so that every port has the same time to answer.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use super::host::Host;
use super::pacer::Way;
use super::{Permutation, PortState, Reason};
use crate::net::Moment;

/// Some hosts with all their ports.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) number: u64,
    /// The first position of ours in the whole order.
    pub(super) base: u64,
    pub(super) way: Way,
    pub(super) hosts: Vec<Host>,
    pub(super) order: Permutation,
    /// Host by host, port by port.
    pub(super) cells: Vec<Cell>,
    pub(super) phase: Phase,
    /// What the latest pass asks, in order: as far as it is found out, or all that is still silent.
    pub(super) list: Vec<u32>,
    /// The latest pass that was begun, from 1.
    pub(super) pass: u16,
    /// When everything had been asked once.
    pub(super) asked_once: Option<Moment>,
    /// Cells whose probe could not leave.
    pub(super) requeued: VecDeque<u32>,
    /// Cells that were refused once for a reason that may not pass.
    pub(super) refused: HashSet<u32>,
    /// Silent ports to be told.
    pub(super) silent: VecDeque<Silence>,
    /// Hosts that are not finished.
    pub(super) open_hosts: usize,
}

/// One port of one host.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    /// When it was last asked: microseconds since the start, the low 32 bits.
    pub(super) sent: u32,
    pub(super) tries: u8,
    pub(super) state: CellState,
}

/// How far a port is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CellState {
    /// Asked by passes.
    #[default]
    Fast,
    /// Asked by a lane.
    Slow,
    /// It answered, and what it is will be told soon.
    Held,
    /// Told.
    Decided,
}

/// What a block does.
#[derive(Debug)]
pub(super) enum Phase {
    /// A pass is being sent.
    Sending(Pass),
    /// Waiting for the last answers of it.
    Settling(Moment),
    /// Only lanes, verifications and telling are left.
    Quiet,
}

/// A pass on its way.
#[derive(Debug)]
pub(super) struct Pass {
    /// The next place in the list.
    pub(super) cursor: usize,
    /// A cell is asked again so long after the last time,
    pub(super) spacing: Duration,
    /// and not before.
    pub(super) not_before: Moment,
}

/// All silent ports of a host, and what their silence means.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    pub(super) slot: usize,
    /// The next port to look at.
    pub(super) place: usize,
    pub(super) tcp: PortState,
    pub(super) udp: PortState,
    pub(super) reason: Reason,
    pub(super) miss: Option<f64>,
    /// Also those in lanes.
    pub(super) with_slow: bool,
}

/// What a pass has next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Cell(u32),
    Later(Moment),
    End,
}

impl Block {
    /// Looks at what comes next without taking it; skips what is decided meanwhile.
    pub(super) fn peek(&mut self, now: Moment) -> Next {
        while let Some(cell) = self.requeued.front() {
            if self.cells[*cell as usize].state == CellState::Fast {
                return Next::Cell(*cell);
            }
            self.requeued.pop_front();
        }
        let Phase::Sending(pass) = &mut self.phase else { return Next::End };
        if now < pass.not_before {
            return Next::Later(pass.not_before);
        }
        loop {
            if self.pass == 1 && pass.cursor == self.list.len() {
                find_next(&mut self.list, &self.order);
            }
            let Some(number) = self.list.get(pass.cursor).copied() else { return Next::End };
            let cell = self.cells[number as usize];
            if cell.state != CellState::Fast {
                pass.cursor += 1;
                continue;
            }
            let passed = since(now, cell.sent);
            if pass.spacing > passed {
                return Next::Later(now + (pass.spacing - passed));
            }
            return Next::Cell(number);
        }
    }

    /// Takes what was peeked at: it is being sent now.
    pub(super) fn take(&mut self, now: Moment, number: u32) {
        if self.requeued.front() == Some(&number) {
            self.requeued.pop_front();
        } else if let Phase::Sending(pass) = &mut self.phase {
            pass.cursor += 1;
        }
        let cell = &mut self.cells[number as usize];
        cell.sent = stamp(now);
        cell.tries = cell.tries.saturating_add(1);
    }

    /// Leaves in the list what passes still ask; how many that are.
    pub(super) fn keep_silent(&mut self) -> usize {
        self.list.retain(|number| self.cells[*number as usize].state == CellState::Fast);
        self.list.len()
    }

    /// The numbers of a host's cells.
    pub(super) fn cells_of(&self, slot: usize) -> std::ops::Range<usize> {
        let ports = self.cells.len() / self.hosts.len().max(1);
        slot * ports..(slot + 1) * ports
    }
}

/// Puts what comes next in the order at the end of what is known of it.
fn find_next(list: &mut Vec<u32>, order: &Permutation) {
    let position = list.len() as u64;
    if position < order.len() {
        list.extend(u32::try_from(order.at(position)));
    }
}

/// A moment as cells keep it.
pub(super) fn stamp(now: Moment) -> u32 {
    // The low bits are what is kept: differences below 71 minutes come out right.
    (now.since_start().as_micros() & u128::from(u32::MAX)) as u32
}

/// How long ago a cell was asked.
pub(super) fn since(now: Moment, sent: u32) -> Duration {
    Duration::from_micros(stamp(now).wrapping_sub(sent).into())
}
