//! One connection's life: pulls in flight, dispatch, the write queue, time limits.

mod answer;
mod body_text;
mod call;
mod call_ctx;
pub(crate) mod cancel;
mod connection;
pub(crate) mod dispatch;
pub(crate) mod driver;
mod exchange;
pub(crate) mod farewell;
mod gathering;
pub(crate) mod handshake;
pub(crate) mod heartbeat;
pub(crate) mod log;
mod memory;
#[cfg(all(test, shuttle))]
mod models;
pub(crate) mod observer;
mod panics;
mod pending;
mod pull;
mod push;
mod reason;
pub(crate) mod reply;
mod runner;
pub(crate) mod scope;
pub(crate) mod shared;
mod stream_waker;
mod sync;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(feature = "otel")]
mod trace;
mod turn;
mod values;

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, PoisonError},
    task::Waker,
    time::Duration,
};

pub(crate) use self::{
    answer::Answer,
    memory::Memory,
    panics::{caught, discard, panic_text, poll_caught},
    reason::Reason,
    runner::{Pace, Runner},
    shared::{Env, Phase, Shared},
};
pub use self::{
    body_text::BodyText,
    call::CallOptions,
    call_ctx::CallCtx,
    connection::{Connection, Kept, On},
    handshake::Handshake,
    observer::{CallEnd, CallInfo},
    pull::Pull,
    push::Push,
    values::Values,
};
use crate::{
    codec::{Decode, Encode, probe},
    socket::{tls::TlsInfo, transport::Addr},
};

/// One connection to another peer: pulls and pushes in both directions, any number at a time.
///
/// It is a handle: clones are cheap and all mean the same connection. The connection lives until one side closes it
/// or it breaks, whether handles to it are kept or not.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

impl Session {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.0
    }

    /// What the session's stream is to wake.
    pub(crate) fn stream_waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.0.stream))
    }

    /// Both are handles to the same connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.phase() == Phase::Ended
    }

    /// Only the hub may call it: it has to know.
    pub(crate) fn set_id(&self, id: Arc<str>) {
        *self.0.id.lock().unwrap_or_else(PoisonError::into_inner) = id;
    }

    /// Asks the other side: calls the handler at `uri` (a path with an optional query) and waits for its reply.
    ///
    /// `args` can be anything that serializes, or a [`Protobuf`](crate::Protobuf) message, or [`Raw`](crate::Raw) bytes; `()`
    /// is no arguments. The reply type follows from the use.
    ///
    /// ```no_run
    /// # async fn f(session: teleport::Session) -> Result<(), teleport::Error> {
    /// let sum: i32 = session.pull("/math/calc/add", [1, 2]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Errors and what dropping the future does: see [`Pull`].
    pub fn pull<'a, A: Encode, R: Decode>(
        &'a self,
        uri: impl Into<Cow<'a, str>>,
        args: A,
    ) -> Pull<'a, A, R> {
        Pull::new(
            self.on(),
            uri.into(),
            args,
            probe::Plain,
            CallOptions::new(),
        )
    }

    /// Tells the other side: `args` go to the push handler at `uri`, and nothing comes back.
    ///
    /// ```no_run
    /// # async fn f(session: teleport::Session) -> Result<(), teleport::Error> {
    /// session.push("/log/msg/write?level=info", "hello").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Errors and what dropping the future does: see [`Push`].
    pub fn push<'a, A: Encode>(&'a self, uri: impl Into<Cow<'a, str>>, args: A) -> Push<'a, A> {
        Push::new(self.on(), uri.into(), args, CallOptions::new())
    }

    /// The name under which the peer keeps this session; by default the other side's address.
    /// See [`Peer::session`](crate::Peer::session).
    #[must_use]
    pub fn id(&self) -> Arc<str> {
        Arc::clone(&self.0.id.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the other side is.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        &self.0.peer
    }

    /// Where this side is.
    #[must_use]
    pub fn local_addr(&self) -> &Addr {
        &self.0.local
    }

    /// What the TLS handshake has found out, the other side's certificate above all; `None` if there is no TLS.
    ///
    /// Also `None` where the application has brought the stream, see [`Peer::serve_conn`](crate::Peer::serve_conn).
    #[must_use]
    pub fn tls(&self) -> Option<&TlsInfo> {
        self.0.tls.as_deref()
    }

    /// Values that the application keeps with this session.
    #[must_use]
    pub fn values(&self) -> &Values {
        &self.0.values
    }

    /// Whether pulls can be sent: neither side has closed, nothing has broken.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.is_open()
    }

    /// How long ago something last came from the other side, be it a part of a packet.
    #[must_use]
    pub fn silence(&self) -> Duration {
        self.0.heard().elapsed()
    }

    /// Number of pulls of this side that have no reply yet.
    #[must_use]
    pub fn pulls_in_flight(&self) -> usize {
        self.0.waiting_pulls()
    }

    /// Closes in an orderly way: from now on nothing new is sent, and new pulls of the other side are refused: they fail as
    /// not sent (100), and its session closes as well. Running handlers still reply and pulls in flight still get their
    /// replies. Returns when the connection is down.
    ///
    /// The closing begins with the first poll. There is no time limit: a handler that never ends keeps the session
    /// up, see [`abort`](Self::abort). A handler must not await the closing of its own session, which waits for
    /// that handler; use [`start_closing`](Self::start_closing) there.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(&self) {
        self.start_closing();
        self.closed().await;
    }

    /// Begins what [`close`](Self::close) does and returns at once.
    pub fn start_closing(&self) {
        self.0.drain(Reason::Local);
    }

    /// Cuts the connection: pulls in flight fail with 101, replies of running handlers are lost.
    pub fn abort(&self) {
        self.0.end(Phase::Ended, Reason::Local);
    }

    /// Waits until the session has ended, for whatever reason.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn closed(&self) {
        self.0.released().await;
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("id", &self.id())
            .field("peer", self.peer_addr())
            .field("phase", &self.0.phase())
            .finish_non_exhaustive()
    }
}
