//! The end of a peer: what it waits for, what it tells, and what it cuts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use teleport::{
    Closing, Handshake, Hooks, Peer, PeerConfig, Plugin, RouteKind, Router, Session, Status,
    protocol::{Header, HeaderCodec, PacketKind},
};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, connect, pair, peer},
};
use tokio::sync::{Notify, Semaphore};

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_up_to_its_limit_and_tells_what_it_cut() {
    let (ours, theirs) = (Gate::default(), Gate::default());
    let Pair {
        server,
        accepted,
        session,
        ..
    } = pair(ours.routes(), theirs.routes()).await;
    let mut calls = Vec::new();
    for number in 0..3 {
        let client = GateClient::new(&session);
        calls.push(tokio::spawn(async move { client.pass(number).await }));
        ours.arrived(number).await;
    }
    session.push("/gate/push", 3).await.expect("sent");
    ours.arrived(3).await;
    let back = GateClient::new(&accepted);
    let back = tokio::spawn(async move { back.pass(4).await });
    theirs.arrived(4).await;

    let begin = tokio::time::Instant::now();
    let report = server.shutdown(LIMIT).await;
    assert_eq!(begin.elapsed(), LIMIT);
    let [cut] = &report.sessions[..] else {
        panic!("one session: {report}")
    };
    assert_eq!((&cut.id, &cut.peer), (&accepted.id(), accepted.peer_addr()));
    assert_eq!((cut.handlers, cut.pulls, cut.unwritten), (4, 1, 0));
    let mut routes: Vec<_> = report.routes.iter().collect();
    routes.sort_by_key(|route| route.handlers);
    let routes: Vec<_> = routes
        .iter()
        .map(|route| (route.kind, &*route.uri, route.handlers))
        .collect();
    assert_eq!(
        routes,
        [
            (RouteKind::Push, "/gate/push", 1),
            (RouteKind::Pull, "/gate/pass", 3)
        ]
    );
    for call in calls {
        assert_eq!(call.await.expect("no panic").expect_err("cut").code(), 101);
    }
    assert_eq!(back.await.expect("no panic").expect_err("cut").code(), 101);

    let again = server.shutdown(LIMIT).await;
    assert!(again.is_clean(), "{again}");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_nobody_takes_are_reported_too() {
    let server = peer(PeerConfig::default(), Router::new());
    let (_never_read, stream) = tokio::io::duplex(16);
    let session = server.serve_conn(stream).await.expect("a session");
    session.push("/nobody", "a text").await.expect("buffered");
    let report = server.shutdown(LIMIT).await;
    assert_eq!(report.sessions.len(), 1, "{report}");
    assert!(report.sessions[0].unwritten > 0, "{report}");
    assert!(report.to_string().contains("bytes unwritten"), "{report}");
}

#[tokio::test]
async fn a_session_that_another_one_has_replaced_is_waited_for() {
    let gate = Gate::default();
    let server = peer(PeerConfig::default(), gate.routes());
    let client = peer(PeerConfig::default(), Router::new());
    let mut sessions = Vec::new();
    for number in 0..2 {
        let (left, right) = tokio::io::duplex(1024);
        let options = teleport::ConnOptions::new().id("the same");
        server
            .serve_conn_with(left, options)
            .await
            .expect("a session");
        let session = client.serve_conn(right).await.expect("a session");
        let caller = GateClient::new(&session);
        sessions.push(tokio::spawn(async move { caller.pass(number).await }));
        gate.arrived(number).await;
    }
    assert_eq!(server.session_count(), 1);
    let closing = tokio::spawn({
        let server = server.clone();
        async move { server.close().await }
    });
    gate.open(1);
    let [first, second] = sessions.try_into().expect("two");
    assert_eq!(second.await.expect("no panic").expect("answered"), 1);
    assert!(!closing.is_finished(), "the replaced one still has a call");
    gate.open(0);
    assert_eq!(first.await.expect("no panic").expect("answered"), 0);
    closing.await.expect("no panic");
}

/// Greets who connects, when it is allowed to.
#[derive(Clone)]
struct Greeter {
    asked: Arc<Semaphore>,
    allowed: Arc<Semaphore>,
}

impl Greeter {
    fn new() -> Self {
        Self {
            asked: Arc::new(Semaphore::new(0)),
            allowed: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Plugin for Greeter {
    fn name(&self) -> &str {
        "greeter"
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        self.asked.add_permits(1);
        self.allowed.acquire().await.expect("open").forget();
        let header = Header::new(PacketKind::Push, 0, "/welcome");
        handshake
            .send(&header, HeaderCodec::Json, None, "welcome")
            .await?;
        Ok(())
    }
}

/// Waits for the greeting.
struct Polite;

impl Plugin for Polite {
    fn name(&self) -> &str {
        "polite"
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        handshake.recv().await?;
        Ok(())
    }
}

fn announcing() -> PeerConfig {
    PeerConfig {
        announce: true,
        ..PeerConfig::default()
    }
}

async fn listening_gate() -> (Peer, String) {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Gate::default().routes())
        .build()
        .expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    (server, address)
}

async fn dialling(
    greeter: &Greeter,
) -> (
    Peer,
    tokio::task::JoinHandle<Result<Session, teleport::Error>>,
) {
    let config = PeerConfig {
        accept_timeout: None,
        ..PeerConfig::default()
    };
    let server = Peer::builder()
        .config(config)
        .listen_at("127.0.0.1:0")
        .plugin(greeter.clone())
        .routes(Gate::default().routes())
        .build()
        .expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let client = Peer::builder().config(announcing()).plugin(Polite);
    let client = client.build().expect("a peer");
    let dial = tokio::spawn(async move { client.dial(&address).await });
    greeter.asked.acquire().await.expect("open").forget();
    (server, dial)
}

#[tokio::test]
async fn a_handshake_under_way_is_waited_for_and_ends_in_a_session_that_closes_in_good_order() {
    let greeter = Greeter::new();
    let (server, dial) = dialling(&greeter).await;
    let mut closing = std::pin::pin!(server.close());
    tokio::select! {
        biased;
        () = &mut closing => panic!("it waits for the handshake"),
        () = std::future::ready(()) => {}
    }
    greeter.allowed.add_permits(1);
    let session = dial.await.expect("no panic").expect("not refused");
    let client = GateClient::new(&session);
    let (error, ()) = tokio::join!(client.open_road(1), closing);
    assert_eq!(error.expect_err("not taken").code(), 100);
    assert_eq!(server.session_count(), 0);
}

#[tokio::test]
async fn who_connects_at_the_last_moment_hears_that_its_first_call_was_not_taken() {
    let (server, address) = listening_gate().await;
    let client = Peer::builder()
        .config(announcing())
        .build()
        .expect("a peer");
    let session = client.dial(&address).await.expect("somebody listens");
    while server.session_count() == 0 {
        tokio::task::yield_now().await;
    }
    let mut closing = std::pin::pin!(server.close());
    tokio::select! {
        biased;
        () = &mut closing => panic!("it waits for the first call"),
        () = std::future::ready(()) => {}
    }
    let client = GateClient::new(&session);
    let (error, ()) = tokio::join!(client.open_road(1), closing);
    let error = error.expect_err("not taken");
    assert!(error.is_closed() && error.code() == 100, "{error}");
    assert_eq!(server.session_count(), 0);
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_not_waited_for_long() {
    let (server, address) = listening_gate().await;
    let silent = tokio::net::TcpStream::connect(address).await;
    while server.session_count() == 0 {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    server.close().await;
    assert!(begin.elapsed() < Duration::from_secs(10));
    drop(silent);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_at_the_limit() {
    let greeter = Greeter::new();
    let (server, dial) = dialling(&greeter).await;
    let report = server.shutdown(Duration::from_millis(10)).await;
    assert!(report.is_clean(), "it had no session yet: {report}");
    let error = dial.await.expect("no panic").expect_err("cut");
    assert!(error.status().is_some() || error.is_closed(), "{error:?}");
    server.close().await;
}

/// Notes what it is told, in the order in which it is told.
#[derive(Clone)]
struct Diary {
    name: &'static str,
    notes: Arc<Mutex<Vec<String>>>,
    begun: Arc<Notify>,
    go_on: Arc<Notify>,
}

impl Diary {
    fn note(&self, text: &str) {
        let note = format!("{}: {text}", self.name);
        self.notes.lock().expect("no panic").push(note);
    }
}

impl Plugin for Diary {
    fn name(&self) -> &str {
        self.name
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_CLOSE | Hooks::POST_DISCONNECT
    }

    async fn pre_close(&self, closing: Closing) {
        self.begun.notify_one();
        self.go_on.notified().await;
        self.note(&format!("{closing:?}"));
    }

    async fn post_disconnect(&self, _: &Session) {
        tokio::task::yield_now().await;
        self.note("disconnected");
    }
}

#[tokio::test]
async fn plugins_hear_of_the_end_first_and_of_each_session_before_close_returns() {
    let notes = Arc::default();
    let diary = |name| Diary {
        name,
        notes: Arc::clone(&notes),
        begun: Arc::default(),
        go_on: Arc::default(),
    };
    let (outer, inner) = (diary("outer"), diary("inner"));
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(outer.clone())
        .plugin(inner.clone())
        .routes(Gate::default().routes())
        .build()
        .expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let client = peer(PeerConfig::default(), Router::new());
    let closing = tokio::spawn({
        let server = server.clone();
        async move { (server.close().await, server.session_count()) }
    });
    inner.begun.notified().await;
    // Deregistering takes a while, and until it is done callers still come.
    let session = client.dial(&address).await.expect("still open");
    assert_eq!(GateClient::new(&session).open_road(1).await.expect("1"), 1);
    inner.go_on.notify_one();
    outer.begun.notified().await;
    assert_eq!(GateClient::new(&session).open_road(2).await.expect("2"), 2);
    outer.go_on.notify_one();
    let ((), count) = closing.await.expect("no panic");
    assert_eq!(count, 0);
    assert_eq!(
        *notes.lock().expect("no panic"),
        [
            "inner: Shutdown",
            "outer: Shutdown",
            "outer: disconnected",
            "inner: disconnected"
        ]
    );
    server.close().await;
    assert_eq!(notes.lock().expect("no panic").len(), 4, "told once");
}

#[tokio::test]
async fn a_hook_that_panics_does_not_keep_the_peer_up() {
    struct Panicking;

    impl Plugin for Panicking {
        fn name(&self) -> &str {
            "panicking"
        }

        async fn pre_close(&self, _: Closing) {
            panic!("in a hook")
        }
    }

    let server = Peer::builder().plugin(Panicking).build().expect("a peer");
    let Pair {
        server, session, ..
    } = connect(server, peer(PeerConfig::default(), Router::new())).await;
    server.close().await;
    session.closed().await;
}

#[tokio::test]
async fn closing_goes_on_when_nobody_waits_for_it() {
    let notes = Arc::default();
    let diary = Diary {
        name: "diary",
        notes: Arc::clone(&notes),
        begun: Arc::default(),
        go_on: Arc::default(),
    };
    let server = Peer::builder()
        .plugin(diary.clone())
        .build()
        .expect("a peer");
    let Pair {
        server, session, ..
    } = connect(server, peer(PeerConfig::default(), Router::new())).await;
    let closing = tokio::spawn({
        let server = server.clone();
        async move { server.close().await }
    });
    diary.begun.notified().await;
    closing.abort();
    closing.await.expect_err("gone");
    diary.go_on.notify_one();
    session.closed().await;
    server.close().await;
    assert_eq!(notes.lock().expect("no panic").len(), 2);
}
