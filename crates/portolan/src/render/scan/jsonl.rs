//! A scan as JSON Lines: an object a port as it is found, one a host that answered, the summary last.

use std::io::{self, Write as _};

use portolan_core::scan::{HostReport, Record};
use serde::Serialize;

use super::Page;
use super::json::{HostJson, RecordJson, SummaryJson, is_worth_telling, to};
use super::lines::Lines;
use crate::ops::scan::{Sink, Summary};
use crate::render::json::GapJson;

/// Writes lines.
pub(super) struct JsonlSink<'a> {
    lines: Lines,
    page: Page<'a>,
}

impl<'a> JsonlSink<'a> {
    pub(super) fn new(page: Page<'a>) -> Self {
        Self { lines: Lines::new(), page }
    }

    fn line(&mut self, object: &impl Serialize) -> io::Result<()> {
        self.lines.line(self.page.out, |mut out| {
            to(&mut out, object)?;
            out.write_all(b"\n")
        })
    }
}

impl Sink for JsonlSink<'_> {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        let object = RecordJson::new(record, &self.page, Some("port"));
        self.line(&object)
    }

    fn host(&mut self, report: &HostReport) -> io::Result<()> {
        if !is_worth_telling(report) {
            return Ok(());
        }
        let object = HostJson::new(report, &self.page, Some("host"));
        self.line(&object)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lines.flush(self.page.out)
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let opening = self.page.opening;
        let gaps = opening.gaps.iter().map(GapJson::from).collect();
        let summary = SummaryJson::new(opening, summary, Some("summary"));
        self.line(&Last { summary, gaps })?;
        self.lines.flush(self.page.out)
    }
}

/// The last line.
#[derive(Serialize)]
struct Last {
    #[serde(flatten)]
    summary: SummaryJson,
    gaps: Vec<GapJson>,
}
