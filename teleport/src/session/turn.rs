//! The replies of handlers that run in place, gathered without the session's lock.

use std::{cell::RefCell, mem};

use super::{Shared, sync::thread_local};
use crate::protocol::Parts;

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// One turn of a connection's task on this thread.
struct Turn {
    /// Tells the session from others; never followed.
    session: *const Shared,
    replies: Vec<u8>,
    /// Bytes that were handed over already.
    handed_over: usize,
    /// Bytes that the replies may have before the outbox has to be asked.
    room: usize,
}

/// Runs `work`, during which [`append`] adds replies to `replies`; then hands them over, with one locking for all, and
/// says how many bytes that were.
pub(super) fn gather<R>(
    shared: &Shared,
    replies: &mut Vec<u8>,
    room: usize,
    work: impl FnOnce() -> R,
) -> (R, usize) {
    let turn = Turn {
        session: std::ptr::from_ref(shared),
        replies: mem::take(replies),
        handed_over: 0,
        room,
    };
    let outer = Outer(TURN.with(|outer| outer.replace(Some(turn))));
    let result = work();
    let mut bytes = 0;
    if let Some(turn) = TURN.with(RefCell::take) {
        *replies = turn.replies;
        bytes = turn.handed_over + replies.len();
    }
    drop(outer);
    if !replies.is_empty() {
        enqueue(shared, replies);
    }
    (result, bytes)
}

/// The turn that another one has interrupted. Comes back even if that one panics, as a protocol of the user's may.
struct Outer(Option<Turn>);

impl Drop for Outer {
    fn drop(&mut self) {
        TURN.with(|turn| turn.replace(self.0.take()));
    }
}

/// Encodes a reply straight to the others of this turn. `None` if this is not the session's own turn, or there is no room:
/// then nothing was done.
pub(super) fn append<T, E>(
    shared: &Shared,
    encode: impl FnOnce(&mut Parts) -> Result<T, E>,
) -> Option<Result<T, E>> {
    TURN.with(|turn| {
        // Borrowed already: a value that is being encoded makes calls itself.
        let mut turn = turn.try_borrow_mut().ok()?;
        let turn = turn
            .as_mut()
            .filter(|turn| std::ptr::eq(turn.session, shared))?;
        if turn.replies.len() >= turn.room {
            // The outbox must know of them to refuse more.
            turn.hand_over(shared);
            turn.room = 0;
            return None;
        }
        let whole = turn.replies.len();
        let mut tail = Tail {
            frame: Parts::from(mem::take(&mut turn.replies)),
            replies: &mut turn.replies,
            whole,
        };
        let result = encode(&mut tail.frame);
        if tail.frame.has_shared() {
            let bytes = tail.frame.len();
            shared.enqueue_at_any_rate(&mut tail.frame);
            turn.handed_over += bytes;
            turn.room = turn.room.saturating_sub(bytes);
        }
        tail.whole = usize::MAX;
        Some(result)
    })
}

/// Hands over what this turn has gathered for the session: something else is about to be sent, and goes behind it.
pub(super) fn hand_over(shared: &Shared) {
    TURN.with(|turn| {
        if let Ok(mut turn) = turn.try_borrow_mut()
            && let Some(turn) = turn.as_mut()
            && std::ptr::eq(turn.session, shared)
            && !turn.replies.is_empty()
        {
            turn.hand_over(shared);
        }
    });
}

impl Turn {
    #[cold]
    fn hand_over(&mut self, shared: &Shared) {
        self.handed_over += self.replies.len();
        enqueue(shared, &mut self.replies);
    }
}

/// Leaves `replies` empty.
fn enqueue(shared: &Shared, replies: &mut Vec<u8>) {
    let mut frame = Parts::from(mem::take(replies));
    shared.enqueue_at_any_rate(&mut frame);
    *replies = frame.into_copied();
    replies.clear();
}

/// A reply behind the others. Cuts off what a panic leaves behind.
struct Tail<'a> {
    frame: Parts,
    replies: &'a mut Vec<u8>,
    whole: usize,
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        *self.replies = mem::take(&mut self.frame).into_copied();
        self.replies.truncate(self.whole);
    }
}
