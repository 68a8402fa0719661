//! Peers that mean harm, or are broken: what they can hold of this side, in bytes and in time, and that others do not feel them.
//!
//! Memory is counted by the allocator, on the one thread that everything runs on; the bounds are those that `PeerConfig` tells.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use allocation_counter::measure;
use teleport::{
    Peer, PeerConfig, PullController, PushController, Raw, Router, Session,
    protocol::{Header, HeaderCodec, PacketKind},
    pull_controller, push_controller,
};
use teleport_tests::{
    log::Log,
    pair::{PIPE, connect, peer},
    wire::frame,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Builder,
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);
/// Who is closed on has so long to close too.
const PARTING: Duration = Duration::from_secs(3);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

struct Size;

#[pull_controller]
impl Size {
    async fn of(&self, text: String) -> usize {
        text.len()
    }

    async fn make(&self, len: usize) -> String {
        "x".repeat(len)
    }
}

/// Handlers that never end, and how many there are.
#[derive(Clone, Default)]
struct Endless(Arc<AtomicUsize>);

#[pull_controller]
impl Endless {
    async fn wait(&self, _args: Raw) {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::pending().await
    }
}

#[push_controller]
impl Endless {
    async fn push(&self, _args: Raw) {
        self.wait(Raw::default()).await;
    }
}

impl Endless {
    fn running(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn routes(&self) -> Router {
        PullController::into_router(self.clone())
            .merge(PushController::into_router(self.clone()))
            .merge(Size.into_router())
    }
}

/// The most bytes that this thread has had at a time while it ran `work`, on a clock that jumps when all wait.
fn peak(work: impl Future<Output = ()>) -> u64 {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    measure(|| runtime.block_on(work)).bytes_max
}

/// A stranger's end of a connection to `peer`, and the session there.
async fn stranger(peer: &Peer) -> (DuplexStream, Session) {
    let (wire, stream) = tokio::io::duplex(PIPE);
    (wire, peer.serve_conn(stream).await.expect("a session"))
}

fn pull(seq: u64, uri: &'static str, body: &[u8]) -> Vec<u8> {
    let header = Header::new(PacketKind::Pull, seq, uri);
    frame(HeaderCodec::Protobuf, &header, body)
}

/// Writes `bytes` again and again until for a second none are taken. Gives how many were.
async fn pour(wire: &mut DuplexStream, bytes: &[u8]) -> u64 {
    let mut poured = 0;
    while let Ok(Ok(count)) = timeout(SECOND, wire.write(bytes)).await {
        // The rest of a packet that was taken in part.
        let rest = timeout(SECOND, wire.write_all(&bytes[count..])).await;
        if !matches!(rest, Ok(Ok(()))) {
            break;
        }
        poured += bytes.len() as u64;
        assert!(poured < 200 * MIB, "there is no end to what is taken");
    }
    poured
}

/// An honest session to the same peer.
async fn neighbour(server: &Peer) -> Session {
    let client = peer(PeerConfig::default(), Router::new());
    connect(server.clone(), client).await.session
}

/// A call on `session` is answered, and without waiting for the clock.
async fn is_served(session: &Session) {
    let start = Instant::now();
    let size = SizeClient::new(session).of("abc".into()).await;
    assert_eq!(size.expect("answered"), 3);
    assert_eq!(start.elapsed(), Duration::ZERO, "nothing was waited for");
}

fn small_buffer() -> PeerConfig {
    PeerConfig {
        write_buffer: 64 * 1024,
        ..PeerConfig::default()
    }
}

#[test]
fn who_never_reads_and_calls_what_is_refused_is_not_read_from_any_more_and_then_cut() {
    let found = peak(async {
        let server = peer(small_buffer(), Size.into_router());
        let other = neighbour(&server).await;
        let (mut wire, session) = stranger(&server).await;
        let poured = pour(&mut wire, &pull(1, "/no/where", b"").repeat(100)).await;
        assert!(poured < 2 * MIB, "{poured} bytes were read");
        is_served(&other).await;
        let start = Instant::now();
        session.closed().await;
        assert!(start.elapsed() <= server.config().write_timeout.expect("a limit"));
        is_served(&other).await;
    });
    // Twice the buffer, what one more read makes of it, and room that vectors keep to grow into.
    assert!(found < 2 * MIB, "{} KiB", found / KIB);
}

#[tokio::test(start_paused = true)]
async fn who_reads_again_is_served_again_and_nothing_is_lost() {
    let server = peer(small_buffer(), Size.into_router());
    let (wire, _session) = stranger(&server).await;
    let (mut read, mut write) = tokio::io::split(wire);
    const CALLS: u64 = 20_000;
    let writing = tokio::spawn(async move {
        for seq in 0..CALLS {
            let pull = pull(seq, "/no/where", b"");
            write.write_all(&pull).await.expect("taken in the end");
        }
        write
    });
    // Long enough for the server to stop.
    sleep(SECOND).await;
    assert!(!writing.is_finished(), "the writer waits for the reader");
    let mut replies = 0;
    let mut bytes = bytes::BytesMut::new();
    while replies < CALLS {
        use teleport::protocol::{Decoded, Limits, Protocol, Standard};
        match Standard
            .decode(&mut bytes, &Limits::default())
            .expect("packets")
        {
            Decoded::Packet(packet) => {
                assert_eq!(packet.header.seq, replies);
                assert_eq!(packet.header.status_code, 404);
                replies += 1;
            }
            Decoded::NeedMore { .. } => _ = read.read_buf(&mut bytes).await.expect("more"),
        }
    }
    writing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn who_reads_a_byte_a_second_is_cut_although_there_is_always_progress() {
    let server = peer(PeerConfig::default(), Size.into_router());
    let other = neighbour(&server).await;
    // A pipe as narrow as the reader is slow: what it holds does not count as read.
    let (mut wire, stream) = tokio::io::duplex(256);
    let session = server.serve_conn(stream).await.expect("a session");
    let start = Instant::now();
    wire.write_all(&pull(0, "/size/make", b"j1000000"))
        .await
        .expect("taken");
    let mut read = 0;
    while let Ok(1) = wire.read(&mut [0]).await {
        read += 1;
        sleep(SECOND).await;
        if read == 60 {
            is_served(&other).await;
        }
        assert!(read < 1000, "it is cut");
    }
    session.closed().await;
    let limit = server.config().write_timeout.expect("a limit");
    assert!(start.elapsed() < limit * 3, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_sends_a_byte_a_second_is_cut_after_the_packet_timeout_and_the_log_says_why() {
    let log = Log::start();
    let server = peer(PeerConfig::default(), Size.into_router());
    let other = neighbour(&server).await;
    let (mut wire, session) = stranger(&server).await;
    let packet = pull(0, "/size/of", &[b'j'; 500]);
    let start = Instant::now();
    for byte in packet {
        if wire.write_all(&[byte]).await.is_err() || !session.is_open() {
            break;
        }
        is_served(&other).await;
        sleep(SECOND).await;
    }
    session.closed().await;
    let limit = server.config().packet_timeout.expect("a limit");
    let took = start.elapsed();
    assert!(took >= limit && took < limit + PARTING + SECOND, "{took:?}");
    let line = log.line("session closed").await;
    assert!(line.contains("WARN"), "{line}");
    assert!(line.contains("packet timeout of 30s"), "{line}");
}

#[tokio::test(start_paused = true)]
async fn one_byte_of_a_packet_and_then_nothing_is_cut_too() {
    let server = peer(PeerConfig::default(), Size.into_router());
    let (mut wire, session) = stranger(&server).await;
    // A whole one before it, and long silence, are no help and no harm.
    wire.write_all(&pull(0, "/size/of", b"j\"a\""))
        .await
        .expect("taken");
    sleep(SECOND * 1000).await;
    assert!(session.is_open());
    let start = Instant::now();
    wire.write_all(&[0]).await.expect("taken");
    session.closed().await;
    let took = start.elapsed();
    assert!(
        took >= SECOND * 30 && took < SECOND * 31 + PARTING,
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_takes_its_time() {
    let server = peer(PeerConfig::default(), Size.into_router());
    let (mut wire, session) = stranger(&server).await;
    let text = format!("j\"{}\"", "x".repeat(300_000));
    let start = Instant::now();
    // 2 KB a second: the packet takes longer than five times the limit.
    for part in pull(0, "/size/of", text.as_bytes()).chunks(2000) {
        wire.write_all(part).await.expect("taken");
        sleep(SECOND).await;
    }
    assert!(start.elapsed() > SECOND * 149);
    let mut reply = [0; 64];
    let count = wire.read(&mut reply).await.expect("a reply");
    assert!(reply[..count].ends_with(b"j300000"));
    assert!(session.is_open());
}

/// Does `attack` while 100 calls of another session are made.
async fn undisturbed(server: &Peer, attack: impl Future<Output = ()> + Send + 'static) {
    let other = neighbour(server).await;
    let attack = tokio::spawn(attack);
    // In a task, for the scheduler asks those in turn.
    let calls = tokio::spawn(async move {
        for _ in 0..100 {
            is_served(&other).await;
        }
    });
    calls.await.expect("served");
    assert!(!attack.is_finished(), "it went on all the time");
    attack.abort();
}

fn push(uri: &'static str, body: &[u8]) -> Vec<u8> {
    let header = Header::new(PacketKind::Push, 0, uri);
    frame(HeaderCodec::Protobuf, &header, body)
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pushes_holds_nobody_up_and_nothing_of_it_is_kept() {
    for uri in ["/no/where", "/~teleport/cancel?seq=7", "/endless/push"] {
        let endless = Endless::default();
        let config = PeerConfig {
            max_handlers: 100,
            ..PeerConfig::default()
        };
        let server = peer(config, endless.routes());
        let (mut wire, _session) = stranger(&server).await;
        let many = push(uri, b"j1").repeat(1000);
        undisturbed(&server, async move {
            while wire.write_all(&many).await.is_ok() {}
        })
        .await;
        assert!(endless.running() <= 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pulls_that_are_given_up_holds_nobody_up() {
    let endless = Endless::default();
    let config = PeerConfig {
        max_handlers: 100,
        ..small_buffer()
    };
    let server = peer(config, endless.routes());
    let (wire, _session) = stranger(&server).await;
    let (mut read, mut write) = tokio::io::split(wire);
    let reading = tokio::spawn(async move {
        let mut waste = vec![0; 64 * 1024];
        while matches!(read.read(&mut waste).await, Ok(1..)) {}
    });
    let mut each = pull(7, "/endless/wait", b"j7");
    each.extend(push("/~teleport/cancel?seq=7", b""));
    let many = each.repeat(1000);
    undisturbed(&server, async move {
        while write.write_all(&many).await.is_ok() {}
    })
    .await;
    assert_eq!(
        endless.running(),
        100,
        "the route does not stop its handlers"
    );
    reading.abort();
}
