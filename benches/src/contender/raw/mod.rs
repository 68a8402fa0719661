//! The bar: teleport's frames over one connection, written by hand for this one service.

mod client;
mod pending;
mod server;

pub use client::RawClient;
pub use server::serve;

const ADD: &[u8] = b"/bench/add";
const ECHO: &[u8] = b"/bench/echo";
const NOTE: &[u8] = b"/bench/note";

/// Read buffers start at this size and double while reads fill them, up to [`READ_MAX`].
const READ_MIN: usize = 4 * 1024;
const READ_MAX: usize = 256 * 1024;
