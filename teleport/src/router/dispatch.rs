//! From a packet to its handler.

use std::{mem, sync::Arc};

use bytes::Bytes;

use super::{PullHandler, PushHandler, Table, handler::log_dropped, table::Endpoint};
use crate::{
    context::{Context, PullCtx, PushCtx},
    plugin::{Chain, Hooks},
    protocol::{Packet, PacketKind},
    session::{
        Pace, Runner, Session, cancel,
        dispatch::{BoxFuture, Dispatch, Outbound},
        heartbeat,
        observer::Observer,
    },
    status::Status,
    uri::UriError,
};

/// Routes the packets of all sessions of one peer.
pub(crate) struct RouterDispatch {
    routes: Arc<Routes>,
    /// For what plugins do before a route is known.
    pace: Arc<Pace>,
}

struct Routes {
    table: Table,
    /// The peer's own plugins.
    plugins: Chain,
}

impl RouterDispatch {
    pub(crate) fn new(table: Table, plugins: Chain) -> Self {
        Self {
            routes: Arc::new(Routes { table, plugins }),
            pace: Arc::default(),
        }
    }

    pub(crate) fn table(&self) -> &Table {
        &self.routes.table
    }

    pub(crate) fn plugins(&self) -> &Chain {
        &self.routes.plugins
    }

    fn pull<'a>(&'a self, session: &Session, packet: &mut Packet, runner: &mut Runner<'a>) {
        if heartbeat::answer(session, packet) {
            return;
        }
        let room = session.shared().room_for_handler();
        let early = self
            .plugins()
            .hooks()
            .contains(Hooks::POST_READ_PULL_HEADER);
        let body = mem::take(&mut packet.body);
        let mut ctx = PullCtx::new(session, packet, &body, early);
        if let Err(text) = room {
            return refuse(ctx, Status::unavailable(text));
        }
        if !session.is_open() {
            return ctx.refuse_closing();
        }
        if early {
            return self.pull_early(ctx, body, runner);
        }
        let endpoint = match found(self.table().pull(ctx.uri())) {
            Ok(endpoint) => endpoint,
            Err(status) => return refuse(ctx, status),
        };
        surround(&mut ctx, &body, endpoint);
        if is_long(&ctx, endpoint) {
            start_long(endpoint, ctx, body, runner);
        } else {
            endpoint.handler.start(ctx, body, &endpoint.pace, runner);
        }
    }

    /// Plugins look at the pull before its route is known.
    #[cold]
    fn pull_early<'a>(&'a self, ctx: PullCtx, body: Bytes, runner: &mut Runner<'a>) {
        let routes = Arc::clone(&self.routes);
        let first = async move { routes.pull_hooked(ctx, body).await };
        runner.run(&self.pace, first);
    }

    #[inline(never)]
    fn push<'a>(&'a self, session: &Session, packet: &mut Packet, runner: &mut Runner<'a>) {
        if cancel::receive(session.shared(), &packet.header.uri) {
            return;
        }
        let room = session.shared().room_for_handler();
        let body = mem::take(&mut packet.body);
        let mut ctx = PushCtx::new(session, packet, &body);
        if let Err(text) = room {
            return log_dropped(&ctx, &Status::unavailable(text));
        }
        if self
            .plugins()
            .hooks()
            .contains(Hooks::POST_READ_PUSH_HEADER)
        {
            let routes = Arc::clone(&self.routes);
            let first = async move { routes.push_hooked(ctx, body).await };
            return runner.run(&self.pace, first);
        }
        let endpoint = match found(self.table().push(ctx.uri())) {
            Ok(endpoint) => endpoint,
            Err(status) => return log_dropped(&ctx, &status),
        };
        surround(&mut ctx, &body, endpoint);
        if is_long(&ctx, endpoint) {
            runner.run(&endpoint.pace, push_work(endpoint, ctx, body));
        } else {
            endpoint.handler.start(ctx, body, &endpoint.pace, runner);
        }
    }
}

impl Routes {
    async fn pull_hooked(&self, mut ctx: PullCtx, body: Bytes) {
        if let Err(status) = self.plugins.post_read_pull_header(&mut ctx).await {
            return ctx.refuse(&status);
        }
        let work = match found(self.table.pull(ctx.uri())) {
            Ok(endpoint) => {
                surround(&mut ctx, &body, endpoint);
                pull_work(endpoint, ctx, body)
            }
            Err(status) => return ctx.refuse(&status),
        };
        work.await;
    }

    async fn push_hooked(&self, mut ctx: PushCtx, body: Bytes) {
        if let Err(status) = self.plugins.post_read_push_header(&mut ctx).await {
            return log_dropped(&ctx, &status);
        }
        let work = match found(self.table.push(ctx.uri())) {
            Ok(endpoint) => {
                surround(&mut ctx, &body, endpoint);
                push_work(endpoint, ctx, body)
            }
            Err(status) => return log_dropped(&ctx, &status),
        };
        work.await;
    }
}

/// Gives the call what its route asks for.
#[inline]
fn surround<H: ?Sized>(ctx: &mut Context, body: &Bytes, endpoint: &Endpoint<H>) {
    if endpoint.cancel || endpoint.slow_threshold.is_some() {
        ctx.surround(body);
    }
    if let (Some(scope), Some(route)) = (ctx.scope(), &endpoint.info) {
        scope.set_route(route);
    }
}

/// The call has to take the long way.
#[inline]
fn is_long<H: ?Sized>(ctx: &Context, endpoint: &Endpoint<H>) -> bool {
    endpoint.hooked || endpoint.cancel || ctx.scope().is_some_and(|scope| scope.is_felt())
}

#[cold]
fn refuse(ctx: PullCtx, status: Status) {
    ctx.refuse(&status);
}

#[inline(never)]
fn start_long<'a>(
    endpoint: &'a Endpoint<dyn PullHandler>,
    ctx: PullCtx,
    body: Bytes,
    runner: &mut Runner<'a>,
) {
    runner.run(&endpoint.pace, pull_work(endpoint, ctx, body));
}

/// The long way of a pull: through the plugins, and within its scope.
fn pull_work(
    endpoint: &Endpoint<dyn PullHandler>,
    ctx: PullCtx,
    body: Bytes,
) -> BoxFuture<'static, ()> {
    let scope = ctx.scope().cloned();
    let (session, seq) = (ctx.session().clone(), ctx.header().seq);
    let work = endpoint
        .handler
        .hooked(ctx, body, Arc::clone(&endpoint.chain));
    match scope {
        None => work,
        Some(scope) if endpoint.cancel => Box::pin(scope.run_stoppable(&session, seq, work)),
        Some(scope) => Box::pin(scope.run(work)),
    }
}

/// As [`pull_work`]. A push cannot be taken back.
fn push_work(
    endpoint: &Endpoint<dyn PushHandler>,
    ctx: PushCtx,
    body: Bytes,
) -> BoxFuture<'static, ()> {
    let scope = ctx.scope().cloned();
    let work = endpoint
        .handler
        .hooked(ctx, body, Arc::clone(&endpoint.chain));
    match scope {
        None => work,
        Some(scope) => Box::pin(scope.run(work)),
    }
}

/// 400 if the uri is none, 404 if nobody answers there.
#[inline]
fn found<T>(endpoint: Result<Option<T>, UriError>) -> Result<T, Status> {
    match endpoint {
        Ok(Some(endpoint)) => Ok(endpoint),
        Ok(None) => Err(Status::not_found()),
        Err(error) => Err(unparsable(&error)),
    }
}

#[cold]
fn unparsable(error: &UriError) -> Status {
    Status::bad_request(error.to_string())
}

impl Dispatch for RouterDispatch {
    fn inbound<'a>(&'a self, session: &Session, packet: &mut Packet, runner: &mut Runner<'a>) {
        if packet.header.kind == PacketKind::Pull {
            self.pull(session, packet, runner);
        } else {
            self.push(session, packet, runner);
        }
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        let plugins = self.plugins();
        plugins
            .hooks()
            .intersects(Hooks::OUTBOUND)
            .then_some(plugins)
    }

    fn observer(&self) -> Option<&dyn Observer> {
        let plugins = self.plugins();
        plugins.hooks().intersects(Hooks::CALL).then_some(plugins)
    }

    fn before_header(&self, session: &Session) -> Option<BoxFuture<'static, Result<(), Status>>> {
        if !self.plugins().hooks().contains(Hooks::PRE_READ_HEADER) {
            return None;
        }
        let (routes, session) = (Arc::clone(&self.routes), session.clone());
        Some(Box::pin(async move {
            routes.plugins.pre_read_header(&session).await
        }))
    }

    fn ended<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, ()> {
        Box::pin(self.plugins().post_disconnect(session))
    }
}
