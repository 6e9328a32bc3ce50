//! SipHash-2-4 of a few words (Aumasson and Bernstein, 2012): a short keyed function whose output
//! nobody without the key can foretell. Cookies in probes and the order of a scan come from it.

/// A key, ready to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipHash {
    key: (u64, u64),
}

impl SipHash {
    /// The function of this key.
    #[must_use]
    pub const fn new(k0: u64, k1: u64) -> Self {
        Self { key: (k0, k1) }
    }

    /// The hash of eight bytes.
    #[must_use]
    pub fn hash(&self, word: u64) -> u64 {
        self.hash_words(&[word])
    }

    /// The hash of the words' bytes, each little-endian.
    #[must_use]
    #[inline]
    pub fn hash_words(&self, words: &[u64]) -> u64 {
        let (k0, k1) = self.key;
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in words {
            compress(&mut v, *word);
        }
        // The last block carries the length in bytes in its highest byte.
        compress(&mut v, (words.len() as u64 * 8) << 56);
        v[2] ^= 0xff;
        (0..4).for_each(|_| round(&mut v));
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

#[inline]
fn compress(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline]
const fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A of the paper: key 00 01 … 0f; outputs for the messages 00 … 07 and nothing.
    #[test]
    fn the_papers_vectors_come_out() {
        let key = SipHash::new(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(key.hash_words(&[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(key.hash(0x0706_0504_0302_0100), 0x93f5_f579_9a93_2462);
    }
}
