//! Taking an edit back out of a text that somebody else has changed since.
//!
//! The edit and the other's change are told apart piece by piece and put together without the edit; where
//! both touch the same piece nothing is done. Then the values are counted: what the text loses and gains
//! by it must be just what the edit brought and took, else a key could have come into another table.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{DocumentMut, Item, Table, TableLike};

/// `now` without what made `after` of `before`; `None` where the two cannot be told apart.
#[must_use]
pub fn revert(before: &str, after: &str, now: &str) -> Option<String> {
    let without = |pieces: fn(&str) -> Vec<&str>| {
        let (base, ours, theirs) = (pieces(after), pieces(before), pieces(now));
        let merged = merged(&base, &ours, &theirs)?;
        is_just_the_edit([before, after], [&merged, now])?.then_some(merged)
    };
    without(words).or_else(|| without(lines))
}

/// The line of `now`, counted from 1, where what `after` has and `before` has not begins.
#[must_use]
pub fn line_of_edit(before: &str, after: &str, now: &str) -> Option<usize> {
    let had: Vec<&str> = before.lines().collect();
    let new = |line: &&str| !line.trim().is_empty() && !had.contains(line);
    let added = after.lines().find(new)?;
    now.lines().position(|line| line == added).map(|at| at + 1)
}

/// What one side made of a stretch of the base.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hunk<'t> {
    base: Range<usize>,
    text: Vec<&'t str>,
}

/// Both sides' changes of the base; `None` where they touch the same pieces.
fn merged(base: &[&str], ours: &[&str], theirs: &[&str]) -> Option<String> {
    let (ours, theirs) = (hunks(base, ours)?, hunks(base, theirs)?);
    let meet = |a: &Hunk<'_>, b: &Hunk<'_>| {
        let is_inside = a.base.start < b.base.end && b.base.start < a.base.end;
        is_inside || a.base == b.base
    };
    if ours.iter().any(|a| theirs.iter().any(|b| meet(a, b))) {
        return None;
    }
    let mut all = [ours, theirs].concat();
    all.sort_by_key(|hunk| (hunk.base.start, hunk.base.end));
    let (mut text, mut at) = (String::new(), 0);
    for hunk in all {
        text.extend(base.get(at..hunk.base.start)?.iter().copied());
        text.extend(hunk.text);
        at = hunk.base.end;
    }
    text.extend(base.get(at..)?.iter().copied());
    Some(text)
}

/// How `other` differs from the base: by a longest common part. `None` where that is too much to find.
fn hunks<'t>(base: &[&str], other: &[&'t str]) -> Option<Vec<Hunk<'t>>> {
    let first = base.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (a, b) = (&base[first..], &other[first..]);
    let last = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[..a.len() - last], &b[..b.len() - last]);
    let width = b.len() + 1;
    if a.len().saturating_add(1).saturating_mul(width) > MOST_CELLS {
        return None;
    }
    // How long the common part of what is left on both sides is.
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let (down, right) = (common[(i + 1) * width + j], common[i * width + j + 1]);
            let both = common[(i + 1) * width + j + 1] + 1;
            common[i * width + j] = if a[i] == b[j] { both } else { down.max(right) };
        }
    }
    let mut found: Vec<Hunk<'t>> = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            continue;
        }
        let at = first + i;
        if found.last().is_none_or(|hunk| hunk.base.end != at) {
            found.push(Hunk { base: at..at, text: Vec::new() });
        }
        let hunk = found.last_mut()?;
        let is_gone =
            j == b.len() || i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1];
        if is_gone {
            hunk.base.end += 1;
            i += 1;
        } else {
            hunk.text.push(b[j]);
            j += 1;
        }
    }
    Some(found)
}

/// 16 MiB.
const MOST_CELLS: usize = 1 << 22;

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Words, and each other character by itself.
fn words(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_alphanumeric() || "\"._-:/+@#".contains(c);
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match is_part(c) {
            true => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            false => c.len_utf8(),
        };
        let (word, after) = rest.split_at(length);
        found.push(word);
        rest = after;
    }
    found
}

/// Whether the first pair differs by the same values as the second; `None` where one is no TOML.
fn is_just_the_edit(edit: [&str; 2], undone: [&str; 2]) -> Option<bool> {
    let difference = |[without, with]: [&str; 2]| {
        let mut counts: BTreeMap<(String, String), i64> = BTreeMap::new();
        for (text, one) in [(without, -1), (with, 1)] {
            let document: DocumentMut = text.parse().ok()?;
            let mut values = Vec::new();
            gather(document.as_table(), "", &mut values);
            values.into_iter().for_each(|value| *counts.entry(value).or_default() += one);
        }
        counts.retain(|_, count| *count != 0);
        Some(counts)
    };
    Some(difference(edit)? == difference(undone)?)
}

/// Every value with its path. Elements of arrays count whole and without their place, so that others may
/// come and go beside them. Nesting is as deep as the parser lets it be.
fn gather(table: &dyn TableLike, path: &str, values: &mut Vec<(String, String)>) {
    for (key, item) in table.iter() {
        let path = format!("{path}.{key}");
        match item {
            Item::ArrayOfTables(tables) => {
                tables.iter().for_each(|table| values.push((path.clone(), whole(table))));
            }
            Item::Table(table) => {
                values.push((path.clone(), String::new()));
                gather(table, &path, values);
            }
            Item::Value(value) => match (value.as_array(), value.as_inline_table()) {
                (Some(array), _) => {
                    values.push((path.clone(), "[]".to_owned()));
                    let elements = array.iter().map(bare);
                    values.extend(elements.map(|element| (path.clone(), element)));
                }
                (_, Some(table)) => gather(table, &path, values),
                _ => values.push((path, bare(value))),
            },
            Item::None => {}
        }
    }
}

/// A value without the comments and blanks around it.
fn bare(value: &toml_edit::Value) -> String {
    value.clone().decorated("", "").to_string()
}

fn whole(table: &Table) -> String {
    let mut values = Vec::new();
    gather(table, "", &mut values);
    values.sort();
    format!("{values:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "portolan = 1\n[services.web]\non = [\"h\"]\nfrom = [\"a\"] # all\n";
    const ADDED: &str = "\n[services.https]\non = [\"h\"]\nfrom = [\"any\"]\n";

    fn with_service() -> String {
        format!("{BEFORE}{ADDED}")
    }

    #[test]
    fn what_others_changed_stays_and_the_edit_goes() {
        let after = with_service();
        assert_eq!(
            revert(BEFORE, &after, &format!("{after}# remark\n")).unwrap(),
            format!("{BEFORE}# remark\n")
        );
        let elsewhere = |text: &str| text.replace("[\"a\"] # all", "[\"a\", \"b\"] # some");
        assert_eq!(revert(BEFORE, &after, &elsewhere(&after)).unwrap(), elsewhere(BEFORE));
        let more = "[services.ssh]\non = [\"h\"]\n";
        assert_eq!(
            revert(BEFORE, &after, &format!("{after}{more}")).unwrap(),
            format!("{BEFORE}{more}")
        );
    }

    #[test]
    fn an_element_goes_out_of_a_list_that_others_added_to() {
        let after = BEFORE.replace("[\"a\"]", "[\"a\", \"mine\"]");
        for now in ["[\"a\", \"mine\", \"theirs\"]", "[\"theirs\", \"a\", \"mine\"]"] {
            let now = BEFORE.replace("[\"a\"]", now);
            assert_eq!(revert(BEFORE, &after, &now).unwrap(), now.replace(", \"mine\"", ""));
        }
    }

    #[test]
    fn what_cannot_be_told_apart_is_left_alone() {
        let after = with_service();
        // It would come into the table before.
        assert_eq!(revert(BEFORE, &after, &format!("{after}owner = \"me\"\n")), None);
        assert_eq!(revert(BEFORE, &after, &after.replace("\"any\"", "\"b\"")), None);
        assert_eq!(revert(BEFORE, &after, "no TOML"), None);
        let block = "[[block]]\nfrom = [\"b\"]\n";
        let one = format!("{BEFORE}{block}");
        let two = format!("{one}{}", block.replace("\"b\"", "\"c\""));
        assert_eq!(revert(&one, &two, &format!("{two}ports = [\"22/tcp\"]\n")), None);
        assert_eq!(revert(&one, &two, &format!("{two}# x\n")).unwrap(), format!("{one}# x\n"));
    }

    #[test]
    fn the_line_of_an_edit_is_where_it_stands_now() {
        let after = with_service();
        assert_eq!(line_of_edit(BEFORE, &after, &format!("# first\n{after}")), Some(7));
        assert_eq!(line_of_edit(BEFORE, &after, BEFORE), None);
    }
}
