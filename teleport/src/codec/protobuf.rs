//! Protobuf messages as bodies.

use bytes::Bytes;
use prost::{DecodeError, Message};

use super::{Body, BodyKind, CodecError, CodecId, Codecs, Decode, Encode, Parts};

/// A prost message as the arguments or the result of an untyped call. Generated clients and handlers take messages as
/// they are.
///
/// ```no_run
/// # async fn f(session: teleport::Session) -> Result<(), teleport::Error> {
/// use teleport::Protobuf;
///
/// #[derive(Clone, PartialEq, prost::Message)]
/// struct Pair {
///     #[prost(int32, tag = 1)]
///     a: i32,
///     #[prost(int32, tag = 2)]
///     b: i32,
/// }
///
/// let Protobuf(sum): Protobuf<Pair> = session.pull("/pb/home/test", Protobuf(Pair { a: 1, b: 2 })).await?;
/// # let _ = sum; Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protobuf<M>(pub M);

impl<M: Message> Encode for Protobuf<M> {
    fn body_kind(&self) -> BodyKind {
        BodyKind::Value
    }

    fn fallback_codec(&self) -> CodecId {
        CodecId::PROTOBUF
    }

    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write(&self.0, codec, codecs, out)
    }

    fn encode_parts(
        &self,
        codec: CodecId,
        codecs: &Codecs,
        out: &mut Parts,
    ) -> Result<(), CodecError> {
        write_parts(&self.0, codec, codecs, out)
    }
}

impl<M: Message + Default> Decode for Protobuf<M> {
    fn decode(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError> {
        let mut message = M::default();
        merge(body, codecs, limit, &mut message)?;
        Ok(Self(message))
    }

    fn zero() -> Result<Self, CodecError> {
        Ok(Self(M::default()))
    }
}

/// Appends a message, if `codec` is protobuf.
pub(super) fn write<M: Message>(
    message: &M,
    codec: CodecId,
    codecs: &Codecs,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    if codec != CodecId::PROTOBUF {
        return Err(refuse(codec, codecs));
    }
    out.reserve(message.encoded_len());
    message.encode_raw(out);
    Ok(())
}

/// As [`write()`], with large fields of the type `Bytes` shared.
#[inline]
pub(super) fn write_parts<M: Message>(
    message: &M,
    codec: CodecId,
    codecs: &Codecs,
    out: &mut Parts,
) -> Result<(), CodecError> {
    if codec != CodecId::PROTOBUF {
        return Err(refuse(codec, codecs));
    }
    let len = message.encoded_len();
    if len < Parts::SHARE {
        let out = out.copied();
        out.reserve(len);
        message.encode_raw(out);
    } else {
        message.encode_raw(out);
    }
    Ok(())
}

/// From this size on a payload is shared with the `Bytes` fields of the message, instead of copied into them: less than that
/// is copied more quickly, and would keep the whole read buffer alive.
const SHARE: usize = 4 * 1024;

/// Reads into a message that has its defaults, if that is what the body is.
#[inline]
pub(super) fn merge<M: Message>(
    body: &Body<'_>,
    codecs: &Codecs,
    limit: usize,
    message: &mut M,
) -> Result<(), CodecError> {
    if body.is_nil() {
        return Ok(());
    }
    match body.codec() {
        Some(CodecId::PROTOBUF) => match body.shared_payload(SHARE) {
            Some(payload) => merge_shared(payload, message),
            None => message.merge(&*body.inflate(limit)?),
        }
        .map_err(|error| unreadable(&error)),
        Some(other) => Err(refuse(other, codecs)),
        None => Err(CodecError::unknown(None)),
    }
}

#[inline(never)]
fn merge_shared<M: Message>(payload: Bytes, message: &mut M) -> Result<(), DecodeError> {
    message.merge(payload)
}

#[cold]
fn unreadable(error: &DecodeError) -> CodecError {
    CodecError::decode(format!("protobuf: {error}"))
}

#[cold]
fn refuse(codec: CodecId, codecs: &Codecs) -> CodecError {
    match codecs.name(codec) {
        Some(_) => CodecError::unsupported(codec, "this type, which is a protobuf message"),
        None => CodecError::unknown(Some(codec)),
    }
}
