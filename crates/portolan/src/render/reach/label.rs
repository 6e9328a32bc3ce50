//! Names for senders: `any`, `any but 10.0.0.0/8`, `office`, `10.0.0.0/8 and 2 more networks`.

use std::net::Ipv6Addr;

use portolan_core::firewall::Addresses;
use portolan_core::net::Prefix;
use portolan_core::reach::{Answer, Group, PortReach, Reached, SOME_INTERFACE, Whence};

/// The senders of some groups of a source, as one phrase; with the interface they come by where others
/// with the same addresses meet with something else.
pub(super) fn label(reached: &Reached, groups: &[&Group], names: &[(String, Addresses)]) -> String {
    let who = senders(reached, groups, names);
    match by_interface(reached, groups) {
        Some(by) => format!("{who} by {by}"),
        None => who,
    }
}

/// The interfaces of some groups, where those tell them from the other groups.
fn by_interface(reached: &Reached, groups: &[&Group]) -> Option<String> {
    let is_among = |other: &Group| groups.iter().any(|group| std::ptr::eq(*group, other));
    let mut others = reached.groups.iter().filter(|other| other.has_way() && !is_among(other));
    let is_shared = others.any(|other| {
        let is_elsewhere = |group: &&Group| group.interface != other.interface;
        groups.iter().filter(|g| is_elsewhere(g)).any(|g| g.senders.meets(&other.senders))
    });
    if !is_shared {
        return None;
    }
    let mut names: Vec<&str> = groups.iter().filter_map(|g| g.interface.as_deref()).collect();
    names.sort_unstable();
    names.dedup();
    let told = |name: &str| match name {
        SOME_INTERFACE => "any interface no rule names".to_owned(),
        name => name.to_owned(),
    };
    Some(names.into_iter().map(told).collect::<Vec<_>>().join(", "))
}

fn senders(reached: &Reached, groups: &[&Group], names: &[(String, Addresses)]) -> String {
    let name = &reached.source.name;
    if reached.source.whence == Whence::Here {
        return with_families(name, reached, groups);
    }
    let own = union(groups.iter().copied());
    let all = union(reached.groups.iter().filter(|group| group.has_way()));
    let inner = groups.iter().all(|group| group.has_way());
    if own == all || !inner {
        return with_families(name, reached, groups);
    }
    let families = [false, true].map(|is_v6| (own.family(is_v6), all.family(is_v6), is_v6));
    let mut parts = Vec::new();
    for (own, all, is_v6) in families {
        if own.is_empty() {
            continue;
        }
        let part = part(name, &own, &all, is_v6, names);
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join(", ")
}

fn part(
    name: &str,
    own: &Addresses,
    all: &Addresses,
    is_v6: bool,
    names: &[(String, Addresses)],
) -> String {
    let family = family(is_v6, own);
    if own == all {
        return format!("{name} ({family})");
    }
    if let Some((network, _)) = names.iter().find(|(_, inside)| inside.family(is_v6) == *own) {
        return network.clone();
    }
    let (inside, outside) = (own.prefixes(is_v6), all.without(own).prefixes(is_v6));
    if inside.len() <= outside.len() {
        return listed(&inside);
    }
    format!("{name} ({family}) but {}", listed(&outside))
}

fn listed(prefixes: &[Prefix]) -> String {
    let shown: Vec<String> = prefixes.iter().take(SHOWN).map(Prefix::to_string).collect();
    match prefixes.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more networks", shown.join(", ")),
    }
}

/// The name, with the family where only one of two is meant.
fn with_families(name: &str, reached: &Reached, groups: &[&Group]) -> String {
    let has = |groups: &[&Group], is_v6| groups.iter().any(|group| group.is_v6 == is_v6);
    let all: Vec<&Group> = reached.groups.iter().filter(|group| group.has_way()).collect();
    let is_both = has(&all, false) && has(&all, true);
    let of = |is_v6| family(is_v6, &union(groups.iter().copied()).family(is_v6));
    match (is_both, has(groups, false), has(groups, true)) {
        (true, true, false) => format!("{name} ({})", of(false)),
        (true, false, true) => format!("{name} ({})", of(true)),
        _ => name.to_owned(),
    }
}

/// A family in words; whether it is only those on a link that are meant.
fn family(is_v6: bool, own: &Addresses) -> &'static str {
    let link = Prefix::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
    let is_of_link = || link.is_ok_and(|link| own.without(&Addresses::of([link])).is_empty());
    match is_v6 {
        false => "IPv4",
        true if !own.is_empty() && is_of_link() => "IPv6 of the link",
        true => "IPv6",
    }
}

fn union<'a>(groups: impl Iterator<Item = &'a Group>) -> Addresses {
    groups.fold(Addresses::NONE, |all, group| all.with(&group.senders))
}

/// What becomes of a source, a line for each part of it that meets with something else: who, whether, and
/// by what.
pub(crate) fn fates(
    reached: &Reached,
    names: &[(String, Addresses)],
) -> Vec<(String, Answer, String)> {
    let mut fates = by_port_fates(reached, names);
    fates.extend(reached.straight.iter().map(|group| {
        let to = group.behind().unwrap_or_default();
        let by = format!("straight to {to}, not by the port; {}", group.by);
        (neighbours(reached, group, names), group.answer, by)
    }));
    fates
}

fn by_port_fates(
    reached: &Reached,
    names: &[(String, Addresses)],
) -> Vec<(String, Answer, String)> {
    let has_way = reached.groups.iter().any(Group::has_way);
    let told: Vec<&Group> = reached.groups.iter().filter(|g| !has_way || g.has_way()).collect();
    let Some(first) = told.first() else { return Vec::new() };
    if reached.answer != Answer::Depends {
        let decisive = told.iter().find(|group| group.answer == reached.answer).unwrap_or(first);
        return vec![(reached.source.name.clone(), reached.answer, decisive.by.to_string())];
    }
    let mut fates: Vec<(Vec<&Group>, Answer, String)> = Vec::new();
    for group in told {
        let by = group.by.to_string();
        match fates.iter_mut().find(|(_, answer, known)| *answer == group.answer && *known == by) {
            Some((groups, _, _)) => groups.push(group),
            None => fates.push((vec![group], group.answer, by)),
        }
    }
    let told = |(groups, answer, by): (Vec<&Group>, Answer, String)| {
        (label(reached, &groups, names), answer, by)
    };
    fates.into_iter().map(told).collect()
}

/// Who reaches a port, in a few words for a column: of everybody else those who do, else this machine;
/// and those who get to what stands behind it.
pub(crate) fn summary(reach: &PortReach, names: &[(String, Addresses)]) -> String {
    let by_port = by_port(reach, names);
    let mut behind: Vec<String> = reach
        .sources
        .iter()
        .flat_map(|reached| reached.straight.iter().map(|group| neighbours(reached, group, names)))
        .collect();
    behind.sort();
    behind.dedup();
    match behind.is_empty() {
        true => by_port,
        false => format!("{by_port}; {} behind it", behind.join(", ")),
    }
}

/// Those of a source who get behind a port.
fn neighbours(reached: &Reached, group: &Group, names: &[(String, Addresses)]) -> String {
    let all = reached.groups.iter().filter(|other| other.is_v6 == group.is_v6);
    part(&reached.source.name, &group.senders, &union(all), group.is_v6, names)
}

fn by_port(reach: &PortReach, names: &[(String, Addresses)]) -> String {
    let outside = reach.sources.iter().find(|r| r.source.whence != Whence::Here);
    let of = |wanted: Answer| -> Option<String> {
        let reached = outside?;
        let groups: Vec<&Group> = reached.groups.iter().filter(|g| g.answer == wanted).collect();
        (!groups.is_empty()).then(|| label(reached, &groups, names))
    };
    if let Some(who) = of(Answer::Yes) {
        return who;
    }
    if let Some(who) = of(Answer::Depends) {
        return format!("{who}, perhaps");
    }
    if let Some(who) = of(Answer::Unknown) {
        return format!("{who}, unless filtered");
    }
    let here = reach.sources.iter().find(|r| r.source.whence == Whence::Here);
    match here.map(|reached| reached.answer) {
        Some(Answer::No) => "nobody".to_owned(),
        _ => "this machine".to_owned(),
    }
}

/// More networks than this are counted.
const SHOWN: usize = 3;
