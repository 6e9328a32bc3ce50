//! Changing the inventory's files: one value, or their form. Nothing is written that is not valid.

use std::path::{Path, PathBuf};

use anyhow::Result;
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
    let mut draft = Draft::open(asked)?;
    let set = draft.change(key, edit)?;
    draft.put()?;
    Ok(set)
}

/// Adds to the root file what `add` makes of its text.
///
/// # Errors
/// As for [`set`].
pub(crate) fn add(
    asked: &Asked,
    add: impl FnOnce(&str) -> Result<String, EditError>,
) -> Result<()> {
    let _alone = load::alone(asked)?;
    let mut draft = Draft::open(asked)?;
    draft.add(add)?;
    draft.put()
}

/// Changes of the inventory that are not written yet: all of them are, or none.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// The first file.
    pub(crate) root: PathBuf,
    asked: Asked,
    files: Vec<Changed>,
}

/// A file as it is and as it is going to be.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// The file.
    pub(crate) path: PathBuf,
    /// As it is.
    pub(crate) before: String,
    /// As it is going to be.
    pub(crate) after: String,
}

impl Draft {
    /// Begins with no change.
    ///
    /// # Errors
    /// Where there is no inventory, or it is no file that can be replaced.
    pub(crate) fn open(asked: &Asked) -> Result<Self> {
        let (root, text) = load::to_change(asked)?;
        let first = Changed { path: root.clone(), before: text.clone(), after: text };
        Ok(Self { root, asked: asked.clone(), files: vec![first] })
    }

    /// Changes the file that has `key`, the first one where none has, as `edit` does.
    ///
    /// # Errors
    /// A text that cannot be edited so, or would not be valid then; nothing is changed by that.
    pub(crate) fn change(
        &mut self,
        key: &str,
        edit: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<Set> {
        let file = self.holder(key)?;
        self.edit(file, edit)
    }

    /// Adds to the first file what `add` makes of its text.
    ///
    /// # Errors
    /// As for [`Draft::change`].
    pub(crate) fn add(
        &mut self,
        add: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<PathBuf> {
        self.edit(0, add).map(|set| set.path)
    }

    fn edit(
        &mut self,
        file: usize,
        edit: impl FnOnce(&str) -> Result<String, EditError>,
    ) -> Result<Set> {
        let Changed { path, after, .. } = &self.files[file];
        let path = path.clone();
        let edited = edit(after).map_err(|e| fault(&path, &e))?;
        if edited == *after {
            return Ok(Set { path, changed: false });
        }
        let earlier = std::mem::replace(&mut self.files[file].after, edited);
        if let Err(error) = self.inventory() {
            self.files[file].after = earlier;
            return Err(error.context(NOT_VALID));
        }
        Ok(Set { path, changed: true })
    }

    /// What the inventory is going to say.
    ///
    /// # Errors
    /// A `Refused` with everything that would be wrong.
    pub(crate) fn inventory(&self) -> Result<Inventory> {
        let changes = self.files.iter().map(|file| (file.path.as_path(), file.after.as_str()));
        load::with_changes(&self.root, &changes.collect::<Vec<_>>())
    }

    /// The files that are not what they are going to be.
    pub(crate) fn changed(&self) -> impl Iterator<Item = &Changed> {
        self.files.iter().filter(|file| file.before != file.after)
    }

    /// Writes all of it. Where a file was changed meanwhile, or one cannot be written, none is.
    ///
    /// # Errors
    /// Which one.
    pub(crate) fn write(&self) -> Result<()> {
        let _alone = load::alone(&self.asked)?;
        self.put()
    }

    /// The same for who holds the folder already.
    fn put(&self) -> Result<()> {
        for file in self.changed() {
            let now = std::fs::read(&file.path).unwrap_or_default();
            if now != file.before.as_bytes() {
                let message = format!("{} was changed meanwhile", file.path.display());
                return Err(Fault::new(message, "nothing was changed: run it again"));
            }
        }
        let mut done: Vec<&Changed> = Vec::new();
        for file in self.changed() {
            if let Err(error) = files::replace(&file.path, file.after.as_bytes()) {
                done.iter().for_each(|done| {
                    let _ = files::replace(&done.path, done.before.as_bytes());
                });
                return Err(error).hinted("nothing was changed", NOT_WRITTEN);
            }
            done.push(file);
        }
        Ok(())
    }

    /// The file that holds the most of `key`, of those with the thing it is about.
    fn holder(&mut self, key: &str) -> Result<usize> {
        let first = &self.files[0];
        // An inventory that cannot be loaded may be mended by this very edit: then it is the root's.
        let Ok(inventory) = self.inventory() else { return Ok(0) };
        let mut depth = edit::holds(&first.after, key).map_err(|e| fault(&first.path, &e))?;
        let mut best = None;
        for file in inventory.files.into_iter().skip(1) {
            // Everybody has a `services` table; a file owns a key from the entry's name on.
            match edit::holds(&file.text, key) {
                Ok(held) if held > depth && held > 1 => {
                    depth = held;
                    best = Some((PathBuf::from(file.path), file.text));
                }
                _ => {}
            }
        }
        let Some((path, text)) = best else { return Ok(0) };
        if let Some(known) = self.files.iter().position(|file| file.path == path) {
            return Ok(known);
        }
        self.files.push(Changed { path, before: text.clone(), after: text });
        Ok(self.files.len() - 1)
    }
}

/// What is said beside the reason where the new text would not be valid.
pub(crate) const NOT_VALID: &str = "nothing was changed, since it would not be valid any more";

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

fn fault(path: &Path, error: &EditError) -> anyhow::Error {
    Fault::new(format!("cannot change {}: {error}", path.display()), error.hint())
}
