//! Tells `()` from all other types where only serde's traits are known.

use std::fmt::Display;

use serde::{
    Serialize, Serializer,
    de::{DeserializeOwned, Deserializer, Visitor, value::Error},
    forward_to_deserialize_any,
    ser::Error as _,
};

use super::refuse::{refuse, refuse_compound};

/// Whether `value` is `()`. Stops at the first thing the value says of itself, so it costs nothing.
pub(super) fn is_nil<T: Serialize + ?Sized>(value: &T) -> bool {
    value.serialize(OnlyUnit).is_ok()
}

/// `()`, if that is what `T` is.
pub(super) fn nothing<T: DeserializeOwned>() -> Option<T> {
    T::deserialize(OnlyUnit).ok()
}

struct OnlyUnit;

impl Serializer for OnlyUnit {
    type Ok = ();
    type Error = Error;

    fn serialize_unit(self) -> Result<(), Error> {
        Ok(())
    }

    refuse! {
        Error, Error::custom("");
        serialize_bool(bool);
        serialize_i8(i8);
        serialize_i16(i16);
        serialize_i32(i32);
        serialize_i64(i64);
        serialize_u8(u8);
        serialize_u16(u16);
        serialize_u32(u32);
        serialize_u64(u64);
        serialize_f32(f32);
        serialize_f64(f64);
        serialize_char(char);
        serialize_str(&str);
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        collect_str<Display>();
        serialize_some<Serialize>();
        serialize_newtype_struct<Serialize>(&'static str);
        serialize_newtype_variant<Serialize>(&'static str, u32, &'static str);
    }

    refuse_compound!(Error, Error::custom(""));
}

impl<'de> Deserializer<'de> for OnlyUnit {
    type Error = Error;

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom(""))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unit_type_is_nil() {
        assert!(is_nil(&()));
        assert!(is_nil(&&()));
        assert!(!is_nil(&None::<u8>));
        // What Go calls a nil interface is this value, so it is right that it counts as nil.
        assert!(is_nil(&serde_json::Value::Null));
        assert!(nothing::<serde_json::Value>().is_none());
        assert!(nothing::<()>().is_some());
        assert!(nothing::<Option<u8>>().is_none());
        assert!(nothing::<String>().is_none());
        // Not even made a text for the question.
        struct Unprintable;
        impl Serialize for Unprintable {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl Display for Unprintable {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("nobody wants it printed")
            }
        }
        assert!(!is_nil(&Unprintable));
    }
}
