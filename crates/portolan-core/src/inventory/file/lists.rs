//! Lists of networks that stand in files of their own: a CIDR a line, `#` comments.
//!
//! Any file that can be read can be named as a list, also by who may not read it himself while root reads
//! the inventory: of a line that is no address, nothing is repeated.

use std::collections::HashMap;

use super::literal::{self, Wrong};
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
                    let is_repeated = may_be_repeated(entry);
                    let Wrong { message, hint } = if is_repeated { wrong } else { no_address() };
                    let problem = Problem { is_repeated, ..Problem::new(at, message, hint) };
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

/// Whether an entry looks like an address: only then it is repeated.
fn may_be_repeated(entry: &str) -> bool {
    let is_of_addresses = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/');
    let is_one = entry.contains(['.', ':']) && entry.len() <= LONGEST_ADDRESS;
    is_one && entry.chars().all(is_of_addresses)
}

/// What is wrong with an entry that is none.
fn no_address() -> Wrong {
    Wrong::new(
        "this line of the list is not an address or a network",
        "such as 10.0.0.0/8, and # before a comment",
    )
}

/// Eight groups of IPv6, the last two as IPv4 writes them, and a length (RFC 4291 §2.2).
const LONGEST_ADDRESS: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128".len();
