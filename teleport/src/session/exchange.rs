//! One pull between its encoding and its reply.

use std::{
    mem,
    task::{Context, Poll, ready},
};

use super::{
    Answer, Session,
    dispatch::BoxFuture,
    shared::{Frame, Refused},
};
use crate::error::Error;

/// A frame on its way out, then a place in the table of pulls. Dropping it frees the place.
pub(super) struct Exchange<'a> {
    session: &'a Session,
    seq: u64,
    stage: Stage<'a>,
}

enum Stage<'a> {
    /// The outbox is full.
    Blocked(Vec<u8>, BoxFuture<'a, ()>),
    /// Handed over; the waker of that poll is noted.
    Waiting,
    Done,
}

impl<'a> Exchange<'a> {
    /// Hands the frame over if there is room for it; `frame` is left empty.
    pub(super) fn start(
        session: &'a Session,
        seq: u64,
        frame: &mut Vec<u8>,
        cx: &Context<'_>,
    ) -> Result<Self, Error> {
        let mut this = Self {
            session,
            seq,
            stage: Stage::Done,
        };
        this.hand_over(frame, cx)?;
        Ok(this)
    }

    /// The frame is handed over.
    pub(super) fn waits_for_reply(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// Ready when the frame is handed over.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while let Stage::Blocked(frame, room) = &mut self.stage {
            ready!(room.as_mut().poll(cx));
            let mut frame = mem::take(frame);
            self.hand_over(&mut frame, cx)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Ready when the reply has come, or none will.
    pub(super) fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, Error>> {
        ready!(self.poll_sent(cx))?;
        let result = match self.session.shared().poll_pull(self.seq, cx.waker()) {
            Ok(None) => return Poll::Pending,
            Ok(Some(answer)) => Ok(answer),
            Err(closed) if closed.before_call() => Err(Error::unsent("pull", closed)),
            Err(closed) => Err(Error::closed("pull", Some(closed.into()))),
        };
        self.stage = Stage::Done;
        Poll::Ready(result)
    }

    fn hand_over(&mut self, frame: &mut Vec<u8>, cx: &Context<'_>) -> Result<(), Error> {
        let shared = self.session.shared();
        let pull = Frame::Pull {
            seq: self.seq,
            waker: cx.waker(),
        };
        self.stage = match shared.enqueue(pull, frame) {
            Ok(()) => Stage::Waiting,
            Err(Refused::Full) => {
                Stage::Blocked(mem::take(frame), Box::pin(shared.wait_for_room()))
            }
            Err(Refused::Closed(closed)) => return Err(Error::unsent("pull", closed)),
        };
        Ok(())
    }
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting = self.stage {
            self.session.shared().forget_pull(self.seq);
        }
    }
}
