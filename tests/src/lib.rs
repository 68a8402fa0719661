//! What the tests share: the recordings of a Go peer, the routes that it served, peers that are connected by a pipe,
//! handlers that wait for the test's word, certificates, and what is logged.

pub mod authority;
pub mod capture;
pub mod contract;
pub mod door;
pub mod gate;
pub mod log;
pub mod named;
pub mod pair;
pub mod recording;
pub mod standard;
pub mod wire;
