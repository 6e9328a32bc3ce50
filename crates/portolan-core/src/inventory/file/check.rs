//! The shape of a file against the table of keys: unknown keys, missing ones, wrong types.
//!
//! Knows no key by name. What stands inside a string is the decoders' business; they pass over
//! whatever was refused here.

use std::ops::Range;

use super::keys::{ROOT, is_private};
use super::kind::{Form, Key, Kind, Section, one_of};
use super::node::{Entry, Node, Table, Value, shortened};
use crate::inventory::Location;
use crate::inventory::problem::{Problem, Problems};
use crate::net::nearest;

/// Checks one file.
pub(super) struct Check<'a> {
    /// Index of the file.
    pub(super) file: usize,
    /// Where problems go.
    pub(super) problems: &'a mut Problems,
}

impl Check<'_> {
    /// Checks the keys of `table`, which is a `section` and called `path` (empty for the file).
    pub(super) fn table(&mut self, section: &Section, path: &str, table: &Table, at: Range<usize>) {
        for entry in &table.entries {
            match section.keys.iter().find(|k| k.name == entry.key) {
                Some(key) => self.node(&key.kind, &below(path, key.name), &entry.node),
                None if is_private(&entry.key) => {}
                None => self.unknown_key(section, path, entry),
            }
        }
        for key in section.keys.iter().filter(|k| k.required && table.get(k.name).is_none()) {
            self.missing_key(key, path, at.clone());
        }
    }

    fn node(&mut self, kind: &Kind, path: &str, node: &Node) {
        match (kind, &node.value) {
            (Kind::Table(section), Value::Table(table)) => {
                self.table(section, path, table, node.span.clone());
            }
            (Kind::Tables(section), Value::Array(items)) => {
                for item in items {
                    self.node(&Kind::Table(section), path, item);
                }
            }
            (Kind::Named(inner), Value::Table(table)) => {
                for entry in &table.entries {
                    self.node(inner, &below(path, &entry.key), &entry.node);
                }
            }
            (Kind::List(inner), _) if !matches!(node.value, Value::Table(_)) => {
                node.items().iter().for_each(|item| self.node(inner, path, item));
            }
            (Kind::Either(kinds), _) => match kinds.iter().find(|k| takes(k, node)) {
                Some(kind) => self.node(kind, path, node),
                None => self.mismatch(kind, path, node),
            },
            _ if takes(kind, node) => {}
            _ => self.mismatch(kind, path, node),
        }
    }

    fn unknown_key(&mut self, section: &Section, path: &str, entry: &Entry) {
        self.push(entry.key_span.clone(), || {
            let names = || section.keys.iter().map(|k| k.name);
            let place = if path.is_empty() { String::new() } else { format!(" in [{path}]") };
            let hint = match (nearest(&entry.key, names()), elsewhere(&entry.key).as_slice()) {
                (Some(name), _) => format!("did you mean `{name}`?"),
                (None, [place]) => format!("`{}` {place}", entry.key),
                _ => format!("its keys are {}", names().collect::<Vec<_>>().join(", ")),
            };
            (format!("unknown key `{}`{place}", shortened(&entry.key)), hint)
        });
    }

    fn missing_key(&mut self, key: &Key, path: &str, at: Range<usize>) {
        self.push(at, || {
            let place = if path.is_empty() { "the file" } else { &format!("[{path}]") };
            let hint = format!("add {} = {}", key.name, example(&key.kind));
            (format!("{place} lacks `{}`", key.name), hint)
        });
    }

    fn mismatch(&mut self, kind: &Kind, path: &str, node: &Node) {
        self.push(node.span.clone(), || {
            let key = path.rsplit('.').next().unwrap_or(path);
            let message = format!("`{key}`: expected {}, found {}", kind.wanted(), node.what());
            (message, mismatch_hint(kind, node))
        });
    }

    /// Says what is wrong, by a message and a hint.
    fn push(&mut self, span: Range<usize>, words: impl FnOnce() -> (String, String)) {
        let at = Location { file: self.file, span };
        self.problems.push_with(|| {
            let (message, hint) = words();
            Problem::new(at, message, hint)
        });
    }
}

/// Every place in a file where a key of this name may stand: `stands in [hosts.NAME.firewall]`.
fn elsewhere(key: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&Kind::Table(&ROOT), key, "", &mut found);
    found
}

fn collect(kind: &Kind, key: &str, path: &str, found: &mut Vec<String>) {
    match kind {
        Kind::Table(section) | Kind::Tables(section) => {
            let known = section.keys.iter().find(|k| k.name == key);
            found.extend(known.map(|k| match (path, &k.kind) {
                ("", Kind::Table(_) | Kind::Named(_)) => format!("is a table of its own, [{key}]"),
                ("", Kind::Tables(_)) => format!("is a table of its own, [[{key}]]"),
                ("", _) => "stands above every table".to_owned(),
                (_, _) if matches!(kind, Kind::Tables(_)) => format!("stands in [[{path}]]"),
                (_, _) => format!("stands in [{path}]"),
            }));
            for inner in section.keys {
                collect(&inner.kind, key, &below(path, inner.name), found);
            }
        }
        Kind::Named(inner) => collect(inner, key, &below(path, "NAME"), found),
        Kind::Either(kinds) => kinds.iter().for_each(|inner| collect(inner, key, path, found)),
        _ => {}
    }
}

fn below(path: &str, key: &str) -> String {
    let key = shortened(key);
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Whether a value is of this kind, looking no deeper than its own type (and the word it is).
fn takes(kind: &Kind, node: &Node) -> bool {
    match (kind, &node.value) {
        (Kind::Text(_), Value::Text(_))
        | (Kind::Boolean, Value::Boolean(_))
        | (Kind::Table(_) | Kind::Named(_), Value::Table(_))
        | (Kind::Tables(_) | Kind::List(_), Value::Array(_))
        | (Kind::Date | Kind::End, Value::Date(_)) => true,
        (Kind::Date | Kind::End, Value::Text(text)) => {
            text.bytes().filter(|b| *b == b'-').count() >= 2
        }
        (Kind::Integer(least, most), Value::Integer(number)) => (least..=most).contains(&number),
        (Kind::Word(words), Value::Text(text)) => words().contains(&text.as_str()),
        (Kind::List(inner), _) => takes(inner, node),
        (Kind::Either(kinds), _) => kinds.iter().any(|k| takes(k, node)),
        _ => false,
    }
}

fn mismatch_hint(kind: &Kind, node: &Node) -> String {
    match (kind, &node.value) {
        (Kind::Word(words), Value::Text(text)) => {
            nearest(text, words()).map_or(String::new(), |word| format!("did you mean \"{word}\"?"))
        }
        (Kind::Text(Form::Port), Value::Integer(number)) => {
            format!("write \"{number}/tcp\" or \"{number}/udp\"")
        }
        (
            Kind::Text(Form::Free) | Kind::Word(_),
            Value::Integer(_) | Value::Fraction | Value::Boolean(_),
        ) => "write it in \"quotes\"".to_owned(),
        (Kind::Tables(_), Value::Table(_)) => "write [[…]] instead of […]".to_owned(),
        (Kind::Boolean | Kind::Integer(..), Value::Text(_)) => "without the quotes".to_owned(),
        _ => String::new(),
    }
}

/// A value to put in the place of a missing key.
fn example(kind: &Kind) -> String {
    match kind {
        Kind::Integer(least, _) => least.to_string(),
        Kind::Boolean => "true".to_owned(),
        Kind::Date | Kind::End => "2027-03-01".to_owned(),
        Kind::Word(words) => one_of(&words()),
        Kind::List(inner) => format!("[{}]", example(inner)),
        Kind::Text(Form::Port) => "\"443/tcp\"".to_owned(),
        Kind::Text(Form::Numbers) => "\"20000-20099\"".to_owned(),
        Kind::Text(Form::Selector) => "\"HOST\"".to_owned(),
        Kind::Text(Form::Source) => "\"private\"".to_owned(),
        Kind::Text(Form::Target) => "\"SERVICE@HOST\"".to_owned(),
        Kind::Text(Form::Duration) => "\"180d\"".to_owned(),
        Kind::Text(_) => "\"…\"".to_owned(),
        Kind::Table(_) | Kind::Named(_) => "{ … }".to_owned(),
        Kind::Tables(_) => "[{ … }]".to_owned(),
        Kind::Either(kinds) => kinds.first().map_or_else(String::new, example),
    }
}
