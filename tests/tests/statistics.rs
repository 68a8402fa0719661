//! Statistics: every call is counted once, however it ends, and nobody can make labels without end.

use std::time::Duration;

use teleport::{
    CallCtx, CodecId, Handshake, Hooks, Peer, PeerBuilder, PeerConfig, Plugin, PullController,
    PullCtx, PushController, Raw, RouteKind, Router, Session, Status,
    plugins::{
        PrometheusPage, Statistics,
        statistics::{RouteCalls, Snapshot},
    },
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::Gate,
    pair::{Pair, connect},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::yield_now,
};

struct Home;

#[pull_controller]
impl Home {
    async fn add(&self, numbers: [i32; 2]) -> i32 {
        numbers[0].wrapping_add(numbers[1])
    }

    async fn fail(&self, code: i32) -> Result<(), Status> {
        Err(Status::new(code, "as asked"))
    }

    async fn boom(&self) {
        panic!("boom")
    }

    async fn takes(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[pull(cancel)]
    async fn stoppable(&self) {
        std::future::pending().await
    }
}

struct News;

#[push_controller]
impl News {
    async fn line(&self, text: String) -> Result<(), Status> {
        match &*text {
            "boom" => panic!("boom"),
            "fail" => Err(Status::conflict("not now")),
            _ => Ok(()),
        }
    }
}

/// Two connected peers that count, and what they have counted.
struct Counted {
    pair: Pair,
    server: Statistics,
    client: Statistics,
    gate: Gate,
}

impl Counted {
    async fn new() -> Self {
        Self::with(Peer::builder(), Peer::builder()).await
    }

    async fn with(server: PeerBuilder, client: PeerBuilder) -> Self {
        let gate = Gate::default();
        let (served, made) = (Statistics::new(), Statistics::new());
        let routes = Home.into_router().merge(News.into_router());
        let server = server.routes(routes.merge(gate.routes()));
        let server = server.plugin(served.clone()).build().expect("a peer");
        let client = client.plugin(made.clone()).build().expect("a peer");
        Self {
            pair: connect(server, client).await,
            server: served,
            client: made,
            gate,
        }
    }

    fn session(&self) -> &Session {
        &self.pair.session
    }

    /// The code of a pull that fails.
    async fn code(&self, uri: &str, args: impl teleport::codec::Encode + Send) -> i32 {
        let pull = self.session().pull::<_, ()>(uri, args);
        pull.await.expect_err("it fails").code()
    }

    /// Waits until nothing is under way.
    async fn idle(&self) -> (Snapshot, Snapshot) {
        loop {
            let (server, client) = (self.server.snapshot(), self.client.snapshot());
            if server.serving == 0 && client.calling == 0 {
                return (server, client);
            }
            // Not a mere yield: where time is paused, it goes on only while nobody has anything to do.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Calls, and how they failed.
fn outcome(calls: Option<&RouteCalls>) -> (u64, Vec<(i32, u64)>) {
    let calls = calls.expect("they were counted");
    let errors = calls.errors.iter().map(|(code, count)| (*code, *count));
    (calls.calls, errors.collect())
}

fn total(calls: &[RouteCalls]) -> u64 {
    calls.iter().map(|calls| calls.calls).sum()
}

#[tokio::test(start_paused = true)]
async fn calls_are_counted_by_route_with_their_bytes_and_their_time() {
    let counted = Counted::new().await;
    for millis in [10, 20, 1000] {
        let pull = counted.session().pull::<_, ()>("/home/takes?a=b", millis);
        pull.await.expect("done");
    }
    let push = counted.session().push("/news/line?a=b", "hello");
    push.await.expect("sent");
    let _: i32 = counted
        .session()
        .pull("/home/add", [1, 2])
        .await
        .expect("a sum");
    let (server, client) = counted.idle().await;

    let served = server.served_pulls("/home/takes").expect("counted");
    let made = client.made_pulls("/home/takes").expect("counted");
    for calls in [served, made] {
        assert_eq!(
            (calls.kind, calls.calls, calls.failed()),
            (RouteKind::Pull, 3, 0)
        );
        assert_eq!(calls.latency.count(), 3);
        assert_eq!(calls.latency.max(), Duration::from_secs(1));
        let median = calls.latency.quantile(0.5).as_secs_f64();
        assert!((median / 0.02 - 1.0).abs() < 0.07, "{median}");
    }
    assert_eq!(
        (served.bytes_in, served.bytes_out),
        (made.bytes_out, made.bytes_in)
    );
    assert!(served.bytes_in > 60 && served.bytes_out > 30, "{served:?}");
    let served = server.served_pushes("/news/line").expect("counted");
    let made = client.made_pushes("/news/line").expect("counted");
    assert_eq!((served.calls, made.calls), (1, 1));
    assert_eq!(
        (served.bytes_in, served.bytes_out),
        (made.bytes_out, made.bytes_in)
    );
    assert_eq!((total(&server.served), total(&client.called)), (5, 5));
    assert!(server.called.is_empty() && client.served.is_empty());
}

#[tokio::test]
async fn every_way_in_which_the_other_side_ends_a_call_is_counted_once() {
    let config = PeerConfig {
        max_handlers: 1,
        ..PeerConfig::default()
    };
    let counted = Counted::with(Peer::builder().config(config), Peer::builder()).await;
    assert_eq!(counted.code("/home/fail", 1001).await, 1001);
    assert_eq!(counted.code("/home/boom", ()).await, 500);
    assert_eq!(counted.code("/nobody/here", ()).await, 404);
    assert_eq!(counted.code("/%zz", ()).await, 400);
    assert_eq!(counted.code("/home/add", "text").await, 400);
    let message = Raw(b"p\x08\x01"[..].into());
    assert_eq!(counted.code("/home/add", message).await, 415);
    let session = counted.session().clone();
    let passing = tokio::spawn(async move { session.pull::<_, u64>("/gate/pass", 1).await });
    counted.gate.arrived(1).await;
    assert_eq!(counted.code("/home/add", [1, 2]).await, 503);
    let (server, client) = (counted.server.snapshot(), counted.client.snapshot());
    assert_eq!((server.serving, client.calling), (1, 1));
    assert_eq!((server.calling, client.serving), (0, 0));
    counted.pair.accepted.start_closing();
    // It is refused, and not the one that runs.
    let refused = counted.session().pull::<_, i32>("/home/add", [1, 2]).await;
    assert_eq!(refused.expect_err("closing").code(), 503);
    counted.gate.open(1);
    passing.await.expect("no panic").expect("passed");

    let (server, client) = counted.idle().await;
    assert_eq!(
        outcome(server.served_pulls("/home/fail")),
        (1, vec![(1001, 1)])
    );
    assert_eq!(
        outcome(server.served_pulls("/home/boom")),
        (1, vec![(500, 1)])
    );
    assert_eq!(
        outcome(server.served_pulls("/home/add")),
        (2, vec![(400, 1), (415, 1)])
    );
    // No route was looked up for these.
    assert_eq!(
        outcome(server.served_pulls("unknown")),
        (4, vec![(400, 1), (404, 1), (503, 2)])
    );
    assert_eq!(outcome(server.served_pulls("/gate/pass")), (1, vec![]));
    assert_eq!(
        outcome(client.made_pulls("/home/add")),
        (4, vec![(400, 1), (415, 1), (503, 2)])
    );
    assert_eq!(outcome(client.made_pulls("unknown")), (1, vec![(404, 1)]));
    assert_eq!(outcome(client.made_pulls("/%zz")), (1, vec![(400, 1)]));
    assert_eq!((total(&server.served), total(&client.called)), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn every_way_in_which_this_side_ends_a_call_is_counted_once() {
    let counted = Counted::new().await;
    let session = counted.session();
    // Time limit, unreadable reply, arguments that cannot be written.
    let pull = session.pull::<_, ()>("/home/takes", 10_000);
    let error = pull.timeout(Duration::from_secs(1)).await;
    assert_eq!(error.expect_err("too late").code(), 102);
    let error = session.pull::<_, String>("/home/add", [1, 2]).await;
    assert_eq!(error.expect_err("no text").code(), 103);
    let pull = session.pull::<_, i32>("/home/add", [1, 2]);
    let error = pull.codec(CodecId::PROTOBUF).await;
    assert_eq!(error.expect_err("no message").code(), 100);
    // Given up: before its first poll it was no call.
    drop(session.pull::<_, ()>("/home/stoppable", ()));
    let stopped = session.clone();
    let stopped = tokio::spawn(async move {
        let pull = stopped.pull::<_, ()>("/home/stoppable", ());
        pull.cancel().await
    });
    while counted.server.snapshot().serving < 2 {
        yield_now().await;
    }
    stopped.abort();
    stopped.await.expect_err("aborted");
    // The handler of the first one goes on.
    let (server, client) = counted.idle().await;
    assert_eq!(
        outcome(server.served_pulls("/home/stoppable")),
        (1, vec![(104, 1)])
    );
    assert_eq!(
        outcome(client.made_pulls("/home/stoppable")),
        (1, vec![(104, 1)])
    );
    assert_eq!(outcome(server.served_pulls("/home/takes")), (1, vec![]));
    assert_eq!(
        outcome(client.made_pulls("/home/takes")),
        (1, vec![(102, 1)])
    );

    // The connection ends, then is closed.
    let cut = session.clone();
    let cut = tokio::spawn(async move { cut.pull::<_, u64>("/gate/pass", 1).await });
    counted.gate.arrived(1).await;
    counted.pair.accepted.abort();
    assert_eq!(cut.await.expect("no panic").expect_err("cut").code(), 101);
    session.closed().await;
    assert_eq!(counted.code("/gate/pass", 2).await, 100);
    let error = session.push("/news/line", "hello").await;
    assert_eq!(error.expect_err("closed").code(), 100);
    assert_eq!(counted.server.snapshot().serving, 1, "its handler goes on");
    counted.gate.open(1);
    let (server, client) = counted.idle().await;
    assert_eq!(outcome(server.served_pulls("/gate/pass")), (1, vec![]));
    assert_eq!(
        outcome(client.made_pulls("/gate/pass")),
        (2, vec![(100, 1), (101, 1)])
    );
    assert_eq!(
        outcome(client.made_pushes("/news/line")),
        (1, vec![(100, 1)])
    );
    assert_eq!(
        outcome(client.made_pulls("/home/add")),
        (2, vec![(100, 1), (103, 1)])
    );
    assert_eq!((total(&server.served), total(&client.called)), (4, 7));
}

#[tokio::test]
async fn every_way_in_which_a_push_ends_is_counted_once() {
    let counted = Counted::new().await;
    for (uri, text) in [
        ("/news/line", "hello"),
        ("/news/line", "fail"),
        ("/news/line", "boom"),
        ("/nobody/here", ""),
        ("/%zz", ""),
    ] {
        counted.session().push(uri, text).await.expect("sent");
    }
    let push = counted.session().push("/news/line", [1]);
    push.await.expect("sent");
    // It comes behind them.
    let _: i32 = counted
        .session()
        .pull("/home/add", [1, 2])
        .await
        .expect("a sum");
    let (server, client) = counted.idle().await;
    assert_eq!(
        outcome(server.served_pushes("/news/line")),
        (4, vec![(400, 1), (409, 1), (500, 1)])
    );
    assert_eq!(
        outcome(server.served_pushes("unknown")),
        (2, vec![(400, 1), (404, 1)])
    );
    assert_eq!(outcome(client.made_pushes("/news/line")), (4, vec![]));
    assert_eq!(total(&client.called), 7);
}

/// Refuses where the query says.
struct Refusing;

impl Refusing {
    fn at(stage: &str, uri: &str) -> Result<(), Status> {
        match uri.ends_with(stage) {
            true => Err(Status::new(1400, "refused")),
            false => Ok(()),
        }
    }
}

impl Plugin for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        Self::at("header", ctx.uri())
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        Self::at("body", ctx.uri())
    }

    async fn pre_write_pull(&self, call: &mut CallCtx) -> Result<(), Status> {
        Self::at("write", call.uri())
    }

    async fn post_read_reply_body(&self, call: &CallCtx) -> Result<(), Status> {
        Self::at("reply", call.uri())
    }
}

#[tokio::test]
async fn what_a_plugin_refuses_on_either_side_is_counted_once() {
    let server = Peer::builder().plugin(Refusing);
    let counted = Counted::with(server, Peer::builder().plugin(Refusing)).await;
    for stage in ["header", "body", "write", "reply", "none"] {
        let uri = format!("/home/add?{stage}");
        let sum = counted.session().pull::<_, i32>(uri, [1, 2]).await;
        assert_eq!(sum.is_ok(), stage == "none");
    }
    let (server, client) = counted.idle().await;
    assert_eq!(
        outcome(server.served_pulls("unknown")),
        (1, vec![(1400, 1)])
    );
    assert_eq!(
        outcome(server.served_pulls("/home/add")),
        (3, vec![(1400, 1)])
    );
    assert_eq!(
        outcome(client.made_pulls("/home/add")),
        (5, vec![(100, 1), (1400, 3)])
    );
}

#[tokio::test]
async fn there_is_an_end_to_paths_and_codes() {
    let answer = Router::new().unknown_pull(|pull: teleport::UnknownPull| async move {
        match pull.path().starts_with("/known") {
            true => Ok(()),
            false => Err(Status::not_found()),
        }
    });
    let counted = Counted::with(Peer::builder().routes(answer), Peer::builder()).await;
    let session = counted.session();
    for number in 0..1100 {
        let uri = format!("/nobody/{number}");
        session.pull::<_, ()>(uri, ()).await.expect_err("404");
        let uri = format!("/known/{number}?query={number}");
        session.pull::<_, ()>(uri, ()).await.expect("answered");
    }
    let long = format!("/known/{}", "x".repeat(200));
    session.pull::<_, ()>(long, ()).await.expect("answered");
    for code in 1001..1101 {
        assert_eq!(counted.code("/home/fail", code).await, code);
    }
    let (server, client) = counted.idle().await;
    assert_eq!(outcome(server.served_pulls("unknown")).0, 2201);
    assert_eq!(server.served.len(), 2, "{:?}", server.served);
    assert_eq!(
        outcome(client.made_pulls("unknown")),
        (1100, vec![(404, 1100)])
    );
    assert_eq!(client.called.len(), 1001, "1,000 and `other`");
    let other = client.made_pulls("other").expect("counted");
    assert_eq!(other.calls, 1100 + 1 + 100 - 999);
    let fail = server.served_pulls("/home/fail").expect("counted");
    assert_eq!((fail.errors.len(), fail.other_errors), (32, 68));
    assert_eq!((fail.calls, fail.failed()), (100, 100));
}

/// Lets nobody in.
struct Door;

impl Plugin for Door {
    fn name(&self) -> &str {
        "door"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, _: &mut Handshake<'_>) -> Result<(), Status> {
        Err(Status::unauthorized())
    }
}

#[tokio::test]
async fn sessions_are_counted_when_they_open_and_when_they_end() {
    let counted = Counted::new().await;
    let sessions = counted.server.snapshot().sessions;
    assert_eq!((sessions.open, sessions.opened, sessions.closed), (1, 1, 0));
    let (left, _right) = tokio::io::duplex(1024);
    let other = counted
        .pair
        .server
        .serve_conn(left)
        .await
        .expect("a session");
    assert_eq!(counted.server.snapshot().sessions.open, 2);
    // The handle is kept, the session is over.
    other.abort();
    while counted.server.snapshot().sessions.closed < 1 {
        yield_now().await;
    }
    let sessions = counted.server.snapshot().sessions;
    assert_eq!((sessions.open, sessions.opened, sessions.closed), (1, 2, 1));
    drop(other);
    assert_eq!(counted.server.snapshot().sessions.closed, 1, "not again");

    let statistics = Statistics::new();
    let peer = Peer::builder().plugin(statistics.clone()).plugin(Door);
    let (left, _right) = tokio::io::duplex(1024);
    let peer = peer.build().expect("a peer");
    peer.serve_conn(left).await.expect_err("nobody is let in");
    let sessions = statistics.snapshot().sessions;
    assert_eq!((sessions.open, sessions.opened, sessions.closed), (0, 1, 1));
}

#[tokio::test]
async fn a_session_that_was_dialled_is_counted_on_both_sides() {
    let (server, client) = (Statistics::new(), Statistics::new());
    let listening = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(server.clone());
    let listening = listening.build().expect("a peer");
    let address = listening.listen().await.expect("a port").address();
    let dialling = Peer::builder()
        .plugin(client.clone())
        .build()
        .expect("a peer");
    let session = dialling.dial(&address).await.expect("a session");
    while server.snapshot().sessions.opened < 1 {
        yield_now().await;
    }
    assert_eq!(client.snapshot().sessions.open, 1);
    session.close().await;
    while server.snapshot().sessions.open + client.snapshot().sessions.open > 0 {
        yield_now().await;
    }
    listening.close().await;
}

/// The number behind the labels.
fn value(page: &str, series: &str) -> f64 {
    let mut lines = page.lines();
    let number = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let number = number.unwrap_or_else(|| panic!("{series} is not in\n{page}"));
    number.parse().expect("a number")
}

#[tokio::test(start_paused = true)]
async fn the_page_has_the_same_numbers() {
    let page = PrometheusPage::new();
    let statistics = Statistics::recorded_by(page.recorder());
    let server = Peer::builder().plugin(statistics.clone());
    let counted = Counted::with(server, Peer::builder()).await;
    let session = counted.session();
    for millis in [3, 30] {
        let pull = session.pull::<_, ()>("/home/takes", millis);
        pull.await.expect("done");
    }
    assert_eq!(counted.code("/home/fail", 1001).await, 1001);
    assert_eq!(counted.code("/nobody/here", ()).await, 404);
    session.push("/news/line", "hello").await.expect("sent");
    let passing = session.clone();
    tokio::spawn(async move { passing.pull::<_, u64>("/gate/pass", 1).await });
    counted.gate.arrived(1).await;

    let text = page.render();
    let takes = r#"kind="pull",route="/home/takes""#;
    for (series, number) in [
        (
            format!(r#"teleport_server_handled_total{{{takes},code="200"}}"#),
            2.0,
        ),
        (
            format!("teleport_server_handled_seconds_count{{{takes}}}"),
            2.0,
        ),
        (
            format!("teleport_server_handled_seconds_sum{{{takes}}}"),
            0.033,
        ),
        (
            format!(r#"teleport_server_handled_seconds_bucket{{{takes},le="0.0025"}}"#),
            0.0,
        ),
        (
            format!(r#"teleport_server_handled_seconds_bucket{{{takes},le="0.005"}}"#),
            1.0,
        ),
        (
            format!(r#"teleport_server_handled_seconds_bucket{{{takes},le="0.05"}}"#),
            2.0,
        ),
        (
            r#"teleport_server_handled_total{kind="pull",route="/home/fail",code="1001"}"#.into(),
            1.0,
        ),
        (
            r#"teleport_server_handled_total{kind="pull",route="unknown",code="404"}"#.into(),
            1.0,
        ),
        (
            r#"teleport_server_handled_total{kind="push",route="/news/line",code="200"}"#.into(),
            1.0,
        ),
        ("teleport_server_in_flight".into(), 1.0),
        ("teleport_sessions_open".into(), 1.0),
        ("teleport_sessions_opened_total".into(), 1.0),
        ("teleport_sessions_closed_total".into(), 0.0),
    ] {
        assert!(
            (value(&text, &series) - number).abs() < 1e-9,
            "{series}:\n{text}"
        );
    }
    let snapshot = statistics.snapshot();
    let calls = snapshot.served_pulls("/home/takes").expect("counted");
    let received = format!("teleport_server_received_bytes_total{{{takes}}}");
    assert_eq!(value(&text, &received), calls.bytes_in as f64);
    let sent = format!("teleport_server_sent_bytes_total{{{takes}}}");
    assert_eq!(value(&text, &sent), calls.bytes_out as f64);
    for described in [
        "# TYPE teleport_server_handled_seconds histogram",
        "# HELP teleport_server_handled_total Calls that were served, by their outcome.",
    ] {
        assert!(text.contains(described), "{described}:\n{text}");
    }
    counted.gate.open(1);
}

#[tokio::test]
async fn an_installed_page_has_what_others_count_too() {
    let page = PrometheusPage::new();
    page.install().expect("the first");
    let error = PrometheusPage::new().install().expect_err("the second");
    assert!(!error.to_string().is_empty());
    let own = metrics::Key::from_static_name("an_own_total");
    let metadata = metrics::Metadata::new("test", metrics::Level::INFO, None);
    metrics::with_recorder(|recorder| recorder.register_counter(&own, &metadata).increment(7));
    let counted = Counted::new().await;
    let uri = "/only/of/this/test";
    counted.session().push(uri, "hello").await.expect("sent");
    let text = page.render();
    assert_eq!(value(&text, "an_own_total"), 7.0);
    let sent = format!(r#"teleport_client_handled_total{{kind="push",route="{uri}",code="200"}}"#);
    assert_eq!(value(&text, &sent), 1.0);
}

async fn request(address: std::net::SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = String::new();
    stream.read_to_string(&mut response).await.expect("text");
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn the_page_is_served_over_http() {
    let page = PrometheusPage::new();
    let statistics = Statistics::recorded_by(page.recorder());
    let counted = Counted::with(Peer::builder().plugin(statistics), Peer::builder()).await;
    assert_eq!(counted.code("/nobody/here", ()).await, 404);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move { page.serve(listener).await });

    // Those who never finish their request hold up nobody.
    let mut idle = Vec::new();
    for _ in 0..8 {
        idle.push(TcpStream::connect(address).await.expect("a connection"));
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let (head, body) = request(address, &get("/metrics?x=y")).await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains(&format!("content-length: {}", body.len())),
        "{head}"
    );
    let refused = r#"teleport_server_handled_total{kind="pull",route="unknown",code="404"}"#;
    assert_eq!(value(&body, refused), 1.0);
    let (head, body) = request(address, "HEAD /metrics HTTP/1.1\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && body.is_empty(),
        "{head}"
    );
    for (asked, status) in [
        (get("/other"), "404"),
        ("POST /metrics HTTP/1.1\r\n\r\n".to_owned(), "405"),
        ("what?\r\n\r\n".to_owned(), "400"),
    ] {
        let (head, _) = request(address, &asked).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{head}");
    }
    // A request without end is cut off, and the page goes on.
    let mut endless = TcpStream::connect(address).await.expect("a connection");
    endless.write_all(&[b'x'; 20_000]).await.ok();
    let mut rest = Vec::new();
    endless.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty());
    assert!(request(address, &get("/")).await.0.contains("200 OK"));
    serving.abort();
    serving.await.expect_err("aborted");
    TcpStream::connect(address)
        .await
        .expect_err("nobody serves any more");
}
