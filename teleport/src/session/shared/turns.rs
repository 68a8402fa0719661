//! What the driver of a session has to do with the state that it shares: the beginning and the end of its turns.

use std::{mem, sync::atomic::Ordering, task::Waker};

use tokio::time::Instant;

use super::{
    super::gathering::{Callers, Gathering},
    Phase, Shared, State,
};
use crate::socket::outbox::Flush;

/// What the driver has to write.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) enum Frames {
    /// Nothing for now: callers have sent something, or are about to, and more is likely to come within a turn of the scheduler.
    Later(Callers),
    /// The replies of its turn.
    Replies,
    /// What has been moved to the flush.
    Flush,
}

/// How a turn of the driver was.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct TurnEnd {
    /// The phase in which it began.
    pub(in crate::session) phase: Phase,
    /// When bytes came, if any did.
    pub(in crate::session) heard: Option<Instant>,
    /// Bytes that were to be written and were not in the flush: replies of the turn itself.
    pub(in crate::session) replies: usize,
    /// Bytes that were written.
    pub(in crate::session) written: usize,
    /// Nothing was read, for too much waits to be written.
    pub(in crate::session) choked: bool,
    /// There may be more to read.
    pub(in crate::session) again: bool,
    /// The stream does not take what there is.
    pub(in crate::session) blocked: bool,
    /// The stream has taken all there was, to the last byte.
    pub(in crate::session) all_out: bool,
    /// The first packet of the other side is on its way.
    pub(in crate::session) awaits: bool,
}

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::session) enum Next {
    /// It ends.
    End,
    /// All that this phase waits for is done.
    Drained(Phase),
    /// It takes another turn.
    GoOn,
    /// It waits to be woken.
    Rest,
}

/// What came of a write.
#[derive(Clone, Copy, Debug, Default)]
struct Wrote {
    /// There is room in the outbox.
    room: bool,
    /// Somebody waits for it.
    awaited: bool,
}

/// What there is to do after a turn.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct After {
    pub(in crate::session) next: Next,
    /// There may be read again after it could not.
    pub(in crate::session) freed: bool,
    /// A burst has left more than an idle session would keep.
    pub(in crate::session) grown: bool,
}

impl Shared {
    /// The driver, which `waker` wakes, is at work, and finds by itself what is put into the outbox.
    #[inline]
    pub(in crate::session) fn turn_begins(&self, waker: &Waker) -> Phase {
        self.stream.is_for(waker);
        self.awake.store(true, Ordering::Relaxed);
        match self.is_open() {
            true => Phase::Open,
            false => self.phase(),
        }
    }

    /// Pulls whose callers have not taken their replies yet, or have none.
    #[inline]
    pub(in crate::session) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed) as usize
    }

    /// Bytes that may still be queued.
    #[inline]
    pub(in crate::session) fn room(&self) -> usize {
        self.env.write_buffer.saturating_sub(self.queued())
    }

    /// Whether more is worth waiting for than the driver has let gather. If not, that is moved to the flush, which is empty.
    pub(in crate::session) fn gathers(&self, gathering: &mut Gathering, flush: &mut Flush) -> bool {
        let mut state = self.lock();
        let goes_on = gathering.goes_on(state.callers());
        if !goes_on {
            flush.take(&mut state.outbox);
        }
        goes_on
    }

    /// The driver has nothing more to write or to wait for but the end of the other side.
    pub(in crate::session) fn driver_rests(&self) {
        let _state = self.lock();
        self.awake.store(false, Ordering::Relaxed);
    }

    /// Says what to write, and moves what has gathered to the flush, which is empty. The `replies` of this turn come behind it; if
    /// nothing has, they need not be moved at all.
    ///
    /// `several` callers have been woken in this turn. A `patient` driver lets more frames gather if more than one call is under
    /// way.
    #[inline]
    pub(in crate::session) fn take_frames(
        &self,
        flush: &mut Flush,
        replies: &mut Vec<u8>,
        several: bool,
        patient: bool,
    ) -> Frames {
        // What comes from now on is found when the turn ends.
        let alone = !several && self.is_open() && self.queued() == 0;
        if alone && (replies.is_empty() || !patient || self.under_way() <= 1) {
            return Frames::Replies;
        }
        self.take_gathered(flush, replies, several, patient)
    }

    #[inline(never)]
    fn take_gathered(
        &self,
        flush: &mut Flush,
        replies: &mut Vec<u8>,
        several: bool,
        patient: bool,
    ) -> Frames {
        let mut state = self.lock();
        if state.phase == Phase::Ended {
            replies.clear();
        }
        let idle = state.outbox.is_empty();
        let nothing = idle && replies.is_empty();
        // Callers who have been woken and have not run yet will send again, as likely as not.
        let waits = several || patient && !nothing && self.under_way() > 1;
        if idle && !waits {
            return Frames::Replies;
        }
        let queued = self.queued() + replies.len();
        self.queued.store(queued, Ordering::Relaxed);
        state.outbox.push_copied(replies);
        if waits {
            return Frames::Later(state.callers());
        }
        flush.take(&mut state.outbox);
        Frames::Flush
    }

    /// Calls in both directions.
    #[inline]
    fn under_way(&self) -> usize {
        self.calls() + self.running.load(Ordering::Relaxed) as usize
    }

    /// As much as may wait to be written waits beyond that: the other side asks, and does not read what it is told. To be told
    /// more it has to read first. Replies of handlers do not count: two sides that send each other large ones would stop reading
    /// both, and neither would get its own out.
    #[inline]
    pub(in crate::session) fn is_choked(&self) -> bool {
        self.choked.load(Ordering::Relaxed)
    }

    /// So many bytes were written, which may make room for those who wait.
    pub(in crate::session) fn wrote(&self, bytes: usize, flush: &mut Flush) {
        let mut state = self.lock();
        let wrote = self.settle(&mut state, 0, bytes, flush);
        drop(state);
        if wrote.awaited {
            self.room.notify_waiters();
        }
    }

    /// What the driver does when its turn ends. What was written may make room for those who wait.
    #[inline]
    pub(in crate::session) fn turn_ends(&self, turn: TurnEnd, flush: &mut Flush) -> After {
        let mut state = self.lock();
        if let Some(heard) = turn.heard {
            state.heard = heard;
        }
        let wrote = self.settle(&mut state, turn.replies, turn.written, flush);
        let freed = wrote.room && turn.choked;
        let after = After {
            next: self.next(&mut state, turn, freed),
            freed,
            grown: state.pending.is_grown() || state.outbox.is_grown(),
        };
        drop(state);
        if wrote.awaited {
            self.room.notify_waiters();
        }
        after
    }

    /// `written` of what was queued, or of these further `replies`.
    #[inline]
    fn settle(
        &self,
        state: &mut State,
        replies: usize,
        written: usize,
        flush: &mut Flush,
    ) -> Wrote {
        let mut wrote = Wrote::default();
        if replies != written {
            let queued = self.queued() + replies - written;
            self.queued.store(queued, Ordering::Relaxed);
        }
        if written > 0 {
            flush.give_back(&mut state.outbox);
            wrote.room = !self.is_full();
            if wrote.room {
                wrote.awaited = mem::take(&mut state.waiting_for_room);
                if mem::take(&mut state.over) {
                    state.forced = 0;
                    self.choked.store(false, Ordering::Relaxed);
                }
            }
        }
        wrote
    }

    fn next(&self, state: &mut State, turn: TurnEnd, freed: bool) -> Next {
        if state.phase == Phase::Ended {
            return Next::End;
        }
        let awaits = turn.awaits && state.phase == Phase::Draining;
        if turn.all_out && !awaits && self.is_drained(state) {
            return Next::Drained(state.phase);
        }
        // What came into the outbox meanwhile is written at once, if it can be. Who changed the phase meanwhile has woken nobody.
        let written_at_once = !state.outbox.is_empty() && !turn.blocked;
        if turn.again || freed || written_at_once || state.phase != turn.phase {
            return Next::GoOn;
        }
        self.awake.store(false, Ordering::Relaxed);
        Next::Rest
    }

    /// Whether all that the present phase waits for is done, apart from writing.
    fn is_drained(&self, state: &State) -> bool {
        if state.phase == Phase::Open {
            return false;
        }
        let idle = self.running.load(Ordering::SeqCst) == 0 && state.outbox.is_empty();
        idle && (state.phase > Phase::Draining || state.pending.waiting() == 0)
    }

    /// Gives memory back after a burst.
    pub(in crate::session) fn trim(&self) {
        let mut state = self.lock();
        state.pending.trim();
        state.outbox.trim();
    }
}

impl State {
    /// How far the callers are.
    fn callers(&self) -> Callers {
        let calls = self.pending.live();
        Callers {
            calls,
            woken: calls - self.pending.waiting(),
            queued: self.outbox.len(),
        }
    }
}
