//! What `nft -j list ruleset` prints, read into a [`Ruleset`] (libnftables-json(5), schema 1).
//!
//! A reader of our own over JSON values: nft's JSON changes between versions (a flag alone or in a
//! list, elements with and without details), and has new statements every year. What is not understood
//! stays as a condition or an opaque statement with its text; a member of a set that is not understood
//! makes the set unknown. nft leaves out of its JSON what it takes for granted (`tcp dport` that the
//! packet is TCP) and the text of the rule: both are written here.

mod devices;
mod document;
mod hooks;
mod json;
mod kind;
mod merged;
mod nat;
mod operand;
mod scope;
mod set;
mod statement;
pub(super) mod symbol;
#[cfg(test)]
mod tests;
mod text;

use serde_json::Value;
use serde_json::error::Category;

use super::read_error::ReadError;
use super::ruleset::Ruleset;

impl Ruleset {
    /// Reads what `nft -j list ruleset` printed. Base chains are taken to be registered in the order
    /// listed, which is that of their making within a table; [`Ruleset::order_by_hooks`] knows better.
    ///
    /// # Errors
    /// Where it is not JSON, or not of nft, or a table or chain is not as nft writes it. A place inside
    /// is told by line and column where JSON itself is broken, else by what stands there.
    pub fn from_nft_json(text: &[u8]) -> Result<Self, ReadError> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut listing: Value = serde_json::from_slice(text).map_err(|error| broken(&error))?;
        let Some(Value::Array(objects)) = listing.get_mut("nftables").map(Value::take) else {
            let error = ReadError::new(1, 1, "JSON without the list `nftables` that nft prints");
            return Err(error.hinting("save the rules with: nft -j list ruleset > FILE"));
        };
        let written_by =
            objects.iter().find_map(|object| object.get("metainfo")?.get("version")?.as_str());
        let merges = written_by.is_some_and(merged::is_done_by);
        let mut ruleset = document::read(objects).map_err(|error| placed(error, text))?;
        if merges {
            merged::put_together(&mut ruleset);
        }
        ruleset.settle();
        ruleset.note_missing_devices();
        ruleset.note_bridge_tables();
        ruleset.note_order_of_tables();
        if let Some(circle) = ruleset.circle() {
            let problem = format!("chains ask each other in a circle: {}", circle.join(" → "));
            let error = ReadError::new(1, 1, problem);
            let error = error.hinting("no kernel loads this: save the rules again");
            return Err(placed((error, circle[0].to_string()), text));
        }
        Ok(ruleset)
    }
}

fn broken(error: &serde_json::Error) -> ReadError {
    let problem = match error.classify() {
        Category::Eof => "the JSON ends in the middle".to_owned(),
        _ => {
            let told = error.to_string();
            let what = told.split(" at line ").next().unwrap_or_default();
            format!("no JSON: {what}")
        }
    };
    let error = ReadError::new(error.line().max(1), error.column().max(1), problem);
    error.hinting("save the rules with: nft -j list ruleset > FILE")
}

/// Puts an error where a word first stands in quotes, for JSON values know no place.
fn placed((error, word): (ReadError, String), text: &[u8]) -> ReadError {
    let wanted = format!("\"{word}\"");
    let found = text.windows(wanted.len()).position(|window| window == wanted.as_bytes());
    let Some(at) = found.filter(|_| !word.is_empty()) else { return error };
    let before = &text[..at];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    ReadError { line, column, ..error }
}
