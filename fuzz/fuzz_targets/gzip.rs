//! See `tests/src/fuzz/gzip.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::gzip::run(bytes));
