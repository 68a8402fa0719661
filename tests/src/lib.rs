//! What the tests share: the recordings of a Go peer, the routes that it served, peers that are connected by a pipe,
//! handlers that wait for the test's word, certificates, what is logged, connections that break, calls whose outcome is
//! checked whatever happens to them, and what the fuzzers run.

pub mod authority;
pub mod capture;
pub mod contract;
pub mod dice;
pub mod door;
pub mod faulty;
pub mod fuzz;
pub mod gate;
pub mod ledger;
pub mod log;
pub mod named;
pub mod pair;
pub mod recording;
pub mod standard;
pub mod wire;
pub mod work;
