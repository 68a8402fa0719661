//! [`CallLimit`].

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rate::{Bucket, Rate};
use crate::{
    context::{Context, PullCtx, PushCtx},
    plugin::{Hooks, Plugin, RoutePlugin},
    session::Session,
    status::Status,
};

/// Limits how many calls run at once, and how many come in what time.
///
/// As a plugin of a peer it counts all calls that come in, those that no route takes among them; around a
/// [router](crate::Router::plugin) those of its routes. Each limit is there only if it is set.
///
/// ```
/// use teleport::{Peer, PullController, plugins::{CallLimit, Rate}, pull_controller};
///
/// struct Search;
///
/// #[pull_controller]
/// impl Search {
///     async fn all(&self, text: String) -> Vec<String> {
///         vec![text]
///     }
/// }
///
/// let costly = CallLimit::new().at_once(16).at_once_per_session(2);
/// let peer = Peer::builder()
///     .plugin(CallLimit::new().rate_per_session(Rate::per_second(100)))
///     .routes(Search.into_router().plugin(costly))
///     .build()?;
/// # let _ = peer;
/// # Ok::<(), teleport::Error>(())
/// ```
///
/// # Above a limit
/// A pull is answered 503 if too many run at once, 429 if too many have come. A push is dropped, which is logged as a warning.
/// What is refused does not count.
///
/// # What runs
/// A call counts until its handler has returned, in whatever way: with a value, an error or a panic, stopped by its caller, or
/// long after its session has ended. It does not count while its reply waits for room in the connection's buffer: that, and
/// memory for calls in general, is what [`PeerConfig::max_handlers`](crate::PeerConfig::max_handlers) bounds.
#[derive(Debug)]
#[must_use = "it does nothing before it is added to a peer or a router"]
pub struct CallLimit {
    /// Tells what several of them keep with a session apart.
    number: u64,
    at_once: Option<Seats>,
    rate: Option<Bucket>,
    at_once_per_session: Option<usize>,
    rate_per_session: Option<Rate>,
}

impl CallLimit {
    /// No limit yet.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            at_once: None,
            rate: None,
            at_once_per_session: None,
            rate_per_session: None,
        }
    }

    /// How many may run at once, in all.
    pub fn at_once(mut self, most: usize) -> Self {
        self.at_once = Some(Seats::new(most));
        self
    }

    /// How many calls of one session may run at once.
    pub fn at_once_per_session(mut self, most: usize) -> Self {
        self.at_once_per_session = Some(most);
        self
    }

    /// How many may come in what time, in all.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(Bucket::new(rate));
        self
    }

    /// How many may come in what time on one session.
    pub fn rate_per_session(mut self, rate: Rate) -> Self {
        self.rate_per_session = Some(rate);
        self
    }

    /// Counts a call, or refuses it. A session's own limits come first: who exceeds them takes nothing from the others.
    fn enter(&self, ctx: &Context) -> Result<(), Status> {
        let own = self.of_session(ctx.session());
        let own = own.as_deref();
        let seats = [
            (own.and_then(|own| own.at_once.as_ref()), " on this session"),
            (self.at_once.as_ref(), ""),
        ];
        let mut permits = Vec::new();
        for (seats, which) in seats {
            let Some(seats) = seats else { continue };
            let most = seats.most;
            let text = || format!("too many calls at once{which}: {most} may run");
            let permit = seats.take().ok_or_else(|| Status::unavailable(text()))?;
            permits.push(permit);
        }
        let buckets = [
            (own.and_then(|own| own.rate.as_ref()), " on this session"),
            (self.rate.as_ref(), ""),
        ];
        for (bucket, which) in buckets {
            if let Some(bucket) = bucket.filter(|bucket| !bucket.take()) {
                let text = format!("too many calls{which}: {} may come", bucket.rate());
                return Err(Status::too_many_requests(text));
            }
        }
        if !permits.is_empty() {
            let held = ctx.values().get_or_insert_with(Permits::default);
            held.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .append(&mut permits);
        }
        Ok(())
    }

    /// What this plugin keeps with a session, if it has limits there.
    fn of_session(&self, session: &Session) -> Option<Arc<OfSession>> {
        if self.at_once_per_session.is_none() && self.rate_per_session.is_none() {
            return None;
        }
        let all = session.values().get_or_insert_with(OfSessions::default);
        let mut all = all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.iter().find(|own| own.number == self.number) {
            return Some(Arc::clone(own));
        }
        let own = Arc::new(OfSession {
            number: self.number,
            at_once: self.at_once_per_session.map(Seats::new),
            rate: self.rate_per_session.map(Bucket::new),
        });
        all.push(Arc::clone(&own));
        Some(own)
    }

    fn counts_at_once(&self) -> bool {
        self.at_once.is_some() || self.at_once_per_session.is_some()
    }
}

impl Default for CallLimit {
    fn default() -> Self {
        Self::new()
    }
}

/// The handler is done. Before the reply: whoever has that may count on its place. Otherwise places are given back
/// when the call's values are dropped.
fn leave(ctx: &PullCtx) {
    ctx.values().remove::<Permits>();
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for CallLimit {
    fn name(&self) -> &str {
        "call limit"
    }

    fn hooks(&self) -> Hooks {
        let hooks = Hooks::POST_READ_PULL_HEADER | Hooks::POST_READ_PUSH_HEADER;
        match self.counts_at_once() {
            true => hooks | Hooks::PRE_WRITE_REPLY,
            false => hooks,
        }
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        self.enter(ctx)
    }

    async fn post_read_push_header(&self, ctx: &mut PushCtx) -> Result<(), Status> {
        self.enter(ctx)
    }

    async fn pre_write_reply(&self, ctx: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        leave(ctx);
        Ok(())
    }
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl RoutePlugin for CallLimit {
    fn name(&self) -> &str {
        "call limit"
    }

    fn hooks(&self) -> Hooks {
        let hooks = Hooks::PRE_READ_PULL_BODY | Hooks::PRE_READ_PUSH_BODY;
        match self.counts_at_once() {
            true => hooks | Hooks::PRE_WRITE_REPLY,
            false => hooks,
        }
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        self.enter(ctx)
    }

    async fn pre_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        self.enter(ctx)
    }

    async fn pre_write_reply(&self, ctx: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        leave(ctx);
        Ok(())
    }
}

/// Places for calls at once.
#[derive(Debug)]
struct Seats {
    most: usize,
    free: Arc<Semaphore>,
}

impl Seats {
    fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            most,
            free: Arc::new(Semaphore::new(most)),
        }
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }
}

/// What one of them keeps with a session.
#[derive(Debug)]
struct OfSession {
    number: u64,
    at_once: Option<Seats>,
    rate: Option<Bucket>,
}

/// What all of them keep with a session. A value of the session.
#[derive(Clone, Default)]
struct OfSessions(Arc<Mutex<Vec<Arc<OfSession>>>>);

/// The places that a call has, of whichever limits. A value of the call.
#[derive(Clone, Default)]
struct Permits(Arc<Mutex<Vec<OwnedSemaphorePermit>>>);
