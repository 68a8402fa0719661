//! Headers as protobuf messages: written out by hand, because it is the hottest code there is.

use bytes::Bytes;

use super::{
    super::{Header, HeaderRef, PacketKind, ProtocolError, reader::Reader},
    status, text,
};

const SEQ: u8 = 1;
const TYPE: u8 = 2;
const URI: u8 = 3;
const GZIP: u8 = 4;
const STATUS_CODE: u8 = 5;
const STATUS: u8 = 6;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const FIXED32: u8 = 5;

pub(super) fn encode(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    put_varint(out, SEQ, header.seq);
    put_int32(out, TYPE, header.kind.as_i32());
    put_text(out, URI, header.uri);
    put_int32(out, GZIP, header.gzip);
    put_int32(out, STATUS_CODE, header.status_code);
    put_text(out, STATUS, header.status);
}

fn put_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        out.push(field << 3 | VARINT);
        varint(out, value);
    }
}

/// Negative numbers are sign-extended to ten bytes.
fn put_int32(out: &mut Vec<u8>, field: u8, value: i32) {
    put_varint(out, field, i64::from(value).cast_unsigned());
}

fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        out.push(field << 3 | BYTES);
        varint(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn decode(bytes: &Bytes) -> Result<Header, ProtocolError> {
    let mut header = Header::default();
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        field(&mut reader, bytes, &mut header)
            .ok_or_else(|| ProtocolError::malformed("the protobuf header cannot be read"))?;
    }
    Ok(header)
}

fn field(reader: &mut Reader<'_>, bytes: &Bytes, header: &mut Header) -> Option<()> {
    let key = reader.varint()?;
    let number = key >> 3;
    if number == 0 {
        return None;
    }
    let wire = (key & 7) as u8;
    match (u8::try_from(number).unwrap_or(u8::MAX), wire) {
        (SEQ, VARINT) => header.seq = reader.varint()?,
        (TYPE, VARINT) => header.kind = PacketKind::from_i32(int32(reader)?),
        (URI, BYTES) => header.uri = text(slice(reader)?, bytes),
        (GZIP, VARINT) => header.gzip = int32(reader)?,
        (STATUS_CODE, VARINT) => header.status_code = int32(reader)?,
        (STATUS, BYTES) => header.status = status(slice(reader)?, bytes),
        // A known field in another wire type is a broken header, an unknown field is none of our business.
        (SEQ..=STATUS, _) => return None,
        (_, VARINT) => _ = reader.varint()?,
        (_, FIXED64) => _ = reader.take(8)?,
        (_, BYTES) => _ = slice(reader)?,
        (_, FIXED32) => _ = reader.take(4)?,
        _ => return None,
    }
    Some(())
}

/// The low 32 bits, whatever was written.
fn int32(reader: &mut Reader<'_>) -> Option<i32> {
    reader.varint().map(|value| value as i32)
}

fn slice<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = usize::try_from(reader.varint()?).ok()?;
    reader.take(len)
}
