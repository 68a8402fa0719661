//! What has been read and not yet parsed: one buffer per connection, which packets are slices of.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, BytesMut};
use tokio::{io::AsyncRead, sync::futures::OwnedNotified};
use tokio_util::io::poll_read_buf;

use super::{
    pool::{Lease, Pool},
    spares::{self, Spares},
    tls,
};
use crate::protocol::{Decoded, Limits, Packet, Protocol, ProtocolError};

/// The reading side's buffer. Bodies are slices of it, so nothing is copied on the way to the handler.
///
/// A packet that is large, and does not fit what is left of the buffer, gets one of its own: read to its last byte and no
/// further, so that nothing of the next packet has to be moved.
#[derive(Debug)]
pub(crate) struct Inbox {
    buffer: BytesMut,
    /// Bytes of the whole buffer, of which those at its beginning may be in packets by now.
    size: usize,
    /// How much room the next read should find; follows the traffic.
    room: usize,
    /// Bytes to come before the next try to decode. A claim of the peer's: it guides the size of reads, within limits.
    wanted: usize,
    /// `buffer` is a large packet's own.
    own: bool,
    /// It is another one than when this was last looked at.
    renewed: bool,
    /// What most connections need not have.
    rare: Option<Box<Rare>>,
    pool: Arc<Pool>,
}

#[derive(Debug)]
struct Rare {
    spares: Spares,
    /// What was taken and put back: it comes before all that is in the buffer.
    put_back: VecDeque<Packet>,
    /// The largest buffer that a packet of this side has had of its own: so far claims have come true.
    seen: usize,
    /// What the buffer takes beyond `OWN`.
    lease: Lease,
    /// There is not enough left in the pool for what is to come: until there is.
    starving: Option<Pin<Box<OwnedNotified>>>,
}

thread_local! {
    /// A buffer of `IDLE` bytes, for the connection whose turn it is: one that is seldom used need not have its own, nor fetch it from
    /// memory.
    static SMALL: RefCell<Option<BytesMut>> = const { RefCell::new(None) };
}

/// A buffer of this size takes nothing from the pool. Twice what a stream of small packets needs.
const OWN: usize = 2 * READ;
/// A connection that is seldom used reads into a buffer of this size, and keeps it only while something of it is in use.
const IDLE: usize = 512;
/// Reads grow up to this while they come back full.
const READ: usize = 256 * 1024;
/// A packet that still lacks as much as this may get a buffer of its own.
const LARGE: usize = 128 * 1024;
/// Reads grow only up to this while large packets come: what is read of one before its length is known has to be moved.
const PROBE: usize = 4 * 1024;
/// A large packet's buffer grows by at most this, or by what has already arrived, before more has been read. Who has not sent
/// much before is believed `FIRST` only: a claim costs nothing.
const STEP: usize = 1024 * 1024;
const FIRST: usize = 16 * 1024;

impl Inbox {
    /// Memory for large packets comes out of `pool`.
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            buffer: BytesMut::new(),
            size: 0,
            room: 0,
            wanted: 0,
            own: false,
            renewed: false,
            rare: None,
            pool,
        }
    }

    fn rare(&mut self) -> &mut Rare {
        let pool = &self.pool;
        self.rare.get_or_insert_with(|| {
            Box::new(Rare {
                spares: Spares::new(Arc::clone(pool)),
                put_back: VecDeque::new(),
                seen: 0,
                lease: Lease::new(Arc::clone(pool)),
                starving: None,
            })
        })
    }

    /// The next whole packet, if it is already here.
    pub(crate) fn next(
        &mut self,
        protocol: &dyn Protocol,
        limits: &Limits,
    ) -> Result<Decoded, ProtocolError> {
        if !self.is_ready() {
            let bytes = self.wanted.max(1);
            return Ok(Decoded::NeedMore { bytes });
        }
        let mut packet = Packet::empty();
        match self.decode(protocol, limits, &mut packet) {
            Ok(0) => Ok(Decoded::Packet(packet)),
            Ok(bytes) => {
                self.lacks(bytes);
                Ok(Decoded::NeedMore { bytes })
            }
            Err(error) => Err(self.foreign().unwrap_or(error)),
        }
    }

    /// There may be a whole packet.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.wanted == 0 && !self.buffer.is_empty() || self.has_put_back()
    }

    #[inline]
    fn has_put_back(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| !rare.put_back.is_empty())
    }

    /// [`next`](Self::next) in parts, as [`Protocol::decode_into`].
    #[inline(always)]
    pub(crate) fn decode(
        &mut self,
        protocol: &dyn Protocol,
        limits: &Limits,
        packet: &mut Packet,
    ) -> Result<usize, ProtocolError> {
        if self.has_put_back()
            && let Some(next) = self.pop_put_back()
        {
            *packet = next;
            return Ok(0);
        }
        protocol.decode_into(&mut self.buffer, limits, packet)
    }

    #[cold]
    fn pop_put_back(&mut self) -> Option<Packet> {
        self.rare().put_back.pop_front()
    }

    /// Notes that so many bytes are missing.
    #[inline]
    pub(crate) fn lacks(&mut self, bytes: usize) {
        self.wanted = bytes;
        self.own &= bytes >= LARGE;
    }

    /// What the other side speaks instead of the protocol, if what it has sent last is no packet and is known.
    #[cold]
    pub(crate) fn foreign(&self) -> Option<ProtocolError> {
        tls::spoken_in(&self.buffer).map(ProtocolError::foreign)
    }

    /// Makes these the next packets, in this order.
    pub(crate) fn put_back(&mut self, packets: Vec<Packet>) {
        if packets.is_empty() {
            return;
        }
        let put_back = &mut self.rare().put_back;
        for packet in packets.into_iter().rev() {
            put_back.push_front(packet);
        }
    }

    /// No more is read until there is memory for it.
    pub(crate) fn is_starving(&self) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.starving.is_some())
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
        let spare = self.spare();
        let reader = Pin::new(reader);
        let count = if self.own && self.wanted > 0 {
            let mut rest = (&mut self.buffer).limit(self.wanted);
            ready!(poll_read_buf(reader, cx, &mut rest))?
        } else {
            ready!(poll_read_buf(reader, cx, &mut self.buffer))?
        };
        self.wanted = self.wanted.saturating_sub(count);
        if !self.own {
            if let Some(rare) = &mut self.rare {
                rare.spares.pass();
            }
            if count == spare {
                self.room = (self.room * 4).clamp(IDLE, READ);
            }
        }
        Poll::Ready(Ok(count))
    }

    /// The turn is over. A small buffer goes to the thread if nothing is in it and nobody has a slice of it.
    #[inline]
    pub(crate) fn rest(&mut self) {
        let gives = self.buffer.is_empty() && self.size == IDLE;
        if gives && (self.buffer.capacity() == IDLE || self.buffer.try_reclaim(IDLE)) {
            self.give_small();
            self.size = 0;
        }
    }

    /// Takes the thread's small buffer instead of none, if it is there.
    #[inline]
    fn take_small(&mut self) -> bool {
        self.swap_small();
        self.buffer.capacity() == IDLE
    }

    #[inline]
    fn give_small(&mut self) {
        self.swap_small();
        if self.buffer.capacity() > 0 {
            // A turn within this one has left another.
            self.buffer = BytesMut::new();
        }
    }

    #[inline]
    fn swap_small(&mut self) {
        SMALL.with(|small| {
            if let Ok(mut small) = small.try_borrow_mut() {
                mem::swap(&mut self.buffer, small.get_or_insert_default());
            }
        });
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
        if self.buffer.is_empty() && self.is_grown() {
            self.buffer = BytesMut::new();
            self.size = 0;
            self.own = false;
            self.room = IDLE;
            self.set_lease(0);
        }
        if let Some(rare) = &mut self.rare {
            rare.spares.clear();
            if rare.is_unused() {
                self.rare = None;
            }
        }
    }

    /// An idle connection would not keep so much.
    pub(crate) fn is_grown(&self) -> bool {
        self.size > IDLE || self.room > IDLE || self.rare.is_some()
    }

    /// What the buffer takes of the pool.
    #[inline]
    fn leased(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.lease.bytes())
    }

    /// Says that the buffer takes just so much of it.
    fn set_lease(&mut self, bytes: usize) {
        if bytes > 0 || self.leased() > 0 {
            self.rare().lease.set(bytes);
        }
    }

    fn spare(&self) -> usize {
        self.buffer.capacity() - self.buffer.len()
    }

    #[inline]
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.size == 0 && self.room <= IDLE && self.wanted <= IDLE && self.take_small() {
            self.size = IDLE;
            self.renewed = true;
            return Poll::Ready(());
        }
        let spare = self.spare();
        // A quarter left is worth a read: it saves moving to a new buffer while old packets are still in use.
        let enough = spare >= self.wanted && spare >= self.room.max(IDLE) / 4;
        if enough && !self.own && self.leased() == 0 {
            return Poll::Ready(());
        }
        self.poll_more_room(cx)
    }

    #[inline(never)]
    fn poll_more_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.leased() > 0 {
            // The packet that it was for has been taken out.
            self.set_lease(beyond_own(self.buffer.capacity()));
        }
        let seen = self.rare.as_ref().map_or(0, |rare| rare.seen);
        let believed = match self.room.max(seen) {
            READ.. => STEP,
            room => FIRST.max(room * 4),
        };
        let len = self.buffer.len();
        let spare = self.spare();
        let step = believed.max(len);
        if self.own && len > 0 {
            if spare == 0 {
                ready!(self.poll_reserve(self.wanted.min(step), cx));
            }
        } else if self.wanted >= LARGE && self.wanted > spare {
            let whole = len.saturating_add(self.wanted);
            ready!(self.poll_change(whole, whole.min(len.saturating_add(step)), cx));
            self.own = true;
            self.room = self.room.min(PROBE);
        } else {
            let room = self.wanted.min(step).max(self.room.max(IDLE));
            if self.own {
                // The packet is out.
                self.rare().seen = seen.max(self.size);
                ready!(self.poll_change(room, room, cx));
                self.own = false;
            } else if spare < room / 4 || spare < self.wanted.min(step) {
                if room < spares::LEAST || self.buffer.try_reclaim(room) {
                    ready!(self.poll_reserve(room, cx));
                } else {
                    ready!(self.poll_change(len + room, len + room, cx));
                }
            }
        }
        Poll::Ready(())
    }

    /// Makes room in the buffer, which becomes another one if others still use it.
    fn poll_reserve(&mut self, room: usize, cx: &mut Context<'_>) -> Poll<()> {
        // A buffer that is still in use is left to its packets, else it may double.
        let size = (self.buffer.len() + room).max(2 * self.buffer.capacity());
        if size > OWN {
            ready!(self.poll_lease(beyond_own(size), cx));
        }
        self.buffer.reserve(room);
        self.size = self.buffer.capacity();
        if self.leased() > 0 {
            self.set_lease(beyond_own(self.size));
        }
        self.renewed = true;
        Poll::Ready(())
    }

    /// Goes on in another buffer: a spare one for `whole` bytes, or else a new one for `least`.
    fn poll_change(&mut self, whole: usize, least: usize, cx: &mut Context<'_>) -> Poll<()> {
        if beyond_own(least) > 0 || self.rare.is_some() {
            ready!(self.poll_lease(beyond_own(least), cx));
        }
        let spare = self.rare().spares.take(whole);
        let mut next = spare.unwrap_or_else(|| BytesMut::with_capacity(least));
        next.extend_from_slice(&self.buffer);
        let size = mem::replace(&mut self.size, next.capacity());
        let last = mem::replace(&mut self.buffer, next);
        self.rare().spares.put(size, last);
        self.set_lease(beyond_own(self.size));
        self.renewed = true;
        Poll::Ready(())
    }

    #[cold]
    fn poll_lease(&mut self, bytes: usize, cx: &mut Context<'_>) -> Poll<()> {
        let rare = self.rare();
        while !rare.lease.grow(bytes) {
            rare.spares.clear();
            let given = rare.lease.pool().given();
            let waiting = rare
                .starving
                .get_or_insert_with(|| Box::pin(Arc::clone(given).notified_owned()));
            if waiting.as_mut().poll(cx).is_ready() {
                rare.starving = None;
            } else if rare.lease.grow(bytes) {
                // Given back just before the waiting began.
                break;
            } else {
                return Poll::Pending;
            }
        }
        if rare.starving.take().is_some() {
            // There may be enough for the next one who waits.
            rare.lease.pool().pass_on();
        }
        Poll::Ready(())
    }
}

impl Rare {
    fn is_unused(&self) -> bool {
        self.lease.bytes() == 0 && self.put_back.is_empty() && self.starving.is_none()
    }
}

fn beyond_own(size: usize) -> usize {
    size.saturating_sub(OWN)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::protocol::{Header, HeaderCodec, PacketKind, Parts, Standard};

    /// Gives what it has, and then nothing for now.
    struct Source<'a>(&'a [u8]);

    impl AsyncRead for Source<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            let (now, later) = self.0.split_at(buf.remaining().min(self.0.len()));
            buf.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    fn packet(seq: u64, len: usize) -> Vec<u8> {
        let header = Header::new(PacketKind::Push, seq, "/a");
        let mut out = Parts::new();
        let body = vec![seq as u8; len];
        let mut body = |out: &mut Parts| {
            out.copied().extend_from_slice(&body);
            Ok(())
        };
        Standard
            .encode_parts(header.as_ref(), HeaderCodec::Protobuf, &mut body, &mut out)
            .unwrap();
        out.into_vec()
    }

    /// Reads all of `bytes`; gives the whole packets.
    fn read(inbox: &mut Inbox, bytes: &[u8]) -> Vec<Packet> {
        let mut source = Source(bytes);
        let mut cx = Context::from_waker(Waker::noop());
        let mut packets = Vec::new();
        while let Poll::Ready(count) = inbox.poll_read(&mut cx, &mut source) {
            assert!(count.unwrap() > 0);
            while let Decoded::Packet(packet) = inbox.next(&Standard, &Limits::default()).unwrap() {
                packets.push(packet);
            }
        }
        packets
    }

    #[test]
    fn packets_of_all_sizes_come_whole_and_in_order() {
        let sizes = [10, LARGE * 3, 1, LARGE - 50, 7, STEP * 3, LARGE, 100_000, 5];
        let sizes = sizes.repeat(5);
        let stream: Vec<u8> = (0..)
            .zip(&sizes)
            .flat_map(|(seq, len)| packet(seq, *len))
            .collect();
        for step in [4096 - 1, 70_000, stream.len()] {
            let mut inbox = Inbox::new(Arc::default());
            let parts = stream.chunks(step);
            let packets: Vec<_> = parts.flat_map(|part| read(&mut inbox, part)).collect();
            assert_eq!(packets.len(), sizes.len());
            for (seq, (packet, len)) in packets.iter().zip(&sizes).enumerate() {
                assert_eq!(packet.header.seq, seq as u64);
                assert!(packet.body == vec![seq as u8; *len]);
            }
        }
    }

    #[test]
    fn the_small_buffer_of_a_connection_goes_round_unless_it_is_in_use() {
        let pool = Arc::<Pool>::default();
        let (mut one, mut other) = (Inbox::new(Arc::clone(&pool)), Inbox::new(pool));
        let packet = packet(1, 10);
        assert_eq!(read(&mut one, &packet).len(), 1);
        one.rest();
        assert_eq!((one.size, one.buffer.capacity()), (0, 0));
        let mut held = read(&mut other, &packet);
        assert_eq!((other.size, other.renewed()), (IDLE, Some(IDLE)));
        other.rest();
        assert_eq!(other.size, IDLE, "a packet is a slice of it");

        // Another one has a buffer of its own meanwhile, and what is not whole stays there.
        let (begun, rest) = packet.split_at(packet.len() - 1);
        assert!(read(&mut one, begun).is_empty());
        one.rest();
        assert_eq!(one.size, IDLE, "half a packet is in it");
        assert_eq!(held.remove(0).body, vec![1; 10]);
        other.rest();
        assert_eq!(other.size, 0);
        assert_eq!(read(&mut one, rest).remove(0).body, vec![1; 10]);
    }

    #[test]
    fn memory_is_taken_as_bytes_arrive_whatever_was_claimed() {
        let packet = packet(0, 60 << 20);
        let mut inbox = Inbox::new(Arc::default());
        let mut come = 0;
        for part in packet[..packet.len() - 1].chunks(300_000) {
            assert!(read(&mut inbox, part).is_empty());
            come += part.len();
            let held = inbox.buffer.capacity();
            assert!(held <= come + come.max(STEP) + READ, "{held} for {come}");
        }
        assert_eq!(read(&mut inbox, &packet[packet.len() - 1..]).len(), 1);
    }

    #[test]
    fn the_buffer_of_a_large_packet_is_used_again_when_nobody_has_it_any_more() {
        let mut inbox = Inbox::new(Arc::default());
        let large = packet(1, LARGE * 2);
        // What stands before it is read with it.
        let one = read(&mut inbox, &large).remove(0);
        let memory = one.body.as_ptr();
        let two = read(&mut inbox, &large).remove(0);
        assert_ne!(two.body.as_ptr(), memory, "the first is in use");
        drop(one);
        let three = read(&mut inbox, &large).remove(0);
        assert_eq!(three.body.as_ptr(), memory);
        assert_eq!(two.body, three.body);
        drop((two, three));

        let small = packet(2, 10);
        for _ in 0..100 {
            read(&mut inbox, &small);
        }
        assert!(inbox.rare().spares.is_empty(), "none was wanted for long");
        read(&mut inbox, &large);
        inbox.trim();
        assert!(inbox.rare.is_none() && inbox.buffer.capacity() == 0);
    }

    #[test]
    fn a_large_packet_is_read_to_its_end_and_no_further() {
        let mut inbox = Inbox::new(Arc::default());
        let stream = [packet(1, LARGE * 2), packet(2, LARGE * 2)].concat();
        let packets = read(&mut inbox, &stream);
        assert_eq!(packets.len(), 2);
        inbox.trim();
        for packet in packets {
            let body = packet.body.clone();
            drop(packet);
            assert!(body.is_unique(), "it has a buffer of its own");
        }
    }
}
