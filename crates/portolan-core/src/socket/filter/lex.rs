//! Words and operators of a filter, each with its place.

use std::ops::Range;

use crate::net::Port;

/// One word or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// As written, backslashes taken out.
    pub(super) text: String,
    /// Bytes of the filter.
    pub(super) span: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Open,
    Close,
    Not,
    And,
    Or,
    Comparison(Comparison),
}

/// How a port is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(super) fn holds(self, found: Port, asked: Port) -> bool {
        match self {
            Self::Equal => found == asked,
            Self::NotEqual => found != asked,
            Self::Less => found < asked,
            Self::LessOrEqual => found <= asked,
            Self::Greater => found > asked,
            Self::GreaterOrEqual => found >= asked,
        }
    }
}

pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(skipped) = text[at..].find(|c: char| !c.is_whitespace()) {
        at += skipped;
        let token = sign(text, at).unwrap_or_else(|| word(text, at));
        at = token.span.end;
        tokens.push(token);
    }
    tokens
}

fn sign(text: &str, at: usize) -> Option<Token> {
    let (sign, kind) = SIGNS.iter().find(|(sign, _)| text[at..].starts_with(sign))?;
    Some(Token { kind: *kind, text: (*sign).to_owned(), span: at..at + sign.len() })
}

/// A word ends at a blank or a sign; patterns and paths, where signs may occur, at a blank only.
fn word(text: &str, at: usize) -> Token {
    let takes_signs = ["unix:", "/"].iter().any(|prefix| text[at..].starts_with(prefix));
    let ends = |c: char| c.is_whitespace() || (!takes_signs && SIGN_LETTERS.contains(&c));
    let mut found = String::new();
    let mut rest = text[at..].char_indices();
    let end = loop {
        match rest.next() {
            Some((_, '\\')) => found.extend(rest.next().map(|(_, taken)| taken)),
            Some((offset, c)) if ends(c) => break at + offset,
            Some((_, c)) => found.push(c),
            None => break text.len(),
        }
    };
    let written = &text[at..end];
    let known = WORDS.iter().find(|(word, _)| *word == written).map(|(_, kind)| *kind);
    Token { kind: known.unwrap_or(Kind::Word), text: found, span: at..end }
}

const SIGN_LETTERS: [char; 8] = ['(', ')', '!', '&', '|', '=', '<', '>'];

/// Longer signs stand before the shorter ones they begin with.
const SIGNS: [(&str, Kind); 14] = [
    ("&&", Kind::And),
    ("||", Kind::Or),
    ("==", Kind::Comparison(Comparison::Equal)),
    ("!=", Kind::Comparison(Comparison::NotEqual)),
    ("<=", Kind::Comparison(Comparison::LessOrEqual)),
    (">=", Kind::Comparison(Comparison::GreaterOrEqual)),
    ("&", Kind::And),
    ("|", Kind::Or),
    ("=", Kind::Comparison(Comparison::Equal)),
    ("<", Kind::Comparison(Comparison::Less)),
    (">", Kind::Comparison(Comparison::Greater)),
    ("!", Kind::Not),
    ("(", Kind::Open),
    (")", Kind::Close),
];

const WORDS: [(&str, Kind); 12] = [
    ("and", Kind::And),
    ("or", Kind::Or),
    ("not", Kind::Not),
    ("eq", Kind::Comparison(Comparison::Equal)),
    ("ne", Kind::Comparison(Comparison::NotEqual)),
    ("neq", Kind::Comparison(Comparison::NotEqual)),
    ("lt", Kind::Comparison(Comparison::Less)),
    ("le", Kind::Comparison(Comparison::LessOrEqual)),
    ("leq", Kind::Comparison(Comparison::LessOrEqual)),
    ("gt", Kind::Comparison(Comparison::Greater)),
    ("ge", Kind::Comparison(Comparison::GreaterOrEqual)),
    ("geq", Kind::Comparison(Comparison::GreaterOrEqual)),
];
