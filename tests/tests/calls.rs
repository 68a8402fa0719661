//! Pulls and pushes on one connection: in flight together, out of order, both ways, given up.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use teleport::{
    CallOptions, Peer, PullController, PullCtx, PushController, PushCtx, Router, Status,
    codec::CodecError,
    protocol::{
        Decoded, EncodeError, HeaderCodec, HeaderRef, Limits, Protocol, ProtocolError, Standard,
    },
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, connect, pair, peer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    sync::mpsc,
    task::JoinSet,
};

#[tokio::test]
async fn replies_come_in_the_order_in_which_handlers_end() {
    let gate = Gate::default();
    let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
    let (done, mut order) = mpsc::unbounded_channel();
    let mut calls = JoinSet::new();
    for number in 0..3 {
        let (client, done) = (GateClient::new(&session), done.clone());
        calls.spawn(async move { done.send(client.pass(number).await.expect("passed")) });
        gate.arrived(number).await;
    }
    assert_eq!(session.pulls_in_flight(), 3);
    for number in [1, 2, 0] {
        gate.open(number);
        assert_eq!(order.recv().await, Some(number));
    }
    assert_eq!(session.pulls_in_flight(), 0);
}

#[tokio::test]
async fn both_sides_pull_at_the_same_time_on_one_connection() {
    let (left, right) = (Gate::default(), Gate::default());
    let Pair {
        session, accepted, ..
    } = pair(left.routes(), right.routes()).await;
    let ours = tokio::spawn(async move { GateClient::new(&session).pass(1).await });
    let theirs = tokio::spawn(async move { GateClient::new(&accepted).pass(2).await });
    left.arrived(1).await;
    right.arrived(2).await;
    left.open(1);
    right.open(2);
    assert_eq!(ours.await.expect("no panic").expect("passed"), 1);
    assert_eq!(theirs.await.expect("no panic").expect("passed"), 2);
}

#[tokio::test]
async fn a_pull_that_is_never_polled_sends_nothing() {
    let gate = Gate::default();
    let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
    drop(session.pull::<_, u64>("/gate/pass", 1));
    assert_eq!(GateClient::new(&session).open_road(2).await.expect("2"), 2);
    assert_eq!(session.pulls_in_flight(), 0);
}

#[tokio::test]
async fn dropping_a_pull_frees_its_place_and_its_late_reply_reaches_nobody() {
    let gate = Gate::default();
    let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
    {
        let mut pull = pin!(session.pull::<_, u64>("/gate/pass", 1));
        poll_once(pull.as_mut()).await;
        gate.arrived(1).await;
        assert_eq!(session.pulls_in_flight(), 1);
    }
    assert_eq!(session.pulls_in_flight(), 0);

    let later = GateClient::new(&session);
    let second = tokio::spawn(async move { later.pass(2).await });
    gate.arrived(2).await;
    gate.open(1);
    // The late reply is on the wire before this one.
    assert_eq!(GateClient::new(&session).open_road(3).await.expect("3"), 3);
    assert_eq!(session.pulls_in_flight(), 1);
    gate.open(2);
    assert_eq!(second.await.expect("no panic").expect("its own"), 2);
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_pull_over_its_time_limit_fails_alone() {
    let gate = Gate::default();
    let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
    let limit = Duration::from_millis(50);
    let pull = session.pull::<_, u64>("/gate/pass", 1).timeout(limit).await;
    let error = pull.expect_err("nobody opened the gate");
    assert!(error.is_timeout() && error.code() == 102, "{error}");
    assert_eq!(session.pulls_in_flight(), 0);

    let client = GateClient::new(&session).options(CallOptions::new().timeout(limit));
    assert_eq!(client.open_road(2).await.expect("in time"), 2);
    assert!(client.pass(3).await.expect_err("late").is_timeout());
    assert!(session.is_open());
}

#[tokio::test]
async fn handlers_that_wait_for_each_other_across_the_connection_make_progress() {
    struct Down;

    #[pull_controller(name = "ladder")]
    impl Down {
        /// Asks the caller, which asks back, down to 0: the reader must never wait for a handler.
        async fn step(&self, ctx: &PullCtx, rungs: u32) -> Result<u32, Status> {
            if rungs == 0 {
                return Ok(0);
            }
            let below: u32 = ctx.session().pull("/ladder/step", rungs - 1).await?;
            Ok(below + 1)
        }
    }

    let Pair { session, .. } = pair(Down.into_router(), Down.into_router()).await;
    let count: u32 = session.pull("/ladder/step", 100).await.expect("a count");
    assert_eq!(count, 100);
}

#[tokio::test]
async fn a_handler_that_waits_does_not_hold_up_other_calls() {
    let gate = Gate::default();
    let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
    let client = GateClient::new(&session);
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.pass(0).await });
    gate.arrived(0).await;
    for number in 1..100 {
        assert_eq!(client.open_road(number).await.expect("at once"), number);
    }
    gate.open(0);
    assert_eq!(waiting.await.expect("no panic").expect("passed"), 0);
}

#[tokio::test]
async fn pushes_reach_their_handler_in_the_order_in_which_they_were_sent() {
    struct Log(mpsc::UnboundedSender<u32>);

    #[push_controller]
    impl Log {
        async fn line(&self, ctx: &PushCtx, number: u32) {
            assert_eq!(ctx.query("from").as_deref(), Some("test"));
            self.0.send(number).ok();
        }
    }

    let (sender, mut lines) = mpsc::unbounded_channel();
    let Pair { session, .. } = pair(Log(sender).into_router(), Router::new()).await;
    for number in 0..1000 {
        let push = session.push("/log/line?from=test", number);
        push.await.expect("sent");
    }
    for number in 0..1000 {
        assert_eq!(lines.recv().await, Some(number));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pulls_at_once_over_tcp_each_get_their_own_reply() {
    let gate = Gate::default();
    let server = teleport::Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(gate.routes());
    let server = server.build().expect("a peer");
    let listening = server.listen().await.expect("a free port");
    let client = teleport::Peer::builder().build().expect("a peer");
    let session = client.dial(&listening.address()).await.expect("dialled");
    let mut calls = JoinSet::new();
    for number in 0..1000 {
        let client = GateClient::new(&session);
        calls.spawn(async move {
            let answer = match number % 2 {
                0 => client.open_road(number).await,
                _ => client.pass(number).await,
            };
            assert_eq!(answer.expect("answered"), number);
        });
    }
    for number in (1..1000).step_by(2) {
        gate.arrived(number).await;
        gate.open(number);
    }
    while let Some(call) = calls.join_next().await {
        call.expect("no panic");
    }
    assert_eq!(session.pulls_in_flight(), 0);
    client.close().await;
    server.close().await;
}

#[tokio::test]
async fn what_handlers_send_in_one_turn_keeps_its_order() {
    struct Order;

    #[pull_controller]
    impl Order {
        async fn quick(&self) -> u32 {
            0
        }

        async fn push(&self, ctx: &PullCtx) -> Result<u32, Status> {
            ctx.session().push("/from/push", ()).await?;
            Ok(0)
        }
    }

    let server = teleport_tests::pair::peer(teleport::PeerConfig::default(), Order.into_router());
    let client = teleport_tests::pair::peer(teleport::PeerConfig::default(), Router::new());
    let (mut wire, stream) = tokio::io::duplex(4096);
    server.serve_conn(stream).await.expect("a session");
    let (mut tap, stream) = tokio::io::duplex(4096);
    let session = client.serve_conn(stream).await.expect("a session");
    for uri in ["/order/quick", "/order/push", "/order/quick"] {
        let session = session.clone();
        tokio::spawn(async move { session.pull::<_, u32>(uri, ()).await });
    }
    // All three in one write, so that one turn of the server reads them.
    let mut bytes = vec![0; 4096];
    let mut pulls = Vec::new();
    while count(&pulls) < 3 {
        let read = tap.read(&mut bytes).await.expect("pulls");
        pulls.extend_from_slice(&bytes[..read]);
    }
    wire.write_all(&pulls).await.expect("written");
    let mut answers = Vec::new();
    while count(&answers) < 4 {
        let read = wire.read(&mut bytes).await.expect("answers");
        answers.extend_from_slice(&bytes[..read]);
    }
    let uris: Vec<_> = packets(&answers)
        .iter()
        .map(|packet| packet.header.uri.to_string())
        .collect();
    assert_eq!(
        uris,
        ["/order/quick", "/from/push", "/order/push", "/order/quick"]
    );
}

/// A stream that counts how often it is written to.
struct Counted<I> {
    io: I,
    writes: Arc<AtomicUsize>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Counted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Counted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test]
async fn calls_that_are_made_together_and_their_replies_leave_in_few_writes() {
    let count = || Arc::new(AtomicUsize::new(0));
    let (asked, answered) = (count(), count());
    let (left, right) = tokio::io::duplex(64 * 1024);
    let server =
        teleport_tests::pair::peer(teleport::PeerConfig::default(), Gate::default().routes());
    let client = teleport_tests::pair::peer(teleport::PeerConfig::default(), Router::new());
    let writes = Arc::clone(&answered);
    server
        .serve_conn(Counted { io: left, writes })
        .await
        .expect("a session");
    let writes = Arc::clone(&asked);
    let session = client.serve_conn(Counted { io: right, writes }).await;
    let session = session.expect("a session");

    let mut calls = JoinSet::new();
    for number in 0..1000 {
        let client = GateClient::new(&session);
        calls.spawn(async move { client.open_road(number).await.expect("answered") });
    }
    assert_eq!(calls.join_all().await.len(), 1000);
    let writes = (
        asked.load(Ordering::Relaxed),
        answered.load(Ordering::Relaxed),
    );
    assert!(
        writes.0 < 20 && writes.1 < 20,
        "1,000 calls in so many writes: {writes:?}"
    );
}

/// How many writes so many callers need for their calls. One worker, so that the order of the tasks is known: the connection's own
/// is the next to run when the first caller wakes it.
async fn writes_of(callers: usize, rounds: usize) -> usize {
    let asked = Arc::new(AtomicUsize::new(0));
    let (left, right) = tokio::io::duplex(64 * 1024);
    let server =
        teleport_tests::pair::peer(teleport::PeerConfig::default(), Gate::default().routes());
    let client = teleport_tests::pair::peer(teleport::PeerConfig::default(), Router::new());
    server.serve_conn(left).await.expect("a session");
    let writes = Arc::clone(&asked);
    let session = client.serve_conn(Counted { io: right, writes }).await;
    let session = session.expect("a session");

    let mut calls = JoinSet::new();
    for _ in 0..callers {
        let client = GateClient::new(&session);
        calls.spawn(async move {
            for number in 0..rounds {
                client.open_road(number as u64).await.expect("answered");
            }
        });
    }
    calls.join_all().await;
    asked.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn callers_whom_one_read_has_woken_send_their_next_calls_in_one_write() {
    let writes = writes_of(4, 100).await;
    assert!(
        writes < 125,
        "4 callers with 100 calls each, in {writes} writes"
    );
}

/// The other side begins with the first of them while the rest are still being made.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_calls_of_many_callers_leave_in_several_writes_of_many_calls_each() {
    let writes = writes_of(256, 100).await;
    assert!(
        (150..800).contains(&writes),
        "256 callers with 100 calls each, in {writes} writes"
    );
}

/// Of fewer there is too little to begin with. Where the other side puts off some replies, their callers stay apart from the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_next_calls_of_fewer_callers_leave_together() {
    let writes = writes_of(64, 100).await;
    assert!(
        writes < 800,
        "64 callers with 100 calls each, in {writes} writes"
    );
}

fn packets(bytes: &[u8]) -> Vec<teleport::protocol::Packet> {
    let mut bytes = bytes::BytesMut::from(bytes);
    let mut packets = Vec::new();
    while let Ok(Decoded::Packet(packet)) = Standard.decode(&mut bytes, &Limits::default()) {
        packets.push(packet);
    }
    packets
}

fn count(bytes: &[u8]) -> usize {
    packets(bytes).len()
}

/// Takes its time to read each packet.
struct Leisurely;

impl Protocol for Leisurely {
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_micros(50) {}
        Standard.decode(src, limits)
    }

    fn encode(
        &self,
        header: HeaderRef<'_>,
        codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        Standard.encode(header, codec, body, dst)
    }
}

/// The connection's task looks at the clock before every 64th packet, and lets others have their turn if it has taken long.
#[tokio::test]
async fn a_connection_that_has_given_up_its_turn_reads_on_even_if_nothing_is_left() {
    let gate = Gate::default();
    let server = peer(teleport::PeerConfig::default(), gate.routes());
    let client = Peer::builder().protocol(Leisurely).build().expect("a peer");
    let Pair { session, .. } = connect(server, client).await;
    // Reads grow until one gets all replies.
    for calls in (60..66).cycle().take(30).chain([1]) {
        let mut answers = JoinSet::new();
        for number in 0..calls {
            let client = GateClient::new(&session);
            answers.spawn(async move { client.open_road(number).await.expect("answered") });
        }
        let answers = tokio::time::timeout(Duration::from_secs(20), answers.join_all()).await;
        assert_eq!(answers.expect("all are read").len(), calls as usize);
    }
}

/// A handler that blocks its thread with a runtime of its own, in which two peers talk.
struct Within;

#[pull_controller]
impl Within {
    async fn quick(&self) -> u32 {
        1
    }

    async fn alone(&self) -> u32 {
        tokio::task::block_in_place(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            runtime.expect("a runtime").block_on(async {
                let Pair { session, .. } = pair(Within.into_router(), Router::new()).await;
                let quick = WithinClient::new(&session).quick().await;
                quick.expect("answered") + 1
            })
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_turn_of_another_session_within_a_handler_keeps_the_replies_before_it() {
    let Pair { session, .. } = pair(Within.into_router(), Router::new()).await;
    // All in one read: in a task, so that the connection's own comes after it.
    let calls = tokio::spawn(async move {
        let within = WithinClient::new(&session);
        tokio::join!(within.quick(), within.alone(), within.quick())
    });
    let calls = tokio::time::timeout(Duration::from_secs(10), calls).await;
    let (before, alone, after) = calls.expect("all are answered").expect("no panic");
    assert_eq!(before.expect("the first"), 1);
    assert_eq!(alone.expect("answered"), 2);
    assert_eq!(after.expect("the last"), 1);
}
