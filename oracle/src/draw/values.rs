//! Values as rules write them, and those on both sides of their edges.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use portolan_core::net::Prefix;

use crate::chance::Chance;

/// How a value is written, and values in and around it, the first one inside.
pub(super) type Spec<T> = (String, Vec<T>);

/// Ports that many rules name.
pub(super) const PORTS: &[u16] = &[0, 22, 53, 80, 81, 443, 1024, 8080, 8443, 65535];

/// Networks that do not touch each other.
pub(super) const NETWORKS4: &[&str] = &[
    "10.0.3.0/24",
    "10.0.4.0/23",
    "192.168.7.0/25",
    "203.0.113.0/24",
    "198.51.100.64/26",
    "1.2.3.4/32",
    "172.17.0.0/24",
    "10.9.0.16/28",
    "64.0.0.0/3",
];
pub(super) const NETWORKS6: &[&str] = &[
    "fd00:a::/64",
    "fd00:b::3:0/112",
    "2001:db8:5::/48",
    "2001:db8:6::/47",
    "2001:db8:9::9/128",
    "fd00:17::40/122",
    "2400::/12",
];
/// The firewall's own.
pub(super) const OWN4: &[&str] = &["10.0.0.1", "192.168.7.1", "10.9.0.1", "172.17.0.1"];
pub(super) const OWN6: &[&str] = &["fd00:a::1", "fd00:b::1", "2001:db8:9::1", "fd00:17::1"];
/// Behind it.
pub(super) const FAR4: &[&str] = &["172.17.0.5", "172.17.0.6", "10.9.0.17", "8.8.8.8", "10.0.3.9"];
pub(super) const FAR6: &[&str] =
    &["fd00:17::41", "2001:db8:9::9", "2400:cafe::1", "2001:db8:9::77", "fd00:b::3:8"];

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address of our own table")
}

/// A number that is compared: `22`, `!= 22`, `< 22`, `22-80`, `{ 22, 80-90 }`.
pub(super) fn number(chance: &mut Chance, pool: &[u32], max: u32) -> Spec<u32> {
    let near = |n: u32| [n, n.saturating_sub(1), n.saturating_add(1).min(max)];
    let first = *chance.pick(pool);
    match chance.below(10) {
        0..3 => (format!("{first}"), near(first).to_vec()),
        3 => (format!("!= {first}"), [near(first)[2], first, near(first)[1]].to_vec()),
        4 => {
            let word = *chance.pick(&["<", "<=", ">", ">="]);
            let bound = first.clamp(1, max - 1);
            (format!("{word} {bound}"), near(bound).to_vec())
        }
        5 | 6 => {
            let (low, high) = span(chance, pool, max);
            let not = if chance.percent(30) { "!= " } else { "" };
            let around =
                [low, high, low.saturating_sub(1), (high + 1).min(max), low / 2 + high / 2];
            (format!("{not}{low}-{high}"), around.to_vec())
        }
        _ => {
            let (elements, around) = several(chance, pool, max);
            let not = if chance.percent(30) { "!= " } else { "" };
            (format!("{not}{{ {} }}", elements.join(", ")), around)
        }
    }
}

fn span(chance: &mut Chance, pool: &[u32], max: u32) -> (u32, u32) {
    let low = (*chance.pick(pool)).min(max - 2);
    let width = chance.between(1, 40.min(max - low));
    (low, low + width)
}

/// Members of a set that do not touch, and values in and around them.
pub(super) fn several(chance: &mut Chance, pool: &[u32], max: u32) -> (Vec<String>, Vec<u32>) {
    let mut starts: Vec<u32> = (0..1 + chance.below(4)).map(|_| *chance.pick(pool)).collect();
    starts.sort_unstable();
    starts.dedup();
    let (mut elements, mut around) = (Vec::new(), Vec::new());
    for (at, low) in starts.iter().enumerate() {
        let next = starts.get(at + 1).copied().unwrap_or(max);
        let room = next.saturating_sub(low + 2).min(30);
        let high =
            if room > 1 && chance.percent(40) { low + chance.between(1, room - 1) } else { *low };
        let text = if high > *low { format!("{low}-{high}") } else { low.to_string() };
        elements.push(text);
        around.extend([*low, high, low.saturating_sub(1), (high + 1).min(max)]);
    }
    (elements, around)
}

/// An address that is compared.
pub(super) fn place(chance: &mut Chance, is_v6: bool) -> Spec<IpAddr> {
    let not = if chance.percent(25) { "!= " } else { "" };
    let all = if is_v6 { NETWORKS6 } else { NETWORKS4 };
    let own = if is_v6 { OWN6 } else { OWN4 };
    match chance.below(10) {
        0..2 => {
            let one = *chance.pick(own);
            (format!("{not}{one}"), around(address(one), address(one)))
        }
        2..6 => {
            let network = *chance.pick(all);
            (format!("{not}{network}"), edges(network))
        }
        6 | 7 => {
            let (low, high) = bounds(chance.word(all));
            let (low, high) = (shift(low, 1), shift(high, 5));
            if low >= high {
                return (format!("{not}{low}"), around(low, low));
            }
            (format!("{not}{low}-{high}"), around(low, high))
        }
        _ => {
            let (elements, values) = places(chance, is_v6);
            (format!("{not}{{ {} }}", elements.join(", ")), values)
        }
    }
}

/// Members of a set of networks.
pub(super) fn places(chance: &mut Chance, is_v6: bool) -> (Vec<String>, Vec<IpAddr>) {
    let all = if is_v6 { NETWORKS6 } else { NETWORKS4 };
    let mut chosen: Vec<&str> = (0..1 + chance.below(4)).map(|_| *chance.pick(all)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    let values = chosen.iter().flat_map(|network| edges(network)).collect();
    (chosen.into_iter().map(str::to_owned).collect(), values)
}

/// Members of a set of single addresses.
pub(super) fn single_places(chance: &mut Chance, is_v6: bool) -> (Vec<String>, Vec<IpAddr>) {
    let (networks, _) = places(chance, is_v6);
    let low = networks.iter().map(|network| bounds(network).0);
    let all: Vec<IpAddr> = low.map(|address| shift(address, 1)).collect();
    let text = all.iter().map(IpAddr::to_string).collect();
    (text, all.iter().flat_map(|a| around(*a, *a)).collect())
}

/// The lowest and highest address of `10.0.0.0/8`.
pub(super) fn bounds(network: &str) -> (IpAddr, IpAddr) {
    let prefix: Prefix = network.parse().expect("a network of our own table");
    let low = prefix.address();
    let high = match low {
        IpAddr::V4(low) => {
            let rest = u32::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
            Ipv4Addr::from(u32::from(low) | rest).into()
        }
        IpAddr::V6(low) => {
            let rest = u128::MAX.checked_shr(prefix.length().into()).unwrap_or(0);
            Ipv6Addr::from(u128::from(low) | rest).into()
        }
    };
    (low, high)
}

fn edges(network: &str) -> Vec<IpAddr> {
    let (low, high) = bounds(network);
    around(low, high)
}

fn around(low: IpAddr, high: IpAddr) -> Vec<IpAddr> {
    vec![low, high, shift(low, -1), shift(high, 1), shift(low, 1)]
}

pub(super) fn shift(address: IpAddr, by: i32) -> IpAddr {
    match address {
        IpAddr::V4(a) => Ipv4Addr::from(u32::from(a).wrapping_add_signed(by)).into(),
        IpAddr::V6(a) => Ipv6Addr::from(u128::from(a).wrapping_add_signed(by.into())).into(),
    }
}

/// Where probes of this version come from, and where they go.
pub(crate) fn usual_ends(is_v6: bool, is_own: bool) -> (Vec<Prefix>, Vec<Prefix>) {
    let (networks, own, far) =
        if is_v6 { (NETWORKS6, OWN6, FAR6) } else { (NETWORKS4, OWN4, FAR4) };
    let prefix = |text: &&str| text.parse().expect("a network of our own table");
    let from = if is_own { own } else { networks };
    let to: Vec<Prefix> = if is_own { vec![] } else { own.iter().map(prefix).collect() };
    (from.iter().map(prefix).collect(), far.iter().map(prefix).chain(to).collect())
}
