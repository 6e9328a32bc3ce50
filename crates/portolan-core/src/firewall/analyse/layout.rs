//! Which variable means what. The order decides the size of every diagram: fields that rules tell
//! apart first (interfaces, state, protocol, ports) stand before addresses, and questions that no
//! packet answers stand last, so that they can be quantified away cheaply (measured: with IPv6
//! addresses first, a firewall of 6,000 rules takes eight times as long).

use crate::firewall::bdd::Bits;
use crate::firewall::{Field, TupleSide, bits};

/// The fields of a packet, as groups of variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) interface_in: Bits,
    pub(super) interface_out: Bits,
    /// A [`State`].
    pub(super) state: Bits,
    /// 1 for a reply.
    pub(super) direction: Bits,
    pub(super) status: Bits,
    /// 1 where an earlier translation of its connection gives a packet another destination address, and
    /// not only another port. Told apart here, for no diagram can compare two addresses.
    pub(super) moved: Bits,
    pub(super) mark: Bits,
    pub(super) ct_mark: Bits,
    pub(super) protocol: Bits,
    pub(super) tcp_flags: Bits,
    /// 1 for a fragment that is not the first.
    pub(super) later_fragment: Bits,
    pub(super) destination_port: Bits,
    /// Of ICMP: type and code, which stand in the same bytes.
    pub(super) source_port: Bits,
    pub(super) destination: Bits,
    pub(super) source: Bits,
    /// What a packet of an existing connection becomes where that was translated.
    pub(super) becomes: Ends,
    pub(super) ttl: Bits,
    /// DSCP and ECN.
    pub(super) traffic_class: Bits,
    pub(super) length: Bits,
    pub(super) packet_type: Bits,
    /// 1 where a socket of this machine sends.
    pub(super) has_socket: Bits,
    pub(super) user: Bits,
    pub(super) group: Bits,
    /// The first variable that is free for open questions.
    pub(super) end: u32,
}

/// The variables of a tuple.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) protocol: Bits,
    pub(super) destination_port: Bits,
    pub(super) source_port: Bits,
    pub(super) destination: Bits,
    pub(super) source: Bits,
}

/// A connection's state as the variables spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum State {
    New,
    Established,
    Related,
    Invalid,
    Untracked,
}

impl State {
    pub(super) const ALL: [Self; 5] =
        [Self::New, Self::Established, Self::Related, Self::Invalid, Self::Untracked];

    /// Its bit in `ct state`.
    pub(super) const fn bit(self) -> u128 {
        match self {
            Self::New => bits::NEW,
            Self::Established => bits::ESTABLISHED,
            Self::Related => bits::RELATED,
            Self::Invalid => bits::INVALID,
            Self::Untracked => bits::UNTRACKED,
        }
    }

    pub(super) const fn number(self) -> u128 {
        self as u128
    }

    pub(super) fn of_bit(bit: u128) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.bit() == bit)
    }
}

impl Layout {
    pub(super) fn new(is_v6: bool, interfaces: usize) -> Self {
        let names = (interfaces.max(2) - 1).ilog2() + 1;
        let address = if is_v6 { 128 } else { 32 };
        let mut next = 0;
        let mut field = |width: u32| {
            let first = next;
            next += width;
            Bits { first, width }
        };
        Self {
            interface_in: field(names),
            interface_out: field(names),
            state: field(3),
            direction: field(1),
            status: field(10),
            moved: field(1),
            mark: field(32),
            ct_mark: field(32),
            protocol: field(8),
            tcp_flags: field(8),
            later_fragment: field(1),
            destination_port: field(16),
            source_port: field(16),
            destination: field(address),
            source: field(address),
            becomes: Ends {
                protocol: field(8),
                destination_port: field(16),
                source_port: field(16),
                destination: field(address),
                source: field(address),
            },
            ttl: field(8),
            traffic_class: field(8),
            length: field(16),
            packet_type: field(3),
            has_socket: field(1),
            user: field(32),
            group: field(32),
            end: next,
        }
    }

    /// Of a variable of what a packet becomes: the one of what it was, and whether it is its field's
    /// last.
    pub(super) fn before_becoming(&self, variable: u32) -> Option<(u32, bool)> {
        let fields = [
            (self.becomes.destination, self.destination),
            (self.becomes.source, self.source),
            (self.becomes.destination_port, self.destination_port),
            (self.becomes.source_port, self.source_port),
        ];
        let (own, before) = fields.iter().find(|(own, _)| own.variables().contains(&variable))?;
        Some((before.first + variable - own.first, variable + 1 == own.end()))
    }

    /// The variables of a field that is its own group, with the width rules see it in.
    pub(super) fn plain(&self, field: Field, is_v6: bool) -> Option<Bits> {
        let part = |bits: Bits, from: u32, width: u32| Bits { first: bits.first + from, width };
        Some(match field {
            Field::InterfaceIn => self.interface_in,
            Field::InterfaceOut => self.interface_out,
            Field::Protocol => self.protocol,
            Field::PacketType => self.packet_type,
            Field::Mark => self.mark,
            Field::Length => self.length,
            Field::Length4 if !is_v6 => self.length,
            Field::Source4 if !is_v6 => self.source,
            Field::Destination4 if !is_v6 => self.destination,
            Field::Source6 if is_v6 => self.source,
            Field::Destination6 if is_v6 => self.destination,
            Field::Ttl => self.ttl,
            Field::Dscp => part(self.traffic_class, 0, 6),
            Field::Ecn => part(self.traffic_class, 6, 2),
            Field::SourcePort => self.source_port,
            Field::DestinationPort => self.destination_port,
            Field::IcmpType => part(self.source_port, 0, 8),
            Field::IcmpCode => part(self.source_port, 8, 8),
            Field::TcpFlags => self.tcp_flags,
            Field::CtDirection => self.direction,
            Field::CtStatus => self.status,
            Field::CtMark => self.ct_mark,
            Field::SocketUser => self.user,
            Field::SocketGroup => self.group,
            _ => return None,
        })
    }

    /// Where a part of the tuple stands in the packet as it came, and in what it becomes; `None` for
    /// the other family.
    pub(super) fn tuple(&self, side: TupleSide, is_v6: bool) -> Option<(Bits, Bits)> {
        let own = &self.becomes;
        Some(match side {
            TupleSide::Source4 if !is_v6 => (self.source, own.source),
            TupleSide::Source6 if is_v6 => (self.source, own.source),
            TupleSide::Destination4 if !is_v6 => (self.destination, own.destination),
            TupleSide::Destination6 if is_v6 => (self.destination, own.destination),
            TupleSide::Protocol => (self.protocol, own.protocol),
            TupleSide::SourcePort => (self.source_port, own.source_port),
            TupleSide::DestinationPort => (self.destination_port, own.destination_port),
            _ => return None,
        })
    }
}

/// The same part of the tuple as the other direction sees it.
pub(super) const fn turned(side: TupleSide) -> TupleSide {
    match side {
        TupleSide::Source4 => TupleSide::Destination4,
        TupleSide::Destination4 => TupleSide::Source4,
        TupleSide::Source6 => TupleSide::Destination6,
        TupleSide::Destination6 => TupleSide::Source6,
        TupleSide::Protocol => TupleSide::Protocol,
        TupleSide::SourcePort => TupleSide::DestinationPort,
        TupleSide::DestinationPort => TupleSide::SourcePort,
    }
}
