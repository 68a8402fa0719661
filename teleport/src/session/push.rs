//! [`Push`], a one-way message on its way.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

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
    protocol::{Header, HeaderCodec, Meta, PacketKind, Parts, Text},
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
    Blocked(Blocked<'a, A>),
    /// Plugins or logs look at it: the slow path.
    Hooked(BoxFuture<'a, (Result<(), Error>, Option<A>)>),
    Done,
}

/// A frame that waits for room.
struct Blocked<'a, A> {
    session: Held<'a>,
    frame: Parts,
    room: BoxFuture<'a, ()>,
    /// The arguments, if they can be sent again on another session.
    spare: Option<A>,
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
    pub fn meta(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
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
            (_, Stage::Blocked(blocked)) => blocked.session.peer_addr().to_string(),
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
                    if let Stage::Finding(args, _) = mem::replace(&mut self.stage, Stage::Done)
                        && let Way::Found(finder) = self.on.0
                    {
                        self.start_on(Held::Found(session, finder), args)?;
                    }
                }
                Stage::Blocked(blocked) => {
                    ready!(blocked.room.as_mut().poll(cx));
                    if let Stage::Blocked(blocked) = mem::replace(&mut self.stage, Stage::Done) {
                        let mut frame = blocked.frame;
                        self.hand_over(blocked.session, &mut frame, blocked.spare)?;
                    }
                }
                Stage::Hooked(future) => match ready!(future.as_mut().poll(cx)) {
                    (Err(error), Some(args)) if error.is_unsent() => {
                        self.stage = Stage::Start(args);
                    }
                    (result, _) => return Poll::Ready(result),
                },
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
        let seq = session.shared().next_push();
        // On another session, if this one turns out not to take it.
        let again = matches!(self.on.0, Way::Found(_)) && self.tries < TRIES;
        let mut meta = match again {
            true => self.meta.clone(),
            false => mem::take(&mut self.meta),
        };
        call::announce(session.shared(), &mut meta);
        if session.shared().env.is_watched() {
            let mut header = self.header(seq);
            header.meta = meta;
            let work = run_hooked(session, header, self.options, args, again);
            self.stage = Stage::Hooked(Box::pin(work));
            return Ok(());
        }
        with_scratch(|frame| {
            let head = Head {
                kind: PacketKind::Push,
                seq,
                uri: &self.uri,
                meta: &meta,
            };
            call::encode(session.shared(), &head, &self.options, &args, frame)?;
            self.hand_over(session, frame, again.then_some(args))
        })
    }

    fn hand_over(
        &mut self,
        session: Held<'a>,
        frame: &mut Parts,
        spare: Option<A>,
    ) -> Result<(), Error> {
        match (session.shared().enqueue(Frame::Push, frame), spare) {
            (Ok(()), _) => self.stage = Stage::Done,
            (Err(Refused::Full), spare) => {
                self.stage = Stage::Blocked(Blocked {
                    room: exchange::room(&session),
                    session,
                    frame: mem::take(frame),
                    spare,
                });
            }
            (Err(Refused::Closed(_)), Some(args)) => self.stage = Stage::Start(args),
            (Err(Refused::Closed(closed)), None) => return Err(Error::unsent("push", closed)),
        }
        Ok(())
    }

    fn header(&self, seq: u64) -> Header {
        Header::new(PacketKind::Push, seq, &*self.uri)
    }
}

/// A push that plugins or logs look at. Gives the arguments back if they can be sent again.
async fn run_hooked<A: Encode + Send>(
    session: Held<'_>,
    header: Header,
    mut options: CallOptions,
    args: A,
    again: bool,
) -> (Result<(), Error>, Option<A>) {
    let mut call = CallCtx::new(session.clone(), header);
    let span = call.span();
    let refused = |status| Error::rejected("push", status);
    let mut spare = None;
    let work = async {
        let encoded = call::encode_hooked(&mut call, &mut options, args, refused);
        let (frame, args) = encoded.await?;
        spare = again.then_some(args);
        send_hooked(&session, &mut call, frame).await
    };
    let result = work.instrument(span).await;
    call.end(result.as_ref().err());
    let peer = call.peer_addr().to_string();
    (result.map_err(|error| error.at(call.uri(), &peer)), spare)
}

async fn send_hooked(session: &Session, call: &mut CallCtx, mut frame: Parts) -> Result<(), Error> {
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
