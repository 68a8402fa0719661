//! JSON as the wire specification wants it written (section 2.4), and read strictly.

use std::{
    fmt::{Display, LowerExp},
    io::{self, Write},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{
    Deserializer,
    de::Read,
    ser::{CharEscape, CompactFormatter, Formatter, Serializer},
};

use super::CodecError;

/// Appends `value`, byte for byte as a Go peer would write it, with two exceptions: the members of a map come in its own order
/// (a `BTreeMap` with texts as keys has Go's), and bytes are an array of numbers, where a Go peer has base64.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut serializer = Serializer::with_formatter(out, GoFormatter);
    value
        .serialize(&mut serializer)
        .map_err(|error| CodecError::encode(format!("json: {error}")))
}

/// Appends a text with its quotes.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    // Writing a str into a Vec cannot fail.
    let _ = text.serialize(&mut Serializer::with_formatter(out, GoFormatter));
}

/// Reads a whole payload; anything behind the value is an error.
pub(super) fn read<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    let refused = |error: &dyn Display| CodecError::decode(format!("json: {error}"));
    // What is smaller than a `String` mostly holds no text, and a few keys are checked sooner one by one. What is skipped is not
    // checked then: the lenient reader would have replaced it.
    if const { size_of::<T>() < size_of::<String>() } {
        return whole(&mut Deserializer::from_slice(payload)).map_err(|error| refused(&error));
    }
    // All at once, which costs less than text by text. What the quick look refuses, the other one explains.
    let text = simdutf8::basic::from_utf8(payload)
        .or_else(|_| str::from_utf8(payload))
        .map_err(|error| refused(&error))?;
    whole(&mut Deserializer::from_str(text)).map_err(|error| refused(&error))
}

/// What `from_str` and `from_slice` do, with a deserializer that stays where it is made: they would move it, and wait for it.
#[inline]
fn whole<'de, R: Read<'de>, T: DeserializeOwned>(
    deserializer: &mut Deserializer<R>,
) -> serde_json::Result<T> {
    let value = T::deserialize(&mut *deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// The peculiarities of Go's `encoding/json`: HTML-safe escapes, and numbers in its own form.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        // Most texts have nothing of the kind.
        match fragment.bytes().any(may_need_escape) {
            true => write_escaped(writer, fragment),
            false => writer.write_all(fragment.as_bytes()),
        }
    }

    fn write_char_escape<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Backspace => writer.write_all(b"\\u0008"),
            CharEscape::FormFeed => writer.write_all(b"\\u000c"),
            other => CompactFormatter.write_char_escape(writer, other),
        }
    }

    fn write_f32<W: ?Sized + Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        float(
            writer,
            value,
            value.abs() == 0.0 || (1e-6..1e21).contains(&value.abs()),
        )
    }

    fn write_f64<W: ?Sized + Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        float(
            writer,
            value,
            value.abs() == 0.0 || (1e-6..1e21).contains(&value.abs()),
        )
    }
}

/// All that needs an escape here begins with one of four bytes.
fn may_need_escape(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | 0xe2)
}

#[inline(never)]
fn write_escaped<W: ?Sized + Write>(writer: &mut W, fragment: &str) -> io::Result<()> {
    let mut rest = fragment;
    while let Some(at) = rest.bytes().position(may_need_escape) {
        let (plain, special) = rest.split_at(at);
        writer.write_all(plain.as_bytes())?;
        let mut chars = special.chars();
        let escape: &[u8] = match chars.next() {
            Some('<') => b"\\u003c",
            Some('>') => b"\\u003e",
            Some('&') => b"\\u0026",
            Some('\u{2028}') => b"\\u2028",
            Some('\u{2029}') => b"\\u2029",
            _ => {
                let (char, _) = special.split_at(special.len() - chars.as_str().len());
                char.as_bytes()
            }
        };
        writer.write_all(escape)?;
        rest = chars.as_str();
    }
    writer.write_all(rest.as_bytes())
}

/// The shortest form, `plain` or with an exponent.
fn float<W, N>(writer: &mut W, value: N, plain: bool) -> io::Result<()>
where
    W: ?Sized + Write,
    N: Display + LowerExp,
{
    if plain {
        write!(writer, "{value}")
    } else {
        exponent(writer, &format!("{value:e}"))
    }
}

/// Rust writes `1e21`, Go `1e+21`; below zero they agree.
fn exponent<W: ?Sized + Write>(writer: &mut W, text: &str) -> io::Result<()> {
    match text.split_once('e') {
        Some((digits, power)) if !power.starts_with('-') => write!(writer, "{digits}e+{power}"),
        _ => writer.write_all(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Serialize) -> String {
        let mut out = Vec::new();
        write(&value, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_go_does() {
        let table = [
            ("plain", r#""plain""#),
            ("<a>&b", r#""\u003ca\u003e\u0026b""#),
            ("\u{2028}\u{2029}€â", "\"\\u2028\\u2029€â\""),
            (
                "\u{8}\u{c}\n\r\t\u{1}\u{1f}",
                r#""\u0008\u000c\n\r\t\u0001\u001f""#,
            ),
            ("\u{7f}/\"\\", "\"\u{7f}/\\\"\\\\\""),
        ];
        for (text, json) in table {
            assert_eq!(written(text), json);
        }
    }

    #[test]
    fn floats_are_in_go_s_shortest_form() {
        let table = [
            (1.0, "1"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-10, "1.5e-10"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1.25e300, "-1.25e+300"),
        ];
        for (value, json) in table {
            assert_eq!(written(value), json);
        }
        assert_eq!(written(0.1f32), "0.1");
        assert_eq!(written(1e21f32), "1e+21");
    }

    #[test]
    fn trailing_data_is_an_error_that_says_where() {
        let error = read::<[i32; 2]>(b"[3,4]]").unwrap_err();
        assert!(
            error.to_string().starts_with("json: trailing characters"),
            "{error}"
        );
    }
}
