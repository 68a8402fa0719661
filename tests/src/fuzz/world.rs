//! What the handlers of a fuzzed session do, and what is known about them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use teleport::{
    PullController, PullCtx, PushController, Router, Status, pull_controller, push_controller,
};
use tokio::{
    runtime::Builder,
    sync::{Notify, Semaphore},
};

/// Operations of one input. The rest of a longer one is not looked at.
pub(super) const MOST: usize = 200;
/// Longer than all waiting that is asked for, shorter than the write timeout.
pub(super) const PATIENCE: Duration = Duration::from_secs(150);

/// Runs a conversation on a paused clock, after which no task may be left.
pub(super) fn run(conversation: impl Future<Output = ()>) {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(conversation);
    assert_eq!(runtime.metrics().num_alive_tasks(), 0, "tasks are left");
}

/// The number of a call, and something that makes it larger.
type Args = (u64, String);

/// Clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct World(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    last: AtomicU64,
    /// How often a handler has begun, by call.
    runs: Mutex<HashMap<u64, usize>>,
    /// Handlers that wait until they are let go.
    gates: Mutex<Vec<Arc<Semaphore>>>,
    /// No handler waits from now on.
    is_open: std::sync::atomic::AtomicBool,
    presence: Arc<Presence>,
}

#[derive(Debug, Default)]
struct Presence {
    left: Notify,
}

/// Something that has to be gone in the end.
#[derive(Clone, Debug)]
pub(super) struct Present(Arc<Presence>);

impl Drop for Present {
    fn drop(&mut self) {
        self.0.left.notify_one();
    }
}

impl World {
    pub(super) fn routes(&self) -> Router {
        PullController::into_router(self.clone()).merge(PushController::into_router(self.clone()))
    }

    /// A number for a call that is to be made: 1 is the first.
    pub(super) fn new_call(&self) -> u64 {
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> usize {
        usize::try_from(self.0.last.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
    }

    fn all_runs(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        self.0.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn runs(&self, id: u64) -> usize {
        self.all_runs().get(&id).copied().unwrap_or_default()
    }

    /// No handler has run twice for one call, or for one that there was not.
    pub(super) fn check(&self) {
        for (id, runs) in &*self.all_runs() {
            if *id == 0 {
                // Of a body that is empty: anybody's.
                continue;
            }
            assert_eq!(*runs, 1, "runs of call {id}");
            assert!(*id <= self.0.last.load(Ordering::Relaxed), "call {id}");
        }
    }

    pub(super) fn present(&self) -> Present {
        Present(Arc::clone(&self.0.presence))
    }

    /// Waits until nothing is left of what was present.
    pub(super) async fn alone(&self) {
        while Arc::strong_count(&self.0.presence) > 1 {
            self.0.presence.left.notified().await;
            tokio::task::yield_now().await;
        }
    }

    fn gates(&self) -> MutexGuard<'_, Vec<Arc<Semaphore>>> {
        self.0.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one of the handlers go that wait.
    pub(super) fn open(&self, number: usize) {
        let mut gates = self.gates();
        if let Some(at) = number.checked_rem(gates.len()) {
            gates.swap_remove(at).close();
        }
    }

    pub(super) fn open_all(&self) {
        self.0.is_open.store(true, Ordering::Relaxed);
        for gate in self.gates().drain(..) {
            gate.close();
        }
    }

    fn begin(&self, (id, _): &Args) -> Present {
        *self.all_runs().entry(*id).or_default() += 1;
        self.present()
    }

    async fn wait(&self) {
        if self.0.is_open.load(Ordering::Relaxed) {
            return;
        }
        let gate = Arc::new(Semaphore::new(0));
        self.gates().push(Arc::clone(&gate));
        // It is closed, and never gives a permit.
        let _ = gate.acquire().await;
    }
}

#[pull_controller]
impl World {
    async fn now(&self, args: Args) -> u64 {
        let _present = self.begin(&args);
        args.0
    }

    async fn yielding(&self, args: Args) -> u64 {
        let _present = self.begin(&args);
        tokio::task::yield_now().await;
        args.0
    }

    async fn sleeping(&self, args: Args) -> u64 {
        let _present = self.begin(&args);
        tokio::time::sleep(Duration::from_millis(20)).await;
        args.0
    }

    async fn waiting(&self, args: Args) -> u64 {
        let _present = self.begin(&args);
        self.wait().await;
        args.0
    }

    #[pull(cancel)]
    async fn stoppable(&self, args: Args) -> u64 {
        let _present = self.begin(&args);
        self.wait().await;
        args.0
    }

    async fn back(&self, ctx: &PullCtx, args: Args) -> Result<u64, Status> {
        let _present = self.begin(&args);
        let inner = self.new_call();
        let answer: u64 = ctx.session().pull("/world/yielding", (inner, "")).await?;
        if answer != inner {
            return Err(Status::new(1, format!("{answer} for {inner}")));
        }
        Ok(args.0)
    }

    async fn closing(&self, ctx: &PullCtx, args: Args) -> u64 {
        let _present = self.begin(&args);
        ctx.session().start_closing();
        args.0
    }
}

#[push_controller]
impl World {
    async fn note(&self, args: Args) {
        let _present = self.begin(&args);
        tokio::task::yield_now().await;
    }
}
