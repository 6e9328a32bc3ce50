//! Targets in a file: words between white space, `#` begins a comment.

use super::{Target, TargetError};

/// A target and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The target.
    pub target: Target,
    /// The word as written.
    pub word: Box<str>,
    /// Its line, from 1.
    pub line: usize,
    /// Its first character in that line, from 1.
    pub column: usize,
}

/// What is wrong in a list of targets, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {mistake}")]
pub struct ListError {
    /// The line, from 1.
    pub line: usize,
    /// The first character of the wrong word, from 1.
    pub column: usize,
    /// The whole line.
    pub text: String,
    /// How many characters are wrong.
    pub length: usize,
    /// What is wrong with them.
    pub mistake: TargetError,
}

/// The targets of a file, in its order.
///
/// # Errors
/// [`ListError`] with the place of the first word that is none.
pub fn list(text: &str) -> Result<Vec<Listed>, ListError> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        for (column, word) in words(line) {
            let target = Target::parse(word).map_err(|mistake| ListError {
                line: i + 1,
                column,
                text: line.to_owned(),
                length: word.chars().count(),
                mistake,
            })?;
            found.push(Listed { target, word: word.into(), line: i + 1, column });
        }
    }
    Ok(found)
}

/// The words before a comment, each with the number of its first character.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let told = line.split('#').next().unwrap_or_default();
    told.split_whitespace().map(move |word| {
        let start = word.as_ptr().addr() - told.as_ptr().addr();
        (told[..start].chars().count() + 1, word)
    })
}
