//! [`Pull`], a request on its way.

use std::{
    borrow::Cow,
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep};
use tracing::Instrument;

use super::{
    Answer, CallCtx, Env, Session,
    call::{self, CallOptions, Head},
    connection::{Finder, Held, On, TRIES, Way},
    dispatch::{BoxFuture, Rejection, ReplyStage},
    exchange::{self, Exchange},
    farewell,
    pending::Taken,
    reason::Reason,
};
use crate::{
    codec::{
        CodecId, Encode,
        probe::{DecodeAs, Plain},
    },
    error::Error,
    protocol::{Header, HeaderCodec, Meta, Packet, PacketKind, Parts, Text},
    socket::scratch::with_scratch,
    status::Status,
};

/// A pull: sent when first polled, ready when its reply has come. Made by [`Session::pull`].
///
/// Made inside a handler whose own caller waits only for so long, it waits no longer than that, and it carries the trace
/// context of that call on.
///
/// # Errors
/// The remote handler's status ([`Error::is_remote`]); a local failure otherwise: the session is closed (100), or ended
/// before the reply (101); the arguments cannot be encoded; the reply's body is not an `R`; the time limit passed.
///
/// # Cancel safety
/// Dropping it before its first poll sends nothing. Dropping it later gives the call up: its place is free at once and
/// a reply that still comes is discarded. The remote handler is told only if the call asks for that, see
/// [`cancel`](Self::cancel).
#[must_use = "a pull does nothing until it is awaited"]
#[repr(C)]
pub struct Pull<'a, A, R, D = Plain> {
    options: CallOptions,
    /// Sessions asked for so far.
    tries: u8,
    decode: D,
    // When the reply comes, no more is looked at than what follows: with thousands of calls under way it is in no cache.
    stage: Stage<'a, A, R>,
    meta: Meta,
    limit: Option<Pin<Box<Sleep>>>,
    uri: Cow<'a, str>,
}

/// Holds what it still needs and no more: with thousands of calls under way, their size decides how often the caches miss.
enum Stage<'a, A, R> {
    Start(On<'a>, A),
    /// A session is being found.
    Finding(&'a dyn Finder, A, BoxFuture<'a, Result<Session, Error>>),
    /// With the arguments, if they can be sent again on another session.
    Sent(Exchange<'a>, Option<A>),
    /// Plugins or logs look at this call: the slow path.
    Hooked(On<'a>, BoxFuture<'a, (Result<R, Error>, Option<A>)>),
    Done,
}

// Nothing in it is ever pinned in place; the futures inside are boxed.
impl<A, R, D> Unpin for Pull<'_, A, R, D> {}

impl<'a, A, R, D> Pull<'a, A, R, D> {
    #[inline]
    pub(crate) fn new(
        on: On<'a>,
        uri: Cow<'a, str>,
        args: A,
        decode: D,
        options: CallOptions,
    ) -> Self {
        Self {
            stage: Stage::Start(on, args),
            uri,
            options,
            meta: Meta::new(),
            limit: None,
            decode,
            tries: 0,
        }
    }

    /// Sets all options at once.
    pub fn options(mut self, options: CallOptions) -> Self {
        self.options = options;
        self
    }

    /// Sends the arguments in this codec; see [`CallOptions::codec`].
    pub fn codec(mut self, codec: CodecId) -> Self {
        self.options = self.options.codec(codec);
        self
    }

    /// Sends the header in this codec.
    pub fn header_codec(mut self, codec: HeaderCodec) -> Self {
        self.options = self.options.header_codec(codec);
        self
    }

    /// Compresses the arguments; see [`CallOptions::gzip`]. The reply comes at the same level.
    pub fn gzip(mut self, level: i32) -> Self {
        self.options = self.options.gzip(level);
        self
    }

    /// Waits no longer than this for the reply, from the first poll on; see [`CallOptions::timeout`].
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.timeout(limit);
        self
    }

    /// Tells the other side when this pull is given up; see [`CallOptions::cancel`].
    pub fn cancel(mut self) -> Self {
        self.options = self.options.cancel();
        self
    }

    /// Sends a value in the header; see [`Meta`].
    pub fn meta(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.meta.insert(name, value);
        self
    }

    /// Sends on the values that came with another packet.
    pub(crate) fn set_meta(&mut self, from: &Header) {
        self.meta = from.meta.clone();
    }

    /// Says where the call went.
    #[cold]
    fn placed(&self, error: Error) -> Error {
        error.at(&self.uri, &self.peer())
    }

    /// Where the call goes, as far as that is known.
    fn peer(&self) -> String {
        match &self.stage {
            Stage::Start(On(Way::Session(session)), _)
            | Stage::Hooked(On(Way::Session(session)), _) => session.peer_addr().to_string(),
            Stage::Sent(exchange, _) => exchange.session().peer_addr().to_string(),
            _ => String::new(),
        }
    }
}

impl<'a, A, R, D> Future for Pull<'a, A, R, D>
where
    A: Encode + Send + 'a,
    D: DecodeAs<R> + Copy + Send + Sync + 'a,
    R: Send + 'a,
{
    type Output = Result<R, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut reply = None;
        let result = match this.poll_stage(cx, &mut reply) {
            Poll::Ready(result) => result,
            Poll::Pending => ready!(this.poll_limit(cx)),
        };
        let failure = match result {
            Ok(()) => None,
            Err(error) => Some(this.placed(error)),
        };
        this.stage = Stage::Done;
        Poll::Ready(match (reply, failure) {
            (Some(reply), None) => Ok(reply),
            (_, failure) => Err(failure.unwrap_or_else(after_the_end)),
        })
    }
}

impl<'a, A, R, D> Pull<'a, A, R, D>
where
    A: Encode + Send + 'a,
    D: DecodeAs<R> + Copy + Send + Sync + 'a,
    R: Send + 'a,
{
    /// Leaves what was replied in `reply`.
    #[inline]
    fn poll_stage(
        &mut self,
        cx: &mut Context<'_>,
        reply: &mut Option<R>,
    ) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.stage {
                Stage::Start(on, _) => match on.0 {
                    Way::Session(session) => {
                        self.inherit(Some(session))?;
                        if self.start_on(Held::Borrowed(session), cx)? {
                            return Poll::Pending;
                        }
                    }
                    Way::Found(finder) => {
                        self.inherit(None)?;
                        self.tries += 1;
                        if let Some(args) = self.stage.take() {
                            self.stage = Stage::Finding(finder, args, finder.find());
                        }
                    }
                },
                Stage::Finding(finder, _, session) => {
                    let finder = *finder;
                    let session = ready!(session.as_mut().poll(cx))?;
                    if self.start_on(Held::Found(session, finder), cx)? {
                        return Poll::Pending;
                    }
                }
                Stage::Sent(exchange, spare) => {
                    let mut taken = Taken::default();
                    let result = ready!(exchange.poll_reply(cx, &mut taken)).and_then(|()| {
                        let answer = taken.answer().ok_or_else(after_the_end)?;
                        decode_reply(exchange.session(), answer, self.decode, reply)
                    });
                    match result {
                        Err(error) if spare.is_some() && error.is_unsent() => self.start_again(),
                        result => return Poll::Ready(result),
                    }
                }
                Stage::Hooked(..) => {
                    if let Some(result) = ready!(self.poll_hooked(cx)) {
                        return Poll::Ready(result.map(|value| *reply = Some(value)));
                    }
                }
                Stage::Done => return Poll::Ready(Err(after_the_end())),
            }
        }
    }

    /// `None` if it is to be sent again on another session.
    #[inline(never)]
    fn poll_hooked(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R, Error>>> {
        let Stage::Hooked(on, future) = &mut self.stage else {
            return Poll::Ready(None);
        };
        match ready!(future.as_mut().poll(cx)) {
            (Err(error), Some(args)) if error.is_unsent() => {
                self.stage = Stage::Start(*on, args);
                Poll::Ready(None)
            }
            (result, _) => Poll::Ready(Some(result)),
        }
    }

    /// The session has not taken the call.
    #[cold]
    fn start_again(&mut self) {
        if let Stage::Sent(exchange, spare) = &mut self.stage
            && let Some(args) = spare.take()
        {
            self.stage = Stage::Start(exchange.held().on(), args);
        }
    }

    /// Before the first try.
    #[inline]
    fn inherit(&mut self, session: Option<&Session>) -> Result<(), Error> {
        if self.tries > 0 {
            return Ok(());
        }
        let inherited = call::inherit(&mut self.options, &mut self.meta, "pull");
        if let Err(error) = &inherited {
            self.tell_unmade(session, error);
        }
        inherited
    }

    #[cold]
    fn tell_unmade(&self, session: Option<&Session>, error: &Error) {
        if let Some(session) = session {
            let seq = session.shared().next_pull();
            call::tell_unmade(session, || self.header(seq), error);
        }
    }

    /// `true` if the frame was handed over, which notes the waker too.
    #[inline]
    fn start_on(&mut self, session: Held<'a>, cx: &mut Context<'_>) -> Result<bool, Error> {
        let seq = session.shared().next_pull();
        let on = session.on();
        let again = self.may_try_again(on);
        let mut meta = match again {
            true => self.meta.clone(),
            false => mem::take(&mut self.meta),
        };
        call::announce(session.shared(), &mut meta);
        if let Some(limit) = &self.limit {
            // A session was waited for.
            self.options.timeout = Some(time_left(limit));
        }
        if session.shared().env.is_watched() {
            self.start_hooked(session, seq, meta);
            return Ok(false);
        }
        let (Stage::Start(_, args) | Stage::Finding(_, args, _)) = &self.stage else {
            return Ok(false);
        };
        let head = Head {
            kind: PacketKind::Pull,
            seq,
            uri: &self.uri,
            meta: &meta,
        };
        // By reference: it would be copied on its way.
        let send = &|frame: &mut Parts| {
            call::encode(session.shared(), &head, &self.options, args, frame)?;
            exchange::hand_over(&session, seq, frame, cx)
        };
        match with_scratch(send) {
            Ok(left) => {
                let waits = left.is_none();
                let spare = match again {
                    true => self.stage.take(),
                    false => None,
                };
                let exchange = Exchange::new(session, seq, self.options.cancel, left);
                self.stage = Stage::Sent(exchange, spare);
                Ok(waits)
            }
            Err(error) => self.not_sent(on, again, error),
        }
    }

    /// Starts again if the session has not taken the call, and another may.
    #[cold]
    fn not_sent(&mut self, on: On<'a>, again: bool, error: Error) -> Result<bool, Error> {
        if !(again && error.is_unsent()) {
            return Err(error);
        }
        if let Some(args) = self.stage.take() {
            self.stage = Stage::Start(on, args);
        }
        Ok(false)
    }

    #[inline(never)]
    fn start_hooked(&mut self, session: Held<'a>, seq: u64, meta: Meta) {
        let on = session.on();
        let mut header = self.header(seq);
        header.meta = meta;
        let call = Hooked {
            header,
            options: self.options,
            deadline: self.deadline(),
            again: self.may_try_again(on),
            session,
        };
        if let Some(args) = self.stage.take() {
            self.stage = Stage::Hooked(on, Box::pin(call.run(args, self.decode)));
        }
    }

    /// On another session, if this one turns out not to have taken the call.
    fn may_try_again(&self, on: On<'_>) -> bool {
        matches!(on.0, Way::Found(_)) && self.tries < TRIES
    }

    fn header(&self, seq: u64) -> Header {
        Header::new(PacketKind::Pull, seq, &*self.uri)
    }

    /// When the time limit passes; `None` if that is beyond what the clock can tell.
    fn deadline(&self) -> Option<Instant> {
        match &self.limit {
            Some(sleep) => Some(sleep.deadline()),
            None => Instant::now().checked_add(self.options.timeout?),
        }
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(limit) = self.options.timeout else {
            return Poll::Pending;
        };
        if let Stage::Hooked(..) = self.stage {
            // It has the limit with it, and tells of its passing.
            return Poll::Pending;
        }
        let sleep = self
            .limit
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(Err(Error::timeout("pull")))
    }
}

impl<A, R> Stage<'_, A, R> {
    /// The arguments, of a call that has not been sent.
    fn take(&mut self) -> Option<A> {
        match mem::replace(self, Self::Done) {
            Self::Start(_, args) | Self::Finding(_, args, _) => Some(args),
            _ => None,
        }
    }
}

impl<A, R, D> fmt::Debug for Pull<'_, A, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("uri", &self.uri)
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}

#[inline(never)]
fn time_left(limit: &Sleep) -> Duration {
    limit.deadline().saturating_duration_since(Instant::now())
}

#[cold]
fn after_the_end() -> Error {
    Error::write("pull", "polled after its end")
}

/// Only 200 is success, whatever body comes with another code.
#[inline]
fn decode_reply<R>(
    session: &Session,
    answer: &Answer,
    decode: impl DecodeAs<R>,
    reply: &mut Option<R>,
) -> Result<(), Error> {
    let env = &session.shared().env;
    if let Some(packet) = answer.failure() {
        return Err(failure(env, packet));
    }
    decode
        .decode_into(&answer.body(), &env.codecs, env.limits.inflated, reply)
        .map_err(|error| Error::decode("pull", error))
}

#[cold]
fn failure(env: &Env, packet: &Packet) -> Error {
    let header = &packet.header;
    if farewell::find(header).is_some() {
        return Error::unsent("pull", Reason::Left);
    }
    let status = Status::new(header.status_code, header.status.clone());
    let status = status.with_reply_body(&packet.body(), env.limits.inflated);
    Error::remote("pull", status)
}

/// A pull that plugins or logs look at.
struct Hooked<'a> {
    session: Held<'a>,
    header: Header,
    options: CallOptions,
    deadline: Option<Instant>,
    again: bool,
}

impl<'a> Hooked<'a> {
    /// Gives the arguments back if they can be sent again.
    async fn run<A, R, D>(self, args: A, decode: D) -> (Result<R, Error>, Option<A>)
    where
        A: Encode + Send + 'a,
        D: DecodeAs<R> + Send + 'a,
        R: Send + 'a,
    {
        let Self {
            session,
            header,
            mut options,
            deadline,
            again,
        } = self;
        let mut call = CallCtx::new(Session::clone(&session), header);
        let span = call.span();
        let refused = |status| Error::write("pull", Rejection(status));
        let mut spare = None;
        let result = {
            let work = async {
                let encoded = call::encode_hooked(&mut call, &mut options, args, refused);
                let (frame, args) = encoded.await?;
                spare = again.then_some(args);
                exchange_hooked(session, options.cancel, &mut call, frame, decode).await
            };
            let work = work.instrument(span);
            match deadline {
                None => work.await,
                Some(deadline) => tokio::time::timeout_at(deadline, work)
                    .await
                    .unwrap_or_else(|_| Err(Error::timeout("pull"))),
            }
        };
        call.end(result.as_ref().err());
        let peer = call.peer_addr().to_string();
        (result.map_err(|error| error.at(call.uri(), &peer)), spare)
    }
}

async fn exchange_hooked<R, D: DecodeAs<R>>(
    session: Held<'_>,
    cancel: bool,
    call: &mut CallCtx,
    mut frame: Parts,
    decode: D,
) -> Result<R, Error> {
    let seq = call.header.seq;
    let hand_over = poll_fn(|cx| {
        let left = exchange::hand_over(&session, seq, &mut frame, cx);
        Poll::Ready(left)
    });
    let left = hand_over.await?;
    let mut exchange = Exchange::new(session, seq, cancel, left);
    poll_fn(|cx| exchange.poll_sent(cx)).await?;
    let session = exchange.session().clone();
    let outbound = session.shared().env.dispatch.outbound();
    if let Some(outbound) = outbound {
        outbound.after_write(call).await;
    }
    let mut taken = Taken::default();
    poll_fn(|cx| exchange.poll_reply(cx, &mut taken)).await?;
    let answer = taken.answer().ok_or_else(after_the_end)?;
    call.set_reply(answer);
    let mut reply = None;
    let decoded = || decode_reply(&session, answer, decode, &mut reply);
    let Some(outbound) = outbound else {
        decoded()?;
        return reply.ok_or_else(after_the_end);
    };
    let rejected = |status| Error::rejected("pull", status);
    for stage in [ReplyStage::Header, ReplyStage::BeforeBody] {
        outbound.reply(stage, call).await.map_err(rejected)?;
    }
    let result = decoded();
    let stage = ReplyStage::AfterBody;
    outbound.reply(stage, call).await.map_err(rejected)?;
    result?;
    reply.ok_or_else(after_the_end)
}
