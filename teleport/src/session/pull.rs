//! [`Pull`], a request on its way.

use std::{
    borrow::Cow,
    fmt,
    future::{Future, poll_fn},
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytestring::ByteString;
use tokio::time::Sleep;

use super::{
    Answer, Session,
    call::{self, CallOptions, Head},
    dispatch::{BoxFuture, Outbound, Rejection, ReplyStage},
    exchange::Exchange,
    farewell,
    shared::Reason,
};
use crate::{
    codec::{
        CodecId, Encode,
        probe::{DecodeAs, Plain},
    },
    error::Error,
    protocol::{Header, HeaderCodec, PacketKind},
    socket::scratch::with_scratch,
    status::Status,
};

/// A pull: sent when first polled, ready when its reply has come. Made by [`Session::pull`].
///
/// # Errors
/// The remote handler's status ([`Error::is_remote`]); a local failure otherwise: the session is closed (100), or ended
/// before the reply (101); the arguments cannot be encoded; the reply's body is not an `R`; the time limit passed.
///
/// # Cancel safety
/// Dropping it before its first poll sends nothing. Dropping it later gives the call up: its place is free at once and
/// a reply that still comes is discarded, but the remote handler is not told.
#[must_use = "a pull does nothing until it is awaited"]
pub struct Pull<'a, A, R, D = Plain> {
    session: &'a Session,
    uri: Cow<'a, str>,
    options: CallOptions,
    decode: D,
    stage: Stage<'a, A, R>,
    limit: Option<Pin<Box<Sleep>>>,
    result: PhantomData<fn() -> R>,
}

enum Stage<'a, A, R> {
    Start(A),
    Sent(Exchange<'a>),
    /// Plugins look at this call: the slow path.
    Hooked(BoxFuture<'a, Result<R, Error>>),
    Done,
}

// Nothing in it is ever pinned in place; the futures inside are boxed.
impl<A, R, D> Unpin for Pull<'_, A, R, D> {}

impl<'a, A, R, D> Pull<'a, A, R, D> {
    pub(crate) fn new(
        session: &'a Session,
        uri: Cow<'a, str>,
        args: A,
        decode: D,
        options: CallOptions,
    ) -> Self {
        Self {
            session,
            uri,
            options,
            decode,
            stage: Stage::Start(args),
            limit: None,
            result: PhantomData,
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

    /// Waits no longer than this for the reply, from the first poll on.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.options = self.options.timeout(limit);
        self
    }

    fn error(&self, error: Error) -> Error {
        error.at(&self.uri, &self.session.peer_addr().to_string())
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
        match this.poll_stage(cx) {
            Poll::Ready(result) => {
                this.stage = Stage::Done;
                Poll::Ready(result.map_err(|error| this.error(error)))
            }
            Poll::Pending => this.poll_limit(cx),
        }
    }
}

impl<'a, A, R, D> Pull<'a, A, R, D>
where
    A: Encode + Send + 'a,
    D: DecodeAs<R> + Copy + Send + Sync + 'a,
    R: Send + 'a,
{
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, Error>> {
        if let Stage::Start(_) = self.stage
            && self.start(cx)?
        {
            return Poll::Pending;
        }
        match &mut self.stage {
            Stage::Sent(exchange) => {
                let answer = ready!(exchange.poll_reply(cx))?;
                Poll::Ready(decode_reply(self.session, &answer, self.decode))
            }
            Stage::Hooked(future) => future.as_mut().poll(cx),
            Stage::Start(_) | Stage::Done => {
                Poll::Ready(Err(Error::write("pull", "polled after its end")))
            }
        }
    }

    /// `true` if the frame was handed over, which notes the waker too.
    fn start(&mut self, cx: &mut Context<'_>) -> Result<bool, Error> {
        let Stage::Start(args) = mem::replace(&mut self.stage, Stage::Done) else {
            return Ok(false);
        };
        let shared = self.session.shared();
        let seq = shared.next_pull();
        if let Some(outbound) = shared.env.dispatch.outbound() {
            let call = Hooked {
                session: self.session,
                uri: ByteString::from(&*self.uri),
                options: self.options,
                seq,
                outbound,
            };
            self.stage = Stage::Hooked(Box::pin(call.run(args, self.decode)));
            return Ok(false);
        }
        with_scratch(|frame| {
            let head = Head {
                kind: PacketKind::Pull,
                seq,
                uri: &self.uri,
            };
            call::encode(shared, head, &self.options, &args, frame)?;
            let exchange = Exchange::start(self.session, seq, frame, cx)?;
            let waits = exchange.waits_for_reply();
            self.stage = Stage::Sent(exchange);
            Ok(waits)
        })
    }

    fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Result<R, Error>> {
        let Some(limit) = self.options.timeout else {
            return Poll::Pending;
        };
        let sleep = self
            .limit
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(sleep.as_mut().poll(cx));
        self.stage = Stage::Done;
        Poll::Ready(Err(self.error(Error::timeout("pull"))))
    }
}

impl<A, R, D> fmt::Debug for Pull<'_, A, R, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pull")
            .field("uri", &self.uri)
            .field("peer", self.session.peer_addr())
            .finish_non_exhaustive()
    }
}

/// Only 200 is success, whatever body comes with another code.
fn decode_reply<R>(
    session: &Session,
    answer: &Answer,
    decode: impl DecodeAs<R>,
) -> Result<R, Error> {
    let env = &session.shared().env;
    if let Some(packet) = answer.failure() {
        let header = &packet.header;
        if farewell::find(header).is_some() {
            return Err(Error::unsent("pull", Reason::Left));
        }
        let status = Status::new(header.status_code, header.status.clone());
        let status = status.with_reply_body(&packet.body(), env.limits.inflated);
        return Err(Error::remote("pull", status));
    }
    decode
        .decode(&answer.body(), &env.codecs, env.limits.inflated)
        .map_err(|error| Error::decode("pull", error))
}

/// A pull that plugins look at.
struct Hooked<'a> {
    session: &'a Session,
    uri: ByteString,
    options: CallOptions,
    seq: u64,
    outbound: &'a dyn Outbound,
}

impl<'a> Hooked<'a> {
    async fn run<A: Encode, R, D: DecodeAs<R>>(self, args: A, decode: D) -> Result<R, Error> {
        let Self {
            session,
            uri,
            mut options,
            seq,
            outbound,
        } = self;
        let mut header = Header::new(PacketKind::Pull, seq, uri);
        header.gzip = options.gzip.unwrap_or(session.shared().env.gzip);
        outbound
            .before_write(session, &mut header)
            .await
            .map_err(|status| Error::write("pull", Rejection(status)))?;
        options.gzip = Some(header.gzip);

        let mut frame = Vec::new();
        let head = Head {
            kind: PacketKind::Pull,
            seq,
            uri: &header.uri,
        };
        call::encode(session.shared(), head, &options, &args, &mut frame)?;
        drop(args);
        let mut exchange =
            poll_fn(|cx| Poll::Ready(Exchange::start(session, seq, &mut frame, cx))).await?;
        poll_fn(|cx| exchange.poll_sent(cx)).await?;
        outbound.after_write(session, &header).await;
        let answer = poll_fn(|cx| exchange.poll_reply(cx)).await?;

        let rejected = |status| Error::rejected("pull", status);
        let header = &answer.header(seq);
        outbound
            .reply(session, ReplyStage::Header, header)
            .await
            .map_err(rejected)?;
        outbound
            .reply(session, ReplyStage::BeforeBody, header)
            .await
            .map_err(rejected)?;
        let result = decode_reply(session, &answer, decode);
        outbound
            .reply(session, ReplyStage::AfterBody, header)
            .await
            .map_err(rejected)?;
        result
    }
}
