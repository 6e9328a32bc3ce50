//! Who is known on the link: the kernel's neighbour table (rtnetlink(7), RTM_GETNEIGH).
//!
//! ```text
//! neighbour = family u8 · pad [3] · interface u32 · state u16 · flags u8 · type u8 · attribute*
//! ```

use std::net::IpAddr;

use super::netlink;
use super::route::{address, family, push_address};

/// RTM_GETNEIGH, the request for one neighbour, or for all of them.
pub const GET_NEIGHBOUR: u16 = 30;

/// The body of a request for the neighbour `target` behind `interface` (Linux 5.0).
#[must_use]
pub fn question(interface: u32, target: IpAddr) -> Vec<u8> {
    let mut body = vec![family(target), 0, 0, 0];
    body.extend(interface.to_ne_bytes());
    body.extend([0; 4]);
    push_address(&mut body, NDA_DST, target);
    body
}

/// What the kernel knows of an address on a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Behind which interface.
    pub interface: u32,
    /// Whose entry it is.
    pub address: Option<IpAddr>,
    /// How sure the kernel is of it.
    pub state: NeighbourState,
    /// Its address on the link: six bytes on Ethernet.
    pub link_address: Option<Vec<u8>>,
}

/// State of an entry (NUD_*, include/uapi/linux/neighbour.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeighbourState {
    /// Being asked for the first time.
    Incomplete,
    /// It has answered a moment ago.
    Reachable,
    /// It has answered, some time ago.
    Stale,
    /// Used again since then, and about to be asked.
    Delay,
    /// Being asked again.
    Probe,
    /// It does not answer.
    Failed,
    /// Nobody is asked on this interface.
    NoArp,
    /// Set by hand.
    Permanent,
    /// Not asked yet.
    None,
}

impl NeighbourState {
    const fn of(bits: u16) -> Self {
        match bits {
            0x01 => Self::Incomplete,
            0x02 => Self::Reachable,
            0x04 => Self::Stale,
            0x08 => Self::Delay,
            0x10 => Self::Probe,
            0x20 => Self::Failed,
            0x40 => Self::NoArp,
            0x80 => Self::Permanent,
            _ => Self::None,
        }
    }

    /// The word `ip neighbour` has for it, in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Incomplete => "incomplete",
            Self::Reachable => "reachable",
            Self::Stale => "stale",
            Self::Delay => "delay",
            Self::Probe => "probe",
            Self::Failed => "failed",
            Self::NoArp => "noarp",
            Self::Permanent => "permanent",
            Self::None => "none",
        }
    }

    /// Whether the kernel sends to it without asking anybody first, and is not in doubt.
    #[must_use]
    pub const fn is_sure(self) -> bool {
        matches!(self, Self::Reachable | Self::NoArp | Self::Permanent)
    }
}

impl Neighbour {
    /// The neighbour of an RTM_NEWNEIGH body; `None` when it is cut short.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(NEIGHBOUR)?;
        let mut neighbour = Self {
            interface: u32::from_ne_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            address: None,
            state: NeighbourState::of(u16::from_ne_bytes([fixed[8], fixed[9]])),
            link_address: None,
        };
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            match attribute.kind {
                NDA_DST => neighbour.address = address(attribute.value),
                NDA_LLADDR => neighbour.link_address = Some(attribute.value.to_vec()),
                _ => {}
            }
        }
        Some(neighbour)
    }
}

const NEIGHBOUR: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Vec<u8> {
        let mut body = question(3, "10.0.0.9".parse().unwrap());
        body[8..10].copy_from_slice(&0x02u16.to_ne_bytes());
        netlink::push_attribute(&mut body, NDA_LLADDR, &[2, 0, 0, 0, 0, 9]);
        body
    }

    #[test]
    fn a_neighbour_says_how_sure_it_is_and_where_it_lives() {
        let expected = Neighbour {
            interface: 3,
            address: Some("10.0.0.9".parse().unwrap()),
            state: NeighbourState::Reachable,
            link_address: Some(vec![2, 0, 0, 0, 0, 9]),
        };
        assert_eq!(Neighbour::parse(&body()), Some(expected));
    }

    #[test]
    fn a_neighbour_cut_anywhere_is_shorter_or_none() {
        let body = body();
        for length in 0..body.len() {
            assert_eq!(Neighbour::parse(&body[..length]).is_some(), length >= NEIGHBOUR);
        }
    }
}
