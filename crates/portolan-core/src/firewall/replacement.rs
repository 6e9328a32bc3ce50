//! The transaction that puts one table of ours in the place of another.
//!
//! Not `delete table` and make it anew: that registers the base chains again, and of two translations
//! at the same priority the chain that was registered last wins (the kernel calls it first), so that a
//! reload would change who does. And sets that packets fill would lose their elements: open doors, bans.
//!
//! ```text
//! flush table           every rule goes; chains, sets and their elements stay
//! delete map, set       those that a policy fills; packets' own only where they are declared otherwise
//! delete chain, …       those that are no more, and base chains with another hook
//! table … { … }         what is to be; what is there already is left as it is
//! ```
//! nft sends it as one transaction: packets meet the old rules or the new ones.

use std::fmt::Write as _;
use std::time::Duration;

use super::outline::{OUR_TABLE, Outline, OutlinePart, elements, milliseconds};

/// What is to replace what.
#[derive(Clone, Copy, Debug)]
pub struct Replacement<'r> {
    /// What is loaded; `None` where there is no such table. Its elements matter only for sets that
    /// packets fill.
    pub live: Option<&'r Outline<'r>>,
    /// What is to be loaded.
    pub new: &'r Outline<'r>,
    /// Where `new` is what was loaded once, how long ago that was: then its dynamic sets tell of that
    /// time, and what is in them now counts more.
    pub age: Option<Duration>,
}

impl Replacement<'_> {
    /// The transaction, for `nft -f`.
    #[must_use]
    pub fn script(&self) -> String {
        let mut script = format!("add table {OUR_TABLE}\n");
        if let Some(live) = self.live {
            let _ = writeln!(script, "flush table {OUR_TABLE}");
            // A map names chains or objects, which can go only after it.
            for rank in 0..=3 {
                let gone = live.parts.iter().filter(|p| rank_of(p) == rank && !self.stays(p));
                for part in gone {
                    let _ = writeln!(script, "delete {} {OUR_TABLE} {}", part.kind, part.name);
                }
            }
        }
        let _ = writeln!(script, "table {OUR_TABLE} {{");
        for part in &self.new.parts {
            self.write(part, &mut script);
        }
        script.push_str("}\n");
        script
    }

    /// Whether a part that is loaded is not made anew.
    fn stays(&self, live: &OutlinePart<'_>) -> bool {
        let Some(new) = self.new.part(live.kind, live.name) else { return false };
        match live.kind {
            "chain" => live.hook() == new.hook(),
            "set" | "map" => {
                let is_filled = live.is_dynamic() && new.is_dynamic();
                is_filled && live.declaration() == new.declaration()
            }
            // Counters and quotas count on; what else there is says the same or not.
            "counter" | "quota" => true,
            _ => live.declaration() == new.declaration(),
        }
    }

    fn write(&self, part: &OutlinePart<'_>, script: &mut String) {
        let live = self.live.and_then(|live| live.part(part.kind, part.name));
        let stays = live.is_some_and(|live| self.stays(live));
        if stays && !matches!(part.kind, "chain" | "set" | "map") {
            return;
        }
        let _ = writeln!(script, "\t{} {} {{", part.kind, part.name);
        for text in part.body {
            script.push_str(text);
        }
        let elements = self.elements(part, live.filter(|_| !stays), stays);
        if !elements.is_empty() {
            let _ = writeln!(script, "\n\t\telements = {{ {} }}", elements.join(", "));
        }
        script.push_str("\n\t}\n");
    }

    /// What a set is to hold when it is made. `moved` is the set that packets filled and that has to go
    /// because it is declared otherwise now.
    fn elements(
        &self,
        part: &OutlinePart<'_>,
        moved: Option<&OutlinePart<'_>>,
        stays: bool,
    ) -> Vec<String> {
        let own = elements(part.elements.unwrap_or_default());
        if !part.is_dynamic() {
            return own.into_iter().map(str::to_owned).collect();
        }
        let is_kin = |live: &&OutlinePart<'_>| {
            live.is_dynamic() && live.element_type() == part.element_type()
        };
        if let Some(live) = moved.filter(is_kin) {
            let live = elements(live.elements.unwrap_or_default());
            return live.into_iter().map(str::to_owned).collect();
        }
        match self.age {
            // What packets filled it with until now is still there.
            Some(_) if stays => Vec::new(),
            Some(age) => own.into_iter().filter_map(|element| aged(element, age)).collect(),
            None => own.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// The transaction that leaves no table of ours.
#[must_use]
pub fn removal() -> String {
    format!("add table {OUR_TABLE}\ndelete table {OUR_TABLE}\n")
}

/// Order in which parts are deleted.
fn rank_of(part: &OutlinePart<'_>) -> u8 {
    match part.kind {
        "map" => 0,
        "set" => 1,
        "chain" => 2,
        _ => 3,
    }
}

/// An element as it is `age` after it was listed; `None` where its time is over.
fn aged(element: &str, age: Duration) -> Option<String> {
    let Some((before, rest)) = element.split_once(" expires ") else {
        return Some(element.to_owned());
    };
    let (expires, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let left = milliseconds(expires)?.checked_sub(u64::try_from(age.as_millis()).ok()?)?;
    if left == 0 {
        return None;
    }
    let after = if after.is_empty() { String::new() } else { format!(" {after}") };
    Some(format!("{before} expires {left}ms{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "table inet portolan {
	set door {
		type ipv4_addr
		flags dynamic,timeout
		timeout 30s
		elements = { 192.0.2.1 expires 9s }
	}
	set web { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }; }
	map d { type inet_service : verdict; elements = { 22 : jump old }; }
	chain old { accept; }
	chain input { type filter hook input priority filter - 5; policy accept; tcp dport vmap @d; }
	chain pre { type nat hook prerouting priority -110; policy accept; }
}";

    fn between(old: &str, new: &str, age: Option<Duration>) -> String {
        let (old, new) = (Outline::parse(old).unwrap(), Outline::parse(new).unwrap());
        Replacement { live: Some(&old), new: &new, age }.script()
    }

    fn lines<'s>(script: &'s str, start: &str) -> Vec<&'s str> {
        script.lines().filter(|line| line.starts_with(start)).collect()
    }

    #[test]
    fn chains_with_the_same_hook_are_not_registered_again() {
        let script = between(OLD, &OLD.replace("-110", "-100"), None);
        let expected = [
            "delete map inet portolan d",
            "delete set inet portolan web",
            "delete chain inet portolan pre",
        ];
        assert_eq!(lines(&script, "delete"), expected);
    }

    #[test]
    fn what_is_no_more_goes_after_what_names_it() {
        let new = "table inet portolan { chain input { type filter hook input priority -5; }; }";
        let script = between(OLD, new, None);
        let gone: Vec<&str> =
            lines(&script, "delete").iter().filter_map(|l| l.rsplit(' ').next()).collect();
        assert_eq!(gone, ["d", "door", "web", "old", "pre"]);
    }

    #[test]
    fn a_set_that_packets_fill_moves_where_it_is_declared_otherwise() {
        let script = between(OLD, &OLD.replace("timeout 30s", "timeout 60s"), None);
        assert!(script.contains("delete set inet portolan door"), "{script}");
        assert!(script.contains("elements = { 192.0.2.1 expires 9s }"), "{script}");
        // Of another type there is nothing that could be kept.
        let other =
            OLD.replace("type ipv4_addr\n", "type ipv6_addr\n").replace("192.0.2.1 expires 9s", "");
        assert!(!between(OLD, &other, None).contains("192.0.2.1"));
    }

    #[test]
    fn what_was_kept_does_not_open_a_door_again_that_has_closed() {
        let age = |seconds| Some(Duration::from_secs(seconds));
        assert!(!between(OLD, OLD, age(1)).contains("192.0.2.1"), "the live one counts");
        let without = "table inet portolan { chain x { }; }";
        assert!(between(without, OLD, age(4)).contains("192.0.2.1 expires 5000ms"));
        assert!(!between(without, OLD, age(9)).contains("192.0.2.1"));
    }

    #[test]
    fn a_table_that_is_not_there_is_only_made() {
        let new = Outline::parse(OLD).unwrap();
        let script = Replacement { live: None, new: &new, age: None }.script();
        assert!(!script.contains("flush") && !script.contains("delete"), "{script}");
        assert!(script.contains("elements = { 22 : jump old }"), "{script}");
    }
}
