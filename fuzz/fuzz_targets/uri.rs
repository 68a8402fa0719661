//! See `tests/src/fuzz/uri.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::uri::run(bytes));
