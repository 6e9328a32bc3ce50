//! Targets in a file: words between white space, `#` begins a comment.

use std::ops::Range;

use super::{Target, TargetError};

/// What is wrong in a list of targets, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mistake}")]
pub struct ListError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong with them.
    pub mistake: TargetError,
}

/// The targets of a file, in its order.
///
/// # Errors
/// [`ListError`] with the place of the first word that is none.
pub fn list(text: &str) -> Result<Vec<Target>, ListError> {
    let start = |word: &str| word.as_ptr().addr() - text.as_ptr().addr();
    let target = |word| {
        let span = start(word)..start(word) + word.len();
        Target::parse(word).map_err(|mistake| ListError { span, mistake })
    };
    text.lines().flat_map(words).map(target).collect()
}

/// The words before a comment.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let told = line.split('#').next().unwrap_or_default();
    told.trim_start_matches('\u{feff}').split_whitespace()
}
