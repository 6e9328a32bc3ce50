//! IANA's own files, as CSV or XML, to the table this program searches.
//!
//! Both hold the same records: a name, a port or range or none, a transport or none, a description.
//! A file with anything else in those places is refused as a whole, with the line: half a registry
//! would say "unassigned" where it merely stopped reading. Other columns are left alone.

mod csv;
mod xml;

use std::collections::HashMap;

use crate::net::{Port, PortError, PortRange, Transport, TransportSet};
use crate::registry::iana::{self, HEADING};
use crate::registry::table::{self, Table};

pub use self::csv::csv;
pub use self::xml::xml;

/// Reads a file of IANA's, CSV or XML as its content says.
///
/// # Errors
/// [`ImportError`] with the line and what is wrong there.
pub fn read(bytes: &[u8]) -> Result<Import, ImportError> {
    let begin = without_mark(bytes).iter().find(|b| !b.is_ascii_whitespace());
    if begin == Some(&b'<') { xml(bytes) } else { csv(bytes) }
}

/// A file of IANA's, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// The day the file describes, `2026-08-17`: what it says of itself, else its youngest record.
    pub date: String,
    /// How many records it has, those without a name among them.
    pub records: usize,
    rows: Vec<Row>,
    /// How many rows there are when a range counts port by port.
    size: usize,
}

/// A record that says something: it has a name, or reserves a number without one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    name: String,
    ports: Option<PortRange>,
    transport: Option<Transport>,
    description: String,
}

impl Import {
    /// The table that `Registry::from_table` takes; `origin` is told to who asks where it is from.
    #[must_use]
    pub fn table(&self, origin: &str) -> String {
        let mut text = format!("{HEADING}{}\t{}\n", self.date, one_line(origin));
        for line in self.lines() {
            match line.port {
                Place::At(port) => text.push_str(&port.to_string()),
                Place::Portless => text.push('-'),
            }
            let letters = letters(&line.transports);
            text.extend(["\t", &letters, "\t", line.name, "\t", line.description, "\n"]);
        }
        text
    }

    /// The lines of the table: rows that differ in their transport alone share one, ranges have one
    /// a port, and the usual name of a port stands first.
    fn lines(&self) -> Vec<Line<'_>> {
        let mut places: HashMap<(Place, &str, &str), usize> = HashMap::new();
        let mut lines: Vec<Line<'_>> = Vec::new();
        for row in &self.rows {
            for port in row.places() {
                let key = (port, row.name.as_str(), row.description.as_str());
                let at = *places.entry(key).or_insert_with(|| {
                    lines.push(Line::of(port, row));
                    lines.len() - 1
                });
                lines[at].transports.push(row.transport);
            }
        }
        lines.sort_by_cached_key(|line| {
            (line.port, line.first_transport(), !line.is_usual(), !is_well_formed(line.name))
        });
        lines
    }

    fn push(&mut self, cells: &Cells<'_>) -> Result<(), Mistake> {
        self.records += 1;
        if let Some(row) = cells.row()? {
            self.size += row.ports.map_or(1, PortRange::len);
            self.rows.push(row);
        }
        if self.records.max(self.size) > MOST { Err(Mistake::TooMuch) } else { Ok(()) }
    }

    /// Refuses what has no record in it.
    fn finished(mut self, youngest: &str) -> Result<Self, ImportError> {
        if self.rows.is_empty() {
            return Err(ImportError { line: 1, mistake: Mistake::Nothing });
        }
        if self.date.is_empty() {
            youngest.clone_into(&mut self.date);
        }
        Ok(self)
    }
}

impl Row {
    fn places(&self) -> impl Iterator<Item = Place> {
        let ports = self.ports.into_iter().flat_map(PortRange::iter).map(Place::At);
        ports.chain(self.ports.is_none().then_some(Place::Portless))
    }
}

/// Where a line stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Place {
    At(Port),
    Portless,
}

/// A line of the table.
struct Line<'i> {
    port: Place,
    name: &'i str,
    description: &'i str,
    transports: Vec<Option<Transport>>,
}

impl<'i> Line<'i> {
    fn of(port: Place, row: &'i Row) -> Self {
        Self { port, name: &row.name, description: &row.description, transports: Vec::new() }
    }

    /// TCP's lines stand before UDP's, and those of no transport last.
    fn first_transport(&self) -> (bool, Option<Transport>) {
        let first = self.transports.iter().flatten().min().copied();
        (first.is_none(), first)
    }

    /// Whether our own table says that this name is the usual one of several.
    fn is_usual(&self) -> bool {
        let Place::At(port) = self.port else { return false };
        let table = Table::new(include_str!("../../../../../data/iana-usual.tsv"));
        table.at(port).map(table::cells).any(|[_port, letters, usual]| {
            let mut named = self.transports.iter().flatten();
            usual == self.name && named.any(|t| letters.contains(iana::letter_of(*t)))
        })
    }
}

/// The four cells of a record that count, as they stand in the file.
#[derive(Clone, Copy, Debug, Default)]
struct Cells<'r> {
    name: &'r str,
    ports: &'r str,
    transport: &'r str,
    description: &'r str,
}

impl Cells<'_> {
    /// What the record says; `None` for a number that is merely free.
    fn row(&self) -> Result<Option<Row>, Mistake> {
        let (name, ports, transport) = (self.name.trim(), self.ports.trim(), self.transport.trim());
        let ports = (!ports.is_empty()).then(|| ports.parse::<PortRange>()).transpose()?;
        let transport = (!transport.is_empty()).then(|| transport.parse()).transpose();
        let transport: Option<Transport> = transport
            .map_err(|_| Mistake::Transport { found: self.transport.trim().to_owned() })?;
        if name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Mistake::Name { found: name.escape_debug().to_string() });
        }
        let description = one_line(self.description);
        let free = description.is_empty() || starts_with_word(&description, "unassigned");
        if name.is_empty() && (free || ports.is_none() || transport.is_none()) {
            return Ok(None);
        }
        Ok(Some(Row { name: name.to_owned(), ports, transport, description }))
    }
}

/// Why a file is not IANA's registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {mistake}")]
pub struct ImportError {
    /// The line the record begins at, counted from one.
    pub line: u64,
    /// What is wrong there.
    pub mistake: Mistake,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// The first line does not name IANA's columns.
    #[error("no column `{column}`: this is not IANA's table of service names and port numbers")]
    Column {
        /// The column that is missing.
        column: &'static str,
    },
    /// Not the registry of service names and port numbers.
    #[error("not IANA's registry `service-names-port-numbers`")]
    NotTheRegistry,
    /// Bytes that are not UTF-8.
    #[error("not UTF-8")]
    Encoding,
    /// A port cell that is no port and no range.
    #[error(transparent)]
    Port(#[from] PortError),
    /// A transport nobody knows.
    #[error("`{found}` is not a transport; one of tcp, udp, sctp, dccp")]
    Transport {
        /// The text as given.
        found: String,
    },
    /// A name with blanks or control characters in it.
    #[error("`{found}` is not a service name")]
    Name {
        /// The text as given, escaped.
        found: String,
    },
    /// The file is no CSV or no XML.
    #[error("{reason}")]
    Syntax {
        /// What its reader says.
        reason: String,
    },
    /// The file ends inside a record.
    #[error("the file ends in the middle")]
    Truncated,
    /// No record in it.
    #[error("no assignment in it")]
    Nothing,
    /// More than IANA's registry can hold.
    #[error("more records or longer ranges than IANA's registry has")]
    TooMuch,
}

/// Records, and facts with ranges counted port by port; IANA's registry has some 14,500 of either.
const MOST: usize = 300_000;

/// The bytes without a byte order mark, which spreadsheets put in front.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// A text on one line: blanks and line breaks become one blank, IANA's remark about an older
/// spelling goes, control characters go.
/// Whether a text is a day as IANA writes it, `2026-08-17`, and nothing else.
fn is_date(text: &str) -> bool {
    text.parse::<jiff::civil::Date>().is_ok() && text.len() == "2026-08-17".len()
}

fn one_line(text: &str) -> String {
    const REMARK: &str = "IANA assigned this well-formed service name as a replacement for";
    let joined: Vec<&str> = text.split_whitespace().collect();
    let joined = joined.join(" ");
    let kept = joined.split(REMARK).next().unwrap_or_default().trim_end();
    kept.chars().filter(|c| !c.is_control()).collect()
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Transports as the table writes them: letters in IANA's order, `-` where none is named.
fn letters(transports: &[Option<Transport>]) -> String {
    let named: TransportSet = transports.iter().flatten().copied().collect();
    let bare = transports.contains(&None).then_some('-');
    named.iter().map(iana::letter_of).chain(bare).collect()
}

/// Whether a name is one that can be used (RFC 6335 §5.1); the registry keeps older ones as history.
fn is_well_formed(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

#[cfg(test)]
mod tests;
