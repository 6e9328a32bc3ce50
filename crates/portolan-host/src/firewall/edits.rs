//! Files that are edited together with a trial: written when it begins, and as they were when it is rolled
//! back, so that what is written and what is loaded are changed together or not at all.
//!
//! What stood in them is kept in the folder of the firewall until the trial is confirmed, for whoever
//! brings back what was before. Of a file that somebody else changed meanwhile our own edit alone is taken
//! back; where that cannot be done, or the file not be written, it stays remembered.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portolan_core::inventory::edit::{line_of_edit, revert};

use crate::files;

use super::place::Place;

/// A file that is edited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Where it is.
    pub path: PathBuf,
    /// Its text as it is.
    pub before: String,
    /// Its text as it is going to be.
    pub after: String,
}

/// Writes down what is about to be edited, after what an earlier trial edited that is not over.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(place: &Place, edits: &[Edit], is_first: bool) -> io::Result<()> {
    let mut all = if is_first { Vec::new() } else { kept(place)? };
    let absolute = |edit: &Edit| {
        let path = fs::canonicalize(&edit.path)?;
        Ok(Edit { path, ..edit.clone() })
    };
    let new: io::Result<Vec<Edit>> = edits.iter().map(absolute).collect();
    all.extend(new?);
    match all.is_empty() {
        true => place.remove(EDITS),
        false => place.write(EDITS, text(&all).as_bytes()),
    }
}

/// Makes them, all or none.
///
/// # Errors
/// Where a file is not as it was, or cannot be written.
pub(super) fn make(edits: &[Edit]) -> io::Result<()> {
    if let Some(edit) = edits.iter().find(|edit| !stands(&edit.path, &edit.before)) {
        let message = format!("{} was changed meanwhile", edit.path.display());
        return Err(io::Error::other(message));
    }
    for (n, edit) in edits.iter().enumerate() {
        if let Err(error) = files::replace(&edit.path, edit.after.as_bytes()) {
            // Whoever brings back what was before tries again.
            let _ = take_back(&edits[..n]);
            return Err(io::Error::new(error.source.kind(), error));
        }
    }
    Ok(())
}

/// Whether some are kept that no trial remembers.
pub(super) fn are_kept(place: &Place) -> bool {
    kept(place).is_ok_and(|edits| !edits.is_empty())
}

/// Takes back all that are kept, the last first. What cannot be taken back stays remembered.
pub(super) fn undo(place: &Place) -> Undone {
    let edits = kept(place).unwrap_or_default();
    let left = take_back(&edits);
    let _ = match left.is_empty() {
        true => place.remove(EDITS),
        // Where that fails all of them are tried again, which harms nobody.
        false => place.write(EDITS, text(&left).as_bytes()),
    };
    match (edits.is_empty(), left.is_empty()) {
        (true, _) => Undone::Nothing,
        (false, true) => Undone::All,
        (false, false) => Undone::NotAll,
    }
}

/// What came of taking edits back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// There were none.
    Nothing,
    /// None stands any more.
    All,
    /// Some stand still.
    NotAll,
}

/// An edit that could not be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftEdit {
    /// The file.
    pub path: PathBuf,
    /// The line where it begins, as far as it is found again.
    pub line: Option<usize>,
}

/// Those that stand although the trial is over.
pub(super) fn left(place: &Place) -> Vec<LeftEdit> {
    let one = |edit: Edit| {
        let now = fs::read_to_string(&edit.path).unwrap_or_default();
        LeftEdit { line: line_of_edit(&edit.before, &edit.after, &now), path: edit.path }
    };
    kept(place).unwrap_or_default().into_iter().map(one).collect()
}

/// Those that could not be.
fn take_back(edits: &[Edit]) -> Vec<Edit> {
    let mut left: Vec<Edit> =
        edits.iter().rev().filter(|edit| !is_taken_back(edit)).cloned().collect();
    left.reverse();
    left
}

fn is_taken_back(edit: &Edit) -> bool {
    let Ok(now) = fs::read_to_string(&edit.path) else { return false };
    if now == edit.before {
        return true;
    }
    let then = match now == edit.after {
        true => Some(edit.before.clone()),
        false => revert(&edit.before, &edit.after, &now),
    };
    then.is_some_and(|then| files::replace(&edit.path, then.as_bytes()).is_ok())
}

fn stands(path: &Path, text: &str) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn kept(place: &Place) -> io::Result<Vec<Edit>> {
    Ok(place.read(EDITS)?.map(|text| edits(&text)).unwrap_or_default())
}

/// A line with the lengths of the path and the two texts in bytes, then these.
fn text(edits: &[Edit]) -> String {
    let one = |edit: &Edit| {
        let path = edit.path.to_string_lossy();
        let lengths = [path.len(), edit.before.len(), edit.after.len()].map(|n| n.to_string());
        format!("{}\n{path}{}{}\n", lengths.join(" "), edit.before, edit.after)
    };
    edits.iter().map(one).collect()
}

fn edits(text: &str) -> Vec<Edit> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((edit, after)) = first(rest) {
        found.push(edit);
        rest = after;
    }
    found
}

/// The first of them, and what follows it.
fn first(text: &str) -> Option<(Edit, &str)> {
    let (lengths, mut rest) = text.split_once('\n')?;
    let mut take = |length: Option<&str>| {
        let (part, after) = rest.split_at_checked(length?.parse().ok()?)?;
        rest = after;
        Some(part)
    };
    let mut lengths = lengths.split(' ');
    let path = PathBuf::from(take(lengths.next())?);
    let (before, after) = (take(lengths.next())?.to_owned(), take(lengths.next())?.to_owned());
    Some((Edit { path, before, after }, rest.strip_prefix('\n')?))
}

/// What is kept of them.
pub(super) const EDITS: &str = "edits";

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Vec<Edit> {
        let edit = |path: &str, before: &str, after: &str| Edit {
            path: path.into(),
            before: before.into(),
            after: after.into(),
        };
        vec![edit("/a b", "x = 1\n", "x = 2\n3 4 5\n"), edit("/ü", "", "ä")]
    }

    #[test]
    fn edits_come_back_as_they_were_written() {
        let text = text(&some());
        assert_eq!(edits(&text), some());
        for length in (0..text.len()).filter(|length| text.is_char_boundary(*length)) {
            assert!(edits(&text[..length]).len() < 2);
        }
    }

    #[test]
    fn all_files_are_edited_or_none_and_what_cannot_be_taken_back_stays_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let edit = |name: &str, before: &str, after: &str| Edit {
            path: path(name),
            before: before.into(),
            after: after.into(),
        };
        for name in ["a", "b"] {
            fs::write(path(name), "old").unwrap();
        }
        let read = |name: &str| fs::read_to_string(path(name)).unwrap();
        make(&[edit("a", "old", "new"), edit("b", "other", "new")]).unwrap_err();
        assert_eq!((read("a"), read("b")), ("old".into(), "old".into()));

        let place = Place::at(folder.path().join("state"), None);
        place.make().unwrap();
        let first = [edit("a", "old", "new"), edit("b", "old", "new")];
        keep(&place, &first, true).unwrap();
        make(&first).unwrap();
        let second = [edit("a", "new", "newer")];
        keep(&place, &second, false).unwrap();
        make(&second).unwrap();
        fs::write(path("b"), "mine").unwrap();
        assert_eq!(undo(&place), Undone::NotAll);
        assert!(are_kept(&place));
        assert_eq!(left(&place), [LeftEdit { path: path("b"), line: None }]);
        fs::write(path("b"), "new").unwrap();
        assert_eq!((undo(&place), undo(&place)), (Undone::All, Undone::Nothing));
        assert_eq!((read("a"), read("b")), ("old".into(), "old".into()));
    }
}
