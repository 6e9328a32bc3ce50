//! See `targets::proc_net`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::proc_net(bytes));
