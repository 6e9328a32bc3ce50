//! `set --match-set NAME src,dst`: a look-up in an ipset (net/netfilter/xt_set.c).

use super::super::options::Extension;
use super::address::{destination, source};
use super::{Context, compare};
use crate::firewall::ipset::{Dimension, Ipset};
use crate::firewall::{Expression, Field, SetRef, Statement};

/// `src,dst`: for each dimension whether the packet's source is looked up.
pub(in super::super) fn directions(text: &str) -> Option<Vec<bool>> {
    text.split(',')
        .map(|word| match word {
            "src" => Some(true),
            "dst" => Some(false),
            _ => None,
        })
        .collect()
}

pub(super) fn statements(
    found: &Extension<'_>,
    context: &mut Context<'_>,
) -> Option<Vec<Statement>> {
    let mut statements = Vec::new();
    for option in &found.options {
        match (option.name, &option.values[..]) {
            ("--match-set" | "--set", [name, way]) => {
                statements.push(look_up(name, &directions(way)?, option.is_negated, context)?);
            }
            // They count, and decide nothing.
            ("--update-counters" | "--update-subcounters", _) => {}
            _ => return None,
        }
    }
    Some(statements)
}

fn look_up(
    name: &str,
    way: &[bool],
    is_negated: bool,
    context: &mut Context<'_>,
) -> Option<Statement> {
    let Some(set) = context.ipsets.and_then(|sets| sets.get(name)) else {
        let note = format!("what is in ipset {name} is not known");
        if !context.notes.contains(&note) {
            context.notes.push(note);
        }
        return None;
    };
    let is_v6 = context.is_v6;
    // A set of the other family, or with more dimensions than are looked up, holds nothing of the packet
    // (net/netfilter/ipset/ip_set_core.c, ip_set_test).
    if set.is_v6.is_some_and(|of_set| of_set != is_v6) || way.len() < set.dimensions.len() {
        let left = Expression::Field(source(is_v6));
        return Some(compare(left, is_negated, SetRef::Inline(Vec::new().into())));
    }
    let left = key(set, way, is_v6)?;
    if !context.used.iter().any(|used| &*used.name == name) {
        context.used.push(set.to_set(name, is_v6));
    }
    Some(compare(left, is_negated, SetRef::Named(name.into())))
}

/// What is looked up; `None` where a dimension is none of the fields that are known.
fn key(set: &Ipset, way: &[bool], is_v6: bool) -> Option<Expression> {
    let mut parts = Vec::new();
    for (dimension, &is_source) in set.dimensions.iter().zip(way) {
        let port = if is_source { Field::SourcePort } else { Field::DestinationPort };
        let fields: &[Field] = match dimension {
            Dimension::Address if is_source => &[source(is_v6)],
            Dimension::Address => &[destination(is_v6)],
            Dimension::Port => &[Field::Protocol, port],
            Dimension::Interface if is_source => &[Field::InterfaceIn],
            Dimension::Interface => &[Field::InterfaceOut],
            Dimension::Mark => &[Field::Mark],
            Dimension::Mac => return None,
        };
        parts.extend(fields.iter().map(|field| Expression::Field(*field)));
    }
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => Some(Expression::Concat(parts)),
    }
}
