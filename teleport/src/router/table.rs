//! The finished look-up table of a peer.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use super::{PullHandler, PushHandler, Route, Router, Unknown};
use crate::{
    plugin::{Chain, Hooks, RouteRefused},
    route::{RouteInfo, RouteKind},
    session::Pace,
    uri::{Uri, UriError},
};

/// Routes and unknown handlers by uri, made once when the peer is built.
pub(crate) struct Table {
    pulls: Paths<dyn PullHandler>,
    pushes: Paths<dyn PushHandler>,
    infos: Vec<RouteInfo>,
}

/// What answers at which path, for pulls or for pushes.
struct Paths<H: ?Sized> {
    /// Paths that stand for themselves as a whole uri, which is how nearly all are called.
    plain: Map<H>,
    /// Paths that can be written in a uri only with escapes.
    escaped: Map<H>,
    /// Longest prefix first.
    unknown: Vec<(String, Endpoint<H>)>,
}

/// The keys are the program's own, so a quick hash is safe.
type Map<H> = HashMap<Box<str>, Endpoint<H>, foldhash::fast::RandomState>;

/// A handler with all that is put around it.
pub(crate) struct Endpoint<H: ?Sized> {
    pub(crate) handler: Arc<H>,
    /// The peer's plugins and those of the groups.
    pub(crate) chain: Arc<Chain>,
    /// Some of them have hooks on this path.
    pub(crate) hooked: bool,
    pub(crate) pace: Arc<Pace>,
    pub(crate) cancel: bool,
    pub(crate) slow_threshold: Option<Duration>,
    /// `None` for an unknown handler.
    pub(crate) info: Option<Arc<RouteInfo>>,
}

impl Table {
    pub(crate) fn new(router: Router, plugins: &Chain) -> Result<Self, TableError> {
        let infos = router.routes().cloned().collect();
        let unknown = unknowns(router.unknown_pulls, plugins, RouteKind::Pull)?;
        let pulls = Paths::new(router.pulls, unknown, plugins)?;
        let unknown = unknowns(router.unknown_pushes, plugins, RouteKind::Push)?;
        let pushes = Paths::new(router.pushes, unknown, plugins)?;
        Ok(Self {
            pulls,
            pushes,
            infos,
        })
    }

    /// What answers a pull of this uri, if anything does.
    pub(crate) fn pull(&self, uri: &str) -> Result<Option<&Endpoint<dyn PullHandler>>, UriError> {
        self.pulls.find(uri)
    }

    /// What takes a push to this uri, if anything does.
    pub(crate) fn push(&self, uri: &str) -> Result<Option<&Endpoint<dyn PushHandler>>, UriError> {
        self.pushes.find(uri)
    }

    /// The routes whose handlers run, with how many. Those that are ready at once are never seen.
    pub(crate) fn running(&self) -> impl Iterator<Item = (RouteKind, &str, usize)> {
        let pulls = self
            .pulls
            .running()
            .map(|(uri, count)| (RouteKind::Pull, uri, count));
        let pushes = self
            .pushes
            .running()
            .map(|(uri, count)| (RouteKind::Push, uri, count));
        pulls.chain(pushes)
    }

    pub(crate) fn infos(&self) -> &[RouteInfo] {
        &self.infos
    }
}

fn endpoint<H: ?Sized>(
    handler: Arc<H>,
    plugins: &Chain,
    inner: &super::Plugins,
    kind: RouteKind,
) -> Endpoint<H> {
    let chain = plugins.then(inner);
    let path = match kind {
        RouteKind::Pull => Hooks::PULL,
        RouteKind::Push => Hooks::PUSH,
    };
    Endpoint {
        handler,
        hooked: chain.hooks().intersects(path),
        chain: Arc::new(chain),
        pace: Arc::default(),
        cancel: false,
        slow_threshold: None,
        info: None,
    }
}

impl<H: ?Sized> Paths<H> {
    fn new(
        routes: Vec<Route<H>>,
        unknown: Vec<(String, Endpoint<H>)>,
        plugins: &Chain,
    ) -> Result<Self, TableError> {
        let mut origins: HashMap<String, RouteInfo> = HashMap::with_capacity(routes.len());
        let mut this = Self {
            plain: Map::default(),
            escaped: Map::default(),
            unknown,
        };
        for route in routes {
            let Route {
                info,
                handler,
                plugins: inner,
            } = route;
            if let Some(first) = origins.get(&info.uri) {
                return Err(TableError::Conflict(RouteConflict {
                    kind: info.kind,
                    uri: info.uri.clone(),
                    first: origin(first),
                    second: origin(&info),
                }));
            }
            let plain = Uri::parse(&info.uri).is_ok_and(|uri| uri.path() == info.uri);
            let map = if plain {
                &mut this.plain
            } else {
                &mut this.escaped
            };
            let endpoint = Endpoint {
                cancel: info.cancel,
                slow_threshold: info.slow_threshold,
                info: Some(Arc::new(info.clone())),
                ..endpoint(handler, plugins, &inner, info.kind)
            };
            endpoint
                .chain
                .post_route(&info)
                .map_err(TableError::Refused)?;
            map.insert(info.uri.as_str().into(), endpoint);
            origins.insert(info.uri.clone(), info);
        }
        Ok(this)
    }

    fn running(&self) -> impl Iterator<Item = (&str, usize)> {
        let known = self.plain.iter().chain(&self.escaped);
        let known = known.map(|(uri, endpoint)| (&**uri, endpoint));
        let unknown = self.unknown.iter();
        known
            .chain(unknown.map(|(prefix, endpoint)| (prefix.as_str(), endpoint)))
            .map(|(uri, endpoint)| (uri, endpoint.pace.running()))
            .filter(|(_, count)| *count > 0)
    }

    fn find(&self, uri: &str) -> Result<Option<&Endpoint<H>>, UriError> {
        if let Some(endpoint) = self.plain.get(uri) {
            return Ok(Some(endpoint));
        }
        let uri = Uri::parse(uri)?;
        let path = uri.path();
        let known = self.plain.get(&*path).or_else(|| self.escaped.get(&*path));
        Ok(known.or_else(|| longest(&self.unknown, &path)))
    }
}

fn origin(info: &RouteInfo) -> String {
    format!("{} at {}:{}", info.handler, info.file, info.line)
}

fn unknowns<H: ?Sized>(
    unknowns: Vec<Unknown<H>>,
    plugins: &Chain,
    kind: RouteKind,
) -> Result<Vec<(String, Endpoint<H>)>, TableError> {
    let mut table = Vec::with_capacity(unknowns.len());
    let mut origins = HashMap::new();
    for unknown in unknowns {
        let location = unknown.location.to_string();
        if let Some(first) = origins.insert(unknown.prefix.clone(), location.clone()) {
            return Err(TableError::Conflict(RouteConflict {
                kind,
                uri: format!("{}/* (unknown)", unknown.prefix),
                first: format!("the handler set at {first}"),
                second: format!("the one set at {location}"),
            }));
        }
        let endpoint = Endpoint {
            cancel: unknown.cancel,
            ..endpoint(unknown.handler, plugins, &unknown.plugins, kind)
        };
        table.push((unknown.prefix, endpoint));
    }
    table.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
    Ok(table)
}

fn longest<'a, H: ?Sized>(
    table: &'a [(String, Endpoint<H>)],
    path: &str,
) -> Option<&'a Endpoint<H>> {
    let below = |prefix: &str| match path.strip_prefix(prefix) {
        Some(rest) => prefix.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    let found = table.iter().find(|(prefix, _)| below(prefix));
    found.map(|(_, endpoint)| endpoint)
}

/// Why there is no table.
#[derive(Debug)]
pub(crate) enum TableError {
    Conflict(RouteConflict),
    Refused(RouteRefused),
}

/// Two handlers for the same uri. The source of the error that building a peer gives.
#[derive(Clone, Debug)]
pub struct RouteConflict {
    kind: RouteKind,
    uri: String,
    first: String,
    second: String,
}

impl fmt::Display for RouteConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            uri,
            first,
            second,
        } = self;
        write!(
            f,
            "two {kind} handlers for {uri}: {first}, and {second}; nest one of them, or give it another uri"
        )
    }
}

impl std::error::Error for RouteConflict {}
