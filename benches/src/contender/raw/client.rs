//! The client: callers encode into one buffer under the lock of the pending slab, one task flushes it.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use anyhow::{Result, bail, ensure};
use bytes::{Buf as _, BytesMut};
use prost::Message as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::pending::{Answer, Pending, Want};
use super::{ADD, ECHO, NOTE, READ_MAX, READ_MIN};
use crate::contender::Client;
use crate::frame::{self, Parsed};
use crate::message::{Blob, Pair};

/// Senders wait while so much is not yet taken by the flusher.
const HIGH_WATER: usize = 256 * 1024;

/// A session with the raw server.
#[derive(Clone)]
pub struct RawClient(Arc<Shared>);

struct Shared(Mutex<Pending>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let wakers = self.lock().close();
        wakers.into_iter().for_each(Waker::wake);
    }

    async fn call(
        &self,
        uri: &'static [u8],
        want: Want,
        body: impl FnOnce(&mut Vec<u8>) + Unpin,
    ) -> Result<Answer> {
        Call {
            shared: self,
            uri,
            want,
            body: Some(body),
            seq: None,
        }
        .await
    }
}

/// Releases the lock, then sends the flusher off if it rests: woken under the lock it would only run into it.
fn wake_flusher(mut pending: MutexGuard<'_, Pending>) {
    let flusher = pending.flusher.take();
    drop(pending);
    if let Some(flusher) = flusher {
        flusher.wake();
    }
}

/// Reads replies and wakes their callers, after the lock is released: one locking for all replies of a read.
async fn read(mut stream: OwnedReadHalf, shared: &Shared) -> Result<()> {
    let mut buffer = BytesMut::new();
    let mut wakers = Vec::new();
    let (mut chunk, mut need) = (READ_MIN, 0);
    loop {
        buffer.reserve(chunk.max(need));
        let space = buffer.capacity() - buffer.len();
        let read = stream.read_buf(&mut buffer).await?;
        ensure!(read > 0, "the server closed the connection");
        if read == space && chunk < READ_MAX {
            chunk *= 2;
        }
        need = complete(&mut buffer, &mut shared.lock(), &mut wakers)?;
        wakers.drain(..).for_each(Waker::wake);
    }
}

/// Completes the calls whose replies are whole; gives how many bytes the next one lacks.
fn complete(
    buffer: &mut BytesMut,
    pending: &mut Pending,
    wakers: &mut Vec<Waker>,
) -> Result<usize> {
    loop {
        let frame = match frame::parse(buffer)? {
            Parsed::Frame(frame) => frame,
            Parsed::Need(bytes) => return Ok(bytes.saturating_sub(buffer.len())),
        };
        let (seq, body_at, end) = (frame.header.seq, frame.body_at, frame.end);
        let done = pending.complete(&frame)?;
        if let Some((_, Want::Blob)) = done {
            // Only now can the body leave the buffer without a copy: nothing borrows from it any more.
            pending.fill(seq, buffer.split_to(end).freeze().slice(body_at..));
        } else {
            buffer.advance(end);
        }
        wakers.extend(done.map(|(waker, _)| waker));
    }
}

/// Writes what has gathered. With several calls in flight it first lets the tasks that are ready have their turn, so
/// that the calls of all whom one read has woken leave in one write; alone, it writes at once.
async fn flush(stream: OwnedWriteHalf, shared: &Shared) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let in_flight = poll_fn(|cx| {
            let mut pending = shared.lock();
            if pending.out.is_empty() && !pending.closed {
                pending.flusher = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(pending.in_flight())
        })
        .await;
        if in_flight != 1 {
            one_turn().await;
        }
        let blocked = {
            let mut pending = shared.lock();
            ensure!(!pending.closed, "the session is closed");
            mem::swap(&mut pending.out, &mut buffer);
            mem::take(&mut pending.blocked)
        };
        blocked.into_iter().for_each(Waker::wake);
        write_all(&stream, &buffer).await?;
        buffer.clear();
    }
}

/// Goes behind all tasks that are ready on this worker. Not `yield_now`, which asks the driver for events first.
async fn one_turn() {
    let mut woken = false;
    poll_fn(|cx| {
        if mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn write_all(stream: &OwnedWriteHalf, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        match stream.try_write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// A call: sent when first polled, given up when dropped.
struct Call<'a, F> {
    shared: &'a Shared,
    uri: &'static [u8],
    want: Want,
    body: Option<F>,
    seq: Option<u64>,
}

impl<F: FnOnce(&mut Vec<u8>) + Unpin> Future for Call<'_, F> {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut pending = self.shared.lock();
        if pending.closed {
            return Poll::Ready(Err(anyhow::anyhow!("the session is closed")));
        }
        if let Some(seq) = self.seq {
            let Some(answer) = pending.take(seq, cx.waker()) else {
                return Poll::Pending;
            };
            self.seq = None;
            return Poll::Ready(Ok(answer));
        }
        if pending.out.len() > HIGH_WATER {
            pending.blocked.push(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(body) = self.body.take() {
            self.seq = Some(pending.start(self.uri, cx.waker(), self.want, body));
            wake_flusher(pending);
        }
        Poll::Pending
    }
}

impl<F> Drop for Call<'_, F> {
    fn drop(&mut self) {
        if let Some(seq) = self.seq {
            self.shared.lock().forget(seq);
        }
    }
}

impl Client for RawClient {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        let shared = Arc::new(Shared(Mutex::new(Pending::default())));
        let (reader, writer) = (shared.clone(), shared.clone());
        // Either task's end closes the session, and then its callers get the error.
        tokio::spawn(async move {
            read(reading, &reader).await.ok();
            reader.close();
        });
        tokio::spawn(async move {
            flush(writing, &writer).await.ok();
            writer.close();
        });
        Ok(Self(shared))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        match self
            .0
            .call(ADD, Want::Pair, |out| args.encode_raw(out))
            .await?
        {
            Answer::Pair(pair) => Ok(pair),
            Answer::Blob(_) => bail!("a blob where a pair was asked for"),
        }
    }

    async fn echo(&self, blob: Blob, _gzip: bool) -> Result<Blob> {
        match self
            .0
            .call(ECHO, Want::Blob, |out| out.extend_from_slice(&blob.data))
            .await?
        {
            Answer::Blob(data) => Ok(Blob { data }),
            Answer::Pair(_) => bail!("a pair where a blob was asked for"),
        }
    }

    async fn note(&self, note: Pair) -> Result<()> {
        poll_fn(|cx| {
            let mut pending = self.0.lock();
            if pending.closed {
                return Poll::Ready(Err(anyhow::anyhow!("the session is closed")));
            }
            if pending.out.len() > HIGH_WATER {
                pending.blocked.push(cx.waker().clone());
                return Poll::Pending;
            }
            pending.push(NOTE, |out| note.encode_raw(out));
            wake_flusher(pending);
            Poll::Ready(Ok(()))
        })
        .await
    }
}
