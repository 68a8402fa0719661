//! [`RoutePlugin`]: hooks around some routes.

use std::future::{Future, ready};

use super::{Hooks, Plugin, Result};
use crate::{
    context::{PullCtx, PushCtx},
    route::RouteInfo,
    status::Status,
};

/// Hooks around the routes of a router: of a group, of one controller. Added with [`Router::plugin`](crate::Router::plugin).
///
/// It has those hooks of a [`Plugin`] that come after the route is known; the others make no sense for some routes only, and a
/// `Plugin` in the place of a `RoutePlugin` does not compile.
///
/// ```
/// use teleport::{PullCtx, RoutePlugin, Status};
///
/// /// Not everybody may call these routes.
/// struct ForAdmins;
///
/// #[derive(Clone)]
/// struct Admin;
///
/// impl RoutePlugin for ForAdmins {
///     fn name(&self) -> &str {
///         "for admins"
///     }
///
///     async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
///         match ctx.session().values().get::<Admin>() {
///             Some(_) => Ok(()),
///             None => Err(Status::unauthorized()),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be put around some routes only",
    note = "implement `teleport::RoutePlugin`; a `Plugin` belongs to a whole peer, with `PeerBuilder::plugin`"
)]
pub trait RoutePlugin: Send + Sync + 'static {
    /// A name for logs and error texts.
    fn name(&self) -> &str;

    /// The hooks that this plugin overrides, as in [`Plugin::hooks`].
    fn hooks(&self) -> Hooks {
        Hooks::PULL | Hooks::PUSH
    }

    /// As [`Plugin::post_route`].
    ///
    /// # Errors
    /// The plugin does not want the route: the peer cannot be built.
    fn post_route(&self, route: &RouteInfo) -> Result {
        let _ = route;
        Ok(())
    }

    /// As [`Plugin::pre_read_pull_body`].
    fn pre_read_pull_body(&self, ctx: &PullCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// As [`Plugin::post_read_pull_body`].
    fn post_read_pull_body(&self, ctx: &PullCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// As [`Plugin::pre_write_reply`].
    fn pre_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> impl Future<Output = Result> + Send {
        let _ = (ctx, outcome);
        ready(Ok(()))
    }

    /// As [`Plugin::post_write_reply`].
    fn post_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> impl Future<Output = Result> + Send {
        let _ = (ctx, outcome);
        ready(Ok(()))
    }

    /// As [`Plugin::pre_read_push_body`].
    fn pre_read_push_body(&self, ctx: &PushCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// As [`Plugin::post_read_push_body`].
    fn post_read_push_body(&self, ctx: &PushCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }
}

/// Makes a [`RoutePlugin`] one link of a chain of plugins.
pub(crate) struct OnRoutes<P>(pub(crate) P);

impl<P: RoutePlugin> Plugin for OnRoutes<P> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    fn post_route(&self, route: &RouteInfo) -> Result {
        self.0.post_route(route)
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result {
        self.0.pre_read_pull_body(ctx).await
    }

    async fn post_read_pull_body(&self, ctx: &PullCtx) -> Result {
        self.0.post_read_pull_body(ctx).await
    }

    async fn pre_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> Result {
        self.0.pre_write_reply(ctx, outcome).await
    }

    async fn post_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> Result {
        self.0.post_write_reply(ctx, outcome).await
    }

    async fn pre_read_push_body(&self, ctx: &PushCtx) -> Result {
        self.0.pre_read_push_body(ctx).await
    }

    async fn post_read_push_body(&self, ctx: &PushCtx) -> Result {
        self.0.post_read_push_body(ctx).await
    }
}
