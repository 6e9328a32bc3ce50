//! Aligned columns without box art that fit the terminal.
//!
//! Widths are measured once over all rows. When they do not fit, the flexible columns give way,
//! first the one farthest above its minimum, and `…` stands where a cell was shortened. Our own and not a table crate because the
//! largest table has tens of thousands of rows and must neither wrap nor be kept twice.

use std::borrow::Cow;
use std::io::{self, Write};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// A column: its heading and how it behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    heading: &'static str,
    align: Align,
    /// The narrowest it may become; `None` when it never gives way.
    min: Option<usize>,
    cut: Cut,
}

/// Where a cell that is too long loses its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// At its end: names and prose.
    End,
    /// In its middle: the end says most, as the port behind an address does.
    Middle,
    /// Nowhere: it goes on below. What decides is never cut.
    Never,
}

impl Column {
    /// A column that is always shown whole, aligned left.
    pub(crate) const fn left(heading: &'static str) -> Self {
        Self { heading, align: Align::Left, min: None, cut: Cut::End }
    }

    /// A column that is always shown whole, aligned right: numbers.
    pub(crate) const fn right(heading: &'static str) -> Self {
        Self { heading, align: Align::Right, min: None, cut: Cut::End }
    }

    /// A column that may be shortened down to `min` columns of the terminal.
    pub(crate) const fn flexible(heading: &'static str, min: usize) -> Self {
        Self { heading, align: Align::Left, min: Some(min), cut: Cut::End }
    }

    /// A column that goes on below itself where it is narrower than its text, down to `min` columns of the
    /// terminal.
    pub(crate) const fn wrapping(heading: &'static str, min: usize) -> Self {
        Self { heading, align: Align::Left, min: Some(min), cut: Cut::Never }
    }

    /// The same with beginning and end kept: `[2001:db8:…]:443`, `nginx-w… (812 +4)`.
    pub(crate) const fn keeping_end(self) -> Self {
        Self { cut: Cut::Middle, ..self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A cell: its text, harmless by the time it is here, how many columns it takes, and its role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    text: String,
    width: usize,
    role: Role,
}

impl Cell {
    /// A cell of text from anywhere.
    pub(crate) fn new(role: Role, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if let Cow::Owned(clean) = sanitize(&text) {
            text = clean;
        }
        Self { width: columns(&text), text, role }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Role::Plain, text)
    }
}

/// Rows under headings.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<Column>,
    lines: Vec<Line>,
}

/// What stands on a line of a table.
#[derive(Debug)]
enum Line {
    /// Cells under the headings.
    Row(Vec<Cell>),
    /// A text of its own across all columns, wrapped, so many columns indented.
    Text(usize, Cell),
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), lines: Vec::new() }
    }

    /// Adds a row; missing cells are empty.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.lines.push(Line::Row(row));
    }

    /// Adds a text across all columns, `indent` columns from the left; it is wrapped to fit.
    pub(crate) fn push_text(&mut self, indent: usize, text: Cell) {
        self.lines.push(Line::Text(indent, text));
    }

    /// Whether there is no row.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows().next().is_none()
    }

    /// Whether there is no line at all.
    pub(crate) const fn is_blank(&self) -> bool {
        self.lines.is_empty()
    }

    /// Prints heading and rows within `width` columns.
    pub(crate) fn write(&self, out: &mut impl Write, width: usize, style: Style) -> io::Result<()> {
        let widths = self.widths(width, Heading::Shown);
        let headings: Vec<Cell> =
            self.columns.iter().map(|c| Cell::new(Role::Heading, c.heading)).collect();
        self.write_row(out, &headings, &widths, style)?;
        self.write_lines(out, &widths, width, style)
    }

    /// Prints the rows alone.
    pub(crate) fn write_bare(
        &self,
        out: &mut impl Write,
        width: usize,
        style: Style,
    ) -> io::Result<()> {
        self.write_lines(out, &self.widths(width, Heading::Hidden), width, style)
    }

    fn rows(&self) -> impl Iterator<Item = &Vec<Cell>> {
        self.lines.iter().filter_map(|line| match line {
            Line::Row(row) => Some(row),
            Line::Text(..) => None,
        })
    }

    fn write_lines(
        &self,
        out: &mut impl Write,
        widths: &[usize],
        width: usize,
        style: Style,
    ) -> io::Result<()> {
        self.lines.iter().try_for_each(|line| match line {
            Line::Row(row) => self.write_row(out, row, widths, style),
            Line::Text(indent, text) => write_text(out, *indent, text, width, style),
        })
    }

    fn write_row(
        &self,
        out: &mut impl Write,
        row: &[Cell],
        widths: &[usize],
        style: Style,
    ) -> io::Result<()> {
        let shown = (0..row.len()).filter(|i| widths[*i] > 0);
        let last = shown.clone().rfind(|i| !row[*i].text.is_empty());
        let mut gap = "";
        let mut rest: Vec<Cell> = Vec::new();
        for i in shown.take_while(|i| Some(*i) <= last) {
            let goes_on = self.columns[i].cut == Cut::Never && row[i].width > widths[i];
            let (text, width) = match goes_on {
                true => {
                    let (text, below) = broken(&row[i].text, widths[i]);
                    rest.resize_with(row.len(), Cell::default);
                    rest[i] =
                        Cell { width: columns(below), text: below.to_owned(), role: row[i].role };
                    (Cow::Borrowed(text), columns(text))
                }
                false => fit(&row[i], widths[i], self.columns[i].cut),
            };
            let padding = widths[i].saturating_sub(width);
            out.write_all(gap.as_bytes())?;
            if self.columns[i].align == Align::Right {
                blanks(out, padding)?;
            }
            style.write(out, row[i].role, &text)?;
            if self.columns[i].align == Align::Left && Some(i) != last {
                blanks(out, padding)?;
            }
            gap = "  ";
        }
        out.write_all(b"\n")?;
        // Of each cell at least a character was written.
        if rest.is_empty() { Ok(()) } else { self.write_row(out, &rest, widths, style) }
    }

    /// Each column's width; 0 hides a column that is empty in every row.
    fn widths(&self, limit: usize, heading: Heading) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..self.columns.len())
            .map(|i| self.rows().filter_map(|r| r.get(i)).map(|c| c.width).max())
            .map(Option::unwrap_or_default)
            .collect();
        if heading == Heading::Shown {
            for (width, column) in widths.iter_mut().zip(&self.columns) {
                if *width > 0 || self.rows().next().is_none() {
                    *width = (*width).max(column.heading.width());
                }
            }
        }
        self.shrink(&mut widths, limit);
        widths
    }

    fn shrink(&self, widths: &mut [usize], limit: usize) {
        loop {
            let shown = widths.iter().filter(|w| **w > 0).count();
            let total = widths.iter().sum::<usize>() + 2 * shown.saturating_sub(1);
            let Some(excess) = total.checked_sub(limit).filter(|e| *e > 0) else { return };
            let slack = |i: usize| self.columns[i].min.map_or(0, |m| widths[i].saturating_sub(m));
            let mut slacks: Vec<(usize, usize)> =
                (0..widths.len()).map(|i| (slack(i), i)).filter(|(s, _)| *s > 0).collect();
            slacks.sort_unstable_by_key(|(slack, _)| std::cmp::Reverse(*slack));
            let Some(&(most, column)) = slacks.first() else { return };
            let next = slacks.get(1).map_or(0, |(slack, _)| *slack);
            widths[column] -= (most - next).max(1).min(excess);
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Heading {
    Shown,
    Hidden,
}

fn write_text(
    out: &mut impl Write,
    indent: usize,
    text: &Cell,
    width: usize,
    style: Style,
) -> io::Result<()> {
    if text.text.is_empty() {
        return out.write_all(b"\n");
    }
    wrap(&text.text, width.saturating_sub(indent).max(20))
        .into_iter()
        .try_for_each(|line| writeln!(out, "{:indent$}{}", "", style.paint(text.role, line)))
}

/// `text` in lines of at most `width` columns, broken at spaces where there are any.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// What of a text fits `width` columns, and what goes on below: broken at a space, else where it must be.
fn broken(text: &str, width: usize) -> (&str, &str) {
    let fits = fitting(text.chars(), width);
    let first = text.chars().next().map_or(0, char::len_utf8);
    let is_word_end = text[fits..].starts_with(' ');
    let space = if is_word_end { Some(fits) } else { text[..fits].rfind(' ') };
    match space.filter(|at| *at > 0) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => text.split_at(fits.max(first)),
    }
}

/// Columns a text takes in a terminal: of plain ASCII, its bytes.
fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

fn blanks(out: &mut impl Write, mut count: usize) -> io::Result<()> {
    const BLANKS: &[u8] = &[b' '; 64];
    while count > 0 {
        let part = count.min(BLANKS.len());
        out.write_all(&BLANKS[..part])?;
        count -= part;
    }
    Ok(())
}

/// The text of a cell in at most `width` columns of the terminal, and how many it takes.
fn fit(cell: &Cell, width: usize, cut: Cut) -> (Cow<'_, str>, usize) {
    if cell.width <= width {
        return (Cow::Borrowed(&cell.text), cell.width);
    }
    let text = shorten(&cell.text, width, cut);
    let width = columns(&text);
    (text, width)
}

/// A text that is too long, in at most `width` columns of the terminal.
fn shorten(text: &str, width: usize, cut: Cut) -> Cow<'_, str> {
    let tail = match cut {
        Cut::End | Cut::Never => "",
        Cut::Middle if text.contains(", ") => "", // the end of a list says nothing of its beginning
        Cut::Middle => ending(text, width),
    };
    let head = head(text, width.saturating_sub(1 + tail.width()));
    Cow::Owned(format!("{head}…{tail}"))
}

/// The end worth keeping: a process id in its brackets whole, else the larger half.
fn ending(text: &str, width: usize) -> &str {
    let id = text.rfind('(').map(|at| &text[at..]);
    id.filter(|id| id.width() + 3 <= width)
        .unwrap_or_else(|| tail(text, width.saturating_sub(1) * 3 / 5))
}

/// As much of the beginning of `text` as fits `width` columns.
fn head(text: &str, width: usize) -> &str {
    let end = fitting(text.chars(), width);
    &text[..end]
}

/// As much of its end.
fn tail(text: &str, width: usize) -> &str {
    let length = fitting(text.chars().rev(), width);
    &text[text.len() - length..]
}

/// The bytes of the first characters that fit `width` columns together.
fn fitting(chars: impl Iterator<Item = char>, width: usize) -> usize {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(0);
            used <= width
        })
        .map(char::len_utf8)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(table: &Table, width: usize) -> String {
        let mut out = Vec::new();
        table.write(&mut out, width, Style::PLAIN).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn sample() -> Table {
        let mut table = Table::new([
            Column::right("PORT"),
            Column::flexible("PROCESS", 6),
            Column::left("SCOPE"),
        ]);
        table.push(vec!["22".into(), "sshd".into(), "wildcard".into()]);
        table.push(vec!["5432".into(), "a-very-long-process-name".into(), "loopback".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_tail() {
        assert_eq!(
            printed(&sample(), 80),
            "PORT  PROCESS                   SCOPE\n  22  sshd                      wildcard\n5432  a-very-long-process-name  loopback\n"
        );
    }

    #[test]
    fn what_decides_goes_on_below_and_is_never_cut() {
        let mut table = Table::new([Column::left("PORT"), Column::wrapping("FROM", 10)]);
        table.push(vec!["22".into(), "10.0.0.0/8, 2001:db8:1234::/48".into()]);
        table.push(vec!["80".into(), "any".into()]);
        assert_eq!(
            printed(&table, 16),
            "PORT  FROM\n22    10.0.0.0/8\n      ,\n      2001:db8:1\n      234::/48\n80    any\n"
        );
        assert_eq!(
            printed(&table, 20),
            "PORT  FROM\n22    10.0.0.0/8,\n      2001:db8:1234:\n      :/48\n80    any\n"
        );
    }

    #[test]
    fn only_flexible_columns_give_way() {
        assert_eq!(
            printed(&sample(), 28),
            "PORT  PROCESS       SCOPE\n  22  sshd          wildcard\n5432  a-very-long…  loopback\n"
        );
    }

    #[test]
    fn a_port_behind_a_long_address_is_never_cut_off() {
        let mut table = Table::new([Column::flexible("LOCAL", 12).keeping_end()]);
        table.push(vec!["[fe80::9001:b3ff:fe18:2c7e]%eth0:18090".into()]);
        table.push(vec!["端口端口端口端口端口:18091".into()]);
        for width in 12..40 {
            let text = printed(&table, width);
            assert!(text.contains(":18090\n") && text.contains(":18091\n"), "{width}: {text}");
            assert!(text.lines().all(|line| line.width() <= width), "{width}: {text}");
        }
    }

    #[test]
    fn a_process_id_is_never_cut_in_two() {
        let mut table = Table::new([Column::flexible("PROCESS", 12).keeping_end()]);
        table.push(vec!["python3 (5164 +4)".into()]);
        table.push(vec!["nginx (12), caddy (345)".into()]);
        assert_eq!(printed(&table, 12), "PROCESS\npy…(5164 +4)\nnginx (12),…\n");
    }

    #[test]
    fn a_column_empty_in_every_row_is_not_shown() {
        let mut table = Table::new([Column::left("A"), Column::left("B"), Column::left("C")]);
        table.push(vec!["1".into(), "".into(), "3".into()]);
        assert_eq!(printed(&table, 80), "A  C\n1  3\n");
    }

    #[test]
    fn a_text_across_the_columns_is_wrapped_and_leaves_their_widths_alone() {
        let mut table = Table::new([Column::left("A"), Column::left("B")]);
        table.push(vec!["1".into(), "2".into()]);
        table.push_text(2, "a remark that is longer than the row above".into());
        assert_eq!(
            printed(&table, 24),
            "A  B\n1  2\n  a remark that is\n  longer than the row\n  above\n"
        );
    }
}
