//! [`Side`]: the calls of one direction, by route.

use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::Gauge;

use super::{
    RouteCalls,
    series::{self, Names, Recording, Series},
};
use crate::{
    protocol::PacketKind,
    route::RouteKind,
    session::{CallEnd, CallInfo},
    status::code,
};

/// Stands for routes that there are not.
const UNKNOWN: &str = "unknown";
/// Stands for the paths beyond [`MOST_PATHS`].
const OTHER: &str = "other";
/// Paths of calls of this side that are told apart, of each kind. What calls a path may have it from a third party.
const MOST_PATHS: usize = 1000;
/// Bytes of such a path.
const LONGEST_PATH: usize = 200;

/// All calls of one direction.
pub(super) struct Side {
    names: &'static Names,
    pulls: RwLock<Routes>,
    pushes: RwLock<Routes>,
    /// Pulls that have begun and not ended.
    in_flight: AtomicU64,
    gauge: OnceLock<Gauge>,
}

type Routes = HashMap<Box<str>, Arc<Series>, foldhash::quality::RandomState>;

impl Side {
    pub(super) fn new(names: &'static Names) -> Self {
        Self {
            names,
            pulls: RwLock::default(),
            pushes: RwLock::default(),
            in_flight: AtomicU64::new(0),
            gauge: OnceLock::new(),
        }
    }

    /// A call begins.
    pub(super) fn begin(&self, call: &CallInfo<'_>, recording: &Recording) {
        if call.header.kind == PacketKind::Pull {
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            self.gauge(recording).increment(1.0);
        }
    }

    /// A call has ended.
    pub(super) fn end(&self, call: &CallInfo<'_>, end: &CallEnd<'_>, recording: &Recording) {
        if call.header.kind == PacketKind::Pull {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.gauge(recording).decrement(1.0);
        }
        let series = self.series(call, end.code, recording);
        series.add(end, call.outgoing, recording);
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// All routes that were called, pulls before pushes, by name.
    pub(super) fn snapshot(&self) -> Vec<RouteCalls> {
        let mut all = Vec::new();
        for routes in [&self.pulls, &self.pushes] {
            let routes = routes.read().unwrap_or_else(PoisonError::into_inner);
            let mut some: Vec<_> = routes.values().map(|series| series.snapshot()).collect();
            drop(routes);
            some.sort_by(|one, other| one.route.cmp(&other.route));
            all.append(&mut some);
        }
        all
    }

    fn gauge(&self, recording: &Recording) -> &Gauge {
        let new = || recording.with(|recorder| series::gauge(recorder, self.names.in_flight));
        self.gauge.get_or_init(new)
    }

    fn series(&self, call: &CallInfo<'_>, code: i32, recording: &Recording) -> Arc<Series> {
        let (routes, kind) = match call.header.kind {
            PacketKind::Push => (&self.pushes, RouteKind::Push),
            _ => (&self.pulls, RouteKind::Pull),
        };
        {
            let routes = routes.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = routes.get(label(call, code, &routes)) {
                return Arc::clone(known);
            }
        }
        let mut routes = routes.write().unwrap_or_else(PoisonError::into_inner);
        let label = label(call, code, &routes);
        if let Some(known) = routes.get(label) {
            return Arc::clone(known);
        }
        let new = recording.with(|recorder| Series::new(self.names, kind, label, recorder));
        let new = Arc::new(new);
        routes.insert(label.into(), Arc::clone(&new));
        new
    }
}

/// What a call is counted under. There is an end to the labels, whatever third parties send.
fn label<'a>(call: &CallInfo<'a>, code: i32, known: &Routes) -> &'a str {
    if !call.outgoing {
        return call.route.map_or(UNKNOWN, |route| &route.uri);
    }
    let uri: &str = &call.header.uri;
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    if known.contains_key(path) {
        path
    } else if code == code::NOT_FOUND {
        UNKNOWN
    } else if known.len() >= MOST_PATHS || path.len() > LONGEST_PATH {
        OTHER
    } else {
        path
    }
}
