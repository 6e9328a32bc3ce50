//! The words of a line: blanks separate them, double quotes hold them together.

use std::borrow::Cow;

use crate::firewall::ReadError;

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// Without quotes and escapes.
    pub(super) text: Cow<'a, str>,
    /// Whether it was quoted, and so is no option.
    pub(super) is_quoted: bool,
    /// Its first byte in the line.
    pub(super) start: usize,
    /// The byte after its last.
    pub(super) end: usize,
}

impl<'a> Word<'a> {
    fn divided(&self) -> Vec<Self> {
        let is_long = !self.is_quoted && self.text.starts_with("--");
        let at = self.text.find('=').filter(|at| is_long && *at > 2);
        let (Some(at), Cow::Borrowed(text)) = (at, &self.text) else { return vec![self.clone()] };
        let part = |text: &'a str, start: usize, is_quoted: bool| Word {
            text: Cow::Borrowed(text),
            is_quoted,
            start,
            end: start + text.len(),
        };
        // The value is none of the options, whatever it begins with.
        vec![part(&text[..at], self.start, false), part(&text[at + 1..], self.start + at + 1, true)]
    }
}

/// A line and its number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) text: &'a str,
}

impl<'a> Line<'a> {
    /// A problem at a byte of this line.
    pub(super) fn error(self, byte: usize, problem: impl Into<String>) -> ReadError {
        let before = self.text.get(..byte).unwrap_or(self.text);
        ReadError::new(self.number, before.chars().count() + 1, problem)
    }

    /// The words from a byte on. As iptables-restore does it, a backslash escapes between quotes only.
    pub(super) fn words(self, from: usize) -> Result<Vec<Word<'a>>, ReadError> {
        let mut words = Vec::with_capacity(16);
        let bytes = self.text.as_bytes();
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if byte.is_ascii_whitespace() {
                at += 1;
                continue;
            }
            let word = self.word(at)?;
            at = word.end;
            words.push(word);
        }
        Ok(words)
    }

    /// The words with `--option=value` as the two it stands for (getopt_long(3)).
    pub(super) fn divided(words: &[Word<'a>]) -> Vec<Word<'a>> {
        words.iter().flat_map(Word::divided).collect()
    }

    fn word(self, start: usize) -> Result<Word<'a>, ReadError> {
        let rest = self.text.get(start..).unwrap_or_default();
        let plain = rest.find(|c: char| c.is_ascii_whitespace() || c == '"').unwrap_or(rest.len());
        if !rest[plain..].starts_with('"') {
            let end = start + plain;
            let text = Cow::Borrowed(&rest[..plain]);
            return Ok(Word { text, is_quoted: false, start, end });
        }
        let (mut text, mut is_open, mut is_escaped) = (String::new(), false, false);
        let mut end = self.text.len();
        for (at, c) in rest.char_indices() {
            match c {
                c if is_escaped => {
                    text.push(c);
                    is_escaped = false;
                }
                '\\' if is_open => is_escaped = true,
                '"' => is_open = !is_open,
                c if !is_open && c.is_ascii_whitespace() => {
                    end = start + at;
                    break;
                }
                c => text.push(c),
            }
        }
        if is_open {
            return Err(self.error(start + plain, "a quote is opened here and never closed"));
        }
        Ok(Word { text: Cow::Owned(text), is_quoted: true, start, end })
    }
}
