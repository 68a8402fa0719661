//! What the tasks of one session share: the table of pulls, the outbox, and the phase of its life.

mod turns;

use std::{
    any::Any,
    collections::HashMap,
    sync::{Arc, OnceLock, PoisonError, Weak, atomic::Ordering},
    task::{Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::turns::{Frames, Next, TurnEnd};
use super::{
    Answer, Memory, Values,
    dispatch::Dispatch,
    heartbeat::Heartbeat,
    log::CallLog,
    pending::{Pending, Progress, Taken},
    reason::{Closed, Reason},
    scope::Scope,
    stream_waker::StreamWaker,
    sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Mutex, MutexGuard, Notify},
    turn,
};
use crate::{
    codec::{CodecId, Codecs},
    protocol::{HeaderCodec, Limits, Parts, Protocol},
    socket::{outbox::Outbox, pool::Pool, tls::TlsInfo, transport::Addr},
};

/// Less than this above the limit is no reason to stop reading, however small the limit is.
const FORCED: usize = 64 * 1024;

/// What all sessions of a peer have in common.
#[derive(Clone)]
pub(crate) struct Env {
    pub(crate) protocol: Arc<dyn Protocol>,
    pub(crate) codecs: Codecs,
    pub(crate) limits: Limits,
    pub(crate) header_codec: HeaderCodec,
    pub(crate) body_codec: CodecId,
    pub(crate) gzip: i32,
    /// No packet for so long ends the session.
    pub(crate) read_timeout: Option<Duration>,
    /// A packet that has begun and makes no progress for so long ends the session.
    pub(crate) packet_timeout: Option<Duration>,
    /// No progress in writing for so long ends the session.
    pub(crate) write_timeout: Option<Duration>,
    /// Bytes that may wait to be written before callers and handlers wait too.
    pub(crate) write_buffer: usize,
    /// Handlers of one session that may run at the same time.
    pub(crate) max_handlers: usize,
    /// Bytes that the calls of one session may hold.
    pub(crate) session_memory: usize,
    /// Those that all sessions share.
    pub(crate) pool: Arc<Pool>,
    /// The first packet of this side says that it understands extensions.
    pub(crate) announce: bool,
    /// What is said about each call.
    pub(crate) log: CallLog,
    pub(crate) dispatch: Arc<dyn Dispatch>,
    /// `dispatch` has an outbound side, or an observer. Asked for each call.
    pub(crate) hooked: bool,
    pub(crate) observed: bool,
    /// The peer, for the layers above, which know its type.
    pub(crate) host: Weak<dyn Any + Send + Sync>,
}

impl Env {
    /// Plugins or logs want to see the calls of this side.
    #[inline]
    pub(super) fn is_watched(&self) -> bool {
        self.hooked || self.observed || self.log.is_on()
    }
}

/// The phases of a session, in order; it may skip some and never goes back.
///
/// ```text
///        close()                  all answered and written
/// Open ----------> Draining ------------------------------> Ended
///   |                  |                                      ^
///   |  end of stream   |  end of stream                       |
///   +----------------> Finishing -----------------------------+
///                        running handlers have replied; or any failure
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Everything goes.
    Open,
    /// This side closes: nothing new is sent or served, what is in flight is completed in both directions.
    Draining,
    /// The other side sends no more (its pulls in flight may still be answered); ours have failed.
    Finishing,
    /// Nothing goes any more.
    Ended,
}

/// What calls and turns of the driver look at comes first, in three cache lines: they wander between the threads that call, and with
/// many sessions they are in no cache at all.
#[repr(C, align(64))]
pub(crate) struct Shared {
    next_pull: AtomicU64,
    /// Handlers that have not answered yet.
    running: AtomicU32,
    /// Pulls whose callers have not taken their replies yet, or have none. This and the next three change under the lock, and are
    /// readable without it.
    calls: AtomicU32,
    /// Bytes that wait to be written, in the outbox or in the driver's flush. What a turn writes itself is not among them, but for what
    /// the stream does not take.
    queued: AtomicUsize,
    /// Far more waits to be written than may: nothing is read until there is less.
    choked: AtomicBool,
    /// The phase is `Open`.
    open: AtomicBool,
    /// The driver will look at the outbox by itself, so nobody needs to wake it. Set without the lock, cleared under it: who has put
    /// something into the outbox and then finds it set knows that the driver is yet to take the lock.
    awake: AtomicBool,
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) stream: Arc<StreamWaker>,
    pub(crate) env: Arc<Env>,
    /// What handlers hold.
    pub(crate) memory: Memory,
    next_push: AtomicU64,
    /// The other side has been told that this one understands extensions.
    announced: AtomicBool,
    /// The other side has shown that it understands them.
    extended: AtomicBool,
    /// Signals that the outbox has room again, or never will.
    room: Notify,
    /// Signals a change of the phase, and the release.
    moved: Notify,
    pub(super) id: Mutex<Arc<str>>,
    pub(super) local: Addr,
    pub(super) peer: Addr,
    pub(super) tls: Option<Box<TlsInfo>>,
    pub(super) values: Values,
    /// Handlers that their callers can stop, by sequence number.
    stoppable: Mutex<HashMap<u64, Arc<Scope>>>,
    /// Set in the handshake, if at all.
    pub(super) heartbeat: OnceLock<Heartbeat>,
}

/// In the order of use; see [`Shared`].
#[repr(C)]
struct State {
    phase: Phase,
    /// Somebody waits for `room`.
    waiting_for_room: bool,
    /// The other side has said that it takes no more of our pulls.
    left: bool,
    /// Nobody waits for replies any more.
    abandoned: bool,
    /// Something was taken above the limit of what waits, since there was less.
    over: bool,
    /// The session has ended, and nobody knows it any more.
    released: bool,
    pending: Pending,
    outbox: Outbox,
    /// When bytes last came; for those who ask whether the other side lives.
    heard: Instant,
    /// Bytes that were taken, if `over`, which stands where a turn looks anyway.
    forced: usize,
    /// Why the session left `Open`.
    reason: Option<Box<Reason>>,
}

/// Why a frame was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    Closed(Closed),
    /// The outbox is over its limit; wait for room and try again.
    Full,
}

/// Why a call is refused that would hold too much.
pub(crate) const TOO_MUCH: &str = "the calls under way hold too much memory";

/// What kind of packet a frame holds; decides in which phase it may still go.
#[derive(Debug)]
pub(crate) enum Frame<'a> {
    Pull { seq: u64, waker: &'a Waker },
    Push,
    Reply,
}

impl Shared {
    pub(crate) fn new(
        id: Arc<str>,
        env: Arc<Env>,
        local: Addr,
        peer: Addr,
        tls: Option<Box<TlsInfo>>,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Open,
                pending: Pending::default(),
                outbox: Outbox::default(),
                heard: Instant::now(),
                forced: 0,
                over: false,
                waiting_for_room: false,
                reason: None,
                left: false,
                abandoned: false,
                released: false,
            }),
            next_pull: AtomicU64::new(0),
            running: AtomicU32::new(0),
            calls: AtomicU32::new(0),
            queued: AtomicUsize::new(0),
            choked: AtomicBool::new(false),
            open: AtomicBool::new(true),
            awake: AtomicBool::new(true),
            stream: Arc::new(StreamWaker::new()),
            memory: Memory::new(env.session_memory, Arc::clone(&env.pool)),
            env,
            next_push: AtomicU64::new(0),
            announced: AtomicBool::new(false),
            extended: AtomicBool::new(false),
            room: Notify::new(),
            moved: Notify::new(),
            id: Mutex::new(id),
            local,
            peer,
            tls,
            values: Values::default(),
            stoppable: Mutex::default(),
            heartbeat: OnceLock::new(),
        }
    }

    pub(super) fn stoppable(&self) -> MutexGuard<'_, HashMap<u64, Arc<Scope>>> {
        self.stoppable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Handlers that can be stopped have been.
    pub(super) fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    /// The caller of this pull does not want its reply any more.
    pub(super) fn cancel_handler(&self, seq: u64) {
        if let Some(scope) = self.stoppable().get(&seq) {
            scope.cancel();
        }
    }

    /// Whether the packet that is about to be sent has to say that this side understands extensions. Once.
    #[inline]
    pub(super) fn has_to_announce(&self) -> bool {
        self.env.announce
            && !self.announced.load(Ordering::Relaxed)
            && !self.announced.swap(true, Ordering::Relaxed)
    }

    /// The other side has sent an extension.
    pub(crate) fn note_extended(&self) {
        self.extended.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_extended(&self) -> bool {
        self.extended.load(Ordering::Relaxed)
    }

    pub(super) fn heard(&self) -> Instant {
        self.lock().heard
    }

    /// Bytes have come. At the end of a turn this is noted with all else.
    pub(super) fn note_heard(&self, now: Instant) {
        self.lock().heard = now;
    }

    /// Nothing foreign runs under this lock but wakers, and a poisoned table is still a consistent one.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn next_pull(&self) -> u64 {
        self.next_pull.fetch_add(1, Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn next_push(&self) -> u64 {
        self.next_push.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase
    }

    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    /// Takes an encoded frame for the next flush; leaves `frame` empty if it did.
    pub(crate) fn enqueue(&self, kind: Frame<'_>, frame: &mut Parts) -> Result<(), Refused> {
        turn::hand_over(self);
        let mut state = self.lock();
        let last = match kind {
            Frame::Pull { .. } => Phase::Open,
            Frame::Push | Frame::Reply => Phase::Finishing,
        };
        let pushes_after_close = matches!(kind, Frame::Push) && state.phase == Phase::Draining;
        if state.phase > last || pushes_after_close {
            return Err(state.refused());
        }
        if self.is_full() {
            state.waiting_for_room = true;
            return Err(Refused::Full);
        }
        if let Frame::Pull { seq, waker } = kind {
            state.pending.insert(seq, waker.clone());
            self.note_calls(&state);
        }
        self.push(&mut state, frame);
        let rests = self.rouse();
        drop(state);
        self.wake_driver(rests);
        Ok(())
    }

    /// Takes a frame whatever waits already: for short answers that must not be lost. Who asks for too many of them without
    /// reading any is not read from any more.
    pub(crate) fn enqueue_at_any_rate(&self, frame: &mut Parts) {
        let mut state = self.lock();
        if state.phase == Phase::Ended {
            return;
        }
        if self.is_full() {
            state.over = true;
            state.forced += frame.len();
            if state.forced >= self.env.write_buffer.max(FORCED) {
                self.choked.store(true, Ordering::Relaxed);
            }
        }
        self.push(&mut state, frame);
        let rests = self.rouse();
        drop(state);
        self.wake_driver(rests);
    }

    /// Waits until the outbox may have room again, or the session has ended.
    pub(crate) async fn wait_for_room(&self) {
        let room = self.room.notified();
        tokio::pin!(room);
        room.as_mut().enable();
        {
            let mut state = self.lock();
            if !self.is_full() || state.phase == Phase::Ended {
                return;
            }
            state.waiting_for_room = true;
        }
        room.await;
    }

    /// Ready when the reply of a pull is here, which is moved to `answer`, or when none will come.
    #[inline]
    pub(crate) fn poll_pull(
        &self,
        seq: u64,
        waker: &Waker,
        taken: &mut Taken,
    ) -> Poll<Result<(), Closed>> {
        let mut state = self.lock();
        match state.pending.poll(seq, waker, taken) {
            Progress::Answered => {
                self.note_calls(&state);
                Poll::Ready(Ok(()))
            }
            Progress::Waiting if state.phase < Phase::Finishing => Poll::Pending,
            Progress::Waiting => Poll::Ready(Err(self.unanswered(&mut state, seq))),
            Progress::Unknown => Poll::Ready(Err(Closed(state.reason()))),
        }
    }

    /// Forgets a pull to which no reply will come, and says why.
    #[cold]
    fn unanswered(&self, state: &mut State, seq: u64) -> Closed {
        state.pending.forget(seq);
        self.note_calls(state);
        Closed(match state.left {
            true => Some(Reason::Left),
            false => state.reason(),
        })
    }

    /// The caller of a pull has gone away.
    pub(crate) fn forget_pull(&self, seq: u64) {
        let mut state = self.lock();
        state.pending.forget(seq);
        self.note_calls(&state);
        let rests = self.rouse_if_draining(&state);
        drop(state);
        self.wake_driver(rests);
    }

    /// Hands a reply to the pull that waits for it, and gives whom to wake; `None` if nobody waits.
    #[inline]
    pub(crate) fn answer(&self, seq: u64, answer: Answer) -> Option<Waker> {
        self.lock().pending.answer(seq, answer)
    }

    /// The same for several at once. Returns how many nobody waits for.
    pub(crate) fn answer_all(
        &self,
        answers: &mut Vec<(u64, Answer)>,
        wakers: &mut Vec<Waker>,
    ) -> usize {
        let mut late = 0;
        let mut state = self.lock();
        for (seq, answer) in answers.drain(..) {
            match state.pending.answer(seq, answer) {
                Some(waker) => wakers.push(waker),
                None => late += 1,
            }
        }
        late
    }

    /// Whether one more handler may start. If too many run already, or hold too much, it is to be refused.
    #[inline]
    pub(crate) fn room_for_handler(&self) -> Result<(), &'static str> {
        if self.running.load(Ordering::Relaxed) as usize >= self.env.max_handlers {
            return Err("too many calls at once on this session");
        }
        match self.memory.has_room() {
            true => Ok(()),
            false => Err(TOO_MUCH),
        }
    }

    /// A handler goes on in a task of its own. Called in the driver's turn, which sees it.
    pub(crate) fn handler_starts(&self) {
        self.running.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn handler_ends(&self) {
        // SeqCst here and where the phase changes: either the driver sees the count, or the handler sees that the session is no
        // longer open and wakes the driver.
        let last = self.running.fetch_sub(1, Ordering::SeqCst) == 1;
        // Only a session on its way out waits for its handlers.
        if last && !self.is_open() {
            self.all_handlers_ended();
        }
    }

    #[cold]
    fn all_handlers_ended(&self) {
        let rests = self.rouse_if_draining(&self.lock());
        self.wake_driver(rests);
    }

    /// Starts the orderly end on this side. `false` if it had begun already.
    pub(crate) fn drain(&self, reason: Reason) -> bool {
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return false;
        }
        state.phase = Phase::Draining;
        self.open.store(false, Ordering::SeqCst);
        state.reason = Some(Box::new(reason));
        let rests = self.rouse();
        drop(state);
        self.wake_driver(rests);
        self.moved.notify_waiters();
        true
    }

    /// Goes on to `Finishing` or `Ended`: pulls in flight fail now.
    pub(crate) fn end(&self, phase: Phase, reason: Reason) {
        let mut state = self.lock();
        if state.phase >= phase {
            return;
        }
        state.phase = phase;
        self.open.store(false, Ordering::SeqCst);
        state.left |= matches!(reason, Reason::Left);
        // A peer that waits for replies does not end its stream, but for foreign ones that half-close.
        state.abandoned |= phase == Phase::Ended || matches!(reason, Reason::Peer);
        let abandoned = state.abandoned;
        state.reason.get_or_insert_with(|| Box::new(reason));
        let wakers = state.pending.wakers();
        if phase == Phase::Ended {
            let queued = self.queued() - state.outbox.len();
            self.queued.store(queued, Ordering::Relaxed);
            state.outbox.clear();
        }
        let rests = self.rouse();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.wake_driver(rests);
        self.moved.notify_waiters();
        if phase == Phase::Ended {
            self.room.notify_waiters();
        }
        if abandoned {
            self.stoppable().values().for_each(|scope| scope.cancel());
        }
    }

    /// Something cannot be sent that the other side waits for.
    pub(crate) fn end_for_panic(&self) {
        self.end(Phase::Ended, Reason::Panicked);
    }

    /// The session has ended, its task too, and its peer has forgotten it.
    pub(crate) fn release(&self) {
        self.end(Phase::Ended, Reason::RuntimeGone);
        self.memory.disown();
        self.lock().released = true;
        self.moved.notify_waiters();
    }

    /// Waits for the release.
    pub(crate) async fn released(&self) {
        self.wait_until(|state| state.released).await;
    }

    /// Waits until pulls can no longer be sent.
    pub(crate) async fn left_open(&self) {
        self.wait_until(|state| state.phase != Phase::Open).await;
    }

    async fn wait_until(&self, is_so: impl Fn(&State) -> bool) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            if is_so(&self.lock()) {
                return;
            }
            moved.await;
        }
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.lock().reason()
    }

    /// Handlers that run, pulls that wait, and bytes that are not written.
    pub(crate) fn unfinished(&self) -> (usize, usize, usize) {
        let state = self.lock();
        let handlers = self.running.load(Ordering::SeqCst) as usize;
        (handlers, state.pending.waiting(), self.queued())
    }

    pub(super) fn waiting_pulls(&self) -> usize {
        self.lock().pending.waiting()
    }

    #[cfg(all(test, shuttle))]
    pub(super) fn entered_pulls(&self) -> usize {
        self.lock().pending.live()
    }

    #[inline]
    fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// As much waits to be written as may.
    #[inline]
    fn is_full(&self) -> bool {
        self.queued() >= self.env.write_buffer
    }

    #[inline]
    fn push(&self, state: &mut State, frame: &mut Parts) {
        let queued = self.queued() + frame.len();
        self.queued.store(queued, Ordering::Relaxed);
        state.outbox.push(frame);
    }

    /// Pulls have been entered or taken out.
    #[inline]
    fn note_calls(&self, state: &State) {
        let calls = state.pending.live() as u32;
        self.calls.store(calls, Ordering::Relaxed);
    }

    /// Whether the driver has to be woken.
    #[inline]
    fn rouse(&self) -> bool {
        let rests = !self.awake.load(Ordering::Relaxed);
        if rests {
            self.awake.store(true, Ordering::Relaxed);
        }
        rests
    }

    fn rouse_if_draining(&self, state: &State) -> bool {
        state.phase != Phase::Open && self.rouse()
    }

    #[inline]
    fn wake_driver(&self, rests: bool) {
        if rests {
            self.stream.wake_driver();
        }
    }
}

impl State {
    #[cold]
    fn refused(&self) -> Refused {
        Refused::Closed(Closed(self.reason()))
    }

    #[cold]
    fn reason(&self) -> Option<Reason> {
        self.reason.as_deref().cloned()
    }
}
