//! The fields that are told apart, and the variables that each is of.

use std::cmp::Reverse;

use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::Bits;

/// A field that is told apart, in the order of the variables; flags one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::firewall::analyse) enum Axis {
    InterfaceIn,
    InterfaceOut,
    State,
    Direction,
    /// By its place, the most significant bit is 0.
    Status(u32),
    Mark,
    CtMark,
    Protocol,
    Flag(u32),
    LaterFragment,
    DestinationPort,
    SourcePort,
    Destination,
    Source,
    Ttl,
    Dscp,
    Ecn,
    Length,
    PacketType,
    HasSocket,
    User,
    Group,
    EarlierTranslation,
    /// An open question, by its variable.
    Answer(u32),
}

impl Axis {
    /// Whether every block says it.
    pub(in crate::firewall::analyse) const fn is_head(self) -> bool {
        matches!(
            self,
            Self::InterfaceIn
                | Self::Protocol
                | Self::DestinationPort
                | Self::Destination
                | Self::Source
        )
    }

    /// What is left out first where either of two would do: the later variables. Of the flags SYN says most.
    pub(super) const fn worth(self) -> (Reverse<Self>, bool) {
        let is_syn = matches!(self, Self::Flag(SYN));
        (Reverse(if is_syn { Self::Flag(0) } else { self }), is_syn)
    }

    /// Whether it is of some protocols only.
    pub(super) const fn is_of_protocol(self) -> bool {
        matches!(self, Self::DestinationPort | Self::SourcePort | Self::Flag(_))
    }
}

/// The place of SYN among the flags.
const SYN: u32 = 6;

impl Space {
    /// The field a variable is of, with all its variables.
    pub(in crate::firewall::analyse) fn axis(&self, variable: u32) -> (Axis, Bits) {
        let layout = &self.layout;
        let one = Bits { first: variable, width: 1 };
        if variable >= layout.end {
            return (Axis::Answer(variable), one);
        }
        let class = layout.traffic_class;
        let (dscp, ecn) = (Bits { width: 6, ..class }, Bits { first: class.first + 6, width: 2 });
        let whole = [
            (Axis::InterfaceIn, layout.interface_in),
            (Axis::InterfaceOut, layout.interface_out),
            (Axis::State, layout.state),
            (Axis::Direction, layout.direction),
            (Axis::Mark, layout.mark),
            (Axis::CtMark, layout.ct_mark),
            (Axis::Protocol, layout.protocol),
            (Axis::LaterFragment, layout.later_fragment),
            (Axis::DestinationPort, layout.destination_port),
            (Axis::SourcePort, layout.source_port),
            (Axis::Destination, layout.destination),
            (Axis::Source, layout.source),
            (Axis::Ttl, layout.ttl),
            (Axis::Dscp, dscp),
            (Axis::Ecn, ecn),
            (Axis::Length, layout.length),
            (Axis::PacketType, layout.packet_type),
            (Axis::HasSocket, layout.has_socket),
            (Axis::User, layout.user),
            (Axis::Group, layout.group),
        ];
        let is_in = |bits: &Bits| bits.variables().contains(&variable);
        if let Some(found) = whole.into_iter().find(|(_, bits)| is_in(bits)) {
            return found;
        }
        match () {
            () if is_in(&layout.status) => (Axis::Status(variable - layout.status.first), one),
            () if is_in(&layout.tcp_flags) => (Axis::Flag(variable - layout.tcp_flags.first), one),
            () => (Axis::EarlierTranslation, one),
        }
    }

    pub(in crate::firewall::analyse) fn bits_of(&self, axis: Axis) -> Bits {
        let layout = &self.layout;
        let class = layout.traffic_class;
        let one = |first| Bits { first, width: 1 };
        match axis {
            Axis::InterfaceIn => layout.interface_in,
            Axis::InterfaceOut => layout.interface_out,
            Axis::State => layout.state,
            Axis::Direction => layout.direction,
            Axis::Status(place) => one(layout.status.first + place),
            Axis::Mark => layout.mark,
            Axis::CtMark => layout.ct_mark,
            Axis::Protocol => layout.protocol,
            Axis::Flag(place) => one(layout.tcp_flags.first + place),
            Axis::LaterFragment => layout.later_fragment,
            Axis::DestinationPort => layout.destination_port,
            Axis::SourcePort => layout.source_port,
            Axis::Destination => layout.destination,
            Axis::Source => layout.source,
            Axis::Ttl => layout.ttl,
            Axis::Dscp => Bits { width: 6, ..class },
            Axis::Ecn => Bits { first: class.first + 6, width: 2 },
            Axis::Length => layout.length,
            Axis::PacketType => layout.packet_type,
            Axis::HasSocket => layout.has_socket,
            Axis::User => layout.user,
            Axis::Group => layout.group,
            Axis::EarlierTranslation => layout.moved,
            Axis::Answer(variable) => one(variable),
        }
    }
}
