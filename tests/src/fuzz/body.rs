//! All body codecs: what a receiver has read it can write, and reads again as the same, compressed or not; strict readers agree with
//! ours about what they take; and no payload that inflates gives more than the limit.

use std::{collections::BTreeMap, fmt::Debug};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use teleport::{
    CodecId, Protobuf, Raw,
    codec::{Body, Codec, CodecError, Codecs, Decode, Encode, append_body, erased_serde},
};

use super::input::Input;

/// A byte for the receiver, one for the gzip level, and the body: a codec id and the payload, which is not
/// compressed; the level is for writing.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let receiver = input.byte();
    let gzip = input.pick(&[0, 0, 0, 1, 9, -1, -2]);
    let body = input.rest();
    match receiver % 12 {
        0 => value::<Value>(body, gzip),
        1 => value::<[i64; 2]>(body, gzip),
        2 => value::<String>(body, gzip),
        3 => value::<Vec<Option<u8>>>(body, gzip),
        4 => value::<BTreeMap<String, f64>>(body, gzip),
        5 => value::<Nested>(body, gzip),
        6 => value::<(u64, f64, char, bool)>(body, gzip),
        7 => value::<Shape>(body, gzip),
        8 => value::<BTreeMap<i32, i128>>(body, gzip),
        9 => drop(check::<Protobuf<Message>>(body, gzip)),
        10 => drop(check::<Raw>(body, gzip)),
        _ => drop(check::<()>(body, gzip)),
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Nested {
    name: String,
    pair: [i32; 2],
    list: Vec<Nested>,
    maybe: Option<Box<Nested>>,
    any: Value,
    #[serde(default)]
    left_out: i8,
}

#[derive(Debug, Deserialize, Serialize)]
enum Shape {
    Nothing,
    Circle(f64),
    Box(u8, u8),
    Named { name: String },
}

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(int32, tag = "1")]
    number: i32,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(bytes = "bytes", tag = "3")]
    bytes: Bytes,
    #[prost(double, repeated, tag = "4")]
    numbers: Vec<f64>,
    #[prost(message, repeated, tag = "5")]
    inner: Vec<Message>,
    #[prost(btree_map = "string, sint64", tag = "6")]
    map: BTreeMap<String, i64>,
    #[prost(oneof = "Choice", tags = "7, 8")]
    choice: Option<Choice>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Choice {
    #[prost(fixed32, tag = "7")]
    Fixed(u32),
    #[prost(bool, tag = "8")]
    Flag(bool),
}

/// A codec of an application: JSON with an `x` in front.
struct Custom;

impl Codec for Custom {
    fn id(&self) -> CodecId {
        CodecId::new(b'x').expect("not 0")
    }

    fn name(&self) -> &str {
        "custom"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        out.push(b'x');
        serde_json::to_writer(out, value).map_err(CodecError::encode)
    }

    fn decode(
        &self,
        payload: &[u8],
        visit: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let payload = payload
            .strip_prefix(b"x")
            .ok_or_else(|| CodecError::decode("no x"))?;
        let mut json = serde_json::Deserializer::from_slice(payload);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json))
            .map_err(CodecError::decode)?;
        json.end().map_err(CodecError::decode)
    }
}

fn codecs() -> Codecs {
    let mut codecs = Codecs::new();
    codecs.register(Custom).expect("no conflict");
    codecs
}

fn read<T: Decode>(body: &[u8], gzip: i32) -> Result<T, CodecError> {
    let body = Bytes::copy_from_slice(body);
    T::decode(&Body::new(&body, gzip), &codecs(), body.len())
}

/// Reads a body, and what was written of its value. Gives the value.
fn check<T: Decode + Encode + Debug>(body: &[u8], gzip: i32) -> Option<T> {
    let value = read::<T>(body, 0).ok()?;
    // Without a codec there is a zero value, which any can write.
    let codec = match body {
        [codec, _, ..] => CodecId::new(*codec)?,
        _ => value.fallback_codec(),
    };
    let mut written = b"kept".to_vec();
    match append_body(&value, Some(codec), gzip, &codecs(), &mut written) {
        Ok(()) => {}
        // The zero value of a type that is no text, nothing in a codec that nobody knows.
        Err(error) if error.is_unsupported() => {
            assert_eq!(written, b"kept");
            return Some(value);
        }
        Err(error) => panic!("{value:?}: {error}"),
    }
    let written = written.split_off(4);
    let limit = 1 << 20;
    let bytes = Bytes::from(written.clone());
    let again = T::decode(&Body::new(&bytes, gzip), &codecs(), limit);
    let again = again.unwrap_or_else(|error| panic!("{value:?}: {written:?}: {error}"));
    // Written, for one JSON number may be read as an integer or not, and NaN is not like itself.
    let plain = |value: &T| {
        let mut out = Vec::new();
        append_body(value, Some(codec), 0, &codecs(), &mut out).map(|()| out)
    };
    assert_eq!(plain(&again).ok(), plain(&value).ok(), "{value:?}");
    if let Ok(inflated) = Body::new(&bytes, gzip).inflate(limit)
        && gzip != 0
        && value.body_kind() == teleport::codec::BodyKind::Value
        && let Some(less) = inflated.len().checked_sub(1)
    {
        let error = T::decode(&Body::new(&bytes, gzip), &codecs(), less);
        let error = error.expect_err("one byte over the limit");
        assert!(error.is_over_limit(), "{error}");
    }
    Some(value)
}

/// The same, of a type that serde knows.
fn value<T>(body: &[u8], gzip: i32)
where
    T: Serialize + DeserializeOwned + Debug,
{
    let ours = check::<T>(body, gzip);
    // What is strict JSON means what it means to serde.
    if let [b'j', payload @ ..] = body
        && !payload.is_empty()
        && let Ok(strict) = serde_json::from_slice::<T>(payload)
    {
        same(&ours, &Some(strict));
    }
}

/// To the last bit of a number; what is not a number is like itself.
fn same(found: &impl Debug, expected: &impl Debug) {
    assert_eq!(format!("{found:?}"), format!("{expected:?}"));
}
