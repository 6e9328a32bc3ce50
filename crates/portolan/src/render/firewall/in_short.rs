//! Addresses in few words: a network but for what is missing in it, rather than all the networks left of it.

use portolan_core::firewall::Addresses;
use portolan_core::net::Prefix;

/// Between networks and what is missing in them.
pub(crate) const BUT: &str = " but ";

/// Addresses as few networks, and what is missing in those.
pub(crate) fn in_short(own: &Addresses, is_v6: bool) -> (Vec<Prefix>, Vec<Prefix>) {
    let mut left = own.prefixes(is_v6);
    let (mut networks, mut holes) = (Vec::new(), Vec::new());
    if left.len() > MOST_COVERED {
        return (left, holes);
    }
    while let Some(first) = left.first().copied() {
        let larger = (1..first.length()).rev();
        let larger = larger.filter_map(|length| around(own, &left, first, length));
        let best = larger.max_by_key(|(_, _, spared)| *spared);
        let (network, missing, _) = best.unwrap_or_else(|| (first, Vec::new(), 0));
        let inside = Addresses::of([network]);
        left.retain(|prefix| !inside.meets(&Addresses::of([*prefix])));
        networks.push(network);
        holes.extend(missing);
    }
    (networks, holes)
}

/// A network around a first one, with what it has too much, and how many networks fewer that is; `None` where
/// it is not shorter.
fn around(
    own: &Addresses,
    left: &[Prefix],
    first: Prefix,
    length: u8,
) -> Option<(Prefix, Vec<Prefix>, usize)> {
    let network = Prefix::new(first.address(), length).ok()?;
    let inside = Addresses::of([network]);
    let missing = inside.without(own).prefixes(first.address().is_ipv6());
    let covered = left.iter().filter(|prefix| inside.meets(&Addresses::of([**prefix]))).count();
    let spared = covered.checked_sub(missing.len() + 1).filter(|spared| *spared > 0)?;
    Some((network, missing, spared))
}

/// More networks than this are not looked at for larger ones around them.
const MOST_COVERED: usize = 64;
