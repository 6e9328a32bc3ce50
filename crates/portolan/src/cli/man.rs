//! `portolan man`: the manual, made from the command line's own definition.
//!
//! What stands below a command's help in free text becomes the sections a manual has for it:
//! paragraphs that begin with `Example` or `Exit code` go there, the others under NOTES.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::cli::args::{Arguments, Global};
use crate::exit::Exit;
use crate::fault::Hinted as _;
use crate::render::screen::Screen;

/// Prints portolan(1), or writes a page a command into `folder`.
pub(crate) fn run(folder: Option<&Path>, global: &Global) -> Result<Exit> {
    let mut command = Arguments::command();
    command.build();
    let mut screen = Screen::open(global);
    match folder {
        None => screen.write_all(&page(&command)?)?,
        Some(folder) => write_all(&command, folder)?,
    }
    screen.flush()?;
    Ok(Exit::Yes)
}

fn write_all(command: &Command, folder: &Path) -> Result<()> {
    let path = folder.join(format!("{}.1", full_name(command)));
    portolan_host::files::replace(&path, &page(command)?).hinted(
        "cannot write the manual",
        "create the folder first, or name one you may write to",
    )?;
    visible(command).try_for_each(|sub| write_all(sub, folder))
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|c| !c.is_hide_set())
}

fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// The page of one command.
fn page(command: &Command) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let version = concat!("portolan ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(version).manual("Portolan Manual");
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    add_synopsis(command, &mut out)?;
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if visible(command).next().is_some() {
        man.render_subcommands_section(&mut out)?;
    }
    let mut roff = Roff::new();
    add_notes(&mut roff, &command.get_after_help().map(ToString::to_string).unwrap_or_default());
    add_surroundings(&mut roff, full_name(command));
    roff.to_writer(&mut out)?;
    Ok(out)
}

/// How it is called, in the words of its help.
fn add_synopsis(command: &Command, out: &mut Vec<u8>) -> Result<()> {
    let usage = command.clone().render_usage().to_string();
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).control("nf", []);
    for line in usage.trim_start_matches("Usage:").lines() {
        roff.text([roman(line.trim())]);
    }
    Ok(roff.control("fi", []).to_writer(out)?)
}

fn add_notes(roff: &mut Roff, notes: &str) {
    for heading in ["NOTES", "EXAMPLES", "EXIT STATUS"] {
        let mut paragraphs = notes.split("\n\n").filter(|p| section_of(p) == heading).peekable();
        if paragraphs.peek().is_some() {
            roff.control("SH", [heading]);
        }
        for paragraph in paragraphs {
            roff.control("PP", []);
            let is_prose = heading != "EXAMPLES" && is_prose(paragraph);
            if !is_prose {
                roff.control("nf", []);
            }
            undented(paragraph).for_each(|line| {
                roff.text([roman(line)]);
            });
            if !is_prose {
                roff.control("fi", []);
            }
        }
    }
}

/// Whether the lines of a paragraph may be broken elsewhere: nothing stands below something else in it.
fn is_prose(paragraph: &str) -> bool {
    !paragraph.lines().any(|line| line.starts_with(' ') || line.trim().contains("  "))
}

fn section_of(paragraph: &str) -> &'static str {
    if paragraph.starts_with("Example") || paragraph.starts_with("Start with") {
        "EXAMPLES"
    } else if paragraph.starts_with("Exit code") {
        "EXIT STATUS"
    } else {
        "NOTES"
    }
}

/// The lines of a paragraph without its lead (`Examples: `) and without the indent that lines up
/// with it.
fn undented(paragraph: &str) -> impl Iterator<Item = &str> {
    let lead = ["Examples: ", "Example: ", "Start with: ", "Exit codes: "]
        .into_iter()
        .find(|lead| paragraph.starts_with(lead))
        .map_or(0, str::len);
    paragraph.lines().map(move |line| {
        let start = line.char_indices().take_while(|(i, c)| *i < lead && *c == ' ').count();
        if start == 0 { line.get(lead..).unwrap_or(line) } else { &line[start..] }
    })
}

/// What surrounds every command: its files, its variables, its neighbours.
fn add_surroundings(roff: &mut Roff, name: &str) {
    roff.control("SH", ["FILES"]);
    for (file, what) in FILES {
        roff.control("TP", []).text([roman(*file)]).text([roman(*what)]);
    }
    roff.control("SH", ["ENVIRONMENT"]);
    for (variable, what) in ENVIRONMENT {
        roff.control("TP", []).text([roman(*variable)]).text([roman(*what)]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let neighbours = "ss(8), lsof(8), ip-netns(8), proc_pid_fd(5), sock_diag(7)";
    let first = if name == "portolan" { "" } else { "portolan(1), " };
    roff.text([roman(format!("{first}{neighbours}"))]);
}

const FILES: &[(&str, &str)] = &[
    (
        "./portolan.toml",
        "The inventory, when neither --inventory nor $PORTOLAN_INVENTORY names one.",
    ),
    ("/etc/portolan/portolan.toml", "The inventory of the machine."),
    (
        "$XDG_STATE_HOME/portolan, ~/.local/state/portolan",
        "Numbers that pick and reserve gave, one SQLite file for each host name.",
    ),
    (
        "/etc/portolan/firewall.nft, /etc/systemd/system/portolan-firewall.service",
        "The rules that were confirmed, and what loads them at boot.",
    ),
    (
        "/var/lib/portolan/firewall",
        "What a trial of rules may come back to, and the log of who applied what.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("PORTOLAN_INVENTORY", "The inventory to read."),
    ("NO_COLOR", "Not empty: no colour unless --color always is given."),
    ("COLUMNS", "The width of tables when standard output is no terminal."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_lose_the_indent_of_their_lead() {
        let lines: Vec<&str> =
            undented("Examples: portolan who 8080\n          portolan who nginx").collect();
        assert_eq!(lines, ["portolan who 8080", "portolan who nginx"]);
    }

    #[test]
    fn a_paragraph_without_a_lead_stays_as_it_is() {
        let lines: Vec<&str> = undented("Exit code 1 when nobody holds it.").collect();
        assert_eq!(lines, ["Exit code 1 when nobody holds it."]);
    }

    #[test]
    fn prose_is_filled_and_what_is_lined_up_stays_so() {
        assert!(is_prose("The table is replaced in one step,\nno other is touched."));
        assert!(!is_prose("Columns:\n  PORT  its number"));
        assert!(!is_prose("tcp  TCP\nudp  UDP"));
    }

    #[test]
    fn every_command_has_a_page_that_names_it() {
        fn check(command: &Command) {
            let text = String::from_utf8(page(command).unwrap()).unwrap();
            assert!(text.contains(".SH NAME"), "{}", full_name(command));
            let synopsis =
                text.split_once(".SH SYNOPSIS\n.nf\n").unwrap().1.lines().next().unwrap();
            assert!(synopsis.starts_with("portolan"), "{synopsis}");
            assert!(
                text.contains(&full_name(command).replace('-', "\\-")),
                "{}",
                full_name(command)
            );
            visible(command).for_each(check);
        }
        let mut command = Arguments::command();
        command.build();
        check(&command);
    }
}
