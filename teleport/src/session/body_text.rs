//! [`BodyText`]: bodies as logs show them.

use bytes::Bytes;
use serde_json::Value;

use crate::codec::{Body, CodecId};

/// How bodies are shown in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyText {
    /// Bytes of text that are shown of one body; what is beyond is cut off. Default: 1 KiB.
    pub most: usize,
    /// Members of JSON objects, at any depth, whose values are not shown, whatever the case of their names. A text that
    /// names one and is no JSON is not shown at all. Default: `password`, `passwd`, `secret`, `token`, `authorization`.
    pub hidden: Vec<String>,
}

impl Default for BodyText {
    fn default() -> Self {
        let hidden = ["password", "passwd", "secret", "token", "authorization"];
        Self {
            most: 1024,
            hidden: hidden.map(str::to_owned).into(),
        }
    }
}

impl BodyText {
    /// A whole body with its codec id, for people.
    pub(crate) fn show(&self, body: &Bytes, gzip: i32, limit: usize) -> String {
        let body = Body::new(body, gzip);
        let Some(codec) = body.codec().filter(|_| !body.is_nil()) else {
            return "(none)".to_owned();
        };
        let payload = match body.inflate(limit) {
            Ok(payload) => payload,
            Err(error) => return format!("({error})"),
        };
        let text = match codec {
            CodecId::JSON => self.json(&payload),
            CodecId::STRING => self.text(&payload),
            _ => format!("({} bytes)", payload.len()),
        };
        cut(text, self.most)
    }

    fn json(&self, payload: &[u8]) -> String {
        match serde_json::from_slice::<Value>(payload) {
            Ok(mut value) => {
                self.hide(&mut value);
                value.to_string()
            }
            Err(_) => self.text(payload),
        }
    }

    fn hide(&self, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    if self
                        .hidden
                        .iter()
                        .any(|hidden| hidden.eq_ignore_ascii_case(name))
                    {
                        *value = Value::from("***");
                    } else {
                        self.hide(value);
                    }
                }
            }
            _ => {}
        }
    }

    fn text(&self, payload: &[u8]) -> String {
        let text = String::from_utf8_lossy(payload);
        let lower = text.to_ascii_lowercase();
        if self
            .hidden
            .iter()
            .any(|hidden| lower.contains(&hidden.to_ascii_lowercase()))
        {
            return "(hidden)".to_owned();
        }
        text.escape_debug().to_string()
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let all = text.len();
        let end = (0..=most).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push_str(&format!("... ({all} bytes)"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(bodies: &BodyText, body: &'static [u8]) -> String {
        bodies.show(&Bytes::from_static(body), 0, 1024)
    }

    #[test]
    fn json_is_shown_as_json_without_its_secrets() {
        let bodies = BodyText::default();
        assert_eq!(
            show(
                &bodies,
                br#"j{"user":"ann","Password":"x","in":[{"token":{"a":1}}]}"#
            ),
            r#"{"Password":"***","in":[{"token":"***"}],"user":"ann"}"#
        );
        assert_eq!(show(&bodies, br#"j{"password": "half"#), "(hidden)");
    }

    #[test]
    fn other_bodies_are_texts_or_counted() {
        let bodies = BodyText::default();
        assert_eq!(show(&bodies, b"shello\n"), r"hello\n");
        assert_eq!(show(&bodies, b"smy secret"), "(hidden)");
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
    }
}
