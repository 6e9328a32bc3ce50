//! What the sets are called that packets and programs fill: doors, steps on the way to them, limits.
//!
//! Whoever compiles a policy and whoever says what it means must speak of the same sets, and two doors or
//! services whose names nft cannot tell apart must not share one. So both ask here.

use std::collections::{HashMap, HashSet};

use super::policy::{Knock, Policy};

/// What the name of a door's set begins with.
pub(super) const DOOR: &str = "door-";

/// What the name of a step's set begins with.
pub(super) const KNOCK: &str = "knock-";

/// What the name of a limit's set begins with.
pub(super) const LIMIT: &str = "limit-";

/// What the name of the set for sources without room ends with, where others have their family.
pub(super) const REST: &str = "-rest";

/// The names of all sets of one policy that are filled.
#[derive(Clone, Debug, Default)]
pub(super) struct Filled {
    /// What a set is for, and its name without the family.
    names: HashMap<String, String>,
}

/// The kernel takes 255 bytes (NFT_NAME_MAXLEN); people read fewer.
const LONGEST: usize = 76;

impl Filled {
    /// The names for `policy`. Those that nft can write as they are keep their own, whatever stands before
    /// them in the inventory; of several that would become the same, later ones get a number.
    pub(super) fn of(policy: &Policy) -> Self {
        let mut all: Vec<String> = Vec::new();
        for door in &policy.doors {
            all.push(of_door(&door.name));
            all.extend((1..door.sequence.len()).map(|step| of_step(door, step - 1)));
        }
        let passes = || policy.management.iter().chain(&policy.passes).chain(&policy.egress);
        all.extend(passes().filter_map(|pass| pass.door.as_deref().map(of_door)));
        all.extend(passes().filter(|pass| pass.limit.is_some()).map(|p| of_limit(&p.name)));
        all.sort_by_key(|what| plain(what) != *what);
        let mut filled = Self::default();
        let mut taken = HashSet::new();
        for what in all {
            filled.give(what, &mut taken);
        }
        filled
    }

    fn give(&mut self, what: String, taken: &mut HashSet<String>) {
        if self.names.contains_key(&what) {
            return;
        }
        let wish = plain(&what);
        let mut name = wish.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{wish}-{number}");
            number += 1;
        }
        self.names.insert(what, name);
    }

    /// The set of one family for what [`of_door`], [`of_step`] or [`of_limit`] say.
    pub(super) fn set(&self, what: &str, is_v6: bool) -> Box<str> {
        let name = self.names.get(what).cloned().unwrap_or_else(|| plain(what));
        format!("{name}-{}", if is_v6 { "v6" } else { "v4" }).into()
    }
}

impl Filled {
    /// The set for sources that the set of a limit, which [`of_limit`] says, has no room for: they are counted
    /// together, by their protocol, of which there is one in a rule.
    pub(super) fn rest(&self, what: &str) -> Box<str> {
        let name = self.names.get(what).cloned().unwrap_or_else(|| plain(what));
        format!("{name}{REST}").into()
    }
}

/// For sources that a door lets in.
pub(super) fn of_door(door: &str) -> String {
    format!("{DOOR}{door}")
}

/// For sources that are `step` ports (from 0) far in the sequence of a door; after the last they are let in.
pub(super) fn of_step(door: &Knock, step: usize) -> String {
    match step + 1 == door.sequence.len() {
        true => of_door(&door.name),
        false => format!("{KNOCK}{}-{}", door.name, step + 1),
    }
}

/// For the sources of a service that has a limit.
pub(super) fn of_limit(service: &str) -> String {
    format!("{LIMIT}{service}")
}

/// With what nft would not read replaced.
fn plain(what: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    what.chars().map(|c| if fits(c) { c } else { '_' }).take(LONGEST).collect()
}
