//! packet(7) sockets (linux/packet_diag.h).
//!
//! ```text
//! request = family u8 · protocol u8 · pad u16 · inode u32 · show u32 · cookie u32[2]
//! entry   = family u8 · type u8 · ethertype u16 · inode u32 · cookie u32[2] · attributes
//! ```

use super::{AF_PACKET, BY_FAMILY, DiagError, cookie, fixed, u32_ne};
use crate::wire::netlink;

/// The request for every packet socket.
#[must_use]
pub fn packet_dump(sequence: u32) -> Vec<u8> {
    let mut body = vec![AF_PACKET, 0, 0, 0];
    for word in [0, SHOW, u32::MAX, u32::MAX] {
        body.extend(word.to_ne_bytes());
    }
    netlink::request(BY_FAMILY, netlink::DUMP, sequence, &body)
}

/// One packet socket as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMessage {
    /// SOCK_RAW 3 sees link headers, SOCK_DGRAM 2 does not.
    pub kind: u8,
    /// The EtherType it takes, host order; 0x0003 is all, 0 none.
    pub protocol: u16,
    /// Inode in sockfs.
    pub inode: u32,
    /// SO_COOKIE.
    pub cookie: u64,
    /// Index of the interface it is bound to, 0 for all.
    pub interface: u32,
    /// Bytes allocated for packets not yet read (first word of PACKET_DIAG_MEMINFO).
    pub receive_queue: u32,
    /// The creator's user id.
    pub uid: Option<u32>,
}

impl PacketMessage {
    /// Reads the body of one SOCK_DIAG_BY_FAMILY entry.
    ///
    /// # Errors
    /// [`DiagError`] when it is cut off or of another family.
    pub fn parse(body: &[u8]) -> Result<Self, DiagError> {
        let (bytes, attributes) = fixed::<16>(body)?;
        if bytes[0] != AF_PACKET {
            return Err(DiagError::Family { found: bytes[0] });
        }
        let mut message = Self {
            kind: bytes[1],
            protocol: u16::from_ne_bytes([bytes[2], bytes[3]]), // packet_diag.c: ntohs(po->num)
            inode: u32_ne(bytes, 4),
            cookie: cookie(bytes, 8),
            interface: 0,
            receive_queue: 0,
            uid: None,
        };
        for attribute in netlink::attributes(attributes) {
            message.take(&attribute?);
        }
        Ok(message)
    }

    fn take(&mut self, attribute: &netlink::Attribute<'_>) {
        match attribute.kind {
            INFO => self.interface = attribute.u32().unwrap_or(0),
            UID => self.uid = attribute.u32(),
            MEMINFO => self.receive_queue = attribute.u32().unwrap_or(0),
            _ => {}
        }
    }
}

/// PACKET_SHOW_INFO (interface and uid) and PACKET_SHOW_MEMINFO.
const SHOW: u32 = 0x01 | 0x10;

const INFO: u16 = 0;
const UID: u16 = 5;
const MEMINFO: u16 = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hex;
    use super::*;

    /// A SOCK_RAW socket for all EtherTypes on interface 2, made by user 0.
    const SNIFFER: &str = "11030300 2a000000 0700000000000000\
        1c000000020000000000000000000000000000000000000000000000 0800050000000000";

    #[test]
    fn a_sniffer_is_read_with_its_interface_and_user() {
        let message = PacketMessage::parse(&hex(SNIFFER)).unwrap();
        assert_eq!((message.kind, message.protocol, message.inode), (3, 3, 42));
        assert_eq!((message.interface, message.uid), (2, Some(0)));
    }

    #[test]
    fn a_dump_request_is_laid_out_as_the_kernel_reads_it() {
        let expected = "24000000 1400 0103 09000000 00000000\
            11000000 00000000 11000000 ffffffff ffffffff";
        assert_eq!(packet_dump(9), hex(expected));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_socket_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 1..256), ours in any::<bool>()) {
            if ours {
                bytes[0] = AF_PACKET;
            }
            let _ = PacketMessage::parse(&bytes);
        }
    }
}
