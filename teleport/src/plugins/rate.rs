//! [`Rate`]: how many in what time.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// How many calls may come in what time, for [`CallLimit`](super::CallLimit).
///
/// In the long run not more than that come through. In the short run as many as the [`burst`](Self::burst) may come at once
/// after a pause, from then on one at a time, at even distances.
///
/// ```
/// use std::time::Duration;
/// use teleport::plugins::Rate;
///
/// let rate = Rate::per_second(100).burst(20);
/// assert_eq!(rate.to_string(), "100 in 1s");
/// assert_eq!(Rate::new(10, Duration::from_secs(60)).to_string(), "10 in 60s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: u32,
    per: Duration,
    burst: u32,
}

impl Rate {
    /// So many in a second; at least 1.
    #[must_use]
    pub fn per_second(count: u32) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// So many, at least 1, in such a time.
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Self {
        let count = count.max(1);
        Self {
            count,
            per,
            burst: count,
        }
    }

    /// How many may come at once after a pause; at least 1. Default: as many as in the whole time.
    #[must_use]
    pub fn burst(mut self, count: u32) -> Self {
        self.burst = count.max(1);
        self
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {:?}", self.count, self.per)
    }
}

/// Keeps to a rate. One number tells all: when, in nanoseconds since the start, as many as the burst could come again.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    start: Instant,
    full: AtomicU64,
}

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            start: Instant::now(),
            full: AtomicU64::new(0),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Lets one through, or not.
    pub(super) fn take(&self, now: Instant) -> bool {
        let now = nanos(now.saturating_duration_since(self.start));
        let distance = nanos(self.rate.per) / u64::from(self.rate.count);
        let ahead = distance.saturating_mul(u64::from(self.rate.burst));
        let taken = self
            .full
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full| {
                let full = full.max(now).checked_add(distance)?;
                (full - now <= ahead).then_some(full)
            });
        taken.is_ok()
    }
}

/// 584 years, if it is more.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` come through at that time.
    fn through(bucket: &Bucket, count: usize, millis: u64) -> usize {
        let now = bucket.start + Duration::from_millis(millis);
        (0..count).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_burst_comes_through_at_once_and_then_one_at_a_time() {
        let bucket = Bucket::new(Rate::per_second(10).burst(3));
        assert_eq!(through(&bucket, 10, 0), 3);
        assert_eq!(through(&bucket, 10, 99), 0);
        assert_eq!(through(&bucket, 10, 100), 1);
        assert_eq!(through(&bucket, 10, 350), 2);
        assert_eq!(through(&bucket, 10, 400), 1);
        assert_eq!(through(&bucket, 10, 100_000), 3, "no more has gathered");
    }

    #[test]
    fn no_more_than_the_rate_comes_through_in_the_long_run() {
        let bucket = Bucket::new(Rate::new(600, Duration::from_secs(60)).burst(1));
        let total: usize = (0..60_000).map(|millis| through(&bucket, 2, millis)).sum();
        assert_eq!(total, 600);
    }

    #[test]
    fn what_is_refused_does_not_count() {
        let bucket = Bucket::new(Rate::per_second(1));
        assert_eq!(through(&bucket, 1_000, 0), 1);
        assert_eq!(through(&bucket, 1, 1_000), 1);
    }

    #[test]
    fn senseless_numbers_make_sense() {
        let bucket = Bucket::new(Rate::per_second(0).burst(0));
        assert_eq!(through(&bucket, 9, 0), 1);
        let bucket = Bucket::new(Rate::new(1, Duration::MAX));
        assert_eq!(through(&bucket, 9, 0), 1);
        assert_eq!(through(&bucket, 9, 1_000_000_000), 0);
        let bucket = Bucket::new(Rate::new(u32::MAX, Duration::ZERO));
        assert_eq!(through(&bucket, 9, 0), 9, "no time is no limit");
    }
}
