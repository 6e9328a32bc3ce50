//! Keys for what was found: from what the program is called, valid and each given once.

use std::collections::BTreeSet;

use crate::inventory::BUILT_IN_NETWORKS;
use crate::net::{Port, Transport};
use crate::registry::Registry;

use super::Program;

/// The names that are taken.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    /// Names other than these.
    pub(super) fn except(taken: &BTreeSet<String>) -> Self {
        Self { taken: taken.clone() }
    }

    /// A name for a program with these ports: its container's, its unit's or its own, else what
    /// its first port is registered for. A second one of the same program adds what tells it apart.
    pub(super) fn give(
        &mut self,
        program: &Program,
        ports: &BTreeSet<(Port, Transport)>,
        registry: &Registry,
    ) -> String {
        let first = ports.first();
        let registered =
            first.and_then(|(port, transport)| registry.service_name(*port, *transport));
        let published = program.is_publisher().then_some("published");
        let own = [
            program.container.as_deref(),
            published,
            program.unit.as_deref().map(stem),
            program.process.as_deref(),
            registered,
        ];
        let base = own.into_iter().flatten().map(key).find(|name| !name.is_empty());
        let base = base.unwrap_or_else(|| "port".to_owned());
        let number = first.map_or(0, |(port, _)| port.0);
        let transport = first.map_or("", |(_, transport)| transport.as_str());
        let registered = registered.map(key).filter(|name| *name != base);
        let says_nothing = base == "port" || published.is_some_and(|name| name == base);
        let candidates = (!says_nothing).then(|| base.clone()).into_iter();
        let candidates = candidates
            .chain(registered.map(|name| format!("{base}-{name}")))
            .chain([format!("{base}-{number}"), format!("{base}-{number}-{transport}")])
            .chain((2..).map(|n| format!("{base}-{number}-{n}")));
        let free = candidates.into_iter().find(|name| !self.taken.contains(name));
        let name = free.expect("numbers do not end");
        self.taken.insert(name.clone());
        name
    }
}

/// A host's key: the first label of its name.
pub(super) fn of_host(hostname: &str) -> String {
    let label = hostname.split('.').next().unwrap_or_default();
    let key = key_with(label, |c| c);
    match key.as_str() {
        "" => "this-host".to_owned(),
        name if BUILT_IN_NETWORKS.contains(&name) => format!("{name}-host"),
        _ => key,
    }
}

/// `ssh.service` is `ssh`, `postgresql@16-main.service` is `postgresql@16-main`.
fn stem(unit: &str) -> &str {
    unit.rsplit_once('.').map_or(unit, |(stem, _)| stem)
}

/// `text` as a bare key in lower case.
fn key(text: &str) -> String {
    let key = key_with(text, |c| c.to_ascii_lowercase());
    // `x-…` keys are anybody's, and a service named `base-…` takes the place of a base row; what
    // tells a second service apart is added after a dash.
    match key.split('-').next() {
        Some("x" | "base") => format!("program-{key}"),
        _ => key,
    }
}

fn key_with(text: &str, case: impl Fn(char) -> char) -> String {
    const LONGEST: usize = 40;
    let mut key = String::new();
    for c in text.chars() {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => key.push(case(c)),
            _ if key.ends_with('-') || key.is_empty() => {}
            _ => key.push('-'),
        }
    }
    key.truncate(LONGEST);
    key.truncate(key.trim_end_matches('-').len());
    key
}
