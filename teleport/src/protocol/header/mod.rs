//! The two encodings of a header (wire specification, section 2.3).

mod json;
mod protobuf;

use bytes::Bytes;
use bytestring::ByteString;

use super::{Header, HeaderCodec, HeaderRef, ProtocolError};

/// Appends a header without its codec id.
pub(super) fn encode(codec: HeaderCodec, header: HeaderRef<'_>, out: &mut Vec<u8>) {
    match codec {
        HeaderCodec::Json => json::encode(header, out),
        HeaderCodec::Protobuf => protobuf::encode(header, out),
    }
}

/// Reads a whole header without its codec id. Its texts are slices of `bytes`.
pub(super) fn decode(codec: HeaderCodec, bytes: &Bytes) -> Result<Header, ProtocolError> {
    match codec {
        HeaderCodec::Json => json::decode(bytes),
        HeaderCodec::Protobuf => protobuf::decode(bytes),
    }
}

/// A text of the header, which is `part` of `whole`. Bytes that are not UTF-8 become U+FFFD.
fn text(part: &[u8], whole: &Bytes) -> ByteString {
    match ByteString::try_from(whole.slice_ref(part)) {
        Ok(text) => text,
        Err(_) => ByteString::from(String::from_utf8_lossy(part).into_owned()),
    }
}

/// Success is what most replies say; there is no need to keep a slice of the buffer for it.
fn status(part: &[u8], whole: &Bytes) -> ByteString {
    match part {
        b"OK" => ByteString::from_static("OK"),
        part => text(part, whole),
    }
}
