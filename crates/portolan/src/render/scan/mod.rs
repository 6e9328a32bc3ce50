//! What a scan found: a table for reading, JSON, JSON Lines, CSV and nmap's XML for programs.
//!
//! Each form is a [`Sink`]. Those of lines write what is found as it comes; the others end properly
//! also when the scan is interrupted.

mod block;
mod csv;
mod hosts;
mod json;
mod jsonl;
mod lines;
mod nmap_xml;
mod os;
mod progress;
mod summary;
mod table;
mod words;

use std::collections::HashMap;
use std::io::Write;
use std::net::IpAddr;

use portolan_core::net::{Port, Transport};
use portolan_core::registry::Registry;

use crate::ops::scan::{Opening, Sink};
use crate::render::screen::Screen;
use crate::render::style::Style;

pub(crate) use progress::ProgressLine;
pub(crate) use summary::brief;

/// The forms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// For reading.
    Table,
    /// One JSON document.
    Json,
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values.
    Csv,
    /// The XML of nmap.
    NmapXml,
}

impl Form {
    /// Whether a scan that is killed leaves all it had found, in lines that are whole.
    pub(crate) const fn is_written_as_it_comes(self) -> bool {
        matches!(self, Self::Jsonl | Self::Csv)
    }
}

/// Where results are written.
pub(crate) struct Page<'a> {
    out: &'a mut dyn Write,
    width: usize,
    style: Style,
    /// Whether an earlier run has begun it.
    goes_on: bool,
    /// What is scanned.
    opening: &'a Opening,
    /// What the ports asked are usually called, where they have a name: every port is told of.
    services: HashMap<(Port, Transport), &'a str>,
}

impl<'a> Page<'a> {
    /// Standard output.
    pub(crate) fn of_screen(
        screen: &'a mut Screen,
        opening: &'a Opening,
        registry: &'a Registry,
    ) -> Self {
        let (width, style) = (screen.width, screen.style);
        let services = services(opening, registry);
        Self { out: screen, width, style, goes_on: false, opening, services }
    }

    /// A file; 80 columns wide, without colour.
    pub(crate) fn of_file(
        out: &'a mut dyn Write,
        goes_on: bool,
        opening: &'a Opening,
        registry: &'a Registry,
    ) -> Self {
        let services = services(opening, registry);
        Self { out, width: 80, style: Style::PLAIN, goes_on, opening, services }
    }

    /// The usual name of the service on a port.
    fn service(&self, port: Port, transport: Transport) -> Option<&'a str> {
        self.services.get(&(port, transport)).copied()
    }

    /// The name of an address.
    fn name(&self, address: IpAddr) -> Option<&'a str> {
        self.opening.names.get(&address).map(String::as_str)
    }
}

fn services<'a>(opening: &Opening, registry: &'a Registry) -> HashMap<(Port, Transport), &'a str> {
    let named =
        |(port, transport)| Some(((port, transport), registry.service_name(port, transport)?));
    opening.ports.iter().copied().filter_map(named).collect()
}

/// Who writes `form` on `page`.
pub(crate) fn sink(form: Form, page: Page<'_>) -> Box<dyn Sink + '_> {
    match form {
        Form::Table => Box::new(table::TableSink::new(page)),
        Form::Json => Box::new(json::JsonSink::new(page)),
        Form::Jsonl => Box::new(jsonl::JsonlSink::new(page)),
        Form::Csv => Box::new(csv::CsvSink::new(page)),
        Form::NmapXml => Box::new(nmap_xml::XmlSink::new(page)),
    }
}

#[cfg(test)]
mod tests;
