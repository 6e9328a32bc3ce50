//! Changing the inventory's files: one value, or their form. Nothing is written that is not valid.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use portolan_core::inventory::Inventory;
use portolan_core::inventory::edit::{self, EditError};
use portolan_host::files;

use crate::fault::{Fault, Hinted as _};

use super::load;
use super::load::Asked;

/// What `set` did.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// The file that has the key.
    pub(crate) path: PathBuf,
    /// Whether it was another value before.
    pub(crate) changed: bool,
}

/// Sets `key` to `value` in the file that has it, the root file where none has.
///
/// # Errors
/// A key or text that cannot be edited, or a `Refused` where the result would not be valid; the
/// file is as it was then.
pub(crate) fn set(asked: &Asked, key: &str, value: &str) -> Result<Set> {
    change(asked, key, |text| edit::set(text, key, value))
}

/// Changes the file that has `key`, the root file where none has, as `edit` does.
///
/// # Errors
/// As for [`set`].
pub(crate) fn change(
    asked: &Asked,
    key: &str,
    edit: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<Set> {
    let _alone = load::alone(asked)?;
    let (root, text) = load::to_change(asked)?;
    let (path, text) = holder(asked, key, root.clone(), text)?;
    let edited = edit(&text).map_err(|e| fault(&path, &e))?;
    if edited == text {
        return Ok(Set { path, changed: false });
    }
    load::with_change(&root, &path, &edited).context(NOT_VALID)?;
    files::replace(&path, edited.as_bytes()).hinted("nothing was changed", NOT_WRITTEN)?;
    Ok(Set { path, changed: true })
}

/// Adds to the root file what `add` makes of its text, and says what the inventory then is.
///
/// # Errors
/// As for [`set`].
pub(crate) fn add(
    asked: &Asked,
    add: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<(PathBuf, Inventory)> {
    let _alone = load::alone(asked)?;
    let (root, text) = load::to_change(asked)?;
    let edited = add(&text).map_err(|e| fault(&root, &e))?;
    let inventory = load::with_change(&root, &root, &edited).context(NOT_VALID)?;
    files::replace(&root, edited.as_bytes()).hinted("nothing was changed", NOT_WRITTEN)?;
    Ok((root, inventory))
}

const NOT_VALID: &str = "nothing was changed, since it would not be valid any more";

const NOT_WRITTEN: &str = "the file and its folder must be writable for you";

/// A file and whether it is in its usual form.
#[derive(Debug)]
pub(crate) struct Formatted {
    /// The file.
    pub(crate) path: String,
    /// Whether its usual form is another one.
    pub(crate) changed: bool,
}

/// What is done with files that are not in their usual form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// They are written anew.
    Write,
    /// It is said.
    Check,
}

/// Puts the inventory and the TOML it includes into its usual form.
///
/// # Errors
/// A `Refused`, or a root file that is JSON; no file is changed then.
pub(crate) fn format(asked: &Asked, form: Form) -> Result<Vec<Formatted>> {
    let _alone = load::alone(asked)?;
    let (root, _) = load::to_change(asked)?;
    let inventory = load::require(asked)?.inventory;
    let mut formatted = Vec::new();
    for (n, file) in inventory.files.iter().enumerate() {
        match edit::format(&file.text) {
            // The inventory is valid, so that what is no TOML is JSON or a list of networks.
            Err(_) if n > 0 => {}
            Err(error) => return Err(fault(&root, &error)),
            Ok(text) => formatted.push((file, text)),
        }
    }
    let changed = formatted.iter().filter(|(file, text)| file.text != *text);
    if form == Form::Write {
        for (file, text) in changed {
            let path = Path::new(&file.path);
            files::replace(path, text.as_bytes()).hinted("not formatted", NOT_WRITTEN)?;
        }
    }
    let report = |(file, text): &(&portolan_core::inventory::SourceFile, String)| Formatted {
        path: file.path.clone(),
        changed: file.text != *text,
    };
    Ok(formatted.iter().map(report).collect())
}

/// The file of the inventory that holds the most of `key`, of those with the thing it is about.
fn holder(asked: &Asked, key: &str, root: PathBuf, text: String) -> Result<(PathBuf, String)> {
    // An inventory that cannot be loaded may be mended by this very edit: then it is the root's.
    let Ok(loaded) = load::require(asked) else { return Ok((root, text)) };
    let mut best = (root, text);
    let mut depth = edit::holds(&best.1, key).map_err(|e| fault(&best.0, &e))?;
    for file in loaded.inventory.files.into_iter().skip(1) {
        // Everybody has a `services` table; a file owns a key from the entry's name on.
        match edit::holds(&file.text, key) {
            Ok(held) if held > depth && held > 1 => {
                depth = held;
                best = (PathBuf::from(file.path), file.text);
            }
            _ => {}
        }
    }
    Ok(best)
}

fn fault(path: &Path, error: &EditError) -> anyhow::Error {
    Fault::new(format!("cannot change {}: {error}", path.display()), error.hint())
}
