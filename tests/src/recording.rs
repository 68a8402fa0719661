//! The recordings in `tests/wire`, as data.

use std::{fs, path::PathBuf};

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;
use teleport::protocol::{Decoded, Limits, Packet, Protocol, Standard};

/// Reads a file of `tests/wire`.
///
/// # Panics
/// If it is not there or not as expected.
#[must_use]
pub fn load<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("wire")
        .join(name);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `transcripts.json`.
#[derive(Debug, Deserialize)]
pub struct Transcripts {
    /// One whole conversation each.
    pub transcripts: Vec<Transcript>,
}

/// A conversation; see section 1.2 of the wire specification.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Transcript {
    pub name: String,
    pub play_as: String,
    pub server: Value,
    pub client: Value,
    #[serde(default)]
    pub client_results: Vec<Value>,
    pub connection: String,
    pub events: Vec<Event>,
}

/// One packet, or the end of one direction.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Event {
    pub dir: Direction,
    pub t_ms: u64,
    pub hex: Option<String>,
    pub event: Option<String>,
    #[serde(default)]
    pub unframed: bool,
}

/// Who sent it: `c2s`, `s2c`, or `net`, an event from outside.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Direction {
    C2s,
    S2c,
    Net,
}

impl Event {
    /// The recorded bytes; none for an end of stream.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.hex.as_deref().map(unhex).unwrap_or_default()
    }
}

/// Bytes from their hexadecimal form.
///
/// # Panics
/// If the text is not hexadecimal.
#[must_use]
pub fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// The first packet in `bytes`, if there is a whole one.
#[must_use]
pub fn packet(bytes: &[u8]) -> Option<Packet> {
    match Standard.decode(&mut BytesMut::from(bytes), &Limits::default()) {
        Ok(Decoded::Packet(packet)) => Some(packet),
        _ => None,
    }
}

/// The inflated payload behind the codec id.
///
/// # Panics
/// If it does not inflate.
#[must_use]
pub fn payload(packet: &Packet) -> Vec<u8> {
    packet
        .body()
        .inflate(usize::MAX)
        .expect("a body that inflates")
        .into_owned()
}
