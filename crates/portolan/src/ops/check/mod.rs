//! One endpoint, tested, and what is the matter with it: the steps are taken here, in order, and
//! handed to `portolan_core::diagnose`, which judges.
//!
//! Every address of a name is tested by itself, all at once. Nothing is asked beyond the endpoint as
//! long as it answers; on silence a few other ports and the way to it are.

mod endpoint;
mod evidence;
mod local;
pub(crate) mod place;
pub(crate) mod target;
pub(crate) mod watch;

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use portolan_core::diagnose::{
    CanaryAnswer, Case, Here, Hold, NameFailure, Next, Outcome, PairOutcome, Path, Resolution,
    Verdict, Way, judge,
};
use portolan_core::net::{Endpoint, Gap, Observed, Port, Transport, Why};
use portolan_core::reach::{Asking, OwnRefusal, SentOn};
use portolan_core::scan::{PortState, Question, Reason};
use portolan_core::socket::SocketTable;
use portolan_core::wire::dns::RecordKind;
use portolan_host::probe::sounding::{Sounder, reachable};
use portolan_host::{firewall, lookup, machine};
use rustix::process::geteuid;

use self::place::Standpoint;
use self::target::{Place, Target};
use crate::fault::Fault;
use crate::ops::reach::witness::Witness;

/// What is to be tested, and how.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The endpoints.
    pub(crate) targets: Vec<Target>,
    /// Which addresses of a name.
    pub(crate) kinds: Vec<RecordKind>,
    /// The address to ask from.
    pub(crate) source: Option<IpAddr>,
    /// The interface to ask out of.
    pub(crate) interface: Option<String>,
    /// How long an answer is waited for.
    pub(crate) timeout: Duration,
    /// Whether `portolan listen` is expected at the other end.
    pub(crate) pair: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    /// One for each address of each target, in the order in which they were named.
    pub(crate) results: Vec<Checked>,
    /// This machine's own sockets, read where a target is one of its addresses.
    pub(crate) table: SocketTable,
}

/// One endpoint and everything found out about it.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The target as it was typed.
    pub(crate) target: Target,
    /// How its name was looked up; `None` where an address was typed.
    pub(crate) resolution: Option<Resolution>,
    /// What was found, or why there was nothing to ask.
    pub(crate) found: Result<Found, NameFailure>,
}

/// What was found out about an endpoint.
#[derive(Debug)]
pub(crate) struct Found {
    /// The address and port.
    pub(crate) endpoint: Endpoint,
    /// Where rules of this machine send what it sends there, where that is not the same place.
    pub(crate) sent_on: Option<SentOn>,
    /// What asking it showed, and how long that took.
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    /// Who has the port on this machine, where what is asked ends up at one of its addresses.
    pub(crate) here: Option<Here>,
    /// Which way packets take.
    pub(crate) way: Option<Way>,
    /// What else of the host was asked.
    pub(crate) canaries: Vec<CanaryAnswer>,
    /// The way hop by hop.
    pub(crate) path: Option<Path>,
    /// The way to something of the same host that answers, and what that is.
    pub(crate) working: Option<(Question, Path)>,
    /// What became of the connection.
    pub(crate) hold: Option<Hold>,
    /// What was said first, as it came.
    pub(crate) greeting: Vec<u8>,
    /// What the other end of `--pair` said.
    pub(crate) pair: Option<PairOutcome>,
    /// What is the matter.
    pub(crate) verdict: Verdict,
    /// The rule of this machine that keeps the question or its answer from its way, where one was
    /// suspected and the rules could be read.
    pub(crate) own_rule: Option<OwnRefusal>,
    /// What to do.
    pub(crate) next: Vec<Next>,
}

impl Found {
    /// Where what was asked ended up: as it was named, or where rules of this machine sent it.
    pub(crate) fn end(&self) -> Endpoint {
        self.sent_on.as_ref().map_or(self.endpoint, |sent| sent.to)
    }

    /// Whether it is open, and nothing in front of it only says so.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.verdict, Verdict::Open | Verdict::Proved { .. })
    }
}

/// Tests every target from where `standpoint` is.
///
/// # Errors
/// When the standpoint cannot be taken.
pub(crate) fn check(request: &Request, standpoint: &Standpoint) -> Result<Observed<Report>> {
    let gaps = vec![upstream()];
    let looked = standpoint.enter(|| {
        let sounders: Vec<Sounder> =
            request.targets.iter().map(|t| sounder_for(request, t)).collect::<Result<_>>()?;
        Ok::<_, anyhow::Error>(look(request, standpoint, &sounders))
    })??;
    conclude(standpoint, looked, gaps)
}

/// What asks a target: a link-local one out of its own interface.
fn sounder_for(request: &Request, target: &Target) -> Result<Sounder> {
    let name = target.zone.as_deref().or(request.interface.as_deref());
    if let (None, Place::Address(IpAddr::V6(v6))) = (name, &target.place)
        && v6.is_unicast_link_local()
    {
        let hint = format!("name the interface it is behind: [{v6}%eth0]:{}", target.port);
        return Err(Fault::new(format!("{v6} is an address of one link only"), hint));
    }
    let sounder = Sounder::new(request.source, name.map(interface).transpose()?);
    if let Place::Address(address) = target.place {
        fits(request, &sounder, address)?;
    }
    Ok(sounder)
}

/// Whether an address can be asked at all in the family and from the address that were named.
fn fits(request: &Request, sounder: &Sounder, address: IpAddr) -> Result<()> {
    let family = |address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" };
    if !request.kinds.iter().any(|kind| kind.is_of(address)) {
        let hint = "leave out -4 or -6, or ask for the host by its name";
        return Err(Fault::new(format!("{address} is an {} address", family(address)), hint));
    }
    match request.source {
        Some(source) if source.is_ipv4() != address.is_ipv4() => Err(Fault::new(
            format!("{address} cannot be asked from {source}"),
            format!("--source for it is an {} address", family(address)),
        )),
        Some(source) if source.is_loopback() && !sounder.is_own(reachable(address)) => {
            Err(Fault::new(
                format!("{address} cannot be asked from {source}"),
                "the loopback reaches this machine only; --source is one of `ip address`",
            ))
        }
        _ => Ok(()),
    }
}

fn interface(name: &str) -> Result<(u32, String)> {
    let interfaces = machine::interfaces()?;
    let mut names: Vec<&str> = interfaces.values().map(String::as_str).collect();
    names.sort_unstable();
    let hint = format!("there are {}", names.join(", "));
    let found = interfaces.iter().find(|(_, known)| *known == name);
    found
        .map(|(index, name)| (*index, name.clone()))
        .ok_or_else(|| Fault::new(format!("there is no interface `{name}`"), hint))
}

/// A target with what its name stands for and what each address showed.
struct Looked {
    target: Target,
    resolution: Option<Resolution>,
    endpoints: Vec<endpoint::Tested>,
    /// Whether one of them is this machine's own.
    has_own: bool,
}

/// Looks at every target, many at once.
fn look(request: &Request, standpoint: &Standpoint, sounders: &[Sounder]) -> Vec<Looked> {
    let all: Vec<(&Target, &Sounder)> = request.targets.iter().zip(sounders).collect();
    let together = |some: &[(&Target, &Sounder)]| -> Vec<Looked> {
        thread::scope(|scope| {
            let spawn = |(target, sounder)| {
                scope.spawn(move || look_at(request, standpoint, sounder, target))
            };
            let threads: Vec<_> = some.iter().copied().map(spawn).collect();
            threads.into_iter().map(join).collect()
        })
    };
    all.chunks(AT_ONCE).flat_map(together).collect()
}

/// Targets that are looked at together.
const AT_ONCE: usize = 32;

fn look_at(
    request: &Request,
    standpoint: &Standpoint,
    sounder: &Sounder,
    target: &Target,
) -> Looked {
    let (resolution, addresses) = addresses(request, standpoint, target);
    let test = |address: IpAddr| {
        let endpoint = Endpoint::new(reachable(address), target.port);
        endpoint::test(request, sounder, endpoint, target.transport)
    };
    let endpoints: Vec<endpoint::Tested> = thread::scope(|scope| {
        let test = &test;
        let threads: Vec<_> = addresses.into_iter().map(|a| scope.spawn(move || test(a))).collect();
        threads.into_iter().map(join).collect()
    });
    let has_own = endpoints.iter().any(|tested| tested.is_own);
    Looked { target: target.clone(), resolution, endpoints, has_own }
}

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The addresses a target stands for, those asked for.
fn addresses(
    request: &Request,
    standpoint: &Standpoint,
    target: &Target,
) -> (Option<Resolution>, Vec<IpAddr>) {
    match &target.place {
        Place::Address(address) => (None, vec![*address]),
        Place::Name(name) => {
            let wish = lookup::Wish {
                name,
                kinds: &request.kinds,
                limit: request.timeout,
                netns: standpoint.name(),
            };
            let resolution = lookup::look_up(&wish);
            let addresses = resolution.addresses.clone();
            (Some(resolution), addresses)
        }
    }
}

/// Judges every endpoint, with this machine's sockets where they bear on it.
fn conclude(
    standpoint: &Standpoint,
    looked: Vec<Looked>,
    mut gaps: Vec<Gap>,
) -> Result<Observed<Report>> {
    let has_own = looked.iter().any(|looked| looked.has_own);
    // The rules are read where they can matter: most machines have none that send on what leaves.
    let is_followed = standpoint.is_own() && (has_own || firewall::may_send_on());
    let table = match has_own || is_followed {
        true => local::sockets(standpoint)?.into_value(&mut gaps),
        false => SocketTable::default(),
    };
    let mut witness = is_followed.then(Witness::live);
    if let Some(blind) = witness.as_mut().filter(|witness| witness.rules.is_none()) {
        gaps.append(&mut blind.gaps);
    }
    let asking = witness.as_ref().map(|witness| witness.scene(None).prepare());
    let judge = |looked| judged(looked, &table, asking.as_ref());
    let mut results: Vec<Checked> = looked.into_iter().flat_map(judge).collect();
    if standpoint.is_own() {
        suspect(&mut results, asking.as_ref());
    }
    Ok(Observed { value: Report { results, table }, gaps })
}

fn judged(looked: Looked, table: &SocketTable, asking: Option<&Asking<'_>>) -> Vec<Checked> {
    let Looked { target, resolution, endpoints, .. } = looked;
    if endpoints.is_empty() {
        let failure = resolution.as_ref().and_then(Resolution::failure);
        let found = Err(failure.unwrap_or(NameFailure::NotAName));
        return vec![Checked { target, resolution, found }];
    }
    let states: Vec<(IpAddr, PortState)> =
        endpoints.iter().map(|t| (t.endpoint.address, t.outcome.state)).collect();
    let judge_one = |mut tested: endpoint::Tested| {
        let sent_on = asking.and_then(|asking| sent_on(asking, &tested, target.transport));
        if sent_on.is_some() && !tested.is_own {
            tested.forget_named();
        }
        let end = sent_on.as_ref().map_or(tested.endpoint, |sent| sent.to);
        let is_here = sent_on.as_ref().map_or(tested.is_own, |sent| sent.is_here);
        let here = is_here.then(|| local::has_port(table, end.address, target.transport, end.port));
        let found = Ok(found(tested, target.transport, (sent_on, here), &states));
        Checked { target: target.clone(), resolution: resolution.clone(), found }
    };
    endpoints.into_iter().map(judge_one).collect()
}

/// Where rules of this machine send the question.
fn sent_on(asking: &Asking<'_>, tested: &endpoint::Tested, transport: Transport) -> Option<SentOn> {
    let route = tested.way.as_ref().and_then(|way| way.route.as_ref().ok());
    let from = route.and_then(|route| route.source).unwrap_or(tested.endpoint.address);
    let out = match tested.is_own {
        true => "lo",
        false => tested.way.as_ref()?.interface.as_deref()?,
    };
    asking.sent_on(from, (tested.endpoint, out), transport, geteuid().as_raw())
}

fn found(
    tested: endpoint::Tested,
    transport: Transport,
    (sent_on, here): (Option<SentOn>, Option<Here>),
    siblings: &[(IpAddr, PortState)],
) -> Found {
    let end = sent_on.as_ref().map_or(tested.endpoint, |sent| sent.to);
    // What answers from there is translated back.
    let is_translated_back = tested.outcome.from == Some(tested.endpoint.address);
    let from = if is_translated_back { Some(end.address) } else { tested.outcome.from };
    let case = Case {
        endpoint: end,
        transport,
        outcome: Outcome { from, ..tested.outcome },
        here: here.clone(),
        way: tested.way.as_ref().filter(|_| sent_on.is_none() || tested.is_own),
        canaries: &tested.canaries,
        path: tested.path.as_ref(),
        working: tested.working.as_ref().map(|(_, path)| path),
        hold: tested.hold,
        has_greeted: !tested.greeting.is_empty(),
        pair: tested.pair.clone(),
        refused_by: tested.refused_by,
        siblings,
    };
    let (verdict, next) = judge(&case);
    Found {
        endpoint: tested.endpoint,
        sent_on,
        outcome: tested.outcome,
        took: tested.took,
        here,
        way: tested.way,
        canaries: tested.canaries,
        path: tested.path,
        working: tested.working,
        hold: tested.hold,
        greeting: tested.greeting,
        pair: tested.pair,
        verdict,
        own_rule: None,
        next,
    }
}

/// Where it is not open, asks whether it is a rule of this machine that keeps the question from its way: it
/// may drop it, and it may refuse it in the name of the host.
fn suspect(results: &mut [Checked], asking: Option<&Asking<'_>>) {
    let suspected: Vec<(Transport, &mut Found)> = results
        .iter_mut()
        .filter_map(|c| Some((c.target.transport, c.found.as_mut().ok()?)))
        .filter(|(_, found)| is_suspicious(found))
        .collect();
    if suspected.is_empty() {
        return;
    }
    let witness = if asking.is_some() { Witness::default() } else { Witness::live() };
    let fresh = asking.is_none().then(|| witness.scene(None).prepare());
    let Some(asking) = asking.or(fresh.as_ref()) else { return };
    for (transport, found) in suspected {
        let to = found.endpoint.address;
        let route = found.way.as_ref().and_then(|way| way.route.as_ref().ok());
        let from = route.and_then(|route| route.source).unwrap_or(to);
        let user = geteuid().as_raw();
        let refusal = asking.refusal(from, found.endpoint, transport, user);
        // An answer that was heard has not been stopped.
        let is_telling = |refusal: &OwnRefusal| {
            !refusal.is_answer || is_silence(found.outcome.reason) || found.blames_own_rules()
        };
        if let Some(refusal) = refusal.filter(is_telling) {
            found.stopped_by(refusal);
        }
    }
}

impl Found {
    /// Whether what it showed points to rules of this machine.
    fn blames_own_rules(&self) -> bool {
        self.next.iter().any(|next| matches!(next, Next::InputRules | Next::OutputRules))
    }

    /// It is a rule of this machine. Where that keeps the question from leaving, whatever was heard is of this
    /// machine too, and nothing is known of the port.
    fn stopped_by(&mut self, refusal: OwnRefusal) {
        if self.here.is_none() && !refusal.is_answer {
            self.verdict = Verdict::NotPermitted;
            self.outcome = Outcome { state: PortState::Unknown, from: None, ..self.outcome };
            self.next = vec![Next::OutputRules];
        } else {
            // Whether others refuse it too shows only once this rule lets it pass.
            let blames = |next: &Next| {
                matches!(next, Next::InputRules | Next::OutputRules | Next::RulesOf { .. })
            };
            self.next.retain(|next| !blames(next));
            self.next.insert(0, Next::InputRules);
        }
        self.own_rule = Some(refusal);
    }
}

fn is_suspicious(found: &Found) -> bool {
    let is_elsewhere = found.here.is_none() && !found.is_open();
    is_elsewhere || is_silence(found.outcome.reason) || found.blames_own_rules()
}

/// Filters beyond this machine show by their effect only.
fn upstream() -> Gap {
    Gap::new("rules of other machines, which show by what they do only", Why::Upstream, "")
}

/// How the command is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Everything is open.
    Open,
    /// Something is not.
    NotOpen,
    /// Something could not be asked from here.
    Unknown,
    /// A name has no address.
    NoName,
}

impl Report {
    /// The one answer: what could not be asked for at all weighs most, then what is not open.
    pub(crate) fn answer(&self) -> Answer {
        let mut answer = Answer::Open;
        for checked in &self.results {
            answer = match &checked.found {
                Err(_) => return Answer::NoName,
                Ok(found) if found.is_open() => answer,
                Ok(found) if found.outcome.state == PortState::Unknown => match answer {
                    Answer::Open if !self.is_covered(checked) => Answer::Unknown,
                    other => other,
                },
                Ok(_) => Answer::NotOpen,
            };
        }
        answer
    }

    /// Whether an address to which there is no way from here does not matter, as the same name is
    /// open over the other family: most names have an IPv6 address, and many machines no IPv6.
    fn is_covered(&self, checked: &Checked) -> bool {
        let Ok(found) = &checked.found else { return false };
        let is_missing = matches!(found.verdict, Verdict::NoRoute(_));
        let is_other = |other: &Checked| {
            other.target == checked.target && other.found.as_ref().is_ok_and(Found::is_open)
        };
        is_missing && self.results.iter().any(is_other)
    }
}

/// A port and its transport as words of a command: `443`, `53/udp`.
pub(crate) fn port_words(port: Port, transport: Transport) -> String {
    match transport {
        Transport::Tcp => port.to_string(),
        other => format!("{port}/{other}"),
    }
}

/// Whether a reason is silence.
pub(crate) const fn is_silence(reason: Reason) -> bool {
    matches!(reason, Reason::NoResponse | Reason::NoNeighbour)
}
