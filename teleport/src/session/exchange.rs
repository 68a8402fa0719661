//! One pull between its encoding and its reply.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use super::{
    Answer, Session, cancel,
    connection::Held,
    dispatch::BoxFuture,
    reason::Closed,
    shared::{Frame, Refused},
};
use crate::{error::Error, protocol::Parts};

/// A frame on its way out, then a place in the table of pulls. Dropping it frees the place.
pub(super) struct Exchange<'a> {
    session: Held<'a>,
    seq: u64,
    /// The outbox is full.
    blocked: Option<Box<Blocked<'a>>>,
    /// The frame is handed over; the waker of that poll is noted.
    waiting: bool,
    /// Tell the other side if the caller goes away.
    cancel: bool,
}

struct Blocked<'a> {
    frame: Parts,
    room: BoxFuture<'a, ()>,
}

impl<'a> Exchange<'a> {
    /// Hands the frame over if there is room for it; `frame` is left empty.
    #[inline]
    pub(super) fn start(
        session: Held<'a>,
        seq: u64,
        cancel: bool,
        frame: &mut Parts,
        cx: &Context<'_>,
    ) -> Result<Self, Error> {
        let mut this = Self {
            session,
            seq,
            blocked: None,
            waiting: false,
            cancel,
        };
        this.hand_over(frame, cx)?;
        Ok(this)
    }

    #[inline]
    pub(super) fn held(&self) -> &Held<'a> {
        &self.session
    }

    #[inline]
    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// The frame is handed over.
    #[inline]
    pub(super) fn waits_for_reply(&self) -> bool {
        self.waiting
    }

    /// Ready when the frame is handed over.
    #[inline]
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        match self.blocked {
            None => Poll::Ready(Ok(())),
            Some(_) => self.poll_blocked(cx),
        }
    }

    #[cold]
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Some(blocked) = &mut self.blocked {
            ready!(blocked.room.as_mut().poll(cx));
            let mut frame = mem::take(&mut blocked.frame);
            self.blocked = None;
            self.hand_over(&mut frame, cx)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reply has come, or none will.
    #[inline]
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        ready!(self.poll_sent(cx))?;
        let result = match self.session.shared().poll_pull(self.seq, cx.waker()) {
            Ok(None) => return Poll::Pending,
            Ok(Some(answer)) => Ok(answer),
            Err(closed) => Err(unanswered(closed)),
        };
        self.waiting = false;
        Poll::Ready(result)
    }

    #[inline]
    fn hand_over(&mut self, frame: &mut Parts, cx: &Context<'_>) -> Result<(), Error> {
        let pull = Frame::Pull {
            seq: self.seq,
            waker: cx.waker(),
        };
        match self.session.shared().enqueue(pull, frame) {
            Ok(()) => self.waiting = true,
            Err(Refused::Full) => self.block(mem::take(frame)),
            Err(Refused::Closed(closed)) => return Err(Error::unsent("pull", closed)),
        }
        Ok(())
    }

    /// The caller has gone away.
    #[inline(never)]
    fn give_up(&self) {
        self.session.shared().forget_pull(self.seq);
        if self.cancel {
            cancel::send(&self.session, self.seq);
        }
    }

    #[cold]
    fn block(&mut self, frame: Parts) {
        let room = room(&self.session);
        self.blocked = Some(Box::new(Blocked { frame, room }));
    }
}

/// The session has closed.
#[cold]
fn unanswered(closed: Closed) -> Error {
    match closed.before_call() {
        true => Error::unsent("pull", closed),
        false => Error::closed("pull", Some(closed.into())),
    }
}

/// Waits for room in the outbox.
pub(super) fn room<'a>(session: &Held<'a>) -> BoxFuture<'a, ()> {
    match session {
        Held::Borrowed(session) => Box::pin(session.shared().wait_for_room()),
        Held::Found(session, _) => {
            let session = session.clone();
            Box::pin(async move { session.shared().wait_for_room().await })
        }
    }
}

impl Drop for Exchange<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.waiting {
            self.give_up();
        }
    }
}
