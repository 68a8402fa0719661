//! The task behind a link.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

use super::{
    options::LinkOptions,
    state::{LinkState, Status},
};
use crate::{
    error::Error,
    peer::{ConnOptions, Peer},
    session::{Session, dispatch::BoxFuture},
};

/// A session that was up for so long has proved itself: the next failure is a new one.
const STEADY: Duration = Duration::from_secs(1);

/// Dials the address with this number.
pub(super) type Dial =
    Box<dyn Fn(usize, ConnOptions) -> BoxFuture<'static, Result<Session, Error>> + Send + Sync>;

/// Keeps a session up. All that it knows is in `status`.
pub(super) struct Keeper {
    peer: Peer,
    /// Names the link in logs and errors.
    pub(super) name: Arc<str>,
    dial: Dial,
    addresses: usize,
    pub(super) options: LinkOptions,
    status: watch::Sender<Status>,
    /// The address that is dialled next.
    next: usize,
    /// Sessions that are no longer used and still complete their calls.
    leaving: Vec<Session>,
}

impl Keeper {
    pub(super) fn new(
        peer: Peer,
        name: Arc<str>,
        addresses: usize,
        dial: Dial,
        options: LinkOptions,
    ) -> Self {
        Self {
            peer,
            name,
            dial,
            addresses,
            options,
            status: watch::Sender::new(Status::new()),
            next: 0,
            leaving: Vec::new(),
        }
    }

    pub(super) fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Works until the link or the peer is closed, no handle is left (`order` ends), or no try is.
    pub(super) async fn run(mut self, mut order: watch::Receiver<bool>) {
        let asked = async move { order.wait_for(|closing| *closing).await.is_ok() };
        let stopped = first(asked, self.peer.closing());
        let reason = match first(stopped, self.keep_up()).await {
            Ok(Ok(true)) => self.leave("closed on this side"),
            Ok(Err(())) => self.leave("the peer is closed"),
            Ok(Ok(false)) => {
                // Nobody is left to wait, and a task must not outlive its link.
                let reason = self.leave("its last handle was dropped");
                return self.close(reason);
            }
            Err(gave_up) => return self.close(gave_up),
        };
        for session in &self.leaving {
            session.closed().await;
        }
        self.close(reason);
    }

    /// Gives why it gave up.
    async fn keep_up(&mut self) -> Arc<Error> {
        let mut failures = 0;
        loop {
            let reason = match self.dial_all().await {
                Ok(session) => {
                    let since = Instant::now();
                    self.set(LinkState::Up(session.clone()), None);
                    tracing::info!(link = %self.name, peer = %session.peer_addr(), "up");
                    session.shared().left_open().await;
                    let steady = since.elapsed() >= STEADY;
                    if steady {
                        failures = 0;
                        self.options.backoff.reset();
                    }
                    let (reason, orderly) = self.end_of(&session);
                    self.retire(session);
                    if steady && orderly {
                        tracing::info!(link = %self.name, ?reason, "draining; dialling again");
                        self.set(LinkState::Draining, None);
                        continue;
                    }
                    reason
                }
                Err(error) => error,
            };
            let reason = Arc::new(reason);
            failures += 1;
            if self.options.tries.is_some_and(|most| failures >= most) {
                return reason;
            }
            let pause = self.options.backoff.next_pause();
            tracing::warn!(link = %self.name, ?reason, "down; trying again in {pause:?}");
            let next_try = Instant::now() + pause;
            let down = LinkState::Down {
                reason: Arc::clone(&reason),
                next_try: next_try.into_std(),
            };
            self.set(down, Some(reason));
            tokio::time::sleep_until(next_try).await;
            self.status
                .send_modify(|status| status.state = LinkState::Connecting);
        }
    }

    /// Dials one address after the other.
    async fn dial_all(&mut self) -> Result<Session, Error> {
        let mut tried = 1;
        loop {
            let at = self.next;
            self.next = (at + 1) % self.addresses;
            match (self.dial)(at, self.options.connection.clone().announce()).await {
                Err(error) if tried < self.addresses => {
                    tracing::debug!(link = %self.name, ?error, "trying the next address");
                    tried += 1;
                }
                result => return result,
            }
        }
    }

    /// Why a session ended, and whether in good order.
    fn end_of(&self, session: &Session) -> (Error, bool) {
        let reason = session.shared().reason();
        let orderly = reason.as_ref().is_some_and(|reason| reason.is_orderly());
        let error = match reason {
            Some(reason) => Error::ended("session", reason),
            None => Error::ended("session", "for no known reason"),
        };
        (error.at(&self.name, ""), orderly)
    }

    fn retire(&mut self, session: Session) {
        self.leaving.retain(|session| !session.has_ended());
        self.leaving.push(session);
    }

    fn set(&self, state: LinkState, failure: Option<Arc<Error>>) {
        let over = None;
        self.status.send_replace(Status {
            state,
            failure,
            over,
        });
    }

    /// Closes the session in good order and takes it for the last one. Gives why the link ends.
    fn leave(&mut self, why: &'static str) -> Arc<Error> {
        let reason = Arc::new(Error::ended("link to", why).at(&self.name, ""));
        let up = self.status.borrow().session().cloned();
        self.leaving.extend(up);
        self.leaving.retain(|session| !session.has_ended());
        if !self.leaving.is_empty() {
            self.status.send_replace(Status {
                state: LinkState::Draining,
                failure: None,
                over: Some(Arc::clone(&reason)),
            });
        }
        for session in &self.leaving {
            session.start_closing();
        }
        reason
    }

    fn close(&self, reason: Arc<Error>) {
        tracing::info!(link = %self.name, ?reason, "closed");
        self.status.send_replace(Status {
            state: LinkState::Closed {
                reason: Arc::clone(&reason),
            },
            failure: None,
            over: Some(reason),
        });
    }
}

impl Drop for Keeper {
    /// The runtime may be shut down at any time; those who wait must not wait for ever.
    fn drop(&mut self) {
        let closed = matches!(self.status.borrow().state, LinkState::Closed { .. });
        if !closed {
            let why = "the task of the link has ended";
            self.close(Arc::new(Error::ended("link to", why).at(&self.name, "")));
        }
    }
}

/// Waits for either: `Ok` has what `a` gives, which is asked first, `Err` what `b` gives.
async fn first<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> Result<A, B> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| match a.as_mut().poll(cx) {
        Poll::Ready(a) => Poll::Ready(Ok(a)),
        Poll::Pending => b.as_mut().poll(cx).map(Err),
    })
    .await
}
