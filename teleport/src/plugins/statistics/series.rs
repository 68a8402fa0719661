//! What is counted for one route in one direction, here and by the recorder.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::{Counter, Gauge, Key, Label, Level, Metadata, Recorder, Unit};

use super::{RouteCalls, latency::Histogram};
use crate::{route::RouteKind, session::CallEnd, status::code};

/// Codes that are told apart on one route. A peer may make up as many as it likes.
const CODES: usize = 32;

/// Who gets the numbers besides this program itself.
pub(super) struct Recording(pub(super) Option<Arc<dyn Recorder + Send + Sync>>);

impl Recording {
    /// Runs `register` with the recorder that is in charge.
    pub(super) fn with<T>(&self, register: impl FnOnce(&dyn Recorder) -> T) -> T {
        match &self.0 {
            Some(recorder) => register(&**recorder),
            None => metrics::with_recorder(register),
        }
    }
}

/// Names of metrics, for one direction.
pub(super) struct Names {
    handled: &'static str,
    seconds: &'static str,
    received: &'static str,
    sent: &'static str,
    pub(super) in_flight: &'static str,
}

/// Of the calls that this side serves.
pub(super) const SERVER: Names = Names {
    handled: "teleport_server_handled_total",
    seconds: "teleport_server_handled_seconds",
    received: "teleport_server_received_bytes_total",
    sent: "teleport_server_sent_bytes_total",
    in_flight: "teleport_server_in_flight",
};

/// Of the calls that this side makes.
pub(super) const CLIENT: Names = Names {
    handled: "teleport_client_handled_total",
    seconds: "teleport_client_handled_seconds",
    received: "teleport_client_received_bytes_total",
    sent: "teleport_client_sent_bytes_total",
    in_flight: "teleport_client_in_flight",
};

pub(super) const OPEN: &str = "teleport_sessions_open";
pub(super) const OPENED: &str = "teleport_sessions_opened_total";
pub(super) const CLOSED: &str = "teleport_sessions_closed_total";

/// Says what the metrics mean.
pub(super) fn describe(recorder: &dyn Recorder) {
    let count = |name: &'static str, unit, text: &'static str| {
        recorder.describe_counter(name.into(), Some(unit), text.into());
    };
    let gauge = |name: &'static str, text: &'static str| {
        recorder.describe_gauge(name.into(), Some(Unit::Count), text.into());
    };
    let seconds = |name: &'static str, text: &'static str| {
        recorder.describe_histogram(name.into(), Some(Unit::Seconds), text.into());
    };
    count(
        SERVER.handled,
        Unit::Count,
        "Calls that were served, by their outcome.",
    );
    count(
        CLIENT.handled,
        Unit::Count,
        "Calls that were made, by their outcome.",
    );
    seconds(SERVER.seconds, "Time from a call's header to its reply.");
    seconds(
        CLIENT.seconds,
        "Time from the first poll of a call to its end.",
    );
    count(
        SERVER.received,
        Unit::Bytes,
        "Bytes of the calls that were served.",
    );
    count(SERVER.sent, Unit::Bytes, "Bytes of the replies to them.");
    count(
        CLIENT.sent,
        Unit::Bytes,
        "Bytes of the calls that were made.",
    );
    count(
        CLIENT.received,
        Unit::Bytes,
        "Bytes of the replies to them.",
    );
    gauge(SERVER.in_flight, "Pulls that are being served.");
    gauge(CLIENT.in_flight, "Pulls that have no reply yet.");
    gauge(OPEN, "Sessions that are open.");
    count(OPENED, Unit::Count, "Sessions that were opened.");
    count(CLOSED, Unit::Count, "Sessions that have ended.");
}

const METADATA: Metadata<'static> = Metadata::new("teleport", Level::INFO, Some("teleport"));

pub(super) fn gauge(recorder: &dyn Recorder, name: &'static str) -> Gauge {
    recorder.register_gauge(&Key::from_static_name(name), &METADATA)
}

/// A number that only grows.
pub(super) struct Meter {
    count: AtomicU64,
    counter: Counter,
}

impl Meter {
    pub(super) fn new(recorder: &dyn Recorder, name: &'static str, labels: Vec<Label>) -> Self {
        Self {
            count: AtomicU64::new(0),
            counter: recorder.register_counter(&Key::from_parts(name, labels), &METADATA),
        }
    }

    pub(super) fn add(&self, number: u64) {
        self.count.fetch_add(number, Ordering::Relaxed);
        self.counter.increment(number);
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// The calls of one kind on one route.
pub(super) struct Series {
    names: &'static Names,
    kind: RouteKind,
    route: Box<str>,
    succeeded: Meter,
    failed: Mutex<Failed>,
    received: Meter,
    sent: Meter,
    seconds: metrics::Histogram,
    latency: Histogram,
}

#[derive(Default)]
struct Failed {
    by_code: BTreeMap<i32, Meter>,
    other: Option<Meter>,
}

impl Series {
    pub(super) fn new(
        names: &'static Names,
        kind: RouteKind,
        route: &str,
        recorder: &dyn Recorder,
    ) -> Self {
        let labels = || labels(kind, route);
        let seconds = Key::from_parts(names.seconds, labels());
        let meter = |name| Meter::new(recorder, name, labels());
        Self {
            names,
            kind,
            succeeded: handled(names, kind, route, code::OK.to_string(), recorder),
            failed: Mutex::default(),
            received: meter(names.received),
            sent: meter(names.sent),
            seconds: recorder.register_histogram(&seconds, &METADATA),
            latency: Histogram::default(),
            route: route.into(),
        }
    }

    pub(super) fn add(&self, end: &CallEnd<'_>, outgoing: bool, recording: &Recording) {
        let (request, reply) = (end.request_size as u64, end.reply_size as u64);
        let (received, sent) = match outgoing {
            false => (request, reply),
            true => (reply, request),
        };
        self.received.add(received);
        self.sent.add(sent);
        self.seconds.record(end.cost);
        self.latency.add(end.cost);
        if end.code == code::OK {
            self.succeeded.add(1);
        } else {
            self.add_failed(end.code, recording);
        }
    }

    fn add_failed(&self, code: i32, recording: &Recording) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = failed.by_code.len() < CODES;
        let meter = |code: String| {
            recording.with(|recorder| handled(self.names, self.kind, &self.route, code, recorder))
        };
        let known = failed.by_code.get(&code);
        match known {
            Some(known) => known.add(1),
            None if has_room => failed
                .by_code
                .entry(code)
                .or_insert_with(|| meter(code.to_string()))
                .add(1),
            None => failed
                .other
                .get_or_insert_with(|| meter("other".to_owned()))
                .add(1),
        }
    }

    pub(super) fn snapshot(&self) -> RouteCalls {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let errors = failed.by_code.iter();
        let errors: BTreeMap<_, _> = errors.map(|(code, meter)| (*code, meter.count())).collect();
        let other_errors = failed.other.as_ref().map_or(0, Meter::count);
        drop(failed);
        RouteCalls {
            kind: self.kind,
            route: self.route.to_string(),
            calls: self.succeeded.count() + errors.values().sum::<u64>() + other_errors,
            errors,
            other_errors,
            bytes_in: self.received.count(),
            bytes_out: self.sent.count(),
            latency: self.latency.snapshot(),
        }
    }
}

fn labels(kind: RouteKind, route: &str) -> Vec<Label> {
    vec![
        Label::new("kind", kind.to_string()),
        Label::new("route", route.to_owned()),
    ]
}

fn handled(
    names: &Names,
    kind: RouteKind,
    route: &str,
    code: String,
    recorder: &dyn Recorder,
) -> Meter {
    let mut labels = labels(kind, route);
    labels.push(Label::new("code", code));
    Meter::new(recorder, names.handled, labels)
}
