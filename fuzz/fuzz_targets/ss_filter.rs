//! See `targets::ss_filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::ss_filter(bytes));
