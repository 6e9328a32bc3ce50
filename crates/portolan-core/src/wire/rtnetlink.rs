//! Interfaces and their addresses, as rtnetlink(7) dumps them.
//!
//! ```text
//! link    = family u8 · pad u8 · type u16 · index u32 · flags u32 · change u32 · attribute*
//! address = family u8 · prefix length u8 · flags u8 · scope u8 · index u32 · attribute*
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::net::Port;

use super::netlink;

/// RTM_GETLINK, the request for every interface.
pub const GET_LINKS: u16 = 18;

/// RTM_GETADDR, the request for every address.
pub const GET_ADDRESSES: u16 = 22;

/// The body of either request: any family, no restriction.
#[must_use]
pub const fn everything() -> [u8; LINK] {
    [0; LINK]
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in this namespace.
    pub index: u32,
    /// Its name, at most 15 bytes.
    pub name: String,
    /// What it is, where it is more than a plain device: `vxlan`, `geneve`, `bridge`, `veth` …
    pub kind: Option<String>,
    /// The number of the bridge or bond it is a port of.
    pub master: Option<u32>,
    /// The UDP port the kernel itself listens on for it: tunnels that run over UDP.
    pub udp_port: Option<Port>,
}

impl Link {
    /// The interface of an RTM_NEWLINK body; `None` when it is cut short or has no name.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(LINK)?;
        let name = value(rest, IFLA_IFNAME)?;
        let info = value(rest, IFLA_LINKINFO).unwrap_or_default();
        let kind = value(info, IFLA_INFO_KIND).map(text);
        Some(Self {
            index: u32::from_ne_bytes(fixed.get(4..8)?.try_into().ok()?),
            name: text(name),
            master: value(rest, IFLA_MASTER)
                .and_then(|bytes| bytes.first_chunk().copied().map(u32::from_ne_bytes)),
            udp_port: kind.as_deref().and_then(|kind| udp_port(kind, info)),
            kind,
        })
    }
}

/// The UDP port of a tunnel, in network order behind its kind's own attribute
/// (include/uapi/linux/if_link.h).
fn udp_port(kind: &str, info: &[u8]) -> Option<Port> {
    let attribute = match kind {
        "vxlan" => IFLA_VXLAN_PORT,
        "geneve" => IFLA_GENEVE_PORT,
        "bareudp" => IFLA_BAREUDP_PORT,
        "amt" => return amt_port(value(info, IFLA_INFO_DATA)?),
        _ => return None,
    };
    let bytes = value(value(info, IFLA_INFO_DATA)?, attribute)?;
    Some(Port(u16::from_be_bytes(*bytes.first_chunk()?)))
}

/// A relay listens at one port, a gateway at the other (include/uapi/linux/amt.h).
fn amt_port(data: &[u8]) -> Option<Port> {
    let is_relay = value(data, IFLA_AMT_MODE)?.first() == Some(&AMT_MODE_RELAY);
    let attribute = if is_relay { IFLA_AMT_RELAY_PORT } else { IFLA_AMT_GATEWAY_PORT };
    Some(Port(u16::from_be_bytes(*value(data, attribute)?.first_chunk()?)))
}

/// A name with its closing zero cut off.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\0").unwrap_or(bytes)).into_owned()
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub length: u8,
}

impl LinkAddress {
    /// The address of an RTM_NEWADDR body; `None` when it is cut short or of another family.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let (fixed, rest) = body.split_at_checked(ADDRESS)?;
        // On a point-to-point link IFA_ADDRESS is the other end and IFA_LOCAL ours.
        let bytes = value(rest, IFA_LOCAL).or_else(|| value(rest, IFA_ADDRESS))?;
        let address = match fixed[0] {
            AF_INET => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
            AF_INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
            _ => return None,
        };
        let index = u32::from_ne_bytes(fixed.get(4..8)?.try_into().ok()?);
        Some(Self { index, address, length: fixed[1] })
    }
}

fn value(attributes: &[u8], kind: u16) -> Option<&[u8]> {
    netlink::attributes(attributes).map_while(Result::ok).find(|a| a.kind == kind).map(|a| a.value)
}

const LINK: usize = 16;
const ADDRESS: usize = 8;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_GENEVE_PORT: u16 = 5;
const IFLA_BAREUDP_PORT: u16 = 1;
const IFLA_AMT_MODE: u16 = 1;
const IFLA_AMT_RELAY_PORT: u16 = 2;
const IFLA_AMT_GATEWAY_PORT: u16 = 3;
const AMT_MODE_RELAY: u8 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn address_body() -> Vec<u8> {
        let mut body = vec![AF_INET, 24, 0, 0];
        body.extend(7u32.to_ne_bytes());
        netlink::push_attribute(&mut body, IFA_ADDRESS, &[10, 0, 0, 2]);
        netlink::push_attribute(&mut body, IFA_LOCAL, &[10, 0, 0, 1]);
        body
    }

    #[test]
    fn on_a_point_to_point_link_our_end_is_the_address() {
        let expected = LinkAddress { index: 7, address: "10.0.0.1".parse().unwrap(), length: 24 };
        assert_eq!(LinkAddress::parse(&address_body()), Some(expected));
    }

    #[test]
    fn a_link_has_its_name_without_the_closing_zero() {
        let mut body = vec![0; LINK];
        body[4..8].copy_from_slice(&3u32.to_ne_bytes());
        netlink::push_attribute(&mut body, IFLA_IFNAME, b"eth0\0");
        let expected =
            Link { index: 3, name: "eth0".into(), kind: None, master: None, udp_port: None };
        assert_eq!(Link::parse(&body), Some(expected));
    }

    #[test]
    fn a_vxlan_tells_the_port_the_kernel_listens_on_for_it() {
        let (mut data, mut info, mut body) = (Vec::new(), Vec::new(), vec![0; LINK]);
        netlink::push_attribute(&mut data, IFLA_VXLAN_PORT, &4789u16.to_be_bytes());
        netlink::push_attribute(&mut info, IFLA_INFO_KIND, b"vxlan\0");
        netlink::push_attribute(&mut info, IFLA_INFO_DATA, &data);
        netlink::push_attribute(&mut body, IFLA_IFNAME, b"vx0\0");
        netlink::push_attribute(&mut body, IFLA_LINKINFO, &info);
        let link = Link::parse(&body).unwrap();
        assert_eq!((link.kind.as_deref(), link.udp_port), (Some("vxlan"), Some(Port(4789))));
    }

    #[test]
    fn a_message_cut_anywhere_is_no_address_and_no_panic() {
        let body = address_body();
        for length in 0..body.len() {
            let _ = LinkAddress::parse(&body[..length]);
            let _ = Link::parse(&body[..length]);
        }
        assert_eq!(LinkAddress::parse(&body[..ADDRESS]), None);
    }
}
