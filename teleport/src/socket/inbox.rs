//! What has been read and not yet parsed: one buffer per connection, which packets are slices of.

use std::{
    collections::VecDeque,
    future::Future,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::{io::AsyncRead, sync::futures::OwnedNotified};
use tokio_util::io::poll_read_buf;

use super::{
    pool::{Lease, Pool},
    tls,
};
use crate::protocol::{Decoded, Limits, Packet, Protocol, ProtocolError};

/// The reading side's buffer. Bodies are slices of it, so nothing is copied on the way to the handler.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// What was taken and put back: it comes before all that is in the buffer.
    put_back: VecDeque<Packet>,
    /// How much room the next read should find; follows the traffic.
    room: usize,
    /// Bytes to come before the next try to decode. A claim of the peer's: it guides the size of reads, within limits.
    wanted: usize,
    /// What the buffer takes beyond `OWN`.
    lease: Lease,
    /// There is not enough left in the pool for what is to come: until there is.
    starving: Option<Pin<Box<OwnedNotified>>>,
    /// Bytes of the whole buffer, of which those at its beginning may be in packets by now.
    size: usize,
    /// It is another one than when this was last looked at.
    renewed: bool,
}

/// A buffer of this size takes nothing from the pool. Twice what a stream of small packets needs.
const OWN: usize = 2 * READ;
/// An idle connection keeps no more than this.
const IDLE: usize = 512;
/// Reads grow up to this while they come back full.
const READ: usize = 256 * 1024;
/// A large packet's buffer grows by at most this, or by what has already arrived, before more has been read. Who has not sent
/// much before is believed `FIRST` only: a claim costs nothing.
const STEP: usize = 1024 * 1024;
const FIRST: usize = 16 * 1024;

impl Inbox {
    /// Memory for large packets comes out of `pool`.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            buffer: BytesMut::new(),
            put_back: VecDeque::new(),
            room: 0,
            wanted: 0,
            lease: Lease::new(pool),
            starving: None,
            size: 0,
            renewed: false,
        }
    }

    /// The next whole packet, if it is already here. What the protocol gives is passed on as it is: a packet is large.
    #[inline]
    pub(crate) fn next(
        &mut self,
        protocol: &dyn Protocol,
        limits: &Limits,
    ) -> Result<Decoded, ProtocolError> {
        if let Some(packet) = self.put_back.pop_front() {
            return Ok(Decoded::Packet(packet));
        }
        if self.wanted > 0 || self.buffer.is_empty() {
            let bytes = self.wanted.max(1);
            return Ok(Decoded::NeedMore { bytes });
        }
        let mut decoded = protocol.decode(&mut self.buffer, limits);
        match &mut decoded {
            Ok(Decoded::NeedMore { bytes }) => self.wanted = *bytes,
            Ok(Decoded::Packet(_)) => {}
            Err(error) => {
                if let Some(foreign) = self.foreign() {
                    *error = foreign;
                }
            }
        }
        decoded
    }

    /// What the other side speaks instead of the protocol, if what it has sent last is no packet and is known.
    #[cold]
    pub(crate) fn foreign(&self) -> Option<ProtocolError> {
        tls::spoken_in(&self.buffer).map(ProtocolError::foreign)
    }

    /// Makes these the next packets, in this order.
    pub(crate) fn put_back(&mut self, packets: Vec<Packet>) {
        for packet in packets.into_iter().rev() {
            self.put_back.push_front(packet);
        }
    }

    /// No more is read until there is memory for it.
    pub(crate) fn is_starving(&self) -> bool {
        self.starving.is_some()
    }

    /// The size of the buffer, if it is another one than at the last time.
    pub(crate) fn renewed(&mut self) -> Option<usize> {
        mem::take(&mut self.renewed).then_some(self.size)
    }

    /// Reads once. 0 is the end of the stream. Waits for memory too, if the packet is large.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx));
        let spare = self.buffer.capacity() - self.buffer.len();
        let count = ready!(poll_read_buf(Pin::new(reader), cx, &mut self.buffer))?;
        self.wanted = self.wanted.saturating_sub(count);
        if count == spare {
            self.room = (self.room * 4).clamp(IDLE, READ);
        }
        Poll::Ready(Ok(count))
    }

    /// How much has come of a packet that is not whole; 0 if there is none.
    pub(crate) fn begun(&self) -> usize {
        match self.wanted {
            0 => 0,
            _ => self.buffer.len(),
        }
    }

    /// Gives back what a burst has taken, if nothing waits to be parsed.
    pub(crate) fn trim(&mut self) {
        self.put_back.shrink_to_fit();
        if self.buffer.is_empty() && (self.buffer.capacity() > IDLE || self.room > IDLE) {
            self.buffer = BytesMut::new();
            self.room = IDLE;
            self.lease.set(0);
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.lease.bytes() > 0 {
            // The packet that it was for has been taken out.
            self.lease.set(beyond_own(self.buffer.capacity()));
        }
        let believed = match self.room {
            READ.. => STEP,
            room => FIRST.max(room * 4),
        };
        let step = believed.max(self.buffer.len());
        let room = self.wanted.min(step).max(self.room.max(IDLE));
        let spare = self.buffer.capacity() - self.buffer.len();
        // A quarter left is worth a read: it saves moving to a new buffer while old packets are still in use.
        if spare < room / 4 || spare < self.wanted.min(step) {
            // A buffer that is still in use is left to its packets, else it may double.
            let size = (self.buffer.len() + room).max(2 * self.buffer.capacity());
            if size > OWN {
                ready!(self.poll_lease(beyond_own(size), cx));
            }
            self.buffer.reserve(room);
            self.size = self.buffer.capacity();
            if self.lease.bytes() > 0 {
                self.lease.set(beyond_own(self.size));
            }
            self.renewed = true;
        }
        Poll::Ready(())
    }

    #[cold]
    fn poll_lease(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<()> {
        while !self.lease.grow(bytes) {
            let given = self.lease.pool().given();
            let waiting = self
                .starving
                .get_or_insert_with(|| Box::pin(Arc::clone(given).notified_owned()));
            if waiting.as_mut().poll(cx).is_ready() {
                self.starving = None;
            } else if self.lease.grow(bytes) {
                // Given back just before the waiting began.
                break;
            } else {
                return Poll::Pending;
            }
        }
        if self.starving.take().is_some() {
            // There may be enough for the next one who waits.
            self.lease.pool().pass_on();
        }
        Poll::Ready(())
    }
}

fn beyond_own(size: usize) -> usize {
    size.saturating_sub(OWN)
}
