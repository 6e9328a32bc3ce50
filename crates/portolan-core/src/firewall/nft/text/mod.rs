//! A rule in nft's own syntax, made of its JSON, which has no text.
//!
//! Near to what `nft list` prints, on one line and without what was counted. nft reads it back, except
//! for what nft itself has no text for (`xt …`) and for lists that were cut.

mod expression;
mod statement;

use serde_json::Value;

use super::json::{several, single, word};

pub(super) use expression::expression;
pub(super) use statement::{Over, limit, statement};

/// The whole rule, its comment at the end.
pub(super) fn rule(listed: &[Value], comment: Option<&str>) -> String {
    let mut text = String::new();
    for one in listed {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&statement(one));
    }
    if let Some(comment) = comment {
        let comment = format!("comment {}", quoted(comment));
        text = if text.is_empty() { comment } else { format!("{text} {comment}") };
    }
    text
}

/// A string as nft takes it: without an escape, for it knows none.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// What this writer has no words for: its name and JSON, shortened.
fn foreign(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Characters of JSON that are shown of what is not understood.
const LONGEST: usize = 160;

/// Members of a list that are written; the rest is `…`.
const SHOWN: usize = 64;
