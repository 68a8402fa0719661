//! Compressed bodies: nothing comes out over the limit, a stream that is cut gives a beginning of the whole, what is compressed
//! comes back, and a whole stream gives what flate2's own reader of several members gives.

use std::io::Read;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use teleport::{
    CodecId,
    codec::{Body, CodecError, Codecs, append_body},
};

use super::input::Input;

/// Two bytes for the limit, one for where to cut and at which level to write, the payload.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limit = usize::from(input.number());
    let choice = input.byte();
    let payload = input.rest();

    match inflate(payload, MOST) {
        Ok(all) => {
            let len = all.len();
            assert_eq!(inflate(payload, len).as_ref(), Ok(&all), "just enough");
            match inflate(payload, limit) {
                Ok(within) => assert!(within == all && len <= limit),
                Err(error) => assert!(error.over_limit && limit < len, "{}", error.text),
            }
            let cut = payload.len() * usize::from(choice) / 256;
            if let Ok(start) = inflate(&payload[..cut], MOST) {
                assert!(all.starts_with(&start), "cut after {cut}");
            }
            come_back(&all, i32::from(choice) % 12 - 2);
        }
        Err(error) => {
            let small = inflate(payload, limit);
            assert!(small.is_err(), "it was an error before: {}", error.text);
        }
    }
    compare(payload);
    come_back(payload, i32::from(choice) % 12 - 2);
}

/// More than any input of a fuzzer becomes would slow it down; what is larger is an error that is expected.
const MOST: usize = 1 << 20;

#[derive(Debug, PartialEq)]
struct Failure {
    over_limit: bool,
    text: String,
}

impl From<CodecError> for Failure {
    fn from(error: CodecError) -> Self {
        Self {
            over_limit: error.is_over_limit(),
            text: error.to_string(),
        }
    }
}

fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    let body = Bytes::from([b"j", payload].concat());
    let out = Body::new(&body, 1).inflate(limit)?.into_owned();
    assert!(out.len() <= limit, "{} bytes over {limit}", out.len());
    Ok(out)
}

/// What flate2 reads to its end is what we read.
fn compare(payload: &[u8]) {
    let mut theirs = Vec::new();
    let decoder = MultiGzDecoder::new(payload);
    let mut decoder = decoder.take(MOST as u64 + 1);
    // It takes no bytes for no members.
    if decoder.read_to_end(&mut theirs).is_err() || theirs.len() > MOST || payload.is_empty() {
        return;
    }
    match inflate(payload, MOST) {
        Ok(ours) => assert_eq!(ours, theirs),
        Err(error) => assert!(error.text.contains("members"), "{}", error.text),
    }
}

fn come_back(plain: &[u8], level: i32) {
    let Ok(text) = std::str::from_utf8(plain) else {
        return;
    };
    let mut body = b"kept".to_vec();
    let codec = Some(CodecId::STRING);
    append_body(&text, codec, level, &Codecs::new(), &mut body).expect("a body");
    let body = Bytes::from(body).slice(4..);
    let again = Body::new(&body, level).inflate(plain.len());
    assert_eq!(again.expect("it comes back"), plain, "at level {level}");
}
