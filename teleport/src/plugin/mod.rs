//! [`Plugin`]: code that runs around calls, whoever handles them.

mod chain;
mod hooks;
mod route_plugin;

use std::future::{Future, ready};

pub(crate) use self::chain::{Chain, DynPlugin, RouteRefused};
pub(crate) use self::route_plugin::OnRoutes;
pub use self::{hooks::Hooks, route_plugin::RoutePlugin};
use crate::{
    context::{PullCtx, PushCtx},
    route::RouteInfo,
    session::{CallCtx, CallEnd, CallInfo, Handshake, Session},
    status::Status,
};

type Result = std::result::Result<(), Status>;

/// Why a peer closes; see [`Plugin::pre_close`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Closing {
    /// Another process answers at its addresses from now on.
    Restart,
    /// Nobody will answer at its addresses.
    Shutdown,
}

/// Hooks around all that a peer does. Each does nothing unless it is overridden, with an `async fn`.
///
/// A hook may refuse with a [`Status`]; what this means is said at each. Plugins run in the order in which they were
/// added, the peer's before a group's and a controller's, and the first that refuses ends the chain. For hooks around
/// some of the routes only, see [`RoutePlugin`]. A hook that panics is logged, and counts as one that refuses with 500.
///
/// ```
/// use teleport::{Plugin, PullCtx, Status};
///
/// struct OnlyWeekdays;
///
/// impl Plugin for OnlyWeekdays {
///     fn name(&self) -> &str {
///         "only weekdays"
///     }
///
///     async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
///         match ctx.query("day").as_deref() {
///             Some("sunday") => Err(Status::unavailable("closed on Sundays")),
///             _ => Ok(()),
///         }
///     }
/// }
/// ```
///
/// # Cost
/// A hook costs an allocation per call that it sees. A plugin that names what it [`hooks`](Plugin::hooks) costs nothing
/// on the paths of the others.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no plugin for a whole peer",
    note = "implement `teleport::Plugin`; a `RoutePlugin` goes around a router, with `Router::plugin`"
)]
pub trait Plugin: Send + Sync + 'static {
    /// A name for logs and error texts.
    fn name(&self) -> &str;

    /// The hooks that this plugin overrides. The default, all, is always right; naming them is faster.
    /// A hook that is not named here is never called.
    fn hooks(&self) -> Hooks {
        Hooks::ALL
    }

    /// This side has connected; nothing is routed yet. An error closes the connection and is what the dial returns.
    fn post_dial(&self, handshake: &mut Handshake<'_>) -> impl Future<Output = Result> + Send {
        let _ = handshake;
        ready(Ok(()))
    }

    /// The other side has connected; nothing is routed yet. An error closes the connection.
    fn post_accept(&self, handshake: &mut Handshake<'_>) -> impl Future<Output = Result> + Send {
        let _ = handshake;
        ready(Ok(()))
    }

    /// The peer is about to close: it still accepts connections and answers calls, and goes on to close when all plugins are
    /// done, or the time limit of the shutdown has passed. The place to take the peer out of a registry, or to push a
    /// warning to the sessions. The last plugin is asked first.
    fn pre_close(&self, closing: Closing) -> impl Future<Output = ()> + Send {
        let _ = closing;
        ready(())
    }

    /// A session has ended.
    fn post_disconnect(&self, session: &Session) -> impl Future<Output = ()> + Send {
        let _ = session;
        ready(())
    }

    /// A route of this peer, when the peer is built; called for each, before anything else, whatever [`hooks`](Self::hooks)
    /// says. An error makes the building fail.
    fn post_route(&self, route: &RouteInfo) -> Result {
        let _ = route;
        Ok(())
    }

    /// A pull or push of either side begins: of the other side, when its header has been read; of this side, at its first poll.
    /// It may never be sent, or be refused because there is no such route: all the same this is called once for each call,
    /// and [`post_call`](Self::post_call) once afterwards.
    ///
    /// For those who count, measure and keep books. Nothing can be changed here, and it is no async function, so that it costs
    /// no allocation and is called even where a future is dropped. It must not block. A panic in it is logged.
    fn pre_call(&self, call: &CallInfo<'_>) {
        let _ = call;
    }

    /// A pull or push of either side has ended, in whatever way: with a reply, an error, or because its future was dropped (104).
    /// Of a call that this side serves that is when its reply is made, or its handler was dropped. See
    /// [`pre_call`](Self::pre_call).
    fn post_call(&self, call: &CallInfo<'_>, end: &CallEnd<'_>) {
        let _ = (call, end);
    }

    /// Before the header of each packet is read, and after the one before it was dispatched; the first time when the session
    /// starts. While it waits nothing is read. An error cuts the session: replies of running handlers are lost.
    fn pre_read_header(&self, session: &Session) -> impl Future<Output = Result> + Send {
        let _ = session;
        ready(Ok(()))
    }

    /// Before a pull is encoded; may change its header. An error keeps it from being sent: the caller gets
    /// code 100 with the status as the cause.
    fn pre_write_pull(&self, call: &mut CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// After a pull was handed to the connection. An error is only logged.
    fn post_write_pull(&self, call: &CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// A reply has come. An error goes to the caller instead of the reply.
    fn post_read_reply_header(&self, call: &CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// Before a reply's body is decoded. An error goes to the caller instead of the reply.
    fn pre_read_reply_body(&self, call: &CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// After a reply's body was decoded. An error goes to the caller instead of the reply.
    fn post_read_reply_body(&self, call: &CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// Before a push is encoded; may change its header. An error keeps it from being sent and is what the push returns.
    fn pre_write_push(&self, call: &mut CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// After a push was handed to the connection. An error is only logged.
    fn post_write_push(&self, call: &CallCtx) -> impl Future<Output = Result> + Send {
        let _ = call;
        ready(Ok(()))
    }

    /// A pull has come; uri and route have not been looked at, so the header may still be changed, to give it another
    /// route. An error is the reply.
    fn post_read_pull_header(&self, ctx: &mut PullCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// A pull's route is found, its body not decoded. An error is the reply.
    fn pre_read_pull_body(&self, ctx: &PullCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// A pull's body is decoded, the handler has not started. An error is the reply.
    fn post_read_pull_body(&self, ctx: &PullCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// A handler is done; `outcome` is what it returned, without the value. An error is only logged: the reply is sent.
    fn pre_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> impl Future<Output = Result> + Send {
        let _ = (ctx, outcome);
        ready(Ok(()))
    }

    /// After a reply was handed to the connection. An error is only logged.
    fn post_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: std::result::Result<(), &Status>,
    ) -> impl Future<Output = Result> + Send {
        let _ = (ctx, outcome);
        ready(Ok(()))
    }

    /// A push has come; uri and route have not been looked at, so the header may still be changed. An error drops the
    /// push.
    fn post_read_push_header(&self, ctx: &mut PushCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// A push's route is found, its body not decoded. An error drops the push.
    fn pre_read_push_body(&self, ctx: &PushCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }

    /// A push's body is decoded, the handler has not started. An error drops the push.
    fn post_read_push_body(&self, ctx: &PushCtx) -> impl Future<Output = Result> + Send {
        let _ = ctx;
        ready(Ok(()))
    }
}
