//! The values that fields have among packets: rules for others are left out before anything is built for
//! them, which with many rules for other protocols, ports and networks is most of the work.

use crate::firewall::analyse::evaluate::InField;
use crate::firewall::analyse::space::Space;
use crate::firewall::bdd::{Bits, Region, Undecided};

/// The ranges of some fields in which packets are; a field of which nothing is said may be anything.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(Bits, Vec<(u128, u128)>)>);

/// So many ranges are worth looking through for every rule.
const MOST_RANGES: usize = 32;

impl Values {
    pub(super) fn of(space: &mut Space, packets: Region) -> Result<Self, Undecided> {
        let layout = space.layout;
        let packets = space.bounds(packets)?;
        let mut fields = Vec::new();
        for bits in [layout.protocol, layout.destination_port, layout.destination, layout.source] {
            let there = space.projected(packets, &[bits])?;
            let parts = space.bdd.split(there, bits, MOST_RANGES);
            fields.extend(parts.into_iter().flatten().map(|part| (bits, part.values)));
        }
        Ok(Self(fields))
    }

    /// Whether some packet can have what a match wants.
    pub(super) fn meet(&self, wanted: &InField) -> bool {
        let known = self.0.iter().find(|(bits, _)| *bits == wanted.bits);
        known.is_none_or(|(_, known)| {
            let is_known =
                |range: &(u128, u128)| known.iter().any(|at| at.0 <= range.1 && range.0 <= at.1);
            wanted.ranges.iter().any(is_known)
        })
    }
}
