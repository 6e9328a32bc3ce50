//! Changes of the inventory that stand although their trial is over.

use std::path::PathBuf;

use serde::Serialize;

use crate::cli::args::Color;
use crate::ops::firewall::change::LeftEdit;
use crate::render::gap;

/// Where they stand: `site.toml:24, part.toml`.
pub(super) fn places(left: &[LeftEdit]) -> String {
    let place = |edit: &LeftEdit| {
        let path = edit.path.display();
        edit.line.map_or_else(|| path.to_string(), |line| format!("{path}:{line}"))
    };
    left.iter().map(place).collect::<Vec<_>>().join(", ")
}

/// Says that a rollback could not take them back.
pub(super) fn warn(left: &[LeftEdit], color: Color) {
    if left.is_empty() {
        return;
    }
    let what =
        "still in the inventory, because its file was changed meanwhile or cannot be written";
    gap::warning(&format!("the change is {what}: {}", places(left)), color);
    gap::hint("take it out there, or mend that and run portolan firewall rollback again", color);
}

/// One of them.
#[derive(Serialize)]
pub(super) struct LeftJson {
    file: PathBuf,
    /// Where it begins, as far as it is found again.
    line: Option<usize>,
}

impl LeftJson {
    /// All of them.
    pub(super) fn of(left: &[LeftEdit]) -> Vec<Self> {
        let one = |edit: &LeftEdit| Self { file: edit.path.clone(), line: edit.line };
        left.iter().map(one).collect()
    }
}
