//! [`Statistics`]: how many calls, how large, how long, and with what outcome.

mod latency;
mod series;
mod side;
mod snapshot;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use metrics::{Gauge, Recorder};

pub use self::{
    latency::Latency,
    snapshot::{RouteCalls, Sessions, Snapshot},
};
use self::{
    series::{Meter, Recording},
    side::Side,
};
use crate::{
    plugin::{Hooks, Plugin},
    session::{CallEnd, CallInfo, Handshake, Session},
    status::Status,
};

/// Counts what a peer does: calls by route and outcome, their bytes and their time, in both directions; and sessions.
///
/// The numbers can be read in two ways: by [`snapshot`](Self::snapshot), which needs nothing else; and through the
/// [`metrics`] facade, by any recorder that there is for it, such as [`PrometheusPage`](super::PrometheusPage).
///
/// It is a handle: add a clone as a plugin and keep one for reading. One may serve several peers, which are counted together.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// use teleport::{Peer, plugins::Statistics};
///
/// let statistics = Statistics::new();
/// let peer = Peer::builder().plugin(statistics.clone()).build()?;
/// # let (left, right) = tokio::io::duplex(64 * 1024);
/// # let session = Peer::builder().build()?.serve_conn(left).await?;
/// # peer.serve_conn(right).await?;
/// # session.pull::<_, ()>("/nobody/here", ()).await.unwrap_err();
///
/// let snapshot = statistics.snapshot();
/// assert_eq!(snapshot.sessions.open, 1);
/// for route in &snapshot.served {
///     println!("{}: {} calls, 99 % within {:?}", route.route, route.calls, route.latency.quantile(0.99));
/// }
/// # assert_eq!(snapshot.served[0].errors[&404], 1);
/// # Ok(()) }
/// ```
///
/// # Metrics
///
/// | | | labels |
/// |---|---|---|
/// | `teleport_server_handled_total` | calls that were served | `kind`, `route`, `code` |
/// | `teleport_server_handled_seconds` | a histogram of how long that took | `kind`, `route` |
/// | `teleport_server_received_bytes_total` | bytes of their packets | `kind`, `route` |
/// | `teleport_server_sent_bytes_total` | bytes of the replies | `kind`, `route` |
/// | `teleport_server_in_flight` | pulls that are being served | |
/// | `teleport_client_…` | the same of the calls that this side makes | |
/// | `teleport_sessions_open`, `…_opened_total`, `…_closed_total` | sessions | |
///
/// `kind` is `pull` or `push`, `code` the status, or one of the [local codes](crate::status::code): 104 is a call whose future
/// was dropped before its end. Every call is counted once, when it ends. A connection that a plugin refuses counts as a
/// session that was opened and closed.
///
/// Nobody outside can make labels without end. A call that is served has its route's own uri, or `unknown` if it has no route. A
/// call of this side has its uri's path, without the query: the first 1,000 paths that are not answered 404 have labels of their
/// own, the others share `other` and `unknown`. Of the codes on one route the first 32 have labels, the rest share `other`.
///
/// # Cost
/// For each call two clock readings, a hash look-up and some counters. A small pull, which takes no allocation otherwise, takes
/// one where it is served and five where it is made, as it goes the way on which plugins can see it. Memory: about 3 KiB for
/// each route and direction that is used. A peer without statistics pays nothing.
#[derive(Clone)]
pub struct Statistics(Arc<Inner>);

struct Inner {
    served: Side,
    called: Side,
    sessions: OnceLock<SessionMeters>,
    recording: Recording,
}

struct SessionMeters {
    open: Gauge,
    opened: Meter,
    closed: Meter,
}

impl Default for Statistics {
    fn default() -> Self {
        Self::new()
    }
}

impl Statistics {
    /// Statistics that the global recorder of [`metrics`] gets too, if it is there before the first session starts.
    #[must_use]
    pub fn new() -> Self {
        Self::with(None)
    }

    /// Statistics that this recorder gets too, whatever the global one is.
    #[must_use]
    pub fn recorded_by(recorder: impl Recorder + Send + Sync + 'static) -> Self {
        Self::with(Some(Arc::new(recorder)))
    }

    fn with(recorder: Option<Arc<dyn Recorder + Send + Sync>>) -> Self {
        Self(Arc::new(Inner {
            served: Side::new(&series::SERVER),
            called: Side::new(&series::CLIENT),
            sessions: OnceLock::new(),
            recording: Recording(recorder),
        }))
    }

    /// The numbers at this moment. Calls that end meanwhile may be in some of them and not in others.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.0;
        // A snapshot must not be what registers the metrics: it may come before the recorder.
        let sessions = inner.sessions.get();
        let closed = sessions.map_or(0, |meters| meters.closed.count());
        let opened = sessions.map_or(0, |meters| meters.opened.count());
        Snapshot {
            served: inner.served.snapshot(),
            called: inner.called.snapshot(),
            serving: inner.served.in_flight(),
            calling: inner.called.in_flight(),
            sessions: Sessions {
                open: opened.saturating_sub(closed),
                opened,
                closed,
            },
        }
    }
}

impl Inner {
    fn sessions(&self) -> &SessionMeters {
        self.sessions.get_or_init(|| {
            self.recording.with(|recorder| {
                series::describe(recorder);
                SessionMeters {
                    open: series::gauge(recorder, series::OPEN),
                    opened: Meter::new(recorder, series::OPENED, Vec::new()),
                    closed: Meter::new(recorder, series::CLOSED, Vec::new()),
                }
            })
        })
    }

    fn side(&self, call: &CallInfo<'_>) -> &Side {
        if call.outgoing {
            &self.called
        } else {
            &self.served
        }
    }
}

/// Counts a session as open for as long as it is there.
struct Open(Arc<Inner>);

/// Kept with a session, for all statistics of its peer.
#[derive(Default)]
struct AllOpen(Vec<Open>);

impl Open {
    fn new(statistics: &Statistics) -> Self {
        let this = Self(Arc::clone(&statistics.0));
        this.0.sessions().opened.add(1);
        this.0.sessions().open.increment(1.0);
        this
    }

    fn keep(self, session: &Session) {
        let mut all = session.values().remove::<AllOpen>().unwrap_or_default();
        all.0.push(self);
        session.values().insert(all);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sessions().closed.add(1);
        self.0.sessions().open.decrement(1.0);
    }
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for Statistics {
    fn name(&self) -> &str {
        "statistics"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
            | Hooks::POST_ACCEPT
            | Hooks::POST_DISCONNECT
            | Hooks::PRE_CALL
            | Hooks::POST_CALL
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        Open::new(self).keep(handshake.session());
        Ok(())
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        Open::new(self).keep(handshake.session());
        Ok(())
    }

    async fn post_disconnect(&self, session: &Session) {
        // Handles may keep the session's values for longer.
        drop(session.values().remove::<AllOpen>());
    }

    fn pre_call(&self, call: &CallInfo<'_>) {
        self.0.side(call).begin(call, &self.0.recording);
    }

    fn post_call(&self, call: &CallInfo<'_>, end: &CallEnd<'_>) {
        self.0.side(call).end(call, end, &self.0.recording);
    }
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics")
            .field("serving", &self.0.served.in_flight())
            .field("calling", &self.0.called.in_flight())
            .finish_non_exhaustive()
    }
}
