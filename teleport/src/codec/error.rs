//! [`CodecError`].

use std::{error::Error as StdError, fmt};

use super::CodecId;

/// Why a body could not be encoded or decoded.
pub struct CodecError(Box<Inner>);

struct Inner {
    kind: Kind,
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Decode,
    Encode,
    OverLimit,
    Unsupported,
}

impl CodecError {
    /// The value does not fit this codec's format; for a [`Codec`](super::Codec) of your own.
    pub fn encode(text: impl fmt::Display) -> Self {
        Self::new(Kind::Encode, text.to_string())
    }

    /// The bytes are not what the codec, or the type, wants; for a [`Codec`](super::Codec) of your own.
    ///
    /// The text may be sent to the other side.
    pub fn decode(text: impl fmt::Display) -> Self {
        Self::new(Kind::Decode, text.to_string())
    }

    /// Keeps what led to this error.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The codec is unknown, or cannot carry this type.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.0.kind == Kind::Unsupported
    }

    /// The bytes cannot be read.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        self.0.kind == Kind::Decode
    }

    /// The value cannot be written.
    #[must_use]
    pub fn is_encode(&self) -> bool {
        self.0.kind == Kind::Encode
    }

    /// The body would become larger than the limit when inflated.
    #[must_use]
    pub fn is_over_limit(&self) -> bool {
        self.0.kind == Kind::OverLimit
    }

    pub(crate) fn unknown(codec: Option<CodecId>) -> Self {
        let text = match codec {
            Some(codec) => format!("unsupported codec: {codec}"),
            None => "unsupported codec: 0x00".to_owned(),
        };
        Self::new(Kind::Unsupported, text)
    }

    pub(crate) fn unsupported(codec: CodecId, what: impl fmt::Display) -> Self {
        Self::new(
            Kind::Unsupported,
            format!("codec {codec} cannot carry {what}"),
        )
    }

    pub(crate) fn over_limit(limit: usize) -> Self {
        let text = format!("the inflated body is larger than the limit of {limit} bytes");
        Self::new(Kind::OverLimit, text)
    }

    fn new(kind: Kind, text: String) -> Self {
        Self(Box::new(Inner {
            kind,
            text,
            source: None,
        }))
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecError")
            .field("kind", &self.0.kind)
            .field("text", &self.0.text)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for CodecError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}
