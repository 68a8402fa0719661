//! What pulls and pushes share: their options, and how their frames are made.

use std::time::Duration;

use super::shared::Shared;
use crate::{
    codec::{Choice, CodecId, Encode, encode_body},
    error::Error,
    protocol::{HeaderCodec, HeaderRef, PacketKind},
};

/// How calls are sent, where it differs from the peer's configuration.
///
/// ```
/// # use std::time::Duration;
/// use teleport::{CallOptions, CodecId};
///
/// let options = CallOptions::new()
///     .codec(CodecId::PROTOBUF)
///     .timeout(Duration::from_millis(500));
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct CallOptions {
    pub(crate) codec: Option<CodecId>,
    pub(crate) header_codec: Option<HeaderCodec>,
    pub(crate) gzip: Option<i32>,
    pub(crate) timeout: Option<Duration>,
}

impl CallOptions {
    /// The peer's configuration, unchanged.
    pub fn new() -> Self {
        Self::default()
    }

    /// The body's codec. A value that it cannot carry makes the call fail, where the configured default would
    /// give way to a codec that can.
    pub fn codec(mut self, codec: CodecId) -> Self {
        self.codec = Some(codec);
        self
    }

    /// The header's codec.
    pub fn header_codec(mut self, codec: HeaderCodec) -> Self {
        self.header_codec = Some(codec);
        self
    }

    /// The body's gzip level, -2 to 9; 0 is no compression. Any other makes the call fail.
    pub fn gzip(mut self, level: i32) -> Self {
        self.gzip = Some(level);
        self
    }

    /// How long a pull waits for its reply, in all. A push has nothing to wait for.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }
}

/// The head of a pull or push of this side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) kind: PacketKind,
    pub(super) seq: u64,
    pub(super) uri: &'a str,
}

impl Head<'_> {
    pub(super) fn action(&self) -> &'static str {
        match self.kind {
            PacketKind::Push => "push",
            _ => "pull",
        }
    }
}

/// Encodes a whole frame into `frame`, which stays empty if that fails.
pub(super) fn encode(
    shared: &Shared,
    head: Head<'_>,
    options: &CallOptions,
    args: &impl Encode,
    frame: &mut Vec<u8>,
) -> Result<(), Error> {
    let env = &shared.env;
    let gzip = options.gzip.unwrap_or(env.gzip);
    let header = HeaderRef {
        seq: head.seq,
        kind: head.kind,
        uri: head.uri,
        gzip,
        status_code: 0,
        status: "",
    };
    let nil = match head.kind {
        // A pull without arguments still names the codec it would like the reply in.
        PacketKind::Pull => Some(options.codec.unwrap_or(env.body_codec)),
        _ => options.codec,
    };
    let choice = Choice {
        explicit: options.codec,
        default: env.body_codec,
        nil,
    };
    let mut body = |out: &mut Vec<u8>| encode_body(args, choice, gzip, &env.codecs, out).map(drop);
    let header_codec = options.header_codec.unwrap_or(env.header_codec);
    env.protocol
        .encode(header, header_codec, &mut body, frame)
        .map_err(|error| Error::encode(head.action(), error))
}
