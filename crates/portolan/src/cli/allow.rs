//! `portolan allow PORT --from SOURCE` and `portolan deny PORT`.

use anyhow::{Error, Result};
use jiff::Timestamp;
use portolan_core::inventory::{Problem, Refused};
use portolan_core::net::{Port, Transport, TransportSet};
use portolan_core::registry::{Registry, port_set};

use crate::cli::args::firewall::Apply as ApplyArguments;
use crate::cli::args::{Allow, Change, Deny, Global, Until};
use crate::cli::firewall::apply;
use crate::exit::Exit;
use crate::fault::{Fault, once_done};
use crate::ops::firewall::allow;
use crate::ops::firewall::change::{self, Edit};
use crate::ops::firewall::outlook::{Outlook, outlook};
use crate::ops::firewall::wish::{Wanted, Wish};
use crate::ops::inventory::edit::{Changed, NOT_VALID};
use crate::render;
use crate::render::firewall::allow::{Fate, Shown};
use crate::render::screen::Screen;

/// Lets somebody in.
pub(crate) fn allow(arguments: &Allow, global: &Global) -> Result<Exit> {
    let ports = wanted(&arguments.ports.join(","))?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { ports, source: Some(arguments.from.clone()), until };
    is_writable(wish.source.as_deref())?;
    let edited = allow::allow(&global.asked(), &wish);
    let edited = edited.map_err(|error| of_this_line(error, &arguments.from))?;
    let outlook = outlook(&global.asked(), &edited, &wish, true)?;
    go_on(&Shown { wish, edited, outlook: &outlook }, &outlook, &arguments.change, global)
}

/// An error about what the new text would have for `--from` is about the command line: no line of a file
/// has it.
fn of_this_line(error: Error, from: &str) -> Error {
    let is_told = |problem: &&Problem| problem.message.contains(&format!("`{from}`"));
    let refused = error.downcast_ref::<Refused>().filter(|_| error.to_string() == NOT_VALID);
    match refused.and_then(|refused| refused.problems.iter().find(is_told)) {
        Some(problem) => {
            let hint = source_hint(from).unwrap_or_else(|| problem.hint.clone());
            Fault::new(format!("--from: {}", problem.message), hint)
        }
        None => error,
    }
}

/// What to write instead of some things that are no source.
fn source_hint(from: &str) -> Option<String> {
    let is_name = |text: &str| text.parse::<std::net::IpAddr>().is_err();
    let hint = match from {
        "internet" => {
            "for everybody: --from any; or declare it: portolan inventory set networks.internet any"
        }
        _ if from.contains(',') => "one source at a time: say it again for each",
        _ if from.starts_with("iface:") => {
            "declare a network: [networks.NAME] with interface = \"…\", then --from NAME"
        }
        _ if from.split_once('-').is_some_and(|(a, b)| !is_name(a) && !is_name(b)) => {
            "write a range as networks, such as 10.0.0.0/29, or as a [networks.NAME]"
        }
        _ if from.starts_with("dns:")
            || (from.contains('.') && is_name(from) && !from.contains('/')) =>
        {
            "declare a host: [hosts.NAME] with address = [\"dns:…\"], then --from NAME"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// A source that no file can have: it would be no text there.
fn is_writable(from: Option<&str>) -> Result<()> {
    let is_plain = |c: char| !c.is_control() && !matches!(c, '"' | '\\');
    match from {
        Some(from) if !from.chars().all(is_plain) => {
            let message = format!("--from: there is no network and no host `{from}`");
            Err(Fault::new(message, "a network or host of the inventory, @group, an address, any"))
        }
        _ => Ok(()),
    }
}

/// Lets somebody in no more.
pub(crate) fn deny(arguments: &Deny, global: &Global) -> Result<Exit> {
    let ports = wanted(&arguments.ports.join(","))?;
    let until = arguments.until.map(moment).transpose()?;
    let wish = Wish { ports, source: arguments.from.clone(), until };
    is_writable(wish.source.as_deref())?;
    let edited = allow::deny(&global.asked(), &wish);
    let edited = match &arguments.from {
        Some(from) => edited.map_err(|error| of_this_line(error, from))?,
        None => edited?,
    };
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
    let is_so = shown.edited.still.is_empty() && !outlook.is_held_shut();
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
        Until::At(end) => allow::to_come(end.moment()),
    }
}

/// Ports as any command takes them: `443`, which is TCP here, `53/tcp+udp`, `u:53`, `6000-6007`, `https`.
fn wanted(text: &str) -> Result<Wanted> {
    let mut wanted = Wanted::default();
    let mut prefix = None;
    for item in text.split(',').map(str::trim) {
        let (own, _) = item.split_once(':').unwrap_or_default();
        prefix = if own.len() == 1 { Some(own) } else { prefix };
        let item = match prefix {
            Some(prefix) if own.is_empty() => format!("{prefix}:{item}"),
            _ => item.to_owned(),
        };
        add(&mut wanted, &item)?;
    }
    is_unmistakable(text, &wanted)?;
    Ok(wanted)
}

/// Adds one item of the list.
fn add(wanted: &mut Wanted, item: &str) -> Result<()> {
    if let Some(fault) = without_ports(item) {
        return Err(fault);
    }
    let usual = TransportSet::from_iter([Transport::Tcp]);
    let selection = port_set::parse(item, usual, &Registry::embedded())
        .map_err(|error| Fault::new(error.to_string(), error.hint()))?;
    for transport in selection.transports().iter() {
        for range in selection.of(transport).ranges() {
            if range.first() == Port(0) {
                return Err(Fault::new("0 is no port that anybody calls", EXAMPLE));
            }
            if !wanted.add(range, TransportSet::from_iter([transport])) {
                let message = format!("{range}/{transport} crosses another range of this list");
                return Err(Fault::new(message, "name each port once"));
            }
        }
    }
    Ok(())
}

/// What to do about a protocol that has no ports.
fn without_ports(item: &str) -> Option<Error> {
    let hint = match item {
        "icmp" | "icmpv6" | "ping" => {
            "what a host needs of it is let in by itself: portolan firewall compile shows the base rows"
                .to_owned()
        }
        _ if PROTOCOLS.contains(&item) || item.starts_with("ip:") => format!(
            "write a service with ports = [\"{item}\"] into the inventory: it takes protocols, too"
        ),
        _ => return None,
    };
    Some(Fault::new(format!("`{item}` is a protocol without ports"), hint))
}

/// Protocols that `ports` of the inventory takes by name.
const PROTOCOLS: [&str; 10] =
    ["ah", "esp", "gre", "igmp", "ipip", "ipv6", "l2tp", "ospf", "pim", "vrrp"];

/// A transport behind an item counts for that item alone; whoever comes from ufw means the whole list.
/// Where that is not the same it has to be said.
fn is_unmistakable(text: &str, wanted: &Wanted) -> Result<()> {
    let items: Vec<&str> = text.split(',').map(str::trim).collect();
    let Some((_, last)) = items.last().and_then(|last| last.rsplit_once('/')) else {
        return Ok(());
    };
    let is_bare = items.iter().all(|item| !item.contains(':'))
        && items[..items.len() - 1].iter().any(|item| !item.contains('/'));
    let Ok(transports) = last.parse::<TransportSet>() else { return Ok(()) };
    if !is_bare || transports == TransportSet::from_iter([Transport::Tcp]) {
        return Ok(());
    }
    let of = |item: &str| match item.contains('/') {
        true => item.to_owned(),
        false => format!("{item}/{last}"),
    };
    let meant: Vec<String> = items.iter().map(|item| of(item)).collect();
    let message = format!("`{text}` names a transport for its last item alone: it is {wanted}");
    Err(Fault::new(message, format!("write {} or {wanted}", meant.join(","))))
}

const EXAMPLE: &str = "for example 443/tcp, https, u:53 or 6000-6007/tcp";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_understood_as_every_command_writes_them() {
        for (text, meant) in [
            ("443", "443/tcp"),
            ("443/tcp", "443/tcp"),
            ("https", "443/tcp"),
            ("t:80", "80/tcp"),
            ("u:53", "53/udp"),
            ("53/udp", "53/udp"),
            ("53/tcp+udp", "53/tcp+udp"),
            ("80,443", "80/tcp, 443/tcp"),
            ("80,443/tcp", "80/tcp, 443/tcp"),
            ("443/tcp, 53/tcp+udp", "443/tcp, 53/tcp+udp"),
            ("8080,8081", "8080/tcp, 8081/tcp"),
            ("6000-6007/tcp", "6000-6007/tcp"),
            ("u:53,123,6000-6004,t:80", "53/udp, 123/udp, 6000-6004/udp, 80/tcp"),
            ("u:53,443/tcp,123", "53/udp, 443/tcp, 123/udp"),
            ("53/udp,53/tcp", "53/tcp+udp"),
        ] {
            assert_eq!(wanted(text).unwrap().to_string(), meant, "{text}");
        }
    }

    #[test]
    fn what_a_user_of_ufw_would_mean_otherwise_is_refused_and_both_ways_are_told() {
        for text in ["53,5353/udp", "53,123,5353/udp", "80,443/tcp+udp"] {
            let error = wanted(text).unwrap_err();
            assert!(error.to_string().contains("its last item alone"), "{text}: {error}");
        }
        let error = wanted("6000:6007/tcp").unwrap_err();
        let fault = error.downcast_ref::<Fault>().unwrap();
        assert_eq!(fault.hint, "a range is written with a hyphen: 6000-6007/tcp");
    }

    #[test]
    fn a_protocol_without_ports_is_told_as_one() {
        for (text, hint) in [("icmp", "let in by itself"), ("esp", "ports = [\"esp\"]")] {
            let error = wanted(text).unwrap_err();
            assert!(error.to_string().contains("is a protocol without ports"), "{error}");
            let fault = error.downcast_ref::<Fault>().unwrap();
            assert!(fault.hint.contains(hint), "{}", fault.hint);
        }
    }

    #[test]
    fn what_is_no_port_is_refused() {
        for text in ["0", "no-such-name", "70000", "443/xyz", "", "80,", "0-10", "80,70-90"] {
            assert_eq!(wanted(text).unwrap_err().chain().count(), 1, "{text}");
        }
    }
}
