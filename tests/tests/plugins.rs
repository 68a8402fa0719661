//! Plugins: where they run, in which order, and what their refusals mean.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex},
    task::{self, Waker},
};

use teleport::{
    CallCtx, CallEnd, CallInfo, CodecId, Context, Handshake, Hooks, Peer, Plugin, PullController,
    PullCtx, PushController, PushCtx, RouteInfo, RoutePlugin, Router, Session, Status,
    protocol::{Header, HeaderCodec, PacketKind},
    pull_controller, push_controller,
};
use teleport_tests::{pair::connect, wire::Wire};
use tokio::sync::mpsc;

type Log = Arc<Mutex<Vec<String>>>;

/// Notes all that it sees.
struct Witness {
    name: &'static str,
    log: Log,
}

impl Witness {
    fn note(&self, hook: &str) {
        let text = format!("{}: {hook}", self.name);
        self.log.lock().expect("no panic").push(text);
    }
}

impl Plugin for Witness {
    fn name(&self) -> &str {
        self.name
    }

    async fn pre_write_pull(&self, _: &mut CallCtx) -> Result<(), Status> {
        self.note("pre_write_pull");
        Ok(())
    }

    async fn post_write_pull(&self, _: &CallCtx) -> Result<(), Status> {
        self.note("post_write_pull");
        Ok(())
    }

    async fn post_read_reply_header(&self, _: &CallCtx) -> Result<(), Status> {
        self.note("post_read_reply_header");
        Ok(())
    }

    async fn pre_read_reply_body(&self, _: &CallCtx) -> Result<(), Status> {
        self.note("pre_read_reply_body");
        Ok(())
    }

    async fn post_read_reply_body(&self, _: &CallCtx) -> Result<(), Status> {
        self.note("post_read_reply_body");
        Ok(())
    }

    async fn post_read_pull_header(&self, _: &mut PullCtx) -> Result<(), Status> {
        self.note("post_read_pull_header");
        Ok(())
    }

    async fn pre_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        self.note("pre_read_pull_body");
        Ok(())
    }

    async fn post_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        self.note("post_read_pull_body");
        Ok(())
    }

    async fn pre_write_reply(&self, _: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        self.note("pre_write_reply");
        Ok(())
    }

    async fn post_write_reply(&self, _: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        self.note("post_write_reply");
        Ok(())
    }
}

/// The same around some routes.
impl RoutePlugin for Witness {
    fn name(&self) -> &str {
        self.name
    }

    async fn pre_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        self.note("pre_read_pull_body");
        Ok(())
    }

    async fn post_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        self.note("post_read_pull_body");
        Ok(())
    }

    async fn pre_write_reply(&self, _: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        self.note("pre_write_reply");
        Ok(())
    }

    async fn post_write_reply(&self, _: &PullCtx, _: Result<(), &Status>) -> Result<(), Status> {
        self.note("post_write_reply");
        Ok(())
    }
}

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, number: u32) -> u32 {
        number
    }

    async fn user(&self, ctx: &PullCtx) -> String {
        let of = |ctx: &Context| ctx.values().get::<String>();
        of(ctx)
            .or_else(|| ctx.session().values().get())
            .unwrap_or_default()
    }
}

#[tokio::test]
async fn hooks_run_in_the_order_of_a_call_the_peers_before_the_groups() {
    let log = Log::default();
    let witness = |name| Witness {
        name,
        log: Arc::clone(&log),
    };
    let router = Home.into_router().plugin(witness("group"));
    let server = Peer::builder().plugin(witness("peer")).routes(router);
    let client = Peer::builder().plugin(witness("client"));
    let pair = connect(
        server.build().expect("a peer"),
        client.build().expect("a peer"),
    )
    .await;
    assert_eq!(HomeClient::new(&pair.session).test(7).await.expect("7"), 7);
    while log.lock().expect("no panic").len() < 14 {
        tokio::task::yield_now().await;
    }
    let mut seen = log.lock().expect("no panic").clone();
    let client: Vec<_> = seen
        .extract_if(.., |line| line.starts_with("client"))
        .collect();
    assert_eq!(
        client,
        [
            "client: pre_write_pull",
            "client: post_write_pull",
            "client: post_read_reply_header",
            "client: pre_read_reply_body",
            "client: post_read_reply_body",
        ]
    );
    assert_eq!(
        seen,
        [
            "peer: post_read_pull_header",
            "peer: pre_read_pull_body",
            "group: pre_read_pull_body",
            "peer: post_read_pull_body",
            "group: post_read_pull_body",
            "peer: pre_write_reply",
            "group: pre_write_reply",
            "peer: post_write_reply",
            "group: post_write_reply",
        ]
    );
}

/// Lets in who knows the word, and remembers who it was.
struct Doorkeeper;

impl Plugin for Doorkeeper {
    fn name(&self) -> &str {
        "doorkeeper"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let packet = handshake.recv().await?;
        let user: String = handshake.decode(&packet)?;
        let mut header = Header::new(PacketKind::Reply, packet.header.seq, packet.header.uri);
        header.status_code = if user == "ann" { 200 } else { 401 };
        handshake
            .send(&header, HeaderCodec::Protobuf, None, ())
            .await?;
        if user != "ann" {
            return Err(Status::unauthorized());
        }
        handshake.session().values().insert(user);
        Ok(())
    }
}

struct Visitor(&'static str);

impl Plugin for Visitor {
    fn name(&self) -> &str {
        "visitor"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let header = Header::new(PacketKind::Pull, 0, "/auth");
        let codec = Some(CodecId::STRING);
        handshake
            .send(&header, HeaderCodec::Protobuf, codec, self.0)
            .await?;
        match handshake.recv().await?.header.status_code {
            200 => Ok(()),
            code => Err(Status::new(code, "turned away")),
        }
    }
}

#[tokio::test]
async fn a_handshake_lets_in_or_turns_away_before_anything_is_routed() {
    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .plugin(Doorkeeper)
        .routes(Home.into_router());
    let server = server.build().expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let visitor = |name| {
        Peer::builder()
            .plugin(Visitor(name))
            .build()
            .expect("a peer")
    };
    let session = visitor("ann").dial(&address).await.expect("let in");
    assert_eq!(HomeClient::new(&session).user().await.expect("ann"), "ann");
    let error = visitor("bob")
        .dial(&address)
        .await
        .expect_err("turned away");
    assert!(error.is_rejected() && error.code() == 401, "{error}");
    assert_eq!(server.session_count(), 1);
}

/// Sends one route's calls to another.
struct Alias;

impl Plugin for Alias {
    fn name(&self) -> &str {
        "alias"
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        if ctx.path() == "/old/name" {
            ctx.header_mut().uri = "/home/test".into();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_plugin_may_give_a_pull_another_route_and_its_caller_does_not_notice() {
    let server = Peer::builder().plugin(Alias).routes(Home.into_router());
    let client = Peer::builder().build().expect("a peer");
    let pair = connect(server.build().expect("a peer"), client).await;
    let answer = pair.session.pull::<_, u32>("/old/name", 5).await;
    assert_eq!(answer.expect("5"), 5);
    let missing = pair.session.pull::<_, u32>("/older/name", 5).await;
    assert_eq!(missing.expect_err("404").code(), 404);
}

/// Refuses at one hook, and leaves a value at another.
struct Strict;

impl RoutePlugin for Strict {
    fn name(&self) -> &str {
        "strict"
    }

    async fn pre_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        match ctx.query("user") {
            Some(user) => {
                ctx.values().insert(user.into_owned());
                Ok(())
            }
            None => Err(Status::new(1403, "who are you?")),
        }
    }

    async fn pre_read_push_body(&self, ctx: &PushCtx) -> Result<(), Status> {
        match ctx.query("user") {
            Some(_) => Ok(()),
            None => Err(Status::new(1403, "who are you?")),
        }
    }
}

#[tokio::test]
async fn a_plugin_on_a_group_refuses_there_and_nowhere_else() {
    struct Taps(mpsc::UnboundedSender<u32>);

    #[push_controller]
    impl Taps {
        async fn tap(&self, number: u32) {
            self.0.send(number).ok();
        }
    }

    let (sender, mut taps) = mpsc::unbounded_channel();
    let guarded = Home
        .into_router()
        .merge(Taps(sender).into_router())
        .plugin(Strict);
    let router = Router::new()
        .nest("/guarded", guarded)
        .merge(Home.into_router());
    let server = Peer::builder().routes(router).build().expect("a peer");
    let client = Peer::builder().build().expect("a peer");
    let session = connect(server, client).await.session;
    let guarded = session.pull::<_, u32>("/guarded/home/test", 1).await;
    let error = guarded.expect_err("refused");
    assert!(error.is_remote() && error.code() == 1403, "{error}");
    let user = session.pull::<_, String>("/guarded/home/user?user=eve", ());
    assert_eq!(user.await.expect("a value of the plugin"), "eve");
    assert_eq!(HomeClient::new(&session).test(2).await.expect("free"), 2);
    session.push("/guarded/taps/tap", 1).await.expect("sent");
    session
        .push("/guarded/taps/tap?user=eve", 2)
        .await
        .expect("sent");
    assert_eq!(taps.recv().await, Some(2), "the first was dropped");
}

/// Knows the end of a session.
struct Farewell(mpsc::UnboundedSender<Arc<str>>);

impl Plugin for Farewell {
    fn name(&self) -> &str {
        "farewell"
    }

    async fn post_disconnect(&self, session: &Session) {
        self.0.send(session.id()).ok();
    }
}

#[tokio::test]
async fn plugins_are_told_when_a_session_has_ended() {
    let (sender, mut ended) = mpsc::unbounded_channel();
    let server = Peer::builder().plugin(Farewell(sender)).build();
    let client = Peer::builder().build().expect("a peer");
    let pair = connect(server.expect("a peer"), client).await;
    let id = pair.accepted.id();
    pair.session.close().await;
    assert_eq!(ended.recv().await, Some(id));
}

/// Notes sizes and routes, and passes a value from the start of a call to its end.
struct Meter(mpsc::UnboundedSender<String>);

impl Plugin for Meter {
    fn name(&self) -> &str {
        "meter"
    }

    async fn pre_write_pull(&self, call: &mut CallCtx) -> Result<(), Status> {
        assert_eq!((call.size(), call.reply_size()), (0, 0));
        call.values().insert(String::from("kept"));
        call.header_mut().meta.insert("who", "meter");
        Ok(())
    }

    async fn post_read_reply_body(&self, call: &CallCtx) -> Result<(), Status> {
        let (kept, reply) = (
            call.values().get::<String>(),
            call.reply().expect("a reply"),
        );
        let (size, reply_size) = (call.size(), call.reply_size());
        self.0
            .send(format!(
                "client {size} {reply_size} {} {kept:?}",
                reply.status_code
            ))
            .ok();
        Ok(())
    }

    async fn post_write_reply(
        &self,
        ctx: &PullCtx,
        outcome: Result<(), &Status>,
    ) -> Result<(), Status> {
        let route = ctx.route().map(|route| route.handler);
        let (size, reply_size) = (ctx.size(), ctx.reply_size());
        let who = ctx.meta("who");
        self.0
            .send(format!(
                "server {size} {reply_size} {route:?} {who:?} {outcome:?}"
            ))
            .ok();
        Ok(())
    }
}

#[tokio::test]
async fn hooks_see_sizes_route_and_values_of_a_call() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let server = Peer::builder()
        .plugin(Meter(sender.clone()))
        .routes(Home.into_router());
    let client = Peer::builder().plugin(Meter(sender));
    let pair = connect(
        server.build().expect("a peer"),
        client.build().expect("a peer"),
    )
    .await;
    assert_eq!(HomeClient::new(&pair.session).test(7).await.expect("7"), 7);
    let mut lines = [
        seen.recv().await.expect("one"),
        seen.recv().await.expect("two"),
    ];
    lines.sort();
    // 8 for the lengths, 1 for each codec id, and what is in header and body.
    let request =
        8 + 1 + "\x10\x01\x1a\x0a/home/test".len() + 3 + "\x0a\x03who\x12\x05meter".len() + 2;
    let reply = 8 + 1 + "\x10\x02\x1a\x0a/home/test\x28\u{2}\x01\x32\x02OK".len() + 2;
    assert_eq!(
        lines,
        [
            format!("client {request} {reply} 200 Some(\"kept\")"),
            format!("server {request} {reply} Some(\"Home::test\") Some(\"meter\") Ok(())"),
        ]
    );
}

/// Lets so many packets in, and no more.
struct Gate(Mutex<u32>);

impl Plugin for Gate {
    fn name(&self) -> &str {
        "gate"
    }

    async fn pre_read_header(&self, _: &Session) -> Result<(), Status> {
        tokio::task::yield_now().await;
        let mut left = self.0.lock().expect("no panic");
        *left = left
            .checked_sub(1)
            .ok_or_else(|| Status::unavailable("enough"))?;
        Ok(())
    }
}

#[tokio::test]
async fn a_hook_before_the_header_holds_the_reading_and_may_end_the_session() {
    let server = Peer::builder()
        .plugin(Gate(Mutex::new(3)))
        .routes(Home.into_router());
    let client = Peer::builder().build().expect("a peer");
    let pair = connect(server.build().expect("a peer"), client).await;
    let home = HomeClient::new(&pair.session);
    for number in 0..3 {
        assert_eq!(home.test(number).await.expect("let in"), number);
    }
    pair.session.closed().await;
    assert!(home.test(3).await.expect_err("nothing is read").is_closed());
}

/// Knows all routes, and dislikes some.
struct Surveyor(Log);

impl Plugin for Surveyor {
    fn name(&self) -> &str {
        "surveyor"
    }

    fn post_route(&self, route: &RouteInfo) -> Result<(), Status> {
        self.0.lock().expect("no panic").push(route.uri.clone());
        match &*route.uri {
            "/forbidden/home/user" => Err(Status::conflict("no users here")),
            _ => Ok(()),
        }
    }
}

#[test]
fn plugins_see_each_route_when_the_peer_is_built_and_may_refuse_it() {
    let log = Log::default();
    let build = |router| {
        Peer::builder()
            .plugin(Surveyor(Arc::clone(&log)))
            .routes(router)
            .build()
    };
    build(Home.into_router()).expect("a peer");
    assert_eq!(*log.lock().expect("no panic"), ["/home/test", "/home/user"]);
    let error = build(Router::new().nest("/forbidden", Home.into_router())).expect_err("refused");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!(
        cause,
        "the plugin `surveyor` refuses the route /forbidden/home/user: 409 no users here"
    );
}

/// Says on the wire when it is dropped.
struct Telling(Session);

impl Drop for Telling {
    fn drop(&mut self) {
        let mut push = pin!(self.0.push("/dropped", ()));
        let mut cx = task::Context::from_waker(Waker::noop());
        assert!(push.as_mut().poll(&mut cx).is_ready(), "handed over");
    }
}

/// Leaves such a value with each call, and refuses some.
struct Leaving;

impl RoutePlugin for Leaving {
    fn name(&self) -> &str {
        "leaving"
    }

    async fn post_read_pull_body(&self, ctx: &PullCtx) -> Result<(), Status> {
        ctx.values().insert(Telling(ctx.session().clone()));
        match ctx.query("refuse") {
            Some(_) => Err(Status::unavailable("refused")),
            None => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_values_of_a_call_that_fails_are_dropped_before_its_reply_leaves() {
    struct Panics;

    #[pull_controller]
    impl Panics {
        async fn at_once(&self) {
            panic!("as it should")
        }

        async fn later(&self) {
            tokio::task::yield_now().await;
            panic!("as it should")
        }
    }

    let router = Panics.into_router().plugin(Leaving);
    let peer = Peer::builder().routes(router).build().expect("a peer");
    let (mut wire, _session) = Wire::to(&peer).await;
    for uri in ["/panics/at_once", "/panics/later", "/panics/later?refuse"] {
        wire.pull(0, uri, b"").await;
        let packets = [wire.hear().await.header, wire.hear().await.header];
        assert_eq!(packets[0].uri, "/dropped", "{uri}");
        assert_eq!(packets[1].uri, uri);
        assert!([500, 503].contains(&packets[1].status_code));
    }
}

/// Keeps books of all calls.
struct Books(Log);

impl Books {
    fn enter(&self, what: &str, call: &CallInfo<'_>) {
        let way = if call.outgoing { "to" } else { "from" };
        let route = call.route.map_or("none", |route| &*route.uri);
        let text = format!("{what} {way} {} on {route}", call.header.uri);
        self.0.lock().expect("no panic").push(text);
    }
}

impl Plugin for Books {
    fn name(&self) -> &str {
        "books"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_CALL | Hooks::POST_CALL
    }

    fn pre_call(&self, call: &CallInfo<'_>) {
        self.enter("begun", call);
    }

    fn post_call(&self, call: &CallInfo<'_>, end: &CallEnd<'_>) {
        self.enter(&end.code.to_string(), call);
        assert!(!call.header.uri.contains("panic"), "for the test");
    }
}

#[tokio::test]
async fn those_who_watch_see_each_call_begin_and_end_once_and_their_panics_hurt_nobody() {
    let (served, made) = (Log::default(), Log::default());
    let server = Peer::builder().plugin(Books(Arc::clone(&served)));
    let server = server.routes(Home.into_router());
    let client = Peer::builder().plugin(Books(Arc::clone(&made)));
    let session = connect(
        server.build().expect("a peer"),
        client.build().expect("a peer"),
    )
    .await
    .session;
    session.push("/nobody/here", ()).await.expect("sent");
    for uri in ["/home/test", "/home/test?panic", "/nobody/here"] {
        let _ = session.pull::<_, u32>(uri, 1).await;
    }
    drop(session.pull::<_, u32>("/never/polled", 1));
    let mut dropped = Box::pin(
        session
            .pull::<_, u32>("/home/test?dropped", 1)
            .into_future(),
    );
    let first = std::future::poll_fn(|cx| std::task::Poll::Ready(dropped.as_mut().poll(cx)));
    assert!(first.await.is_pending());
    drop(dropped);
    // What comes behind it is answered after it.
    let _ = session.pull::<_, u32>("/home/test", 1).await;
    let made = made.lock().expect("no panic").clone();
    assert_eq!(
        made,
        [
            "begun to /nobody/here on none",
            "200 to /nobody/here on none",
            "begun to /home/test on none",
            "200 to /home/test on none",
            "begun to /home/test?panic on none",
            "200 to /home/test?panic on none",
            "begun to /nobody/here on none",
            "404 to /nobody/here on none",
            "begun to /home/test?dropped on none",
            "104 to /home/test?dropped on none",
            "begun to /home/test on none",
            "200 to /home/test on none",
        ]
    );
    let served = served.lock().expect("no panic").clone();
    assert_eq!(
        served,
        [
            "begun from /nobody/here on none",
            "404 from /nobody/here on none",
            "begun from /home/test on none",
            "200 from /home/test on /home/test",
            "begun from /home/test?panic on none",
            "200 from /home/test?panic on /home/test",
            "begun from /nobody/here on none",
            "404 from /nobody/here on none",
            "begun from /home/test?dropped on none",
            "200 from /home/test?dropped on /home/test",
            "begun from /home/test on none",
            "200 from /home/test on /home/test",
        ]
    );
}
