//! Bounds-checked reading from a slice.

/// What is left of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// Goes on behind the next byte, if it is this key.
    #[inline]
    pub(super) fn skip(&mut self, key: u64) -> bool {
        match self.0.split_first() {
            Some((&first, rest)) if u64::from(first) == key => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Four bytes, big endian.
    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    /// A protobuf varint of at most ten bytes; what does not fit 64 bits is cut off, as a Go peer does.
    #[inline(always)]
    pub(super) fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.0.split_first()?;
        if first < 0x80 {
            self.0 = rest;
            return Some(first.into());
        }
        self.long_varint()
    }

    #[inline(never)]
    fn long_varint(&mut self) -> Option<u64> {
        let bits = |byte: u8| u64::from(byte & 0x7f);
        // Status codes, and the sequence numbers of the first two million calls.
        match *self.0 {
            [a, b @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                return Some(bits(a) | bits(b) << 7);
            }
            [a, b, c @ ..0x80, ref rest @ ..] => {
                self.0 = rest;
                return Some(bits(a) | bits(b) << 7 | bits(c) << 14);
            }
            _ => {}
        }
        self.any_varint()
    }

    #[inline(never)]
    fn any_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (index, &byte) in self.0.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.0 = self.0.get(index + 1..)?;
                return Some(value);
            }
        }
        None
    }
}
