//! One lookup by port, one by address: what is let through at one place of a packet's way.
//!
//! The ports of all passes are cut where a pass begins or ends. Pieces with the same passes share a
//! chain, and a verdict map leads from the port to it.

use std::collections::BTreeSet;

use super::super::addresses::Addresses;
use super::super::clock::earlier_than;
use super::super::filled::of_limit;
use super::super::policy::{Pass, PassTraffic, Peers, RateLimit, protocol_of};
use super::super::script::{Part, PartKind, ScriptChain};
use super::Compiler;
use super::names::comment;
use super::sets::{family, helper_name, helper_of, protocol};
use crate::net::Transport;

/// A place on the way where passes are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gate {
    /// The beginning of the names of its maps and chains.
    pub prefix: &'static str,
    /// Which port counts.
    pub port: PortKey,
    /// Whether the peers are where packets go to; else where they come from.
    pub is_outgoing: bool,
}

/// Which port of a packet counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortKey {
    /// The one it goes to.
    Destination,
    /// The one it comes from.
    Source,
    /// The one that was called before the destination was translated.
    Original,
}

/// More plain passes than these in one chain become one lookup.
const MOST_RULES: usize = 8;

/// What a map is asked by.
#[derive(Clone, Copy)]
struct Key<'k> {
    /// In the name of the map.
    name: &'k str,
    /// nft's type of it.
    kind: &'k str,
    /// As a rule writes it.
    text: &'k str,
}

/// A piece of the ports, and the passes that hold there.
type Segment = (u16, u16, Vec<usize>);

impl<'a> Compiler<'a> {
    /// The chains for `passes`, and the rules that lead to them.
    pub(super) fn dispatch(&mut self, gate: Gate, passes: &[&'a Pass]) -> Vec<String> {
        let mut rules = Vec::new();
        for transport in Transport::ALL {
            let segments = segments(passes, transport);
            let chosen = |of: &[usize]| of.iter().map(|i| passes[*i]).collect::<Vec<_>>();
            let mut elements = Vec::new();
            for (low, high, of) in segments {
                let Some(chain) = self.chain_for(gate, &chosen(&of)) else { continue };
                let ports = if low == high { low.to_string() } else { format!("{low}-{high}") };
                elements.push(format!("{ports} : jump {chain}"));
            }
            if !elements.is_empty() {
                let text = &gate.port.of(transport);
                let key = Key { name: transport.as_str(), kind: "inet_service", text };
                rules.push(self.lookup(gate, key, elements));
            }
        }
        rules.extend(self.dispatch_protocols(gate, passes));
        rules
    }

    fn dispatch_protocols(&mut self, gate: Gate, passes: &[&'a Pass]) -> Option<String> {
        let numbers: BTreeSet<u8> = passes.iter().filter_map(|p| number_of(p)).collect();
        let mut elements = Vec::new();
        for number in numbers {
            let of: Vec<&Pass> =
                passes.iter().copied().filter(|p| number_of(p) == Some(number)).collect();
            if let Some(chain) = self.chain_for(gate, &of) {
                elements.push(format!("{number} : jump {chain}"));
            }
        }
        let key = Key { name: "ip", kind: "inet_proto", text: "meta l4proto" };
        (!elements.is_empty()).then(|| self.lookup(gate, key, elements))
    }

    /// The rule that looks a key up in a map of its own.
    fn lookup(&mut self, gate: Gate, key: Key<'_>, elements: Vec<String>) -> String {
        let name = self.names.give(&format!("{}-{}", gate.prefix, key.name));
        let mut properties = vec![format!("type {} : verdict", key.kind)];
        let is_range = |e: &String| e.split(" : ").next().is_some_and(|k| k.contains('-'));
        if elements.iter().any(is_range) {
            properties.push("flags interval".to_owned());
        }
        let name: Box<str> = name.into();
        let rule = format!("{} vmap @{name}", key.text);
        self.parts.push(Part {
            kind: PartKind::Map,
            name,
            properties,
            elements,
            is_dynamic: false,
        });
        rule
    }

    /// The chain that lets `passes` through; `None` where they let nobody.
    fn chain_for(&mut self, gate: Gate, passes: &[&'a Pass]) -> Option<Box<str>> {
        let rules = self.rules_of(gate, passes);
        if rules.is_empty() {
            return None;
        }
        if let Some(name) = self.asked.get(&rules) {
            return Some(name.clone());
        }
        let first = passes.first().map_or("", |pass| &pass.name);
        let more = if passes.len() > 1 { "-and-more" } else { "" };
        let name: Box<str> = self.names.give(&format!("svc-{first}{more}")).into();
        self.asked.insert(rules.clone(), name.clone());
        self.chains.push(ScriptChain { name: name.clone(), base: None, rules });
        Some(name)
    }

    /// Passes without a limit come first: a limit drops, and must not drop what another pass lets in.
    fn rules_of(&mut self, gate: Gate, passes: &[&'a Pass]) -> Vec<String> {
        let (limited, free): (Vec<&Pass>, Vec<&Pass>) =
            passes.iter().copied().partition(|p| p.limit.is_some());
        let (plain, special): (Vec<&Pass>, Vec<&Pass>) =
            free.into_iter().partition(|p| is_plain(p));
        let mut rules = Vec::new();
        if plain.len() > MOST_RULES {
            rules.extend(self.merged(gate, &plain));
        } else {
            plain.iter().for_each(|pass| rules.extend(self.pass(gate, pass)));
        }
        special.iter().chain(&limited).for_each(|pass| rules.extend(self.pass(gate, pass)));
        rules
    }

    /// Many passes for the same port in one lookup a family; their counters are one too.
    fn merged(&mut self, gate: Gate, plain: &[&'a Pass]) -> Vec<String> {
        let peers = plain.iter().flat_map(|pass| &pass.peers);
        let all = peers.fold(Addresses::NONE, |all, peers| all.with(&peers.addresses));
        let names: Vec<&str> = plain.iter().map(|pass| &*pass.name).collect();
        let end = format!("counter accept {}", comment(&format!("pt:{}", names.join(","))));
        let mut rules = Vec::new();
        for is_v6 in [false, true] {
            let members = all.intervals(is_v6);
            if members.is_empty() {
                continue;
            }
            let name = self.names.give(&format!("{}-many-{}", gate.prefix, family(is_v6)));
            self.parts.push(super::sets::constant_set(&name, members, is_v6, None));
            rules.push(format!("{} @{name} {end}", gate.peer(is_v6)));
        }
        rules
    }

    fn pass(&mut self, gate: Gate, pass: &'a Pass) -> Vec<String> {
        pass.peers.iter().flat_map(|peers| self.pass_for(gate, pass, peers)).collect()
    }

    /// The rules for one group of peers: one where the family does not matter, else one a family.
    fn pass_for(&mut self, gate: Gate, pass: &'a Pass, peers: &'a Peers) -> Vec<String> {
        let Some(interface) = one_interface(pass, peers) else { return Vec::new() };
        let interface = interface.map_or(String::new(), |name| gate.interface(name));
        let start = format!("{}{interface}", pass.until.map(earlier_than).unwrap_or_default());
        let helper = helper_of(pass).map_or(String::new(), |(helper, transport)| {
            format!("ct helper set \"{}\" ", helper_name(helper, transport))
        });
        let end = format!("counter {helper}accept {}", comment(&format!("pt:{}", pass.name)));
        let everywhere = pass.destinations.as_ref().is_none_or(Addresses::is_all);
        let is_simple = pass.door.is_none() && pass.limit.is_none();
        if peers.addresses.is_all() && everywhere && is_simple {
            return vec![format!("{start}{end}")];
        }
        let mut rules = Vec::new();
        for is_v6 in [false, true] {
            let Some(place) = self.condition(gate, pass, peers, is_v6) else { continue };
            let place = format!("{start}{place}");
            if let Some(limit) = pass.limit {
                rules.extend(self.limited(pass, limit, &place, is_v6));
            }
            rules.push(format!("{place}{end}"));
        }
        rules
    }

    /// What must hold for the addresses of one family; `None` where none can.
    fn condition(
        &mut self,
        gate: Gate,
        pass: &'a Pass,
        peers: &'a Peers,
        is_v6: bool,
    ) -> Option<String> {
        let is_none = |set: &Addresses| set.intervals(is_v6).is_empty();
        if is_none(&peers.addresses) || pass.destinations.as_ref().is_some_and(is_none) {
            return None;
        }
        let mut text = String::new();
        if !peers.addresses.has_all(is_v6) {
            let who = self.address(&peers.addresses, is_v6, &peers.label);
            text.push_str(&format!("{} {who} ", gate.peer(is_v6)));
        }
        if let Some(to) = pass.destinations.as_ref().filter(|to| !to.has_all(is_v6)) {
            let to = self.address(to, is_v6, &pass.name);
            text.push_str(&format!("{} daddr {to} ", protocol(is_v6)));
        }
        if let Some(door) = &pass.door {
            let set = self.door_set(door, is_v6);
            text.push_str(&format!("{} saddr @{set} ", protocol(is_v6)));
        }
        if text.is_empty() {
            text.push_str(&format!("meta nfproto {} ", if is_v6 { "ipv6" } else { "ipv4" }));
        }
        Some(text)
    }

    /// The rules that drop what is beyond a limit. Sources that a full set has no room for share one:
    /// otherwise whoever forges enough of them would have none.
    fn limited(&mut self, pass: &Pass, limit: RateLimit, place: &str, is_v6: bool) -> [String; 2] {
        let keep = limit.per.saturating_mul(2).max(std::time::Duration::from_secs(60));
        let set = self.dynamic_set(&of_limit(&pass.name), is_v6, keep);
        let rest = self.rest_set(&pass.name, keep);
        let source = if is_v6 { "ip6 saddr & ffff:ffff:ffff:ffff::" } else { "ip saddr" };
        let note = |what: &str| comment(&format!("pt:{} {what}", pass.name));
        let (each, all) = (limit_text(limit), limit_text(limit.of_the_rest()));
        [
            format!(
                "{place}ct state new update @{set} {{ {source} {each} }} counter drop {}",
                note("limit")
            ),
            format!(
                "{place}ct state new {source} != @{set} update @{rest} {{ meta l4proto {all} }} counter drop {}",
                note("limit, no room")
            ),
        ]
    }
}

/// `limit rate over 12/minute burst 6 packets`.
fn limit_text(limit: RateLimit) -> String {
    let (rate, unit) = limit.in_units();
    format!("limit rate over {rate}/{unit} burst {} packets", limit.burst())
}

/// Whether only the addresses of the peers count.
fn is_plain(pass: &Pass) -> bool {
    let anywhere = pass.interface.is_none() && pass.destinations.is_none();
    let inherent = pass.door.is_none() && pass.helper.is_none() && pass.limit.is_none();
    anywhere
        && inherent
        && pass.until.is_none()
        && pass.peers.iter().all(|peers| peers.interface.is_none())
}

/// The interface both want; `None` where they want different ones.
#[expect(clippy::option_option, reason = "no interface at all is an answer too")]
fn one_interface<'p>(pass: &'p Pass, peers: &'p Peers) -> Option<Option<&'p str>> {
    match (pass.interface.as_deref(), peers.interface.as_deref()) {
        (Some(a), Some(b)) if a != b => None,
        (a, b) => Some(a.or(b)),
    }
}

/// The number of a protocol without ports.
fn number_of(pass: &Pass) -> Option<u8> {
    match pass.traffic {
        PassTraffic::Protocol(number) => {
            let has_ports = Transport::ALL.into_iter().any(|t| protocol_of(t) == number);
            (!has_ports).then_some(number)
        }
        PassTraffic::Ports { .. } => None,
    }
}

/// The ports of a transport that a pass is for. One for the whole protocol is one for every port, so that
/// its place among the others is kept.
fn ports_of(pass: &Pass, transport: Transport) -> Option<(u16, u16)> {
    match pass.traffic {
        PassTraffic::Ports { transport: t, range } => {
            (t == transport).then(|| (range.first().0, range.last().0))
        }
        PassTraffic::Protocol(number) => {
            (number == protocol_of(transport)).then_some((0, u16::MAX))
        }
    }
}

/// The ports of one transport, cut where a pass begins or ends; neighbours with the same passes are
/// one.
fn segments(passes: &[&Pass], transport: Transport) -> Vec<Segment> {
    let mut starts: Vec<(u16, usize)> = Vec::new();
    let mut ends: Vec<(u16, usize)> = Vec::new();
    let mut cuts: BTreeSet<u32> = BTreeSet::new();
    for (i, pass) in passes.iter().enumerate() {
        let Some((first, last)) = ports_of(pass, transport) else { continue };
        starts.push((first, i));
        ends.push((last, i));
        cuts.extend([u32::from(first), u32::from(last) + 1]);
    }
    starts.sort_unstable();
    ends.sort_unstable();
    sweep(&starts, &ends, &cuts.into_iter().collect::<Vec<_>>())
}

/// From cut to cut, with the passes that hold in between.
fn sweep(starts: &[(u16, usize)], ends: &[(u16, usize)], cuts: &[u32]) -> Vec<Segment> {
    let (mut starts, mut ends) = (starts.iter().peekable(), ends.iter().peekable());
    let mut active: BTreeSet<usize> = BTreeSet::new();
    let mut segments: Vec<Segment> = Vec::new();
    for pair in cuts.windows(2) {
        let (low, next) = (pair[0], pair[1]);
        while let Some((_, i)) = ends.next_if(|(last, _)| u32::from(*last) < low) {
            active.remove(i);
        }
        while let Some((_, i)) = starts.next_if(|(first, _)| u32::from(*first) <= low) {
            active.insert(*i);
        }
        let (Ok(low), Ok(high)) = (u16::try_from(low), u16::try_from(next - 1)) else { continue };
        let of: Vec<usize> = active.iter().copied().collect();
        match segments.last_mut() {
            Some(before) if before.1.checked_add(1) == Some(low) && before.2 == of => {
                before.1 = high;
            }
            _ if of.is_empty() => {}
            _ => segments.push((low, high, of)),
        }
    }
    segments
}

impl Gate {
    /// The address of the peer.
    fn peer(self, is_v6: bool) -> &'static str {
        match (self.is_outgoing, is_v6) {
            (false, false) => "ip saddr",
            (false, true) => "ip6 saddr",
            (true, false) => "ip daddr",
            (true, true) => "ip6 daddr",
        }
    }

    fn interface(self, name: &str) -> String {
        format!("{} \"{name}\" ", if self.is_outgoing { "oifname" } else { "iifname" })
    }
}

impl PortKey {
    /// That a packet that opens a connection is of this protocol, to these ports.
    pub(super) fn is(self, traffic: PassTraffic) -> String {
        let direction = match self {
            Self::Original => "ct direction original ",
            Self::Destination | Self::Source => "",
        };
        match traffic {
            PassTraffic::Ports { transport, range } => {
                format!("{direction}{} {range} ", self.of(transport))
            }
            PassTraffic::Protocol(number) => format!("{direction}meta l4proto {number} "),
        }
    }

    fn of(self, transport: Transport) -> String {
        match self {
            Self::Destination => format!("{transport} dport"),
            Self::Source => format!("{transport} sport"),
            Self::Original => format!("meta l4proto {transport} ct original proto-dst"),
        }
    }
}
