//! Bytes in and bytes out of one connection, over any `AsyncRead + AsyncWrite`.

pub(crate) mod hang_up;
pub(crate) mod inbox;
pub(crate) mod outbox;
pub(crate) mod pool;
pub(crate) mod scratch;
mod spares;
pub(crate) mod tls;
pub(crate) mod transport;
