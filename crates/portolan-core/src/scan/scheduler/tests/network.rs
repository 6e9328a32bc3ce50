//! A network that exists in arithmetic only.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use crate::net::{Moment, Port};
use crate::scan::{Answer, Icmp, LocalError, Manner, Probe, Question, Reply, Signature, SipHash};

const ROUTER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 255, 255, 254));

/// A source of chance with a seed.
#[derive(Clone, Debug)]
pub(super) struct Chance {
    key: SipHash,
    count: u64,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { key: SipHash::new(seed, 0x706f_7274), count: 0 }
    }

    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.count += 1;
        self.key.hash(self.count) % limit.max(1)
    }

    /// From 0 to 1.
    pub(super) fn share(&mut self) -> f64 {
        self.below(1 << 32) as f64 / (1u64 << 32) as f64
    }
}

/// What a port of a simulated host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Open,
    Closed,
    Dropped,
    /// An ICMP error of this code, from the host or from the router.
    Rejected {
        code: u8,
        by_router: bool,
    },
    /// Answers a datagram from another port.
    Elsewhere(u16),
    /// Silent to the first so many probes.
    Hesitant(u32),
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Moment,
}

impl Bucket {
    pub(super) fn new(rate: f64, burst: f64) -> Self {
        Self { rate, burst, tokens: burst, at: Moment::START }
    }

    fn take(&mut self, now: Moment) -> bool {
        let earned = (now - self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + earned).min(self.burst);
        self.at = self.at.max(now);
        let has = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(has));
        has
    }
}

/// A simulated host and the way to it.
#[derive(Clone, Debug)]
pub(super) struct SimHost {
    pub(super) tcp: HashMap<u16, Behaviour>,
    pub(super) udp: HashMap<u16, Behaviour>,
    pub(super) others: Behaviour,
    pub(super) echo: bool,
    /// Share lost there, and back.
    pub(super) loss: (f64, f64),
    pub(super) latency: Duration,
    pub(super) jitter: Duration,
    pub(super) resets: Option<Bucket>,
    pub(super) errors: Option<Bucket>,
    /// What the way carries before it drops.
    pub(super) capacity: Option<Bucket>,
    /// When nothing passes.
    pub(super) outage: Option<(Duration, Duration)>,
    /// Whether the router says so then.
    pub(super) outage_told: bool,
    /// Something accepts for every port and resets where nothing listens.
    pub(super) proxy: bool,
    pub(super) asked: HashMap<Question, u32>,
}

impl SimHost {
    /// A host with everything closed, 1 ms away.
    pub(super) fn closed() -> Self {
        Self {
            tcp: HashMap::new(),
            udp: HashMap::new(),
            others: Behaviour::Closed,
            echo: true,
            loss: (0.0, 0.0),
            latency: Duration::from_millis(1),
            jitter: Duration::ZERO,
            resets: None,
            errors: None,
            capacity: None,
            outage: None,
            outage_told: false,
            proxy: false,
            asked: HashMap::new(),
        }
    }

    /// What a question meets.
    pub(super) fn behaviour(&self, question: Question) -> Behaviour {
        let known = match question {
            Question::Tcp(port) => self.tcp.get(&port.0),
            Question::Udp(port) => self.udp.get(&port.0),
            Question::Echo => None,
        };
        known.copied().unwrap_or(self.others)
    }
}

/// Hosts, and answers on their way.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) hosts: HashMap<IpAddr, SimHost>,
    pub(super) chance: Chance,
    /// Late answers are lost, as by closed sockets, and the try is known; else as raw packets are.
    pub(super) by_sockets: bool,
    /// A router's limit on errors, for all hosts behind it together.
    pub(super) shared_errors: Option<Bucket>,
    /// Probes that leave at once before the machine has no room, per millisecond.
    pub(super) room: Option<Bucket>,
    waiting: BinaryHeap<Reverse<(Moment, u64)>>,
    answers: HashMap<u64, Answer>,
    count: u64,
}

impl Network {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            hosts: HashMap::new(),
            chance: Chance::new(seed),
            by_sockets: true,
            shared_errors: None,
            room: None,
            waiting: BinaryHeap::new(),
            answers: HashMap::new(),
            count: 0,
        }
    }

    pub(super) fn with(mut self, address: IpAddr, host: SimHost) -> Self {
        self.hosts.insert(address, host);
        self
    }

    /// When the next answer arrives.
    pub(super) fn next(&self) -> Option<Moment> {
        self.waiting.peek().map(|Reverse((at, _))| *at)
    }

    /// An answer that has arrived.
    pub(super) fn arrived(&mut self, now: Moment) -> Option<Answer> {
        self.waiting.peek().filter(|Reverse((at, _))| *at <= now)?;
        let Reverse((_, number)) = self.waiting.pop()?;
        self.answers.remove(&number)
    }

    /// Carries a probe.
    pub(super) fn send(&mut self, now: Moment, probe: &Probe) -> Option<LocalError> {
        if self.room.as_mut().is_some_and(|room| !room.take(now)) {
            return Some(LocalError::Descriptors);
        }
        let (lost_out, lost_back, late) =
            (self.chance.share(), self.chance.share(), self.chance.share());
        let host = self.hosts.get_mut(&probe.target)?;
        if let Some(shared) = self.shared_errors {
            host.errors = Some(shared);
        }
        let is_out = |(from, to): (Duration, Duration)| (from..to).contains(&now.since_start());
        let is_out = host.outage.is_some_and(is_out);
        if is_out && !host.outage_told || lost_out < host.loss.0 {
            return None;
        }
        if host.capacity.as_mut().is_some_and(|capacity| !capacity.take(now)) {
            return None;
        }
        let reply = if is_out { Some(unreachable()) } else { reply(host, now, probe) };
        self.shared_errors = self.shared_errors.and(host.errors);
        let (reply, from) = reply?;
        if lost_back < host.loss.1 {
            return None;
        }
        let delay = host.latency + host.jitter.mul_f64(late);
        let holds = if probe.manner == Manner::Verify { probe.wait } else { Duration::ZERO };
        if self.by_sockets && holds.is_zero() && delay > probe.wait {
            return None;
        }
        let is_tcp = matches!(probe.question, Question::Tcp(_));
        let answer = Answer {
            target: probe.target,
            question: probe.question,
            attempt: (self.by_sockets || !is_tcp).then_some(probe.attempt),
            reply,
            from,
            rtt: self.by_sockets.then_some(delay),
            signature: (!self.by_sockets && is_tcp).then(|| look(host, reply)),
        };
        self.count += 1;
        self.waiting.push(Reverse((now + delay + holds, self.count)));
        self.answers.insert(self.count, answer);
        None
    }
}

/// The router's word about a host that nobody finds.
fn unreachable() -> (Reply, IpAddr) {
    (Reply::Unreachable(Icmp { v6: false, kind: 3, code: 1 }), ROUTER)
}

fn look(host: &SimHost, reply: Reply) -> Signature {
    let by_proxy = host.proxy && reply == Reply::SynAck;
    Signature {
        hop_limit: Some(if by_proxy { 64 } else { 63 }),
        window: Some(if by_proxy || reply == Reply::Reset { 0 } else { 64_240 }),
        ..Signature::default()
    }
}

fn reply(host: &mut SimHost, now: Moment, probe: &Probe) -> Option<(Reply, IpAddr)> {
    let (own, router) = (probe.target, ROUTER);
    if probe.question == Question::Echo {
        return host.echo.then_some((Reply::Echo, own));
    }
    let count = host.asked.entry(probe.question).or_default();
    *count += 1;
    let count = *count;
    let behaviour = host.behaviour(probe.question);
    if let (true, Question::Tcp(_)) = (host.proxy, probe.question) {
        let reply = match (probe.manner, behaviour) {
            (Manner::Ask, _) => Reply::SynAck,
            (Manner::Verify, Behaviour::Open) => Reply::Kept,
            (Manner::Verify, _) => Reply::Dropped,
        };
        return Some((reply, own));
    }
    let is_udp = matches!(probe.question, Question::Udp(_));
    let port = probe.question.port().map_or(Port(0), |(port, _)| port);
    let mut error = |code, from| {
        let allowed = host.errors.as_mut().is_none_or(|bucket| bucket.take(now));
        allowed.then_some((Reply::Unreachable(Icmp { v6: false, kind: 3, code }), from))
    };
    match behaviour {
        Behaviour::Open if is_udp => Some((Reply::Datagram { port }, own)),
        Behaviour::Open if probe.manner == Manner::Verify => Some((Reply::Kept, own)),
        Behaviour::Open => Some((Reply::SynAck, own)),
        Behaviour::Closed if is_udp => error(3, own),
        Behaviour::Closed => {
            let allowed = host.resets.as_mut().is_none_or(|bucket| bucket.take(now));
            allowed.then_some((Reply::Reset, own))
        }
        Behaviour::Dropped => None,
        Behaviour::Rejected { code, by_router } => {
            error(code, if by_router { router } else { own })
        }
        Behaviour::Elsewhere(port) => Some((Reply::Datagram { port: Port(port) }, own)),
        Behaviour::Hesitant(silent) => (count > silent).then_some((Reply::SynAck, own)),
    }
}
