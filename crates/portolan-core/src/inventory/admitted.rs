//! Whether a list of sources lets another source in already, and by which of its items.
//!
//! Addresses are compared, not words: 10.0.0.0/8 is among `any`, and a host among its network. What an
//! interface or a resolver would have to be asked about is not guessed.

use crate::firewall::Addresses;
use crate::socket::Machine;

use super::{Inventory, Located, Source, SourceExtent};

/// How many of a source's addresses a list of sources has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted<'i> {
    /// All, by these items: one, where one alone has them all.
    All(Vec<&'i Located<Source>>),
    /// Some, by these items.
    Some(Vec<&'i Located<Source>>),
    /// None.
    None,
    /// The file alone does not say: a name is to be resolved, or the source has no addresses.
    Unknown,
}

impl Inventory {
    /// How many of the addresses of `source` the items of `from` have, seen from `machine`.
    #[must_use]
    pub fn admitted<'i>(
        &self,
        from: &'i [Located<Source>],
        source: &Source,
        machine: &Machine,
    ) -> Admitted<'i> {
        let wanted = self.extent_of(source, machine);
        let items: Vec<Item<'_>> = from.iter().map(|item| self.item(item, machine)).collect();
        let is_all = |item: &&Item<'_>| item.named.value == *source || item.has_all(&wanted);
        if let Some(item) = items.iter().find(is_all) {
            return Admitted::All(vec![item.named]);
        }
        let own = wanted.addresses();
        if own.is_empty() || !wanted.unresolved.is_empty() {
            return Admitted::Unknown;
        }
        let meeting = || items.iter().filter(|item| item.addresses.meets(&own));
        let named = |items: &mut dyn Iterator<Item = &Item<'i>>| items.map(|i| i.named).collect();
        let open = || meeting().filter(|item| item.is_open_to(&wanted));
        let left = open().fold(own.clone(), |left, item| left.without(&item.addresses));
        if left.is_empty() {
            return Admitted::All(named(&mut open()));
        }
        match meeting().next() {
            Some(_) => Admitted::Some(named(&mut meeting())),
            None if items.iter().any(|item| !item.extent.unresolved.is_empty()) => {
                Admitted::Unknown
            }
            None => Admitted::None,
        }
    }

    fn item<'i>(&self, named: &'i Located<Source>, machine: &Machine) -> Item<'i> {
        let extent = self.extent_of(&named.value, machine);
        Item { named, addresses: extent.addresses(), extent }
    }
}

/// An item of the list and what it stands for.
struct Item<'i> {
    named: &'i Located<Source>,
    extent: SourceExtent,
    addresses: Addresses,
}

impl Item<'_> {
    /// Whether it has every address of a source by itself, also those that are not resolved.
    fn has_all(&self, wanted: &SourceExtent) -> bool {
        let own = wanted.addresses();
        let is_known = wanted.unresolved.is_empty() && !own.is_empty();
        let has_known = is_known && own.without(&self.addresses).is_empty();
        self.is_open_to(wanted) && (self.addresses.is_all() || has_known)
    }

    /// Whether it lets its addresses in by whatever interface the source means.
    fn is_open_to(&self, wanted: &SourceExtent) -> bool {
        self.extent.interface.is_none() || self.extent.interface == wanted.interface
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::file;

    const SITE: &str = r#"portolan = 1
[networks]
internet = "any"
office = ["10.0.0.0/9", "10.128.0.0/9"]
lan = { cidr = "192.0.2.0/24", except = "192.0.2.128/25" }
wire = { cidr = "198.51.100.0/24", interface = "eth1" }
[hosts.far]
address = ["dns:far.example.org"]
[hosts.near]
address = ["10.1.1.1"]
"#;

    /// What a list says of a source: a sign and the items.
    fn admitted(from: &str, source: &str) -> String {
        let text = format!(
            "{SITE}[services.web]\non = [\"near\"]\nports = [\"80/tcp\"]\nfrom = [{}]\n",
            from.split(' ').map(|item| format!("{item:?}")).collect::<Vec<_>>().join(", ")
        );
        let site = file::parse("site.toml", text.as_bytes()).unwrap();
        let source = site.source_named(source).unwrap();
        let from = &site.services[0].from;
        let (sign, items) = match site.admitted(from, &source, &Machine::default()) {
            Admitted::All(items) => ("all", items),
            Admitted::Some(items) => ("some", items),
            Admitted::None => ("none", Vec::new()),
            Admitted::Unknown => ("unknown", Vec::new()),
        };
        let items = items.iter().map(|item| format!(" {}", item.value));
        sign.to_owned() + &items.collect::<String>()
    }

    #[test]
    fn an_item_that_has_all_addresses_of_another_lets_it_in() {
        assert_eq!(admitted("10.0.0.0/16 any", "10.0.0.0/8"), "all any");
        assert_eq!(admitted("internet", "2001:db8::1"), "all internet");
        assert_eq!(admitted("office", "10.0.0.0/8"), "all office");
        assert_eq!(admitted("office", "near"), "all office");
        assert_eq!(
            admitted("10.0.0.0/9 10.128.0.0/9 ::/0", "office"),
            "all 10.0.0.0/9 10.128.0.0/9"
        );
        assert_eq!(admitted("10.0.0.5 any", "10.0.0.5"), "all 10.0.0.5");
        assert_eq!(admitted("any", "far"), "all any", "whatever it is resolved to");
    }

    #[test]
    fn what_is_let_in_in_part_or_by_one_interface_only_is_not_let_in_already() {
        assert_eq!(admitted("lan", "192.0.2.0/24"), "some lan");
        assert_eq!(admitted("lan", "192.0.2.129"), "none");
        assert_eq!(admitted("wire", "198.51.100.7"), "some wire");
        assert_eq!(admitted("wire", "wire"), "all wire");
        assert_eq!(admitted("office", "any"), "some office");
        assert_eq!(admitted("lan", "10.0.0.1"), "none");
    }

    #[test]
    fn what_has_to_be_resolved_is_not_guessed() {
        assert_eq!(admitted("far", "10.0.0.1"), "unknown");
        assert_eq!(admitted("lan", "far"), "unknown");
        assert_eq!(admitted("far", "far"), "all far");
    }

    #[test]
    fn what_is_no_source_is_none() {
        let site = file::parse("site.toml", SITE.as_bytes()).unwrap();
        for text in ["nowhere", "@nobody", "service:none", "10.1.2.3/8", "", "10.0.0"] {
            assert_eq!(site.source_named(text), None, "{text}");
        }
    }
}
