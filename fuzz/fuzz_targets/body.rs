//! See `tests/src/fuzz/body.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::body::run(bytes));
