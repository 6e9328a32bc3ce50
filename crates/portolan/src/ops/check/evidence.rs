//! What is looked at when an endpoint is silent: the route and the neighbour on the link, a few other
//! ports of the host, and the way to the port hop by hop.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use portolan_core::diagnose::{CanaryAnswer, Hop, Path, Way};
use portolan_core::net::{Endpoint, Moment, Port, Transport};
use portolan_core::scan::{self, Manner, Probe, Question, Reply};
use portolan_core::wire::route::{RouteKind, RouteQuestion};
use portolan_host::clock::Stopwatch;
use portolan_host::machine;
use portolan_host::probe::sounding::{Sounder, Sounding};
use portolan_host::probe::trace::{self, Patience, trace};
use portolan_host::probe::{ConnectEngine, Engine as _, Heard, Options};
use portolan_host::route::Routing;

use super::{Request, join};

/// What was found.
pub(super) struct Evidence {
    pub(super) canaries: Vec<CanaryAnswer>,
    pub(super) path: Option<Path>,
    pub(super) working: Option<(Question, Path)>,
}

/// Gathers it. What else answers comes first: it tells how far away the host is, and then nothing
/// is sent farther than that.
pub(super) fn gather(
    request: &Request,
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
    payload: &[u8],
    way: Option<&Way>,
) -> Evidence {
    let canaries = thread::scope(|scope| {
        let echo = scope.spawn(|| echo(request, endpoint.address));
        let mut canaries = canaries(sounder, endpoint, transport);
        canaries.extend(join(echo));
        canaries
    });
    // On the same link there is nobody in between to ask.
    if way.is_some_and(Way::is_on_link) {
        return Evidence { canaries, path: None, working: None };
    }
    let answering = canaries.iter().find(|c| c.reply.is_some() && c.question.port().is_some());
    let working = answering.and_then(|canary| {
        let (port, transport) = canary.question.port()?;
        let endpoint = Endpoint::new(endpoint.address, port);
        let path = trace(sounder, endpoint, transport, &[], None, Patience::default()).ok()?;
        Some((canary.question, path))
    });
    let distance = working.as_ref().and_then(|(_, path)| path.arrival()).map(|hop| hop.number);
    let path = trace(sounder, endpoint, transport, payload, distance, Patience::default()).ok();
    Evidence { canaries, path, working }
}

/// Asks a few other ports of the host, one packet or two each.
fn canaries(sounder: &Sounder, endpoint: Endpoint, transport: Transport) -> Vec<CanaryAnswer> {
    let others = OTHERS.map(Port).into_iter();
    let mut questions: Vec<Question> = others.map(Question::Tcp).collect();
    if transport == Transport::Udp {
        questions.insert(0, Question::Udp(UNUSED));
    }
    questions.retain(|question| question.port() != Some((endpoint.port, transport)));
    let ask = |question: &Question| {
        let (port, transport) = question.port()?;
        sounder.ask(Endpoint::new(endpoint.address, port), transport, &[], None).ok()
    };
    let asked: Vec<(Question, Sounding)> =
        questions.iter().filter_map(|question| Some((*question, ask(question)?))).collect();
    let (questions, mut soundings): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
    let mut until = sounder.now() + WAIT;
    while sounder.wait(&mut soundings, until).unwrap_or(false) {
        // One answer is enough; those that are as fast are taken along.
        until = until.min(sounder.now() + SOON);
    }
    let answer = |(question, sounding): (Question, Sounding)| {
        let heard = sounding.heard.filter(|heard| heard.from == endpoint.address);
        let reply = heard.as_ref().map(|heard| heard.reply);
        CanaryAnswer { question, reply, rtt: heard.map(|heard| heard.rtt) }
    };
    let mut answers: Vec<CanaryAnswer> = questions.into_iter().zip(soundings).map(answer).collect();
    // What a stack says of itself tells more than what a rule says.
    answers.sort_by_key(|c| matches!(c.reply, Some(Reply::Unreachable(_))) as u8);
    answers
}

/// Which way packets take, as the kernel tells; `None` where it cannot be asked.
pub(super) fn way(request: &Request, target: IpAddr) -> Option<Way> {
    let mut routing = Routing::open().ok()?;
    let names = machine::interfaces().unwrap_or_default();
    let number = |name: &String| names.iter().find(|(_, n)| *n == name).map(|(index, _)| *index);
    let interface = request.interface.as_ref().and_then(number);
    let source = request.source.filter(|source| source.is_ipv4() == target.is_ipv4());
    let route = routing.route(&RouteQuestion { target, source, interface }).ok()?;
    let mut way = Way { route, interface: None, neighbour: None };
    let Ok(route) = route else { return Some(way) };
    way.interface = route.interface.and_then(|index| names.get(&index).cloned());
    if route.kind == RouteKind::Unicast
        && let Some(index) = route.interface
    {
        let neighbour = routing.neighbour(index, way.next_hop(target)).ok().flatten();
        way.neighbour = neighbour.map(|n| (n.state, n.link_address));
    }
    Some(way)
}

/// Who refuses in the name of the host, where that is somebody nearer.
pub(super) fn nearer_refusal(sounder: &Sounder, endpoint: Endpoint, rtt: Duration) -> Option<Hop> {
    let others = OTHERS.map(Port).into_iter().filter(|other| *other != endpoint.port);
    // Of one another port the way may be barred too.
    others.take(2).find_map(|other| trace::nearer_refusal(sounder, endpoint, other, rtt))
}

/// What is sent over UDP to a port: what its usual protocol answers to.
pub(super) fn payload(port: Port) -> &'static [u8] {
    scan::payload::of(port)
}

/// Asks whether the host answers an echo; `None` where nobody lets us.
fn echo(request: &Request, target: IpAddr) -> Option<CanaryAnswer> {
    let watch = Stopwatch::start();
    let (source, interface) = (request.source, request.interface.clone());
    let options = Options { source, interface, most: 1, ..Options::new(watch) };
    let mut engine = ConnectEngine::new(&options).ok()?;
    let question = Question::Echo;
    let probe = Probe { target, question, attempt: 1, wait: WAIT, manner: Manner::Ask };
    engine.send(watch.now(), probe);
    let mut heard = Vec::new();
    loop {
        let left = Moment::after(WAIT) - watch.now();
        if left.is_zero() || engine.receive(watch.now(), left, &mut heard).is_err() {
            return Some(CanaryAnswer { question, reply: None, rtt: None });
        }
        for heard in heard.drain(..) {
            match heard {
                Heard::Refused(..) => return None,
                Heard::Answer(answer) if answer.reply == Reply::Echo => {
                    let reply = Some(answer.reply);
                    return Some(CanaryAnswer { question, reply, rtt: answer.rtt });
                }
                Heard::Answer(_) => {}
            }
        }
    }
}

/// Ports that are often there; even one that is closed tells that the host is.
const OTHERS: [u16; 4] = [22, 80, 443, 53];

/// Where classic traceroute begins: nobody listens, everybody knows the sight.
const UNUSED: Port = Port(33434);

/// How long their answers are waited for.
const WAIT: Duration = Duration::from_secs(1);

/// How long the others are waited for once one has answered.
const SOON: Duration = Duration::from_millis(150);
