//! Where a handler runs: in place, in the connection's own task, while that is cheap; else in a task of its own.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use foldhash::fast::FixedState;
use pin_project_lite::pin_project;
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    time::Instant,
};

use super::{
    Session,
    dispatch::BoxFuture,
    memory::{Holding, Memory},
    panics::{discard, panic_text},
};

/// A poll that takes longer than this holds up the other packets of its connection.
const LONG_POLL: Duration = Duration::from_micros(200);
/// What one long poll adds to a route's score; each short one takes 1 off.
const LONG: u32 = 16;
/// From this score on a route's handlers start in tasks of their own. Two long polls close together reach it, one
/// (the thread may have been preempted) does not.
const SLOW: u32 = 24;
const MOST: u32 = 128;
/// From one on, a route's polls are timed each by itself: for a route that is new, and for those of a group that took long. This and
/// one long poll are not slow.
const SUSPECT: u32 = SLOW - LONG - 1;
/// To look at the clock takes as long as a small handler does. So many polls of routes that are known as quick are timed together.
const GROUP: usize = 4;
/// A route whose polls take longer than this on average gives its thread's other tasks away. For less that is not worth a thread: on
/// a busy machine many polls look long only because the system has let others run meanwhile.
const HEAVY: Duration = Duration::from_millis(1);
/// So many threads may be taken for that at a time, in the whole process. Each keeps buffers of its own, and the runtime has
/// 512 of them for all purposes.
const ASIDE: usize = 64;

/// What a route's handlers do: how long they hold the thread, learnt from the calls so far, and how many run.
#[derive(Debug)]
pub(crate) struct Pace {
    score: AtomicU32,
    /// A moving average of what polls take, in microseconds.
    average: AtomicU32,
    /// Those that are in tasks of their own.
    running: AtomicUsize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            score: AtomicU32::new(SUSPECT),
            average: AtomicU32::new(0),
            running: AtomicUsize::new(0),
        }
    }
}

impl Pace {
    #[inline]
    fn is_slow(&self) -> bool {
        self.score.load(Ordering::Relaxed) >= SLOW
    }

    #[inline]
    fn is_suspect(&self) -> bool {
        self.score.load(Ordering::Relaxed) > 0
    }

    /// It was in a group that took long.
    fn suspect(&self) {
        self.score.fetch_max(SUSPECT, Ordering::Relaxed);
    }

    fn is_heavy(&self) -> bool {
        Duration::from_micros(self.average.load(Ordering::Relaxed).into()) >= HEAVY
    }

    /// How many of them run.
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    /// Races between callers may lose a count, which does not matter.
    fn note(&self, poll: Duration) {
        let score = self.score.load(Ordering::Relaxed);
        if poll > LONG_POLL {
            self.score
                .store((score + LONG).min(MOST), Ordering::Relaxed);
        } else if score > 0 {
            self.score.store(score - 1, Ordering::Relaxed);
        }
        let average = self.average.load(Ordering::Relaxed);
        let micros = u32::try_from(poll.as_micros()).unwrap_or(u32::MAX);
        if average > 0 || poll > LONG_POLL {
            self.average
                .store(average - average / 8 + micros / 8, Ordering::Relaxed);
        }
    }
}

/// Starts the handlers of one turn of a connection's task.
///
/// A handler is polled once where the packet was read: one that is ready then costs no task, no wake-up and no
/// allocation (the box of the last one of its type is used again). One that is not moves to a task, which polls it again with a
/// waker of its own, so nothing is lost by the first poll having had none.
pub(crate) struct Runner<'a> {
    /// When the turn's first packet was there.
    began: Option<Instant>,
    /// When the clock was last looked at: after a handler, or the reading before it.
    mark: Option<Instant>,
    /// Time spent in handlers until then.
    spent: Duration,
    /// The routes of those that have run since.
    group: [Option<&'a Pace>; GROUP],
    /// How many they are.
    untimed: usize,
    session: &'a Session,
    pinned: Pinned,
    /// Bytes of the packet that is being handled, if it was copied out of the buffer.
    detached: usize,
}

/// The buffer that packets are slices of.
#[derive(Debug, Default)]
pub(crate) struct Pinned {
    /// Its size in bytes.
    buffer: usize,
    /// It is counted, once for all handlers whose packets are in it.
    held: Option<Arc<Holding>>,
}

/// What a task takes with the context of its call, but for the handler's future.
const TASK: usize = 1024;

impl<'a> Runner<'a> {
    #[inline]
    pub(crate) fn new(session: &'a Session, pinned: Pinned) -> Self {
        Self {
            began: None,
            mark: None,
            spent: Duration::ZERO,
            group: [None; GROUP],
            untimed: 0,
            session,
            pinned,
            detached: 0,
        }
    }

    /// For the next turn.
    #[inline]
    pub(crate) fn into_pinned(self) -> Pinned {
        self.pinned
    }

    /// Begins, or goes on after something that is not the packets' doing.
    #[inline]
    pub(crate) fn resume(&mut self) {
        let now = Instant::now();
        self.began.get_or_insert(now);
        self.mark = Some(now);
    }

    /// Begins, if it has not begun.
    #[inline]
    pub(crate) fn begin(&mut self) {
        if self.mark.is_none() {
            self.resume();
        }
    }

    /// Packets are slices of another buffer from now on, of so many bytes.
    #[inline]
    pub(crate) fn reads_into(&mut self, buffer: usize) {
        self.pinned = Pinned::new(buffer);
    }

    /// The next handler's packet is a copy of so many bytes; 0 if it is a slice of the buffer.
    #[inline]
    pub(crate) fn takes(&mut self, detached: usize) {
        self.detached = detached;
    }

    /// When it has last looked at the clock, if it has: after the last handler or read.
    #[inline]
    pub(crate) fn mark(&self) -> Option<Instant> {
        self.mark
    }

    /// Time since the turn began, whatever was done in it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// Time that packets have taken in place in this turn.
    #[inline]
    pub(crate) fn spent(&self) -> Duration {
        self.spent
    }

    /// Runs a handler to its end, in place or in a task.
    ///
    /// A panic ends the handler and nothing else; what it held answers for it when it is dropped.
    #[inline]
    pub(crate) fn run<F>(&mut self, pace: &'a Arc<Pace>, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let suspect = pace.is_suspect();
        if suspect {
            if pace.is_slow() {
                return self.spawn(pace, size_of::<F>(), Box::pin(Slot::new(future)));
            }
            self.look();
        }
        let mut place = Places::lend();
        let slot = place.get_or_insert_with(Slot::empty);
        slot.as_mut().project().handler.set(Some(future));
        let mut cx = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let polled = slot.as_mut().poll(&mut cx);
            if polled.is_ready() {
                slot.as_mut().project().handler.set(None);
            }
            polled
        }));
        if let Some(place) = self.group.get_mut(self.untimed) {
            *place = Some(pace);
            self.untimed += 1;
        }
        if suspect || self.untimed == GROUP {
            self.look();
        }
        match polled {
            Ok(Poll::Ready(())) => {}
            Ok(Poll::Pending) => {
                if let Some(slot) = place.take() {
                    self.spawn(pace, size_of::<F>(), slot);
                }
            }
            Err(panic) => {
                log_panic(panic.as_ref());
                discard(place.take(), "a handler");
            }
        }
        Places::give_back(place);
    }

    /// Looks at the clock, if handlers have run since it was looked at.
    #[inline]
    pub(crate) fn look(&mut self) {
        if self.untimed > 0 {
            self.take_time();
        }
    }

    #[inline(never)]
    fn take_time(&mut self) {
        let now = Instant::now();
        let mark = self.mark.replace(now).unwrap_or(now);
        let elapsed = now.saturating_duration_since(mark);
        self.spent += elapsed;
        let untimed = mem::take(&mut self.untimed);
        let group = self.group.get(..untimed).unwrap_or_default();
        match group {
            [Some(pace)] => pace.note(elapsed),
            _ if elapsed > LONG_POLL => group.iter().flatten().for_each(|pace| pace.suspect()),
            _ => {}
        }
    }

    /// Moves a handler of so many bytes to a task of its own. From now on it is counted, and what it holds too.
    #[inline(never)]
    fn spawn(&mut self, pace: &Arc<Pace>, size: usize, future: BoxFuture<'static, ()>) {
        let memory = &self.session.shared().memory;
        let pinned = (self.detached == 0).then(|| self.pinned.hold(memory));
        tokio::spawn(Task {
            future: Some(future),
            _held: memory.hold(TASK + size + self.detached),
            _pinned: pinned,
            running: Running::new(pace, self.session),
        });
    }
}

impl Pinned {
    /// One of so many bytes, which nobody holds yet.
    pub(crate) fn new(buffer: usize) -> Self {
        Self { buffer, held: None }
    }

    fn hold(&mut self, memory: &Memory) -> Arc<Holding> {
        let hold = || Arc::new(memory.hold(self.buffer));
        Arc::clone(self.held.get_or_insert_with(hold))
    }
}

pin_project! {
    /// A box for handlers of one type, and the one that is in it.
    struct Slot<F> {
        #[pin]
        handler: Option<F>,
    }
}

impl<F> Slot<F> {
    fn new(handler: F) -> Self {
        Self {
            handler: Some(handler),
        }
    }

    #[cold]
    fn empty() -> Pin<Box<Self>> {
        Box::pin(Self { handler: None })
    }
}

impl<F: Future<Output = ()>> Future for Slot<F> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().handler.as_pin_mut() {
            Some(handler) => handler.poll(cx),
            None => Poll::Ready(()),
        }
    }
}

/// Boxes for the handlers of a thread, by their types. Not of a connection: the box of one that is seldom used would have to be
/// fetched from memory.
struct Places {
    /// The one used last, which is mostly the next one too.
    last: Option<Box<dyn Any>>,
    others: HashMap<TypeId, Box<dyn Any>, FixedState>,
}

/// What [`Places`] keeps for a type: a box that is empty.
type Place<F> = Option<Pin<Box<Slot<F>>>>;

thread_local! {
    /// Nothing of the user's runs while this is borrowed: the boxes are empty.
    static PLACES: RefCell<Places> = const { RefCell::new(Places::new()) };
}

/// So many boxes are kept beside the last one, up to this size in bytes.
const PLACES_KEPT: usize = 255;
const LARGEST_KEPT: usize = 4 * 1024;

impl Places {
    const fn new() -> Self {
        Self {
            last: None,
            // Types are the program's own, so any hash is safe.
            others: HashMap::with_hasher(FixedState::with_seed(0)),
        }
    }

    /// Lends the place of a type.
    #[inline]
    fn lend<F: 'static>() -> Box<Place<F>> {
        let last = PLACES.with_borrow_mut(|places| places.last.take());
        match last.map(|last| last.downcast()) {
            Some(Ok(place)) => place,
            Some(Err(other)) => Self::find(Some(other)),
            None => Self::find(None),
        }
    }

    /// It is not the `last` one.
    #[inline(never)]
    fn find<F: 'static>(last: Option<Box<dyn Any>>) -> Box<Place<F>> {
        let found = PLACES.with_borrow_mut(|places| {
            if let Some(last) = last {
                places.keep(last);
            }
            places.others.remove(&TypeId::of::<Place<F>>())
        });
        let place = found.and_then(|place| place.downcast().ok());
        place.unwrap_or_default()
    }

    /// Takes back what was lent.
    #[inline]
    fn give_back<F: 'static>(mut place: Box<Place<F>>) {
        if size_of::<F>() > LARGEST_KEPT {
            *place = None;
        }
        PLACES.with_borrow_mut(|places| {
            // A handler may have waited for something by itself, and others have run meanwhile.
            if let Some(other) = places.last.replace(place) {
                places.keep(other);
            }
        });
    }

    #[cold]
    fn keep(&mut self, place: Box<dyn Any>) {
        if self.others.len() < PLACES_KEPT {
            self.others.insert((*place).type_id(), place);
        }
    }
}

/// A handler in a task of its own. Goes on measuring, so that a route that became quick runs in place again.
///
/// A session that closes waits for those it has. One in place it need not wait for: its own task runs that.
struct Task {
    future: Option<BoxFuture<'static, ()>>,
    _held: Holding,
    /// The buffer that its packet is a slice of.
    _pinned: Option<Arc<Holding>>,
    /// Dropped last.
    running: Running,
}

/// Counts as one that runs.
struct Running {
    pace: Arc<Pace>,
    session: Session,
}

impl Running {
    fn new(pace: &Arc<Pace>, session: &Session) -> Self {
        pace.running.fetch_add(1, Ordering::Relaxed);
        session.shared().handler_starts();
        Self {
            pace: Arc::clone(pace),
            session: session.clone(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.pace.running.fetch_sub(1, Ordering::Relaxed);
        self.session.shared().handler_ends();
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            future, running, ..
        } = &mut *self;
        let pace = &running.pace;
        let Some(handler) = future else {
            return Poll::Ready(());
        };
        let start = Instant::now();
        let poll = AssertUnwindSafe(|| handler.as_mut().poll(cx));
        let polled = if pace.is_heavy() {
            aside(|| catch_unwind(poll))
        } else {
            catch_unwind(poll)
        };
        pace.note(start.elapsed());
        match polled {
            Ok(polled) => polled,
            Err(panic) => {
                *future = None;
                log_panic(panic.as_ref());
                Poll::Ready(())
            }
        }
    }
}

/// Does what takes long. This thread's other tasks, the connection's own among them, go on in another one meanwhile, if there is
/// one to be had.
pub(super) fn aside<R>(work: impl FnOnce() -> R) -> R {
    static TAKEN: AtomicUsize = AtomicUsize::new(0);

    /// One of the threads.
    struct Taken;

    impl Drop for Taken {
        fn drop(&mut self) {
            TAKEN.fetch_sub(1, Ordering::Relaxed);
        }
    }

    if !has_other_threads() {
        return work();
    }
    let before = TAKEN.fetch_add(1, Ordering::Relaxed);
    let _taken = Taken;
    match before < ASIDE {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

/// A runtime of one thread has nobody to hand its other tasks to.
fn has_other_threads() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

fn log_panic(panic: &(dyn Any + Send)) {
    tracing::error!(panic = panic_text(panic), "a handler panicked");
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use tokio::sync::oneshot;

    use super::{super::testing, *};

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_is_ready_runs_in_place() {
        let session = testing::session();
        let pace = Arc::default();
        let mut runner = Runner::new(&session, Pinned::default());
        let (tx, mut rx) = oneshot::channel();
        runner.run(&pace, async move {
            tx.send(()).ok();
        });
        assert!(rx.try_recv().is_ok(), "done before run returned");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_waits_does_not_hold_up_the_next() {
        let session = testing::session();
        let pace = Arc::default();
        let mut runner = Runner::new(&session, Pinned::default());
        let (go, wait) = oneshot::channel::<()>();
        let (tx, rx) = oneshot::channel();
        runner.run(&pace, async move {
            wait.await.ok();
            tx.send("first").ok();
        });
        let (tx2, mut rx2) = oneshot::channel();
        runner.run(&pace, async move {
            tx2.send("second").ok();
        });
        assert_eq!(rx2.try_recv(), Ok("second"));
        go.send(()).ok();
        assert_eq!(rx.await, Ok("first"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_is_waited_for_from_when_it_has_a_task_until_that_is_gone() {
        let session = testing::session();
        let running = || session.shared().unfinished().0;
        let pace = Arc::default();
        let mut runner = Runner::new(&session, Pinned::default());
        let seen = session.clone();
        runner.run(&pace, async move {
            assert_eq!(seen.shared().unfinished().0, 0, "in place");
        });
        let (go, wait) = oneshot::channel::<()>();
        let (held, dropped) = oneshot::channel::<()>();
        runner.run(&pace, async move {
            let _held = held;
            wait.await.ok();
        });
        assert_eq!((running(), pace.running()), (1, 1));
        go.send(()).ok();
        dropped.await.ok();
        // The runtime drops the task right after its future.
        while running() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pace.running(), 0);
    }

    #[test]
    fn each_type_of_handler_finds_its_box_again_among_others() {
        fn is_kept<F: 'static>(_: &F) -> bool {
            let place = Places::lend::<F>();
            let is_kept = place.is_some();
            Places::give_back(place);
            is_kept
        }

        let session = testing::session();
        let pace = Arc::default();
        let mut runner = Runner::new(&session, Pinned::default());
        let first = || async {};
        let second = || async {};
        let large = || async {
            let held = [0_u8; LARGEST_KEPT];
            std::future::ready(()).await;
            assert_eq!(held.len(), LARGEST_KEPT);
        };
        for _ in 0..2 {
            runner.run(&pace, first());
            runner.run(&pace, second());
            runner.run(&pace, large());
        }
        assert!(is_kept(&first()) && is_kept(&second()) && !is_kept(&large()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_place_or_in_a_task_ends_that_handler_alone() {
        let session = testing::session();
        let pace = Arc::default();
        let mut runner = Runner::new(&session, Pinned::default());
        runner.run(&pace, async { panic!("in place") });
        let (go, wait) = oneshot::channel::<()>();
        let (held, dropped) = oneshot::channel::<()>();
        runner.run(&pace, async move {
            let _held = held;
            wait.await.ok();
            panic!("in a task")
        });
        go.send(()).ok();
        assert!(dropped.await.is_err(), "what the handler held is dropped");
        let (tx, mut rx) = oneshot::channel();
        runner.run(&pace, async move {
            tx.send(()).ok();
        });
        assert!(rx.try_recv().is_ok());
    }

    #[test]
    fn a_route_is_slow_after_two_long_polls_and_quick_again_after_many_short_ones() {
        let pace = Pace::default();
        pace.note(LONG_POLL * 2);
        assert!(!pace.is_slow(), "one long poll may be the system's doing");
        pace.note(LONG_POLL * 2);
        assert!(pace.is_slow());
        for _ in 0..MOST {
            pace.note(Duration::ZERO);
        }
        assert!(!pace.is_slow());
    }

    /// A route that has shown to be quick.
    fn quick() -> Arc<Pace> {
        let pace = Arc::<Pace>::default();
        for _ in 0..SUSPECT {
            assert!(pace.is_suspect());
            pace.note(Duration::ZERO);
        }
        assert!(!pace.is_suspect());
        pace
    }

    /// A handler that is ready, and has taken so long.
    async fn runs_for(poll: Duration) {
        let mut advance = pin!(tokio::time::advance(poll));
        // The clock has moved on after the first poll.
        poll_fn(|cx| {
            _ = advance.as_mut().poll(cx);
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn quick_routes_are_timed_together_and_each_by_itself_after_a_long_time() {
        let session = testing::session();
        let (slow, other, later) = (quick(), quick(), quick());
        let mut runner = Runner::new(&session, Pinned::default());
        runner.begin();
        runner.run(&other, async {});
        runner.run(&slow, runs_for(LONG_POLL * 2));
        assert_eq!(runner.spent(), Duration::ZERO, "nobody has looked yet");
        runner.look();
        assert_eq!(runner.spent(), LONG_POLL * 2);
        runner.run(&later, async {});
        assert!(slow.is_suspect() && other.is_suspect() && !later.is_suspect());
        for _ in 0..SUSPECT {
            runner.run(&other, async {});
        }
        assert!(!other.is_suspect());
        for _ in 0..2 {
            assert!(!slow.is_slow());
            runner.run(&slow, runs_for(LONG_POLL * 2));
        }
        assert!(slow.is_slow());
        assert_eq!(runner.spent(), LONG_POLL * 6, "without asking");
    }

    #[test]
    fn a_route_is_heavy_if_its_polls_are_and_not_if_some_of_them_look_so() {
        let pace = Pace::default();
        for number in 0..1000 {
            let interrupted = number % 10 == 0;
            pace.note(if interrupted { HEAVY * 2 } else { HEAVY / 100 });
            assert!(!pace.is_heavy());
        }
        assert!(pace.is_slow());
        for _ in 0..8 {
            pace.note(HEAVY * 3);
        }
        assert!(pace.is_heavy());
        for _ in 0..100 {
            pace.note(HEAVY / 100);
        }
        assert!(!pace.is_heavy());
        pace.note(Duration::MAX);
        assert!(pace.is_heavy(), "and no number is too large");
    }
}
