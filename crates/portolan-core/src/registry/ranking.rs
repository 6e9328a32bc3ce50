//! Ports in the order of their relevance, for `top:N`.
//!
//! Votes of independent open sources, named per row (`data/top-*.tsv`); it ranks how much a port
//! matters, and does not measure how often it is open. SCTP and DCCP have no ranking.

use crate::net::{Port, Transport};
use crate::registry::table::{self, Table};

/// The ports of `transport`, most relevant first; empty where there is no ranking.
pub(super) fn ranked(transport: Transport) -> impl Iterator<Item = Port> {
    let text = match transport {
        Transport::Tcp => include_str!("../../../../data/top-tcp-1000.tsv"),
        Transport::Udp => include_str!("../../../../data/top-udp-100.tsv"),
        Transport::Sctp | Transport::Dccp => "",
    };
    Table::new(text).rows().filter_map(|row| {
        let [_rank, port, _] = table::cells(row);
        port.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_rankings_are_as_long_as_their_names_say_and_name_no_port_twice() {
        for (transport, length) in [(Transport::Tcp, 1000), (Transport::Udp, 100)] {
            assert_eq!(ranked(transport).count(), length);
            assert_eq!(ranked(transport).collect::<HashSet<_>>().len(), length);
        }
        assert_eq!(ranked(Transport::Sctp).count(), 0);
    }
}
