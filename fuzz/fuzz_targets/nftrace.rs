//! See `targets::nftrace`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::nftrace(bytes));
