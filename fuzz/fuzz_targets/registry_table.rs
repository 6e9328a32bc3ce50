//! See `targets::registry_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::registry_table(bytes));
