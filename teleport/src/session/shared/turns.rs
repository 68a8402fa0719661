//! What the driver of a session has to do with the state that it shares: the beginning and the end of its turns.

use std::{mem, sync::atomic::Ordering, task::Waker};

use super::{
    super::gathering::{Callers, Gathering},
    Phase, Shared, State,
};
use crate::socket::outbox::Flush;

/// How a session is when a turn of the driver begins.
#[derive(Clone, Copy, Debug)]
pub(in crate::session) struct TurnStart {
    pub(in crate::session) phase: Phase,
    /// Bytes that the outbox has room for.
    pub(in crate::session) room: usize,
    /// A burst has left more than an idle session would keep.
    pub(in crate::session) grown: bool,
    /// Pulls whose callers have not taken their replies yet, or have none.
    pub(in crate::session) calls: usize,
    /// More is worth waiting for than has gathered.
    pub(in crate::session) gathers: bool,
}

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

impl Shared {
    /// The driver is at work, and finds by itself what is put into the outbox. What it has let gather is moved to the flush, which
    /// is empty then, unless more is worth waiting for.
    pub(in crate::session) fn driver_wakes(
        &self,
        waker: &Waker,
        gathering: Option<&mut Gathering>,
        flush: &mut Flush,
    ) -> TurnStart {
        let mut state = self.lock();
        state.awake = true;
        match &mut state.driver {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        let queued = state.outbox.len() + state.flushing;
        let callers = state.callers();
        let due = gathering.map(|gathering| !gathering.goes_on(callers));
        if due == Some(true) {
            state.take(flush);
        }
        TurnStart {
            phase: state.phase,
            room: self.env.write_buffer.saturating_sub(queued),
            grown: state.pending.is_grown() || state.outbox.is_grown(),
            calls: callers.calls,
            gathers: due == Some(false),
        }
    }

    /// The driver has nothing more to write or to wait for but the end of the other side.
    pub(in crate::session) fn driver_rests(&self) {
        self.lock().awake = false;
    }

    /// Says what to write, and moves what has gathered to the flush, which is empty. The `replies` of this turn come behind it; if
    /// nothing has, they need not be moved at all.
    ///
    /// `several` callers have been woken in this turn. A `patient` driver lets more frames gather if more than one call is under
    /// way.
    pub(in crate::session) fn take_frames(
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
        let under_way = || state.pending.live() + self.running.load(Ordering::Relaxed) as usize;
        if several || patient && !nothing && under_way() > 1 {
            state.outbox.push_copied(replies);
            return Frames::Later(state.callers());
        }
        if idle {
            state.flushing = replies.len();
            return Frames::Replies;
        }
        state.outbox.push_copied(replies);
        state.take(flush);
        Frames::Flush
    }

    /// As much as may wait to be written waits beyond that: the other side asks, and does not read what it is told. To be told
    /// more it has to read first. Replies of handlers do not count: two sides that send each other large ones would stop reading
    /// both, and neither would get its own out.
    pub(in crate::session) fn is_choked(&self) -> bool {
        self.choked.load(Ordering::Relaxed)
    }

    /// So many bytes were written, which may make room for those who wait.
    pub(in crate::session) fn wrote(&self, bytes: usize, flush: &mut Flush) {
        let mut state = self.lock();
        let wrote = self.settle(&mut state, bytes, flush);
        drop(state);
        if wrote.awaited {
            self.room.notify_waiters();
        }
    }

    /// What the driver does when its turn ends, and whether it may read again after it could not. What was written may make room
    /// for those who wait.
    pub(in crate::session) fn turn_ends(&self, turn: TurnEnd, flush: &mut Flush) -> (Next, bool) {
        let mut state = self.lock();
        let wrote = self.settle(&mut state, turn.written, flush);
        let freed = wrote.room && turn.choked;
        let next = self.next(&mut state, turn, freed);
        drop(state);
        if wrote.awaited {
            self.room.notify_waiters();
        }
        (next, freed)
    }

    fn settle(&self, state: &mut State, written: usize, flush: &mut Flush) -> Wrote {
        let mut wrote = Wrote::default();
        if written > 0 {
            state.flushing -= written;
            flush.give_back(&mut state.outbox);
            wrote.room = state.outbox.len() + state.flushing < self.env.write_buffer;
            if wrote.room {
                wrote.awaited = mem::take(&mut state.waiting_for_room);
                state.forced = 0;
                self.choked.store(false, Ordering::Relaxed);
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
        state.awake = turn.again || freed || written_at_once || state.phase != turn.phase;
        match state.awake {
            true => Next::GoOn,
            false => Next::Rest,
        }
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
    /// Moves what has gathered to the flush, which is empty.
    fn take(&mut self, flush: &mut Flush) {
        flush.take(&mut self.outbox);
        self.flushing = flush.len();
    }

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
