//! From a packet to its handler.

use std::sync::Arc;

use bytes::Bytes;

use super::{Table, handler::log_dropped};
use crate::{
    context::{PullCtx, PushCtx},
    plugin::{Chain, Hooks},
    protocol::{Packet, PacketKind},
    session::{
        Pace, Runner, Session,
        dispatch::{BoxFuture, Dispatch, Outbound},
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

    fn pull(&self, session: &Session, packet: Packet, runner: &mut Runner) {
        let room = session.shared().handler_starts();
        let early = self
            .plugins()
            .hooks()
            .contains(Hooks::POST_READ_PULL_HEADER);
        let (ctx, body) = PullCtx::new(session, packet, early);
        if !room {
            return ctx.refuse(&Status::unavailable(
                "too many calls at once on this session",
            ));
        }
        if !session.is_open() {
            return ctx.refuse_closing();
        }
        if early {
            let routes = Arc::clone(&self.routes);
            let first = async move { routes.pull_hooked(ctx, body).await };
            return runner.run(&self.pace, first);
        }
        let endpoint = match found(self.table().pull(ctx.uri())) {
            Ok(endpoint) => endpoint,
            Err(status) => return ctx.refuse(&status),
        };
        match &endpoint.chain {
            None => endpoint.handler.start(ctx, body, &endpoint.pace, runner),
            Some(chain) => {
                let hooked = endpoint.handler.hooked(ctx, body, Arc::clone(chain));
                runner.run(&endpoint.pace, hooked);
            }
        }
    }

    fn push(&self, session: &Session, packet: Packet, runner: &mut Runner) {
        let room = session.shared().handler_starts();
        let (ctx, body) = PushCtx::new(session, packet);
        if !room {
            return log_dropped(
                &ctx,
                &Status::unavailable("too many calls at once on this session"),
            );
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
        match &endpoint.chain {
            None => endpoint.handler.start(ctx, body, &endpoint.pace, runner),
            Some(chain) => {
                let hooked = endpoint.handler.hooked(ctx, body, Arc::clone(chain));
                runner.run(&endpoint.pace, hooked);
            }
        }
    }
}

impl Routes {
    async fn pull_hooked(&self, mut ctx: PullCtx, body: Bytes) {
        if let Err(status) = self.plugins.post_read_pull_header(&mut ctx).await {
            return ctx.refuse(&status);
        }
        let (handler, chain) = match found(self.table.pull(ctx.uri())) {
            Ok(endpoint) => (Arc::clone(&endpoint.handler), endpoint.chain.clone()),
            Err(status) => return ctx.refuse(&status),
        };
        handler.hooked(ctx, body, chain.unwrap_or_default()).await;
    }

    async fn push_hooked(&self, mut ctx: PushCtx, body: Bytes) {
        if let Err(status) = self.plugins.post_read_push_header(&mut ctx).await {
            return log_dropped(&ctx, &status);
        }
        let (handler, chain) = match found(self.table.push(ctx.uri())) {
            Ok(endpoint) => (Arc::clone(&endpoint.handler), endpoint.chain.clone()),
            Err(status) => return log_dropped(&ctx, &status),
        };
        handler.hooked(ctx, body, chain.unwrap_or_default()).await;
    }
}

/// 400 if the uri is none, 404 if nobody answers there.
fn found<T>(endpoint: Result<Option<T>, UriError>) -> Result<T, Status> {
    match endpoint {
        Ok(endpoint) => endpoint.ok_or_else(Status::not_found),
        Err(error) => Err(Status::bad_request(error.to_string())),
    }
}

impl Dispatch for RouterDispatch {
    fn inbound(&self, session: &Session, packet: Packet, runner: &mut Runner) {
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

    fn ended<'a>(&'a self, session: &'a Session) -> BoxFuture<'a, ()> {
        Box::pin(self.plugins().post_disconnect(session))
    }
}
