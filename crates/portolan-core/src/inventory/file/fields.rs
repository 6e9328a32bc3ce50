//! The fields of one table, taken out as values with their places.
//!
//! What is missing or of the wrong type gives nothing: `check` has said so already. What is wrong
//! inside a string is said here, and the value left out.

use jiff::SignedDuration;
use jiff::civil::Date;

use super::literal::{self, Wrong};
use super::names::Names;
use super::node::{Entry, Node, Table, Value};
use crate::inventory::problem::{Problem, Problems};
use crate::inventory::{End, Located, Location, Word};

/// What all decoders share.
pub(super) struct Decoding<'a> {
    /// Every name of the inventory.
    pub(super) names: &'a Names<'a>,
    /// Where problems go.
    pub(super) problems: &'a mut Problems,
}

/// One table of one file.
#[derive(Clone, Copy)]
pub(super) struct Fields<'t> {
    /// The table.
    pub(super) table: &'t Table,
    /// The file it is in.
    pub(super) file: usize,
}

impl<'t> Fields<'t> {
    /// The place of a node of this table.
    pub(super) fn at(self, node: &Node) -> Location {
        Location { file: self.file, span: node.span.clone() }
    }

    /// The place of an entry's key.
    pub(super) fn key_at(self, entry: &Entry) -> Location {
        Location { file: self.file, span: entry.key_span.clone() }
    }

    /// The table at `key`.
    pub(super) fn inner(self, key: &str) -> Option<Self> {
        self.table.get(key)?.table().map(|table| Fields { table, ..self })
    }

    /// The text at `key`.
    pub(super) fn text(self, key: &str) -> Option<String> {
        self.table.get(key)?.text().map(str::to_owned)
    }

    /// The text at `key` with its place.
    pub(super) fn located(self, key: &str) -> Option<Located<String>> {
        let node = self.table.get(key)?;
        Some(Located { value: node.text()?.to_owned(), at: self.at(node) })
    }

    /// The texts at `key`: a list, or one alone.
    pub(super) fn texts(self, key: &str) -> Vec<String> {
        self.items(key).iter().filter_map(|n| n.text().map(str::to_owned)).collect()
    }

    /// The boolean at `key`.
    pub(super) fn boolean(self, key: &str) -> Option<bool> {
        match self.table.get(key)?.value {
            Value::Boolean(yes) => Some(yes),
            _ => None,
        }
    }

    /// The number at `key`.
    pub(super) fn integer(self, key: &str) -> Option<i64> {
        match self.table.get(key)?.value {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// The word at `key`.
    pub(super) fn word<T: Word>(self, key: &str) -> Option<T> {
        self.table.get(key)?.text().and_then(T::from_word)
    }

    /// The items at `key`: of a list, or one alone.
    pub(super) fn items(self, key: &str) -> &'t [Node] {
        self.table.get(key).map_or(&[], Node::items)
    }
}

impl Decoding<'_> {
    /// Says what is wrong at a place.
    pub(super) fn wrong(&mut self, at: Location, wrong: Wrong) {
        self.problems.push(Problem::new(at, wrong.message, wrong.hint));
    }

    /// The text at `key`, read by `read`.
    pub(super) fn one<T>(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Located<T>> {
        let node = fields.table.get(key)?;
        self.read(fields, node, read)
    }

    /// Each text of the list at `key`, read by `read`.
    pub(super) fn each<T>(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<Located<T>> {
        self.all(fields, fields.items(key), read)
    }

    /// Each text of these nodes, read by `read`.
    pub(super) fn all<T>(
        &mut self,
        fields: Fields<'_>,
        nodes: &[Node],
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<Located<T>> {
        nodes.iter().filter_map(|node| self.read(fields, node, &read)).collect()
    }

    /// The same without the places.
    pub(super) fn plain<T>(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Vec<T> {
        self.each(fields, key, read).into_iter().map(|l| l.value).collect()
    }

    /// The duration at `key`.
    pub(super) fn duration(&mut self, fields: Fields<'_>, key: &str) -> Option<SignedDuration> {
        self.one(fields, key, literal::duration).map(|d| d.value)
    }

    /// The day at `key`.
    pub(super) fn date(&mut self, fields: Fields<'_>, key: &str) -> Option<Located<Date>> {
        self.dated(fields, key, literal::date)
    }

    /// The day or moment at `key`.
    pub(super) fn end(&mut self, fields: Fields<'_>, key: &str) -> Option<Located<End>> {
        self.dated(fields, key, literal::end)
    }

    fn dated<T>(
        &mut self,
        fields: Fields<'_>,
        key: &str,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Located<T>> {
        let node = fields.table.get(key)?;
        let (Value::Text(text) | Value::Date(text)) = &node.value else { return None };
        let at = fields.at(node);
        match read(text) {
            Ok(value) => Some(Located { value, at }),
            Err(wrong) => {
                self.wrong(at, wrong);
                None
            }
        }
    }

    /// A list that must hold something: says so where it is empty.
    pub(super) fn nonempty(&mut self, fields: Fields<'_>, key: &str, hint: &str) {
        if let Some(node) = fields.table.get(key)
            && matches!(&node.value, Value::Array(items) if items.is_empty())
        {
            self.wrong(fields.at(node), Wrong::new(format!("`{key}` is empty"), hint));
        }
    }

    fn read<T>(
        &mut self,
        fields: Fields<'_>,
        node: &Node,
        read: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<Located<T>> {
        let at = fields.at(node);
        match read(node.text()?) {
            Ok(value) => Some(Located { value, at }),
            Err(wrong) => {
                self.wrong(at, wrong);
                None
            }
        }
    }
}
