//! Where results go: standard output, its width and its colour.

use std::env;
use std::error::Error;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write};

use anyhow::Result;
use serde::Serialize;
use unicode_width::UnicodeWidthStr as _;

use crate::cli::args::Global;
use crate::render::sanitize::sanitize;
use crate::render::style::Style;
use crate::render::table::wrap;

/// Standard output, buffered and locked for the whole of a command.
pub(crate) struct Screen {
    out: BufWriter<StdoutLock<'static>>,
    /// Whether colour is used.
    pub(crate) style: Style,
    /// Columns to fit into: the terminal's, $COLUMNS, else 80.
    pub(crate) width: usize,
}

impl Screen {
    /// The screen a command prints on.
    pub(crate) fn open(global: &Global) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { out, style: Style::for_stdout(global.color), width: width() }
    }

    /// Prints one JSON document and a newline.
    pub(crate) fn json(&mut self, document: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut *self, document).map_err(io::Error::from)?;
        self.write_all(b"\n")?;
        Ok(())
    }

    /// Prints `lead` and a text after it, which goes on below itself where the line ends.
    pub(crate) fn hanging(&mut self, lead: &str, text: &str) -> Result<()> {
        let indent = lead.width();
        let lines = wrap(&sanitize(text), self.width.saturating_sub(indent).max(20));
        for (i, line) in lines.iter().enumerate() {
            let lead = if i == 0 { lead } else { "" };
            writeln!(self, "{lead}{:1$}{line}", "", indent - lead.width())?;
        }
        Ok(())
    }
}

impl Screen {
    /// Prints a text behind what stands on its line already, so many columns wide; it goes on two columns
    /// from the left.
    pub(crate) fn behind(&mut self, taken: usize, text: &str) -> Result<()> {
        // As if what stands there were its first word.
        let word = "x".repeat(taken.saturating_sub(1));
        let lines =
            wrap(&format!("{word} {}", sanitize(text)), self.width.saturating_sub(2).max(20));
        for (i, line) in lines.iter().enumerate() {
            match i {
                0 => writeln!(self, "{}", line.get(taken..).unwrap_or_default())?,
                _ => writeln!(self, "  {line}")?,
            }
        }
        Ok(())
    }

    /// Prints a text that begins `indent` columns from the left and goes on two behind that.
    pub(crate) fn paragraph(&mut self, indent: usize, text: &str) -> Result<()> {
        let lines = wrap(&sanitize(text), self.width.saturating_sub(indent + 2).max(20));
        for (i, line) in lines.iter().enumerate() {
            let indent = if i == 0 { indent } else { indent + 2 };
            writeln!(self, "{:indent$}{line}", "")?;
        }
        Ok(())
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(told_apart)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(told_apart)
    }
}

/// Nobody reads standard output any more.
#[derive(Debug)]
pub(crate) struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl Error for Unread {}

/// A pipe of ours that broke, told apart from all others: to a tool that ended, of a socket.
fn told_apart(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::BrokenPipe, Unread),
        _ => error,
    }
}

fn width() -> usize {
    let of_terminal = || {
        let stdout = io::stdout();
        stdout.is_terminal().then(|| portolan_host::terminal::columns(&stdout)).flatten()
    };
    let of_environment = || env::var("COLUMNS").ok()?.parse().ok();
    of_terminal().or_else(of_environment).filter(|w| *w >= 20).unwrap_or(80)
}
