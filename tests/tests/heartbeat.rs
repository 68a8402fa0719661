//! Signs of life: who is asked when, what counts as an answer, and what becomes of those who give none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use teleport::{
    CallCtx, Peer, PeerConfig, Plugin, PullCtx, PushController, Router, Session, Status,
    UnknownPull,
    plugins::{Auth, Credentials, Heartbeat},
    protocol::{Header, HeaderCodec, PacketKind},
    push_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient},
    log::Log,
    pair::{connect, dial, peer},
    wire::{Wire, frame},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

/// Asks after two seconds, and waits for one.
fn heartbeat() -> Heartbeat {
    Heartbeat::every(SECOND * 2).timeout(SECOND)
}

fn beating(router: Router) -> Peer {
    let builder = Peer::builder().plugin(heartbeat()).routes(router);
    builder.build().expect("a peer")
}

fn plain(router: Router) -> Peer {
    peer(PeerConfig::default(), router)
}

/// Time since `start` in whole tenths of seconds.
fn tenths(start: Instant) -> u128 {
    start.elapsed().as_millis() / 100
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_asked_and_any_answer_is_life() {
    let (mut wire, session) = Wire::to(&beating(Router::new())).await;
    let start = Instant::now();
    for (seq, code) in [200, 404, 503, 1001].into_iter().enumerate() {
        let question = wire.hear().await;
        assert_eq!(tenths(start), (seq as u128 + 1) * 20);
        let mut expected = Header::new(PacketKind::Pull, seq as u64, "/~teleport/heartbeat");
        assert_eq!(question.header, expected);
        assert!(question.body.is_empty());
        expected.kind = PacketKind::Reply;
        wire.answer(&question, code, "whatever").await;
    }
    assert_eq!(session.pulls_in_flight(), 0);
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_cut_and_pulls_in_flight_and_the_log_say_why() {
    let log = Log::start();
    let (mut wire, session) = Wire::to(&beating(Router::new())).await;
    let start = Instant::now();
    let error = session.pull::<_, ()>("/a", ()).await.expect_err("dead");
    assert_eq!(tenths(start), 30);
    assert_eq!(error.code(), 101);
    let text = format!("{error:?}");
    assert!(text.contains("no sign of life within 1s"), "{text}");
    session.closed().await;
    let line = log.line("session closed").await;
    assert!(
        line.contains("INFO") && line.contains("no sign of life"),
        "{line}"
    );
    for uri in ["/a", "/~teleport/heartbeat"] {
        assert_eq!(wire.hear().await.header.uri, uri);
    }
    assert!(wire.is_closed().await);
}

#[tokio::test(start_paused = true)]
async fn a_busy_session_is_left_alone_and_one_that_is_busy_one_way_is_not() {
    let (mut wire, session) = Wire::to(&beating(Router::new())).await;
    for seq in 0..10 {
        session.push("/out", ()).await.expect("sent");
        wire.push(seq, "/in", b"").await;
        assert_eq!(wire.hear().await.header.uri, "/out");
        sleep(SECOND).await;
    }
    // Only the other side speaks: it may wonder whether this one lives.
    for seq in 10..12 {
        wire.push(seq, "/in", b"").await;
        sleep(SECOND).await;
    }
    let question = wire.hear().await;
    assert_eq!(question.header.uri, "/~teleport/heartbeat");
    wire.answer(&question, 404, "Not Found").await;
    // Only this side speaks: nobody knows whether the other one lives.
    for _ in 0..2 {
        session.push("/out", ()).await.expect("sent");
        assert_eq!(wire.hear().await.header.uri, "/out");
        sleep(SECOND).await;
    }
    session.push("/out", ()).await.expect("sent");
    let mut uris = [wire.hear().await.header.uri, wire.hear().await.header.uri];
    uris.sort();
    assert_eq!(uris, ["/out", "/~teleport/heartbeat"]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_outlives_the_read_timeouts_of_both_sides() {
    let config = PeerConfig {
        read_timeout: Some(SECOND * 3),
        ..PeerConfig::default()
    };
    let server = || peer(config.clone(), Gate::default().routes());
    let start = Instant::now();
    let pair = connect(server(), plain(Router::new())).await;
    pair.session.closed().await;
    assert_eq!(tenths(start), 30, "without heartbeats");

    let client = Peer::builder().config(config.clone()).plugin(heartbeat());
    let pair = connect(server(), client.build().expect("a peer")).await;
    sleep(SECOND * 100).await;
    let answer = GateClient::new(&pair.session).open_road(7).await;
    assert_eq!(answer.expect("still there"), 7);
    // And where only the side with the read timeout speaks.
    for _ in 0..100 {
        pair.accepted.push("/nobody", ()).await.expect("open");
        sleep(SECOND).await;
    }
    assert!(pair.accepted.is_open());
}

/// Counts the packets that plugins see.
struct Witness(Arc<AtomicUsize>);

impl Plugin for Witness {
    fn name(&self) -> &str {
        "witness"
    }

    async fn pre_write_pull(&self, _: &mut CallCtx) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn post_read_pull_header(&self, _: &mut PullCtx) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn neither_plugins_nor_unknown_handlers_nor_limits_see_heartbeats() {
    let seen = Arc::new(AtomicUsize::new(0));
    let gate = Gate::default();
    let peer = || {
        let config = PeerConfig {
            max_handlers: 1,
            ..PeerConfig::default()
        };
        let unknown = {
            let seen = Arc::clone(&seen);
            move |_: UnknownPull| {
                seen.fetch_add(1, Ordering::SeqCst);
                async { Ok::<_, Status>(()) }
            }
        };
        let builder = Peer::builder()
            .config(config)
            .plugin(Witness(Arc::clone(&seen)))
            .plugin(heartbeat())
            .routes(gate.routes().unknown_pull(unknown));
        builder.build().expect("a peer")
    };
    let log = Log::start();
    let pair = connect(peer(), peer()).await;
    let session = pair.session.clone();
    let pass = tokio::spawn(async move { GateClient::new(&session).pass(1).await });
    gate.arrived(1).await;
    assert_eq!(seen.load(Ordering::SeqCst), 2, "sent and received");
    sleep(SECOND * 100).await;
    assert_eq!(seen.load(Ordering::SeqCst), 2);
    assert!(!log.so_far().contains("heartbeat"), "{log:?}");
    assert!(!log.so_far().contains("nobody waits"), "{log:?}");
    gate.open(1);
    assert_eq!(pass.await.expect("no panic").expect("still there"), 1);
}

#[tokio::test(start_paused = true)]
async fn no_task_is_added_to_a_session_and_none_is_left_when_it_has_closed() {
    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    let mut pairs = Vec::new();
    for _ in 0..10 {
        pairs.push(connect(beating(Router::new()), beating(Router::new())).await);
    }
    sleep(SECOND * 10).await;
    assert_eq!(alive(), before + 20);
    for (number, pair) in pairs.iter().enumerate() {
        assert!(pair.session.is_open() && pair.accepted.is_open());
        match number % 3 {
            0 => pair.session.close().await,
            1 => pair.accepted.close().await,
            _ => pair.session.abort(),
        }
        pair.session.closed().await;
        pair.accepted.closed().await;
    }
    tokio::task::yield_now().await;
    assert_eq!(alive(), before);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_the_reply_of_a_dead_peer() {
    let (_wire, session) = Wire::to(&beating(Router::new())).await;
    let start = Instant::now();
    let pull = session.pull::<_, ()>("/a", ());
    let (error, ()) = tokio::join!(pull, async {
        tokio::task::yield_now().await;
        session.close().await;
    });
    assert_eq!(error.expect_err("dead").code(), 101);
    // The question, the answer that does not come, and the farewell that is not heard.
    assert!(start.elapsed() < SECOND * 7, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_died_is_told_from_one_that_only_waits_for_replies() {
    let gate = Gate::default();
    let server = beating(gate.routes());
    let (mut wire, waiting) = Wire::to(&server).await;
    wire.pull(0, "/gate/pass", b"j1").await;
    let (mut dying, session) = Wire::to(&server).await;
    dying.pull(0, "/gate/pass", b"j2").await;
    gate.arrived(1).await;
    gate.arrived(2).await;
    let start = Instant::now();
    // Both streams end, which is all that comes from a process that is killed too.
    wire.finish().await;
    drop(dying);
    session.closed().await;
    assert!(start.elapsed() < SECOND * 5, "{:?}", start.elapsed());
    sleep(SECOND * 20).await;
    gate.open(1);
    let reply = loop {
        let packet = wire.hear().await;
        if packet.header.kind == PacketKind::Reply {
            break packet;
        }
        assert_eq!(packet.header.uri, "/~teleport/heartbeat");
    };
    assert_eq!(reply.body, b"j1"[..]);
    waiting.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_side_that_closes_still_answers() {
    let gate = Gate::default();
    let pair = connect(plain(gate.routes()), beating(Router::new())).await;
    let session = pair.session.clone();
    let pass = tokio::spawn(async move { GateClient::new(&session).pass(1).await });
    gate.arrived(1).await;
    pair.accepted.start_closing();
    sleep(SECOND * 100).await;
    gate.open(1);
    assert_eq!(pass.await.expect("no panic").expect("answered"), 1);
    pair.session.closed().await;
}

struct Taps(mpsc::UnboundedSender<usize>);

#[push_controller]
impl Taps {
    async fn tap(&self, text: String) {
        self.0.send(text.len()).ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_packet_that_comes_slowly_is_a_sign_of_life() {
    let (sender, mut taps) = mpsc::unbounded_channel();
    let (mut wire, session) = Wire::to(&beating(Taps(sender).into_router())).await;
    let push = Header::new(PacketKind::Push, 0, "/taps/tap");
    let mut body = vec![b's'];
    body.resize(5001, b'x');
    for part in frame(HeaderCodec::Protobuf, &push, &body).chunks(250) {
        wire.send(part).await;
        sleep(SECOND * 9 / 10).await;
        assert!(session.silence() < SECOND);
    }
    assert_eq!(taps.recv().await, Some(5000));
    assert!(session.is_open());
}

/// Lets a packet in every ten seconds.
struct Slow;

impl Plugin for Slow {
    fn name(&self) -> &str {
        "slow"
    }

    async fn pre_read_header(&self, _: &Session) -> Result<(), Status> {
        sleep(SECOND * 10).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_is_not_taken_for_dead_while_this_side_does_not_read() {
    let gate = Gate::default();
    let server = Peer::builder()
        .plugin(Slow)
        .plugin(heartbeat())
        .routes(gate.routes());
    let pair = connect(server.build().expect("a peer"), plain(Router::new())).await;
    for number in 0..5 {
        let answer = GateClient::new(&pair.session).open_road(number).await;
        assert_eq!(answer.expect("alive"), number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_handshake_is_no_silence() {
    let auth = Auth::verify(|_| async {
        sleep(SECOND * 9).await;
        Ok(())
    });
    let server = Peer::builder()
        .plugin(heartbeat())
        .plugin(auth)
        .routes(Gate::default().routes());
    let client = Peer::builder()
        .plugin(heartbeat())
        .plugin(Credentials::token("sesame"));
    let (server, client) = (
        server.build().expect("a peer"),
        client.build().expect("a peer"),
    );
    let (accepted, dialled) = dial(&server, &client).await;
    let (accepted, dialled) = (accepted.expect("a session"), dialled.expect("a session"));
    let closed = timeout(SECOND * 100, accepted.closed()).await;
    assert!(closed.is_err(), "it stays");
    let answer = GateClient::new(&dialled).open_road(1).await;
    assert_eq!(answer.expect("alive"), 1);
}
