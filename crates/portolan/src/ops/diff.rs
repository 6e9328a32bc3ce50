//! What changed between two saved charts: ports opened, closed, or held otherwise.
//!
//! A port is the same port by number and transport. Process ids and start times are left out: a
//! restarted service is the same service.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::Result;
use portolan_core::net::{Gap, Why};
use serde::Deserialize;

use crate::fault::{Fault, Hinted as _};

/// The differences between two charts.
#[derive(Debug)]
pub(crate) struct Report {
    /// The host each chart is of, earlier one first.
    pub(crate) hosts: [String; 2],
    /// Ports only the later chart has.
    pub(crate) opened: Vec<SavedPort>,
    /// Ports only the earlier chart has.
    pub(crate) closed: Vec<SavedPort>,
    /// Ports both have, held otherwise.
    pub(crate) changed: Vec<Change>,
    /// Ports whose holders only one of the charts could see, so that they were not compared.
    pub(crate) hidden: usize,
}

impl Report {
    /// Whether both charts say the same.
    pub(crate) fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.closed.is_empty() && self.changed.is_empty()
    }

    /// What could not be compared.
    pub(crate) fn gaps(&self) -> Vec<Gap> {
        let ports = match self.hidden {
            0 => return Vec::new(),
            1 => "who holds 1 port: one chart tells".to_owned(),
            n => format!("who holds {n} ports: one chart tells"),
        };
        let what = format!("{ports}, to the other the owner was not visible");
        vec![Gap::new(what, Why::NotPermitted, "save both charts with sudo")]
    }
}

/// A port that both charts have, and what is different about it.
#[derive(Debug)]
pub(crate) struct Change {
    /// As the later chart has it.
    pub(crate) port: SavedPort,
    /// What differs, a fact each.
    pub(crate) differences: Vec<Difference>,
}

/// One fact that differs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The fact: `bound`, `process`, `user`, `unit`, `container`, `declared`, `findings`.
    pub(crate) field: &'static str,
    /// Its earlier value; empty when there was none.
    pub(crate) old: String,
    /// Its later value.
    pub(crate) new: String,
}

/// A row of a saved chart, as far as it is compared.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct SavedPort {
    pub(crate) port: u16,
    pub(crate) transport: String,
    pub(crate) service: Option<String>,
    #[serde(default)]
    bound: Vec<SavedBound>,
    #[serde(default)]
    owners: Vec<SavedOwner>,
    owner_gap: Option<String>,
    unit: Option<String>,
    container: Option<SavedContainer>,
    declared: Option<SavedDeclared>,
    #[serde(default)]
    findings: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedBound {
    address: String,
    #[serde(default)]
    dual_stack: bool,
    device: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedOwner {
    process: Option<String>,
    user: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedContainer {
    id: String,
    name: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct SavedDeclared {
    service: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct SavedChart {
    host: SavedHost,
    ports: Vec<SavedPort>,
}

#[derive(Debug, Deserialize)]
struct SavedHost {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Envelope {
    portolan: u64,
    kind: String,
}

impl SavedPort {
    /// The programs that hold it, each once.
    pub(crate) fn processes(&self) -> String {
        joined(self.owners.iter().filter_map(|o| o.process.clone()))
    }

    /// The addresses it is bound to, each once.
    pub(crate) fn addresses(&self) -> String {
        joined(self.bound.iter().map(ToString::to_string))
    }

    /// Whether the chart could not see who holds it.
    const fn is_hidden(&self) -> bool {
        self.owner_gap.is_some() && self.owners.is_empty()
    }

    /// Whether a fact is empty because the holder could not be seen: that is no value to compare.
    fn hides(&self, (field, value): &(&str, String)) -> bool {
        let is_of_holder = matches!(*field, "process" | "user" | "unit" | "container");
        self.is_hidden() && is_of_holder && value.is_empty()
    }

    /// Every fact that is compared, by name.
    fn facts(&self) -> [(&'static str, String); 7] {
        let container = self.container.as_ref();
        [
            ("bound", self.addresses()),
            ("process", self.processes()),
            ("user", joined(self.owners.iter().filter_map(|o| o.user.clone()))),
            ("unit", self.unit.clone().unwrap_or_default()),
            (
                "container",
                container.map(|c| c.name.as_ref().unwrap_or(&c.id).clone()).unwrap_or_default(),
            ),
            (
                "declared",
                self.declared
                    .as_ref()
                    .map(|d| format!("{} ({})", d.service, d.status))
                    .unwrap_or_default(),
            ),
            ("findings", joined(self.findings.iter().cloned())),
        ]
    }
}

impl fmt::Display for SavedBound {
    /// With all that decides who reaches it: `::1`, `0.0.0.0%eth0`, `:: (also IPv4)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)?;
        if let Some(device) = &self.device {
            write!(f, "%{device}")?;
        }
        f.write_str(if self.dual_stack { " (also IPv4)" } else { "" })
    }
}

/// Compares two files that `portolan status --json` wrote.
///
/// # Errors
/// A file that cannot be read or is no chart, with what it is.
pub(crate) fn compare(old: &Path, new: &Path) -> Result<Report> {
    let (old, new) = (read(old)?, read(new)?);
    let hosts = [old.host.name.clone(), new.host.name.clone()];
    let mut before = keyed(old);
    let mut report =
        Report { hosts, opened: Vec::new(), closed: Vec::new(), changed: Vec::new(), hidden: 0 };
    for (key, port) in keyed(new) {
        match before.remove(&key) {
            None => report.opened.push(port),
            Some(earlier) => {
                report.hidden += usize::from(earlier.is_hidden() != port.is_hidden());
                report.changed.extend(changed(&earlier, port));
            }
        }
    }
    report.closed = before.into_values().collect();
    Ok(report)
}

fn read(path: &Path) -> Result<SavedChart> {
    let shown = path.display();
    let bytes = fs::read(path)
        .hinted(format!("read {shown}"), "save a chart with: portolan status --json > FILE")?;
    let kind: Envelope = serde_json::from_slice(&bytes).hinted(
        format!("{shown} is not a chart"),
        "save one with: portolan status --json > FILE",
    )?;
    if kind.portolan != 1 {
        return Err(Fault::new(
            format!("{shown} is of format {}; this portolan reads format 1", kind.portolan),
            "compare it with the portolan that wrote it",
        ));
    }
    if kind.kind != "status" {
        return Err(Fault::new(
            format!("{shown} is a portolan document of kind `{}`, not a chart", kind.kind),
            "save a chart with: portolan status --json > FILE",
        ));
    }
    serde_json::from_slice(&bytes).hinted(
        format!("{shown} is a chart with a damaged row"),
        "save it again with: portolan status --json > FILE",
    )
}

fn keyed(chart: SavedChart) -> BTreeMap<(u16, String), SavedPort> {
    chart.ports.into_iter().map(|p| ((p.port, p.transport.clone()), p)).collect()
}

fn changed(old: &SavedPort, new: SavedPort) -> Option<Change> {
    let differences: Vec<Difference> = old
        .facts()
        .into_iter()
        .zip(new.facts())
        .filter(|(before, after)| before != after)
        .filter(|(before, after)| !(old.hides(before) || new.hides(after)))
        .map(|((field, old), (_, new))| Difference { field, old, new })
        .collect();
    (!differences.is_empty()).then_some(Change { port: new, differences })
}

fn joined(words: impl Iterator<Item = String>) -> String {
    let mut words: Vec<String> = words.collect();
    words.sort_unstable();
    words.dedup();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(folder: &tempfile::TempDir, name: &str, ports: &str) -> std::path::PathBuf {
        let path = folder.path().join(name);
        let text = format!(
            r#"{{"portolan":1,"kind":"status","host":{{"name":"web"}},"ports":[{ports}],"gaps":[]}}"#
        );
        fs::write(&path, text).unwrap();
        path
    }

    const SSH: &str = r#"{"port":22,"transport":"tcp","service":"ssh","bound":[{"address":"::","scope":"wildcard"}],"owners":[{"pid":1,"process":"sshd","user":"root"}],"unit":null,"container":null,"declared":null,"findings":[]}"#;

    #[test]
    fn a_restarted_service_is_no_difference() {
        let folder = tempfile::tempdir().unwrap();
        let old = saved(&folder, "old", SSH);
        let new = saved(&folder, "new", &SSH.replace("\"pid\":1", "\"pid\":2"));
        assert!(compare(&old, &new).unwrap().is_empty());
    }

    #[test]
    fn another_program_on_the_same_port_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let old = saved(&folder, "old", SSH);
        let new = saved(&folder, "new", &SSH.replace("sshd", "nc"));
        let report = compare(&old, &new).unwrap();
        assert_eq!(
            report.changed[0].differences,
            [Difference { field: "process", old: "sshd".into(), new: "nc".into() }]
        );
    }

    #[test]
    fn a_port_in_one_chart_only_was_opened_or_closed() {
        let folder = tempfile::tempdir().unwrap();
        let old = saved(&folder, "old", SSH);
        let new = saved(&folder, "new", &SSH.replace("\"tcp\"", "\"udp\""));
        let report = compare(&old, &new).unwrap();
        assert_eq!((report.opened.len(), report.closed.len()), (1, 1));
    }

    #[test]
    fn an_interface_or_family_less_in_a_bind_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let old = SSH.replace(r#""wildcard""#, r#""wildcard","dual_stack":true,"device":null"#);
        for (new, told) in [
            (SSH.replace(r#""wildcard""#, r#""wildcard","dual_stack":false"#), "::"),
            (old.replace(r#""device":null"#, r#""device":"lo""#), "::%lo (also IPv4)"),
        ] {
            let files = (saved(&folder, "old", &old), saved(&folder, "new", &new));
            let report = compare(&files.0, &files.1).unwrap();
            let [change] = &report.changed[..] else { panic!("one change: {report:?}") };
            let [difference] = &change.differences[..] else { panic!("one fact: {change:?}") };
            assert_eq!((&*difference.old, &*difference.new), (":: (also IPv4)", told));
        }
    }

    #[test]
    fn an_owner_that_one_chart_could_not_see_is_a_gap_and_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let hidden = SSH.replace(
            r#""owners":[{"pid":1,"process":"sshd","user":"root"}]"#,
            r#""owners":[],"owner_gap":"not-permitted""#,
        );
        let (seen, hidden) = (saved(&folder, "old", SSH), saved(&folder, "new", &hidden));
        let report = compare(&seen, &hidden).unwrap();
        assert_eq!((report.is_empty(), report.gaps().len()), (true, 1));
        assert_eq!(compare(&hidden, &hidden).unwrap().gaps().len(), 0);
    }

    #[test]
    fn a_document_of_another_kind_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sockets");
        fs::write(&path, r#"{"portolan":1,"kind":"sockets","sockets":[]}"#).unwrap();
        let error = compare(&path, &path).unwrap_err();
        assert!(error.to_string().contains("of kind `sockets`, not a chart"), "{error}");
    }
}
