//! From a number the kernel counted out (an inode, a cookie) to its place in a list.
//!
//! Asked once for every descriptor of the machine, so a look-up is one multiplication and mostly one
//! comparison. Nobody can choose the kernel's counters to collide on purpose, and SipHash would buy
//! nothing.

/// Numbers, each with its position in the list it was made from.
#[derive(Debug)]
pub(crate) struct IdIndex {
    /// Number and position; 0 marks a free slot: the kernel counts from one.
    slots: Vec<(u64, u32)>,
    shift: u32,
    is_empty: bool,
}

impl IdIndex {
    /// An index of `numbers` by their position; 0 is left out.
    pub(crate) fn new(numbers: impl ExactSizeIterator<Item = u64>) -> Self {
        let size = (numbers.len() * 2).next_power_of_two().max(16);
        let shift = 64 - size.trailing_zeros();
        let mut index = Self { slots: vec![(0, 0); size], shift, is_empty: true };
        for (position, number) in (0..u32::MAX).zip(numbers) {
            index.insert(number, position);
        }
        index
    }

    /// Whether no number is inside.
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The position of `number`.
    pub(crate) fn position(&self, number: u64) -> Option<u32> {
        let (found, position) = self.slots[self.slot(number)];
        (found == number && number != 0).then_some(position)
    }

    fn insert(&mut self, number: u64, position: u32) {
        if number != 0 {
            let slot = self.slot(number);
            self.slots[slot] = (number, position);
            self.is_empty = false;
        }
    }

    /// The slot that holds `number`, else the free one it would go to: half of them are free.
    fn slot(&self, number: u64) -> usize {
        // Fibonacci hashing: 2^64 / golden ratio spreads consecutive numbers evenly.
        let mut slot = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize;
        while self.slots[slot].0 != number && self.slots[slot].0 != 0 {
            slot = (slot + 1) & (self.slots.len() - 1);
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_found_at_its_position_and_no_other() {
        let numbers: Vec<u64> = (1..2000).map(|n| n * 3).collect();
        let index = IdIndex::new(numbers.iter().copied());
        for n in 1..6000 {
            let expected = (n % 3 == 0 && n / 3 < 2000).then(|| (n / 3 - 1) as u32);
            assert_eq!(index.position(n), expected, "{n}");
        }
    }

    #[test]
    fn zero_stands_for_nothing_and_is_never_found() {
        let index = IdIndex::new([0, 7].into_iter());
        assert_eq!(index.position(0), None);
        assert_eq!(index.position(7), Some(1));
        assert!(IdIndex::new([].into_iter()).is_empty());
    }
}
