//! JSON (RFC 8259) to the tree, by `jsonc-parser` with every extension off.
//!
//! A key twice in one object is refused here: RFC 8259 §4 leaves its meaning open, and one of the
//! two would silently count.

use std::collections::HashMap;
use std::ops::Range;

use jsonc_parser::ast::{self, Object};
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::node::{Entry, Node, Table, Value};
use super::{Syntax, syntax};

/// Reads a JSON document, which must be an object.
///
/// # Errors
/// [`Syntax`] with the first place where it is not one.
pub(super) fn parse(text: &str) -> Result<Table, Syntax> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| {
        syntax(error.range().start..error.range().end, &lowercase(&error.kind().to_string()), "")
    })?;
    match parsed.value {
        Some(ast::Value::Object(object)) => table(&object),
        other => {
            let span = other.map_or(0..0, |v| v.range().start..v.range().end);
            Err(syntax(
                span,
                "expected an object",
                "an inventory in JSON is { \"portolan\": 1, … }",
            ))
        }
    }
}

fn table(object: &Object<'_>) -> Result<Table, Syntax> {
    let mut entries = Vec::with_capacity(object.properties.len());
    let mut seen = HashMap::with_capacity(object.properties.len());
    for property in &object.properties {
        let key_span = span(&property.name);
        let key = property.name.as_str();
        if seen.insert(key, ()).is_some() {
            return Err(syntax(
                key_span,
                &format!("the key \"{}\" stands twice", super::node::shortened(key)),
                "it stands further up already: join the two",
            ));
        }
        entries.push(Entry { key: key.to_owned(), key_span, node: node(&property.value)? });
    }
    Ok(Table { entries })
}

fn node(value: &ast::Value<'_>) -> Result<Node, Syntax> {
    let plain = match value {
        ast::Value::StringLit(text) => Value::Text(text.value.clone().into_owned()),
        ast::Value::NumberLit(number) => {
            number.value.parse().map_or(Value::Fraction, Value::Integer)
        }
        ast::Value::BooleanLit(yes) => Value::Boolean(yes.value),
        ast::Value::Object(object) => Value::Table(table(object)?),
        ast::Value::Array(array) => {
            Value::Array(array.elements.iter().map(node).collect::<Result<_, _>>()?)
        }
        ast::Value::NullKeyword(_) => Value::Null,
    };
    Ok(Node { span: span(value), value: plain })
}

fn span(part: &impl jsonc_parser::common::Ranged) -> Range<usize> {
    part.range().start..part.range().end
}

fn lowercase(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// RFC 8259 and nothing beyond it.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};
