//! `portolan allow PORT --from SOURCE` and `portolan deny PORT`.

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::net::{Port, Transport, TransportSet};
use portolan_core::registry::{Registry, port_set};

use crate::cli::args::firewall::Apply as ApplyArguments;
use crate::cli::args::{Allow, Change, Deny, Global, Until};
use crate::cli::firewall::apply;
use crate::exit::Exit;
use crate::fault::{Fault, once_done};
use crate::ops::firewall::allow::{self, Wish};
use crate::ops::firewall::change::{self, Edit};
use crate::ops::firewall::outlook::{Outlook, outlook};
use crate::ops::inventory::edit::Changed;
use crate::render;
use crate::render::firewall::allow::{Fate, Shown};
use crate::render::screen::Screen;

/// Lets somebody in.
pub(crate) fn allow(arguments: &Allow, global: &Global) -> Result<Exit> {
    let (port, transport) = target(&arguments.port)?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { port, transport, source: Some(arguments.from.clone()), until };
    let edited = allow::allow(&global.asked(), &wish)?;
    let outlook = outlook(&global.asked(), &edited, &wish, true)?;
    go_on(&Shown { wish, edited, outlook: &outlook }, &outlook, &arguments.change, global)
}

/// Lets somebody in no more.
pub(crate) fn deny(arguments: &Deny, global: &Global) -> Result<Exit> {
    let (port, transport) = target(&arguments.port)?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { port, transport, source: arguments.from.clone(), until };
    let edited = allow::deny(&global.asked(), &wish)?;
    let outlook = outlook(&global.asked(), &edited, &wish, false)?;
    go_on(&Shown { wish, edited, outlook: &outlook }, &outlook, &arguments.change, global)
}

/// Says what changes, writes it, and goes on to put it on trial where that is wanted: then both or neither
/// is done.
fn go_on(shown: &Shown<'_>, outlook: &Outlook, how: &Change, global: &Global) -> Result<Exit> {
    if !outlook.violations.is_empty() {
        told(shown, Fate::Refused, global)?;
        return Ok(Exit::No);
    }
    if how.apply {
        return apply(shown, outlook, how, global);
    }
    if !how.dry_run {
        shown.edited.draft.write()?;
    }
    match how.dry_run {
        true => told(shown, Fate::Planned, global)?,
        false if shown.edited.draft.changed().next().is_none() => {
            told(shown, Fate::Unchanged, global)?;
        }
        false => once_done(told(shown, Fate::Written, global))?,
    }
    let is_so = shown.edited.done.still.is_empty() && !outlook.is_held_shut();
    Ok(if is_so { Exit::Yes } else { Exit::No })
}

fn apply(shown: &Shown<'_>, outlook: &Outlook, how: &Change, global: &Global) -> Result<Exit> {
    let edit = |file: &Changed| Edit {
        path: file.path.clone(),
        before: file.before.clone(),
        after: file.after.clone(),
    };
    let edits = shown.edited.draft.changed().map(edit).collect();
    let plan = change::plan_of(&global.asked(), outlook.intended.clone(), edits)?;
    if !global.json {
        told(shown, Fate::Planned, global)?;
    }
    apply::go_on(&plan, &ApplyArguments::of_edit(how.yes, how.dry_run), global)
}

fn told(shown: &Shown<'_>, fate: Fate, global: &Global) -> Result<()> {
    let mut screen = Screen::open(global);
    match global.json {
        true => render::firewall::allow::json(&mut screen, shown, fate),
        false => render::firewall::allow::text(&mut screen, shown, fate, global.color),
    }
}

/// When a time that was typed is over: not before now.
fn moment(until: Until) -> Result<Timestamp> {
    match until {
        Until::For(lasts) => allow::from_now(lasts),
        Until::At(end) => allow::not_over(end.moment()),
    }
}

/// One port as any command takes it: `443`, which is TCP here, `53/udp`, `u:53`, `https`.
fn target(text: &str) -> Result<(Port, Transport)> {
    let selection =
        port_set::parse(text, TransportSet::from_iter([Transport::Tcp]), &Registry::embedded())
            .map_err(|error| Fault::new(error.to_string(), error.hint()))?;
    let each = selection.transports();
    let mut found = each.iter().flat_map(|t| selection.of(t).iter().map(move |port| (port, t)));
    match (found.next(), found.next()) {
        (Some((Port(0), _)), _) => Err(Fault::new("0 is no port that anybody calls", EXAMPLE)),
        (Some(one), None) => Ok(one),
        _ => Err(Fault::new(
            format!("`{text}` is more than one port, and a service is edited for one at a time"),
            "say it once for each, or write the range into `ports` of a service of the inventory",
        )),
    }
}

const EXAMPLE: &str = "for example 443/tcp, https or u:53";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_port_is_understood_as_every_command_writes_it() {
        let tcp = |port| (Port(port), Transport::Tcp);
        for (text, meant) in [
            ("443", tcp(443)),
            ("443/tcp", tcp(443)),
            ("https", tcp(443)),
            ("t:80", tcp(80)),
            ("u:53", (Port(53), Transport::Udp)),
            ("53/udp", (Port(53), Transport::Udp)),
        ] {
            assert_eq!(target(text).unwrap(), meant, "{text}");
        }
    }

    #[test]
    fn more_than_one_port_is_refused_and_the_way_is_told() {
        for text in ["80,443", "6000-6010/tcp", "53/tcp+udp"] {
            let error = target(text).unwrap_err();
            assert!(error.to_string().contains("more than one port"), "{text}: {error}");
            assert_eq!(error.chain().count(), 1, "{text}: {error:#}");
        }
        for text in ["0", "no-such-name", "70000", "443/xyz", ""] {
            assert_eq!(target(text).unwrap_err().chain().count(), 1, "{text}");
        }
    }
}
