//! TLS under a session: its configurations from files, its handshakes, and what is known of the other side.

#[cfg(feature = "tls")]
mod explain;
#[cfg(feature = "tls")]
mod files;
mod info;
mod record;
#[cfg(feature = "tls")]
mod stream;

pub use self::info::TlsInfo;
pub(crate) use self::record::spoken_in;
#[cfg(feature = "tls")]
pub(crate) use self::{
    explain::TlsError,
    files::{Configs, File, FileError, Files},
    stream::{TlsStream, accept, connect},
};
