//! The replies of handlers that run in place, gathered without the session's lock.

use std::cell::RefCell;

use super::{Shared, sync::thread_local};

thread_local! {
    static TURN: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// One turn of a connection's task on this thread.
struct Turn {
    /// Tells the session from others; never followed.
    session: *const Shared,
    replies: Vec<u8>,
    /// Bytes that the replies may have before the outbox has to be asked.
    room: usize,
}

/// Runs `work`, during which [`append`] adds replies to `replies`; then hands them over, with one locking for all.
pub(super) fn gather<R>(
    shared: &Shared,
    replies: &mut Vec<u8>,
    room: usize,
    work: impl FnOnce() -> R,
) -> R {
    let turn = Turn {
        session: std::ptr::from_ref(shared),
        replies: std::mem::take(replies),
        room,
    };
    let outer = Outer(TURN.with(|outer| outer.replace(Some(turn))));
    let result = work();
    if let Some(turn) = TURN.with(RefCell::take) {
        *replies = turn.replies;
    }
    drop(outer);
    if !replies.is_empty() {
        shared.enqueue_at_any_rate(replies);
    }
    result
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
    encode: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
) -> Option<Result<T, E>> {
    TURN.with(|turn| {
        // Borrowed already: a value that is being encoded makes calls itself.
        let mut turn = turn.try_borrow_mut().ok()?;
        let turn = turn
            .as_mut()
            .filter(|turn| std::ptr::eq(turn.session, shared))?;
        if turn.replies.len() >= turn.room {
            // The outbox must know of them to refuse more.
            shared.enqueue_at_any_rate(&mut turn.replies);
            turn.replies.clear();
            turn.room = 0;
            return None;
        }
        let whole = turn.replies.len();
        let mut tail = Tail {
            replies: &mut turn.replies,
            whole,
        };
        let result = encode(tail.replies);
        tail.whole = tail.replies.len();
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
            shared.enqueue_at_any_rate(&mut turn.replies);
            turn.replies.clear();
        }
    });
}

/// Cuts off what a panic leaves behind.
struct Tail<'a> {
    replies: &'a mut Vec<u8>,
    whole: usize,
}

impl Drop for Tail<'_> {
    fn drop(&mut self) {
        self.replies.truncate(self.whole);
    }
}
