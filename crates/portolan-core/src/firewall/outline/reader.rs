//! The text of a table, gone through word by word and block by block.

use super::OutlineError;

/// A place in a text. It steps over strings, comments and whole blocks; every place it stops at is
/// the border of a character.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte outside of strings, comments and blocks; those are stepped over, and a block
    /// counts as its closing brace.
    pub(super) fn step(&mut self) -> Option<u8> {
        match self.peek()? {
            b'"' => {
                self.at = self.after_string();
                Some(b'"')
            }
            b'#' => {
                self.at = self.line_end();
                Some(b'#')
            }
            b'{' => {
                // Not closed: it goes to the end.
                if self.block().is_none() {
                    self.at = self.text.len();
                }
                Some(b'}')
            }
            byte => {
                self.at += 1;
                Some(byte)
            }
        }
    }

    fn after_string(&self) -> usize {
        let rest = &self.text.as_bytes()[self.at + 1..];
        let end = rest.iter().position(|byte| *byte == b'"');
        end.map_or(self.text.len(), |n| self.at + n + 2)
    }

    fn line_end(&self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        rest.iter().position(|byte| *byte == b'\n').map_or(self.text.len(), |n| self.at + n)
    }

    /// Goes over blanks, separators and comments; where the next word begins.
    pub(super) fn skip_to_word(&mut self) -> Option<usize> {
        loop {
            match self.peek()? {
                b'#' => self.at = self.line_end(),
                byte if byte.is_ascii_whitespace() || byte == b';' => self.at += 1,
                _ => return Some(self.at),
            }
        }
    }

    /// The words up to the next opening brace on the same line, which is where it stops; `None` where
    /// the line or the statement ends before, and then it stops behind that.
    pub(super) fn words_before_brace(&mut self) -> Option<&'t str> {
        let start = self.at;
        while let Some(byte) = self.peek() {
            match byte {
                b'{' => return Some(&self.text[start..self.at]),
                b'\n' | b';' => {
                    self.at += 1;
                    return None;
                }
                _ => {
                    self.step();
                }
            }
        }
        None
    }

    /// What is between the brace here and the one that closes it, where it then stops behind; `None`
    /// and no step where it is not closed.
    pub(super) fn block(&mut self) -> Option<&'t str> {
        let open = self.at;
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.at = self.after_string(),
                b'#' => self.at = self.line_end(),
                _ => {
                    self.at += 1;
                    match byte {
                        b'{' => depth += 1,
                        b'}' => depth = depth.saturating_sub(1),
                        _ => {}
                    }
                    if byte == b'}' && depth == 0 {
                        return Some(&self.text[open + 1..self.at - 1]);
                    }
                }
            }
        }
        self.at = open;
        None
    }

    /// The text up to the end of a line or a semicolon.
    pub(super) fn statement(&mut self) -> Option<&'t str> {
        let start = self.skip_to_word()?;
        while let Some(byte) = self.step() {
            if matches!(byte, b'\n' | b';') {
                return Some(&self.text[start..self.at - 1]);
            }
        }
        Some(&self.text[start..])
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn open(&self, at: usize) -> OutlineError {
        OutlineError::Open { line: self.line(at) }
    }

    pub(super) fn foreign(&self, at: usize) -> OutlineError {
        OutlineError::Foreign { line: self.line(at) }
    }
}
