//! Rules of this machine that keep its own packets from their way, or send them another: what `check` looks for.

use std::net::IpAddr;

use crate::firewall::simulate::{Outcome, Presumed, Way};
use crate::firewall::{Addresses, Packet, Routing, RulePlace, protocol_of};
use crate::net::{Endpoint, Prefix, Transport};

use super::own::coming_in;
use super::question::Asking;
use super::travel::{SENDER_PORT, first_answer, translated};

impl Asking<'_> {
    /// The rule that keeps a packet of a user's program of this machine from its way: out, where it is for this machine in
    /// again, else its answer in. `None` where none does for certain, or the rules were not seen.
    #[must_use]
    pub fn refusal(
        &self,
        from: IpAddr,
        Endpoint { address: to, port }: Endpoint,
        transport: Transport,
        user: u32,
    ) -> Option<OwnRefusal> {
        let (with, without) = (self.with.as_ref()?, self.without.as_ref()?);
        let (rules, world) = (self.scene.rules?, self.scene.world);
        let is_own = world.is_local(to);
        let out = if is_own { Some("lo".into()) } else { Some(self.way_out(from, to)?) };
        let packet = Packet::new(protocol_of(transport), from, to).ports(SENDER_PORT, port.0);
        let socket = Some((user, user));
        let leaving = Packet { interface_out: out, socket, ..packet.clone() };
        let mut is_answer = false;
        let mut walk = with.walk(&leaving, Way::Output, &Presumed);
        let end = walk.packet.destination;
        if walk.outcome == Outcome::Accept && (end == to || world.is_local(end)) {
            if world.is_local(end) {
                walk = without.walk(&coming_in(&walk.packet, &packet), Way::Input, &Presumed);
            } else {
                is_answer = true;
                let mut answer = first_answer(&leaving);
                answer.interface_in = leaving.interface_out.clone().unwrap_or_default();
                walk = without.walk(&answer, Way::Input, &Presumed);
            }
        }
        let is_refused = walk.outcome != Outcome::Accept && walk.is_certain();
        let rule = rules.ruleset.place(walk.decided_by.filter(|_| is_refused)?)?;
        Some(OwnRefusal { rule, is_answer })
    }

    /// Where rules send what a user's program of this machine sends there, by this interface as the routes
    /// have it (`lo` to its own addresses); `None` where it stays as it is, the rules were not seen, or it
    /// hangs on what is not known.
    #[must_use]
    pub fn sent_on(
        &self,
        from: IpAddr,
        (to, out): (Endpoint, &str),
        transport: Transport,
        user: u32,
    ) -> Option<SentOn> {
        let (with, rules) = (self.with.as_ref()?, self.scene.rules?);
        let packet = Packet::new(protocol_of(transport), from, to.address);
        let leaving = Packet {
            interface_out: Some(out.into()),
            socket: Some((user, user)),
            ..packet.ports(SENDER_PORT, to.port.0)
        };
        let walk = with.walk(&leaving, Way::Output, &Presumed);
        let (rule, end) = translated(&walk).filter(|_| walk.is_certain())?;
        let rule = rule.and_then(|id| rules.ruleset.place(id));
        Some(SentOn { to: end, is_here: self.scene.world.is_local(end.address), rule })
    }

    /// The interface that packets of this machine leave by, where that is certain.
    fn way_out(&self, from: IpAddr, to: IpAddr) -> Option<Box<str>> {
        let routing =
            Routing { from, to: Addresses::of([Prefix::from(to)]), interface_in: "lo", mark: None };
        match &self.scene.world.ways(&routing)[..] {
            [way] if way.depends_on.is_empty() => {
                let by = way.route.as_ref().map(|route| route.interface.clone());
                by.filter(|name| !name.is_empty())
            }
            _ => None,
        }
    }
}

/// What keeps a packet of this machine from its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnRefusal {
    /// The rule.
    pub rule: RulePlace,
    /// Whether it stops the answer, coming in.
    pub is_answer: bool,
}

/// Where rules send on what this machine sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentOn {
    /// To there.
    pub to: Endpoint,
    /// Whether that is this machine again.
    pub is_here: bool,
    /// By this rule.
    pub rule: Option<RulePlace>,
}
