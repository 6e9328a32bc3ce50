//! The usual form of a file: small things made even, comments, order and alignment kept.
//!
//! * ports as `443/tcp`, whichever way they were written
//! * a space around `=`, after commas and inside braces; none inside the brackets of a list on one
//!   line; lists over several lines and aligned columns stay as they are
//! * no blanks at the end of a line, at most two empty lines in a row, none at either end
//! * a last line that ends

use std::ops::Range;

use toml_edit::{Array, InlineTable, Item, Key, Table, Value};

use super::{EditError, Splice, apply, newline, parse};
use crate::net::{PortRange, TransportSet};

/// `text` in its usual form; a text in that form comes back byte for byte.
///
/// # Errors
/// Where the text is not TOML.
pub fn format(text: &str) -> Result<String, EditError> {
    let document = parse(text)?;
    let mut form = Form { text, splices: Vec::new() };
    form.table(document.as_table(), "");
    let spaced = apply(text, form.splices);
    let document = parse(&spaced)?;
    let mut strings = Vec::new();
    multi_line_strings(document.as_table(), &spaced, &mut strings);
    strings.sort_by_key(|s| s.start);
    Ok(even_lines(&spaced, &strings))
}

struct Form<'a> {
    text: &'a str,
    splices: Vec<Splice>,
}

impl Form<'_> {
    fn replace(&mut self, span: Range<usize>, text: &str) {
        if self.text.get(span.clone()).is_some_and(|old| old != text) {
            self.splices.push(Splice { span, text: text.to_owned() });
        }
    }

    fn table(&mut self, table: &Table, name: &str) {
        for (key, item) in table.iter() {
            match item {
                Item::Table(inner) => self.table(inner, key),
                Item::ArrayOfTables(tables) => tables.iter().for_each(|t| self.table(t, key)),
                Item::Value(value) => {
                    if let (Some(key), Some(value)) =
                        (table.key(key).and_then(Key::span), value.span())
                    {
                        self.equals(key.end..value.start);
                    }
                    self.value(value, key, name);
                }
                Item::None => {}
            }
        }
    }

    /// What stands between a key and its value: at least one blank on either side of `=`.
    fn equals(&mut self, gap: Range<usize>) {
        let Some(between) = self.text.get(gap.clone()) else { return };
        let Some((before, after)) = between.split_once('=') else { return };
        if !before.trim().is_empty() || !after.trim().is_empty() {
            return; // a dotted key, or a comment we know nothing of
        }
        let or_one =
            |blanks: &str| if blanks.is_empty() { " ".to_owned() } else { blanks.to_owned() };
        let text = format!("{}={}", or_one(before), or_one(after));
        self.replace(gap, &text);
    }

    fn value(&mut self, value: &Value, key: &str, table: &str) {
        match value {
            Value::String(_) if is_port_key(key, table) => self.port(value),
            Value::Array(array) => {
                array.iter().for_each(|v| self.value(v, key, table));
                self.array(array);
            }
            Value::InlineTable(inner) => self.braces(inner, key),
            _ => {}
        }
    }

    /// A port literal; the quotes stay, whichever they are.
    fn port(&mut self, value: &Value) {
        let (Some(span), Some(found)) = (value.span(), value.as_str()) else { return };
        let inner = span.start + 1..span.end.saturating_sub(1);
        if self.text.get(inner.clone()) == Some(found) {
            self.replace(inner, &usual_port(found).unwrap_or_else(|| found.to_owned()));
        }
    }

    fn array(&mut self, array: &Array) {
        let spans: Option<Vec<_>> = array.iter().map(Value::span).collect();
        let (Some(whole), Some(spans)) = (array.span(), spans) else { return };
        self.list(&whole, &spans, "");
    }

    fn braces(&mut self, table: &InlineTable, name: &str) {
        let mut spans = Vec::new();
        for (key, value) in table.iter() {
            self.value(value, key, name);
            let key = table.key(key).and_then(Key::span);
            let (Some(key), Some(value_span)) = (key, value.span()) else { return };
            if matches!(value, Value::InlineTable(inner) if inner.is_dotted()) {
                return; // dotted keys may be scattered; their spans do not enclose them
            }
            self.equals(key.end..value_span.start);
            spans.push(key.start..value_span.end);
        }
        spans.sort_by_key(|s| s.start);
        if let Some(whole) = table.span().filter(|_| !table.is_dotted()) {
            self.list(&whole, &spans, " ");
        }
    }

    /// The blanks of a list on one line: `pad` inside its brackets, one after each comma.
    fn list(&mut self, whole: &Range<usize>, items: &[Range<usize>], pad: &str) {
        let (Some(first), Some(last)) = (items.first(), items.last()) else { return };
        let gaps = items.windows(2).map(|pair| (pair[0].end..pair[1].start, ", "));
        let ends =
            [(whole.start + 1..first.start, pad), (last.end..whole.end.saturating_sub(1), pad)];
        let gaps: Vec<_> = gaps.chain(ends).collect();
        let blank = |span: &Range<usize>| {
            self.text
                .get(span.clone())
                .is_some_and(|t| t.bytes().all(|b| matches!(b, b' ' | b'\t' | b',')))
        };
        if gaps.iter().all(|(span, _)| blank(span)) {
            gaps.into_iter().for_each(|(span, text)| self.replace(span, text));
        }
    }
}

/// Whether a string under `key` names a port; `check` and others use words of their own.
fn is_port_key(key: &str, table: &str) -> bool {
    matches!(key, "ports" | "sequence") || (key == "listen" && table != "check")
}

/// `443/tcp` for `tcp/443` and `tcp:443`; `None` for what is no port with its transport.
fn usual_port(text: &str) -> Option<String> {
    let (left, right) = text.split_once(['/', ':'])?;
    let (numbers, transports) = match left.parse::<TransportSet>() {
        Ok(transports) => (right, transports),
        Err(_) => (left, right.parse().ok()?),
    };
    Some(format!("{}/{transports}", numbers.parse::<PortRange>().ok()?))
}

/// Where blanks and empty lines belong to a value.
fn multi_line_strings(table: &Table, text: &str, found: &mut Vec<Range<usize>>) {
    for (_, item) in table.iter() {
        match item {
            Item::Table(inner) => multi_line_strings(inner, text, found),
            Item::ArrayOfTables(tables) => {
                tables.iter().for_each(|t| multi_line_strings(t, text, found));
            }
            Item::Value(value) => multi_line_values(value, text, found),
            Item::None => {}
        }
    }
}

fn multi_line_values(value: &Value, text: &str, found: &mut Vec<Range<usize>>) {
    match value {
        Value::String(_) => found.extend(value.span().filter(|s| text[s.clone()].contains('\n'))),
        Value::Array(array) => array.iter().for_each(|v| multi_line_values(v, text, found)),
        Value::InlineTable(table) => {
            table.iter().for_each(|(_, v)| multi_line_values(v, text, found));
        }
        _ => {}
    }
}

/// Ends of lines, runs of empty lines and the end of the file.
fn even_lines(text: &str, strings: &[Range<usize>]) -> String {
    let mut even = String::with_capacity(text.len());
    let mut empty = 0;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let end = at + line.trim_end_matches(['\n', '\r']).len();
        let inside = |at: usize| {
            let before = strings.partition_point(|s| s.start < at);
            before > 0 && at < strings[before - 1].end
        };
        let (kept, ending) = line.split_at(end - at);
        let kept = if inside(end) { kept } else { kept.trim_end_matches([' ', '\t']) };
        let blank = kept.is_empty() && !inside(at.max(1));
        empty = if blank { empty + 1 } else { 0 };
        if !blank || (empty <= 2 && !even.trim_start_matches('\u{feff}').is_empty()) {
            even.push_str(kept);
            even.push_str(ending);
        }
        at += line.len();
    }
    // Of the lines that are left: an empty first one may have ended in another way.
    let newline = newline(if even.contains('\n') { &even } else { text });
    even.truncate(even.trim_end_matches(['\n', '\r']).len());
    if !even.is_empty() {
        even.push_str(newline);
    }
    even
}
