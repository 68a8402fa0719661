//! A buffer for each thread, in which frames are encoded.

use std::cell::Cell;

use crate::protocol::Parts;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A thread keeps a buffer of at most this size for the next frame. Large enough for large frames: fresh memory for each of
/// them costs more than writing it.
const KEEP: usize = 2 * 1024 * 1024;

/// Lends this thread's buffer, empty, so that encoding a frame allocates nothing and happens under no lock.
///
/// It is taken, not borrowed: a `Serialize` that itself makes a call gets an empty buffer instead of a panic.
#[inline]
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut Parts) -> R) -> R {
    let mut frame = Parts::from(take());
    let result = f(&mut frame);
    give_back(frame.into_copied());
    result
}

/// The same for what shares nothing; until it is [given back](give_back).
#[inline]
pub(crate) fn take() -> Vec<u8> {
    let mut buffer = SCRATCH.take();
    buffer.clear();
    buffer
}

/// Keeps a buffer for the next frame of this thread, if it is better than the one there.
#[inline]
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    let kept = SCRATCH.take();
    if buffer.capacity() > kept.capacity() && buffer.capacity() <= KEEP {
        buffer.clear();
        SCRATCH.set(buffer);
    } else {
        SCRATCH.set(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_is_used_again_and_one_too_large_is_not_kept() {
        with_scratch(|frame| frame.copied().extend_from_slice(&[1; 1000]));
        with_scratch(|frame| {
            assert!(frame.is_empty() && frame.copied().capacity() >= 1000);
            with_scratch(|inner| assert_eq!(inner.copied().capacity(), 0, "lent already"));
        });
        give_back(Vec::with_capacity(KEEP));
        give_back(Vec::with_capacity(KEEP + 1));
        with_scratch(|frame| assert_eq!(frame.copied().capacity(), KEEP));
    }
}
