//! A scan as comma-separated values, a row a port as it is found.

use std::io;

use csv::WriterBuilder;
use portolan_core::scan::{HostReport, Record};

use super::lines::Lines;
use super::{Page, words};
use crate::ops::scan::{Sink, Summary};
use crate::render::sanitize::sanitize;

/// Writes rows.
pub(super) struct CsvSink<'a> {
    lines: Lines,
    page: Page<'a>,
}

impl<'a> CsvSink<'a> {
    pub(super) fn new(page: Page<'a>) -> Self {
        Self { lines: Lines::new(), page }
    }

    fn row<'c>(&mut self, cells: impl IntoIterator<Item = &'c str>) -> io::Result<()> {
        self.lines.line(self.page.out, |out| {
            let mut writer = WriterBuilder::new().from_writer(out);
            writer.write_record(cells).map_err(io::Error::other)?;
            writer.flush()
        })
    }
}

impl Sink for CsvSink<'_> {
    fn begin(&mut self) -> io::Result<()> {
        if self.page.goes_on { Ok(()) } else { self.row(HEADER) }
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        let name = self.page.name(record.address).map(|n| sanitize(n).into_owned());
        let cells = [
            record.address.to_string(),
            record.port.to_string(),
            record.transport.as_str().to_owned(),
            record.state.as_str().to_owned(),
            record.reason.to_string(),
            shown(record.from),
            record.tries.to_string(),
            shown(record.rtt.map(|rtt| rtt.as_micros())),
            shown(record.miss_probability),
            shown(record.verified),
            self.page.service(record.port, record.transport).unwrap_or_default().to_owned(),
            name.unwrap_or_default(),
            record.note.map(words::note).unwrap_or_default().to_owned(),
        ];
        self.row(cells.iter().map(String::as_str))
    }

    fn host(&mut self, _: &HostReport) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush(self.page.out)
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.lines.flush(self.page.out)
    }
}

const HEADER: [&str; 13] = [
    "ip",
    "port",
    "transport",
    "state",
    "reason",
    "from",
    "tries",
    "rtt_us",
    "miss_probability",
    "verified",
    "service",
    "hostname",
    "note",
];

fn shown<T: ToString>(value: Option<T>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}
