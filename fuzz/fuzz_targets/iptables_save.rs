//! See `targets::iptables_save`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::iptables_save(bytes));
