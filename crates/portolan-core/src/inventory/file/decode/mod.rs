//! The tree to the inventory's types, one file for the types of one file.
//!
//! Runs when every file is read and every name known. It says what is wrong inside the strings and
//! between the keys of one table; what must hold between tables is `consistency`'s.

mod documentation;
mod forward;
mod host;
mod network;
mod service;
mod verdict;

use super::fields::{Decoding, Fields};
use super::lists::Lists;
use super::names::{Named, declarations};
use super::node::{Entry, Table};
use crate::inventory::{Inventory, Location};

/// Adds what one file says to the inventory.
pub(super) fn file(
    decoding: &mut Decoding<'_>,
    lists: &Lists,
    file: usize,
    root: &Table,
    into: &mut Inventory,
) {
    let fields = Fields { table: root, file };
    if file == 0 {
        into.title = fields.text("title");
        into.review = decoding.review_rule(fields);
    }
    decoding.management(fields, &mut into.management);
    for entry in declarations(root, Named::Network) {
        into.networks.extend(decoding.network(fields, entry, lists));
    }
    into.owners.extend(tables(fields, Named::Owner).map(|(e, f)| host::owner(e, f)));
    into.hosts.extend(tables(fields, Named::Host).map(|(e, f)| decoding.host(e, f)));
    into.services.extend(tables(fields, Named::Service).map(|(e, f)| decoding.service(e, f)));
    into.forwards
        .extend(tables(fields, Named::Forward).filter_map(|(e, f)| decoding.forward(e, f)));
    into.doors.extend(tables(fields, Named::Door).filter_map(|(e, f)| decoding.door(e, f)));
    into.pools.extend(tables(fields, Named::Pool).filter_map(|(e, f)| decoding.pool(e, f)));
    into.never.extend(rows(fields, "never").map(|(at, f)| decoding.never(at, f)));
    into.blocks.extend(rows(fields, "block").map(|(at, f)| decoding.block(at, f)));
    into.ignores.extend(rows(fields, "ignore").map(|(at, f)| decoding.ignore(at, f)));
}

/// The tables of a section with the entries that hold them.
fn tables<'t>(root: Fields<'t>, kind: Named) -> impl Iterator<Item = (&'t Entry, Fields<'t>)> {
    declarations(root.table, kind)
        .filter_map(move |entry| entry.node.table().map(|table| (entry, Fields { table, ..root })))
}

/// The tables in double brackets, each with its place.
fn rows<'t>(root: Fields<'t>, key: &str) -> impl Iterator<Item = (Location, Fields<'t>)> {
    let nodes = root.items(key).iter();
    nodes.filter_map(move |n| n.table().map(|table| (root.at(n), Fields { table, ..root })))
}
