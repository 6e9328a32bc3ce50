//! Wrong usage, told the way every other error is: `error:`, then `hint:`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use crate::cli::args::Color;
use crate::exit::Exit;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints what clap has to say: help and version as a result, anything else as an error.
pub(crate) fn print(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        let told = as_hints(&error.render().to_string(), Style::for_stderr(Color::Auto));
        let _ = io::stderr().lock().write_all(told.as_bytes());
        return Exit::Failed;
    }
    match error.print() {
        // A reader that has gone is no error of ours; a full disk is.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Yes,
    }
}

/// clap's words with its tips as hints and without the empty lines between.
fn as_hints(text: &str, style: Style) -> String {
    let (error, hint) = (style.paint(Role::Bad, "error:"), style.paint(Role::Hint, "hint:"));
    let mut told = String::new();
    for line in text.lines().filter(|l| !l.trim().is_empty()) {
        // What was typed is quoted in it.
        let line = sanitize(line);
        let _ = match line.trim_start().strip_prefix("tip: ") {
            Some(tip) => writeln!(told, "{hint} {tip}"),
            None if line.starts_with("For more information") => writeln!(told, "{hint} try --help"),
            None => match line.strip_prefix("error: ") {
                Some(what) => writeln!(told, "{error} {what}"),
                None => writeln!(told, "{line}"),
            },
        };
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tip_becomes_a_hint() {
        let text = "error: unrecognized subcommand 'sokets'\n\n  tip: a similar subcommand exists: \
                    'sockets'\n\nUsage: portolan [OPTIONS] [COMMAND]\n\nFor more information, try '--help'.\n";
        assert_eq!(
            as_hints(text, Style::PLAIN),
            "error: unrecognized subcommand 'sokets'\nhint: a similar subcommand exists: 'sockets'\n\
             Usage: portolan [OPTIONS] [COMMAND]\nhint: try --help\n"
        );
    }
}
