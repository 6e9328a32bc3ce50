//! Netlink framing: requests out, messages and attributes back (netlink(7), RFC 3549 §2.3).
//!
//! ```text
//! datagram = message*      message   = length u32 · kind u16 · flags u16 · sequence u32 · port u32 · body
//!                          attribute = length u16 · kind u16 · value
//! ```
//! Numbers are in the machine's byte order, lengths count their own header, and everything starts
//! on a multiple of four. Nothing is copied: a message borrows the datagram it came in. What the
//! kernel reports in-band (an error, the end of a dump, a dump that was disturbed) is a value here.

use std::fmt;

/// Bytes in front of a message's body.
pub const HEADER: usize = 16;

/// Bytes in front of an attribute's value.
pub const ATTRIBUTE_HEADER: usize = 4;

/// NLM_F_REQUEST: this message asks for something.
pub const REQUEST: u16 = 0x01;

/// NLM_F_ACK: answer also when there is nothing to say but that it was done.
pub const ACKNOWLEDGE: u16 = 0x04;

/// NLM_F_CREATE and NLM_F_EXCL: make what is not there, and leave what is there as it is.
pub const CREATE: u16 = 0x600;

/// NLM_F_DUMP_INTR: the table changed while it was dumped; some entries may be missing or doubled.
pub const DUMP_INTERRUPTED: u16 = 0x10;

/// NLM_F_DUMP: answer with the whole table.
pub const DUMP: u16 = 0x300;

/// A request as the kernel takes it: header, then `body`.
#[must_use]
pub fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).expect("a request is far below 4 GiB");
    let mut bytes = Vec::with_capacity(align(HEADER + body.len()));
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend((flags | REQUEST).to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes()); // the kernel's own port
    bytes.extend(body);
    pad(&mut bytes);
    bytes
}

/// Appends one attribute to a request's body.
///
/// # Panics
/// When `value` is longer than an attribute can say, 65,531 bytes: ours never are.
pub fn push_attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).expect("our attributes are short");
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    pad(body);
}

/// The messages of one received datagram. Ends after the first malformed one.
#[must_use]
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

/// The attributes behind a message's fixed part. Ends after the first malformed one.
#[must_use]
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The sequence number of the request it answers.
    pub sequence: u32,
    /// Whether the table changed under the dump (NLM_F_DUMP_INTR).
    pub interrupted: bool,
    /// What it says.
    pub payload: Payload<'a>,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'a> {
    /// NLMSG_DONE: the dump is complete, or failed with the error inside.
    Done(Result<(), Errno>),
    /// NLMSG_ERROR: the request was refused, or, with `Ok`, acknowledged.
    Acknowledged(Result<(), Errno>),
    /// NLMSG_NOOP and NLMSG_OVERRUN: nothing for us.
    Nothing,
    /// An entry, to be read by its format.
    Entry {
        /// The message type, 16 and above.
        kind: u16,
        /// Everything behind the header.
        body: &'a [u8],
    },
}

/// An error number of the kernel, positive as in errno(3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// ENOENT: in a socket dump, that no diag module serves this protocol.
    pub const NOT_FOUND: Self = Self(2);
    /// EEXIST: what was to be made is there already.
    pub const EXISTS: Self = Self(17);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "errno {}", self.0)
    }
}

/// One attribute of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Its number, flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER) cut off.
    pub kind: u16,
    /// Its bytes, without padding.
    pub value: &'a [u8],
}

impl Attribute<'_> {
    /// The value as one byte, if it holds one.
    #[must_use]
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// The value as a number in the machine's order, if it is long enough.
    #[must_use]
    pub fn u32(&self) -> Option<u32> {
        self.value.first_chunk().copied().map(u32::from_ne_bytes)
    }

    /// The value as a number in the machine's order, if it is long enough.
    #[must_use]
    pub fn u64(&self) -> Option<u64> {
        self.value.first_chunk().copied().map(u64::from_ne_bytes)
    }
}

/// Bytes that are not netlink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetlinkError {
    /// Fewer bytes than a header takes.
    #[error("netlink: {found} bytes where a header takes {needed}")]
    Header {
        /// Bytes that are there.
        found: usize,
        /// Bytes a header takes.
        needed: usize,
    },
    /// A length that runs over the end of the bytes, or is shorter than its own header.
    #[error("netlink: a length of {length} with {available} bytes there")]
    Length {
        /// The length as given.
        length: usize,
        /// Bytes from its start to the end.
        available: usize,
    },
    /// An error or end-of-dump message without its number.
    #[error("netlink: a status message without a status")]
    Status,
}

/// Iterator of [`messages`].
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = self.take();
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

impl<'a> Messages<'a> {
    fn take(&mut self) -> Result<Message<'a>, NetlinkError> {
        let header = header::<HEADER>(self.rest)?;
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        let flags = u16::from_ne_bytes([header[6], header[7]]);
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
        let body = split(&mut self.rest, length as usize, HEADER)?;
        Ok(Message {
            sequence: u32::from_ne_bytes([header[8], header[9], header[10], header[11]]),
            interrupted: flags & DUMP_INTERRUPTED != 0,
            payload: payload(kind, body)?,
        })
    }
}

/// Iterator of [`attributes`].
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, NetlinkError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let attribute = self.take();
        if attribute.is_err() {
            self.rest = &[];
        }
        Some(attribute)
    }
}

impl<'a> Attributes<'a> {
    fn take(&mut self) -> Result<Attribute<'a>, NetlinkError> {
        let header = header::<ATTRIBUTE_HEADER>(self.rest)?;
        let length = u16::from_ne_bytes([header[0], header[1]]);
        let kind = u16::from_ne_bytes([header[2], header[3]]) & NLA_TYPE_MASK;
        let value = split(&mut self.rest, usize::from(length), ATTRIBUTE_HEADER)?;
        Ok(Attribute { kind, value })
    }
}

fn payload(kind: u16, body: &[u8]) -> Result<Payload<'_>, NetlinkError> {
    match kind {
        NLMSG_ERROR => Ok(Payload::Acknowledged(status(body)?)),
        NLMSG_DONE => Ok(Payload::Done(if body.is_empty() { Ok(()) } else { status(body)? })),
        0..FIRST_OWN_KIND => Ok(Payload::Nothing),
        kind => Ok(Payload::Entry { kind, body }),
    }
}

/// The kernel writes the error negated, zero for success.
fn status(body: &[u8]) -> Result<Result<(), Errno>, NetlinkError> {
    let number = i32::from_ne_bytes(*body.first_chunk().ok_or(NetlinkError::Status)?);
    Ok(if number == 0 { Ok(()) } else { Err(Errno(number.saturating_neg())) })
}

fn header<const N: usize>(rest: &[u8]) -> Result<&[u8; N], NetlinkError> {
    rest.first_chunk().ok_or(NetlinkError::Header { found: rest.len(), needed: N })
}

/// Cuts `length` bytes and their padding off `rest`; gives what stands behind the header.
fn split<'a>(rest: &mut &'a [u8], length: usize, header: usize) -> Result<&'a [u8], NetlinkError> {
    let bytes = *rest;
    let body =
        bytes.get(header..length).ok_or(NetlinkError::Length { length, available: bytes.len() })?;
    // The last one of a datagram may come without its padding.
    *rest = bytes.get(align(length)..).unwrap_or_default();
    Ok(body)
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(align(bytes.len()), 0);
}

const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const FIRST_OWN_KIND: u16 = 16; // NLMSG_MIN_TYPE
const NLA_TYPE_MASK: u16 = 0x3fff;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(datagram: &[u8]) -> (u16, &[u8]) {
        match messages(datagram).next() {
            Some(Ok(Message { payload: Payload::Entry { kind, body }, .. })) => (kind, body),
            other => panic!("not an entry: {other:?}"),
        }
    }

    fn status_message(kind: u16, status: i32) -> Vec<u8> {
        request(kind, 0, 7, &status.to_ne_bytes())
    }

    fn payload_of(datagram: &[u8]) -> Payload<'_> {
        messages(datagram).next().unwrap().unwrap().payload
    }

    #[test]
    fn the_end_of_a_dump_carries_its_failure() {
        assert_eq!(payload_of(&status_message(NLMSG_DONE, 0)), Payload::Done(Ok(())));
        assert_eq!(
            payload_of(&status_message(NLMSG_DONE, -2)),
            Payload::Done(Err(Errno::NOT_FOUND))
        );
        assert_eq!(payload_of(&request(NLMSG_DONE, 0, 7, &[])), Payload::Done(Ok(())));
    }

    #[test]
    fn a_refusal_carries_a_positive_errno() {
        assert_eq!(payload_of(&status_message(NLMSG_ERROR, 0)), Payload::Acknowledged(Ok(())));
        assert_eq!(
            payload_of(&status_message(NLMSG_ERROR, -22)),
            Payload::Acknowledged(Err(Errno(22)))
        );
        assert!(matches!(
            payload_of(&status_message(NLMSG_ERROR, i32::MIN)),
            Payload::Acknowledged(Err(Errno(i32::MAX)))
        ));
    }

    #[test]
    fn a_status_without_its_number_is_malformed() {
        let short = request(NLMSG_ERROR, 0, 7, &[1, 2]);
        assert_eq!(messages(&short).next(), Some(Err(NetlinkError::Status)));
    }

    #[test]
    fn a_disturbed_dump_says_so_on_its_messages() {
        let datagram = request(20, DUMP_INTERRUPTED, 7, &[]);
        assert!(messages(&datagram).next().unwrap().unwrap().interrupted);
    }

    #[test]
    fn a_length_shorter_than_its_header_ends_the_datagram() {
        let mut datagram = request(20, 0, 7, &[1, 2, 3, 4]);
        datagram[0] = 3;
        let found: Vec<_> = messages(&datagram).collect();
        assert_eq!(found, [Err(NetlinkError::Length { length: 3, available: 20 })]);
    }

    #[test]
    fn attribute_flags_are_not_part_of_the_kind() {
        let mut body = Vec::new();
        push_attribute(&mut body, 0x8000 | 5, &[1]);
        let found = attributes(&body).next().unwrap().unwrap();
        assert_eq!((found.kind, found.value), (5, &[1][..]));
    }

    proptest! {
        #[test]
        fn messages_and_attributes_come_back_as_sent(
            kind in FIRST_OWN_KIND..,
            sequence in any::<u32>(),
            values in prop::collection::vec((0..=NLA_TYPE_MASK, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        ) {
            let mut body = Vec::new();
            for (kind, value) in &values {
                push_attribute(&mut body, *kind, value);
            }
            let mut datagram = request(kind, DUMP, sequence, &body);
            datagram.extend(request(NLMSG_DONE, 0, sequence, &[]));

            let found: Vec<_> = messages(&datagram).map(Result::unwrap).collect();
            prop_assert_eq!(found.len(), 2);
            prop_assert!(found.iter().all(|m| m.sequence == sequence));
            prop_assert_eq!(found[1].payload, Payload::Done(Ok(())));
            let (found_kind, found_body) = entry(&datagram);
            prop_assert_eq!(found_kind, kind);
            let back: Vec<_> = attributes(found_body)
                .map(|a| a.map(|a| (a.kind, a.value.to_vec())).unwrap())
                .collect();
            prop_assert_eq!(back, values);
        }

        #[test]
        fn a_datagram_cut_anywhere_is_an_error_or_a_shorter_list(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let datagram = request(20, 0, 1, &body);
            for length in 1..HEADER + body.len() {
                let found: Vec<_> = messages(&datagram[..length]).collect();
                prop_assert!(matches!(found[..], [Err(_)]), "at {length}: {found:?}");
            }
        }

        #[test]
        fn any_bytes_end_within_as_many_steps(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(messages(&bytes).count() <= bytes.len());
            prop_assert!(attributes(&bytes).count() <= bytes.len());
        }
    }
}
