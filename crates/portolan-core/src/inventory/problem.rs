//! What is wrong with an inventory: where, why, and the way out.
//!
//! Reading goes on after a problem, so that a person mends a file in one go and not line by line.

use super::{Location, Place, SourceFile};

/// One thing that is wrong in an inventory file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Location,
    /// What, one line.
    pub message: String,
    /// The way out, one line; empty where there is none to tell.
    pub hint: String,
    /// Other places it has to do with, each with what stands there.
    pub related: Vec<(Location, String)>,
    /// Whether the text at its place may be shown, and nothing around it, in a file whose lines may not: the
    /// message repeats it already.
    pub is_repeated: bool,
}

impl Problem {
    /// A problem at one place.
    pub fn new(at: Location, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            hint: hint.into(),
            related: Vec::new(),
            is_repeated: false,
        }
    }

    /// The same problem with another place it has to do with.
    #[must_use]
    pub fn related(mut self, at: &Location, what: impl Into<String>) -> Self {
        self.related.push((at.clone(), what.into()));
        self
    }
}

/// An inventory that cannot be used, with all that is wrong in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the inventory {} has {}", self.root(), count(self.problems.len() + self.omitted))]
pub struct Refused {
    /// The files that were read; `Location::file` is an index into them.
    pub files: Vec<SourceFile>,
    /// What is wrong, in the order of the files; at least one.
    pub problems: Vec<Problem>,
    /// How many more there were than are kept.
    pub omitted: usize,
}

impl Refused {
    /// A place as a person is told it.
    #[must_use]
    pub fn line_of(&self, at: &Location) -> Place<'_> {
        Place::of(&self.files, at)
    }

    fn root(&self) -> &str {
        self.files.first().map_or("", |f| f.path.as_str())
    }
}

fn count(problems: usize) -> String {
    match problems {
        1 => "1 problem".to_owned(),
        n => format!("{n} problems"),
    }
}

/// The problems found so far; the first thousand are kept, the rest only counted.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, problem: Problem) {
        self.push_with(|| problem);
    }

    /// Adds one that is only made where it is kept.
    pub(crate) fn push_with(&mut self, problem: impl FnOnce() -> Problem) {
        if self.kept.len() < KEPT {
            self.kept.push(problem());
        } else {
            self.omitted += 1;
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// All of them, in the order of the files.
    pub(crate) fn refuse(mut self, files: Vec<SourceFile>) -> Refused {
        self.kept.sort_by_key(|p| (p.at.file, p.at.span.start));
        self.kept.dedup();
        Refused { files, problems: self.kept, omitted: self.omitted }
    }
}

/// Nobody mends more in one sitting, and a broken file of 10 MB has a hundred thousand.
const KEPT: usize = 1000;
