//! Comparisons that nft has made one of two.
//!
//! nft 1.0.6 loads neighbours of a header as one piece (rule.c, stmt_reduce), also where both are
//! negated: `tcp sport != 53 tcp dport != 80` becomes "not 53 and 80 together", and is listed as before.
//! The kernel was asked (`nft --debug=netlink`, and packets): so it is for single values of these pairs.

use super::super::rule::{Expression, Field, Match, Rule, Statement, Test};
use super::super::ruleset::{Origin, Ruleset};
use super::super::value::{Element, ElementValue, SetRef, Span};

/// Neighbours in the order of their header, which is the one they are listed in when they are one.
const PAIRS: &[(Field, Field)] = &[
    (Field::SourcePort, Field::DestinationPort),
    (Field::Ttl, Field::Protocol),
    (Field::NextHeader6, Field::Ttl),
    (Field::IcmpType, Field::IcmpCode),
];

/// Whether this version of nft does so.
pub(super) fn is_done_by(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
    version <= [1, 0, 6]
}

/// Makes one comparison of those that the kernel was given as one.
pub(super) fn put_together(ruleset: &mut Ruleset) {
    // iptables writes its comparisons itself.
    let own = ruleset.tables.iter_mut().filter(|table| table.origin == Origin::Nft);
    for rule in own.flat_map(|table| &mut table.chains).flat_map(|chain| &mut chain.rules) {
        merge(rule);
    }
}

fn merge(rule: &mut Rule) {
    // `meta l4proto` is no part of a header.
    let has_protocol = rule.text.contains("ip protocol != ");
    let mut at = 0;
    while at + 1 < rule.statements.len() {
        let one = one_of(&rule.statements[at], &rule.statements[at + 1], has_protocol);
        if let Some(one) = one {
            rule.statements.splice(at..=at + 1, [one]);
        }
        at += 1;
    }
}

fn one_of(first: &Statement, second: &Statement, has_protocol: bool) -> Option<Statement> {
    let ((of_first, low), (of_second, high)) = (unequal(first)?, unequal(second)?);
    let is_asked = of_second != Field::Protocol || has_protocol;
    if !is_asked || !PAIRS.contains(&(of_first, of_second)) {
        return None;
    }
    let left = Expression::Concat(vec![Expression::Field(of_first), Expression::Field(of_second)]);
    let key = vec![low, high];
    let both = Element { key, value: ElementValue::None, expires: None, comment: None };
    Some(Statement::Match(Match { left, test: Test::NotIn(SetRef::Inline([both].into())) }))
}

/// The field and the value of `FIELD != VALUE`.
fn unequal(statement: &Statement) -> Option<(Field, Span)> {
    let Statement::Match(Match {
        left: Expression::Field(field),
        test: Test::NotIn(SetRef::Inline(elements)),
    }) = statement
    else {
        return None;
    };
    match &**elements {
        [Element { key, .. }] => match &key[..] {
            [Span::Numbers { low, high }] if low == high => Some((*field, Span::number(*low))),
            _ => None,
        },
        _ => None,
    }
}
