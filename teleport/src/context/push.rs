//! [`PushCtx`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::Context;
use crate::{
    protocol::Packet,
    session::Session,
    status::{Status, code},
};

/// What a push handler knows about the message. Everything in [`Context`] is there too.
pub struct PushCtx {
    context: Context,
}

impl PushCtx {
    /// The body is taken out of the packet already; here the header follows.
    pub(crate) fn new(session: &Session, packet: &mut Packet, body: &Bytes) -> Self {
        Self {
            context: Context::new(session, packet, body),
        }
    }

    /// Tells the log how the handler, or what came before it, has ended.
    pub(crate) fn end(&self, status: Result<(), &Status>) {
        self.context.end(status, (0, None));
    }
}

impl Drop for PushCtx {
    fn drop(&mut self) {
        if !self.context.has_ended() {
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
