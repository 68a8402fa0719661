//! The task of one connection: it reads, dispatches, writes, and watches the time.

mod read;
mod wake;
mod watch;

use std::{
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use self::read::{Gate, READS, Turn};
use super::{
    Phase, Session, Shared, farewell,
    gathering::{Gathering, Order},
    heartbeat::Pulse,
    reason::Reason,
    runner::Pinned,
    shared::{Frames, Next, TurnEnd},
    turn,
};
use crate::{
    protocol::Parts,
    socket::{inbox::Inbox, outbox::Flush},
};

/// Within their time limits, so much of a packet must come, and so much of what is to be written must go.
const PROGRESS: usize = 32 * 1024;
/// How long a closing side waits for the other one to close too, or for the first packet of one that has just connected. Long
/// enough for the last replies to get across, no longer, for the other side may have vanished.
const PARTING: Duration = Duration::from_secs(3);
/// Buffers that a burst has grown are given back after so long without one.
const TRIM: Duration = Duration::from_secs(1);

/// Drives one connection from the first packet to the last. Spawned by the peer, once for each session.
///
/// Reading and writing are one task, so that the replies of all packets of one read leave in one write, and neither
/// ever waits for the other: a full socket does not stop the reading.
///
/// A connection among many is in no cache when its turn comes, so this is small, and what each turn looks at comes first.
#[repr(C, align(64))]
pub(crate) struct Driver<I> {
    reading: bool,
    /// The last reading has not come to a point from which the [stream's waker](Session::stream_waker) wakes the task: there is no
    /// more, or a plugin or memory is waited for.
    unread: bool,
    /// There is too much to write to read on.
    choked: bool,
    /// All is done that was to be done.
    parting: bool,
    /// The stream has a buffer of its own, and something is in it: all is written, and not all is out.
    unflushed: bool,
    /// Bytes came since the last tick.
    heard: bool,
    /// Packets came since the last tick.
    received: bool,
    /// Bytes went since the last tick.
    sent: bool,
    /// Something may be due earlier than the timer fires.
    fresh: bool,
    /// What plugins do before the next header is read.
    gate: Gate,
    inbox: Inbox,
    io: I,
    flush: Flush,
    /// The writing was put off by a turn of the scheduler at least, for more frames to gather.
    put_off: Option<Gathering>,
    pinned: Pinned,
    last_received: Instant,
    /// Since when nothing has happened; `None` if the buffers are not to be trimmed.
    last_busy: Option<Instant>,
    /// Watches whether the other side lives, if that is wanted.
    pulse: Option<Box<Pulse>>,
    /// A packet that is not whole: when it was looked at, and what had come of it by then. For the packet timeout.
    begun: Option<(Instant, usize)>,
    /// The stream was full at the last write or flush, since then, and what it has taken since; for the write timeout.
    stalled: Option<(Instant, usize)>,
    /// The other side has just connected, so its first packet is on the way, until then.
    awaited: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What came of the reading in a turn.
#[derive(Default)]
struct Intake {
    /// There may be more to read.
    again: bool,
    /// What packets were answered with.
    replies: Vec<u8>,
    /// When the turn has last looked at the clock.
    looked: Option<Instant>,
    /// Handlers have run.
    served: bool,
    /// Callers that were woken.
    woken: usize,
    /// How they were.
    order: Order,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// `inbox` may hold what a handshake has read already.
    /// `connected`: the other side has just connected to a listener.
    pub(crate) fn new(io: I, session: &Session, mut inbox: Inbox, connected: bool) -> Self {
        let pinned = inbox.renewed().map(Pinned::new).unwrap_or_default();
        let dispatch = &session.shared().env.dispatch;
        let gate = dispatch.before_header(session);
        let now = Instant::now();
        let heartbeat = session.shared().heartbeat.get();
        let pulse = heartbeat.map(|beat| Box::new(Pulse::new(*beat, now)));
        Self {
            reading: true,
            unread: true,
            choked: false,
            parting: false,
            unflushed: false,
            // A handshake may have read the beginning of a packet.
            heard: true,
            received: false,
            sent: false,
            fresh: true,
            gate: gate.map_or(Gate::Absent, Gate::Opening),
            inbox,
            io,
            flush: Flush::default(),
            put_off: None,
            pinned,
            last_received: now,
            last_busy: None,
            pulse,
            begun: None,
            stalled: None,
            awaited: connected.then(|| now + PARTING),
            timer: None,
        }
    }

    /// Closes the stream, and tells why the session ends.
    pub(crate) async fn part(&mut self, session: &Session) {
        let mut shut = false;
        let parting = std::future::poll_fn(|cx| self.poll_parting(session, cx, &mut shut));
        // The other side may have gone; there is nobody left to tell.
        let _ = tokio::time::timeout(PARTING, parting).await;
        let reason = session.shared().reason();
        log_end(session, reason.as_ref());
        session
            .shared()
            .end(Phase::Ended, reason.unwrap_or(Reason::Local));
    }

    /// Runs to the end of the session. What is left to be done then is to [`part`](Self::part). `stream`: the session's
    /// [`stream_waker`](Session::stream_waker), which wakes the task of `cx`.
    pub(crate) fn poll(
        &mut self,
        session: &Session,
        stream: &Waker,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let shared = session.shared();
        let io = &mut Context::from_waker(stream);
        let phase = shared.turn_begins(cx.waker());
        if phase == Phase::Ended {
            return Poll::Ready(());
        }
        let put_off = self.put_off.is_some();
        if put_off && self.gathers(shared, io, cx.waker()) {
            return Poll::Pending;
        }
        let woken_to_read = shared.stream.take_note();
        let Intake {
            again,
            mut replies,
            mut looked,
            served,
            woken,
            order,
        } = match (self.parting, woken_to_read || self.unread) {
            (true, _) => self.discard(io),
            (false, true) => self.take_in(session, io, cx.waker()),
            (false, false) => {
                // What was a slice of the small buffer may have been dropped by now.
                self.inbox.rest();
                Intake::default()
            }
        };
        // Callers whom this turn has woken, or who sent something before it, will soon send more.
        let patient = !served && !self.choked;
        let several = patient && woken > 1;
        let frames = match self.flush.is_empty() {
            true => shared.take_frames(&mut self.flush, &mut replies, several, patient),
            false => {
                queue(shared, &mut replies);
                Frames::Flush
            }
        };

        let mut direct = 0;
        let written = match frames {
            Frames::Later(callers) => {
                self.put_off = Some(Gathering::new(callers, order));
                turn::keep(replies);
                if put_off {
                    // One turn after the other may be put off, so this cannot wait for the end of one.
                    if self.heard {
                        shared.note_heard(*looked.get_or_insert_with(Instant::now));
                    }
                    // That something has grown is seen after a turn that is not put off.
                    self.tick(shared, looked, false, cx);
                }
                if order == Order::OneByOne {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            Frames::Replies => {
                direct = replies.len();
                self.write(shared, &replies, io)
            }
            Frames::Flush => self.write(shared, &[], io),
        };
        turn::keep(replies);
        let heard = self.heard.then(|| *looked.get_or_insert_with(Instant::now));
        let turn = TurnEnd {
            phase,
            heard,
            replies: direct,
            written,
            choked: self.choked,
            again,
            blocked: !self.flush.is_empty(),
            all_out: self.flush.is_empty() && !self.unflushed,
            // Who connects at the last moment is about to call, and is refused in words instead of cut off.
            awaits: self.awaited.is_some(),
        };
        let after = shared.turn_ends(turn, &mut self.flush);
        if after.freed {
            self.unchoke();
        }
        self.tick(shared, looked, after.grown, cx);
        match after.next {
            Next::End => return Poll::Ready(()),
            Next::Drained(phase) => {
                if self.parting || !self.take_leave(shared, phase) {
                    return Poll::Ready(());
                }
                cx.waker().wake_by_ref();
            }
            Next::GoOn => cx.waker().wake_by_ref(),
            Next::Rest => {}
        }
        Poll::Pending
    }

    /// Whether the writing is put off still. If not, what has gathered is written before more is read: the other side may have
    /// nothing to do.
    #[inline(never)]
    fn gathers(&mut self, shared: &Shared, io: &mut Context<'_>, task: &Waker) -> bool {
        if let Some(gathering) = &mut self.put_off
            && shared.gathers(gathering, &mut self.flush)
        {
            match gathering.order {
                Order::OneByOne => task.wake_by_ref(),
                Order::TaskLast | Order::TaskFirst => wake::put_off(task),
            }
            return true;
        }
        self.put_off = None;
        if !self.flush.is_empty() {
            let written = self.write(shared, &[], io);
            shared.wrote(written, &mut self.flush);
        }
        false
    }

    /// Reads, and dispatches what comes.
    #[inline(never)]
    fn take_in(&mut self, session: &Session, io: &mut Context<'_>, task: &Waker) -> Intake {
        let mut turn = Turn::new(session, task, mem::take(&mut self.pinned));
        let again = self.read(&mut turn, io);
        self.inbox.rest();
        let replies = turn.take_replies();
        let Turn {
            runner,
            woken,
            order,
            ..
        } = turn;
        let intake = Intake {
            again,
            replies,
            looked: runner.mark(),
            served: runner.spent() > Duration::ZERO,
            woken,
            order,
        };
        self.pinned = runner.into_pinned();
        intake
    }

    /// There may be read again.
    #[cold]
    fn unchoke(&mut self) {
        self.choked = false;
        // That nothing was read for a while was this side's doing.
        self.begun = self.begun.map(|(_, had)| (Instant::now(), had));
        self.fresh = true;
    }

    /// Says that what the other side has sent and got no reply to was not taken. `false` if there is nobody to tell.
    #[cold]
    fn take_leave(&mut self, shared: &Shared, phase: Phase) -> bool {
        self.parting = true;
        self.reading = false;
        phase == Phase::Draining && farewell::refuse_all(shared)
    }

    /// Reads what is not taken any more: if the other side takes leave as well, and both did nothing but write, neither would get
    /// its words out.
    #[cold]
    fn discard(&mut self, cx: &mut Context<'_>) -> Intake {
        let mut rest = [0; 1024];
        for _ in 0..READS {
            let mut rest = ReadBuf::new(&mut rest);
            match Pin::new(&mut self.io).poll_read(cx, &mut rest) {
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {}
                _ => return Intake::default(),
            }
        }
        Intake {
            again: true,
            ..Intake::default()
        }
    }

    /// Ends the stream of this side and waits for the end of the other's: a socket that is closed while packets still come
    /// is reset, and the last replies may be lost on their way.
    fn poll_parting(
        &mut self,
        session: &Session,
        cx: &mut Context<'_>,
        shut: &mut bool,
    ) -> Poll<()> {
        let shared = session.shared();
        shared.driver_rests();
        if !*shut {
            *shut = ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_ok();
        }
        let mut rest = [0; 1024];
        while *shut && shared.phase() != Phase::Ended {
            let mut rest = ReadBuf::new(&mut rest);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() => {}
                _ => break,
            }
        }
        Poll::Ready(())
    }

    /// The peer broke the rules: what runs may still reply, then the connection is closed.
    #[cold]
    fn stop_reading(&mut self, shared: &Shared, reason: Reason) {
        self.reading = false;
        shared.end(Phase::Finishing, reason);
    }

    /// Writes `replies`, or else what the flush has, or as much of it as the stream takes; gives how many bytes that were. What
    /// comes meanwhile is left for the next turn, where it may be put off again: else a few frames would go out alone behind
    /// every large batch.
    fn write(&mut self, shared: &Shared, replies: &[u8], cx: &mut Context<'_>) -> usize {
        let mut written = 0;
        let result = match replies {
            [] => self.flush.poll_write(cx, &mut self.io, &mut written),
            _ => self
                .flush
                .poll_write_direct(cx, &mut self.io, replies, &mut written),
        };
        if written > 0 {
            self.sent = true;
            if self.stalled.is_some() {
                self.progress(written);
            }
        }
        match result {
            Poll::Ready(Ok(())) => self.flush_stream(shared, cx),
            Poll::Ready(Err(error)) => fail(shared, error),
            Poll::Pending => self.stall(),
        }
        written
    }

    /// The stream that was full has taken so many bytes.
    #[cold]
    fn progress(&mut self, written: usize) {
        self.stalled = self.stalled.and_then(|(since, taken)| {
            let taken = taken + written;
            (taken < PROGRESS).then_some((since, taken))
        });
    }

    #[inline]
    fn flush_stream(&mut self, shared: &Shared, cx: &mut Context<'_>) {
        match Pin::new(&mut self.io).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.stalled = None;
            }
            Poll::Ready(Err(error)) => fail(shared, error),
            Poll::Pending => {
                self.unflushed = true;
                self.stall();
            }
        }
    }

    #[cold]
    fn stall(&mut self) {
        self.fresh |= self.stalled.is_none();
        self.stalled.get_or_insert_with(|| (Instant::now(), 0));
    }

    fn trim(&mut self, shared: &Shared) {
        self.inbox.trim();
        self.flush.trim();
        shared.trim();
    }
}

/// The stream does not take all that there is: replies come behind that.
#[cold]
fn queue(shared: &Shared, replies: &mut Vec<u8>) {
    if !replies.is_empty() {
        let mut frames = Parts::from(mem::take(replies));
        shared.enqueue_at_any_rate(&mut frames);
        *replies = frames.into_copied();
    }
}

/// The stream is broken.
#[cold]
fn fail(shared: &Shared, error: io::Error) {
    shared.end(Phase::Ended, Reason::Io(Arc::new(error)));
}

fn log_end(session: &Session, reason: Option<&Reason>) {
    match reason {
        Some(
            reason @ (Reason::Protocol(_)
            | Reason::Unsupported(_)
            | Reason::Slow(_)
            | Reason::Stalled(_)
            | Reason::Starved(_)),
        ) => {
            let cause = std::error::Error::source(reason).map(ToString::to_string);
            tracing::warn!(peer = %session.peer_addr(), %reason, cause, "session closed");
        }
        Some(reason @ Reason::Dead(_)) => {
            tracing::info!(peer = %session.peer_addr(), %reason, "session closed");
        }
        Some(reason) => tracing::debug!(peer = %session.peer_addr(), %reason, "session closed"),
        None => tracing::debug!(peer = %session.peer_addr(), "session closed"),
    }
}
