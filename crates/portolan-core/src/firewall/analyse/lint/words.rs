//! What rules say, without looking at packets.

use crate::firewall::{
    Effect as Opaque, Expression, Field, Match, RejectWith, Rule, Statement, Verdict,
};

/// What a rule ends its packets with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Accept,
    Drop,
    Reject(RejectWith),
}

/// What a rule ends its packets with, where it only matches and ends.
pub(super) fn end(rule: &Rule) -> Option<End> {
    let mut found = None;
    for statement in &rule.statements {
        match statement {
            Statement::Match(_) | Statement::Condition(_) => {}
            Statement::Opaque { effect: Opaque::Passes, .. } => {}
            Statement::Verdict(Verdict::Accept) => found = found.or(Some(End::Accept)),
            Statement::Verdict(Verdict::Drop) => found = found.or(Some(End::Drop)),
            Statement::Verdict(Verdict::Reject(with)) => found = found.or(Some(End::Reject(*with))),
            _ => return None,
        }
    }
    found
}

/// Whether packets that a rule holds for do not come to the next one.
pub(super) fn leaves(rule: &Rule) -> bool {
    let mut statements = rule.statements.iter();
    let is_sure = rule.statements.iter().all(|statement| {
        matches!(
            statement,
            Statement::Match(_)
                | Statement::Verdict(_)
                | Statement::Opaque { effect: Opaque::Passes, .. }
        )
    });
    is_sure
        && statements.any(|statement| {
            matches!(
                statement,
                Statement::Verdict(
                    Verdict::Accept
                        | Verdict::Drop
                        | Verdict::Reject(_)
                        | Verdict::Return
                        | Verdict::Goto(_)
                )
            )
        })
}

/// Whether a statement lets every packet go on to the next rule.
pub(super) const fn passes(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Match(_)
            | Statement::Condition(_)
            | Statement::Opaque { effect: Opaque::Passes, .. }
            | Statement::Verdict(Verdict::Continue)
    )
}

/// Whether a rule speaks of addresses or ports.
pub(super) fn is_specific(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Match(Match { left: Expression::Field(field), .. }) => matches!(
            field,
            Field::Source4
                | Field::Source6
                | Field::Destination4
                | Field::Destination6
                | Field::SourcePort
                | Field::DestinationPort
        ),
        Statement::Match(Match { left: Expression::Concat(_), .. }) => true,
        _ => false,
    })
}
