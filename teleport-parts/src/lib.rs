//! [`Parts`], encoded bytes of which large pieces are shared instead of copied. Use it through the `teleport` crate.
//!
//! It is a crate of its own because `bytes` makes [`BufMut`] an `unsafe` trait, and `teleport` forbids `unsafe`. That one
//! implementation is all there is of it here, and it hands everything on to that of `Vec<u8>`.

use std::borrow::Cow;

use bytes::{Buf, BufMut, Bytes, buf::UninitSlice};

/// Encoded bytes, in order. Large pieces that are in memory already, as [`Bytes`], are not copied but shared with whoever else
/// has them, until they are written to the connection.
///
/// ```
/// use bytes::{BufMut, Bytes};
/// # use teleport_parts::Parts;
///
/// let picture = Bytes::from(vec![7; 100_000]);
/// let mut parts = Parts::new();
/// parts.put_slice(b"picture: ");
/// parts.share(picture);
/// parts.put_u8(b'.');
/// assert_eq!(parts.len(), 9 + 100_000 + 1);
/// ```
///
/// What is put into it as a [`BufMut`] is shared too where that is possible: so a prost message encodes its large fields of the
/// type `Bytes` into it without copying them.
#[derive(Debug, Default)]
pub struct Parts {
    copied: Vec<u8>,
    /// Seldom there, and then large: all others are to be no larger, and no slower, than the buffer alone.
    shared: Option<Box<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Each with how many of the copied bytes come before it.
    pieces: Vec<(usize, Bytes)>,
    len: usize,
}

/// A point between two bytes of [`Parts`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    copied: usize,
    shared: usize,
}

impl Parts {
    /// Less than this is copied, since a small piece may keep the large buffer that it is a slice of.
    pub const SHARE: usize = 60 * 1024;

    /// Nothing.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self {
            copied: Vec::new(),
            shared: None,
        }
    }

    /// The bytes that are not shared. What is appended to them comes behind all that is here, shared or not.
    #[inline]
    pub fn copied(&mut self) -> &mut Vec<u8> {
        &mut self.copied
    }

    /// Appends `bytes`, without copying them if they are [many](Self::SHARE).
    pub fn share(&mut self, bytes: Bytes) {
        if bytes.len() < Self::SHARE {
            self.copied.extend_from_slice(&bytes);
        } else {
            let shared = self.shared.get_or_insert_default();
            shared.len += bytes.len();
            shared.pieces.push((self.copied.len(), bytes));
        }
    }

    /// Bytes in all.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.copied.len() + self.shared.as_ref().map_or(0, |shared| shared.len)
    }

    /// There is none.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The end of what is here now.
    #[inline]
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            copied: self.copied.len(),
            shared: self.pieces().len(),
        }
    }

    /// What came behind `mark`, in one piece: a copy if some of it is shared.
    #[must_use]
    pub fn since(&self, mark: Mark) -> Cow<'_, [u8]> {
        let shared = self.pieces().get(mark.shared..).unwrap_or_default();
        if shared.is_empty() {
            return Cow::Borrowed(self.copied.get(mark.copied..).unwrap_or_default());
        }
        let mut all = Vec::with_capacity(self.len());
        let mut done = mark.copied;
        for (at, bytes) in shared {
            all.extend_from_slice(self.copied.get(done..*at).unwrap_or_default());
            all.extend_from_slice(bytes);
            done = *at;
        }
        all.extend_from_slice(self.copied.get(done..).unwrap_or_default());
        Cow::Owned(all)
    }

    /// Takes back what came behind `mark`.
    #[inline]
    pub fn truncate(&mut self, mark: Mark) {
        self.copied.truncate(mark.copied);
        if self.shared.is_some() {
            self.truncate_shared(mark.shared);
        }
    }

    /// Takes everything back. The buffer for what is copied stays.
    #[inline]
    pub fn clear(&mut self) {
        self.truncate(Mark::default());
    }

    /// All in one buffer: a copy if some of it is shared.
    #[inline]
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        if self.shared.is_none() {
            self.copied
        } else {
            self.since(Mark::default()).into_owned()
        }
    }

    /// The buffer for what is copied; what is shared is let go.
    #[must_use]
    #[inline]
    pub fn into_copied(self) -> Vec<u8> {
        self.copied
    }

    /// Some pieces are shared.
    #[inline]
    #[must_use]
    pub fn has_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Takes the pieces out that are shared, each with how many of the copied bytes come before it.
    pub fn take_shared(&mut self) -> Vec<(usize, Bytes)> {
        self.shared
            .take()
            .map_or_else(Vec::new, |shared| shared.pieces)
    }

    #[cold]
    fn truncate_shared(&mut self, most: usize) {
        if let Some(shared) = &mut self.shared {
            let first = most.min(shared.pieces.len());
            for (_, bytes) in shared.pieces.drain(first..) {
                shared.len -= bytes.len();
            }
            if shared.pieces.is_empty() {
                self.shared = None;
            }
        }
    }

    #[inline]
    fn pieces(&self) -> &[(usize, Bytes)] {
        self.shared.as_ref().map_or(&[], |shared| &shared.pieces)
    }
}

/// What is in the buffer comes first.
impl From<Vec<u8>> for Parts {
    #[inline]
    fn from(copied: Vec<u8>) -> Self {
        Self {
            copied,
            ..Self::new()
        }
    }
}

// SAFETY: the three required methods are those of one and the same `Vec<u8>`, which nothing in between touches, so they keep
// what `Vec<u8>` promises. The others only use safe interfaces.
#[allow(unsafe_code, reason = "`bytes` makes the trait unsafe")]
unsafe impl BufMut for Parts {
    fn remaining_mut(&self) -> usize {
        self.copied.remaining_mut()
    }

    unsafe fn advance_mut(&mut self, count: usize) {
        // SAFETY: the caller promises for `chunk_mut` of this, which is that of the buffer.
        unsafe { self.copied.advance_mut(count) }
    }

    fn chunk_mut(&mut self) -> &mut UninitSlice {
        self.copied.chunk_mut()
    }

    fn put<T: Buf>(&mut self, mut src: T) {
        if src.remaining() < Self::SHARE {
            return self.copied.put(src);
        }
        // Whether it shares what it has or makes a copy is seen at its first byte.
        let at = src.chunk().as_ptr();
        let first = src.copy_to_bytes(1);
        self.copied.extend_from_slice(&first);
        if first.as_ptr() == at {
            let len = src.remaining();
            self.share(src.copy_to_bytes(len));
        } else {
            self.copied.put(src);
        }
    }

    fn put_slice(&mut self, src: &[u8]) {
        self.copied.extend_from_slice(src);
    }

    fn put_u8(&mut self, byte: u8) {
        self.copied.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    const SHARE: usize = Parts::SHARE;

    fn sample() -> (Parts, Vec<u8>) {
        let mut parts = Parts::from(b"first".to_vec());
        let mut all = b"first".to_vec();
        for (byte, len) in [
            (b'a', SHARE),
            (b'b', SHARE - 1),
            (b'c', SHARE * 2),
            (b'd', SHARE),
        ] {
            parts.share(Bytes::from(vec![byte; len]));
            all.resize(all.len() + len, byte);
            parts.put_u8(b'-');
            all.push(b'-');
        }
        (parts, all)
    }

    #[test]
    fn pieces_keep_their_order_and_small_ones_are_copied() {
        let (parts, all) = sample();
        assert_eq!(parts.len(), all.len());
        assert_eq!(parts.pieces().len(), 3);
        assert!(parts.into_vec() == all);
    }

    #[test]
    fn what_is_taken_back_is_gone_and_the_rest_is_whole() {
        let (mut parts, all) = sample();
        let mark = parts.mark();
        parts.put_slice(b"more");
        parts.share(Bytes::from(vec![b'e'; SHARE]));
        assert_eq!(parts.since(mark).len(), 4 + SHARE);
        parts.truncate(mark);
        assert_eq!(parts.mark(), mark);
        assert!(parts.since(mark).is_empty());
        assert!(parts.into_vec() == all);
    }

    #[test]
    fn a_piece_is_shared_with_who_has_it() {
        let bytes = Bytes::from(vec![1; SHARE]);
        let mut parts = Parts::new();
        parts.share(bytes.clone());
        assert_eq!(parts.take_shared()[0].1.as_ptr(), bytes.as_ptr());
        assert!(parts.is_empty());
    }

    #[derive(Clone, PartialEq, Message)]
    struct Album {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(bytes = "bytes", tag = "2")]
        shared: Bytes,
        #[prost(bytes = "vec", tag = "3")]
        copied: Vec<u8>,
        #[prost(message, optional, boxed, tag = "4")]
        next: Option<Box<Album>>,
        #[prost(uint64, repeated, tag = "5")]
        numbers: Vec<u64>,
    }

    #[test]
    fn a_message_is_encoded_as_it_is_elsewhere_and_its_large_bytes_are_shared() {
        for len in [0, 1, SHARE - 1, SHARE, SHARE + 1, SHARE * 3] {
            let inner = Album {
                name: "inner".repeat(len / 100),
                shared: Bytes::from(vec![2; len]),
                ..Album::default()
            };
            let album = Album {
                name: "outer".to_owned(),
                shared: Bytes::from(vec![1; len]),
                copied: vec![3; len],
                next: Some(Box::new(inner)),
                numbers: vec![1, 300, u64::MAX],
            };
            let mut parts = Parts::new();
            album.encode_raw(&mut parts);
            let shared: Vec<_> = parts
                .pieces()
                .iter()
                .map(|(_, bytes)| bytes.len())
                .collect();
            // All but the first byte, which shows that it can be done.
            let expected = if len > SHARE {
                vec![len - 1; 2]
            } else {
                vec![]
            };
            assert_eq!(shared, expected);
            assert!(parts.into_vec() == album.encode_to_vec(), "{len}");
        }
    }

    #[test]
    fn what_cannot_be_shared_is_copied_whole() {
        let mut parts = Parts::new();
        let halves = [vec![1; SHARE], vec![2; SHARE]];
        parts.put(halves[0].as_slice());
        parts.put(halves[0].as_slice().chain(halves[1].as_slice()));
        assert!(!parts.has_shared());
        assert!(parts.into_vec() == [&*halves[0], &*halves[0], &*halves[1]].concat());
    }
}
