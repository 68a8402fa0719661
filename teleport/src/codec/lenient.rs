//! JSON that Go's reader takes and serde's does not (wire specification, section 2.4).
//!
//! Tried only after the strict reading has failed: what is usual pays nothing for it. And only on payloads of a moderate size, for
//! the tree of values between takes many times the memory that its text does.

use std::borrow::Cow;

use serde::{
    de::{
        DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, SeqAccess, Visitor,
        value::MapDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_json::{Error, Value};

use super::zero::Zero;

/// Larger payloads are read strictly.
const LARGEST: usize = 1024 * 1024;

/// Reads what differs from strict JSON only in these ways: invalid UTF-8 and lone surrogates become U+FFFD; `null` is
/// the zero value; a fixed-size array drops surplus elements and is filled up with zeros; of a member that is there twice,
/// the last counts.
pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Option<T> {
    if payload.len() > LARGEST {
        return None;
    }
    let text = String::from_utf8_lossy(payload);
    let text = replace_lone_surrogates(&text);
    let value: Value = serde_json::from_str(&text).ok()?;
    T::deserialize(Lenient(value)).ok()
}

/// Rewrites `\ud800` to `\udfff` escapes that have no partner.
pub(crate) fn replace_lone_surrogates(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (plain, escape) = rest.split_at(at);
        out.push_str(plain);
        let (taken, replaced) = match unit(escape) {
            Some(0xd800..=0xdbff) => match escape.get(6..).and_then(unit) {
                Some(0xdc00..=0xdfff) => (12, false),
                _ => (6, true),
            },
            Some(0xdc00..=0xdfff) => (6, true),
            Some(_) => (6, false),
            // Another escape: two characters, of which the second may be a backslash.
            None => (1 + escape.chars().nth(1).map_or(0, char::len_utf8), false),
        };
        let (escape, after) = escape.split_at(taken);
        out.push_str(if replaced { "\\ufffd" } else { escape });
        rest = after;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The number in `\uXXXX` at the start of `text`.
fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// A JSON value that is read as Go would.
struct Lenient(Value);

fn zero<T>(result: Result<T, serde::de::value::Error>) -> Result<T, Error> {
    result.map_err(serde::de::Error::custom)
}

macro_rules! null_is_zero {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                Value::Null => zero(Zero.$method(visitor)),
                value => value.$method(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = Error;

    null_is_zero! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_unit
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(items) => visitor.visit_seq(Items::new(items, None)),
            Value::Object(members) => {
                let members = members
                    .into_iter()
                    .map(|(key, value)| (key, Lenient(value)));
                visitor.visit_map(MapDeserializer::new(members))
            }
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => zero(Zero.deserialize_seq(visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => zero(Zero.deserialize_tuple(len, visitor)),
            Value::Array(items) => visitor.visit_seq(Items::new(items, Some(len))),
            value => value.deserialize_tuple(len, visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => zero(Zero.deserialize_map(visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => zero(Zero.deserialize_struct(name, fields, visitor)),
            Value::Object(_) => self.deserialize_any(visitor),
            value => value.deserialize_struct(name, fields, visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! { identifier ignored_any }
}

impl<'de> IntoDeserializer<'de, Error> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The elements of an array, for a receiver that wants exactly `missing` of them, or as many as there are.
struct Items {
    items: std::vec::IntoIter<Value>,
    missing: Option<usize>,
}

impl Items {
    fn new(items: Vec<Value>, wanted: Option<usize>) -> Self {
        Self {
            items: items.into_iter(),
            missing: wanted,
        }
    }
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        if let Some(missing) = &mut self.missing {
            match missing.checked_sub(1) {
                None => return Ok(None),
                Some(rest) => *missing = rest,
            }
        }
        match self.items.next() {
            Some(item) => seed.deserialize(Lenient(item)).map(Some),
            None if self.missing.is_some() => zero(seed.deserialize(Zero)).map(Some),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn a_fixed_array_drops_what_is_too_much_and_fills_what_is_missing() {
        assert_eq!(read::<[i32; 2]>(b"[1,2,3]"), Some([1, 2]));
        assert_eq!(read::<[i32; 2]>(b"[1]"), Some([1, 0]));
        assert_eq!(read::<(i32, String)>(b"[]"), Some((0, String::new())));
        assert_eq!(read::<Vec<[u8; 1]>>(b"[[1,2],[]]"), Some(vec![[1], [0]]));
    }

    #[test]
    fn null_leaves_the_receiver_at_zero() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Point {
            x: i32,
            y: Option<i32>,
        }
        assert_eq!(read::<[i32; 2]>(b"null"), Some([0, 0]));
        assert_eq!(read::<String>(b"null"), Some(String::new()));
        assert_eq!(read::<Point>(b"null"), Some(Point { x: 0, y: None }));
        assert_eq!(
            read::<Point>(br#"{"x":null,"y":1}"#),
            Some(Point { x: 0, y: Some(1) })
        );
    }

    #[test]
    fn broken_texts_get_replacement_characters() {
        assert_eq!(read::<String>(b"\"a\xffb\"").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(
            read::<String>(br#""\ud83d\ude00\ud800x""#).as_deref(),
            Some("😀\u{fffd}x")
        );
        assert_eq!(
            read::<String>(br#""\udc00\ud800\ud83d\ude00""#).as_deref(),
            Some("\u{fffd}\u{fffd}😀")
        );
        assert_eq!(
            read::<String>(br#""\\ud800""#).as_deref(),
            Some(r"\ud800"),
            "an escaped backslash is none"
        );
    }

    #[test]
    fn of_a_member_that_is_there_twice_the_last_counts() {
        #[derive(Debug, Deserialize, PartialEq)]
        struct Point {
            x: i32,
        }
        assert_eq!(read::<Point>(br#"{"x":1,"x":2}"#), Some(Point { x: 2 }));
    }

    #[test]
    fn a_large_payload_is_not_read_into_a_tree() {
        let surplus = |len: usize| format!("[{}0]", "0,".repeat(len / 2)).into_bytes();
        assert_eq!(read::<[u8; 1]>(&surplus(LARGEST - 10)), Some([0]));
        assert_eq!(read::<[u8; 1]>(&surplus(LARGEST)), None);
    }

    #[test]
    fn what_does_not_fit_still_does_not() {
        assert_eq!(read::<[i32; 2]>(b"[1.5,2]"), None);
        assert_eq!(read::<[i32; 2]>(br#"{"a":1}"#), None);
        assert_eq!(read::<[i32; 2]>(b"[1,2]]"), None);
        let deep = "[".repeat(100_000);
        assert_eq!(read::<Value>(deep.as_bytes()), None);
    }
}
