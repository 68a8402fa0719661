//! The finished look-up table of a peer.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    PullHandler, PushHandler, Route, RouteConflict, Router, Unknown,
    alias::{self, Alias, AliasError},
    names::Names,
};
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
    /// In lower case, the paths of which any spelling will do.
    folded: Map<H>,
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
        let infos: Vec<_> = router.routes().cloned().collect();
        let is_route = |uri: &str| infos.iter().any(|info| info.uri == uri);
        alias::check(&router.aliases, is_route).map_err(TableError::Alias)?;
        let unknown = unknowns(router.unknown_pulls, plugins, RouteKind::Pull)?;
        let mut pulls = Paths::new(unknown);
        pulls.fill(RouteKind::Pull, router.pulls, plugins, &router.aliases)?;
        let unknown = unknowns(router.unknown_pushes, plugins, RouteKind::Push)?;
        let mut pushes = Paths::new(unknown);
        pushes.fill(RouteKind::Push, router.pushes, plugins, &router.aliases)?;
        Ok(Self {
            pulls,
            pushes,
            infos,
        })
    }

    /// What answers a pull of this uri, if anything does.
    #[inline]
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

impl<H: ?Sized> Endpoint<H> {
    /// The same under another name.
    fn share(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            chain: Arc::clone(&self.chain),
            hooked: self.hooked,
            pace: Arc::clone(&self.pace),
            cancel: self.cancel,
            slow_threshold: self.slow_threshold,
            info: self.info.clone(),
        }
    }
}

impl<H: ?Sized> Paths<H> {
    fn new(unknown: Vec<(String, Endpoint<H>)>) -> Self {
        Self {
            plain: Map::default(),
            escaped: Map::default(),
            folded: Map::default(),
            unknown,
        }
    }

    fn fill(
        &mut self,
        kind: RouteKind,
        routes: Vec<Route<H>>,
        plugins: &Chain,
        aliases: &[Alias],
    ) -> Result<(), TableError> {
        let mut names = Names::new(kind);
        let mut ignoring = HashSet::new();
        for route in routes {
            let Route {
                info,
                handler,
                plugins: inner,
                ignore_case,
            } = route;
            let by = format!("{} at {}:{}", info.handler, info.file, info.line);
            names.take(&info.uri, by, ignore_case)?;
            if ignore_case {
                ignoring.insert(info.uri.clone());
            }
            let endpoint = Endpoint {
                cancel: info.cancel,
                slow_threshold: info.slow_threshold,
                info: Some(Arc::new(info.clone())),
                ..endpoint(handler, plugins, &inner, kind)
            };
            endpoint
                .chain
                .post_route(&info)
                .map_err(TableError::Refused)?;
            self.insert(&info.uri, endpoint);
        }
        for alias in aliases {
            if let Some(endpoint) = self.known(&alias.origin).map(Endpoint::share) {
                let ignore_case = ignoring.contains(&alias.origin);
                names.take(&alias.uri, alias.describe(), ignore_case)?;
                self.insert(&alias.uri, endpoint);
            }
        }
        for (lower, uri) in names.folded()? {
            if let Some(endpoint) = self.known(uri).map(Endpoint::share) {
                self.folded.insert(lower.into(), endpoint);
            }
        }
        Ok(())
    }

    fn insert(&mut self, uri: &str, endpoint: Endpoint<H>) {
        let plain = Uri::parse(uri).is_ok_and(|parsed| parsed.path() == uri);
        let map = if plain {
            &mut self.plain
        } else {
            &mut self.escaped
        };
        map.insert(uri.into(), endpoint);
    }

    /// What has exactly this path.
    fn known(&self, path: &str) -> Option<&Endpoint<H>> {
        self.plain.get(path).or_else(|| self.escaped.get(path))
    }

    fn running(&self) -> impl Iterator<Item = (&str, usize)> {
        let known = self.plain.iter().chain(&self.escaped);
        let known = known.map(|(uri, endpoint)| (&**uri, endpoint));
        // Not again under its other names.
        let known = known.filter(|(uri, endpoint)| {
            let info = endpoint.info.as_ref();
            info.is_some_and(|info| info.uri == *uri)
        });
        let unknown = self.unknown.iter();
        known
            .chain(unknown.map(|(prefix, endpoint)| (prefix.as_str(), endpoint)))
            .map(|(uri, endpoint)| (uri, endpoint.pace.running()))
            .filter(|(_, count)| *count > 0)
    }

    #[inline]
    fn find(&self, uri: &str) -> Result<Option<&Endpoint<H>>, UriError> {
        if let Some(endpoint) = self.plain.get(uri) {
            return Ok(Some(endpoint));
        }
        self.find_parsed(uri)
    }

    #[inline(never)]
    fn find_parsed(&self, uri: &str) -> Result<Option<&Endpoint<H>>, UriError> {
        let uri = Uri::parse(uri)?;
        let path = uri.path();
        let known = self.known(&path).or_else(|| self.in_any_case(&path));
        Ok(known.or_else(|| longest(&self.unknown, &path)))
    }

    fn in_any_case(&self, path: &str) -> Option<&Endpoint<H>> {
        if self.folded.is_empty() {
            return None;
        }
        self.folded.get(&*path.to_ascii_lowercase())
    }
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
    Alias(Box<AliasError>),
    Conflict(RouteConflict),
    Refused(RouteRefused),
}

impl From<RouteConflict> for TableError {
    fn from(conflict: RouteConflict) -> Self {
        Self::Conflict(conflict)
    }
}
