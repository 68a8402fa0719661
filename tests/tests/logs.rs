//! What is said about calls: one event for each, however it ends, and nothing that must not be seen.

use std::{collections::HashMap, fs::OpenOptions, sync::Mutex, time::Duration};

use serde_json::{Value, json};
use teleport::{
    BodyText, CodecId, Context, Hooks, Peer, PeerConfig, Plugin, PullController, PullCtx,
    PushController, Router, Session, Status, UnknownPull, pull_controller, push_controller,
};
use teleport_tests::{
    capture::{Capture, Said},
    gate::Gate,
    log::Log,
    pair::{Pair, connect, pair, peer},
};
use tokio::time::Instant;
use tracing::{Level, level_filters::LevelFilter};

struct Home;

#[pull_controller]
impl Home {
    async fn echo(&self, value: Value) -> Value {
        value
    }

    async fn add(&self, numbers: [i32; 2]) -> i32 {
        numbers[0] + numbers[1]
    }

    async fn fail(&self, code: i32) -> Result<(), Status> {
        Err(Status::new(code, "as asked"))
    }

    async fn boom(&self) {
        panic!("boom")
    }

    async fn caused(&self) -> Result<(), Status> {
        Err(Status::internal("disk full"))
    }

    async fn unwritable(&self) -> HashMap<(i32, i32), i32> {
        HashMap::from([((1, 2), 3)])
    }

    async fn takes(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[pull(slow_ms = 500)]
    async fn patient(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    #[pull(cancel)]
    async fn stoppable(&self) {
        std::future::pending().await
    }

    async fn says(&self) {
        tracing::debug!(target: "teleport::call", kind = "own", "from the handler");
    }

    async fn nested(&self, ctx: &PullCtx) -> Result<(), Status> {
        // The caller's time is over, so this is never sent.
        tokio::time::sleep(ctx.time_left().unwrap_or_default()).await;
        Ok(ctx.session().pull("/caller/any", ()).await?)
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

fn routes() -> Router {
    Home.into_router().merge(News.into_router())
}

async fn session() -> Session {
    pair(routes(), Router::new()).await.session
}

fn listen() -> Capture {
    Capture::start(LevelFilter::DEBUG)
}

/// The events about one pull: of the side that made it, and of the side that answered.
async fn both(log: &mut Capture) -> (Said, Said) {
    let first = log.next().await;
    let second = log.next().await;
    match first.get("kind") {
        "pull made" => (first, second),
        _ => (second, first),
    }
}

#[tokio::test]
async fn a_pull_has_one_event_on_each_side() {
    let mut log = listen();
    let session = session().await;
    for seq in ["0", "1"] {
        let sum: i32 = session
            .pull("/home/add?from=test", [1, 2])
            .await
            .expect("a sum");
        assert_eq!(sum, 3);
        let (made, answered) = both(&mut log).await;
        assert_eq!(made.get("kind"), "pull made");
        assert_eq!(answered.get("kind"), "pull answered");
        for said in [&made, &answered] {
            assert_eq!(said.level, Level::DEBUG);
            assert_eq!(said.get("message"), "a call has ended");
            assert_eq!(said.get("uri"), "/home/add?from=test");
            assert_eq!(said.get("peer"), "stream");
            assert_eq!(said.get("seq"), seq);
            assert_eq!((said.get("status"), said.get("reason")), ("200", "OK"));
            assert!(said.number("request_size") > 20 && said.number("reply_size") > 10);
            assert!(said.get("cost").ends_with('s'), "{said:?}");
            assert!(!said.fields.contains_key("request") && !said.fields.contains_key("reply"));
        }
        assert_eq!(
            (made.get("route"), answered.get("route")),
            ("", "/home/add")
        );
        for size in ["request_size", "reply_size"] {
            assert_eq!(made.number(size), answered.number(size), "{size}");
        }
    }
    assert!(log.rest().is_empty(), "no third");
}

#[tokio::test]
async fn a_push_has_one_event_on_each_side() {
    let mut log = listen();
    let session = session().await;
    for (text, status) in [("hello", "200"), ("fail", "409"), ("boom", "500")] {
        session.push("/news/line", text).await.expect("sent");
        let sent = log.next().await;
        let received = log.next().await;
        assert_eq!((sent.get("kind"), sent.get("status")), ("push sent", "200"));
        assert_eq!(received.get("kind"), "push received");
        assert_eq!((received.get("status"), text), (status, text));
        assert_eq!(received.get("route"), "/news/line");
        assert_eq!(sent.number("request_size"), received.number("request_size"));
        assert_eq!(received.number("reply_size"), 0);
    }
    for uri in ["/nobody/here", "/%zz"] {
        session.push(uri, "hello").await.expect("sent");
    }
    assert_eq!(log.next_of("push received").await.get("status"), "404");
    assert_eq!(log.next_of("push received").await.get("status"), "400");
    assert!(log.rest().is_empty(), "no others");
}

#[tokio::test]
async fn refused_calls_have_their_events_too() {
    let mut log = listen();
    let gate = Gate::default();
    let config = PeerConfig {
        max_handlers: 1,
        ..PeerConfig::default()
    };
    let server = peer(config, routes().merge(gate.routes()));
    let Pair {
        session, accepted, ..
    } = connect(server, peer(PeerConfig::default(), Router::new())).await;
    for (uri, code, route) in [
        ("/nobody/here", 404, ""),
        ("/%zz", 400, ""),
        ("/home/add", 400, "/home/add"),
    ] {
        let error = session.pull::<_, ()>(uri, "text").await;
        assert_eq!(error.expect_err("refused").code(), code);
        let (made, answered) = both(&mut log).await;
        assert_eq!(made.number("status"), i64::from(code));
        assert_eq!(answered.number("status"), i64::from(code));
        assert_eq!(made.get("reason"), answered.get("reason"));
        assert_eq!(answered.get("route"), route);
        assert_eq!(made.number("reply_size"), answered.number("reply_size"));
    }
    let odd = session.pull::<_, ()>("/home/add", teleport::Raw(b"p\x08\x01"[..].into()));
    assert_eq!(odd.await.expect_err("no message").code(), 415);
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("415", "415"));

    let (passing, waiting) = (session.clone(), session.clone());
    let passing = tokio::spawn(async move { passing.pull::<_, u64>("/gate/pass", 7).await });
    gate.arrived(7).await;
    let error = waiting.pull::<_, i32>("/home/add", [1, 2]).await;
    assert_eq!(error.expect_err("one at a time").code(), 503);
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("503", "503"));
    accepted.start_closing();
    let error = waiting.pull::<_, i32>("/home/add", [1, 2]).await;
    assert_eq!(error.expect_err("closing").code(), 503);
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("503", "503"));
    gate.open(7);
    passing.await.expect("no panic").expect("passed");
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("200", "200"));
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_is_told_with_its_status() {
    let mut log = listen();
    let session = session().await;
    let error = session.pull::<_, ()>("/home/fail", 1001).await;
    assert_eq!(error.expect_err("as asked").code(), 1001);
    let (made, answered) = both(&mut log).await;
    for said in [&made, &answered] {
        assert_eq!(
            (said.get("status"), said.get("reason")),
            ("1001", "as asked")
        );
    }
    let error = session.pull::<_, ()>("/home/boom", ()).await;
    assert_eq!(error.expect_err("a panic").code(), 500);
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("500", "500"));
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_fails_on_this_side_says_why() {
    let mut log = listen();
    let gate = Gate::default();
    let Pair {
        session, accepted, ..
    } = pair(routes().merge(gate.routes()), Router::new()).await;

    // No reply in time.
    let pull = session.pull::<_, u64>("/gate/pass", 1);
    let error = pull.timeout(Duration::from_secs(5)).await;
    assert_eq!(error.expect_err("too late").code(), 102);
    let said = log.next_of("pull made").await;
    assert_eq!((said.get("status"), said.get("cost")), ("102", "5s"));
    assert!(said.number("request_size") > 0, "it was sent");

    // A reply that cannot be read.
    let error = session.pull::<_, String>("/home/add", [1, 2]).await;
    assert_eq!(error.expect_err("no text").code(), 103);
    let said = log.next_of("pull made").await;
    assert_eq!(said.get("status"), "103");
    assert!(said.number("reply_size") > 0, "it came");

    // Arguments that cannot be written.
    let odd = session.pull::<_, ()>("/home/add", [1, 2]);
    let error = odd.codec(CodecId::PROTOBUF).await;
    assert_eq!(error.expect_err("no message").code(), 100);
    let said = log.next_of("pull made").await;
    assert_eq!(
        (said.get("status"), said.number("request_size")),
        ("100", 0)
    );

    // The connection ends, then is closed.
    let cut = session.clone();
    let cut = tokio::spawn(async move { cut.pull::<_, u64>("/gate/pass", 2).await });
    gate.arrived(2).await;
    accepted.abort();
    assert_eq!(cut.await.expect("no panic").expect_err("cut").code(), 101);
    assert_eq!(log.next_of("pull made").await.get("status"), "101");
    session.closed().await;
    let error = session.pull::<_, u64>("/gate/pass", 3).await;
    assert_eq!(error.expect_err("closed").code(), 100);
    assert_eq!(log.next_of("pull made").await.get("status"), "100");
    let error = session.push("/news/line", "hello").await;
    assert_eq!(error.expect_err("closed").code(), 100);
    assert_eq!(log.next_of("push sent").await.get("status"), "100");
}

#[tokio::test(start_paused = true)]
async fn a_pull_for_which_its_handlers_caller_has_no_time_left_is_told() {
    let mut log = listen();
    let session = session().await;
    let outer = session.pull::<_, ()>("/home/nested", ());
    let error = outer.timeout(Duration::from_secs(1)).await;
    error.expect_err("too late");
    loop {
        let said = log.next_of("pull made").await;
        if said.get("uri") == "/caller/any" {
            assert_eq!(
                (said.get("status"), said.number("request_size")),
                ("102", 0)
            );
            break;
        }
    }
}

#[tokio::test]
async fn a_dropped_pull_says_so_on_both_sides() {
    let mut log = listen();
    let session = session().await;
    let work = session.clone();
    let call = tokio::spawn(async move {
        let pull = work.pull::<_, ()>("/home/stoppable", ());
        pull.cancel().await
    });
    // It is known to be on its way once a later one is answered.
    let _: i32 = session.pull("/home/add", [1, 2]).await.expect("a sum");
    both(&mut log).await;
    call.abort();
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("status"), answered.get("status")), ("104", "104"));
    assert_eq!(made.get("uri"), "/home/stoppable");
    assert_eq!(
        (answered.get("route"), answered.number("reply_size")),
        ("/home/stoppable", 0)
    );
    assert!(log.rest().is_empty(), "the cancellation is no call");
}

#[tokio::test]
async fn a_pull_that_was_never_polled_is_no_call() {
    let mut log = listen();
    let session = session().await;
    drop(session.pull::<_, ()>("/home/boom", ()));
    let _: i32 = session.pull("/home/add", [1, 2]).await.expect("a sum");
    both(&mut log).await;
    assert!(log.rest().is_empty());
}

/// Refuses what the query says.
struct Refusing;

impl Plugin for Refusing {
    fn name(&self) -> &str {
        "refusing"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_READ_PULL_HEADER | Hooks::PRE_READ_PULL_BODY
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        refuse(ctx, "header", 1401)
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        refuse(ctx, "body", 1402)
    }
}

fn refuse(ctx: &Context, stage: &str, code: i32) -> Result<(), Status> {
    match ctx.query("refuse").as_deref() == Some(stage) {
        true => Err(Status::new(code, "refused")),
        false => Ok(()),
    }
}

#[tokio::test]
async fn what_a_plugin_refuses_and_what_an_unknown_handler_answers_is_told() {
    let mut log = listen();
    let unknown = Router::new().unknown_pull(|_: UnknownPull| async { Ok::<_, Status>(1) });
    let server = Peer::builder()
        .plugin(Refusing)
        .routes(routes())
        .routes(unknown);
    let client = peer(PeerConfig::default(), Router::new());
    let session = connect(server.build().expect("a peer"), client)
        .await
        .session;
    for (uri, status, route) in [
        ("/home/add?refuse=header", "1401", ""),
        ("/home/add?refuse=body", "1402", "/home/add"),
        ("/home/add", "200", "/home/add"),
        ("/nobody/here", "200", ""),
    ] {
        let answer = session.pull::<_, i32>(uri, [1, 2]).await;
        assert_eq!(answer.is_ok(), status == "200");
        let (made, answered) = both(&mut log).await;
        assert_eq!(
            (made.get("status"), answered.get("status")),
            (status, status)
        );
        assert_eq!(answered.get("route"), route);
    }
}

fn shows_bodies(most: usize) -> PeerConfig {
    PeerConfig {
        print_bodies: Some(BodyText {
            most,
            ..BodyText::default()
        }),
        ..PeerConfig::default()
    }
}

#[tokio::test]
async fn bodies_are_shown_on_request_bounded_and_without_secrets() {
    let mut log = listen();
    let server = peer(shows_bodies(100), routes());
    let client = peer(shows_bodies(100), Router::new());
    let session = connect(server, client).await.session;
    let login = json!({"user": "ann", "Password": "hush", "more": [{"token": 7}]});
    let shown = r#"{"Password":"***","more":[{"token":"***"}],"user":"ann"}"#;
    for gzip in [0, 5] {
        let pull = session.pull::<_, Value>("/home/echo", &login).gzip(gzip);
        assert_eq!(pull.await.expect("an echo"), login);
        let (made, answered) = both(&mut log).await;
        for said in [&made, &answered] {
            assert_eq!((said.get("request"), said.get("reply")), (shown, shown));
        }
    }
    let long = "x".repeat(1000);
    let _: Value = session.pull("/home/echo", &long).await.expect("an echo");
    let (made, answered) = both(&mut log).await;
    for said in [&made, &answered] {
        for body in ["request", "reply"] {
            let text = said.get(body);
            assert!(
                text.starts_with("\"xxx") && text.ends_with("x... (1002 bytes)"),
                "{text}"
            );
            assert!(text.len() < 130, "{text}");
        }
    }
    session.push("/news/line", "my token").await.expect("sent");
    for _ in 0..2 {
        let said = log.next().await;
        // JSON is the default, and this is a text in it.
        assert_eq!(said.get("request"), "\"my token\"");
    }
    let text = session
        .push("/news/line", "my token")
        .codec(CodecId::STRING);
    text.await.expect("sent");
    for _ in 0..2 {
        assert_eq!(log.next().await.get("request"), "(hidden)");
    }
    // A reply that is an error has no body to show.
    let error = session.pull::<_, ()>("/home/fail", 1001).await;
    error.expect_err("as asked");
    let (made, answered) = both(&mut log).await;
    assert_eq!((made.get("request"), made.get("reply")), ("1001", "(none)"));
    assert_eq!(
        (answered.get("request"), answered.get("reply")),
        ("1001", "")
    );
}

#[tokio::test]
async fn secrets_in_the_query_are_not_seen() {
    let mut log = Capture::start(LevelFilter::TRACE);
    let session = session().await;
    for uri in [
        "/home/add?token=hush&a=1",
        "/home/fail?a=1&PassWord=hush",
        "/%zz?secret=hush",
    ] {
        let error = session.pull::<_, ()>(uri, "text").await;
        let error = error.expect_err("the arguments fit nothing");
        assert!(!error.to_string().contains("hush"), "{error}");
        let (made, answered) = both(&mut log).await;
        for said in [&made, &answered] {
            assert!(!format!("{said:?}").contains("hush"), "{said:?}");
            assert!(said.get("uri").contains("=***"), "{said:?}");
        }
    }
    let session = connect(
        peer(PeerConfig::default(), routes()),
        peer(
            PeerConfig {
                print_bodies: Some(BodyText {
                    hidden: vec!["pin".to_owned()],
                    ..BodyText::default()
                }),
                ..PeerConfig::default()
            },
            Router::new(),
        ),
    )
    .await
    .session;
    let add = session.pull::<_, i32>("/home/add?pin=1234&token=seen", [1, 2]);
    add.await.expect("a sum");
    let (made, answered) = both(&mut log).await;
    assert_eq!(made.get("uri"), "/home/add?pin=***&token=seen");
    assert_eq!(answered.get("uri"), "/home/add?pin=1234&token=***");
}

#[tokio::test]
async fn no_event_of_any_kind_shows_a_secret_of_the_query() {
    let log = Log::start();
    let session = session().await;
    for uri in ["/home/caused", "/home/boom", "/home/unwritable"] {
        let pull = session.pull::<_, ()>(format!("{uri}?token=hush"), ());
        pull.await.expect_err("it fails");
    }
    let stopped = session.clone();
    let stopped = tokio::spawn(async move {
        let pull = stopped.pull::<_, ()>("/home/stoppable?token=hush", ());
        pull.cancel().await
    });
    let _: i32 = session.pull("/home/add", [1, 2]).await.expect("a sum");
    stopped.abort();
    stopped.await.expect_err("aborted");
    for (uri, text) in [
        ("/news/line", "fail"),
        ("/news/line", "boom"),
        ("/nobody/here", ""),
    ] {
        let uri = format!("{uri}?token=hush");
        session.push(&*uri, text).await.expect("sent");
    }
    session.close().await;
    let text = log.so_far();
    for event in [
        "a pull handler failed",
        "a pull handler ended without an answer",
        "a reply cannot be encoded",
        "a pull handler was stopped",
        "a push handler failed",
        "a push was dropped",
        "a call has ended",
    ] {
        let line = text.lines().find(|line| line.contains(event));
        let line = line.unwrap_or_else(|| panic!("{event}: {text}"));
        assert!(line.contains("?token=***"), "{line}");
    }
    assert!(!text.contains("hush"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn slow_calls_are_warnings_with_limits_for_the_peer_a_router_and_a_route() {
    let mut log = Capture::start(LevelFilter::WARN);
    let config = || PeerConfig {
        slow_threshold: Some(Duration::from_millis(100)),
        ..PeerConfig::default()
    };
    let patient = Router::new().nest("/calm", Home.into_router());
    let patient = patient.slow_threshold(Duration::from_millis(1000));
    let server = peer(config(), routes().merge(patient));
    let client = peer(PeerConfig::default(), Router::new());
    let session = connect(server, client).await.session;
    for (uri, millis, is_slow) in [
        ("/home/takes", 100, false),
        ("/home/takes", 101, true),
        ("/home/patient", 500, false),
        ("/home/patient", 501, true),
        ("/calm/home/takes", 1000, false),
        ("/calm/home/takes", 1001, true),
        ("/calm/home/patient", 501, true),
        ("/nobody/here", 0, false),
    ] {
        let _ = session.pull::<_, ()>(uri, millis).await;
        let said = log.rest();
        assert_eq!(said.len(), usize::from(is_slow), "{uri} {millis}: {said:?}");
        for said in said {
            assert_eq!(said.level, Level::WARN);
            assert_eq!(said.get("message"), "a call was slow");
            assert_eq!((said.get("uri"), said.get("route")), (uri, uri));
            assert_eq!(said.get("kind"), "pull answered");
        }
    }

    // Without a limit of the peer, that of the route counts alone; and the side that calls has its own.
    let server = peer(PeerConfig::default(), routes());
    let session = connect(server, peer(config(), Router::new())).await.session;
    let _: () = session.pull("/home/takes", 600).await.expect("done");
    let said = log.rest();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].get("kind"), "pull made");
    let _: () = session.pull("/home/patient", 600).await.expect("done");
    let kinds = log.rest();
    let kinds: Vec<_> = kinds.iter().map(|said| said.get("kind")).collect();
    assert_eq!(kinds, ["pull answered", "pull made"]);
}

#[tokio::test]
async fn nothing_is_said_to_those_who_do_not_listen_for_it() {
    let mut log = Capture::start(LevelFilter::INFO);
    let session = session().await;
    let _: i32 = session.pull("/home/add", [1, 2]).await.expect("a sum");
    session.push("/news/line", "hello").await.expect("sent");
    let error = session.pull::<_, ()>("/nobody/here", ()).await;
    error.expect_err("nobody");
    let _: i32 = session.pull("/home/add", [1, 2]).await.expect("a sum");
    assert!(log.rest().is_empty());
}

#[tokio::test]
async fn what_a_handler_says_is_in_the_span_of_its_call() {
    let mut log = listen();
    let session = session().await;
    let _: () = session.pull("/home/says", ()).await.expect("said");
    let said = log.next_of("own").await;
    assert_eq!(said.span["otel.kind"], "server");
    assert_eq!(said.span["rpc.method"], "/home/says");
    assert_eq!(said.span["seq"], "0");
}

#[tokio::test]
async fn spans_are_named_as_opentelemetry_names_them() {
    let mut log = listen();
    let session = session().await;
    let _: i32 = session.pull("/home/add?a=1", [1, 2]).await.expect("a sum");
    let (made, answered) = both(&mut log).await;
    for (said, kind, other) in [(&made, "client", "server"), (&answered, "server", "client")] {
        let span = &said.span;
        assert_eq!(span["otel.kind"], kind);
        assert_eq!(span["otel.name"], "/home/add");
        assert_eq!(span["rpc.system.name"], "teleport");
        assert_eq!(span["rpc.method"], "/home/add");
        assert_eq!(span["rpc.response.status_code"], "200");
        assert_eq!(span[&*format!("{other}.address")], "stream");
        assert!(!span.contains_key("error.type") && !span.contains_key("otel.status_code"));
        assert!(!span.contains_key("rpc.method_original"));
    }
    // Whose error it is depends on the side.
    for (uri, code, is_fault) in [
        ("/home/fail", 1001, false),
        ("/home/fail", 503, true),
        ("/nobody/here", 404, false),
    ] {
        let error = session.pull::<_, ()>(uri, code).await;
        assert_eq!(error.expect_err("as asked").code(), code);
        let (made, answered) = both(&mut log).await;
        let of = |said: &Said, name: &str| said.span.get(name).cloned().unwrap_or_default();
        assert_eq!(of(&made, "otel.status_code"), "ERROR");
        assert_eq!(of(&made, "error.type"), code.to_string());
        assert_eq!(of(&made, "otel.status_description"), answered.get("reason"));
        let fault = if is_fault { "ERROR" } else { "" };
        assert_eq!(of(&answered, "otel.status_code"), fault);
        assert_eq!(of(&answered, "rpc.response.status_code"), code.to_string());
    }
    let error = session.pull::<_, ()>("/nobody/here", ()).await;
    error.expect_err("nobody");
    let (made, answered) = both(&mut log).await;
    assert_eq!(made.span["otel.name"], "/nobody/here");
    // Paths that others think of would be names without end.
    assert_eq!(answered.span["otel.name"], "teleport");
    assert_eq!(answered.span["rpc.method"], "_OTHER");
    assert_eq!(answered.span["rpc.method_original"], "/nobody/here");
}

/// Every write to it fails because there is no space.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_under_the_log_does_not_hurt_the_calls() {
    let full = OpenOptions::new().write(true).open("/dev/full");
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(Mutex::new(full.expect("a device")))
        .log_internal_errors(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let session = session().await;
    let start = Instant::now();
    for number in 0..100 {
        let sum: i32 = session.pull("/home/add", [number, 1]).await.expect("a sum");
        assert_eq!(sum, number + 1);
        session.push("/news/line", "hello").await.expect("sent");
        let error = session.pull::<_, ()>("/nobody/here", ()).await;
        assert_eq!(error.expect_err("nobody").code(), 404);
    }
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "it does not stall"
    );
    session.close().await;
}
