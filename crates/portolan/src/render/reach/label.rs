//! Names for senders: `any`, `any but 10.0.0.0/8`, `office`, `10.0.0.0/8 and 2 more networks`.

use std::net::Ipv6Addr;

use portolan_core::firewall::Addresses;
use portolan_core::net::Prefix;
use portolan_core::reach::{Answer, By, Group, PortReach, Reached, SOME_INTERFACE, Whence};

use crate::render::firewall::in_short::{BUT, in_short};

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
    let Whence::Outside { addresses: asked, .. } = &reached.source.whence else {
        return with_families(name, reached, groups);
    };
    let own = union(groups.iter().copied());
    let all = union(reached.groups.iter().filter(|group| group.has_way()));
    let inner = groups.iter().all(|group| group.has_way());
    // Those of whom no way leads here are not told among those who get in; refused they are all the same.
    let is_no = groups.iter().all(|group| group.answer == Answer::No);
    let is_all = own == all && (is_no || is_whole(&all, asked, reached));
    if is_all || !inner {
        return with_families(name, reached, groups);
    }
    let mut parts = Vec::new();
    for is_v6 in [false, true] {
        let [own, all, asked] = [&own, &all, asked].map(|addresses| addresses.family(is_v6));
        if own.is_empty() {
            continue;
        }
        let asked = if is_no && own == all { all.clone() } else { asked };
        let senders = Part { own: &own, all: &all, asked: &asked, is_v6 };
        let part = part(name, senders, names);
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    let is_long = parts.iter().any(|part| part.contains(BUT));
    parts.join(if is_long { "; " } else { ", " })
}

/// Whether those of whom a way leads here are all that were asked about; a family of which there are none
/// but those on a link is not missed beside the other, unless it is only a route that is missing.
fn is_whole(all: &Addresses, asked: &Addresses, reached: &Reached) -> bool {
    let [v4, v6] = [false, true].map(|is_v6| (all.family(is_v6), asked.family(is_v6)));
    let is_full = |(all, asked): &(Addresses, Addresses)| lacks_nobody(all, asked);
    let is_beside = |(all, _): &(Addresses, Addresses), is_v6| {
        all.without(&of_link()).is_empty() && !is_cut_off(reached, is_v6)
    };
    is_full(&v4) && (is_full(&v6) || is_beside(&v6, true)) || is_full(&v6) && is_beside(&v4, false)
}

/// Whether all who were asked about are there; where nobody is on a link, those are not missed.
fn lacks_nobody(all: &Addresses, asked: &Addresses) -> bool {
    let link = of_link();
    all == asked || !all.meets(&link) && *all == asked.without(&link)
}

/// Whether this machine has addresses of a family, and no route leads back to anybody of it beyond a link.
pub(super) fn is_cut_off(reached: &Reached, is_v6: bool) -> bool {
    let of_family = || reached.groups.iter().filter(|group| group.is_v6 == is_v6);
    let is_far = |group: &&Group| !group.senders.without(&of_link()).is_empty();
    of_family().filter(is_far).any(|group| group.by == By::NoRoute)
        && !of_family().filter(is_far).any(Group::has_way)
}

/// The addresses of links.
fn of_link() -> Addresses {
    let link = Prefix::new(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0).into(), 10);
    link.map(|link| Addresses::of([link])).unwrap_or_default()
}

/// Some senders of a family.
#[derive(Clone, Copy)]
struct Part<'a> {
    own: &'a Addresses,
    /// Those of whom a way leads here.
    all: &'a Addresses,
    /// Those who were asked about.
    asked: &'a Addresses,
    is_v6: bool,
}

fn part(name: &str, senders: Part<'_>, names: &[(String, Addresses)]) -> String {
    let Part { own, all, asked, is_v6 } = senders;
    let family = family(is_v6, own);
    let is_full = lacks_nobody(all, asked) || all.without(&of_link()).is_empty();
    if own == all && is_full {
        return format!("{name} ({family})");
    }
    if let Some((network, _)) = names.iter().find(|(_, inside)| inside.family(is_v6) == *own) {
        return network.clone();
    }
    let (inside, holes) = in_short(own, is_v6);
    if own == all && inside.len() + holes.len() > SHOWN {
        return format!("{name} with a way here ({family})");
    }
    let outside = all.without(own).prefixes(is_v6);
    if !is_full || inside.len() + holes.len() <= outside.len() {
        return match holes.is_empty() {
            true => listed(&inside),
            false => format!("{}{BUT}{}", listed(&inside), listed(&holes)),
        };
    }
    format!("{name} ({family}){BUT}{}", listed(&outside))
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
    let is_asked = |is_v6| has(&all, is_v6) || is_cut_off(reached, is_v6);
    let is_both = !all.is_empty() && is_asked(false) && is_asked(true);
    let of = |is_v6| family(is_v6, &union(groups.iter().copied()).family(is_v6));
    match (is_both, has(groups, false), has(groups, true)) {
        (true, true, false) => format!("{name} ({})", of(false)),
        (true, false, true) => format!("{name} ({})", of(true)),
        _ => name.to_owned(),
    }
}

/// A family in words; whether it is only those on a link that are meant.
fn family(is_v6: bool, own: &Addresses) -> &'static str {
    match is_v6 {
        false => "IPv4",
        true if !own.is_empty() && own.without(&of_link()).is_empty() => "IPv6 of the link",
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
    let all = union(all);
    let senders = Part { own: &group.senders, all: &all, asked: &all, is_v6: group.is_v6 };
    part(&reached.source.name, senders, names)
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

#[cfg(test)]
mod tests {
    use portolan_core::reach::Source;

    use super::*;

    fn group(answer: Answer, by: By, prefixes: &[&str]) -> Group {
        let networks: Vec<Prefix> = prefixes.iter().map(|text| text.parse().unwrap()).collect();
        let (senders, is_v6) = (Addresses::of(networks.clone()), networks[0].address().is_ipv6());
        let interface = Some("eth0".into());
        Group { answer, senders, interface, ..Group::closed(by, is_v6) }
    }

    fn reached(groups: Vec<Group>) -> Reached {
        let source = Source::any();
        Reached { source, answer: Answer::Depends, groups, straight: Vec::new() }
    }

    fn told(reached: &Reached, answer: Answer) -> String {
        let groups: Vec<&Group> = reached.groups.iter().filter(|g| g.answer == answer).collect();
        label(reached, &groups, &[])
    }

    #[test]
    fn where_no_way_leads_to_most_only_the_networks_that_get_in_are_named() {
        let lan = Addresses::of(["10.91.0.0/24".parse::<Prefix>().unwrap()]);
        let banned = Addresses::of(["10.91.0.3".parse::<Prefix>().unwrap()]);
        let mut lets = group(Answer::Yes, By::Unfiltered, &["10.91.0.0/24"]);
        lets.senders = lan.without(&banned);
        let other = group(Answer::Yes, By::Unfiltered, &["10.92.0.0/24"]);
        let no = group(Answer::No, By::Martian, &["10.91.0.3", "10.93.0.0/24"]);
        let far = group(Answer::No, By::NoRoute, &["1.0.0.0/8", "8.0.0.0/7"]);
        let all = reached(vec![lets, other.clone(), no, far.clone()]);
        assert_eq!(told(&all, Answer::Yes), "10.91.0.0/24, 10.92.0.0/24 but 10.91.0.3");
        // All of whom a way leads here are not everybody.
        let all = reached(vec![other, far]);
        assert_eq!(told(&all, Answer::Yes), "10.92.0.0/24");
    }

    #[test]
    fn where_a_way_leads_to_all_they_are_told_by_who_is_missing() {
        let whole = Source::any();
        let Whence::Outside { addresses, .. } = &whole.whence else { panic!("any is outside") };
        let banned = Addresses::of(["8.8.8.8".parse::<Prefix>().unwrap()]);
        let mut lets = group(Answer::Yes, By::Unfiltered, &["1.0.0.0/8"]);
        lets.senders = addresses.family(false).without(&banned);
        let all = reached(vec![lets.clone(), group(Answer::No, By::Martian, &["8.8.8.8"])]);
        assert_eq!(told(&all, Answer::Yes), "any (IPv4) but 8.8.8.8");
        assert_eq!(told(&all, Answer::No), "8.8.8.8");
        lets.senders = addresses.family(false);
        let link = group(Answer::Yes, By::Unfiltered, &["fe80::/10"]);
        assert_eq!(told(&reached(vec![lets.clone(), link.clone()]), Answer::Yes), "any");
        // It has an address of IPv6, and no route leads back to anybody.
        let cut_off = group(Answer::No, By::NoRoute, &["2000::/3", "fc00::/7"]);
        let all = reached(vec![lets.clone(), cut_off.clone()]);
        assert_eq!(told(&all, Answer::Yes), "any (IPv4)");
        assert_eq!(told(&all, Answer::No), "any (IPv6)");
        let all = reached(vec![lets, link, cut_off]);
        assert_eq!(told(&all, Answer::Yes), "any (IPv4), any (IPv6 of the link)");
    }
}
