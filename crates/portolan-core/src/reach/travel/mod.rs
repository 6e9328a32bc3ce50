//! One packet of a class of senders: through the rules, to who takes it, and its answer back.
//!
//! ```text
//! packet ─▶ simulate ─▶ taken ─▶ back          what the walk says ─▶ Group
//!                         └─▶ conditions, around: what else must be so, and which rules it goes around
//! ```

mod around;
mod back;
mod conditions;
mod packet;
mod taken;
mod walked;

use std::net::IpAddr;

use crate::firewall::analyse::AnalyseError;
use crate::firewall::simulate::{Open, Outcome, Prepared, Presumed, Walk, Way};
use crate::firewall::{Addresses, Hook, Packet, Ruleset, bits, protocol_of};
use crate::net::{Endpoint, Port, Transport};

use super::answer::{Answer, By, Group, Translated};
use super::arrival::{Arrival, broadcasts, destinations, groups};
use super::question::Asking;
use super::survey::Exact;

pub(super) use back::first_answer;
pub(super) use packet::SENDER_PORT;
pub(super) use walked::{decision, translated};

use walked::questions;

/// Questions about one port.
pub(super) struct Travel<'a> {
    pub(super) asking: &'a Asking<'a>,
    pub(super) port: Port,
    pub(super) transport: Transport,
    pub(super) protocol: u8,
    /// Where packets go, if not to an address of this machine: straight to what stands behind a port of
    /// ours.
    straight: Option<Straight>,
}

/// What stands behind a port.
struct Straight {
    to: IpAddr,
    /// The port here.
    published: Port,
}

/// What becomes of a class of senders.
pub(super) struct Fate {
    pub(super) group: Group,
    /// The answers that were sent back, one for each address at which the class was let in.
    pub(super) answers: Vec<(Packet, Way)>,
}

impl Fate {
    /// Nothing was sent back.
    const fn unanswered(group: Group) -> Self {
        Self { group, answers: Vec::new() }
    }
}

impl<'a> Travel<'a> {
    pub(super) fn new(asking: &'a Asking<'a>, port: Port, transport: Transport) -> Self {
        let protocol = protocol_of(transport);
        Self { asking, port, transport, protocol, straight: None }
    }

    /// Packets of neighbours for an address behind this machine.
    pub(super) fn straight(
        asking: &'a Asking<'a>,
        published: Port,
        transport: Transport,
        to: Endpoint,
    ) -> Self {
        let straight = Some(Straight { to: to.address, published });
        Self { port: to.port, straight, ..Self::new(asking, published, transport) }
    }

    pub(super) const fn is_straight(&self) -> bool {
        self.straight.is_some()
    }

    pub(super) fn is_world_known(&self) -> bool {
        self.asking.scene.world.is_known()
    }

    /// The addresses to send to, of those of this machine.
    pub(super) fn all_destinations(&self, own: &[IpAddr]) -> Vec<IpAddr> {
        self.straight.as_ref().map_or_else(|| own.to_vec(), |straight| vec![straight.to])
    }

    /// The addresses such senders can send to.
    pub(super) fn destinations(&self, arrival: &Arrival, is_v6: bool) -> Vec<IpAddr> {
        match &self.straight {
            Some(straight) => vec![straight.to],
            None => destinations(arrival, self.asking, is_v6),
        }
    }

    pub(super) fn ruleset(&self) -> Option<&'a Ruleset> {
        self.asking.scene.rules.map(|rules| &rules.ruleset)
    }

    /// Senders that no answer finds its way to, or who have nothing to send to in the first place.
    pub(super) fn without_way(&self, arrival: &Arrival, is_v6: bool) -> Group {
        let by = match self.destinations(arrival, is_v6).is_empty() {
            true => By::NoAddress,
            false => By::NoRoute,
        };
        Self::group(&arrival.addresses, arrival, is_v6, by)
    }

    fn group(class: &Addresses, arrival: &Arrival, is_v6: bool, by: By) -> Group {
        let (senders, interface) = (class.clone(), arrival.interface.clone());
        Group { senders, interface, ..Group::closed(by, is_v6) }
    }

    /// What becomes of one class: the best that it can get at any of these addresses.
    pub(super) fn class(
        &self,
        class: &Addresses,
        to: &[IpAddr],
        arrival: &Arrival,
        is_v6: bool,
        exact: &mut Exact<'_>,
    ) -> Result<Fate, AnalyseError> {
        let group = |by| Self::group(class, arrival, is_v6, by);
        let mut best: Option<Group> = None;
        let mut answers = Vec::new();
        for address in to {
            let Some(packet) = self.packet(class, *address, arrival, is_v6) else { continue };
            let fate = Group { to: Some(*address), ..group(By::NoAddress) };
            let mut fate = self.fate(&packet, fate, exact)?;
            self.conditions(&packet, arrival, &mut fate.group);
            answers.append(&mut fate.answers);
            let is_better = best.as_ref().is_none_or(|known| rank(&fate.group) < rank(known));
            if is_better {
                best = Some(fate.group);
            }
            if best.as_ref().is_some_and(|best| best.answer == Answer::Yes) {
                break;
            }
        }
        let mut best = best.unwrap_or_else(|| group(By::NoAddress));
        if best.answer != Answer::Yes
            && let Some(all) = self.to_everybody(class, arrival, is_v6)?
            && rank(&all) < rank(&best)
        {
            (best, answers) = (all, Vec::new());
        }
        Ok(Fate { group: best, answers })
    }

    /// What becomes of a class where its datagrams are for everybody on the link, or for a group that is
    /// listened to there; `None` where they are let in no such way. One sender is an example for all.
    fn to_everybody(
        &self,
        class: &Addresses,
        arrival: &Arrival,
        is_v6: bool,
    ) -> Result<Option<Group>, AnalyseError> {
        if self.transport != Transport::Udp || self.is_straight() {
            return Ok(None);
        }
        let scene = &self.asking.scene;
        let broadcasts = if is_v6 { Vec::new() } else { broadcasts(arrival, scene.world) };
        let groups = groups(arrival, scene.groups, is_v6);
        for to in broadcasts.into_iter().chain(groups) {
            let Some(mut packet) = self.packet(class, to, arrival, is_v6) else { continue };
            if !to.is_multicast() {
                packet.packet_type = u8::try_from(bits::PACKET_BROADCAST).unwrap_or(1);
            }
            let group = Group { to: Some(to), ..Self::group(class, arrival, is_v6, By::NoAddress) };
            let mut group = self.fate(&packet, group, &mut Exact::default())?.group;
            self.conditions(&packet, arrival, &mut group);
            if matches!(group.answer, Answer::Yes | Answer::Depends) {
                let is_unfiltered = group.by == By::Unfiltered;
                return Ok(Some(Group { is_exact: is_unfiltered, ..group }));
            }
        }
        Ok(None)
    }

    /// What becomes of one packet: `group` is what is known of its senders.
    fn fate(
        &self,
        packet: &Packet,
        mut group: Group,
        exact: &mut Exact<'_>,
    ) -> Result<Fate, AnalyseError> {
        let Some((with, without)) = self.rules_for(packet) else {
            return Ok(Fate::unanswered(self.unseen(packet, group)));
        };
        let mut sent = packet.clone();
        let mut walk = with.walk(&sent, Way::ByRoute, &Presumed);
        group.translated = self.translation(&walk);
        if let Some(out) = self.out_by_rules(packet, &walk) {
            sent.interface_out = Some(out);
            walk = with.walk(&sent, Way::ByRoute, &Presumed);
        }
        if let Some((regions, cell)) = exact.known() {
            regions.check(cell, &sent, &walk)?;
        }
        group.handed = self.handed(packet, &walk).map(|(handed, _)| handed);
        if !self.is_for_somebody(packet, &group) && self.ends_unheard(&walk, &mut group) {
            return Ok(Fate::unanswered(group));
        }
        self.end(&walk, &mut group);
        if matches!(group.answer, Answer::Yes | Answer::Depends) {
            self.deliver(packet, &walk, &mut group);
        }
        if let Some(doubt) = self.routed_otherwise(packet, &walk, &group) {
            group.answer = Answer::Depends;
            group.depends_on.push(doubt);
        }
        let mut answers = Vec::new();
        if group.answer == Answer::Yes {
            answers.extend(self.answer_back(packet, &walk, &mut group, exact)?);
        }
        if group.answer == Answer::Yes {
            group.around = self.around(packet, without, &group);
            group.depends_on = questions(&with.walk(&sent, Way::ByRoute, &Open));
        }
        self.doubt(packet, &sent, &mut group, exact)?;
        Ok(Fate { group, answers })
    }

    /// The rules as they are, and without those that translate; `None` where those of its family were not seen.
    pub(super) fn rules_for(&self, packet: &Packet) -> Option<(&Prepared<'a>, &Prepared<'a>)> {
        let is_untold = self.asking.scene.rules.is_some_and(|r| r.is_untold(packet.is_v6()));
        let both = self.asking.with.as_ref().zip(self.asking.without.as_ref());
        both.filter(|_| !is_untold)
    }

    /// What the rules did with the destination, and which did.
    pub(super) fn translation(&self, walk: &Walk) -> Option<Translated> {
        let (rule, to) = translated(walk)?;
        Some(Translated { rule: rule.and_then(|id| self.ruleset()?.place(id)), to })
    }

    /// Whether somebody may wait for it: a socket, or whoever it is sent on to.
    fn is_for_somebody(&self, packet: &Packet, group: &Group) -> bool {
        let is_taken = group.translated.is_some() || group.handed.is_some();
        is_taken || self.is_straight() || !self.is_nobody_at(packet)
    }

    /// Whether the packet ends because nobody waits for it, which is told then; not where rules end it before
    /// they might have sent it on to somebody.
    fn ends_unheard(&self, walk: &Walk, group: &mut Group) -> bool {
        if let Some(place) = self.may_be_handed(walk) {
            group.answer = Answer::Depends;
            group.depends_on.push(format!("whether a socket waits for what {place} hands over"));
            group.by = By::Allowed(place);
            return true;
        }
        let is_early = walk.outcome != Outcome::Accept && walk.hook == Some(Hook::Prerouting);
        if !is_early {
            group.by = By::NoListener(self.bound(self.port));
        }
        !is_early
    }

    /// Where other packets of the same sender meet with something else, it depends.
    fn doubt(
        &self,
        packet: &Packet,
        sent: &Packet,
        group: &mut Group,
        exact: &mut Exact<'_>,
    ) -> Result<(), AnalyseError> {
        let is_let_in = group.answer == Answer::Yes;
        let is_refused = group.answer == Answer::No && matches!(group.by, By::Refused { .. });
        let may_change = is_let_in || (is_refused && self.is_for_somebody(packet, group));
        let Some((regions, cell)) = exact.known().filter(|_| may_change) else { return Ok(()) };
        let mut other = regions.hangs_on(cell, sent, is_let_in)?;
        if !other.is_empty() {
            group.answer = Answer::Depends;
            group.depends_on.append(&mut other);
        }
        Ok(())
    }
}

/// Yes before depends before no; of refusals the one that says most first.
fn rank(group: &Group) -> (Answer, u8) {
    let by = match group.by {
        By::Refused { .. } | By::AnswerRefused(_) => 0,
        By::NotForwarding | By::Martian | By::OfLink => 1,
        By::NoListener(_) => 2,
        _ => 3,
    };
    (group.answer, by)
}
