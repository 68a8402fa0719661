//! Chance that can be repeated.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    time::Duration,
};

/// Random numbers that follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.roll() % (range.end - range.start)
    }

    /// A time of so many milliseconds.
    pub fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.within(range))
    }

    /// `true` so many times of a hundred.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.within(0..100) < chance
    }

    /// One of these, of which there must be one.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len() as u64) as usize]
    }

    /// Dice of their own, for what rolls at times of its own.
    pub fn split(&mut self) -> Self {
        Self(self.roll())
    }
}

/// Runs a test for the seeds from 0 on, so many of them. `TELEPORT_SEED` in the environment names others: one (`7`), or those
/// of a range (`1000..2000`).
///
/// # Panics
/// The test does, and the text names the seed. Or the variable is neither.
pub fn for_each_seed(count: u64, test: impl Fn(u64)) {
    let seeds = match std::env::var("TELEPORT_SEED") {
        Ok(text) => parse(&text).expect("TELEPORT_SEED is a number, or two with `..` between them"),
        Err(_) => 0..count,
    };
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(seed))) {
            tell(seed);
            resume_unwind(panic);
        }
    }
}

fn parse(text: &str) -> Option<Range<u64>> {
    let (first, end) = match text.split_once("..") {
        Some((first, end)) => (first.parse().ok()?, end.parse().ok()?),
        None => {
            let seed: u64 = text.parse().ok()?;
            (seed, seed + 1)
        }
    };
    Some(first..end)
}

#[allow(clippy::print_stderr, reason = "for who runs the test")]
fn tell(seed: u64) {
    eprintln!("failed with seed {seed}; to run it again: TELEPORT_SEED={seed}");
}
