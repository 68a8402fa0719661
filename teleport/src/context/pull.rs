//! [`PullCtx`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Context, known_codec};
use crate::{
    codec::{CodecId, probe::EncodeAs},
    protocol::{HeaderCodec, Packet},
    session::{
        Session, farewell,
        reply::{self, Leftover, ReplyHead},
    },
    status::{Status, code},
};

/// What a pull handler knows about its call. Everything in [`Context`] is there too.
///
/// It also stands for the duty to reply: if the handler panics or is dropped before its end, the caller gets 500.
pub struct PullCtx {
    context: Context,
    header_codec: HeaderCodec,
    /// The request's own codec, if it is a known one.
    known_codec: Option<CodecId>,
    /// The uri before a plugin changed it: what the reply repeats.
    asked: Option<Box<ByteString>>,
    /// 0 is none.
    reply_codec: AtomicU8,
    answered: AtomicBool,
}

impl PullCtx {
    /// The caller has counted this handler as started.
    ///
    /// `keep_uri`: a plugin may change the header, and the reply must repeat what was asked.
    pub(crate) fn new(session: &Session, packet: Packet, keep_uri: bool) -> (Self, Bytes) {
        let body_codec = packet.body_codec();
        let this = Self {
            asked: keep_uri.then(|| Box::new(packet.header.uri.clone())),
            header_codec: packet.header_codec,
            known_codec: known_codec(session, body_codec),
            context: Context::new(session.clone(), packet.header, body_codec),
            reply_codec: AtomicU8::new(0),
            answered: AtomicBool::new(false),
        };
        (this, packet.body)
    }

    /// Sends the reply in another codec than the request's. A value that it cannot carry becomes status 415.
    pub fn set_reply_codec(&self, codec: CodecId) {
        self.reply_codec.store(codec.as_byte(), Ordering::Relaxed);
    }

    /// Replies with what the handler returned. Without room in the connection's buffer, the frame is given back.
    pub(crate) fn answer<R>(
        &self,
        result: Result<R, Status>,
        encode: impl EncodeAs<R>,
    ) -> Leftover {
        let leftover = match result {
            Ok(value) => {
                let set = CodecId::new(self.reply_codec.load(Ordering::Relaxed));
                let choice = reply::reply_choice(set, self.known_codec);
                reply::send_value(
                    self.session(),
                    self.reply_head(),
                    &encode.wrap(&value),
                    choice,
                )
            }
            Err(status) => {
                log_cause(self, &status);
                reply::send_status(self.session(), self.reply_head(), &status)
            }
        };
        // Not before: encoding runs the user's code, which may panic.
        self.answered.store(true, Ordering::Relaxed);
        leftover
    }

    /// Replies with an error at once: the handler does not run.
    pub(crate) fn refuse(self, status: &Status) {
        self.answered.store(true, Ordering::Relaxed);
        reply::send_status_now(self.session(), self.reply_head(), status);
    }

    /// Replies that this side closes the session: the handler does not run.
    pub(crate) fn refuse_closing(self) {
        self.answered.store(true, Ordering::Relaxed);
        farewell::refuse(self.session(), self.reply_head());
    }

    fn reply_head(&self) -> ReplyHead<'_> {
        let header = self.header();
        ReplyHead {
            seq: header.seq,
            uri: self.asked.as_deref().unwrap_or(&header.uri),
            gzip: header.gzip,
            header_codec: self.header_codec,
        }
    }
}

impl Drop for PullCtx {
    fn drop(&mut self) {
        if !*self.answered.get_mut() {
            let status = Status::new(
                code::INTERNAL,
                ByteString::from_static("Internal Server Error"),
            );
            tracing::error!(uri = self.uri(), peer = %self.peer_addr(), "a pull handler ended without an answer; the caller gets 500");
            reply::send_status_now(self.session(), self.reply_head(), &status);
        }
        self.session().shared().handler_ends();
    }
}

fn log_cause(ctx: &PullCtx, status: &Status) {
    if let Some(cause) = status.cause() {
        tracing::error!(uri = ctx.uri(), peer = %ctx.peer_addr(), %status, cause = %cause, "a pull handler failed");
    }
}

impl Deref for PullCtx {
    type Target = Context;

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
