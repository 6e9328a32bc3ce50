//! Running a scan: its probes to an engine, what the engine hears back to it, and what is known to
//! whoever watches. It decides nothing; it only keeps the clock and the order.

use std::io;
use std::time::Duration;

use portolan_core::net::Moment;
use portolan_core::scan::{Cut, Event, Progress, Scan};

use super::{Engine, Heard};
use crate::clock::Stopwatch;

/// Who watches a scan.
pub trait Watcher {
    /// Something is now known.
    ///
    /// # Errors
    /// When it cannot be taken, say for a full disk: the scan ends with that error.
    fn event(&mut self, event: Event) -> io::Result<()>;

    /// Called about every tenth of a second. The scan is stopped when it answers [`Go::Stop`]; its
    /// undecided ports still come as events.
    fn tick(&mut self, progress: &Progress) -> Go;
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// Yes.
    On,
    /// Somebody has asked for an end.
    Stop,
}

/// Runs a scan to its end. `watch` must be the one the engine measures with.
///
/// # Errors
/// When the engine fails, or the watcher cannot take an event.
pub fn run(
    scan: &mut Scan,
    engine: &mut dyn Engine,
    watch: Stopwatch,
    watcher: &mut dyn Watcher,
) -> io::Result<()> {
    let mut heard = Vec::new();
    let mut tick = watch.now();
    loop {
        let full_batch = transmit(scan, engine, watch);
        while let Some(event) = scan.poll_event() {
            watcher.event(event)?;
        }
        if scan.is_done() {
            return Ok(());
        }
        let now = watch.now();
        if now >= tick {
            tick = now + TICK;
            if watcher.tick(&scan.progress(now)) == Go::Stop {
                scan.stop(now, Cut::Interrupted);
                continue;
            }
        }
        let wait = if full_batch { Duration::ZERO } else { pause(scan, engine, now, tick) };
        engine.receive(now, wait, &mut heard)?;
        hand_in(scan, watch.now(), &mut heard);
    }
}

/// Sends what is due, a batch at most; whether there was a whole one, so that more may be due.
fn transmit(scan: &mut Scan, engine: &mut dyn Engine, watch: Stopwatch) -> bool {
    let batch = engine.room().min(BATCH);
    for _ in 0..batch {
        let now = watch.now();
        let Some(probe) = scan.poll_transmit(now) else { return false };
        engine.send(now, probe);
    }
    batch == BATCH
}

/// How long nothing but an answer can matter. An engine without room says itself when it has some
/// again: it returns then.
fn pause(scan: &Scan, engine: &dyn Engine, now: Moment, tick: Moment) -> Duration {
    let due = scan.poll_timeout().unwrap_or(now);
    // What is due already and was not sent has no room.
    let due = if due <= now && engine.room() == 0 { tick } else { due };
    due.min(tick) - now
}

fn hand_in(scan: &mut Scan, now: Moment, heard: &mut Vec<Heard>) {
    for heard in heard.drain(..) {
        match heard {
            Heard::Answer(answer) => scan.handle_input(now, &answer),
            Heard::Refused(probe, error) => scan.handle_refusal(now, &probe, error),
        }
    }
}

/// Probes between two looks at what has arrived: few enough that answers to all of them fit into a
/// socket's buffer of the default size.
const BATCH: usize = 256;

/// How often progress is told.
const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, TcpListener};

    use portolan_core::net::{Port, Transport};
    use portolan_core::scan::{Pace, Plan, PortState, Positions, Record};

    use super::*;
    use crate::probe::{ConnectEngine, Options};

    const HERE: &str = "127.0.0.1";

    /// Keeps what it is told, and stops at the first tick if it shall.
    struct Notes {
        records: Vec<Record>,
        go: Go,
    }

    impl Watcher for Notes {
        fn event(&mut self, event: Event) -> io::Result<()> {
            if let Event::Port(record) = event {
                self.records.push(record);
            }
            Ok(())
        }

        fn tick(&mut self, _progress: &Progress) -> Go {
            self.go
        }
    }

    fn scan(ports: &[u16], go: Go) -> Vec<Record> {
        let watch = Stopwatch::start();
        let mut engine = ConnectEngine::new(&Options::new(watch)).unwrap();
        let here: IpAddr = HERE.parse().unwrap();
        let mut scan = Scan::new(Plan {
            targets: [here].into_iter().collect(),
            ports: ports.iter().map(|port| (Port(*port), Transport::Tcp)).collect(),
            seed: 1,
            shard: None,
            pace: Pace {
                on_link: Vec::new(),
                own: vec![here],
                ceiling: None,
                outstanding: 1000,
                budget: None,
            },
            ability: engine.ability(),
            done: Positions::default(),
        });
        let mut notes = Notes { records: Vec::new(), go };
        run(&mut scan, &mut engine, watch, &mut notes).unwrap();
        notes.records.sort_by_key(|record| record.port);
        notes.records
    }

    #[test]
    fn a_scan_of_this_machine_finds_what_listens_and_what_does_not() {
        let listeners = [(); 2].map(|()| TcpListener::bind((HERE, 0)).unwrap());
        let [open, closed] = listeners.each_ref().map(|l| l.local_addr().unwrap().port());
        let [_listening, other] = listeners;
        drop(other);
        for Record { port, state, .. } in scan(&[open, closed], Go::On) {
            let expected = if port.0 == open { PortState::Open } else { PortState::Closed };
            assert_eq!(state, expected, "{port}");
        }
    }

    #[test]
    fn who_asks_for_an_end_is_told_of_every_port_all_the_same() {
        // A full backlog answers nobody, so that nothing is decided before the first tick.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let listener = listener.unwrap();
        listener.bind(&std::net::SocketAddr::new(HERE.parse().unwrap(), 0).into()).unwrap();
        listener.listen(0).unwrap();
        let at = listener.local_addr().unwrap().as_socket().unwrap();
        let _fills = [(); 2].map(|()| {
            let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
            let socket = socket.unwrap();
            socket.set_nonblocking(true).unwrap();
            let _ = socket.connect(&at.into());
            socket
        });
        let records = scan(&[at.port()], Go::Stop);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].state, PortState::Unknown, "{records:?}");
    }
}
