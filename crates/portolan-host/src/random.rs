//! Numbers that nobody outside can guess, from the kernel.

use std::fs::File;
use std::hash::BuildHasher as _;
use std::io::Read as _;

/// Random bytes of /dev/urandom; where that is missing, of the seed the kernel gave this process.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    if read.is_err() {
        for (at, part) in bytes.chunks_mut(8).enumerate() {
            let seeded = std::hash::RandomState::new().hash_one(at).to_ne_bytes();
            part.copy_from_slice(&seeded[..part.len()]);
        }
    }
    bytes
}

/// A random number.
#[must_use]
pub fn number() -> u32 {
    u32::from_ne_bytes(bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike() {
        assert_ne!(bytes::<16>(), bytes::<16>());
    }
}
