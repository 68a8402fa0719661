//! What is to be written: frames gathered by many tasks, flushed by one.

use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use super::scratch;
use crate::protocol::Parts;

/// Encoded frames that wait for the next flush, in order.
///
/// Small frames are copied behind each other, so that one `send` carries many; a large one is taken over whole, and what a
/// frame shares with others stays shared until it is written.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Outbox {
    tail: Vec<u8>,
    /// All in front of `tail`, once there has been something large.
    front: Option<Box<Front>>,
}

#[derive(Debug, Default)]
struct Front {
    /// Those of the chunks.
    bytes: usize,
    chunks: VecDeque<Chunk>,
    /// Buffers that were written, for those who bring the next ones.
    spares: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum Chunk {
    Own(Vec<u8>),
    Shared(Bytes),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// From this size on a frame is handed over instead of copied: the copy would cost more than one more slice to write.
const LARGE: usize = 16 * 1024;

/// A buffer up to this size is kept by an idle connection.
const KEEP: usize = 512;

/// A busy connection keeps so many bytes of buffers in which large frames were, twice: fresh pages for each cost more than
/// filling them. What is larger goes to the thread, which has one.
const SPARES: usize = 128 * 1024;

/// At most so many slices go into one vectored write; more gain nothing.
const SLICES: usize = 16;

impl Outbox {
    /// Appends one encoded frame. `frame` is left empty, with its memory where that is useful.
    #[inline]
    pub(crate) fn push(&mut self, frame: &mut Parts) {
        if frame.has_shared() {
            self.push_shared(frame);
        } else {
            self.push_copied(frame.copied());
        }
    }

    /// Appends what shares nothing.
    pub(crate) fn push_copied(&mut self, frame: &mut Vec<u8>) {
        if frame.len() < LARGE {
            self.tail.extend_from_slice(frame);
        } else {
            self.push_large(frame);
        }
        frame.clear();
    }

    #[inline(never)]
    fn push_large(&mut self, frame: &mut Vec<u8>) {
        let front = self.close_tail();
        let spare = front.spares.pop();
        // A buffer much larger than the frame would count for less than it takes.
        let chunk = if frame.capacity() / 2 > frame.len() {
            let mut chunk = spare.unwrap_or_default();
            chunk.extend_from_slice(frame);
            chunk
        } else {
            mem::replace(frame, spare.unwrap_or_default())
        };
        front.push(Chunk::Own(chunk));
    }

    #[inline(never)]
    fn push_shared(&mut self, frame: &mut Parts) {
        let shared = frame.take_shared();
        let copied = frame.copied();
        let mut done = 0;
        for (at, bytes) in shared {
            self.tail
                .extend_from_slice(copied.get(done..at).unwrap_or_default());
            self.close_tail().push(Chunk::Shared(bytes));
            done = at;
        }
        self.tail
            .extend_from_slice(copied.get(done..).unwrap_or_default());
        copied.clear();
    }

    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tail.len() + self.front.as_ref().map_or(0, |front| front.bytes)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops all that waits, with its memory.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Gives back what a burst has taken, if nothing waits.
    pub(crate) fn trim(&mut self) {
        if self.is_empty() {
            self.tail.shrink_to(KEEP);
            self.front = None;
        }
    }

    /// An idle session would not keep so much.
    #[inline]
    pub(crate) fn is_grown(&self) -> bool {
        self.tail.capacity() > KEEP || self.front.is_some()
    }

    /// What comes next, comes behind all that is here.
    fn close_tail(&mut self) -> &mut Front {
        let front = self.front.get_or_insert_default();
        if !self.tail.is_empty() {
            let tail = mem::take(&mut self.tail);
            front.push(Chunk::Own(tail));
        }
        front
    }
}

impl Front {
    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.len();
        self.chunks.push_back(chunk);
    }

    /// A buffer is written.
    fn recycle(&mut self, mut buffer: Vec<u8>) {
        let kept: usize = self.spares.iter().map(Vec::capacity).sum();
        if buffer.capacity() >= LARGE && kept + buffer.capacity() <= SPARES {
            buffer.clear();
            self.spares.push(buffer);
        } else {
            scratch::give_back(buffer);
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
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Takes over all that has gathered. Must be empty itself: what it has written from is used again.
    pub(crate) fn take(&mut self, outbox: &mut Outbox) {
        debug_assert!(self.is_empty());
        mem::swap(&mut self.outbox, outbox);
    }

    /// Lets the next frames gather where the last ones did, if all is out and nothing has come meanwhile: one buffer is enough then.
    #[inline]
    pub(crate) fn give_back(&mut self, outbox: &mut Outbox) {
        if self.is_empty()
            && outbox.is_empty()
            && outbox.tail.capacity() < self.outbox.tail.capacity()
        {
            mem::swap(&mut self.outbox, outbox);
        }
    }

    pub(crate) fn trim(&mut self) {
        self.outbox.trim();
    }

    #[inline]
    pub(crate) fn is_grown(&self) -> bool {
        self.outbox.is_grown()
    }

    /// Writes until all is out. Gives how many bytes were taken by the stream before it was full, in `written`.
    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let result = match &self.outbox.front {
                None => {
                    let tail = self.outbox.tail.get(self.written..).unwrap_or_default();
                    Pin::new(&mut *writer).poll_write(cx, tail)
                }
                Some(_) => self.poll_write_chunks(cx, writer),
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

    #[inline(never)]
    fn poll_write_chunks<W: AsyncWrite + Unpin>(
        &self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        match self.slices(&mut slices) {
            [single] => Pin::new(writer).poll_write(cx, single),
            several => Pin::new(writer).poll_write_vectored(cx, several),
        }
    }

    /// Writes these bytes, which are not of the flush; it must be empty, and takes over those that the stream does not take.
    pub(crate) fn poll_write_direct<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
        mut bytes: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        debug_assert!(self.is_empty());
        while !bytes.is_empty() {
            match Pin::new(&mut *writer).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    *written += count;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    self.take_rest(bytes);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    #[cold]
    fn take_rest(&mut self, bytes: &[u8]) {
        self.outbox.tail.extend_from_slice(bytes);
    }

    /// What comes next, as far as there is room for it.
    fn slices<'a, 's>(&'a self, slices: &'s mut [IoSlice<'a>]) -> &'s [IoSlice<'a>] {
        let front = self.outbox.front.iter();
        let chunks = front.flat_map(|front| &front.chunks).map(Deref::deref);
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

    #[inline]
    fn advance(&mut self, count: usize) {
        self.written += count;
        if self.outbox.front.is_some() && !self.advance_front() {
            return;
        }
        if self.written == self.outbox.tail.len() {
            self.outbox.tail.clear();
            self.written = 0;
        }
    }

    /// `true` if all chunks are written.
    #[inline(never)]
    fn advance_front(&mut self) -> bool {
        if let Some(front) = &mut self.outbox.front {
            while let Some(chunk) = front.chunks.front() {
                if self.written < chunk.len() {
                    return false;
                }
                self.written -= chunk.len();
                front.bytes -= chunk.len();
                if let Some(Chunk::Own(buffer)) = front.chunks.pop_front() {
                    front.recycle(buffer);
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Mark;

    const SHARE: usize = Parts::SHARE;

    /// Takes `step` bytes a write, of one slice or of several.
    struct Narrow {
        step: usize,
        vectored: bool,
        got: Vec<u8>,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(buf)])
        }
        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let most = if self.vectored { slices.len() } else { 1 };
            let mut count = 0;
            for slice in &slices[..most] {
                let part = slice.len().min(self.step - count);
                self.got.extend_from_slice(&slice[..part]);
                count += part;
            }
            Poll::Ready(Ok(count))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// A frame of so many bytes that are copied, then shared, then copied again.
    fn frame(byte: u8, lengths: [usize; 3]) -> Parts {
        let [head, shared, tail] = lengths;
        let mut frame = Parts::from(vec![byte; head]);
        frame.share(Bytes::from(vec![byte + 1; shared]));
        let len = frame.copied().len() + tail;
        frame.copied().resize(len, byte + 2);
        frame
    }

    const FRAMES: [[usize; 3]; 9] = [
        [10, 0, 0],
        [LARGE, 0, 0],
        [5, SHARE, 0],
        [6, 0, 0],
        [3, SHARE, 7],
        [0, SHARE + 1, 0],
        [LARGE + 9, SHARE, LARGE],
        [LARGE * 2, 0, 0],
        [1, 0, 0],
    ];

    fn filled() -> (Outbox, Vec<u8>) {
        let mut outbox = Outbox::default();
        let mut expected = Vec::new();
        for (byte, lengths) in (0..).step_by(3).zip(FRAMES) {
            let mut frame = frame(byte, lengths);
            expected.extend_from_slice(&frame.since(Mark::default()));
            outbox.push(&mut frame);
            assert!(frame.is_empty() && !frame.has_shared());
        }
        assert_eq!(outbox.len(), expected.len(), "what is shared counts");
        (outbox, expected)
    }

    fn write(flush: &mut Flush, stream: &mut Narrow) -> usize {
        let mut written = 0;
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let result = flush.poll_write(&mut cx, stream, &mut written);
        assert!(matches!(result, Poll::Ready(Ok(()))));
        written
    }

    #[test]
    fn frames_leave_in_order_whatever_the_stream_takes_at_once() {
        for vectored in [false, true] {
            for step in [1, 7, 4096, LARGE, SHARE + 4, 1 << 20] {
                let (mut outbox, expected) = filled();
                let mut flush = Flush::default();
                flush.take(&mut outbox);
                assert!(outbox.is_empty());
                let got = Vec::new();
                let mut stream = Narrow {
                    step,
                    vectored,
                    got,
                };
                assert_eq!(write(&mut flush, &mut stream), expected.len());
                assert!(stream.got == expected && flush.is_empty());
            }
        }
    }

    /// Takes this many bytes, and the rest later.
    struct Cut(Narrow, usize);

    impl AsyncWrite for Cut {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.as_mut().poll_write_vectored(cx, &[IoSlice::new(buf)])
        }
        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.step = self.1;
            if self.1 == 0 {
                return Poll::Pending;
            }
            let result = Pin::new(&mut self.0).poll_write_vectored(cx, slices);
            if let Poll::Ready(Ok(count)) = result {
                self.1 -= count;
            }
            result
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn a_write_that_stops_at_any_byte_goes_on_there() {
        let frames = || {
            let mut outbox = Outbox::default();
            for byte in [0, 3] {
                outbox.push(&mut frame(byte, [3, SHARE, 2]));
            }
            let mut flush = Flush::default();
            flush.take(&mut outbox);
            flush
        };
        let narrow = || Narrow {
            step: usize::MAX,
            vectored: true,
            got: Vec::new(),
        };
        let mut whole = narrow();
        write(&mut frames(), &mut whole);
        let ends = [0, 3, SHARE + 3, SHARE + 5, SHARE + 8, 2 * SHARE + 8];
        let cuts = ends.iter().flat_map(|end| end.saturating_sub(2)..end + 3);
        for cut in cuts.filter(|cut| *cut < whole.got.len()) {
            let mut flush = frames();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut stream = Cut(narrow(), cut);
            let mut written = 0;
            let result = flush.poll_write(&mut cx, &mut stream, &mut written);
            assert!(result.is_pending());
            assert_eq!(
                (written, flush.outbox.len() - flush.written),
                (cut, whole.got.len() - cut)
            );
            stream.0.step = usize::MAX;
            write(&mut flush, &mut stream.0);
            assert!(stream.0.got == whole.got, "cut at {cut}");
        }
    }

    #[test]
    fn what_a_stream_does_not_take_of_other_bytes_is_written_later() {
        let bytes: Vec<u8> = (0..=255).collect();
        for cut in [0, 1, 100, 255, 256] {
            let narrow = Narrow {
                step: usize::MAX,
                vectored: false,
                got: Vec::new(),
            };
            let mut stream = Cut(narrow, cut);
            let mut flush = Flush::default();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut written = 0;
            let result = flush.poll_write_direct(&mut cx, &mut stream, &bytes, &mut written);
            assert_eq!(result.is_ready(), cut == 256);
            assert_eq!(
                (written, flush.outbox.len() - flush.written),
                (cut, 256 - cut)
            );
            stream.0.step = usize::MAX;
            write(&mut flush, &mut stream.0);
            assert!(stream.0.got == bytes && flush.is_empty());
        }
    }

    #[test]
    fn what_is_shared_is_let_go_when_it_is_written() {
        let body = Bytes::from(vec![1; SHARE]);
        let mut outbox = Outbox::default();
        let mut frame = Parts::new();
        frame.share(body.clone());
        outbox.push(&mut frame);
        let mut flush = Flush::default();
        flush.take(&mut outbox);
        assert!(!body.is_unique());
        flush.advance(SHARE);
        assert!(body.is_unique());
    }

    #[test]
    fn the_buffer_of_a_large_frame_comes_back_for_another_one() {
        let mut outbox = Outbox::default();
        let mut first = Parts::from(vec![1; LARGE]);
        let memory = first.copied().as_ptr();
        outbox.push(&mut first);
        let mut flush = Flush::default();
        flush.take(&mut outbox);
        flush.advance(LARGE);
        flush.take(&mut outbox);
        let mut next = Parts::from(vec![2; LARGE]);
        outbox.push(&mut next);
        assert_eq!(next.copied().as_ptr(), memory);
        flush.trim();
        outbox.trim();
        let kept = |outbox: &Outbox| outbox.front.iter().map(|front| front.spares.len()).sum();
        assert_eq!((kept(&flush.outbox), kept(&outbox)), (0, 0));
    }

    #[test]
    fn an_idle_outbox_keeps_little() {
        let mut outbox = Outbox::default();
        for _ in 0..1000 {
            outbox.push(&mut Parts::from(vec![0; 100]));
        }
        outbox.trim();
        assert!(
            outbox.tail.capacity() > KEEP,
            "nothing is lost while frames wait"
        );
        let mut flush = Flush::default();
        flush.take(&mut outbox);
        flush.advance(flush.outbox.len());
        flush.trim();
        assert!(flush.outbox.tail.capacity() <= KEEP);
    }
}
