//! What is written down in which order, and what is remembered of it.

use std::fs;
use std::net::IpAddr;

use portolan_core::net::{Port, Transport};
use portolan_core::scan::PortState;
use portolan_core::scan::journal::{Header, Journal};

use super::*;

/// A sink that keeps in which order things happened to it.
#[derive(Default)]
struct Notebook {
    seen: Vec<String>,
    /// The journal, looked at whenever something is flushed.
    journal: Option<std::path::PathBuf>,
}

impl Sink for Notebook {
    fn begin(&mut self) -> io::Result<()> {
        self.seen.push("begin".into());
        Ok(())
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        self.seen.push(format!("port {}", record.port));
        Ok(())
    }

    fn host(&mut self, _: &HostReport) -> io::Result<()> {
        self.seen.push("host".into());
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let length = self.journal.as_ref().map_or(0, |path| fs::read(path).unwrap().len());
        self.seen.push(format!("flush at {length}"));
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.seen.push("finish".into());
        Ok(())
    }
}

fn record(port: u16, position: u64, reason: Reason) -> Event {
    let state = match reason {
        Reason::Reset => PortState::Closed,
        _ => PortState::Unknown,
    };
    Event::Port(Record {
        address: IpAddr::from([10, 0, 0, 1]),
        port: Port(port),
        transport: Transport::Tcp,
        state,
        reason,
        from: None,
        tries: 1,
        rtt: None,
        miss_probability: None,
        verified: None,
        note: None,
        position,
    })
}

fn host() -> Event {
    let address = Some(IpAddr::from([10, 0, 0, 1]));
    Event::Host(Box::new(HostReport { address, answered: true, ..HostReport::default() }))
}

/// Feeds `events` with a tick after each, and finishes.
fn watched(
    sink: &mut Notebook,
    journal: Option<JournalFile>,
    interrupt: Interrupt,
    events: Vec<Event>,
) -> (Summary, Vec<Go>) {
    let mut meanwhile = |_: Option<&Progress>| {};
    let mut watch = Watch::with(sink, journal, &mut meanwhile, interrupt);
    watch.begin().unwrap();
    let mut goes = Vec::new();
    for event in events {
        watch.event(event).unwrap();
        goes.push(watch.tick(&Progress::default()));
    }
    let summary = watch.finish(Ok(()), &Progress::default(), Moment::START).unwrap();
    (summary, goes)
}

#[test]
fn everything_found_is_counted_and_handed_on() {
    let mut sink = Notebook::default();
    let events = vec![record(1, 0, Reason::Reset), record(2, 1, Reason::NotFinished), host()];
    let (summary, goes) = watched(&mut sink, None, Interrupt::default(), events);
    let tally = &summary.tally;
    assert_eq!((tally.closed, tally.unknown, tally.not_finished), (1, 1, 1));
    assert_eq!((tally.hosts, tally.answered), (1, 1));
    assert!(!summary.is_complete());
    assert_eq!(goes, [Go::On; 3]);
    let expected = ["begin", "port 1", "port 2", "flush at 0", "host", "finish", "flush at 0"];
    assert_eq!(sink.seen, expected);
}

#[test]
fn a_signal_stops_the_scan_and_is_told_in_the_end() {
    let mut sink = Notebook::default();
    let interrupt = Interrupt::default();
    interrupt.0.store(signal::SIGINT, Ordering::Relaxed);
    let (summary, goes) = watched(&mut sink, None, interrupt, vec![host()]);
    assert_eq!(goes, [Go::Stop]);
    assert_eq!(summary.interrupted, Some(signal::SIGINT));
}

#[test]
fn the_journal_names_only_what_the_output_has_and_nothing_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let header = Header { seed: 1, shard: None, hosts: 1, targets: 2, ports: "t:1-9".into() };
    let begun = format!("{header}\n");
    fs::write(&path, &begun).unwrap();
    let journal = JournalFile::at_the_end_of(&path);
    let mut sink = Notebook { journal: Some(path.clone()), ..Notebook::default() };
    let events = vec![
        record(1, 4, Reason::Reset),
        record(2, 5, Reason::Reset),
        record(3, 7, Reason::NotFinished),
        record(4, 8, Reason::HostSilent),
    ];
    watched(&mut sink, Some(journal), Interrupt::default(), events);
    let flushes: Vec<&String> = sink.seen.iter().filter(|s| s.starts_with("flush")).collect();
    let entry = begun.len() + "4-5\n".len();
    let expected = [begun.len(), entry, entry + 2].map(|n| format!("flush at {n}"));
    assert_eq!(flushes, expected.iter().collect::<Vec<_>>());
    let journal = Journal::read(&fs::read(&path).unwrap()).unwrap().unwrap();
    assert_eq!(journal.header, header);
    assert_eq!(journal.done.ranges().collect::<Vec<_>>(), [(4, 6), (8, 9)]);
}
