//! An in-memory connection that is slow, and breaks where it was told to.
//!
//! Chance comes from dice and time from the runtime's clock, so a run with a paused clock can be repeated.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

use crate::dice::Dice;

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// Both directions end in good order, whatever is still on its way.
    Close,
    /// Nothing of this direction arrives any more, and nobody is told.
    Deafen,
    /// This direction ends in good order; who writes into it hears that nobody reads.
    Finish,
    /// Both ends fail.
    Reset,
    /// Nothing arrives any more in either direction, and nobody is told.
    Vanish,
}

/// All of them.
pub const BREAKS: [Break; 5] = [
    Break::Close,
    Break::Deafen,
    Break::Finish,
    Break::Reset,
    Break::Vanish,
];

/// What becomes of the bytes of one direction.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Bytes that may be on their way.
    pub capacity: usize,
    /// What is written takes up to so long.
    pub delay: Duration,
    /// At most so many bytes are read or written at once, and how many by chance.
    pub most: usize,
    /// Of a hundred tries to read or write, so many have to be made again in another turn of the scheduler.
    pub stutter: u64,
    /// The connection breaks when so many bytes have been read.
    pub cut: Option<(usize, Break)>,
}

impl Default for Faults {
    /// None.
    fn default() -> Self {
        Self {
            capacity: 64 * 1024,
            delay: Duration::ZERO,
            most: usize::MAX,
            stutter: 0,
            cut: None,
        }
    }
}

/// A connection: what is written into the first end has the first faults on its way to the second.
#[must_use]
pub fn faulty(mut dice: Dice, there: Faults, back: Faults) -> (Faulty, Faulty) {
    let lane = |faults, dice| Lane {
        faults,
        dice,
        ..Lane::default()
    };
    let lanes = [lane(there, dice.split()), lane(back, dice.split())];
    let wire = Arc::new(Mutex::new(lanes));
    let end = |writes: usize| Faulty {
        wire: Arc::clone(&wire),
        writes,
        reads: 1 - writes,
        sleep: None,
    };
    (end(0), end(1))
}

/// One end.
#[derive(Debug)]
pub struct Faulty {
    wire: Arc<Mutex<[Lane; 2]>>,
    writes: usize,
    reads: usize,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    faults: Faults,
    dice: Dice,
    /// Bytes, and when they arrive.
    queue: VecDeque<(Instant, Bytes)>,
    queued: usize,
    /// Bytes that were read.
    read: usize,
    /// The writer has ended it, or it broke so.
    finished: bool,
    /// Nobody reads it.
    unread: bool,
    failed: bool,
    silent: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Default for Dice {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Faulty {
    /// A counter of the bytes that this end has read, which stays valid.
    pub fn bytes_read(&self) -> impl Fn() -> usize + use<> {
        let (wire, lane) = (Arc::clone(&self.wire), self.reads);
        move || lock(&wire)[lane].read
    }
}

fn lock(wire: &Mutex<[Lane; 2]>) -> MutexGuard<'_, [Lane; 2]> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Breaks the connection if it is time for it.
fn strike(lanes: &mut [Lane; 2]) {
    for at in 0..2 {
        let lane = &mut lanes[at];
        let Some((limit, how)) = lane.faults.cut.filter(|(limit, _)| lane.read >= *limit) else {
            continue;
        };
        debug_assert_eq!(limit, lane.read);
        lane.faults.cut = None;
        let both = matches!(how, Break::Close | Break::Reset | Break::Vanish);
        for (number, lane) in lanes.iter_mut().enumerate() {
            if number != at && !both {
                continue;
            }
            lane.queue.clear();
            lane.queued = 0;
            match how {
                Break::Close | Break::Finish => (lane.finished, lane.unread) = (true, true),
                Break::Reset => lane.failed = true,
                Break::Deafen | Break::Vanish => lane.silent = true,
            }
            lane.wake();
        }
    }
}

impl Lane {
    fn wake(&mut self) {
        let wakers = [self.reader.take(), self.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Whether this try has to be made again.
    fn stutters(&mut self, cx: &Context<'_>) -> bool {
        let again = self.dice.percent(self.faults.stutter);
        if again {
            cx.waker().wake_by_ref();
        }
        again
    }

    /// How many of so many bytes go at once.
    fn some(&mut self, count: usize) -> usize {
        let most = count.min(self.faults.most);
        match self.faults.most {
            usize::MAX => most,
            _ => self.dice.within(1..most as u64 + 1) as usize,
        }
    }
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for Faulty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let wire = &mut *lock(&this.wire);
        strike(wire);
        let lane = &mut wire[this.reads];
        if lane.failed {
            return Poll::Ready(Err(reset()));
        }
        if !lane.silent {
            if lane.stutters(cx) {
                return Poll::Pending;
            }
            match lane.queue.front().map(|(due, _)| *due) {
                None if lane.finished => return Poll::Ready(Ok(())),
                None => {}
                Some(due) => {
                    let sleep = this
                        .sleep
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                    if sleep.deadline() != due {
                        sleep.as_mut().reset(due);
                    }
                    if due > Instant::now() && sleep.as_mut().poll(cx).is_pending() {
                        lane.reader = Some(cx.waker().clone());
                        return Poll::Pending;
                    }
                    take(lane, buf);
                    strike(wire);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        lane.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Reads what has arrived first.
fn take(lane: &mut Lane, buf: &mut ReadBuf<'_>) {
    let before_cut = match lane.faults.cut {
        Some((limit, _)) => limit - lane.read,
        None => usize::MAX,
    };
    let most = lane.some(buf.remaining().min(before_cut));
    let Some((_, bytes)) = lane.queue.front_mut() else {
        return;
    };
    let count = most.min(bytes.len());
    buf.put_slice(&bytes.split_to(count));
    if bytes.is_empty() {
        lane.queue.pop_front();
    }
    lane.queued -= count;
    lane.read += count;
    if let Some(writer) = lane.writer.take() {
        writer.wake();
    }
}

impl AsyncWrite for Faulty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = &mut *lock(&self.wire);
        strike(wire);
        let lane = &mut wire[self.writes];
        if lane.failed {
            return Poll::Ready(Err(reset()));
        }
        if lane.unread && !lane.silent {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if lane.stutters(cx) {
            return Poll::Pending;
        }
        let room = lane.faults.capacity.saturating_sub(lane.queued);
        if room == 0 {
            lane.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = lane.some(buf.len().min(room));
        let delay = match lane.faults.delay.as_micros() as u64 {
            0 => 0,
            most => lane.dice.within(0..most),
        };
        let due = Instant::now() + Duration::from_micros(delay);
        let due = lane.queue.back().map_or(due, |(last, _)| due.max(*last));
        let bytes = Bytes::copy_from_slice(&buf[..count]);
        lane.queue.push_back((due, bytes));
        lane.queued += count;
        if let Some(reader) = lane.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let lane = &mut lock(&self.wire)[self.writes];
        lane.finished = true;
        lane.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let wire = &mut *lock(&self.wire);
        wire[self.writes].finished = true;
        wire[self.reads].unread = true;
        wire.iter_mut().for_each(Lane::wake);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// What comes through of 100 bytes, and how reading and writing end.
    async fn run(there: Faults, how: Break) -> (usize, Option<io::ErrorKind>, bool) {
        let there = Faults {
            cut: Some((40, how)),
            ..there
        };
        let (mut left, mut right) = faulty(Dice::new(1), there, Faults::default());
        left.write_all(&[7; 100]).await.expect("there is room");
        let mut read = Vec::new();
        let second = Duration::from_secs(1);
        let end = tokio::time::timeout(second, right.read_to_end(&mut read)).await;
        let kind = end.ok().and_then(|end| end.err()).map(|end| end.kind());
        (read.len(), kind, left.write_all(&[7]).await.is_err())
    }

    #[tokio::test(start_paused = true)]
    async fn it_breaks_at_the_byte_in_the_way_that_was_asked_for() {
        let slow = Faults {
            delay: Duration::from_millis(10),
            most: 7,
            stutter: 30,
            ..Faults::default()
        };
        for faults in [Faults::default(), slow] {
            for (how, error, told) in [
                (Break::Close, None, true),
                (Break::Deafen, None, false),
                (Break::Finish, None, true),
                (Break::Reset, Some(io::ErrorKind::ConnectionReset), true),
                (Break::Vanish, None, false),
            ] {
                let found = run(faults.clone(), how).await;
                assert_eq!(found, (40, error, told), "{how:?}");
            }
        }
    }
}
