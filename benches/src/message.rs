//! What the contenders carry: two integers, or a blob.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The arguments and the answer of a small call: `{a, b} -> {a + b, a - b}`.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, prost::Message)]
pub struct Pair {
    #[prost(int32, tag = "1")]
    pub a: i32,
    #[prost(int32, tag = "2")]
    pub b: i32,
}

impl Pair {
    /// The answer to these arguments.
    pub fn answer(self) -> Self {
        Self {
            a: self.a.wrapping_add(self.b),
            b: self.a.wrapping_sub(self.b),
        }
    }
}

/// A payload that comes back as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, prost::Message)]
pub struct Blob {
    #[prost(bytes = "bytes", tag = "1")]
    pub data: Bytes,
}

impl Blob {
    /// `len` bytes of text that gzip shrinks to about a fifth, like a log or a document does.
    pub fn text(len: usize) -> Self {
        const WORDS: [&str; 8] = [
            "session ",
            "route ",
            "packet ",
            "{\"id\": ",
            "handler ",
            "reply, ",
            "flush\n",
            "peer ",
        ];
        let mut text = String::with_capacity(len + 16);
        let mut state = 0x9e37_79b9_u32;
        while text.len() < len {
            // xorshift: the same text in every run, with no short period for the deflater to find.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            text.push_str(WORDS[state as usize % WORDS.len()]);
            if state.is_multiple_of(5) {
                text.push_str(&(state % 10_000).to_string());
            }
        }
        text.truncate(len);
        Self { data: text.into() }
    }
}
