//! See `targets::sock_diag`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::sock_diag(bytes));
