//! See `targets::iana_xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portolan_fuzz::targets::iana_xml(bytes));
