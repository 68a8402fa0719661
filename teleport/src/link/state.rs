//! [`LinkState`], and following it.

use std::{fmt, sync::Arc, time::Instant};

use tokio::sync::watch;

use crate::{error::Error, session::Session};

/// What a [`Link`](super::Link) is doing.
///
/// ```text
///                 dialled                                dialled
///   Connecting ------------> Up <----------------------------------+
///    ^     |                 |  \                                  |
///    |     | not dialled     |   \  closed by the other side,      |
///    |     v                 |    \ or with Session::close         |
///   Down <-------------------+     `---> Draining -----------------+
///    ^        broken                        |
///    |                                      | not dialled
///    +--------------------------------------+
///
///   Down goes over to Connecting when the pause is over.
///
///   All ----> Draining, if there is a session ----> Closed
///        with Link::close, the last handle, the peer; or when no try is left
/// ```
///
/// A session that ends before it has been up for a second counts as a failure, however it ends: [`Down`](Self::Down) follows, and
/// the pauses grow. So a server that accepts and closes at once is not dialled in a storm.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LinkState {
    /// There will be no session any more.
    Closed {
        /// Why.
        reason: Arc<Error>,
    },
    /// A dial is under way.
    Connecting,
    /// There is no session.
    Down {
        /// Why the last dial failed, or the last session ended.
        reason: Arc<Error>,
        /// When the next dial begins.
        next_try: Instant,
    },
    /// The session is being closed in good order: it takes no more calls, those in flight are completed. Unless it is the link
    /// that is being closed, the next session is dialled meanwhile, and new calls wait for it.
    Draining,
    /// Calls go over this session.
    Up(Session),
}

impl fmt::Display for LinkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { reason } => write!(f, "closed ({reason})"),
            Self::Connecting => f.write_str("connecting"),
            Self::Down { reason, .. } => write!(f, "down ({reason})"),
            Self::Draining => f.write_str("draining"),
            Self::Up(session) => write!(f, "up, with {}", session.peer_addr()),
        }
    }
}

/// The states of a [`Link`](super::Link), one after the other. Made by [`Link::states`](super::Link::states). Does not keep the
/// link up.
#[derive(Debug)]
pub struct LinkStates {
    status: watch::Receiver<Status>,
    over: bool,
}

impl LinkStates {
    pub(super) fn new(mut status: watch::Receiver<Status>) -> Self {
        status.mark_changed();
        Self {
            status,
            over: false,
        }
    }

    /// The present state at first, then each that follows; `None` after [`LinkState::Closed`].
    ///
    /// A state that has passed before it was looked at is left out. The last one never is.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<LinkState> {
        if self.over {
            return None;
        }
        self.status.changed().await.ok()?;
        let state = self.status.borrow_and_update().state.clone();
        self.over = matches!(state, LinkState::Closed { .. });
        Some(state)
    }
}

/// What calls go by.
#[derive(Debug)]
pub(super) struct Status {
    pub(super) state: LinkState,
    /// Why the last try failed; `None` if none has since the last session that was up.
    pub(super) failure: Option<Arc<Error>>,
    /// No session follows, and why.
    pub(super) over: Option<Arc<Error>>,
}

impl Status {
    pub(super) fn new() -> Self {
        Self {
            state: LinkState::Connecting,
            failure: None,
            over: None,
        }
    }

    /// The session for a call.
    pub(super) fn session(&self) -> Option<&Session> {
        match &self.state {
            LinkState::Up(session) => Some(session),
            _ => None,
        }
    }
}
