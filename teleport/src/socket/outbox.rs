//! What is to be written: frames gathered by many tasks, flushed by one.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::AsyncWrite;

use super::scratch;

/// Encoded frames that wait for the next flush, in order.
///
/// Small frames are copied behind each other, so that one `send` carries many; a large one is taken over whole.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// Whole buffers, all in front of `tail`.
    chunks: VecDeque<Vec<u8>>,
    tail: Vec<u8>,
    bytes: usize,
}

/// From this size on a frame is handed over instead of copied: the copy would cost more than one more slice to write.
const LARGE: usize = 16 * 1024;

/// A buffer up to this size is kept by an idle connection.
const KEEP: usize = 512;

/// At most so many slices go into one vectored write; more gain nothing.
const SLICES: usize = 16;

impl Outbox {
    /// Appends one encoded frame. `frame` is left empty, with its memory where that is useful.
    pub(crate) fn push(&mut self, frame: &mut Vec<u8>) {
        self.bytes += frame.len();
        if frame.len() < LARGE {
            self.tail.extend_from_slice(frame);
            frame.clear();
        } else {
            self.close_tail();
            // A buffer much larger than the frame would count for less than it takes.
            self.chunks
                .push_back(if frame.capacity() / 2 > frame.len() {
                    frame.as_slice().to_vec()
                } else {
                    mem::take(frame)
                });
            frame.clear();
        }
    }

    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Drops all that waits, with its memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back what a burst has taken, if nothing waits.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() {
            self.tail.shrink_to(KEEP);
            self.chunks.shrink_to(0);
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(mem::take(&mut self.tail));
        }
    }
}

/// The frames of one flush on their way out. Owned by the connection's driver; trades buffers with an [`Outbox`].
#[derive(Debug, Default)]
pub(crate) struct Flush {
    outbox: Outbox,
    /// How much of the first chunk, or of the tail if there is none, is written.
    written: usize,
}

impl Flush {
    pub(crate) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.outbox.len()
    }

    /// Takes over all that has gathered. Must be empty itself: both buffers are reused in turn.
    pub(crate) fn take(&mut self, outbox: &mut Outbox) {
        debug_assert!(self.is_empty());
        mem::swap(&mut self.outbox, outbox);
    }

    pub(crate) fn trim(&mut self) {
        self.outbox.trim();
    }

    /// Writes until all is out. Gives how many bytes were taken by the stream before it was full, in `written`.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let result = match self.slices(&mut slices) {
                [single] => Pin::new(&mut *writer).poll_write(cx, single),
                several => Pin::new(&mut *writer).poll_write_vectored(cx, several),
            };
            let count = ready!(result)?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
            self.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// What comes next, as far as there is room for it.
    fn slices<'a, 's>(&'a self, slices: &'s mut [IoSlice<'a>]) -> &'s [IoSlice<'a>] {
        let chunks = self.outbox.chunks.iter().map(Vec::as_slice);
        let tail = [&*self.outbox.tail];
        let parts = chunks.chain(tail).filter(|part| !part.is_empty());
        let mut used = 0;
        let mut skip = self.written;
        for (slice, part) in slices.iter_mut().zip(parts) {
            *slice = IoSlice::new(part.get(skip..).unwrap_or_default());
            skip = 0;
            used += 1;
        }
        slices.get(..used).unwrap_or_default()
    }

    fn advance(&mut self, count: usize) {
        self.outbox.bytes -= count;
        self.written += count;
        while let Some(chunk) = self.outbox.chunks.front() {
            if self.written < chunk.len() {
                return;
            }
            self.written -= chunk.len();
            if let Some(chunk) = self.outbox.chunks.pop_front() {
                scratch::give_back(chunk);
            }
        }
        if self.outbox.bytes == 0 {
            self.outbox.tail.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `step` bytes a write.
    struct Narrow {
        step: usize,
        got: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = buf.len().min(self.step);
            self.got.extend_from_slice(&buf[..count]);
            Poll::Ready(Ok(count))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn small_and_large_frames_leave_in_order_whatever_the_stream_takes_at_once() {
        for step in [1, 7, 4096, 1 << 20] {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            for (byte, len) in [
                (1u8, 10),
                (2, LARGE),
                (3, 5),
                (4, 6),
                (5, LARGE * 2),
                (6, 1),
            ] {
                let mut frame = vec![byte; len];
                expected.extend_from_slice(&frame);
                outbox.push(&mut frame);
                assert!(frame.is_empty());
            }
            assert_eq!(outbox.len(), expected.len());

            let mut flush = Flush::default();
            flush.take(&mut outbox);
            assert!(outbox.is_empty());
            let mut stream = Narrow {
                step,
                got: Vec::new(),
            };
            let mut written = 0;
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let result = flush.poll_write(&mut cx, &mut stream, &mut written);
            assert!(matches!(result, Poll::Ready(Ok(()))));
            assert_eq!(written, expected.len());
            assert!(stream.got == expected && flush.is_empty());
        }
    }

    #[test]
    fn an_idle_outbox_keeps_little() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            outbox.push(&mut vec![0; 100]);
        }
        outbox.trim();
        assert!(
            outbox.tail.capacity() > KEEP,
            "nothing is lost while frames wait"
        );
        let mut flush = Flush::default();
        flush.take(&mut outbox);
        flush.advance(flush.len());
        flush.trim();
        assert!(flush.outbox.tail.capacity() <= KEEP);
    }
}
