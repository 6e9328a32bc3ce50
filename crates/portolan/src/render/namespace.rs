//! Network namespaces as JSON and as words, the same in every report.

use portolan_core::socket::{Netns, SocketTable, TurnedAway};
use serde::Serialize;

use crate::render::owner::ContainerJson;

/// A network namespace in a word: inode and name, null where unknown.
#[derive(Debug, Serialize)]
pub(crate) struct NetnsJson<'a> {
    inode: Option<u64>,
    name: Option<&'a str>,
}

impl<'a> NetnsJson<'a> {
    /// The namespace with this inode.
    pub(crate) fn of(inode: u64, table: &'a SocketTable) -> Self {
        let known = table.namespace(inode);
        Self {
            inode: known.map_or(Some(inode).filter(|i| *i != 0), Netns::known_inode),
            name: known.and_then(|netns| netns.name.as_deref()),
        }
    }
}

/// A network namespace that was looked into.
#[derive(Debug, Serialize)]
pub(crate) struct NamespaceJson<'a> {
    inode: Option<u64>,
    name: Option<&'a str>,
    /// Whether it is the one the program was run in.
    own: bool,
    container: Option<ContainerJson<'a>>,
    /// Whether anything of it could be seen; if not, a gap says why.
    seen: bool,
    /// How many processes live in it, and the first of them; null where that was not looked at.
    processes: Option<usize>,
    pid: Option<u32>,
    /// What its listeners turned away; null unless an accept queue is full.
    turned_away: Option<TurnedAwayJson>,
}

#[derive(Debug, Serialize)]
struct TurnedAwayJson {
    listen_overflows: u64,
    listen_drops: u64,
}

/// The namespaces of a table, our own first.
pub(crate) fn namespaces_json(table: &SocketTable) -> Vec<NamespaceJson<'_>> {
    let namespaces = table.namespaces.iter().enumerate();
    namespaces
        .map(|(i, netns)| NamespaceJson {
            inode: netns.known_inode(),
            name: netns.name.as_deref(),
            own: i == 0,
            seen: !netns.is_unseen,
            container: netns.container.as_deref().map(ContainerJson::from),
            processes: netns.processes,
            pid: netns.pid,
            turned_away: netns.turned_away.map(TurnedAwayJson::from),
        })
        .collect()
}

impl From<TurnedAway> for TurnedAwayJson {
    fn from(counters: TurnedAway) -> Self {
        Self { listen_overflows: counters.overflows, listen_drops: counters.drops }
    }
}

/// `Network namespace lab (2 processes, the first is 812)`, or ours.
pub(crate) fn title(netns: &Netns, is_own: bool) -> String {
    let name = netns.to_string();
    let name = match (&netns.name, is_own) {
        (Some(name), true) => format!("This network namespace ({name})"),
        (None, true) => "This network namespace".to_owned(),
        (_, false) => name.replacen('n', "N", 1),
    };
    match (is_own, netns.processes, netns.pid) {
        (false, Some(0), _) => format!("{name}, without a process"),
        (false, Some(1), Some(pid)) => format!("{name}, process {pid}"),
        (false, Some(n), Some(pid)) => format!("{name}, process {pid} and {} more", n - 1),
        _ => name,
    }
}

/// How many connections the listeners of a namespace refused, with the kernel's own counters.
pub(crate) fn turned_away(counters: TurnedAway) -> String {
    let TurnedAway { overflows, drops } = counters;
    let connections =
        if overflows == 1 { "1 connection" } else { &format!("{overflows} connections") };
    format!(
        "{connections} turned away by full queues here so far (ListenOverflows {overflows}, ListenDrops {drops})"
    )
}

/// Its name alone, as short as it can be told.
pub(crate) fn short(netns: &Netns) -> String {
    let name = netns.to_string();
    name.trim_start_matches("network namespace ").to_owned()
}
