//! Owners, hosts and `[management]`.

use super::super::fields::{Decoding, Fields};
use super::super::literal::{self, Wrong};
use super::super::names::Named;
use super::super::node::Entry;
use crate::inventory::problem::Problem;
use crate::inventory::{AddressSpec, FirewallDefaults, Host, Management, Owner};
use crate::net::Scope;

/// `[owners.NAME]`.
pub(super) fn owner(entry: &Entry, fields: Fields<'_>) -> Owner {
    Owner {
        id: entry.key.clone(),
        name: fields.text("name"),
        contact: fields.text("contact"),
        on_call: fields.text("on_call"),
        at: fields.key_at(entry),
    }
}

impl Decoding<'_> {
    /// `[hosts.NAME]`.
    pub(super) fn host(&mut self, entry: &Entry, fields: Fields<'_>) -> Host {
        Host {
            name: entry.key.clone(),
            address: self.each(fields, "address", own_address),
            public: self.plain(fields, "public", literal::address),
            groups: self.plain(fields, "groups", group),
            aliases: fields.texts("aliases"),
            firewall: fields.inner("firewall").map(firewall).unwrap_or_default(),
            probe: fields.word("probe").unwrap_or_default(),
            purpose: fields.text("purpose"),
            owner: self.reference(fields, "owner", Named::Owner),
            tags: fields.texts("tags"),
            links: fields.texts("links"),
            at: fields.key_at(entry),
        }
    }

    /// `[management]`, which all files together may have once.
    pub(super) fn management(&mut self, root: Fields<'_>, into: &mut Option<Management>) {
        let Some((entry, fields)) = root.table.entry("management").zip(root.inner("management"))
        else {
            return;
        };
        let at = root.key_at(entry);
        if let Some(first) = into {
            let hint = "join the two: what stays reachable should stand in one place";
            let problem = Problem::new(at, "[management] is declared twice", hint);
            self.problems.push(problem.related(&first.at, "declared here first"));
            return;
        }
        self.nonempty(fields, "from", "name who keeps access");
        let (from, ports) = (self.from(fields), self.ports(fields, "ports"));
        *into = Some(Management { from, ports, at });
    }
}

fn firewall(fields: Fields<'_>) -> FirewallDefaults {
    let usual = FirewallDefaults::default();
    FirewallDefaults {
        input: fields.word("input").unwrap_or(usual.input),
        forward: fields.word("forward").unwrap_or(usual.forward),
        egress: fields.word("egress").unwrap_or(usual.egress),
        base: fields.boolean("base").unwrap_or(usual.base),
    }
}

/// An address a machine can have: not the wildcard, not a group.
fn own_address(text: &str) -> Result<AddressSpec, Wrong> {
    let spec = literal::address_spec(text)?;
    if let AddressSpec::Prefix(prefix) = spec
        && matches!(Scope::of(prefix.address()), Scope::Wildcard | Scope::Multicast)
    {
        let message = format!("{prefix} is not an address a machine can have");
        return Err(Wrong::new(message, "write the address others reach it by"));
    }
    Ok(spec)
}

fn group(text: &str) -> Result<String, Wrong> {
    if let Some(name) = text.strip_prefix('@') {
        let hint = format!("write \"{name}\"; the @ stands where a group is referred to");
        return Err(Wrong::new(format!("the group `{text}` begins with @"), hint));
    }
    literal::name(text).map(|()| text.to_owned())
}
