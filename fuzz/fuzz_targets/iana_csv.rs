//! See `targets::iana_csv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::iana_csv(bytes));
