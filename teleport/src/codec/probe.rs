//! Finds out which codecs a type can use. Called by generated code, on concrete types.
//!
//! Rust has no "if `T` implements ...", but method look-up prefers the receiver with fewer references. Each level below is
//! implemented for one reference more on [`Probe`], so `(&&&&&Probe::<T>::NEW).decode_strategy()` picks the best level whose
//! bounds hold. Only declared bounds count: a bare type parameter ends in [`Unsupported`].

use std::marker::PhantomData;

use prost::Message;
use serde::{Serialize, de::DeserializeOwned};

use super::{Body, BodyKind, CodecError, CodecId, Codecs, Decode, Encode, Parts, protobuf};

/// Asks about `T`.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T> Probe<T> {
    /// The question.
    pub const NEW: Self = Self(PhantomData);
}

/// serde and prost: JSON, text, registered codecs, and protobuf.
#[derive(Clone, Copy, Debug)]
pub struct Both;

/// What [`Encode`] or [`Decode`] says.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// prost alone: protobuf.
#[derive(Clone, Copy, Debug)]
pub struct OnlyMessage;

/// Nothing usable; using it is a compile error that tells what to derive.
#[derive(Clone, Copy, Debug)]
pub struct Unsupported;

/// Nothing usable, and that has been told already. It carries any type, so that it is not told twice.
#[derive(Clone, Copy, Debug)]
pub struct Reported;

/// Reads a `T` from a body.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be read from a body",
    label = "no codec can read this type",
    note = "derive `serde::Deserialize` (JSON and text callers) or `prost::Message` (protobuf callers), or both",
    note = "for a type parameter, add the bound `serde::de::DeserializeOwned`"
)]
pub trait DecodeAs<T> {
    /// As [`Decode::decode`], but leaves the value in `place`; after an error it may be half a value. Messages are made there: to
    /// hand one on by value, when it has just been written, takes longer than to write it.
    fn decode_into(
        &self,
        body: &Body<'_>,
        codecs: &Codecs,
        limit: usize,
        place: &mut Option<T>,
    ) -> Result<(), CodecError>;
}

/// Writes a `T` into a body.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be written into a body",
    label = "no codec can write this type",
    note = "derive `serde::Serialize` (JSON and text callers) or `prost::Message` (protobuf callers), or both",
    note = "for a type parameter, add the bound `serde::Serialize`",
    note = "an alias of `Result` is taken for one if its name ends in `Result`"
)]
pub trait EncodeAs<T> {
    /// The value as something to encode.
    type Body<'a>: Encode
    where
        T: 'a;

    /// Borrows the value.
    fn wrap<'a>(&self, value: &'a T) -> Self::Body<'a>;
}

impl<T: DeserializeOwned + Message + Default> DecodeAs<T> for Both {
    fn decode_into(
        &self,
        body: &Body<'_>,
        codecs: &Codecs,
        limit: usize,
        place: &mut Option<T>,
    ) -> Result<(), CodecError> {
        if body.codec() == Some(CodecId::PROTOBUF) || body.is_nil() {
            protobuf::merge(body, codecs, limit, place.insert(T::default()))
        } else {
            *place = Some(T::decode_serde(body, codecs, limit)?);
            Ok(())
        }
    }
}

/// [`Decode::decode`] under a name that `Message::decode` does not hide.
trait DecodeSerde: Sized {
    fn decode_serde(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError>;
}

impl<T: Decode> DecodeSerde for T {
    fn decode_serde(body: &Body<'_>, codecs: &Codecs, limit: usize) -> Result<Self, CodecError> {
        <T as Decode>::decode(body, codecs, limit)
    }
}

impl<T: Decode> DecodeAs<T> for Plain {
    fn decode_into(
        &self,
        body: &Body<'_>,
        codecs: &Codecs,
        limit: usize,
        place: &mut Option<T>,
    ) -> Result<(), CodecError> {
        *place = Some(<T as Decode>::decode(body, codecs, limit)?);
        Ok(())
    }
}

impl<T: Message + Default> DecodeAs<T> for OnlyMessage {
    fn decode_into(
        &self,
        body: &Body<'_>,
        codecs: &Codecs,
        limit: usize,
        place: &mut Option<T>,
    ) -> Result<(), CodecError> {
        protobuf::merge(body, codecs, limit, place.insert(T::default()))
    }
}

impl<T> DecodeAs<T> for Reported {
    fn decode_into(
        &self,
        _: &Body<'_>,
        _: &Codecs,
        _: usize,
        _: &mut Option<T>,
    ) -> Result<(), CodecError> {
        Err(CodecError::decode("no codec can read this type"))
    }
}

impl<T: Serialize + Message> EncodeAs<T> for Both {
    type Body<'a>
        = BothBody<'a, T>
    where
        T: 'a;

    fn wrap<'a>(&self, value: &'a T) -> BothBody<'a, T> {
        BothBody(value)
    }
}

impl<T: Encode> EncodeAs<T> for Plain {
    type Body<'a>
        = PlainBody<'a, T>
    where
        T: 'a;

    fn wrap<'a>(&self, value: &'a T) -> PlainBody<'a, T> {
        PlainBody(value)
    }
}

impl<T: Message> EncodeAs<T> for OnlyMessage {
    type Body<'a>
        = MessageBody<'a, T>
    where
        T: 'a;

    fn wrap<'a>(&self, value: &'a T) -> MessageBody<'a, T> {
        MessageBody(value)
    }
}

impl<T> EncodeAs<T> for Reported {
    type Body<'a>
        = ()
    where
        T: 'a;

    fn wrap(&self, _: &T) {}
}

/// A borrowed value of a type with serde and prost.
#[derive(Debug)]
pub struct BothBody<'a, T>(&'a T);

impl<T: Serialize + Message> Encode for BothBody<'_, T> {
    fn body_kind(&self) -> BodyKind {
        BodyKind::Value
    }

    fn fallback_codec(&self) -> CodecId {
        CodecId::JSON
    }

    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        if codec == CodecId::PROTOBUF {
            protobuf::write(self.0, codec, codecs, out)
        } else {
            <T as Encode>::encode(self.0, codec, codecs, out)
        }
    }

    fn encode_parts(
        &self,
        codec: CodecId,
        codecs: &Codecs,
        out: &mut Parts,
    ) -> Result<(), CodecError> {
        if codec == CodecId::PROTOBUF {
            protobuf::write_parts(self.0, codec, codecs, out)
        } else {
            <T as Encode>::encode_parts(self.0, codec, codecs, out)
        }
    }
}

/// A borrowed value that is [`Encode`] itself.
#[derive(Debug)]
pub struct PlainBody<'a, T>(&'a T);

impl<T: Encode> Encode for PlainBody<'_, T> {
    fn body_kind(&self) -> BodyKind {
        self.0.body_kind()
    }

    fn fallback_codec(&self) -> CodecId {
        self.0.fallback_codec()
    }

    fn may_use(&self, codec: CodecId) -> bool {
        self.0.may_use(codec)
    }

    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.0.encode(codec, codecs, out)
    }

    fn encode_parts(
        &self,
        codec: CodecId,
        codecs: &Codecs,
        out: &mut Parts,
    ) -> Result<(), CodecError> {
        self.0.encode_parts(codec, codecs, out)
    }
}

/// A borrowed prost message.
#[derive(Debug)]
pub struct MessageBody<'a, T>(&'a T);

impl<T: Message> Encode for MessageBody<'_, T> {
    fn body_kind(&self) -> BodyKind {
        BodyKind::Value
    }

    fn fallback_codec(&self) -> CodecId {
        CodecId::PROTOBUF
    }

    fn encode(&self, codec: CodecId, codecs: &Codecs, out: &mut Vec<u8>) -> Result<(), CodecError> {
        protobuf::write(self.0, codec, codecs, out)
    }

    fn encode_parts(
        &self,
        codec: CodecId,
        codecs: &Codecs,
        out: &mut Parts,
    ) -> Result<(), CodecError> {
        protobuf::write_parts(self.0, codec, codecs, out)
    }
}

macro_rules! level {
    ($name:ident, $method:ident, $strategy:ident, [$($bounds:tt)*], $($reference:tt)*) => {
        #[doc = concat!("Picks [`", stringify!($strategy), "`].")]
        pub trait $name {
            /// The strategy.
            fn $method(&self) -> $strategy {
                $strategy
            }
        }

        impl<T: $($bounds)*> $name for $($reference)* Probe<T> {}
    };
}

macro_rules! scalars {
    ($($ty:ty)*) => {
        $(
            impl DecodeScalar for &&&&Probe<$ty> {}
            impl EncodeScalar for &&&&Probe<$ty> {}
        )*
    };
}

// prost takes these for the messages `google.protobuf.Int32Value` and so on. On this wire they are not.
scalars! { () bool i32 i64 u32 u64 f32 f64 String Vec<u8> }

/// Picks [`Plain`] for types that are messages to prost alone.
pub trait DecodeScalar {
    /// The strategy.
    fn decode_strategy(&self) -> Plain {
        Plain
    }
}

/// Picks [`Plain`] for types that are messages to prost alone.
pub trait EncodeScalar {
    /// The strategy.
    fn encode_strategy(&self) -> Plain {
        Plain
    }
}

level!(DecodeBoth, decode_strategy, Both, [DeserializeOwned + Message + Default], &&&);
level!(DecodePlain, decode_strategy, Plain, [Decode], &&);
level!(DecodeMessage, decode_strategy, OnlyMessage, [Message + Default], &);
level!(DecodeUnsupported, decode_strategy, Unsupported, [Sized],);
level!(DecodeReported, decode_strategy, Reported, [Sized],);
level!(EncodeBoth, encode_strategy, Both, [Serialize + Message], &&&);
level!(EncodePlain, encode_strategy, Plain, [Encode], &&);
level!(EncodeMessage, encode_strategy, OnlyMessage, [Message], &);
level!(EncodeUnsupported, encode_strategy, Unsupported, [Sized],);
level!(EncodeReported, encode_strategy, Reported, [Sized],);

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde::{Deserialize, Serialize};

    // Not all: of the two last levels, generated code imports one.
    use super::{
        Both, DecodeAs, DecodeBoth, DecodeMessage, DecodePlain, DecodeScalar, DecodeUnsupported,
        EncodeBoth, EncodeMessage, EncodePlain, EncodeScalar, EncodeUnsupported, Probe,
    };
    use crate::codec::{Body, Codecs, Protobuf, Raw};

    #[derive(Clone, PartialEq, Message)]
    struct P {
        #[prost(int32, tag = 1)]
        a: i32,
    }

    #[derive(Clone, PartialEq, Message, Serialize, Deserialize)]
    struct B {
        #[prost(int32, tag = 1)]
        a: i32,
    }

    struct Nothing;

    macro_rules! strategy {
        ($ty:ty) => {
            (
                format!("{:?}", (&&&&&Probe::<$ty>::NEW).decode_strategy()),
                format!("{:?}", (&&&&&Probe::<$ty>::NEW).encode_strategy()),
            )
        };
    }

    fn both(name: &str) -> (String, String) {
        (name.to_owned(), name.to_owned())
    }

    #[test]
    fn each_type_gets_the_best_strategy_that_it_supports() {
        assert_eq!(strategy!(B), both("Both"));
        assert_eq!(strategy!(P), both("OnlyMessage"));
        assert_eq!(strategy!([i32; 2]), both("Plain"));
        assert_eq!(strategy!(()), both("Plain"));
        assert_eq!(strategy!(String), both("Plain"));
        assert_eq!(strategy!((i32, String)), both("Plain"));
        assert_eq!(strategy!(Raw), both("Plain"));
        assert_eq!(strategy!(Protobuf<P>), both("Plain"));
        assert_eq!(strategy!(Nothing), both("Unsupported"));
    }

    #[test]
    fn a_type_with_both_is_read_from_either_codec() {
        let codecs = Codecs::new();
        for bytes in [&b"p\x08\x05"[..], b"j{\"a\":5}"] {
            let bytes = bytes::Bytes::from_static(bytes);
            let mut value: Option<B> = None;
            let read = Both.decode_into(&Body::new(&bytes, 0), &codecs, 100, &mut value);
            assert!(read.is_ok());
            assert_eq!(value.map(|value| value.a), Some(5));
        }
    }
}
