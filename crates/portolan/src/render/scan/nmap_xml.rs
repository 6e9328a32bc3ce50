//! A scan as the XML that importers of nmap's results read.
//!
//! Only the names of elements and attributes are nmap's, so that Faraday, DefectDojo, libnmap and
//! their like take the file; what our states and reasons are called stays ours.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::IpAddr;

use portolan_core::net::{PortSet, Transport};
use portolan_core::scan::{Canary, HostReport, PortState, Record};
use quick_xml::escape::escape;

use super::Page;
use super::block::{Block, Shape, Silence};
use super::summary;
use crate::ops::scan::{EngineKind, Sink, Summary};
use crate::render::sanitize::sanitize;

/// Writes a `host` element when a host is finished.
pub(super) struct XmlSink<'a> {
    page: Page<'a>,
    begun: HashMap<IpAddr, Block>,
}

impl<'a> XmlSink<'a> {
    pub(super) fn new(page: Page<'a>) -> Self {
        Self { page, begun: HashMap::new() }
    }

    fn write_host(&mut self, address: IpAddr, block: Block, report: &HostReport) -> io::Result<()> {
        let (rows, shapes) = block.finish(&self.page.opening.ports, None);
        let is_up = report.answered || !rows.is_empty();
        let (state, reason) = match (is_up, report.no_neighbour) {
            (true, _) => ("up", report.canary.map_or("user-set", answer)),
            (false, true) => ("down", "no-neighbour"),
            (false, false) => ("down", "no-response"),
        };
        let name = self.page.name(address).map(|name| escape(sanitize(name)).into_owned());
        let page = &mut self.page;
        let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
        let at = page.opening.started.as_second();
        writeln!(page.out, "<host starttime=\"{at}\" endtime=\"{at}\">")?;
        writeln!(page.out, "<status state=\"{state}\" reason=\"{reason}\" reason_ttl=\"0\"/>")?;
        writeln!(page.out, "<address addr=\"{address}\" addrtype=\"{family}\"/>")?;
        writeln!(page.out, "<hostnames>")?;
        if let Some(name) = name {
            writeln!(page.out, "<hostname name=\"{name}\" type=\"user\"/>")?;
        }
        writeln!(page.out, "</hostnames>\n<ports>")?;
        for row in &rows {
            let port =
                Port { transport: row.transport, state: row.state, reason: row.reason.to_string() };
            row.ports.iter().try_for_each(|number| port.write(page, number))?;
        }
        shapes.iter().try_for_each(|shape| write_shape(page, shape))?;
        writeln!(page.out, "</ports>")?;
        if let Some(rtt) = report.rtt.map(|rtt| rtt.as_micros()) {
            writeln!(page.out, "<times srtt=\"{rtt}\" rttvar=\"0\" to=\"0\"/>")?;
        }
        writeln!(page.out, "</host>")
    }
}

/// What told that the host is up.
const fn answer(canary: Canary) -> &'static str {
    match canary {
        Canary::Echo => "echo-reply",
        Canary::Closed(_) => "reset",
        Canary::Open(_) => "syn-ack",
        Canary::ClosedUdp(_) => "port-unreach",
    }
}

fn write_shape(page: &mut Page<'_>, shape: &Shape) -> io::Result<()> {
    let alike = shape.alike;
    let port =
        Port { transport: alike.transport, state: alike.state, reason: alike.reason.to_string() };
    shape.ports.iter().flat_map(|r| r.iter()).try_for_each(|number| port.write(page, number))
}

/// A `port` element without its number.
struct Port {
    transport: Transport,
    state: PortState,
    reason: String,
}

impl Port {
    fn write(&self, page: &mut Page<'_>, number: portolan_core::net::Port) -> io::Result<()> {
        let Self { transport, state, reason } = self;
        write!(page.out, "<port protocol=\"{transport}\" portid=\"{number}\">")?;
        let state = state.as_str();
        write!(page.out, "<state state=\"{state}\" reason=\"{reason}\" reason_ttl=\"0\"/>")?;
        if let Some(service) = page.service(number, *transport) {
            let service = escape(service);
            write!(page.out, "<service name=\"{service}\" method=\"table\" conf=\"3\"/>")?;
        }
        writeln!(page.out, "</port>")
    }
}

impl Sink for XmlSink<'_> {
    fn begin(&mut self) -> io::Result<()> {
        let opening = self.page.opening;
        let out = &mut self.page.out;
        let start = opening.started.as_second();
        let version = env!("CARGO_PKG_VERSION");
        writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE nmaprun>")?;
        write!(out, "<nmaprun scanner=\"portolan\" args=\"portolan scan\" start=\"{start}\" ")?;
        write!(out, "startstr=\"{}\" version=\"{version}\" ", opening.started)?;
        writeln!(out, "xmloutputversion=\"1.05\">")?;
        for transport in [Transport::Tcp, Transport::Udp] {
            let of_transport = opening.ports.iter().filter(|(_, t)| *t == transport);
            let ports: PortSet = of_transport.map(|(port, _)| (*port).into()).collect();
            if ports.is_empty() {
                continue;
            }
            let kind = match (transport, opening.engine.kind) {
                (Transport::Tcp, EngineKind::Connect) => "connect",
                (Transport::Tcp, EngineKind::Raw) => "syn",
                _ => "udp",
            };
            write!(out, "<scaninfo type=\"{kind}\" protocol=\"{transport}\" ")?;
            writeln!(out, "numservices=\"{}\" services=\"{ports}\"/>", ports.len())?;
        }
        Ok(())
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        // Whether a connection was kept makes no difference here.
        let record = Record { verified: None, ..record.clone() };
        self.begun.entry(record.address).or_default().take(&record, Silence::Kept);
        Ok(())
    }

    fn host(&mut self, report: &HostReport) -> io::Result<()> {
        let Some(address) = report.address else { return Ok(()) };
        let Some(block) = self.begun.remove(&address) else { return Ok(()) };
        self.write_host(address, block, report)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.page.out.flush()
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        for (address, block) in std::mem::take(&mut self.begun) {
            self.write_host(address, block, &HostReport::default())?;
        }
        let opening = self.page.opening;
        let tally = &summary.tally;
        let elapsed = summary.elapsed.as_secs_f64();
        let end = opening.started.as_second().saturating_add_unsigned(summary.elapsed.as_secs());
        let said = summary::lines(opening, summary, None).join("; ");
        let said = escape(sanitize(&said)).into_owned();
        let exit = if summary.interrupted.is_some() { "error" } else { "success" };
        let out = &mut self.page.out;
        write!(out, "<runstats><finished time=\"{end}\" timestr=\"{end}\" ")?;
        writeln!(out, "elapsed=\"{elapsed:.2}\" summary=\"{said}\" exit=\"{exit}\"/>")?;
        let (up, all) = (tally.answered, tally.hosts);
        let down = all.saturating_sub(up);
        writeln!(out, "<hosts up=\"{up}\" down=\"{down}\" total=\"{all}\"/>\n</runstats>")?;
        writeln!(out, "</nmaprun>")?;
        out.flush()
    }
}
