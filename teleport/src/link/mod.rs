//! [`Link`]: a session that is dialled again whenever it is lost.

mod keeper;
mod options;
mod state;

use std::{error::Error as StdError, fmt, future::Future, io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use self::{
    keeper::{Dial, Keeper},
    state::Status,
};
pub use self::{
    options::LinkOptions,
    state::{LinkState, LinkStates},
};
use crate::{
    error::Error,
    peer::Peer,
    session::{Connection, Session},
};

impl Peer {
    /// Keeps a session to an address up, from now on and in the background; see [`Link`].
    ///
    /// Returns at once: calls wait for the first session, and so does [`Link::connected`].
    ///
    /// # Panics
    /// There is no tokio runtime.
    #[must_use]
    pub fn link(&self, address: impl Into<String>) -> Link {
        self.link_with(address, LinkOptions::new())
    }

    /// As [`link`](Self::link), with options.
    ///
    /// # Panics
    /// There is no tokio runtime.
    #[must_use]
    pub fn link_with(&self, address: impl Into<String>, mut options: LinkOptions) -> Link {
        let mut addresses = vec![address.into()];
        addresses.append(&mut options.others);
        let (name, count) = (addresses.join(", ").into(), addresses.len());
        let peer = self.clone();
        let dial: Dial = Box::new(move |at, options| {
            let (peer, address) = (peer.clone(), addresses.get(at).cloned().unwrap_or_default());
            Box::pin(async move {
                let options = options.numbered(&peer, &address);
                peer.dial_with(&address, options).await
            })
        });
        Link::start(Keeper::new(self.clone(), name, count, dial, options))
    }

    /// As [`link_with`](Self::link_with), over streams of the application's own: `connect` makes one for each session. This side
    /// is the one that dials. Other addresses in the options are of no use here.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), teleport::Error> {
    /// use teleport::{LinkOptions, Peer};
    ///
    /// let server = Peer::builder().build()?;
    /// let connect = move || {
    ///     let server = server.clone();
    ///     async move {
    ///         let (left, right) = tokio::io::duplex(64 * 1024);
    ///         server.serve_conn(left).await.map_err(std::io::Error::other)?;
    ///         Ok(right)
    ///     }
    /// };
    /// let link = Peer::builder().build()?.link_over(connect, LinkOptions::new());
    /// link.connected().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// There is no tokio runtime.
    #[must_use]
    pub fn link_over<F, C, I>(&self, connect: F, options: LinkOptions) -> Link
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<I>> + Send + 'static,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let peer = self.clone();
        let dial: Dial = Box::new(move |_, options| {
            let (peer, connecting) = (peer.clone(), connect());
            Box::pin(async move { peer.dial_over(connecting, options).await })
        });
        Link::start(Keeper::new(self.clone(), "stream".into(), 1, dial, options))
    }
}

/// A session that is dialled again whenever it is lost: calls go over it as over a [`Session`], and a generated client that has
/// it stays valid. Made by [`Peer::link`].
///
/// ```no_run
/// # async fn f(peer: teleport::Peer) -> Result<(), teleport::Error> {
/// use teleport::Connection;
///
/// let link = peer.link("10.0.0.7:9090");
/// let sum: i32 = link.pull("/math/add", [1, 2]).await?; // waits for the first session
/// # Ok(()) }
/// ```
///
/// A dial goes the way of [`Peer::dial`], with its time limit and the plugins' handshakes. Each session is a new one: what
/// belongs to it, such as its [values](Session::values) or what the other side knows about it, is set up by a plugin in
/// [`post_dial`](crate::Plugin::post_dial), or by whoever follows the [`states`](Self::states). Handlers belong to the peer and
/// serve all of them.
///
/// # Calls
///
/// While there is no session a call waits for one, or fails at once: see [`LinkOptions::wait`] and
/// [`LinkOptions::fail_fast`]. If the other side closes in its orderly way, and it understands extensions, no call is lost: those
/// that it has taken it answers, the others are made again over the next session. A call whose session breaks in the middle fails
/// with 101; it may have been served, so to repeat it or not is the caller's decision.
///
/// # Its end
///
/// A link ends with [`close`](Self::close), with the last handle to it, or with its peer. In each case the session is closed in
/// its orderly way: calls in flight are completed. Clients keep a handle; states do not.
#[derive(Clone)]
pub struct Link(Arc<Inner>);

struct Inner {
    name: Arc<str>,
    status: watch::Receiver<Status>,
    /// Says that the link is to be closed. It ends with the last handle, and so does the link.
    order: watch::Sender<bool>,
    wait: Duration,
    fail_fast: bool,
}

impl Link {
    fn start(keeper: Keeper) -> Self {
        let order = watch::Sender::new(false);
        let inner = Inner {
            name: Arc::clone(&keeper.name),
            status: keeper.status(),
            order,
            wait: keeper.options.wait,
            fail_fast: keeper.options.fail_fast,
        };
        tokio::spawn(keeper.run(inner.order.subscribe()));
        Self(Arc::new(inner))
    }

    /// Waits until there is a session, however many dials it takes, and gives it.
    ///
    /// # Errors
    /// The link has been closed, or has given up; the source says why.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn connected(&self) -> Result<Session, Error> {
        let name = &self.0.name;
        let found = self.found(false).await;
        found.map_err(|reason| self.no_session("wait for", reason, None).at(name, ""))
    }

    /// What the link is doing.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.0.status.borrow().state.clone()
    }

    /// Follows what the link is doing.
    ///
    /// ```no_run
    /// # async fn f(link: teleport::Link) -> Result<(), teleport::Error> {
    /// use teleport::LinkState;
    ///
    /// let mut states = link.states();
    /// while let Some(state) = states.next().await {
    ///     println!("{state}");
    ///     if let LinkState::Up(session) = state {
    ///         session.push("/news/subscribe", "weather").await?; // again with each session
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn states(&self) -> LinkStates {
        LinkStates::new(self.0.status.clone())
    }

    /// Closes the link for good. Its session is closed as [`Session::close`] does: calls in flight are completed, new ones fail
    /// with 100. A dial under way is given up. Returns when the session is down.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting, not the closing.
    pub async fn close(&self) {
        self.start_closing();
        let mut status = self.0.status.clone();
        let closed = status.wait_for(|status| matches!(status.state, LinkState::Closed { .. }));
        // An error says that its task has ended, which closes it as well.
        drop(closed.await);
    }

    /// Begins what [`close`](Self::close) does and returns at once.
    pub fn start_closing(&self) {
        self.0.order.send_replace(true);
    }

    /// A session, as soon as there is one, or why there is none.
    async fn found(&self, fail_fast: bool) -> Result<Session, Option<Arc<Error>>> {
        let mut status = self.0.status.clone();
        loop {
            {
                let now = status.borrow_and_update();
                if let Some(session) = self.usable(&now) {
                    return Ok(session.clone());
                }
                if now.over.is_some() {
                    return Err(now.over.clone());
                }
                if fail_fast && now.failure.is_some() {
                    return Err(now.failure.clone());
                }
            }
            status.changed().await.map_err(|_| None)?;
        }
    }

    /// The session for a call, which may not be open any more, or not be for calls, before the task behind it has noticed.
    fn usable<'a>(&self, status: &'a Status) -> Option<&'a Session> {
        let session = status.session().filter(|session| session.is_open());
        session.filter(|_| !*self.0.order.borrow())
    }

    fn no_session(
        &self,
        action: &'static str,
        reason: Option<Arc<Error>>,
        waited: Option<Duration>,
    ) -> Error {
        let source = NoSession {
            link: Arc::clone(&self.0.name),
            waited,
            reason,
        };
        Error::unsent(action, source)
    }
}

// An error about a type that is none need not list these.
#[diagnostic::do_not_recommend]
impl Connection for Link {
    /// The session that is up; waits as the options say.
    ///
    /// # Errors
    /// There is none in time; the source says what keeps the link down.
    async fn session(&self) -> Result<Session, Error> {
        if let Some(session) = self.usable(&self.0.status.borrow()) {
            return Ok(session.clone());
        }
        let wait = self.0.wait;
        match tokio::time::timeout(wait, self.found(self.0.fail_fast)).await {
            Ok(found) => found.map_err(|reason| self.no_session("call", reason, None)),
            Err(_) => {
                let reason = self.0.status.borrow().failure.clone();
                Err(self.no_session("call", reason, Some(wait)))
            }
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("to", &self.0.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Why a call got no session.
#[derive(Debug)]
struct NoSession {
    link: Arc<str>,
    /// What it waited for in vain.
    waited: Option<Duration>,
    reason: Option<Arc<Error>>,
}

impl fmt::Display for NoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.waited {
            Some(limit) => write!(f, "the link to {} was not up within {limit:?}", self.link),
            None => write!(f, "the link to {} is down", self.link),
        }
    }
}

impl StdError for NoSession {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let reason = self.reason.as_deref()?;
        Some(reason)
    }
}
