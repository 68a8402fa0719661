//! [`Snapshot`]: the numbers at one moment.

use std::collections::BTreeMap;

use super::Latency;
use crate::route::RouteKind;

/// What [`Statistics`](super::Statistics) have counted so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// Calls of the other sides that this one has served, by route.
    pub served: Vec<RouteCalls>,
    /// Calls that this side has made, by path.
    pub called: Vec<RouteCalls>,
    /// Pulls that are being served.
    pub serving: u64,
    /// Pulls of this side that have no reply yet.
    pub calling: u64,
    /// Sessions.
    pub sessions: Sessions,
}

/// Numbers of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sessions {
    /// Open now.
    pub open: u64,
    /// Opened so far.
    pub opened: u64,
    /// Of these, ended by now.
    pub closed: u64,
}

/// The calls of one kind on one route, all of which have ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RouteCalls {
    /// Pulls or pushes.
    pub kind: RouteKind,
    /// The route's uri, or `unknown`; of calls that this side has made the path, or `unknown`, or `other`. What these mean is
    /// said at [`Statistics`](super::Statistics#metrics).
    pub route: String,
    /// How many there were.
    pub calls: u64,
    /// How many ended with another code than 200, by code.
    pub errors: BTreeMap<i32, u64>,
    /// How many ended with yet other codes than the 32 that are counted one by one.
    pub other_errors: u64,
    /// Bytes of the packets that came: of pulls and pushes if this side serves, of replies if it calls.
    pub bytes_in: u64,
    /// Bytes of the packets that went.
    pub bytes_out: u64,
    /// How long they took.
    pub latency: Latency,
}

impl RouteCalls {
    /// How many ended with another code than 200.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.errors.values().sum::<u64>() + self.other_errors
    }
}

impl Snapshot {
    /// The pulls that were served on this route.
    #[must_use]
    pub fn served_pulls(&self, route: &str) -> Option<&RouteCalls> {
        find(&self.served, RouteKind::Pull, route)
    }

    /// The pushes that were served on this route.
    #[must_use]
    pub fn served_pushes(&self, route: &str) -> Option<&RouteCalls> {
        find(&self.served, RouteKind::Push, route)
    }

    /// The pulls that this side has made to this path.
    #[must_use]
    pub fn made_pulls(&self, path: &str) -> Option<&RouteCalls> {
        find(&self.called, RouteKind::Pull, path)
    }

    /// The pushes that this side has made to this path.
    #[must_use]
    pub fn made_pushes(&self, path: &str) -> Option<&RouteCalls> {
        find(&self.called, RouteKind::Push, path)
    }
}

fn find<'a>(calls: &'a [RouteCalls], kind: RouteKind, route: &str) -> Option<&'a RouteCalls> {
    calls
        .iter()
        .find(|calls| calls.kind == kind && calls.route == route)
}
