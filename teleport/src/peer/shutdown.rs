//! The end of a peer: nothing new is taken, what is under way is finished, what is not finished in time is cut.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use tokio::sync::watch;

use super::Peer;
use crate::{
    plugin::{Closing, Hooks},
    route::RouteKind,
    session::Session,
    socket::transport::Addr,
};

/// How far the end of a peer has come. It never goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Open,
    /// No connection is accepted and no session starts, but for those whose handshake is under way.
    Closing,
    /// Nothing is waited for any more.
    Cut,
}

/// What the end of a peer waits for holds one of these: listeners, handshakes, sessions with their last hooks.
pub(super) type Guard = watch::Receiver<Stage>;

impl Peer {
    /// Tells the plugins ([`pre_close`](crate::Plugin::pre_close)), stops accepting connections, lets handshakes under way
    /// come to their end, closes all sessions as [`Session::close`] does, and waits until they are down.
    ///
    /// No time limit: see [`shutdown`](Self::shutdown). A handler or a hook of this peer must not await it, for it waits for
    /// them.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(&self) {
        self.start_closing();
        self.0.stage.closed().await;
    }

    /// As [`close`](Self::close), but cuts what is still up after `limit`, and tells what that was.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, and nothing is cut then.
    pub async fn shutdown(&self, limit: Duration) -> ShutdownReport {
        self.end(tokio::time::sleep(limit)).await
    }

    /// Waits until the closing has begun. The end of the peer waits for it to be dropped.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut guard: Guard = self.0.stage.subscribe();
        async move { drop(guard.wait_for(|stage| *stage != Stage::Open).await) }
    }

    /// Closes, and cuts what is still up when `enough` is ready.
    pub(super) async fn end(&self, enough: impl Future) -> ShutdownReport {
        tracing::info!(sessions = self.session_count(), "closing");
        self.start_closing();
        let mut closed = pin!(self.0.stage.closed());
        let mut enough = pin!(enough);
        let in_time = poll_fn(|cx| match closed.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => enough.as_mut().poll(cx).map(|_| false),
        });
        if in_time.await {
            tracing::info!("closed");
            return ShutdownReport::default();
        }
        let report = self.cut();
        tracing::warn!("closed before all was done: {report}");
        report
    }

    /// Only the first call does something.
    fn start_closing(&self) {
        // Before the flag: another caller then waits for what this one begins.
        let guard = self.0.stage.subscribe();
        if self.0.asked_to_close.swap(true, Ordering::SeqCst) {
            return;
        }
        let begin = Begin(self.clone(), guard);
        let closing = match self.0.replaced.load(Ordering::SeqCst) {
            true => Closing::Restart,
            false => Closing::Shutdown,
        };
        let asks = self.0.dispatch.plugins().hooks().contains(Hooks::PRE_CLOSE);
        if !asks {
            begin.stop_accepting();
        }
        if asks || self.0.accepting.receiver_count() > 0 {
            // In a task, so that nothing stays half closed if the caller goes away.
            tokio::spawn(async move {
                if asks {
                    begin.0.0.dispatch.plugins().pre_close(closing).await;
                    begin.stop_accepting();
                }
                // Who hears from its session that this side closes dials again at once, and must not get to a listener that
                // is about to go.
                begin.0.0.accepting.closed().await;
                drop(begin);
            });
        }
    }

    fn cut(&self) -> ShutdownReport {
        self.0.stage.send_replace(Stage::Cut);
        let everyone = self.0.hub.everyone();
        let sessions = everyone.iter().filter_map(cut).collect();
        let running = self.0.dispatch.table().running();
        let routes = running.map(|(kind, uri, handlers)| CutRoute {
            kind,
            uri: uri.to_owned(),
            handlers,
        });
        ShutdownReport {
            sessions,
            routes: routes.collect(),
        }
    }
}

/// Ready when calls are no longer waited for: after `limit`, or when a signal asks for the end again. Watches from now on.
#[cfg(feature = "signal")]
pub(super) fn enough(limit: Duration) -> impl Future<Output = ()> {
    let mut again = crate::signal::Stop::watch();
    async move {
        let mut again = pin!(again.received());
        let mut limit = pin!(tokio::time::sleep(limit));
        poll_fn(|cx| match again.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => limit.as_mut().poll(cx),
        })
        .await;
    }
}

#[cfg(not(feature = "signal"))]
pub(super) use tokio::time::sleep as enough;

/// Starts the closing when it is dropped: a hook that panics must not keep the peer up.
struct Begin(
    Peer,
    #[expect(dead_code, reason = "held until the sessions have heard")] Guard,
);

impl Begin {
    fn stop_accepting(&self) {
        self.0.0.stage.send_if_modified(|stage| {
            let open = *stage == Stage::Open;
            *stage = (*stage).max(Stage::Closing);
            open
        });
    }
}

impl Drop for Begin {
    fn drop(&mut self) {
        self.stop_accepting();
        for session in self.0.0.hub.everyone() {
            session.start_closing();
        }
    }
}

/// Cuts a session. Gives what was not done; `None` if it had only the other side's farewell to wait for.
fn cut(session: &Session) -> Option<CutSession> {
    let (handlers, pulls, unwritten) = session.shared().unfinished();
    session.abort();
    (handlers + pulls + unwritten > 0).then(|| CutSession {
        id: session.id(),
        peer: session.peer_addr().clone(),
        handlers,
        pulls,
        unwritten,
    })
}

/// What a [shutdown](Peer::shutdown) had to cut. Its text is one line for the log.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The sessions that were not done.
    pub sessions: Vec<CutSession>,
    /// The routes whose handlers were still running; those of plugins' hooks before the route is known are not among them.
    pub routes: Vec<CutRoute>,
}

impl ShutdownReport {
    /// Nothing was cut.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.sessions.is_empty() && self.routes.is_empty()
    }
}

#[cfg(all(unix, feature = "restart"))]
impl ShutdownReport {
    /// Adds what another peer had to cut.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.sessions.append(&mut other.sessions);
        self.routes.append(&mut other.routes);
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("nothing was cut");
        }
        write!(f, "{} session(s) cut", self.sessions.len())?;
        for (number, session) in self.sessions.iter().enumerate() {
            f.write_str(if number == 0 { ": " } else { ", " })?;
            session.fmt(f)?;
        }
        for (number, route) in self.routes.iter().enumerate() {
            f.write_str(if number == 0 {
                "; still running: "
            } else {
                ", "
            })?;
            route.fmt(f)?;
        }
        Ok(())
    }
}

/// A session that was cut.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CutSession {
    /// See [`Session::id`].
    pub id: Arc<str>,
    /// See [`Session::peer_addr`].
    pub peer: Addr,
    /// Handlers of this side that had not answered.
    pub handlers: usize,
    /// Pulls of this side that had no reply.
    pub pulls: usize,
    /// Bytes that the other side had not taken.
    pub unwritten: usize,
}

impl fmt::Display for CutSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            handlers,
            pulls,
            unwritten,
            ..
        } = self;
        write!(
            f,
            "{id} ({handlers} handlers running, {pulls} pulls waiting, {unwritten} bytes unwritten)"
        )
    }
}

/// A route whose handlers were still running.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CutRoute {
    /// Pulls or pushes.
    pub kind: RouteKind,
    /// The route; of a handler for unknown routes, its prefix.
    pub uri: String,
    /// How many calls of it were under way.
    pub handlers: usize,
}

impl fmt::Display for CutRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}x)", self.kind, self.uri, self.handlers)
    }
}
