//! The way to a port hop by hop, asked with the packets that go to the port itself, so that what
//! filters them shows. Unprivileged.
//!
//! Several distances are asked at once, each once or twice: routers limit what they tell of
//! themselves (Linux: six at once, then one a second).

use std::net::IpAddr;
use std::time::Duration;

use portolan_core::diagnose::{Hop, HopAnswer, Path};
use portolan_core::net::{Endpoint, Port, Transport};
use portolan_core::scan::{Icmp, LocalError, Reply};

use super::sounding::{Hearing, Sounder, Sounding};

/// How patiently each distance is asked.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How often.
    pub tries: u8,
    /// How long each round is waited for.
    pub wait: Duration,
}

impl Default for Patience {
    /// For silence that is to be believed.
    fn default() -> Self {
        Self { tries: 2, wait: Duration::from_millis(600) }
    }
}

/// The box that refuses `endpoint` in its name, where it is nearer than the host: the distance from
/// which on the port is refused, and who is there for packets to `other` port of the host. `None`
/// where the host itself is there, or nobody tells. The rules of a Linux router see a packet only
/// after its hop limit was looked at, so the last router before the host is not told from it.
#[must_use]
pub fn nearer_refusal(
    sounder: &Sounder,
    endpoint: Endpoint,
    other: Port,
    rtt: Duration,
) -> Option<Hop> {
    let patience = Patience { tries: 1, wait: rtt * 4 + Duration::from_millis(50) };
    let path = trace(sounder, endpoint, Transport::Tcp, &[], None, patience).ok()?;
    let number = path.arrival()?.number;
    let numbers = number..number + 1;
    let beside = Endpoint::new(endpoint.address, other);
    let heard = wave(sounder, beside, Transport::Tcp, &[], numbers, patience).ok()?;
    let hop = hop(number, heard.first()?.as_ref(), endpoint.address);
    (hop.answer == HopAnswer::Router).then_some(hop)
}

/// Traces the way to `endpoint`, until it is reached, refused, nothing is heard any more, or it is
/// `farthest` hops away: where the distance is known, nothing beyond would only reach the target.
///
/// # Errors
/// When a question cannot leave this machine.
pub fn trace(
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
    payload: &[u8],
    farthest: Option<u8>,
    patience: Patience,
) -> Result<Path, LocalError> {
    let mut path = Path::default();
    let farthest = farthest.map_or(FARTHEST, |hops| hops.min(FARTHEST));
    for first in (1..=farthest).step_by(usize::from(WAVE)) {
        let numbers = first..(first + WAVE).min(farthest + 1);
        let heard = wave(sounder, endpoint, transport, payload, numbers.clone(), patience)?;
        for (number, heard) in numbers.zip(heard) {
            let hop = hop(number, heard.as_ref(), endpoint.address);
            path.hops.push(hop);
            if matches!(hop.answer, HopAnswer::Arrived | HopAnswer::Refused(_)) {
                return Ok(path);
            }
        }
        let silent = path.hops.iter().rev().take_while(|hop| hop.from.is_none()).count();
        if silent >= SILENT_ENOUGH {
            return Ok(path);
        }
    }
    Ok(path)
}

/// Asks some distances at once; what each heard.
fn wave(
    sounder: &Sounder,
    endpoint: Endpoint,
    transport: Transport,
    payload: &[u8],
    numbers: std::ops::Range<u8>,
    patience: Patience,
) -> Result<Vec<Option<Hearing>>, LocalError> {
    let ask = |number: u8| sounder.ask(endpoint, transport, payload, Some(number));
    let mut tries: Vec<Sounding> = numbers.clone().map(ask).collect::<Result<_, _>>()?;
    let mut found: Vec<Option<Hearing>> = vec![None; numbers.len()];
    for round in 0..patience.tries {
        if round > 0 {
            // The earlier ones stay open: a late answer is one.
            let silent = numbers.clone().zip(&found).filter(|(_, heard)| heard.is_none());
            let again = silent.map(|(number, _)| ask(number)).collect::<Result<Vec<_>, _>>()?;
            tries.extend(again);
        }
        let until = sounder.now() + patience.wait;
        while sounder.wait(&mut tries, until)? {
            if is_settled(&tries[..numbers.len()]) {
                break;
            }
        }
        collect(&tries, &mut found);
        let end = |heard: &Option<Hearing>| heard.as_ref().is_some_and(|h| !is_router(h.reply));
        let asked = found.iter().position(end).unwrap_or(found.len());
        if found[..asked].iter().all(Option::is_some) {
            break;
        }
    }
    Ok(found)
}

/// Whether all that is nearer than the end of the way has answered.
fn is_settled(tries: &[Sounding]) -> bool {
    let mut heard = tries.iter().map(|t| t.heard.as_ref());
    let end = heard.position(|heard| heard.is_none_or(|heard| !is_router(heard.reply)));
    end.is_none_or(|at| tries[at].heard.is_some())
}

/// Takes over what was heard; the second tries stand behind the first, in the order of the silent.
fn collect(tries: &[Sounding], found: &mut [Option<Hearing>]) {
    let (first, again) = tries.split_at(found.len());
    let mut again = again.iter();
    for (slot, sounding) in found.iter_mut().zip(first) {
        let second = if slot.is_none() { again.next() } else { None };
        if slot.is_none() {
            let heard = sounding.heard.clone();
            *slot = heard.or_else(|| second.and_then(|s| s.heard.clone()));
        }
    }
}

fn hop(number: u8, heard: Option<&Hearing>, target: IpAddr) -> Hop {
    let Some(&Hearing { reply, from, rtt, .. }) = heard else {
        return Hop { number, answer: HopAnswer::Silence, from: None, rtt: None };
    };
    let answer = match reply {
        Reply::Unreachable(icmp) if is_time_exceeded(icmp) => HopAnswer::Router,
        _ if from == target => HopAnswer::Arrived,
        Reply::Unreachable(icmp) => HopAnswer::Refused(icmp),
        _ => HopAnswer::Arrived,
    };
    Hop { number, answer, from: Some(from), rtt: Some(rtt) }
}

const fn is_router(reply: Reply) -> bool {
    matches!(reply, Reply::Unreachable(icmp) if is_time_exceeded(icmp))
}

/// RFC 792 type 11, RFC 4443 type 3.
const fn is_time_exceeded(icmp: Icmp) -> bool {
    matches!((icmp.v6, icmp.kind), (false, 11) | (true, 3))
}

/// Distances asked at once.
const WAVE: u8 = 8;

/// Farther than that nothing is (traceroute's own limit).
const FARTHEST: u8 = 30;

/// So many silent hops in a row end the search.
const SILENT_ENOUGH: usize = 5;
