//! [`Packet`] and its [`Header`].

use std::fmt;

use bytes::Bytes;

use super::{Meta, Text};
use crate::codec::{Body, CodecId};

/// What a packet is for: the header's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PacketKind {
    /// 1: a request; it is answered by one reply.
    Pull,
    /// 2: the answer to a pull, with its sequence number.
    Reply,
    /// 3: a message that is not answered.
    Push,
    /// Anything else, 0 among it. A connection that carries one is closed.
    Unsupported(i32),
}

impl PacketKind {
    /// The kind with this number on the wire.
    #[must_use]
    pub const fn from_i32(number: i32) -> Self {
        match number {
            1 => Self::Pull,
            2 => Self::Reply,
            3 => Self::Push,
            other => Self::Unsupported(other),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        match self {
            Self::Pull => 1,
            Self::Reply => 2,
            Self::Push => 3,
            Self::Unsupported(other) => other,
        }
    }
}

impl Default for PacketKind {
    /// The undefined kind, 0.
    fn default() -> Self {
        Self::Unsupported(0)
    }
}

/// How a header is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HeaderCodec {
    /// `j`: a JSON object.
    #[default]
    Json,
    /// `p`: a protobuf message; shorter, and faster.
    Protobuf,
}

impl HeaderCodec {
    /// The codec with this id on the wire.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            b'j' => Some(Self::Json),
            b'p' => Some(Self::Protobuf),
            _ => None,
        }
    }

    /// The codec with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "protobuf" => Some(Self::Protobuf),
            _ => None,
        }
    }

    /// The id on the wire.
    #[must_use]
    pub const fn as_byte(self) -> u8 {
        match self {
            Self::Json => b'j',
            Self::Protobuf => b'p',
        }
    }
}

impl fmt::Display for HeaderCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        })
    }
}

/// A packet's header (wire specification, section 2.3), with the extensions that are described at [`Meta`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Sequence number; a reply has that of its pull.
    pub seq: u64,
    /// What the packet is for.
    pub kind: PacketKind,
    /// Path and query.
    pub uri: Text,
    /// Compression level of the body; any value but 0 says that it is compressed.
    pub gzip: i32,
    /// In a reply: 200, or what went wrong.
    pub status_code: i32,
    /// In a reply: the text to the code.
    pub status: Text,
    /// In a pull: how many milliseconds the caller still waits; 0 if it does not say. An extension, which old peers skip.
    pub timeout_ms: u64,
    /// Further values for whoever handles the packet. An extension, which old peers skip.
    pub meta: Meta,
}

impl Header {
    /// A header with kind, sequence number and uri, and nothing else.
    #[must_use]
    pub fn new(kind: PacketKind, seq: u64, uri: impl Into<Text>) -> Self {
        Self {
            seq,
            kind,
            uri: uri.into(),
            ..Self::default()
        }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> HeaderRef<'_> {
        HeaderRef {
            seq: self.seq,
            kind: self.kind,
            uri: &self.uri,
            gzip: self.gzip,
            status_code: self.status_code,
            status: &self.status,
            timeout_ms: self.timeout_ms,
            meta: &self.meta,
        }
    }

    /// Becomes what `from` is. That may keep its texts: if the next packet has the same ones, they need not be read again.
    #[inline]
    pub(crate) fn take_over(&mut self, from: &mut Self) {
        self.seq = from.seq;
        self.kind = from.kind;
        self.gzip = from.gzip;
        self.status_code = from.status_code;
        // On its own: a copy that takes its neighbour too has to wait for that, which has just been written.
        if self.timeout_ms != from.timeout_ms {
            self.timeout_ms = from.timeout_ms;
        }
        self.uri.take_over(&mut from.uri);
        self.status.take_over(&mut from.status);
        if !(self.meta.is_empty() && from.meta.is_empty()) {
            self.meta = std::mem::take(&mut from.meta);
        }
    }

    /// Keeps nothing that has memory of its own, or shares it.
    #[inline]
    pub(crate) fn let_go(&mut self) {
        self.uri.let_go();
        self.status.let_go();
        if !self.meta.is_empty() {
            self.meta = Meta::new();
        }
    }
}

/// A header to be written; the fields are those of [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct HeaderRef<'a> {
    pub seq: u64,
    pub kind: PacketKind,
    pub uri: &'a str,
    pub gzip: i32,
    pub status_code: i32,
    pub status: &'a str,
    pub timeout_ms: u64,
    pub meta: &'a Meta,
}

/// A packet up to this size is cheap to copy.
const SMALL: usize = 16 * 1024;

/// A packet that has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Packet {
    /// The header.
    pub header: Header,
    /// How the header was encoded.
    pub header_codec: HeaderCodec,
    /// The body as it came: codec id first, compressed if the header says so. Empty if there is none.
    pub body: Bytes,
    size: usize,
}

impl Packet {
    /// A packet, of the size 0 until [`with_size`](Self::with_size) tells it.
    #[inline]
    #[must_use]
    pub fn new(header: Header, header_codec: HeaderCodec, body: Bytes) -> Self {
        Self {
            header,
            header_codec,
            body,
            size: 0,
        }
    }

    /// For a packet to be read into.
    pub(crate) fn empty() -> Self {
        Self::new(Header::default(), HeaderCodec::default(), Bytes::new())
    }

    /// Keeps nothing that has memory of its own, or shares it.
    #[inline]
    pub(crate) fn let_go(&mut self) {
        self.header.let_go();
        self.body = Bytes::new();
    }

    /// Moves it out.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::empty())
    }

    /// Says how many bytes the whole packet had on the wire.
    #[inline]
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    #[inline]
    pub(super) fn set_size(&mut self, size: usize) {
        self.size = size;
    }

    /// Bytes of the whole packet on the wire.
    #[inline]
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Copies a small packet out of the buffer that it is a slice of, and gives its size; 0 if it is not small.
    #[cold]
    pub(crate) fn detach(&mut self) -> usize {
        let header = &mut self.header;
        let texts = header.uri.len() + header.status.len();
        let size = self.size.max(texts + self.body.len());
        if size > SMALL {
            return 0;
        }
        header.uri = header.uri.detached();
        header.status = header.status.detached();
        header.meta = header.meta.detached();
        self.body = Bytes::copy_from_slice(&self.body);
        size
    }

    /// The body, to be read.
    #[inline]
    #[must_use]
    pub fn body(&self) -> Body<'_> {
        Body::new(&self.body, self.header.gzip)
    }

    /// The body's codec id; `None` if there is no body, or its id is 0.
    #[inline]
    #[must_use]
    pub fn body_codec(&self) -> Option<CodecId> {
        self.body().codec()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::{
        codec::CodecError,
        protocol::{Limits, Protocol, Standard},
    };

    #[test]
    fn a_packet_that_lets_go_holds_nothing_of_the_buffer_it_was_read_from() {
        let mut header = Header::new(PacketKind::Pull, 7, "/a".repeat(40));
        header.meta.insert("name", "x".repeat(100));
        let mut body = |out: &mut Vec<u8>| -> Result<(), CodecError> {
            out.extend_from_slice(b"s and a text");
            Ok(())
        };
        let mut frame = Vec::new();
        Standard
            .encode(
                header.as_ref(),
                HeaderCodec::Protobuf,
                &mut body,
                &mut frame,
            )
            .unwrap();
        let mut read = BytesMut::from(&*frame);
        let mut packet = Packet::empty();
        let lacking = Standard.decode_into(&mut read, &Limits::default(), &mut packet);
        assert_eq!(lacking.unwrap(), 0);
        assert_eq!(packet.header, header);
        assert!(!read.try_reclaim(frame.len()), "the packet is in there");
        packet.let_go();
        assert!(read.try_reclaim(frame.len()));
    }
}
