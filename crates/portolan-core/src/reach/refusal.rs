//! Rules of this machine that keep its own packets from their way: what `check` looks for.

use std::net::IpAddr;

use crate::firewall::simulate::{Outcome, Presumed, Way};
use crate::firewall::{Addresses, Packet, Routing, RulePlace, protocol_of};
use crate::net::{Port, Prefix, Transport};

use super::question::Asking;
use super::travel::{SENDER_PORT, first_answer};

impl Asking<'_> {
    /// The rule that keeps a packet of this machine from its way: out, where it is for this machine in
    /// again, else its answer in. `None` where none does for certain, or the rules were not seen.
    #[must_use]
    pub fn refusal(
        &self,
        from: IpAddr,
        to: IpAddr,
        port: Port,
        transport: Transport,
    ) -> Option<OwnRefusal> {
        let (with, without) = (self.with.as_ref()?, self.without.as_ref()?);
        let (rules, world) = (self.scene.rules?, self.scene.world);
        let is_own = world.is_local(to);
        let out = if is_own { Some("lo".into()) } else { Some(self.way_out(from, to)?) };
        let packet = Packet::new(protocol_of(transport), from, to).ports(SENDER_PORT, port.0);
        let leaving = Packet { interface_out: out, ..packet.clone() };
        let mut is_answer = false;
        let mut walk = with.walk(&leaving, Way::Output, &Presumed);
        if walk.outcome == Outcome::Accept && walk.packet.destination == to {
            if is_own {
                let entering = Packet { interface_in: "lo".into(), ..packet };
                walk = without.walk(&entering, Way::Input, &Presumed);
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

    /// The interface that packets of this machine leave by, where that is certain.
    fn way_out(&self, from: IpAddr, to: IpAddr) -> Option<Box<str>> {
        let routing =
            Routing { from, to: Addresses::of([Prefix::from(to)]), interface_in: "lo", mark: None };
        match &self.scene.world.ways(&routing)[..] {
            [way] if way.depends_on.is_empty() => Some(way.route.as_ref()?.interface.clone()),
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
