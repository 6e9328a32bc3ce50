//! How full the sets of our table are that packets fill, as nft lists it.
//!
//! The kernel puts no element into a set that has as many as its size (net/netfilter/nft_set_hash.c), and the
//! rule that wanted to ends there. Of a limit that means: sources without room are counted together, in the
//! set [`Filled::rest`](super::filled) names. Of a door: nobody new is let in by knocking.

use std::fmt;

use super::filled::{DOOR, KNOCK, LIMIT, REST};
use super::outline::{Outline, OutlinePart, elements};

/// A set that packets fill, and what it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillLevel {
    /// Its name.
    pub set: String,
    /// How many members it has.
    pub members: usize,
    /// How many it may have.
    pub size: usize,
    /// What that comes to.
    pub state: Fullness,
}

/// What a number of members comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fullness {
    /// There is room.
    Room,
    /// Nine tenths of it are taken.
    NearlyFull,
    /// No member is taken any more, or some were not a moment ago.
    Full,
}

impl Fullness {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::NearlyFull => "nearly-full",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for FillLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set, members, size, state } = self;
        let (is, when) = match state {
            Fullness::Room => return write!(f, "the set {set} has room: {members} of {size}"),
            Fullness::NearlyFull => ("nearly full", "when it is full, "),
            Fullness::Full => ("full", ""),
        };
        write!(f, "the set {set} is {is}, {members} of {size}: {when}{}", consequence(set))
    }
}

/// What follows for those whom a set has no room for.
fn consequence(set: &str) -> &'static str {
    if set.starts_with(LIMIT) {
        return "sources that are not in it share one limit, a hundred times as large";
    }
    match set.starts_with(DOOR) || set.starts_with(KNOCK) {
        true => "nobody new is let in by knocking",
        false => "nothing more is put into it",
    }
}

/// How full each set of a listed table is that packets fill and that has a size; none of a text that is not
/// our table.
#[must_use]
pub fn fill_levels(table: &str) -> Vec<FillLevel> {
    let Ok(outline) = Outline::parse(table) else { return Vec::new() };
    let is_filled = |part: &&OutlinePart<'_>| part.kind == "set" && part.is_dynamic();
    let sets: Vec<&OutlinePart<'_>> = outline.parts.iter().filter(is_filled).collect();
    let members = |part: &OutlinePart<'_>| part.elements.map_or(0, |text| elements(text).len());
    let overflowing: Vec<&str> = sets
        .iter()
        .filter(|part| members(part) > 0)
        .filter_map(|part| part.name.strip_suffix(REST).filter(|name| name.starts_with(LIMIT)))
        .collect();
    let own = sets.into_iter().filter(|part| !part.name.ends_with(REST));
    let level = |part: &OutlinePart<'_>| {
        let (size, members) = (size(part)?, members(part));
        let base = part.name.rsplit_once('-').map_or(part.name, |(base, _)| base);
        let state = state(members, size, overflowing.contains(&base));
        Some(FillLevel { set: part.name.to_owned(), members, size, state })
    };
    own.filter_map(level).collect()
}

fn size(part: &OutlinePart<'_>) -> Option<usize> {
    part.statements().iter().find_map(|s| s.strip_prefix("size ")?.parse().ok())
}

/// The kernel counts members that have ended until it sweeps them, and nft does not list them: so a set
/// that turned somebody away a moment ago is full with fewer.
const fn state(members: usize, size: usize, is_overflowing: bool) -> Fullness {
    let is_near = members.saturating_mul(10) >= size.saturating_mul(9);
    match (is_near, members >= size || is_overflowing) {
        (true, true) => Fullness::Full,
        (true, false) => Fullness::NearlyFull,
        (false, _) => Fullness::Room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing with `members` sources in a limit's set, of 100, and something in the set for the rest.
    fn table(name: &str, members: usize, rest: &str) -> String {
        let all: Vec<String> = (0..members)
            .map(|n| {
                format!("10.0.0.{n} limit rate over 12/minute burst 6 packets expires 59s964ms")
            })
            .collect();
        format!(
            "table inet portolan {{\n\tset {name} {{\n\t\ttype ipv4_addr\n\t\tsize 100\n\t\tflags dynamic,timeout\n\
             \t\ttimeout 1m\n\t\telements = {{ {} }}\n\t}}\n\tset limit-ssh-rest {{\n\t\ttype inet_proto\n\
             \t\tsize 256\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n{rest}\t}}\n\
             \tset mine {{\n\t\ttype ipv4_addr\n\t\telements = {{ 10.0.0.1 }}\n\t}}\n}}\n",
            all.join(",\n\t\t\t     ")
        )
    }

    fn told(name: &str, members: usize, rest: &str) -> (Fullness, String) {
        let levels = fill_levels(&table(name, members, rest));
        assert_eq!((levels.len(), levels[0].members, levels[0].size), (1, members, 100));
        (levels[0].state, levels[0].to_string())
    }

    const REST_IN_USE: &str =
        "\t\telements = { tcp limit rate over 1200/minute burst 600 packets expires 1m }\n";

    #[test]
    fn a_full_set_of_a_limit_is_told_with_what_follows() {
        let (state, words) = told("limit-ssh-v4", 100, "");
        assert_eq!(state, Fullness::Full);
        assert_eq!(
            words,
            "the set limit-ssh-v4 is full, 100 of 100: sources that are not in it share one limit, a hundred \
             times as large"
        );
        assert_eq!(told("limit-ssh-v4", 99, "").0, Fullness::NearlyFull);
        assert_eq!(told("limit-ssh-v4", 90, "").0, Fullness::NearlyFull);
        assert_eq!(told("limit-ssh-v4", 89, "").0, Fullness::Room);
        assert!(told("door-vpn-v4", 100, "").1.ends_with("nobody new is let in by knocking"));
    }

    #[test]
    fn a_set_that_turned_somebody_away_is_full_with_members_that_have_ended() {
        assert_eq!(told("limit-ssh-v4", 95, REST_IN_USE).0, Fullness::Full);
        assert_eq!(
            told("limit-ssh-v4", 3, REST_IN_USE).0,
            Fullness::Room,
            "it was the other family"
        );
        assert_eq!(told("limit-web-v4", 95, REST_IN_USE).0, Fullness::NearlyFull);
    }

    #[test]
    fn what_is_not_our_table_has_no_sets() {
        assert_eq!(fill_levels("table ip other {\n}\n"), []);
        assert_eq!(fill_levels("table inet portolan { set x {"), []);
        let text = table("limit-ssh-v4", 3, REST_IN_USE);
        for end in 0..text.len() {
            let _ = fill_levels(&text[..end]);
        }
    }
}
