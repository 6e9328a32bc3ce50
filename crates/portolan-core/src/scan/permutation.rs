//! The order of a scan: a keyed permutation of 0..N with random access in both directions.
//!
//! A Feistel network of four rounds over the next power of two, SipHash as its round function, and
//! cycle walking back into 0..N (Black and Rogaway, "Ciphers with Arbitrary Finite Domains", 2002).
//! Nothing is stored, so a scan resumes, splits and looks back at any place in constant time.

use super::siphash::SipHash;

/// A permutation of `0..len`.
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    /// Bits of the left and of the right half.
    left: u32,
    right: u32,
    keys: [SipHash; ROUNDS],
}

impl Permutation {
    /// The permutation of `0..len` that `seed` stands for.
    #[must_use]
    pub fn new(len: u64, seed: u64) -> Self {
        let bits = u64::BITS - len.saturating_sub(1).leading_zeros();
        let bits = bits.max(2);
        let key = |round: usize| SipHash::new(seed, round as u64);
        Self { len, left: bits / 2, right: bits - bits / 2, keys: std::array::from_fn(key) }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing to order.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What stands at `position`, which is below `len`.
    #[must_use]
    pub fn at(&self, position: u64) -> u64 {
        debug_assert!(position < self.len);
        let mut value = position;
        loop {
            value = self.forward(value);
            if value < self.len {
                return value;
            }
        }
    }

    /// Where `value` stands: the inverse of [`Self::at`].
    #[must_use]
    pub fn position_of(&self, value: u64) -> u64 {
        debug_assert!(value < self.len);
        let mut position = value;
        loop {
            position = self.backward(position);
            if position < self.len {
                return position;
            }
        }
    }

    /// Rounds take turns in changing the left and the right half, so halves may differ in width.
    fn forward(&self, value: u64) -> u64 {
        let (mut left, mut right) = self.split(value);
        for (round, key) in self.keys.iter().enumerate() {
            if round % 2 == 0 {
                left ^= key.hash(right) & mask(self.left);
            } else {
                right ^= key.hash(left) & mask(self.right);
            }
        }
        left << self.right | right
    }

    fn backward(&self, value: u64) -> u64 {
        let (mut left, mut right) = self.split(value);
        for (round, key) in self.keys.iter().enumerate().rev() {
            if round % 2 == 0 {
                left ^= key.hash(right) & mask(self.left);
            } else {
                right ^= key.hash(left) & mask(self.right);
            }
        }
        left << self.right | right
    }

    const fn split(&self, value: u64) -> (u64, u64) {
        (value >> self.right, value & mask(self.right))
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

const ROUNDS: usize = 4;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_bijection(len: u64, seed: u64) -> bool {
        let permutation = Permutation::new(len, seed);
        let mut seen = vec![false; usize::try_from(len).unwrap()];
        (0..len).all(|position| {
            let value = permutation.at(position);
            let fresh = !std::mem::replace(&mut seen[usize::try_from(value).unwrap()], true);
            fresh && permutation.position_of(value) == position
        })
    }

    #[test]
    fn every_small_length_is_a_bijection() {
        for len in 1..=1200 {
            assert!(is_bijection(len, len * 7), "{len}");
        }
    }

    #[test]
    fn lengths_around_powers_of_two_are_bijections() {
        for bits in 10..=16 {
            for len in [(1 << bits) - 1, 1 << bits, (1 << bits) + 1] {
                assert!(is_bijection(len, 3), "{len}");
            }
        }
    }

    #[test]
    fn neighbours_do_not_stay_neighbours_and_seeds_differ() {
        let (a, b) = (Permutation::new(65_536, 1), Permutation::new(65_536, 2));
        let runs = (1..65_536).filter(|i| a.at(*i) == a.at(i - 1) + 1).count();
        assert!(runs < 20, "{runs}");
        assert!((0..1000).filter(|i| a.at(*i) == b.at(*i)).count() < 5);
    }

    proptest! {
        #[test]
        fn large_orders_can_be_looked_up_both_ways(len in 1u64..1 << 48, seed in any::<u64>(), place in any::<u64>()) {
            let permutation = Permutation::new(len, seed);
            let value = permutation.at(place % len);
            prop_assert!(value < len);
            prop_assert_eq!(permutation.position_of(value), place % len);
        }
    }
}
