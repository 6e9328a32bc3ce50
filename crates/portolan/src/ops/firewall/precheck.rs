//! What is looked at before rules are applied: who must not be shut out, who must not be let in, and
//! what that is open now would be cut.

use std::net::IpAddr;
use std::time::Duration;

use portolan_core::firewall::bdd::Undecided;
use portolan_core::firewall::{
    Addresses, Family, Never, Pass, PassTraffic, Peers, Policy, Proof, RateLimit, RulePlace,
    Stance, TABLE, Tuple, protocol_of,
};
use portolan_core::inventory::Management;
use portolan_core::net::{Endpoint, Gap, Port, PortRange, Transport, Why};
use portolan_core::socket::{Machine, SocketTransport};
use portolan_core::wire::conntrack::Entry;
use portolan_host::conntrack;
use portolan_host::firewall as host;
use portolan_host::processes::Details;

use crate::ops::sockets::{self, Request};

use super::cut::{self, Cut, Narrowed};
use super::groups::{self, CutMulticast};
use super::judge::{Judge, Judgement, Verdict, tuple_of};
use super::life::{self, Missing, Need};
use super::outsiders::{self, Nobody, OtherWay, Outsiders};
use super::samples::SOME_PORT;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Precheck {
    /// Who must keep access, and whether they do.
    pub(crate) access: Vec<Access>,
    /// What `[management]` keeps open for nobody outside.
    pub(crate) nobody: Vec<Nobody>,
    /// Whom the policy lets in although it must not.
    pub(crate) violations: Vec<Violation>,
    /// What this machine needs to live, and is refused.
    pub(crate) missing: Vec<Missing>,
    /// What was proved of the table; `None` where nothing could be.
    pub(crate) proven: Option<Proof>,
    /// Why nothing could be.
    pub(crate) undecided: Option<Undecided>,
    /// Listeners that nobody outside reaches any more.
    pub(crate) cut: Vec<Cut>,
    /// Listeners that fewer reach than today.
    pub(crate) narrowed: Vec<Narrowed>,
    /// Multicast that would no longer arrive.
    pub(crate) multicast: CutMulticast,
    /// Rules of other tables that meet the bit of `ct mark` that the table uses.
    pub(crate) mark_readers: Vec<RulePlace>,
    /// Open connections that the policy would refuse.
    pub(crate) refused: Vec<Entry>,
    /// How many connections of this machine are open that the kernel does not track: it is told of them,
    /// so that they stay open.
    pub(crate) untracked: usize,
    /// What could not be looked at.
    pub(crate) gaps: Vec<Gap>,
}

/// Somebody who must keep access.
#[derive(Debug)]
pub(crate) struct Access {
    /// Who.
    pub(crate) who: Who,
    /// From this address.
    pub(crate) source: IpAddr,
    /// To this port.
    pub(crate) port: Port,
    /// Over this transport.
    pub(crate) transport: Transport,
    /// What becomes of a new connection.
    pub(crate) verdict: Verdict,
    /// What it lacks although its first packet is let in; then it is lost.
    pub(crate) lacks: Option<Need>,
    /// That he does not come by the interface he must come by.
    pub(crate) other_way: Option<OtherWay>,
    /// No more of them than this.
    pub(crate) limit: Option<RateLimit>,
}

/// Whom access is judged for.
struct Asking<'a> {
    policy: &'a Policy,
    judge: &'a Judge<'a>,
    machine: &'a Machine,
    outsiders: Outsiders<'a>,
}

impl Asking<'_> {
    /// What becomes of a call, and what it lacks.
    fn call(&self, tuple: &Tuple) -> (Verdict, Option<Need>) {
        let verdict = self.judge.call(tuple);
        if matches!(verdict, Verdict::Lost(_)) {
            return (verdict, None);
        }
        match life::lacks(self.policy, self.judge, self.machine, tuple) {
            Some(need) => (Verdict::Lost(None), Some(need)),
            None => (verdict, None),
        }
    }
}

impl Access {
    /// Whether the next connection, which is to confirm, would be one too many.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.limit.is_some_and(|limit| limit.per > u32::max(1, limit.count) * SLOWEST)
    }
}

/// One connection in this time is enough to confirm by.
const SLOWEST: Duration = Duration::from_secs(60);

/// Who must keep access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// The SSH session this command comes from.
    ThisSession,
    /// A source of `[management]`, by its name there.
    Management(Box<str>),
}

/// A `[[never]]` that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Its reason.
    pub(crate) never: Box<str>,
    /// What lets them in.
    pub(crate) pass: Box<str>,
    /// Some of whom.
    pub(crate) sources: Addresses,
    /// To these ports, where there are any.
    pub(crate) ports: Option<PortRange>,
}

impl Precheck {
    /// Whether the rules must not be applied.
    pub(crate) fn is_refused(&self) -> bool {
        let lets_in = self.proven.as_ref().is_some_and(|proof| !proof.violations.is_empty());
        let is_lost = |access: &Access| matches!(access.verdict, Verdict::Lost(_));
        let shuts_out = self.access.iter().any(is_lost);
        let is_slow = self.access.iter().any(Access::is_too_slow);
        let is_alone = !self.nobody.is_empty() || self.cuts_ssh();
        let is_proved = self.undecided.is_none() && self.violations.is_empty();
        shuts_out || lets_in || is_slow || is_alone || !is_proved
    }

    /// Whether nobody was looked after, and the SSH server is out of everybody's reach.
    pub(crate) fn cuts_ssh(&self) -> bool {
        let is_theirs = |place: &RulePlace| (place.family, &*place.table) != (Family::Inet, TABLE);
        // What other tools refuse already, this does not shut.
        let is_lost = |cut: &Cut| {
            let by = cut.already.as_ref().and_then(|already| already.by.as_ref());
            !by.is_some_and(is_theirs)
        };
        let is_sshd =
            |cut: &Cut| is_lost(cut) && cut.owners.iter().any(|process| &*process.name == "sshd");
        self.access.is_empty() && self.cut.iter().any(is_sshd)
    }
}

/// Looks at everything. `declared` is who must keep access, as the inventory says it; `ssh` is the
/// connection the command comes by: peer and own end.
pub(crate) fn precheck(
    policy: &Policy,
    declared: Option<&Management>,
    judge: &Judge<'_>,
    machine: &Machine,
    ssh: Option<(Endpoint, Endpoint)>,
) -> Precheck {
    let mut found = Precheck { violations: violations(policy), ..Precheck::default() };
    let asking = Asking { policy, judge, machine, outsiders: Outsiders::of(judge) };
    found.nobody = outsiders::nobody(policy, declared, &asking.outsiders);
    found.access.extend(ssh.map(|ends| session(&asking, ends)));
    let is_alone = |pass: &&Pass| {
        let mut nobody = found.nobody.iter();
        nobody
            .any(|n| pass.traffic == PassTraffic::Ports { transport: n.transport, range: n.range })
    };
    let passes = policy.management.iter().filter(|pass| !is_alone(pass));
    found.access.extend(passes.flat_map(|pass| management(&asking, pass)));
    found.missing = life::missing(policy, judge, machine);
    if policy.forward == Stance::Keep {
        found.mark_readers = judge.mark_readers();
    }
    if let Ok(observed) = sockets::observe(&waiting()) {
        let sockets = observed.into_value(&mut found.gaps);
        if policy.input == Stance::Drop {
            let lost = cut::of_listeners(policy, &asking.outsiders, judge, &sockets);
            (found.cut, found.narrowed) = (lost.cut, lost.narrowed);
        }
        if policy.forward != Stance::Accept && judge.has_translations() {
            let sent_on = cut::sent_on(policy, machine, &sockets);
            found.cut.extend(sent_on);
        }
        found.multicast = groups::cut(policy, judge, machine, &sockets, &mut found.gaps);
    }
    connections(&mut found, policy, judge);
    found
}

/// Who is connected and would be refused, were he to come now; and who the kernel knows nothing of.
fn connections(found: &mut Precheck, policy: &Policy, judge: &Judge<'_>) {
    let seen = conntrack::connections();
    let is_known = seen.gaps.is_empty();
    let open = seen.into_value(&mut found.gaps);
    let untracked = host::untracked(&open).into_value(&mut found.gaps);
    if !is_known && !untracked.is_empty() {
        let hint = "the kernel cannot be told of them: what the policy refuses is cut at the peer's next \
                    packet, unless this machine speaks first";
        let what = "which open connections the kernel tracks";
        found.gaps.push(Gap::aside(what, Why::Unsupported, hint));
    }
    if is_known && open.is_empty() && policy.forward == Stance::Drop && judge.forwards() {
        let hint = "those that the policy does not let in are cut at their next packet";
        let what = "forwarded connections that are open: conntrack tracked nothing so far";
        found.gaps.push(Gap::aside(what, Why::NotLooked, hint));
    }
    found.untracked = untracked.len();
    let is_refused = |e: &Entry| e.is_established() && judge.again(e) == Judgement::Ends;
    found.refused = open.into_iter().chain(untracked).filter(is_refused).collect();
}

/// Whoever waits for others: with a port, or for a protocol without.
fn waiting() -> Request {
    let mut request = Request::listeners(Details::Brief);
    request.transports.push(SocketTransport::Raw);
    request
}

fn session(asking: &Asking<'_>, (peer, local): (Endpoint, Endpoint)) -> Access {
    let (source, port, transport) = (peer.address.to_canonical(), local.port, Transport::Tcp);
    let tuple = calling(source, local.address.to_canonical(), port, transport);
    let ((verdict, lacks), limit) = (asking.call(&tuple), limit(asking.policy, &tuple));
    let who = Who::ThisSession;
    Access { who, source, port, transport, verdict, lacks, other_way: None, limit }
}

/// The first and last address of every network a pass of `[management]` names, of this machine's own only
/// where it names no other; to its first and last port.
fn management(asking: &Asking<'_>, pass: &Pass) -> Vec<Access> {
    let PassTraffic::Ports { transport, range } = pass.traffic else {
        return Vec::new();
    };
    let mut ports = vec![range.first(), range.last()];
    ports.dedup();
    let mut found = Vec::new();
    for peers in &pass.peers {
        let (sources, other_way) = asking.outsiders.borders(peers);
        for source in sources {
            for &port in &ports {
                let who = Who::Management(peers.label.clone());
                // The best of this machine's addresses; where it has none of the family, nobody can
                // call it there.
                let own = asking.judge.callable_by(source);
                let calls = own.map(|own| calling(source, own, port, transport));
                let best =
                    calls.map(|c| (asking.call(&c), c)).min_by(|(a, _), (b, _)| a.0.cmp(&b.0));
                let limit = best.as_ref().and_then(|(_, call)| limit(asking.policy, call));
                let (verdict, lacks) = best.map_or((Verdict::Kept, None), |(best, _)| best);
                let other_way = other_way.clone();
                found.push(Access {
                    who,
                    source,
                    port,
                    transport,
                    verdict,
                    lacks,
                    other_way,
                    limit,
                });
            }
        }
    }
    found
}

/// How often somebody may call; `None` where as often as he likes, or not at all.
fn limit(policy: &Policy, tuple: &Tuple) -> Option<RateLimit> {
    let is_meant = |pass: &&Pass| {
        let is_peer = |peers: &Peers| peers.addresses.contains(tuple.source);
        pass.way.has_input() && pass.traffic.covers(tuple) && pass.peers.iter().any(is_peer)
    };
    let passes: Vec<_> =
        policy.management.iter().chain(&policy.passes).filter(is_meant).map(|p| p.limit).collect();
    // Whoever is let in twice passes by the one without a limit.
    passes.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().next()
}

pub(super) const fn calling(
    source: IpAddr,
    destination: IpAddr,
    port: Port,
    transport: Transport,
) -> Tuple {
    let protocol = protocol_of(transport);
    Tuple { source, destination, protocol, source_port: SOME_PORT, destination_port: port.0 }
}

/// What is let in from whom `[[never]]` names. What stands behind a door is closed to them.
pub(super) fn violations(policy: &Policy) -> Vec<Violation> {
    let blocked = policy.blocks.iter().flat_map(|b| &b.peers).filter(|p| p.interface.is_none());
    let blocked = blocked.fold(Addresses::NONE, |all, peers| all.with(&peers.addresses));
    let mut found = Vec::new();
    let nobody = Addresses::NONE;
    let passes = policy.management.iter().map(|pass| (pass, &nobody));
    let passes = passes.chain(policy.passes.iter().map(|pass| (pass, &blocked)));
    for (pass, blocked) in passes.filter(|(pass, _)| pass.door.is_none()) {
        for never in &policy.never {
            let Some(ports) = common_ports(never, pass) else { continue };
            let sources = common_sources(never, pass).without(blocked);
            if !sources.is_empty() {
                let (never, pass) = (never.name.clone(), pass.name.clone());
                found.push(Violation { never, pass, sources, ports });
            }
        }
    }
    found
}

/// The ports both are about; `Some(None)` where the protocol has none.
fn common_ports(never: &Never, pass: &Pass) -> Option<Option<PortRange>> {
    never.traffic.iter().find_map(|traffic| {
        if traffic.protocol() != pass.traffic.protocol() {
            return None;
        }
        let (Some(a), Some(b)) = (traffic.ports(), pass.traffic.ports()) else { return Some(None) };
        let (first, last) = (a.first().max(b.first()), a.last().min(b.last()));
        PortRange::new(first, last).ok().map(Some)
    })
}

fn common_sources(never: &Never, pass: &Pass) -> Addresses {
    let mut common = Addresses::NONE;
    for a in &never.peers {
        for b in &pass.peers {
            let apart = match (&a.interface, &b.interface) {
                (Some(a), Some(b)) => a != b,
                _ => false,
            };
            if !apart {
                common = common.with(&a.addresses.without(&a.addresses.without(&b.addresses)));
            }
        }
    }
    common
}

/// The ends of a connection for people and programs.
pub(crate) fn ends(entry: &Entry) -> Tuple {
    tuple_of(&entry.original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_cannot_be_proved_is_refused() {
        assert!(!Precheck::default().is_refused());
        let undecided = Some(Undecided { budget: 24_000_000 });
        assert!(Precheck { undecided, ..Precheck::default() }.is_refused());
    }
}
