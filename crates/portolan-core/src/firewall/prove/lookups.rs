//! Whether this machine can still ask its resolvers: they change (DHCP) without anybody editing the inventory,
//! and then the loaded table lets lookups out to the old ones.

use std::fmt;
use std::net::IpAddr;

use super::super::addresses::{Addresses, address_of};
use super::super::analyse::{Witness, answered};
use super::super::policy::{BaseNeed, Policy, protocol_of};
use super::super::rule::{Match, Test};
use super::super::simulate::{Outcome, Prepared, Way};
use super::super::value::{SetRef, Span};
use super::super::{
    Expression, Field, Outline, OutlinePart, Packet, Rule, Ruleset, Statement, Table, World,
};
use crate::net::{Prefix, Transport};

/// Resolvers that this machine asks now, and that the table keeps it from asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostLookups {
    /// Them.
    pub now: Vec<IpAddr>,
    /// Those that the table was made for; nobody where its rule for them is gone.
    pub made_for: Addresses,
}

impl fmt::Display for LostLookups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now: Vec<String> = self.now.iter().map(IpAddr::to_string).collect();
        if !self.made_for.is_empty() {
            write!(f, "the resolver changed since the table was made for {}: ", self.made_for)?;
        }
        write!(f, "lookups to {} are dropped; apply again", now.join(", "))
    }
}

/// Resolvers that the loaded table, as nft lists it, has no rule of the base for; `None` where it needs none, or has
/// one for each. Unlike the proof this asks nobody but the text.
#[must_use]
pub fn changed_resolvers(table: &str, resolvers: &[IpAddr]) -> Option<LostLookups> {
    let outline = Outline::parse(table).ok()?;
    let rules = outline.parts.iter().filter(|part| part.kind == "chain");
    let rules: Vec<String> = rules.flat_map(OutlinePart::statements).collect();
    let mut made_for = Vec::new();
    for rule in rules.iter().filter(|rule| rule.contains(BASE_DNS)) {
        let words = rule.split([' ', '{', '}', ',', '\n', '\t']);
        made_for.extend(words.filter_map(|word| word.parse::<IpAddr>().ok()));
    }
    if made_for.is_empty() {
        return None;
    }
    let is_lost = |resolver: &&IpAddr| !resolver.is_loopback() && !made_for.contains(resolver);
    let now: Vec<IpAddr> = resolvers.iter().filter(is_lost).copied().collect();
    let made_for = Addresses::of(made_for.into_iter().map(Prefix::from));
    (!now.is_empty()).then_some(LostLookups { now, made_for })
}

/// Those that `policy` lets it ask and `found` does not.
pub(super) fn lost(policy: &Policy, found: &Table) -> Option<LostLookups> {
    let alone = Ruleset { tables: vec![found.clone()], notes: Vec::new() };
    let world = World::default();
    let prepared = Prepared::new(&alone, &world);
    let mut now: Vec<IpAddr> = resolvers(policy);
    now.retain(|resolver| is_dropped(&prepared, *resolver));
    let rules = found.chains.iter().flat_map(|chain| &chain.rules);
    let made_for = rules.filter(|rule| is_for_lookups(rule)).map(destinations);
    let made_for = made_for.fold(Addresses::NONE, |all, some| all.with(&some));
    (!now.is_empty()).then_some(LostLookups { now, made_for })
}

/// The addresses that the base lets lookups out to.
fn resolvers(policy: &Policy) -> Vec<IpAddr> {
    let is_dns = |need: &BaseNeed| matches!(need, BaseNeed::Port { destination: DNS, .. });
    let rows = policy.base.iter().filter(|row| row.is_outgoing && is_dns(&row.traffic));
    let peers = rows.filter_map(|row| row.peers.as_ref());
    let all = peers.fold(Addresses::NONE, |all, some| all.with(some));
    let each = |is_v6| {
        let single = all.intervals(is_v6).iter().filter(|(first, last)| first == last);
        single.map(|(first, _)| address_of(*first, is_v6)).collect::<Vec<_>>()
    };
    [each(false), each(true)].concat()
}

fn is_dropped(prepared: &Prepared<'_>, resolver: IpAddr) -> bool {
    let source = if resolver.is_ipv6() { UNKNOWN_6 } else { UNKNOWN_4 };
    let packet = Packet::new(protocol_of(Transport::Udp), source, resolver).ports(50_000, DNS);
    let witness = Witness { packet, answers: Vec::new(), is_by_any: false };
    answered(prepared, Way::Output, &witness).outcome == Outcome::Drop
}

fn is_for_lookups(rule: &Rule) -> bool {
    rule.comment.as_deref() == Some(BASE_DNS)
}

/// The destinations that a rule names.
fn destinations(rule: &Rule) -> Addresses {
    let mut found = Addresses::NONE;
    for statement in &rule.statements {
        let Statement::Match(Match { left: Expression::Field(field), test }) = statement else {
            continue;
        };
        let (is_v6, Test::In(SetRef::Inline(elements))) = (*field == Field::Destination6, test)
        else {
            continue;
        };
        if !matches!(field, Field::Destination4 | Field::Destination6) {
            continue;
        }
        let spans = elements.iter().filter_map(|element| match &*element.key {
            [Span::Numbers { low, high }] => Some((*low, *high)),
            _ => None,
        });
        found = found.with(&Addresses::of_intervals(is_v6, spans.collect()));
    }
    found
}

const DNS: u16 = 53;
/// What is noted at the rules of the base for them.
const BASE_DNS: &str = "pt:base-dns";
const UNKNOWN_4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const UNKNOWN_6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_tells_whom_it_lets_lookups_out_to() {
        let table = "table inet portolan {\n\tchain output {\n\t\ttype filter hook output priority -5; policy drop;\n\
            \t\tip daddr { 10.0.0.53, 10.0.0.54 } udp dport 53 counter packets 0 bytes 0 accept comment \"pt:base-dns\"\n\
            \t\tip6 daddr fd00::53 udp dport 53 counter packets 0 bytes 0 accept comment \"pt:base-dns\"\n\
            \t\tip daddr 10.0.0.9 tcp dport 53 accept comment \"pt:other\"\n\t}\n}\n";
        let lost = |resolvers: &[&str]| {
            let now: Vec<IpAddr> = resolvers.iter().map(|r| r.parse().unwrap()).collect();
            changed_resolvers(table, &now).map(|lost| lost.now)
        };
        assert_eq!(lost(&["10.0.0.54", "fd00::53", "127.0.0.53"]), None);
        assert_eq!(lost(&["10.0.0.53", "10.0.0.9"]), Some(vec!["10.0.0.9".parse().unwrap()]));
        let without = table.replace("pt:base-dns", "pt:mine");
        assert_eq!(changed_resolvers(&without, &["10.0.0.9".parse().unwrap()]), None);
    }
}
