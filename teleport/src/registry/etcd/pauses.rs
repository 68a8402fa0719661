//! [`Pauses`]: a [`Backoff`] that begins anew by itself.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::backoff::Backoff;

/// Pauses between attempts. One that comes long after the last begins with a short pause again.
#[derive(Debug)]
pub(super) struct Pauses {
    backoff: Backoff,
    longest: Duration,
    /// The end of the last pause.
    last: Option<Instant>,
}

impl Pauses {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            backoff: Backoff::new(first, longest),
            longest,
            last: None,
        }
    }

    /// Waits before the next attempt.
    pub(super) async fn pause(&mut self) {
        if self.last.is_some_and(|last| last.elapsed() > self.longest) {
            self.backoff.reset();
        }
        sleep(self.backoff.next_pause()).await;
        self.last = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn what_has_worked_for_long_begins_with_a_short_pause_again() {
        let mut pauses = Pauses::new(MS, 700 * MS);
        for _ in 0..20 {
            pauses.pause().await;
        }
        sleep(800 * MS).await;
        let start = Instant::now();
        pauses.pause().await;
        // A timer is as fine as a millisecond.
        assert!(start.elapsed() <= 2 * MS);
    }
}
