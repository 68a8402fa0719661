//! Every packet that was recorded from a Go peer decodes to its fields, and encodes to its bytes.
//!
//! Bytes are compared where the encoding is deterministic (`exact`). It is not where the body is compressed: two deflate
//! implementations give different streams for the same text, so there the inflated bodies are compared.

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use teleport::{
    CodecId, Protobuf, Raw,
    codec::{Body, Codecs, Decode, Encode},
    protocol::{
        Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, ProtocolError, Standard,
    },
};
use teleport_tests::{
    recording::{load, payload, unhex},
    standard::PbTest,
};

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
    malformed: Vec<Malformed>,
    streams: Vec<Stream>,
}

#[derive(Deserialize)]
struct Vector {
    name: String,
    kind: String,
    header_codec: String,
    body_codec_set: String,
    body_codec_on_wire: String,
    header: Fields,
    body: Value,
    header_length: usize,
    body_length: usize,
    size: usize,
    exact: bool,
    wire_hex: Option<String>,
    wire_base64: Option<String>,
    wire_sha256: String,
}

#[derive(Deserialize)]
struct Fields {
    seq: String,
    r#type: i32,
    uri: String,
    gzip: i32,
    status_code: i32,
    status: String,
}

#[derive(Deserialize)]
struct Malformed {
    name: String,
    receiver: String,
    wire_hex: String,
    read_limit: Option<usize>,
    result: String,
    #[serde(default)]
    error_class: String,
}

#[derive(Deserialize)]
struct Stream {
    name: String,
    packets: Vec<String>,
    wire_hex: String,
}

fn header(fields: &Fields) -> Header {
    let kind = PacketKind::from_i32(fields.r#type);
    let mut header = Header::new(
        kind,
        fields.seq.parse().expect("a number"),
        fields.uri.as_str(),
    );
    header.gzip = fields.gzip;
    header.status_code = fields.status_code;
    header.status = fields.status.as_str().into();
    header
}

/// `prefix` + `unit` x `count` + `suffix`, or the text itself.
fn text(body: &Value) -> Option<Vec<u8>> {
    let bytes = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    if let Some(text) = bytes(&body["text"]) {
        return Some(text);
    }
    if let Some(text) = body["base64"].as_str() {
        return Some(BASE64.decode(text).expect("base64"));
    }
    let repeat = body.get("repeat")?;
    let count = usize::try_from(repeat["count"].as_u64()?).ok()?;
    let mut all = bytes(&repeat["prefix"]).unwrap_or_default();
    all.extend(bytes(&repeat["unit"])?.repeat(count));
    all.extend(bytes(&repeat["suffix"]).unwrap_or_default());
    Some(all)
}

impl Vector {
    fn wire(&self) -> Vec<u8> {
        let wire = match (&self.wire_hex, &self.wire_base64) {
            (Some(hex), _) => unhex(hex),
            (None, Some(base64)) => BASE64.decode(base64).expect("base64"),
            (None, None) => {
                let prefix = self.body["wire_prefix_hex"].as_str().expect("a prefix");
                let mut wire = unhex(prefix);
                wire.extend(text(&self.body).expect("a payload"));
                wire
            }
        };
        let digest = Sha256::digest(&wire);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex, self.wire_sha256,
            "{}: the test's own reading of the file",
            self.name
        );
        wire
    }

    fn header_codec(&self) -> HeaderCodec {
        HeaderCodec::from_name(&self.header_codec).expect("json or protobuf")
    }
}

fn decode(src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
    Standard.decode(src, limits)
}

/// The one packet in `wire`.
fn decode_one(name: &str, wire: &[u8]) -> Packet {
    let mut src = BytesMut::from(wire);
    match decode(&mut src, &Limits::default()) {
        Ok(Decoded::Packet(packet)) => {
            assert!(src.is_empty(), "{name}: bytes are left");
            packet
        }
        other => panic!("{name}: {other:?}"),
    }
}

fn check_fields(vector: &Vector, packet: &Packet) {
    let name = &vector.name;
    assert_eq!(packet.header, header(&vector.header), "{name}");
    assert_eq!(packet.header_codec, vector.header_codec(), "{name}");
    assert_eq!(packet.size(), vector.size, "{name}");
    assert_eq!(packet.body.len(), vector.body_length, "{name}");
    assert_eq!(
        8 + vector.header_length + vector.body_length,
        vector.size,
        "{name}"
    );
    let codecs = Codecs::new();
    let codec = packet.body_codec().and_then(|codec| codecs.name(codec));
    assert_eq!(
        codec.unwrap_or_default(),
        vector.body_codec_on_wire,
        "{name}"
    );
}

fn read<T: Decode>(vector: &Vector, packet: &Packet) -> T {
    T::decode(&packet.body(), &Codecs::new(), usize::MAX)
        .unwrap_or_else(|error| panic!("{}: {error}", vector.name))
}

fn check_body(vector: &Vector, packet: &Packet) {
    let name = &vector.name;
    match vector.body["kind"].as_str().expect("a kind") {
        "none" => assert!(
            packet.body.len() <= 1 || vector.kind == "decode_only",
            "{name}"
        ),
        "json" if name == "dec_json_null_into_array" => {
            assert_eq!(read::<[i64; 2]>(vector, packet), [0, 0]);
        }
        "json" => {
            let expected: Value =
                serde_json::from_slice(&text(&vector.body).expect("a text")).expect("JSON");
            assert_eq!(read::<Value>(vector, packet), expected, "{name}");
        }
        "string" => {
            let expected = text(&vector.body).expect("a text");
            assert_eq!(payload(packet), expected, "{name}");
            assert_eq!(
                read::<String>(vector, packet),
                String::from_utf8_lossy(&expected),
                "{name}"
            );
        }
        "pb_test" => {
            let Protobuf(message): Protobuf<PbTest> = read(vector, packet);
            let expected = json!({"a": message.a, "b": message.b});
            assert_eq!(
                (&vector.body["a"], &vector.body["b"]),
                (&expected["a"], &expected["b"]),
                "{name}"
            );
        }
        "pb_header" => assert_eq!(
            payload(packet),
            text(&vector.body).expect("bytes"),
            "{name}"
        ),
        "raw" => assert_eq!(
            read::<Raw>(vector, packet).0,
            text(&vector.body).expect("bytes"),
            "{name}"
        ),
        other => panic!("{name}: unknown kind {other}"),
    }
}

#[test]
fn every_vector_decodes_to_its_fields() {
    let file: File = load("vectors.json");
    assert_eq!(file.vectors.len(), 188);
    for vector in &file.vectors {
        let packet = decode_one(&vector.name, &vector.wire());
        check_fields(vector, &packet);
        check_body(vector, &packet);
    }
}

/// A payload that is encoded already, as a value of its codec.
struct Encoded(Vec<u8>);

impl Encode for Encoded {
    fn body_kind(&self) -> teleport::codec::BodyKind {
        teleport::codec::BodyKind::Value
    }
    fn fallback_codec(&self) -> CodecId {
        CodecId::JSON
    }
    fn encode(
        &self,
        _: CodecId,
        _: &Codecs,
        out: &mut Vec<u8>,
    ) -> Result<(), teleport::codec::CodecError> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}

fn encode(vector: &Vector, value: impl Encode, codec: Option<CodecId>) -> Vec<u8> {
    let codecs = Codecs::new();
    let header = header(&vector.header);
    let mut out = b"kept".to_vec();
    let mut body =
        |out: &mut Vec<u8>| teleport::codec::append_body(&value, codec, header.gzip, &codecs, out);
    Standard
        .encode(header.as_ref(), vector.header_codec(), &mut body, &mut out)
        .unwrap_or_else(|error| panic!("{}: {error}", vector.name));
    assert!(out.starts_with(b"kept"));
    out.split_off(4)
}

/// Recorded from a Go struct.
const UNSORTED: [&str; 1] = ["json_nested_struct_plain"];

fn encode_vector(vector: &Vector) -> Vec<u8> {
    let set = Codecs::new().by_name(&vector.body_codec_set);
    let json = || text(&vector.body).expect("a text");
    match vector.body["kind"].as_str().expect("a kind") {
        "none" => encode(vector, (), set),
        "json" => {
            let text = json();
            let value: Value = serde_json::from_slice(&text).expect("JSON");
            match value {
                // What Go calls a nil map or slice.
                Value::Null => encode(vector, None::<u8>, Some(CodecId::JSON)),
                // A Go struct keeps the order of its members, a JSON object here is sorted: the text stands for it.
                _ if UNSORTED.contains(&&*vector.name) => {
                    encode(vector, Encoded(text), Some(CodecId::JSON))
                }
                value => encode(vector, &value, Some(CodecId::JSON)),
            }
        }
        "string" => match String::from_utf8(json()) {
            Ok(text) => encode(vector, text, Some(CodecId::STRING)),
            Err(error) => encode(vector, Encoded(error.into_bytes()), Some(CodecId::STRING)),
        },
        "pb_test" => {
            let field = |name: &str| {
                i32::try_from(vector.body[name].as_i64().unwrap_or(0)).expect("an int32")
            };
            let message = PbTest {
                a: field("a"),
                b: field("b"),
            };
            encode(vector, Protobuf(message), Some(CodecId::PROTOBUF))
        }
        "pb_header" => encode(vector, Encoded(json()), Some(CodecId::PROTOBUF)),
        "raw" => encode(vector, Raw(json().into()), None),
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn what_a_go_peer_writes_is_encoded_to_the_same_bytes_where_that_is_deterministic() {
    let file: File = load("vectors.json");
    let mut exact = 0;
    for vector in file
        .vectors
        .iter()
        .filter(|vector| vector.kind == "roundtrip")
    {
        let (ours, theirs) = (encode_vector(vector), vector.wire());
        if vector.exact {
            assert_eq!(ours, theirs, "{}", vector.name);
            exact += 1;
        } else {
            let (ours, theirs) = (
                decode_one(&vector.name, &ours),
                decode_one(&vector.name, &theirs),
            );
            assert_eq!(ours.header, theirs.header, "{}", vector.name);
            assert_eq!(payload(&ours), payload(&theirs), "{}", vector.name);
            assert!(
                ours.body[1..].starts_with(&[0x1f, 0x8b, 8]),
                "{}: a gzip header",
                vector.name
            );
        }
    }
    assert!(exact > 100);
}

#[test]
fn a_packet_that_comes_byte_by_byte_is_the_same_packet() {
    let file: File = load("vectors.json");
    for vector in file.vectors.iter().filter(|vector| vector.size < 2000) {
        let wire = vector.wire();
        let whole = decode_one(&vector.name, &wire);
        let mut src = BytesMut::new();
        for (at, byte) in wire.iter().enumerate() {
            src.extend_from_slice(&[*byte]);
            match decode(&mut src, &Limits::default()).expect("never an error on the way") {
                Decoded::Packet(packet) => {
                    assert_eq!((at, &packet), (wire.len() - 1, &whole), "{}", vector.name);
                }
                Decoded::NeedMore { bytes } => {
                    assert!(
                        bytes > 0 && bytes <= wire.len() - at - 1,
                        "{}: wants {bytes} at {at}",
                        vector.name
                    );
                    assert_eq!(src.len(), at + 1, "{}: nothing is taken", vector.name);
                }
            }
        }
        for cut in 0..wire.len() {
            let mut src = BytesMut::from(&wire[..cut]);
            assert!(matches!(
                decode(&mut src, &Limits::default()),
                Ok(Decoded::NeedMore { .. })
            ));
        }
    }
}

#[test]
fn packets_behind_each_other_are_taken_one_by_one() {
    let file: File = load("vectors.json");
    for stream in &file.streams {
        let mut src = BytesMut::from(&unhex(&stream.wire_hex)[..]);
        for packet in &stream.packets {
            let decoded = decode(&mut src, &Limits::default());
            assert!(
                matches!(decoded, Ok(Decoded::Packet(_))),
                "{}: {packet}",
                stream.name
            );
        }
        assert!(src.is_empty(), "{}", stream.name);
    }
}

/// What reading a malformed packet gives here, in the words of the recording.
fn verdict(case: &Malformed) -> &'static str {
    let limits = Limits {
        packet: case.read_limit.unwrap_or(usize::MAX),
        ..Limits::default()
    };
    let mut src = BytesMut::from(&unhex(&case.wire_hex)[..]);
    let packet = match decode(&mut src, &limits) {
        Err(error) if error.is_over_limit() => return "exceed_read_limit",
        Err(_) => return "broken header",
        Ok(Decoded::NeedMore { .. }) => return "more",
        Ok(Decoded::Packet(packet)) => packet,
    };
    fn result<T: Decode>(body: &Body<'_>) -> &'static str {
        match T::decode(body, &Codecs::new(), 1 << 20) {
            Ok(_) => "ok",
            Err(error) if error.is_unsupported() => "unsupported_codec",
            Err(_) => "decode",
        }
    }
    let body = packet.body();
    match case.receiver.as_str() {
        "int_array2" => result::<[i64; 2]>(&body),
        "string" => result::<String>(&body),
        "pb_test" => result::<Protobuf<PbTest>>(&body),
        "raw" => result::<Raw>(&body),
        "none" => result::<()>(&body),
        other => panic!("unknown receiver {other}"),
    }
}

#[test]
fn malformed_packets_are_told_apart() {
    let file: File = load("vectors.json");
    assert_eq!(file.malformed.len(), 30);
    for case in &file.malformed {
        let expected = match (
            case.name.as_str(),
            case.result.as_str(),
            case.error_class.as_str(),
        ) {
            // Cut anywhere, the packet is just not whole yet; the session knows that the stream has ended.
            (name, _, _) if name.starts_with("cut_") => "more",
            // The Go peer swallows these errors and goes on with half a header. We close the connection.
            (name, _, _) if name.starts_with("header_") => "broken header",
            // A codec that cannot fill the type is 415 here, which is more than "cannot be decoded".
            ("body_string_for_array" | "body_pb_for_array", _, _) => "unsupported_codec",
            (_, "ok", _) => "ok",
            (_, _, "gzip" | "unexpected_eof") => "decode",
            (_, _, "decode") => "decode",
            (_, _, "unsupported_codec") => "unsupported_codec",
            (_, _, "exceed_read_limit") => "exceed_read_limit",
            other => panic!("unknown result {other:?}"),
        };
        assert_eq!(verdict(case), expected, "{}", case.name);
    }
}

#[test]
fn a_length_of_four_gigabytes_takes_no_memory() {
    let limits = Limits {
        packet: usize::MAX,
        ..Limits::default()
    };
    let mut src = BytesMut::from(&b"\xff\xff\xff\xffp"[..]);
    let before = src.capacity();
    assert!(matches!(
        decode(&mut src, &limits),
        Ok(Decoded::NeedMore { .. })
    ));
    assert_eq!(src.capacity(), before);
    let mut src = BytesMut::from(&b"\xff\xff\xff\xffp"[..]);
    assert!(
        decode(&mut src, &Limits::default())
            .unwrap_err()
            .is_over_limit()
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_packets_or_an_error_and_never_a_panic(bytes: Vec<u8>, codec in 0..2usize) {
        let mut framed = ((bytes.len() + 1) as u32).to_be_bytes().to_vec();
        framed.push(b"jp"[codec]);
        framed.extend(&bytes);
        framed.extend([0; 4]);
        for mut src in [BytesMut::from(&bytes[..]), BytesMut::from(&framed[..])] {
            while let Ok(Decoded::Packet(packet)) = decode(&mut src, &Limits::default()) {
                let _ = <Value as Decode>::decode(&packet.body(), &Codecs::new(), 1000);
            }
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was(
        seq: u64, kind: i32, uri: String, gzip: i32, code: i32, status: String, body: Vec<u8>, json: bool,
    ) {
        let mut header = Header::new(PacketKind::from_i32(kind), seq, uri);
        header.gzip = gzip;
        header.status_code = code;
        header.status = status.into();
        let codec = if json { HeaderCodec::Json } else { HeaderCodec::Protobuf };
        let mut out = Vec::new();
        let mut append = |out: &mut Vec<u8>| { out.extend_from_slice(&body); Ok(()) };
        Standard.encode(header.as_ref(), codec, &mut append, &mut out).unwrap();
        let packet = decode_one("property", &out);
        proptest::prop_assert_eq!(&packet.header, &header);
        proptest::prop_assert_eq!(packet.header_codec, codec);
        proptest::prop_assert_eq!(&packet.body, &Bytes::from(body));
        proptest::prop_assert_eq!(packet.size(), out.len());
    }

    #[test]
    fn any_body_is_a_value_or_an_error_and_never_a_panic(bytes: Vec<u8>, codec in proptest::sample::select(&b"jpsx\0"[..]), gzip: bool) {
        let mut body = vec![codec];
        body.extend(bytes);
        let body = Bytes::from(body);
        let body = Body::new(&body, i32::from(gzip));
        let codecs = Codecs::new();
        let _ = <Value as Decode>::decode(&body, &codecs, 1 << 16);
        let _ = <[i64; 2] as Decode>::decode(&body, &codecs, 1 << 16);
        let _ = <(String, Option<Vec<f64>>) as Decode>::decode(&body, &codecs, 1 << 16);
        let _ = <Protobuf<PbTest> as Decode>::decode(&body, &codecs, 1 << 16);
    }
}
