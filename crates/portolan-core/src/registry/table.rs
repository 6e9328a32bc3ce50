//! Sorted text as a table: a row a line, its port first, found by binary search over the bytes.
//!
//! Nothing is parsed at start; a lookup reads some twenty lines. Lines that begin with `#` stand at
//! the top and are no rows; rows without a port (`-`) stand at the end. A text in another order
//! gives wrong answers and never a panic, so what comes from a file is checked first (`iana`).

use std::array;
use std::cmp::Ordering;

use crate::net::{Port, PortRange};

/// A table over text that lives elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Table<'a> {
    text: &'a str,
}

impl<'a> Table<'a> {
    /// The table that `text` holds.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Every row, in the table's order.
    pub(super) fn rows(self) -> impl Iterator<Item = &'a str> {
        self.text.split_terminator('\n').filter(|line| !line.starts_with('#'))
    }

    /// The rows of one port, in the table's order.
    pub(super) fn at(self, port: Port) -> impl Iterator<Item = &'a str> {
        let key = Key::Port(port.0);
        self.text[self.first_not_below(key)..]
            .split_terminator('\n')
            .take_while(move |row| key_of(row.as_bytes()) == key)
    }

    /// The rows of every port of `range`, ascending.
    pub(super) fn within(self, range: PortRange) -> impl Iterator<Item = &'a str> {
        let last = Key::Port(range.last().0);
        self.text[self.first_not_below(Key::Port(range.first().0))..]
            .split_terminator('\n')
            .take_while(move |row| key_of(row.as_bytes()) <= last)
    }

    /// Where the first row stands whose key is not below `key`.
    fn first_not_below(self, key: Key) -> usize {
        let bytes = self.text.as_bytes();
        let (mut low, mut high) = (0, bytes.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let start =
                bytes[low..middle].iter().rposition(|b| *b == b'\n').map_or(low, |i| low + i + 1);
            if key_of(&bytes[start..]) < key {
                let end = bytes[middle..high].iter().position(|b| *b == b'\n');
                low = end.map_or(high, |i| middle + i + 1);
            } else {
                high = start;
            }
        }
        low
    }
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    /// A `#` line.
    Heading,
    /// A row of a port.
    Port(u16),
    /// A row without a port.
    Portless,
}

/// The key of the line that `bytes` begin with.
pub(super) fn key_of(bytes: &[u8]) -> Key {
    match bytes.first() {
        Some(b'#') => Key::Heading,
        Some(b'0'..=b'9') => Key::Port(leading_number(bytes)),
        _ => Key::Portless,
    }
}

fn leading_number(bytes: &[u8]) -> u16 {
    bytes
        .iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0_u16, |n, b| n.saturating_mul(10).saturating_add(u16::from(b - b'0')))
}

/// The first `N` cells of a row; those it lacks are empty, and the last holds all that is left.
pub(super) fn cells<const N: usize>(row: &str) -> [&str; N] {
    let mut cells = row.splitn(N, '\t');
    array::from_fn(|_| cells.next().unwrap_or_default())
}

/// The number of the first line that stands below its predecessor, counted from one.
pub(super) fn first_out_of_order(text: &str) -> Option<usize> {
    let keys = || text.split_terminator('\n').map(|line| key_of(line.as_bytes()));
    keys().zip(keys().skip(1)).position(|(a, b)| a.cmp(&b) == Ordering::Greater).map(|i| i + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "#head\n0\ta\n7\tb\n7\tc\n80\td\n65535\te\n-\tf\n";

    fn at(port: u16) -> Vec<&'static str> {
        Table::new(SAMPLE).at(Port(port)).collect()
    }

    #[test]
    fn rows_of_a_port_are_found_wherever_they_stand() {
        assert_eq!(at(0), ["0\ta"]);
        assert_eq!(at(7), ["7\tb", "7\tc"]);
        assert_eq!(at(65535), ["65535\te"]);
        assert_eq!(at(8), [""; 0]);
    }

    #[test]
    fn a_row_lacking_cells_has_empty_ones() {
        assert_eq!(cells::<3>("80\thttp"), ["80", "http", ""]);
        assert_eq!(cells::<2>("80\thttp\tmore"), ["80", "http\tmore"]);
    }

    #[test]
    fn a_row_out_of_order_is_named_by_its_line() {
        assert_eq!(first_out_of_order(SAMPLE), None);
        assert_eq!(first_out_of_order("#h\n7\ta\n3\tb\n"), Some(3));
        assert_eq!(first_out_of_order("-\ta\n3\tb\n"), Some(2));
    }

    proptest! {
        #[test]
        fn the_search_finds_what_a_scan_finds(mut ports in prop::collection::vec(any::<u16>(), 0..40), probe in any::<u16>()) {
            ports.sort_unstable();
            let text: String = ports.iter().map(|p| format!("{p}\tx\n")).collect();
            for probe in ports.iter().copied().chain([probe]) {
                let found = Table::new(&text).at(Port(probe)).count();
                prop_assert_eq!(found, ports.iter().filter(|p| **p == probe).count());
            }
        }

        #[test]
        fn text_in_any_order_never_panics(text in "[0-9\t\n#é-]{0,60}", probe in any::<u16>()) {
            Table::new(&text).at(Port(probe)).for_each(drop);
        }
    }
}
