//! Bodies that are read into buffers of their own, and written without being copied.

use std::time::Duration;

use bytes::Bytes;
use teleport::{
    CodecId, Peer, PeerConfig, Protobuf, PullController, PushController, Raw, Router, Session,
    Status, pull_controller, push_controller,
};
use teleport_tests::pair::{connect, pair, peer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A message with large fields, some shared with what was received, some not.
#[derive(Clone, PartialEq, prost::Message)]
struct Album {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    cover: Bytes,
    #[prost(bytes = "vec", tag = "3")]
    back: Vec<u8>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pages: Vec<Bytes>,
}

impl Album {
    fn new(seed: u8, len: usize) -> Self {
        let bytes = |add| Bytes::from(vec![seed.wrapping_add(add); len]);
        Self {
            name: format!("album {seed}"),
            cover: bytes(1),
            back: bytes(2).to_vec(),
            pages: vec![bytes(3), Bytes::new(), bytes(4), Bytes::from_static(b"end")],
        }
    }
}

struct Echo;

#[pull_controller]
impl Echo {
    async fn album(&self, album: Album) -> Album {
        album
    }

    async fn text(&self, text: String) -> String {
        text
    }

    async fn raw(&self, raw: Raw) -> Raw {
        raw
    }

    async fn later(&self, album: Album) -> Album {
        tokio::task::yield_now().await;
        album
    }
}

const SIZES: [usize; 7] = [0, 1, 5 * KIB, 16 * KIB, 16 * KIB + 1, 300 * KIB, MIB + 7];

fn protobuf() -> PeerConfig {
    PeerConfig {
        body_codec: CodecId::PROTOBUF,
        ..PeerConfig::default()
    }
}

async fn session(config: PeerConfig) -> Session {
    let server = peer(config.clone(), Echo.into_router());
    connect(server, peer(config, Router::new())).await.session
}

#[tokio::test]
async fn large_and_small_bodies_come_back_as_they_were_in_every_codec() {
    for body_codec in [CodecId::PROTOBUF, CodecId::JSON] {
        let session = session(PeerConfig {
            body_codec,
            ..PeerConfig::default()
        })
        .await;
        let mut calls = JoinSet::new();
        for (seed, len) in (0..).zip(SIZES.repeat(3)) {
            let messages = body_codec == CodecId::PROTOBUF;
            let echo = EchoClient::new(&session);
            calls.spawn(async move {
                if messages {
                    let album = Album::new(seed, len);
                    assert!(echo.album(album.clone()).await.expect("an album") == album);
                    assert!(echo.later(album.clone()).await.expect("an album") == album);
                }
                let raw = Raw(Bytes::from(vec![b'x'; len]));
                assert!(echo.raw(raw.clone()).await.expect("bytes") == raw);
                let text = "ä".repeat(len);
                assert!(echo.text(text.clone()).await.expect("a text") == text);
            });
        }
        calls.join_all().await;
    }
}

#[tokio::test]
async fn large_bodies_are_compressed_if_that_is_asked_for() {
    let session = session(protobuf()).await;
    for len in SIZES {
        let album = Album::new(7, len);
        let pull = session.pull::<_, Protobuf<Album>>("/echo/album", Protobuf(album.clone()));
        assert!(pull.gzip(1).await.expect("an album").0 == album);
    }
}

#[tokio::test]
async fn a_proxy_passes_large_bodies_on() {
    let backend = session(protobuf()).await;
    let gate = peer(protobuf(), Router::new().proxy_to(&backend));
    let session = connect(gate, peer(protobuf(), Router::new())).await.session;
    let echo = EchoClient::new(&session);
    for len in SIZES {
        let album = Album::new(9, len);
        assert!(echo.album(album.clone()).await.expect("an album") == album);
    }
}

struct Log(mpsc::UnboundedSender<usize>);

#[push_controller]
impl Log {
    async fn put(&self, raw: Raw) {
        self.0.send(raw.0.len()).ok();
    }
}

#[tokio::test]
async fn packets_of_one_task_keep_their_order_whatever_their_size() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let pair = pair(Log(tx).into_router(), Router::new()).await;
    let lengths: Vec<usize> = SIZES.into_iter().chain([3, 2 * MIB, 4]).collect();
    for len in lengths.repeat(4) {
        let raw = Raw(Bytes::from(vec![b'x'; len]));
        pair.session.push("/log/put", raw).await.expect("sent");
    }
    for len in lengths.repeat(4) {
        assert_eq!(rx.recv().await, Some(len));
    }
}

/// Both sides pull at once, and neither stream holds more than a fraction of what is under way.
#[tokio::test]
async fn two_sides_that_send_each_other_large_bodies_do_not_wait_for_each_other() {
    let pair = pair(Echo.into_router(), Echo.into_router()).await;
    let mut calls = JoinSet::new();
    for session in [pair.session.clone(), pair.accepted.clone()] {
        for _ in 0..4 {
            let echo = EchoClient::new(&session);
            calls.spawn(async move {
                let raw = Raw(Bytes::from(vec![b'x'; 5 * MIB]));
                assert!(echo.raw(raw.clone()).await.expect("bytes") == raw);
            });
        }
    }
    calls.join_all().await;
}

/// A session whose other side is a bare stream.
async fn alone(config: PeerConfig) -> (Session, DuplexStream) {
    let (far, near) = duplex(KIB);
    let peer = Peer::builder().config(config).build().expect("a peer");
    let session = peer.serve_conn(near).await.expect("a session");
    (session, far)
}

#[tokio::test]
async fn a_generated_client_shares_large_arguments_until_they_are_written() {
    for message in [false, true] {
        let (session, mut far) = alone(protobuf()).await;
        let body = Bytes::from(vec![b'x'; 300 * KIB]);
        let echo = EchoClient::new(&session);
        let cover = body.clone();
        let call = tokio::spawn(async move {
            if message {
                let album = Album {
                    cover,
                    ..Album::default()
                };
                echo.album(album).await.map(drop)
            } else {
                echo.raw(Raw(cover)).await.map(drop)
            }
        });
        far.read_u8().await.expect("the beginning of the frame");
        // The call has let go of its arguments when it was sent, so this is what still waits to be written.
        assert!(!body.is_unique(), "copied; a message: {message}");
        let mut rest = vec![0; 300 * KIB];
        far.read_exact(&mut rest).await.expect("the body");
        drop(far);
        let ended = call.await.expect("a task");
        assert!(ended.is_err(), "there was no reply");
        session.closed().await;
        assert!(body.is_unique(), "nothing of it is left behind");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_copied_counts_as_waiting_to_be_written() {
    let (session, mut far) = alone(PeerConfig {
        write_buffer: 100 * KIB,
        write_timeout: None,
        ..PeerConfig::default()
    })
    .await;
    let body = Bytes::from(vec![b'x'; 300 * KIB]);
    let raw = || Raw(body.clone());
    session.push("/a", raw()).await.expect("there is room");
    let mut second = std::pin::pin!(session.push("/a", raw()).into_future());
    let waits = timeout(Duration::from_secs(60), second.as_mut()).await;
    assert!(waits.is_err(), "the first is over the limit");

    // All but a little less than the limit is taken.
    let mut rest = vec![0; 202 * KIB];
    far.read_exact(&mut rest).await.expect("the first body");
    second.await.expect("there is room again");
    drop(far);
    session.closed().await;
    assert!(body.is_unique(), "nothing of it is left behind");
}

#[tokio::test]
async fn a_connection_that_is_cut_inside_a_body_fails_the_call_and_lets_the_body_go() {
    let (session, mut far) = alone(PeerConfig::default()).await;
    let body = Bytes::from(vec![b'x'; MIB]);
    let call = tokio::spawn({
        let (session, raw) = (session.clone(), Raw(body.clone()));
        async move { session.pull::<_, Raw>("/a", raw).await }
    });
    let mut some = vec![0; 300 * KIB];
    far.read_exact(&mut some).await.expect("a part of it");
    drop(far);
    let error = call.await.expect("a task").expect_err("no reply");
    assert_eq!(error.code(), 101, "{error}");
    session.closed().await;
    assert!(body.is_unique());
}

#[tokio::test]
async fn a_body_that_ends_early_ends_the_session() {
    let (near, mut far) = duplex(KIB);
    let server = peer(PeerConfig::default(), Echo.into_router());
    let session = server.serve_conn(near).await.expect("a session");
    let mut head = b"\0\0\0\x0fp\x10\x01\x1a\x0a/echo/text".to_vec();
    head[3] = (head.len() - 4) as u8;
    far.write_all(&head).await.expect("a header");
    far.write_all(&(MIB as u32).to_be_bytes())
        .await
        .expect("a length");
    far.write_all(&vec![b's'; 400 * KIB])
        .await
        .expect("a part of a body");
    drop(far);
    session.closed().await;
}

/// Says no when it is to be encoded, after a large piece of it.
struct Broken;

impl teleport::codec::Encode for Broken {
    fn body_kind(&self) -> teleport::codec::BodyKind {
        teleport::codec::BodyKind::Value
    }

    fn fallback_codec(&self) -> CodecId {
        CodecId::STRING
    }

    fn encode(
        &self,
        _: CodecId,
        _: &teleport::codec::Codecs,
        _: &mut Vec<u8>,
    ) -> Result<(), teleport::codec::CodecError> {
        unreachable!("parts are asked for")
    }

    fn encode_parts(
        &self,
        _: CodecId,
        _: &teleport::codec::Codecs,
        out: &mut teleport::codec::Parts,
    ) -> Result<(), teleport::codec::CodecError> {
        out.share(Bytes::from(vec![b'x'; MIB]));
        Err(teleport::codec::CodecError::encode("broken"))
    }
}

struct Unlucky;

impl Unlucky {
    fn router() -> Router {
        Router::new().unknown_pull(|_| async { Ok::<_, Status>(Broken) })
    }
}

#[tokio::test]
async fn a_value_that_fails_behind_a_large_piece_leaves_nothing_of_it() {
    let pair = pair(Unlucky::router().merge(Echo.into_router()), Router::new()).await;
    let error = pair.session.push("/a", Broken).await.expect_err("broken");
    assert!(error.is_encode(), "{error}");
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let session = pair.session.clone();
        calls.spawn(async move {
            if number % 2 == 0 {
                let error = session.pull::<_, Raw>("/no", ()).await.expect_err("500");
                assert_eq!(error.code(), 500, "{error}");
            } else {
                let raw = Raw(Bytes::from(vec![b'x'; 100 * KIB]));
                let echo = EchoClient::new(&session);
                assert!(echo.raw(raw.clone()).await.expect("bytes") == raw);
            }
        });
    }
    calls.join_all().await;
}
