//! [`Scope`]: what surrounds the handling of a call.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    task::Poll,
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tracing::Instrument;

use super::{Session, dispatch::BoxFuture, log::Record};
use crate::{
    protocol::{Header, Meta},
    route::RouteInfo,
};

tokio::task_local! {
    static CURRENT: Arc<Scope>;
}

/// Names of the values that carry a W3C trace context.
const TRACE: [&str; 2] = [TRACEPARENT, TRACESTATE];
pub(super) const TRACEPARENT: &str = "traceparent";
pub(super) const TRACESTATE: &str = "tracestate";

/// How long a call's caller waits, which trace it belongs to, whether it was stopped, and its record for those who watch. Only
/// calls that have any of it have a scope; the calls that their handlers make inherit from it.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) record: Record,
    route: OnceLock<Arc<RouteInfo>>,
    deadline: Option<Instant>,
    trace: Meta,
    cancelled: Notify,
    stopped: AtomicU8,
}

/// Why a handler was stopped before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stop {
    /// The caller has gone away.
    Cancelled = 1,
    /// The caller's time limit has passed.
    Expired = 2,
}

impl Scope {
    pub(crate) fn new(header: &Header, record: Record) -> Self {
        let limit = (header.timeout_ms != 0).then(|| Duration::from_millis(header.timeout_ms));
        let mut trace = Meta::new();
        for name in TRACE {
            if let Some(value) = header.meta.get(name) {
                trace.insert(name, value);
            }
        }
        Self {
            // A limit beyond what the clock can tell is none.
            deadline: limit.and_then(|limit| record.started.checked_add(limit)),
            trace,
            record,
            route: OnceLock::new(),
            cancelled: Notify::new(),
            stopped: AtomicU8::new(0),
        }
    }

    /// That of the handler which is running in this task.
    #[inline]
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// How long the caller still waits.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        let deadline = self.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// The route that takes the call, if that is known by now.
    pub(crate) fn route(&self) -> Option<&RouteInfo> {
        self.route.get().map(|route| &**route)
    }

    /// The route is found.
    pub(crate) fn set_route(&self, route: &Arc<RouteInfo>) {
        self.record
            .set_route(self.route.get_or_init(|| Arc::clone(route)));
    }

    /// The handler has something from here, or its calls have: it must run in this scope.
    pub(crate) fn is_felt(&self) -> bool {
        self.deadline.is_some() || !self.trace.is_empty() || !self.record.span().is_disabled()
    }

    /// Adds the trace context to a call that the handler makes, unless it has one.
    pub(super) fn trace(&self, meta: &mut Meta) {
        if TRACE.iter().all(|name| meta.get(name).is_none()) {
            for (name, value) in self.trace.iter() {
                meta.insert(name, value);
            }
        }
    }

    /// Why the handler was stopped, if it was.
    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stopped.load(Ordering::Relaxed) {
            1 => Some(Stop::Cancelled),
            2 => Some(Stop::Expired),
            _ => None,
        }
    }

    pub(super) fn cancel(&self) {
        self.cancelled.notify_one();
    }

    /// Runs a handler so that its calls inherit from here.
    #[allow(
        clippy::redundant_async_block,
        reason = "a finished block holds nothing, the futures in it would"
    )]
    pub(crate) fn run(self: Arc<Self>, work: BoxFuture<'static, ()>) -> impl Future<Output = ()> {
        let span = self.record.span().clone();
        let work = CURRENT.scope(self, work).instrument(span);
        // The futures would hold the span, and so keep it from ending, until the place of this one is used again.
        async move { work.await }
    }

    /// As [`run`](Self::run), and drops the handler when its caller goes away or its time is over.
    pub(crate) fn run_stoppable(
        self: Arc<Self>,
        session: &Session,
        seq: u64,
        work: BoxFuture<'static, ()>,
    ) -> impl Future<Output = ()> + Send + use<> {
        // Now, not at the first poll: the cancellation may be the next packet.
        let entry = Entry::new(session, seq, Arc::clone(&self));
        async move {
            let mut work = Box::pin(Arc::clone(&self).run(work));
            let mut stop = pin!(self.wait_for_stop());
            let stop = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => stop.as_mut().poll(cx).map(Some),
            })
            .await;
            if let Some(stop) = stop {
                // Before the handler is dropped: what it holds asks.
                self.stopped.store(stop as u8, Ordering::Relaxed);
            }
            drop(work);
            drop(entry);
        }
    }

    async fn wait_for_stop(&self) -> Stop {
        let cancelled = self.cancelled.notified();
        let Some(deadline) = self.deadline else {
            cancelled.await;
            return Stop::Cancelled;
        };
        match tokio::time::timeout_at(deadline, cancelled).await {
            Ok(()) => Stop::Cancelled,
            Err(_) => Stop::Expired,
        }
    }
}

/// A handler that its caller can stop, in its session's list of those.
struct Entry {
    session: Session,
    seq: u64,
    scope: Arc<Scope>,
}

impl Entry {
    fn new(session: &Session, seq: u64, scope: Arc<Scope>) -> Self {
        session.shared().stoppable().insert(seq, Arc::clone(&scope));
        // Behind the insertion: the end either finds it, or is seen here.
        if session.shared().is_abandoned() {
            scope.cancel();
        }
        Self {
            session: session.clone(),
            seq,
            scope,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut known = self.session.shared().stoppable();
        // A peer may use a number twice; the younger call has it then.
        if known
            .get(&self.seq)
            .is_some_and(|scope| Arc::ptr_eq(scope, &self.scope))
        {
            known.remove(&self.seq);
        }
    }
}
