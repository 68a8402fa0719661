//! [`Record`], one call under way, and what is said about it when it ends: an event and a span at level debug, a warning if it
//! was slow.
//!
//! The fields of the span follow the semantic conventions of OpenTelemetry for remote procedure calls, so that a layer which
//! exports spans finds what it looks for.

use std::{borrow::Cow, time::Duration};

use tokio::time::Instant;
use tracing::{Level, Span, field::Empty, level_filters::LevelFilter};

#[cfg(feature = "otel")]
use super::trace;
use super::{
    Session,
    body_text::BodyText,
    observer::{CallEnd, CallInfo},
};
use crate::{
    codec::Body,
    protocol::{Header, PacketKind},
    route::RouteInfo,
    secrets,
    socket::transport::Addr,
    status::code,
};

/// The target of all events and spans about calls.
const TARGET: &str = "teleport::call";

/// A peer's settings for what is said about its calls.
#[derive(Clone, Debug)]
pub(crate) struct CallLog {
    /// A call that takes longer is worth a warning.
    slow: Option<Duration>,
    bodies: Option<BodyText>,
    /// Names of query parameters whose values are not shown.
    hidden: Vec<String>,
}

impl CallLog {
    pub(crate) fn new(slow: Option<Duration>, bodies: Option<BodyText>) -> Self {
        Self {
            slow,
            hidden: bodies.clone().unwrap_or_default().hidden,
            bodies,
        }
    }

    /// Somebody listens. If not, calls take the short way.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.slow.is_some() || is_heard()
    }

    /// A body for people, if it is to be shown.
    pub(crate) fn text(&self, body: &Body<'_>) -> Option<String> {
        let bodies = self.bodies.as_ref().filter(|_| is_heard())?;
        Some(bodies.show(body))
    }

    /// Whether there is a [`text`](Self::text).
    pub(crate) fn shows_bodies(&self) -> bool {
        self.bodies.is_some() && is_heard()
    }

    /// A uri, or a text with one in it, without its secrets.
    pub(crate) fn shown<'a>(&self, text: &'a str) -> Cow<'a, str> {
        secrets::hide(text, &self.hidden)
    }
}

#[inline]
fn is_heard() -> bool {
    Level::DEBUG <= LevelFilter::current() && is_enabled()
}

#[inline(never)]
fn is_enabled() -> bool {
    tracing::enabled!(target: TARGET, Level::DEBUG)
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) started: Instant,
    span: Span,
    request: Option<String>,
    reply: Option<String>,
}

impl Record {
    /// Begins the record of a call, and tells who wants to know.
    fn begin(session: &Session, header: &Header, outgoing: bool) -> Self {
        let env = &session.shared().env;
        if let Some(observer) = env.dispatch.observer() {
            observer.begins(&CallInfo {
                session,
                header,
                outgoing,
                route: None,
            });
        }
        let span = match (is_heard(), outgoing) {
            (false, _) => Span::none(),
            (true, false) => server_span(session, header),
            (true, true) => client_span(session, header),
        };
        Self {
            started: Instant::now(),
            span,
            request: None,
            reply: None,
        }
    }

    /// Begins the record of a call of this side, whose header takes its place in a trace along.
    pub(super) fn outgoing(session: &Session, header: &mut Header) -> Self {
        let record = Self::begin(session, header, true);
        #[cfg(feature = "otel")]
        trace::pass_on(&record.span, &mut header.meta);
        record
    }

    /// Begins the record of a call of the other side; `body` is what came with it.
    pub(crate) fn incoming(session: &Session, header: &Header, body: &[u8]) -> Self {
        let mut record = Self::begin(session, header, false);
        #[cfg(feature = "otel")]
        trace::adopt(&record.span, &header.meta);
        let log = &session.shared().env.log;
        record.request = log.text(&Body::borrowed(body, header.gzip));
        record
    }

    /// The arguments are shown, so the reply is to be shown too.
    pub(crate) fn shows_bodies(&self) -> bool {
        self.request.is_some()
    }

    /// Encloses the work on the call.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The arguments of a call of this side, as they were sent.
    pub(super) fn set_request(&mut self, session: &Session, body: &Body<'_>) {
        self.request = session.shared().env.log.text(body);
    }

    /// The reply to a call of this side, as it came.
    pub(super) fn set_reply(&mut self, session: &Session, body: &Body<'_>) {
        self.reply = session.shared().env.log.text(body);
    }

    /// The route of a call of the other side is known now.
    pub(crate) fn set_route(&self, route: &RouteInfo) {
        self.span.record("otel.name", &*route.uri);
        self.span.record("rpc.method", &*route.uri);
    }

    /// The call has ended. `size` and `text` are those of the reply.
    pub(crate) fn end(&self, call: &CallInfo<'_>, outcome: Outcome<'_>, text: Option<&str>) {
        let end = CallEnd {
            code: outcome.code,
            reason: outcome.reason,
            request_size: outcome.request_size,
            reply_size: outcome.reply_size,
            cost: self.started.elapsed(),
        };
        let env = &call.session.shared().env;
        if let Some(observer) = env.dispatch.observer() {
            observer.ended(call, &end);
        }
        self.end_span(&env.log, call, &end);
        self.say(&env.log, call, &end, text.or(self.reply.as_deref()));
    }

    fn end_span(&self, log: &CallLog, call: &CallInfo<'_>, end: &CallEnd<'_>) {
        if self.span.is_disabled() {
            return;
        }
        if !call.outgoing && call.route.is_none() {
            self.span.record("otel.name", SYSTEM);
            self.span.record("rpc.method", "_OTHER");
            self.span.record("rpc.method_original", path(call.header));
        }
        let code = end.code.to_string();
        self.span.record("rpc.response.status_code", &*code);
        // On the side that serves, only what is its own fault counts as its error.
        let is_fault = (500..600).contains(&end.code);
        if end.code != code::OK && (call.outgoing || is_fault) {
            self.span.record("error.type", &*code);
            self.span.record("otel.status_code", "ERROR");
            let reason = log.shown(end.reason);
            self.span.record("otel.status_description", &*reason);
        }
    }

    fn say(&self, log: &CallLog, call: &CallInfo<'_>, end: &CallEnd<'_>, reply: Option<&str>) {
        let CallEnd {
            code: status,
            reason,
            request_size,
            reply_size,
            cost,
        } = *end;
        let kind = match (call.header.kind, call.outgoing) {
            (PacketKind::Push, false) => "push received",
            (PacketKind::Push, true) => "push sent",
            (_, false) => "pull answered",
            (_, true) => "pull made",
        };
        let peer = call.session.peer_addr();
        let route = call.route.map(|route| &*route.uri);
        let seq = call.header.seq;
        let request = self.request.as_deref();
        macro_rules! say {
            ($level:ident, $text:literal) => {
                tracing::$level!(
                    target: TARGET, parent: &self.span,
                    kind, uri = &*log.shown(&call.header.uri), route, %peer, seq, status, reason = &*log.shown(reason),
                    request_size, reply_size, ?cost, request, reply,
                    $text
                )
            };
        }
        let limit = call.route.and_then(|route| route.slow_threshold);
        match limit.or(log.slow) {
            Some(limit) if cost > limit => say!(warn, "a call was slow"),
            _ => say!(debug, "a call has ended"),
        }
    }
}

/// How a call ended, without its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) code: i32,
    pub(crate) reason: &'a str,
    pub(crate) request_size: usize,
    pub(crate) reply_size: usize,
}

/// What speaks here, for those who know several systems.
const SYSTEM: &str = "teleport";

/// The path as it stands in the uri.
fn path(header: &Header) -> &str {
    header.uri.split(['?', '#']).next().unwrap_or_default()
}

fn client_span(session: &Session, header: &Header) -> Span {
    let path = path(header);
    let peer = session.peer_addr();
    tracing::debug_span!(
        target: TARGET,
        "call",
        otel.name = path,
        otel.kind = "client",
        otel.status_code = Empty,
        otel.status_description = Empty,
        rpc.system.name = SYSTEM,
        rpc.method = path,
        rpc.response.status_code = Empty,
        error.type = Empty,
        server.address = &*host(peer),
        server.port = port(peer),
        seq = header.seq,
    )
}

/// Its parent is on the other side, if there is one; its name is the route, which is not known yet.
fn server_span(session: &Session, header: &Header) -> Span {
    let peer = session.peer_addr();
    tracing::debug_span!(
        target: TARGET,
        parent: None,
        "call",
        otel.name = Empty,
        otel.kind = "server",
        otel.status_code = Empty,
        otel.status_description = Empty,
        rpc.system.name = SYSTEM,
        rpc.method = Empty,
        rpc.method_original = Empty,
        rpc.response.status_code = Empty,
        error.type = Empty,
        client.address = &*host(peer),
        client.port = port(peer),
        seq = header.seq,
    )
}

fn host(addr: &Addr) -> Cow<'_, str> {
    match addr {
        Addr::Named(name) => Cow::Borrowed(name),
        Addr::Tcp(addr) | Addr::Tls(addr) => Cow::Owned(addr.ip().to_string()),
        #[cfg(unix)]
        Addr::Unix(Some(path)) => path.to_string_lossy(),
        #[cfg(unix)]
        Addr::Unix(None) => Cow::Borrowed("unix"),
    }
}

fn port(addr: &Addr) -> Option<u16> {
    match addr {
        Addr::Tcp(addr) | Addr::Tls(addr) => Some(addr.port()),
        _ => None,
    }
}
