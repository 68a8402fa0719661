//! [`PushCtx`].

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use bytes::Bytes;

use super::Context;
use crate::{protocol::Packet, session::Session};

/// What a push handler knows about the message. Everything in [`Context`] is there too.
pub struct PushCtx {
    context: Context,
}

impl PushCtx {
    /// The caller has counted this handler as started.
    pub(crate) fn new(session: &Session, packet: Packet) -> (Self, Bytes) {
        let body_codec = packet.body_codec();
        let context = Context::new(session.clone(), packet.header, body_codec);
        (Self { context }, packet.body)
    }
}

impl Drop for PushCtx {
    fn drop(&mut self) {
        self.session().shared().handler_ends();
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
