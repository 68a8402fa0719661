//! The zero value of any type that serde can build: what an empty body means.

use serde::{
    de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor, value::Error},
    forward_to_deserialize_any,
};

/// A deserializer that answers every question with zero, empty or nothing.
///
/// Fixed-size things are filled with zeros; what has no natural zero, an enum with data, is an error.
pub(super) struct Zero;

macro_rules! zeros {
    ($($method:ident => $visit:ident($($zero:expr)?);)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit($($zero)?)
        })*
    };
}

impl<'de> Deserializer<'de> for Zero {
    type Error = Error;

    zeros! {
        deserialize_any => visit_unit();
        deserialize_bool => visit_bool(false);
        deserialize_i8 => visit_i8(0);
        deserialize_i16 => visit_i16(0);
        deserialize_i32 => visit_i32(0);
        deserialize_i64 => visit_i64(0);
        deserialize_i128 => visit_i128(0);
        deserialize_u8 => visit_u8(0);
        deserialize_u16 => visit_u16(0);
        deserialize_u32 => visit_u32(0);
        deserialize_u64 => visit_u64(0);
        deserialize_u128 => visit_u128(0);
        deserialize_f32 => visit_f32(0.0);
        deserialize_f64 => visit_f64(0.0);
        deserialize_char => visit_char('\0');
        deserialize_str => visit_str("");
        deserialize_string => visit_str("");
        deserialize_bytes => visit_bytes(&[]);
        deserialize_byte_buf => visit_bytes(&[]);
        deserialize_option => visit_none();
        deserialize_unit => visit_unit();
        deserialize_seq => visit_seq(Zeros(0));
        deserialize_map => visit_map(Fields(&[]));
        deserialize_ignored_any => visit_unit();
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Zeros(len))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_seq(Zeros(len))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_map(Fields(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(Error::custom(format_args!(
            "enum `{name}` has no zero value"
        )))
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str("")
    }
}

/// So many zeros.
struct Zeros(usize);

impl<'de> SeqAccess<'de> for Zeros {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        match self.0.checked_sub(1) {
            None => Ok(None),
            Some(rest) => {
                self.0 = rest;
                seed.deserialize(Zero).map(Some)
            }
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0)
    }
}

/// A struct's fields, each zero.
struct Fields(&'static [&'static str]);

impl<'de> MapAccess<'de> for Fields {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Error> {
        match self.0.split_first() {
            None => Ok(None),
            Some((field, rest)) => {
                self.0 = rest;
                seed.deserialize(Key(field)).map(Some)
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(Zero)
    }
}

struct Key(&'static str);

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_borrowed_str(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner(u8, bool);

    #[derive(Debug, Deserialize, PartialEq)]
    struct Outer {
        text: String,
        pair: [i32; 2],
        list: Vec<u8>,
        map: HashMap<String, u8>,
        maybe: Option<u8>,
        any: serde_json::Value,
        inner: Inner,
        float: f64,
    }

    #[test]
    fn everything_is_zero_all_the_way_down() {
        let zero = Outer {
            text: String::new(),
            pair: [0, 0],
            list: vec![],
            map: HashMap::new(),
            maybe: None,
            any: serde_json::Value::Null,
            inner: Inner(0, false),
            float: 0.0,
        };
        assert_eq!(Outer::deserialize(Zero), Ok(zero));
    }

    #[test]
    fn an_enum_has_no_zero() {
        #[derive(Debug, Deserialize)]
        enum Shape {
            #[allow(dead_code)]
            Circle(f32),
        }
        let error = Shape::deserialize(Zero).unwrap_err();
        assert_eq!(error.to_string(), "enum `Shape` has no zero value");
    }
}
