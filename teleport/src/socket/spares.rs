//! Buffers that are read into, kept for the next large packets: fresh pages for each cost more than filling them.

use std::sync::Arc;

use bytes::BytesMut;

use super::pool::Pool;

/// Buffers that were used lately. Each is an empty handle on its memory, which is free again when nobody holds a slice of
/// it any more.
#[derive(Debug)]
pub(super) struct Spares {
    /// With the size of the whole buffer, oldest first.
    buffers: Vec<(usize, BytesMut)>,
    /// Reads since one was wanted.
    idle: u8,
    pool: Arc<Pool>,
}

/// Smaller buffers are not worth keeping: the allocator has their pages at hand.
pub(super) const LEAST: usize = 32 * 1024;
/// All of them together. What is still in use would take its memory without them too.
const BYTES: usize = 8 * 1024 * 1024;
const COUNT: usize = 16;
/// They are let go if so many reads in a row need none, as they are when the connection rests.
const PATIENCE: u8 = 16;

impl Spares {
    /// What they take, `pool` has to spare.
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            buffers: Vec::new(),
            idle: 0,
            pool,
        }
    }

    /// An empty buffer that has room for so many bytes: the last one that is free, which the caches
    /// know best.
    pub(super) fn take(&mut self, room: usize) -> Option<BytesMut> {
        self.idle = 0;
        // A small packet would keep a buffer that is far too large.
        let fits = |(size, buffer): &mut (usize, BytesMut)| {
            (room..=room.saturating_mul(4)).contains(size) && buffer.try_reclaim(room)
        };
        let at = self.buffers.iter_mut().rposition(fits)?;
        let (size, buffer) = self.buffers.remove(at);
        self.pool.let_go(size);
        Some(buffer)
    }

    /// Keeps a buffer of this size, of which slices may be in use.
    pub(super) fn put(&mut self, size: usize, mut buffer: BytesMut) {
        if !(LEAST..=BYTES).contains(&size) {
            return;
        }
        let mut kept: usize = self.buffers.iter().map(|(size, _)| size).sum();
        while !self.buffers.is_empty() && (kept + size > BYTES || self.buffers.len() == COUNT) {
            let (oldest, _) = self.buffers.remove(0);
            self.pool.let_go(oldest);
            kept -= oldest;
        }
        if self.pool.keep(size) {
            buffer.clear();
            self.buffers.push((size, buffer));
        }
    }

    /// There was a read that needed none of them.
    #[inline]
    pub(super) fn pass(&mut self) {
        if !self.buffers.is_empty() {
            self.lose_patience();
        }
    }

    #[cold]
    fn lose_patience(&mut self) {
        self.idle += 1;
        if self.idle == PATIENCE {
            self.clear();
        }
    }

    /// Lets all go, with the memory of the list.
    pub(super) fn clear(&mut self) {
        for (size, _) in std::mem::take(&mut self.buffers) {
            self.pool.let_go(size);
        }
        self.idle = 0;
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
impl Spares {
    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(size: usize) -> BytesMut {
        BytesMut::with_capacity(size)
    }

    #[test]
    fn the_last_buffer_that_is_free_and_large_enough_is_taken() {
        let mut spares = Spares::new(Arc::default());
        let mut used = buffer(LEAST * 2);
        used.extend_from_slice(&[1; 10]);
        let slice = used.split_to(10).freeze();
        let free = buffer(LEAST * 2);
        let memory = free.as_ptr();
        spares.put(LEAST * 2, free);
        spares.put(LEAST * 2, used);
        spares.put(LEAST, buffer(LEAST));
        spares.put(LEAST - 1, buffer(LEAST - 1));
        assert_eq!(spares.buffers.len(), 3, "a small one is not kept");
        let taken = spares.take(LEAST * 2).unwrap();
        assert_eq!(taken.as_ptr(), memory, "the last one is in use");
        assert!(spares.take(LEAST * 2).is_none());
        assert!(spares.take(LEAST / 5).is_none(), "a waste");
        assert_eq!(&slice[..], [1; 10], "and stays as it is");
        drop(slice);
        assert!(spares.take(LEAST * 2).is_some());
    }

    #[test]
    fn they_are_limited_in_bytes_and_in_number_and_by_the_pool() {
        let mut spares = Spares::new(Arc::default());
        spares.put(BYTES + 1, buffer(0));
        assert!(spares.is_empty());
        for _ in 0..3 {
            spares.put(BYTES / 2, buffer(0));
        }
        assert_eq!(spares.buffers.len(), 2);
        for _ in 0..COUNT + 3 {
            spares.put(LEAST, buffer(0));
        }
        assert_eq!(spares.buffers.len(), COUNT);

        let pool = Arc::new(Pool::new(16 * LEAST));
        let mut spares = Spares::new(pool.clone());
        for _ in 0..3 {
            spares.put(LEAST, buffer(0));
        }
        assert_eq!(spares.buffers.len(), 2, "an eighth of the pool");
        drop(spares);
        assert!(pool.keep(2 * LEAST), "all has come back");
    }
}
