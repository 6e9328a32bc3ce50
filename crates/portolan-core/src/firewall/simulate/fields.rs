//! What a rule sees when it looks at a field of the packet.

use std::borrow::Cow;
use std::net::IpAddr;

use super::conntrack::Connection;
use super::path::{Link, Walker};
use crate::firewall::{Direction, Field, Span, Tuple, TupleSide, bits, number_of};

/// What a look gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// There is none: the rule ends.
    Missing,
    Number(u128),
    Name(Cow<'a, str>),
    /// One of these, nobody knows which.
    Range(u128, u128),
    /// Nobody knows; what it is, in words.
    Open(Cow<'a, str>),
    /// Several, of a concatenation or a map.
    Parts(Vec<Seen<'a>>),
}

impl Seen<'_> {
    /// Whether it lies in `span`; `None` where that is not known.
    pub(super) fn within(&self, span: &Span) -> Option<bool> {
        match (self, span) {
            (Self::Number(n), Span::Numbers { low, high }) => Some(low <= n && n <= high),
            (Self::Name(name), Span::Names { text, is_prefix: false }) => Some(**name == **text),
            (Self::Name(name), Span::Names { text, .. }) => Some(name.starts_with(&**text)),
            (Self::Range(from, to), Span::Numbers { low, high }) => {
                let is_inside = low <= from && to <= high;
                let is_apart = to < low || high < from;
                if is_inside {
                    Some(true)
                } else if is_apart {
                    Some(false)
                } else {
                    None
                }
            }
            (Self::Open(_), _) => None,
            _ => Some(false),
        }
    }

    /// The same, borrowing nothing.
    pub(super) fn owned(self) -> Seen<'static> {
        match self {
            Self::Missing => Seen::Missing,
            Self::Number(n) => Seen::Number(n),
            Self::Name(name) => Seen::Name(name.into_owned().into()),
            Self::Range(from, to) => Seen::Range(from, to),
            Self::Open(text) => Seen::Open(text.into_owned().into()),
            Self::Parts(parts) => Seen::Parts(parts.into_iter().map(Seen::owned).collect()),
        }
    }

    /// The number, if it is one.
    pub(super) fn number(&self) -> Option<u128> {
        match self {
            Self::Number(n) => Some(*n),
            _ => None,
        }
    }
}

/// Parts of the packet that translation has made vague: between these, nobody knows where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Vague {
    pub(super) source: Option<(u128, u128)>,
    pub(super) destination: Option<(u128, u128)>,
    pub(super) source_port: Option<(u128, u128)>,
    pub(super) destination_port: Option<(u128, u128)>,
}

fn exact_or(vague: Option<(u128, u128)>, exact: u128) -> Seen<'static> {
    vague.map_or(Seen::Number(exact), |(from, to)| Seen::Range(from, to))
}

impl Walker<'_> {
    /// What a field of the packet is now.
    pub(super) fn field(&self, field: Field) -> Seen<'_> {
        let packet = &self.packet;
        let is_v6 = packet.is_v6();
        if let Some((_, rule)) = self.open_fields.iter().find(|(open, _)| open.is_in(field)) {
            return Seen::Open(format!("what {rule:?} has written there").into());
        }
        match field {
            Field::InterfaceIn => link(&self.link_in, "the interface it comes in by"),
            Field::InterfaceOut => link(&self.link_out, "the interface it leaves by"),
            Field::NetworkProtocol => Seen::Number(match is_v6 {
                false => bits::NFPROTO_IPV4,
                true => bits::NFPROTO_IPV6,
            }),
            Field::EtherType => Seen::Number(if is_v6 { 0x86dd } else { 0x0800 }),
            Field::Protocol => Seen::Number(packet.protocol.into()),
            // What this machine sends is in no frame yet (skb->pkt_type of alloc_skb).
            Field::PacketType if self.is_own => Seen::Number(bits::PACKET_HOST),
            Field::PacketType => Seen::Number(packet.packet_type.into()),
            Field::Mark => self.mark(),
            Field::Length => Seen::Number(packet.length.into()),
            Field::SocketUser => self.socket(|(user, _)| user, "meta skuid"),
            Field::SocketGroup => self.socket(|(_, group)| group, "meta skgid"),
            Field::Source4 | Field::Source6 if is_v6 != (field == Field::Source6) => Seen::Missing,
            Field::Source4 | Field::Source6 => {
                exact_or(self.vague.source, number_of(packet.source))
            }
            Field::Destination4 | Field::Destination6
                if is_v6 != (field == Field::Destination6) =>
            {
                Seen::Missing
            }
            Field::Destination4 | Field::Destination6 => {
                exact_or(self.vague.destination, number_of(packet.destination))
            }
            Field::Ttl => Seen::Number(packet.ttl.into()),
            Field::Dscp => Seen::Number(u128::from(packet.traffic_class >> 2)),
            Field::Ecn => Seen::Number(u128::from(packet.traffic_class & 3)),
            Field::FragmentOffset | Field::Length4 if is_v6 => Seen::Missing,
            Field::FragmentOffset => Seen::Number(self.is_later_fragment.into()),
            Field::Length4 => Seen::Number(packet.length.into()),
            Field::Length6 | Field::NextHeader6 if !is_v6 => Seen::Missing,
            Field::Length6 => Seen::Number(packet.length.saturating_sub(40).into()),
            Field::NextHeader6 if self.is_later_fragment => Seen::Number(44),
            Field::NextHeader6 => Seen::Number(packet.protocol.into()),
            Field::SourcePort
            | Field::DestinationPort
            | Field::TcpFlags
            | Field::IcmpType
            | Field::IcmpCode => self.transport(field),
            Field::CtState
            | Field::CtStatus
            | Field::CtDirection
            | Field::CtMark
            | Field::CtTuple(..) => self.of_connection(field),
            Field::Fib { key, result } => self.fib(key, result),
        }
    }

    fn mark(&self) -> Seen<'_> {
        match self.mark_open {
            Some(_) if self.mark_range.is_some() => exact_or(self.mark_range, 0),
            Some(rule) => Seen::Open(format!("the mark that {rule:?} set").into()),
            None => Seen::Number(self.packet.mark.into()),
        }
    }

    /// Whose socket sends. To what comes in, the kernel gives the socket it is for before the hook input, where
    /// there is one (`tcp_v4_early_demux`, `udp_v4_early_demux`): nobody knows whose.
    fn socket(&self, side: impl Fn((u32, u32)) -> u32, text: &'static str) -> Seen<'_> {
        match self.packet.socket {
            Some(owner) => Seen::Number(side(owner).into()),
            None => Seen::Open(text.into()),
        }
    }

    /// A piece of the transport header, read as its bytes whatever the protocol is. In a later fragment
    /// the kernel reads what stands in its place (nft_payload_fast_eval; measured with Linux 6.18): the
    /// packet's fields are taken for that.
    fn transport(&self, field: Field) -> Seen<'_> {
        let packet = &self.packet;
        let is_icmp = matches!(packet.protocol, 1 | 58);
        let kind_and_code = u128::from(packet.icmp.kind) << 8 | u128::from(packet.icmp.code);
        let has_ports = crate::firewall::packet::has_ports(packet.protocol);
        match field {
            Field::SourcePort if is_icmp => Seen::Number(kind_and_code),
            Field::SourcePort if has_ports => {
                exact_or(self.vague.source_port, packet.source_port.into())
            }
            Field::DestinationPort if has_ports => {
                exact_or(self.vague.destination_port, packet.destination_port.into())
            }
            Field::TcpFlags if packet.protocol == 6 => Seen::Number(packet.tcp_flags.0.into()),
            Field::IcmpType if is_icmp => Seen::Number(packet.icmp.kind.into()),
            Field::IcmpCode if is_icmp => Seen::Number(packet.icmp.code.into()),
            Field::IcmpType if has_ports && self.vague.source_port.is_none() => {
                Seen::Number(u128::from(packet.source_port >> 8))
            }
            Field::IcmpCode if has_ports && self.vague.source_port.is_none() => {
                Seen::Number(u128::from(packet.source_port & 0xff))
            }
            _ => Seen::Open("bytes of its transport header".into()),
        }
    }

    /// What conntrack knows (nft_ct_get_eval): the state of packets without a connection is invalid, also
    /// before conntrack has seen them; everything else is missing.
    fn of_connection(&self, field: Field) -> Seen<'_> {
        let Connection::Tracked(tracked) = &self.connection else {
            return match field {
                Field::CtState => Seen::Number(self.connection.state()),
                _ => Seen::Missing,
            };
        };
        match field {
            Field::CtStatus => Seen::Number(tracked.status),
            Field::CtDirection => Seen::Number(u128::from(tracked.direction == Direction::Reply)),
            Field::CtMark => match tracked.mark_open {
                Some(rule) => Seen::Open(format!("the ct mark that {rule:?} set").into()),
                None => Seen::Number(tracked.mark.into()),
            },
            Field::CtTuple(..) if !tracked.is_told => {
                Seen::Open("the connection that an ICMP error is about".into())
            }
            Field::CtTuple(Direction::Original, side) => side_of(&tracked.original, side),
            Field::CtTuple(Direction::Reply, side) => {
                let is_vague = self.vague != Vague::default() && side != TupleSide::Protocol;
                if is_vague { Seen::Open("ct reply".into()) } else { side_of(&tracked.reply, side) }
            }
            _ => Seen::Number(tracked.state),
        }
    }
}

fn side_of(tuple: &Tuple, side: TupleSide) -> Seen<'static> {
    let address = |address: IpAddr, wants_v6: bool| match address.is_ipv6() == wants_v6 {
        true => Seen::Number(number_of(address)),
        false => Seen::Missing,
    };
    // Of ICMP there stand an identifier, type and code, of GRE a key, of others 0 (nf_conntrack_proto_*.c).
    let port = |port: u16| match crate::firewall::packet::has_ports(tuple.protocol) {
        true => Seen::Number(port.into()),
        false => Seen::Open("what its connection has for ports".into()),
    };
    match side {
        TupleSide::Source4 => address(tuple.source, false),
        TupleSide::Destination4 => address(tuple.destination, false),
        TupleSide::Source6 => address(tuple.source, true),
        TupleSide::Destination6 => address(tuple.destination, true),
        TupleSide::Protocol => Seen::Number(tuple.protocol.into()),
        TupleSide::SourcePort => port(tuple.source_port),
        TupleSide::DestinationPort => port(tuple.destination_port),
    }
}

fn link<'a>(link: &'a Link, text: &'static str) -> Seen<'a> {
    match link {
        Link::None => Seen::Name("".into()),
        Link::Named(name) => Seen::Name((&**name).into()),
        Link::Unknown => Seen::Open(text.into()),
    }
}
