//! Both header codecs: what one has read either can write, and it is read as the same; and what prost, an implementation of
//! protobuf that is not ours, reads as a header is read as the same here.

use std::collections::HashMap;

use bytes::BytesMut;
use prost::Message;
use teleport::protocol::{Decoded, Header, HeaderCodec, Limits, Meta, Protocol, Standard};

use crate::wire::frame;

/// The header with its codec id, as it stands in a packet.
pub fn run(bytes: &[u8]) {
    let read = read(bytes);
    if let Some(header) = &read {
        for codec in [HeaderCodec::Json, HeaderCodec::Protobuf] {
            written_and_read(header, codec);
        }
        assert!(header.meta.iter().count() <= Meta::MOST);
    }
    if let [b'p', bytes @ ..] = bytes {
        compare(bytes, read.as_ref());
    }
}

fn read(bytes: &[u8]) -> Option<Header> {
    let mut packet = BytesMut::new();
    packet.extend_from_slice(&u32::try_from(bytes.len()).expect("short").to_be_bytes());
    packet.extend_from_slice(bytes);
    packet.extend_from_slice(&[0; 4]);
    match Standard.decode(&mut packet, &Limits::default()) {
        Ok(Decoded::Packet(packet)) => Some(packet.header),
        Ok(Decoded::NeedMore { bytes }) => panic!("{bytes} more of a whole packet"),
        Err(_) => None,
    }
}

fn written_and_read(header: &Header, codec: HeaderCodec) {
    let packet = frame(codec, header, b"");
    let again = read(&packet[4..packet.len() - 4]);
    assert_eq!(again.as_ref(), Some(header), "as {codec}: {packet:?}");
}

/// The seed's header, of which any bytes may be texts.
#[derive(Clone, PartialEq, Message)]
struct Seed {
    #[prost(uint64, tag = "1")]
    seq: u64,
    #[prost(int32, tag = "2")]
    kind: i32,
    #[prost(bytes = "vec", tag = "3")]
    uri: Vec<u8>,
    #[prost(int32, tag = "4")]
    gzip: i32,
    #[prost(int32, tag = "5")]
    status_code: i32,
    #[prost(bytes = "vec", tag = "6")]
    status: Vec<u8>,
}

/// What we have added to it.
#[derive(Clone, PartialEq, Message)]
struct Extensions {
    #[prost(uint64, tag = "1001")]
    timeout_ms: u64,
    #[prost(map = "string, string", tag = "1002")]
    meta: HashMap<String, String>,
}

/// We are more lenient than prost, never less, and never read anything else.
fn compare(bytes: &[u8], ours: Option<&Header>) {
    let Ok(seed) = Seed::decode(bytes) else {
        return;
    };
    let Some(ours) = ours else {
        panic!("prost reads {seed:?}");
    };
    let theirs = (seed.seq, seed.kind, seed.gzip, seed.status_code);
    assert_eq!(
        (ours.seq, ours.kind.as_i32(), ours.gzip, ours.status_code),
        theirs
    );
    assert_eq!(&*ours.uri, String::from_utf8_lossy(&seed.uri));
    assert_eq!(&*ours.status, String::from_utf8_lossy(&seed.status));
    let Ok(extensions) = Extensions::decode(bytes) else {
        return;
    };
    assert_eq!(ours.timeout_ms, extensions.timeout_ms);
    let meta = &extensions.meta;
    assert_eq!(ours.meta.iter().count(), meta.len().min(Meta::MOST));
    for (name, value) in ours.meta.iter() {
        let theirs = meta.get(name).map(String::as_str);
        assert!(theirs == Some(value) || meta.len() > Meta::MOST, "{name}");
    }
}
