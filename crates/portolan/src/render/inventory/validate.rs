//! The answer of `inventory validate`: what the file contains, or what is wrong with it.

use std::io::Write as _;

use anyhow::Result;
use jiff::Timestamp;
use portolan_core::inventory::{Inventory, Refused};
use serde::Serialize;

use crate::render::inventory::ended::{self, EndedJson};
use crate::render::inventory::problem::{self, ProblemJson};
use crate::render::json::Document;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;
use crate::render::style::Role;

#[derive(Debug, Serialize)]
struct Body<'a> {
    valid: bool,
    files: Vec<&'a str>,
    contains: Option<Counts>,
    /// What has no effect any more.
    ended: Vec<EndedJson<'a>>,
    problems: Vec<ProblemJson<'a>>,
    /// How many more problems there are than stand in `problems`.
    omitted: usize,
}

/// How much of what a file contains.
#[derive(Debug, Serialize)]
struct Counts {
    services: usize,
    hosts: usize,
    networks: usize,
    owners: usize,
    forwards: usize,
    doors: usize,
    pools: usize,
    never: usize,
    block: usize,
    ignore: usize,
}

impl Counts {
    fn of(inventory: &Inventory) -> Self {
        Self {
            services: inventory.services.len(),
            hosts: inventory.hosts.len(),
            networks: inventory.networks.len(),
            owners: inventory.owners.len(),
            forwards: inventory.forwards.len(),
            doors: inventory.doors.len(),
            pools: inventory.pools.len(),
            never: inventory.never.len(),
            block: inventory.blocks.len(),
            ignore: inventory.ignores.len(),
        }
    }

    /// `9 services on 3 hosts, 2 forwards, 1 pool`: what there is, in words.
    fn words(&self) -> String {
        let on = format!("{} on {}", many(self.services, "service"), many(self.hosts, "host"));
        let others = [
            (self.forwards, "forward"),
            (self.doors, "door"),
            (self.pools, "pool"),
            (self.networks, "network"),
            (self.owners, "owner"),
            (self.never, "never rule"),
            (self.block, "block"),
            (self.ignore, "accepted finding"),
        ];
        let others = others.iter().filter(|(n, _)| *n > 0).map(|(n, noun)| many(*n, noun));
        std::iter::once(on).chain(others).collect::<Vec<_>>().join(", ")
    }
}

fn many(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// A file without a mistake.
pub(crate) fn text(screen: &mut Screen, inventory: &Inventory, now: Timestamp) -> Result<()> {
    let (root, others) = match inventory.files.split_first() {
        Some((root, others)) => (root.path.as_str(), others.len()),
        None => ("", 0),
    };
    let with =
        if others > 0 { format!(" and {}", many(others, "other file")) } else { String::new() };
    let good = screen.style.paint(Role::Good, "valid");
    writeln!(screen, "{}{with}: {good}", sanitize(root))?;
    writeln!(screen, "{}", Counts::of(inventory).words())?;
    ended::text(screen, inventory, now)?;
    screen.flush()?;
    Ok(())
}

/// The same as a document.
pub(crate) fn json(
    screen: &mut Screen,
    outcome: &Result<Inventory, Refused>,
    now: Timestamp,
) -> Result<()> {
    let body = match outcome {
        Ok(inventory) => Body {
            valid: true,
            files: inventory.files.iter().map(|f| f.path.as_str()).collect(),
            contains: Some(Counts::of(inventory)),
            ended: ended::json(inventory, now),
            problems: Vec::new(),
            omitted: 0,
        },
        Err(refused) => Body {
            valid: false,
            files: refused.files.iter().map(|f| f.path.as_str()).collect(),
            contains: None,
            ended: Vec::new(),
            problems: problem::json(refused),
            omitted: refused.omitted,
        },
    };
    screen.json(&Document::new("inventory-validate", body, &[]))?;
    screen.flush()?;
    Ok(())
}
