//! [`CallCtx`].

use std::fmt;

use tracing::Span;

use super::{
    Answer, Session, Values,
    log::{Outcome, Record},
    observer::CallInfo,
};
use crate::{
    codec::Body,
    error::Error,
    protocol::{Header, Mark, Parts},
    socket::transport::Addr,
    status::code,
};

/// A pull or a push that this side makes, as plugins see it on its way.
///
/// The counterpart of [`Context`](crate::Context), which is about what the other side has sent.
pub struct CallCtx {
    session: Session,
    pub(super) header: Header,
    values: Values,
    size: usize,
    reply: Option<(Header, usize)>,
    record: Record,
    /// The end was told.
    told: bool,
}

impl CallCtx {
    pub(super) fn new(session: Session, mut header: Header) -> Self {
        let record = Record::outgoing(&session, &mut header);
        Self {
            session,
            header,
            values: Values::default(),
            size: 0,
            reply: None,
            record,
            told: false,
        }
    }

    /// Encloses the work on the call.
    pub(super) fn span(&self) -> Span {
        self.record.span().clone()
    }

    pub(super) fn set_request(&mut self, frame: &Parts, body: Mark) {
        self.size = frame.len();
        // In one piece, which may be a copy, only if somebody looks at it.
        if self.session.shared().env.log.shows_bodies() {
            let body = frame.since(body);
            let body = Body::borrowed(&body, self.header.gzip);
            self.record.set_request(&self.session, &body);
        }
    }

    pub(super) fn set_reply(&mut self, answer: &Answer) {
        self.reply = Some((answer.header(self.header.seq), answer.size()));
        self.record.set_reply(&self.session, &answer.body());
    }

    /// Tells how the call has ended. Without it, it was given up.
    pub(super) fn end(&mut self, error: Option<&Error>) {
        match error {
            None => self.tell(code::OK, "OK"),
            Some(error) => match error.status() {
                Some(status) => self.tell(error.code(), status.message()),
                None => self.tell(error.code(), &error.to_string()),
            },
        }
    }

    fn tell(&mut self, code: i32, reason: &str) {
        self.told = true;
        let call = CallInfo {
            session: &self.session,
            header: &self.header,
            outgoing: true,
            route: None,
        };
        let outcome = Outcome {
            code,
            reason,
            request_size: self.size,
            reply_size: self.reply_size(),
        };
        self.record.end(&call, outcome, None);
    }

    /// The session that the call goes over.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where the call goes to.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.session.peer_addr()
    }

    /// The header of the pull or push.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header, to be changed before the packet is written: its uri, its gzip level, its time limit and its
    /// [`meta`](Header::meta). Changes to the other fields, and later ones, have no effect.
    pub fn header_mut(&mut self) -> &mut Header {
        &mut self.header
    }

    /// The whole uri.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.header.uri
    }

    /// Values that plugins pass along with this one call. They are dropped when it ends, however it ends.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// Bytes of the packet on the wire; 0 before it is written.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// The header of the reply; `None` before it has come.
    #[must_use]
    pub fn reply(&self) -> Option<&Header> {
        self.reply.as_ref().map(|(header, _)| header)
    }

    /// Bytes of the reply's packet on the wire; 0 before it has come.
    #[must_use]
    pub fn reply_size(&self) -> usize {
        self.reply.as_ref().map_or(0, |(_, size)| *size)
    }
}

impl Drop for CallCtx {
    fn drop(&mut self) {
        if !self.told {
            self.tell(code::CANCELLED, "given up by the caller");
        }
    }
}

impl fmt::Debug for CallCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCtx")
            .field("uri", &self.header.uri)
            .field("seq", &self.header.seq)
            .field("peer", self.peer_addr())
            .finish_non_exhaustive()
    }
}
