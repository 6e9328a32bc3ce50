//! Reading an inventory: bytes of a file and of all it includes to a checked [`Inventory`].
//!
//! Sans-IO: [`Loading`] is given the first file, says what else it wants (paths that match a
//! pattern, files, lists of networks), is given those, and in the end gives the inventory or all
//! that is wrong with it. It opens nothing and never panics on what it is given.
//!
//! ```text
//! bytes ─ toml │ json ─▶ node ─ check ─▶ names ─▶ decode ─▶ consistency ─▶ Inventory
//! ```

mod check;
mod consistency;
mod decode;
mod fields;
mod json;
pub mod keys;
mod kind;
mod lists;
pub(crate) mod literal;
mod loading;
mod names;
pub(crate) mod node;
mod references;
mod toml;

use std::ops::Range;

pub use loading::{Loading, Path, Want};

use super::problem::Refused;
use super::{Inventory, SourceFile};
use node::Table;

/// Reads an inventory that stands in one file; whatever it includes is missing.
///
/// # Errors
/// [`Refused`] with everything that is wrong.
pub fn parse(path: &str, bytes: &[u8]) -> Result<Inventory, Refused> {
    let mut loading = Loading::new(Path::new(path, path), bytes);
    while let Some(want) = loading.next_want() {
        loading.failed(&want, "only this one file was given");
    }
    loading.finish()
}

/// Where a text is not what its format asks for.
#[derive(Debug)]
struct Syntax {
    span: Range<usize>,
    message: String,
    hint: String,
}

fn syntax(span: Range<usize>, message: &str, hint: &str) -> Syntax {
    Syntax { span, message: message.to_owned(), hint: hint.to_owned() }
}

/// The text of a file, or as much of it as is one, and its tree.
fn read(path: &str, bytes: &[u8]) -> (SourceFile, Result<Table, Syntax>) {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let end = error.valid_up_to();
            let file = SourceFile::new(path, String::from_utf8_lossy(bytes));
            return (file, Err(syntax(end..end, NOT_UTF8, "save the file as UTF-8")));
        }
    };
    let tree = match bytes.iter().position(|b| *b == 0) {
        Some(at) => Err(syntax(at..at + 1, "the file holds a NUL byte: it is not text", "")),
        None => tree(path, text),
    };
    (SourceFile::new(path, text), tree)
}

const NOT_UTF8: &str = "the file is not UTF-8 from here on";

/// JSON where the file's name or its first character says so: no TOML begins with a brace.
fn tree(path: &str, text: &str) -> Result<Table, Syntax> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let body = &text[mark..];
    let json = path.to_ascii_lowercase().ends_with(".json") || body.trim_start().starts_with('{');
    let parsed = if json { json::parse(body) } else { toml::parse(body) };
    match parsed {
        Ok(table) if mark > 0 => Ok(table.shifted(mark)),
        Err(error) => Err(Syntax { span: error.span.start + mark..error.span.end + mark, ..error }),
        table => table,
    }
}

#[cfg(test)]
mod tests;
