//! The devices of chains, which nft 1.0.6 leaves out of its JSON: `nft list chains` prints them.
//!
//! ```text
//! table netdev n {
//!         chain i {
//!                 type filter hook ingress device "eth0" priority filter; policy accept;
//!                 type filter hook ingress devices = { eth0, eth1 } priority 0; policy accept;
//! ```

use std::collections::HashMap;

use crate::firewall::{Chain, Hook, Ruleset, Table};

impl Ruleset {
    /// Whether there is a chain of devices of which the listing does not say which.
    #[must_use]
    pub fn lacks_devices(&self) -> bool {
        self.tables.iter().flat_map(|table| &table.chains).any(lacks_device)
    }

    /// Puts in the devices that `nft list chains` printed.
    pub fn take_devices(&mut self, text: &str) {
        let printed = printed(text);
        for table in &mut self.tables {
            let family = table.family.as_str();
            for chain in table.chains.iter_mut().filter(|chain| lacks_device(chain)) {
                let devices = printed.get(&(family, &*table.name, &*chain.name));
                if let (Some(devices), Some(base)) = (devices, &mut chain.base) {
                    base.devices = devices.iter().copied().map(Into::into).collect();
                }
            }
        }
        let missing = self.missing_devices();
        self.notes.retain(|note| !note.starts_with(NOTE) || missing.contains(note));
    }

    /// Notes the chains whose devices are not known.
    pub(super) fn note_missing_devices(&mut self) {
        let missing = self.missing_devices();
        self.notes.extend(missing);
    }

    fn missing_devices(&self) -> Vec<String> {
        let tables = self.tables.iter();
        let chains = tables.flat_map(|t| t.chains.iter().map(move |chain| (t, chain)));
        let lacking = chains.filter(|(_, chain)| lacks_device(chain));
        let note = |(Table { family, name, .. }, chain): (&Table, &Chain)| {
            format!("{NOTE}{family} {name} {}, which nft does not print", chain.name)
        };
        lacking.map(note).collect()
    }
}

const NOTE: &str = "the device of chain ";

fn lacks_device(chain: &Chain) -> bool {
    chain.base.as_ref().is_some_and(|base| base.hook.is_of_device() && base.devices.is_empty())
}

/// The devices by family, table and chain.
fn printed(text: &str) -> HashMap<(&str, &str, &str), Vec<&str>> {
    let mut found = HashMap::new();
    let (mut table, mut chain) = (None, None);
    for line in text.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("table") => table = words.next().zip(words.next()),
            Some("chain") => chain = words.next().map(unquoted),
            Some("type") => {
                let (Some((family, table)), Some(chain)) = (table, chain) else { continue };
                let devices = devices(line);
                if !devices.is_empty() {
                    found.insert((family, unquoted(table), chain), devices);
                }
            }
            _ => {}
        }
    }
    found
}

/// The devices of a line that says what a chain is.
fn devices(line: &str) -> Vec<&str> {
    let Some((_, rest)) = line.split_once(" hook ") else { return Vec::new() };
    let rest = rest.split(" priority ").next().unwrap_or_default();
    let mut words = rest.split(|c: char| c.is_whitespace() || "={},;".contains(c));
    let is_of_device = words.next().and_then(Hook::named).is_some_and(Hook::is_of_device);
    if !is_of_device || !matches!(words.next(), Some("device" | "devices")) {
        return Vec::new();
    }
    words.filter(|word| !word.is_empty()).map(unquoted).collect()
}

fn unquoted(word: &str) -> &str {
    word.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &[u8] = br#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "netdev", "name": "n", "handle": 1}},
        {"chain": {"family": "netdev", "table": "n", "name": "i", "handle": 1, "type": "filter",
            "hook": "ingress", "prio": 0, "policy": "accept"}},
        {"chain": {"family": "netdev", "table": "n", "name": "j", "handle": 1, "type": "filter",
            "hook": "egress", "prio": 0, "policy": "accept"}}]}"#;

    fn devices_of(ruleset: &Ruleset) -> Vec<Vec<&str>> {
        let bases = ruleset.tables[0].chains.iter().filter_map(|chain| chain.base.as_ref());
        bases.map(|base| base.devices.iter().map(|name| &**name).collect()).collect()
    }

    #[test]
    fn devices_that_nft_leaves_out_of_its_json_come_from_its_text() {
        let mut ruleset = Ruleset::from_nft_json(LISTING).expect("as nft 1.0.6 prints it");
        assert!(ruleset.lacks_devices());
        assert_eq!(ruleset.notes.len(), 2, "{:?}", ruleset.notes);
        ruleset.take_devices(
            "table netdev n {\n\tchain i {\n\t\ttype filter hook ingress device \"eth0\" \
             priority filter; policy accept;\n\t}\n}\n",
        );
        assert!(ruleset.lacks_devices());
        assert_eq!(ruleset.notes, ["the device of chain netdev n j, which nft does not print"]);
        ruleset.take_devices(
            "table netdev n {\n\tchain j {\n\t\ttype filter hook egress devices = { eth0, br-1 } \
             priority 10; policy accept;\n\t}\n}\n",
        );
        assert!(!ruleset.lacks_devices());
        assert_eq!(devices_of(&ruleset), [vec!["eth0"], vec!["eth0", "br-1"]]);
        assert_eq!(ruleset.notes, [""; 0]);
    }
}
