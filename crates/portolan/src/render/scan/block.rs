//! The ports of one host, gathered while they come in: open ones in rows, the others by what is
//! equal about them.

use std::net::IpAddr;
use std::time::Duration;

use portolan_core::net::{Port, PortRange, PortSet, Transport};
use portolan_core::scan::{Front, Note, PortState, Reason, Record};

/// What is known of a host's ports so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    rows: Vec<Row>,
    groups: Vec<Group>,
}

/// An open port.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) transport: Transport,
    pub(super) ports: PortRange,
    pub(super) state: PortState,
    pub(super) reason: Reason,
    pub(super) rtt: Option<Duration>,
    pub(super) verified: Option<bool>,
    pub(super) note: Option<Note>,
}

/// Ports that are equal.
#[derive(Clone, Debug)]
struct Group {
    alike: Alike,
    count: u32,
    ports: Ports,
}

/// What is equal about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Alike {
    pub(super) transport: Transport,
    pub(super) state: PortState,
    pub(super) reason: Reason,
    /// Who answered, where it is not the host itself.
    pub(super) from: Option<IpAddr>,
    pub(super) verified: Option<bool>,
    pub(super) note: Option<Note>,
}

/// Which ports they are.
#[derive(Clone, Debug)]
enum Ports {
    /// Not kept: those of the host that are nowhere else.
    Rest,
    /// A few, in the order in which they came.
    Few(Vec<u16>),
    /// Many.
    Many(Box<PortSet>),
}

/// Whether the ports of silence are kept, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// Yes.
    Kept,
    /// No: they follow from the others, and there may be many silent hosts at a time.
    Counted,
}

impl Block {
    /// Takes a port in.
    pub(super) fn take(&mut self, record: &Record, silence: Silence) {
        if record.state == PortState::Open && record.verified != Some(false) {
            return self.rows.push(Row::of(record));
        }
        let alike = Alike::of(record);
        let at = self.groups.iter().position(|g| g.alike == alike).unwrap_or_else(|| {
            let is_rest = silence == Silence::Counted && alike.is_silence();
            let ports = if is_rest { Ports::Rest } else { Ports::Few(Vec::new()) };
            self.groups.reserve_exact(1);
            self.groups.push(Group { alike, count: 0, ports });
            self.groups.len() - 1
        });
        let group = &mut self.groups[at];
        group.count += 1;
        group.ports.insert(record.port);
    }

    /// Whether all there is is silence.
    pub(super) fn is_silence(&self) -> bool {
        self.rows.is_empty() && self.groups.iter().all(|g| g.alike.is_silence())
    }

    /// All that was gathered, in order. `asked` are the ports that every host was asked.
    pub(super) fn finish(
        mut self,
        asked: &[(Port, Transport)],
        front: Option<&Front>,
    ) -> (Vec<Row>, Vec<Shape>) {
        if matches!(front, Some(Front::OpenEverything { .. })) {
            self.fold_rows();
        }
        self.rows.sort_unstable_by_key(|r| (r.transport, r.ports.first()));
        let mut shapes: Vec<Shape> =
            self.groups.iter().map(|group| self.shape(group, asked)).collect();
        shapes.sort_unstable_by_key(|s| s.alike);
        (self.rows, shapes)
    }

    /// All open ports are one: whatever answers does so for any.
    fn fold_rows(&mut self) {
        for row in std::mem::take(&mut self.rows) {
            // Only a sample of them was tried by a connection: that does not make two kinds.
            let Row { transport, state, reason, note, ref ports, .. } = row;
            let alike = Alike { transport, state, reason, from: None, verified: None, note };
            let ports = ports.iter().map(|p| p.0);
            match self.groups.iter_mut().find(|g| g.alike == alike) {
                Some(group) => {
                    group.count += 1;
                    ports.for_each(|p| group.ports.insert(Port(p)));
                }
                None => {
                    let ports = Ports::Few(ports.collect());
                    self.groups.push(Group { alike, count: 1, ports });
                }
            }
        }
    }

    fn shape(&self, group: &Group, asked: &[(Port, Transport)]) -> Shape {
        let Group { alike, count, ports } = group;
        let ports = match ports {
            Ports::Rest => self.rest(alike.transport, *count, asked),
            Ports::Few(few) => few.iter().map(|p| PortRange::from(Port(*p))).collect(),
            Ports::Many(many) => (**many).clone(),
        };
        Shape { alike: *alike, count: *count, ports: ports.ranges() }
    }

    /// The asked ports that are nowhere else; none where that is not all of them.
    fn rest(&self, transport: Transport, count: u32, asked: &[(Port, Transport)]) -> PortSet {
        let of_transport = asked.iter().filter(|(_, t)| *t == transport);
        let mut rest: PortSet = of_transport.map(|(port, _)| PortRange::from(*port)).collect();
        let mut take = |port| rest.remove(port);
        for group in self.groups.iter().filter(|g| g.alike.transport == transport) {
            match &group.ports {
                Ports::Rest => {}
                Ports::Few(few) => few.iter().for_each(|p| take(Port(*p))),
                Ports::Many(many) => many.iter().for_each(&mut take),
            }
        }
        let rows = self.rows.iter().filter(|r| r.transport == transport);
        rows.flat_map(|r| r.ports.iter()).for_each(take);
        if rest.len() == count as usize { rest } else { PortSet::new() }
    }
}

impl Row {
    fn of(record: &Record) -> Self {
        Self {
            transport: record.transport,
            ports: record.port.into(),
            state: record.state,
            reason: record.reason,
            rtt: record.rtt,
            verified: record.verified,
            note: record.note,
        }
    }

    /// Whether `next` is the same of the next port, so that they are one line.
    pub(super) fn goes_on_in(&self, next: &Self) -> bool {
        let follows = self.ports.last().0.checked_add(1) == Some(next.ports.first().0);
        let alike = |r: &Self| (r.transport, r.reason, r.verified, r.note);
        follows && alike(self) == alike(next)
    }
}

impl Alike {
    fn of(record: &Record) -> Self {
        let host = Some(record.address);
        Self {
            transport: record.transport,
            state: record.state,
            reason: record.reason,
            from: record.from.filter(|from| Some(*from) != host),
            verified: record.verified,
            note: record.note,
        }
    }

    const fn is_silence(&self) -> bool {
        matches!(
            self.reason,
            Reason::NoResponse | Reason::NoNeighbour | Reason::HostSilent | Reason::NotFinished
        )
    }
}

/// Equal ports of a host that is finished.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// What is equal about them.
    pub(super) alike: Alike,
    /// How many they are.
    pub(super) count: u32,
    /// Which; empty where that is not known.
    pub(super) ports: Vec<PortRange>,
}

impl Ports {
    fn insert(&mut self, port: Port) {
        match self {
            Self::Rest => {}
            Self::Few(few) if few.len() < FEW => few.push(port.0),
            Self::Few(few) => {
                let mut many = PortSet::new();
                few.iter().for_each(|p| many.insert(Port(*p)));
                many.insert(port);
                *self = Self::Many(Box::new(many));
            }
            Self::Many(many) => many.insert(port),
        }
    }
}

/// As many take the room of a whole set.
const FEW: usize = 4096;
