//! A parsed file as a tree in which every part knows its place.
//!
//! TOML and JSON both become this, so that everything after the syntax is written once.

use std::ops::Range;

/// A value and the bytes it is written in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// Its bytes in the file.
    pub(crate) span: Range<usize>,
    /// What it is.
    pub(crate) value: Value,
}

/// What a file can hold.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Keys with values.
    Table(Table),
    /// Values in a row.
    Array(Vec<Node>),
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number; nothing in the format wants one.
    Fraction,
    /// `true` or `false`.
    Boolean(bool),
    /// A TOML date or time, as written; JSON has none and writes text.
    Date(String),
    /// JSON's `null`; nothing in the format wants one.
    Null,
}

/// Keys with values, in the file's order, no key twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    /// The entries.
    pub(crate) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// The key's bytes in the file.
    pub(crate) key_span: Range<usize>,
    /// The value.
    pub(crate) node: Node,
}

impl Table {
    /// The entry of `key`.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node)
    }

    /// The entries of the table at `key`; none where it is missing or something else.
    pub(crate) fn entries_of(&self, key: &str) -> &[Entry] {
        self.get(key).and_then(Node::table).map_or(&[], |t| &t.entries)
    }
}

impl Table {
    /// The same tree, `by` bytes further into its file.
    pub(crate) fn shifted(mut self, by: usize) -> Self {
        for entry in &mut self.entries {
            entry.key_span = entry.key_span.start + by..entry.key_span.end + by;
            entry.node.shift(by);
        }
        self
    }
}

impl Node {
    fn shift(&mut self, by: usize) {
        self.span = self.span.start + by..self.span.end + by;
        match &mut self.value {
            Value::Table(table) => *table = std::mem::take(table).shifted(by),
            Value::Array(items) => items.iter_mut().for_each(|item| item.shift(by)),
            _ => {}
        }
    }

    /// The table, if it is one.
    pub(crate) fn table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of an array, or the value itself: where a list is wanted, one item may stand alone.
    pub(crate) fn items(&self) -> &[Self] {
        match &self.value {
            Value::Array(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// What it is, as a phrase for an error.
    pub(crate) fn what(&self) -> String {
        match &self.value {
            Value::Table(_) => "a table".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::Text(text) => format!("the text \"{}\"", shortened(text)),
            Value::Integer(number) => format!("the number {number}"),
            Value::Fraction => "a fraction".to_owned(),
            Value::Boolean(yes) => yes.to_string(),
            Value::Date(date) => format!("the date {date}"),
            Value::Null => "null".to_owned(),
        }
    }
}

/// `text` short enough to stand in an error.
pub(crate) fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
