//! See `targets::firewall_table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::firewall_table(bytes));
