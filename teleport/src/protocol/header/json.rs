//! Headers as JSON objects.

use std::{borrow::Cow, fmt, io::Write};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::super::{Header, HeaderRef, PacketKind, ProtocolError};
use crate::codec::write_json_string;

/// Members in the order of the specification, zero values left out.
pub(super) fn encode(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    let mut members = Members { out, first: true };
    members.number("seq", header.seq.into());
    members.number("type", header.kind.as_i32().into());
    members.text("uri", header.uri);
    members.number("gzip", header.gzip.into());
    members.number("status_code", header.status_code.into());
    members.text("status", header.status);
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

    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.name(name);
            write_json_string(value, self.out);
        }
    }
}

pub(super) fn decode(bytes: &Bytes) -> Result<Header, ProtocolError> {
    // Go replaces what is not UTF-8; JSON itself cannot hold it.
    let text = String::from_utf8_lossy(bytes);
    match serde_json::from_str::<Option<JsonHeader>>(&text) {
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
