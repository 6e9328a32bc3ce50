//! Which targets are one's own by their address alone, and which belong to somebody else.

use super::{AddressRange, TargetSet};
use crate::net::Prefix;

/// The first addresses that are neither private nor in `ours`; `None` when all are.
///
/// Private is what the Internet does not route: RFC 1918, unique local (RFC 4193), shared address
/// space (RFC 6598), link-local and loopback.
#[must_use]
pub fn public_part(
    targets: &TargetSet,
    ours: impl IntoIterator<Item = Prefix>,
) -> Option<AddressRange> {
    let private = PRIVATE.iter().map(|text| text.parse().expect("the table is well formed"));
    let spared = private.chain(ours).map(AddressRange::from);
    // A part of a set is no larger than the set.
    let rest = TargetSet::new(targets.ranges(), spared).unwrap_or_default();
    rest.ranges().next()
}

const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "fc00::/7",
    "fe80::/10",
    "::1",
];

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn first_public(words: &[&str], ours: &[&str]) -> Option<String> {
        let ranges = words.iter().flat_map(|word| match Target::parse(word) {
            Ok(Target::Addresses { ranges, .. }) => ranges,
            other => panic!("{other:?}"),
        });
        let targets = TargetSet::new(ranges, []).unwrap();
        let ours = ours.iter().map(|text| text.parse::<Prefix>().unwrap());
        public_part(&targets, ours).map(|r| r.to_string())
    }

    #[test]
    fn what_the_internet_does_not_route_is_private() {
        let all =
            ["10.0.0.0/8", "192.168.1.1", "100.64.0.1", "fe80::1", "fd00::1", "::1", "127.9.9.9"];
        assert_eq!(first_public(&all, &[]), None);
        assert_eq!(first_public(&["10.255.255.0-11.0.0.9"], &[]).unwrap(), "11.0.0.0-11.0.0.9");
        assert_eq!(first_public(&["2001:db8::1"], &[]).unwrap(), "2001:db8::1");
    }

    #[test]
    fn networks_of_ours_are_fine_whatever_their_addresses() {
        let ours = ["203.0.113.0/24"];
        assert_eq!(first_public(&["203.0.113.7", "203.0.113.128/25"], &ours), None);
        assert_eq!(first_public(&["203.0.112.0/23"], &ours).unwrap(), "203.0.112.0/24");
    }
}
