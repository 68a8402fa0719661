//! Headers as JSON objects.

use std::{borrow::Cow, fmt, io::Write};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{
    super::{Header, HeaderRef, Meta, PacketKind, ProtocolError},
    extension::Extension,
};
use crate::codec::{replace_lone_surrogates, write_json_string};

/// Members in the order of the specification, zero values left out.
#[inline(never)]
pub(super) fn encode(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    let mut members = Members { out, first: true };
    members.number("seq", header.seq.into());
    members.number("type", header.kind.as_i32().into());
    members.text("uri", header.uri);
    members.number("gzip", header.gzip.into());
    members.number("status_code", header.status_code.into());
    members.text("status", header.status);
    members.number("timeout_ms", header.timeout_ms.into());
    members.meta(header.meta);
    if members.first {
        out.push(b'{');
    }
    out.push(b'}');
}

struct Members<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl Members<'_> {
    fn name(&mut self, name: &str) {
        self.out.push(if self.first { b'{' } else { b',' });
        self.first = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn number(&mut self, name: &str, value: i128) {
        if value != 0 {
            self.name(name);
            // Writing into a Vec cannot fail.
            let _ = write!(self.out, "{value}");
        }
    }

    fn meta(&mut self, meta: &Meta) {
        if meta.is_empty() {
            return;
        }
        self.name("meta");
        let mut members = Members {
            out: &mut *self.out,
            first: true,
        };
        for (name, value) in meta.iter() {
            members.out.push(if members.first { b'{' } else { b',' });
            members.first = false;
            write_json_string(name, members.out);
            members.out.push(b':');
            write_json_string(value, members.out);
        }
        self.out.push(b'}');
    }

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            write_json_string(value, self.out);
        }
    }
}

pub(super) fn decode(bytes: &[u8]) -> Result<Header, ProtocolError> {
    // Go replaces what is not UTF-8; JSON itself cannot hold it.
    let text = String::from_utf8_lossy(bytes);
    let parse = |text: &str| serde_json::from_str::<Option<JsonHeader>>(text);
    let parsed = parse(&text).or_else(|error| match replace_lone_surrogates(&text) {
        Cow::Owned(text) => parse(&text),
        Cow::Borrowed(_) => Err(error),
    });
    match parsed {
        Ok(Some(JsonHeader(header))) => Ok(header),
        Ok(None) => Ok(Header::default()),
        Err(error) => Err(ProtocolError::malformed(format!("JSON header: {error}"))),
    }
}

struct JsonHeader(Header);

impl<'de> Deserialize<'de> for JsonHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = JsonHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<JsonHeader, M::Error> {
        let mut header = Header::default();
        while let Some(Name(name)) = map.next_key()? {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            // `null` leaves the field as it is.
            if is("seq") {
                set(&mut header.seq, map.next_value()?);
            } else if is("type") {
                let kind: Option<i32> = map.next_value()?;
                set(&mut header.kind, kind.map(PacketKind::from_i32));
            } else if is("uri") {
                let uri: Option<String> = map.next_value()?;
                set(&mut header.uri, uri.map(Into::into));
            } else if is("gzip") {
                set(&mut header.gzip, map.next_value()?);
            } else if is("status_code") {
                set(&mut header.status_code, map.next_value()?);
            } else if is("status") {
                let status: Option<String> = map.next_value()?;
                set(&mut header.status, status.map(Into::into));
            } else if name == "timeout_ms" {
                let value: Extension = map.next_value()?;
                set(&mut header.timeout_ms, value.into_number());
            } else if name == "meta" {
                let value: Extension = map.next_value()?;
                set(&mut header.meta, value.into_meta());
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(JsonHeader(header))
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl<'de> Visitor<'de> for NameVisitor {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &'static str) -> Header {
        decode(text.as_bytes()).expect("a header")
    }

    #[test]
    fn a_header_is_read_as_leniently_as_go_does() {
        let full = Header::new(PacketKind::Pull, 7, "/a");
        for text in [
            r#"{"seq":7,"type":1,"uri":"/a"}"#,
            " {\n\t\"URI\" : \"\\u002fa\" , \"Type\" : 1 , \"sEq\" : 7 } ",
            r#"{"seq":1,"seq":7,"type":1,"uri":"/a","other":[{"seq":9}],"status":null,"gzip":null}"#,
        ] {
            assert_eq!(header(text), full, "{text}");
        }
        assert_eq!(header("null"), Header::default());
        assert_eq!(header("{}"), Header::default());
        assert_eq!(header(r#"{"seq":18446744073709551615}"#).seq, u64::MAX);
    }

    #[test]
    fn texts_that_are_not_unicode_get_replacement_characters() {
        assert_eq!(header(r#"{"uri":"/a?\ud800b"}"#).uri, "/a?\u{fffd}b");
        assert_eq!(
            header(r#"{"uri":"/\ud83d\ude00\udc00"}"#).uri,
            "/😀\u{fffd}"
        );
        let bytes = b"{\"uri\":\"/\xff\"}";
        assert_eq!(decode(bytes).expect("a header").uri, "/\u{fffd}");
    }

    #[test]
    fn what_is_no_header_is_an_error() {
        for text in [
            "",
            "[]",
            "7",
            r#"{"seq":-1}"#,
            r#"{"seq":1.0}"#,
            r#"{"seq":18446744073709551616}"#,
            r#"{"type":2147483648}"#,
            r#"{"uri":1}"#,
            r#"{"seq":1} x"#,
            r#"{"seq":1"#,
            r#"{"uri":"\uZZZZ"}"#,
        ] {
            assert!(decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
