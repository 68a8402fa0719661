//! The client: callers encode into one buffer under the lock of the pending slab, one task flushes it.

use std::future::Future;
use std::mem;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use anyhow::{Result, bail, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use prost::Message as _;
use slab::Slab;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{ADD, ECHO, NOTE, READ_MAX, READ_MIN};
use crate::contender::Client;
use crate::frame::{self, Header, Kind, Parsed};
use crate::message::{Blob, Pair};

/// Senders wait while so much is not yet handed to the kernel.
const HIGH_WATER: usize = 256 * 1024;

/// A sequence number is a place in the slab (low bits) and a count that tells its tenants apart.
const INDEX_BITS: u32 = 20;

/// A session with the raw server.
#[derive(Clone)]
pub struct RawClient(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    write: OwnedWriteHalf,
    policy: Policy,
}

#[derive(Clone, Copy)]
struct Policy {
    flush: Flush,
    direct: bool,
    wake_in_lock: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Flush {
    Now,
    SelfWake,
    SelfWakeMany,
    TokioYield,
    Quiet,
    Driver,
    DriverTwice,
}

impl Policy {
    fn from_env() -> Self {
        let text = std::env::var("RAW_POLICY").unwrap_or_else(|_| "selfwake".into());
        let flush = match text.split('+').next().unwrap_or("") {
            "now" => Flush::Now,
            "selfwake" => Flush::SelfWake,
            "selfwakemany" => Flush::SelfWakeMany,
            "tokio" => Flush::TokioYield,
            "quiet" => Flush::Quiet,
            "driver" => Flush::Driver,
            "driver2" => Flush::DriverTwice,
            other => panic!("{other}"),
        };
        Self { flush, direct: text.contains("+direct"), wake_in_lock: text.contains("+inlock") }
    }
}

/// All under one lock.
struct State {
    /// Frames not yet handed to the kernel.
    out: Vec<u8>,
    calls: Slab<Call>,
    count: u64,
    /// The flusher, while it has nothing to do.
    flusher: Option<Waker>,
    /// A caller writes by itself.
    writing: bool,
    spare: Vec<u8>,
    /// Senders over the high-water mark.
    blocked: Vec<Waker>,
    closed: bool,
}

struct Call {
    seq: u64,
    state: CallState,
}

enum CallState {
    Waiting { waker: Waker, want: Want },
    Done(Answer),
}

#[derive(Clone, Copy)]
enum Want {
    Pair,
    Blob,
}

enum Answer {
    Pair(Pair),
    Blob(Bytes),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands all of `bytes` to the kernel.
    async fn write_all(&self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.write.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    self.write.writable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let blocked = mem::take(&mut state.blocked);
        let wakers = state.calls.drain().filter_map(|call| match call.state {
            CallState::Waiting { waker, .. } => Some(waker),
            CallState::Done(_) => None,
        });
        let wakers: Vec<_> = wakers.chain(blocked).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn header<'a>(&mut self, seq: u64, kind: Kind, uri: &'a [u8]) -> Header<'a> {
        Header { seq, kind, uri, status: 0 }
    }

    fn start(&mut self, uri: &[u8], waker: Waker, want: Want, body: impl FnOnce(&mut Vec<u8>)) -> (usize, u64) {
        let entry = self.calls.vacant_entry();
        self.count += 1;
        let index = entry.key();
        let seq = self.count << INDEX_BITS | index as u64;
        entry.insert(Call { seq, state: CallState::Waiting { waker, want } });
        let header = self.header(seq, Kind::Pull, uri);
        frame::encode(&mut self.out, header, body);
        (index, seq)
    }

    /// Completes the call that `frame` answers; its task is to be woken.
    fn complete(&mut self, header: Header<'_>, answer: impl FnOnce(Want) -> Result<Answer>) -> Result<Option<Waker>> {
        ensure!(header.kind == Kind::Reply && header.status == 200, "not a good reply: {header:?}");
        let index = (header.seq & ((1 << INDEX_BITS) - 1)) as usize;
        let Some(call) = self.calls.get_mut(index).filter(|call| call.seq == header.seq) else { return Ok(None) };
        let CallState::Waiting { want, .. } = call.state else { return Ok(None) };
        match mem::replace(&mut call.state, CallState::Done(answer(want)?)) {
            CallState::Waiting { waker, .. } => Ok(Some(waker)),
            CallState::Done(_) => Ok(None),
        }
    }
}

struct Reader {
    read: OwnedReadHalf,
    buffer: BytesMut,
    chunk: usize,
    need: usize,
    wakers: Vec<Waker>,
}

impl Reader {
    /// One read.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.buffer.reserve(self.chunk.max(self.need));
        let space = self.buffer.capacity() - self.buffer.len();
        let read = match pin!(self.read.read_buf(&mut self.buffer)).poll(cx) {
            Poll::Ready(read) => read?,
            Poll::Pending => return Poll::Pending,
        };
        if read == 0 {
            bail_ready("closed")?;
        }
        if read == space && self.chunk < READ_MAX {
            self.chunk *= 2;
        }
        Poll::Ready(Ok(()))
    }

    fn process(&mut self, shared: &Shared) -> Result<()> {
        let mut state = shared.lock();
        self.need = loop {
            match frame::parse(&self.buffer)? {
                Parsed::Frame(frame) => {
                    let (body_at, end) = (frame.body_at, frame.end);
                    let mut blob = false;
                    let waker = state.complete(frame.header, |want| {
                        Ok(match want {
                            Want::Pair => Answer::Pair(Pair::decode(frame.body)?),
                            Want::Blob => {
                                blob = true;
                                Answer::Blob(Bytes::new())
                            }
                        })
                    })?;
                    if blob {
                        let seq = frame.header.seq;
                        let body = self.buffer.split_to(end).freeze().slice(body_at..);
                        let index = (seq & ((1 << INDEX_BITS) - 1)) as usize;
                        state.calls[index].state = CallState::Done(Answer::Blob(body));
                    } else {
                        self.buffer.advance(end);
                    }
                    if shared.policy.wake_in_lock {
                        if let Some(waker) = waker { waker.wake() }
                    } else {
                        self.wakers.extend(waker);
                    }
                }
                Parsed::Need(bytes) => break bytes.saturating_sub(self.buffer.len()),
            }
        };
        drop(state);
        self.wakers.drain(..).for_each(Waker::wake);
        Ok(())
    }
}

fn bail_ready(text: &'static str) -> Result<()> {
    bail!(text)
}

async fn read(mut reader: Reader, shared: Arc<Shared>) {
    loop {
        if std::future::poll_fn(|cx| reader.poll_read(cx)).await.is_err() {
            break;
        }
        if reader.process(&shared).is_err() {
            break;
        }
    }
    shared.close();
}

/// Pending once, and woken at once: goes behind all tasks that are ready now on this worker.
async fn self_wake() {
    let mut woken = false;
    std::future::poll_fn(|cx| {
        if mem::replace(&mut woken, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn flush(shared: Arc<Shared>) -> Result<()> {
    let mut buffer = Vec::new();
    loop {
        let in_flight = std::future::poll_fn(|cx| {
            let mut state = shared.lock();
            if state.out.is_empty() || state.writing {
                state.flusher = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Poll::Ready(state.calls.len())
        })
        .await;
        if in_flight != 1 {
            match shared.policy.flush {
                Flush::SelfWake => self_wake().await,
                Flush::SelfWakeMany => {
                    self_wake().await;
                    self_wake().await;
                }
                Flush::TokioYield => tokio::task::yield_now().await,
                Flush::Quiet => {
                    let mut before = 0;
                    for _ in 0..8 {
                        let now = shared.lock().out.len();
                        if now == before {
                            break;
                        }
                        before = now;
                        self_wake().await;
                    }
                }
                _ => {}
            }
        }
        let blocked = {
            let mut state = shared.lock();
            mem::swap(&mut state.out, &mut buffer);
            mem::take(&mut state.blocked)
        };
        blocked.into_iter().for_each(Waker::wake);
        shared.write_all(&buffer).await?;
        buffer.clear();
    }
}

/// Reader and flusher in one task.
async fn drive(mut reader: Reader, shared: Arc<Shared>) -> Result<()> {
    let mut buffer: Vec<u8> = Vec::new();
    let mut written = 0;
    let mut yielded = 0;
    let yields = if shared.policy.flush == Flush::DriverTwice { 2 } else { 1 };
    std::future::poll_fn(|cx| {
        loop {
            // Flush
            if yielded == 0 {
                loop {
                    if written == buffer.len() {
                        buffer.clear();
                        written = 0;
                        let mut state = shared.lock();
                        if state.out.is_empty() || state.writing {
                            state.flusher = Some(cx.waker().clone());
                            break;
                        }
                        mem::swap(&mut state.out, &mut buffer);
                        let blocked = mem::take(&mut state.blocked);
                        drop(state);
                        blocked.into_iter().for_each(Waker::wake);
                    }
                    match shared.write.try_write(&buffer[written..]) {
                        Ok(n) => written += n,
                        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                            match pin!(shared.write.writable()).poll(cx) {
                                Poll::Ready(_) => continue,
                                Poll::Pending => break,
                            }
                        }
                        Err(error) => return Poll::Ready(Err(error.into())),
                    }
                }
            }
            // Read
            match reader.poll_read(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if yielded > 0 {
                        yielded -= 1;
                        if yielded == 0 { continue; }
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                }
            }
            if let Err(error) = reader.process(&shared) {
                return Poll::Ready(Err(error));
            }
            if shared.lock().calls.len() > 1 {
                yielded = yields;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    })
    .await
}

/// A call: sent when first polled, given up when dropped.
struct Calling<'a, F> {
    shared: &'a Shared,
    uri: &'static [u8],
    want: Want,
    body: Option<F>,
    place: Option<(usize, u64)>,
}

impl<F: FnOnce(&mut Vec<u8>) + Unpin> Future for Calling<'_, F> {
    type Output = Result<Answer>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.lock();
        if state.closed {
            self.place = None;
            return Poll::Ready(Err(anyhow::anyhow!("closed")));
        }
        if let Some((index, _)) = self.place {
            let call = &mut state.calls[index];
            return match &mut call.state {
                CallState::Waiting { waker, .. } => {
                    waker.clone_from(cx.waker());
                    Poll::Pending
                }
                CallState::Done(_) => {
                    let CallState::Done(answer) = state.calls.remove(index).state else { unreachable!() };
                    self.place = None;
                    Poll::Ready(Ok(answer))
                }
            };
        }
        if state.out.len() > HIGH_WATER && self.body.is_some() {
            state.blocked.push(cx.waker().clone());
            return Poll::Pending;
        }
        let shared = self.shared;
        let Some(body) = self.body.take() else { return Poll::Pending };
        let first = state.out.is_empty();
        self.place = Some(state.start(self.uri, cx.waker().clone(), self.want, body));
        if shared.policy.direct && first && !state.writing && state.calls.len() == 1 && state.flusher.is_some() {
            state.writing = true;
            let spare = mem::take(&mut state.spare);
            let mut buffer = mem::replace(&mut state.out, spare);
            drop(state);
            let written = shared.write.try_write(&buffer).unwrap_or(0);
            let mut state = shared.lock();
            state.writing = false;
            if written < buffer.len() {
                buffer.drain(..written);
                buffer.extend_from_slice(&state.out);
                state.out = buffer;
            } else {
                buffer.clear();
                state.spare = buffer;
            }
            if !state.out.is_empty() && let Some(w) = state.flusher.take() {
                drop(state);
                w.wake();
            }
            return Poll::Pending;
        }
        let flusher = state.flusher.take();
        drop(state);
        if let Some(flusher) = flusher {
            flusher.wake();
        }
        Poll::Pending
    }
}

impl<F> Drop for Calling<'_, F> {
    fn drop(&mut self) {
        if let Some((index, seq)) = self.place {
            let mut state = self.shared.lock();
            if state.calls.get(index).is_some_and(|call| call.seq == seq) {
                state.calls.remove(index);
            }
        }
    }
}

impl Client for RawClient {
    async fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        let (read_half, write) = stream.into_split();
        let state = State {
            out: Vec::new(),
            calls: Slab::new(),
            count: 0,
            flusher: None,
            writing: false,
            spare: Vec::new(),
            blocked: Vec::new(),
            closed: false,
        };
        let policy = Policy::from_env();
        let shared = Arc::new(Shared { state: Mutex::new(state), write, policy });
        let reader = Reader { read: read_half, buffer: BytesMut::new(), chunk: READ_MIN, need: 0, wakers: Vec::new() };
        if matches!(policy.flush, Flush::Driver | Flush::DriverTwice) {
            tokio::spawn(drive(reader, shared.clone()));
        } else {
            tokio::spawn(read(reader, shared.clone()));
            tokio::spawn(flush(shared.clone()));
        }
        Ok(Self(shared))
    }

    async fn add(&self, args: Pair) -> Result<Pair> {
        let body = move |out: &mut Vec<u8>| args.encode_raw(out);
        match (Calling { shared: &self.0, uri: ADD, want: Want::Pair, body: Some(body), place: None }).await? {
            Answer::Pair(pair) => Ok(pair),
            Answer::Blob(_) => bail!("a blob"),
        }
    }

    async fn echo(&self, blob: Blob, _gzip: bool) -> Result<Blob> {
        let body = move |out: &mut Vec<u8>| out.extend_from_slice(&blob.data);
        match (Calling { shared: &self.0, uri: ECHO, want: Want::Blob, body: Some(body), place: None }).await? {
            Answer::Blob(data) => Ok(Blob { data }),
            Answer::Pair(_) => bail!("a pair"),
        }
    }

    async fn note(&self, note: Pair) -> Result<()> {
        std::future::poll_fn(|cx| {
            let mut state = self.0.lock();
            if state.closed {
                return Poll::Ready(Err(anyhow::anyhow!("closed")));
            }
            if state.out.len() > HIGH_WATER {
                state.blocked.push(cx.waker().clone());
                return Poll::Pending;
            }
            state.count += 1;
            let seq = state.count;
            let header = state.header(seq, Kind::Push, NOTE);
            frame::encode(&mut state.out, header, |out| note.encode_raw(out));
            let flusher = state.flusher.take();
            drop(state);
            if let Some(flusher) = flusher {
                flusher.wake();
            }
            Poll::Ready(Ok(()))
        })
        .await
    }
}
