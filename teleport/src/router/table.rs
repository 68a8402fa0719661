//! The finished look-up table of a peer.

use std::{collections::HashMap, fmt, sync::Arc};

use super::{PullHandler, PushHandler, Route, RouteInfo, RouteKind, Router, Unknown};
use crate::{plugin::Chain, session::Pace};

/// Routes and unknown handlers by uri, made once when the peer is built.
pub(crate) struct Table {
    pulls: HashMap<Box<str>, Endpoint<dyn PullHandler>>,
    pushes: HashMap<Box<str>, Endpoint<dyn PushHandler>>,
    /// Longest prefix first.
    unknown_pulls: Vec<(String, Endpoint<dyn PullHandler>)>,
    unknown_pushes: Vec<(String, Endpoint<dyn PushHandler>)>,
    infos: Vec<RouteInfo>,
}

/// A handler with all that is put around it.
pub(crate) struct Endpoint<H: ?Sized> {
    pub(crate) handler: Arc<H>,
    /// The peer's plugins and those of the groups; `None` if none of them has a hook on this path.
    pub(crate) chain: Option<Arc<Chain>>,
    pub(crate) pace: Arc<Pace>,
}

impl<H: ?Sized> Clone for Endpoint<H> {
    fn clone(&self) -> Self {
        Self {
            handler: Arc::clone(&self.handler),
            chain: self.chain.clone(),
            pace: Arc::clone(&self.pace),
        }
    }
}

impl Table {
    pub(crate) fn new(router: Router, plugins: &Chain) -> Result<Self, RouteConflict> {
        let infos = router.routes().cloned().collect();
        Ok(Self {
            pulls: routes(router.pulls, plugins)?,
            pushes: routes(router.pushes, plugins)?,
            unknown_pulls: unknowns(router.unknown_pulls, plugins, RouteKind::Pull)?,
            unknown_pushes: unknowns(router.unknown_pushes, plugins, RouteKind::Push)?,
            infos,
        })
    }

    /// The handler of a decoded path.
    pub(crate) fn pull(&self, path: &str) -> Option<&Endpoint<dyn PullHandler>> {
        self.pulls
            .get(path)
            .or_else(|| longest(&self.unknown_pulls, path))
    }

    /// The handler of a decoded path.
    pub(crate) fn push(&self, path: &str) -> Option<&Endpoint<dyn PushHandler>> {
        self.pushes
            .get(path)
            .or_else(|| longest(&self.unknown_pushes, path))
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
        RouteKind::Pull => crate::plugin::Hooks::PULL,
        RouteKind::Push => crate::plugin::Hooks::PUSH,
    };
    Endpoint {
        handler,
        chain: chain.hooks().intersects(path).then(|| Arc::new(chain)),
        pace: Arc::default(),
    }
}

fn routes<H: ?Sized>(
    routes: Vec<Route<H>>,
    plugins: &Chain,
) -> Result<HashMap<Box<str>, Endpoint<H>>, RouteConflict> {
    let mut origins: HashMap<String, RouteInfo> = HashMap::with_capacity(routes.len());
    let mut table = HashMap::with_capacity(routes.len());
    for route in routes {
        let Route {
            info,
            handler,
            plugins: inner,
        } = route;
        if let Some(first) = origins.get(&info.uri) {
            return Err(RouteConflict {
                kind: info.kind,
                uri: info.uri.clone(),
                first: origin(first),
                second: origin(&info),
            });
        }
        let endpoint = endpoint(handler, plugins, &inner, info.kind);
        table.insert(info.uri.as_str().into(), endpoint);
        origins.insert(info.uri.clone(), info);
    }
    Ok(table)
}

fn origin(info: &RouteInfo) -> String {
    format!("{} at {}:{}", info.handler, info.file, info.line)
}

fn unknowns<H: ?Sized>(
    unknowns: Vec<Unknown<H>>,
    plugins: &Chain,
    kind: RouteKind,
) -> Result<Vec<(String, Endpoint<H>)>, RouteConflict> {
    let mut table = Vec::with_capacity(unknowns.len());
    let mut origins = HashMap::new();
    for unknown in unknowns {
        let location = unknown.location.to_string();
        if let Some(first) = origins.insert(unknown.prefix.clone(), location.clone()) {
            return Err(RouteConflict {
                kind,
                uri: format!("{}/* (unknown)", unknown.prefix),
                first: format!("the handler set at {first}"),
                second: format!("the one set at {location}"),
            });
        }
        let endpoint = endpoint(unknown.handler, plugins, &unknown.plugins, kind);
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
