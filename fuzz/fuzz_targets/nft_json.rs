//! See `targets::nft_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::nft_json(bytes));
