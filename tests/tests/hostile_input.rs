//! What a peer that means harm can make this side take: the most bytes that are allocated at a time are counted, by an allocator of this
//! test binary. That it is answered as documented is looked at here as well where no other file does: `limits.rs` has the
//! limits, `wire_server.rs` and `wire_client.rs` what is said to whom, `fuzz.rs` everything at random.

use std::time::Duration;

use allocation_counter::measure;
use bytes::BytesMut;
use serde_json::Value;
use teleport::{
    CodecId, PeerConfig, PullController, Raw, Session,
    codec::{Codecs, append_body},
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    pull_controller,
};
use teleport_tests::{pair::peer, wire::frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const MIB: u64 = 1024 * 1024;

struct Echo;

#[pull_controller]
impl Echo {
    async fn value(&self, value: Value) -> Value {
        value
    }

    async fn numbers(&self, numbers: Vec<u8>) -> usize {
        numbers.len()
    }

    async fn text(&self, text: String) -> String {
        text
    }

    async fn raw(&self, _raw: Raw) {}
}

/// The most bytes that are allocated at a time during a conversation with a peer of this configuration. Its buffers are less than
/// 1 MiB before anything is said.
fn peak<W>(config: PeerConfig, conversation: impl FnOnce(Harm) -> W) -> u64
where
    W: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let counted = measure(|| {
        runtime.block_on(async {
            let peer = peer(config, Echo.into_router());
            let (stream, other) = tokio::io::duplex(64 * 1024);
            let session = peer.serve_conn(other).await.expect("a session");
            conversation(Harm {
                stream,
                session,
                read: BytesMut::new(),
            })
            .await;
        });
    });
    counted.bytes_max
}

/// The other end.
struct Harm {
    stream: DuplexStream,
    session: Session,
    read: BytesMut,
}

impl Harm {
    async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("taken");
    }

    async fn hear(&mut self) -> Packet {
        loop {
            let decoded = Standard.decode(&mut self.read, &Limits::default());
            if let Decoded::Packet(packet) = decoded.expect("a packet") {
                return packet;
            }
            let count = self.stream.read_buf(&mut self.read).await.expect("bytes");
            assert!(count > 0, "it has closed");
        }
    }

    /// Sends a pull and gives the code of the answer.
    async fn ask(&mut self, header: &Header, body: &[u8]) -> i32 {
        self.send(&frame(HeaderCodec::Protobuf, header, body)).await;
        self.hear().await.header.status_code
    }

    async fn goes_on(&mut self) {
        let header = Header::new(PacketKind::Pull, 0, "/echo/text");
        assert_eq!(self.ask(&header, b"shi").await, 200);
    }

    async fn is_closed(&mut self) {
        let count = self.stream.read(&mut [0; 8]).await.expect("the end");
        assert_eq!(count, 0, "nothing is said");
    }
}

fn pull(uri: &str) -> Header {
    Header::new(PacketKind::Pull, 0, uri)
}

fn compressed(uri: &str) -> Header {
    let mut header = pull(uri);
    header.gzip = 1;
    header
}

fn claims_of_4_gib() -> [Vec<u8>; 2] {
    // Of a header, and of the body behind a header that is whole.
    let header = [&u32::MAX.to_be_bytes()[..], b"p\x08\x01\x10\x01\x1a"].concat();
    let mut body = frame(HeaderCodec::Protobuf, &pull("/echo/raw"), b"");
    body.truncate(body.len() - 4);
    body.extend_from_slice(&u32::MAX.to_be_bytes());
    [header, body]
}

#[test]
fn a_claim_of_4_gib_closes_the_connection_and_takes_nothing() {
    for claim in claims_of_4_gib() {
        let most = peak(PeerConfig::default(), async |mut harm| {
            harm.send(&claim).await;
            harm.is_closed().await;
        });
        assert!(most < MIB, "{most} bytes");
    }
}

#[test]
fn a_claim_of_4_gib_that_is_allowed_takes_what_has_come_of_it_and_little_more() {
    let config = || PeerConfig {
        limits: Limits {
            packet: usize::MAX,
            ..Limits::default()
        },
        ..PeerConfig::default()
    };
    let piece = vec![0; 1024 * 1024];
    for claim in claims_of_4_gib() {
        let most = peak(config(), async |mut harm| {
            harm.send(&claim).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
        assert!(most < 2 * MIB, "{most} bytes for a claim alone");
        let most = peak(config(), async |mut harm| {
            harm.send(&claim).await;
            for _ in 0..8 {
                harm.send(&piece).await;
            }
        });
        // A buffer that grows is there twice, for a moment.
        assert!(most < 4 * 8 * MIB, "{most} bytes for a claim and 8 MiB");
    }
}

/// 64 MiB of zeros, in some 64 KiB.
fn bomb() -> Vec<u8> {
    let mut body = Vec::new();
    let zeros = "\0".repeat(64 * 1024 * 1024);
    let text = Some(CodecId::STRING);
    append_body(&zeros, text, 9, &Codecs::new(), &mut body).expect("a body");
    assert!(body.len() < 100_000);
    body
}

fn inflates_to(inflated: usize) -> PeerConfig {
    PeerConfig {
        limits: Limits {
            inflated,
            ..Limits::default()
        },
        ..PeerConfig::default()
    }
}

#[test]
fn a_bomb_is_400_takes_no_more_than_the_limit_and_is_left_alone_where_it_is_not_opened() {
    let bomb = bomb();
    let most = peak(inflates_to(1024 * 1024), async |mut harm| {
        for _ in 0..3 {
            assert_eq!(harm.ask(&compressed("/echo/text"), &bomb).await, 400);
        }
        harm.goes_on().await;
    });
    assert!(most < 4 * MIB, "{most} bytes");
    let most = peak(PeerConfig::default(), async |mut harm| {
        assert_eq!(harm.ask(&compressed("/echo/raw"), &bomb).await, 200);
        assert_eq!(harm.ask(&compressed("/no/such"), &bomb).await, 404);
        harm.goes_on().await;
    });
    assert!(most < MIB, "{most} bytes");
}

#[test]
fn a_bomb_as_a_reply_fails_its_call_alone() {
    let bomb = bomb();
    let most = peak(inflates_to(1024 * 1024), async |mut harm| {
        let session = harm.session.clone();
        let call = tokio::spawn(async move { session.pull::<_, String>("/a", ()).await });
        let mut reply = harm.hear().await.header;
        reply.kind = PacketKind::Reply;
        reply.status_code = 200;
        reply.gzip = 1;
        harm.send(&frame(HeaderCodec::Protobuf, &reply, &bomb))
            .await;
        let error = call.await.expect("no panic").expect_err("too large");
        assert!(error.is_decode(), "{error}");
        harm.goes_on().await;
    });
    assert!(most < 4 * MIB, "{most} bytes");
}

#[test]
fn deep_json_is_400_in_a_body_and_ends_the_session_in_a_header() {
    let deep = |len: usize| ["[", "{\"a\":"].map(|open| open.repeat(len).into_bytes());
    for deep in deep(1_000_000) {
        let body = [b"j", &deep[..]].concat();
        let most = peak(PeerConfig::default(), async |mut harm| {
            for uri in ["/echo/value", "/echo/numbers", "/echo/text"] {
                assert_eq!(harm.ask(&pull(uri), &body).await, 400, "{uri}");
            }
            harm.goes_on().await;
        });
        // The packet twice, and its buffer.
        assert!(most < 5 * body.len() as u64, "{most} bytes");
    }
    for deep in deep(10_000) {
        for member in ["other", "meta", "timeout_ms", "uri"] {
            let open = format!("j{{\"{member}\":");
            let header = [open.as_bytes(), &deep].concat();
            let most = peak(PeerConfig::default(), async |mut harm| {
                let len = u32::try_from(header.len()).expect("short");
                harm.send(&[&len.to_be_bytes()[..], &header, &[0; 4]].concat())
                    .await;
                harm.is_closed().await;
            });
            assert!(most < MIB, "{member}: {most} bytes");
        }
    }
}

#[test]
fn json_that_is_read_leniently_takes_a_bounded_tree() {
    // Not strict for its repeated member; each of the small objects is a map of its own. Read as a tree up to 1 MiB.
    let body = |len: usize| {
        let objects = "{\"\":0},".repeat(len / 8);
        format!("j[{objects}{{\"a\":\"\\ud800\"}}]").into_bytes()
    };
    let (small, large) = (body(1024 * 1000), body(8 * 1024 * 1024));
    let most = peak(PeerConfig::default(), async |mut harm| {
        assert_eq!(harm.ask(&pull("/echo/numbers"), &small).await, 400);
        assert_eq!(harm.ask(&pull("/echo/numbers"), &large).await, 400);
        harm.goes_on().await;
    });
    assert!(most < 128 * MIB, "{most} bytes");
}

#[test]
fn texts_that_are_not_utf_8_become_replacement_characters_and_the_session_goes_on() {
    peak(PeerConfig::default(), async |mut harm| {
        for (body, answer) in [
            (&b"sa\xffb"[..], "sa\u{fffd}b"),
            (b"j\"a\xffb\"", "j\"a\u{fffd}b\""),
            (b"j\"a\\udc00b\"", "j\"a\u{fffd}b\""),
        ] {
            harm.send(&frame(HeaderCodec::Protobuf, &pull("/echo/text"), body))
                .await;
            assert_eq!(harm.hear().await.body, answer);
        }
        // In a uri, in either header codec, and escaped in its path.
        for header in [
            &b"p\x10\x01\x1a\x02/\xff"[..],
            b"j{\"type\":1,\"uri\":\"/\xff\"}",
            b"j{\"type\":1,\"uri\":\"/\\ud800\"}",
        ] {
            let len = u32::try_from(header.len()).expect("short");
            harm.send(&[&len.to_be_bytes()[..], header, &[0; 4]].concat())
                .await;
            let answer = harm.hear().await.header;
            assert_eq!((answer.status_code, &*answer.uri), (404, "/\u{fffd}"));
        }
        assert_eq!(harm.ask(&pull("/%ff"), b"").await, 404);
        harm.goes_on().await;
    });
}

#[test]
fn a_long_uri_is_not_repeated_where_it_need_not_be() {
    let len = 8 * 1024 * 1024;
    // Answered with the uri, which the format wants, and with a text, in which each backslash would be two.
    for (start, rest, code) in [("/", "x", 404), ("/%zz", "\\", 400), ("//h:", "\\", 400)] {
        let uri = format!("{start}{}", rest.repeat(len));
        let packet = frame(HeaderCodec::Protobuf, &pull(&uri), b"");
        let most = peak(PeerConfig::default(), async |mut harm| {
            harm.send(&packet).await;
            let answer = harm.hear().await;
            assert_eq!(answer.header.status_code, code);
            assert_eq!(answer.header.uri.len(), uri.len());
            assert!(
                answer.header.status.len() < 10_000,
                "{}",
                answer.header.status.len()
            );
        });
        // What comes, what is said, what is heard: each in a buffer that grows.
        assert!(most < 10 * len as u64, "{most} bytes");
    }
}

#[test]
fn replies_that_nobody_waits_for_take_nothing_whatever_their_numbers() {
    let numbers = [
        0,
        1,
        7,
        u64::from(u32::MAX),
        i64::MAX as u64,
        u64::MAX - 1,
        u64::MAX,
    ];
    let mut batch = Vec::new();
    for seq in numbers {
        let mut reply = Header::new(PacketKind::Reply, seq, "/a");
        reply.status_code = 200;
        // JSON numbers from below and beyond are no headers; `a_number_that_is_none_ends_the_session` has them.
        batch.extend(frame(HeaderCodec::Json, &reply, b"j1"));
        batch.extend(frame(HeaderCodec::Protobuf, &reply, b"j1"));
    }
    let batch = batch.repeat(1000);
    let most = peak(PeerConfig::default(), async |mut harm| {
        for _ in 0..10 {
            harm.send(&batch).await;
        }
        harm.goes_on().await;
        assert_eq!(harm.session.pulls_in_flight(), 0);
        // One of them had the number of a call that comes only now.
        let session = harm.session.clone();
        let call = tokio::spawn(async move { session.pull::<_, u8>("/a", ()).await });
        let mut reply = harm.hear().await.header;
        assert_eq!(reply.seq, 0);
        reply.kind = PacketKind::Reply;
        reply.status_code = 200;
        harm.send(&frame(HeaderCodec::Json, &reply, b"j2")).await;
        assert_eq!(call.await.expect("no panic").expect("its own"), 2);
    });
    assert!(most < 2 * MIB, "{most} bytes");
}

#[test]
fn a_number_that_is_none_ends_the_session() {
    for header in [
        r#"j{"seq":-1,"type":1,"uri":"/echo/text"}"#,
        r#"j{"seq":-2147483648,"type":1,"uri":"/echo/text"}"#,
        r#"j{"seq":18446744073709551616,"type":1,"uri":"/echo/text"}"#,
        r#"j{"seq":0.5,"type":1,"uri":"/echo/text"}"#,
        r#"j{"seq":0,"type":2147483648,"uri":"/echo/text"}"#,
        // Numbers that there are, for types that there are not.
        r#"j{"seq":0,"type":2147483647,"uri":"/echo/text"}"#,
        r#"j{"seq":0,"type":-2147483648,"uri":"/echo/text"}"#,
        r#"j{"seq":0,"uri":"/echo/text"}"#,
    ] {
        peak(PeerConfig::default(), async |mut harm| {
            let len = u32::try_from(header.len()).expect("short");
            harm.send(&[&len.to_be_bytes()[..], header.as_bytes(), &[0; 4]].concat())
                .await;
            harm.is_closed().await;
        });
    }
}

#[test]
fn levels_and_codes_at_the_edges_are_repeated_or_told() {
    peak(PeerConfig::default(), async |mut harm| {
        for gzip in [i32::MIN, -3, 10, i32::MAX] {
            let mut header = pull("/echo/text");
            header.gzip = gzip;
            // There is no such level to answer at.
            assert_eq!(harm.ask(&header, b"s").await, 500, "{gzip}");
            header.uri = "/echo/raw".into();
            assert_eq!(harm.ask(&header, b"sx").await, 200, "{gzip}");
            header.uri = "/no/such".into();
            assert_eq!(harm.ask(&header, b"sx").await, 404, "{gzip}");
        }
        harm.goes_on().await;
        for code in [i32::MIN, -1, 0, i32::MAX] {
            let session = harm.session.clone();
            let call = tokio::spawn(async move { session.pull::<_, u8>("/a", ()).await });
            let mut reply = harm.hear().await.header;
            reply.kind = PacketKind::Reply;
            reply.status_code = code;
            harm.send(&frame(HeaderCodec::Protobuf, &reply, b"")).await;
            let error = call.await.expect("no panic").expect_err("not 200");
            assert!(error.is_remote() && error.code() == code, "{error}");
        }
    });
}

#[test]
fn names_and_values_in_headers_are_bounded_in_number() {
    let mut header = b"p\x10\x01\x1a\x08/no/such".to_vec();
    for number in 0..100_000_u32 {
        header.extend_from_slice(b"\xd2\x3e\x06\x0a\x04");
        header.extend_from_slice(&number.to_be_bytes().map(|byte| b'a' + byte % 26));
    }
    let len = u32::try_from(header.len()).expect("short");
    let packet = [&len.to_be_bytes()[..], &header, &[0; 4]].concat();
    let most = peak(PeerConfig::default(), async |mut harm| {
        harm.send(&packet).await;
        assert_eq!(harm.hear().await.header.status_code, 404);
    });
    assert!(most < 4 * packet.len() as u64, "{most} bytes");
}
