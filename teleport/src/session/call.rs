//! What pulls and pushes share: their options, and how their frames are made.

use std::time::Duration;

use super::{CallCtx, Session, scope::Scope, shared::Shared};
use crate::{
    codec::{Choice, CodecId, Encode, encode_body},
    error::Error,
    protocol::{EncodeError, Header, HeaderCodec, HeaderRef, Mark, Meta, PacketKind, Parts},
    status::Status,
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
    pub(crate) cancel: bool,
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

    /// How long a pull waits for its reply, in all. The handler is told (`PullCtx::time_left`), and the pulls that it
    /// makes itself wait no longer than that. A push has nothing to wait for, but its handler is told too.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Tells the other side if the caller drops the call or its time passes: a route that is marked `#[pull(cancel)]` is
    /// stopped then. Clients that are generated from such a route do so by themselves. A peer that knows no cancellation
    /// gets a push to a route that it does not have.
    pub fn cancel(mut self) -> Self {
        self.cancel = true;
        self
    }
}

/// The head of a pull or push of this side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub(super) kind: PacketKind,
    pub(super) seq: u64,
    pub(super) uri: &'a str,
    pub(super) meta: &'a Meta,
}

impl Head<'_> {
    pub(super) fn action(&self) -> &'static str {
        match self.kind {
            PacketKind::Push => "push",
            _ => "pull",
        }
    }
}

/// Encodes a whole frame into `frame`, which stays empty if that fails. Gives where in it the body begins.
#[inline]
pub(super) fn encode(
    shared: &Shared,
    head: &Head<'_>,
    options: &CallOptions,
    args: &impl Encode,
    frame: &mut Parts,
) -> Result<Mark, Error> {
    let env = &shared.env;
    let gzip = options.gzip.unwrap_or(env.gzip);
    let header = HeaderRef {
        seq: head.seq,
        kind: head.kind,
        uri: head.uri,
        gzip,
        status_code: 0,
        status: "",
        timeout_ms: options.timeout.map_or(0, in_millis),
        meta: head.meta,
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
    let mut start = Mark::default();
    let mut body = |out: &mut Parts| {
        start = out.mark();
        encode_body(args, choice, gzip, &env.codecs, out)
    };
    let header_codec = options.header_codec.unwrap_or(env.header_codec);
    env.protocol
        .encode_parts(header, header_codec, &mut body, frame)
        .and_then(|()| env.limits.check_sent(frame.len()))
        .map_err(|error| unencoded(head, frame, error))?;
    Ok(start)
}

#[cold]
fn unencoded(head: &Head<'_>, frame: &mut Parts, error: EncodeError) -> Error {
    frame.clear();
    Error::encode(head.action(), error)
}

/// As [`encode`], with what plugins and logs want to see of it. Gives the arguments back.
pub(super) async fn encode_hooked<A: Encode>(
    call: &mut CallCtx,
    options: &mut CallOptions,
    args: A,
    refused: fn(Status) -> Error,
) -> Result<(Parts, A), Error> {
    let session = call.session().clone();
    let shared = session.shared();
    call.header.gzip = options.gzip.unwrap_or(shared.env.gzip);
    call.header.timeout_ms = options.timeout.map_or(0, in_millis);
    if let Some(outbound) = shared.env.dispatch.outbound() {
        outbound.before_write(call).await.map_err(refused)?;
    }
    let header = &call.header;
    options.gzip = Some(header.gzip);
    options.timeout = match header.timeout_ms {
        0 => None,
        millis if options.timeout.map(in_millis) == Some(millis) => options.timeout,
        millis => Some(Duration::from_millis(millis)),
    };
    let head = Head {
        kind: header.kind,
        seq: header.seq,
        uri: &header.uri,
        meta: &header.meta,
    };
    let mut frame = Parts::from(Vec::with_capacity(256));
    let body = encode(shared, &head, options, &args, &mut frame)?;
    call.set_request(&frame, body);
    Ok((frame, args))
}

/// What is left is at least 1: 0 says that there is no limit.
fn in_millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Says once, if it is to be said, that this side understands extensions.
#[inline]
pub(super) fn announce(shared: &Shared, meta: &mut Meta) {
    if shared.has_to_announce() {
        say(meta);
    }
}

#[cold]
fn say(meta: &mut Meta) {
    meta.insert(ANNOUNCEMENT, "1");
}

/// The name says who it is that understands, the value since which version of the extensions.
const ANNOUNCEMENT: &str = "teleport";

/// Applies what the handler in which this call is made has from its own caller: the time that is left, and the trace.
///
/// # Errors
/// No time is left.
#[inline]
pub(super) fn inherit(
    options: &mut CallOptions,
    meta: &mut Meta,
    action: &'static str,
) -> Result<(), Error> {
    let Some(scope) = Scope::current() else {
        return Ok(());
    };
    scope.trace(meta);
    if let Some(left) = scope.time_left() {
        if left.is_zero() {
            return Err(Error::timeout(action));
        }
        options.timeout = Some(options.timeout.map_or(left, |limit| limit.min(left)));
    }
    Ok(())
}

/// Tells those who watch of a call that was never made.
pub(super) fn tell_unmade(session: &Session, header: impl FnOnce() -> Header, error: &Error) {
    if session.shared().env.is_watched() {
        CallCtx::new(session.clone(), header()).end(Some(error));
    }
}
