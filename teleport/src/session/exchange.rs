//! One pull between its encoding and its reply.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use super::{
    Session, cancel,
    connection::Held,
    dispatch::BoxFuture,
    pending::Taken,
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
    /// Of a frame that was [handed over](hand_over), or of what is `left` of it.
    #[inline]
    pub(super) fn new(session: Held<'a>, seq: u64, cancel: bool, left: Option<Box<Parts>>) -> Self {
        let mut this = Self {
            session,
            seq,
            blocked: None,
            waiting: left.is_none(),
            cancel,
        };
        if let Some(frame) = left {
            this.block(*frame);
        }
        this
    }

    #[inline]
    pub(super) fn held(&self) -> &Held<'a> {
        &self.session
    }

    #[inline]
    pub(super) fn session(&self) -> &Session {
        &self.session
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
            match hand_over(&self.session, self.seq, &mut frame, cx)? {
                None => self.waiting = true,
                Some(frame) => self.block(*frame),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reply has come, which is moved to `taken`, or when none will. A reply that is handed on by value is
    /// copied at every step.
    #[inline]
    pub(super) fn poll_reply(
        &mut self,
        cx: &mut Context<'_>,
        taken: &mut Taken,
    ) -> Poll<Result<(), Error>> {
        ready!(self.poll_sent(cx))?;
        let shared = self.session.shared();
        let result = match shared.poll_pull(self.seq, cx.waker(), taken) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => Ok(()),
            Poll::Ready(Err(closed)) => Err(unanswered(closed)),
        };
        self.waiting = false;
        Poll::Ready(result)
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

/// Hands the frame over and notes the waker; gives the frame back if there is no room for it.
#[inline]
pub(super) fn hand_over(
    session: &Session,
    seq: u64,
    frame: &mut Parts,
    cx: &Context<'_>,
) -> Result<Option<Box<Parts>>, Error> {
    let pull = Frame::Pull {
        seq,
        waker: cx.waker(),
    };
    match session.shared().enqueue(pull, frame) {
        Ok(()) => Ok(None),
        Err(Refused::Full) => Ok(Some(Box::new(mem::take(frame)))),
        Err(Refused::Closed(closed)) => Err(Error::unsent("pull", closed)),
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
