//! docs/inventory.md: the reference of the inventory's keys is the program's own table.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use portolan_core::inventory::file::keys::{Kind, ROOT, Section};

const MARK: &str =
    "<!-- Below this line the page is made from the program's own table; a test says how. -->\n";

#[test]
fn the_reference_has_every_key_of_the_format() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/inventory.md");
    let page = fs::read_to_string(&path).unwrap();
    let (by_hand, made) = page.split_once(MARK).expect("the page has its mark");
    let expected = reference();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, format!("{by_hand}{MARK}{expected}")).unwrap();
        return;
    }
    assert!(made == expected, "docs/inventory.md is old: UPDATE_REFERENCE=1 make test");
}

fn reference() -> String {
    let mut page = Page { text: String::new(), told: Vec::new() };
    page.section("The file itself", &ROOT);
    page.text
}

struct Page {
    text: String,
    /// Sections that stand in several places are told at the first.
    told: Vec<*const Section>,
}

impl Page {
    /// A section as a table, then the sections inside it.
    fn section(&mut self, title: &str, section: &'static Section) {
        if self.told.contains(&std::ptr::from_ref(section)) {
            return;
        }
        self.told.push(section);
        let _ = write!(self.text, "\n### {title}\n\n{}\n\n", section.doc);
        self.text.push_str("| key | what stands there | what it says |\n|---|---|---|\n");
        for key in section.keys {
            let bold = if key.required { "**" } else { "" };
            let wanted = key.kind.wanted();
            let _ = writeln!(self.text, "| {bold}`{}`{bold} | {wanted} | {} |", key.name, key.doc);
        }
        for key in section.keys {
            let Some((inner, header)) = inner(&key.kind) else { continue };
            let title = match std::ptr::eq(section, &raw const ROOT) {
                true => header.replace("KEY", key.name),
                false => format!("`{}` of {title}", key.name),
            };
            self.section(&title, inner);
        }
    }
}

/// The section a key holds, and how its header is written at the top of a file.
fn inner(kind: &Kind) -> Option<(&'static Section, &'static str)> {
    match kind {
        Kind::Table(section) => Some((section, "`[KEY]`")),
        Kind::Tables(section) => Some((section, "`[[KEY]]`")),
        Kind::Named(Kind::Table(section)) => Some((section, "`[KEY.NAME]`")),
        Kind::Named(inner) => self::inner(inner).map(|(section, _)| (section, "`[KEY.NAME]`")),
        Kind::Either(kinds) => kinds.iter().find_map(inner),
        _ => None,
    }
}
