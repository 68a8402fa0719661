//! [`Rate`]: how many in what time.

use std::{fmt, num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
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

/// Keeps to a rate.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// `None` lets all through.
    limiter: Option<Limiter>,
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, SinceStart, NoOpMiddleware<Nanos>>;

/// 146 years: what is beyond no clock has to tell.
const LONGEST: u64 = 1 << 62;

impl Bucket {
    pub(super) fn new(rate: Rate) -> Self {
        let clock = SinceStart(Instant::now());
        let quota = quota(rate);
        Self {
            rate,
            limiter: quota.map(|quota| RateLimiter::direct_with_clock(quota, clock)),
        }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// Lets one through, or not.
    pub(super) fn take(&self) -> bool {
        let limiter = self.limiter.as_ref();
        limiter.is_none_or(|limiter| limiter.check().is_ok())
    }
}

/// `None` if the rate is no limit.
fn quota(rate: Rate) -> Option<Quota> {
    let distance = nanos(rate.per).min(LONGEST) / u64::from(rate.count.max(1));
    let most = LONGEST.checked_div(distance)?;
    let burst = u64::from(rate.burst).min(most).max(1);
    let burst = NonZeroU32::new(u32::try_from(burst).unwrap_or(u32::MAX))?;
    Some(Quota::with_period(Duration::from_nanos(distance))?.allow_burst(burst))
}

/// The runtime's clock, which tests can stop.
#[derive(Clone, Debug)]
struct SinceStart(Instant);

impl Clock for SinceStart {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(nanos(self.0.elapsed()))
    }
}

/// 584 years, if it is more.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `count` come through now.
    fn through(bucket: &Bucket, count: usize) -> usize {
        (0..count).filter(|_| bucket.take()).count()
    }

    async fn pass(millis: u64) {
        tokio::time::advance(Duration::from_millis(millis)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_comes_through_at_once_and_then_one_at_a_time() {
        let bucket = Bucket::new(Rate::per_second(10).burst(3));
        assert_eq!(through(&bucket, 10), 3);
        pass(99).await;
        assert_eq!(through(&bucket, 10), 0);
        pass(1).await;
        assert_eq!(through(&bucket, 10), 1);
        pass(250).await;
        assert_eq!(through(&bucket, 10), 2);
        pass(50).await;
        assert_eq!(through(&bucket, 10), 1);
        pass(100_000).await;
        assert_eq!(through(&bucket, 10), 3, "no more has gathered");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_rate_comes_through_in_the_long_run() {
        let bucket = Bucket::new(Rate::new(600, Duration::from_secs(60)).burst(1));
        let mut total = 0;
        for _ in 0..6_000 {
            total += through(&bucket, 2);
            pass(10).await;
        }
        assert_eq!(total, 600);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_does_not_count() {
        let bucket = Bucket::new(Rate::per_second(1));
        assert_eq!(through(&bucket, 1_000), 1);
        pass(1_000).await;
        assert_eq!(through(&bucket, 1), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn senseless_numbers_make_sense() {
        let bucket = Bucket::new(Rate::per_second(0).burst(0));
        assert_eq!(through(&bucket, 9), 1);
        for burst in [1, u32::MAX] {
            let bucket = Bucket::new(Rate::new(1, Duration::MAX).burst(burst));
            assert_eq!(through(&bucket, 9), 1);
            pass(1_000_000_000).await;
            assert_eq!(through(&bucket, 9), 0);
        }
        let bucket = Bucket::new(Rate::new(u32::MAX, Duration::ZERO));
        assert_eq!(through(&bucket, 9), 9, "no time is no limit");
    }
}
