//! The steps of one endpoint: the route, the question itself, what an accepted connection does; and
//! where there is silence, the evidence around it.

use std::time::Duration;

use portolan_core::diagnose::{CanaryAnswer, Hold, Hop, Outcome, PairOutcome, Path, Way};
use portolan_core::net::{Endpoint, Transport};
use portolan_core::scan::{LocalError, PortState, Question, Reason};
use portolan_core::wire::pair::{self, Message, Nonce};
use portolan_host::probe::sounding::{End, Hearing, Sounder, Sounding};
use portolan_host::random;

use super::{Request, evidence};

/// What the steps showed.
#[derive(Debug)]
pub(super) struct Tested {
    pub(super) endpoint: Endpoint,
    /// Whether the address is this machine's own.
    pub(super) is_own: bool,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    pub(super) way: Option<Way>,
    pub(super) canaries: Vec<CanaryAnswer>,
    pub(super) path: Option<Path>,
    pub(super) working: Option<(Question, Path)>,
    pub(super) hold: Option<Hold>,
    pub(super) greeting: Vec<u8>,
    pub(super) pair: Option<PairOutcome>,
    /// Who refused in the name of the host.
    pub(super) refused_by: Option<Hop>,
}

/// Takes the steps.
pub(super) fn test(
    request: &Request,
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
) -> Tested {
    let nonce = Nonce(random::bytes());
    let payload = payload(request, endpoint, transport, nonce);
    let started = sounder.now();
    let asked = ask(sounder, endpoint, transport, &payload, request.timeout, TRIES);
    let mut tested = Tested {
        endpoint,
        is_own: sounder.is_own(endpoint.address),
        outcome: asked.outcome,
        took: sounder.now() - started,
        way: evidence::way(request, endpoint.address),
        canaries: Vec::new(),
        path: None,
        working: None,
        hold: None,
        greeting: Vec::new(),
        pair: None,
        refused_by: None,
    };
    if let Some((sounding, heard)) = &asked.answered {
        tested.after_answer(request, sounding, heard, nonce);
    } else if request.pair {
        tested.pair = Some(PairOutcome::Silent);
    }
    if super::is_silence(tested.outcome.reason) && !tested.is_own {
        tested.look_around(request, sounder, transport, &payload);
        // A router takes seconds to find out that nobody is there (arp(7)): its word comes now.
        if let Some(late) = late(sounder, endpoint, transport, asked.open) {
            // How soon it came is not known.
            tested.outcome = Outcome { rtt: None, ..late.outcome };
            if let Some((sounding, heard)) = &late.answered {
                tested.after_answer(request, sounding, heard, nonce);
            }
        }
    }
    if let (Reason::Reset, Some(rtt)) = (tested.outcome.reason, tested.outcome.rtt)
        && !tested.is_own
        && !tested.way.as_ref().is_some_and(Way::is_on_link)
    {
        tested.refused_by = evidence::nearer_refusal(sounder, endpoint, rtt);
    }
    if tested.has_answered_late() {
        let again = ask(sounder, endpoint, transport, &payload, request.timeout, TRIES);
        let tries = tested.outcome.tries.saturating_add(again.outcome.tries);
        tested.outcome = Outcome { tries, ..again.outcome };
        if let Some((sounding, heard)) = &again.answered {
            tested.after_answer(request, sounding, heard, nonce);
        }
    }
    tested
}

/// What is sent over UDP: what the port's usual protocol answers to, and where there is none what
/// `portolan listen` answers to.
fn payload(
    request: &Request,
    endpoint: Endpoint,
    transport: Transport,
    challenge: Nonce,
) -> Vec<u8> {
    if transport != Transport::Udp {
        return Vec::new();
    }
    match evidence::payload(endpoint.port) {
        usual if !usual.is_empty() && !request.pair => usual.to_vec(),
        _ => Message::Challenge { challenge }.to_bytes().to_vec(),
    }
}

/// What is sent over UDP where nobody compares the answer.
pub(super) fn payload_alone(
    request: &Request,
    endpoint: Endpoint,
    transport: Transport,
) -> Vec<u8> {
    payload(request, endpoint, transport, Nonce(random::bytes()))
}

/// A question that was asked several times.
pub(super) struct Asked {
    pub(super) outcome: Outcome,
    /// The one that was answered.
    pub(super) answered: Option<(Sounding, Hearing)>,
    /// Those that may be answered yet, where none was.
    open: Vec<Sounding>,
}

/// Asks `tries` times, spaced over `timeout`, until there is an answer. Earlier questions stay open,
/// so that an answer that takes its time counts.
pub(super) fn ask(
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
    payload: &[u8],
    timeout: Duration,
    tries: u32,
) -> Asked {
    let mut soundings = Vec::new();
    let started = sounder.now();
    let send = |soundings: &mut Vec<Sounding>| -> Result<bool, LocalError> {
        let attempt = u32::try_from(soundings.len()).unwrap_or(u32::MAX) + 1;
        let mut sounding = sounder.ask(endpoint, transport, payload, None)?;
        if sounding.is_mirror() {
            // Nobody but ourselves is at the other end.
            sounding = sounder.ask(endpoint, transport, payload, None)?;
        }
        soundings.push(sounding);
        let is_answered = soundings.iter().any(|s| s.heard.is_some());
        Ok(is_answered || sounder.wait(soundings, started + timeout / tries * attempt)?)
    };
    for _ in 0..tries {
        match send(&mut soundings) {
            Ok(true) => break,
            Ok(false) => {}
            Err(error) => return Asked::failed(error),
        }
    }
    concluded(endpoint, transport, soundings)
}

fn concluded(endpoint: Endpoint, transport: Transport, mut soundings: Vec<Sounding>) -> Asked {
    let tries = u16::try_from(soundings.len()).unwrap_or(u16::MAX);
    let at = soundings.iter().position(|s| s.heard.is_some());
    let answered = at.map(|at| soundings.swap_remove(at));
    let answered = answered.and_then(|s| s.heard.clone().map(|heard| (s, heard)));
    let open = if answered.is_some() { Vec::new() } else { soundings };
    let outcome = match &answered {
        None => Outcome::of_silence(transport),
        Some((_, heard)) => Outcome {
            rtt: Some(heard.rtt),
            ..Outcome::of_answer(transport, endpoint, heard.reply, heard.from)
        },
    };
    Asked { outcome: Outcome { tries, ..outcome }, answered, open }
}

/// What has come to questions that were given up as silent.
fn late(
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
    mut open: Vec<Sounding>,
) -> Option<Asked> {
    let soon = sounder.now() + Duration::from_millis(1);
    let is_answered = sounder.wait(&mut open, soon).unwrap_or(false);
    is_answered.then(|| concluded(endpoint, transport, open))
}

impl Asked {
    const fn failed(error: LocalError) -> Self {
        Self { outcome: Outcome::of_failure(error), answered: None, open: Vec::new() }
    }
}

impl Tested {
    /// Leaves away what was learned of the host that was named, where rules of this machine send what is asked
    /// to another.
    pub(super) fn forget_named(&mut self) {
        (self.working, self.refused_by) = (None, None);
        self.canaries.clear();
    }

    /// What an answer leads to: a connection is held for a moment, a datagram looked at.
    fn after_answer(
        &mut self,
        request: &Request,
        sounding: &Sounding,
        heard: &Hearing,
        nonce: Nonce,
    ) {
        if self.outcome.state != PortState::Open {
            return;
        }
        if !heard.data.is_empty() {
            self.greeting = heard.data.to_vec();
            self.pair = self.paired(request, &heard.data, nonce, sounding);
            return;
        }
        let mut wait = (heard.rtt * 3).max(LEAST_HOLD);
        if request.pair {
            wait = request.timeout;
            let _ = sounding.send(&Message::Challenge { challenge: nonce }.to_bytes());
        }
        let enough = if request.pair { pair::LENGTH } else { GREETING };
        let held = sounding.hold(wait, enough);
        self.hold = Some(match held.end {
            None => Hold::Kept,
            Some((End::Closed, after)) => Hold::Closed { after },
            Some((End::Reset, after)) => Hold::Reset { after },
        });
        self.pair = self.paired(request, &held.data, nonce, sounding);
        self.greeting = held.data;
    }

    /// Whether what came is the answer of `portolan listen` to our own challenge; `None` where that
    /// was not to be expected.
    fn paired(
        &self,
        request: &Request,
        data: &[u8],
        nonce: Nonce,
        sounding: &Sounding,
    ) -> Option<PairOutcome> {
        match (Message::parse(data), sounding.local()) {
            (Some(Message::Answer { challenge, listener, seen }), Some(local))
                if challenge == nonce =>
            {
                // A UDP socket is bound to no address; the route says which one it sends from.
                let source = self.way.as_ref().and_then(|way| way.route.ok()?.source);
                let address = match local.address {
                    unspecified if unspecified.is_unspecified() => source.unwrap_or(seen.address),
                    address => address,
                };
                let local = Endpoint::new(address, local.port);
                Some(PairOutcome::Proved { code: listener.code(), seen, local })
            }
            _ if !request.pair => None,
            _ if data.is_empty() => Some(PairOutcome::Silent),
            _ => Some(PairOutcome::Other),
        }
    }

    /// What may tell why there is silence: who is on the link, what else answers, and how far the
    /// packets come.
    fn look_around(
        &mut self,
        request: &Request,
        sounder: &Sounder,
        transport: Transport,
        payload: &[u8],
    ) {
        // The kernel knows by now whether somebody on the link answers.
        if self.is_nobody_there(request, self.took) {
            return;
        }
        let started = sounder.now();
        let (endpoint, way) = (self.endpoint, self.way.as_ref());
        let evidence = evidence::gather(request, sounder, endpoint, transport, payload, way);
        self.canaries = evidence.canaries;
        self.path = evidence.path;
        self.working = evidence.working;
        if self.canaries.iter().all(|canary| canary.reply.is_none()) {
            self.is_nobody_there(request, self.took + (sounder.now() - started));
        }
    }

    /// Whether nobody on the link answers for the next hop, asked for so long; that is the outcome
    /// then.
    fn is_nobody_there(&mut self, request: &Request, asked_for: Duration) -> bool {
        self.way = evidence::way(request, self.endpoint.address).or(self.way.take());
        let is_gone = self.way.as_ref().is_some_and(|way| way.is_nobody_there(asked_for));
        if is_gone {
            self.outcome.state = PortState::Filtered;
            self.outcome.reason = Reason::NoNeighbour;
        }
        is_gone
    }

    /// Whether the port answered after all, when the way to it was traced: the first packets were
    /// lost, as they are where a neighbour has to be found first.
    fn has_answered_late(&self) -> bool {
        let arrival = self.path.as_ref().and_then(Path::arrival);
        arrival.is_some_and(|hop| hop.from == Some(self.endpoint.address))
    }
}

/// How often a port is asked.
const TRIES: u32 = 3;

/// A SYN proxy resets within one round trip; on a LAN that is less than a program takes to start.
const LEAST_HOLD: Duration = Duration::from_millis(150);

/// So much of a greeting is worth reading.
const GREETING: usize = 256;
