//! Peers that mean harm, or are broken: what they can hold of this side, in bytes and in time, and that others do not feel them.
//!
//! Memory is counted by the allocator, on the one thread that everything runs on; the bounds are those that `PeerConfig` tells.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use allocation_counter::measure;
use bytes::BytesMut;
use teleport::{
    Handshake, Peer, PeerConfig, Plugin, PullController, PushController, Raw, Router, Session,
    Status,
    plugins::ConnectionLimit,
    protocol::{Decoded, Header, HeaderCodec, Limits, PacketKind, Protocol, Standard},
    pull_controller, push_controller,
};
use teleport_tests::{
    log::Log,
    pair::{PIPE, connect, peer},
    wire::{frame, zipped},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::{TcpSocket, TcpStream},
    runtime::Builder,
    sync::Notify,
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

    async fn make_later(&self, len: usize) -> String {
        tokio::task::yield_now().await;
        self.make(len).await
    }

    /// Never ends.
    async fn keep(&self, text: String) -> usize {
        std::future::pending::<()>().await;
        text.len()
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
    let mut bytes = BytesMut::new();
    while replies < CALLS {
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

/// Uses up what the runtime grants a task for one turn.
struct Greedy;

#[pull_controller]
impl Greedy {
    async fn feast(&self) {
        for _ in 0..1000 {
            tokio::task::consume_budget().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_byte_behind_a_call_that_uses_up_the_turn_is_cut_too() {
    let server = peer(PeerConfig::default(), Greedy.into_router());
    let (mut wire, session) = stranger(&server).await;
    let start = Instant::now();
    let bytes = [pull(0, "/greedy/feast", b""), vec![0]].concat();
    wire.write_all(&bytes).await.expect("taken");
    let closed = timeout(SECOND * 100, session.closed()).await;
    closed.expect("its time is over");
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

/// A pull with a body of `size` bytes.
fn large_pull(seq: u64, uri: &'static str, size: usize) -> Vec<u8> {
    let text = format!("j\"{}\"", "x".repeat(size - 3));
    pull(seq, uri, text.as_bytes())
}

fn memory(session_memory: u64, peer_memory: u64) -> PeerConfig {
    PeerConfig {
        session_memory: session_memory as usize,
        peer_memory: peer_memory as usize,
        ..small_buffer()
    }
}

/// Sends `bytes` so many times, and throws away what comes.
async fn send_all(wire: &mut DuplexStream, bytes: &[u8], times: usize) {
    let (mut read, mut write) = tokio::io::split(wire);
    let writing = async {
        for _ in 0..times {
            write.write_all(bytes).await.expect("taken");
        }
    };
    let mut waste = vec![0; 16 * 1024];
    let reading = async { while read.read(&mut waste).await.expect("open") > 0 {} };
    tokio::select! {
        () = writing => {}
        () = reading => {}
    }
    settle().await;
}

/// Lets the peers do what they can.
async fn settle() {
    // On a paused clock it comes when all others wait.
    sleep(Duration::from_millis(1)).await;
}

#[test]
fn large_arguments_of_handlers_that_never_end_are_bounded_for_a_session() {
    let endless = Endless::default();
    let running = endless.clone();
    let found = peak(async move {
        let server = peer(memory(8 * MIB, 1 << 40), endless.routes());
        let other = neighbour(&server).await;
        let (mut wire, _session) = stranger(&server).await;
        let one = large_pull(1, "/endless/wait", MIB as usize);
        send_all(&mut wire, &one, 100).await;
        is_served(&other).await;
    });
    assert!(
        (4..=8).contains(&running.running()),
        "{}",
        running.running()
    );
    // Eight, one more, and one that is being read; each in a buffer that may have doubled. Then what the test has of its own.
    assert!(found < 24 * MIB, "{} KiB", found / KIB);
}

#[test]
fn a_small_call_does_not_keep_the_buffer_that_it_came_in() {
    let endless = Endless::default();
    let running = endless.clone();
    let found = peak(async move {
        let server = peer(PeerConfig::default(), endless.routes());
        let (mut wire, _session) = stranger(&server).await;
        // One call in a quarter of a MiB of what is thrown away.
        let mut one = pull(1, "/endless/wait", b"j1");
        one.extend(push("/no/where", &[b'x'; 1000]).repeat(250));
        send_all(&mut wire, &one, 100).await;
    });
    assert_eq!(running.running(), 100);
    assert!(found < 3 * MIB, "{} KiB", found / KIB);
}

/// Reads so many replies, and counts them by their codes.
async fn codes(wire: &mut DuplexStream, replies: usize) -> BTreeMap<i32, usize> {
    let mut bytes = BytesMut::new();
    let mut codes = BTreeMap::new();
    while codes.values().sum::<usize>() < replies {
        let decoded = Standard.decode(&mut bytes, &Limits::default());
        match decoded.expect("packets") {
            Decoded::Packet(packet) => *codes.entry(packet.header.status_code).or_default() += 1,
            Decoded::NeedMore { .. } => _ = wire.read_buf(&mut bytes).await.expect("more"),
        }
    }
    codes
}

#[test]
fn replies_that_are_not_read_are_bounded_for_a_session() {
    let found = peak(async {
        let server = peer(memory(2 * MIB, 1 << 40), Size.into_router());
        let other = neighbour(&server).await;
        let (mut wire, session) = stranger(&server).await;
        let many: Vec<u8> = (0..1000)
            .flat_map(|seq| pull(seq, "/size/make", b"j100000"))
            .collect();
        wire.write_all(&many).await.expect("taken");
        settle().await;
        is_served(&other).await;
        // Each call has a reply, if only one that says that there was no room for it.
        let codes = codes(&mut wire, 1000).await;
        assert!(codes[&200] >= 10 && codes[&503] > 500, "{codes:?}");
        assert!(session.is_open());
    });
    assert!(found < 6 * MIB, "{} KiB", found / KIB);
}

#[test]
fn handlers_that_all_have_large_replies_at_once_cannot_make_them_all_wait() {
    let found = peak(async {
        let server = peer(memory(2 * MIB, 1 << 40), Size.into_router());
        let (mut wire, _session) = stranger(&server).await;
        let many: Vec<u8> = (0..500)
            .flat_map(|seq| pull(seq, "/size/make_later", b"j100000"))
            .collect();
        wire.write_all(&many).await.expect("taken");
        settle().await;
        let codes = codes(&mut wire, 500).await;
        assert!(codes[&200] >= 10 && codes[&500] > 100, "{codes:?}");
    });
    assert!(found < 6 * MIB, "{} KiB", found / KIB);
}

#[test]
fn what_small_compressed_bodies_become_is_bounded_for_a_session() {
    let found = peak(async {
        let server = peer(memory(8 * MIB, 1 << 40), Size.into_router());
        let other = neighbour(&server).await;
        let (mut wire, _session) = stranger(&server).await;
        let bomb = zipped(&"x".repeat(4 * MIB as usize).into(), 9);
        assert!(bomb.len() < 8 * 1024);
        let mut header = Header::new(PacketKind::Pull, 1, "/size/keep");
        header.gzip = 9;
        let one = frame(HeaderCodec::Protobuf, &header, &bomb);
        send_all(&mut wire, &one, 50).await;
        is_served(&other).await;
    });
    // Two are held, and to read one its text exists twice; each in a buffer that may have doubled.
    assert!(found < 32 * MIB, "{} KiB", found / KIB);
}

#[test]
fn large_packets_on_their_way_are_bounded_for_all_sessions_together() {
    let found = peak(async {
        let server = peer(memory(1 << 40, 8 * MIB), Size.into_router());
        let other = neighbour(&server).await;
        // Each sends most of a packet of 4 MiB and not its end.
        let most = large_pull(1, "/size/of", 4 * MIB as usize);
        let mut wires = Vec::new();
        for _ in 0..20 {
            let (mut wire, session) = stranger(&server).await;
            let most = most.clone();
            let sent = tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(&mut wire);
                let sent = write.write_all(&most[..most.len() - 1]).await;
                // Until the other side closes.
                let _ = read.read(&mut [0]).await;
                sent.is_ok()
            });
            wires.push((sent, session));
        }
        settle().await;
        is_served(&other).await;
        let start = Instant::now();
        for (sent, session) in wires {
            session.closed().await;
            let _ = sent.await;
        }
        let limit = server.config().packet_timeout.expect("a limit");
        assert!(start.elapsed() < limit * 2, "{:?}", start.elapsed());
        // What they had is there again.
        let honest = neighbour(&server).await;
        let size = SizeClient::new(&honest)
            .of("x".repeat(4 * MIB as usize))
            .await;
        assert_eq!(size.expect("answered"), 4 * MIB as usize);
    });
    // The test itself has 20 packets of 4 MiB, and what the last call makes of one.
    let own = 20 * 4 * MIB + 5 * 4 * MIB;
    // The peer's, and a MiB for each.
    assert!(found < own + 8 * MIB + 21 * MIB, "{} KiB", found / KIB);
}

#[tokio::test(start_paused = true)]
async fn a_large_packet_waits_for_memory_and_is_read_when_there_is_some() {
    let server = peer(memory(1 << 40, 4 * MIB), Size.into_router());
    let (mut wire, _session) = stranger(&server).await;
    let most = large_pull(1, "/size/of", 3 * MIB as usize);
    let (last, most) = most.split_last().expect("not empty");
    wire.write_all(most).await.expect("taken");
    let honest = neighbour(&server).await;
    let waiting = tokio::spawn(async move {
        SizeClient::new(&honest)
            .of("y".repeat(3 * MIB as usize))
            .await
    });
    settle().await;
    assert!(!waiting.is_finished(), "the stranger has what it needs");
    wire.write_all(&[*last]).await.expect("taken");
    let size = waiting.await.expect("no panic").expect("answered");
    assert_eq!(size, 3 * MIB as usize);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_memory_for_its_packet_is_closed_after_the_packet_timeout_and_told_why() {
    let log = Log::start();
    let server = peer(memory(1 << 40, MIB), Size.into_router());
    let (mut wire, session) = stranger(&server).await;
    let packet = large_pull(1, "/size/of", 4 * MIB as usize);
    let writing = tokio::spawn(async move { wire.write_all(&packet).await });
    session.closed().await;
    writing.abort();
    let line = log.line("session closed").await;
    assert!(line.contains("`peer_memory` is used up"), "{line}");
}

#[test]
fn handlers_that_never_end_are_counted_when_their_connections_are_gone() {
    let endless = Endless::default();
    let found = peak(async move {
        let server = peer(memory(1 << 40, 8 * MIB), endless.routes());
        let other = neighbour(&server).await;
        let one = large_pull(1, "/endless/wait", 200_000);
        let mut refused = 0;
        for _ in 0..200 {
            let (mut wire, stream) = tokio::io::duplex(PIPE);
            let Ok(session) = server.serve_conn(stream).await else {
                refused += 1;
                continue;
            };
            send_all(&mut wire, &one, 2).await;
            // Gone at once, without taking leave: the handlers stay.
            session.abort();
            drop(wire);
            settle().await;
        }
        assert!(refused > 150, "{refused}");
        is_served(&other).await;
    });
    assert!(found < 16 * MIB, "{} KiB", found / KIB);
}

#[test]
fn a_connection_that_says_nothing_takes_a_few_kib_and_ends_after_the_read_timeout() {
    const COUNT: u64 = 2000;
    let found = peak(async {
        let config = PeerConfig {
            read_timeout: Some(SECOND * 60),
            ..PeerConfig::default()
        };
        let server = peer(config, Size.into_router());
        let mut wires = Vec::new();
        for number in 0..COUNT {
            let (mut wire, stream) = tokio::io::duplex(64);
            server.serve_conn(stream).await.expect("a session");
            if number % 2 == 0 {
                // Half of them claim that something large will come.
                let claim = (60 * MIB as u32).to_be_bytes();
                wire.write_all(&claim).await.expect("taken");
            }
            wires.push(wire);
        }
        settle().await;
        assert_eq!(server.session_count() as u64, COUNT);
        let other = neighbour(&server).await;
        is_served(&other).await;
        let start = Instant::now();
        for mut wire in wires {
            assert_eq!(wire.read(&mut [0; 8]).await.expect("the end"), 0);
        }
        assert!(start.elapsed() <= SECOND * 60 + PARTING);
        sleep(PARTING).await;
        assert_eq!(server.session_count(), 0);
    });
    // A claim is believed for 16 KiB of it.
    let bound = COUNT * 4 * KIB + COUNT / 2 * 16 * KIB;
    assert!(found < bound, "{} bytes for each", found / COUNT);
}

/// Counts whom the plugins before it let in.
struct LetIn(Arc<AtomicUsize>);

impl Plugin for LetIn {
    fn name(&self) -> &str {
        "let in"
    }

    async fn post_accept(&self, _: &mut Handshake<'_>) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn silent_sockets_from_one_address_are_few_and_another_address_is_let_in() {
    let let_in = Arc::default();
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".into()],
        read_timeout: Some(SECOND * 60),
        ..PeerConfig::default()
    };
    let server = Peer::builder()
        .config(config)
        .plugin(ConnectionLimit::new().per_ip(100))
        .plugin(LetIn(Arc::clone(&let_in)))
        .routes(Size.into_router())
        .build()
        .expect("a peer");
    let listening = server.listen().await.expect("a free port");
    let address = listening.addrs()[0].socket_addr().expect("TCP");
    let mut sockets = Vec::new();
    for _ in 0..300 {
        sockets.push(TcpStream::connect(address).await.expect("connected"));
    }
    let elsewhere = TcpSocket::new_v4().expect("a socket");
    let from = "127.0.0.2:0".parse().expect("an address");
    elsewhere.bind(from).expect("bound");
    let stream = elsewhere.connect(address).await.expect("connected");
    let client = peer(PeerConfig::default(), Router::new());
    let honest = client.serve_conn(stream).await.expect("a session");
    let size = SizeClient::new(&honest).of("abc".into()).await;
    assert_eq!(size.expect("answered"), 3);
    for mut socket in sockets {
        assert_eq!(socket.read(&mut [0; 8]).await.expect("the end"), 0);
    }
    assert_eq!(let_in.load(Ordering::Relaxed), 101);
}

/// Takes until the test says so to be read.
#[derive(serde::Serialize)]
struct Endlessly;

static BEGUN: Notify = Notify::const_new();
static READ: AtomicBool = AtomicBool::new(false);

impl<'de> serde::Deserialize<'de> for Endlessly {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BEGUN.notify_one();
        while !READ.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        serde::de::IgnoredAny::deserialize(from).map(|_| Self)
    }
}

struct Reader;

#[pull_controller]
impl Reader {
    async fn read(&self, _args: Endlessly) -> u32 {
        1
    }
}

#[test]
fn a_body_that_takes_long_to_read_holds_up_no_other_session() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        for gzip in [0, 9] {
            READ.store(false, Ordering::Relaxed);
            let server = peer(
                PeerConfig::default(),
                Reader.into_router().merge(Size.into_router()),
            );
            let (other, session) = (neighbour(&server).await, neighbour(&server).await);
            let reading = tokio::spawn(async move {
                // Noise, so that it stays large when it is compressed.
                let numbers: Vec<u64> = (0..200_000_u64)
                    .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
                    .collect();
                let pull = session.pull::<_, u32>("/reader/read", numbers).gzip(gzip);
                pull.await.expect("answered")
            });
            BEGUN.notified().await;
            let other = SizeClient::new(&other);
            // Only so that it fails instead of going on for ever.
            let size = timeout(SECOND * 300, other.of("abc".into())).await;
            READ.store(true, Ordering::Relaxed);
            assert_eq!(size.expect("in time").expect("answered"), 3);
            assert_eq!(reading.await.expect("no panic"), 1);
        }
    });
}
