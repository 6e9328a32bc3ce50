//! Random rulesets, written as a person would write them, and packets at the edges of what they say.
//!
//! Each line of a ruleset keeps, for every condition in it, values on both sides of its edges. A probe
//! is put together from those of one line or two, so that most probes come close to some rule.

mod elements;
mod iptables;
mod marks;
mod matches;
mod order;
mod probes;
mod rewrites;
mod statements;
mod subject;
mod tracking;
mod translations;
mod values;

use portolan_core::firewall::TcpFlags;
use std::net::IpAddr;

use crate::chance::Chance;

pub(crate) use iptables::SETS;
pub use order::hooks;
pub use probes::{is_sendable, probe};
pub use subject::Subject;
pub(crate) use values::usual_ends;

/// A ruleset as lines that tools take, each of which may be left out.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// For `nft -f`.
    pub nft: Vec<Line>,
    /// For `iptables-restore`.
    pub ip: Vec<Line>,
    /// For `ip6tables-restore`.
    pub ip6: Vec<Line>,
    /// Whether chains are made in another order than nft lists them in.
    pub is_own_order: bool,
}

impl Sketch {
    /// How many zones of conntrack its rules may speak of.
    #[must_use]
    pub fn zones(&self) -> u16 {
        let mut lines = self.nft.iter().chain(&self.ip).chain(&self.ip6);
        if lines.any(|line| line.text.contains("zone")) { 4 } else { 1 }
    }

    /// Whether a table of it is switched off.
    #[must_use]
    pub fn has_dormant_table(&self) -> bool {
        self.nft.iter().any(|line| line.text.contains("flags dormant"))
    }
}

/// A line, and what a packet has to look like to concern it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What the tool reads.
    pub text: String,
    /// For each condition values at its edges, the first of them inside.
    pub edges: Vec<Vec<Edge>>,
    /// Whether the line holds others together: `*filter`, `COMMIT`.
    pub is_frame: bool,
}

/// A property of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// From this address.
    Source(IpAddr),
    /// To this address.
    Destination(IpAddr),
    /// Of this protocol.
    Protocol(u8),
    /// From this port.
    SourcePort(u16),
    /// To this port.
    DestinationPort(u16),
    /// TCP with these flags.
    Flags(TcpFlags),
    /// ICMP of this type.
    IcmpType(u8),
    /// ICMP with this code.
    IcmpCode(u8),
    /// With this time to live.
    Ttl(u8),
    /// With this byte of DSCP and ECN.
    Class(u8),
    /// As long as this.
    Length(u16),
    /// In by this link; empty: sent by the firewall.
    LinkIn(&'static str),
    /// Out by this link.
    LinkOut(&'static str),
    /// In this state.
    State(Company),
    /// A later fragment.
    Fragment,
    /// Of this version of IP.
    Version(u8),
    /// With this mark on its connection.
    CtMark(u32),
    /// With this mark, if the firewall sends it.
    Mark(u32),
}

/// How a probe stands to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Alone.
    Fresh,
    /// The next packet of a connection that was answered.
    Established,
    /// An answer in it.
    Reply,
    /// An ICMP error about it.
    Related,
    /// Alone, and odd.
    Invalid,
}

/// What a chain is for: decides what may stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Role {
    hook: &'static str,
    kind: &'static str,
    priority: i32,
}

/// A table in the making.
#[derive(Debug)]
struct Draft<'a> {
    chance: &'a mut Chance,
    subject: Subject,
    family: &'static str,
    name: String,
    /// Sets and maps, before all rules.
    sets: Vec<Line>,
    rules: Vec<Line>,
    /// Of the chains that are not base chains: the name and the role of those who may ask them.
    chains: Vec<(String, Role)>,
}

/// Whose language a ruleset is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// nft's.
    Nft,
    /// That of iptables.
    Iptables,
}

/// What is to be drawn; what is not said is left to chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What a ruleset is about.
    pub subject: Option<Subject>,
    /// In which language it is written.
    pub dialect: Option<Dialect>,
}

/// The ruleset of a chance: everything comes from it.
#[must_use]
pub fn sketch(chance: &mut Chance, wanted: Wanted) -> Sketch {
    let mut sketch = Sketch::default();
    let subject = wanted.subject.unwrap_or_else(|| Subject::drawn(chance));
    let kinds = match subject {
        Subject::Order => 0,
        Subject::Compat => 5 + chance.below(5),
        _ => chance.below(10),
    };
    let has = |dialect, by_chance| wanted.dialect.map_or(by_chance, |wanted| wanted == dialect);
    if has(Dialect::Nft, kinds < 8) {
        sketch.nft = match subject {
            Subject::Order => order::tables(chance),
            _ => (0..1 + chance.below(3)).flat_map(|n| table(chance, subject, n)).collect(),
        };
        sketch.is_own_order = subject == Subject::Order;
    }
    if has(Dialect::Iptables, kinds >= 6) {
        sketch.ip = iptables::file(chance, subject, false);
        if chance.percent(50) {
            sketch.ip6 = iptables::file(chance, subject, true);
        }
    }
    sketch
}

fn table(chance: &mut Chance, subject: Subject, number: usize) -> Vec<Line> {
    let family = *chance.pick(&["ip", "ip6", "inet", "inet", "inet"]);
    let name = format!("t{number}");
    let mut draft = Draft::new(chance, subject, family, name);
    let dormant = if draft.chance.percent(3) { " { flags dormant; }" } else { "" };
    let mut lines = vec![line(format!("add table {family} {}{dormant}", draft.name))];
    let bases: Vec<Role> = (0..1 + draft.chance.below(4)).map(|_| draft.role()).collect();
    for (at, role) in bases.iter().enumerate() {
        lines.push(draft.base_chain(at, *role));
    }
    for at in 0..draft.chance.below(5) {
        let role = *draft.chance.pick(&bases);
        lines.push(line(format!("add chain {family} {} s{at}", draft.name)));
        draft.chains.push((format!("s{at}"), role));
    }
    for (at, role) in bases.iter().enumerate() {
        for _ in 0..draft.chance.below(7) {
            draft.rule(&format!("b{at}"), *role, 0);
        }
    }
    for at in 0..draft.chains.len() {
        let role = draft.chains[at].1;
        for _ in 0..1 + draft.chance.below(4) {
            draft.rule(&format!("s{at}"), role, at + 1);
        }
    }
    lines.append(&mut draft.sets);
    lines.append(&mut draft.rules);
    lines
}

impl<'a> Draft<'a> {
    fn new(chance: &'a mut Chance, subject: Subject, family: &'static str, name: String) -> Self {
        Self { chance, subject, family, name, sets: vec![], rules: vec![], chains: vec![] }
    }
}

impl Draft<'_> {
    fn role(&mut self) -> Role {
        let hook = *self.chance.pick(self.subject.hooks());
        let most = if self.subject == Subject::Translation { 7 } else { 3 };
        let kind = match (self.chance.below(10), hook) {
            (at, "input") if at < most / 3 => "nat",
            (at, "prerouting" | "postrouting" | "output") if at < most => "nat",
            (9, "output") => "route",
            _ => "filter",
        };
        let priorities = if kind == "nat" { NAT_PRIORITIES } else { self.subject.priorities(hook) };
        Role { hook, kind, priority: *self.chance.pick(priorities) }
    }

    fn base_chain(&mut self, at: usize, role: Role) -> Line {
        let Role { hook, kind, priority } = role;
        let is_closed = self.chance.percent(if kind == "nat" { 4 } else { 25 });
        let policy = if is_closed { "drop" } else { "accept" };
        let base = format!("type {kind} hook {hook} priority {priority}; policy {policy};");
        line(format!("add chain {} {} b{at} {{ {base} }}", self.family, self.name))
    }

    /// One rule. Chains from `first` on may be asked.
    fn rule(&mut self, chain: &str, role: Role, first: usize) {
        let mut rule = matches::Matches::new(self, role);
        let count = rule.draft.chance.below(4);
        for _ in 0..count {
            rule.one();
        }
        let matches::Matches { words, edges, version, transport, .. } = rule;
        let mut tail = self.statements(role, first, version, transport);
        // nft 1.0.6 does not list the version beside a RST (stmt_reject_postprocess), so nobody can read
        // it back.
        if words.iter().any(|w| w.starts_with("meta nfproto") || w.starts_with("meta protocol")) {
            tail.retain(|word| word != "reject with tcp reset");
        }
        // It lists `A >= x B <= y` of two fields as a range of one (range_expr … of netlink_delinearize.c).
        let has = |word: &str| words.iter().any(|w| w.contains(word));
        if has(">=") && has("<=") {
            return;
        }
        let text = format!(
            "add rule {} {} {chain} {}",
            self.family,
            self.name,
            [words, tail].concat().join(" ")
        );
        self.rules.push(Line { text, edges, is_frame: false });
    }
}

fn line(text: String) -> Line {
    Line { text, ..Line::default() }
}

const HOOKS: &[&str] = &[
    "input",
    "input",
    "input",
    "forward",
    "forward",
    "output",
    "output",
    "prerouting",
    "postrouting",
    "prerouting",
];
const PRIORITIES: &[i32] = &[-310, -300, -150, -100, -50, -10, 0, 0, 0, 0, 10, 50, 100, 225];
const NAT_PRIORITIES: &[i32] = &[-100, -100, -90, 0, 100, 100];
