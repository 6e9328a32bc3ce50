//! A real packet, followed: whether it arrives, and which rule takes it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Result;
use portolan_core::firewall::{
    Chain, ChainPolicy, LocalAddress, Origin, RulePlace, Ruleset, Table, World,
};
use portolan_core::net::{Endpoint, Port, Transport};
use portolan_core::reach::{End, Followed, followed};
use portolan_core::wire::nftrace::{TraceEvent, TraceVerdict};
use portolan_core::wire::tcp;
use portolan_host::clock::Stopwatch;
use portolan_host::packet_trace::{self, ANSWER, Seen, TraceError, Tracer, Wanted, Wire};

use crate::fault::{Fault, Hinted as _};

/// What is going to be done.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Which packets are followed.
    pub(crate) wanted: Wanted,
    /// To these addresses of this machine.
    pub(crate) to: Vec<IpAddr>,
    /// The table that is made meanwhile.
    pub(crate) table: String,
    /// How long it is there at most.
    pub(crate) wait: Duration,
    /// Whether the packet is sent from here.
    pub(crate) is_own: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Observation {
    /// What was done.
    pub(crate) plan: Plan,
    /// Whether the wire was looked at too.
    pub(crate) saw_wire: bool,
    /// The first packet that came; `None` where none did.
    pub(crate) packet: Option<Wire>,
    /// Its way through the rules; `None` where nf_tables told nothing of it.
    pub(crate) way: Option<Followed>,
    /// The way of the first answer through the rules; `None` where none was told of.
    pub(crate) answer: Option<Followed>,
    /// What was answered.
    pub(crate) reply: Option<Reply>,
    /// How long it was waited.
    pub(crate) waited: Duration,
    /// Tables of legacy iptables on its way: nf_tables traces none of their rules.
    pub(crate) untraced: Vec<String>,
}

impl Observation {
    /// The rule that ended the answer.
    pub(crate) fn answer_refused(&self) -> Option<&RulePlace> {
        match self.answer.as_ref().map(|answer| &answer.end) {
            Some(End::Refused(rule)) => Some(rule),
            _ => None,
        }
    }

    /// Whether the packet came to where it was to go.
    pub(crate) fn has_come(&self) -> bool {
        let end = self.way.as_ref().map(|way| &way.end);
        matches!(end, Some(End::Delivered | End::Forwarded))
    }

    /// Whether an answer would have been seen and was not: TCP always answers, datagrams need not be.
    pub(crate) fn is_silent(&self) -> bool {
        let is_seen = self.saw_wire && self.plan.wanted.transport == Transport::Tcp;
        self.has_come() && is_seen && self.reply.is_none()
    }

    /// Whether the port is reached: the packet comes there, and what answers it gets back.
    pub(crate) fn is_reached(&self) -> bool {
        let is_ended = self.answer_refused().is_some() || self.is_silent();
        self.has_come() && !is_ended && self.reply != Some(Reply::Refuses)
    }
}

/// What this machine answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It took the connection, or sent a datagram back.
    Accepts,
    /// It refuses: a RST, or an ICMP error.
    Refuses,
}

/// Plans it. `likely` are the addresses at which the port is likelier reached than at the others; `from` an
/// address, of a link with the interface that is at it.
///
/// # Errors
/// A transport whose packets cannot be followed.
pub(crate) fn plan(
    (from, link): (IpAddr, Option<&str>),
    port: Port,
    transport: Transport,
    behind: Vec<Endpoint>,
    likely: &[IpAddr],
    world: &World,
    wait: Duration,
) -> Result<Plan> {
    if !matches!(transport, Transport::Tcp | Transport::Udp) {
        return Err(Fault::new(format!("{transport} packets cannot be followed"), ""));
    }
    let is_own = world.is_local(from);
    let is_at = |own: &&LocalAddress| link.is_none_or(|link| *own.interface == *link);
    let own = world.addresses.iter().filter(is_at).map(|own| own.address);
    let is_theirs = |to: &IpAddr| to.is_ipv4() == from.is_ipv4() && is_link(*to) == is_link(from);
    let own = own.filter(|to| is_theirs(to) && to.is_loopback() == from.is_loopback());
    let mut to: Vec<IpAddr> = likely.iter().copied().filter(is_theirs).collect();
    to.extend(own.filter(|own| !likely.contains(own)));
    let wanted = Wanted { from, transport, port, behind };
    Ok(Plan { wanted, to, table: Tracer::table_name(), wait, is_own })
}

/// Whether an address is one of a link, of IPv6.
pub(crate) fn is_link(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether packets could be traced at all, asked before anything is planned.
///
/// # Errors
/// When they cannot.
pub(crate) fn precheck() -> Result<()> {
    Tracer::precheck().map_err(|error| refused(&error))
}

/// Carries a plan out. The table is gone when this returns.
///
/// # Errors
/// When packets cannot be traced here.
pub(crate) fn follow(plan: Plan, ruleset: &Ruleset) -> Result<Observation> {
    let mut tracer = Tracer::begin(plan.wanted.clone()).map_err(|error| refused(&error))?;
    let watch = Stopwatch::start();
    if plan.is_own {
        let to = plan.to.first().copied().unwrap_or(plan.wanted.from);
        let to = if plan.to.contains(&plan.wanted.from) { plan.wanted.from } else { to };
        packet_trace::send(&plan.wanted, to).hinted("send a packet", "")?;
    }
    let mut gathered = Gathered::default();
    let limit = if plan.is_own { plan.wait.min(OWN) } else { plan.wait };
    let mut until = limit;
    loop {
        let past = watch.now().since_start();
        if past >= until {
            break;
        }
        for seen in tracer.next(until - past)? {
            // What follows a first packet follows at once.
            if gathered.take(seen, &plan.wanted) {
                until = until.min(watch.now().since_start() + SOON);
            }
        }
    }
    let saw_wire = tracer.sees_wire();
    let table = tracer.table().to_owned();
    drop(tracer);
    let events = gathered.first(&table, plan.is_own);
    let answer = gathered.answer(&table);
    Ok(Observation {
        untraced: untraced(ruleset, plan.wanted.from),
        plan,
        saw_wire,
        packet: gathered.packet,
        way: events.map(|events| followed(&events, ruleset, &table)),
        answer: answer.map(|events| followed(&events, ruleset, &table)),
        reply: gathered.reply,
        waited: watch.now().since_start(),
    })
}

/// The tables with rules or a policy that a packet of this family meets and that are of legacy iptables.
fn untraced(ruleset: &Ruleset, from: IpAddr) -> Vec<String> {
    let is_met = |chain: &Chain| {
        let drops = chain.base.as_ref().is_some_and(|base| base.policy == ChainPolicy::Drop);
        drops || !chain.rules.is_empty()
    };
    let is_meant = |table: &&Table| {
        table.origin == Origin::IptablesLegacy
            && table.family.passes(from.is_ipv6())
            && table.chains.iter().any(is_met)
    };
    let tables = ruleset.tables.iter().filter(is_meant);
    tables.map(|table| format!("{} {}", table.family, table.name)).collect()
}

fn refused(error: &TraceError) -> anyhow::Error {
    let hint = match error {
        TraceError::NoTool => "install nftables",
        TraceError::Refused(why) if why.contains("not permitted") => "run with sudo",
        TraceError::Socket(why) if why.kind() == io::ErrorKind::PermissionDenied => "run with sudo",
        TraceError::Refused(_) | TraceError::Socket(_) => {
            "it takes root, and Linux 5.12 with nf_tables"
        }
    };
    Fault::new(format!("trace packets: {error}"), hint)
}

/// What was seen so far.
#[derive(Default)]
struct Gathered {
    steps: BTreeMap<u32, Vec<TraceEvent>>,
    order: Vec<u32>,
    packet: Option<Wire>,
    reply: Option<Reply>,
}

impl Gathered {
    /// Takes something in; whether it was the first of a packet asked about.
    fn take(&mut self, seen: Seen, wanted: &Wanted) -> bool {
        match seen {
            Seen::Step(event) => {
                let steps = self.steps.entry(event.id).or_default();
                let is_first = steps.is_empty();
                if is_first {
                    self.order.push(event.id);
                }
                steps.push(event);
                is_first
            }
            Seen::Wire(wire) if wire.from.address == wanted.from && wire.to.port == wanted.port => {
                let is_first = self.packet.is_none();
                self.packet.get_or_insert(wire);
                is_first
            }
            Seen::Wire(wire) => {
                let is_refusal = wire.is_error || wire.flags.is_some_and(|f| f & tcp::RST != 0);
                let reply = if is_refusal { Reply::Refuses } else { Reply::Accepts };
                self.reply.get_or_insert(reply);
                false
            }
        }
    }

    /// The steps of the first packet that our table marked. One of our own is told of twice: as it goes
    /// out, and as it comes in again by loopback.
    fn first(&self, table: &str, is_own: bool) -> Option<Vec<TraceEvent>> {
        let mut marked = self.marked(table, false);
        let mut steps = marked.next()?;
        let is_dropped = steps.iter().any(|step| step.verdict == TraceVerdict::Drop);
        if is_own && !is_dropped {
            steps.extend(marked.next().unwrap_or_default());
        }
        Some(steps)
    }

    /// The steps of the first answer.
    fn answer(&self, table: &str) -> Option<Vec<TraceEvent>> {
        self.marked(table, true).next()
    }

    /// The packets that our table marked, those asked about or the answers to them. The kernel's number
    /// for a packet is soon that of the next one.
    fn marked(&self, table: &str, are_answers: bool) -> impl Iterator<Item = Vec<TraceEvent>> {
        let is_mark = |step: &TraceEvent| &*step.table == table && step.rule.is_some();
        let all = self.order.iter().filter_map(|id| self.steps.get(id));
        let mut packets: Vec<Vec<TraceEvent>> = Vec::new();
        for steps in all {
            let mut is_wanted = false;
            for step in steps {
                let is_answer = step.chain.starts_with(ANSWER);
                if is_mark(step) && is_answer != are_answers {
                    is_wanted = false;
                } else if is_mark(step) && !is_wanted {
                    is_wanted = true;
                    packets.push(Vec::new());
                }
                if let Some(packet) = packets.last_mut().filter(|_| is_wanted) {
                    packet.push(step.clone());
                }
            }
        }
        packets.into_iter()
    }
}

/// After a packet has come, so long for what follows.
const SOON: Duration = Duration::from_millis(600);
/// A packet of our own comes at once or not at all.
const OWN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_from_an_address_of_a_link_is_told_to_send_to_one_on_it() {
        let own = |interface: &str, address: &str| LocalAddress {
            interface: interface.into(),
            address: address.parse().unwrap(),
            network: address.parse().unwrap(),
        };
        let addresses =
            vec![own("eth0", "fd91::1"), own("eth1", "fe80::1"), own("eth0", "fe80::2")];
        let world = World { addresses, ..World::default() };
        let to = |from: &str, link| {
            let from = (from.parse().unwrap(), link);
            let likely = [world.addresses[0].address];
            let wait = Duration::from_secs(1);
            plan(from, Port(22), Transport::Tcp, Vec::new(), &likely, &world, wait).unwrap().to
        };
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert_eq!(to("fe80::9", Some("eth0")), [address("fe80::2")]);
        assert_eq!(to("fe80::9", None), [address("fe80::1"), address("fe80::2")]);
        assert_eq!(to("fd91::9", None), [address("fd91::1")]);
    }
}
