//! Errors on their way to a person: what, why, and the way out.

use std::error::Error;
use std::fmt;
use std::io;

use portolan_core::firewall::analyse::AnalyseError;

use crate::render::screen::Unread;

/// An error that tells the way out.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What could not be done, and why.
    message: String,
    /// What to do next.
    pub(crate) hint: String,
    source: Option<anyhow::Error>,
}

impl Fault {
    /// An error with its hint, ready to be returned through `?`.
    #[expect(clippy::new_ret_no_self, reason = "an error is only ever made to be returned")]
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
        anyhow::Error::new(Self { message: message.into(), hint: hint.into(), source: None })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

/// Gives an error its context and its hint in one step.
pub(crate) trait Hinted<T> {
    /// Wraps the error: `what` failed because of it, and `hint` is the way out.
    fn hinted(self, what: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Hinted<T> for Result<T, E> {
    fn hinted(self, what: impl Into<String>, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|e| {
            let source = Some(e.into());
            anyhow::Error::new(Fault { message: what.into(), hint: hint.into(), source })
        })
    }
}

/// Whether two parts of portolan contradict each other about the same packet.
pub(crate) fn is_internal(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|e| matches!(e.downcast_ref::<AnalyseError>(), Some(AnalyseError::Internal { .. })))
}

/// Whether the reader of our output has gone, as `head` does: no error of ours.
pub(crate) fn is_unread(error: &anyhow::Error) -> bool {
    let is_it = |error: &io::Error| matches!(error.get_ref(), Some(inner) if inner.is::<Unread>());
    error.chain().any(|e| e.downcast_ref::<io::Error>().is_some_and(is_it))
}

/// What is told once something is done: whether anybody reads it changes nothing of that.
///
/// # Errors
/// As `told`, unless the reader has gone.
pub(crate) fn once_done(told: anyhow::Result<()>) -> anyhow::Result<()> {
    match told {
        Err(error) if is_unread(&error) => Ok(()),
        told => told,
    }
}
