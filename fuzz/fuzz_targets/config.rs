//! See `tests/src/fuzz/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::config::run(bytes));
