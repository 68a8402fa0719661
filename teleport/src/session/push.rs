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

use super::{
    Session,
    call::{self, CallOptions, Head},
    dispatch::{BoxFuture, Outbound},
    shared::{Frame, Refused, Shared},
};
use crate::{
    codec::{CodecId, Encode},
    error::Error,
    protocol::{Header, HeaderCodec, PacketKind},
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
    session: &'a Session,
    uri: Cow<'a, str>,
    options: CallOptions,
    stage: Stage<'a, A>,
}

enum Stage<'a, A> {
    Start(A),
    /// The outbox is full.
    Blocked(Vec<u8>, BoxFuture<'a, ()>),
    /// Plugins look at it: the slow path.
    Hooked(BoxFuture<'a, Result<(), Error>>),
    Done,
}

// Nothing in it is ever pinned in place; the futures inside are boxed.
impl<A> Unpin for Push<'_, A> {}

impl<'a, A> Push<'a, A> {
    pub(crate) fn new(
        session: &'a Session,
        uri: Cow<'a, str>,
        args: A,
        options: CallOptions,
    ) -> Self {
        Self {
            session,
            uri,
            options,
            stage: Stage::Start(args),
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
}

impl<'a, A: Encode + Send + 'a> Future for Push<'a, A> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let result = ready!(this.poll_stage(cx));
        this.stage = Stage::Done;
        Poll::Ready(
            result.map_err(|error| error.at(&this.uri, &this.session.peer_addr().to_string())),
        )
    }
}

impl<'a, A: Encode + Send + 'a> Push<'a, A> {
    fn poll_stage(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        loop {
            match &mut self.stage {
                Stage::Start(_) => self.start()?,
                Stage::Blocked(frame, room) => {
                    ready!(room.as_mut().poll(cx));
                    let mut frame = mem::take(frame);
                    self.stage = hand_over(self.session.shared(), &mut frame)?;
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
        let shared = self.session.shared();
        let seq = shared.next_push();
        if let Some(outbound) = shared.env.dispatch.outbound() {
            let uri = ByteString::from(&*self.uri);
            let hooked = run_hooked(self.session, uri, self.options, seq, outbound, args);
            self.stage = Stage::Hooked(Box::pin(hooked));
            return Ok(());
        }
        self.stage = with_scratch(|frame| {
            let head = Head {
                kind: PacketKind::Push,
                seq,
                uri: &self.uri,
            };
            call::encode(shared, head, &self.options, &args, frame)?;
            hand_over(shared, frame)
        })?;
        Ok(())
    }
}

fn hand_over<'a, A>(shared: &'a Shared, frame: &mut Vec<u8>) -> Result<Stage<'a, A>, Error> {
    match shared.enqueue(Frame::Push, frame) {
        Ok(()) => Ok(Stage::Done),
        Err(Refused::Full) => Ok(Stage::Blocked(
            mem::take(frame),
            Box::pin(shared.wait_for_room()),
        )),
        Err(Refused::Closed(closed)) => Err(Error::unsent("push", closed)),
    }
}

async fn run_hooked<A: Encode>(
    session: &Session,
    uri: ByteString,
    mut options: CallOptions,
    seq: u64,
    outbound: &dyn Outbound,
    args: A,
) -> Result<(), Error> {
    let shared = session.shared();
    let mut header = Header::new(PacketKind::Push, seq, uri);
    header.gzip = options.gzip.unwrap_or(shared.env.gzip);
    outbound
        .before_write(session, &mut header)
        .await
        .map_err(|status| Error::rejected("push", status))?;
    options.gzip = Some(header.gzip);

    let mut frame = Vec::new();
    let head = Head {
        kind: PacketKind::Push,
        seq,
        uri: &header.uri,
    };
    call::encode(shared, head, &options, &args, &mut frame)?;
    drop(args);
    loop {
        match shared.enqueue(Frame::Push, &mut frame) {
            Ok(()) => break,
            Err(Refused::Full) => shared.wait_for_room().await,
            Err(Refused::Closed(closed)) => return Err(Error::unsent("push", closed)),
        }
    }
    outbound.after_write(session, &header).await;
    Ok(())
}

impl<A> fmt::Debug for Push<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Push")
            .field("uri", &self.uri)
            .field("peer", self.session.peer_addr())
            .finish_non_exhaustive()
    }
}
