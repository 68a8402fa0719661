//! The string codec: the bytes of a text as they are. Only texts have this form.

use std::fmt::{self, Display};

use serde::{
    Serialize, Serializer,
    de::{self, DeserializeOwned, Deserializer, Visitor},
    forward_to_deserialize_any, ser,
};

use super::{
    CodecError, CodecId,
    refuse::{refuse, refuse_compound},
};

/// Appends a text.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    value.serialize(Writer(out)).map_err(|NoText| unsupported())
}

/// Reads a text. The wire allows any bytes; what is not UTF-8 in them becomes U+FFFD.
pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    let text = String::from_utf8_lossy(payload);
    T::deserialize(Reader(&text)).map_err(|NoText| unsupported())
}

fn unsupported() -> CodecError {
    CodecError::unsupported(CodecId::STRING, "this type, which is no text")
}

/// The value is not a text.
#[derive(Debug)]
struct NoText;

impl Display for NoText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a text")
    }
}

impl std::error::Error for NoText {}

impl ser::Error for NoText {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

impl de::Error for NoText {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

struct Writer<'a>(&'a mut Vec<u8>);

impl Serializer for Writer<'_> {
    type Ok = ();
    type Error = NoText;

    fn serialize_str(self, text: &str) -> Result<(), NoText> {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NoText> {
        value.serialize(self)
    }

    refuse! {
        NoText, NoText;
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
        serialize_bytes(&[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(&'static str);
        serialize_unit_variant(&'static str, u32, &'static str);
        collect_str<Display>();
        serialize_some<Serialize>();
        serialize_newtype_variant<Serialize>(&'static str, u32, &'static str);
    }

    refuse_compound!(NoText, NoText);
}

struct Reader<'a>(&'a str);

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = NoText;

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoText> {
        visitor.visit_str(self.0)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, NoText> {
        visitor.visit_str(self.0)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, NoText> {
        visitor.visit_newtype_struct(self)
    }

    /// A type that takes anything (a JSON value) is no text either.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, NoText> {
        Err(NoText)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq, Serialize)]
    struct Name(String);

    #[test]
    fn texts_and_their_newtypes_go_as_they_are() {
        let mut out = Vec::new();
        write("é<", &mut out).unwrap();
        write(&Name("!".into()), &mut out).unwrap();
        assert_eq!(out, "é<!".as_bytes());
        assert_eq!(read::<String>("é".as_bytes()).unwrap(), "é");
        assert_eq!(read::<Name>(b"n").unwrap(), Name("n".into()));
    }

    #[test]
    fn bytes_that_are_not_utf_8_become_replacement_characters() {
        assert_eq!(read::<String>(b"a\xffb").unwrap(), "a\u{fffd}b");
    }

    #[test]
    fn everything_else_is_unsupported() {
        let mut out = Vec::new();
        assert!(write(&5, &mut out).unwrap_err().is_unsupported());
        assert!(write(&["a"], &mut out).unwrap_err().is_unsupported());
        assert!(read::<i32>(b"5").unwrap_err().is_unsupported());
        assert!(
            read::<serde_json::Value>(b"5")
                .unwrap_err()
                .is_unsupported()
        );
        assert!(read::<Option<String>>(b"5").unwrap_err().is_unsupported());
    }
}
