//! What a handler knows about the packet it handles.

mod pull;
mod push;

use std::{
    borrow::Cow,
    cell::Cell,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use self::pull::Reply;
pub use self::{pull::PullCtx, push::PushCtx};
use crate::{
    codec::{Body, CodecId},
    protocol::{Header, Packet},
    session::{
        CallInfo, Session, Values,
        log::{Outcome, Record},
        scope::Scope,
    },
    socket::transport::Addr,
    status::{Status, code},
    uri::Uri,
};

/// What [`PullCtx`] and [`PushCtx`] have in common: the packet's header, and the session it came on.
///
/// It is moved about a good deal on its way into a handler, so all that it holds is in a box, which the thread uses again for the
/// next one.
pub struct Context(Option<Box<Parts>>);

#[derive(Default)]
struct Parts {
    /// Only a box that is not in use has none.
    session: Option<Session>,
    header: Header,
    body_codec: Option<CodecId>,
    size: u32,
    values: Values,
    /// What surrounds the call, if anything does.
    scope: Option<Arc<Scope>>,
    /// Of a pull.
    reply: Reply,
    /// Those who watch were told how the call has ended; the reply of a pull is made.
    ended: AtomicBool,
}

thread_local! {
    static SPARE: Cell<Option<Box<Parts>>> = const { Cell::new(None) };
}

impl Context {
    #[inline]
    fn new(session: &Session, packet: &mut Packet, body: &Bytes) -> Self {
        let env = &session.shared().env;
        let extended = has_extensions(&packet.header);
        let surrounded = extended || env.observed || env.log.is_on();
        let scope = match surrounded {
            true => Some(surround(session, packet, body, extended)),
            false => None,
        };
        let mut parts = SPARE.take().unwrap_or_else(fresh);
        parts.session = Some(session.clone());
        parts.header.take_over(&mut packet.header);
        parts.body_codec = Body::new(body, 0).codec();
        parts.size = small(packet.size());
        parts.scope = scope;
        parts.reply = Reply::new(packet.header_codec);
        parts.ended = AtomicBool::new(false);
        Self(Some(parts))
    }

    #[inline]
    fn parts(&self) -> &Parts {
        match self.0.as_deref() {
            Some(parts) => parts,
            None => unreachable!("only `drop` takes them"),
        }
    }

    #[inline]
    fn parts_mut(&mut self) -> &mut Parts {
        match self.0.as_deref_mut() {
            Some(parts) => parts,
            None => unreachable!("only `drop` takes them"),
        }
    }

    /// Makes sure that there is a scope: the route asks for one.
    pub(crate) fn surround(&mut self, body: &Bytes) {
        if self.scope().is_none() {
            let scope = scope(self.session(), self.header(), body);
            self.parts_mut().scope = Some(Arc::new(scope));
        }
    }

    #[inline]
    pub(crate) fn scope(&self) -> Option<&Arc<Scope>> {
        self.parts().scope.as_ref()
    }

    /// Tells those who watch how the call has ended. `reply` is its size, and its body for people.
    #[inline]
    fn end(&self, status: Result<(), &Status>, reply: (usize, Option<&str>)) {
        self.parts().ended.store(true, Ordering::Relaxed);
        if let Some(scope) = self.scope() {
            self.tell_end(scope, status, reply);
        }
    }

    #[inline(never)]
    fn tell_end(&self, scope: &Scope, status: Result<(), &Status>, reply: (usize, Option<&str>)) {
        let call = CallInfo {
            session: self.session(),
            header: self.header(),
            outgoing: false,
            route: scope.route(),
        };
        let outcome = Outcome {
            code: status.err().map_or(code::OK, Status::code),
            reason: status.err().map_or("OK", Status::message),
            request_size: self.size(),
            reply_size: reply.0,
        };
        scope.record.end(&call, outcome, reply.1);
    }

    #[inline]
    fn has_ended(&self) -> bool {
        self.parts().ended.load(Ordering::Relaxed)
    }

    /// The uri for logs.
    pub(crate) fn shown_uri(&self) -> Cow<'_, str> {
        self.session().shared().env.log.shown(self.uri())
    }

    /// The session that the packet came on: pull and push back through it.
    #[must_use]
    #[inline]
    pub fn session(&self) -> &Session {
        match &self.parts().session {
            Some(session) => session,
            None => unreachable!("it is in use"),
        }
    }

    /// Where the sender is.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.session().peer_addr()
    }

    /// The packet's header, as it came or as a plugin has changed it.
    #[must_use]
    #[inline]
    pub fn header(&self) -> &Header {
        &self.parts().header
    }

    /// The header, for a plugin that runs before the route is looked up, to send the packet elsewhere.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.parts_mut().header
    }

    /// The whole uri, e.g. `/group/home/test?peer_id=7`.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.header().uri
    }

    /// The uri's path with percent escapes decoded: what routes are matched by.
    #[must_use]
    pub fn path(&self) -> Cow<'_, str> {
        self.parsed().map(|uri| uri.path()).unwrap_or_default()
    }

    /// The query as it stands in the uri, without the `?`.
    #[must_use]
    pub fn raw_query(&self) -> &str {
        self.parsed().map(|uri| uri.raw_query()).unwrap_or_default()
    }

    /// The first value of a query parameter, decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.parsed()?.query_value(name)
    }

    /// All query parameters, decoded, in the order of the uri. Pairs with a broken escape or a `;` are left out.
    pub fn query_pairs(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.parsed().into_iter().flat_map(|uri| uri.query())
    }

    /// The codec of the body; `None` if there is no body, or its id is 0.
    #[must_use]
    pub fn body_codec(&self) -> Option<CodecId> {
        self.parts().body_codec
    }

    /// Bytes of the whole packet on the wire; 0 if its protocol does not say.
    #[must_use]
    pub fn size(&self) -> usize {
        self.parts().size as usize
    }

    /// A value that the sender has put into the header; see [`Meta`](crate::protocol::Meta).
    #[must_use]
    pub fn meta(&self, name: &str) -> Option<&str> {
        self.header().meta.get(name)
    }

    /// How long the caller still waits, zero if it does no longer; `None` if it set no limit. The pulls that the handler makes
    /// in its own task wait no longer than that by themselves.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.scope()?.time_left()
    }

    /// Values that plugins and the handler pass along with this one packet. They are dropped with it; if a pull is refused, or its
    /// handler ends without an answer, before the reply is sent.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.parts().values
    }

    /// `None` cannot happen in a handler: what does not parse is answered with 400 before.
    fn parsed(&self) -> Option<Uri<'_>> {
        Uri::parse(self.uri()).ok()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("uri", &self.uri())
            .field("seq", &self.header().seq)
            .field("peer", self.peer_addr())
            .finish_non_exhaustive()
    }
}

/// A packet's size: there is one context for each call, and what is moved about with it counts.
fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

impl Drop for Context {
    #[inline]
    fn drop(&mut self) {
        if let Some(mut parts) = self.0.take() {
            parts.let_go();
            SPARE.set(Some(parts));
        }
    }
}

impl Parts {
    /// What is left may stay for as long as the thread does.
    #[inline]
    fn let_go(&mut self) {
        self.session = None;
        self.header.let_go();
        self.values = Values::default();
        self.scope = None;
        self.reply.let_go();
    }
}

#[cold]
fn fresh() -> Box<Parts> {
    Box::default()
}

/// The header says more than that of an old peer can.
fn has_extensions(header: &Header) -> bool {
    header.timeout_ms != 0 || !header.meta.is_empty()
}

#[cold]
fn surround(session: &Session, packet: &Packet, body: &Bytes, extended: bool) -> Arc<Scope> {
    if extended {
        session.shared().note_extended();
    }
    Arc::new(scope(session, &packet.header, body))
}

fn scope(session: &Session, header: &Header, body: &Bytes) -> Scope {
    Scope::new(header, Record::incoming(session, header, body))
}

/// A body codec, if the session knows it.
#[inline]
fn known_codec(session: &Session, codec: Option<CodecId>) -> Option<CodecId> {
    let codecs = &session.shared().env.codecs;
    codec.filter(|codec| codecs.knows(*codec))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::{HeaderCodec, PacketKind},
        session::testing,
    };

    fn packet(uri: String) -> Packet {
        let header = Header::new(PacketKind::Pull, 7, uri);
        Packet::new(header, HeaderCodec::Protobuf, Bytes::new())
    }

    #[test]
    fn the_box_of_a_call_that_is_over_keeps_nothing_of_it() {
        let session = testing::session();
        let mut packet = packet("/long".repeat(20));
        packet.header.meta.insert("name", "value");
        let context = Context::new(&session, &mut packet, &Bytes::new());
        let value = Arc::new(());
        context.values().insert(Arc::clone(&value));
        assert!(context.scope().is_some(), "for what is in the header");
        drop(context);
        assert_eq!(Arc::strong_count(&value), 1);
        let parts = SPARE.take().expect("a box to be used again");
        assert!(parts.session.is_none() && parts.scope.is_none());
        assert_eq!(parts.header.uri, "", "which would share the read buffer");
        assert!(parts.header.meta.is_empty());
    }

    #[test]
    fn a_context_has_the_header_of_its_own_packet_whatever_came_before() {
        let session = testing::session();
        let mut extended = packet("/other".to_owned());
        extended.header.meta.insert("name", "value");
        extended.header.timeout_ms = 5;
        extended.header.gzip = 3;
        let long = || packet("/long".repeat(20));
        let short = || packet("/short".to_owned());
        for mut packet in [short(), short(), extended, long(), long(), short()] {
            let header = packet.header.clone();
            let context = Context::new(&session, &mut packet, &Bytes::new());
            assert_eq!(context.header(), &header);
        }
    }
}
