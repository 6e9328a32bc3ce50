//! Observed flows, wherever they come from.

use std::fs::{self, File};
use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result};
use portolan_core::firewall::World;
use portolan_core::firewall::flow::binary::{self, Header, RECORD4, RECORD6, Writer};
use portolan_core::firewall::flow::{Flow, csv, log_line};
use portolan_core::firewall::simulate::Way;
use portolan_core::net::Gap;
use portolan_core::wire::conntrack::{Ends, Entry};
use portolan_host::firewall::world;
use portolan_host::{conntrack, files, flows};

use super::source;
use crate::fault::Fault;

/// Flows as records.
#[derive(Debug)]
pub(crate) struct Flows {
    /// What they are.
    pub(crate) header: Header,
    store: Store,
    /// Lines of a log that told of no flow.
    pub(crate) passed_over: u64,
    /// Connections of the kernel's table, and packets of its log, that go another way than the one asked about.
    pub(crate) elsewhere: u64,
    /// What could not be seen.
    pub(crate) gaps: Vec<Gap>,
}

#[derive(Debug)]
enum Store {
    File(File),
    Memory { v4: Vec<u8>, v6: Vec<u8> },
}

/// The name that stands for the kernel's table of connections.
const LIVE: &str = "conntrack";

/// How much of a file is read for its header: more than 65,536 interface names never need.
const HEADER: u64 = 2 << 20;

/// Opens a compact file, or reads a text. Of the kernel's table and of its log, what goes this way; all of it
/// without one.
///
/// # Errors
/// A file that cannot be read; a line that is no flow, with its place; nothing to work on.
pub(crate) fn load(path: &Path, way: Option<Way>) -> Result<Flows> {
    if path.as_os_str() == LIVE {
        return live(way);
    }
    if path.as_os_str() != "-" {
        let read = || format!("read {}", path.display());
        let (file, begin) = flows::beginning(path, HEADER).with_context(read)?;
        if binary::is_binary(&begin) {
            return compact(path, file, &begin);
        }
        if let Some((what, hint)) = source::packed(&begin, "--flows") {
            return Err(Fault::new(format!("{}: {what}", path.display()), hint));
        }
    }
    text(path, way)
}

fn compact(path: &Path, file: File, begin: &[u8]) -> Result<Flows> {
    let read = || format!("read {}", path.display());
    let header = Header::read(begin).with_context(read)?;
    let found = file.metadata().with_context(read)?.len().saturating_sub(header.offset as u64);
    let expected = header.promised().with_context(read)?;
    if expected != found {
        return Err(binary::BinaryError::Length { expected, found }).with_context(read);
    }
    Ok(Flows { header, store: Store::File(file), passed_over: 0, elsewhere: 0, gaps: Vec::new() })
}

/// What a text is, decided by its first line that is neither blank nor a comment.
enum Form {
    Unknown,
    Csv,
    Lines,
}

fn text(path: &Path, way: Option<Way>) -> Result<Flows> {
    let (mut writer, mut reader) = (Writer::default(), csv::Reader::default());
    let (mut form, mut passed_over, mut elsewhere, mut found) = (Form::Unknown, 0, 0, 0u64);
    let goes_there =
        |line: &str| way.is_none_or(|way| log_line::way(line).is_none_or(|its| its == way));
    let ended = flows::each_line(path, |line| {
        let line = line.trim_start_matches('\u{feff}');
        if matches!(form, Form::Unknown) && !line.trim().is_empty() && !line.starts_with('#') {
            let is_spaced = line.contains(' ') && !line.contains(',');
            let is_lines = log_line::read(line).is_some() || is_spaced;
            form = if is_lines { Form::Lines } else { Form::Csv };
        }
        match form {
            Form::Lines => match log_line::read(line) {
                Some(flow) if goes_there(line) => {
                    found += 1;
                    writer.push(&flow);
                }
                Some(_) => elsewhere += 1,
                None => passed_over += 1,
            },
            _ => {
                if let Some(flow) = reader.line(line)? {
                    found += 1;
                    writer.push(&flow);
                }
            }
        }
        Ok(())
    });
    ended.with_context(|| format!("read {}", path.display()))?.map_err(
        |error: portolan_core::firewall::ReadError| {
            let place = format!("{}:{}:{}", path.display(), error.line, error.column);
            Fault::new(format!("{place}: {}", error.problem), error.hint)
        },
    )?;
    if found == 0 && elsewhere > 0 {
        let what = format!("none of the {elsewhere} packets in {} goes this way", path.display());
        return Err(Fault::new(what, "--hook forward is for those that go through this machine"));
    }
    if found == 0 {
        let what = format!("{} tells of no flow", path.display());
        return Err(Fault::new(
            what,
            "see `portolan firewall replay --help` for what is understood",
        ));
    }
    Ok(Flows { passed_over, elsewhere, ..in_memory(writer) })
}

fn live(way: Option<Way>) -> Result<Flows> {
    let mut writer = Writer::default();
    let (seen, world) = (conntrack::connections(), world());
    let is_own = |address| is_own(&world.value, address);
    let (wanted, others): (Vec<_>, Vec<_>) = seen
        .value
        .iter()
        .partition(|entry| way.is_none_or(|way| way_of(entry, is_own) == Some(way)));
    if wanted.is_empty() {
        let what = match others.len() {
            0 => "the kernel's table holds no connection".to_owned(),
            n => format!("none of the {n} connections of the kernel's table goes this way"),
        };
        let hint = "ask while they are open, or take what was observed over days: a log, a CSV";
        return Err(Fault::new(what, hint));
    }
    wanted.iter().for_each(|entry| writer.push(&flow_of(entry)));
    let gaps = [seen.gaps, world.gaps].concat();
    Ok(Flows { gaps, elsewhere: others.len() as u64, ..in_memory(writer) })
}

fn is_own(world: &World, address: IpAddr) -> bool {
    address.is_loopback() || world.addresses.iter().any(|own| own.address == address)
}

/// Which way the packets of a connection went: to this machine or through it. `None`: it is of this
/// machine's own making. The answers' source is who was really spoken to, whatever was translated.
fn way_of(entry: &Entry, is_own: impl Fn(IpAddr) -> bool) -> Option<Way> {
    match (is_own(entry.original.source), is_own(entry.reply.source)) {
        (true, _) => None,
        (false, true) => Some(Way::Input),
        (false, false) => Some(Way::Forward),
    }
}

fn flow_of(entry: &Entry) -> Flow {
    let tuple = &entry.original;
    let (source_port, destination_port) = match tuple.ends {
        Ends::Ports { source, destination } => (source, destination),
        Ends::Icmp { kind, code, .. } => (kind.into(), code.into()),
        Ends::None => (0, 0),
    };
    Flow {
        protocol: tuple.protocol,
        source: tuple.source,
        source_port,
        destination: tuple.destination,
        destination_port,
        interface: "".into(),
    }
}

fn in_memory(writer: Writer) -> Flows {
    let [begin, v4, v6] = writer.finish();
    let header = Header::read(&begin).unwrap_or(Header {
        interfaces: Vec::new(),
        v4: (v4.len() / RECORD4) as u64,
        v6: (v6.len() / RECORD6) as u64,
        offset: begin.len(),
    });
    Flows {
        header,
        store: Store::Memory { v4, v6 },
        passed_over: 0,
        elsewhere: 0,
        gaps: Vec::new(),
    }
}

impl Flows {
    /// Runs `work` over all records of a family (`is_v6`), on several threads; each has a state of its own.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn each<S: Send>(
        &self,
        is_v6: bool,
        begin: impl Fn() -> S + Sync,
        work: impl Fn(&mut S, &[u8]) + Sync,
    ) -> Result<Vec<S>> {
        let size = if is_v6 { RECORD6 } else { RECORD4 };
        match &self.store {
            Store::Memory { v4, v6 } => {
                let mut state = begin();
                let records = if is_v6 { v6 } else { v4 };
                records.chunks_exact(size).for_each(|record| work(&mut state, record));
                Ok(vec![state])
            }
            Store::File(file) => {
                let each = |state: &mut S, piece: &[u8]| {
                    piece.chunks_exact(size).for_each(|record| work(state, record));
                };
                let range = self.range(is_v6);
                flows::each_piece(file, range, size, begin, each).context("read the flows")
            }
        }
    }

    fn range(&self, is_v6: bool) -> Range<u64> {
        let start = self.header.offset as u64;
        let middle = start + self.header.v4 * RECORD4 as u64;
        if is_v6 { middle..middle + self.header.v6 * RECORD6 as u64 } else { start..middle }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> u64 {
        self.header.v4 + self.header.v6
    }

    /// Writes them in the compact form; never over the file they come `from`.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub(crate) fn write(&self, from: &Path, path: &Path) -> Result<()> {
        let real = |path: &Path| fs::canonicalize(path).ok();
        if real(from).is_some_and(|from| real(path) == Some(from)) {
            let what = format!("{} holds the observed flows themselves", path.display());
            return Err(Fault::new(what, "name another file with --write"));
        }
        let mut writer = Writer::default();
        for is_v6 in [false, true] {
            let collect =
                |found: &mut Vec<Flow>, record: &[u8]| found.extend(self.header.flow(record));
            for flow in self.each(is_v6, Vec::new, collect)?.concat() {
                writer.push(&flow);
            }
        }
        let bytes = writer.finish().concat();
        files::replace(path, &bytes).with_context(|| format!("write {}", path.display()))
    }
}
