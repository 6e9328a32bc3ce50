//! Telling what is known: a port with its final state, a host when nothing of it is left.

use std::time::Duration;

use super::super::block::{CellState, since};
use super::super::host::LostWay;
use super::super::{Event, PortState, Reason, Record};
use super::Scan;
use crate::net::{Moment, Transport};

impl Scan {
    /// Gives a cell its final state.
    pub(super) fn tell_cell(
        &mut self,
        b: usize,
        slot: usize,
        number: usize,
        state: PortState,
        reason: Reason,
        miss: Option<f64>,
    ) {
        let mut record = self.record(b, slot, number, state, reason, miss);
        if reason == Reason::NoResponse
            && let Some(way) = self.lost_way(b, slot, number)
        {
            (record.state, record.reason) = (PortState::Filtered, Reason::Icmp(way.icmp));
            record.from = Some(way.from);
        }
        self.leave(b, slot, number, CellState::Decided);
        self.tell(record);
    }

    /// The router's word about a port that had no other answer: if it came to the last try, or came
    /// again after the host had spoken.
    fn lost_way(&self, b: usize, slot: usize, number: usize) -> Option<LostWay> {
        let block = &self.blocks[b];
        let way = *block.hosts[slot].lost_ways.get(&u32::try_from(number).ok()?)?;
        let after = since(way.last, block.cells[number].sent);
        (way.is_of_port || after < Duration::from_secs(60)).then_some(way)
    }

    pub(super) fn record(
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
    pub(super) fn leave(&mut self, b: usize, slot: usize, number: usize, state: CellState) {
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

    pub(super) fn tell(&mut self, record: Record) {
        self.decided += 1;
        self.events.push_back(Event::Port(record));
    }

    /// Tells some of a host's silent ports.
    pub(super) fn tell_silence(&mut self, b: usize) {
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
    pub(super) fn finish(&mut self, b: usize, slot: usize) {
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
        let asked = self.work.ports().iter().filter(|(_, t)| *t == Transport::Tcp).count();
        let report = host.report(u32::try_from(asked).unwrap_or(u32::MAX));
        self.events.push_back(Event::Host(Box::new(report)));
        self.wake = Moment::START;
    }

    pub(super) fn drop_finished(&mut self) {
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

/// Silent ports told at once.
const AT_ONCE: usize = 256;
