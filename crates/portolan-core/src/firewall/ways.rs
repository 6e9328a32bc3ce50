//! Where packets are routed when there are rules of policy routing (`ip rule`; net/core/fib_rules.c).
//!
//! Rules are asked by priority; the first whose table has a route decides. What a rule asks for that is not
//! known of the packets, as a socket's mark or its user, leaves open whether it is for them: then both ways
//! are given, with the rule.

use std::net::IpAddr;

use super::{Addresses, Route, RouteKind, World};
use crate::wire::route_table::{LOCAL, MAIN, RoutingRule, RuleAction};

/// Packets that are to be routed.
#[derive(Clone, Debug)]
pub struct Routing<'a> {
    /// From this address.
    pub from: IpAddr,
    /// To these, of the same family.
    pub to: Addresses,
    /// They come in by this interface; `lo`: this machine sends them.
    pub interface_in: &'a str,
    /// Their mark, where it is known.
    pub mark: Option<u32>,
}

/// One way of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoutedWay {
    /// To these.
    pub to: Addresses,
    /// By this route, which may be by an interface nobody told; `None` where none leads there, or a rule
    /// refuses them.
    pub route: Option<Route>,
    /// What it hangs on, in the words of rules that may be for them or not.
    pub depends_on: Vec<String>,
}

impl World {
    /// Whether other tables than the main one decide about some packets.
    #[must_use]
    pub fn has_policy(&self) -> bool {
        !self.policy.is_empty()
    }

    /// The ways that packets take; of each address they go to one, or those that are left open.
    #[must_use]
    pub fn ways(&self, routing: &Routing<'_>) -> Vec<RoutedWay> {
        if !self.has_policy() {
            return self.main_ways(routing);
        }
        let is_v6 = routing.from.is_ipv6();
        self.ways_by(self.policy.iter().filter(|rule| rule.is_v6 == is_v6).collect(), routing)
    }

    /// The same where the main table decides alone.
    #[must_use]
    pub fn main_ways(&self, routing: &Routing<'_>) -> Vec<RoutedWay> {
        let all = RoutingRule::everything(routing.from.is_ipv6());
        let main = RoutingRule { action: RuleAction::Lookup(MAIN), ..all };
        self.ways_by(vec![&main], routing)
    }

    fn ways_by(&self, mut rules: Vec<&RoutingRule>, routing: &Routing<'_>) -> Vec<RoutedWay> {
        rules.sort_by_key(|rule| rule.priority);
        let mut search = Search { world: self, routing, found: Vec::new(), open: Vec::new() };
        let mut left = routing.to.family(routing.from.is_ipv6());
        let mut skipped_to = 0;
        for rule in rules {
            if rule.priority < skipped_to {
                continue;
            }
            if let RuleAction::Goto(priority) = rule.action {
                // One that is not for all is taken to be for none, and said to be open.
                match search.applies(rule) {
                    (certain, _) if left.without(&certain).is_empty() => skipped_to = priority,
                    (_, possible) if possible.meets(&left) => search.open.push(rule.to_string()),
                    _ => {}
                }
                continue;
            }
            left = search.ask(rule, left);
        }
        if !left.is_empty() {
            search.add(left, None, None);
        }
        settled(search.found)
    }
}

/// What is open does not matter where all that is open leads the same way.
fn settled(mut ways: Vec<RoutedWay>) -> Vec<RoutedWay> {
    let by = |way: &RoutedWay| {
        let route = way.route.as_ref();
        route.map(|route| (route.interface.clone(), route.destination.length() == 0))
    };
    let all = ways.clone();
    for way in ways.iter_mut().filter(|way| !way.depends_on.is_empty()) {
        let mut beside = all.iter().filter(|other| other.to.meets(&way.to));
        if beside.all(|other| by(other) == by(way)) {
            way.depends_on.clear();
        }
    }
    ways
}

struct Search<'a> {
    world: &'a World,
    routing: &'a Routing<'a>,
    found: Vec<RoutedWay>,
    /// Rules of which it is open whether they were for those that are left.
    open: Vec<String>,
}

impl Search<'_> {
    /// Asks a rule; gives those that are left for the next.
    fn ask(&mut self, rule: &RoutingRule, mut left: Addresses) -> Addresses {
        let (certain, possible) = self.applies(rule);
        let mut here = left.and(&possible);
        if here.is_empty() {
            return left;
        }
        let is_sure = here.without(&certain).is_empty();
        let by = (!is_sure).then_some(rule);
        let before = self.found.len();
        if rule.action == RuleAction::Refuses {
            self.add(here.clone(), None, by);
            left = if is_sure { left.without(&here) } else { left };
        }
        for route in self.routes_of(rule) {
            let part = here.and(&Addresses::of([route.destination]));
            if part.is_empty() {
                continue;
            }
            here = here.without(&part);
            if is_sure {
                left = left.without(&part);
            }
            let leads = route.kind == RouteKind::Unicast;
            self.add(part, leads.then(|| route.clone()), by);
        }
        if !is_sure && self.found.len() > before {
            self.open.push(rule.to_string());
        }
        left
    }

    /// The routes that a rule's table offers, the best first.
    fn routes_of(&self, rule: &RoutingRule) -> Vec<Route> {
        let named: Vec<u32> = self.world.policy.iter().filter_map(table).collect();
        let of_others = |is_it: &dyn Fn(u32) -> bool| -> Vec<Route> {
            let all = self.world.tables.iter();
            all.filter(|(table, _)| is_it(*table)).map(|(_, route)| route.clone()).collect()
        };
        let mut routes = match rule.action {
            RuleAction::Lookup(MAIN) => self.world.routes.clone(),
            // Addresses of this machine are no others'.
            RuleAction::Lookup(LOCAL) => Vec::new(),
            RuleAction::Lookup(table) => of_others(&|other| other == table),
            // Those that no rule names are the tables of VRFs.
            RuleAction::OfVrf => of_others(&|other| !named.contains(&other)),
            RuleAction::Goto(_) | RuleAction::Nothing | RuleAction::Refuses => Vec::new(),
        };
        let is_offered = |route: &Route| {
            let length = u32::from(route.destination.length());
            route.destination.address().is_ipv6() == rule.is_v6
                && rule.least_length.is_none_or(|least| length > least)
        };
        routes.retain(is_offered);
        routes.sort_by_key(|r| (std::cmp::Reverse(r.destination.length()), r.metric));
        routes
    }

    /// Those to whom packets go that a rule is for, for certain and perhaps.
    fn applies(&self, rule: &RoutingRule) -> (Addresses, Addresses) {
        let routing = self.routing;
        let is_from = rule.source.contains(routing.from);
        let is_by = rule.interface_in.as_deref().is_none_or(|name| name == routing.interface_in);
        let of_mark = rule.mark.map(|(mark, mask)| routing.mark.map(|own| own & mask == mark));
        let is_no = !is_from || !is_by || of_mark == Some(Some(false));
        let is_vrf = rule.action == RuleAction::OfVrf;
        let is_no = is_no || is_vrf && !self.may_be_of_vrf();
        let is_open = of_mark == Some(None)
            || rule.interface_out.is_some()
            || !rule.asks.is_empty()
            || is_vrf;
        let there = Addresses::of([rule.destination]);
        let possible = if is_no { Addresses::NONE } else { there };
        let certain = if is_open { Addresses::NONE } else { possible.clone() };
        if !rule.is_inverted {
            return (certain, possible);
        }
        let all = Addresses::all();
        (all.without(&possible), all.without(&certain))
    }

    /// Whether the interface, or the address that this machine sends from, may belong to a VRF.
    fn may_be_of_vrf(&self) -> bool {
        let own = self.world.addresses.iter().find(|own| own.address == self.routing.from);
        let name = match (self.routing.interface_in, own) {
            ("lo", Some(own)) => &*own.interface,
            (name, _) => name,
        };
        self.world.interface(name).is_some_and(|interface| interface.master.is_some())
    }

    fn add(&mut self, to: Addresses, route: Option<Route>, by: Option<&RoutingRule>) {
        let depends_on = self.open.iter().cloned().chain(by.map(RoutingRule::to_string)).collect();
        let way = RoutedWay { to, route, depends_on };
        let is_same = |known: &&mut RoutedWay| {
            let by = |way: &RoutedWay| way.route.as_ref().map(|route| route.interface.clone());
            let is_default =
                |way: &RoutedWay| way.route.as_ref().map(|r| r.destination.length() == 0);
            by(known) == by(&way)
                && is_default(known) == is_default(&way)
                && known.depends_on == way.depends_on
        };
        match self.found.iter_mut().find(is_same) {
            Some(known) => known.to = known.to.with(&way.to),
            None => self.found.push(way),
        }
    }
}

fn table(rule: &RoutingRule) -> Option<u32> {
    match rule.action {
        RuleAction::Lookup(table) => Some(table),
        _ => None,
    }
}
