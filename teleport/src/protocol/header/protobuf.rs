//! Headers as protobuf messages: written out by hand, because it is the hottest code there is.

use bytes::Bytes;

use super::super::{Header, HeaderRef, Meta, PacketKind, ProtocolError, Text, reader::Reader};

const SEQ: u8 = 1;
const TYPE: u8 = 2;
const URI: u8 = 3;
const GZIP: u8 = 4;
const STATUS_CODE: u8 = 5;
const STATUS: u8 = 6;
/// Extensions; see [`Meta`].
const TIMEOUT_MS: u64 = 1001;
const META: u64 = 1002;
/// Of an entry of the map.
const NAME: u8 = 1;
const VALUE: u8 = 2;

const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const BYTES: u8 = 2;
const START_GROUP: u8 = 3;
const END_GROUP: u8 = 4;
const FIXED32: u8 = 5;

#[inline]
pub(super) fn encode(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    put_varint(out, SEQ, header.seq);
    put_int32(out, TYPE, header.kind.as_i32());
    put_text(out, URI, header.uri);
    if header.gzip != 0 {
        put_seldom(out, GZIP, header.gzip);
    }
    if header.status_code == OK && header.status == "OK" {
        out.extend_from_slice(&SUCCESS);
    } else if header.status_code != 0 || !header.status.is_empty() {
        put_status(header, out);
    }
    if header.timeout_ms != 0 || !header.meta.is_empty() {
        put_extensions(header, out);
    }
}

/// The status code of success.
const OK: i32 = 200;

/// Code and text of nearly all replies.
const SUCCESS: [u8; 7] = [
    STATUS_CODE << 3 | VARINT,
    OK as u8 | 0x80,
    (OK >> 7) as u8,
    STATUS << 3 | BYTES,
    2,
    b'O',
    b'K',
];

#[inline(never)]
fn put_status(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    put_int32(out, STATUS_CODE, header.status_code);
    put_text(out, STATUS, header.status);
}

#[inline(never)]
fn put_seldom(out: &mut Vec<u8>, field: u8, value: i32) {
    put_int32(out, field, value);
}

#[inline(never)]
fn put_extensions(header: HeaderRef<'_>, out: &mut Vec<u8>) {
    if header.timeout_ms != 0 {
        varint(out, TIMEOUT_MS << 3 | u64::from(VARINT));
        varint(out, header.timeout_ms);
    }
    for (name, value) in header.meta.iter() {
        varint(out, META << 3 | u64::from(BYTES));
        varint(out, (text_len(name) + text_len(value)) as u64);
        put_text(out, NAME, name);
        put_text(out, VALUE, value);
    }
}

/// Bytes that [`put_text`] takes for a text.
fn text_len(text: &str) -> usize {
    match text.len() {
        0 => 0,
        len => 1 + varint_len(len as u64) + len,
    }
}

fn varint_len(value: u64) -> usize {
    let bits = (64 - value.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

/// A key and its number, which is mostly small: both bytes are appended together, for to see whether there is room for each would
/// take longer.
#[inline(always)]
fn put_number(out: &mut Vec<u8>, key: u8, value: u64) {
    if value < 1 << 7 {
        out.extend_from_slice(&[key, value as u8]);
    } else {
        put_large(out, key, value);
    }
}

#[inline(never)]
fn put_large(out: &mut Vec<u8>, key: u8, value: u64) {
    let [a, b, c] = [value, value >> 7, value >> 14].map(|bits| bits as u8 | 0x80);
    if value < 1 << 14 {
        out.extend_from_slice(&[key, a, b & 0x7f]);
    } else if value < 1 << 21 {
        out.extend_from_slice(&[key, a, b, c & 0x7f]);
    } else {
        out.push(key);
        varint(out, value);
    }
}

#[inline]
fn put_varint(out: &mut Vec<u8>, field: u8, value: u64) {
    if value != 0 {
        put_number(out, field << 3 | VARINT, value);
    }
}

/// Negative numbers are sign-extended to ten bytes.
#[inline]
fn put_int32(out: &mut Vec<u8>, field: u8, value: i32) {
    put_varint(out, field, i64::from(value).cast_unsigned());
}

#[inline]
fn put_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        put_number(out, field << 3 | BYTES, text.len() as u64);
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

/// The key of a field.
const fn key(field: u8, wire: u8) -> u64 {
    (field << 3 | wire) as u64
}

const SEQ_KEY: u64 = key(SEQ, VARINT);
const TYPE_KEY: u64 = key(TYPE, VARINT);
const URI_KEY: u64 = key(URI, BYTES);
const GZIP_KEY: u64 = key(GZIP, VARINT);
const STATUS_CODE_KEY: u64 = key(STATUS_CODE, VARINT);
const STATUS_KEY: u64 = key(STATUS, BYTES);

/// What the header was before is of no interest.
#[inline]
pub(super) fn read(header: &mut Header, bytes: &[u8], whole: &Bytes) -> Result<(), ProtocolError> {
    match fill(header, bytes, whole) {
        Some(()) => Ok(()),
        None => Err(unreadable()),
    }
}

#[cold]
fn unreadable() -> ProtocolError {
    ProtocolError::malformed("the protobuf header cannot be read")
}

/// Texts are made of what they are at the end: the last one counts, and making a long one touches a counter that others share.
#[inline]
fn fill(header: &mut Header, bytes: &[u8], whole: &Bytes) -> Option<()> {
    let mut reader = Reader::new(bytes);
    let mut found = Fields::default();
    header.timeout_ms = 0;
    if !header.meta.is_empty() {
        header.meta = Meta::new();
    }
    // Nearly all headers have their fields in this order, and no others.
    if reader.skip(SEQ_KEY) {
        found.seq = reader.varint()?;
    }
    if reader.skip(TYPE_KEY) {
        found.kind = int32(&mut reader)?;
    }
    if reader.skip(URI_KEY) {
        found.uri = slice(&mut reader)?;
    }
    if reader.skip(STATUS_CODE_KEY) {
        found.status_code = int32(&mut reader)?;
    }
    if reader.skip(STATUS_KEY) {
        found.status = slice(&mut reader)?;
    }
    if !reader.is_empty() {
        found = read_on(header, reader, whole, found)?;
    }
    header.seq = found.seq;
    header.kind = PacketKind::from_i32(found.kind);
    header.gzip = found.gzip;
    header.status_code = found.status_code;
    header.uri.set(found.uri, whole);
    header.status.set(found.status, whole);
    Some(())
}

/// Fields that the seed knows.
#[derive(Clone, Copy, Default)]
struct Fields<'a> {
    seq: u64,
    kind: i32,
    uri: &'a [u8],
    gzip: i32,
    status_code: i32,
    status: &'a [u8],
}

/// The rest, in whatever order. Extensions go into the header.
#[inline(never)]
fn read_on<'a>(
    header: &mut Header,
    mut reader: Reader<'a>,
    whole: &Bytes,
    mut found: Fields<'a>,
) -> Option<Fields<'a>> {
    while !reader.is_empty() {
        match reader.varint()? {
            SEQ_KEY => found.seq = reader.varint()?,
            TYPE_KEY => found.kind = int32(&mut reader)?,
            URI_KEY => found.uri = slice(&mut reader)?,
            GZIP_KEY => found.gzip = int32(&mut reader)?,
            STATUS_CODE_KEY => found.status_code = int32(&mut reader)?,
            STATUS_KEY => found.status = slice(&mut reader)?,
            key => other(header, &mut reader, whole, key)?,
        }
    }
    Some(found)
}

/// An extension, somebody else's field, or a mistake.
#[cold]
fn other(header: &mut Header, reader: &mut Reader<'_>, whole: &Bytes, key: u64) -> Option<()> {
    let (number, wire) = (key >> 3, (key & 7) as u8);
    match number {
        // A known field in another wire type is a broken header, an unknown field is none of our business.
        0 => None,
        number if number <= u64::from(STATUS) => None,
        number if number >= TIMEOUT_MS => extension(header, reader, whole, number, wire),
        _ => skip(reader, wire),
    }
}

/// Fields that the seed does not know. What does not fit is somebody else's, and skipped.
fn extension(
    header: &mut Header,
    reader: &mut Reader<'_>,
    whole: &Bytes,
    number: u64,
    wire: u8,
) -> Option<()> {
    match (number, wire) {
        (TIMEOUT_MS, VARINT) => header.timeout_ms = reader.varint()?,
        (META, BYTES) => {
            let entry = slice(reader)?;
            if let Some((name, value)) = meta_entry(entry, whole) {
                header.meta.insert(name, value);
            }
        }
        (_, wire) => skip(reader, wire)?,
    }
    Some(())
}

fn meta_entry(entry: &[u8], whole: &Bytes) -> Option<(Text, Text)> {
    let (mut name, mut value) = (Text::new(), Text::new());
    let mut reader = Reader::new(entry);
    while !reader.is_empty() {
        let key = reader.varint()?;
        match (u8::try_from(key >> 3).unwrap_or(0), (key & 7) as u8) {
            (NAME, BYTES) => name = Text::slice(slice(&mut reader)?, whole),
            (VALUE, BYTES) => value = Text::slice(slice(&mut reader)?, whole),
            (NAME | VALUE, _) => return None,
            (_, wire) => skip(&mut reader, wire)?,
        }
    }
    Some((name, value))
}

/// Skips the value of an unknown field; of a group, all that is in it.
fn skip(reader: &mut Reader<'_>, mut wire: u8) -> Option<()> {
    let mut depth: usize = 0;
    loop {
        match wire {
            VARINT => _ = reader.varint()?,
            FIXED64 => _ = reader.take(8)?,
            BYTES => _ = slice(reader)?,
            START_GROUP => depth += 1,
            END_GROUP => depth = depth.checked_sub(1)?,
            FIXED32 => _ = reader.take(4)?,
            _ => return None,
        }
        if depth == 0 {
            return Some(());
        }
        wire = (reader.varint()? & 7) as u8;
    }
}

/// The low 32 bits, whatever was written.
#[inline]
fn int32(reader: &mut Reader<'_>) -> Option<i32> {
    reader.varint().map(|value| value as i32)
}

#[inline]
fn slice<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = usize::try_from(reader.varint()?).ok()?;
    reader.take(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &'static [u8]) -> Option<Header> {
        let mut header = Header::default();
        let result = read(&mut header, bytes, &Bytes::from_static(bytes));
        result.ok().map(|()| header)
    }

    fn seq(bytes: &'static [u8]) -> Option<u64> {
        decode(bytes).map(|header| header.seq)
    }

    #[test]
    fn unknown_fields_of_every_wire_type_are_skipped() {
        for unknown in [
            &b"\x38\x96\x01"[..],
            b"\x39\x01\x02\x03\x04\x05\x06\x07\x08",
            b"\x3a\x02hi",
            // A group with a varint and another group in it.
            b"\x3b\x38\x01\x43\x42\x01x\x44\x3c",
            b"\x3d\x01\x02\x03\x04",
            // A field number of 29 bits.
            b"\xf8\xff\xff\xff\x0f\x01",
        ] {
            let bytes = [unknown, b"\x08\x05"].concat();
            assert_eq!(seq(bytes.leak()), Some(5), "{unknown:?}");
        }
    }

    #[test]
    fn what_breaks_off_or_does_not_exist_is_an_error() {
        for broken in [
            // Field 0, wire types 6 and 7, a group that never began, one that never ends.
            &b"\x00\x01"[..],
            b"\x3e",
            b"\x3f",
            b"\x3c",
            b"\x3b\x38\x01",
            b"\x3a\x05hi",
            b"\x39\x01",
            b"\x08",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            // A known field of another wire type.
            b"\x0a\x01x",
            b"\x1d\x01\x02\x03\x04",
        ] {
            assert_eq!(seq(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn of_a_repeated_field_the_last_counts_and_numbers_need_not_be_minimal() {
        assert_eq!(seq(b"\x08\x05\x08\x85\x80\x00"), Some(5));
        assert_eq!(seq(b"\x08\x05\x08\x00"), Some(0));
        let wide = b"\x10\x83\x80\x80\x80\xf0\x01\x20\xff\xff\xff\xff\x0f";
        let header = decode(wide).expect("a header");
        assert_eq!((header.kind, header.gzip), (PacketKind::Push, -1));
    }
}
