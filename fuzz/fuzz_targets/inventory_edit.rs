//! See `targets::inventory_edit`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::inventory_edit(bytes));
