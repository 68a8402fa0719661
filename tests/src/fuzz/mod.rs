//! What the fuzzers run, and `tests/fuzz.rs` over the inputs that are kept: functions that take any bytes and panic where a promise is
//! broken. See `fuzz/README.md`.

pub mod body;
pub mod config;
pub mod gzip;
pub mod header;
pub mod hostile;
mod input;
pub mod packets;
pub mod session;
pub mod uri;
mod world;

/// A target: its name, and what runs.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("body", body::run),
    ("config", config::run),
    ("gzip", gzip::run),
    ("header", header::run),
    ("hostile", hostile::run),
    ("packets", packets::run),
    ("session", session::run),
    ("uri", uri::run),
];
