//! A scan as one JSON document, written as it goes: its size in memory does not grow with the ports.

use std::fmt::Display;
use std::io::{self, Write};
use std::net::IpAddr;

use portolan_core::scan::{Cap, Front, HostReport, LocalError, Reason, Record};
use serde::{Serialize, Serializer};

use super::os::{self, OsJson};
use super::{Page, words};
use crate::ops::scan::{Opening, Sink, Summary};
use crate::render::json::GapJson;

/// Writes `{"portolan":1,"kind":"scan","results":[…],"hosts":[…],"summary":{…},"gaps":[…]}`.
pub(super) struct JsonSink<'a> {
    page: Page<'a>,
    /// What stands before the next result.
    comma: &'static str,
    /// Hosts that answered, as they will be written.
    hosts: Vec<u8>,
}

impl<'a> JsonSink<'a> {
    pub(super) fn new(page: Page<'a>) -> Self {
        Self { page, comma: "\n", hosts: Vec::new() }
    }
}

impl Sink for JsonSink<'_> {
    fn begin(&mut self) -> io::Result<()> {
        write!(self.page.out, "{{\"portolan\":1,\"kind\":\"scan\",\"results\":[")
    }

    fn port(&mut self, record: &Record) -> io::Result<()> {
        self.page.out.write_all(self.comma.as_bytes())?;
        self.comma = ",\n";
        let object = RecordJson::new(record, &self.page, None);
        to(&mut self.page.out, &object)
    }

    fn host(&mut self, report: &HostReport) -> io::Result<()> {
        if !is_worth_telling(report) {
            return Ok(());
        }
        let comma: &[u8] = if self.hosts.is_empty() { b"\n" } else { b",\n" };
        self.hosts.extend_from_slice(comma);
        to(&mut self.hosts, &HostJson::new(report, &self.page, None))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.page.out.flush()
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        let opening = self.page.opening;
        let out = &mut self.page.out;
        out.write_all(b"\n],\"hosts\":[")?;
        out.write_all(&self.hosts)?;
        out.write_all(b"\n],\"summary\":")?;
        to(out, &SummaryJson::new(opening, summary, None))?;
        out.write_all(b",\"gaps\":")?;
        to(out, &opening.gaps.iter().map(GapJson::from).collect::<Vec<_>>())?;
        out.write_all(b"}\n")?;
        out.flush()
    }
}

/// Writes a value as JSON.
pub(super) fn to(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(out, value).map_err(io::Error::from)
}

/// Whether there is something to say of a host beside its ports.
pub(super) fn is_worth_telling(report: &HostReport) -> bool {
    report.answered || !report.local_errors.is_empty()
}

/// A port of a host.
#[derive(Debug, Serialize)]
pub(super) struct RecordJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    ip: IpAddr,
    port: u16,
    transport: &'static str,
    state: &'static str,
    #[serde(serialize_with = "shown")]
    reason: Reason,
    from: Option<IpAddr>,
    tries: u16,
    rtt_us: Option<u64>,
    miss_probability: Option<f64>,
    verified: Option<bool>,
    service: Option<&'a str>,
    hostname: Option<&'a str>,
    note: Option<&'static str>,
    local_error: Option<&'static str>,
}

impl<'a> RecordJson<'a> {
    /// The record of a port; `kind` where it stands among other things.
    pub(super) fn new(record: &Record, page: &Page<'a>, kind: Option<&'static str>) -> Self {
        Self {
            kind,
            ip: record.address,
            port: record.port.0,
            transport: record.transport.as_str(),
            state: record.state.as_str(),
            reason: record.reason,
            from: record.from,
            tries: record.tries,
            rtt_us: record.rtt.map(micros),
            miss_probability: record.miss_probability,
            verified: record.verified,
            service: page.service(record.port, record.transport),
            hostname: page.name(record.address),
            note: record.note.map(words::note),
            local_error: local_error(record.reason),
        }
    }
}

fn shown<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

const fn local_error(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::LocalError(error) => Some(error.as_str()),
        _ => None,
    }
}

/// What is known of a host beside its ports.
#[derive(Debug, Serialize)]
pub(super) struct HostJson<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    ip: Option<IpAddr>,
    hostname: Option<&'a str>,
    answered: bool,
    no_neighbour: bool,
    rtt_us: Option<u64>,
    loss: Option<f64>,
    tries: u16,
    canary: Option<String>,
    caps: Vec<CapJson>,
    front: Option<FrontJson>,
    local_errors: Vec<LocalErrorJson>,
    os: Option<OsJson>,
}

impl<'a> HostJson<'a> {
    /// The report of a host; `kind` where it stands among other things.
    pub(super) fn new(report: &HostReport, page: &Page<'a>, kind: Option<&'static str>) -> Self {
        Self {
            kind,
            ip: report.address,
            hostname: report.address.and_then(|a| page.name(a)),
            answered: report.answered,
            no_neighbour: report.no_neighbour,
            rtt_us: report.rtt.map(micros),
            loss: report.loss,
            tries: report.tries,
            canary: report.canary.map(words::canary),
            caps: report.caps.iter().map(|cap| CapJson::new(None, cap)).collect(),
            front: report.front.as_ref().map(|front| FrontJson::new(None, front)),
            local_errors: local_errors(report.local_errors.iter().copied()),
            os: os::guess(report).map(OsJson::from),
        }
    }
}

/// A limit on answers.
#[derive(Debug, Serialize)]
struct CapJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    what: &'static str,
    per_second: f64,
    burst: u32,
}

impl CapJson {
    fn new(ip: Option<IpAddr>, cap: &Cap) -> Self {
        let Cap { what, per_second, burst } = *cap;
        Self { ip, what: words::capped(what), per_second, burst }
    }
}

/// Something that accepts every connection.
#[derive(Debug, Serialize)]
struct FrontJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    what: &'static str,
    zero_window: Option<bool>,
    hop_limits: Option<(u8, u8)>,
    ports: Option<u32>,
}

impl FrontJson {
    fn new(ip: Option<IpAddr>, front: &Front) -> Self {
        let what = words::front(front);
        match *front {
            Front::SynProxy { zero_window, hop_limits } => {
                Self { ip, what, zero_window: Some(zero_window), hop_limits, ports: None }
            }
            Front::OpenEverything { ports } => {
                Self { ip, what, zero_window: None, hop_limits: None, ports: Some(ports) }
            }
        }
    }
}

/// How often sending failed here, and why.
#[derive(Debug, Serialize)]
struct LocalErrorJson {
    error: &'static str,
    errno: Option<i32>,
    count: u64,
}

fn local_errors(errors: impl Iterator<Item = (LocalError, u64)>) -> Vec<LocalErrorJson> {
    let one = |(error, count): (LocalError, u64)| LocalErrorJson {
        error: error.as_str(),
        errno: match error {
            LocalError::Other(errno) => Some(errno),
            _ => None,
        },
        count,
    };
    errors.map(one).collect()
}

/// The numbers at the end.
#[derive(Debug, Serialize)]
pub(super) struct SummaryJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    engine: &'static str,
    engine_why: &'static str,
    hosts: u64,
    hosts_answered: u64,
    hosts_silent: u64,
    hosts_not_there: u64,
    ports_per_host: usize,
    ports: u64,
    open: u64,
    closed: u64,
    filtered: u64,
    open_filtered: u64,
    unknown: u64,
    not_finished: u64,
    not_begun: u64,
    resumed: u64,
    probes: u64,
    elapsed_ms: u64,
    worst_loss: Option<f64>,
    most_tries: u16,
    worst_miss_probability: Option<f64>,
    caps: Vec<CapJson>,
    fronts: Vec<FrontJson>,
    local_errors: Vec<LocalErrorJson>,
    seed: u64,
    shard: Option<String>,
    started: String,
    interrupted: bool,
    remarks: Vec<String>,
}

impl SummaryJson {
    /// The summary; `kind` where it stands among other things.
    pub(super) fn new(opening: &Opening, summary: &Summary, kind: Option<&'static str>) -> Self {
        let tally = &summary.tally;
        Self {
            kind,
            engine: opening.engine.kind.as_str(),
            engine_why: opening.engine.why,
            hosts: opening.hosts,
            hosts_answered: tally.answered,
            hosts_silent: tally.silent,
            hosts_not_there: tally.no_neighbour,
            ports_per_host: opening.ports.len(),
            ports: tally.ports(),
            open: tally.open,
            closed: tally.closed,
            filtered: tally.filtered,
            open_filtered: tally.open_filtered,
            unknown: tally.unknown,
            not_finished: tally.not_finished,
            not_begun: summary.untouched,
            resumed: opening.resumed,
            probes: summary.probes,
            elapsed_ms: u64::try_from(summary.elapsed.as_millis()).unwrap_or(u64::MAX),
            worst_loss: tally.worst_loss,
            most_tries: tally.tries,
            worst_miss_probability: tally.worst_miss,
            caps: tally.capped.iter().map(|c| CapJson::new(Some(c.host), &c.cap)).collect(),
            fronts: tally.fronts.iter().map(|(ip, f)| FrontJson::new(Some(*ip), f)).collect(),
            local_errors: local_errors(tally.local_errors.iter().map(|(e, n)| (*e, *n))),
            seed: opening.seed,
            shard: opening.shard.map(|s| format!("{}/{}", s.number, s.of)),
            started: opening.started.to_string(),
            interrupted: summary.interrupted.is_some(),
            remarks: super::summary::remarks(opening, summary),
        }
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
