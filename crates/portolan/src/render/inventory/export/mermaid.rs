//! A diagram of who reaches what, as a Mermaid flowchart.
//!
//! A node a source, a box a machine, inside it a node a declaration. A dotted arrow goes through a
//! door, a thick one is a forward's. `[management]` reaches every machine and is one node. The text
//! of every label is written in character codes where Mermaid could read it as anything else.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use portolan_core::inventory::matrix::Subject;
use portolan_core::inventory::{Forward, ForwardTarget, Management, Source, Word as _};

use crate::ops::inventory::export::{Entry, Export};
use crate::render::inventory::export::words;
use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints the diagram.
pub(crate) fn print(screen: &mut Screen, export: &Export<'_>) -> Result<()> {
    screen.write_all(diagram(export).as_bytes())?;
    Ok(screen.flush()?)
}

fn diagram(export: &Export<'_>) -> String {
    let mut chart = Chart::new(export);
    for entries in export.by_host() {
        chart.machine(entries);
    }
    if let Some(management) = &export.inventory.management {
        chart.management(management);
    }
    let entries = || export.entries.iter().filter(|e| is_drawn(e));
    entries().for_each(|entry| chart.arrows(entry));
    chart.forwards();
    chart.finish()
}

fn is_drawn(entry: &Entry<'_>) -> bool {
    !entry.is_closed() && !matches!(entry.subject, Subject::Management(_))
}

/// The diagram in the making.
struct Chart<'a> {
    export: &'a Export<'a>,
    boxes: String,
    arrows: String,
    /// Where each source stands: a node of its own, or a machine's box.
    sources: HashMap<String, String>,
    nodes: String,
    /// The boxes, by the name of the machine.
    machines: HashMap<&'a str, String>,
    /// The nodes, by machine, kind and name of the declaration.
    declarations: HashMap<(&'a str, &'a str, &'a str), String>,
}

impl<'a> Chart<'a> {
    fn new(export: &'a Export<'a>) -> Self {
        Self {
            export,
            boxes: String::new(),
            arrows: String::new(),
            sources: HashMap::new(),
            nodes: String::new(),
            machines: HashMap::new(),
            declarations: HashMap::new(),
        }
    }

    /// The box of a machine with its declarations; none where nothing of it is drawn.
    fn machine(&mut self, entries: &'a [Entry<'a>]) {
        let host = entries[0].host;
        let id = format!("h{}", self.machines.len());
        let mut inside = String::new();
        for entry in entries.iter().filter(|e| is_drawn(e)) {
            let key = key(entry);
            if !self.declarations.contains_key(&key) {
                let node = format!("{id}p{}", self.declarations.len());
                let text = label(&[entry.subject.name(), &words::ports(entry)]);
                let _ = writeln!(inside, "    {node}[\"{text}\"]{}", class(entry));
                self.declarations.insert(key, node);
            }
        }
        if !inside.is_empty() {
            let name = line(&host.name);
            let _ = write!(self.boxes, "  subgraph {id} [\"{name}\"]\n{inside}  end\n");
            self.machines.insert(&host.name, id);
        }
    }

    fn management(&mut self, management: &Management) {
        let ports = words::texts(&management.ports).join(", ");
        let text = label(&["every machine", &format!("{ports} (management)")]);
        let _ = writeln!(self.boxes, "  management[\"{text}\"]:::management");
        for source in &management.from {
            let from = self.source(&source.value);
            let _ = writeln!(self.arrows, "  {from} --> management");
        }
    }

    fn arrows(&mut self, entry: &Entry<'a>) {
        let to = self.declarations[&key(entry)].clone();
        for origin in &entry.from {
            // A box cannot point into itself, and a machine reaches its own ports anyway.
            if origin.source == Source::Host(entry.host.name.clone()) {
                continue;
            }
            let from = self.source(&origin.source);
            let arrow = match entry.door {
                Some(door) => format!("-. \"{}\" .->", line(&door.name)),
                None => "-->".to_owned(),
            };
            let _ = writeln!(self.arrows, "  {from} {arrow} {to}");
        }
    }

    /// What a forward hands to.
    fn forwards(&mut self) {
        for entry in self.export.entries.iter() {
            let Subject::Forward(forward) = entry.subject else { continue };
            let from = self.declarations[&key(entry)].clone();
            let to = self.target(forward);
            let via = line(forward.via.word());
            let _ = writeln!(self.arrows, "  {from} == \"{via}\" ==> {to}");
        }
    }

    fn target(&mut self, forward: &'a Forward) -> String {
        if let ForwardTarget::Service { service, host } = &forward.to.value
            && let Some(node) = self.declarations.get(&(host.as_str(), "service", service.as_str()))
        {
            return node.clone();
        }
        self.outside(&forward.to.value.to_string())
    }

    /// The node of a source: the box of a machine, where it is one that is drawn.
    fn source(&mut self, source: &Source) -> String {
        if let Source::Host(name) = source
            && let Some(id) = self.machines.get(name.as_str())
        {
            return id.clone();
        }
        self.outside(&self.export.inventory.source_name(source))
    }

    fn outside(&mut self, name: &str) -> String {
        if let Some(id) = self.sources.get(name) {
            return id.clone();
        }
        let id = format!("s{}", self.sources.len());
        let _ = writeln!(self.nodes, "  {id}([\"{}\"])", line(name));
        self.sources.insert(name.to_owned(), id.clone());
        id
    }

    fn finish(self) -> String {
        let title = line(self.export.inventory.title.as_deref().unwrap_or("Ports"));
        format!(
            "flowchart LR\n  accTitle: {title}, who may reach what\n{}{}{}{CLASSES}",
            self.nodes, self.boxes, self.arrows
        )
    }
}

fn key<'a>(entry: &Entry<'a>) -> (&'a str, &'a str, &'a str) {
    (&entry.host.name, entry.subject.kind(), entry.subject.name())
}

fn class(entry: &Entry<'_>) -> &'static str {
    match entry.subject {
        Subject::Forward(_) => ":::forward",
        Subject::Door(_) => ":::door",
        _ if entry.from.is_empty() => ":::local",
        _ => "",
    }
}

const CLASSES: &str = "  classDef local stroke-dasharray: 3 3
  classDef forward stroke-width: 2px
  classDef door stroke-dasharray: 6 3
  classDef management stroke-width: 2px
";

/// Lines inside `"…"`.
fn label(lines: &[&str]) -> String {
    lines.iter().map(|text| line(text)).collect::<Vec<_>>().join("<br>")
}

/// Text inside `"…"`: everything but letters, digits and a few signs as `#NN;`.
fn line(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in sanitize(text).chars() {
        match c {
            ' ' | '-' | '.' | ',' | '/' | ':' | '@' => escaped.push(c),
            c if c.is_alphanumeric() => escaped.push(c),
            c => {
                let _ = write!(escaped, "#{};", u32::from(c));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_its_quotes_or_hold_html() {
        assert_eq!(line("a\"]; b"), "a#34;#93;#59; b");
        assert_eq!(line("<script>"), "#60;script#62;");
        assert_eq!(line("#quot;"), "#35;quot#59;");
    }
}
