//! Panics in whatever the user has brought: one call ends with 500, or one session ends, and nothing else does. What handlers,
//! bodies, and hooks at a peer's end do is in `errors.rs`, `routing.rs` and `shutdown.rs`.

use std::{
    fmt,
    future::{Future, ready},
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use teleport::{
    CallCtx, CodecId, Handshake, Hooks, Peer, PeerConfig, Plugin, PullController, PullCtx,
    PushController, PushCtx, Router, Session, Status,
    codec::{Codec, CodecError, erased_serde},
    protocol::{
        Decoded, EncodeError, HeaderCodec, HeaderRef, Limits, PacketKind, Protocol, ProtocolError,
        Standard,
    },
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::Gate,
    pair::{Pair, connect, dial, pair, peer},
    wire::Wire,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    task::yield_now,
};

/// Panics when it is dropped.
#[derive(Clone)]
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        // A second panic while one is under way would end the process, in any program.
        if !std::thread::panicking() {
            panic!("on purpose");
        }
    }
}

/// At which point of a hook to panic.
#[derive(Clone, Copy, Debug)]
enum When {
    BeforeThereIsAFuture,
    AtOnce,
    Later,
}

const WHEN: [When; 3] = [When::BeforeThereIsAFuture, When::AtOnce, When::Later];

/// Panics in one hook.
struct Panics {
    hook: &'static str,
    when: When,
}

type Going<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Panics {
    fn reach<T: Send + 'static>(&self, hook: &str, result: T) -> Going<T> {
        if hook != self.hook {
            return Box::pin(ready(result));
        }
        match self.when {
            When::BeforeThereIsAFuture => panic!("on purpose"),
            When::AtOnce => Box::pin(async { panic!("on purpose") }),
            When::Later => Box::pin(async {
                yield_now().await;
                panic!("on purpose")
            }),
        }
    }
}

macro_rules! hooks {
    ($($hook:ident($($arg:ty),*);)*) => {
        impl Plugin for Panics {
            fn name(&self) -> &str {
                "panics"
            }

            fn post_disconnect(&self, _: &Session) -> impl Future<Output = ()> + Send {
                self.reach("post_disconnect", ())
            }

            $(fn $hook(&self, $(_: $arg),*) -> impl Future<Output = Result<(), Status>> + Send {
                self.reach(stringify!($hook), Ok(()))
            })*
        }
    };
}

hooks! {
    post_dial(&mut Handshake<'_>);
    post_accept(&mut Handshake<'_>);
    pre_read_header(&Session);
    pre_write_pull(&mut CallCtx);
    post_write_pull(&CallCtx);
    post_read_reply_header(&CallCtx);
    pre_read_reply_body(&CallCtx);
    post_read_reply_body(&CallCtx);
    pre_write_push(&mut CallCtx);
    post_write_push(&CallCtx);
    post_read_pull_header(&mut PullCtx);
    pre_read_pull_body(&PullCtx);
    post_read_pull_body(&PullCtx);
    pre_write_reply(&PullCtx, Result<(), &Status>);
    post_write_reply(&PullCtx, Result<(), &Status>);
    post_read_push_header(&mut PushCtx);
    pre_read_push_body(&PushCtx);
    post_read_push_body(&PushCtx);
}

fn panicking(hook: &'static str, when: When) -> Peer {
    let builder = Peer::builder().plugin(Panics { hook, when });
    builder
        .routes(Gate::default().routes())
        .build()
        .expect("a peer")
}

fn plain() -> Peer {
    peer(PeerConfig::default(), Gate::default().routes())
}

#[tokio::test]
async fn a_hook_that_panics_is_one_that_refuses() {
    // The hook, the code that a pull through it has, and whether a push is sent.
    let ours = [
        ("pre_write_pull", 100, true),
        ("post_write_pull", 200, true),
        ("post_read_reply_header", 500, true),
        ("pre_read_reply_body", 500, true),
        ("post_read_reply_body", 500, true),
        ("pre_write_push", 200, false),
        ("post_write_push", 200, true),
    ];
    let theirs = [
        ("post_read_pull_header", 500, true),
        ("pre_read_pull_body", 500, true),
        ("post_read_pull_body", 500, true),
        ("pre_write_reply", 200, true),
        ("post_write_reply", 200, true),
        ("post_read_push_header", 200, true),
        ("pre_read_push_body", 200, true),
        ("post_read_push_body", 200, true),
    ];
    let both = ours.map(|case| (true, case)).into_iter();
    for (is_ours, (hook, code, pushed)) in both.chain(theirs.map(|case| (false, case))) {
        for when in WHEN {
            let (server, client) = match is_ours {
                true => (plain(), panicking(hook, when)),
                false => (panicking(hook, when), plain()),
            };
            let Pair {
                session, accepted, ..
            } = connect(server, client).await;
            for _ in 0..2 {
                let answer = session.pull::<_, u64>("/gate/open_road", 7).await;
                let found = answer.as_ref().map_or_else(|error| error.code(), |_| 200);
                assert_eq!(found, code, "{hook} {when:?}: {answer:?}");
                let push = session.push("/gate/nothing", 7).await;
                assert_eq!(push.is_ok(), pushed, "{hook} {when:?}: {push:?}");
            }
            assert!(session.is_open() && accepted.is_open());
            session.close().await;
            accepted.closed().await;
        }
    }
}

#[tokio::test]
async fn a_panic_in_a_handshake_refuses_the_connection() {
    for when in WHEN {
        let (accepted, dialled) = dial(&panicking("post_accept", when), &plain()).await;
        assert_eq!(accepted.expect_err("refused").code(), 500);
        dialled.expect("it had nothing to wait for").closed().await;
        let (accepted, dialled) = dial(&plain(), &panicking("post_dial", when)).await;
        assert_eq!(dialled.expect_err("refused").code(), 500);
        accepted.expect("it had nothing to wait for").closed().await;
    }
}

#[tokio::test]
async fn a_panic_before_a_header_ends_the_session_and_says_why() {
    for when in WHEN {
        let server = panicking("pre_read_header", when);
        let (stream, _other) = tokio::io::duplex(1024);
        let session = server.serve_conn(stream).await.expect("a session");
        let pull = session.pull::<_, u64>("/gate/open_road", 7).await;
        let error = format!("{:?}", pull.expect_err("cut"));
        assert!(error.contains("a plugin ended the session"), "{error}");
        session.closed().await;
    }
}

/// Counts sessions that have ended.
#[derive(Clone, Default)]
struct Ends(Arc<AtomicUsize>);

impl Plugin for Ends {
    fn name(&self) -> &str {
        "ends"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DISCONNECT
    }

    async fn post_disconnect(&self, _: &Session) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_panic_at_the_end_of_a_session_keeps_no_other_plugin_from_hearing_of_it() {
    let ends = Ends::default();
    for when in WHEN {
        let hook = "post_disconnect";
        let server = Peer::builder().plugin(Panics { hook, when });
        let server = server.plugin(ends.clone()).build().expect("a peer");
        let Pair {
            server, session, ..
        } = connect(server, plain()).await;
        session.abort();
        server.close().await;
    }
    assert_eq!(ends.0.load(Ordering::Relaxed), WHEN.len());
}

/// Leaves a value behind that panics.
struct Leaves;

impl Plugin for Leaves {
    fn name(&self) -> &str {
        "leaves"
    }

    async fn post_read_pull_header(&self, ctx: &mut PullCtx) -> Result<(), Status> {
        ctx.values().insert(Mine);
        match ctx.query("refuse") {
            Some(_) => Err(Status::unavailable("refused")),
            None => Ok(()),
        }
    }

    async fn post_read_push_header(&self, ctx: &mut PushCtx) -> Result<(), Status> {
        ctx.values().insert(Mine);
        Ok(())
    }
}

/// Panics in destructors, of what it has taken and of what it gives.
struct Field;

#[pull_controller]
impl Field {
    async fn number(&self) -> u32 {
        1
    }

    async fn fails(&self) -> Result<u32, Status> {
        Err(Status::unavailable("as it should"))
    }

    async fn panics(&self) -> u32 {
        panic!("on purpose")
    }

    async fn panics_later(&self) -> u32 {
        yield_now().await;
        panic!("on purpose")
    }

    async fn holds(&self) -> u32 {
        let _mine = Mine;
        1
    }

    async fn gives(&self) -> Given {
        Given(Mine)
    }

    async fn gives_later(&self) -> Given {
        yield_now().await;
        Given(Mine)
    }

    async fn takes(&self, given: Given) -> u32 {
        drop(given);
        1
    }

    #[pull(cancel)]
    async fn never(&self, ctx: &PullCtx) {
        let _mine = Mine;
        ctx.session().push("/told/begun", ()).await.ok();
        std::future::pending().await
    }
}

#[push_controller]
impl Field {
    async fn told(&self) {
        let _mine = Mine;
    }
}

struct Given(Mine);

impl serde::Serialize for Given {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Large enough to fill a small buffer.
        serializer.serialize_str(&"x".repeat(100))
    }
}

impl<'de> serde::Deserialize<'de> for Given {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?;
        Ok(Self(Mine))
    }
}

/// Panics when it is dropped half read.
#[derive(Clone, PartialEq, prost::Message)]
struct Half {
    #[prost(bool, tag = "1")]
    begun: bool,
    #[prost(bool, tag = "2")]
    whole: bool,
}

impl Drop for Half {
    fn drop(&mut self) {
        if self.begun && !self.whole {
            panic!("on purpose");
        }
    }
}

/// Takes what may be half read.
struct Reader;

#[pull_controller]
impl Reader {
    async fn half(&self, _half: Half) {}
}

#[push_controller]
impl Reader {
    async fn told(&self, _half: Half) {}
}

#[tokio::test]
async fn arguments_that_are_half_read_may_panic_when_they_are_dropped() {
    let leaves = Peer::builder().plugin(Leaves);
    for builder in [Peer::builder(), leaves] {
        let router = PullController::into_router(Reader).merge(PushController::into_router(Reader));
        let server = builder.routes(router).build().expect("a peer");
        let (mut wire, _session) = Wire::to(&server).await;
        let broken = b"p\x08\x01\x10";
        wire.push(1, "/reader/told", broken).await;
        wire.pull(1, "/reader/half", broken).await;
        wire.pull(2, "/reader/half", b"p\x08\x01\x10\x01").await;
        let codes = [wire.hear().await, wire.hear().await].map(|reply| reply.header.status_code);
        assert_eq!(codes, [400, 200], "the session goes on");
    }
}

fn field() -> Router {
    PullController::into_router(Field).merge(PushController::into_router(Field))
}

#[tokio::test(start_paused = true)]
async fn a_pull_has_one_reply_whatever_is_dropped_around_it() {
    let plain = Peer::builder();
    let leaves = Peer::builder().plugin(Leaves);
    let narrow = Peer::builder().config(PeerConfig {
        write_buffer: 1,
        ..PeerConfig::default()
    });
    for builder in [plain, leaves, narrow] {
        let server = builder.routes(field()).build().expect("a peer");
        let (mut wire, session) = Wire::to(&server).await;
        let cases = [
            ("/field/number", 200),
            ("/field/fails", 503),
            ("/field/panics", 500),
            ("/field/panics_later", 500),
            ("/field/holds", 500),
            ("/field/gives", 200),
            ("/field/gives_later", 200),
            ("/field/takes", 500),
            ("/field/number", 200),
        ];
        for (seq, (uri, _)) in cases.iter().enumerate() {
            wire.push(seq as u64, "/field/told", b"").await;
            wire.pull(seq as u64, uri, b"j\"text\"").await;
        }
        let mut codes = [0; 9];
        for _ in cases {
            let reply = wire.hear().await;
            assert_eq!(reply.header.kind, PacketKind::Reply);
            let seq = reply.header.seq as usize;
            assert_eq!(codes[seq], 0, "a second reply to {}", reply.header.uri);
            codes[seq] = reply.header.status_code;
        }
        assert_eq!(codes, cases.map(|(_, code)| code));
        // All handlers count as ended: or it would wait for them.
        session.start_closing();
        assert!(wire.is_closed().await, "and no other reply comes");
        session.closed().await;
    }
}

#[tokio::test]
async fn a_pull_that_is_refused_is_answered_although_its_values_panic() {
    let server = Peer::builder().plugin(Leaves).routes(field());
    let client = peer(PeerConfig::default(), Router::new());
    let Pair { session, .. } = connect(server.build().expect("a peer"), client).await;
    for (uri, code) in [("/field/number?refuse", 503), ("/nobody/here", 404)] {
        let error = session.pull::<_, u32>(uri, ()).await.expect_err("refused");
        assert_eq!(error.code(), code);
    }
    session.close().await;
}

struct Told(mpsc::UnboundedSender<()>);

#[push_controller]
impl Told {
    async fn begun(&self) {
        self.0.send(()).ok();
    }
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_stopped_is_stopped() {
    let (told, mut begun) = mpsc::unbounded_channel();
    let Pair { session, .. } = pair(field(), Told(told).into_router()).await;
    let call = tokio::spawn({
        let client = FieldClient::new(&session);
        async move { client.never().await }
    });
    begun.recv().await.expect("the handler has begun");
    call.abort();
    call.await.expect_err("given up");
    let field = FieldClient::new(&session);
    assert_eq!(field.number().await.expect("1"), 1);
    session.close().await;
}

#[tokio::test]
async fn values_of_a_session_may_panic_and_it_ends_all_the_same() {
    let ends = Ends::default();
    let server = Peer::builder().plugin(ends.clone()).build();
    let Pair {
        server,
        accepted,
        session,
        ..
    } = connect(server.expect("a peer"), plain()).await;
    accepted.values().insert(Mine);
    drop(accepted);
    session.close().await;
    server.close().await;
    assert_eq!(server.session_count(), 0);
    assert_eq!(ends.0.load(Ordering::Relaxed), 1);
}

/// Leaves a value behind, and refuses.
struct Refuses(mpsc::UnboundedSender<Session>);

impl Plugin for Refuses {
    fn name(&self) -> &str {
        "refuses"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        handshake.session().values().insert(Mine);
        self.0.send(handshake.session().clone()).ok();
        Err(Status::unavailable("refused"))
    }
}

#[tokio::test]
async fn a_session_that_was_refused_has_ended_although_its_values_panic() {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let server = Peer::builder().plugin(Refuses(sender)).build();
    let (accepted, _) = dial(&server.expect("a peer"), &plain()).await;
    assert_eq!(accepted.expect_err("refused").code(), 503);
    let session = sessions.recv().await.expect("one");
    session.closed().await;
}

/// Panics over one text.
struct Touchy;

const TOUCHY: CodecId = match CodecId::new(b't') {
    Some(id) => id,
    None => panic!("not 0"),
};

impl Codec for Touchy {
    fn id(&self) -> CodecId {
        TOUCHY
    }

    fn name(&self) -> &str {
        "touchy"
    }

    fn encode(
        &self,
        value: &dyn erased_serde::Serialize,
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        serde_json::to_writer(&mut *out, value).map_err(CodecError::encode)?;
        assert!(!out.ends_with(b"\"write\""), "on purpose");
        Ok(())
    }

    fn decode(
        &self,
        payload: &[u8],
        visit: &mut dyn FnMut(
            &mut dyn erased_serde::Deserializer<'_>,
        ) -> Result<(), erased_serde::Error>,
    ) -> Result<(), CodecError> {
        assert_ne!(payload, b"\"read\"", "on purpose");
        let mut json = serde_json::Deserializer::from_slice(payload);
        let mut json = <dyn erased_serde::Deserializer<'_>>::erase(&mut json);
        visit(&mut json).map_err(CodecError::decode)
    }
}

struct Echo;

#[pull_controller]
impl Echo {
    async fn echo(&self, text: String) -> String {
        match &*text {
            "write, please" => "write".to_owned(),
            "read, please" => "read".to_owned(),
            _ => text,
        }
    }
}

#[tokio::test]
async fn a_codec_that_panics_fails_the_call_that_it_is_about() {
    let build = |router| {
        let builder = Peer::builder().codec(Touchy).routes(router);
        builder.build().expect("a peer")
    };
    let Pair { session, .. } = connect(build(Echo.into_router()), build(Router::new())).await;
    let call = |text: &'static str| {
        let session = session.clone();
        tokio::spawn(async move {
            let pull = session.pull::<_, String>("/echo/echo", text);
            pull.codec(TOUCHY).await
        })
    };
    assert_eq!(call("hi").await.expect("no panic").expect("answered"), "hi");
    for text in ["read", "write, please"] {
        let error = call(text).await.expect("no panic").expect_err("500");
        assert_eq!(error.code(), 500, "{text}");
    }
    // Here it is the caller who panics, with its own value.
    for text in ["write", "read, please"] {
        assert!(call(text).await.expect_err("a panic").is_panic(), "{text}");
    }
    assert_eq!(session.pulls_in_flight(), 0);
    assert_eq!(call("hi").await.expect("no panic").expect("answered"), "hi");
    session.close().await;
}

/// Panics when it is written, or fails.
enum Unwritable {
    Panics,
    Fails,
}

impl serde::Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Panics => panic!("on purpose"),
            Self::Fails => Err(serde::ser::Error::custom("on purpose")),
        }
    }
}

struct Speaker;

#[pull_controller(client = false)]
impl Speaker {
    async fn number(&self) -> u32 {
        1
    }

    async fn panics(&self) -> Unwritable {
        Unwritable::Panics
    }

    async fn fails(&self) -> Unwritable {
        Unwritable::Fails
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_cannot_be_written_loses_none_beside_it() {
    for copying in [false, true] {
        let server = Peer::builder().routes(Speaker.into_router());
        let server = match copying {
            true => server.protocol(Simple {
                reads: true,
                writes: true,
            }),
            false => server,
        };
        let Pair { session, .. } = connect(server.build().expect("a peer"), plain()).await;
        for broken in ["/speaker/panics", "/speaker/fails"] {
            let call = |uri| {
                session
                    .pull::<_, u32>(uri, ())
                    .timeout(Duration::from_secs(10))
            };
            // In one write, and so in one turn of the other side.
            let (before, between, after) = tokio::join!(
                call("/speaker/number"),
                call(broken),
                call("/speaker/number")
            );
            assert_eq!(before.expect("the first"), 1, "{broken}, {copying}");
            let error = between.expect_err("it cannot be written");
            assert_eq!(error.code(), 500, "{broken}, {copying}: {error}");
            assert_eq!(after.expect("the last"), 1, "{broken}, {copying}");
        }
    }
}

/// A protocol that implements no more than it has to, so bodies are copied for it. Panics at what it cannot.
struct Simple {
    reads: bool,
    writes: bool,
}

impl Protocol for Simple {
    fn decode(&self, src: &mut BytesMut, limits: &Limits) -> Result<Decoded, ProtocolError> {
        assert!(self.reads || src.is_empty(), "on purpose");
        Standard.decode(src, limits)
    }

    fn encode(
        &self,
        header: HeaderRef<'_>,
        codec: HeaderCodec,
        body: &mut dyn FnMut(&mut Vec<u8>) -> Result<(), CodecError>,
        dst: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        Standard.encode(header, codec, body, dst)?;
        assert!(self.writes, "on purpose");
        Ok(())
    }
}

#[tokio::test]
async fn a_protocol_that_panics_ends_its_session_and_no_other() {
    for reads in [false, true] {
        let ends = Ends::default();
        let server = Peer::builder().plugin(ends.clone());
        let server = server.protocol(Simple {
            reads,
            writes: !reads,
        });
        let server = server.routes(field());
        let server = server.build().expect("a peer");
        let Pair {
            server,
            session,
            accepted,
            ..
        } = connect(server, plain()).await;
        let (mut other, stream) = Wire::new();
        let untouched = server.serve_conn(stream).await.expect("a session");
        // Nobody has this route: it is the session's own task that answers.
        let error = session.pull::<_, u32>("/nobody/here", ()).await;
        assert_eq!(error.expect_err("cut").code(), 101);
        accepted.closed().await;
        let error = accepted.pull::<_, u32>("/any", ());
        if !reads {
            let error = format!("{:?}", error.await.expect_err("ended"));
            assert!(error.contains("protocol of this side panicked"), "{error}");
        }
        assert!(untouched.is_open());
        untouched.abort();
        assert!(other.is_closed().await);
        server.close().await;
        assert_eq!(ends.0.load(Ordering::Relaxed), 2, "both are told of");
    }
}

/// A stream that panics.
struct Wild {
    reads: bool,
}

impl AsyncRead for Wild {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        assert!(!self.reads, "on purpose");
        Poll::Pending
    }
}

impl AsyncWrite for Wild {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("on purpose")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_stream_that_panics_ends_its_session_and_fails_its_pulls() {
    for reads in [false, true] {
        let client = plain();
        let session = client
            .serve_conn(Wild { reads })
            .await
            .expect("not touched yet");
        let error = session.pull::<_, u32>("/any", ()).await.expect_err("cut");
        assert_eq!(error.code(), 101);
        session.closed().await;
        client.close().await;
    }
}

/// An error that cannot be shown.
#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose")
    }
}

impl std::error::Error for Unspeakable {}

struct Mute;

#[pull_controller]
impl Mute {
    async fn fails(&self) -> Result<u32, Status> {
        Err(Status::internal(Unspeakable))
    }

    async fn number(&self) -> u32 {
        1
    }
}

#[push_controller]
impl Mute {
    async fn told(&self) -> Result<(), Status> {
        Err(Status::internal(Unspeakable))
    }
}

#[tokio::test]
async fn a_cause_that_cannot_be_shown_in_the_log_is_500_like_any() {
    let _log = teleport_tests::log::Log::start();
    let router = PullController::into_router(Mute).merge(PushController::into_router(Mute));
    let Pair { session, .. } = pair(router, Router::new()).await;
    let mute = MuteClient::new(&session);
    for _ in 0..2 {
        session.push("/mute/told", ()).await.expect("sent");
        assert_eq!(mute.fails().await.expect_err("500").code(), 500);
        assert_eq!(mute.number().await.expect("1"), 1);
    }
    session.close().await;
}
