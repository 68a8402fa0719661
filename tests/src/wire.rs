//! One end of an in-memory connection that speaks raw bytes.

use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use teleport::{
    CodecId, Peer, PeerConfig, Session,
    codec::{Codecs, append_body},
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    time::{Instant, timeout},
};

/// A packet as bytes.
///
/// # Panics
/// It does not fit the format.
#[must_use]
pub fn frame(codec: HeaderCodec, header: &Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut append = |out: &mut Vec<u8>| {
        out.extend_from_slice(body);
        Ok(())
    };
    Standard
        .encode(header.as_ref(), codec, &mut append, &mut bytes)
        .expect("a packet");
    bytes
}

/// A body of JSON, compressed at a level.
///
/// # Panics
/// There is no such level.
#[must_use]
pub fn zipped(json: &Value, level: i32) -> Vec<u8> {
    let mut body = Vec::new();
    append_body(json, Some(CodecId::JSON), level, &Codecs::new(), &mut body).expect("a body");
    body
}

/// As a Go peer is set up by default.
#[must_use]
pub fn defaults() -> PeerConfig {
    PeerConfig {
        header_codec: HeaderCodec::Json,
        ..PeerConfig::default()
    }
}

/// Long enough, on a paused clock, for anything that still comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection without a peer at this end. Wants a paused clock.
#[derive(Debug)]
pub struct Wire {
    stream: DuplexStream,
    read: BytesMut,
    start: Instant,
}

impl Wire {
    /// A pipe: this end, and the one for a peer.
    pub fn new() -> (Self, DuplexStream) {
        let (stream, other) = tokio::io::duplex(1 << 20);
        let this = Self {
            stream,
            read: BytesMut::new(),
            start: Instant::now(),
        };
        (this, other)
    }

    /// A session of `peer` at the other end.
    ///
    /// # Panics
    /// The peer refuses.
    pub async fn to(peer: &Peer) -> (Self, Session) {
        let (this, stream) = Self::new();
        let session = peer.serve_conn(stream).await.expect("a session");
        (this, session)
    }

    /// Waits for a time of the recording.
    pub async fn at(&self, millis: u64) {
        tokio::time::sleep_until(self.start + Duration::from_millis(millis)).await;
    }

    /// Writes bytes.
    pub async fn send(&mut self, bytes: &[u8]) {
        // A peer that has closed already is what some conversations are about.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Writes a packet.
    pub async fn say(&mut self, header: &Header, body: &[u8]) {
        self.send(&frame(HeaderCodec::Protobuf, header, body)).await;
    }

    /// Writes a pull.
    pub async fn pull(&mut self, seq: u64, uri: &'static str, body: &[u8]) {
        self.say(&Header::new(PacketKind::Pull, seq, uri), body)
            .await;
    }

    /// Writes a push.
    pub async fn push(&mut self, seq: u64, uri: &'static str, body: &[u8]) {
        self.say(&Header::new(PacketKind::Push, seq, uri), body)
            .await;
    }

    /// Answers a pull, without a body.
    pub async fn answer(&mut self, pull: &Packet, code: i32, text: &'static str) {
        let (seq, uri) = (pull.header.seq, pull.header.uri.clone());
        let mut header = Header::new(PacketKind::Reply, seq, uri);
        header.status_code = code;
        header.status = text.into();
        self.say(&header, b"").await;
    }

    /// Ends this direction.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next packet with its bytes; `None` at the end of the stream, or if nothing comes.
    ///
    /// # Panics
    /// What comes is no packet.
    pub async fn packet(&mut self) -> Option<(Packet, Vec<u8>)> {
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

    /// The next packet.
    ///
    /// # Panics
    /// There is none.
    pub async fn hear(&mut self) -> Packet {
        self.packet().await.expect("a packet").0
    }

    /// Whether the other side ends its stream now, without another packet.
    ///
    /// # Panics
    /// Bytes have come that nobody has looked at.
    pub async fn is_closed(&mut self) -> bool {
        assert!(self.read.is_empty(), "bytes are left: {:?}", self.read);
        matches!(timeout(PATIENCE, self.stream.read_u8()).await, Ok(Err(_)))
    }
}
