//! Generic netlink (RFC 3549 §2.3, include/uapi/linux/genetlink.h): families by name, and what
//! three of them tell of UDP ports that the kernel itself listens on.
//!
//! ```text
//! body = command u8 · version u8 · reserved u16 · attribute*
//! ```
//! Read are the families wireguard (linux/wireguard.h), fou (linux/fou.h: FOU and GUE) and l2tp
//! (linux/l2tp.h). Keys and peers are never looked at.

use super::netlink;
use crate::net::Port;

/// GENL_ID_CTRL: the family that tells the numbers of the others.
pub const CONTROLLER: u16 = 16;

/// The body of a request for every family.
#[must_use]
pub fn families() -> Vec<u8> {
    body(CTRL_CMD_GETFAMILY)
}

/// The body of a request for the wireguard device called `name`.
#[must_use]
pub fn wireguard(name: &str) -> Vec<u8> {
    let mut body = body(WG_CMD_GET_DEVICE);
    let name = [name.as_bytes(), b"\0"].concat();
    netlink::push_attribute(&mut body, WGDEVICE_A_IFNAME, &name);
    body
}

/// The body of a request for every port that FOU or GUE listens on.
#[must_use]
pub fn fou() -> Vec<u8> {
    body(FOU_CMD_GET)
}

/// The body of a request for every L2TP tunnel.
#[must_use]
pub fn l2tp() -> Vec<u8> {
    body(L2TP_CMD_TUNNEL_GET)
}

fn body(command: u8) -> Vec<u8> {
    vec![command, VERSION, 0, 0]
}

/// A family's name and the number its messages have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Its name.
    pub name: String,
    /// The kind of its messages.
    pub id: u16,
}

impl Family {
    /// The family of one answer; `None` when it is cut short.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let name = value(body, CTRL_ATTR_FAMILY_NAME)?;
        let name = name.strip_suffix(b"\0").unwrap_or(name);
        let id = value(body, CTRL_ATTR_FAMILY_ID)?.first_chunk().copied()?;
        let name = String::from_utf8_lossy(name).into_owned();
        Some(Self { name, id: u16::from_ne_bytes(id) })
    }
}

/// The port a wireguard device listens on. A device that is down listens on none, and a message
/// that continues another's peers tells none.
#[must_use]
pub fn wireguard_port(body: &[u8]) -> Option<Port> {
    let port = u16::from_ne_bytes(*value(body, WGDEVICE_A_LISTEN_PORT)?.first_chunk()?);
    (port != 0).then_some(Port(port))
}

/// The port of one FOU or GUE receiver, and which of the two it is.
#[must_use]
pub fn fou_port(body: &[u8]) -> Option<(&'static str, Port)> {
    let port = u16::from_be_bytes(*value(body, FOU_ATTR_PORT)?.first_chunk()?);
    let kind = match value(body, FOU_ATTR_TYPE).and_then(|kind| kind.first()) {
        Some(&FOU_ENCAP_GUE) => "gue",
        _ => "fou",
    };
    Some((kind, Port(port)))
}

/// The UDP port of one L2TP tunnel; `None` for one directly over IP.
#[must_use]
pub fn l2tp_port(body: &[u8]) -> Option<Port> {
    let port = u16::from_ne_bytes(*value(body, L2TP_ATTR_UDP_SPORT)?.first_chunk()?);
    (port != 0).then_some(Port(port))
}

fn value(body: &[u8], kind: u16) -> Option<&[u8]> {
    let attributes = netlink::attributes(body.get(GENERIC_HEADER..)?);
    attributes.map_while(Result::ok).find(|a| a.kind == kind).map(|a| a.value)
}

/// sizeof(struct genlmsghdr).
const GENERIC_HEADER: usize = 4;
/// All four families are still in their first version.
const VERSION: u8 = 1;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const WG_CMD_GET_DEVICE: u8 = 0;
const WGDEVICE_A_IFNAME: u16 = 2;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
const FOU_CMD_GET: u8 = 3;
const FOU_ATTR_PORT: u16 = 1;
const FOU_ATTR_TYPE: u16 = 4;
const FOU_ENCAP_GUE: u8 = 2;
const L2TP_CMD_TUNNEL_GET: u8 = 4;
const L2TP_ATTR_UDP_SPORT: u16 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    /// A wireguard device as linux/wireguard.h lays it out: index, name, keys, flags, port, mark.
    fn device(port: u16) -> Vec<u8> {
        let mut bytes = body(WG_CMD_GET_DEVICE);
        netlink::push_attribute(&mut bytes, 1, &7u32.to_ne_bytes());
        netlink::push_attribute(&mut bytes, 2, b"wg0\0");
        netlink::push_attribute(&mut bytes, 3, &[1; 32]);
        netlink::push_attribute(&mut bytes, 4, &[2; 32]);
        netlink::push_attribute(&mut bytes, 6, &port.to_ne_bytes());
        netlink::push_attribute(&mut bytes, 7, &0u32.to_ne_bytes());
        bytes
    }

    #[test]
    fn a_wireguard_device_tells_its_port_and_a_silent_one_none() {
        assert_eq!(wireguard_port(&device(51820)), Some(Port(51820)));
        assert_eq!(wireguard_port(&device(0)), None);
    }

    #[test]
    fn a_device_is_asked_for_by_its_name() {
        assert_eq!(wireguard("wg0"), [&[0, 1, 0, 0, 8, 0, 2, 0][..], b"wg0\0"].concat());
    }

    #[test]
    fn fou_and_gue_are_told_apart() {
        let mut bytes = body(FOU_CMD_GET);
        netlink::push_attribute(&mut bytes, FOU_ATTR_PORT, &5555u16.to_be_bytes());
        assert_eq!(fou_port(&bytes), Some(("fou", Port(5555))));
        netlink::push_attribute(&mut bytes, FOU_ATTR_TYPE, &[FOU_ENCAP_GUE]);
        assert_eq!(fou_port(&bytes), Some(("gue", Port(5555))));
    }

    #[test]
    fn a_tunnel_over_ip_has_no_port() {
        let mut bytes = body(L2TP_CMD_TUNNEL_GET);
        assert_eq!(l2tp_port(&bytes), None);
        netlink::push_attribute(&mut bytes, L2TP_ATTR_UDP_SPORT, &1701u16.to_ne_bytes());
        assert_eq!(l2tp_port(&bytes), Some(Port(1701)));
    }

    #[test]
    fn a_family_has_a_name_and_a_number() {
        let mut bytes = body(1);
        netlink::push_attribute(&mut bytes, CTRL_ATTR_FAMILY_NAME, b"wireguard\0");
        assert_eq!(Family::parse(&bytes), None);
        netlink::push_attribute(&mut bytes, CTRL_ATTR_FAMILY_ID, &31u16.to_ne_bytes());
        assert_eq!(Family::parse(&bytes), Some(Family { name: "wireguard".into(), id: 31 }));
    }

    #[test]
    fn a_message_cut_anywhere_is_no_panic() {
        let bytes = device(51820);
        for end in 0..bytes.len() {
            let _ = (wireguard_port(&bytes[..end]), fou_port(&bytes[..end]));
            let _ = (l2tp_port(&bytes[..end]), Family::parse(&bytes[..end]));
        }
    }
}
