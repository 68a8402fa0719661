//! Handlers for uris without a route.

use std::{fmt, future::Future, ops::Deref, sync::Arc};

use bytes::Bytes;

use super::handler::{PullHandler, PushHandler, decode, log_dropped, log_failed};
use crate::{
    codec::{Decode, Encode, probe::Plain},
    context::{PullCtx, PushCtx},
    plugin::Chain,
    session::{Pace, Runner, discard, dispatch::BoxFuture, reply::send_when_there_is_room},
    status::Status,
};

/// A pull that no route answers: its context, and its body as it came.
#[derive(Clone, Debug)]
pub struct UnknownPull {
    ctx: Arc<PullCtx>,
    body: Bytes,
}

impl UnknownPull {
    /// The whole body as it came, codec id first; compressed if the header says so. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Reads the body in the codec that it came in.
    ///
    /// # Errors
    /// 400 with what is wrong, or 415 if its codec cannot fill a `T`: ready to be returned.
    pub fn bind<T: Decode>(&self) -> Result<T, Status> {
        decode(&self.ctx, &self.body, Plain)
    }
}

impl Deref for UnknownPull {
    type Target = PullCtx;

    fn deref(&self) -> &PullCtx {
        &self.ctx
    }
}

/// A push that no route takes: its context, and its body as it came.
#[derive(Clone, Debug)]
pub struct UnknownPush {
    ctx: Arc<PushCtx>,
    body: Bytes,
}

impl UnknownPush {
    /// The whole body as it came, codec id first; compressed if the header says so. Empty if there is none.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Reads the body in the codec that it came in.
    ///
    /// # Errors
    /// 400 with what is wrong, or 415 if its codec cannot fill a `T`.
    pub fn bind<T: Decode>(&self) -> Result<T, Status> {
        decode(&self.ctx, &self.body, Plain)
    }
}

impl Deref for UnknownPush {
    type Target = PushCtx;

    fn deref(&self) -> &PushCtx {
        &self.ctx
    }
}

pub(super) fn pull_handler<F, Fut, R>(handler: F) -> Arc<dyn PullHandler>
where
    F: Fn(UnknownPull) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Status>> + Send + 'static,
    R: Encode + Send + 'static,
{
    Arc::new(Handler(Arc::new(handler)))
}

pub(super) fn push_handler<F, Fut>(handler: F) -> Arc<dyn PushHandler>
where
    F: Fn(UnknownPush) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Status>> + Send + 'static,
{
    Arc::new(Handler(Arc::new(handler)))
}

struct Handler<F>(Arc<F>);

async fn answer<R: Encode>(ctx: &PullCtx, result: Result<R, Status>) {
    let blocked = ctx.answer(&result, Plain);
    discard(result, "a reply");
    if let Some(frame) = blocked {
        Box::pin(send_when_there_is_room(ctx.session(), frame)).await;
    }
}

impl<F, Fut, R> PullHandler for Handler<F>
where
    F: Fn(UnknownPull) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, Status>> + Send + 'static,
    R: Encode + Send + 'static,
{
    fn start<'a>(&self, ctx: PullCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>) {
        let ctx = Arc::new(ctx);
        let pull = UnknownPull {
            ctx: Arc::clone(&ctx),
            body,
        };
        let handler = Arc::clone(&self.0);
        // Called inside: a handler may panic before there is a future.
        runner.run(pace, async move {
            answer(&ctx, handler(pull).await).await;
        });
    }

    fn hooked(&self, ctx: PullCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()> {
        let handler = Arc::clone(&self.0);
        Box::pin(async move {
            if let Err(status) = chain.pre_read_pull_body(&ctx).await {
                return ctx.refuse(&status);
            }
            if let Err(status) = chain.post_read_pull_body(&ctx).await {
                return ctx.refuse(&status);
            }
            let ctx = Arc::new(ctx);
            let pull = UnknownPull {
                ctx: Arc::clone(&ctx),
                body,
            };
            let result = handler(pull).await;
            let failure = result.as_ref().err().cloned();
            let outcome = failure.as_ref().map_or(Ok(()), Err);
            chain.pre_write_reply(&ctx, outcome).await;
            answer(&ctx, result).await;
            chain.post_write_reply(&ctx, outcome).await;
        })
    }
}

impl<F, Fut> PushHandler for Handler<F>
where
    F: Fn(UnknownPush) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Status>> + Send + 'static,
{
    fn start<'a>(&self, ctx: PushCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>) {
        let ctx = Arc::new(ctx);
        let push = UnknownPush {
            ctx: Arc::clone(&ctx),
            body,
        };
        let handler = Arc::clone(&self.0);
        runner.run(pace, async move { log_failed(&ctx, handler(push).await) });
    }

    fn hooked(&self, ctx: PushCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()> {
        let handler = Arc::clone(&self.0);
        Box::pin(async move {
            if let Err(status) = chain.pre_read_push_body(&ctx).await {
                return log_dropped(&ctx, &status);
            }
            if let Err(status) = chain.post_read_push_body(&ctx).await {
                return log_dropped(&ctx, &status);
            }
            let ctx = Arc::new(ctx);
            let push = UnknownPush {
                ctx: Arc::clone(&ctx),
                body,
            };
            log_failed(&ctx, handler(push).await);
        })
    }
}

impl<F> fmt::Debug for Handler<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handler")
    }
}
