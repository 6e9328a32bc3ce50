//! See `targets::socket_units`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::socket_units(bytes));
