//! Words for what a simulated packet meets, the same wherever they are told.

use portolan_core::firewall::simulate::{
    Decision, Did, Instead, NoWay, Note, Outcome, Station, Step, Walk, Way,
};
use portolan_core::firewall::{
    ChainId, Family, NatKind, RejectWith, RuleId, Ruleset, Target, TcpFlags,
};

use crate::ops::firewall::packet::{FLAGS, STATES, Taken};
use crate::render::sanitize::sanitize;

pub(super) fn protocol_word(protocol: u8) -> String {
    let known = match protocol {
        1 => "icmp",
        2 => "igmp",
        6 => "tcp",
        17 => "udp",
        33 => "dccp",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "icmpv6",
        132 => "sctp",
        136 => "udplite",
        other => return format!("protocol {other}"),
    };
    known.to_owned()
}

/// A way, by the hook it is named for.
pub(super) const fn way_word(way: Way) -> &'static str {
    match way {
        Way::Prerouting => "prerouting",
        Way::Input => "input",
        Way::Forward => "forward",
        Way::Output => "output",
        Way::ByRoute => "by route",
    }
}

/// Whether packets of a protocol have ports.
pub(super) const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 33 | 132 | 136)
}

/// The flags of TCP in a byte, from the lowest bit.
pub(super) fn flag_names(flags: u8) -> Vec<&'static str> {
    let all = FLAGS.iter().filter(|(_, flag)| TcpFlags(flags).contains(*flag));
    all.map(|(name, _)| *name).collect()
}

pub(super) fn flag_words(flags: u8) -> String {
    let set = flag_names(flags);
    if set.is_empty() { "without flags".to_owned() } else { set.join(",") }
}

pub(super) fn decided_words(walk: &Walk, ruleset: &Ruleset) -> String {
    let Some(rule) = walk.decided_by else {
        return match (walk.outcome, end_of_the_way(walk)) {
            (Outcome::Accept, _) => "no chain stands in its way".to_owned(),
            (_, Some(no_way)) => no_way_words(no_way).to_owned(),
            (_, None) => "by no rule".to_owned(),
        };
    };
    let with = match walk.outcome {
        Outcome::Reject(with) => format!(" with {}", reject_words(with)),
        _ => String::new(),
    };
    format!("by {}{with}", rule_words(rule, ruleset))
}

/// Who may decide in the place of the rule that did, and what that depends on; `None`: nobody.
pub(super) fn instead_words(walk: &Walk, ruleset: &Ruleset) -> Option<String> {
    let Instead { rules, open } = &walk.instead;
    let others: Vec<String> =
        rules.iter().take(MOST_INSTEAD).map(|rule| rule_words(*rule, ruleset)).collect();
    let more = match rules.len().saturating_sub(MOST_INSTEAD) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mut open: Vec<String> = open.iter().map(|text| sanitize(text).to_string()).collect();
    open.sort_unstable();
    open.dedup();
    open.truncate(MOST_INSTEAD);
    let told =
        format!("{}{more}; the packet does not say {}", others.join(", or by "), open.join(", "));
    (!others.is_empty()).then_some(told)
}

/// So many are named on a screen.
const MOST_INSTEAD: usize = 3;

fn end_of_the_way(walk: &Walk) -> Option<NoWay> {
    walk.steps.iter().rev().find_map(|step| match step {
        Step::Routed { decision: Decision { station: Station::Nowhere(why), .. }, .. } => {
            Some(*why)
        }
        _ => None,
    })
}

/// `rule 1 of inet b c (priority 10): tcp dport 80 drop`, `policy of inet a c`.
pub(super) fn rule_words(rule: RuleId, ruleset: &Ruleset) -> String {
    let Some(place) = ruleset.place(rule) else { return "a rule".to_owned() };
    let (table, chain) = (sanitize(&place.table), sanitize(&place.chain));
    let Some(index) = place.index else {
        if place.family == Family::Bridge {
            return format!("table bridge {table}, which is not evaluated");
        }
        return format!("policy of {} {table} {chain}", place.family);
    };
    let priority = ruleset.chain(rule.chain).and_then(|chain| chain.base.as_ref());
    let priority = priority.map(|base| format!(" (priority {})", base.priority));
    format!(
        "rule {} of {} {table} {chain}{}: {}",
        index + 1,
        place.family,
        priority.unwrap_or_default(),
        sanitize(&place.text)
    )
}

pub(super) fn rule_place(rule: RuleId, ruleset: &Ruleset) -> String {
    let Some(place) = ruleset.place(rule) else { return String::new() };
    let index = place.index.map(|index| format!(" rule {}", index + 1)).unwrap_or_default();
    format!("{} {} {}{index}", place.family, sanitize(&place.table), sanitize(&place.chain))
}

pub(super) fn outcome_words(outcomes: &[Outcome]) -> String {
    let mut words: Vec<&str> = outcomes.iter().map(|outcome| outcome_word(*outcome)).collect();
    words.dedup();
    if words.is_empty() { "unknown".to_owned() } else { words.join(" or ") }
}

pub(super) const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Accept => "accept",
        Outcome::Drop => "drop",
        Outcome::Reject(_) => "reject",
    }
}

pub(super) fn reject_words(with: RejectWith) -> String {
    match with {
        RejectWith::TcpReset => "tcp reset".to_owned(),
        RejectWith::Icmp(code) => format!("icmp unreachable, code {code}"),
        RejectWith::Icmpv6(code) => format!("icmpv6 unreachable, code {code}"),
        RejectWith::Icmpx(0) => "no route".to_owned(),
        RejectWith::Icmpx(1) => "port unreachable".to_owned(),
        RejectWith::Icmpx(2) => "host unreachable".to_owned(),
        RejectWith::Icmpx(_) => "administratively prohibited".to_owned(),
    }
}

pub(super) const fn no_way_words(why: NoWay) -> &'static str {
    match why {
        NoWay::NotForwarding => "before any rule: this machine does not forward (ip_forward is 0)",
        NoWay::Unreachable => "before any rule: no route to the destination",
        NoWay::Blackhole => "before any rule: the route is a blackhole",
        NoWay::Prohibited => "before any rule: the route is prohibited",
        NoWay::Martian => "loopback addresses do not come from outside (route_localnet is 0)",
        NoWay::NoAddress => "the redirect found no address on the interface",
        NoWay::Source => {
            "before the rules of input and forward: nobody else sends from such an address"
        }
        NoWay::ReversePath => {
            "before the rules of input and forward: answers would leave by another interface (rp_filter)"
        }
        NoWay::NotPassedOn => "before the rules of forward: such a packet is not passed on",
    }
}

pub(super) const fn did_word(did: Did) -> &'static str {
    match did {
        Did::Pass => "goes on",
        Did::Accept => "accept",
        Did::Drop => "drop",
        Did::Reject(_) => "reject",
        Did::Jump(_) => "jump",
        Did::Goto(_) => "goto",
        Did::Return => "return",
        Did::Translate => "translate",
    }
}

pub(super) fn chain_words(id: ChainId, ruleset: &Ruleset) -> String {
    let (Some(table), Some(chain)) = (ruleset.tables.get(id.table), ruleset.chain(id)) else {
        return String::new();
    };
    let priority = chain.base.as_ref().map_or(0, |base| base.priority);
    format!(
        "{} {} {} (priority {priority})",
        table.family,
        sanitize(&table.name),
        sanitize(&chain.name)
    )
}

pub(super) fn state_word(state: u128) -> &'static str {
    STATES.iter().find(|(_, bit)| *bit == state).map_or("unknown", |(name, _)| name)
}

pub(super) const fn target_word(target: Target) -> &'static str {
    match target {
        Target::Mark => "mark",
        Target::CtMark => "ct mark",
        Target::Ttl => "ttl",
        Target::Dscp => "dscp",
        Target::Ecn => "ecn",
        Target::TcpFlags => "tcp flags",
        Target::Length => "length",
        Target::SourcePort => "sport",
        Target::DestinationPort => "dport",
    }
}

pub(super) const fn kind_is_source(kind: NatKind) -> bool {
    matches!(kind, NatKind::Snat | NatKind::Masquerade)
}

pub(super) const fn kind_word(kind: NatKind) -> &'static str {
    match kind {
        NatKind::Dnat => "dnat",
        NatKind::Snat => "snat",
        NatKind::Masquerade => "masquerade",
        NatKind::Redirect => "redirect",
        NatKind::Tproxy => "tproxy",
    }
}

/// What was not said and is asked for.
pub(super) fn taken_words(taken: Taken) -> String {
    match taken {
        Taken::Length(bytes) => {
            format!("rules here ask how long it is, taken as {bytes} bytes; --length says it")
        }
        Taken::Ttl(hops) => {
            format!("rules here ask for its time to live, taken as {hops}; --ttl says it")
        }
        Taken::Dscp(class) => {
            format!("rules here ask for its class, taken as {class}; --dscp says it")
        }
    }
}

pub(super) fn note_words(note: &Note, ruleset: &Ruleset) -> String {
    match note {
        Note::ComesBy(name) => {
            format!(
                "taken to come in by {}, as answers leave by it; --in says otherwise",
                sanitize(name)
            )
        }
        Note::UnknownInterface => {
            "the interface it comes in by is not known; --in says it".to_owned()
        }
        Note::UnknownAddress => "this machine's address on the way out is not known".to_owned(),
        Note::Unloadable(rule) => {
            let place = rule_place(*rule, ruleset);
            format!(
                "{place}: no kernel loads this (a circle of chains, a missing one, or too deep)"
            )
        }
        Note::Endless => "the rules do not come to an end".to_owned(),
    }
}
