//! [`PushCtx`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::{Context, Counted};
use crate::{
    protocol::Packet,
    session::Session,
    status::{Status, code},
};

/// What a push handler knows about the message. Everything in [`Context`] is there too.
pub struct PushCtx {
    context: Context,
    /// The end was told.
    told: AtomicBool,
}

impl PushCtx {
    /// The caller has counted this handler as started, and taken the body out of the packet; here the header follows.
    pub(crate) fn new(session: &Session, packet: &mut Packet, body: &Bytes) -> Self {
        Self {
            context: Context::new(session, packet, body),
            told: AtomicBool::new(false),
        }
    }

    /// Tells the log how the handler, or what came before it, has ended.
    pub(crate) fn end(&self, status: Result<(), &Status>) {
        self.told.store(true, Ordering::Relaxed);
        self.context.end(status, (0, None));
    }
}

impl Drop for PushCtx {
    fn drop(&mut self) {
        let _counted = Counted::new(&self.context);
        if !self.told.load(Ordering::Relaxed) {
            self.end(Err(&Status::new(
                code::INTERNAL,
                ByteString::from_static("Internal Server Error"),
            )));
        }
    }
}

impl Deref for PushCtx {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl DerefMut for PushCtx {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.context
    }
}

impl fmt::Debug for PushCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PushCtx").field(&self.context).finish()
    }
}
