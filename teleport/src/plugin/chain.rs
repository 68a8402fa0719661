//! Several plugins, run in order.

use std::{
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{Closing, Hooks, Plugin};
use crate::{
    context::{PullCtx, PushCtx},
    protocol::PacketKind,
    route::RouteInfo,
    session::{
        CallCtx, CallEnd, CallInfo, Handshake, Session, caught,
        dispatch::{BoxFuture, Outbound, ReplyStage},
        observer::Observer,
        panic_text,
    },
    status::Status,
};

type Outcome<'a> = Result<(), &'a Status>;

/// Writes the object-safe twin of [`Plugin`].
macro_rules! twin {
    ($a:lifetime; $($method:ident($($arg:ident: $ty:ty),*) -> $out:ty;)*) => {
        /// [`Plugin`] with boxed futures, so that plugins of several types make one chain.
        pub(crate) trait DynPlugin: Send + Sync + 'static {
            fn name(&self) -> &str;
            fn hooks(&self) -> Hooks;
            fn post_route(&self, route: &RouteInfo) -> Result<(), Status>;
            fn pre_call(&self, call: &CallInfo<'_>);
            fn post_call(&self, call: &CallInfo<'_>, end: &CallEnd<'_>);
            $(fn $method<$a>(&$a self, $($arg: $ty),*) -> BoxFuture<$a, $out>;)*
        }

        impl<P: Plugin> DynPlugin for P {
            fn name(&self) -> &str {
                Plugin::name(self)
            }
            fn hooks(&self) -> Hooks {
                Plugin::hooks(self)
            }
            fn post_route(&self, route: &RouteInfo) -> Result<(), Status> {
                Plugin::post_route(self, route)
            }
            fn pre_call(&self, call: &CallInfo<'_>) {
                Plugin::pre_call(self, call);
            }
            fn post_call(&self, call: &CallInfo<'_>, end: &CallEnd<'_>) {
                Plugin::post_call(self, call, end);
            }
            $(fn $method<$a>(&$a self, $($arg: $ty),*) -> BoxFuture<$a, $out> {
                // Called inside: a hook may panic before there is a future.
                let work = async move { Plugin::$method(self, $($arg),*).await };
                Box::pin(run(self, stringify!($method), work))
            })*
        }
    };
}

twin! { 'a;
    post_dial(handshake: &'a mut Handshake<'_>) -> Result<(), Status>;
    post_accept(handshake: &'a mut Handshake<'_>) -> Result<(), Status>;
    post_disconnect(session: &'a Session) -> ();
    pre_read_header(session: &'a Session) -> Result<(), Status>;
    pre_write_pull(call: &'a mut CallCtx) -> Result<(), Status>;
    post_write_pull(call: &'a CallCtx) -> Result<(), Status>;
    post_read_reply_header(call: &'a CallCtx) -> Result<(), Status>;
    pre_read_reply_body(call: &'a CallCtx) -> Result<(), Status>;
    post_read_reply_body(call: &'a CallCtx) -> Result<(), Status>;
    pre_write_push(call: &'a mut CallCtx) -> Result<(), Status>;
    post_write_push(call: &'a CallCtx) -> Result<(), Status>;
    post_read_pull_header(ctx: &'a mut PullCtx) -> Result<(), Status>;
    pre_read_pull_body(ctx: &'a PullCtx) -> Result<(), Status>;
    post_read_pull_body(ctx: &'a PullCtx) -> Result<(), Status>;
    pre_write_reply(ctx: &'a PullCtx, outcome: Outcome<'a>) -> Result<(), Status>;
    post_write_reply(ctx: &'a PullCtx, outcome: Outcome<'a>) -> Result<(), Status>;
    post_read_push_header(ctx: &'a mut PushCtx) -> Result<(), Status>;
    pre_read_push_body(ctx: &'a PushCtx) -> Result<(), Status>;
    post_read_push_body(ctx: &'a PushCtx) -> Result<(), Status>;
    pre_close(closing: Closing) -> ();
}

/// Plugins in the order in which they run.
#[derive(Clone, Default)]
pub(crate) struct Chain {
    plugins: Vec<Arc<dyn DynPlugin>>,
    hooks: Hooks,
}

/// Runs one hook of all plugins that have it, until one refuses.
macro_rules! each {
    ($chain:expr, $hook:ident, $plugin:ident => $call:expr) => {{
        for $plugin in $chain.with(Hooks::$hook) {
            $call.await?;
        }
        Ok(())
    }};
}

/// The same where a refusal is only logged.
macro_rules! each_logged {
    ($chain:expr, $hook:ident, $plugin:ident => $call:expr) => {
        for $plugin in $chain.with(Hooks::$hook) {
            if let Err(status) = $call.await {
                tracing::warn!(plugin = $plugin.name(), hook = ?Hooks::$hook, %status, "a hook failed");
            }
        }
    };
}

impl Chain {
    pub(crate) fn push(&mut self, plugin: Arc<dyn DynPlugin>) {
        self.hooks = self.hooks | plugin.hooks();
        self.plugins.push(plugin);
    }

    /// `self`, then `inner`.
    pub(crate) fn then(&self, inner: &[Arc<dyn DynPlugin>]) -> Self {
        let mut all = self.clone();
        for plugin in inner {
            all.push(Arc::clone(plugin));
        }
        all
    }

    pub(crate) fn hooks(&self) -> Hooks {
        self.hooks
    }

    fn with(&self, hook: Hooks) -> impl Iterator<Item = &Arc<dyn DynPlugin>> {
        let hooked = move |plugin: &&Arc<dyn DynPlugin>| plugin.hooks().contains(hook);
        self.plugins.iter().filter(hooked)
    }

    /// Shows a route to all plugins. An error names the plugin that refused it.
    pub(crate) fn post_route(&self, route: &RouteInfo) -> Result<(), RouteRefused> {
        for plugin in &self.plugins {
            plugin.post_route(route).map_err(|status| RouteRefused {
                uri: route.uri.clone(),
                plugin: plugin.name().to_owned(),
                status,
            })?;
        }
        Ok(())
    }

    pub(crate) async fn pre_read_header(&self, session: &Session) -> Result<(), Status> {
        each!(self, PRE_READ_HEADER, plugin => plugin.pre_read_header(session))
    }

    pub(crate) async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        each!(self, POST_DIAL, plugin => plugin.post_dial(handshake))
    }

    pub(crate) async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        each!(self, POST_ACCEPT, plugin => plugin.post_accept(handshake))
    }

    pub(crate) async fn post_disconnect(&self, session: &Session) {
        for plugin in self.with(Hooks::POST_DISCONNECT) {
            plugin.post_disconnect(session).await;
        }
    }

    /// In the reverse order: what was built up last is taken down first.
    pub(crate) async fn pre_close(&self, closing: Closing) {
        let plugins: Vec<_> = self.with(Hooks::PRE_CLOSE).collect();
        for plugin in plugins.into_iter().rev() {
            plugin.pre_close(closing).await;
        }
    }

    pub(crate) async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        each!(self, POST_READ_PULL_HEADER, plugin => plugin.post_read_pull_header(ctx))
    }

    pub(crate) async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        each!(self, PRE_READ_PULL_BODY, plugin => plugin.pre_read_pull_body(ctx))
    }

    pub(crate) async fn post_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        each!(self, POST_READ_PULL_BODY, plugin => plugin.post_read_pull_body(ctx))
    }

    pub(crate) async fn pre_write_reply(&self, ctx: &PullCtx, outcome: Outcome<'_>) {
        each_logged!(self, PRE_WRITE_REPLY, plugin => plugin.pre_write_reply(ctx, outcome));
    }

    pub(crate) async fn post_write_reply(&self, ctx: &PullCtx, outcome: Outcome<'_>) {
        each_logged!(self, POST_WRITE_REPLY, plugin => plugin.post_write_reply(ctx, outcome));
    }

    pub(crate) async fn post_read_push_header(&self, ctx: &mut PushCtx) -> Result<(), Status> {
        each!(self, POST_READ_PUSH_HEADER, plugin => plugin.post_read_push_header(ctx))
    }

    pub(crate) async fn pre_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        each!(self, PRE_READ_PUSH_BODY, plugin => plugin.pre_read_push_body(ctx))
    }

    pub(crate) async fn post_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        each!(self, POST_READ_PUSH_BODY, plugin => plugin.post_read_push_body(ctx))
    }
}

impl Outbound for Chain {
    fn before_write<'a>(&'a self, call: &'a mut CallCtx) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            if call.header().kind == PacketKind::Pull {
                each!(self, PRE_WRITE_PULL, plugin => plugin.pre_write_pull(call))
            } else {
                each!(self, PRE_WRITE_PUSH, plugin => plugin.pre_write_push(call))
            }
        })
    }

    fn after_write<'a>(&'a self, call: &'a CallCtx) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if call.header().kind == PacketKind::Pull {
                each_logged!(self, POST_WRITE_PULL, plugin => plugin.post_write_pull(call));
            } else {
                each_logged!(self, POST_WRITE_PUSH, plugin => plugin.post_write_push(call));
            }
        })
    }

    fn reply<'a>(
        &'a self,
        stage: ReplyStage,
        call: &'a CallCtx,
    ) -> BoxFuture<'a, Result<(), Status>> {
        Box::pin(async move {
            match stage {
                ReplyStage::Header => {
                    each!(self, POST_READ_REPLY_HEADER, plugin => plugin.post_read_reply_header(call))
                }
                ReplyStage::BeforeBody => {
                    each!(self, PRE_READ_REPLY_BODY, plugin => plugin.pre_read_reply_body(call))
                }
                ReplyStage::AfterBody => {
                    each!(self, POST_READ_REPLY_BODY, plugin => plugin.post_read_reply_body(call))
                }
            }
        })
    }
}

impl Observer for Chain {
    fn begins(&self, call: &CallInfo<'_>) {
        for plugin in self.with(Hooks::PRE_CALL) {
            guarded(&**plugin, "pre_call", || plugin.pre_call(call));
        }
    }

    fn ended(&self, call: &CallInfo<'_>, end: &CallEnd<'_>) {
        for plugin in self.with(Hooks::POST_CALL) {
            guarded(&**plugin, "post_call", || plugin.post_call(call, end));
        }
    }
}

/// These hooks run where values are dropped, maybe because of a panic: a second one would end the process.
fn guarded(plugin: &dyn DynPlugin, hook: &str, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        log_panic(plugin.name(), hook, panic_text(panic.as_ref()));
    }
}

/// A hook that panics has failed, and nothing else has: not the task that awaits it, which may be a session's or a link's.
async fn run<P: Plugin, T: Failing>(plugin: &P, hook: &str, work: impl Future<Output = T>) -> T {
    caught(work).await.unwrap_or_else(|text| {
        log_panic(plugin.name(), hook, &text);
        T::failed(text)
    })
}

fn log_panic(plugin: &str, hook: &str, text: &str) {
    tracing::error!(plugin, hook, panic = text, "a hook panicked");
}

/// What a hook gives.
trait Failing {
    /// It has panicked.
    fn failed(text: String) -> Self;
}

impl Failing for () {
    fn failed(_: String) {}
}

impl Failing for Result<(), Status> {
    fn failed(text: String) -> Self {
        Err(Status::internal(text))
    }
}

/// A plugin does not want a route. The source of the error that building a peer gives.
#[derive(Debug)]
pub(crate) struct RouteRefused {
    uri: String,
    plugin: String,
    status: Status,
}

impl fmt::Display for RouteRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            uri,
            plugin,
            status,
        } = self;
        write!(f, "the plugin `{plugin}` refuses the route {uri}: {status}")
    }
}

impl std::error::Error for RouteRefused {}
