//! [`CallCtx`].

use std::fmt;

use super::{Answer, Session, Values};
use crate::{protocol::Header, socket::transport::Addr};

/// A pull or a push that this side makes, as plugins see it on its way.
///
/// The counterpart of [`Context`](crate::Context), which is about what the other side has sent.
pub struct CallCtx {
    session: Session,
    pub(super) header: Header,
    values: Values,
    pub(super) size: usize,
    reply: Option<(Header, usize)>,
}

impl CallCtx {
    pub(super) fn new(session: Session, header: Header) -> Self {
        Self {
            session,
            header,
            values: Values::default(),
            size: 0,
            reply: None,
        }
    }

    pub(super) fn set_reply(&mut self, answer: &Answer) {
        self.reply = Some((answer.header(self.header.seq), answer.size()));
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

impl fmt::Debug for CallCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCtx")
            .field("uri", &self.header.uri)
            .field("seq", &self.header.seq)
            .field("peer", self.peer_addr())
            .finish_non_exhaustive()
    }
}
