//! Colour by role. A colour never says what a word does not, so every role works without it.

use std::env;
use std::fmt;
use std::io::{self, IsTerminal as _, Write};

use crate::cli::args::Color;

/// What a piece of text is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    /// Ordinary text.
    #[default]
    Plain,
    /// Headings.
    Heading,
    /// What matters most in a row.
    Strong,
    /// Declared, clean, open as meant.
    Good,
    /// Look at it.
    Warning,
    /// Wrong.
    Bad,
    /// Less important than its row.
    Dim,
    /// What to do next.
    Hint,
}

impl Role {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Heading | Self::Strong => "\x1b[1m",
            Self::Good => "\x1b[32m",
            Self::Warning => "\x1b[33m",
            Self::Bad => "\x1b[1;31m",
            Self::Dim => "\x1b[2m",
            Self::Hint => "\x1b[36m",
        }
    }
}

/// Whether colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    colored: bool,
}

impl Style {
    /// Without any colour.
    pub(crate) const PLAIN: Self = Self { colored: false };

    /// For standard output.
    pub(crate) fn for_stdout(color: Color) -> Self {
        Self::decide(color, io::stdout().is_terminal())
    }

    /// For standard error.
    pub(crate) fn for_stderr(color: Color) -> Self {
        Self::decide(color, io::stderr().is_terminal())
    }

    /// NO_COLOR (any value but the empty one) and TERM=dumb count unless `--color always` was said.
    fn decide(color: Color, terminal: bool) -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty())
            || env::var_os("TERM").is_some_and(|v| v == "dumb");
        let colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !refused,
        };
        Self { colored }
    }

    /// Whether colour is used, for what paints itself.
    pub(crate) const fn is_colored(self) -> bool {
        self.colored
    }

    /// Writes `text` in the colour of `role`: what [`Style::paint`] shows, for the many cells of a
    /// table.
    pub(crate) fn write(self, out: &mut impl Write, role: Role, text: &str) -> io::Result<()> {
        let code = if self.colored { role.code() } else { "" };
        if code.is_empty() {
            return out.write_all(text.as_bytes());
        }
        write!(out, "{code}{text}\x1b[0m")
    }

    /// `text` in the colour of `role`.
    pub(crate) fn paint<T: fmt::Display>(self, role: Role, text: T) -> Painted<T> {
        let code = if self.colored { role.code() } else { "" };
        Painted { code, text }
    }
}

/// Text with its colour around it.
pub(crate) struct Painted<T> {
    code: &'static str,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_empty() {
            return self.text.fmt(f);
        }
        write!(f, "{}{}\x1b[0m", self.code, self.text)
    }
}
