//! How packets are compared with recorded ones.

use serde_json::Value;
use teleport::protocol::Packet;
use teleport_tests::recording::payload;

/// Compares what ours sent with the recording.
pub(crate) fn same(
    name: &str,
    (ours, our_bytes): &(Packet, Vec<u8>),
    theirs: &Packet,
    their_bytes: &[u8],
) {
    assert_eq!(ours.header, theirs.header, "{name}");
    assert_eq!(ours.header_codec, theirs.header_codec, "{name}");
    assert_eq!(ours.body_codec(), theirs.body_codec(), "{name}");
    let compressed = theirs.header.gzip != 0 && theirs.body.len() > 1;
    let text = |packet: &Packet| match packet.body().inflate(usize::MAX) {
        Ok(text) => text.into_owned(),
        // Raw bytes under a gzip header.
        Err(_) => packet.body.to_vec(),
    };
    if text(theirs)
        .windows(13)
        .any(|part| part == b"\"server_time\"")
    {
        assert_eq!(without_time(ours), without_time(theirs), "{name}");
    } else if compressed {
        assert_eq!(text(ours), text(theirs), "{name}");
    } else {
        assert_eq!(our_bytes, their_bytes, "{name}");
    }
}

/// The time of day is the one thing in the recordings that no other run repeats.
fn without_time(packet: &Packet) -> Value {
    let mut value: Value = serde_json::from_slice(&payload(packet)).expect("JSON");
    value["server_time"].take();
    value
}
