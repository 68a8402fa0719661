//! What is written is read as the same, however it is cut on the way: properties over made-up packets, headers with all that they can
//! hold, and values in all codecs at all levels.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
    sample::select,
};
use serde_json::{Map, Value};
use teleport::{
    CodecId, Protobuf,
    codec::{Body, Codecs, Decode, Encode, append_body},
    protocol::{
        Decoded, Header, HeaderCodec, Limits, Meta, Packet, PacketKind, Protocol, Standard,
    },
    uri::Uri,
};
use teleport_tests::wire::frame;

/// Texts that encoders have to do something about are among them.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z/?&=%+<>\"\\\\\u{0}-\u{1f}\u{7f}\u{2028}\u{2029}\u{fffd}😀]{0,20}",
    ]
}

fn header() -> impl Strategy<Value = Header> {
    let numbers = (any::<u64>(), any::<i32>(), any::<i32>(), any::<i32>());
    let timeout = prop_oneof![Just(0), any::<u64>()];
    let meta = prop_oneof![
        Just(BTreeMap::new()),
        btree_map(text(), text(), 1..5),
        text().prop_map(|text| {
            let number = |number: usize| (number.to_string(), text.clone());
            (0..Meta::MOST).map(number).collect()
        }),
    ];
    (numbers, text(), text(), timeout, meta).prop_map(
        |((seq, kind, gzip, code), uri, status, timeout_ms, meta)| {
            let mut header = Header::new(PacketKind::from_i32(kind), seq, uri);
            header.gzip = gzip;
            header.status_code = code;
            header.status = status.into();
            header.timeout_ms = timeout_ms;
            for (name, value) in meta {
                header.meta.insert(name, value);
            }
            header
        },
    )
}

fn header_codec() -> impl Strategy<Value = HeaderCodec> {
    select(&[HeaderCodec::Json, HeaderCodec::Protobuf][..])
}

/// Without infinities, which JSON has not.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            btree_map(text(), inner, 0..8).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

#[derive(Clone, PartialEq, prost::Message)]
struct Tree {
    #[prost(sint64, tag = "1")]
    number: i64,
    #[prost(string, tag = "2")]
    text: String,
    #[prost(bytes = "bytes", tag = "3")]
    bytes: Bytes,
    #[prost(double, repeated, tag = "4")]
    numbers: Vec<f64>,
    #[prost(message, repeated, tag = "5")]
    inner: Vec<Tree>,
}

fn tree() -> impl Strategy<Value = Tree> {
    let numbers = vec(proptest::num::f64::NORMAL, 0..8);
    // Above 4 KiB payloads are shared instead of copied.
    let bytes = prop_oneof![vec(any::<u8>(), 0..20), vec(any::<u8>(), 5000)];
    let leaf =
        (any::<i64>(), text(), bytes, numbers).prop_map(|(number, text, bytes, numbers)| Tree {
            number,
            text,
            bytes: bytes.into(),
            numbers,
            inner: Vec::new(),
        });
    leaf.prop_recursive(3, 8, 3, |inner| {
        (any::<i64>(), vec(inner, 0..3)).prop_map(|(number, inner)| Tree {
            number,
            inner,
            ..Tree::default()
        })
    })
}

/// Writes a value in a codec at a level and reads it again, with exactly the room that it needs.
fn comes_back<T>(value: &T, codec: CodecId, gzip: i32) -> Result<(), TestCaseError>
where
    T: Encode + Decode + PartialEq + std::fmt::Debug,
{
    let codecs = Codecs::new();
    let mut body = Vec::new();
    append_body(value, Some(codec), gzip, &codecs, &mut body)?;
    let body = Bytes::from(body);
    let body = Body::new(&body, gzip);
    let inflated = body.inflate(usize::MAX)?.len();
    prop_assert_eq!(&T::decode(&body, &codecs, inflated)?, value);
    if gzip != 0 && inflated > 0 {
        let error = T::decode(&body, &codecs, inflated - 1);
        prop_assert!(error.is_err_and(|error| error.is_over_limit()));
    }
    Ok(())
}

proptest! {
    #[test]
    fn packets_come_back_however_the_stream_is_cut(
        packets in vec((header(), header_codec(), vec(any::<u8>(), 0..300)), 1..8),
        cuts in vec(1..400_usize, 1..8),
    ) {
        let mut stream = Vec::new();
        for (header, codec, body) in &packets {
            stream.extend(frame(*codec, header, body));
        }
        let mut read = Vec::new();
        let (mut buffer, mut rest) = (BytesMut::new(), &stream[..]);
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            buffer.extend_from_slice(piece);
            rest = after;
            while let Decoded::Packet(packet) = Standard.decode(&mut buffer, &Limits::default())? {
                read.push((packet.header, packet.header_codec, packet.body.to_vec()));
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(read, packets);
    }

    #[test]
    fn packets_that_are_read_into_the_same_one_take_nothing_of_each_other(
        packets in vec((header(), header_codec(), vec(any::<u8>(), 0..300)), 1..8),
    ) {
        let mut stream = BytesMut::new();
        for (header, codec, body) in &packets {
            stream.extend_from_slice(&frame(*codec, header, body));
        }
        let limits = Limits::default();
        let mut packet = Packet::new(Header::default(), HeaderCodec::Json, Bytes::new());
        for (header, codec, body) in &packets {
            let mut again = stream.clone();
            prop_assert_eq!(Standard.decode_into(&mut stream, &limits, &mut packet)?, 0);
            prop_assert_eq!(&packet.header, header);
            prop_assert_eq!((packet.header_codec, &packet.body[..]), (*codec, &body[..]));
            let Decoded::Packet(alone) = Standard.decode(&mut again, &limits)? else {
                return Err(TestCaseError::fail("it is not whole"));
            };
            prop_assert_eq!(&packet, &alone);
        }
        let lacking = Standard.decode_into(&mut stream, &limits, &mut packet)?;
        prop_assert!(stream.is_empty() && lacking > 0);
    }

    #[test]
    fn a_header_says_the_same_in_either_codec(header in header()) {
        for codec in [HeaderCodec::Json, HeaderCodec::Protobuf] {
            let mut bytes = BytesMut::from(&frame(codec, &header, b"")[..]);
            let decoded = Standard.decode(&mut bytes, &Limits::default())?;
            let Decoded::Packet(packet) = decoded else {
                return Err(TestCaseError::fail("it is not whole"));
            };
            prop_assert_eq!(&packet.header, &header);
        }
    }

    #[test]
    fn json_comes_back_at_every_level(value in json(), gzip in -2..=9) {
        comes_back(&value, CodecId::JSON, gzip)?;
    }

    #[test]
    fn numbers_come_back_to_the_last_bit(double: f64, single: f32, large: i128) {
        if double.is_finite() && single.is_finite() {
            comes_back(&(double, single, large), CodecId::JSON, 0)?;
        }
    }

    #[test]
    fn texts_come_back_in_both_codecs_that_carry_them(text in text(), gzip in -2..=9) {
        comes_back(&text, CodecId::STRING, gzip)?;
        comes_back(&text, CodecId::JSON, gzip)?;
    }

    #[test]
    fn messages_come_back_at_every_level(tree in tree(), gzip in -2..=9) {
        comes_back(&Protobuf(tree), CodecId::PROTOBUF, gzip)?;
    }

    #[test]
    fn an_escaped_path_and_its_query_come_back(path in text(), pairs in vec((text(), text()), 0..5)) {
        let escape = |text: &str| -> String {
            text.bytes().map(|byte| format!("%{byte:02x}")).collect()
        };
        let mut uri = format!("/{}?", escape(&path));
        for (name, value) in &pairs {
            uri.push_str(&format!("{}={}&", escape(name), escape(value)));
        }
        let parsed = Uri::parse(&uri)?;
        prop_assert_eq!(&parsed.path()[1..], path);
        let read: Vec<_> = parsed.query().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        prop_assert_eq!(read, pairs);
    }
}
