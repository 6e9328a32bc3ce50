//! Many ports and many sources, asked about together: the analysis runs once a family for all of them.

use std::net::IpAddr;

use crate::firewall::analyse::AnalyseError;
use crate::firewall::simulate::Way;
use crate::firewall::{Addresses, Packet, protocol_of};
use crate::net::{Endpoint, Port, Transport};

use super::answer::{join, together};
use super::arrival::{Arrival, arrivals, destinations, is_own};
use super::classes::Classes;
use super::question::Asking;
use super::regions::{Cell, Regions, Target};
use super::routed;
use super::travel::Travel;
use super::{Answer, Group, PortReach, Reached, Source};

/// A question about ports and sources.
pub(super) struct Survey<'a> {
    asking: &'a Asking<'a>,
    ports: &'a [(Port, Transport)],
    sources: &'a [Source],
    /// How the packets of each source come in, of IPv4 and IPv6.
    arrivals: Vec<[Vec<Arrival>; 2]>,
    /// The same where the mark of answers is not known, if that may matter.
    unmarked: Option<Vec<[Vec<Arrival>; 2]>>,
    /// The addresses of this machine they can go to.
    to: [Vec<IpAddr>; 2],
    exact: [Exact<'a>; 2],
}

impl<'a> Survey<'a> {
    pub(super) fn new(
        asking: &'a Asking<'a>,
        ports: &'a [(Port, Transport)],
        sources: &'a [Source],
    ) -> Self {
        let (world, ruleset) = (asking.scene.world, asking.scene.rules.map(|r| &r.ruleset));
        let of = |source: &Source, mark| {
            [false, true].map(|is_v6| match is_own(&source.whence, world) {
                true => Vec::new(),
                false => arrivals(&source.whence, world, ruleset, mark, is_v6),
            })
        };
        let all = |mark| -> Vec<[Vec<Arrival>; 2]> {
            sources.iter().map(|source| of(source, mark)).collect()
        };
        let mark = routed::mark_of_answers(&asking.scene);
        let arrivals = all(mark);
        let unmarked = (mark.is_some() && world.has_policy()).then(|| all(None));
        let to = [false, true].map(|is_v6| {
            let both = arrivals.iter().chain(unmarked.iter().flatten());
            let of_family = both.flat_map(|of| &of[usize::from(is_v6)]);
            let mut all: Vec<IpAddr> =
                of_family.flat_map(|arrival| destinations(arrival, asking, is_v6)).collect();
            all.sort();
            all.dedup();
            all
        });
        let exact = [Exact::default(), Exact::default()];
        Self { asking, ports, sources, arrivals, unmarked, to, exact }
    }

    pub(super) fn all(mut self) -> Result<Vec<PortReach>, AnalyseError> {
        for is_v6 in [false, true] {
            let both = self.arrivals.iter().chain(self.unmarked.iter().flatten());
            let of_family = both.map(|of| &of[usize::from(is_v6)]);
            if of_family.flatten().any(|arrival| arrival.interface.is_some()) {
                let targets = self.targets(is_v6);
                self.exact[usize::from(is_v6)] = Exact::of(self.asking, is_v6, &targets);
            }
        }
        self.ports.iter().map(|(port, transport)| self.port(*port, *transport)).collect()
    }

    fn targets(&self, is_v6: bool) -> Vec<Target> {
        let target = |port: Port, transport, to| Target {
            protocol: protocol_of(transport),
            port: port.0,
            to,
        };
        let own = self.ports.iter();
        let own = own.map(|(port, t)| target(*port, *t, self.to[usize::from(is_v6)].clone()));
        let straight = self.ports.iter().flat_map(|(port, transport)| {
            let behind = self.behind(*port, *transport).into_iter();
            behind
                .filter(|to| to.address.is_ipv6() == is_v6)
                .map(|to| target(to.port, *transport, vec![to.address]))
        });
        own.chain(straight).collect()
    }

    /// What stands behind a port: where rules send its packets to, beyond this machine.
    fn behind(&self, port: Port, transport: Transport) -> Vec<Endpoint> {
        let world = self.asking.scene.world;
        if !world.is_known() {
            return Vec::new();
        }
        let all = self.asking.translations().iter();
        let of_port = all.filter(|found| found.port == port && found.transport == transport);
        let mut found: Vec<Endpoint> = of_port
            .map(|found| found.to)
            .filter(|to| !to.address.is_unspecified() && !world.is_local(to.address))
            .collect();
        found.sort();
        found.dedup();
        found
    }

    fn port(&mut self, port: Port, transport: Transport) -> Result<PortReach, AnalyseError> {
        let behind = self.behind(port, transport);
        let mut sources: Vec<Reached> = Vec::new();
        for number in 0..self.sources.len() {
            let alike =
                self.alike(number, transport).and_then(|earlier| sources.get(earlier)).cloned();
            sources.push(match alike {
                Some(alike) => Reached { source: self.sources[number].clone(), ..alike },
                None => self.reached(number, port, transport, &behind)?,
            });
        }
        Ok(PortReach { port, transport, sources })
    }

    /// An earlier source whose packets come in the same way: on a host with one interface, everybody and
    /// whoever comes by that interface.
    fn alike(&self, number: usize, transport: Transport) -> Option<usize> {
        let is_plain = |number: usize| {
            let source = &self.sources[number];
            source.unresolved.is_empty() && !is_own(&source.whence, self.asking.scene.world)
        };
        let is_alike = |earlier: &usize| {
            let of = |number: usize| self.arrivals(number, transport);
            is_plain(*earlier) && of(*earlier) == of(number)
        };
        is_plain(number).then(|| (0..number).find(is_alike)).flatten()
    }

    /// How packets of a source to ports of a transport come in: sockets of the kernel's own, as those of
    /// tunnels, mark their datagrams, and do not say so.
    fn arrivals(&self, number: usize, transport: Transport) -> [Vec<Arrival>; 2] {
        let all = match &self.unmarked {
            Some(unmarked) if transport != Transport::Tcp => unmarked,
            _ => &self.arrivals,
        };
        all.get(number).cloned().unwrap_or_default()
    }

    fn reached(
        &mut self,
        number: usize,
        port: Port,
        transport: Transport,
        behind: &[Endpoint],
    ) -> Result<Reached, AnalyseError> {
        let source = self.sources[number].clone();
        let travel = Travel::new(self.asking, port, transport);
        let mut groups = Vec::new();
        let is_here = is_own(&source.whence, self.asking.scene.world);
        let arrivals = self.arrivals(number, transport);
        for is_v6 in [false, true] {
            if is_here {
                groups.extend(travel.of_own_programs(is_v6, &source.by));
            }
            let to = self.to[usize::from(is_v6)].clone();
            for arrival in &arrivals[usize::from(is_v6)] {
                let exact = &mut self.exact[usize::from(is_v6)];
                of_arrival(&travel, (arrival, is_v6), &to, exact, &mut groups)?;
            }
        }
        groups.sort_by_key(|group| (group.answer, group.is_v6));
        if self.asking.scene.world.has_policy() {
            groups = routed::at_their_best(groups);
        }
        let mut answer = together(&groups);
        if answer == Answer::No && !source.unresolved.is_empty() {
            answer = Answer::Unknown;
        }
        let straight = self.straight(number, (port, transport), behind, &groups)?;
        Ok(Reached { source, answer, groups, straight })
    }

    /// Neighbours who reach what stands behind the port at its own address, and do not by the port.
    fn straight(
        &mut self,
        number: usize,
        (port, transport): (Port, Transport),
        behind: &[Endpoint],
        groups: &[Group],
    ) -> Result<Vec<Group>, AnalyseError> {
        let mut found = Vec::new();
        let arrivals = self.arrivals(number, transport);
        for to in behind {
            let is_v6 = to.address.is_ipv6();
            let travel = Travel::straight(self.asking, port, transport, *to);
            let onward = self.asking.scene.world.route(to.address).map(|route| &route.interface);
            for arrival in &arrivals[usize::from(is_v6)] {
                if !arrival.is_neighbour || arrival.interface.as_ref() == onward {
                    continue;
                }
                let exact = &mut self.exact[usize::from(is_v6)];
                of_arrival(&travel, (arrival, is_v6), &[to.address], exact, &mut found)?;
            }
        }
        found.retain(|group| matches!(group.answer, Answer::Yes | Answer::Depends));
        for group in &mut found {
            let by_port = groups.iter().filter(|g| g.answer == Answer::Yes);
            let same_way = by_port.filter(|g| g.interface == group.interface);
            group.senders =
                same_way.fold(group.senders.clone(), |left, g| left.without(&g.senders));
        }
        found.retain(|group| !group.senders.is_empty());
        Ok(found)
    }
}

/// What becomes of the packets of one arrival, those with the same fate together.
fn of_arrival(
    travel: &Travel<'_>,
    (arrival, is_v6): (&Arrival, bool),
    all_to: &[IpAddr],
    exact: &mut Exact<'_>,
    groups: &mut Vec<Group>,
) -> Result<(), AnalyseError> {
    let Some(interface) = &arrival.interface else {
        join(groups, travel.without_way(arrival, is_v6));
        return Ok(());
    };
    let to = travel.destinations(arrival, is_v6);
    exact.open(travel, arrival, all_to);
    let (classes, is_exact) = exact.classes(interface, &to);
    let mut left = classes.split(&arrival.addresses, is_v6);
    left.reverse();
    while let Some(class) = left.pop() {
        let mut fate = travel.class(&class, &to, arrival, is_v6, exact)?;
        let pieces = exact.pieces(&class, &fate.answers);
        if pieces.len() > 1 {
            left.extend(pieces);
            continue;
        }
        fate.group.is_exact &= is_exact;
        fate.group.other_rules = exact.other_rules(&class, interface, &to);
        join(groups, fate.group);
    }
    Ok(())
}

/// What is known exactly of packets of one family.
#[derive(Default)]
pub(super) struct Exact<'a> {
    regions: Option<Regions<'a>>,
    /// The port that was asked about last, and by which interface where that matters.
    opened: Option<(u8, u16, Box<str>)>,
    cell: Option<Cell>,
    /// Whether the node budget ran out.
    is_undecided: bool,
    /// Whether there are too many rules to tell senders apart by.
    is_coarse: bool,
}

impl<'a> Exact<'a> {
    fn of(asking: &'a Asking<'a>, is_v6: bool, targets: &[Target]) -> Self {
        match Regions::of(asking, is_v6, targets) {
            Ok(regions) => Self { regions, ..Self::default() },
            Err(_) => Self { is_undecided: true, ..Self::default() },
        }
    }

    /// Makes ready for questions about the port of a travel.
    fn open(&mut self, travel: &Travel<'_>, arrival: &Arrival, all_to: &[IpAddr]) {
        let Some(regions) = &mut self.regions else { return };
        let by = if travel.is_world_known() { None } else { arrival.interface.clone() };
        let key = (travel.protocol, travel.port.0, by.unwrap_or_default());
        if self.opened.as_ref() == Some(&key) && !travel.is_straight() {
            return;
        }
        let to = travel.all_destinations(all_to);
        let samples: Vec<Packet> =
            to.iter().filter_map(|to| travel.sample_packet(arrival, *to)).collect();
        match regions.cell(&samples) {
            Ok(cell) => self.cell = Some(cell),
            Err(_) => (self.cell, self.is_undecided) = (None, true),
        }
        self.opened = (!travel.is_straight()).then_some(key);
    }

    /// How senders are told apart, and whether each class is of one mind.
    fn classes(&mut self, interface: &str, to: &[IpAddr]) -> (Classes, bool) {
        self.is_coarse = false;
        let (Some(regions), Some(cell)) = (&self.regions, &self.cell) else {
            return (Classes::one(), !self.is_undecided);
        };
        self.is_coarse = cell.rules() > MOST_RULES;
        match regions.classes(cell, interface, to, self.is_coarse) {
            Some(classes) => (classes, true),
            None => (Classes::one(), false),
        }
    }

    /// A class cut by whom answers get to.
    fn pieces(&mut self, class: &Addresses, answers: &[Sent]) -> Vec<Addresses> {
        let mut pieces = vec![class.clone()];
        let Some(regions) = &mut self.regions else { return pieces };
        for (answer, way) in answers {
            let Ok((certain, possible)) = regions.answered(answer, *way) else {
                self.is_undecided = true;
                continue;
            };
            let cut = |piece: Addresses| {
                let perhaps = piece.and(&possible);
                [piece.and(&certain), perhaps.without(&certain), piece.without(&possible)]
            };
            pieces = pieces.into_iter().flat_map(cut).filter(|p| !p.is_empty()).collect();
        }
        pieces
    }

    /// How many rules beside the one that is named decide about a class of which not each was looked at.
    fn other_rules(&self, class: &Addresses, interface: &str, to: &[IpAddr]) -> usize {
        match (&self.regions, &self.cell) {
            (Some(regions), Some(cell)) if self.is_coarse => {
                regions.deciding(cell, class, interface, to).saturating_sub(1)
            }
            _ => 0,
        }
    }

    /// The regions and the cell of the port, where they are known.
    pub(super) fn known(&mut self) -> Option<(&mut Regions<'a>, &Cell)> {
        self.regions.as_mut().zip(self.cell.as_ref())
    }
}

/// An answer and the way it takes.
type Sent = (Packet, Way);

/// More rules than these do not tell senders apart: those with the same answer are told together, with
/// one of the rules that decide it.
const MOST_RULES: usize = 64;
