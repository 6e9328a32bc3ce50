//! What a name's addresses are, and who says so: /etc/hosts, the servers of resolv.conf asked one by
//! one, and where both know nothing the system's own resolver with its modules.
//!
//! getaddrinfo(3) alone would tell neither which server failed nor how; here every question is
//! told with its answer and its time.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use portolan_core::diagnose::{Lookup, LookupOutcome, LookupSource, Resolution};
use portolan_core::net::Moment;
use portolan_core::socket::by_precedence;
use portolan_core::wire::dns::{self, DomainName, RecordKind, Response, ResponseCode};
use portolan_core::wire::resolver::{self, NameSource, ResolvConf};

use crate::clock::Stopwatch;
use crate::machine;
use crate::random;

/// What is asked of a name.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The name.
    pub name: &'a str,
    /// Which addresses; both, or one kind.
    pub kinds: &'a [RecordKind],
    /// How long DNS may take altogether.
    pub limit: Duration,
    /// The network namespace that is entered: `ip netns exec` would show its own files of
    /// /etc/netns/NAME (ip-netns(8)).
    pub netns: Option<&'a str>,
}

/// Looks a name up, in the order that nsswitch.conf gives.
#[must_use]
pub fn look_up(wish: &Wish<'_>) -> Resolution {
    let mut search = Search { wish, watch: Stopwatch::start(), lookups: Vec::new() };
    let sources = resolver::name_sources(&file("nsswitch.conf", wish.netns));
    let has_modules = sources.iter().any(|source| matches!(source, NameSource::Module(_)));
    let mut addresses = Vec::new();
    for source in sources {
        addresses = match source {
            NameSource::Files => search.in_hosts_file(),
            NameSource::Dns => search.in_dns(),
            NameSource::Module(_) => continue,
        };
        if !addresses.is_empty() {
            break;
        }
    }
    if addresses.is_empty() && has_modules {
        addresses = search.in_system();
    }
    let rules = fs::read_to_string("/etc/gai.conf").unwrap_or_default();
    let addresses = by_precedence(addresses, &rules);
    Resolution { name: wish.name.to_owned(), lookups: search.lookups, addresses }
}

/// A file of /etc, or the one that stands for it in a network namespace.
fn file(name: &str, netns: Option<&str>) -> String {
    let of_netns = netns.map(|netns| format!("/etc/netns/{netns}/{name}"));
    let text = of_netns.and_then(|path| fs::read_to_string(path).ok());
    text.or_else(|| fs::read_to_string(format!("/etc/{name}")).ok()).unwrap_or_default()
}

struct Search<'a> {
    wish: &'a Wish<'a>,
    watch: Stopwatch,
    lookups: Vec<Lookup>,
}

impl Search<'_> {
    fn in_hosts_file(&mut self) -> Vec<IpAddr> {
        let started = self.watch.now();
        let text = file("hosts", self.wish.netns);
        let known = resolver::in_hosts(&text, self.wish.name);
        let found = self.wanted(&known);
        let outcome = match (found.is_empty(), known.is_empty()) {
            (false, _) => LookupOutcome::Addresses { found: found.clone(), alias: None },
            (true, false) => LookupOutcome::NoAddress,
            (true, true) => LookupOutcome::NoSuchName,
        };
        // That a name is not in the file is how it mostly is, and not worth a line.
        if outcome != LookupOutcome::NoSuchName {
            self.note(self.wish.name, None, LookupSource::HostsFile, outcome, started);
        }
        found
    }

    fn wanted(&self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let is_wanted = |a: &&IpAddr| self.wish.kinds.iter().any(|kind| kind.is_of(**a));
        addresses.iter().filter(is_wanted).copied().collect()
    }

    fn in_dns(&mut self) -> Vec<IpAddr> {
        // No client asks in another form than that of RFC 3490, and servers are silent to others.
        if !self.wish.name.is_ascii() {
            return Vec::new();
        }
        let conf = ResolvConf::parse(&file("resolv.conf", self.wish.netns));
        for candidate in conf.candidates(self.wish.name) {
            let Ok(name) = DomainName::parse(&candidate) else { continue };
            let answers = self.ask_servers(&name, &conf);
            let found: Vec<IpAddr> = answers.iter().flat_map(addresses).collect();
            let may_be_elsewhere = |outcome: &LookupOutcome| {
                matches!(outcome, LookupOutcome::NoSuchName | LookupOutcome::NoAddress)
            };
            if !found.is_empty() || !answers.iter().all(may_be_elsewhere) {
                return found;
            }
        }
        Vec::new()
    }

    /// Asks one server after the other until each kind has an answer; the outcome of each kind.
    fn ask_servers(&mut self, name: &DomainName, conf: &ResolvConf) -> Vec<LookupOutcome> {
        let rounds = (0..conf.attempts).flat_map(|_| &conf.servers);
        let mut open: Vec<RecordKind> = self.wish.kinds.to_vec();
        let mut answers = Vec::new();
        for server in rounds {
            let left = Moment::after(self.wish.limit) - self.watch.now();
            if open.is_empty() || left.is_zero() {
                break;
            }
            let wait = conf.timeout.min(left).min(self.share(conf));
            let server = server.endpoint(scope(server.zone.as_deref()));
            for (kind, outcome) in self.ask(server, name, &open, wait) {
                if is_final(&outcome) {
                    open.retain(|other| *other != kind);
                    answers.push(outcome);
                }
            }
        }
        let last = self.lookups.iter().rev();
        answers.extend(last.take(open.len()).map(|lookup| lookup.outcome.clone()));
        answers
    }

    /// Each server is to have its turn within the limit.
    fn share(&self, conf: &ResolvConf) -> Duration {
        let turns = u32::try_from(conf.servers.len()).unwrap_or(1).max(1) * conf.attempts;
        self.wish.limit / turns.min(4)
    }

    /// Asks one server for all kinds at once.
    fn ask(
        &mut self,
        server: SocketAddr,
        name: &DomainName,
        kinds: &[RecordKind],
        wait: Duration,
    ) -> Vec<(RecordKind, LookupOutcome)> {
        let asked = thread::scope(|scope| {
            let threads: Vec<_> = kinds
                .iter()
                .map(|kind| (*kind, scope.spawn(|| timed(|| over_udp(server, name, *kind, wait)))))
                .collect();
            let join = |(kind, thread): (RecordKind, thread::ScopedJoinHandle<'_, _>)| {
                let answer = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                (kind, answer)
            };
            threads.into_iter().map(join).collect::<Vec<(RecordKind, (LookupOutcome, Duration))>>()
        });
        for (kind, (outcome, took)) in &asked {
            self.lookups.push(Lookup {
                asked: name.to_string(),
                kind: Some(*kind),
                source: LookupSource::Dns(server),
                outcome: outcome.clone(),
                took: *took,
            });
        }
        asked.into_iter().map(|(kind, (outcome, _))| (kind, outcome)).collect()
    }

    /// Asks getaddrinfo(3), which cannot be told when to give up: it is left alone then.
    fn in_system(&mut self) -> Vec<IpAddr> {
        let started = self.watch.now();
        let (send, receive) = mpsc::channel();
        let name = self.wish.name.to_owned();
        let asked = thread::Builder::new().spawn(move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            let mut addresses: Vec<IpAddr> = found.into_iter().flatten().map(|a| a.ip()).collect();
            addresses.dedup();
            let _ = send.send(addresses);
        });
        let answer = asked.ok().and_then(|_| receive.recv_timeout(self.wish.limit).ok());
        let found = self.wanted(&answer.clone().unwrap_or_default());
        let outcome = match (answer, found.is_empty()) {
            (None, _) => LookupOutcome::TimedOut,
            (Some(all), true) if !all.is_empty() => LookupOutcome::NoAddress,
            (Some(_), true) => LookupOutcome::NoSuchName,
            (Some(_), false) => LookupOutcome::Addresses { found: found.clone(), alias: None },
        };
        self.note(self.wish.name, None, LookupSource::System, outcome, started);
        found
    }

    fn note(
        &mut self,
        asked: &str,
        kind: Option<RecordKind>,
        source: LookupSource,
        outcome: LookupOutcome,
        started: Moment,
    ) {
        let took = self.watch.now() - started;
        self.lookups.push(Lookup { asked: asked.to_owned(), kind, source, outcome, took });
    }
}

fn addresses(outcome: &LookupOutcome) -> Vec<IpAddr> {
    match outcome {
        LookupOutcome::Addresses { found, .. } => found.clone(),
        _ => Vec::new(),
    }
}

/// Whether no other server need be asked.
const fn is_final(outcome: &LookupOutcome) -> bool {
    matches!(
        outcome,
        LookupOutcome::Addresses { .. } | LookupOutcome::NoAddress | LookupOutcome::NoSuchName
    )
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let watch = Stopwatch::start();
    let done = work();
    (done, watch.now() - Moment::START)
}

fn scope(zone: Option<&str>) -> u32 {
    let Some(zone) = zone else { return 0 };
    let by_name = || {
        let interfaces = machine::interfaces().unwrap_or_default();
        interfaces.into_iter().find(|(_, name)| name == zone).map(|(index, _)| index)
    };
    zone.parse().ok().or_else(by_name).unwrap_or(0)
}

/// Asks over UDP, and over TCP where the answer did not fit.
fn over_udp(
    server: SocketAddr,
    name: &DomainName,
    kind: RecordKind,
    wait: Duration,
) -> LookupOutcome {
    let id = u16::from_ne_bytes(random::bytes());
    let question = dns::query(id, name, kind);
    let watch = Stopwatch::start();
    let is_ours = |response: &Response| response.answers(id, name, kind);
    let asked = || -> io::Result<Option<Response>> {
        let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(server)?;
        socket.send(&question)?;
        let mut room = [0; 4096];
        loop {
            let left = wait.saturating_sub(watch.now() - Moment::START);
            if left.is_zero() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            socket.set_read_timeout(Some(left))?;
            let length = socket.recv(&mut room)?;
            match Response::parse(&room[..length], kind) {
                Ok(response) if is_ours(&response) => return Ok(Some(response)),
                Ok(_) => {} // somebody else's, or a guess
                Err(_) => return Ok(None),
            }
        }
    };
    match asked() {
        Ok(Some(response)) if response.is_truncated => over_tcp(server, &question, kind, wait)
            .filter(is_ours)
            .map_or(LookupOutcome::Malformed, outcome),
        Ok(Some(response)) => outcome(response),
        Ok(None) => LookupOutcome::Malformed,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => LookupOutcome::TimedOut,
        Err(error) => LookupOutcome::Unreachable(error.raw_os_error().unwrap_or_default()),
    }
}

/// Asks over TCP: the length stands before each message (RFC 1035 §4.2.2).
fn over_tcp(
    server: SocketAddr,
    question: &[u8],
    kind: RecordKind,
    wait: Duration,
) -> Option<Response> {
    let mut stream = TcpStream::connect_timeout(&server, wait).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    stream.set_write_timeout(Some(wait)).ok()?;
    let length = u16::try_from(question.len()).ok()?.to_be_bytes();
    stream.write_all(&[&length, question].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).ok()?;
    Response::parse(&answer, kind).ok()
}

fn outcome(response: Response) -> LookupOutcome {
    match response.code {
        ResponseCode::NoError if response.addresses.is_empty() => LookupOutcome::NoAddress,
        ResponseCode::NoError => {
            let Response { mut addresses, aliases, .. } = response;
            addresses.dedup();
            LookupOutcome::Addresses { found: addresses, alias: aliases.last().cloned() }
        }
        ResponseCode::NoSuchName => LookupOutcome::NoSuchName,
        code => LookupOutcome::Failed(code),
    }
}
