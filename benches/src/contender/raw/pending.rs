//! What the tasks of a raw session share: frames to send and calls in flight, under one lock.

use std::mem;
use std::task::Waker;

use anyhow::{Result, ensure};
use bytes::Bytes;
use prost::Message as _;
use slab::Slab;

use crate::frame::{self, Frame, Header, Kind};
use crate::message::Pair;

/// A sequence number is a place in the slab (low bits) and a count that tells its tenants apart.
const INDEX_BITS: u32 = 20;

/// All under one lock.
#[derive(Default)]
pub struct Pending {
    /// Frames not yet taken by the flusher.
    pub out: Vec<u8>,
    /// The flusher, while it has nothing to do.
    pub flusher: Option<Waker>,
    /// Senders that wait for room in `out`.
    pub blocked: Vec<Waker>,
    pub closed: bool,
    calls: Slab<Call>,
    count: u64,
}

struct Call {
    seq: u64,
    state: CallState,
}

enum CallState {
    Waiting { waker: Waker, want: Want },
    Done(Answer),
}

/// What the caller expects.
#[derive(Clone, Copy)]
pub enum Want {
    Pair,
    Blob,
}

/// What came.
pub enum Answer {
    Pair(Pair),
    Blob(Bytes),
}

impl Pending {
    /// Encodes a request and notes who waits for its reply.
    pub fn start(
        &mut self,
        uri: &[u8],
        waker: &Waker,
        want: Want,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> u64 {
        let entry = self.calls.vacant_entry();
        self.count += 1;
        let seq = self.count << INDEX_BITS | entry.key() as u64;
        entry.insert(Call {
            seq,
            state: CallState::Waiting {
                waker: waker.clone(),
                want,
            },
        });
        let header = Header {
            seq,
            kind: Kind::Pull,
            uri,
            status: 0,
        };
        frame::encode(&mut self.out, header, body);
        seq
    }

    /// Encodes a one-way message.
    pub fn push(&mut self, uri: &[u8], body: impl FnOnce(&mut Vec<u8>)) {
        self.count += 1;
        let header = Header {
            seq: self.count,
            kind: Kind::Push,
            uri,
            status: 0,
        };
        frame::encode(&mut self.out, header, body);
    }

    /// The answer if it is there; otherwise notes who waits.
    pub fn take(&mut self, seq: u64, waker: &Waker) -> Option<Answer> {
        let call = self
            .calls
            .get_mut(index(seq))
            .filter(|call| call.seq == seq)?;
        if let CallState::Waiting { waker: known, .. } = &mut call.state {
            known.clone_from(waker);
            return None;
        }
        match self.calls.remove(index(seq)).state {
            CallState::Done(answer) => Some(answer),
            CallState::Waiting { .. } => None,
        }
    }

    /// Nobody waits for this reply any more.
    pub fn forget(&mut self, seq: u64) {
        if self
            .calls
            .get(index(seq))
            .is_some_and(|call| call.seq == seq)
        {
            self.calls.remove(index(seq));
        }
    }

    /// Completes the call that `frame` answers; gives its task, and whether it waits for a blob: that is to be brought
    /// by [`fill`](Self::fill).
    pub fn complete(&mut self, frame: &Frame<'_>) -> Result<Option<(Waker, Want)>> {
        let Header {
            seq, kind, status, ..
        } = frame.header;
        ensure!(
            kind == Kind::Reply && status == 200,
            "not a good reply: {:?}",
            frame.header
        );
        let Some(call) = self
            .calls
            .get_mut(index(seq))
            .filter(|call| call.seq == seq)
        else {
            return Ok(None);
        };
        let CallState::Waiting { want, .. } = call.state else {
            return Ok(None);
        };
        let answer = match want {
            Want::Pair => Answer::Pair(Pair::decode(frame.body)?),
            Want::Blob => Answer::Blob(Bytes::new()),
        };
        match mem::replace(&mut call.state, CallState::Done(answer)) {
            CallState::Waiting { waker, .. } => Ok(Some((waker, want))),
            CallState::Done(_) => Ok(None),
        }
    }

    /// The blob of a call that was just completed.
    pub fn fill(&mut self, seq: u64, blob: Bytes) {
        if let Some(call) = self.calls.get_mut(index(seq)) {
            call.state = CallState::Done(Answer::Blob(blob));
        }
    }

    pub fn in_flight(&self) -> usize {
        self.calls.len()
    }

    /// The session is over; gives all who wait for something.
    pub fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        let mut wakers = mem::take(&mut self.blocked);
        wakers.extend(self.flusher.take());
        wakers.extend(self.calls.drain().filter_map(|call| match call.state {
            CallState::Waiting { waker, .. } => Some(waker),
            CallState::Done(_) => None,
        }));
        wakers
    }
}

fn index(seq: u64) -> usize {
    (seq & ((1 << INDEX_BITS) - 1)) as usize
}
