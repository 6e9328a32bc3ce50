//! Flows as CSV: `transport,src,sport,dst,dport,in`, a flow a line.
//!
//! A first line of these words is a header and may order the columns otherwise; without one they stand in
//! this order. `in` may be empty or missing. Blank lines and lines that begin with `#` are passed over.
//! No field of a flow needs quotes, so a quoted one is stripped of them and nothing more is understood.

use std::net::IpAddr;

use super::{Flow, protocol_name, protocol_number};
use crate::firewall::ReadError;

/// The columns, in their usual order.
const COLUMNS: [&str; 6] = ["transport", "src", "sport", "dst", "dport", "in"];

/// Reads lines one after another; knows the order of the columns.
#[derive(Clone, Debug)]
pub struct Reader {
    /// For each of [`COLUMNS`] where it stands.
    order: [Option<usize>; 6],
    line: usize,
    has_begun: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { order: std::array::from_fn(Some), line: 0, has_begun: false }
    }
}

impl Reader {
    /// The flow of the next line; `None` for a header, a comment, a blank line.
    ///
    /// # Errors
    /// When the line is not a flow, with its place.
    pub fn line(&mut self, text: &str) -> Result<Option<Flow>, ReadError> {
        self.line += 1;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() || text.starts_with('#') {
            return Ok(None);
        }
        let fields: Vec<&str> = text.split(',').map(bare).collect();
        if !std::mem::replace(&mut self.has_begun, true) && fields.contains(&"src") {
            self.header(&fields)?;
            return Ok(None);
        }
        self.flow(text, &fields).map(Some)
    }

    fn header(&mut self, fields: &[&str]) -> Result<(), ReadError> {
        self.order = COLUMNS.map(|column| fields.iter().position(|field| *field == column));
        let missing =
            COLUMNS.iter().zip(self.order).find(|(name, at)| at.is_none() && **name != "in");
        match missing {
            Some((name, _)) => Err(self.error(1, format!("the header names no column `{name}`"))),
            None => Ok(()),
        }
    }

    fn flow(&self, text: &str, fields: &[&str]) -> Result<Flow, ReadError> {
        let get =
            |column: usize| self.order[column].and_then(|at| fields.get(at)).copied().unwrap_or("");
        let wrong = |column: usize, what: &str| {
            let at = self.order[column].unwrap_or(0);
            let found = get(column);
            let problem = if found.is_empty() {
                format!("`{}` is missing", COLUMNS[column])
            } else {
                format!("`{found}` is not {what}")
            };
            self.error(column_of(text, at), problem)
        };
        let protocol =
            protocol_number(get(0)).ok_or_else(|| wrong(0, "a transport such as tcp or udp"))?;
        let address =
            |column| get(column).parse::<IpAddr>().map_err(|_| wrong(column, "an address"));
        let (source, destination) = (address(1)?, address(3)?);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(wrong(3, "of the same family as src"));
        }
        // Protocols without ports leave them empty.
        let port = |column| match get(column) {
            "" if !has_ports(protocol) => Ok(0),
            text => text.parse::<u16>().map_err(|_| wrong(column, "a port (0-65535)")),
        };
        Ok(Flow {
            protocol,
            source,
            source_port: port(2)?,
            destination,
            destination_port: port(4)?,
            interface: get(5).into(),
        })
    }

    fn error(&self, column: usize, problem: String) -> ReadError {
        ReadError::new(self.line, column, problem).hinting(
            "a flow is transport,src,sport,dst,dport,in: tcp,192.0.2.7,40000,10.0.0.1,443,eth0",
        )
    }
}

const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// A field without blanks and quotes around it.
fn bare(field: &str) -> &str {
    let field = field.trim();
    field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(field)
}

/// The column, from 1, at which a field begins.
fn column_of(text: &str, field: usize) -> usize {
    text.split(',').take(field).map(|before| before.chars().count() + 1).sum::<usize>() + 1
}

/// A flow as a line of CSV, without its end.
#[must_use]
pub fn line_of(flow: &Flow) -> String {
    format!(
        "{},{},{},{},{},{}",
        protocol_name(flow.protocol),
        flow.source,
        flow.source_port,
        flow.destination,
        flow.destination_port,
        flow.interface
    )
}

/// The usual header.
pub const HEADER: &str = "transport,src,sport,dst,dport,in";

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Flow>, ReadError> {
        let mut reader = Reader::default();
        text.lines().filter_map(|line| reader.line(line).transpose()).collect()
    }

    #[test]
    fn a_line_with_and_without_a_header_is_the_same_flow() {
        let plain = read("tcp,192.0.2.7,40000,10.0.0.1,443,eth0").unwrap();
        let headed =
            read("in,transport,src,dst,sport,dport\neth0,tcp,192.0.2.7,10.0.0.1,40000,443")
                .unwrap();
        assert_eq!(plain, headed);
        assert_eq!(line_of(&plain[0]), "tcp,192.0.2.7,40000,10.0.0.1,443,eth0");
    }

    #[test]
    fn a_bad_line_is_told_with_its_place() {
        let error =
            read("tcp,192.0.2.7,1,10.0.0.1,443\n\nudp,192.0.2.7,1,10.0.0.1,70000").unwrap_err();
        assert_eq!((error.line, error.column), (3, 26));
        assert_eq!(error.problem, "`70000` is not a port (0-65535)");
    }

    #[test]
    fn families_are_not_mixed() {
        let error = read("tcp,192.0.2.7,1,::1,443,").unwrap_err();
        assert_eq!(error.problem, "`::1` is not of the same family as src");
    }

    #[test]
    fn protocols_without_ports_need_none() {
        let flows = read("icmp,192.0.2.7,8,10.0.0.1,0,eth0\nesp,192.0.2.7,,10.0.0.1,,").unwrap();
        assert_eq!((flows[0].protocol, flows[0].source_port), (1, 8));
        assert_eq!((flows[1].protocol, flows[1].destination_port), (50, 0));
    }
}
