//! See `tests/src/fuzz/hostile.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::hostile::run(bytes));
