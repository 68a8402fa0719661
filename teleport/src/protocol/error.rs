//! Errors of packet formats.

use std::{error::Error as StdError, fmt};

use crate::codec::CodecError;

/// Bytes that are no packet, or one over the limit. The connection cannot go on: where the next packet begins
/// is not known any more.
#[derive(Debug)]
pub struct ProtocolError(Kind);

#[derive(Debug)]
enum Kind {
    Foreign(&'static str),
    Malformed(String),
    OverLimit { size: u64, limit: usize },
}

impl ProtocolError {
    /// The bytes are no packet; say what is wrong, and where.
    pub fn malformed(text: impl Into<String>) -> Self {
        Self(Kind::Malformed(text.into()))
    }

    /// The packet announces `size` bytes, and `limit` are allowed.
    #[must_use]
    pub fn over_limit(size: u64, limit: usize) -> Self {
        Self(Kind::OverLimit { size, limit })
    }

    /// The bytes belong to something else than packets; `text` says to what.
    pub(crate) fn foreign(text: &'static str) -> Self {
        Self(Kind::Foreign(text))
    }

    /// The packet is larger than allowed.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        matches!(self.0, Kind::OverLimit { .. })
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Foreign(text) => f.write_str(text),
            Kind::Malformed(text) => write!(f, "malformed packet: {text}"),
            Kind::OverLimit { size, limit } => {
                write!(
                    f,
                    "a packet of {size} bytes is over the limit of {limit} bytes"
                )
            }
        }
    }
}

impl StdError for ProtocolError {}

/// A packet that cannot be written.
#[derive(Debug)]
pub struct EncodeError(EncodeKind);

#[derive(Debug)]
enum EncodeKind {
    Body(CodecError),
    OverLimit { size: usize, limit: usize },
    TooLong(usize),
}

impl EncodeError {
    /// A part of `len` bytes does not fit the format.
    #[must_use]
    pub fn too_long(len: usize) -> Self {
        Self(EncodeKind::TooLong(len))
    }

    /// The packet has `size` bytes, and `limit` may be sent.
    #[must_use]
    pub fn over_limit(size: usize, limit: usize) -> Self {
        Self(EncodeKind::OverLimit { size, limit })
    }

    /// The packet is larger than this side may send.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        matches!(self.0, EncodeKind::OverLimit { .. })
    }

    /// The body's codec is unknown, or cannot carry the value.
    #[must_use]
    pub fn is_unsupported_codec(&self) -> bool {
        matches!(&self.0, EncodeKind::Body(error) if error.is_unsupported())
    }
}

impl From<CodecError> for EncodeError {
    fn from(error: CodecError) -> Self {
        Self(EncodeKind::Body(error))
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            EncodeKind::Body(error) => error.fmt(f),
            EncodeKind::OverLimit { size, limit } => write!(
                f,
                "a packet of {size} bytes is over the limit of {limit} bytes for sending"
            ),
            EncodeKind::TooLong(len) => {
                write!(
                    f,
                    "{len} bytes are more than a packet's length field can tell"
                )
            }
        }
    }
}

impl StdError for EncodeError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            EncodeKind::Body(error) => error.source(),
            EncodeKind::OverLimit { .. } | EncodeKind::TooLong(_) => None,
        }
    }
}
