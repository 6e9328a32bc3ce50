//! sock_diag: the kernel's socket tables over netlink (sock_diag(7)).
//!
//! One file for each family's request and reply. A reply names user and inode of a socket, never a
//! process: that join is made elsewhere. Unknown attributes are skipped, so a newer kernel is read
//! as far as it is understood.

mod inet;
mod packet;
mod unix;

pub use inet::{InetFamily, InetMessage, InetRequest, Options, Selection, SocketId, protocol};
pub use packet::{PacketMessage, packet_dump};
pub use unix::{UnixMessage, unix_dump};

use super::netlink::NetlinkError;

/// SOCK_DIAG_BY_FAMILY, the type of every request and entry here.
pub const BY_FAMILY: u16 = 20;

/// SOCK_DESTROY, the type of a request that ends a socket instead of telling of it (kernel 4.5).
pub const DESTROY: u16 = 21;

/// Bytes that are no socket of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiagError {
    /// Fewer bytes than the fixed part takes.
    #[error("sock_diag: {found} bytes where an entry takes {needed}")]
    Short {
        /// Bytes that are there.
        found: usize,
        /// Bytes the fixed part takes.
        needed: usize,
    },
    /// An address family that was not asked for.
    #[error("sock_diag: unexpected address family {found}")]
    Family {
        /// The family's number.
        found: u8,
    },
    /// Attributes that are cut off or overlap.
    #[error(transparent)]
    Attributes(#[from] NetlinkError),
}

/// The fixed part of an entry and the attribute bytes behind it.
fn fixed<const N: usize>(body: &[u8]) -> Result<(&[u8; N], &[u8]), DiagError> {
    body.split_first_chunk().ok_or(DiagError::Short { found: body.len(), needed: N })
}

fn u16_be(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_ne(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Two words, the low one first, whatever the byte order (sock_diag_save_cookie).
fn cookie(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_ne(bytes, at)) | u64::from(u32_ne(bytes, at + 4)) << 32
}

fn cookie_words(cookie: u64) -> [u32; 2] {
    [cookie as u32, (cookie >> 32) as u32]
}

const AF_UNIX: u8 = 1;
const AF_PACKET: u8 = 17;

#[cfg(test)]
mod tests {
    /// Bytes from hexadecimal text as a little-endian kernel sends them; blanks are for the reader.
    pub(super) fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }
}
