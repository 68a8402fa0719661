//! One end of an in-memory connection that speaks raw bytes, and how packets are compared.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use teleport::protocol::{Decoded, Limits, Packet, Protocol, Standard};
use teleport_tests::recording::payload;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, timeout},
};

/// Long enough, on a paused clock, for anything that still comes.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) struct Wire {
    stream: DuplexStream,
    read: BytesMut,
    start: Instant,
}

impl Wire {
    /// A pipe: this end, and the one for a peer.
    pub(crate) fn new() -> (Self, DuplexStream) {
        let (stream, other) = tokio::io::duplex(1 << 20);
        let this = Self {
            stream,
            read: BytesMut::new(),
            start: Instant::now(),
        };
        (this, other)
    }

    /// Waits for a time of the recording.
    pub(crate) async fn at(&self, millis: u64) {
        tokio::time::sleep_until(self.start + Duration::from_millis(millis)).await;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // A peer that has closed already is what some conversations are about.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Ends this direction.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next packet with its bytes; `None` at the end of the stream, or if nothing comes.
    pub(crate) async fn packet(&mut self) -> Option<(Packet, Vec<u8>)> {
        loop {
            let before = self.read.clone();
            match Standard.decode(&mut self.read, &Limits::default()) {
                Ok(Decoded::Packet(packet)) => {
                    let bytes = before[..packet.size()].to_vec();
                    return Some((packet, bytes));
                }
                Ok(Decoded::NeedMore { .. }) => {}
                Err(error) => panic!("our peer sent nonsense: {error}"),
            }
            match timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await {
                Ok(Ok(count)) if count > 0 => {}
                _ => return None,
            }
        }
    }

    /// Whether the other side ends its stream now, without another packet.
    pub(crate) async fn is_closed(&mut self) -> bool {
        assert!(self.read.is_empty(), "bytes are left: {:?}", self.read);
        matches!(timeout(PATIENCE, self.stream.read_u8()).await, Ok(Err(_)))
    }
}

/// Compares what ours sent with the recording.
pub(crate) fn same(
    name: &str,
    (ours, our_bytes): &(Packet, Vec<u8>),
    theirs: &Packet,
    their_bytes: &[u8],
) {
    assert_eq!(ours.header, theirs.header, "{name}");
    assert_eq!(ours.header_codec, theirs.header_codec, "{name}");
    assert_eq!(ours.body_codec(), theirs.body_codec(), "{name}");
    let compressed = theirs.header.gzip != 0 && theirs.body.len() > 1;
    let text = |packet: &Packet| match packet.body().inflate(usize::MAX) {
        Ok(text) => text.into_owned(),
        // Raw bytes under a gzip header.
        Err(_) => packet.body.to_vec(),
    };
    if text(theirs)
        .windows(13)
        .any(|part| part == b"\"server_time\"")
    {
        assert_eq!(without_time(ours), without_time(theirs), "{name}");
    } else if compressed {
        assert_eq!(text(ours), text(theirs), "{name}");
    } else {
        assert_eq!(our_bytes, their_bytes, "{name}");
    }
}

/// The time of day is the one thing in the recordings that no other run repeats.
fn without_time(packet: &Packet) -> Value {
    let mut value: Value = serde_json::from_slice(&payload(packet)).expect("JSON");
    value["server_time"].take();
    value
}
