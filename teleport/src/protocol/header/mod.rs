//! The two encodings of a header (wire specification, section 2.3).

mod extension;
pub(super) mod json;
pub(super) mod protobuf;

use bytes::Bytes;

use super::{Header, HeaderCodec, HeaderRef, ProtocolError};

/// Appends a header without its codec id.
#[inline]
pub(super) fn encode(codec: HeaderCodec, header: HeaderRef<'_>, out: &mut Vec<u8>) {
    match codec {
        HeaderCodec::Json => json::encode(header, out),
        HeaderCodec::Protobuf => protobuf::encode(header, out),
    }
}

/// Reads a whole header without its codec id, which is `bytes`, a part of `whole`. Its texts share `whole`. What it was before is of
/// no interest, and neither is it if it cannot be read.
#[inline]
pub(super) fn read(
    codec: HeaderCodec,
    header: &mut Header,
    bytes: &[u8],
    whole: &Bytes,
) -> Result<(), ProtocolError> {
    match codec {
        HeaderCodec::Json => *header = json::decode(bytes)?,
        HeaderCodec::Protobuf => protobuf::read(header, bytes, whole)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::PacketKind;

    const CODECS: [HeaderCodec; 2] = [HeaderCodec::Json, HeaderCodec::Protobuf];

    fn encoded(codec: HeaderCodec, header: &Header) -> Bytes {
        let mut out = Vec::new();
        encode(codec, header.as_ref(), &mut out);
        out.into()
    }

    fn decoded(codec: HeaderCodec, bytes: &Bytes) -> Header {
        let mut header = Header::new(PacketKind::Push, 99, "/before");
        header.timeout_ms = 99;
        header.meta.insert("before", "yes");
        read(codec, &mut header, bytes, bytes).unwrap();
        header
    }

    #[test]
    fn extensions_survive_either_codec() {
        let mut header = Header::new(PacketKind::Pull, 7, "/a");
        header.timeout_ms = u64::MAX;
        header.meta.insert("traceparent", "00-01-02-03");
        header.meta.insert("", "");
        header.meta.insert("long", "x".repeat(300));
        for codec in CODECS {
            assert_eq!(decoded(codec, &encoded(codec, &header)), header);
        }
    }

    #[test]
    fn a_header_without_extensions_has_no_byte_of_them() {
        let header = Header::new(PacketKind::Pull, 7, "/a");
        assert_eq!(
            encoded(HeaderCodec::Protobuf, &header),
            &b"\x08\x07\x10\x01\x1a\x02/a"[..]
        );
        assert_eq!(
            encoded(HeaderCodec::Json, &header),
            &br#"{"seq":7,"type":1,"uri":"/a"}"#[..]
        );
    }

    #[test]
    fn fields_that_only_share_the_name_with_an_extension_are_skipped() {
        for text in [
            r#"{"uri":"/a","meta":"a text","timeout_ms":"soon"}"#,
            r#"{"uri":"/a","meta":[1,[2,{"a":3}]],"timeout_ms":-1}"#,
            r#"{"uri":"/a","meta":null,"timeout_ms":1.5}"#,
            r#"{"uri":"/a","meta":7,"timeout_ms":{"a":{"b":"c"}}}"#,
        ] {
            let header = decoded(HeaderCodec::Json, &Bytes::from_static(text.as_bytes()));
            assert_eq!((&*header.uri, header.timeout_ms), ("/a", 0), "{text}");
            assert!(header.meta.is_empty(), "{text}");
        }
        let text = br#"{"meta":{"kept":"yes","dropped":{"kept":"no"},"number":1}}"#;
        let header = decoded(HeaderCodec::Json, &Bytes::from_static(text));
        assert_eq!(header.meta.iter().collect::<Vec<_>>(), [("kept", "yes")]);
        // Field 1001 as bytes, field 1002 as a number, and as bytes that are no entry.
        for bytes in [
            &b"\x1a\x02/a\xca\x3e\x01x"[..],
            &b"\x1a\x02/a\xd0\x3e\x01"[..],
            &b"\x1a\x02/a\xd2\x3e\x02\x08\x01"[..],
        ] {
            let header = decoded(HeaderCodec::Protobuf, &Bytes::copy_from_slice(bytes));
            assert_eq!((&*header.uri, header.timeout_ms), ("/a", 0));
            assert!(header.meta.is_empty());
        }
    }

    #[test]
    fn more_values_than_are_allowed_take_no_memory() {
        let entry = b"\xd2\x3e\x04\x0a\x02";
        let mut bytes = Vec::new();
        for number in 0..10_000_u16 {
            bytes.extend_from_slice(entry);
            bytes.extend_from_slice(&[b'a' + (number % 26) as u8, b'a' + (number / 26 % 26) as u8]);
        }
        let header = decoded(HeaderCodec::Protobuf, &bytes.into());
        assert_eq!(header.meta.iter().count(), crate::protocol::Meta::MOST);
    }
}
