//! See `tests/src/fuzz/packets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| teleport_tests::fuzz::packets::run(bytes));
