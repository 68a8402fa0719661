//! Compressed payloads. The writer finishes its streams; the reader also takes those that a Go peer never finishes
//! (wire specification, section 2.5).

use std::{
    cell::{Cell, RefCell},
    io::{self, Read},
};

use flate2::{
    Compress, CompressError, Compression, Crc, FlushCompress, Status, bufread::GzDecoder,
};

use super::CodecError;

/// Compresses `out[start..]` in place.
pub(super) fn deflate_tail(out: &mut Vec<u8>, start: usize, level: i32) -> Result<(), CodecError> {
    let level = compression(level)?;
    PLAIN.with_borrow_mut(|plain| {
        plain.clear();
        plain.extend_from_slice(out.get(start..).unwrap_or_default());
        out.truncate(start);
        let result = deflate(plain, level, out);
        if plain.capacity() > KEEP {
            *plain = Vec::new();
        }
        result.map_err(|error| CodecError::encode(format!("gzip: {error}")))
    })
}

thread_local! {
    static PLAIN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DEFLATER: Cell<Option<(Compression, Compress)>> = const { Cell::new(None) };
}

/// A thread keeps a buffer of at most this size.
const KEEP: usize = 64 * 1024;

/// Appends a gzip stream of one member. A thread uses its compressor again, which is large: to make one costs more than to
/// compress a small body.
fn deflate(plain: &[u8], level: Compression, out: &mut Vec<u8>) -> Result<(), CompressError> {
    let mut deflater = match DEFLATER.take() {
        Some((kept, mut deflater)) if kept == level => {
            deflater.reset();
            deflater
        }
        _ => Compress::new(level, false),
    };
    // No flags, no time, no word about the effort, an unknown system.
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut rest = plain;
    loop {
        out.reserve((rest.len() / 4).max(256));
        let before = deflater.total_in();
        let status = deflater.compress_vec(rest, out, FlushCompress::Finish)?;
        // It has not read more than it was given.
        let read = usize::try_from(deflater.total_in() - before).unwrap_or(usize::MAX);
        rest = rest.get(read..).unwrap_or_default();
        if status == Status::StreamEnd {
            break;
        }
    }
    let mut crc = Crc::new();
    crc.update(plain);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    DEFLATER.set(Some((level, deflater)));
    Ok(())
}

/// The levels of the seed: -1 is the default, -2 (Huffman only, which flate2 does not offer) the fastest.
fn compression(level: i32) -> Result<Compression, CodecError> {
    match level {
        -2 => Ok(Compression::fast()),
        -1 => Ok(Compression::default()),
        0..=9 => Ok(Compression::new(level.unsigned_abs())),
        _ => Err(CodecError::encode(format!(
            "gzip level {level} is not from -2 to 9"
        ))),
    }
}

/// Inflates a stream, finished or not, to at most `limit` bytes. Several members in a row are read as one.
///
/// Memory grows with what comes out, never with what a header announces. A stream that stops early gives what was
/// inflated by then; a wrong checksum, or other bytes behind a finished member, are errors.
pub(super) fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    inflate_into(payload, limit, &mut out)?;
    INFLATED.set(INFLATED.get().wrapping_add(out.len()));
    Ok(out)
}

thread_local! {
    static INFLATED: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that this thread has inflated so far: what a value was read from is known by the difference.
pub(crate) fn inflated_so_far() -> usize {
    INFLATED.get()
}

/// The first `most` bytes that come out, or less if the stream is broken before.
pub(super) fn inflate_start(payload: &[u8], most: usize) -> Vec<u8> {
    let mut out = Vec::new();
    // What there is by then is all that is wanted.
    let _ = inflate_into(payload, most, &mut out);
    out
}

fn inflate_into(mut payload: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), CodecError> {
    for _ in 0..MEMBERS {
        // A member cut inside its own header is not a member.
        if !has_header(payload) {
            return Err(CodecError::decode("gzip: no gzip header"));
        }
        let mut decoder = GzDecoder::new(payload);
        if inflate_member(&mut decoder, out, limit)? == End::Cut {
            return Ok(());
        }
        payload = decoder.into_inner();
        if payload.is_empty() {
            return Ok(());
        }
    }
    Err(CodecError::decode(format!(
        "gzip: more than {MEMBERS} members"
    )))
}

/// A stream has one member, or a few that were put together. Each costs time whatever is in it, so that a body of many empty ones
/// would take long for its size.
const MEMBERS: usize = 1000;

#[derive(PartialEq)]
enum End {
    /// The data ended before the member did.
    Cut,
    Finished,
}

/// What is within the limit is put out in any case.
fn inflate_member(
    decoder: &mut GzDecoder<&[u8]>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<End, CodecError> {
    let mut chunk = [0; 8 * 1024];
    loop {
        match decoder.read(&mut chunk) {
            Ok(0) => return Ok(End::Finished),
            Ok(count) => {
                let fits = count.min(limit.saturating_sub(out.len()));
                out.extend_from_slice(chunk.get(..fits).unwrap_or_default());
                if fits < count {
                    return Err(CodecError::over_limit(limit));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(End::Cut),
            Err(error) => return Err(CodecError::decode(format!("gzip: {error}"))),
        }
    }
}

/// Ten bytes are the least there can be.
fn has_header(payload: &[u8]) -> bool {
    payload.len() >= 10 && payload.starts_with(&[0x1f, 0x8b])
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;

    use super::*;

    fn deflated(plain: &[u8], level: i32) -> Vec<u8> {
        let mut out = b"j".to_vec();
        out.extend_from_slice(plain);
        deflate_tail(&mut out, 1, level).unwrap();
        out.split_off(1)
    }

    /// As a Go peer writes: flushed, never finished.
    fn unfinished(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref().clone()
    }

    #[test]
    fn every_level_comes_back() {
        for level in (-2..=9).filter(|level| *level != 0) {
            let text = b"to be or not to be".repeat(100);
            assert_eq!(inflate(&deflated(&text, level), 1 << 20).unwrap(), text);
        }
        assert!(deflate_tail(&mut vec![1], 0, 10).unwrap_err().is_encode());
        assert!(deflate_tail(&mut vec![1], 0, -3).unwrap_err().is_encode());
    }

    #[test]
    fn bodies_one_after_the_other_know_nothing_of_each_other() {
        let random: Vec<u8> = (0..100_000_u32)
            .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for level in [1, 9, 9, 1] {
            for plain in [&random[..], b"short", b"", &random[..70_000], &[7; 50_000]] {
                let stream = deflated(plain, level);
                assert!(inflate(&stream, 1 << 20).unwrap() == plain);
                assert!(
                    stream == deflated(plain, level),
                    "the same text, the same bytes"
                );
            }
        }
    }

    #[test]
    fn an_empty_text_still_has_a_gzip_header() {
        let out = deflated(b"", 5);
        assert!(out.starts_with(&[0x1f, 0x8b]));
        assert_eq!(inflate(&out, 0).unwrap(), b"");
    }

    #[test]
    fn a_stream_that_was_never_finished_is_read() {
        let text = b"hello, hello".repeat(20);
        let stream = unfinished(&text);
        assert!(stream.ends_with(&[0, 0, 0xff, 0xff]));
        assert_eq!(inflate(&stream, 1 << 20).unwrap(), text);
    }

    #[test]
    fn a_cut_stream_gives_what_there_is() {
        let stream = deflated(&b"abcdefgh".repeat(50), 1);
        for cut in 10..stream.len() {
            let out = inflate(&stream[..cut], 1 << 20).unwrap();
            assert!(b"abcdefgh".repeat(50).starts_with(&out));
        }
        assert!(inflate(&stream[..5], 100).is_err());
        assert!(inflate(b"plain", 100).is_err());
    }

    #[test]
    fn several_members_are_one_and_garbage_behind_them_is_an_error() {
        let mut stream = deflated(b"one ", 5);
        stream.extend(deflated(b"two", 5));
        assert_eq!(inflate(&stream, 100).unwrap(), b"one two");
        assert!(inflate(&stream, 6).unwrap_err().is_over_limit());
        for garbage in [&b"garbage-garbage"[..], b"x", b"\x1f\x8b", &[0; 20]] {
            let stream = [&stream, garbage].concat();
            assert!(inflate(&stream, 100).unwrap_err().is_decode());
        }
    }

    #[test]
    fn members_beyond_all_reason_are_an_error() {
        let empty = deflated(b"", 1);
        assert_eq!(inflate(&empty.repeat(MEMBERS), 100).unwrap(), b"");
        let error = inflate(&empty.repeat(MEMBERS + 1), 100).unwrap_err();
        assert!(error.is_decode(), "{error}");
    }

    #[test]
    fn name_comment_and_extra_field_of_the_header_are_skipped() {
        let mut encoder = flate2::GzBuilder::new()
            .filename("name")
            .comment("comment")
            .extra(b"extra".to_vec())
            .write(Vec::new(), Compression::default());
        encoder.write_all(b"text").unwrap();
        assert_eq!(inflate(&encoder.finish().unwrap(), 100).unwrap(), b"text");
    }

    #[test]
    fn a_wrong_checksum_is_an_error() {
        let mut stream = deflated(b"one", 5);
        let crc = stream.len() - 8;
        stream[crc] ^= 1;
        assert!(inflate(&stream, 100).unwrap_err().is_decode());
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = deflated(&vec![0; 10 << 20], 9);
        assert!(bomb.len() < 20_000);
        assert!(inflate(&bomb, 1 << 20).unwrap_err().is_over_limit());
        assert_eq!(inflate(&bomb, 10 << 20).unwrap().len(), 10 << 20);
        assert_eq!(inflate_start(&bomb, 100), [0; 100]);
    }

    #[test]
    fn the_start_of_a_stream_is_there_even_if_its_end_is_broken() {
        let mut stream = deflated(b"one", 5);
        let crc = stream.len() - 8;
        stream[crc] ^= 1;
        assert_eq!(inflate_start(&stream, 100), b"one");
        assert_eq!(inflate_start(b"plain", 100), b"");
    }
}
