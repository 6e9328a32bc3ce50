//! The hosts of a scan: addresses and networks of both families, some left out.

use std::net::IpAddr;

/// Addresses, each at a fixed place: nothing is listed out, so a large network takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetSet {
    addresses: Vec<IpAddr>,
}

impl TargetSet {
    /// How many addresses there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.addresses.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address at `place`, below `len`.
    #[must_use]
    pub fn nth(&self, place: u64) -> Option<IpAddr> {
        self.addresses.get(usize::try_from(place).ok()?).copied()
    }
}

impl FromIterator<IpAddr> for TargetSet {
    fn from_iter<I: IntoIterator<Item = IpAddr>>(addresses: I) -> Self {
        Self { addresses: addresses.into_iter().collect() }
    }
}
