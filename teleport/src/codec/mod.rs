//! Body encodings: the codec ids of the wire, the registry, and the traits of values that can be a body.
//!
//! Everything here is a function over buffers: no I/O, no clock.

mod body;
mod details;
mod error;
mod gzip;
mod json;
mod lenient;
mod nil;
#[doc(hidden)]
pub mod probe;
mod protobuf;
mod refuse;
mod registry;
mod text;
mod zero;

pub(crate) use self::body::{Choice, as_parts, encode_body};
pub(crate) use self::{
    gzip::inflated_so_far, json::write_string as write_json_string,
    lenient::replace_lone_surrogates,
};
/// The crate that [`Codec`] is written with: serde's traits as trait objects.
pub use erased_serde;
pub use teleport_parts::{Mark, Parts};

pub use self::{
    body::{Body, BodyKind, Decode, Encode, Raw, append_body},
    error::CodecError,
    protobuf::Protobuf,
    registry::{Codec, CodecConflict, Codecs},
};

use std::fmt;

/// The byte that stands in front of a body and tells how it is encoded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CodecId(u8);

impl CodecId {
    /// `j`: JSON.
    pub const JSON: Self = Self(b'j');
    /// `p`: a protobuf message.
    pub const PROTOBUF: Self = Self(b'p');
    /// `s`: the bytes of a text as they are.
    pub const STRING: Self = Self(b's');

    /// The id of a codec of your own. `None` for 0, which means "no codec" on the wire.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Self> {
        match byte {
            0 => None,
            byte => Some(Self(byte)),
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        self.0
    }
}

impl fmt::Display for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_ascii_graphic() {
            write!(f, "`{}`", char::from(self.0))
        } else {
            write!(f, "{:#04x}", self.0)
        }
    }
}

impl fmt::Debug for CodecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CodecId({self})")
    }
}
