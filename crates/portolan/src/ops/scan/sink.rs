//! Who takes what a scan finds, as it is found: every form of output is one.

use std::io;

use portolan_core::scan::{HostReport, Record};

use super::Summary;

/// Takes what a scan finds.
pub(crate) trait Sink {
    /// It begins.
    fn begin(&mut self) -> io::Result<()>;

    /// A port has its final state.
    fn port(&mut self, record: &Record) -> io::Result<()>;

    /// All ports of a host have.
    fn host(&mut self, report: &HostReport) -> io::Result<()>;

    /// What was taken so far is to be where it cannot be lost by our own end.
    fn flush(&mut self) -> io::Result<()>;

    /// It is over.
    fn finish(&mut self, summary: &Summary) -> io::Result<()>;
}
