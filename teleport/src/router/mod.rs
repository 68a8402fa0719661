//! [`Router`]: which handler answers which uri.

mod alias;
mod dispatch;
mod handler;
mod names;
mod proxy;
mod table;
mod unknown;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use self::alias::Alias;
pub(crate) use self::{
    dispatch::RouterDispatch,
    handler::{PullHandler, PushHandler},
    table::{Table, TableError},
};
pub use self::{
    names::RouteConflict,
    unknown::{UnknownPull, UnknownPush},
};
use crate::{
    codec::{
        Encode,
        probe::{DecodeAs, EncodeAs},
    },
    context::{PullCtx, PushCtx},
    plugin::{DynPlugin, OnRoutes, RoutePlugin},
    route::RouteInfo,
    status::Status,
    uri,
};

/// Turns a controller into its pull routes. Written by [`#[pull_controller]`](crate::pull_controller) on an impl block.
pub trait PullController {
    /// The routes of this controller, for [`Router::merge`], [`Router::nest`] or
    /// [`PeerBuilder::routes`](crate::PeerBuilder::routes).
    fn into_router(self) -> Router;
}

/// Turns a controller into its push routes. Written by [`#[push_controller]`](crate::push_controller) on an impl block.
pub trait PushController {
    /// The routes of this controller, as in [`PullController::into_router`].
    fn into_router(self) -> Router;
}

type Plugins = Vec<Arc<dyn DynPlugin>>;

/// A route with what was put around it so far.
pub(crate) struct Route<H: ?Sized> {
    pub(crate) info: RouteInfo,
    pub(crate) handler: Arc<H>,
    /// Outermost first.
    pub(crate) plugins: Plugins,
    /// Its path may be written in any case.
    pub(crate) ignore_case: bool,
}

/// Answers what no route does, below a prefix.
pub(crate) struct Unknown<H: ?Sized> {
    pub(crate) prefix: String,
    pub(crate) handler: Arc<H>,
    pub(crate) plugins: Plugins,
    /// It is stopped when its caller goes away.
    pub(crate) cancel: bool,
    /// Where it was set.
    pub(crate) location: &'static std::panic::Location<'static>,
}

/// Which handler answers which uri.
///
/// Built from the routers that [controllers](PullController) turn into, merged and nested, and handed to a
/// [`PeerBuilder`](crate::PeerBuilder). Pulls and pushes have separate routes: both may use the same uri.
///
/// A uri is looked up by its percent-decoded path, exactly and with case; the number of routes makes no difference.
/// Two routes of one kind at the same uri are an error when the peer is built.
///
/// ```
/// use teleport::{PullController, Router, pull_controller};
///
/// struct Math;
///
/// #[pull_controller]
/// impl Math {
///     async fn add(&self, args: [i32; 2]) -> i32 {
///         args[0] + args[1]
///     }
/// }
///
/// let router = Router::new().nest("/v1", Math.into_router());
/// assert_eq!(router.routes().next().unwrap().uri, "/v1/math/add");
/// ```
#[derive(Default)]
#[must_use]
pub struct Router {
    pub(crate) pulls: Vec<Route<dyn PullHandler>>,
    pub(crate) pushes: Vec<Route<dyn PushHandler>>,
    pub(crate) unknown_pulls: Vec<Unknown<dyn PullHandler>>,
    pub(crate) unknown_pushes: Vec<Unknown<dyn PushHandler>>,
    aliases: Vec<Alias>,
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds all of `other`.
    pub fn merge(mut self, other: Self) -> Self {
        self.pulls.extend(other.pulls);
        self.pushes.extend(other.pushes);
        self.unknown_pulls.extend(other.unknown_pulls);
        self.unknown_pushes.extend(other.unknown_pushes);
        self.aliases.extend(other.aliases);
        self
    }

    /// Adds all of `other` below `prefix`, e.g. `/group`. An unknown handler of `other` answers for what begins
    /// with the prefix.
    pub fn nest(self, prefix: &str, mut other: Self) -> Self {
        let infos = other.pulls.iter_mut().map(|route| &mut route.info);
        let infos = infos.chain(other.pushes.iter_mut().map(|route| &mut route.info));
        for info in infos {
            info.uri = uri::join(prefix, &info.uri);
        }
        for alias in &mut other.aliases {
            alias.uri = uri::join(prefix, &alias.uri);
            alias.origin = uri::join(prefix, &alias.origin);
        }
        for unknown in &mut other.unknown_pulls {
            unknown.prefix = uri::join(prefix, &unknown.prefix);
        }
        for unknown in &mut other.unknown_pushes {
            unknown.prefix = uri::join(prefix, &unknown.prefix);
        }
        self.merge(other)
    }

    /// Gives the route `origin` a further name, for pulls, for pushes, or for both, as there are routes. The query is kept.
    /// Handlers and replies see the uri that was asked for.
    ///
    /// Both are uris within this router: below the prefix, if it is [nested](Self::nest). An alias costs nothing: it is looked
    /// up like a route. That it leads to no route, to another alias, or has the name of a route, is an error when the peer is
    /// built.
    ///
    /// ```
    /// use teleport::{PullController, Router, pull_controller};
    ///
    /// struct Math;
    ///
    /// #[pull_controller]
    /// impl Math {
    ///     async fn add(&self, a: i32, b: i32) -> i32 {
    ///         a + b
    ///     }
    /// }
    ///
    /// let router = Math.into_router().alias("/sum", "/math/add");
    /// # teleport::Peer::builder().routes(router).build()?;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    #[track_caller]
    pub fn alias(mut self, alias: &str, origin: &str) -> Self {
        self.aliases.push(Alias {
            uri: uri::join("", alias),
            origin: uri::join("", origin),
            location: std::panic::Location::caller(),
        });
        self
    }

    /// Answers the routes that this router has so far, and their aliases, in any spelling of their whole paths as to upper and
    /// lower case; prefixes that are put in front later are meant too. That is so for the letters A to Z alone: `é` and
    /// `É` stay two.
    ///
    /// Calls in the route's own spelling cost nothing more, others an allocation. Another route or alias that differs in case
    /// only is an error when the peer is built.
    pub fn ignore_case(mut self) -> Self {
        for route in &mut self.pulls {
            route.ignore_case = true;
        }
        for route in &mut self.pushes {
            route.ignore_case = true;
        }
        self
    }

    /// Puts a plugin around all routes and unknown handlers that this router has so far. Of several, the one added last
    /// runs first.
    pub fn plugin(mut self, plugin: impl RoutePlugin) -> Self {
        let plugin: Arc<dyn DynPlugin> = Arc::new(OnRoutes(plugin));
        let chains = self.pulls.iter_mut().map(|route| &mut route.plugins);
        let chains = chains.chain(self.pushes.iter_mut().map(|route| &mut route.plugins));
        let chains = chains.chain(
            self.unknown_pulls
                .iter_mut()
                .map(|route| &mut route.plugins),
        );
        let chains = chains.chain(
            self.unknown_pushes
                .iter_mut()
                .map(|route| &mut route.plugins),
        );
        for chain in chains {
            chain.insert(0, Arc::clone(&plugin));
        }
        self
    }

    /// Warns of calls of the routes that this router has so far when they take longer than this, instead of
    /// [`PeerConfig::slow_threshold`](crate::PeerConfig::slow_threshold). A limit that a route has already stays.
    pub fn slow_threshold(mut self, limit: Duration) -> Self {
        let infos = self.pulls.iter_mut().map(|route| &mut route.info);
        let infos = infos.chain(self.pushes.iter_mut().map(|route| &mut route.info));
        for info in infos {
            info.slow_threshold.get_or_insert(limit);
        }
        self
    }

    /// Sets the handler for pulls that no route answers, instead of 404. It gets the body as it came.
    ///
    /// ```
    /// use teleport::{Router, Status, UnknownPull};
    ///
    /// let router = Router::new().unknown_pull(|pull: UnknownPull| async move {
    ///     let args: serde_json::Value = pull.bind()?;
    ///     Ok::<_, Status>(format!("{} got {args}", pull.path()))
    /// });
    /// # let _ = router;
    /// ```
    #[track_caller]
    pub fn unknown_pull<F, Fut, R>(mut self, handler: F) -> Self
    where
        F: Fn(UnknownPull) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Status>> + Send + 'static,
        R: Encode + Send + 'static,
    {
        self.unknown_pulls.push(Unknown {
            prefix: String::new(),
            handler: unknown::pull_handler(handler),
            plugins: Vec::new(),
            cancel: false,
            location: std::panic::Location::caller(),
        });
        self
    }

    /// Sets the handler for pushes that no route takes, which are dropped otherwise. It gets the body as it came.
    #[track_caller]
    pub fn unknown_push<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(UnknownPush) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Status>> + Send + 'static,
    {
        self.unknown_pushes.push(Unknown {
            prefix: String::new(),
            handler: unknown::push_handler(handler),
            plugins: Vec::new(),
            cancel: false,
            location: std::panic::Location::caller(),
        });
        self
    }

    /// All routes, pulls before pushes, in the order in which they were added.
    pub fn routes(&self) -> impl Iterator<Item = &RouteInfo> {
        let pulls = self.pulls.iter().map(|route| &route.info);
        pulls.chain(self.pushes.iter().map(|route| &route.info))
    }

    pub(crate) fn add_pull<A, R, D, E, F, Fut>(
        &mut self,
        info: RouteInfo,
        decode: D,
        encode: E,
        handler: F,
    ) where
        A: Send + 'static,
        R: Send + 'static,
        D: DecodeAs<A> + Copy + Send + Sync + 'static,
        E: EncodeAs<R> + Copy + Send + Sync + 'static,
        F: Fn(PullCtx, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (PullCtx, Result<R, Status>)> + Send + 'static,
    {
        self.pulls.push(Route {
            info,
            handler: Arc::new(handler::Pull::new(decode, encode, handler)),
            plugins: Vec::new(),
            ignore_case: false,
        });
    }

    pub(crate) fn add_push<A, D, F, Fut>(&mut self, info: RouteInfo, decode: D, handler: F)
    where
        A: Send + 'static,
        D: DecodeAs<A> + Copy + Send + Sync + 'static,
        F: Fn(PushCtx, A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = (PushCtx, Result<(), Status>)> + Send + 'static,
    {
        self.pushes.push(Route {
            info,
            handler: Arc::new(handler::Push::new(decode, handler)),
            plugins: Vec::new(),
            ignore_case: false,
        });
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = self.routes().map(|info| (info.kind, &info.uri));
        f.debug_list().entries(routes).finish()
    }
}
