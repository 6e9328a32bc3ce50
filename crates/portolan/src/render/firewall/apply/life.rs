//! The part of a plan that is about what a machine needs to live and the rules refuse.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::ops::firewall::life::{Missing, Need};
use crate::render::screen::Screen;
use crate::render::style::Role;

/// Prints it; nothing where nothing is missing.
pub(super) fn text(screen: &mut Screen, missing: &[Missing]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let title = "this machine needs these to live, and the rules refuse them:";
    let title = screen.style.paint(Role::Warning, title).to_string();
    writeln!(screen, "{title}")?;
    for row in missing {
        let way = if row.is_outgoing { "out" } else { "in" };
        let name = format!("  {} ({way}): ", name(row.need));
        screen.hanging(&name, breaks(row.need, row.is_outgoing))?;
    }
    let note = "a host has these rows unless its inventory says `base = false`, or a service of that \
                name or a [[block]] takes their place";
    screen.hanging("  ", note)?;
    Ok(())
}

/// Why somebody is shut out whose first packet is let in.
pub(super) const fn lacks(need: Need) -> &'static str {
    match need {
        Need::Neighbours => {
            "its packets are let in, but IPv6 neighbours would not be found (base-icmpv6-nd)"
        }
        _ => "its packets are let in, but the answers would not leave (base-established)",
    }
}

/// The row of the base that it is.
const fn name(need: Need) -> &'static str {
    match need {
        Need::Loopback => "base-loopback",
        Need::Answers => "base-established",
        Need::Neighbours | Need::Routers => "base-icmpv6-nd",
        Need::Errors => "base-icmp",
        Need::ErrorsV6 => "base-icmpv6",
        Need::Lease => "base-dhcpv4-client",
        Need::LeaseV6 => "base-dhcpv6-client",
        Need::Names => "base-dns",
        Need::Time => "base-ntp",
    }
}

const fn breaks(need: Need, is_outgoing: bool) -> &'static str {
    match (need, is_outgoing) {
        (Need::Loopback, _) => "programs of this machine cannot speak to each other",
        (Need::Answers, true) => "answers to whoever comes in do not leave",
        (Need::Answers, false) => {
            "answers to what this machine asks others do not arrive: no updates, no names"
        }
        (Need::Neighbours, _) => "IPv6 neighbours are not found: IPv6 ends within a minute",
        (Need::Routers, _) => {
            "IPv6 routers are not heard: the route to them ends with its lifetime"
        }
        (Need::Errors | Need::ErrorsV6, _) => {
            "errors do not arrive: connections over a path with smaller packets hang"
        }
        (Need::Lease, _) => "the lease of an IPv4 address (DHCP) is not renewed",
        (Need::LeaseV6, _) => "the lease of an IPv6 address (DHCPv6) is not renewed",
        (Need::Names, _) => "names are not looked up",
        (Need::Time, _) => "the clock is not set by NTP",
    }
}

/// The word in JSON.
pub(super) const fn word(need: Need) -> &'static str {
    match need {
        Need::Loopback => "loopback",
        Need::Answers => "answers",
        Need::Neighbours => "neighbours",
        Need::Routers => "routers",
        Need::Errors => "errors",
        Need::ErrorsV6 => "errors-v6",
        Need::Lease => "lease",
        Need::LeaseV6 => "lease-v6",
        Need::Names => "names",
        Need::Time => "time",
    }
}

/// The same in JSON.
#[derive(Serialize)]
pub(super) struct MissingJson {
    need: &'static str,
    /// The row of the base that would let it through.
    row: &'static str,
    /// `in` or `out`.
    direction: &'static str,
}

impl From<&Missing> for MissingJson {
    fn from(row: &Missing) -> Self {
        let direction = if row.is_outgoing { "out" } else { "in" };
        Self { need: word(row.need), row: name(row.need), direction }
    }
}
