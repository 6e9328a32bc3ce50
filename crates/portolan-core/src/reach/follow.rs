//! What became of a real packet, by the steps the kernel told of it.

use crate::firewall::{Family, RulePlace, Ruleset, Table};
use crate::wire::nftrace::{TraceEvent, TraceKind, TraceVerdict};

/// A real packet's way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The rules that held and the policies that ended chains, those of our own table left out.
    pub steps: Vec<FollowedStep>,
    /// How far it came.
    pub end: End,
}

/// One step of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowedStep {
    /// The rule or policy.
    pub rule: RulePlace,
    /// What followed.
    pub verdict: TraceVerdict,
}

/// How far a packet came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Through the whole input path.
    Delivered,
    /// Out of this machine again.
    Forwarded,
    /// This rule or policy ended it.
    Refused(RulePlace),
    /// No rule ended it, and yet it came no farther than prerouting: routing did not take it (reverse
    /// path, no forwarding, no route).
    NotRouted,
}

/// Makes the steps of one packet out into its way. `own` is the table whose chains begin and end it.
#[must_use]
pub fn followed(events: &[TraceEvent], ruleset: &Ruleset, own: &str) -> Followed {
    let mut steps = Vec::new();
    let mut end = End::NotRouted;
    let mut begun: Vec<&str> = Vec::new();
    for event in events {
        if &*event.table == own {
            if event.rule.is_some() {
                // The kernel's number for a packet is soon that of the next one.
                if begun.contains(&&*event.chain) {
                    break;
                }
                begun.push(&event.chain);
            }
            match &*event.chain {
                LAST_INPUT => end = End::Delivered,
                LAST_POSTROUTING => end = End::Forwarded,
                _ => {}
            }
            continue;
        }
        // That of another such command decides nothing.
        if event.table.starts_with(TRACING) {
            continue;
        }
        // A chain that comes to its end is told as a rule without a number.
        let is_end = event.kind == TraceKind::Rule && event.rule.is_none();
        if event.kind == TraceKind::Return || (is_end && event.verdict != TraceVerdict::Drop) {
            continue;
        }
        let rule = place(event, ruleset);
        if event.verdict == TraceVerdict::Drop {
            end = End::Refused(rule.clone());
        }
        steps.push(FollowedStep { rule, verdict: event.verdict });
    }
    Followed { steps, end }
}

/// The rule as the ruleset knows it; else as much as the kernel told.
fn place(event: &TraceEvent, ruleset: &Ruleset) -> RulePlace {
    let family = family(event.family);
    let is_it = |table: &&Table| table.family == family && table.name == event.table;
    let chain = ruleset.tables.iter().find(is_it).and_then(|table| table.chain(&event.chain));
    let known = chain.and_then(|(_, chain)| {
        let index = chain.rules.iter().position(|rule| rule.handle == event.rule)?;
        Some((index, chain.rules[index].text.clone()))
    });
    let (index, text) = match (event.kind, known, event.rule) {
        (TraceKind::Policy, _, _) => (None, policy(event.verdict)),
        (_, Some((index, text)), Some(_)) => (Some(index), text),
        (_, _, Some(handle)) => (None, format!("handle {handle}").into()),
        (_, _, None) => (None, "a rule".into()),
    };
    RulePlace { family, table: event.table.clone(), chain: event.chain.clone(), index, text }
}

fn policy(verdict: TraceVerdict) -> Box<str> {
    match verdict {
        TraceVerdict::Drop => "policy drop".into(),
        _ => "policy accept".into(),
    }
}

/// NFPROTO_* (include/uapi/linux/netfilter.h).
const fn family(number: u8) -> Family {
    match number {
        2 => Family::Ip,
        3 => Family::Arp,
        5 => Family::Netdev,
        7 => Family::Bridge,
        10 => Family::Ip6,
        _ => Family::Inet,
    }
}

/// How the names of tables begin that follow packets.
pub const TRACING: &str = "portolan_trace_";
/// The chain of our table behind every rule of the input path.
const LAST_INPUT: &str = "last-input";
/// The one behind every rule of packets that leave.
const LAST_POSTROUTING: &str = "last-postrouting";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::{Chain, Origin, Rule};

    fn event(table: &str, chain: &str, rule: Option<u64>, verdict: TraceVerdict) -> TraceEvent {
        let kind = if rule.is_some() { TraceKind::Rule } else { TraceKind::Policy };
        TraceEvent {
            family: if table == "own" { 1 } else { 2 },
            id: 1,
            table: table.into(),
            chain: chain.into(),
            rule,
            kind,
            verdict,
            interface_in: None,
            interface_out: None,
            network: Vec::new(),
            transport: Vec::new(),
        }
    }

    fn rules() -> Ruleset {
        let deny = Rule { handle: Some(7), text: "tcp dport 80 drop".into(), ..Rule::default() };
        let chain = Chain { name: "INPUT".into(), base: None, rules: vec![Rule::default(), deny] };
        let table = Table {
            family: Family::Ip,
            name: "filter".into(),
            origin: Origin::Nft,
            is_dormant: false,
            chains: vec![chain],
            sets: Vec::new(),
        };
        Ruleset { tables: vec![table], notes: Vec::new() }
    }

    #[test]
    fn the_rule_that_dropped_it_is_told_by_its_text() {
        let first = event("own", "first-prerouting", Some(2), TraceVerdict::GoesOn(-1));
        let drop = event("filter", "INPUT", Some(7), TraceVerdict::Drop);
        let Followed { steps, end } = followed(&[first, drop], &rules(), "own");
        let End::Refused(place) = end else { panic!("{end:?}") };
        assert_eq!((place.index, &*place.text), (Some(1), "tcp dport 80 drop"));
        assert_eq!(steps.len(), 1);
    }

    #[test]
    fn a_packet_that_passed_the_last_chain_was_delivered() {
        let policy = event("filter", "INPUT", None, TraceVerdict::Accept);
        let last = event("own", "last-input", None, TraceVerdict::Accept);
        let found = followed(&[policy.clone(), last], &rules(), "own");
        assert_eq!((found.end, &*found.steps[0].rule.text), (End::Delivered, "policy accept"));
        assert_eq!(followed(&[policy], &rules(), "own").end, End::NotRouted);
    }

    #[test]
    fn tables_of_others_who_follow_packets_are_not_told_of() {
        let theirs = event("portolan_trace_7", "first-input", Some(2), TraceVerdict::GoesOn(-1));
        let last = event("portolan_trace_8", "last-input", None, TraceVerdict::Accept);
        let found = followed(&[theirs, last], &rules(), "portolan_trace_8");
        assert_eq!((found.end, found.steps.len()), (End::Delivered, 0));
    }

    #[test]
    fn the_next_packet_with_the_same_number_is_another() {
        let first = event("own", "first-prerouting", Some(2), TraceVerdict::GoesOn(-1));
        let last = event("own", "last-input", None, TraceVerdict::Accept);
        let drop = event("filter", "INPUT", Some(7), TraceVerdict::Drop);
        let events = [first.clone(), last, first, drop];
        assert_eq!(followed(&events, &rules(), "own").end, End::Delivered);
    }

    #[test]
    fn a_rule_nobody_knows_is_told_by_its_number() {
        let unknown = event("elsewhere", "x", Some(99), TraceVerdict::Drop);
        let End::Refused(place) = followed(&[unknown], &rules(), "own").end else { panic!() };
        assert_eq!(&*place.text, "handle 99");
    }
}
