//! Lists of networks that stand in files of their own: a CIDR a line, `#` comments.

use std::collections::HashMap;

use super::literal;
use crate::inventory::Location;
use crate::inventory::problem::{Problem, Problems};
use crate::net::Prefix;

/// The lists read so far, by the place of the `file` key that named each.
#[derive(Debug, Default)]
pub(super) struct Lists {
    read: HashMap<Location, Vec<Prefix>>,
}

impl Lists {
    /// Keeps the list in `text`, which is file `file` and was named at `named_at`.
    pub(super) fn add(
        &mut self,
        named_at: Location,
        file: usize,
        text: &str,
        problems: &mut Problems,
    ) {
        let mut prefixes = Vec::new();
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let entry = line
                .split('#')
                .next()
                .unwrap_or("")
                .trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            let offset = start + line.find(entry).unwrap_or(0);
            start += line.len();
            if entry.is_empty() {
                continue;
            }
            match literal::prefix(entry) {
                Ok(prefix) => prefixes.push(prefix),
                Err(wrong) => {
                    let at = Location { file, span: offset..offset + entry.len() };
                    let problem = Problem::new(at, wrong.message, wrong.hint);
                    problems.push(problem.related(&named_at, "the list is named here"));
                }
            }
        }
        self.read.insert(named_at, prefixes);
    }

    /// The networks of the list named at `at`.
    pub(super) fn prefixes(&self, at: &Location) -> &[Prefix] {
        self.read.get(at).map_or(&[], Vec::as_slice)
    }
}
