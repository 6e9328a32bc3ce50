//! See `targets::proc_pid`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::proc_pid(bytes));
