//! See `targets::error_queue`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::error_queue(bytes));
