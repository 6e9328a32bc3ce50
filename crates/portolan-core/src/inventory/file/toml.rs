//! TOML 1.0 to the tree, by `toml_edit`, which refuses nesting deeper than 80.

use std::ops::Range;

use toml_edit::{Document, Item, TableLike};

use super::node::{Entry, Node, Table, Value};
use super::{Syntax, syntax};

/// Reads a TOML document.
///
/// # Errors
/// [`Syntax`] with the first place where it is not one.
pub(super) fn parse(text: &str) -> Result<Table, Syntax> {
    match Document::parse(text) {
        Ok(document) => Ok(table(document.as_table())),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            Err(syntax(span, error.message(), hint(error.message())))
        }
    }
}

fn hint(message: &str) -> &'static str {
    match message {
        m if m.starts_with("duplicate key") => "it stands further up already: join the two",
        m if m.starts_with("string values must be quoted") => "write it in \"quotes\"",
        m if m.contains("recursion") => "no inventory needs lists within lists this deep",
        _ => "",
    }
}

fn table(table: &dyn TableLike) -> Table {
    let entry = |(key, item): (&str, &Item)| {
        let key_span = table.key(key).and_then(toml_edit::Key::span).unwrap_or(0..0);
        node(item, &key_span).map(|node| Entry { key: key.to_owned(), key_span, node })
    };
    Table { entries: table.iter().filter_map(entry).collect() }
}

/// `None` for an item that is not there. A table made by a dotted key stands where its key does.
fn node(item: &Item, key_span: &Range<usize>) -> Option<Node> {
    let span = item.span().filter(|s| !s.is_empty()).unwrap_or_else(|| key_span.clone());
    let value = match item {
        Item::None => return None,
        Item::Value(value) => plain(value),
        Item::Table(inner) => Value::Table(table(inner)),
        Item::ArrayOfTables(tables) => Value::Array(tables.iter().map(array_table).collect()),
    };
    Some(Node { span, value })
}

fn array_table(inner: &toml_edit::Table) -> Node {
    Node { span: inner.span().unwrap_or(0..0), value: Value::Table(table(inner)) }
}

fn plain(value: &toml_edit::Value) -> Value {
    match value {
        toml_edit::Value::String(text) => Value::Text(text.value().clone()),
        toml_edit::Value::Integer(number) => Value::Integer(*number.value()),
        toml_edit::Value::Float(_) => Value::Fraction,
        toml_edit::Value::Boolean(yes) => Value::Boolean(*yes.value()),
        toml_edit::Value::Datetime(date) => Value::Date(date.value().to_string()),
        toml_edit::Value::InlineTable(inner) => Value::Table(table(inner)),
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(element).collect()),
    }
}

fn element(value: &toml_edit::Value) -> Node {
    Node { span: value.span().unwrap_or(0..0), value: plain(value) }
}
