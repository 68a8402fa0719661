//! [`Push`], a one-way message on its way.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytestring::ByteString;
use tracing::Instrument;

use super::{
    CallCtx, Session,
    call::{self, CallOptions, Head},
    connection::{Held, On, TRIES, Way},
    dispatch::BoxFuture,
    exchange,
    shared::{Frame, Refused},
};
use crate::{
    codec::{CodecId, Encode},
    error::Error,
    protocol::{Header, HeaderCodec, Meta, PacketKind},
    socket::scratch::with_scratch,
};

/// A push: handed to the connection when first polled, ready at once unless the connection's buffer is full. Made by
/// [`Session::push`].
///
/// Ready means handed over, not arrived: nothing on the wire confirms a push.
///
/// # Errors
/// The session is closed (100), the arguments cannot be encoded, or a plugin on this side refused.
///
/// # Cancel safety
/// Dropping it before it is ready sends nothing.
#[must_use = "a push does nothing until it is awaited"]
pub struct Push<'a, A> {
    on: On<'a>,
    uri: Cow<'a, str>,
    options: CallOptions,
    meta: Meta,
    stage: Stage<'a, A>,
    /// Sessions asked for so far.
    tries: u8,
}

enum Stage<'a, A> {
    Start(A),
    /// A session is being found.
    Finding(A, BoxFuture<'a, Result<Session, Error>>),
    /// The outbox is full.
    Blocked(Held<'a>, Vec<u8>, BoxFuture<'a, ()>),
    /// Plugins or logs look at it: the slow path.
    Hooked(BoxFuture<'a, Result<(), Error>>),
    Done,
}

// Nothing in it is ever pinned in place; the futures inside are boxed.
impl<A> Unpin for Push<'_, A> {}

impl<'a, A> Push<'a, A> {
    pub(crate) fn new(on: On<'a>, uri: Cow<'a, str>, args: A, options: CallOptions) -> Self {
        Self {
            on,
            uri,
            options,
            meta: Meta::new(),
            stage: Stage::Start(args),
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

    /// Compresses the arguments; see [`CallOptions::gzip`].
    pub fn gzip(mut self, level: i32) -> Self {
        self.options = self.options.gzip(level);
        self
    }

    /// Sends a value in the header; see [`Meta`].
    pub fn meta(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.meta.insert(name, value);
        self
    }

    /// Sends on the values that came with another packet.
    pub(crate) fn set_meta(&mut self, from: &Header) {
        self.meta = from.meta.clone();
    }

    /// Where the push goes, as far as that is known.
    fn peer(&self) -> String {
        match (&self.on.0, &self.stage) {
            (Way::Session(session), _) => session.peer_addr().to_string(),
            (_, Stage::Blocked(session, ..)) => session.peer_addr().to_string(),
            _ => String::new(),
        }
    }
}

impl<'a, A: Encode + Send + 'a> Future for Push<'a, A> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = ready!(this.poll_stage(cx));
        let result = result.map_err(|error| error.at(&this.uri, &this.peer()));
        this.stage = Stage::Done;
        Poll::Ready(result)
    }
}

impl<'a, A: Encode + Send + 'a> Push<'a, A> {
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.stage {
                Stage::Start(_) => self.start()?,
                Stage::Finding(_, session) => {
                    let session = ready!(session.as_mut().poll(cx))?;
                    if let Stage::Finding(args, _) = mem::replace(&mut self.stage, Stage::Done) {
                        self.start_on(Held::Owned(session), args)?;
                    }
                }
                Stage::Blocked(_, _, room) => {
                    ready!(room.as_mut().poll(cx));
                    if let Stage::Blocked(session, mut frame, _) =
                        mem::replace(&mut self.stage, Stage::Done)
                    {
                        self.stage = hand_over(session, &mut frame)?;
                    }
                }
                Stage::Hooked(future) => return future.as_mut().poll(cx),
                Stage::Done => return Poll::Ready(Ok(())),
            }
        }
    }

    fn start(&mut self) -> Result<(), Error> {
        let Stage::Start(args) = mem::replace(&mut self.stage, Stage::Done) else {
            return Ok(());
        };
        if self.tries == 0
            && let Err(error) = call::inherit(&mut self.options, &mut self.meta, "push")
        {
            if let Way::Session(session) = self.on.0 {
                let seq = session.shared().next_push();
                call::tell_unmade(session, || self.header(seq), &error);
            }
            return Err(error);
        }
        match self.on.0 {
            Way::Session(session) => self.start_on(Held::Borrowed(session), args),
            Way::Found(finder) => {
                self.tries += 1;
                self.stage = Stage::Finding(args, finder.find());
                Ok(())
            }
        }
    }

    fn start_on(&mut self, session: Held<'a>, args: A) -> Result<(), Error> {
        if let Way::Found(_) = self.on.0
            && self.tries < TRIES
            && !session.is_open()
        {
            self.stage = Stage::Start(args);
            return Ok(());
        }
        let seq = session.shared().next_push();
        call::announce(session.shared(), &mut self.meta);
        if session.shared().env.is_watched() {
            let mut header = self.header(seq);
            header.meta = mem::take(&mut self.meta);
            self.stage = Stage::Hooked(Box::pin(run_hooked(session, header, self.options, args)));
            return Ok(());
        }
        self.stage = with_scratch(|frame| {
            let head = Head {
                kind: PacketKind::Push,
                seq,
                uri: &self.uri,
                meta: &self.meta,
            };
            call::encode(session.shared(), head, &self.options, &args, frame)?;
            hand_over(session, frame)
        })?;
        Ok(())
    }

    fn header(&self, seq: u64) -> Header {
        Header::new(PacketKind::Push, seq, ByteString::from(&*self.uri))
    }
}

fn hand_over<'a, A>(session: Held<'a>, frame: &mut Vec<u8>) -> Result<Stage<'a, A>, Error> {
    match session.shared().enqueue(Frame::Push, frame) {
        Ok(()) => Ok(Stage::Done),
        Err(Refused::Full) => {
            let room = exchange::room(&session);
            Ok(Stage::Blocked(session, mem::take(frame), room))
        }
        Err(Refused::Closed(closed)) => Err(Error::unsent("push", closed)),
    }
}

/// A push that plugins or logs look at.
async fn run_hooked<A: Encode + Send>(
    session: Held<'_>,
    header: Header,
    options: CallOptions,
    args: A,
) -> Result<(), Error> {
    let mut call = CallCtx::new(session.clone(), header);
    let span = call.span();
    let work = send_hooked(&session, options, &mut call, args);
    let result = work.instrument(span).await;
    call.end(result.as_ref().err());
    result.map_err(|error| error.at(call.uri(), &call.peer_addr().to_string()))
}

async fn send_hooked<A: Encode>(
    session: &Session,
    mut options: CallOptions,
    call: &mut CallCtx,
    args: A,
) -> Result<(), Error> {
    let refused = |status| Error::rejected("push", status);
    let mut frame = call::encode_hooked(call, &mut options, args, refused).await?;
    let shared = session.shared();
    loop {
        match shared.enqueue(Frame::Push, &mut frame) {
            Ok(()) => break,
            Err(Refused::Full) => shared.wait_for_room().await,
            Err(Refused::Closed(closed)) => return Err(Error::unsent("push", closed)),
        }
    }
    if let Some(outbound) = shared.env.dispatch.outbound() {
        outbound.after_write(call).await;
    }
    Ok(())
}

impl<A> fmt::Debug for Push<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("uri", &self.uri)
            .field("peer", &self.peer())
            .finish_non_exhaustive()
    }
}
