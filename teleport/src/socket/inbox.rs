//! What has been read and not yet parsed: one buffer per connection, which packets are slices of.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use super::tls;
use crate::protocol::{Decoded, Limits, Packet, Protocol, ProtocolError};

/// The reading side's buffer. Bodies are slices of it, so nothing is copied on the way to the handler.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// What was taken and put back: it comes before all that is in the buffer.
    put_back: VecDeque<Packet>,
    /// How much room the next read should find; follows the traffic.
    room: usize,
    /// Bytes to come before the next try to decode. A claim of the peer's: it guides the size of reads, within `STEP`.
    wanted: usize,
}

/// An idle connection keeps no more than this.
const IDLE: usize = 512;
/// Reads grow up to this while they come back full.
const READ: usize = 256 * 1024;
/// A large packet's buffer grows by at most this, or by what has already arrived, before more has been read.
const STEP: usize = 1024 * 1024;

impl Inbox {
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

    /// Reads once. 0 is the end of the stream.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut R,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
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
        }
    }

    fn make_room(&mut self) {
        let step = STEP.max(self.buffer.len());
        let room = self.wanted.min(step).max(self.room.max(IDLE));
        let spare = self.buffer.capacity() - self.buffer.len();
        // A quarter left is worth a read: it saves moving to a new buffer while old packets are still in use.
        if spare < room / 4 || spare < self.wanted.min(step) {
            self.buffer.reserve(room);
        }
    }
}
