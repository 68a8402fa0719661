//! [`Backoff`]: pauses between attempts.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep};

/// Pauses that double from one attempt to the next, and begin anew with one that comes long after the last. Each is cut by a
/// random part of up to half, so that many who lost the same thing at the same time do not come back at the same time.
#[derive(Debug)]
pub(super) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
    /// The end of the last pause.
    last: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
            last: None,
        }
    }

    /// Waits before the next attempt.
    pub(super) async fn pause(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() > self.longest) {
            self.next = self.shortest;
        }
        sleep(self.next.mul_f64(1.0 - random() / 2.0)).await;
        self.next = (self.next * 2).min(self.longest);
        self.last = Some(Instant::now());
    }
}

/// From 0 to 1. Spreads attempts; nothing depends on its quality.
fn random() -> f64 {
    // Each `RandomState` has other keys.
    let bits = RandomState::new().hash_one(());
    f64::from(bits as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    async fn pause(backoff: &mut Backoff) -> Duration {
        let start = Instant::now();
        backoff.pause().await;
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_lose_at_most_half() {
        let mut backoff = Backoff::new(100 * MS, 700 * MS);
        for whole in [100, 200, 400, 700, 700] {
            let pause = pause(&mut backoff).await;
            // A timer is as fine as a millisecond.
            let right = whole * MS / 2..=(whole + 1) * MS;
            assert!(right.contains(&pause), "{pause:?} of {whole} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_worked_for_long_begins_with_the_shortest_pause_again() {
        let mut backoff = Backoff::new(100 * MS, 700 * MS);
        for _ in 0..4 {
            pause(&mut backoff).await;
        }
        sleep(600 * MS).await;
        assert!(pause(&mut backoff).await >= 350 * MS);
        sleep(800 * MS).await;
        assert!(pause(&mut backoff).await <= 101 * MS);
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_back_off_together_do_not_stay_together() {
        let mut pauses = [Duration::ZERO; 2];
        for all in &mut pauses {
            let mut backoff = Backoff::new(1000 * MS, 1000 * MS);
            for _ in 0..8 {
                *all += pause(&mut backoff).await;
            }
        }
        assert_ne!(pauses[0], pauses[1]);
    }
}
