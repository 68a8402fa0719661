//! Bodies: which codecs a handler takes, what it answers in, gzip, codecs and protocols from outside the crate.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use teleport::{
    CallOptions, CodecId, ConnOptions, Error, Peer, PeerConfig, Protobuf, PullController, Raw,
    Router, Session,
    codec::{Codec, CodecError, erased_serde},
    protocol::{
        Decoded, EncodeError, Header, HeaderCodec, HeaderRef, Limits, Packet, PacketKind, Protocol,
        ProtocolError,
    },
    pull_controller,
};
use teleport_tests::pair::{PIPE, Pair, connect, pair, peer};

/// A message of both worlds.
#[derive(Clone, PartialEq, prost::Message, Serialize, Deserialize)]
struct Point {
    #[prost(int32, tag = 1)]
    #[serde(default)]
    x: i32,
    #[prost(int32, tag = 2)]
    #[serde(default)]
    y: i32,
}

/// Of protobuf's world alone.
#[derive(Clone, PartialEq, prost::Message)]
struct OnlyMessage {
    #[prost(string, tag = 1)]
    text: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OnlyJson {
    names: BTreeMap<String, Option<u8>>,
}

struct Body;

#[pull_controller]
impl Body {
    async fn both(&self, point: Point) -> Point {
        Point {
            x: point.y,
            y: point.x,
        }
    }

    async fn message(&self, message: OnlyMessage) -> OnlyMessage {
        message
    }

    async fn json(&self, json: OnlyJson) -> OnlyJson {
        json
    }

    async fn text(&self, text: String) -> String {
        text
    }

    async fn number(&self, number: i32) -> i32 {
        number
    }

    async fn raw(&self, raw: Raw) -> Raw {
        raw
    }

    async fn optional(&self, number: Option<i32>) -> Option<i32> {
        number
    }

    async fn wrapped(&self, point: Protobuf<Point>) -> Protobuf<Point> {
        point
    }
}

async fn session() -> Session {
    pair(Body.into_router(), Router::new()).await.session
}

/// Asks with a body as it is, and gives the reply's body as it is.
async fn raw(session: &Session, uri: &'static str, body: &'static [u8]) -> Result<Vec<u8>, Error> {
    let reply: Raw = session.pull(uri, Raw(body.into())).await?;
    Ok(reply.0.to_vec())
}

#[tokio::test]
async fn a_handler_takes_the_codecs_of_its_types_and_answers_in_the_callers() {
    let session = session().await;
    for (uri, body, reply) in [
        (
            "/body/both",
            &b"j{\"x\":1,\"y\":2}"[..],
            &b"j{\"x\":2,\"y\":1}"[..],
        ),
        ("/body/both", b"p\x08\x01\x10\x02", b"p\x08\x02\x10\x01"),
        ("/body/message", b"p\x0a\x02hi", b"p\x0a\x02hi"),
        (
            "/body/json",
            b"j{\"names\":{\"a\":1,\"b\":null}}",
            b"j{\"names\":{\"a\":1,\"b\":null}}",
        ),
        ("/body/text", b"jtrue", b""),
        ("/body/text", b"j\"hi\"", b"j\"hi\""),
        ("/body/text", b"shi", b"shi"),
        ("/body/number", b"j7", b"j7"),
        ("/body/text", b"s\xff", "s\u{fffd}".as_bytes()),
        ("/body/raw", b"xanything", b"xanything"),
        ("/body/wrapped", b"p\x08\x01", b"p\x08\x01"),
    ] {
        let result = raw(&session, uri, body).await;
        match result {
            Ok(got) => assert_eq!(got, reply, "{uri}: {body:?}"),
            Err(error) => assert!(error.code() == 400 && reply.is_empty(), "{uri}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_codec_that_the_types_cannot_take_is_415_and_the_session_goes_on() {
    let session = session().await;
    for (uri, body) in [
        ("/body/message", &b"j{}"[..]),
        ("/body/json", b"p\x08\x01"),
        ("/body/text", b"p\x0a\x02hi"),
        ("/body/number", b"s7"),
        ("/body/both", b"?whatever"),
    ] {
        let error = raw(&session, uri, body).await.expect_err("415");
        assert_eq!(error.code(), 415, "{uri}: {error}");
        assert!(error.is_remote());
    }
    assert_eq!(
        raw(&session, "/body/number", b"j1").await.expect("1"),
        b"j1"
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_400_with_what_is_wrong() {
    let session = session().await;
    for (uri, body, says) in [
        ("/body/number", &b"j{"[..], "column"),
        ("/body/number", b"j\"text\"", "invalid type"),
        ("/body/number", b"j7 8", "trailing"),
        ("/body/both", b"p\xff", "protobuf"),
    ] {
        let error = raw(&session, uri, body).await.expect_err("400");
        assert_eq!(error.code(), 400, "{uri}: {error}");
        let text = error.status().expect("a status").message().to_owned();
        assert!(text.contains(says), "{uri} {body:?}: `{says}` in {text}");
    }
    assert!(session.is_open());
}

#[tokio::test]
async fn a_reply_that_the_caller_cannot_read_fails_that_call_alone() {
    let session = session().await;
    let error = session.pull::<_, i32>("/body/text", "no number").await;
    let error = error.expect_err("text is no number");
    assert!(error.is_decode() && error.code() == 103, "{error}");
    assert!(session.is_open());
}

#[tokio::test]
async fn typed_clients_choose_the_codec_that_their_types_and_options_allow() {
    let session = session().await;
    let client = BodyClient::new(&session);
    let point = Point { x: 1, y: 2 };
    let turned = Point { x: 2, y: 1 };
    assert_eq!(client.both(point.clone()).await.expect("turned"), turned);
    let message = OnlyMessage { text: "hi".into() };
    assert_eq!(client.message(message.clone()).await.expect("hi"), message);
    let protobuf = client.options(CallOptions::new().codec(CodecId::PROTOBUF));
    assert_eq!(protobuf.both(point).await.expect("turned"), turned);
    let error = protobuf.number(1).await.expect_err("no message");
    assert!(error.is_encode(), "{error}");
    assert_eq!(
        protobuf.raw(Raw(b"x1"[..].into())).await.expect("x1").0,
        b"x1"[..]
    );
}

#[tokio::test]
async fn no_body_is_the_zero_of_the_argument() {
    let session = session().await;
    let client = BodyClient::new(&session);
    assert_eq!(client.optional(None).await.expect("none"), None);
    assert_eq!(client.optional(Some(3)).await.expect("3"), Some(3));
    assert_eq!(
        session.pull::<_, i32>("/body/number", ()).await.expect("0"),
        0
    );
    assert_eq!(
        session
            .pull::<_, String>("/body/text", ())
            .await
            .expect("empty"),
        ""
    );
}

#[tokio::test]
async fn every_gzip_level_goes_both_ways_and_others_are_refused_at_the_sender() {
    let session = session().await;
    let text = "abc".repeat(1000);
    for level in -2..=9 {
        let pull = session.pull::<_, String>("/body/text", &text).gzip(level);
        assert_eq!(pull.await.expect("text"), text, "level {level}");
    }
    for level in [-3, 10] {
        let pull = session.pull::<_, String>("/body/text", &text).gzip(level);
        let error = pull.await.expect_err("no such level");
        assert!(error.is_encode(), "{error}");
    }
    let error = Peer::builder().config(PeerConfig {
        gzip: 10,
        ..PeerConfig::default()
    });
    assert!(error.build().is_err());
}

/// Numbers and texts as `key=value` lines: enough of a codec to see that the public traits are.
struct Lines;

const LINES: CodecId = match CodecId::new(b'L') {
    Some(id) => id,
    None => panic!("not 0"),
};

impl Codec for Lines {
    fn id(&self) -> CodecId {
        LINES
    }

    fn name(&self) -> &str {
        "lines"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let value = serde_json::to_value(value).map_err(CodecError::encode)?;
        let Value::Object(object) = value else {
            return Err(CodecError::encode("lines hold an object"));
        };
        for (key, value) in object {
            out.extend_from_slice(format!("{key}={value}\n").as_bytes());
        }
        Ok(())
    }

    fn decode(
        &self,
        payload: &[u8],
        visit: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        let text = std::str::from_utf8(payload).map_err(CodecError::decode)?;
        let mut object = serde_json::Map::new();
        for line in text.lines() {
            let (key, value) = line
                .split_once('=')
                .ok_or_else(|| CodecError::decode(format!("`{line}` has no `=`")))?;
            let value = serde_json::from_str(value).map_err(CodecError::decode)?;
            object.insert(key.to_owned(), value);
        }
        let value = Value::Object(object);
        visit(&mut <dyn erased_serde::Deserializer<'_>>::erase(value)).map_err(CodecError::decode)
    }
}

#[tokio::test]
async fn a_codec_from_outside_the_crate_carries_bodies_both_ways() {
    let build = |routes| Peer::builder().codec(Lines).routes(routes).build();
    let server = build(Body.into_router()).expect("a peer");
    let client = build(Router::new()).expect("a peer");
    let Pair { session, .. } = connect(server, client).await;
    assert_eq!(
        raw(&session, "/body/both", b"Lx=1\ny=2\n")
            .await
            .expect("turned"),
        b"Lx=2\ny=1\n"
    );
    let lines = BodyClient::new(&session).options(CallOptions::new().codec(LINES));
    let turned = lines.both(Point { x: 5, y: 6 }).await.expect("turned");
    assert_eq!(turned, Point { x: 6, y: 5 });
    let error = raw(&session, "/body/both", b"Lx\n").await.expect_err("400");
    assert!(
        error.code() == 400 && error.to_string().contains("`x` has no `=`"),
        "{error}"
    );
    assert!(lines.number(1).await.expect_err("no object").is_encode());

    let error = Peer::builder().codec(Lines).codec(Lines).build();
    assert!(error.is_err(), "the same id twice");
}

/// Packets as lines of JSON, bodies in hex: another protocol on the public trait.
struct JsonLines;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
    (0..text.len()).step_by(2).map(pair).collect()
}

impl Protocol for JsonLines {
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
        let Some(end) = src.iter().position(|byte| *byte == b'\n') else {
            if src.len() > limits.packet {
                return Err(ProtocolError::over_limit(src.len() as u64, limits.packet));
            }
            return Ok(Decoded::NeedMore { bytes: 1 });
        };
        let line = src.split_to(end);
        src.advance(1);
        let malformed = |text: &str| ProtocolError::malformed(text.to_owned());
        let value: Value = serde_json::from_slice(&line).map_err(|_| malformed("no JSON"))?;
        let mut header = Header::default();
        header.seq = value["seq"].as_u64().ok_or_else(|| malformed("no seq"))?;
        header.kind = match value["kind"].as_str() {
            Some("pull") => PacketKind::Pull,
            Some("reply") => PacketKind::Reply,
            _ => PacketKind::Push,
        };
        header.uri = value["uri"].as_str().unwrap_or_default().into();
        header.gzip = value["gzip"].as_i64().unwrap_or(0) as i32;
        header.status_code = value["code"].as_i64().unwrap_or(0) as i32;
        header.status = value["status"].as_str().unwrap_or_default().into();
        let body = unhex(value["body"].as_str().unwrap_or_default());
        let body = body.ok_or_else(|| malformed("no hex"))?;
        Ok(Decoded::Packet(Packet::new(
            header,
            HeaderCodec::Json,
            body.into(),
        )))
    }

    fn encode(
        &self,
        header: HeaderRef<'_>,
        _: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut bytes = Vec::new();
        body(&mut bytes)?;
        let kind = match header.kind {
            PacketKind::Pull => "pull",
            PacketKind::Reply => "reply",
            _ => "push",
        };
        let line = json!({
            "seq": header.seq, "kind": kind, "uri": header.uri, "gzip": header.gzip,
            "code": header.status_code, "status": header.status, "body": hex(&bytes),
        });
        dst.extend_from_slice(line.to_string().as_bytes());
        dst.push(b'\n');
        Ok(())
    }
}

#[tokio::test]
async fn a_protocol_from_outside_the_crate_carries_a_session() {
    let server = Peer::builder()
        .protocol(JsonLines)
        .routes(Body.into_router());
    let server = server.build().expect("a peer");
    let client = peer(PeerConfig::default(), Router::new());
    let (left, right) = tokio::io::duplex(PIPE);
    server.serve_conn(left).await.expect("a session");
    // Both ways of choosing it: for the whole peer, and for one connection.
    let options = ConnOptions::new().protocol(JsonLines);
    let session = client.serve_conn_with(right, options).await;
    let session = session.expect("a session");
    let client = BodyClient::new(&session);
    let turned = client.both(Point { x: 1, y: 2 }).await.expect("turned");
    assert_eq!(turned, Point { x: 2, y: 1 });
    let text = "ä\n".repeat(100);
    let zipped = client.options(CallOptions::new().gzip(5));
    assert_eq!(zipped.text(text.clone()).await.expect("text"), text);
    let missing = session.pull::<_, ()>("/no/such", ()).await;
    assert_eq!(missing.expect_err("404").code(), 404);
}

#[tokio::test]
async fn a_json_header_is_understood_and_answered_in_kind() {
    let session = session().await;
    let pull = session.pull::<_, i32>("/body/number", 5);
    assert_eq!(pull.header_codec(HeaderCodec::Json).await.expect("5"), 5);
}
