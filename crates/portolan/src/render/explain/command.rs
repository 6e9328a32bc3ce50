//! What a command bound and what it was refused, beside the answer for the first refusal.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::net::Gap;
use portolan_core::socket::Bind;

use super::json::{self, CommandJson};
use super::text::{lines, text};
use super::words::{deed, wish};
use crate::ops::explain::Report;
use crate::ops::explain::command::{Ran, Refused};
use crate::render::errno::errno_name;
use crate::render::screen::Screen;
use crate::render::who::Context;

/// Prints it for reading: the refusal, if there is one, then the command. The report is of the
/// first refusal.
pub(crate) fn command_text(
    screen: &mut Screen,
    ran: &Ran,
    report: Option<&Report>,
    context: &Context<'_>,
) -> Result<()> {
    if let Some(report) = report {
        text(screen, report, context)?;
        writeln!(screen)?;
    }
    let others = ran.refused.iter().skip(usize::from(report.is_some()));
    for refused in others {
        lines(screen, "", &refusal(refused))?;
    }
    lines(screen, "", &summary(ran))?;
    Ok(screen.flush()?)
}

/// Prints it as one document.
pub(crate) fn command_json(
    screen: &mut Screen,
    ran: &Ran,
    report: &Report,
    context: &Context<'_>,
    gaps: &[Gap],
) -> Result<()> {
    json::of_command(screen, report, context, gaps, Some(CommandJson::from(ran)))
}

fn refusal(refused: &Refused) -> String {
    let (call, errno) = (refused.refusal.call, refused.refusal.errno);
    format!("{} {}: {}", wish(&refused.bind), deed(call), errno_name(errno))
}

/// `the command bound tcp *:3000 and ended with 0`.
fn summary(ran: &Ran) -> String {
    let bound: Vec<String> = ran.bound.iter().map(place).collect();
    let bound = if bound.is_empty() { "nothing".to_owned() } else { bound.join(", ") };
    match ran.code {
        Some(code) => format!("the command bound {bound} and ended with {code}"),
        None => format!("the command has bound {bound} and runs on"),
    }
}

fn place(bind: &Bind) -> String {
    let options = match (bind.reuse.address, bind.reuse.port) {
        (true, true) => " (SO_REUSEADDR, SO_REUSEPORT)",
        (true, false) => " (SO_REUSEADDR)",
        (false, true) => " (SO_REUSEPORT)",
        (false, false) => "",
    };
    format!("{}{options}", wish(bind))
}
