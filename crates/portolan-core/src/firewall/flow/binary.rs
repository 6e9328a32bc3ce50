//! Flows in a compact form: records of fixed size that are replayed as they lie in the file.
//!
//! ```text
//! file    = "PTLFLOW1" · u32 interfaces · interface* · u64 v4 · u64 v6 · record4* · record6*
//! interface = u16 length · its name                     (number 0 is the first; the empty name: unknown)
//! record4 = source 4 · destination 4 · source port 2 · destination port 2 · protocol 1 · 0 · interface 2
//! record6 = source 16 · destination 16 · the rest as record4
//! ```
//! All numbers in network order. For ICMP the first byte of the source port is the type, the second the code,
//! as they lie in the message; the destination port is 0.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Flow;

const MAGIC: &[u8; 8] = b"PTLFLOW1";

/// Bytes of a record with IPv4 addresses.
pub const RECORD4: usize = 16;
/// Bytes of a record with IPv6 addresses.
pub const RECORD6: usize = 40;
/// So many interfaces a file may name.
const MOST_INTERFACES: usize = 65_536;

/// Whether a file begins as one of these.
#[must_use]
pub fn is_binary(begin: &[u8]) -> bool {
    begin.starts_with(MAGIC)
}

/// What stands before the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The names of interfaces, by number.
    pub interfaces: Vec<Box<str>>,
    /// How many records with IPv4 addresses follow.
    pub v4: u64,
    /// How many with IPv6 addresses follow these.
    pub v6: u64,
    /// Where the first record begins.
    pub offset: usize,
}

/// Why bytes are no file of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    /// It does not begin as one.
    #[error("not a binary file of flows: it does not begin with PTLFLOW1")]
    Magic,
    /// It ends within its header.
    #[error("the header is cut off at byte {at}")]
    Header {
        /// Where.
        at: usize,
    },
    /// A name of an interface is not text, or there are too many.
    #[error("the interface names at byte {at} are not readable")]
    Interfaces {
        /// Where.
        at: usize,
    },
    /// There are more or fewer records than the header says.
    #[error("the header promises {expected} bytes of flows, and {found} follow")]
    Length {
        /// Promised.
        expected: u64,
        /// There.
        found: u64,
    },
}

impl Header {
    /// Reads it from the beginning of a file; needs no more than the header itself.
    ///
    /// # Errors
    /// When the bytes do not begin as a file of flows.
    pub fn read(bytes: &[u8]) -> Result<Self, BinaryError> {
        if !is_binary(bytes) {
            return Err(BinaryError::Magic);
        }
        let mut at = MAGIC.len();
        let count = u32::from_be_bytes(take(bytes, &mut at)?) as usize;
        if count > MOST_INTERFACES {
            return Err(BinaryError::Interfaces { at });
        }
        let mut interfaces = Vec::new();
        for _ in 0..count {
            let length: usize = u16::from_be_bytes(take(bytes, &mut at)?).into();
            let name = bytes.get(at..at + length).ok_or(BinaryError::Header { at })?;
            let name = std::str::from_utf8(name).map_err(|_| BinaryError::Interfaces { at })?;
            interfaces.push(name.into());
            at += length;
        }
        let v4 = u64::from_be_bytes(take(bytes, &mut at)?);
        let v6 = u64::from_be_bytes(take(bytes, &mut at)?);
        Ok(Self { interfaces, v4, v6, offset: at })
    }

    /// How many bytes of records the header promises.
    ///
    /// # Errors
    /// When it promises more than can be.
    pub fn promised(&self) -> Result<u64, BinaryError> {
        let v4 = self.v4.checked_mul(RECORD4 as u64);
        let v6 = self.v6.checked_mul(RECORD6 as u64);
        v4.zip(v6)
            .and_then(|(v4, v6)| v4.checked_add(v6))
            .ok_or(BinaryError::Length { expected: u64::MAX, found: 0 })
    }

    /// The records of a whole file: those of IPv4, then those of IPv6.
    ///
    /// # Errors
    /// When there are more or fewer than promised.
    pub fn records<'a>(&self, file: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), BinaryError> {
        let rest = file.get(self.offset..).unwrap_or_default();
        let (expected, found) = (self.promised()?, rest.len() as u64);
        if expected != found {
            return Err(BinaryError::Length { expected, found });
        }
        Ok(rest.split_at(self.v4 as usize * RECORD4))
    }

    /// A record as a flow; `None` where it is too short.
    #[must_use]
    pub fn flow(&self, record: &[u8]) -> Option<Flow> {
        let is_v6 = record.len() >= RECORD6;
        let (source, destination, rest) = if is_v6 {
            let address = |at: usize| -> Option<IpAddr> {
                let bytes: [u8; 16] = record.get(at..at + 16)?.try_into().ok()?;
                Some(Ipv6Addr::from(bytes).into())
            };
            (address(0)?, address(16)?, record.get(32..RECORD6)?)
        } else {
            let address = |at: usize| -> Option<IpAddr> {
                let bytes: [u8; 4] = record.get(at..at + 4)?.try_into().ok()?;
                Some(Ipv4Addr::from(bytes).into())
            };
            (address(0)?, address(4)?, record.get(8..RECORD4)?)
        };
        let number = |at: usize| Some(u16::from_be_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
        let interface = self.interfaces.get(usize::from(number(6)?));
        let protocol = *rest.get(4)?;
        let [kind, code] = number(0)?.to_be_bytes();
        let (source_port, destination_port) = match protocol {
            1 | 58 => (kind.into(), code.into()),
            _ => (number(0)?, number(2)?),
        };
        Some(Flow {
            protocol,
            source,
            source_port,
            destination,
            destination_port,
            interface: interface.cloned().unwrap_or_default(),
        })
    }
}

fn take<const N: usize>(bytes: &[u8], at: &mut usize) -> Result<[u8; N], BinaryError> {
    let found = bytes.get(*at..*at + N).and_then(|found| found.try_into().ok());
    let found = found.ok_or(BinaryError::Header { at: *at })?;
    *at += N;
    Ok(found)
}

/// Collects flows and writes them out as a file.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    interfaces: Vec<Box<str>>,
    v4: Vec<u8>,
    v6: Vec<u8>,
}

impl Writer {
    /// Adds a flow. Those of more interfaces than a file may name count as of an unknown one.
    pub fn push(&mut self, flow: &Flow) {
        let interface = self.interface(&flow.interface);
        let records = match (flow.source, flow.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.v4.extend(source.octets());
                self.v4.extend(destination.octets());
                &mut self.v4
            }
            (source, destination) => {
                self.v6.extend(six(source).octets());
                self.v6.extend(six(destination).octets());
                &mut self.v6
            }
        };
        let byte = |number: u16| u8::try_from(number).unwrap_or(0);
        let (first, second) = match flow.protocol {
            1 | 58 => ([byte(flow.source_port), byte(flow.destination_port)], [0, 0]),
            _ => (flow.source_port.to_be_bytes(), flow.destination_port.to_be_bytes()),
        };
        records.extend(first);
        records.extend(second);
        records.extend([flow.protocol, 0]);
        records.extend(interface.to_be_bytes());
    }

    /// The number of an interface; 0, the unknown one, for more than a file may name.
    fn interface(&mut self, name: &str) -> u16 {
        if self.interfaces.is_empty() {
            self.interfaces.push("".into());
        }
        let known = self.interfaces.iter().position(|known| &**known == name);
        let at = known.unwrap_or(self.interfaces.len());
        if at >= MOST_INTERFACES {
            return 0;
        }
        if known.is_none() {
            self.interfaces.push(name.into());
        }
        u16::try_from(at).unwrap_or(0)
    }

    /// The file, in the pieces it is to be written in.
    #[must_use]
    pub fn finish(self) -> [Vec<u8>; 3] {
        let mut header = MAGIC.to_vec();
        header.extend((self.interfaces.len() as u32).to_be_bytes());
        for name in &self.interfaces {
            let name = name.as_bytes().get(..usize::from(u16::MAX)).unwrap_or(name.as_bytes());
            header.extend((name.len() as u16).to_be_bytes());
            header.extend(name);
        }
        header.extend(((self.v4.len() / RECORD4) as u64).to_be_bytes());
        header.extend(((self.v6.len() / RECORD6) as u64).to_be_bytes());
        [header, self.v4, self.v6]
    }
}

fn six(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(four) => four.to_ipv6_mapped(),
        IpAddr::V6(six) => six,
    }
}

#[cfg(test)]
mod tests {
    use super::super::csv::Reader;
    use super::*;

    fn flows() -> Vec<Flow> {
        let text = "tcp,192.0.2.7,40000,10.0.0.1,443,eth0\nudp,2001:db8::1,53,fd00::1,5353,eth1\n\
                    icmp,192.0.2.7,8,10.0.0.1,0,";
        let mut reader = Reader::default();
        text.lines().map(|line| reader.line(line).unwrap().unwrap()).collect()
    }

    fn file() -> Vec<u8> {
        let mut writer = Writer::default();
        flows().iter().for_each(|flow| writer.push(flow));
        writer.finish().concat()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let file = file();
        let header = Header::read(&file).unwrap();
        let (v4, v6) = header.records(&file).unwrap();
        let records = v4.chunks_exact(RECORD4).chain(v6.chunks_exact(RECORD6));
        let mut read: Vec<Flow> = records.map(|record| header.flow(record).unwrap()).collect();
        read.sort();
        let mut written = flows();
        written.sort();
        assert_eq!(read, written);
    }

    #[test]
    fn a_file_cut_off_anywhere_is_an_error() {
        let file = file();
        for length in 0..file.len() {
            let cut = &file[..length];
            assert!(Header::read(cut).and_then(|header| header.records(cut).map(drop)).is_err());
        }
    }

    #[test]
    fn counts_that_cannot_be_are_an_error() {
        let mut file = b"PTLFLOW1\0\0\0\0".to_vec();
        file.extend([255; 16]);
        assert!(Header::read(&file).unwrap().records(&file).is_err());
        assert!(Header::read(b"PTLFLOW1\xff\xff\xff\xff").is_err());
    }
}
