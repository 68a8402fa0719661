//! Packets, and how they become bytes and back.
//!
//! Everything here is a function over buffers: no I/O, no clock. [`Standard`] is the seed's format; another one is a type
//! that implements [`Protocol`].

mod error;
mod header;
mod limits;
mod meta;
mod packet;
mod reader;
mod standard;
mod text;

use bytes::BytesMut;

pub use self::{
    error::{EncodeError, ProtocolError},
    limits::Limits,
    meta::Meta,
    packet::{Header, HeaderCodec, HeaderRef, Packet, PacketKind},
    standard::Standard,
    text::Text,
};
use crate::codec::{CodecError, as_parts};
pub use crate::codec::{Mark, Parts};

/// A packet format.
///
/// Made by both sides for a connection, or a whole peer: [`PeerBuilder::protocol`](crate::PeerBuilder::protocol),
/// [`ConnOptions::protocol`](crate::ConnOptions::protocol). Bodies arrive and leave encoded and compressed already.
pub trait Protocol: Send + Sync + 'static {
    /// Takes one packet off the front of `src`, if there is a whole one; else leaves `src` as it is.
    ///
    /// `src` holds what has arrived so far, which may be any part of a packet or many packets. Split what you keep off it
    /// (`split_to`, `freeze`): then nothing is copied. Check lengths against `limits` before you believe them.
    ///
    /// # Errors
    /// The bytes are no packet, or one over the limits. The connection is closed then.
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError>;

    /// As [`decode`](Self::decode), into a packet that is there already: a packet is too large to be moved about. Gives how many more
    /// bytes must come before another try is worth it, or 0 if `packet` is a whole one now. This is what a session calls. What
    /// `packet` was before is of no interest, and so is what becomes of it if there is no whole one. By default it is what `decode`
    /// gives.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn decode_into(
        &self,
        src: &mut BytesMut,
        limits: &Limits,
        packet: &mut Packet,
    ) -> Result<usize, ProtocolError> {
        match self.decode(src, limits)? {
            Decoded::Packet(decoded) => {
                *packet = decoded;
                Ok(0)
            }
            Decoded::NeedMore { bytes } => Ok(bytes.max(1)),
        }
    }

    /// Appends one packet to `dst`. `body` appends the complete body to the buffer it is given; call it once.
    ///
    /// # Errors
    /// The body cannot be encoded, or the packet does not fit the format. `dst` must be as it was then.
    fn encode(
        &self,
        header: HeaderRef<'_>,
        header_codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError>;

    /// As [`encode`](Self::encode), for bodies of which large pieces need not be copied: `body` appends the complete body to
    /// the parts that it is given. This is what a session calls. By default the body is copied for `encode`; a format that
    /// takes a body as it is should not do so.
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    fn encode_parts(
        &self,
        header: HeaderRef<'_>,
        header_codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Parts) -> Result<(), CodecError>,
        dst: &mut Parts,
    ) -> Result<(), EncodeError> {
        let mut copied = |out: &mut Vec<u8>| as_parts(out, &mut *body);
        self.encode(header, header_codec, &mut copied, dst.copied())
    }

    /// Whether a side that closes a session may say so in a packet of its own: a reply with the highest number there is, which
    /// nobody waits for. If so, calls that cross the closing fail as not sent (100) instead of unanswered (101). Say yes if
    /// those who speak this format drop replies that they do not wait for, and replies carry a uri. Default: no.
    fn has_farewell(&self) -> bool {
        false
    }
}

/// What [`Protocol::decode`] found.
#[derive(Debug)]
pub enum Decoded {
    /// A whole packet, taken off the buffer.
    Packet(Packet),
    /// The packet is not whole yet.
    NeedMore {
        /// How many more bytes must come before another try is worth it; at least 1, and never more than the packet
        /// still has. Memory is not taken on the word of the other side: it also guides the size of reads, within limits.
        bytes: usize,
    },
}
