//! The narrower policy as a table of its own: what no flow needed is dropped before other tables are asked.
//!
//! Accept is never final and drop always is, so a table that drops everything but what was observed makes
//! the whole exactly as wide as both together: new = old ∩ observed. Only the first packets of TCP, UDP,
//! SCTP and DCCP are judged; what belongs to connections, loopback, ICMP and the rest stay with the old rules.
//! Of what is passed on only translated packets are (published and forwarded ports), by the port they had:
//! other traffic of bridges, guests and routes is nobody's flow to this machine.

use std::fmt::Write as _;
use std::sync::Arc;

use super::Need;
use crate::firewall::{
    Base, Chain, ChainKind, ChainPolicy, Direction, Element, Expression, Family, Field, Hook,
    Match, NatKind, Origin, Rule, Ruleset, SetRef, Span, Statement, Table, Test, TupleSide,
    Verdict, bits, interval_of,
};
use crate::net::Prefix;

/// The name of the table.
pub const TABLE: &str = "portolan_tightened";

/// Before the tables of others, which filter at 0, and before our own at −5.
const PRIORITY: i32 = -10;

/// The protocols that are judged.
const JUDGED: [u128; 4] = [6, 17, 132, 33];

/// The table that lets in what is needed, and nothing else; of what is passed on it judges what was
/// translated, where `has_forward` says that there is such a thing. It is registered after all others.
#[must_use]
pub fn table(needs: &[Need], has_forward: bool) -> Table {
    let mut input = vec![
        rule("iifname \"lo\" accept", vec![name_is("lo")], Verdict::Accept),
        old_connections(),
    ];
    input.push(rule(
        "meta l4proto != { tcp, udp, sctp, dccp } accept",
        vec![Statement::Match(Match {
            left: Expression::Field(Field::Protocol),
            test: Test::NotIn(judged()),
        })],
        Verdict::Accept,
    ));
    input.extend(of_hook(needs, Hook::Input));
    input.push(rule("counter drop comment \"no flow was seen\"", Vec::new(), Verdict::Drop));
    let mut chains = vec![chain(Hook::Input, input)];
    if has_forward {
        let mut forward = vec![old_connections()];
        forward.extend(of_hook(needs, Hook::Forward));
        forward.push(rule(
            "ct status dnat meta l4proto { tcp, udp, sctp, dccp } counter drop comment \"no flow was seen\"",
            vec![
                translated(),
                Statement::Match(Match {
                    left: Expression::Field(Field::Protocol),
                    test: Test::In(judged()),
                }),
            ],
            Verdict::Drop,
        ));
        chains.push(chain(Hook::Forward, forward));
    }
    Table {
        family: Family::Inet,
        name: TABLE.into(),
        origin: Origin::Nft,
        is_dormant: false,
        chains,
        sets: Vec::new(),
    }
}

/// Whether packets of others are translated and passed on at all: whether rules, other than those of
/// this table, send them to another place.
#[must_use]
pub fn has_forward(ruleset: &Ruleset) -> bool {
    let others = ruleset.tables.iter().filter(|table| &*table.name != TABLE);
    let mut rules = others.flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    rules.any(|rule| {
        let is_dnat = |s: &Statement| matches!(s, Statement::Nat(nat) if nat.kind == NatKind::Dnat);
        rule.statements.iter().any(is_dnat)
    })
}

fn chain(hook: Hook, rules: Vec<Rule>) -> Chain {
    let base = Base {
        kind: ChainKind::Filter,
        hook,
        priority: PRIORITY,
        sequence: u32::MAX,
        policy: ChainPolicy::Accept,
        devices: Vec::new(),
    };
    Chain { name: hook.as_str().into(), base: Some(base), rules }
}

fn of_hook(needs: &[Need], hook: Hook) -> impl Iterator<Item = Rule> {
    needs.iter().filter(move |need| need.hook == hook).flat_map(rules_of)
}

/// The table as nft reads it. Loading it twice replaces it.
#[must_use]
pub fn script(table: &Table) -> String {
    let mut text = format!("table {} {}\ndelete table {0} {1}\n", table.family, table.name);
    let _ = writeln!(text, "table {} {} {{", table.family, table.name);
    for chain in &table.chains {
        let _ = writeln!(text, "\tchain {} {{", chain.name);
        if let Some(base) = &chain.base {
            let _ = writeln!(
                text,
                "\t\ttype filter hook {} priority {}; policy accept;",
                base.hook, base.priority
            );
        }
        for rule in &chain.rules {
            let _ = writeln!(text, "\t\t{}", rule.text);
        }
        text.push_str("\t}\n");
    }
    text.push_str("}\n");
    text
}

/// A rule a family: sets of nft hold addresses of one.
fn rules_of(need: &Need) -> Vec<Rule> {
    let of =
        |is_v6: bool| need.sources.iter().filter(move |p| p.address().is_ipv6() == is_v6).copied();
    let families = [(false, of(false).collect::<Vec<_>>()), (true, of(true).collect())];
    let present = families.into_iter().filter(|(_, sources)| !sources.is_empty());
    present.map(|(is_v6, sources)| need_rule(need, is_v6, &sources)).collect()
}

fn need_rule(need: &Need, is_v6: bool, sources: &[Prefix]) -> Rule {
    let mut text = String::new();
    let mut statements = Vec::new();
    if !need.interface.is_empty() {
        let _ = write!(text, "iifname \"{}\" ", need.interface);
        statements.push(name_is(&need.interface));
    }
    let (word, field, family) = if is_v6 {
        ("ip6", Field::Source6, bits::NFPROTO_IPV6)
    } else {
        ("ip", Field::Source4, bits::NFPROTO_IPV4)
    };
    let list = sources.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let ports = need.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let _ = write!(text, "{word} saddr {{ {list} }} ");
    let _ = match need.hook {
        Hook::Forward => write!(
            text,
            "ct status dnat meta l4proto {} ct original proto-dst {{ {ports} }} ",
            need.transport
        ),
        _ => write!(text, "{} dport {{ {ports} }} ", need.transport),
    };
    text.push_str("counter accept");
    statements.push(is_one(Field::NetworkProtocol, vec![Span::number(family)]));
    statements.push(is_one(field, sources.iter().map(|network| span(*network)).collect()));
    let port = match need.hook {
        Hook::Forward => {
            statements.push(translated());
            Field::CtTuple(Direction::Original, TupleSide::DestinationPort)
        }
        _ => Field::DestinationPort,
    };
    statements.push(is_one(Field::Protocol, vec![Span::number(need.protocol().into())]));
    let spans = need
        .ports
        .iter()
        .map(|range| Span::Numbers { low: range.first().0.into(), high: range.last().0.into() });
    statements.push(is_one(port, spans.collect()));
    Rule { text: text.into(), statements: with(statements, Verdict::Accept), ..Rule::default() }
}

fn rule(text: &str, statements: Vec<Statement>, verdict: Verdict) -> Rule {
    Rule { text: text.into(), statements: with(statements, verdict), ..Rule::default() }
}

fn with(mut statements: Vec<Statement>, verdict: Verdict) -> Vec<Statement> {
    statements.push(Statement::Verdict(verdict));
    statements
}

fn name_is(name: &str) -> Statement {
    let span = Span::Names { text: name.into(), is_prefix: false };
    is_one(Field::InterfaceIn, vec![span])
}

/// What belongs to a connection stays with the rules of others.
fn old_connections() -> Rule {
    let test = Test::NotIn(SetRef::number(bits::NEW));
    let holds = Statement::Match(Match { left: Expression::Field(Field::CtState), test });
    rule("ct state != new accept", vec![holds], Verdict::Accept)
}

fn translated() -> Statement {
    let test = Test::AnyBit(bits::STATUS_DNAT);
    Statement::Match(Match { left: Expression::Field(Field::CtStatus), test })
}

fn judged() -> SetRef {
    set(JUDGED.map(Span::number).to_vec())
}

fn is_one(field: Field, spans: Vec<Span>) -> Statement {
    Statement::Match(Match { left: Expression::Field(field), test: Test::In(set(spans)) })
}

fn set(spans: Vec<Span>) -> SetRef {
    SetRef::Inline(Arc::from(spans.into_iter().map(Element::of).collect::<Vec<_>>()))
}

fn span(network: Prefix) -> Span {
    let (low, high) = interval_of(network);
    Span::Numbers { low, high }
}

/// An interface's name as it may stand between quotes; anything else is not tightened by interface.
pub(super) fn is_plain(name: &str) -> bool {
    name.len() < 16 && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-@:".contains(c))
}
