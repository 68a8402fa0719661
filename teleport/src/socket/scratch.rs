//! A buffer for each thread, in which frames are encoded.

use std::cell::RefCell;

use crate::protocol::Parts;

thread_local! {
    static SCRATCH: RefCell<Parts> = const { RefCell::new(Parts::new()) };
}

/// A thread keeps a buffer of at most this size for the next frame, and another for the next replies. Large enough for large
/// frames: fresh memory for each of them costs more than writing it.
pub(crate) const KEEP: usize = 2 * 1024 * 1024;

/// Lends this thread's buffer, empty, so that encoding a frame allocates nothing and happens under no lock.
///
/// A `Serialize` that itself makes a call gets another one.
#[inline]
pub(crate) fn with_scratch<R>(f: impl FnOnce(&mut Parts) -> R) -> R {
    SCRATCH.with(|scratch| lend(scratch, f))
}

/// Apart, so that `with` is inlined around a short closure.
#[inline(never)]
fn lend<R>(scratch: &RefCell<Parts>, f: impl FnOnce(&mut Parts) -> R) -> R {
    let Ok(mut frame) = scratch.try_borrow_mut() else {
        return f(&mut Parts::new());
    };
    // A panic may have left something.
    frame.clear();
    let result = f(&mut frame);
    frame.clear();
    if frame.copied().capacity() > KEEP {
        *frame = Parts::new();
    }
    result
}

/// Keeps a buffer for the next frame of this thread, if it is better than the one there.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    SCRATCH.with(|scratch| {
        if let Ok(mut frame) = scratch.try_borrow_mut()
            && buffer.capacity() > frame.copied().capacity()
            && buffer.capacity() <= KEEP
        {
            buffer.clear();
            *frame.copied() = buffer;
        }
    });
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
