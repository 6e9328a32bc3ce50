//! What packets of a block have in common beside its addresses, ports and protocols: their state, flags,
//! message, marks, and the answers to what no packet tells.
//!
//! Only what is needed is told. A region is told *among* others (`care`): those that there can be, or those
//! that were asked about. A field without which the same of these are in the region is left out.

use super::cells::{Axis, Cell};
use super::layout::State;
use super::space::Space;
use crate::firewall::Direction;

/// Something the packets of a block have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The interfaces they leave by.
    LeavesBy {
        /// One of these.
        interfaces: Vec<Box<str>>,
        /// Those they do not leave by, where they are all but these.
        all_but: Vec<Box<str>>,
    },
    /// The state of their connection, as in [`crate::firewall::bits`]: one of these.
    State(Vec<u128>),
    /// Which way of their connection they go.
    Direction(Direction),
    /// Flags of TCP: of those in `mask` exactly those in `set`.
    TcpFlags {
        /// The flags that matter.
        mask: u8,
        /// Those of them that are set.
        set: u8,
    },
    /// Bits of `ct status`, likewise.
    Status {
        /// The bits that matter.
        mask: u128,
        /// Those of them that are set.
        set: u128,
    },
    /// Type (times 256) and code of ICMP, as ranges.
    Messages(Vec<(u16, u16)>),
    /// The ports they come from, as ranges.
    SourcePorts(Vec<(u16, u16)>),
    /// Whether they are fragments behind the first.
    LaterFragment(bool),
    /// Whether a socket of this machine sends them.
    HasSocket(bool),
    /// A number, as ranges.
    Number(Quantity, Vec<(u128, u128)>),
    /// What no packet tells, in the words of the rule's tool.
    Answer {
        /// The question.
        text: String,
        /// Whether it is so.
        holds: bool,
    },
    /// They depend on this in more ways than are told.
    Also(Quantity),
}

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// `meta mark`.
    Mark,
    /// `ct mark`.
    CtMark,
    /// Time to live, hop limit.
    Ttl,
    /// The six bits of DSCP.
    Dscp,
    /// The two bits of ECN.
    Ecn,
    /// The bytes from the IP header on.
    Length,
    /// `meta pkttype`.
    PacketType,
    /// The user whose socket sends.
    User,
    /// The group whose socket sends.
    Group,
    /// Where an earlier translation of the connection sends it.
    EarlierTranslation,
    /// A field of the packet that is none of these.
    Other,
}

impl Space {
    /// What a cell says beside what every block says.
    pub(super) fn features(&self, cell: &Cell) -> Vec<Feature> {
        let mut found: Vec<Feature> = Vec::new();
        let (mut flags, mut status) = ((0_u8, 0_u8), (0_u128, 0_u128));
        let is_icmp =
            matches!(cell.get(&Axis::Protocol).map(Vec::as_slice), Some([(1, 1)] | [(58, 58)]));
        for (axis, values) in cell.iter().filter(|(axis, _)| !axis.is_head()) {
            let is_one = matches!(values.as_slice(), [(1, 1)]);
            match axis {
                _ if values.is_empty() => found.push(Feature::Also(axis.quantity())),
                Axis::Status(place) => {
                    let bit = 1 << (self.layout.status.width - 1 - place);
                    status = (status.0 | bit, if is_one { status.1 | bit } else { status.1 });
                }
                Axis::Flag(place) => {
                    let bit = 0x80 >> place;
                    flags = (flags.0 | bit, if is_one { flags.1 | bit } else { flags.1 });
                }
                axis => found.extend(self.feature(*axis, values, is_icmp)),
            }
        }
        if flags.0 != 0 {
            found.insert(0, Feature::TcpFlags { mask: flags.0, set: flags.1 });
        }
        if status.0 != 0 {
            found.push(Feature::Status { mask: status.0, set: status.1 });
        }
        // The state first: it is what people look for.
        found.sort_by_key(|feature| !matches!(feature, Feature::State(_)));
        found
    }

    /// What values of one field say; `None` for what decides nothing by itself.
    fn feature(&self, axis: Axis, values: &[(u128, u128)], is_icmp: bool) -> Option<Feature> {
        let is_one = matches!(values, [(1, 1)]);
        let narrow = || values.iter().map(|(from, to)| (*from as u16, *to as u16)).collect();
        Some(match axis {
            Axis::InterfaceOut => {
                let numbers = values.iter().flat_map(|(from, to)| *from..=*to);
                let count = self.interfaces.count() as u128;
                let numbers = numbers.filter(|n| *n != 0 && *n < count);
                let interfaces = numbers.map(|number| self.interfaces.shown(number)).collect();
                Feature::LeavesBy { interfaces, all_but: self.other_interfaces(values) }
            }
            Axis::State => {
                let is_in = |state: &&State| {
                    values.iter().any(|(from, to)| (*from..=*to).contains(&state.number()))
                };
                let states = State::ALL.iter().filter(is_in).map(|state| state.bit());
                Feature::State(states.collect())
            }
            Axis::Direction if is_one => Feature::Direction(Direction::Reply),
            Axis::Direction => Feature::Direction(Direction::Original),
            Axis::SourcePort if is_icmp => Feature::Messages(narrow()),
            Axis::SourcePort => Feature::SourcePorts(narrow()),
            Axis::LaterFragment => Feature::LaterFragment(is_one),
            Axis::HasSocket => Feature::HasSocket(is_one),
            Axis::Answer(variable) => {
                let question = self.asked(variable).filter(|question| !question.is_choice)?;
                Feature::Answer { text: question.text.clone(), holds: is_one }
            }
            number => Feature::Number(number.quantity(), values.to_vec()),
        })
    }
}

impl Axis {
    const fn quantity(self) -> Quantity {
        match self {
            Self::Mark => Quantity::Mark,
            Self::CtMark => Quantity::CtMark,
            Self::Ttl => Quantity::Ttl,
            Self::Dscp => Quantity::Dscp,
            Self::Ecn => Quantity::Ecn,
            Self::Length => Quantity::Length,
            Self::PacketType => Quantity::PacketType,
            Self::User => Quantity::User,
            Self::Group => Quantity::Group,
            Self::EarlierTranslation => Quantity::EarlierTranslation,
            _ => Quantity::Other,
        }
    }
}
