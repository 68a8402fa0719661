//! The frames of teleport's wire format, by hand: just what the floors `raw` and `echo` need.
//!
//! ```text
//! header length u32 | 'p' | header (protobuf) | body length u32 | 'p' | body (protobuf)
//! ```

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Buf as _;
use prost::encoding::{decode_varint, encode_varint};

const PROTOBUF: u8 = b'p';

/// The `type` of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Pull = 1,
    Reply = 2,
    Push = 3,
}

/// A header, with its uri still in the read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Header<'a> {
    pub seq: u64,
    pub kind: Kind,
    pub uri: &'a [u8],
    pub status: i32,
}

/// One packet, as it lies in the read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub header: Header<'a>,
    /// The body behind its codec id.
    pub body: &'a [u8],
    /// Where the body begins, and where the packet ends.
    pub body_at: usize,
    pub end: usize,
}

/// What the front of a read buffer holds.
pub enum Parsed<'a> {
    Frame(Frame<'a>),
    /// Not all of a packet: so many bytes in all are needed to go on.
    Need(usize),
}

/// Appends a packet; `body` appends its payload.
pub fn encode(out: &mut Vec<u8>, header: Header<'_>, body: impl FnOnce(&mut Vec<u8>)) {
    encode_head(out, header);
    let length = out.len() - 5;
    body(out);
    patch(out, length);
}

/// Appends a packet up to its body, of which `len` bytes are to follow.
pub fn encode_before(out: &mut Vec<u8>, header: Header<'_>, len: usize) {
    encode_head(out, header);
    let length = out.len() - 5;
    out[length..length + 4].copy_from_slice(&(len as u32 + 1).to_be_bytes());
}

fn encode_head(out: &mut Vec<u8>, header: Header<'_>) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, PROTOBUF]);
    if header.seq != 0 {
        out.push(0x08);
        encode_varint(header.seq, out);
    }
    out.extend_from_slice(&[0x10, header.kind as u8, 0x1a]);
    encode_varint(header.uri.len() as u64, out);
    out.extend_from_slice(header.uri);
    if header.status != 0 {
        out.push(0x28);
        encode_varint(header.status as u64, out);
    }
    patch(out, start);
    out.extend_from_slice(&[0, 0, 0, 0, PROTOBUF]);
}

/// Writes the length of all that follows the four bytes at `at` into them.
fn patch(out: &mut [u8], at: usize) {
    let length = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&length.to_be_bytes());
}

/// Reads the packet at the front of `buffer`.
pub fn parse(buffer: &[u8]) -> Result<Parsed<'_>> {
    let Some(header_len) = length_at(buffer, 0) else {
        return Ok(Parsed::Need(4));
    };
    let Some(body_len) = length_at(buffer, 4 + header_len) else {
        return Ok(Parsed::Need(8 + header_len));
    };
    let end = 8 + header_len + body_len;
    if buffer.len() < end {
        return Ok(Parsed::Need(end));
    }
    let body_at = 8 + header_len + 1;
    ensure!(
        header_len > 0 && buffer[4] == PROTOBUF,
        "the header is not protobuf"
    );
    ensure!(
        body_len > 0 && buffer[body_at - 1] == PROTOBUF,
        "the body is not protobuf"
    );
    let header = parse_header(&buffer[5..4 + header_len])?;
    Ok(Parsed::Frame(Frame {
        header,
        body: &buffer[body_at..end],
        body_at,
        end,
    }))
}

fn length_at(buffer: &[u8], at: usize) -> Option<usize> {
    let bytes = buffer.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

fn parse_header(mut bytes: &[u8]) -> Result<Header<'_>> {
    let (mut seq, mut kind, mut uri, mut status) = (0, 0, &b""[..], 0);
    while bytes.has_remaining() {
        match bytes.get_u8() {
            0x08 => seq = decode_varint(&mut bytes)?,
            0x10 => kind = decode_varint(&mut bytes)?,
            0x1a => {
                let len = decode_varint(&mut bytes)? as usize;
                uri = bytes.get(..len).context("the uri is cut off")?;
                bytes.advance(len);
            }
            0x28 => status = decode_varint(&mut bytes)? as i32,
            tag => bail!("unexpected header field {tag:#x}"),
        }
    }
    let kind = match kind {
        1 => Kind::Pull,
        2 => Kind::Reply,
        3 => Kind::Push,
        other => bail!("unexpected packet type {other}"),
    };
    Ok(Header {
        seq,
        kind,
        uri,
        status,
    })
}
