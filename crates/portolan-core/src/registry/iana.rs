//! IANA's Service Name and Transport Protocol Port Number Registry (RFC 6335), as a sorted text.
//!
//! The embedded copy is made by `data/refresh`; `import` makes the same text from IANA's own files.
//! Several names can belong to one port and transport (80 is http, www and www-http): the usual one
//! stands first.

use std::borrow::Cow;

use crate::net::{Port, PortRange, Transport, TransportSet};
use crate::registry::table::{self, Key, Table};

/// The registry as text, checked.
#[derive(Clone, Debug)]
pub(super) struct Iana {
    text: Cow<'static, str>,
}

impl Iana {
    /// The copy inside this program.
    pub(super) const fn embedded() -> Self {
        Self { text: Cow::Borrowed(include_str!("../../../../data/iana.tsv")) }
    }

    /// A copy from elsewhere.
    pub(super) fn from_table(text: String) -> Result<Self, TableError> {
        check(&text)?;
        Ok(Self { text: Cow::Owned(text) })
    }

    /// Which copy this is.
    pub(super) fn edition(&self) -> Edition<'_> {
        let first = self.text.lines().next().unwrap_or_default();
        let [_, _, date, origin] = table::cells(first);
        Edition { date, origin }
    }

    /// The rows of one port, usual names first.
    pub(super) fn at(&self, port: Port) -> impl Iterator<Item = Assignment<'_>> {
        Table::new(&self.text).at(port).map(Assignment::from_row)
    }

    /// The rows of every port of `range`, ascending.
    pub(super) fn within(&self, range: PortRange) -> impl Iterator<Item = Assignment<'_>> {
        Table::new(&self.text).within(range).map(Assignment::from_row)
    }

    /// Every row.
    pub(super) fn all(&self) -> impl Iterator<Item = Assignment<'_>> {
        Table::new(&self.text).rows().map(Assignment::from_row)
    }

    /// The rows of a name; case does not count (RFC 6335 §5.1).
    pub(super) fn named(&self, name: &str) -> Vec<Assignment<'_>> {
        let is_named = |row: &&str| {
            let [_port, _letters, service, _] = table::cells(row);
            service.eq_ignore_ascii_case(name)
        };
        Table::new(&self.text).rows().filter(is_named).map(Assignment::from_row).collect()
    }

    /// How many bytes the text has.
    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }
}

/// Which copy of the registry this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition<'a> {
    /// The day it describes, `2026-09-17`; empty where its source did not tell.
    pub date: &'a str,
    /// Where it comes from, a phrase.
    pub origin: &'a str,
}

/// What IANA has assigned: a row of its registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment<'a> {
    /// The port; `None` for a name that is only used in DNS (RFC 6335 §3).
    pub port: Option<Port>,
    /// The transports this row is for; empty where IANA names none.
    pub transports: TransportSet,
    /// The service name in IANA's spelling; `None` where a number is reserved without one.
    pub service: Option<&'a str>,
    /// IANA's description on one line; may be empty.
    pub description: &'a str,
}

impl<'a> Assignment<'a> {
    fn from_row(row: &'a str) -> Self {
        let [port, letters, service, description] = table::cells(row);
        Self {
            port: port.parse().ok(),
            transports: letters.chars().filter_map(transport_of).collect(),
            service: Some(service).filter(|s| !s.is_empty()),
            description,
        }
    }
}

/// How many facts a copy of the registry holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Triples of port, transport and name.
    pub assignments: usize,
    /// Different names, those without a port among them.
    pub names: usize,
    /// Names that have no port.
    pub portless: usize,
    /// Bytes of the text.
    pub bytes: usize,
}

/// Why a text is no table of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The first line is not the one that `portolan registry update` writes.
    #[error("line 1: not a table that `portolan registry update` wrote")]
    Heading,
    /// A row without its four cells, or with something else in them.
    #[error("line {line}: not a row of port, transports, name and description")]
    Row {
        /// Counted from one.
        line: usize,
    },
    /// Rows are not sorted by port.
    #[error("line {line}: out of order")]
    Order {
        /// Counted from one.
        line: usize,
    },
}

/// How the first line begins; the number is the format's version.
pub(super) const HEADING: &str = "#portolan-iana\t1\t";

/// Transports as the letters of the table.
pub(super) const fn letter_of(transport: Transport) -> char {
    match transport {
        Transport::Tcp => 't',
        Transport::Udp => 'u',
        Transport::Sctp => 's',
        Transport::Dccp => 'd',
    }
}

/// The transport of a letter.
pub(super) fn transport_of(letter: char) -> Option<Transport> {
    Transport::ALL.into_iter().find(|t| letter_of(*t) == letter)
}

fn check(text: &str) -> Result<(), TableError> {
    if !text.starts_with(HEADING) || !text.ends_with('\n') {
        return Err(TableError::Heading);
    }
    if let Some(at) = text.bytes().position(|b| b.is_ascii_control() && b != b'\t' && b != b'\n') {
        return Err(TableError::Row { line: text[..at].split('\n').count() });
    }
    if let Some(row) = text.split_terminator('\n').skip(1).position(|row| !is_row(row)) {
        return Err(TableError::Row { line: row + 2 });
    }
    table::first_out_of_order(text).map_or(Ok(()), |line| Err(TableError::Order { line }))
}

fn is_row(row: &str) -> bool {
    let mut cells = row.split('\t');
    let [port, letters, name] = [0; 3].map(|_| cells.next().unwrap_or_default());
    let has_port = match table::key_of(row.as_bytes()) {
        Key::Port(_) => port.parse::<Port>().is_ok(),
        Key::Portless => port == "-" && !name.is_empty(),
        Key::Heading => false,
    };
    let known = |c| c == '-' || transport_of(c).is_some();
    has_port && !letters.is_empty() && letters.chars().all(known) && cells.count() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_sound() {
        assert_eq!(check(include_str!("../../../../data/iana.tsv")), Ok(()));
    }

    #[test]
    fn a_broken_table_is_refused_with_its_line() {
        let table = |rows: &str| Iana::from_table(format!("{HEADING}2026-01-01\tx\n{rows}")).err();
        assert_eq!(table("80\tt\thttp\t\n"), None);
        assert_eq!(table("80\tt\thttp\n"), Some(TableError::Row { line: 2 }));
        assert_eq!(table("80\tx\thttp\t\n"), Some(TableError::Row { line: 2 }));
        assert_eq!(table("99999\tt\thttp\t\n"), Some(TableError::Row { line: 2 }));
        assert_eq!(
            table("7\tt\techo\t\n80\tt\thttp\t\x1b[2J\n"),
            Some(TableError::Row { line: 3 })
        );
        assert_eq!(table("80\tt\thttp\t\n7\tt\techo\t\n"), Some(TableError::Order { line: 3 }));
        assert_eq!(table("80\tt\thttp\t"), Some(TableError::Heading));
        assert_eq!(Iana::from_table(String::new()).err(), Some(TableError::Heading));
    }
}
