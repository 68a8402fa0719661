//! [`Latency`]: how long many things took, in little memory.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Buckets for each doubling of the time: what is in one bucket differs by an eighth at most.
const PARTS: usize = 8;
/// 2 to the power of this is `PARTS`.
const PARTS_LOG: u32 = 3;
/// The shortest times that are told apart, in nanoseconds, as a power of two: 128.
const UNIT_LOG: u32 = 7;
/// Up to two hours; what takes longer is in the last one.
const BUCKETS: usize = 34 * PARTS;

/// Counts times, from many threads at once.
pub(super) struct Histogram {
    buckets: Box<[AtomicU64]>,
    /// Nanoseconds, in all; enough for 500 years.
    total: AtomicU64,
    /// Nanoseconds.
    max: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(),
            total: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(super) fn add(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get(bucket(nanos)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.total.fetch_add(nanos, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Latency {
        let load = |bucket: &AtomicU64| bucket.load(Ordering::Relaxed);
        Latency {
            buckets: self.buckets.iter().map(load).collect(),
            total: load(&self.total),
            max: load(&self.max),
        }
    }
}

/// Small numbers have a bucket each, larger ones share one with their neighbours.
fn bucket(nanos: u64) -> usize {
    let units = nanos >> UNIT_LOG;
    let Some(log) = units.checked_ilog2().filter(|log| *log >= PARTS_LOG) else {
        return units as usize;
    };
    let part = (units >> (log - PARTS_LOG)) as usize - PARTS;
    let doubling = (log - PARTS_LOG + 1) as usize;
    (doubling * PARTS + part).min(BUCKETS - 1)
}

/// The middle of a bucket, in nanoseconds.
fn middle(bucket: usize) -> u64 {
    let (doubling, part) = ((bucket / PARTS) as u32, (bucket % PARTS) as u64);
    let (start, width) = match doubling {
        0 => (part, 1),
        _ => ((PARTS as u64 + part) << (doubling - 1), 1 << (doubling - 1)),
    };
    (start << UNIT_LOG) + ((width << UNIT_LOG) / 2)
}

/// How long calls took, from their first to their last moment on this side.
///
/// Kept in buckets: what it tells is exact to 7 %, or to 64 ns.
#[derive(Clone, Debug)]
pub struct Latency {
    buckets: Vec<u64>,
    total: u64,
    max: u64,
}

impl Latency {
    /// Number of calls.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The time within which this share of the calls ended: 0.5 is the median. Zero if there were none. Shares below 0 and
    /// above 1 are taken for 0 and 1.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        // A count that no float can tell from its neighbour is not worth an error.
        let wanted = (self.count() as f64 * share.clamp(0.0, 1.0))
            .ceil()
            .max(1.0);
        let mut seen = 0.0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += *count as f64;
            if *count > 0 && seen >= wanted {
                return Duration::from_nanos(middle(bucket).min(self.max));
            }
        }
        Duration::ZERO
    }

    /// The longest time; exact.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The mean; zero if there were no calls.
    #[must_use]
    pub fn mean(&self) -> Duration {
        let nanos = self.total.checked_div(self.count());
        Duration::from_nanos(nanos.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_mean_and_maximum_are_those_of_what_was_added() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile(0.5), Duration::ZERO);
        assert_eq!(histogram.snapshot().mean(), Duration::ZERO);
        for millis in 1..=1000 {
            histogram.add(Duration::from_millis(millis));
        }
        let latency = histogram.snapshot();
        assert_eq!(latency.count(), 1000);
        for (share, millis) in [
            (0.0, 1.0),
            (0.5, 500.0),
            (0.9, 900.0),
            (0.99, 990.0),
            (7.0, 1000.0),
        ] {
            let found = latency.quantile(share).as_secs_f64() * 1e3;
            assert!((found / millis - 1.0).abs() < 0.07, "{share}: {found}");
        }
        assert_eq!(latency.max(), Duration::from_secs(1));
        assert_eq!(latency.mean(), Duration::from_micros(500_500));
        assert!(latency.quantile(1.0) <= latency.max());
    }

    #[test]
    fn buckets_are_in_order_and_none_is_left_out() {
        let mut last = 0;
        for nanos in 0..1_000_000 {
            let found = bucket(nanos);
            assert!(found == last || found == last + 1, "{nanos}");
            last = found;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert!(middle(BUCKETS - 1) > Duration::from_secs(7200).as_nanos() as u64);
    }

    proptest! {
        #[test]
        fn a_bucket_tells_the_time_to_seven_per_cent(nanos in 0_u64..7_200_000_000_000) {
            let told = middle(bucket(nanos));
            prop_assert!(told.abs_diff(nanos) <= (nanos / 14).max(64), "{} {}", nanos, told);
        }
    }
}
