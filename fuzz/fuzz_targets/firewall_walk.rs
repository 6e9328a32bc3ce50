//! See `targets::firewall_walk`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::firewall_walk(bytes));
