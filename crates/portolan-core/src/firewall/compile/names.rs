//! Names of sets and chains: what nft accepts, none twice.

use std::collections::HashSet;

/// Names that were given.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

/// The kernel takes 255 bytes (NFT_NAME_MAXLEN); people read fewer.
const LONGEST: usize = 80;

impl Names {
    /// `wish`, with what nft would not read replaced, and a number where it is taken. Begins with a
    /// letter if `wish` does.
    pub(super) fn give(&mut self, wish: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let name: String =
            wish.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST).collect();
        let mut given = name.clone();
        let mut number = 2;
        while !self.0.insert(given.clone()) {
            given = format!("{name}-{number}");
            number += 1;
        }
        given
    }
}

/// A comment as nft takes it: at most 127 bytes (NFTNL_UDATA_COMMENT_MAXLEN), no quotation mark.
pub(super) fn comment(text: &str) -> String {
    let mut short = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        let c = if c == '"' || c == '\\' { '\'' } else { c };
        if short.len() + c.len_utf8() > 120 {
            break;
        }
        short.push(c);
    }
    format!("comment \"{short}\"")
}
