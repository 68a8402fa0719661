//! [`Backoff`]: pauses between attempts.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long to pause after each failure in a row: a random time up to a limit that doubles, so that many who lost the same
/// thing at the same time do not all come back at the same time.
///
/// It only computes; whoever uses it sleeps.
///
/// ```
/// use std::time::Duration;
/// use teleport::Backoff;
///
/// let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
/// for limit in [100, 200, 300, 300] {
///     assert!(backoff.next_pause() <= Duration::from_millis(limit));
/// }
/// backoff.reset();
/// assert!(backoff.next_pause() <= Duration::from_millis(100));
/// ```
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// What the next pause may be at most.
    limit: Duration,
    random: u64,
}

impl Backoff {
    /// The first pause is at most `first`, the later ones at most twice as long as the one before might have been, and none
    /// is longer than `longest`, or than a day.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        let longest = longest.min(DAY);
        let first = first.min(longest);
        Self {
            first,
            longest,
            limit: first,
            // Each `RandomState` has other keys.
            random: RandomState::new().hash_one(()),
        }
    }

    /// Draws from this seed on: the same pauses each time. For tests.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.random = seed;
        self
    }

    /// The pause after one more failure.
    #[must_use = "it does not sleep by itself"]
    pub fn next_pause(&mut self) -> Duration {
        let limit = self.limit;
        self.limit = limit.saturating_mul(2).min(self.longest);
        limit.mul_f64(self.draw())
    }

    /// After a success: begins with the first pause again.
    pub fn reset(&mut self) {
        self.limit = self.first;
    }

    /// From 0 up to, but not, 1. This is SplitMix64: it spreads attempts, and no secret hangs on it.
    fn draw(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        // As many bits as an f64 holds.
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_limit_doubles_up_to_the_longest_and_begins_anew_after_a_reset() {
        let limits = [100, 200, 400, 700, 700, 700];
        let mut longest = [Duration::ZERO; 6];
        for seed in 0..500 {
            let mut backoff = Backoff::new(100 * MS, 700 * MS).seed(seed);
            for _ in 0..2 {
                for (longest, limit) in longest.iter_mut().zip(limits) {
                    let pause = backoff.next_pause();
                    assert!(pause <= limit * MS, "{pause:?} of {limit} ms");
                    *longest = pause.max(*longest);
                }
                backoff.reset();
            }
        }
        for (longest, limit) in longest.iter().zip(limits) {
            assert!(*longest > limit * MS * 9 / 10, "{longest:?} of {limit} ms");
        }
    }

    #[test]
    fn pauses_are_spread_evenly() {
        let mut backoff = Backoff::new(1000 * MS, 1000 * MS).seed(7);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let tenth = backoff.next_pause().as_millis() / 100;
            tenths[usize::try_from(tenth).expect("small")] += 1;
        }
        for count in tenths {
            assert!((900..1100).contains(&count), "{tenths:?}");
        }
    }

    #[test]
    fn one_seed_gives_the_same_pauses_and_none_gives_others() {
        let pauses = |mut backoff: Backoff| [(); 8].map(|()| backoff.next_pause());
        let new = || Backoff::new(100 * MS, 10_000 * MS);
        assert_eq!(pauses(new().seed(1)), pauses(new().seed(1)));
        assert_ne!(pauses(new().seed(1)), pauses(new().seed(2)));
        assert_ne!(pauses(new()), pauses(new()));
    }

    #[test]
    fn odd_limits_do_no_harm() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX);
        for _ in 0..100 {
            assert!(backoff.next_pause() <= DAY);
        }
        assert_eq!(
            Backoff::new(MS, Duration::ZERO).next_pause(),
            Duration::ZERO
        );
    }
}
