//! Who can reach a port, of all packets there are.

use std::net::IpAddr;
use std::thread;

use anyhow::Result;
use portolan_core::firewall::analyse::{self, AnalyseError, Answer, DEFAULT_BUDGET, Found, Space};
use portolan_core::firewall::simulate::{Prepared, Way};
use portolan_core::firewall::{Addresses, Ruleset, World};
use portolan_core::net::{Gap, Prefix, Transport, TransportSet, Why};
use portolan_core::reach::{Source, Whence};
use portolan_core::registry::Registry;
use portolan_core::registry::port_set::{self, PortSelection};
use portolan_core::socket::Machine;
use portolan_host::machine;

use super::packet;
use super::source::{self, Rules};
use crate::fault::Fault;
use crate::ops::firewall::source::Sources;
use crate::ops::inventory::{self, Asked};
use crate::ops::reach::sources::Directory;

/// What was found.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) ruleset: Ruleset,
    /// `None`: undecided. What files say nothing of is open: then neither always nor never.
    pub(crate) answer: Option<Answer>,
    /// What is known of IPv4 and of IPv6.
    pub(crate) families: [Known; 2],
    /// For each transport and family.
    pub(crate) found: Vec<Found>,
    pub(crate) gaps: Vec<Gap>,
    /// What was asked about: its name, and its networks where it is not everybody.
    pub(crate) source: (String, Vec<Prefix>),
    /// This machine's own addresses, loopback's aside.
    pub(crate) own: Vec<IpAddr>,
}

/// What is known of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nobody asked: the sender, or the machine, has no address of it.
    NotAsked,
    /// The files say nothing of its rules.
    Untold,
    /// The answer; `None`: undecided.
    Answered(Option<Answer>),
}

impl Report {
    /// Whether files say nothing of a family that is asked about.
    pub(crate) fn is_untold(&self) -> bool {
        self.families.contains(&Known::Untold)
    }

    /// Whether all that gets through is told.
    pub(crate) fn is_whole(&self) -> bool {
        !self.is_untold() && self.found.iter().all(|found| found.is_whole)
    }
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// The ports to be reached; `None`: all of TCP and UDP.
    pub(crate) to_port: Option<String>,
    /// Without ports: every protocol and not TCP and UDP alone.
    pub(crate) is_of_everything: bool,
    /// Who wants to.
    pub(crate) from: String,
    /// The packets' way: input, forward or output.
    pub(crate) hook: Option<String>,
    /// Which rules.
    pub(crate) sources: Sources,
}

/// Answers a search.
///
/// # Errors
/// Words that are none, rules that cannot be read, an analysis that contradicts the simulator.
pub(crate) fn search(wanted: &Wanted, asked: &Asked, registry: &Registry) -> Result<Report> {
    let rules = source::load(&wanted.sources)?.just_now();
    let mut gaps = rules.gaps.clone();
    let machine = match rules.is_live {
        true => machine::read().into_value(&mut gaps),
        false => Machine::default(),
    };
    let intent = inventory::intent(asked, &machine, &mut gaps)?;
    let directory = Directory { machine: &machine, world: &rules.world, intent: &intent };
    let source = directory.named(&wanted.from)?;
    let ports = wanted.to_port.as_ref().map(|text| ports(text, registry)).transpose()?;
    let given = wanted.hook.as_deref().map(packet::way).transpose()?;
    let way = match (given, &source.whence) {
        (Some(way), _) => way,
        (None, Whence::Here) => Way::Output,
        (None, Whence::Outside { .. }) => Way::ByRoute,
    };
    let is_of_everything = wanted.is_of_everything && ports.is_none();
    let asked =
        Question { rules: &rules, source: &source, ports: ports.as_ref(), is_of_everything, way };
    let found = match asked.answer() {
        Ok(found) => Some(found),
        Err(AnalyseError::Undecided(undecided)) => {
            let hint = "the rules are too large to decide; ask about fewer ports or sources";
            gaps.push(Gap::new(undecided.to_string(), Why::Unsupported, hint));
            None
        }
        Err(internal) => return Err(internal.into()),
    };
    let families = [false, true].map(|is_v6| {
        match (asked.is_of_family(is_v6), rules.is_untold(is_v6), &found) {
            (false, ..) => Known::NotAsked,
            (true, true, _) => Known::Untold,
            (true, false, None) => Known::Answered(None),
            (true, false, Some(found)) => {
                Known::Answered(Some(together(&found[usize::from(is_v6)])))
            }
        }
    });
    let is_open = |is_v6: &bool| families[usize::from(*is_v6)] == Known::Untold;
    let untold = [false, true].into_iter().filter(is_open);
    let untold: Vec<Gap> = untold.filter_map(|is_v6| rules.missing(is_v6)).collect();
    let found = found.map(|found| found.concat());
    let answer = match untold.is_empty() {
        true => found.as_deref().map(together),
        false => found.as_ref().map(|_| Answer::Depends),
    };
    gaps.extend(untold);
    let found = found.unwrap_or_default();
    let networks = match &source.whence {
        Whence::Outside { addresses, .. } => {
            [addresses.prefixes(false), addresses.prefixes(true)].concat()
        }
        Whence::Here => Vec::new(),
    };
    let source = (source.name.clone(), networks);
    let own = rules.world.addresses.iter().map(|own| own.address);
    let own = own.filter(|address| !address.is_loopback()).collect();
    Ok(Report { answer, families, found, gaps, source, own, ruleset: rules.ruleset })
}

/// A bare number means TCP and UDP, as these are what rules speak of.
fn ports(text: &str, registry: &Registry) -> Result<PortSelection> {
    let usual: TransportSet = [Transport::Tcp, Transport::Udp].into_iter().collect();
    port_set::parse(text, usual, registry).map_err(|e| Fault::new(e.to_string(), e.hint()))
}

fn together(found: &[Found]) -> Answer {
    let all = |answer: Answer| found.iter().all(|found| found.answer == answer);
    match (all(Answer::Never), all(Answer::Always)) {
        (true, _) => Answer::Never,
        (_, true) => Answer::Always,
        _ => Answer::Depends,
    }
}

/// A transport by IANA's number, and its ports; `None`: any.
type Asking = (Option<u8>, Option<Vec<(u16, u16)>>);

/// Of so many rules two transports are looked at at once, each with half the budget at first.
const MOST_RULES_OF_TWO: usize = 20_000;

struct Question<'a> {
    rules: &'a Rules,
    source: &'a Source,
    ports: Option<&'a PortSelection>,
    is_of_everything: bool,
    way: Way,
}

impl Question<'_> {
    /// The answers of IPv4 and of IPv6, for each transport.
    fn answer(&self) -> Result<[Vec<Found>; 2], AnalyseError> {
        let prepared = Prepared::new(&self.rules.ruleset, &self.rules.world);
        Ok([self.of_family(&prepared, false)?, self.of_family(&prepared, true)?])
    }

    fn of_family(&self, prepared: &Prepared<'_>, is_v6: bool) -> Result<Vec<Found>, AnalyseError> {
        if !self.is_of_family(is_v6) || self.rules.is_untold(is_v6) {
            return Ok(Vec::new());
        }
        if self.is_of_everything {
            return Ok(vec![self.of_transport(prepared, is_v6, DEFAULT_BUDGET, (None, None))?]);
        }
        let asked = TRANSPORTS.into_iter();
        let asked = asked.filter_map(|(of, number)| Some((Some(number), self.ranges(of)?)));
        self.of_transports(prepared, is_v6, asked.collect())
    }

    /// The answers for transports of a family. Each is an analysis of its own, so two are made at once where
    /// the rules are few enough that both together need no more memory than one of many rules does.
    fn of_transports(
        &self,
        prepared: &Prepared<'_>,
        is_v6: bool,
        asked: Vec<Asking>,
    ) -> Result<Vec<Found>, AnalyseError> {
        let tables = self.rules.ruleset.tables.iter();
        let rules: usize = tables.flat_map(|table| &table.chains).map(|c| c.rules.len()).sum();
        let alone = |asking| self.of_transport(prepared, is_v6, DEFAULT_BUDGET, asking);
        if rules > MOST_RULES_OF_TWO {
            return asked.into_iter().map(alone).collect();
        }
        let beside = move |asking: &Asking| {
            let found = self.of_transport(prepared, is_v6, DEFAULT_BUDGET / 2, asking.clone());
            (found, asking.clone())
        };
        let mut found = Vec::new();
        for pair in asked.chunks(2) {
            let both: Vec<_> = thread::scope(|scope| {
                let (first, others) = pair.split_at(1);
                let others = others.iter().map(|asking| scope.spawn(move || beside(asking)));
                let others: Vec<_> = others.collect();
                let first = first.iter().map(beside);
                let joined = others.into_iter().map(|other| {
                    other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                });
                first.chain(joined).collect()
            });
            for (answer, asking) in both {
                found.push(match answer {
                    Err(AnalyseError::Undecided(_)) => alone(asking)?,
                    decided => decided?,
                });
            }
        }
        Ok(found)
    }

    /// Whether the source has addresses of a family, and this machine, where it is known.
    fn is_of_family(&self, is_v6: bool) -> bool {
        let has_source = match &self.source.whence {
            Whence::Here => true,
            Whence::Outside { addresses, .. } => !addresses.family(is_v6).is_empty(),
        };
        let world = &self.rules.world;
        has_source && (!world.is_known() || !own(world, is_v6).is_empty())
    }

    /// The ports asked about of a transport; `None` where it is not asked about.
    fn ranges(&self, transport: Transport) -> Option<Option<Vec<(u16, u16)>>> {
        let Some(selection) = self.ports else {
            return matches!(transport, Transport::Tcp | Transport::Udp).then_some(None);
        };
        let ranges = selection.of(transport).ranges();
        let ranges: Vec<_> = ranges.iter().map(|r| (r.first().0, r.last().0)).collect();
        (!ranges.is_empty()).then_some(Some(ranges))
    }

    fn of_transport(
        &self,
        prepared: &Prepared<'_>,
        is_v6: bool,
        budget: usize,
        (protocol, ports): Asking,
    ) -> Result<Found, AnalyseError> {
        let world = &self.rules.world;
        let mut space = Space::new(is_v6, &[&self.rules.ruleset], world, budget);
        let fresh = match (&self.source.whence, self.way) {
            (Whence::Here, _) | (_, Way::Output) => space.fresh()?,
            (Whence::Outside { .. }, _) => space.from_outside()?,
        };
        let mut packets = fresh;
        if let Some(protocol) = protocol {
            let of = space.protocol(protocol)?;
            packets = space.bdd.and(packets, of)?;
        }
        if let Whence::Outside { addresses, interface } = &self.source.whence {
            if self.source.whence != Source::any().whence {
                let from = space.from(&addresses.prefixes(is_v6))?;
                packets = space.bdd.and(packets, from)?;
            }
            if let Some(name) = interface {
                let by = space.comes_by(name)?;
                packets = space.bdd.and(packets, by)?;
            }
            // Where the machine is known, it is this machine that is to be reached.
            if self.way == Way::ByRoute && world.is_known() {
                let to = space.to(&own(world, is_v6))?;
                packets = space.bdd.and(packets, to)?;
            }
        }
        analyse::search(&mut space, prepared, &analyse::Search { packets, ports, way: self.way })
    }
}

/// Addresses of this machine that others can write to.
fn own(world: &World, is_v6: bool) -> Vec<Prefix> {
    let own = world.addresses.iter().map(|own| own.address);
    let reachable = own.filter(|a| !a.is_loopback() && a.is_ipv6() == is_v6);
    Addresses::of(reachable.map(Prefix::from)).prefixes(is_v6)
}

/// IANA's numbers of the transports with ports.
const TRANSPORTS: [(Transport, u8); 4] =
    [(Transport::Tcp, 6), (Transport::Udp, 17), (Transport::Sctp, 132), (Transport::Dccp, 33)];
