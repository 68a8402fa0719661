//! The replies of handlers that run in place, gathered without the session's lock, and written without its outbox.

use std::{
    cell::{Cell, RefCell},
    mem, ptr,
};

use super::{Shared, sync::thread_local};
use crate::{protocol::Parts, socket::scratch};

thread_local! {
    /// The session whose turn it is on this thread; never followed.
    static SESSION: Cell<*const Shared> = const { Cell::new(ptr::null()) };
    static REPLIES: RefCell<Replies> = const { RefCell::new(Replies::new()) };
}

/// What packets were answered with in this turn.
struct Replies {
    /// Those that were not handed over: the driver writes them, or hands them over.
    frames: Parts,
    /// So many of those bytes are whole frames. What is behind them, an encoder that failed or panicked has left.
    whole: usize,
    /// Bytes of those that were handed over.
    handed_over: usize,
    /// Bytes that they may have before the outbox has to be asked.
    room: usize,
}

impl Replies {
    const fn new() -> Self {
        Self {
            frames: Parts::new(),
            whole: 0,
            handed_over: 0,
            room: 0,
        }
    }

    #[inline]
    fn begin(&mut self, room: usize) {
        self.frames.clear();
        self.whole = 0;
        self.handed_over = 0;
        self.room = room;
    }

    /// Puts them into the outbox.
    #[cold]
    fn hand_over(&mut self, shared: &Shared) {
        self.cut();
        self.handed_over += self.frames.len();
        shared.enqueue_at_any_rate(&mut self.frames);
        self.frames.clear();
        self.whole = 0;
    }

    /// A buffer that was used for something large is not kept.
    fn let_go(&mut self) {
        if self.frames.copied().capacity() > scratch::KEEP {
            self.frames = Parts::new();
        }
    }

    #[inline]
    fn cut(&mut self) {
        if self.frames.copied().len() != self.whole || self.frames.has_shared() {
            self.cut_off();
        }
    }

    #[cold]
    fn cut_off(&mut self) {
        // What is shared has been handed over, if it was whole.
        let mut copied = mem::take(&mut self.frames).into_copied();
        copied.truncate(self.whole);
        self.whole = copied.len();
        self.frames = Parts::from(copied);
    }
}

/// Begins the turn of a session, in which [`append`] gathers replies until they are [taken](Gathers::take).
#[inline]
pub(super) fn gather(shared: &Shared) -> Gathers {
    let outer = SESSION.with(|session| session.replace(ptr::from_ref(shared)));
    let outer = (!outer.is_null()).then(|| Outer::set_aside(outer));
    REPLIES.with(|replies| {
        if let Ok(mut replies) = replies.try_borrow_mut() {
            replies.begin(shared.room());
        }
    });
    Gathers { outer }
}

/// While this lives, it is the turn of its session.
pub(super) struct Gathers {
    outer: Option<Box<Outer>>,
}

impl Gathers {
    /// Bytes of all replies so far.
    #[inline]
    pub(super) fn len(&self) -> usize {
        REPLIES.with(|replies| {
            let replies = replies.try_borrow();
            replies.map_or(0, |replies| replies.handed_over + replies.whole)
        })
    }

    /// The replies that were not handed over. The turn is over.
    #[inline(never)]
    pub(super) fn take(self) -> Vec<u8> {
        REPLIES.with(take_from)
    }
}

#[inline]
fn take_from(replies: &RefCell<Replies>) -> Vec<u8> {
    match replies.try_borrow_mut() {
        Ok(mut replies) if replies.whole > 0 => {
            replies.cut();
            mem::take(replies.frames.copied())
        }
        Ok(mut replies) => {
            replies.let_go();
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

impl Drop for Gathers {
    #[inline]
    fn drop(&mut self) {
        SESSION.with(|session| session.set(ptr::null()));
        if let Some(outer) = self.outer.take() {
            outer.come_back();
        }
    }
}

/// The turn that another one has interrupted: a handler has waited for something by itself.
struct Outer {
    session: *const Shared,
    replies: Replies,
}

impl Outer {
    #[cold]
    fn set_aside(session: *const Shared) -> Box<Self> {
        let replies = REPLIES.with(|replies| {
            let replies = replies.try_borrow_mut();
            replies.map_or(Replies::new(), |mut replies| {
                mem::replace(&mut *replies, Replies::new())
            })
        });
        Box::new(Self { session, replies })
    }

    #[cold]
    fn come_back(self: Box<Self>) {
        SESSION.with(|session| session.set(self.session));
        REPLIES.with(|replies| {
            if let Ok(mut replies) = replies.try_borrow_mut() {
                *replies = self.replies;
            }
        });
    }
}

/// Keeps the buffer of replies that are written, for the next turn of this thread.
#[inline]
pub(super) fn keep(buffer: Vec<u8>) {
    if buffer.capacity() > 0 {
        keep_now(buffer);
    }
}

#[inline(never)]
fn keep_now(mut buffer: Vec<u8>) {
    if buffer.capacity() > scratch::KEEP {
        return;
    }
    buffer.clear();
    REPLIES.with(|replies| keep_in(replies, buffer));
}

#[inline]
fn keep_in(replies: &RefCell<Replies>, buffer: Vec<u8>) {
    if let Ok(mut replies) = replies.try_borrow_mut()
        && replies.frames.copied().capacity() == 0
    {
        *replies.frames.copied() = buffer;
    }
}

/// Encodes a reply straight to the others of this turn. `None` if this is not the session's own turn, or there is no room:
/// then nothing was done.
#[inline]
pub(super) fn append<T, E>(
    shared: &Shared,
    encode: impl FnOnce(&mut Parts) -> Result<T, E>,
) -> Option<Result<T, E>> {
    if !is_turn_of(shared) {
        return None;
    }
    REPLIES.with(|replies| append_to(replies, shared, encode))
}

/// Apart: around a closure of this length `with` is no longer inlined, and looks the thread's own up through a pointer.
#[inline(never)]
fn append_to<T, E>(
    replies: &RefCell<Replies>,
    shared: &Shared,
    encode: impl FnOnce(&mut Parts) -> Result<T, E>,
) -> Option<Result<T, E>> {
    // Borrowed already: a value that is being encoded makes calls itself.
    let mut replies = replies.try_borrow_mut().ok()?;
    replies.cut();
    if replies.whole >= replies.room {
        replies.fill(shared);
        return None;
    }
    let result = encode(&mut replies.frames);
    match &result {
        Ok(_) if replies.frames.has_shared() => replies.append_shared(shared),
        Ok(_) => replies.whole = replies.frames.copied().len(),
        Err(_) => {}
    }
    Some(result)
}

impl Replies {
    /// The outbox must know of them to refuse more.
    #[cold]
    fn fill(&mut self, shared: &Shared) {
        self.room = 0;
        if self.whole > 0 {
            self.hand_over(shared);
        }
    }

    #[cold]
    fn append_shared(&mut self, shared: &Shared) {
        let bytes = self.frames.len();
        self.whole = 0;
        shared.enqueue_at_any_rate(&mut self.frames);
        self.frames.clear();
        self.handed_over += bytes;
        self.room = self.room.saturating_sub(bytes);
    }
}

/// Hands over what this turn has gathered for the session: something else is about to be sent, and goes behind it.
#[inline]
pub(super) fn hand_over(shared: &Shared) {
    if is_turn_of(shared) {
        hand_over_now(shared);
    }
}

#[cold]
fn hand_over_now(shared: &Shared) {
    REPLIES.with(|replies| {
        if let Ok(mut replies) = replies.try_borrow_mut()
            && replies.whole > 0
        {
            replies.hand_over(shared);
        }
    });
}

#[inline]
fn is_turn_of(shared: &Shared) -> bool {
    SESSION.with(|session| ptr::eq(session.get(), shared))
}
