//! Chance, from the kernel (random(4)).

use std::fs::File;
use std::io::Read as _;
use std::process;

/// A number nobody foresees; without /dev/urandom one that at least differs from run to run.
#[must_use]
pub fn number() -> u32 {
    let mut bytes = [0; 4];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    match read {
        Ok(()) => u32::from_ne_bytes(bytes),
        Err(_) => process::id().wrapping_mul(0x9e37_79b1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_numbers_differ() {
        let first = number();
        assert!((0..4).any(|_| number() != first));
    }
}
