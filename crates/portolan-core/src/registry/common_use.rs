//! What is commonly seen on a port, which is often not what IANA assigned it for.
//!
//! 9200 is registered as wap-wsp and is Elasticsearch nearly everywhere. The rows are default ports
//! of well-known products (`data/common-uses.tsv`); a row says what may be there, never what is.

use crate::net::{Port, TransportSet};
use crate::registry::iana::transport_of;
use crate::registry::table::{self, Table};

/// A product whose default port this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommonUse {
    /// The port.
    pub port: Port,
    /// The transports it is used with.
    pub transports: TransportSet,
    /// The product, and which part of it where it has several.
    pub product: &'static str,
    /// What kind of thing it is: `database`, `monitoring`, …
    pub kind: &'static str,
}

impl CommonUse {
    fn from_row(row: &'static str) -> Option<Self> {
        let [port, letters, product, kind] = table::cells(row);
        let transports = letters.chars().filter_map(transport_of).collect();
        Some(Self { port: port.parse().ok()?, transports, product, kind })
    }
}

const TABLE: Table<'static> = Table::new(include_str!("../../../../data/common-uses.tsv"));

/// The common uses of one port.
pub(super) fn at(port: Port) -> impl Iterator<Item = CommonUse> {
    TABLE.at(port).filter_map(CommonUse::from_row)
}

/// Every common use.
pub(super) fn all() -> impl Iterator<Item = CommonUse> {
    TABLE.rows().filter_map(CommonUse::from_row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_whole_and_in_order() {
        let text = include_str!("../../../../data/common-uses.tsv");
        assert_eq!(table::first_out_of_order(text), None);
        for row in TABLE.rows() {
            let use_ = CommonUse::from_row(row).unwrap_or_else(|| panic!("{row}"));
            assert!(!use_.transports.is_empty() && !use_.product.is_empty(), "{row}");
            assert_eq!(row.split('\t').count(), 4, "{row}");
        }
    }
}
