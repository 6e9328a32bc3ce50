//! See `targets::conntrack`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::conntrack(bytes));
