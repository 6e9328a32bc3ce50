//! Wrong usage, told the way every other error is: `error:`, then `hint:`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use clap::error::{ContextKind, ContextValue};

use super::pointers::pointer;
use crate::cli::args::{Color, WATCH};
use crate::exit::Exit;
use crate::render::sanitize::sanitize;
use crate::render::style::{Role, Style};

/// Prints what clap has to say: help and version as a result, anything else as an error.
pub(crate) fn print(error: &clap::Error) -> Exit {
    if error.use_stderr() {
        let mut text = error.render().to_string();
        if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) {
            text = pointed(&text, word);
        }
        let told = as_hints(&text, Style::for_stderr(Color::Auto));
        let _ = io::stderr().lock().write_all(told.as_bytes());
        return Exit::Failed;
    }
    match error.print() {
        // A reader that has gone is no error of ours; a full disk is.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Exit::Failed,
        _ => Exit::Yes,
    }
}

/// What is wrong with a subcommand, with our own tip where it has another name here; never with the one
/// that nobody is to call.
fn pointed(text: &str, word: &str) -> String {
    let is_firewall = text.contains("Usage: portolan firewall");
    let meant = pointer(word, is_firewall);
    let mut told = String::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("tip: ") {
            Some(_) if meant.is_some() => {}
            Some(tip) => told.push_str(&format!("  tip: {}\n", public(tip))),
            None => told.push_str(&format!("{line}\n")),
        }
        let is_error = line.starts_with("error: ");
        told.extend(meant.filter(|_| is_error).map(|meant| format!("  tip: {meant}\n")));
    }
    told
}

/// A tip without the subcommand that is not to be called.
fn public(tip: &str) -> String {
    let names: Vec<&str> = tip.split('\'').skip(1).step_by(2).collect();
    if !names.contains(&WATCH) {
        return tip.to_owned();
    }
    let others = names.into_iter().filter(|name| *name != WATCH && *name != "firewall");
    let names: Vec<String> =
        ["firewall"].into_iter().chain(others).map(|name| format!("'{name}'")).collect();
    match &names[..] {
        [one] => format!("a similar subcommand exists: {one}"),
        some => format!("some similar subcommands exist: {}", some.join(", ")),
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
    fn what_other_tools_call_it_is_pointed_to_and_what_nobody_calls_is_not_offered() {
        let of = |usage: &str, word: &str, tip: &str| {
            let text = format!(
                "error: unrecognized subcommand '{word}'\n\n  tip: {tip}\n\nUsage: {usage} <COMMAND>\n"
            );
            as_hints(&pointed(&text, word), Style::PLAIN)
        };
        let replay = "a similar subcommand exists: 'replay'";
        let told = of("portolan firewall", "plan", replay);
        assert!(told.contains("hint: what would change: portolan firewall apply --dry-run"));
        assert!(!told.contains("replay"), "{told}");
        assert!(of("portolan", "plan", replay).contains(replay));
        let both = "some similar subcommands exist: 'firewall-watch', 'firewall'";
        let told = of("portolan", "firewal", both);
        assert!(told.contains("hint: a similar subcommand exists: 'firewall'\n"), "{told}");
    }

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
