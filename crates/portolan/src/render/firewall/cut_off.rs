//! Servers that this machine relies on and a `[[block]]` keeps from answering.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::inventory::{CutOff, ServerRole};
use serde::Serialize;

use crate::ops::firewall::policy::Intended;
use crate::render::screen::Screen;
use crate::render::style::Role;

/// A sentence each: which block, whom, and what ends by that.
pub(crate) fn sentences(intended: &Intended) -> Vec<String> {
    intended.cut_off.iter().map(|cut| sentence(intended, cut)).collect()
}

fn sentence(intended: &Intended, cut: &CutOff) -> String {
    let place = intended.loaded.inventory.line_of(&cut.at);
    let (file, line, name, address) = (place.file, place.line, &cut.block, cut.server.address);
    let (whom, then) = words(cut.server.role, cut.is_last);
    format!("[[block]] {name} ({file}:{line}) refuses the answers of {address}, {whom}: {then}")
}

/// Who it is, and what ends.
const fn words(role: ServerRole, is_last: bool) -> (&'static str, &'static str) {
    match (role, is_last) {
        (ServerRole::Names, true) => {
            ("the only DNS server this machine asks", "names are not looked up")
        }
        (ServerRole::Names, false) => {
            ("a DNS server this machine asks", "names are looked up late, by the others")
        }
        (ServerRole::Time, true) => {
            ("the only NTP server that is known by address", "the clock may not be set any more")
        }
        (ServerRole::Time, false) => ("an NTP server", "the clock is set by the others"),
        (ServerRole::Lease, _) => {
            ("who leases this machine its address (DHCP)", "the lease is renewed late, or ends")
        }
        (ServerRole::Router, _) => (
            "the default gateway",
            "what it passes on comes in, but none of its own errors (path MTU), nor what else it serves",
        ),
    }
}

/// The part of a plan; nothing where nobody is cut off.
pub(super) fn text(screen: &mut Screen, intended: &Intended) -> Result<()> {
    if intended.cut_off.is_empty() {
        return Ok(());
    }
    let title = "this machine relies on these, and the inventory blocks them:";
    writeln!(screen, "{}", screen.style.paint(Role::Warning, title))?;
    for sentence in sentences(intended) {
        screen.hanging("  ", &sentence)?;
    }
    Ok(())
}

/// The same in JSON.
pub(crate) fn json(intended: &Intended) -> Vec<CutOffJson<'_>> {
    let inventory = &intended.loaded.inventory;
    let one = |cut| CutOffJson::of(cut, inventory.line_of(&cut.at));
    intended.cut_off.iter().map(one).collect()
}

/// A server that a block refuses.
#[derive(Serialize)]
pub(crate) struct CutOffJson<'a> {
    /// `names`, `time`, `lease`, `router`.
    role: &'static str,
    address: String,
    /// Whether no other of this role is left.
    last: bool,
    block: &'a str,
    location: LocationJson<'a>,
}

#[derive(Serialize)]
struct LocationJson<'a> {
    file: &'a str,
    line: usize,
}

impl<'a> CutOffJson<'a> {
    fn of(cut: &'a CutOff, place: portolan_core::inventory::Place<'a>) -> Self {
        Self {
            role: cut.server.role.as_str(),
            address: cut.server.address.to_string(),
            last: cut.is_last,
            block: &cut.block,
            location: LocationJson { file: place.file, line: place.line },
        }
    }
}
