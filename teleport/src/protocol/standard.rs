//! The seed's packet format.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    Decoded, EncodeError, Header, HeaderCodec, HeaderRef, Limits, Packet, Parts, Protocol,
    ProtocolError, header, reader::Reader,
};
use crate::codec::CodecError;

/// The seed's packet format (wire specification, section 2.1). Lengths are big endian and count the codec id behind them.
///
/// ```text
///  0       4       5              4 + header length          8 + header length
/// +-------+-------+---------------+-------------+-------------+----------------+
/// | header| header| header        | body length | body codec  | body           |
/// | length| codec |               | 4 bytes     | id, 1 byte  |                |
/// +-------+-------+---------------+-------------+-------------+----------------+
/// ```
///
/// Body length 0: no body and no codec id. Body length 1: a codec id and an empty body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standard;

/// Bytes of a length field.
const LENGTH: usize = 4;

impl Protocol for Standard {
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
        let mut packet = Packet::empty();
        Ok(match self.decode_into(src, limits, &mut packet)? {
            0 => Decoded::Packet(packet),
            bytes => Decoded::NeedMore { bytes },
        })
    }

    fn decode_into(
        &self,
        src: &mut BytesMut,
        limits: &Limits,
        packet: &mut Packet,
    ) -> Result<usize, ProtocolError> {
        let mut reader = Reader::new(src);
        let Some(header_length) = reader.u32() else {
            return Ok(need(src, LENGTH));
        };
        let header_length = widen(header_length);
        if header_length == 0 {
            return Err(no_header());
        }
        let head = header_length.saturating_add(LENGTH);
        check(head, limits)?;
        let whole_head = head.saturating_add(LENGTH);
        let Some(header_bytes) = reader.take(header_length) else {
            return Ok(need(src, head));
        };
        let Some((&id, header_bytes)) = header_bytes.split_first() else {
            return Err(no_header());
        };
        let Some(header_codec) = HeaderCodec::from_byte(id) else {
            return Err(unknown_codec(id));
        };
        // A header that cannot be read is told at once: the body it announces may never come.
        let checked = || check_header(header_codec, header_bytes);
        let Some(body_length) = reader.u32() else {
            checked()?;
            return Ok(need(src, whole_head));
        };
        let body_length = widen(body_length);
        let size = whole_head.saturating_add(body_length);
        if body_length != 0 {
            check(size, limits)?;
        }
        if src.len() < size {
            checked()?;
            return Ok(need(src, size));
        }

        packet.body = src.split_to(size).freeze();
        packet.header_codec = header_codec;
        packet.set_size(size);
        read_header(packet, head)?;
        Ok(0)
    }

    fn has_farewell(&self) -> bool {
        true
    }

    fn encode(
        &self,
        header: HeaderRef<'_>,
        header_codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let start = dst.len();
        let result = append_head(header, header_codec, dst).and_then(|()| {
            let before = dst.len();
            body(dst)?;
            let len = dst.len() - before;
            patch(dst, before - LENGTH, len)
        });
        if result.is_err() {
            dst.truncate(start);
        }
        result
    }

    fn encode_parts(
        &self,
        header: HeaderRef<'_>,
        header_codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Parts) -> Result<(), CodecError>,
        dst: &mut Parts,
    ) -> Result<(), EncodeError> {
        let start = dst.mark();
        let result = append_head(header, header_codec, dst.copied()).and_then(|()| {
            let length = dst.copied().len() - LENGTH;
            let before = dst.len();
            body(dst)?;
            let len = dst.len() - before;
            patch(dst.copied(), length, len)
        });
        if result.is_err() {
            dst.truncate(start);
        }
        result
    }
}

/// Reads the header of a packet whose body is all of it still, and leaves the body.
fn read_header(packet: &mut Packet, head: usize) -> Result<(), ProtocolError> {
    let whole = &packet.body;
    let bytes = whole.get(LENGTH + 1..head).unwrap_or_default();
    header::read(packet.header_codec, &mut packet.header, bytes, whole)?;
    packet.body.advance(head + LENGTH);
    Ok(())
}

/// Appends all that comes before the body, the length of which is left open.
#[inline(always)]
fn append_head(
    header: HeaderRef<'_>,
    header_codec: HeaderCodec,
    dst: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = dst.len();
    dst.extend_from_slice(&[0, 0, 0, 0, header_codec.as_byte()]);
    header::encode(header_codec, header, dst);
    let len = dst.len() - start - LENGTH;
    patch(dst, start, len)?;
    dst.extend_from_slice(&[0; LENGTH]);
    Ok(())
}

/// Writes a length into its field at `at`.
fn patch(dst: &mut [u8], at: usize, len: usize) -> Result<(), EncodeError> {
    let value = u32::try_from(len).map_err(|_| EncodeError::too_long(len))?;
    if let Some(field) = dst.get_mut(at..at + LENGTH) {
        field.copy_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

#[cold]
fn no_header() -> ProtocolError {
    ProtocolError::malformed("header length 0")
}

#[cold]
fn unknown_codec(id: u8) -> ProtocolError {
    ProtocolError::malformed(format!("unknown header codec {id:#04x}"))
}

#[cold]
fn check_header(codec: HeaderCodec, bytes: &[u8]) -> Result<(), ProtocolError> {
    let whole = Bytes::copy_from_slice(bytes);
    header::read(codec, &mut Header::default(), &whole, &whole)
}

#[inline]
fn check(size: usize, limits: &Limits) -> Result<(), ProtocolError> {
    match size > limits.packet {
        true => Err(too_large(size, limits)),
        false => Ok(()),
    }
}

#[cold]
fn too_large(size: usize, limits: &Limits) -> ProtocolError {
    ProtocolError::over_limit(size as u64, limits.packet)
}

#[cold]
fn need(src: &[u8], len: usize) -> usize {
    len.saturating_sub(src.len()).max(1)
}

/// There is no platform with tokio and 16 bit pointers.
fn widen(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
