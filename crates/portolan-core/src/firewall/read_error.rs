//! Why a file or a listing of rules cannot be read.

/// A place in a text and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ReadError {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong: lowercase, without a full stop.
    pub problem: String,
    /// What to do about it; empty where nothing is known.
    pub hint: String,
}

impl ReadError {
    /// A problem at a place.
    pub fn new(line: usize, column: usize, problem: impl Into<String>) -> Self {
        Self { line, column, problem: problem.into(), hint: String::new() }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hinting(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }
}
