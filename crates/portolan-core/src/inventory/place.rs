//! Where in the inventory's files something is written.
//!
//! A finding about a service names the line that declared it; a problem in a file names the column.
//! Places are kept as byte offsets and turned into lines and columns only where one is shown.

use std::ops::Range;

/// A file the inventory was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path as a user would write it, relative to the working folder where that is shorter.
    pub path: String,
    /// Its text; where the file was not UTF-8, with replacement characters.
    pub text: String,
    /// Where each line begins, so that a place is found without counting from the top.
    line_starts: Vec<usize>,
    /// Whether its lines may be shown beside what is wrong in them.
    is_quotable: bool,
}

impl SourceFile {
    /// A file with its text.
    #[must_use]
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let after_newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let line_starts = std::iter::once(0).chain(after_newlines.map(|(i, _)| i + 1)).collect();
        Self { path: path.into(), text, line_starts, is_quotable: true }
    }

    /// The same file, whose lines are not shown: it may be anybody's, and what is in it a secret.
    #[must_use]
    pub fn unquoted(self) -> Self {
        Self { is_quotable: false, ..self }
    }

    /// Whether its lines may be shown beside what is wrong in them.
    #[must_use]
    pub const fn is_quotable(&self) -> bool {
        self.is_quotable
    }

    /// The line that `offset` (in bytes) lies in, counted from one.
    #[must_use]
    pub fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// The line and the column, in characters, of `offset` (in bytes), both counted from one.
    #[must_use]
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let line = self.line_at(offset);
        let start = self.line_starts[line - 1];
        let before = &self.text.as_bytes()[start..offset.min(self.text.len())];
        // A byte that continues a character (RFC 3629: 10xxxxxx) begins no column of its own, and
        // neither does a byte order mark.
        let characters = before.iter().filter(|b| **b & 0xc0 != 0x80).count();
        let mark = usize::from(before.starts_with("\u{feff}".as_bytes()));
        (line, characters - mark + 1)
    }

    /// Where a line, counted from one, begins, in bytes; beyond the last, the end of the text.
    #[must_use]
    pub fn line_start(&self, number: usize) -> usize {
        let start = number.checked_sub(1).and_then(|i| self.line_starts.get(i));
        start.copied().unwrap_or(self.text.len())
    }

    /// The text of a line, counted from one, without its end; empty beyond the last.
    #[must_use]
    pub fn line(&self, number: usize) -> &str {
        self.text[self.line_start(number)..].lines().next().unwrap_or("")
    }
}

/// A place in one of the inventory's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// Index into `Inventory::files`.
    pub file: usize,
    /// Bytes of its text.
    pub span: Range<usize>,
}

/// A place as a person is told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The file's path.
    pub file: &'a str,
    /// Counted from one.
    pub line: usize,
    /// In characters, counted from one.
    pub column: usize,
}

impl<'a> Place<'a> {
    /// The place of `at` in one of `files`; a file that is not there is `?`.
    #[must_use]
    pub fn of(files: &'a [SourceFile], at: &Location) -> Self {
        files.get(at.file).map_or(Self { file: "?", line: 1, column: 1 }, |file| {
            let (line, column) = file.position(at.span.start);
            Self { file: &file.path, line, column }
        })
    }
}

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Location,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_begin_after_each_newline() {
        let file = SourceFile::new("a", "ü = 1\r\n\nlast");
        assert_eq!(file.position(0), (1, 1));
        assert_eq!(file.position(3), (1, 3));
        assert_eq!(file.position(8), (2, 1));
        assert_eq!(file.position(9), (3, 1));
        assert_eq!(file.position(99), (3, 5));
        assert_eq!(file.line(1), "ü = 1");
        assert_eq!(file.line(3), "last");
        assert_eq!(file.line(4), "");
    }

    #[test]
    fn a_byte_order_mark_takes_no_column() {
        assert_eq!(SourceFile::new("a", "\u{feff}x = 1").position(3), (1, 1));
    }
}
