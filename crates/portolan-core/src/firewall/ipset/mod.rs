//! What `ipset save` prints: the sets that rules of iptables ask with `-m set` (ipset(8)).
//!
//! A look-up finds the members that contain the packet's key. Where members exclude others (`nomatch`)
//! the most precise one decides; that is worked out here, so that a set is a plain list of spans.

mod element;
mod nomatch;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Element, ReadError, Set, SetFlags};

/// The ipsets of a network namespace, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipsets {
    sets: BTreeMap<Box<str>, Ipset>,
}

/// One ipset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipset {
    /// What is looked up, part by part.
    pub dimensions: Vec<Dimension>,
    /// Whether it holds IPv6 addresses; `None` where it holds no addresses.
    pub is_v6: Option<bool>,
    /// Whether members leave by themselves.
    pub has_timeout: bool,
    /// How many members it may have.
    pub size: Option<u32>,
    /// Its members; `None` where they cannot be said as spans.
    pub elements: Option<Vec<Element>>,
    /// Members that exclude.
    exceptions: Vec<Element>,
}

/// A part of an ipset's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// An address or a network.
    Address,
    /// A protocol and a port: two parts of an element.
    Port,
    /// An interface.
    Interface,
    /// A mark of packets.
    Mark,
    /// An address of Ethernet.
    Mac,
}

impl Ipsets {
    /// Reads what `ipset save` printed.
    ///
    /// # Errors
    /// With the place: a line that is neither `create` nor `add`, a member of a set that is not there.
    pub fn read(text: &str) -> Result<Self, ReadError> {
        let mut sets = Self::default();
        let mut lists = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let number = index + 1;
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["create" | "-N" | "--create", name, kind, ref options @ ..] => {
                    if kind == "list:set" {
                        lists.push((Box::<str>::from(name), Vec::<Box<str>>::new()));
                    }
                    sets.sets.insert(name.into(), Ipset::new(kind, options));
                }
                ["add" | "-A" | "--add", name, member, ref options @ ..] => {
                    if let Some((_, members)) = lists.iter_mut().find(|(list, _)| **list == *name) {
                        members.push(member.into());
                    } else if let Some(set) = sets.sets.get_mut(name) {
                        set.add(member, options);
                    } else {
                        let column = line.find(name).unwrap_or_default() + 1;
                        let problem = format!("set `{name}` is not created before");
                        return Err(ReadError::new(number, column, problem));
                    }
                }
                _ => {
                    return Err(ReadError::new(
                        number,
                        1,
                        "expected `create SET` or `add SET MEMBER`",
                    ));
                }
            }
        }
        for set in sets.sets.values_mut() {
            set.settle();
        }
        for (list, members) in lists {
            sets.unite(&list, &members);
        }
        Ok(sets)
    }

    /// The set of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Ipset> {
        self.sets.get(name)
    }

    /// A set of sets holds what its members hold, as long as they hold the same kind of thing.
    fn unite(&mut self, list: &str, members: &[Box<str>]) {
        let found: Option<Vec<&Ipset>> = members.iter().map(|name| self.sets.get(name)).collect();
        let united = found.and_then(|found| {
            let first = *found.first()?;
            let mut elements = Vec::new();
            for set in &found {
                if set.dimensions != first.dimensions || set.is_v6 != first.is_v6 {
                    return None;
                }
                elements.extend(set.elements.iter().flatten().cloned());
            }
            let is_known = found.iter().all(|set| set.elements.is_some());
            Some(Ipset { elements: is_known.then_some(elements), ..first.clone() })
        });
        if let (Some(united), Some(set)) = (united, self.sets.get_mut(list)) {
            *set = united;
        }
    }
}

impl Ipset {
    fn new(kind: &str, options: &[&str]) -> Self {
        let option = |name: &str| {
            let at = options.iter().position(|word| *word == name)?;
            options.get(at + 1).copied()
        };
        let dimensions = kind.split_once(':').map_or_else(Vec::new, |(_, d)| dimensions(d));
        let has_address = dimensions.contains(&Dimension::Address);
        // `netmask` is applied to members when they are added; `bitmask` to what is looked up too.
        let is_known = kind != "list:set" && !dimensions.is_empty() && option("bitmask").is_none();
        let is_known = is_known && option("netmask").is_none();
        Self {
            is_v6: has_address.then(|| option("family") == Some("inet6")),
            dimensions,
            has_timeout: option("timeout").is_some(),
            size: option("maxelem").and_then(|text| text.parse().ok()),
            elements: is_known.then(Vec::new),
            exceptions: Vec::new(),
        }
    }

    fn add(&mut self, member: &str, options: &[&str]) {
        let Some(elements) = &mut self.elements else { return };
        let is_exception = options.contains(&"nomatch");
        let is_prefix = options.contains(&"wildcard");
        let Some(keys) = element::keys(member, &self.dimensions, is_prefix) else {
            self.elements = None;
            return;
        };
        let timeout = options.iter().position(|word| *word == "timeout");
        let seconds = timeout.and_then(|at| options.get(at + 1)?.parse().ok());
        let expires = seconds.filter(|s| *s > 0).map(Duration::from_secs);
        for key in keys {
            let element = Element { key, expires, ..Element::of(super::Span::ALL) };
            if is_exception { self.exceptions.push(element) } else { elements.push(element) }
        }
    }

    /// Takes the exceptions out.
    fn settle(&mut self) {
        let exceptions = std::mem::take(&mut self.exceptions);
        if !exceptions.is_empty() {
            self.elements = self.elements.take().and_then(|e| nomatch::without(&e, &exceptions));
        }
    }

    /// As a set of a table.
    pub(super) fn to_set(&self, name: &str, is_v6: bool) -> Set {
        let address = if is_v6 { "ipv6_addr" } else { "ipv4_addr" };
        let kinds = self.dimensions.iter().flat_map(|dimension| match dimension {
            Dimension::Address => vec![address],
            Dimension::Port => vec!["inet_proto", "inet_service"],
            Dimension::Interface => vec!["ifname"],
            Dimension::Mark => vec!["mark"],
            Dimension::Mac => vec!["ether_addr"],
        });
        Set {
            name: name.into(),
            key: kinds.map(Into::into).collect(),
            flags: SetFlags {
                has_timeout: self.has_timeout,
                is_interval: true,
                ..SetFlags::default()
            },
            size: self.size,
            elements: self.elements.as_ref().map(|elements| elements[..].into()),
        }
    }
}

/// `net,port`; empty where a part is not known.
fn dimensions(text: &str) -> Vec<Dimension> {
    let parts: Option<Vec<Dimension>> = text
        .split(',')
        .map(|part| {
            Some(match part {
                "ip" | "net" => Dimension::Address,
                "port" => Dimension::Port,
                "iface" => Dimension::Interface,
                "mark" => Dimension::Mark,
                "mac" => Dimension::Mac,
                _ => return None,
            })
        })
        .collect();
    parts.unwrap_or_default()
}
