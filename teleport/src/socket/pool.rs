//! Memory that the sessions of a peer share, in bytes: [`Pool`].

use std::sync::{
    Arc,
    atomic::{AtomicIsize, Ordering},
};

use tokio::sync::Notify;

/// What the sessions of one peer may hold together, beyond what each has of its own. It is taken and given back in large
/// pieces, so that nobody meets here for a small packet.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Negative if it was overdrawn.
    free: AtomicIsize,
    /// What of it may still be kept for later use: an eighth at first.
    idle: AtomicIsize,
    /// Something was given back.
    given: Arc<Notify>,
}

impl Pool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            free: AtomicIsize::new(signed(bytes)),
            idle: AtomicIsize::new(signed(bytes) / 8),
            given: Arc::default(),
        }
    }

    /// Takes so much, if it is there.
    fn take(&self, bytes: usize) -> bool {
        take(&self.free, bytes)
    }

    /// Takes so much for what nobody uses for the time being, if there is that much to spare.
    pub(crate) fn keep(&self, bytes: usize) -> bool {
        if !take(&self.idle, bytes) {
            return false;
        }
        let kept = self.take(bytes);
        if !kept {
            self.idle.fetch_add(signed(bytes), Ordering::Relaxed);
        }
        kept
    }

    /// Gives back what was taken to be kept.
    pub(crate) fn let_go(&self, bytes: usize) {
        self.idle.fetch_add(signed(bytes), Ordering::Relaxed);
        self.give(bytes);
    }

    /// Takes so much, be it there or not: what has happened already has to be counted.
    pub(crate) fn overdraw(&self, bytes: usize) {
        self.free.fetch_sub(signed(bytes), Ordering::Relaxed);
    }

    pub(crate) fn give(&self, bytes: usize) {
        // Before the waking: who waits looks here once more after it has begun to wait.
        self.free.fetch_add(signed(bytes), Ordering::SeqCst);
        self.given.notify_one();
    }

    /// Nothing is left.
    pub(crate) fn is_used_up(&self) -> bool {
        self.free.load(Ordering::Relaxed) <= 0
    }

    /// More was needed than there is.
    pub(crate) fn is_overdrawn(&self) -> bool {
        self.free.load(Ordering::Relaxed) < 0
    }

    /// Who was woken has taken what it needs.
    pub(crate) fn pass_on(&self) {
        if !self.is_used_up() {
            self.given.notify_one();
        }
    }

    /// Wakes one of those who wait when something is given back.
    pub(crate) fn given(&self) -> &Arc<Notify> {
        &self.given
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

fn take(of: &AtomicIsize, bytes: usize) -> bool {
    let bytes = signed(bytes);
    let take = |free: isize| (free >= bytes).then(|| free - bytes);
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        .is_ok()
}

/// There is no more memory than that anyway.
fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

/// Memory that was taken out of a pool, and goes back there.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    bytes: usize,
}

impl Lease {
    /// Of nothing yet.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self { pool, bytes: 0 }
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Becomes one of at least so much, if that is there.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = more == 0 || self.pool.take(more);
        if taken {
            self.bytes += more;
        }
        taken
    }

    /// Becomes one of just so much, be it there or not.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.pool.overdraw(bytes - self.bytes);
        } else if bytes < self.bytes {
            self.pool.give(self.bytes - bytes);
        }
        self.bytes = bytes;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_no_more_than_there_is_is_lent() {
        let pool = Arc::new(Pool::new(100));
        let (mut one, mut other) = (Lease::new(pool.clone()), Lease::new(pool.clone()));
        assert!(one.grow(60) && one.grow(50) && one.bytes() == 60);
        assert!(!other.grow(41) && other.bytes() == 0);
        assert!(other.grow(40) && pool.is_used_up() && !pool.is_overdrawn());
        other.set(50);
        assert!(pool.is_overdrawn());
        one.set(20);
        assert!(!pool.is_used_up());
        drop(other);
        assert!(one.grow(100) && !one.grow(101));
    }
}
