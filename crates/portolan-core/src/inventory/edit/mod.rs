//! Changing an inventory's text without disturbing it.
//!
//! A file a person keeps has comments, an order and a layout of its own. So nothing here prints a
//! parsed document again: toml_edit would turn CRLF into LF and drop a byte-order mark. The text is
//! parsed for the places of its values (spans), and only those bytes are replaced or added. What
//! the words mean is `file`'s business: a caller checks the new text before it writes it.

mod append;
mod format;
mod list;
mod revert;
mod set;

use std::fmt::Write as _;
use std::ops::Range;

use toml_edit::Document;

pub use append::{IgnoreEntry, MatchValue, append_ignore, append_text};
pub use format::format;
pub use list::{add_to_list, remove_from_list};
pub use revert::{line_of_edit, revert};
pub use set::{holds, set};

/// Why a text was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The inventory is JSON, which has no comments to keep and no layout to follow.
    #[error("the inventory is JSON, and only TOML is edited in place")]
    Json,
    /// The text is not TOML.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
        /// Where, in bytes of the text.
        span: Range<usize>,
    },
    /// The key is not a dotted path.
    #[error("`{found}` is not a dotted key such as services.ssh.owner")]
    Key {
        /// What was given.
        found: String,
    },
    /// The path goes through something that has no keys.
    #[error("`{path}` is {kind}, which has no keys")]
    NoKeys {
        /// The path up to there.
        path: String,
        /// What is there, with its article.
        kind: &'static str,
    },
    /// The path ends at a table that is written with keys of its own.
    #[error("`{path}` is a table with keys of its own")]
    WholeTable {
        /// The path.
        path: String,
    },
    /// The array has no such element.
    #[error("`{path}` has {length} elements, counted from 0")]
    Index {
        /// The path of the array.
        path: String,
        /// How many it has.
        length: usize,
    },
    /// The text has a shape in which the change cannot be made without touching the rest.
    #[error("`{path}` cannot be changed without rewriting what is around it")]
    Shape {
        /// The path.
        path: String,
    },
}

impl EditError {
    /// The way out.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Json => "change the JSON where it is made, or keep the inventory as TOML",
            Self::Syntax { .. } => "mend the file first; `portolan inventory validate` shows where",
            Self::Key { .. } => "quote a part that holds other characters: hosts.\"a b\".purpose",
            Self::NoKeys { .. } => "shorten the path, or set the whole value",
            Self::WholeTable { .. } => "set one of its keys",
            Self::Index { .. } => "name an element that is there",
            Self::Shape { .. } => "change it in an editor",
        }
    }
}

/// Parses `text` for the places of its values.
fn parse(text: &str) -> Result<Document<&str>, EditError> {
    if text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        return Err(EditError::Json);
    }
    Document::parse(text).map_err(|e| EditError::Syntax {
        message: e.message().to_owned(),
        span: e.span().unwrap_or_default(),
    })
}

/// A replacement of some bytes of a text.
#[derive(Debug)]
struct Splice {
    span: Range<usize>,
    text: String,
}

/// `text` with every splice made; splices do not overlap.
fn apply(text: &str, mut splices: Vec<Splice>) -> String {
    splices.sort_by_key(|s| s.span.start);
    let mut changed = String::with_capacity(text.len() + 64);
    let mut from = 0;
    for splice in splices {
        changed.push_str(&text[from..splice.span.start]);
        changed.push_str(&splice.text);
        from = splice.span.end;
    }
    changed.push_str(&text[from..]);
    changed
}

/// How lines end in `text`: as its first line does.
fn newline(text: &str) -> &'static str {
    match text.find('\n') {
        Some(at) if text[..at].ends_with('\r') => "\r\n",
        _ => "\n",
    }
}

/// The end of the line that `at` lies on, before its line break.
fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    if end < text.len() && text[at..end].ends_with('\r') { end - 1 } else { end }
}

/// `text` as a basic string on one line (TOML 1.0 "String").
///
/// Also escapes what would reorder or hide text in an editor: names come from running programs.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                let _ = match u32::from(c) {
                    n @ ..=0xffff => write!(quoted, "\\u{n:04X}"),
                    n => write!(quoted, "\\U{n:08X}"),
                };
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A list of strings on one line.
pub(crate) fn quoted_list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|i| quoted(i.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// `key` as it stands before an equals sign: bare where that is enough.
pub(crate) fn quoted_key(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !key.is_empty() && key.bytes().all(bare) { key.to_owned() } else { quoted(key) }
}

/// Bidirectional controls (Unicode TR9), zero-width and other invisible characters.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
