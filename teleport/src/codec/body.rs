//! Values as bodies: which codec, compressed or not, with or without a codec id.

use std::{borrow::Cow, fmt, mem};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{CodecError, CodecId, Codecs, Parts, gzip, json, lenient, nil, text, zero};

/// What a value is as a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyKind {
    /// No value: `()`.
    Nil,
    /// Bytes that already are a body, codec id included.
    Raw,
    /// A value for a codec.
    Value,
}

/// A value that can be sent as a body.
///
/// Implemented for all that serde can serialize, for [`Protobuf`](super::Protobuf) messages and for [`Raw`] bytes; there is
/// seldom a reason to implement it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a body",
    note = "derive `serde::Serialize`, or wrap a prost message in `teleport::Protobuf`"
)]
pub trait Encode {
    /// What this value is.
    fn body_kind(&self) -> BodyKind;

    /// The codec for this value where none was named and the configured default cannot carry it.
    fn fallback_codec(&self) -> CodecId;

    /// Whether it is worth trying this codec. A quick answer, which may be yes although [`encode`](Self::encode) will say no.
    fn may_use(&self, codec: CodecId) -> bool {
        let _ = codec;
        true
    }

    /// Appends the payload, without the codec id. After an error, `out` may end in garbage, which the caller cuts off.
    ///
    /// # Errors
    /// [`is_unsupported`](CodecError::is_unsupported) if `codec` cannot carry such a value.
    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// As [`encode`](Self::encode), for values that have large pieces of what they become in memory already: those are
    /// shared. It is asked before `encode`, which it calls by default.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encode_parts(
        &self,
        codec: CodecId,
        codecs: &Codecs,
        out: &mut Parts,
    ) -> Result<(), CodecError> {
        self.encode(codec, codecs, out.copied())
    }
}

/// A value that can be read from a body; the counterpart of [`Encode`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a body",
    note = "derive `serde::Deserialize`, or wrap a prost message in `teleport::Protobuf`"
)]
pub trait Decode: Sized {
    /// Reads the value. `limit` is the size in bytes that the body may have when inflated.
    ///
    /// # Errors
    /// The bytes are malformed or do not fit, the codec is unknown or cannot fill this type, or the limit is exceeded.
    fn decode(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError>;

    /// What a body of length 0 or 1 stands for: zero, empty, nothing.
    ///
    /// # Errors
    /// The type has no such value, as many enums do not.
    fn zero() -> Result<Self, CodecError>;
}

impl<T: Serialize + ?Sized> Encode for T {
    fn body_kind(&self) -> BodyKind {
        if nil::is_nil(self) {
            BodyKind::Nil
        } else {
            BodyKind::Value
        }
    }

    fn fallback_codec(&self) -> CodecId {
        CodecId::JSON
    }

    fn may_use(&self, codec: CodecId) -> bool {
        codec != CodecId::PROTOBUF
    }

    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match codec {
            CodecId::JSON => json::write(self, out),
            CodecId::STRING => text::write(self, out),
            CodecId::PROTOBUF => Err(CodecError::unsupported(
                codec,
                "this type, which is no message",
            )),
            other => match codecs.custom(other) {
                Some(custom) => custom.encode(&self, out),
                None => Err(CodecError::unknown(Some(other))),
            },
        }
    }
}

impl<T: DeserializeOwned> Decode for T {
    fn decode(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError> {
        if let Some(nothing) = nil::nothing() {
            return Ok(nothing);
        }
        if body.is_nil() {
            return T::zero();
        }
        let codec = body.codec().ok_or_else(|| CodecError::unknown(None))?;
        match codec {
            CodecId::JSON => {
                let payload = body.inflate(limit)?;
                json::read(&payload).or_else(|error| lenient::read(&payload).ok_or(error))
            }
            CodecId::STRING => text::read(&body.inflate(limit)?),
            CodecId::PROTOBUF => Err(CodecError::unsupported(
                codec,
                "this type, which is no message",
            )),
            other => {
                let Some(custom) = codecs.custom(other) else {
                    return Err(CodecError::unknown(Some(other)));
                };
                let mut value = None;
                custom.decode(&body.inflate(limit)?, &mut |deserializer| {
                    value = Some(erased_serde::deserialize(deserializer)?);
                    Ok(())
                })?;
                value.ok_or_else(|| CodecError::decode("the codec gave no value"))
            }
        }
    }

    fn zero() -> Result<Self, CodecError> {
        T::deserialize(zero::Zero)
            .map_err(|error| CodecError::decode(format!("the body is empty: {error}")))
    }
}

/// A whole body as it is on the wire, its codec id included: nothing is encoded, decoded or compressed.
///
/// Its first byte is the codec id. Without any bytes there is no body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Bytes);

impl Encode for Raw {
    fn body_kind(&self) -> BodyKind {
        BodyKind::Raw
    }

    fn fallback_codec(&self) -> CodecId {
        self.0
            .first()
            .and_then(|byte| CodecId::new(*byte))
            .unwrap_or(CodecId::JSON)
    }

    /// Appends all bytes, with the id.
    fn encode(&self, _: CodecId, _: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn encode_parts(&self, _: CodecId, _: &Codecs, out: &mut Parts) -> Result<(), CodecError> {
        out.share(self.0.clone());
        Ok(())
    }
}

impl Decode for Raw {
    fn decode(body: &Body<'_>, _: &Codecs, _: usize) -> Result<Self, CodecError> {
        Ok(Self(body.to_bytes()))
    }

    fn zero() -> Result<Self, CodecError> {
        Ok(Self::default())
    }
}

/// A received body: a codec id and a payload, which may be compressed; or nothing.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    bytes: &'a [u8],
    /// What `bytes` is a view of, if that can be shared.
    owner: Option<&'a Bytes>,
    gzip: i32,
}

impl<'a> Body<'a> {
    /// `bytes` is the whole body with its codec id, `gzip` the header's field: any value but 0 says that it is compressed.
    #[must_use]
    #[inline]
    pub fn new(bytes: &'a Bytes, gzip: i32) -> Self {
        Self {
            bytes,
            owner: Some(bytes),
            gzip,
        }
    }

    /// As [`new`](Self::new), of bytes that live somewhere.
    #[inline]
    pub(crate) fn borrowed(bytes: &'a [u8], gzip: i32) -> Self {
        Self {
            bytes,
            owner: None,
            gzip,
        }
    }

    /// The payload, if it can be had without inflating or copying it, and has so many bytes.
    #[inline]
    pub(super) fn shared_payload(&self, least: usize) -> Option<Bytes> {
        if self.gzip != 0 || self.bytes.len() <= least {
            return None;
        }
        Some(self.owner?.slice(1..))
    }

    /// The first `most` bytes of the payload, inflated if it is compressed; less if it is shorter, or broken there.
    pub(crate) fn start(&self, most: usize) -> Cow<'a, [u8]> {
        let payload = self.bytes.get(1..).unwrap_or_default();
        if self.gzip != 0 {
            Cow::Owned(gzip::inflate_start(payload, most))
        } else {
            Cow::Borrowed(payload.get(..most).unwrap_or(payload))
        }
    }

    /// Bytes behind the codec id, compressed or not.
    pub(crate) fn payload_len(&self) -> usize {
        self.bytes.len().saturating_sub(1)
    }

    /// All bytes, shared if possible.
    pub(crate) fn to_bytes(self) -> Bytes {
        match self.owner {
            Some(owner) => owner.clone(),
            None => Bytes::copy_from_slice(self.bytes),
        }
    }

    /// The header's field about the body: any value but 0 says that it is compressed.
    #[must_use]
    pub fn gzip(&self) -> i32 {
        self.gzip
    }

    /// The codec id; `None` if there is no body, or its id is 0.
    #[must_use]
    #[inline]
    pub fn codec(&self) -> Option<CodecId> {
        self.bytes.first().and_then(|byte| CodecId::new(*byte))
    }

    /// There is nothing behind the codec id, or not even that.
    #[must_use]
    #[inline]
    pub fn is_nil(&self) -> bool {
        self.bytes.len() <= 1
    }

    /// The payload behind the codec id, inflated if it is compressed.
    ///
    /// # Errors
    /// It is not a gzip stream, or becomes larger than `limit` bytes.
    #[inline]
    pub fn inflate(&self, limit: usize) -> Result<Cow<'a, [u8]>, CodecError> {
        let payload = self.bytes.get(1..).unwrap_or_default();
        if self.gzip != 0 && !self.is_nil() {
            gzip::inflate(payload, limit).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(payload))
        }
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("codec", &self.codec())
            .field("bytes", &self.bytes.len())
            .field("gzip", &self.gzip)
            .finish()
    }
}

/// Which codec a body gets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    /// This one or none.
    pub(crate) explicit: Option<CodecId>,
    /// This one if it can carry the value, else the value's own fallback.
    pub(crate) default: CodecId,
    /// The codec id that a nil value leaves on the wire.
    pub(crate) nil: Option<CodecId>,
}

/// Appends `value` as a complete body, compressed at level `gzip`. After an error, `out` is as it was.
#[inline]
pub(crate) fn encode_body(
    value: &(impl Encode + ?Sized),
    choice: Choice,
    gzip: i32,
    codecs: &Codecs,
    out: &mut Parts,
) -> Result<(), CodecError> {
    match value.body_kind() {
        BodyKind::Nil => {
            if let Some(codec) = choice.nil {
                known(codec, codecs)?;
                out.copied().push(codec.as_byte());
            }
            Ok(())
        }
        BodyKind::Raw => {
            let start = out.mark();
            let result = value.encode_parts(value.fallback_codec(), codecs, out);
            if result.is_err() {
                out.truncate(start);
            }
            result
        }
        BodyKind::Value => {
            let codec = match choice.explicit {
                Some(codec) => codec,
                None if value.may_use(choice.default) => choice.default,
                None => value.fallback_codec(),
            };
            match encode_value(value, codec, gzip, codecs, out) {
                Err(error) if error.is_unsupported() && choice.explicit.is_none() => {
                    encode_fallback(value, gzip, codecs, out)
                }
                result => result,
            }
        }
    }
}

/// Appends `value` as a complete body: codec id, payload, compressed at level `gzip` (0 is not). For tests, and for those
/// who write a [`Protocol`](crate::protocol::Protocol).
///
/// Without a codec, a value takes its [fallback](Encode::fallback_codec), and a nil one leaves no body at all.
///
/// # Errors
/// The codec is unknown or cannot carry the value, or the level is not from -2 to 9. `out` is as it was then.
pub fn append_body(
    value: &impl Encode,
    codec: Option<CodecId>,
    gzip: i32,
    codecs: &Codecs,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let choice = Choice {
        explicit: codec,
        default: value.fallback_codec(),
        nil: codec,
    };
    as_parts(out, |parts| encode_body(value, choice, gzip, codecs, parts))
}

/// Lends a buffer as parts. What is in it stays there if `append` panics.
pub(crate) fn as_parts<R>(out: &mut Vec<u8>, append: impl FnOnce(&mut Parts) -> R) -> R {
    struct Lent<'a> {
        parts: Parts,
        out: &'a mut Vec<u8>,
    }

    impl Drop for Lent<'_> {
        fn drop(&mut self) {
            *self.out = mem::take(&mut self.parts).into_vec();
        }
    }

    let mut lent = Lent {
        parts: Parts::from(mem::take(out)),
        out,
    };
    append(&mut lent.parts)
}

fn known(codec: CodecId, codecs: &Codecs) -> Result<(), CodecError> {
    match codecs.name(codec) {
        Some(_) => Ok(()),
        None => Err(CodecError::unknown(Some(codec))),
    }
}

#[cold]
fn encode_fallback(
    value: &(impl Encode + ?Sized),
    gzip: i32,
    codecs: &Codecs,
    out: &mut Parts,
) -> Result<(), CodecError> {
    encode_value(value, value.fallback_codec(), gzip, codecs, out)
}

#[inline]
fn encode_value(
    value: &(impl Encode + ?Sized),
    codec: CodecId,
    gzip: i32,
    codecs: &Codecs,
    out: &mut Parts,
) -> Result<(), CodecError> {
    let start = out.mark();
    let copied = out.copied();
    copied.push(codec.as_byte());
    let payload = copied.len();
    let result = match gzip {
        0 => value.encode_parts(codec, codecs, out),
        level => value
            .encode(codec, codecs, copied)
            .and_then(|()| gzip::deflate_tail(copied, payload, level)),
    };
    if result.is_err() {
        out.truncate(start);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(value: impl Encode, choice: Choice, gzip: i32) -> Vec<u8> {
        let mut out = Parts::from(b"before".to_vec());
        encode_body(&value, choice, gzip, &Codecs::new(), &mut out).unwrap();
        let mut out = out.into_vec();
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    }

    fn default(codec: CodecId) -> Choice {
        Choice {
            explicit: None,
            default: codec,
            nil: None,
        }
    }

    fn read<T: Decode>(bytes: &'static [u8], gzip: i32) -> Result<T, CodecError> {
        T::decode(
            &Body::new(&Bytes::from_static(bytes), gzip),
            &Codecs::new(),
            1 << 20,
        )
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_or_skipped_whatever_the_size_of_the_type() {
        #[derive(serde::Deserialize)]
        struct Small {
            a: i32,
        }

        #[derive(serde::Deserialize)]
        struct Large {
            a: i32,
            b: String,
        }

        let body = b"j{\"a\":1,\"b\":\"\xff\"}";
        assert_eq!(read::<Small>(body, 0).unwrap().a, 1);
        let large: Large = read(body, 0).unwrap();
        assert_eq!((large.a, &*large.b), (1, "\u{fffd}"));
        assert_eq!(read::<char>(b"j\"\xff\"", 0).unwrap(), '\u{fffd}');
    }

    #[test]
    fn a_value_takes_the_default_codec_or_gives_way_to_one_that_can() {
        assert_eq!(body("hi", default(CodecId::STRING), 0), b"shi");
        assert_eq!(body("hi", default(CodecId::JSON), 0), b"j\"hi\"");
        assert_eq!(body([1, 2], default(CodecId::PROTOBUF), 0), b"j[1,2]");
        assert_eq!(body([1, 2], default(CodecId::STRING), 0), b"j[1,2]");
    }

    #[test]
    fn an_explicit_codec_that_cannot_carry_the_value_is_an_error_and_leaves_the_buffer() {
        let choice = Choice {
            explicit: Some(CodecId::PROTOBUF),
            ..default(CodecId::JSON)
        };
        let mut out = Parts::from(b"before".to_vec());
        let error = encode_body(&[1], choice, 0, &Codecs::new(), &mut out).unwrap_err();
        assert!(error.is_unsupported());
        assert_eq!(out.mark(), Parts::from(b"before".to_vec()).mark());
        let unknown = Choice {
            explicit: CodecId::new(b'x'),
            ..choice
        };
        let error = encode_body(&[1], unknown, 0, &Codecs::new(), &mut out).unwrap_err();
        assert_eq!(error.to_string(), "unsupported codec: `x`");
    }

    #[test]
    fn nil_is_nothing_or_a_lone_codec_id_and_is_never_compressed() {
        assert_eq!(body((), default(CodecId::JSON), 5), b"");
        let named = Choice {
            nil: Some(CodecId::PROTOBUF),
            ..default(CodecId::JSON)
        };
        assert_eq!(body((), named, 5), b"p");
    }

    #[test]
    fn raw_bytes_go_and_come_as_they_are() {
        let raw = Raw(Bytes::from_static(b"xany\0thing"));
        assert_eq!(body(raw.clone(), default(CodecId::JSON), 5), b"xany\0thing");
        assert_eq!(read::<Raw>(b"xany\0thing", 5).unwrap(), raw);
        assert_eq!(body(Raw::default(), default(CodecId::JSON), 0), b"");
    }

    #[test]
    fn a_body_of_length_0_or_1_is_the_zero_value_whatever_its_codec() {
        for bytes in [&b""[..], b"j", b"x", b"\0"] {
            assert_eq!(read::<[i32; 2]>(bytes, 5).unwrap(), [0, 0]);
            assert_eq!(read::<String>(bytes, 0).unwrap(), "");
            assert_eq!(read::<Option<u8>>(bytes, 0).unwrap(), None);
        }
    }

    #[test]
    fn what_a_codec_cannot_fill_is_unsupported() {
        assert!(read::<[i32; 2]>(b"s[1,2]", 0).unwrap_err().is_unsupported());
        assert!(
            read::<[i32; 2]>(b"p\x08\x01", 0)
                .unwrap_err()
                .is_unsupported()
        );
        assert!(
            read::<serde_json::Value>(b"stext", 0)
                .unwrap_err()
                .is_unsupported()
        );
        assert!(read::<[i32; 2]>(b"x[1,2]", 0).unwrap_err().is_unsupported());
        assert!(
            read::<[i32; 2]>(b"\0[1,2]", 0)
                .unwrap_err()
                .is_unsupported()
        );
    }

    #[test]
    fn nobody_looks_at_a_body_that_nobody_wants() {
        read::<()>(b"xwhatever", 7).unwrap();
    }

    #[test]
    fn gzip_announced_but_not_there_is_an_error() {
        assert!(read::<[i32; 2]>(b"j[1,2]", 5).unwrap_err().is_decode());
    }
}
