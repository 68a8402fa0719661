//! What the tests share: the recordings of a Go peer, the routes that it served, and peers that speak raw bytes.

pub mod recording;
pub mod standard;
