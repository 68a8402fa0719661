//! [`PullCtx`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Context, known_codec, small};
use crate::{
    codec::{Choice, CodecId, Encode, probe::EncodeAs},
    protocol::{EncodeError, Header, HeaderCodec, Packet, Parts, Text},
    session::{
        Session, farewell,
        reply::{self, ReplyHead},
        scope::Stop,
    },
    status::{Status, code},
};

/// What a pull handler knows about its call. Everything in [`Context`] is there too.
///
/// It also stands for the duty to reply: if the handler panics or is dropped before its end, the caller gets 500.
pub struct PullCtx {
    context: Context,
}

/// What a pull's context knows about its reply.
pub(super) struct Reply {
    header_codec: HeaderCodec,
    /// The request's own codec, if it is a known one.
    known_codec: Option<CodecId>,
    /// The uri before a plugin changed it: what the reply repeats.
    asked: Option<Box<Text>>,
    /// 0 is none.
    codec: AtomicU8,
    /// [`UNSET`] is the request's.
    gzip: AtomicI32,
    size: AtomicU32,
}

/// No level that anybody sends.
const UNSET: i32 = i32::MIN;

impl Reply {
    #[inline]
    pub(super) fn new(header_codec: HeaderCodec) -> Self {
        Self {
            header_codec,
            known_codec: None,
            asked: None,
            codec: AtomicU8::new(0),
            gzip: AtomicI32::new(UNSET),
            size: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(super) fn let_go(&mut self) {
        self.asked = None;
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new(HeaderCodec::default())
    }
}

impl PullCtx {
    /// The header is taken out of the packet, as `body` is already. `keep_uri`: a plugin may change the header, and the reply must repeat what was asked.
    #[inline]
    pub(crate) fn new(
        session: &Session,
        packet: &mut Packet,
        body: &Bytes,
        keep_uri: bool,
    ) -> Self {
        let mut context = Context::new(session, packet, body);
        let parts = context.parts_mut();
        parts.reply.known_codec = known_codec(session, parts.body_codec);
        if keep_uri {
            parts.reply.asked = Some(uri_of(&parts.header));
        }
        Self { context }
    }

    #[inline]
    fn reply(&self) -> &Reply {
        &self.context.parts().reply
    }

    /// Sends the reply in another codec than the request's. A value that it cannot carry becomes status 415.
    pub fn set_reply_codec(&self, codec: CodecId) {
        self.reply().codec.store(codec.as_byte(), Ordering::Relaxed);
    }

    /// Sends the reply at another gzip level than the request's, -2 to 9; 0 is not compressed. A level that there is not
    /// becomes status 500, but for [`Raw`](crate::Raw) replies, which are sent as they are whatever the level.
    pub fn set_reply_gzip(&self, level: i32) {
        self.reply().gzip.store(level, Ordering::Relaxed);
    }

    /// Bytes of the reply's packet on the wire; 0 before it is sent.
    #[must_use]
    pub fn reply_size(&self) -> usize {
        self.reply().size.load(Ordering::Relaxed) as usize
    }

    /// Replies with what the handler returned. Without room in the connection's buffer, the frame is given back.
    #[inline]
    pub(crate) fn answer<R>(
        &self,
        result: &Result<R, Status>,
        encode: impl EncodeAs<R>,
    ) -> Option<Parts> {
        let tried = match result {
            Ok(value) if self.scope().is_none() => {
                let value = encode.wrap(value);
                self.answer_in_turn(&value)
            }
            _ => None,
        };
        match tried {
            Some(Ok(size)) => {
                self.end(None, size, None);
                None
            }
            Some(Err(error)) => self.answer_at_length(result, encode, Some(error)),
            None => self.answer_at_length(result, encode, None),
        }
    }

    /// Encodes the reply behind the others of this turn, which is nearly always all there is to do. Gives its size.
    #[inline]
    fn answer_in_turn(&self, value: &impl Encode) -> Option<Result<usize, EncodeError>> {
        reply::append_value(
            self.session(),
            self.reply_head(),
            value,
            self.reply_choice(),
        )
    }

    #[inline]
    fn reply_choice(&self) -> Choice {
        let reply = self.reply();
        let set = CodecId::new(reply.codec.load(Ordering::Relaxed));
        reply::reply_choice(set, reply.known_codec)
    }

    /// `failed`: why the value cannot be encoded, if that was tried.
    #[inline(never)]
    fn answer_at_length<R>(
        &self,
        result: &Result<R, Status>,
        encode: impl EncodeAs<R>,
        failed: Option<EncodeError>,
    ) -> Option<Parts> {
        let session = self.session();
        let (mut sent, mut failure) = match (result, failed) {
            (Ok(_), Some(error)) => {
                let mut sent = reply::send_failure(session, self.reply_head(), &error);
                let failure = sent.failure.take();
                (sent, failure)
            }
            (Ok(value), None) => {
                let choice = self.reply_choice();
                let show = self
                    .scope()
                    .is_some_and(|scope| scope.record.shows_bodies());
                let value = encode.wrap(value);
                let mut sent = reply::send_value(session, self.reply_head(), &value, choice, show);
                let failure = sent.failure.take();
                (sent, failure)
            }
            (Err(status), _) => {
                log_cause(self, status);
                let sent = reply::send_status(session, self.reply_head(), status);
                (sent, None)
            }
        };
        if sent.leftover.is_some() {
            reply::or_give_up(session, self.reply_head(), &mut sent);
            failure = sent.failure.take().or(failure);
        }
        let status = failure.as_ref().or(result.as_ref().err());
        // Not before: encoding runs the user's code, which may panic.
        self.end(status, sent.size, sent.text.as_deref());
        sent.leftover
    }

    /// Replies with an error at once: the handler does not run.
    pub(crate) fn refuse(self, status: &Status) {
        self.refuse_now(status);
    }

    fn refuse_now(&self, status: &Status) {
        // What they count is free again when the caller hears of it.
        self.values().clear();
        let size = reply::send_status_now(self.session(), self.reply_head(), status);
        self.end(Some(status), size, None);
    }

    /// The reply is made.
    #[inline]
    fn end(&self, failure: Option<&Status>, size: usize, text: Option<&str>) {
        self.reply().size.store(small(size), Ordering::Relaxed);
        self.context.end(failure.map_or(Ok(()), Err), (size, text));
    }

    /// Replies that this side closes the session: the handler does not run.
    pub(crate) fn refuse_closing(self) {
        let status = Status::unavailable(farewell::TEXT);
        let size = farewell::refuse(self.session(), self.reply_head(), &status);
        self.end(Some(&status), size, None);
    }

    #[inline]
    fn reply_head(&self) -> ReplyHead<'_> {
        let parts = self.context.parts();
        let (header, reply) = (&parts.header, &parts.reply);
        ReplyHead {
            seq: header.seq,
            uri: reply.asked.as_deref().unwrap_or(&header.uri),
            gzip: match reply.gzip.load(Ordering::Relaxed) {
                UNSET => header.gzip,
                level => level,
            },
            header_codec: reply.header_codec,
        }
    }

    /// The handler was dropped before its end. It may have panicked because a protocol or a log of the user's does, and so may this
    /// then.
    #[cold]
    fn answer_at_last(&self) {
        let answer = AssertUnwindSafe(|| self.answer_in_its_place());
        if catch_unwind(answer).is_err() && !self.context.has_ended() {
            self.session().shared().end_for_panic();
        }
    }

    fn answer_in_its_place(&self) {
        match self.scope().and_then(|scope| scope.stopped()) {
            Some(Stop::Cancelled) => {
                tracing::debug!(uri = &*self.shown_uri(), peer = %self.peer_addr(), "a pull handler was stopped: its caller has gone away");
                // Nobody waits, and nobody would take it for another's.
                let status = Status::new(code::CANCELLED, ByteString::from_static("Cancelled"));
                self.end(Some(&status), 0, None);
            }
            Some(Stop::Expired) => {
                let text = "the caller's time limit has passed";
                self.refuse_now(&Status::new(
                    code::GATEWAY_TIMEOUT,
                    ByteString::from_static(text),
                ));
            }
            None => {
                let text = "Internal Server Error";
                self.refuse_now(&Status::new(code::INTERNAL, ByteString::from_static(text)));
                tracing::error!(uri = &*self.shown_uri(), peer = %self.peer_addr(), "a pull handler ended without an answer; the caller gets 500");
            }
        }
    }
}

#[cold]
fn uri_of(header: &Header) -> Box<Text> {
    Box::new(header.uri.clone())
}

impl Drop for PullCtx {
    #[inline]
    fn drop(&mut self) {
        if !self.context.has_ended() {
            self.answer_at_last();
        }
    }
}

fn log_cause(ctx: &PullCtx, status: &Status) {
    if let Some(cause) = status.cause() {
        tracing::error!(uri = &*ctx.shown_uri(), peer = %ctx.peer_addr(), %status, cause = %cause, "a pull handler failed");
    }
}

impl Deref for PullCtx {
    type Target = Context;

    #[inline]
    fn deref(&self) -> &Context {
        &self.context
    }
}

impl DerefMut for PullCtx {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.context
    }
}

impl fmt::Debug for PullCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PullCtx").field(&self.context).finish()
    }
}
