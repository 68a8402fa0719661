//! [`Memory`]: what the calls of one session hold, in bytes.

use std::sync::{Arc, OnceLock, PoisonError, atomic::Ordering};

use super::sync::{AtomicUsize, Mutex};
use crate::socket::pool::{Lease, Pool};

/// So much each session has of its own: however much the others hold, its small calls go on.
const OWN: usize = 512 * 1024;
/// What a session needs beyond that it takes from the pool in pieces of this size.
const PIECE: usize = 64 * 1024;
/// From here on small packets are copied out of the buffer that they were read into, of which each might keep all.
const TIGHT: usize = 64 * 1024;

/// Counts what the handlers of a session that run in tasks hold of what was read, and replies that wait for room. What is
/// done in place, which is nearly everything, is not counted: it is over before the next packet is looked at.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Made when something is first held: most sessions have none, and nothing else to look at than that.
    counts: OnceLock<Arc<Counts>>,
    limit: usize,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Counts {
    held: AtomicUsize,
    /// What is not taken from the pool: `OWN`, or nothing when the session is over.
    own: AtomicUsize,
    /// That, and what is taken. More may be held, or far less, only after the pool was asked.
    covered: AtomicUsize,
    lease: Mutex<Lease>,
}

impl Memory {
    pub(crate) fn new(limit: usize, pool: Arc<Pool>) -> Self {
        Self {
            counts: OnceLock::new(),
            limit,
            pool,
        }
    }

    /// Whether another call may begin. That one may go over the limit.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        let held = self.held();
        held < OWN.min(self.limit) || self.has_shared_room(held)
    }

    #[cold]
    fn has_shared_room(&self, held: usize) -> bool {
        held < self.limit && !self.pool.is_used_up()
    }

    /// Enough is held to take care.
    #[inline]
    pub(crate) fn is_tight(&self) -> bool {
        self.held() >= TIGHT
    }

    /// Counts so many bytes until what it gives is dropped.
    pub(crate) fn hold(&self, bytes: usize) -> Holding {
        let counts = Arc::clone(self.counts());
        // SeqCst wherever these two meet: either the one who changes `held` sees what is covered now, or `settle` sees `held`.
        let held = counts.held.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if held > counts.covered.load(Ordering::SeqCst) {
            counts.settle();
        }
        Holding { counts, bytes }
    }

    /// The session is over: it has nothing of its own any more, and what its handlers still hold is all taken from the pool.
    pub(crate) fn disown(&self) {
        let counts = self.counts();
        counts.own.store(0, Ordering::SeqCst);
        counts.settle();
    }

    #[inline]
    fn held(&self) -> usize {
        let counts = self.counts.get();
        counts.map_or(0, |counts| counts.held.load(Ordering::Relaxed))
    }

    fn counts(&self) -> &Arc<Counts> {
        self.counts.get_or_init(|| {
            Arc::new(Counts {
                held: AtomicUsize::new(0),
                own: AtomicUsize::new(OWN),
                covered: AtomicUsize::new(OWN),
                lease: Mutex::new(Lease::new(Arc::clone(&self.pool))),
            })
        })
    }
}

impl Counts {
    /// Takes from the pool what is held beyond the session's own, or gives it back.
    #[cold]
    fn settle(&self) {
        let mut lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let held = self.held.load(Ordering::SeqCst);
            let own = self.own.load(Ordering::SeqCst);
            lease.set(held.saturating_sub(own).next_multiple_of(PIECE));
            self.covered.store(own + lease.bytes(), Ordering::SeqCst);
            if self.held.load(Ordering::SeqCst) == held {
                return;
            }
        }
    }
}

/// Bytes that are held.
#[derive(Debug)]
pub(crate) struct Holding {
    counts: Arc<Counts>,
    bytes: usize,
}

impl Drop for Holding {
    fn drop(&mut self) {
        let counts = &self.counts;
        let held = counts.held.fetch_sub(self.bytes, Ordering::SeqCst) - self.bytes;
        let covered = counts.covered.load(Ordering::SeqCst);
        let leased = covered > counts.own.load(Ordering::Relaxed);
        if leased && (held == 0 || held + 2 * PIECE < covered) {
            counts.settle();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(pool: &Arc<Pool>, bytes: usize) -> bool {
        Lease::new(pool.clone()).grow(bytes)
    }

    #[test]
    fn what_is_small_never_asks_the_pool_and_goes_on_when_that_is_used_up() {
        let pool = Arc::new(Pool::new(1000));
        pool.overdraw(1000);
        let memory = Memory::new(usize::MAX, pool.clone());
        let held = memory.hold(OWN - 1);
        assert!(memory.has_room() && !pool.is_overdrawn());
        let more = memory.hold(1);
        assert!(!memory.has_room(), "the pool is used up");
        drop((held, more));
        assert!(memory.has_room());
    }

    #[test]
    fn what_is_large_is_taken_from_the_pool_and_goes_back_there() {
        let pool = Arc::new(Pool::new(1 << 20));
        let memory = Memory::new(usize::MAX, pool.clone());
        let held = memory.hold(OWN + PIECE + 1);
        assert!(free(&pool, (1 << 20) - 2 * PIECE) && !free(&pool, (1 << 20) - PIECE));
        drop(held);
        assert!(free(&pool, 1 << 20));
    }

    #[test]
    fn a_call_may_go_over_the_limit_and_none_begins_there() {
        let memory = Memory::new(100, Arc::default());
        let held = memory.hold(99);
        assert!(memory.has_room());
        let over = memory.hold(1000);
        assert!(!memory.has_room());
        drop(over);
        assert!(memory.has_room());
        drop(held);
    }

    #[test]
    fn what_handlers_hold_when_their_session_is_over_is_all_taken_from_the_pool() {
        let pool = Arc::new(Pool::new(PIECE));
        let memory = Memory::new(usize::MAX, pool.clone());
        let held = memory.hold(10);
        memory.disown();
        assert!(pool.is_used_up());
        drop(held);
        assert!(free(&pool, PIECE));
    }
}
