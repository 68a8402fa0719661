//! See `tests/src/fuzz/session.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::session::run(bytes));
