//! The way up: what a session asks of the layers above it.

use std::{fmt, future::Future, pin::Pin};

use super::{CallCtx, Runner, Session, observer::Observer};
use crate::{protocol::Packet, status::Status};

/// A boxed future, for what happens seldom.
pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Takes what arrives. Implemented by the router, installed by the peer, so that the session knows neither.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// A pull or a push has arrived. Must not block; work goes through `runner`.
    fn inbound<'a>(&'a self, session: &Session, packet: &mut Packet, runner: &mut Runner<'a>);

    /// The plugins that have hooks on what this side starts; `None` is the fast path.
    fn outbound(&self) -> Option<&dyn Outbound>;

    /// The plugins that watch all calls; `None` if nobody does.
    fn observer(&self) -> Option<&dyn Observer>;

    /// What plugins want to do before the next packet's header is read; `None` if they have nothing to do there. An error
    /// ends the session at once.
    fn before_header(&self, session: &Session) -> Option<BoxFuture<'static, Result<(), Status>>>;

    /// The session has ended.
    fn ended<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, ()>;
}

/// Hooks on what this side starts.
pub(crate) trait Outbound: Send + Sync {
    /// Before a pull or a push is encoded. May change the header; an error keeps it from being sent.
    fn before_write<'a>(&'a self, call: &'a mut CallCtx) -> BoxFuture<'a, Result<(), Status>>;

    /// After a pull or a push was handed to the connection. Errors are for the log.
    fn after_write<'a>(&'a self, call: &'a CallCtx) -> BoxFuture<'a, ()>;

    /// A reply has come; an error goes to the caller instead of it.
    fn reply<'a>(
        &'a self,
        stage: ReplyStage,
        call: &'a CallCtx,
    ) -> BoxFuture<'a, Result<(), Status>>;
}

/// How far the reading of a reply has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyStage {
    Header,
    BeforeBody,
    AfterBody,
}

/// A call that a plugin refused before it was written, in the seed's own words.
#[derive(Debug)]
pub(crate) struct Rejection(pub(crate) Status);

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::Value::from(self.0.message());
        write!(f, r#"{{"code":{},"text":{text}}}"#, self.0.code())
    }
}

impl std::error::Error for Rejection {}
