//! Entries added at the end of a file.

use jiff::civil::Date;
use toml_edit::{Item, Value};

use super::{EditError, Splice, apply, newline, parse, quoted, quoted_list};

/// An `[[ignore]]` to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IgnoreEntry {
    /// On which hosts; empty means all and is not written.
    pub on: Vec<String>,
    /// The keys of `match` and their values, in the order they are to be written.
    pub matches: Vec<(&'static str, MatchValue)>,
    /// Why it is fine.
    pub reason: String,
    /// The last day it counts.
    pub until: Option<Date>,
}

/// A value in `match`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchValue {
    /// A string.
    Text(String),
    /// A list of strings.
    List(Vec<String>),
}

impl IgnoreEntry {
    /// The entry for one finding, by its id.
    #[must_use]
    pub fn of_finding(id: &str, reason: &str, until: Option<Date>) -> Self {
        let matches = vec![("id", MatchValue::Text(id.to_owned()))];
        Self { on: Vec::new(), matches, reason: reason.to_owned(), until }
    }

    /// Its keys and values.
    fn entries(&self) -> Vec<(&'static str, String)> {
        let mut entries = Vec::new();
        if !self.on.is_empty() {
            entries.push(("on", quoted_list(&self.on)));
        }
        let matches: Vec<String> = self
            .matches
            .iter()
            .map(|(key, value)| format!("{key} = {}", value.written()))
            .collect();
        entries.push(("match", format!("{{ {} }}", matches.join(", "))));
        entries.push(("reason", quoted(&self.reason)));
        if let Some(until) = self.until {
            entries.push(("until", until.to_string()));
        }
        entries
    }

    /// As a table of the file, lines ending in `\n`.
    pub(crate) fn block(&self) -> String {
        let lines = self.entries().into_iter().map(|(key, value)| format!("{key:6} = {value}\n"));
        format!("[[ignore]]\n{}", lines.collect::<String>())
    }

    fn braces(&self) -> String {
        let entries = self.entries().into_iter().map(|(key, value)| format!("{key} = {value}"));
        format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
    }
}

impl MatchValue {
    fn written(&self) -> String {
        match self {
            Self::Text(text) => quoted(text),
            Self::List(items) => quoted_list(items),
        }
    }
}

/// `text` with `entry` added at its end.
///
/// A file that keeps its ignores in one list (`ignore = [{ … }]`) gets it in that list.
///
/// # Errors
/// Where the text is not TOML.
pub fn append_ignore(text: &str, entry: &IgnoreEntry) -> Result<String, EditError> {
    let document = parse(text)?;
    let Some(Item::Value(Value::Array(list))) = document.as_table().get("ignore") else {
        return append_text(text, &entry.block());
    };
    let shape = || EditError::Shape { path: "ignore".to_owned() };
    let span = list.span().ok_or_else(shape)?;
    let last = list.iter().filter_map(Value::span).map(|s| s.end).max();
    let splice = match last {
        Some(end) => Splice { span: end..end, text: format!(", {}", entry.braces()) },
        None => Splice { span, text: format!("[{}]", entry.braces()) },
    };
    Ok(apply(text, vec![splice]))
}

/// `text` with `block` (lines ending in `\n`) at its end, an empty line before it, in the line
/// endings of the file.
///
/// # Errors
/// Where the text is not TOML.
pub fn append_text(text: &str, block: &str) -> Result<String, EditError> {
    let empty = parse(text)?.as_table().is_empty();
    let block = block.trim_end_matches('\n').replace('\n', newline(text));
    Ok(apply(text, vec![at_end(text, empty, &block)]))
}

/// The splice that puts `block` (without a last line break) at the end of `text`.
pub(super) fn at_end(text: &str, empty: bool, block: &str) -> Splice {
    let newline = newline(text);
    let before = match text {
        _ if empty && text.trim_start_matches('\u{feff}').is_empty() => String::new(),
        _ if text.ends_with("\n\n") || text.ends_with("\n\r\n") => String::new(),
        _ if text.ends_with('\n') => newline.to_owned(),
        _ => newline.repeat(2),
    };
    Splice { span: text.len()..text.len(), text: format!("{before}{block}{newline}") }
}
