//! How an interface carries packets: whether it is up, needs link addresses, and how large a packet
//! it takes (rtnetlink(7), RTM_GETLINK for one interface; netdevice(7)).

use super::netlink::{self, Attribute};

/// The body of an RTM_GETLINK request for one interface.
#[must_use]
pub fn question(interface: u32) -> Vec<u8> {
    let mut body = vec![0; LINK];
    body[4..8].copy_from_slice(&interface.to_ne_bytes());
    body
}

/// An interface as something to send through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number in this namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is the loopback.
    pub is_loopback: bool,
    /// What stands around its packets.
    pub link: LinkKind,
    /// Whether a packet needs the link address of who it is for: not on tunnels and other
    /// point-to-point links.
    pub needs_neighbour: bool,
    /// The largest packet it takes.
    pub mtu: u32,
    /// Its own address on the link; empty where it has none.
    pub link_address: Vec<u8>,
}

impl Device {
    /// Its address on an Ethernet.
    #[must_use]
    pub fn ethernet_address(&self) -> Option<[u8; 6]> {
        self.link_address.first_chunk().copied().filter(|_| self.link == LinkKind::Ethernet)
    }
}

/// What stands around the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkKind {
    /// Ethernet, and what pretends to be.
    Ethernet,
    /// Nothing: tun, WireGuard, PPP, tunnels of IP in IP.
    Bare,
    /// Something else, with addresses of its own.
    Other,
}

impl LinkKind {
    /// From ARPHRD_* (include/uapi/linux/if_arp.h).
    const fn of(number: u16) -> Self {
        match number {
            ARPHRD_ETHER => Self::Ethernet,
            // PPP, raw IP, IP in IP, IPv6 in IPv6, SIT, GRE, GRE over IPv6, none.
            512 | 519 | 768 | 769 | 776 | 778 | 823 | 65534 => Self::Bare,
            _ => Self::Other,
        }
    }
}

impl Device {
    /// The device of an RTM_NEWLINK body; `None` when it is cut short.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(LINK)?;
        let number = |at: usize| fixed[at..].first_chunk().copied().map(u32::from_ne_bytes);
        let kind = u16::from_ne_bytes([fixed[2], fixed[3]]);
        let flags = number(8)?;
        let mut device = Self {
            index: number(4)?,
            name: String::new(),
            is_up: flags & IFF_UP != 0,
            is_loopback: flags & IFF_LOOPBACK != 0,
            link: LinkKind::of(kind),
            needs_neighbour: kind == ARPHRD_ETHER && flags & (IFF_NOARP | IFF_LOOPBACK) == 0,
            mtu: 0,
            link_address: Vec::new(),
        };
        for attribute in netlink::attributes(rest).map_while(Result::ok) {
            device.take(attribute);
        }
        Some(device)
    }

    fn take(&mut self, attribute: Attribute<'_>) {
        match attribute.kind {
            IFLA_ADDRESS => self.link_address = attribute.value.to_vec(),
            IFLA_IFNAME => {
                let name = attribute.value.strip_suffix(b"\0").unwrap_or(attribute.value);
                self.name = String::from_utf8_lossy(name).into_owned();
            }
            IFLA_MTU => self.mtu = attribute.u32().unwrap_or(0),
            _ => {}
        }
    }
}

const LINK: usize = 16;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;
const IFF_NOARP: u32 = 0x80;
const ARPHRD_ETHER: u16 = 1;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: u16, flags: u32) -> Vec<u8> {
        let mut body = question(5);
        body[2..4].copy_from_slice(&kind.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        netlink::push_attribute(&mut body, IFLA_IFNAME, b"eth0\0");
        netlink::push_attribute(&mut body, IFLA_MTU, &1500u32.to_ne_bytes());
        netlink::push_attribute(&mut body, IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]);
        body
    }

    #[test]
    fn ethernet_needs_neighbours_and_a_tunnel_does_not() {
        let ethernet = Device::parse(&body(ARPHRD_ETHER, IFF_UP)).unwrap();
        assert!(ethernet.is_up && ethernet.needs_neighbour);
        assert_eq!((ethernet.name.as_str(), ethernet.mtu), ("eth0", 1500));
        assert_eq!(ethernet.link_address, [2, 0, 0, 0, 0, 1]);
        let tunnel = Device::parse(&body(65534, IFF_UP)).unwrap();
        assert_eq!((tunnel.link, tunnel.needs_neighbour), (LinkKind::Bare, false));
        assert!(!Device::parse(&body(ARPHRD_ETHER, IFF_NOARP)).unwrap().needs_neighbour);
    }

    #[test]
    fn a_device_cut_anywhere_is_shorter_or_none() {
        let body = body(ARPHRD_ETHER, 0);
        for length in 0..body.len() {
            assert_eq!(Device::parse(&body[..length]).is_some(), length >= LINK);
        }
    }
}
