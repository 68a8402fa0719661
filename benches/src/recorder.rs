//! Latencies of many tasks in one histogram, cheap enough to run at a million per second.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const SHARDS: usize = 8;

thread_local! {
    /// Which shard this thread writes to, so that its lock is hardly ever contended.
    static SHARD: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed) % SHARDS
    };
}

/// Where the tasks of a driver put their latencies.
pub struct Recorder {
    shards: [Mutex<Histogram<u64>>; SHARDS],
}

/// What was recorded, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Latency {
    pub count: u64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Recorder {
    /// An empty recorder: 100 ns to 60 s, three digits.
    pub fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::new(empty())),
        }
    }

    /// Records the time since `start`, and returns now.
    pub fn record(&self, start: Instant) -> Instant {
        let now = Instant::now();
        self.add(now - start);
        now
    }

    /// Records one latency.
    pub fn add(&self, latency: Duration) {
        SHARD.with(|&shard| lock(&self.shards[shard]).saturating_record(latency.as_nanos() as u64));
    }

    /// Forgets all there is, the largest too: the warm-up.
    pub fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).reset());
    }

    /// The summary of all there is.
    pub fn latency(&self) -> Latency {
        let mut all = empty();
        for shard in &self.shards {
            // Cannot fail: all have the same bounds.
            all.add(&*lock(shard)).ok();
        }
        let micros = |quantile| all.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            count: all.len(),
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            max: all.max() as f64 / 1000.0,
        }
    }
}

fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 60_000_000_000, 3).expect("constant bounds are valid")
}

fn lock(shard: &Mutex<Histogram<u64>>) -> MutexGuard<'_, Histogram<u64>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
