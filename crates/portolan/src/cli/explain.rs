//! `portolan explain TARGET`.

use std::io::{self, Read as _};

use anyhow::{Context as _, Result};
use portolan_core::net::{Gap, Why};
use portolan_core::socket::Reuse;
use portolan_host::{clock, users};

use crate::cli::args::{Explain, Global};
use crate::cli::explain_command;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::ops::explain::wish::{Options, Wish};
use crate::ops::explain::{Pasted, Report, Request};
use crate::render::screen::Screen;
use crate::{ops, render};

/// Tells whether it can be bound: 0 yes, 1 no.
pub(crate) fn run(arguments: &Explain, global: &Global) -> Result<Exit> {
    let Some(target) = &arguments.target else {
        return explain_command::run(arguments, global);
    };
    let registry = ops::registry::load().value; // its gaps are told with the answer
    let pasted = if target == "-" { Some(Pasted::read(&pasted_text()?)?) } else { None };
    let target = pasted.as_ref().map_or_else(|| target.clone(), Pasted::target);
    let wish = Wish::parse(&target, options(arguments), &registry)?;
    let request = Request {
        binds: wish.binds,
        may_fall_back: wish.is_anywhere && !arguments.v6only,
        user: arguments.r#as.as_deref().map(account).transpose()?,
        pasted,
        told: None,
    };
    tell(&request, arguments, global)
}

/// The beginning of standard input. A build may talk long before it fails, and a log of gigabytes
/// may be piped in.
fn pasted_text() -> Result<String> {
    let mut bytes = Vec::new();
    let input = io::stdin().lock();
    input.take(MOST).read_to_end(&mut bytes).context("read standard input")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Bytes of an error text that are read.
const MOST: u64 = 16 * 1024 * 1024;

/// Explains and prints.
pub(crate) fn tell(request: &Request, arguments: &Explain, global: &Global) -> Result<Exit> {
    let mut gaps = Vec::new();
    let registry = ops::registry::load().into_value(&mut gaps);
    let report = ops::explain::explain(request)?.into_value(&mut gaps);
    let context = render::who::Context {
        registry: &registry,
        command_lines: arguments.cmdline.into(),
        now: clock::now(),
    };
    let mut screen = Screen::open(global);
    if global.json {
        render::explain::json(&mut screen, &report, &context, &gaps)?;
    } else {
        render::explain::text(&mut screen, &report, &context)?;
        // What does not bear on who holds it (rules that divert) stays in the document, but for
        // what took too long to be seen: that is nothing to be used to.
        let bears = |gap: &Gap| !report.is_bindable() && gap.is_incomplete();
        gaps.retain(|gap| bears(gap) || gap.why == Why::TimedOut);
        render::gap::print(&gaps, global.color);
    }
    Ok(exit(&report))
}

fn exit(report: &Report) -> Exit {
    if report.is_bindable() { Exit::Yes } else { Exit::No }
}

fn options(arguments: &Explain) -> Options {
    let reuse = Reuse { address: arguments.reuseaddr, port: arguments.reuseport };
    Options { reuse, v6only: arguments.v6only }
}

fn account(name: &str) -> Result<portolan_core::socket::passwd::Account> {
    users::account(name)
        .ok_or_else(|| Fault::new(format!("there is no user `{name}`"), "name a user or a user id"))
}
