//! [`BodyText`]: bodies as logs show them.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::{
    codec::{Body, CodecId},
    secrets,
};

/// How bodies are shown in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyText {
    /// Bytes of text that are shown of one body; what is beyond is cut off, and not even inflated or parsed. Default: 1 KiB.
    pub most: usize,
    /// Members of JSON objects, at any depth, whose values are not shown, whatever the case of their names. A text that
    /// names one is not shown at all. The values of query parameters with these names are masked in the uris of all events.
    /// Default: `password`, `passwd`, `secret`, `token`, `authorization`.
    pub hidden: Vec<String>,
}

impl Default for BodyText {
    fn default() -> Self {
        Self {
            most: 1024,
            hidden: secrets::NAMES.map(str::to_owned).into(),
        }
    }
}

impl BodyText {
    /// A whole body, for people.
    pub(crate) fn show(&self, body: &Body<'_>) -> String {
        let Some(codec) = body.codec().filter(|_| !body.is_nil()) else {
            return "(none)".to_owned();
        };
        let gzip = if body.gzip() == 0 { "" } else { " of gzip" };
        let size = format!("({} bytes{gzip})", body.payload_len());
        // More than is shown: some of it may be masked, or blanks.
        let room = self.most.saturating_mul(4).saturating_add(1024);
        let start = body.start(room);
        match codec {
            CodecId::JSON => self.json(&start, start.len() < room, &size),
            CodecId::STRING => self.text(&start, &size),
            _ => size,
        }
    }

    /// Written while it is read, and no further than it is shown.
    fn json(&self, start: &[u8], is_whole: bool, size: &str) -> String {
        let mut out = Out {
            text: String::new(),
            most: self.most,
            is_full: false,
            hidden: &self.hidden,
        };
        let mut reader = serde_json::Deserializer::from_slice(start);
        let written = Masked {
            out: &mut out,
            before: "",
        };
        let read = written.deserialize(&mut reader).and_then(|()| reader.end());
        let Out { text, is_full, .. } = out;
        match read {
            Ok(()) => text,
            Err(_) if is_full || !is_whole => format!("{text}... {size}"),
            Err(_) => format!("{text}... (no JSON from here) {size}"),
        }
    }

    fn text(&self, start: &[u8], size: &str) -> String {
        let text = String::from_utf8_lossy(start);
        let lower = text.to_ascii_lowercase();
        let mut hidden = self.hidden.iter();
        if hidden.any(|name| lower.contains(&name.to_ascii_lowercase())) {
            return "(hidden)".to_owned();
        }
        let text = text.escape_debug().to_string();
        match fitting(&text, self.most) {
            shown if shown.len() < text.len() => format!("{shown}... {size}"),
            _ => text,
        }
    }
}

/// As much of a text as has room, in whole characters.
fn fitting(text: &str, room: usize) -> &str {
    let mut ends = (0..=room.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// JSON as it is shown.
struct Out<'a> {
    text: String,
    most: usize,
    /// There was more.
    is_full: bool,
    hidden: &'a [String],
}

impl Out<'_> {
    fn push<E: de::Error>(&mut self, part: &str) -> Result<(), E> {
        let fits = fitting(part, self.most.saturating_sub(self.text.len()));
        self.text.push_str(fits);
        self.is_full |= fits.len() < part.len();
        if self.is_full {
            return Err(E::custom("enough"));
        }
        Ok(())
    }

    fn value<E: de::Error>(&mut self, value: impl Into<Value>) -> Result<(), E> {
        self.push(&value.into().to_string())
    }
}

/// Writes the value that it reads.
struct Masked<'a, 'b> {
    out: &'a mut Out<'b>,
    /// What comes in front of the value, if there is one.
    before: &'static str,
}

impl<'de> DeserializeSeed<'de> for Masked<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.out.push(self.before)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Masked<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        self.out.value(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.out.value(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.out.value(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.out.value(value)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.out.value(value)
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.out.push("null")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { out, .. } = self;
        out.push("[")?;
        let mut before = "";
        while items.next_element_seed(Masked { out, before })?.is_some() {
            before = ",";
        }
        out.push("]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { out, .. } = self;
        out.push("{")?;
        let mut before = "";
        while let Some(name) = members.next_key::<String>()? {
            out.push(before)?;
            before = ",";
            out.value(name.as_str())?;
            if secrets::is_hidden(&name, out.hidden) {
                out.push(":")?;
                out.value(secrets::MASK)?;
                members.next_value::<IgnoredAny>()?;
            } else {
                members.next_value_seed(Masked { out, before: ":" })?;
            }
        }
        out.push("}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn show(bodies: &BodyText, body: &[u8]) -> String {
        bodies.show(&Body::borrowed(body, 0))
    }

    #[test]
    fn json_is_shown_as_json_without_its_secrets() {
        let bodies = BodyText::default();
        assert_eq!(
            show(
                &bodies,
                br#"j {"user":"ann", "Password":"x","in":[{"token":{"a":1}}, 1, -2, 0.5, true, null, ["\n"]]}"#
            ),
            r#"{"user":"ann","Password":"***","in":[{"token":"***"},1,-2,0.5,true,null,["\n"]]}"#
        );
        assert_eq!(
            show(&bodies, br#"j{"pass\u0077ord":"x"}"#),
            r#"{"password":"***"}"#
        );
    }

    #[test]
    fn broken_json_is_shown_up_to_where_it_breaks() {
        let bodies = BodyText::default();
        for (body, shown) in [
            (
                &br#"j{"password": "half"#[..],
                r#"{"password":"***"... (no JSON from here) (18 bytes)"#,
            ),
            (
                br#"j[1, password=x]"#,
                "[1,... (no JSON from here) (15 bytes)",
            ),
            (br#"jpassword=x"#, "... (no JSON from here) (10 bytes)"),
            (br#"j[1] token"#, "[1]... (no JSON from here) (9 bytes)"),
        ] {
            assert_eq!(show(&bodies, body), shown);
        }
    }

    #[test]
    fn other_bodies_are_texts_or_counted() {
        let bodies = BodyText::default();
        assert_eq!(show(&bodies, b"shello\n"), r"hello\n");
        assert_eq!(show(&bodies, b"smy Secret"), "(hidden)");
        assert_eq!(show(&bodies, b"p\x08\x01"), "(2 bytes)");
        assert_eq!(show(&bodies, b"j"), "(none)");
        assert_eq!(show(&bodies, b""), "(none)");
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        let bodies = BodyText {
            most: 4,
            ..BodyText::default()
        };
        assert_eq!(show(&bodies, "s日本語".as_bytes()), "日... (9 bytes)");
        assert_eq!(
            show(&bodies, "j\"日本語\"".as_bytes()),
            "\"日... (11 bytes)"
        );
        assert_eq!(show(&bodies, b"j[1, 2]"), "[1,2... (6 bytes)");
        let bodies = BodyText::default();
        let long = [b"j[", "1,".repeat(1 << 20).as_bytes(), b"1]"].concat();
        let shown = show(&bodies, &long);
        assert!(
            shown.len() < 1100 && shown.ends_with("... (2097155 bytes)"),
            "{shown}"
        );
        // The end is beyond what is looked at, and no error.
        let masked = format!(r#"j{{"token":"{}"}}"#, "x".repeat(10_000));
        assert_eq!(
            show(&bodies, masked.as_bytes()),
            r#"{"token":"***"... (10012 bytes)"#
        );
    }

    #[test]
    fn compressed_bodies_are_inflated_as_far_as_they_are_shown() {
        let mut body = b"j".to_vec();
        let mut gzip = flate2::write::GzEncoder::new(&mut body, flate2::Compression::fast());
        gzip.write_all(b"[0").expect("memory");
        for _ in 0..100_000 {
            gzip.write_all(b",0").expect("memory");
        }
        gzip.finish().expect("memory");
        let shown = BodyText::default().show(&Body::borrowed(&body, 1));
        let size = body.len() - 1;
        assert!(shown.starts_with("[0,0,") && shown.len() < 1100, "{shown}");
        assert!(
            shown.ends_with(&format!("... ({size} bytes of gzip)")),
            "{shown}"
        );
        let broken = Body::borrowed(b"jno gzip at all", 1);
        assert_eq!(
            BodyText::default().show(&broken),
            "... (no JSON from here) (14 bytes of gzip)"
        );
    }
}
