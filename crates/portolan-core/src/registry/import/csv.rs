//! IANA's registry as CSV (RFC 4180): quoted cells that go over several lines.
//!
//! Columns are found by their headings, so that one more or in another order does not matter.

use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::{Cells, Import, ImportError, Mistake, is_date, without_mark};

/// Reads IANA's CSV.
///
/// # Errors
/// [`ImportError`] with the line and what is wrong there.
pub fn csv(bytes: &[u8]) -> Result<Import, ImportError> {
    let mut reader = ReaderBuilder::new().from_reader(without_mark(bytes));
    let columns = Columns::of(&mut reader)?;
    let (mut import, mut youngest) = (Import::default(), String::new());
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(|e| syntax(&e))? {
        let line = record.position().map_or(0, csv::Position::line);
        let at = |mistake| ImportError { line, mistake };
        let cells = columns.cells(&record).map_err(at)?;
        import.push(&cells).map_err(at)?;
        for date in columns.dates.iter().filter_map(|i| text(&record, *i).ok()) {
            if date > youngest.as_str() && is_date(date) {
                date.clone_into(&mut youngest);
            }
        }
    }
    import.finished(&youngest)
}

/// Where the columns stand.
struct Columns {
    name: usize,
    ports: usize,
    transport: usize,
    description: usize,
    dates: Vec<usize>,
}

impl Columns {
    fn of(reader: &mut Reader<&[u8]>) -> Result<Self, ImportError> {
        let headings = reader.byte_headers().map_err(|e| syntax(&e))?;
        let place = |column: &str| {
            headings.iter().position(|h| h.trim_ascii().eq_ignore_ascii_case(column.as_bytes()))
        };
        let needed = |column| {
            place(column).ok_or(ImportError { line: 1, mistake: Mistake::Column { column } })
        };
        Ok(Self {
            name: needed("Service Name")?,
            ports: needed("Port Number")?,
            transport: needed("Transport Protocol")?,
            description: needed("Description")?,
            dates: ["Registration Date", "Modification Date"]
                .into_iter()
                .filter_map(place)
                .collect(),
        })
    }

    fn cells<'r>(&self, record: &'r ByteRecord) -> Result<Cells<'r>, Mistake> {
        Ok(Cells {
            name: text(record, self.name)?,
            ports: text(record, self.ports)?,
            transport: text(record, self.transport)?,
            description: text(record, self.description)?,
        })
    }
}

fn text(record: &ByteRecord, column: usize) -> Result<&str, Mistake> {
    str::from_utf8(record.get(column).unwrap_or_default()).map_err(|_| Mistake::Encoding)
}

fn syntax(error: &csv::Error) -> ImportError {
    let line = error.position().map_or(1, csv::Position::line);
    let mistake = match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => Mistake::Syntax {
            reason: format!("a record of {len} cells where the heading has {expected_len}"),
        },
        ErrorKind::Utf8 { .. } => Mistake::Encoding,
        _ => Mistake::Syntax { reason: error.to_string() },
    };
    ImportError { line, mistake }
}
