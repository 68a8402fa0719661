//! What is said about each call: an event and a span at level debug, a warning if it was slow.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tracing::{Level, Span, field::Empty};

use super::{Answer, CallCtx, Session, body_text::BodyText, shared::Env};
use crate::{
    error::Error,
    protocol::{Header, PacketKind},
    socket::transport::Addr,
    status::code,
};

/// The target of all events and spans about calls.
const TARGET: &str = "teleport::call";

/// A peer's settings for what is said about its calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallLog {
    /// A call that takes longer is worth a warning.
    pub(crate) slow: Option<Duration>,
    pub(crate) bodies: Option<BodyText>,
}

impl CallLog {
    /// Somebody listens. If not, calls take the short way.
    pub(crate) fn is_on(&self) -> bool {
        self.slow.is_some() || is_heard()
    }

    /// Begins the record of a call of this side.
    pub(super) fn outgoing(&self, header: &Header, peer: &Addr) -> Record {
        self.record("client", header, peer)
    }

    /// Begins the record of a call of the other side; `body` is what came with it.
    pub(crate) fn incoming(&self, header: &Header, peer: &Addr, body: &Bytes, env: &Env) -> Record {
        let mut record = self.record("server", header, peer);
        record.request = self.text(body, header.gzip, env);
        record
    }

    fn record(&self, role: &'static str, header: &Header, peer: &Addr) -> Record {
        let span = if is_heard() {
            span(role, header, peer)
        } else {
            Span::none()
        };
        Record {
            started: Instant::now(),
            slow: self.slow,
            span,
            request: None,
            reply: None,
        }
    }

    /// A body for people, if bodies are to be shown and would be seen.
    pub(super) fn text(&self, body: &Bytes, gzip: i32, env: &Env) -> Option<String> {
        let bodies = self.bodies.as_ref().filter(|_| is_heard())?;
        Some(bodies.show(body, gzip, env.limits.inflated))
    }
}

fn is_heard() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// Named so that OpenTelemetry layers take it for a call of that kind.
fn span(role: &'static str, header: &Header, peer: &Addr) -> Span {
    let path = header.uri.split(['?', '#']).next().unwrap_or_default();
    tracing::debug_span!(
        target: TARGET,
        "call",
        otel.name = path,
        otel.kind = role,
        otel.status_code = Empty,
        rpc.system = "teleport",
        rpc.method = path,
        network.peer.address = %peer,
        seq = header.seq,
        status = Empty,
    )
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct Record {
    pub(super) started: Instant,
    slow: Option<Duration>,
    span: Span,
    request: Option<String>,
    reply: Option<String>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended<'a> {
    pub(crate) header: &'a Header,
    /// The side that began it: this one, or the other.
    pub(crate) outgoing: bool,
    pub(crate) peer: &'a Addr,
    pub(crate) status: i32,
    pub(crate) message: &'a str,
    pub(crate) request_size: usize,
    pub(crate) reply_size: usize,
    pub(crate) reply: Option<&'a str>,
    /// The route's own limit for what is slow.
    pub(crate) slow: Option<Duration>,
}

impl Record {
    /// The arguments are shown, so the reply is to be shown too.
    pub(crate) fn shows_bodies(&self) -> bool {
        self.request.is_some()
    }

    /// Encloses the work on the call.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The arguments, as they were sent.
    pub(super) fn sent(&mut self, session: &Session, body: &[u8], gzip: i32) {
        let env = &session.shared().env;
        if env.log.bodies.is_some() {
            self.request = env.log.text(&Bytes::copy_from_slice(body), gzip, env);
        }
    }

    /// The reply, as it came.
    pub(super) fn answered(&mut self, session: &Session, answer: &Answer) {
        let env = &session.shared().env;
        if env.log.bodies.is_some() {
            self.reply = env.log.text(&answer.body().to_bytes(), answer.gzip(), env);
        }
    }

    /// The end of a call of this side.
    pub(super) fn end_outgoing(&self, call: &CallCtx, error: Option<&Error>) {
        let message = error.map(ToString::to_string);
        self.end(Ended {
            header: call.header(),
            outgoing: true,
            peer: call.peer_addr(),
            status: error.map_or(code::OK, Error::code),
            message: message.as_deref().unwrap_or("OK"),
            request_size: call.size(),
            reply_size: call.reply_size(),
            reply: self.reply.as_deref(),
            slow: None,
        });
    }

    pub(crate) fn end(&self, ended: Ended<'_>) {
        let Ended {
            header,
            outgoing,
            peer,
            status,
            message,
            request_size,
            reply_size,
            reply,
            slow,
        } = ended;
        let cost = self.started.elapsed();
        let kind = match (header.kind, outgoing) {
            (PacketKind::Push, false) => "push received",
            (PacketKind::Push, true) => "push sent",
            (_, false) => "pull answered",
            (_, true) => "pull made",
        };
        self.span.record("status", status);
        // Only what is the answering side's own fault counts as its error.
        if status != code::OK && (outgoing || status >= code::INTERNAL) {
            self.span.record("otel.status_code", "ERROR");
        }
        let (uri, seq) = (&*header.uri, header.seq);
        let request = self.request.as_deref();
        macro_rules! say {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    target: TARGET, parent: &self.span,
                    kind, uri, %peer, seq, status, message, request_size, reply_size, ?cost, request, reply,
                    $text
                )
            };
        }
        match slow.or(self.slow) {
            Some(limit) if cost > limit => say!(warn, "a call was slow"),
            _ => say!(debug, "a call has ended"),
        }
    }
}
