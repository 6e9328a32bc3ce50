//! The names a whole inventory declares, gathered from all files before anything refers to them.
//!
//! Here a name that stands twice is found, and one that is both a network and a host.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};

use super::literal;
use super::node::{Entry, Node, Table, shortened};
use crate::inventory::problem::{Problem, Problems};
use crate::inventory::{BUILT_IN_NETWORKS, Location};
use crate::net::nearest;

/// The kinds of things that have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Named {
    Network,
    Owner,
    Host,
    Service,
    Forward,
    Door,
    Pool,
}

impl Named {
    const ALL: [Self; 7] = [
        Self::Network,
        Self::Owner,
        Self::Host,
        Self::Service,
        Self::Forward,
        Self::Door,
        Self::Pool,
    ];

    /// The table of the file that declares them.
    pub(super) const fn section(self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Owner => "owners",
            Self::Host => "hosts",
            Self::Service => "services",
            Self::Forward => "forwards",
            Self::Door => "doors",
            Self::Pool => "pools",
        }
    }

    /// One of them.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Owner => "owner",
            Self::Host => "host",
            Self::Service => "service",
            Self::Forward => "forward",
            Self::Door => "door",
            Self::Pool => "pool",
        }
    }
}

/// Every declared name with its place.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// By kind, in the order of the kinds.
    declared: [HashMap<&'a str, Location>; Named::ALL.len()],
    groups: HashSet<&'a str>,
    /// How many names have been compared for "did you mean".
    compared: Cell<usize>,
}

/// A hundred thousand mistakes among a hundred thousand names would be compared for hours; after
/// so many comparisons the hints are plainer.
const COMPARISONS: usize = 1_000_000;

impl<'a> Names<'a> {
    /// Gathers the names of all files, given with their index.
    pub(super) fn gather(files: &[(usize, &'a Table)], problems: &mut Problems) -> Self {
        let mut names = Self::default();
        for (file, root) in files {
            for kind in Named::ALL {
                for entry in declarations(root, kind) {
                    names.declare(kind, *file, entry, problems);
                }
            }
            names.groups.extend(declarations(root, Named::Host).flat_map(groups_of));
        }
        names.refuse_ambiguous(problems);
        names
    }

    fn declare(&mut self, kind: Named, file: usize, entry: &'a Entry, problems: &mut Problems) {
        let at = Location { file, span: entry.key_span.clone() };
        if let Err(wrong) = literal::name(&entry.key) {
            problems.push(Problem::new(at.clone(), wrong.message, wrong.hint));
        }
        if kind == Named::Network && BUILT_IN_NETWORKS.contains(&entry.key.as_str()) {
            let message = format!("the network `{}` is built in", entry.key);
            problems.push(Problem::new(at.clone(), message, "give yours another name"));
        }
        let noun = kind.noun();
        let name = shortened(&entry.key);
        if let Some(first) = self.of(kind).get(entry.key.as_str()) {
            let message = format!("the {noun} `{name}` is declared twice");
            let hint = "give one of them another name, or join the two";
            let problem = Problem::new(at, message, hint);
            problems.push(problem.related(first, "declared here first"));
            return;
        }
        self.declared[kind as usize].insert(&entry.key, at);
    }

    /// In `from` a bare name is a network or a host, so it must not be both.
    fn refuse_ambiguous(&self, problems: &mut Problems) {
        for (name, at) in self.of(Named::Host) {
            let hint = "in `from` nobody could tell which is meant: rename one";
            if let Some(network) = self.of(Named::Network).get(name) {
                let message =
                    format!("`{}` is the name of a host and of a network", shortened(name));
                let problem = Problem::new(at.clone(), message, hint);
                problems.push(problem.related(network, "the network"));
            } else if BUILT_IN_NETWORKS.contains(name) {
                let message = format!("`{name}` is the name of a host and of a built-in network");
                problems.push(Problem::new(at.clone(), message, hint));
            }
        }
    }

    /// Whether `name` is declared.
    pub(super) fn knows(&self, kind: Named, name: &str) -> bool {
        let built_in = kind == Named::Network && BUILT_IN_NETWORKS.contains(&name);
        built_in || self.of(kind).contains_key(name)
    }

    /// Whether some host is in `group`, given without `@`.
    pub(super) fn knows_group(&self, group: &str) -> bool {
        self.groups.contains(group)
    }

    fn nearest<'n>(&self, name: &str, among: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        let count = |_: &&str| self.compared.set(self.compared.get() + 1);
        (self.compared.get() < COMPARISONS).then(|| nearest(name, among.inspect(count))).flatten()
    }

    /// The hint for a name that is none of `kinds`: the nearest that is, or what there is.
    pub(super) fn hint(&self, kinds: &[Named], name: &str) -> String {
        let declared = kinds.iter().flat_map(|kind| self.of(*kind).keys().copied());
        let built_in = BUILT_IN_NETWORKS.into_iter().filter(|_| kinds.contains(&Named::Network));
        if let Some(near) = self.nearest(name, declared.chain(built_in)) {
            return format!("did you mean `{near}`?");
        }
        let kind = kinds[0];
        if self.of(kind).is_empty() {
            return format!("the inventory declares no {}", kind.noun());
        }
        format!("declare it as [{}.{}]", kind.section(), shortened(name))
    }

    /// The hint for a group nobody is in.
    pub(super) fn group_hint(&self, group: &str) -> String {
        match self.nearest(group, self.groups.iter().copied()) {
            Some(near) => format!("did you mean `@{near}`?"),
            None if self.knows(Named::Host, group) => {
                format!("`{group}` is a host: leave out the @")
            }
            None => "a group exists where some host has it in its `groups`".to_owned(),
        }
    }

    fn of(&self, kind: Named) -> &HashMap<&'a str, Location> {
        &self.declared[kind as usize]
    }
}

/// The entries of a section. Here `x-…` is a name like any other: a service that was meant to be
/// one must not be passed over.
pub(super) fn declarations(root: &Table, kind: Named) -> impl Iterator<Item = &Entry> {
    root.entries_of(kind.section()).iter()
}

fn groups_of(host: &Entry) -> impl Iterator<Item = &str> {
    let groups = host.node.table().and_then(|t| t.get("groups"));
    groups.into_iter().flat_map(Node::items).filter_map(|g| g.text())
}
