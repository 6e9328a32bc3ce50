//! The parts of our table as nft writes and reads it: what is in it, not what its rules mean.
//!
//! Whoever replaces a table needs to know which sets, maps and chains it has, which chains packets
//! enter by which hook, and which sets packets fill. Read alike are what was compiled, what `nft list
//! table` prints, and a file somebody kept. Everything is borrowed from the text; nothing is judged.

mod reader;
#[cfg(test)]
mod tests;

use reader::Reader;

/// The family and name of the one table that is ours.
pub const OUR_TABLE: &str = "inet portolan";

/// A table in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline<'t> {
    /// What the table says of itself but its comment: its flags.
    pub own: Vec<&'t str>,
    /// Sets, maps, chains and stateful objects, in the order of the text.
    pub parts: Vec<OutlinePart<'t>>,
}

/// A set, a map, a chain or a stateful object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlinePart<'t> {
    /// nft's word for it: `set`, `map`, `chain`, `ct helper`, `counter` …
    pub kind: &'t str,
    /// Its name.
    pub name: &'t str,
    /// What is between its braces, `elements` left out.
    pub body: [&'t str; 2],
    /// What is between the braces of `elements = { … }`.
    pub elements: Option<&'t str>,
}

/// Text that is not the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutlineError {
    /// A brace or a quotation mark without its other half.
    #[error("line {line}: a brace or a quotation mark is not closed")]
    Open {
        /// Where, counted from 1.
        line: usize,
    },
    /// Something other than `table inet portolan { … }`.
    #[error("line {line}: expected `table {OUR_TABLE} {{`")]
    Foreign {
        /// Where, counted from 1.
        line: usize,
    },
}

impl<'t> Outline<'t> {
    /// Reads a text that holds our table and nothing else but comments; empty where it holds nothing.
    ///
    /// # Errors
    /// [`OutlineError`] with the line.
    pub fn parse(text: &'t str) -> Result<Self, OutlineError> {
        let mut reader = Reader { text, at: 0 };
        let mut outline = Self::default();
        while let Some(start) = reader.skip_to_word() {
            let words = reader.words_before_brace().ok_or_else(|| reader.foreign(start))?;
            if !is_our_table(words) {
                return Err(reader.foreign(start));
            }
            let body = reader.block().ok_or_else(|| reader.open(start))?;
            let base = body.as_ptr() as usize - text.as_ptr() as usize;
            table_parts(&mut Reader { text: &text[..base + body.len()], at: base }, &mut outline)?;
        }
        Ok(outline)
    }

    /// The part of this kind and name.
    #[must_use]
    pub fn part(&self, kind: &str, name: &str) -> Option<&OutlinePart<'t>> {
        self.parts.iter().find(|part| part.kind == kind && part.name == name)
    }
}

impl OutlinePart<'_> {
    /// Whether packets or programs fill it, so that its elements are no part of a policy: it says so
    /// itself, or its elements have an end.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        let is_filled = |statement: &str| {
            let flags = statement.strip_prefix("flags ").unwrap_or_default();
            statement.starts_with("timeout ")
                || flags.split([',', ' ']).any(|flag| matches!(flag, "dynamic" | "timeout"))
        };
        matches!(self.kind, "set" | "map") && self.statements().iter().any(|s| is_filled(s))
    }

    /// How packets enter it: `type … hook … priority …`, its priority as a number; `None` for a chain
    /// that others jump to and for whatever is no chain.
    #[must_use]
    pub fn hook(&self) -> Option<String> {
        if self.kind != "chain" {
            return None;
        }
        let statements = self.statements();
        let hook = statements.iter().find(|s| s.starts_with("type ") && s.contains(" hook "))?;
        let (before, priority) = hook.split_once(" priority ")?;
        Some(format!("{before} priority {}", priority_number(priority)))
    }

    /// What a set is, so that two declarations can be held against each other: its statements without
    /// elements and comment, each in one spelling, sorted.
    #[must_use]
    pub fn declaration(&self) -> Vec<String> {
        let mut statements = self.statements();
        statements.retain(|statement| !statement.starts_with("comment "));
        for statement in &mut statements {
            if let Some(flags) = statement.strip_prefix("flags ") {
                let mut flags: Vec<&str> =
                    flags.split([',', ' ']).filter(|f| !f.is_empty()).collect();
                flags.sort_unstable();
                *statement = format!("flags {}", flags.join(","));
            } else if let Some(time) = statement.strip_prefix("timeout ").and_then(milliseconds) {
                *statement = format!("timeout {time}ms");
            }
        }
        statements.sort_unstable();
        statements
    }

    /// What its elements are of: the statement `type …` or `typeof …`.
    #[must_use]
    pub fn element_type(&self) -> Option<String> {
        self.statements().into_iter().find(|s| s.starts_with("type"))
    }

    /// The statements, blanks evened, one each.
    pub(super) fn statements(&self) -> Vec<String> {
        let mut statements = Vec::new();
        for text in self.body {
            let mut reader = Reader { text, at: 0 };
            while let Some(statement) = reader.statement() {
                statements.push(statement.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
        statements.retain(|statement| !statement.is_empty());
        statements
    }
}

/// The elements between the braces of a set, one each.
#[must_use]
pub(super) fn elements(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut reader = Reader { text, at: 0 };
    let mut start = 0;
    while let Some(byte) = reader.step() {
        if byte == b',' {
            found.push(text[start..reader.at - 1].trim());
            start = reader.at;
        }
    }
    found.push(text[start..].trim());
    found.retain(|element| !element.is_empty());
    found
}

/// A time as nft writes it, `1h2m3s4ms`, a bare number in seconds; in milliseconds.
#[must_use]
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text.trim().trim_matches('"');
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" | "" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        if letters == 0 && !rest.is_empty() {
            return None;
        }
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(total)
}

/// nft's names of priorities in an inet table (nft(8), "standard priority names").
fn priority_number(text: &str) -> String {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    let named = match first {
        "raw" => Some(-300),
        "mangle" => Some(-150),
        "dstnat" => Some(-100),
        "filter" => Some(0),
        "security" => Some(50),
        "srcnat" => Some(100),
        _ => None,
    };
    let Some(named): Option<i32> = named else { return text.trim().to_owned() };
    let offset: i32 = match (words.next(), words.next().and_then(|n| n.parse::<i32>().ok())) {
        (Some("+"), Some(n)) => n,
        (Some("-"), Some(n)) => n.saturating_neg(),
        _ => 0,
    };
    named.saturating_add(offset).to_string()
}

fn is_our_table(words: &str) -> bool {
    words.split_whitespace().eq("table".split(' ').chain(OUR_TABLE.split(' ')))
}

fn table_parts<'t>(reader: &mut Reader<'t>, outline: &mut Outline<'t>) -> Result<(), OutlineError> {
    while let Some(start) = reader.skip_to_word() {
        // `comment "…"` and `flags …` of the table itself have no braces.
        let Some(words) = reader.words_before_brace() else {
            let own = reader.text[start..reader.at].trim_matches([';', '\n', ' ', '\t']);
            if !own.starts_with("comment ") {
                outline.own.push(own);
            }
            continue;
        };
        let (kind, name) = words.trim().rsplit_once(char::is_whitespace).unwrap_or(("", words));
        let whole = reader.block().ok_or_else(|| reader.open(start))?;
        let (body, elements) = without_elements(whole);
        outline.parts.push(OutlinePart { kind: kind.trim(), name: name.trim(), body, elements });
    }
    Ok(())
}

/// The text before and after `elements = { … }`, and what is between its braces.
fn without_elements(whole: &str) -> ([&str; 2], Option<&str>) {
    let mut reader = Reader { text: whole, at: 0 };
    while let Some(start) = reader.skip_to_word() {
        let rest = &whole[start..];
        let is_elements =
            rest.strip_prefix("elements").is_some_and(|rest| rest.trim_start().starts_with('='));
        if is_elements
            && reader.words_before_brace().is_some()
            && let Some(inner) = reader.block()
        {
            return ([&whole[..start], &whole[reader.at..]], Some(inner));
        }
        reader.at = start;
        if reader.statement().is_none() {
            break;
        }
    }
    ([whole, ""], None)
}
