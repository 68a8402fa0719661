//! The packet reader: a stream gives the same packets and the same end however it is cut, asks for no more than a packet has,
//! believes nothing over the limit, and what it has read can be written and read again.

use bytes::{Bytes, BytesMut};
use teleport::protocol::{Decoded, Limits, Packet, Protocol, Standard};

use super::input::Input;

/// Two bytes for the limit, two that say how the stream is cut, the stream.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = Limits {
        packet: usize::from(input.number()),
        ..Limits::default()
    };
    let cut = [input.byte(), input.byte()];
    let stream = input.rest();

    let (whole, end) = read(stream, [stream.len().max(1)].into_iter().cycle(), &limits);
    let pieces = cut.map(|byte| usize::from(byte).max(1));
    let (cut, cut_end) = read(stream, pieces.into_iter().cycle(), &limits);
    assert_eq!(whole, cut, "other packets, cut after {pieces:?}");
    // Which mistake of a packet is found first is not the same where one lies behind the other.
    assert_eq!(end.ok(), cut_end.ok(), "another end, cut after {pieces:?}");

    let mut taken = 0;
    for packet in &whole {
        let size = packet.size();
        assert!(packet.body.is_empty() || size <= limits.packet, "{size}");
        assert!(size - packet.body.len() <= limits.packet + 4);
        assert!(stream[taken..taken + size].ends_with(&packet.body));
        taken += size;
        written_and_read(packet);
    }
}

/// The packets of a stream that comes in pieces, and how it ends: with an error, or in the middle of nothing or of a packet.
fn read(
    stream: &[u8],
    mut pieces: impl Iterator<Item = usize>,
    limits: &Limits,
) -> (Vec<Packet>, Result<usize, String>) {
    let mut packets = Vec::new();
    let mut buffer = BytesMut::new();
    let mut rest = stream;
    // What the reader has asked for, and not got yet.
    let mut wanted = 0;
    loop {
        let before = buffer.clone();
        match Standard.decode(&mut buffer, limits) {
            Ok(Decoded::Packet(packet)) => {
                assert_eq!(wanted, 0, "a packet came of less than was asked for");
                assert_eq!(before.len() - buffer.len(), packet.size());
                packets.push(packet);
                continue;
            }
            Ok(Decoded::NeedMore { bytes }) => {
                assert!(bytes > 0, "nothing is not more");
                assert_eq!(before, buffer, "what is not taken stays");
                // One head may have to come before the limit can be checked.
                assert!(buffer.len() + bytes <= limits.packet.max(4) + 4, "{bytes}");
                assert!(
                    bytes >= wanted,
                    "{wanted} more were asked for, then {bytes}"
                );
                wanted = bytes;
            }
            Err(error) => return (packets, Err(error.to_string())),
        }
        if rest.is_empty() {
            return (packets, Ok(buffer.len()));
        }
        let len = pieces.next().unwrap_or(1).min(rest.len());
        let (piece, after) = rest.split_at(len);
        buffer.extend_from_slice(piece);
        rest = after;
        wanted = wanted.saturating_sub(len);
    }
}

fn written_and_read(packet: &Packet) {
    let mut bytes = b"kept".to_vec();
    let mut body = |out: &mut Vec<u8>| {
        out.extend_from_slice(&packet.body);
        Ok(())
    };
    Standard
        .encode(
            packet.header.as_ref(),
            packet.header_codec,
            &mut body,
            &mut bytes,
        )
        .expect("what was read can be written");
    let mut buffer = BytesMut::from(&bytes[4..]);
    let limits = Limits {
        packet: usize::MAX,
        ..Limits::default()
    };
    match Standard.decode(&mut buffer, &limits) {
        Ok(Decoded::Packet(again)) => {
            let size = packet.size();
            assert_eq!(again.with_size(size), *packet);
            assert_eq!(buffer, Bytes::new(), "bytes are left");
        }
        other => panic!("{packet:?} becomes {other:?}"),
    }
}
