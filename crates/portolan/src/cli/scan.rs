//! `portolan scan TARGET…`.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use anyhow::Result;

use crate::cli::args::{Global, Scan, ScanEngine};
use crate::exit::Exit;
use crate::fault::{Fault, Hinted as _};
use crate::ops::scan::{Family, Opening, Request, Summary, Wanted, prepare};
use crate::render::scan::{Form, Page, ProgressLine, brief, sink};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Scans: 0 once every port has an answer, 3 if some stayed unknown, 128 and the signal when
/// interrupted.
pub(crate) fn run(arguments: &Scan, global: &Global) -> Result<Exit> {
    let form = form(arguments, global)?;
    let observed = ops::registry::load();
    let (mut opening, ready) = prepare(&request(arguments, global), &observed.value)?;
    opening.gaps.extend(observed.gaps);
    if arguments.numeric {
        opening.names.clear();
    }
    let mut screen = Screen::open(global);
    let mut file = match &arguments.output {
        Some(path) => Some(OutputFile::open(path, opening.resumed > 0)?),
        None => None,
    };
    let page = match &mut file {
        Some(file) => Page::of_file(&mut file.out, file.goes_on, &opening, &observed.value),
        None => Page::of_screen(&mut screen, &opening, &observed.value),
    };
    let mut progress = ProgressLine::on_stderr(form, arguments.output.is_some());
    let mut sink = sink(form, page);
    let ran = ready.run(&mut *sink, &mut |told| progress.draw(told));
    drop(sink);
    progress.clear();
    let summary = ran?;
    screen.flush()?;
    if arguments.output.is_some() || form == Form::Csv {
        brief(&opening, &summary);
    }
    if form != Form::Json {
        render::gap::print(&opening.gaps, global.color);
    }
    Ok(end(&opening, &summary))
}

fn request(arguments: &Scan, global: &Global) -> Request {
    let family = match (arguments.ipv4, arguments.ipv6) {
        (true, _) => Some(Family::V4),
        (false, true) => Some(Family::V6),
        (false, false) => None,
    };
    Request {
        targets: arguments.targets.clone(),
        exclude: arguments.exclude.clone(),
        ports: arguments.ports.clone(),
        family,
        rate: arguments.rate,
        budget: arguments.budget,
        outstanding: usize::try_from(arguments.outstanding).unwrap_or(usize::MAX),
        engine: match arguments.engine {
            ScanEngine::Auto => Wanted::Auto,
            ScanEngine::Connect => Wanted::Connect,
            ScanEngine::Raw => Wanted::Raw,
        },
        interface: arguments.interface.clone(),
        source: arguments.source,
        seed: arguments.seed,
        shard: arguments.shard,
        resume: arguments.resume.clone(),
        public: arguments.public,
        asked: global.asked(),
    }
}

/// The one form that was asked for, and whether it suits.
fn form(arguments: &Scan, global: &Global) -> Result<Form> {
    let asked = [
        (global.json, Form::Json),
        (arguments.jsonl, Form::Jsonl),
        (arguments.csv, Form::Csv),
        (arguments.nmap_xml, Form::NmapXml),
    ];
    let mut asked = asked.into_iter().filter(|(asked, _)| *asked).map(|(_, form)| form);
    let form = asked.next().unwrap_or(Form::Table);
    if asked.next().is_some() {
        let hint = "choose one of --json, --jsonl, --csv and --nmap-xml";
        return Err(Fault::new("the results have one form", hint));
    }
    if arguments.resume.is_some() && !form.is_written_as_it_comes() {
        let why = "--resume needs a form of which a killed scan leaves all it found";
        return Err(Fault::new(why, "add --jsonl or --csv"));
    }
    Ok(form)
}

fn end(opening: &Opening, summary: &Summary) -> Exit {
    if let Some(signal) = summary.interrupted {
        return Exit::Interrupted(u8::try_from(signal).unwrap_or_default());
    }
    let incomplete = opening.gaps.iter().any(portolan_core::net::Gap::is_incomplete);
    if incomplete || !summary.is_complete() { Exit::Partial } else { Exit::Yes }
}

/// Where `-o` writes.
struct OutputFile {
    out: BufWriter<File>,
    /// Whether something stands in it already that is gone on from.
    goes_on: bool,
}

impl OutputFile {
    /// A new file, or the one that an earlier run has left when that one is gone on from.
    fn open(path: &Path, resumes: bool) -> Result<Self> {
        let shown = path.display();
        let opened = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(!resumes)
            .open(path)
            .hinted(format!("open {shown}"), "-o names a file to write")?;
        let mut file = opened;
        let goes_on = cut_torn_line(&mut file).hinted(format!("go on in {shown}"), "")? > 0;
        Ok(Self { out: BufWriter::new(file), goes_on })
    }
}

/// Goes to the end of the last whole line and cuts off what stands behind it; how far that is.
fn cut_torn_line(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let start = file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_LINE)))?;
    let mut tail = Vec::new();
    file.take(LONGEST_LINE).read_to_end(&mut tail)?;
    let whole = tail.iter().rposition(|b| *b == b'\n').map_or(start, |at| start + at as u64 + 1);
    if whole < length {
        file.set_len(whole)?;
    }
    file.seek(SeekFrom::Start(whole))
}

const LONGEST_LINE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_scan_tore_off_is_not_gone_on_from() {
        let mut file = tempfile::tempfile().unwrap();
        for (text, whole) in [("", 0), ("a\nb", 2), ("a\nb\n", 4), ("torn", 0)] {
            file.set_len(0).unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            assert_eq!(cut_torn_line(&mut file).unwrap(), whole, "{text:?}");
            assert_eq!(file.metadata().unwrap().len(), whole, "{text:?}");
        }
    }
}
