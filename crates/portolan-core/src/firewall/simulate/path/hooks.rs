//! The hooks one after another, and what the packet meets at each: conntrack, translation, chains.

use super::{Link, Stop, Walker, nowhere};
use crate::firewall::simulate::answers::About;
use crate::firewall::simulate::prepared::Event;
use crate::firewall::simulate::walk::{Because, Note, Outcome, Station, Step, Way};
use crate::firewall::{ChainId, ChainKind, Hook};

impl Walker<'_> {
    /// A packet that comes in.
    pub(super) fn arrive(&mut self) -> Option<Stop> {
        self.link_in = self.came_by();
        let stop = self.pass(Hook::Ingress).or_else(|| self.refused_at_once());
        let stop = stop.or_else(|| self.pass(Hook::Prerouting));
        if stop.is_some() || self.is_through {
            return stop;
        }
        if self.way == Way::Prerouting {
            return None;
        }
        let (mut decision, because) = self.route();
        if let Some(why) = self.refused(&decision) {
            decision = nowhere(why);
        }
        let station = decision.station;
        self.note(Step::Routed { decision: decision.clone(), because });
        match station {
            Station::Nowhere(_) => Some((Outcome::Drop, None)),
            Station::Here => {
                self.put_together();
                self.pass(Hook::Input)
            }
            Station::Onward => {
                if self.has_no_hop_left() {
                    return Some((Outcome::Drop, None));
                }
                // Before the hook (ip_forward, ip6_forward).
                self.packet.ttl = self.packet.ttl.saturating_sub(1);
                self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
                let stop = self.pass(Hook::Forward).or_else(|| self.pass(Hook::Postrouting));
                stop.or_else(|| self.pass(Hook::Egress))
            }
        }
    }

    /// A packet that this machine sends.
    pub(super) fn leave(&mut self) -> Option<Stop> {
        let (decision, because) = self.route_out();
        self.note(Step::Routed { decision: decision.clone(), because });
        if matches!(decision.station, Station::Nowhere(_)) {
            return Some((Outcome::Drop, None));
        }
        self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
        if let Some(stop) = self.pass(Hook::Output) {
            return Some(stop);
        }
        if self.is_through {
            return None;
        }
        // Routed anew after the hook; its later chains still saw the old interface (measured).
        if let Some(range) = self.vague.destination {
            self.settle_destination(range, Self::class_out);
        }
        let is_vague = self.vague.destination.is_some();
        if self.packet.destination != self.begun.destination || is_vague {
            let (decision, _) = self.route_out();
            let because = Because::Translated;
            self.note(Step::Routed { decision: decision.clone(), because });
            if matches!(decision.station, Station::Nowhere(_)) {
                return Some((Outcome::Drop, None));
            }
            self.link_out = decision.interface.map_or(Link::Unknown, Link::Named);
        }
        self.pass(Hook::Postrouting).or_else(|| self.pass(Hook::Egress))
    }

    /// The interface it comes in by: as given, else by which the answers would go.
    fn came_by(&mut self) -> Link {
        if !self.packet.interface_in.is_empty() {
            return Link::Named(self.packet.interface_in.clone());
        }
        let source = self.packet.source;
        let world = self.prepared.world;
        let by = if world.is_local(source) {
            Some("lo".into())
        } else {
            world.route(source).map(|route| route.interface.clone()).filter(|name| !name.is_empty())
        };
        let Some(name) = by else {
            self.note(Step::Note(Note::UnknownInterface));
            return Link::Unknown;
        };
        self.note(Step::Note(Note::ComesBy(name.clone())));
        Link::Named(name)
    }

    /// Everything at one hook.
    fn pass(&mut self, hook: Hook) -> Option<Stop> {
        if self.is_through {
            return None;
        }
        if let Some(stop) = self.pass_bridge(hook) {
            return Some(stop);
        }
        let events = self.prepared.events(hook, self.packet.is_v6());
        let is_device = matches!(hook, Hook::Ingress | Hook::Egress);
        if is_device && events.is_empty() {
            return None;
        }
        self.hook = hook;
        if hook == Hook::Egress {
            // Of where it came in by nothing is told there (nf_hook_egress; measured).
            self.link_in = Link::None;
        }
        self.note(Step::Hook(hook));
        events.iter().find_map(|event| self.meet(event))
    }

    fn meet(&mut self, event: &Event) -> Option<Stop> {
        if self.is_through {
            return None;
        }
        match event {
            Event::Defragment => {
                if self.is_later_fragment && self.is_tracking() {
                    self.is_later_fragment = false;
                    self.note(Step::Defragmented);
                }
                None
            }
            Event::Track => {
                self.track();
                None
            }
            Event::Translate(chains) => {
                self.is_in_nat = true;
                let ended = self.translation(chains);
                self.is_in_nat = false;
                ended.map(|(outcome, by)| (outcome, Some(by)))
            }
            Event::Chain(id) => self.ask_chain(*id),
            Event::Either { question, first, second } => {
                let is_first = self.ask(question, None, About::Setting, None);
                let events = if is_first { first } else { second };
                events.iter().find_map(|event| self.meet(event))
            }
        }
    }

    /// IPv4 puts fragments for this machine together before input (ip_local_deliver); IPv6 does it behind.
    fn put_together(&mut self) {
        if self.is_later_fragment && !self.packet.is_v6() {
            self.is_later_fragment = false;
            self.note(Step::Defragmented);
        }
    }

    fn ask_chain(&mut self, id: ChainId) -> Option<Stop> {
        if !self.is_on_device(id) {
            return None;
        }
        let end = self.run_base(id);
        if end.outcome != Outcome::Accept {
            return Some((end.outcome, Some(end.by)));
        }
        self.decided_at(end.by, end.outcome, ChainKind::Filter);
        None
    }
}
