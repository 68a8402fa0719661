//! How many connections and calls may come: what is refused how, and when a place is free again.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use teleport::{
    Addr, ConnOptions, Error, Peer, PeerConfig, PullController, PullCtx, PushController,
    RoutePlugin, Router, Session, Status, UnknownPull,
    plugins::{Auth, CallLimit, ConnectionLimit, Credentials, Rate},
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient},
    log::Log,
    pair::{PIPE, Pair, connect, dial, pair, peer},
    wire::Wire,
};
use tokio::{
    sync::mpsc,
    task::yield_now,
    time::{Instant, timeout},
};

const SECOND: Duration = Duration::from_secs(1);

fn limited(limit: CallLimit, routes: Router) -> Peer {
    let builder = Peer::builder().plugin(limit).routes(routes);
    builder.build().expect("a peer")
}

fn plain() -> Peer {
    peer(PeerConfig::default(), Router::new())
}

async fn call(session: &Session, uri: &'static str) -> Result<u64, Error> {
    session.pull(uri, 1).await
}

/// What a gate is asked for is never the same twice.
async fn hold(session: &Session, gate: &Gate) -> (u64, tokio::task::JoinHandle<u64>) {
    static NEXT: AtomicU64 = AtomicU64::new(1_000);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let session = session.clone();
    let held = tokio::spawn(async move {
        let passed = GateClient::new(&session).pass(number).await;
        passed.expect("there was a place")
    });
    let arrived = timeout(SECOND * 60, gate.arrived(number)).await;
    arrived.expect("there is a place");
    (number, held)
}

/// There is one place, not none and not two.
async fn there_is_one_place(session: &Session, gate: &Gate, way: &str) {
    let (number, held) = hold(session, gate).await;
    let refused = call(session, "/gate/open_road").await;
    let error = refused.expect_err(way);
    assert_eq!(error.code(), 503, "{way}");
    gate.open(number);
    assert_eq!(held.await.expect("no panic"), number, "{way}");
}

/// Ends in many ways.
#[derive(Clone)]
struct Ends(Gate);

#[pull_controller]
impl Ends {
    async fn well(&self) -> u64 {
        1
    }

    async fn badly(&self) -> Result<u64, Status> {
        Err(Status::new(1001, "no"))
    }

    async fn in_panic(&self) -> u64 {
        panic!("as it should")
    }

    async fn in_panic_later(&self) -> u64 {
        yield_now().await;
        panic!("as it should")
    }

    /// No text is a number.
    async fn as_number(&self, _number: u64) -> u64 {
        1
    }

    /// No map can be written as a text.
    async fn as_text(&self, ctx: &PullCtx) -> Vec<u64> {
        ctx.set_reply_codec(teleport::CodecId::STRING);
        vec![1]
    }

    #[pull(cancel)]
    async fn at_the_gate(&self, number: u64) -> u64 {
        self.0.pass(number).await
    }
}

/// Refuses whoever asks for it, after all other plugins.
struct Refusing;

impl RoutePlugin for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    async fn post_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        match ctx.query("refuse") {
            Some(_) => Err(Status::new(1002, "refused")),
            None => Ok(()),
        }
    }
}

/// A server with one place, counted for the whole peer or around its routes.
fn with_one_place(around_routes: bool, gate: &Gate) -> Peer {
    let limit = CallLimit::new().at_once(1);
    let unknown = |_: UnknownPull| async { Ok::<_, Status>(1) };
    let routes = Ends(gate.clone())
        .into_router()
        .plugin(Refusing)
        .merge(gate.routes())
        .nest("/unknown", Router::new().unknown_pull(unknown));
    match around_routes {
        true => peer(PeerConfig::default(), routes.plugin(limit)),
        false => limited(limit, routes),
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_gives_its_place_back_once_however_it_ends() {
    for around_routes in [false, true] {
        let gate = Gate::default();
        let pair = connect(with_one_place(around_routes, &gate), plain()).await;
        let session = &pair.session;
        there_is_one_place(session, &gate, "at first").await;
        for (uri, code) in [
            ("/ends/well", 200),
            ("/ends/badly", 1001),
            ("/ends/in_panic", 500),
            ("/ends/in_panic_later", 500),
            ("/ends/well?refuse", 1002),
            ("/unknown/whatever", 200),
            ("/no/such/route", 404),
            ("%zz", 400),
        ] {
            let outcome = session.pull::<_, u64>(uri, ()).await;
            let outcome = outcome.map_or_else(|error| error.code(), |_| 200);
            assert_eq!(outcome, code, "{uri}");
            there_is_one_place(session, &gate, uri).await;
        }
        let unreadable = session.pull::<_, u64>("/ends/as_number", "text").await;
        assert_eq!(unreadable.expect_err("no number").code(), 400);
        there_is_one_place(session, &gate, "unreadable arguments").await;
        let unwritable = session.pull::<_, Vec<u64>>("/ends/as_text", ()).await;
        assert_eq!(unwritable.expect_err("no text").code(), 415);
        there_is_one_place(session, &gate, "a reply that cannot be written").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_its_caller_stops_gives_its_place_back_once() {
    for around_routes in [false, true] {
        let gate = Gate::default();
        let pair = connect(with_one_place(around_routes, &gate), plain()).await;
        let session = pair.session.clone();
        let stopped = tokio::spawn(async move {
            let pull = session.pull::<_, u64>("/ends/at_the_gate", 1);
            pull.cancel().await
        });
        gate.arrived(1).await;
        stopped.abort();
        stopped.await.expect_err("stopped");
        // Behind the cancellation on the wire.
        there_is_one_place(&pair.session, &gate, "cancelled").await;

        let pull = pair.session.pull::<_, u64>("/ends/at_the_gate", 2);
        let expired = pull.timeout(SECOND).await;
        assert!(expired.expect_err("never opened").is_timeout());
        tokio::time::sleep(SECOND).await;
        there_is_one_place(&pair.session, &gate, "expired").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_session_is_gone_keeps_its_place_until_its_handler_ends() {
    for around_routes in [false, true] {
        let gate = Gate::default();
        let server = with_one_place(around_routes, &gate);
        let gone = connect(server.clone(), plain()).await;
        let session = gone.session.clone();
        let lost = tokio::spawn(async move { GateClient::new(&session).pass(1).await });
        gate.arrived(1).await;
        gone.accepted.abort();
        gone.accepted.closed().await;
        lost.await.expect("no panic").expect_err("cut");

        let next = connect(server, plain()).await;
        let refused = call(&next.session, "/ends/well").await;
        assert_eq!(refused.expect_err("it still works").code(), 503);
        gate.open(1);
        yield_now().await;
        there_is_one_place(&next.session, &gate, "after a disconnect").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_waits_for_room_has_no_place() {
    let config = PeerConfig {
        write_buffer: 1,
        ..PeerConfig::default()
    };
    let gate = Gate::default();
    let server = Peer::builder()
        .config(config)
        .plugin(CallLimit::new().at_once(1))
        .routes(gate.routes());
    let server = server.build().expect("a peer");
    let (mut wire, _session) = Wire::to(&server).await;
    // Nobody reads these replies, of more bytes than the pipe holds.
    for seq in 0..40_000 {
        wire.pull(seq, "/gate/open_road", b"j1").await;
        yield_now().await;
    }
    let other = connect(server, plain()).await;
    there_is_one_place(&other.session, &gate, "beside blocked replies").await;
}

/// Notes numbers, and panics at 0.
#[derive(Clone)]
struct Taps(mpsc::UnboundedSender<u64>, Gate);

#[push_controller]
impl Taps {
    async fn tap(&self, number: u64) -> Result<(), Status> {
        self.0.send(number).ok();
        match number {
            0 => panic!("as it should"),
            1 => Err(Status::new(1001, "no")),
            2 => Ok(()),
            number => {
                self.1.pass(number).await;
                Ok(())
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_takes_a_place_gives_it_back_once_and_is_dropped_without_one() {
    let log = Log::start();
    for around_routes in [false, true] {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let gate = Gate::default();
        let routes = gate
            .routes()
            .merge(Taps(sender, gate.clone()).into_router());
        let limit = CallLimit::new().at_once(1);
        let server = match around_routes {
            true => peer(PeerConfig::default(), routes.plugin(limit)),
            false => limited(limit, routes),
        };
        let pair = connect(server, plain()).await;
        for number in 0..=2 {
            pair.session.push("/taps/tap", number).await.expect("sent");
            assert_eq!(seen.recv().await, Some(number));
            there_is_one_place(&pair.session, &gate, "after a push").await;
        }
        pair.session.push("/taps/tap", "text").await.expect("sent");
        there_is_one_place(&pair.session, &gate, "after one that cannot be read").await;

        pair.session.push("/taps/tap", 3).await.expect("sent");
        gate.arrived(3).await;
        pair.session.push("/taps/tap", 4).await.expect("sent");
        let refused = call(&pair.session, "/gate/open_road").await;
        assert_eq!(refused.expect_err("a push is there").code(), 503);
        gate.open(3);
        yield_now().await;
        there_is_one_place(&pair.session, &gate, "after a long push").await;
        assert_eq!(
            (seen.try_recv().ok(), seen.try_recv().ok()),
            (Some(3), None)
        );
        let log = log.so_far();
        let dropped = log.lines().find(|line| {
            line.contains("a push was dropped") && line.contains("503 too many calls at once")
        });
        assert!(dropped.is_some_and(|line| line.contains("WARN")), "{log}");
    }
}

/// The caller of a call that has ended may begin the next: on other threads too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_keeps_to_the_limit_is_never_refused() {
    let gate = Gate::default();
    let limit = CallLimit::new().at_once_per_session(1);
    let server = limited(limit, Ends(gate).into_router());
    let pair = connect(server, plain()).await;
    for number in 0..1_000 {
        let (uri, expected) = match number % 50 {
            0 => ("/ends/in_panic_later", 500),
            _ => ("/ends/well", 200),
        };
        let outcome = pair.session.pull::<_, u64>(uri, ()).await;
        let outcome = outcome.map_or_else(|error| error.code(), |_| 200);
        assert_eq!(outcome, expected, "call {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_a_session_are_its_own_and_those_of_a_peer_are_for_all() {
    let gate = Gate::default();
    let limit = CallLimit::new().at_once_per_session(1).at_once(2);
    let server = limited(limit, gate.routes());
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(connect(server.clone(), plain()).await.session);
    }
    let (first, held) = hold(&sessions[0], &gate).await;
    let error = call(&sessions[0], "/gate/open_road").await;
    let text = error.expect_err("it has one").to_string();
    assert!(
        text.ends_with("503 too many calls at once on this session: 1 may run"),
        "{text}"
    );
    let (second, other) = hold(&sessions[1], &gate).await;
    let error = call(&sessions[2], "/gate/open_road").await;
    let text = error.expect_err("two run").to_string();
    assert!(
        text.ends_with("503 too many calls at once: 2 may run"),
        "{text}"
    );
    gate.open(first);
    held.await.expect("no panic");
    call(&sessions[2], "/gate/open_road")
        .await
        .expect("a place");
    gate.open(second);
    other.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_rate_lets_a_burst_through_and_then_one_at_a_time() {
    let rate = Rate::per_second(10).burst(2);
    let server = limited(
        CallLimit::new().rate_per_session(rate),
        Gate::default().routes(),
    );
    let pair = connect(server.clone(), plain()).await;
    let count = async |session: &Session| {
        let mut passed = 0;
        while call(session, "/gate/open_road").await.is_ok() {
            passed += 1;
        }
        passed
    };
    assert_eq!(count(&pair.session).await, 2);
    let error = call(&pair.session, "/gate/open_road").await;
    let error = error.expect_err("too many");
    assert_eq!(error.code(), 429);
    let text = error.to_string();
    assert!(
        text.ends_with("429 too many calls on this session: 10 in 1s may come"),
        "{text}"
    );
    let other = connect(server, plain()).await;
    assert_eq!(count(&other.session).await, 2, "on a session of its own");
    tokio::time::sleep(SECOND / 10).await;
    assert_eq!(count(&pair.session).await, 1);
    tokio::time::sleep(SECOND * 10).await;
    assert_eq!(count(&pair.session).await, 2);
}

#[tokio::test(start_paused = true)]
async fn who_exceeds_the_rate_of_a_session_takes_nothing_from_the_others() {
    let limit = CallLimit::new()
        .rate_per_session(Rate::per_second(2))
        .rate(Rate::per_second(3));
    let server = limited(limit, Gate::default().routes());
    let greedy = connect(server.clone(), plain()).await.session;
    for number in 0..100 {
        let outcome = call(&greedy, "/gate/open_road").await;
        assert_eq!(outcome.is_ok(), number < 2);
    }
    let modest = connect(server, plain()).await.session;
    call(&modest, "/gate/open_road").await.expect("the third");
    let error = call(&modest, "/gate/open_road").await;
    let text = error.expect_err("the fourth").to_string();
    assert!(
        text.ends_with("429 too many calls: 3 in 1s may come"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peers_limit_counts_missing_routes_and_a_groups_its_own_only() {
    let one = || CallLimit::new().rate(Rate::new(1, SECOND * 1_000));
    let gate = Gate::default();
    let server = limited(one(), gate.routes());
    let session = connect(server, plain()).await.session;
    assert_eq!(
        call(&session, "/no/such").await.expect_err("404").code(),
        404
    );
    assert_eq!(
        call(&session, "/no/such").await.expect_err("429").code(),
        429
    );

    let groups = Router::new()
        .nest("/a", gate.routes().plugin(one()))
        .nest("/b", gate.routes().plugin(one()))
        .merge(gate.routes());
    let Pair { session, .. } = pair(groups, Router::new()).await;
    call(&session, "/a/gate/open_road")
        .await
        .expect("the first");
    let refused = call(&session, "/a/gate/open_road").await;
    assert_eq!(refused.expect_err("the second").code(), 429);
    call(&session, "/b/gate/open_road")
        .await
        .expect("of another group");
    assert_eq!(
        call(&session, "/no/such").await.expect_err("404").code(),
        404
    );
    for _ in 0..10 {
        call(&session, "/gate/open_road")
            .await
            .expect("of no group");
    }
}

#[tokio::test(start_paused = true)]
async fn several_limits_on_one_call_count_each_for_itself() {
    let gate = Gate::default();
    let inner = |most| {
        gate.routes()
            .plugin(CallLimit::new().at_once_per_session(most))
    };
    let groups = Router::new().nest("/a", inner(1)).merge(inner(2));
    let session = connect(
        limited(CallLimit::new().at_once_per_session(2), groups),
        plain(),
    )
    .await
    .session;
    let (first, held) = hold(&session, &gate).await;
    // The peer has a place left, and both groups.
    call(&session, "/a/gate/open_road").await.expect("a place");
    let (second, other) = hold(&session, &gate).await;
    // The peer has none, the group has.
    let error = call(&session, "/a/gate/open_road").await;
    assert_eq!(error.expect_err("two run").code(), 503);
    for (number, held) in [(first, held), (second, other)] {
        gate.open(number);
        held.await.expect("no panic");
    }
    call(&session, "/a/gate/open_road").await.expect("a place");
}

async fn listening(peer: teleport::PeerBuilder) -> (Peer, String) {
    let peer = peer.listen_at("127.0.0.1:0").build().expect("a peer");
    let address = peer.listen().await.expect("a free port").address();
    (peer, address)
}

#[tokio::test]
async fn a_connection_too_many_is_closed_and_its_first_pull_and_the_log_say_why() {
    let log = Log::start();
    let builder = Peer::builder()
        .plugin(ConnectionLimit::new().total(2))
        .plugin(Auth::tokens([("sesame", ())]))
        .routes(Gate::default().routes());
    let (server, address) = listening(builder).await;
    let client = || {
        let builder = Peer::builder().plugin(Credentials::token("sesame"));
        builder.build().expect("a peer")
    };
    let first = client().dial(&address).await.expect("a place");
    client().dial(&address).await.expect("a place");
    let error = client().dial(&address).await.expect_err("none left");
    assert_eq!(error.code(), 503);
    let text = "503 too many connections: 2 are allowed";
    assert!(error.to_string().ends_with(text), "{error}");
    log.line(text).await;

    // One without credentials learns it too, from its first call.
    let session = plain().dial(&address).await.expect("connected");
    let error = call(&session, "/gate/open_road").await.expect_err("closed");
    assert!(
        error.is_remote() && error.to_string().ends_with(text),
        "{error}"
    );
    session.closed().await;
    assert_eq!(server.session_count(), 2);

    first.close().await;
    while server.session_count() > 1 {
        yield_now().await;
    }
    yield_now().await;
    client().dial(&address).await.expect("a place again");
}

#[tokio::test(start_paused = true)]
async fn a_connection_too_many_that_asks_nothing_is_closed_without_a_word() {
    let server = Peer::builder().plugin(ConnectionLimit::new().total(0));
    let server = server.build().expect("a peer");
    let (mut wire, other) = Wire::new();
    wire.push(0, "/a", b"").await;
    let error = server.serve_conn(other).await.expect_err("too many");
    assert_eq!(error.code(), 503);
    assert!(wire.is_closed().await);

    let start = Instant::now();
    let (mut wire, other) = Wire::new();
    server.serve_conn(other).await.expect_err("too many");
    assert_eq!(start.elapsed().as_millis() / 10, 100);
    assert!(wire.is_closed().await);

    // 64 are heard at once; the next one is not.
    let mut wires = Vec::new();
    let mut heard = Vec::new();
    for _ in 0..64 {
        let (wire, other) = Wire::new();
        wires.push(wire);
        let mut serving = Box::pin(server.serve_conn(other));
        let waits = poll_fn(|cx| Poll::Ready(serving.as_mut().poll(cx).is_pending()));
        assert!(waits.await);
        heard.push(serving);
    }
    let start = Instant::now();
    let (mut wire, other) = Wire::new();
    wire.pull(0, "/a", b"").await;
    server.serve_conn(other).await.expect_err("too many");
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(wire.is_closed().await);
    for serving in heard {
        serving.await.expect_err("too many");
    }
}

#[tokio::test(start_paused = true)]
async fn connections_are_counted_for_each_address() {
    let limit = ConnectionLimit::new().per_ip(1).total(3);
    let server = Peer::builder().plugin(limit).build().expect("a peer");
    let from = async |address: &str| {
        let (left, right) = tokio::io::duplex(PIPE);
        let address: SocketAddr = address.parse().expect("an address");
        let options = ConnOptions::new().peer_addr(Addr::Tcp(address));
        let accepted = server.serve_conn_with(left, options).await;
        accepted.map(|session| (session, right))
    };
    let _first = from("192.0.2.1:1000").await.expect("the first");
    let error = from("192.0.2.1:1001").await.expect_err("the second");
    assert!(
        error
            .to_string()
            .ends_with("too many connections from one address: 1 are allowed"),
        "{error}"
    );
    let (session, _stream) = from("[2001:db8::1]:1000").await.expect("another");
    from("[2001:db8::2]:1000")
        .await
        .expect_err("the same network");
    session.abort();
    session.closed().await;
    yield_now().await;
    let _second = from("[2001:db8::2]:1000").await.expect("a place again");

    let (left, _right) = tokio::io::duplex(PIPE);
    server.serve_conn(left).await.expect("without an address");
    from("192.0.2.3:1000").await.expect_err("three are there");
}

#[tokio::test(start_paused = true)]
async fn a_connection_gives_its_place_back_once_however_it_ends() {
    let limit = ConnectionLimit::new().total(1);
    let server = Peer::builder()
        .plugin(limit)
        .plugin(Auth::tokens([("sesame", ())]));
    let server = server.build().expect("a peer");
    let client = |token| {
        let builder = Peer::builder().plugin(Credentials::token(token));
        builder.build().expect("a peer")
    };
    let mut kept = Vec::new();
    for way in 0..6 {
        match way {
            // Refused by another plugin.
            0 => {
                let (accepted, _) = dial(&server, &client("barley")).await;
                accepted.expect_err("refused");
            }
            // The handshake never ends.
            1 => {
                let (_wire, other) = Wire::new();
                let error = server.serve_conn(other).await.expect_err("silent");
                assert!(error.is_timeout());
            }
            // Nor does the application wait for it.
            2 => {
                let (_wire, other) = Wire::new();
                let serving = tokio::time::timeout(SECOND, server.serve_conn(other));
                serving.await.expect_err("given up");
            }
            way => {
                let (accepted, dialled) = dial(&server, &client("sesame")).await;
                let accepted = accepted.expect("a place");
                match way {
                    3 => dialled.expect("a place").close().await,
                    4 => accepted.close().await,
                    _ => dialled.expect("a place").abort(),
                }
                accepted.closed().await;
                // Handles do not hold the place.
                kept.push(accepted);
                yield_now().await;
            }
        }
        let (accepted, dialled) = dial(&server, &client("sesame")).await;
        accepted
            .as_ref()
            .unwrap_or_else(|error| panic!("{way}: {error}"));
        let (refused, _) = dial(&server, &client("sesame")).await;
        assert_eq!(refused.expect_err("one is there").code(), 503, "{way}");
        dialled.expect("a place").close().await;
        accepted.expect("a place").closed().await;
        yield_now().await;
    }
}

#[tokio::test]
async fn what_this_side_dials_is_not_counted() {
    let limit = ConnectionLimit::new().total(0);
    let client = Peer::builder().plugin(limit).build().expect("a peer");
    let (accepted, dialled) = dial(&plain(), &client).await;
    accepted.and(dialled).expect("connected");
}

#[tokio::test(start_paused = true)]
async fn a_limit_keeps_no_session_alive() {
    let gate = Gate::default();
    let kept = Arc::new(());
    let limit = CallLimit::new().at_once_per_session(1);
    let pair = connect(limited(limit, gate.routes()), plain()).await;
    pair.accepted.values().insert(Arc::clone(&kept));
    there_is_one_place(&pair.session, &gate, "at first").await;
    pair.session.close().await;
    pair.accepted.closed().await;
    let Pair { accepted, .. } = pair;
    drop(accepted);
    yield_now().await;
    assert_eq!(Arc::strong_count(&kept), 1);
}
