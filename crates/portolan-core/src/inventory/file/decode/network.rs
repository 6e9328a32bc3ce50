//! `[networks]`: a word, CIDRs, or a table.

use super::super::fields::{Decoding, Fields};
use super::super::lists::Lists;
use super::super::literal::{self, Wrong};
use super::super::node::{Entry, Node, Value};
use crate::inventory::{Network, NetworkExtent};
use crate::net::Prefix;

impl Decoding<'_> {
    /// One network; `None` where nothing usable stands there, which is said by then.
    pub(super) fn network(
        &mut self,
        root: Fields<'_>,
        entry: &Entry,
        lists: &Lists,
    ) -> Option<Network> {
        let extent = match &entry.node.value {
            Value::Text(text) if text == "any" => NetworkExtent::Any,
            Value::Table(table) => self.network_table(Fields { table, ..root }, entry, lists),
            _ => self.network_list(root, &entry.node)?,
        };
        Some(Network { name: entry.key.clone(), extent, at: root.key_at(entry) })
    }

    fn network_list(&mut self, root: Fields<'_>, node: &Node) -> Option<NetworkExtent> {
        if node.items().is_empty() {
            let wrong = Wrong::new("the network has no address", "such as [\"10.0.0.0/8\"]");
            self.wrong(root.at(node), wrong);
            return None;
        }
        let prefixes = self.all(root, node.items(), cidr_of_network);
        let prefixes = prefixes.into_iter().map(|p| p.value).collect();
        Some(NetworkExtent::Prefixes { prefixes, except: Vec::new(), interface: None })
    }

    fn network_table(&mut self, fields: Fields<'_>, entry: &Entry, lists: &Lists) -> NetworkExtent {
        let mut prefixes = self.plain(fields, "cidr", cidr_of_network);
        let file = fields.table.get("file");
        prefixes.extend(file.into_iter().flat_map(|node| lists.prefixes(&fields.at(node))));
        let interface = self.one(fields, "interface", literal::interface_name).map(|i| i.value);
        let says_which = ["cidr", "file"].iter().any(|key| fields.table.get(key).is_some());
        if !says_which && interface.is_some() {
            prefixes.extend(EVERY_ADDRESS.map(|text| {
                text.parse::<Prefix>().expect("both networks of everything are well formed")
            }));
        } else if !says_which && fields.table.get("interface").is_none() {
            let wrong = Wrong::new("the network has no address", "add cidr = [\"10.0.0.0/8\"]");
            self.wrong(fields.key_at(entry), wrong);
        }
        NetworkExtent::Prefixes {
            prefixes,
            except: self.plain(fields, "except", literal::prefix),
            interface,
        }
    }
}

fn cidr_of_network(text: &str) -> Result<Prefix, Wrong> {
    literal::prefix(text).map_err(|wrong| match text {
        "any" => Wrong::new("`any` stands alone", "write NAME = \"any\""),
        _ => wrong,
    })
}

/// Everything that comes in through an interface.
const EVERY_ADDRESS: [&str; 2] = ["0.0.0.0/0", "::/0"];
