//! The way back: the answer of who took a packet, through the rules as the other way round.

use std::net::IpAddr;

use crate::firewall::analyse::AnalyseError;
use crate::firewall::simulate::{Outcome, Presumed, Walk, Way};
use crate::firewall::{Direction, Packet, TcpFlags, bits};
use crate::reach::answer::{Answer, By, Group, Taker};
use crate::reach::arrival::{SOME_INTERFACE, is_broadcast, is_of_link};
use crate::reach::survey::Exact;

use super::Travel;
use super::walked::questions;

impl Travel<'_> {
    /// Sends the answer back: packets of the connection, the other way round. Gives the answer where it is
    /// known exactly what becomes of it.
    pub(super) fn answer_back(
        &self,
        packet: &Packet,
        walk: &Walk,
        group: &mut Group,
        exact: &mut Exact<'_>,
    ) -> Result<Option<(Packet, Way)>, AnalyseError> {
        let (Some(with), Some(taker)) = (&self.asking.with, &group.taker) else { return Ok(None) };
        let is_translated = group.translated.is_some();
        let (answer, way) = self.answer(packet, &walk.packet, taker, is_translated);
        let back = with.walk(&answer, way, &Presumed);
        if is_of_link(packet.source) {
            group.is_exact &= self.asking.edges().is_one(OF_LINK.0, OF_LINK.1);
        } else if !self.is_way_sure(packet) {
            group.is_exact &= self.is_one_to_rules(&group.senders);
        }
        let exact = exact.known().filter(|_| self.is_way_sure(packet));
        let is_known = exact.is_some();
        let mut hangs_on = questions(&back);
        if let Some((regions, _)) = exact
            && regions.check_answer(&answer, way, &back)?
        {
            hangs_on.push(ANSWER_HEADER.to_owned());
        }
        let is_ended = back.outcome != Outcome::Accept;
        match self.place(&back).filter(|_| is_ended) {
            _ if !hangs_on.is_empty() => {
                group.answer = Answer::Depends;
                let of_answer = |question: String| format!("of its answer: {question}");
                group.depends_on.extend(hangs_on.into_iter().map(of_answer));
            }
            Some(place) => (group.answer, group.by) = (Answer::No, By::AnswerRefused(place)),
            None => {}
        }
        Ok(is_known.then_some((answer, way)))
    }

    /// The answer to a packet that got `there`, by who took it, and the way it takes.
    fn answer(
        &self,
        packet: &Packet,
        there: &Packet,
        taker: &Taker,
        is_translated: bool,
    ) -> (Packet, Way) {
        let own = self.speaker(packet, there.destination);
        let translation = if is_translated { bits::STATUS_DNAT } else { 0 };
        let mut answer = Packet { source: own, ..first_answer(there) };
        answer.status |= translation;
        answer.original = Some(packet.tuple());
        answer.ct_mark = there.ct_mark;
        let is_by_route =
            self.is_world_known() && self.is_way_sure(packet) && self.is_way_told(packet);
        answer.interface_out = (!is_by_route).then(|| packet.interface_in.clone());
        match taker {
            Taker::Socket(socket) => {
                answer.socket = Some((self.owner(*socket), 0));
                (answer, Way::Output)
            }
            Taker::Behind { interface, .. } => {
                answer.interface_in = interface.clone().unwrap_or_else(|| SOME_INTERFACE.into());
                (answer, Way::Forward)
            }
        }
    }

    /// Whether the main table says how answers leave. Those to addresses of a link leave by it, of which
    /// there is a route for each link; rules of policy routing may say otherwise.
    fn is_way_sure(&self, packet: &Packet) -> bool {
        !is_of_link(packet.source) && !self.asking.scene.world.has_policy()
    }

    /// Whether somebody told by which interface answers leave; else they do by the one the packet came in by.
    fn is_way_told(&self, packet: &Packet) -> bool {
        let route = self.asking.scene.world.route(packet.source);
        route.is_none_or(|route| !route.interface.is_empty())
    }

    /// The address that answers come from: what was sent to everybody is not answered from there.
    fn speaker(&self, packet: &Packet, to: IpAddr) -> IpAddr {
        let world = self.asking.scene.world;
        if !to.is_multicast() && !is_broadcast(to, world) {
            return to;
        }
        let mut own = world.addresses.iter().filter(|own| *own.interface == *packet.interface_in);
        let is_alike = |own: &IpAddr| {
            own.is_ipv4() == to.is_ipv4() && is_of_link(*own) == is_of_link(packet.source)
        };
        own.find(|own| is_alike(&own.address)).map_or(to, |own| own.address)
    }

    /// The user whose socket it is.
    fn owner(&self, socket: Option<usize>) -> u32 {
        let table = self.asking.scene.sockets;
        let held = table.zip(socket).and_then(|(table, place)| table.sockets.get(place));
        held.and_then(|held| held.socket.uid).unwrap_or(0)
    }
}

/// The first answer to a packet that begins a connection, as whoever takes it sends it.
pub(in crate::reach) fn first_answer(to: &Packet) -> Packet {
    let mut answer = Packet::new(to.protocol, to.destination, to.source)
        .ports(to.destination_port, to.source_port);
    answer.tcp_flags = TcpFlags::SYN.with(TcpFlags::ACK);
    answer.state = Some(bits::ESTABLISHED);
    answer.status = bits::STATUS_SEEN_REPLY | bits::STATUS_CONFIRMED;
    answer.direction = Direction::Reply;
    answer
}

/// What no question says of an answer.
const ANSWER_HEADER: &str = "the length, the time to live or the traffic class";

/// The addresses of links, fe80::/10.
const OF_LINK: (u128, u128) = (0xfe80 << 112, (0xfec0 << 112) - 1);
