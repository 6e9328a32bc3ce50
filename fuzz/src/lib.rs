//! What is fuzzed, for the fuzzer's programs in `fuzz_targets/`.
#![forbid(unsafe_code)]

pub mod targets;
