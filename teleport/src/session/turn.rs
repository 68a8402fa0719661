//! The replies of handlers that run in place, gathered without the session's lock, and written without its outbox.

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
    replies: Replies,
}

/// What packets were answered with in a turn.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Those that were not handed over: the driver writes them, or hands them over.
    pub(super) bytes: Vec<u8>,
    /// Bytes of those that were.
    pub(super) handed_over: usize,
    /// Bytes that they may have before the outbox has to be asked.
    pub(super) room: usize,
}

impl Replies {
    pub(super) fn new(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Bytes of all.
    pub(super) fn len(&self) -> usize {
        self.handed_over + self.bytes.len()
    }
}

/// Runs `work`, during which [`append`] adds replies to `replies`.
pub(super) fn gather<R>(shared: &Shared, replies: &mut Replies, work: impl FnOnce() -> R) -> R {
    let turn = Turn {
        session: std::ptr::from_ref(shared),
        replies: mem::take(replies),
    };
    let outer = Outer(TURN.with(|outer| outer.replace(Some(turn))));
    let result = work();
    if let Some(turn) = TURN.with(RefCell::take) {
        *replies = turn.replies;
    }
    drop(outer);
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
    encode: impl FnOnce(&mut Parts) -> Result<T, E>,
) -> Option<Result<T, E>> {
    TURN.with(|turn| {
        // Borrowed already: a value that is being encoded makes calls itself.
        let mut turn = turn.try_borrow_mut().ok()?;
        let turn = turn
            .as_mut()
            .filter(|turn| std::ptr::eq(turn.session, shared))?;
        let replies = &mut turn.replies;
        let whole = replies.bytes.len();
        if whole >= replies.room {
            // The outbox must know of them to refuse more.
            replies.hand_over(shared);
            replies.room = 0;
            return None;
        }
        let mut tail = Tail {
            frame: Parts::from(mem::take(&mut replies.bytes)),
            replies: &mut replies.bytes,
            whole,
        };
        let result = encode(&mut tail.frame);
        if tail.frame.has_shared() {
            let bytes = tail.frame.len();
            shared.enqueue_at_any_rate(&mut tail.frame);
            replies.handed_over += bytes;
            replies.room = replies.room.saturating_sub(bytes);
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
            && !turn.replies.bytes.is_empty()
        {
            turn.replies.hand_over(shared);
        }
    });
}

impl Replies {
    /// Puts them into the outbox.
    #[cold]
    pub(super) fn hand_over(&mut self, shared: &Shared) {
        self.handed_over += self.bytes.len();
        let mut frame = Parts::from(mem::take(&mut self.bytes));
        shared.enqueue_at_any_rate(&mut frame);
        self.bytes = frame.into_copied();
        self.bytes.clear();
    }
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
