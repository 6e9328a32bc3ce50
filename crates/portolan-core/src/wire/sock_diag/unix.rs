//! unix(7) sockets (linux/unix_diag.h).
//!
//! ```text
//! request = family u8 · protocol u8 · pad u16 · states u32 · inode u32 · show u32 · cookie u32[2]
//! entry   = family u8 · type u8 · state u8 · pad u8 · inode u32 · cookie u32[2] · attributes
//! ```

use super::{AF_UNIX, BY_FAMILY, DiagError, cookie, fixed, u32_ne};
use crate::wire::netlink;

/// The request for every unix socket in one of `states` (the kernel's numbers, one bit each).
#[must_use]
pub fn unix_dump(sequence: u32, states: u32) -> Vec<u8> {
    let mut body = vec![AF_UNIX, 0, 0, 0];
    for word in [states, 0, SHOW, u32::MAX, u32::MAX] {
        body.extend(word.to_ne_bytes());
    }
    netlink::request(BY_FAMILY, netlink::DUMP, sequence, &body)
}

/// One unix socket as the kernel reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixMessage<'a> {
    /// SOCK_STREAM 1, SOCK_DGRAM 2, SOCK_SEQPACKET 5.
    pub kind: u8,
    /// The kernel's state number: 1 connected, 7 not connected, 10 listening.
    pub state: u8,
    /// Inode in sockfs.
    pub inode: u32,
    /// SO_COOKIE.
    pub cookie: u64,
    /// Its name: a path, or, after a zero byte, an abstract name; empty for none.
    pub name: &'a [u8],
    /// Inode in sockfs of the socket at the other end.
    pub peer: Option<u32>,
    /// How many connections wait for accept() (length of UNIX_DIAG_ICONS).
    pub pending: u32,
    /// Bytes unread; of a listener the connections that wait.
    pub receive_queue: u32,
    /// Bytes unread at the other end; of a listener the most that may wait.
    pub send_queue: u32,
    /// The creator's user id (kernel 5.3).
    pub uid: Option<u32>,
}

impl<'a> UnixMessage<'a> {
    /// Reads the body of one SOCK_DIAG_BY_FAMILY entry.
    ///
    /// # Errors
    /// [`DiagError`] when it is cut off or of another family.
    pub fn parse(body: &'a [u8]) -> Result<Self, DiagError> {
        let (bytes, attributes) = fixed::<16>(body)?;
        if bytes[0] != AF_UNIX {
            return Err(DiagError::Family { found: bytes[0] });
        }
        let mut message = Self {
            kind: bytes[1],
            state: bytes[2],
            inode: u32_ne(bytes, 4),
            cookie: cookie(bytes, 8),
            name: &[],
            peer: None,
            pending: 0,
            receive_queue: 0,
            send_queue: 0,
            uid: None,
        };
        for attribute in netlink::attributes(attributes) {
            message.take(&attribute?);
        }
        Ok(message)
    }

    fn take(&mut self, attribute: &netlink::Attribute<'a>) {
        match attribute.kind {
            NAME => self.name = attribute.value,
            PEER => self.peer = attribute.u32(),
            ICONS => self.pending = u32::try_from(attribute.value.len() / 4).unwrap_or(u32::MAX),
            RQLEN => {
                if let Some(queues) = attribute.value.first_chunk::<8>() {
                    self.receive_queue = u32_ne(queues, 0);
                    self.send_queue = u32_ne(queues, 4);
                }
            }
            UID => self.uid = attribute.u32(),
            _ => {}
        }
    }
}

/// UDIAG_SHOW_NAME, PEER, ICONS, RQLEN and UID.
const SHOW: u32 = 0x01 | 0x04 | 0x08 | 0x10 | 0x40;

const NAME: u16 = 0;
const PEER: u16 = 2;
const ICONS: u16 = 3;
const RQLEN: u16 = 4;
const UID: u16 = 7;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::hex;
    use super::*;

    /// A listener at the abstract name `\0ab`, two connections waiting of at most 128.
    const LISTENER: &str = "01010a00 2a000000 0700000000000000 0700000000616200\
        0c0003000100000002000000 0c0004000200000080000000 08000700e8030000";

    #[test]
    fn a_listener_is_read_with_its_abstract_name_and_queue() {
        let bytes = hex(LISTENER);
        let message = UnixMessage::parse(&bytes).unwrap();
        assert_eq!(message.name, b"\0ab");
        assert_eq!((message.kind, message.state, message.inode, message.cookie), (1, 10, 42, 7));
        assert_eq!((message.pending, message.receive_queue, message.send_queue), (2, 2, 128));
        assert_eq!((message.peer, message.uid), (None, Some(1000)));
    }

    #[test]
    fn a_dump_request_is_laid_out_as_the_kernel_reads_it() {
        let expected = "28000000 1400 0103 09000000 00000000\
            01000000 00040000 00000000 5d000000 ffffffff ffffffff";
        assert_eq!(unix_dump(9, 1 << 10), hex(expected));
    }

    #[test]
    fn an_entry_cut_anywhere_is_never_read_beyond_its_end() {
        let whole = hex(LISTENER);
        for length in 0..whole.len() {
            if let Ok(message) = UnixMessage::parse(&whole[..length]) {
                assert!(length >= 16, "{length}: {message:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_socket_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 1..256), ours in any::<bool>()) {
            if ours {
                bytes[0] = AF_UNIX;
            }
            let _ = UnixMessage::parse(&bytes);
        }
    }
}
