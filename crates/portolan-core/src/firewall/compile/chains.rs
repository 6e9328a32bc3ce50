//! The base chains that filter: what comes in, what goes through, what goes out.

use std::time::Duration;

use super::super::addresses::{Addresses, nft_interval};
use super::super::clock::earlier_than;
use super::super::filled::{of_door, of_step};
use super::super::onlookers::{SET_AT, TAKEN_AT};
use super::super::policy::{
    BaseNeed, BasePass, Block, CALLED_ELSEWHERE, Knock, Pass, PassTraffic, PassWay, Stance,
};
use super::super::script::ScriptChain;
use super::Compiler;
use super::gate::{Gate, PortKey};
use super::names::comment;
use super::sets::{constant_set, family, protocol};
use crate::net::Transport;

/// Earlier than the filters of others (0), later than those who mark (−150).
const PRIORITY: i32 = -5;

/// So many single addresses beside networks are worth a set of their own, which the kernel fills and
/// searches faster.
const MANY: usize = 256;

const IN: Gate = Gate { prefix: "in", port: PortKey::Destination, is_outgoing: false };
const MANAGEMENT: Gate = Gate { prefix: "mgmt", ..IN };
const ANSWERS: Gate = Gate { prefix: "mgmt-out", port: PortKey::Source, is_outgoing: true };
const TRANSLATED: Gate = Gate { prefix: "dnat", port: PortKey::Original, is_outgoing: false };
const THROUGH: Gate = Gate { prefix: "fwd", ..IN };
const OUT: Gate = Gate { prefix: "out", port: PortKey::Destination, is_outgoing: true };

impl<'a> Compiler<'a> {
    /// To this machine. Management comes before the blocks: no block may cut it.
    pub(super) fn input(&mut self) {
        let policy = self.policy;
        if policy.input != Stance::Drop && policy.blocks.is_empty() {
            return;
        }
        let mut rules = self.base(BaseStage::Early, false);
        rules.extend(self.dispatch(MANAGEMENT, &policy.management.iter().collect::<Vec<_>>()));
        rules.extend(self.blocks(PortKey::Destination));
        rules.extend(self.base(BaseStage::Rest, false));
        if policy.input == Stance::Drop {
            rules.push(format!("ct state invalid counter drop {}", comment("pt:invalid")));
            rules.extend(self.knocks());
            rules.extend(self.dispatch(IN, &self.passes(PassWay::has_input)));
            rules.extend(refused("in"));
        }
        self.base_chain("input", "input", policy.input, rules);
    }

    /// Through this machine: translated ports, and with `drop` everything.
    pub(super) fn forward(&mut self) {
        match self.policy.forward {
            Stance::Accept => {}
            Stance::Keep => self.published(),
            Stance::Drop => self.router(),
        }
    }

    /// Translated ports of this machine and nothing else. A translation of an address that is not ours
    /// (a service address of a cluster, which its pods call) is nobody's published port.
    fn published(&mut self) {
        self.translated(true);
        let guard = "meta l4proto { tcp, udp, sctp, dccp } ct status dnat ct direction original";
        let is_marked = format!("ct mark & {CALLED_ELSEWHERE:#010x} == {CALLED_ELSEWHERE:#010x}");
        let unmark = format!("ct mark set ct mark & {:#010x}", !CALLED_ELSEWHERE);
        let mark = format!("ct mark set ct mark | {CALLED_ELSEWHERE:#010x}");
        let arriving = vec![
            format!("ct state new {is_marked} {unmark}"),
            format!("ct state new fib daddr type != local {mark}"),
        ];
        self.accepting("called-elsewhere", "prerouting", SET_AT, arriving);
        self.accepting("called-here", "input", TAKEN_AT, vec![format!("{is_marked} {unmark}")]);
        let blocks = self.blocks(PortKey::Original);
        let mut rules: Vec<String> =
            blocks.iter().map(|block| format!("{guard} {block}")).collect();
        rules.push(format!("{is_marked} {unmark} accept"));
        rules.push(format!("{guard} jump translated"));
        self.accepting("forward", "forward", TAKEN_AT, rules);
    }

    fn accepting(&mut self, name: &str, hook: &str, priority: i32, rules: Vec<String>) {
        let base = format!("type filter hook {hook} priority {priority}; policy accept;");
        self.chains.push(ScriptChain { name: name.into(), base: Some(base), rules });
    }

    fn router(&mut self) {
        let mut rules = self.blocks(PortKey::Original);
        rules.push(format!("ct state established,related counter accept {}", established()));
        self.translated(false);
        rules.push("ct status dnat ct direction original jump translated".to_owned());
        let through = self.passes(|way| way == PassWay::Through);
        rules.extend(self.dispatch(THROUGH, &through));
        rules.extend(refused("forward"));
        self.base_chain("forward", "forward", Stance::Drop, rules);
    }

    /// What may come by a translated destination: a chain that others ask.
    fn translated(&mut self, is_alone: bool) {
        let mut rules = Vec::new();
        if is_alone {
            rules.push(format!("ct state established,related counter accept {}", established()));
        }
        let mut passes = self.passes(PassWay::has_translated);
        passes.retain(|pass| !is_alone || pass.traffic.ports().is_some());
        rules.extend(self.dispatch(TRANSLATED, &passes));
        rules.extend(refused("published"));
        self.chains.push(ScriptChain { name: "translated".into(), base: None, rules });
    }

    /// From this machine. What answers management leaves even if the kernel has forgotten its connection.
    pub(super) fn output(&mut self) {
        let policy = self.policy;
        if policy.output != Stance::Drop {
            return;
        }
        let mut rules = self.base(BaseStage::Early, true);
        let is_tcp =
            |p: &&Pass| matches!(p.traffic, PassTraffic::Ports { transport: Transport::Tcp, .. });
        let answers: Vec<&Pass> = policy.management.iter().filter(is_tcp).collect();
        let answers = self.dispatch(ANSWERS, &answers);
        rules.extend(answers.into_iter().map(|rule| format!("tcp flags ack {rule}")));
        rules.extend(self.base(BaseStage::Rest, true));
        rules.extend(self.dispatch(OUT, &policy.egress.iter().collect::<Vec<_>>()));
        rules.extend(refused("out"));
        self.base_chain("output", "output", policy.output, rules);
    }

    fn base_chain(&mut self, name: &str, hook: &str, stance: Stance, rules: Vec<String>) {
        let policy = if stance == Stance::Drop { "drop" } else { "accept" };
        let base = format!("type filter hook {hook} priority {PRIORITY}; policy {policy};");
        self.chains.push(ScriptChain { name: name.into(), base: Some(base), rules });
    }

    fn passes(&self, is_wanted: impl Fn(PassWay) -> bool) -> Vec<&'a Pass> {
        self.policy.passes.iter().filter(|pass| is_wanted(pass.way)).collect()
    }

    fn base(&self, stage: BaseStage, is_outgoing: bool) -> Vec<String> {
        let rows = self.policy.base.iter().filter(|row| row.is_outgoing == is_outgoing);
        let staged = rows.filter(|row| row.traffic.is_early() == stage.is_early());
        staged.flat_map(base_rules).collect()
    }

    /// The rules that refuse the blocked; the sets are made once.
    fn blocks(&mut self, port: PortKey) -> Vec<String> {
        if self.blocked.is_none() {
            self.blocked = Some(self.blocked());
        }
        let drop = format!("counter drop {}", comment("pt:block"));
        let mut rules = Vec::new();
        for (place, traffic) in self.blocked.iter().flatten() {
            if traffic.is_empty() {
                rules.push(format!("{place}{drop}"));
            }
            rules.extend(traffic.iter().map(|t| format!("{}{place}{drop}", port.is(*t))));
        }
        rules
    }

    /// Where packets of the blocked come from, and which of them are meant. Blocks without an end that
    /// refuse everything are one.
    fn blocked(&mut self) -> Vec<(String, &'a [PassTraffic])> {
        let policy = self.policy;
        let is_whole = |block: &&Block| block.until.is_none() && block.traffic.is_empty();
        let (whole, single): (Vec<&Block>, Vec<&Block>) = policy.blocks.iter().partition(is_whole);
        let mut places = self.block_places(&whole);
        places.extend(single.into_iter().flat_map(|block| self.block_places(&[block])));
        places
    }

    fn block_places(&mut self, blocks: &[&'a Block]) -> Vec<(String, &'a [PassTraffic])> {
        let Some(first) = blocks.first() else { return Vec::new() };
        let time = first.until.map(earlier_than).unwrap_or_default();
        let peers = || blocks.iter().flat_map(|block| &block.peers);
        let free = peers().filter(|p| p.interface.is_none());
        let prefixes = free.fold(Addresses::NONE, |all, p| all.with(&p.addresses));
        let mut places = self.blocked_by(&prefixes, &time);
        for on in peers().filter(|p| p.interface.is_some()) {
            let interface = on.interface.as_deref().unwrap_or_default();
            let place = format!("{time}iifname \"{interface}\" ");
            places.extend(self.blocked_by(&on.addresses, &place));
        }
        places.into_iter().map(|place| (place, &*first.traffic)).collect()
    }

    fn blocked_by(&mut self, addresses: &Addresses, place: &str) -> Vec<String> {
        if addresses.is_all() {
            return vec![place.to_owned()];
        }
        let mut places = Vec::new();
        for is_v6 in [false, true] {
            let intervals = addresses.intervals(is_v6);
            if addresses.has_all(is_v6) {
                let version = if is_v6 { "ipv6" } else { "ipv4" };
                places.push(format!("{place}meta nfproto {version} "));
                continue;
            }
            let (single, wide): (Vec<_>, Vec<_>) = intervals.iter().partition(|(a, b)| a == b);
            let is_split = single.len() >= MANY && !wide.is_empty();
            let lists = if is_split { vec![single, wide] } else { vec![intervals.to_vec()] };
            for members in lists.into_iter().filter(|list| !list.is_empty()) {
                let name = self.names.give(&format!("block-{}", family(is_v6)));
                self.parts.push(constant_set(&name, &members, is_v6, None));
                places.push(format!("{place}{} saddr @{name} ", protocol(is_v6)));
            }
        }
        places
    }

    /// The sets of the doors, whether a pass is behind them or not: what knocks must find them.
    pub(super) fn doors(&mut self) {
        for door in &self.policy.doors {
            for is_v6 in [false, true] {
                self.dynamic_set(&of_door(&door.name), is_v6, door.open);
            }
        }
    }

    /// The set of a door; one that nobody declared is there, and empty.
    pub(super) fn door_set(&mut self, door: &str, is_v6: bool) -> Box<str> {
        let known = self.policy.doors.iter().find(|known| *known.name == *door);
        let open = known.map_or(Duration::from_secs(30), |door| door.open);
        self.dynamic_set(&of_door(door), is_v6, open)
    }

    /// The rules that follow sequences of ports; the last step first, so that one packet takes one step.
    fn knocks(&mut self) -> Vec<String> {
        let policy = self.policy;
        policy.doors.iter().flat_map(|door| self.knock(door)).collect()
    }

    fn knock(&mut self, door: &'a Knock) -> Vec<String> {
        let mut rules = Vec::new();
        for (step, (transport, port)) in door.sequence.iter().enumerate().rev() {
            for peers in &door.peers {
                for is_v6 in [false, true] {
                    if peers.addresses.intervals(is_v6).is_empty() {
                        continue;
                    }
                    let place = self.knocker(door, peers, is_v6);
                    let before = match step.checked_sub(1) {
                        Some(before) => {
                            let set = self.step_set(door, before, is_v6);
                            format!("{} saddr @{set} ", protocol(is_v6))
                        }
                        None => String::new(),
                    };
                    let next = self.step_set(door, step, is_v6);
                    let ip = protocol(is_v6);
                    let note = comment(&format!("pt:{}", door.name));
                    rules.push(format!(
                        "{transport} dport {port} {place}{before}update @{next} {{ {ip} saddr }} counter drop {note}"
                    ));
                }
            }
        }
        rules
    }

    fn knocker(
        &mut self,
        door: &Knock,
        peers: &'a super::super::policy::Peers,
        is_v6: bool,
    ) -> String {
        let interface =
            peers.interface.as_ref().map_or(String::new(), |name| format!("iifname \"{name}\" "));
        let time = door.until.map(earlier_than).unwrap_or_default();
        if peers.addresses.has_all(is_v6) {
            let version = if is_v6 { "ipv6" } else { "ipv4" };
            return format!("{time}{interface}meta nfproto {version} ");
        }
        let who = self.address(&peers.addresses, is_v6, &door.name);
        format!("{time}{interface}{} saddr {who} ", protocol(is_v6))
    }

    /// Where a source is after step `step` of a sequence; after the last it is let in.
    fn step_set(&mut self, door: &Knock, step: usize, is_v6: bool) -> Box<str> {
        if step + 1 == door.sequence.len() {
            return self.door_set(&door.name, is_v6);
        }
        self.dynamic_set(&of_step(door, step), is_v6, door.window)
    }
}

/// Loopback and neighbours come before management and blocks, the rest after them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BaseStage {
    Early,
    Rest,
}

impl BaseStage {
    fn is_early(self) -> bool {
        self == Self::Early
    }
}

fn established() -> String {
    comment("pt:base-established")
}

/// What is at the end of a chain that drops: a line in the log, not too often, and the count.
fn refused(place: &str) -> [String; 2] {
    [
        format!("limit rate 10/second burst 20 packets log prefix \"pt:drop-{place} \""),
        format!("counter drop {}", comment("pt:default")),
    ]
}

fn base_rules(row: &BasePass) -> Vec<String> {
    let end = format!("counter accept {}", comment(&format!("pt:{}", row.name)));
    match &row.traffic {
        BaseNeed::Loopback => {
            vec![format!("{} \"lo\" {end}", if row.is_outgoing { "oifname" } else { "iifname" })]
        }
        BaseNeed::Established => vec![format!("ct state established,related {end}")],
        BaseNeed::Icmp(types) => vec![format!("icmp type {{ {} }} {end}", numbers(types))],
        BaseNeed::Icmpv6(types, hop_limit) => {
            let near = hop_limit.map_or(String::new(), |hops| format!("ip6 hoplimit {hops} "));
            vec![format!("icmpv6 type {{ {} }} {near}{end}", numbers(types))]
        }
        BaseNeed::Protocol(number) => with_ends(row, &format!("meta l4proto {number} {end}")),
        BaseNeed::Port { transport, source, destination } => {
            let from = source.map_or(String::new(), |port| format!("{transport} sport {port} "));
            with_ends(row, &format!("{from}{transport} dport {destination} {end}"))
        }
    }
}

/// The rule for each family that its ends have addresses of; base rows have few.
fn with_ends(row: &BasePass, rest: &str) -> Vec<String> {
    let peers = if row.is_outgoing { "daddr" } else { "saddr" };
    let ends = [(peers, &row.peers), ("daddr", &row.destinations)];
    let ends: Vec<(&str, &Addresses)> = ends
        .into_iter()
        .filter_map(|(side, set)| Some((side, set.as_ref()?)))
        .filter(|(_, set)| !set.is_all())
        .collect();
    if ends.is_empty() {
        return vec![rest.to_owned()];
    }
    let of = |is_v6: bool| -> Option<String> {
        let conditions: Option<Vec<String>> =
            ends.iter().map(|(side, set)| one_of(side, set, is_v6)).collect();
        Some(format!("{}{rest}", conditions?.concat()))
    };
    [of(false), of(true)].into_iter().flatten().collect()
}

/// `ip saddr { … } `; `None` where no address of the family is in.
fn one_of(side: &str, set: &Addresses, is_v6: bool) -> Option<String> {
    let members: Vec<String> =
        set.intervals(is_v6).iter().map(|i| nft_interval(*i, is_v6)).collect();
    let text = format!("{} {side} {{ {} }} ", protocol(is_v6), members.join(", "));
    (!members.is_empty()).then_some(text)
}

fn numbers(types: &[u8]) -> String {
    types.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}
