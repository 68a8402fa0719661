//! See `tests/src/fuzz/header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::header::run(bytes));
