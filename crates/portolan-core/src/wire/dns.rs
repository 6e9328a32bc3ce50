//! DNS messages (RFC 1035 §4): the question for a name's addresses, and what a server says to it.
//!
//! Only what a stub resolver needs: one question, A and AAAA records, CNAME records followed within
//! the answer. No EDNS, so a UDP answer has at most 512 bytes and longer ones come over TCP.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// Which addresses of a name are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// IPv4 addresses (RFC 1035 §3.4.1).
    A,
    /// IPv6 addresses (RFC 3596).
    Aaaa,
}

impl RecordKind {
    /// Both, in the order in which they are told.
    pub const BOTH: [Self; 2] = [Self::A, Self::Aaaa];

    /// The word used everywhere: `A`, `AAAA`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
        }
    }

    /// Whether an address is of this kind.
    #[must_use]
    pub const fn is_of(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::A, IpAddr::V4(_)) | (Self::Aaaa, IpAddr::V6(_)))
    }

    const fn number(self) -> u16 {
        match self {
            Self::A => TYPE_A,
            Self::Aaaa => TYPE_AAAA,
        }
    }
}

/// A name that DNS can be asked for: labels of 1 to 63 bytes, 255 bytes together (RFC 1035 §2.3.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// Reads a name; a closing dot is dropped.
    ///
    /// # Errors
    /// What the name breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(NameError::Length { found: name.len() });
        }
        match name.split('.').find(|label| label.is_empty() || label.len() > LONGEST_LABEL) {
            Some("") => Err(NameError::EmptyLabel),
            Some(label) => Err(NameError::Label { found: label.len() }),
            None => Ok(Self(name.to_owned())),
        }
    }

    /// The name without a closing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a name has 1 to 253 bytes, not {found}")]
    Length {
        /// How long it is.
        found: usize,
    },
    /// Two dots in a row, or one in front.
    #[error("nothing stands between two dots")]
    EmptyLabel,
    /// A part that is too long.
    #[error("a part of a name has at most 63 bytes, not {found}")]
    Label {
        /// How long it is.
        found: usize,
    },
}

/// The question for the addresses of a name, recursion desired (RFC 1035 §4.1).
#[must_use]
pub fn query(id: u16, name: &DomainName, kind: RecordKind) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + name.0.len() + 6);
    bytes.extend(id.to_be_bytes());
    bytes.extend(RECURSION_DESIRED.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]); // one question, nothing else
    for label in name.0.split('.') {
        bytes.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(kind.number().to_be_bytes());
    bytes.extend(CLASS_IN.to_be_bytes());
    bytes
}

/// What a server said to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The number of the question.
    pub id: u16,
    /// How it went.
    pub code: ResponseCode,
    /// Whether it did not fit and is to be asked for over TCP.
    pub is_truncated: bool,
    /// The name that was asked, as the server repeats it; `None` where it repeats none.
    pub asked: Option<(String, u16)>,
    /// The addresses of the name, in the order of the answer.
    pub addresses: Vec<IpAddr>,
    /// The names it is an alias for, in the order in which they lead to the addresses.
    pub aliases: Vec<String>,
}

/// How a server answered (RFC 1035 §4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseCode {
    /// NOERROR. Without an address: the name is there, and has none of that kind.
    NoError,
    /// FORMERR: it did not understand the question.
    BadFormat,
    /// SERVFAIL: it failed, or its own servers did not answer, or DNSSEC did not hold.
    ServerFailure,
    /// NXDOMAIN: there is no such name.
    NoSuchName,
    /// NOTIMP.
    NotImplemented,
    /// REFUSED: it does not answer us.
    Refused,
    /// Any other.
    Other(u8),
}

impl ResponseCode {
    const fn of(number: u8) -> Self {
        match number {
            0 => Self::NoError,
            1 => Self::BadFormat,
            2 => Self::ServerFailure,
            3 => Self::NoSuchName,
            4 => Self::NotImplemented,
            5 => Self::Refused,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for ResponseCode {
    /// As dig(1) shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoError => f.write_str("NOERROR"),
            Self::BadFormat => f.write_str("FORMERR"),
            Self::ServerFailure => f.write_str("SERVFAIL"),
            Self::NoSuchName => f.write_str("NXDOMAIN"),
            Self::NotImplemented => f.write_str("NOTIMP"),
            Self::Refused => f.write_str("REFUSED"),
            Self::Other(number) => write!(f, "RCODE{number}"),
        }
    }
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no DNS answer: {what}")]
pub struct Malformed {
    what: &'static str,
}

impl Response {
    /// Reads an answer to a question for `kind`.
    ///
    /// # Errors
    /// When it is cut short (without saying so), no answer, or loops.
    pub fn parse(bytes: &[u8], kind: RecordKind) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(CUT)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let flags = word(2);
        if flags & ANSWER == 0 {
            return Err(Malformed { what: "it is a question" });
        }
        let mut response = Self {
            id: word(0),
            code: ResponseCode::of((flags & 0xf) as u8),
            is_truncated: flags & TRUNCATED != 0,
            asked: None,
            addresses: Vec::new(),
            aliases: Vec::new(),
        };
        let mut reader = Reader { bytes, at: HEADER };
        for _ in 0..word(4) {
            let name = reader.name()?;
            let asked = (name, reader.word()?);
            reader.word()?;
            response.asked.get_or_insert(asked);
        }
        match response.read_answers(&mut reader, word(6), kind) {
            // What is there may be used; what is missing is asked for over TCP.
            Err(_) if response.is_truncated => Ok(response),
            Err(error) => Err(error),
            Ok(()) => Ok(response),
        }
    }

    /// Whether it answers this question: the number, and the name and kind where they are repeated.
    #[must_use]
    pub fn answers(&self, id: u16, name: &DomainName, kind: RecordKind) -> bool {
        let is_same = |(asked, number): &(String, u16)| {
            asked.eq_ignore_ascii_case(&name.0) && *number == kind.number()
        };
        self.id == id && self.asked.as_ref().is_none_or(is_same)
    }

    /// Follows the aliases from the name asked to its addresses. Records of other names are not ours
    /// to believe.
    fn read_answers(
        &mut self,
        reader: &mut Reader<'_>,
        count: u16,
        kind: RecordKind,
    ) -> Result<(), Malformed> {
        let Some((mut name, _)) = self.asked.clone() else { return Ok(()) };
        let mut records = Vec::new();
        let read = (0..count).try_for_each(|_| {
            records.push(reader.record()?);
            Ok(())
        });
        while let Some(alias) = records.iter().find_map(|r| r.alias_of(&name)) {
            if self.aliases.len() == MOST_ALIASES {
                return Err(Malformed { what: "its aliases lead in a circle" });
            }
            self.aliases.push(alias.to_owned());
            alias.clone_into(&mut name);
        }
        self.addresses = records.iter().filter_map(|r| r.address_of(&name, kind)).collect();
        read
    }
}

/// A record of an answer, as far as it matters here.
struct Record {
    owner: String,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(String),
    Other,
}

impl Record {
    fn alias_of(&self, name: &str) -> Option<&str> {
        match &self.data {
            Data::Alias(alias) if self.owner.eq_ignore_ascii_case(name) => Some(alias),
            _ => None,
        }
    }

    fn address_of(&self, name: &str, kind: RecordKind) -> Option<IpAddr> {
        match self.data {
            Data::Address(address)
                if kind.is_of(address) && self.owner.eq_ignore_ascii_case(name) =>
            {
                Some(address)
            }
            _ => None,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let taken = self.bytes.get(self.at..).and_then(|rest| rest.get(..length)).ok_or(CUT)?;
        self.at += length;
        Ok(taken)
    }

    fn word(&mut self) -> Result<u16, Malformed> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn record(&mut self) -> Result<Record, Malformed> {
        let owner = self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.take(4)?; // how long it may be remembered
        let length = usize::from(self.word()?);
        let (start, data) = (self.at, self.take(length)?);
        let data = match kind {
            _ if class != CLASS_IN => Data::Other,
            TYPE_A => ipv4(data).map_or(Data::Other, Data::Address),
            TYPE_AAAA => ipv6(data).map_or(Data::Other, Data::Address),
            TYPE_CNAME => {
                // Its name may point back into the whole message.
                let mut inside = Reader { bytes: self.bytes, at: start };
                Data::Alias(inside.name()?)
            }
            _ => Data::Other,
        };
        Ok(Record { owner, data })
    }

    /// A name with its pointers followed (RFC 1035 §4.1.4). A pointer may only lead backwards, and
    /// so comes to an end.
    fn name(&mut self) -> Result<String, Malformed> {
        let mut name = String::new();
        let mut reader = Reader { bytes: self.bytes, at: self.at };
        let mut end = None;
        let mut floor = self.at;
        loop {
            let first = reader.take(1)?[0];
            match first & 0xc0 {
                0 if first == 0 => break,
                0 => reader.label(usize::from(first), &mut name)?,
                0xc0 => {
                    let low = reader.take(1)?[0];
                    end.get_or_insert(reader.at);
                    let target = usize::from(first & 0x3f) << 8 | usize::from(low);
                    if target >= floor {
                        return Err(Malformed { what: "a name points forwards" });
                    }
                    (floor, reader.at) = (target, target);
                }
                _ => return Err(Malformed { what: "a label of an unknown kind" }),
            }
        }
        self.at = end.unwrap_or(reader.at);
        Ok(name)
    }

    /// A label, written so that it reads back: dots and unprintable bytes inside it as RFC 1035 §5.1
    /// writes them.
    fn label(&mut self, length: usize, name: &mut String) -> Result<(), Malformed> {
        if !name.is_empty() {
            name.push('.');
        }
        for byte in self.take(length)? {
            match byte {
                b'.' | b'\\' => name.extend(['\\', char::from(*byte)]),
                0x21..=0x7e => name.push(char::from(*byte)),
                other => name.push_str(&format!("\\{other:03}")),
            }
        }
        // Escapes can make four letters of a byte.
        if name.len() > 4 * LONGEST_NAME {
            Err(Malformed { what: "a name too long" })
        } else {
            Ok(())
        }
    }
}

fn ipv4(data: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(data).ok().map(|bytes| Ipv4Addr::from(bytes).into())
}

fn ipv6(data: &[u8]) -> Option<IpAddr> {
    <[u8; 16]>::try_from(data).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

const CUT: Malformed = Malformed { what: "it is cut short" };
const HEADER: usize = 12;
const ANSWER: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const CLASS_IN: u16 = 1;
const TYPE_A: u16 = 1;
const TYPE_CNAME: u16 = 5;
const TYPE_AAAA: u16 = 28;
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
/// As many as resolvers follow (BIND: 16).
const MOST_ALIASES: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text).unwrap()
    }

    /// www.example.test is an alias for web.example.test, which has two addresses; every name but
    /// the first is a pointer.
    fn answer() -> Vec<u8> {
        let mut bytes = query(7, &name("www.example.test"), RecordKind::A);
        bytes[2] |= 0x80;
        bytes[7] = 3;
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 60, 0, 6, 3, b'w', b'e', b'b', 0xc0, 16]);
        let web = u8::try_from(bytes.len() - 6).unwrap();
        for last in [1, 2] {
            bytes.extend([0xc0, web, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, last]);
        }
        bytes
    }

    #[test]
    fn aliases_are_followed_to_the_addresses() {
        let response = Response::parse(&answer(), RecordKind::A).unwrap();
        assert_eq!(response.code, ResponseCode::NoError);
        assert_eq!(response.aliases, ["web.example.test"]);
        let expected: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
        assert_eq!(response.addresses, expected);
        assert!(response.answers(7, &name("WWW.example.test"), RecordKind::A));
        assert!(!response.answers(8, &name("www.example.test"), RecordKind::A));
        assert!(!response.answers(7, &name("www.example.test"), RecordKind::Aaaa));
        assert!(!response.answers(7, &name("example.test"), RecordKind::A));
    }

    #[test]
    fn addresses_of_a_name_nobody_asked_for_are_left_alone() {
        let mut bytes = answer();
        let from = bytes.len() - 32;
        bytes[from + 1] = 16; // the first address is said to be of example.test
        let response = Response::parse(&bytes, RecordKind::A).unwrap();
        assert_eq!(response.addresses, ["192.0.2.2".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn an_answer_cut_anywhere_is_refused_unless_it_says_so() {
        let bytes = answer();
        for length in 0..bytes.len() {
            assert!(Response::parse(&bytes[..length], RecordKind::A).is_err(), "{length}");
        }
        let mut said = bytes.clone();
        said[2] |= 0x02;
        said.truncate(bytes.len() - 3);
        let response = Response::parse(&said, RecordKind::A).unwrap();
        assert!(response.is_truncated);
        assert_eq!(response.addresses.len(), 1);
    }

    #[test]
    fn a_question_is_no_answer() {
        let bytes = query(1, &name("a.test"), RecordKind::Aaaa);
        assert!(Response::parse(&bytes, RecordKind::Aaaa).is_err());
    }

    #[test]
    fn a_pointer_that_leads_to_itself_or_forwards_is_refused() {
        let mut bytes = query(1, &name("a.test"), RecordKind::A);
        bytes[2] |= 0x80;
        let at = u8::try_from(bytes.len()).unwrap();
        for target in [at, at + 1, 0xff] {
            let mut bytes = bytes.clone();
            bytes[7] = 1;
            bytes.extend([0xc0, target, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]);
            assert!(Response::parse(&bytes, RecordKind::A).is_err());
        }
    }

    #[test]
    fn aliases_in_a_circle_come_to_an_end() {
        let mut bytes = query(1, &name("a.test"), RecordKind::A);
        bytes[2] |= 0x80;
        bytes[7] = 1;
        bytes.extend([0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 0, 0, 2, 0xc0, 12]);
        assert!(Response::parse(&bytes, RecordKind::A).is_err());
    }

    #[test]
    fn a_failure_is_told_by_its_code() {
        for (number, code) in [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (9, "RCODE9")] {
            let mut bytes = query(1, &name("a.test"), RecordKind::A);
            bytes[2] |= 0x80;
            bytes[3] |= number;
            let response = Response::parse(&bytes, RecordKind::A).unwrap();
            assert_eq!(response.code.to_string(), code);
            assert!(response.addresses.is_empty());
        }
    }

    #[test]
    fn a_name_that_dns_cannot_carry_is_refused() {
        for text in ["", ".", "a..b", ".a", &"x".repeat(64), &"x.".repeat(130)] {
            assert!(DomainName::parse(text).is_err(), "{text}");
        }
        assert_eq!(name("db.example.test.").as_str(), "db.example.test");
    }
}
