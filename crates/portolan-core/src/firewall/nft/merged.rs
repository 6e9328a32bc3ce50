//! Comparisons that nft has made one of two.
//!
//! nft 1.0.6 loads neighbours of a header as one piece (rule.c, stmt_reduce), also where both are
//! negated: `tcp sport != 53 tcp dport != 80` becomes "not 53 and 80 together", and is listed as before.
//! The kernel was asked (`nft --debug=netlink`, and packets): so it is for single values of these pairs.

use crate::firewall::{
    Element, ElementValue, Expression, Field, Match, Origin, Rule, Ruleset, SetRef, Span,
    Statement, Test,
};

/// Neighbours in the order of their header, which is the one they are listed in when they are one.
const PAIRS: &[(Field, Field)] = &[
    (Field::SourcePort, Field::DestinationPort),
    (Field::Ttl, Field::Protocol),
    (Field::Length6, Field::NextHeader6),
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
        match one {
            // `ip6 length`, `nexthdr` and `hoplimit` are one piece too: once more with what is one now.
            Some(one) => _ = rule.statements.splice(at..=at + 1, [one]),
            None => at += 1,
        }
    }
}

fn one_of(first: &Statement, second: &Statement, has_protocol: bool) -> Option<Statement> {
    // Beside a field that is not read nobody knows whether they are one.
    match (is_unread(first), is_unread(second)) {
        (true, false) if is_of_header(second) => return Some(first.clone()),
        (false, true) if is_of_header(first) => return Some(second.clone()),
        _ => {}
    }
    let ((mut fields, mut key), (more, high)) = (unequal(first)?, unequal(second)?);
    let [next] = more[..] else { return None };
    let is_asked = next != Field::Protocol || has_protocol;
    let is_pair = fields.last().is_some_and(|last| PAIRS.contains(&(*last, next)));
    if !is_asked || !is_pair {
        return None;
    }
    fields.push(next);
    key.extend(high);
    let left = Expression::Concat(fields.into_iter().map(Expression::Field).collect());
    let both = Element { key, value: ElementValue::None, expires: None, comment: None };
    Some(Statement::Match(Match { left, test: Test::NotIn(SetRef::Inline([both].into())) }))
}

/// Whether it is `FIELD != VALUE` of a field that has neighbours.
fn is_of_header(statement: &Statement) -> bool {
    let is_in_header = |field: &Field| {
        *field == Field::Length4 || PAIRS.iter().any(|(one, other)| one == field || other == field)
    };
    unequal(statement).is_some_and(|(fields, _)| fields.iter().all(is_in_header))
}

/// Whether it is `FIELD != VALUE` of a field that is not read.
fn is_unread(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Match(Match { left: Expression::Unknown(_), test: Test::NotIn(_) })
    )
}

/// The fields and the values of `FIELD != VALUE`, or of several that are one already.
fn unequal(statement: &Statement) -> Option<(Vec<Field>, Vec<Span>)> {
    let Statement::Match(Match { left, test: Test::NotIn(SetRef::Inline(elements)) }) = statement
    else {
        return None;
    };
    let fields = match left {
        Expression::Field(field) => vec![*field],
        Expression::Concat(parts) => parts.iter().map(field).collect::<Option<_>>()?,
        _ => return None,
    };
    let [Element { key, .. }] = &**elements else { return None };
    let is_single = |span: &Span| matches!(span, Span::Numbers { low, high } if low == high);
    key.iter().all(is_single).then(|| (fields, key.clone()))
}

fn field(expression: &Expression) -> Option<Field> {
    match expression {
        Expression::Field(field) => Some(*field),
        _ => None,
    }
}
