//! Handlers of one route, with their types erased: body in, reply out.

use std::{
    any::Any,
    future::Future,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{self, Poll, ready},
};

use bytes::Bytes;
use pin_project_lite::pin_project;

use crate::{
    codec::{
        Body, CodecError, inflated_so_far,
        probe::{DecodeAs, EncodeAs},
    },
    context::{Context, PullCtx, PushCtx},
    plugin::Chain,
    session::{
        Pace, Runner, discard, dispatch::BoxFuture, panic_text, reply::send_when_there_is_room,
        shared::TOO_MUCH,
    },
    status::{Status, code},
};

/// A pull handler whatever its types.
pub(crate) trait PullHandler: Send + Sync {
    /// The fast path: no plugin looks at this call.
    fn start<'a>(&self, ctx: PullCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>);

    /// The same with the hooks of `chain` around it.
    fn hooked(&self, ctx: PullCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()>;
}

/// A push handler whatever its types.
pub(crate) trait PushHandler: Send + Sync {
    fn start<'a>(&self, ctx: PushCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>);

    fn hooked(&self, ctx: PushCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()>;
}

/// How a body becomes `A`, what runs with it, and how its result is encoded.
pub(crate) struct Pull<A, R, D, E, F> {
    decode: D,
    encode: E,
    handler: Arc<F>,
    types: PhantomData<fn(A) -> R>,
}

impl<A, R, D, E, F> Pull<A, R, D, E, F> {
    pub(crate) fn new(decode: D, encode: E, handler: F) -> Self {
        Self {
            decode,
            encode,
            handler: Arc::new(handler),
            types: PhantomData,
        }
    }
}

impl<A, R, D, E, F, Fut> PullHandler for Pull<A, R, D, E, F>
where
    A: Send + 'static,
    R: Send + 'static,
    D: DecodeAs<A> + Copy + Send + Sync + 'static,
    E: EncodeAs<R> + Copy + Send + Sync + 'static,
    F: Fn(PullCtx, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = (PullCtx, Result<R, Status>)> + Send + 'static,
{
    fn start<'a>(&self, ctx: PullCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>) {
        let mut args = None;
        if let Err(status) = decode_into(&ctx, &body, self.decode, &mut args) {
            return refuse(ctx, &status);
        }
        drop(body);
        let Some(args) = args else {
            return refuse(ctx, &no_value());
        };
        let answering = Answering {
            handler: (self.handler)(ctx, args),
            encode: self.encode,
            blocked: None,
        };
        runner.run(pace, answering);
    }

    fn hooked(&self, ctx: PullCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()> {
        let (decode_as, encode) = (self.decode, self.encode);
        let handler = Arc::clone(&self.handler);
        Box::pin(async move {
            if let Err(status) = chain.pre_read_pull_body(&ctx).await {
                return ctx.refuse(&status);
            }
            let args = match decode(&ctx, &body, decode_as) {
                Ok(args) => args,
                Err(status) => return ctx.refuse(&status),
            };
            drop(body);
            if let Err(status) = chain.post_read_pull_body(&ctx).await {
                return ctx.refuse(&status);
            }
            let (ctx, result) = handler(ctx, args).await;
            let failure = result.as_ref().err().cloned();
            let outcome = failure.as_ref().map_or(Ok(()), Err);
            chain.pre_write_reply(&ctx, outcome).await;
            let blocked = ctx.answer(&result, encode);
            discard(result, "a reply");
            if let Some(frame) = blocked {
                send_when_there_is_room(ctx.session(), frame).await;
            }
            chain.post_write_reply(&ctx, outcome).await;
        })
    }
}

pin_project! {
    /// Runs a handler and sends what it returns. Written by hand: it is moved several times on the way to where it runs, and
    /// an `async` block would be twice the size, for it keeps room for what the handler returns.
    struct Answering<Fut, E> {
        #[pin]
        handler: Fut,
        encode: E,
        // The reply, which waits for room.
        blocked: Option<BoxFuture<'static, ()>>,
    }
}

impl<Fut, R, E> Future for Answering<Fut, E>
where
    Fut: Future<Output = (PullCtx, Result<R, Status>)>,
    E: EncodeAs<R> + Copy,
{
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.blocked.is_none() {
            let output = this.handler.poll(cx);
            // Not moved before it is sent: it has just been written.
            let blocked = match &output {
                Poll::Pending => return Poll::Pending,
                Poll::Ready((ctx, result)) => ctx.answer(result, *this.encode),
            };
            let (ctx, result) = ready!(output);
            // There is a reply now: a panic in here must not make it another one, nor lose it.
            discard(result, "a reply");
            match blocked {
                None => return Poll::Ready(()),
                Some(frame) => {
                    *this.blocked = Some(Box::pin(async move {
                        send_when_there_is_room(ctx.session(), frame).await;
                    }));
                }
            }
        }
        match this.blocked {
            Some(sending) => sending.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// As [`Pull`], with nothing to encode.
pub(crate) struct Push<A, D, F> {
    decode: D,
    handler: Arc<F>,
    types: PhantomData<fn(A)>,
}

impl<A, D, F> Push<A, D, F> {
    pub(crate) fn new(decode: D, handler: F) -> Self {
        Self {
            decode,
            handler: Arc::new(handler),
            types: PhantomData,
        }
    }
}

impl<A, D, F, Fut> PushHandler for Push<A, D, F>
where
    A: Send + 'static,
    D: DecodeAs<A> + Copy + Send + Sync + 'static,
    F: Fn(PushCtx, A) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = (PushCtx, Result<(), Status>)> + Send + 'static,
{
    fn start<'a>(&self, ctx: PushCtx, body: Bytes, pace: &'a Arc<Pace>, runner: &mut Runner<'a>) {
        let mut args = None;
        if let Err(status) = decode_into(&ctx, &body, self.decode, &mut args) {
            return log_dropped(&ctx, &status);
        }
        drop(body);
        let Some(args) = args else {
            return log_dropped(&ctx, &no_value());
        };
        let future = (self.handler)(ctx, args);
        runner.run(pace, async move {
            let (ctx, result) = future.await;
            log_failed(&ctx, result);
        });
    }

    fn hooked(&self, ctx: PushCtx, body: Bytes, chain: Arc<Chain>) -> BoxFuture<'static, ()> {
        let decode_as = self.decode;
        let handler = Arc::clone(&self.handler);
        Box::pin(async move {
            if let Err(status) = chain.pre_read_push_body(&ctx).await {
                return log_dropped(&ctx, &status);
            }
            let args = match decode(&ctx, &body, decode_as) {
                Ok(args) => args,
                Err(status) => return log_dropped(&ctx, &status),
            };
            drop(body);
            if let Err(status) = chain.post_read_push_body(&ctx).await {
                return log_dropped(&ctx, &status);
            }
            let (ctx, result) = handler(ctx, args).await;
            log_failed(&ctx, result);
        })
    }
}

/// The handler does not run.
#[cold]
fn refuse(ctx: PullCtx, status: &Status) {
    ctx.refuse(status);
}

/// Reads a body, or says in a status why it cannot be read.
pub(crate) fn decode<A>(
    ctx: &Context,
    body: &Bytes,
    decode: impl DecodeAs<A>,
) -> Result<A, Status> {
    let mut place = None;
    decode_into(ctx, body, decode, &mut place)?;
    place.ok_or_else(no_value)
}

/// As [`decode`]; see [`DecodeAs::decode_into`].
#[inline]
fn decode_into<A>(
    ctx: &Context,
    body: &Bytes,
    decode: impl DecodeAs<A>,
    place: &mut Option<A>,
) -> Result<(), Status> {
    match ctx.header().gzip {
        0 => read(ctx, body, decode, place),
        _ => inflate(ctx, body, decode, place),
    }
}

#[cold]
fn no_value() -> Status {
    Status::internal("the codec gave no value")
}

#[inline(never)]
fn inflate<A>(
    ctx: &Context,
    body: &Bytes,
    decode: impl DecodeAs<A>,
    place: &mut Option<A>,
) -> Result<(), Status> {
    // Of a small packet it may make a large value.
    let memory = &ctx.session().shared().memory;
    if !memory.has_room() {
        return Err(Status::unavailable(TOO_MUCH));
    }
    let before = inflated_so_far();
    read(ctx, body, decode, place)?;
    let inflated = inflated_so_far().wrapping_sub(before);
    if inflated > 0 {
        // Until the handler ends.
        ctx.values().insert(memory.hold(inflated));
    }
    Ok(())
}

/// Reading runs the user's code, in the connection's own task: a panic is the status 500.
#[inline]
fn read<A>(
    ctx: &Context,
    body: &Bytes,
    decode: impl DecodeAs<A>,
    place: &mut Option<A>,
) -> Result<(), Status> {
    let env = &ctx.session().shared().env;
    let body = Body::new(body, ctx.header().gzip);
    let read = || decode.decode_into(&body, &env.codecs, env.limits.inflated, place);
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| half_read(place, unreadable(&error))),
        Err(panic) => Err(half_read(place, panicked(ctx, panic.as_ref()))),
    }
}

/// What there is of the value is the user's too, and goes here.
#[cold]
fn half_read<A>(place: &mut Option<A>, failure: Status) -> Status {
    discard(place.take(), "a value that was half read");
    failure
}

#[cold]
fn panicked(ctx: &Context, panic: &(dyn Any + Send)) -> Status {
    let text = panic_text(panic);
    tracing::error!(uri = &*ctx.shown_uri(), peer = %ctx.peer_addr(), panic = text, "reading a body panicked");
    Status::internal(text)
}

#[cold]
fn unreadable(error: &CodecError) -> Status {
    if error.is_unsupported() {
        Status::unsupported_codec(error.to_string())
    } else {
        Status::new(code::BAD_REQUEST, error.to_string())
    }
}

/// The handler of a push does not run.
pub(crate) fn log_dropped(ctx: &PushCtx, status: &Status) {
    ctx.end(Err(status));
    tracing::warn!(uri = &*ctx.shown_uri(), peer = %ctx.peer_addr(), %status, "a push was dropped");
}

/// The handler of a push is done.
pub(crate) fn log_failed(ctx: &PushCtx, result: Result<(), Status>) {
    ctx.end(result.as_ref().copied());
    if let Err(status) = result {
        let cause = status.cause().map(ToString::to_string);
        tracing::warn!(uri = &*ctx.shown_uri(), peer = %ctx.peer_addr(), %status, cause, "a push handler failed");
    }
}
