//! Who dials says who it is: `Auth` and `Credentials`, and those who know neither.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use teleport::{
    BodyText, ConnOptions, Error, Handshake, Hooks, Peer, PeerConfig, Plugin, PullController,
    PullCtx, PushController, Router, Status,
    plugins::{Auth, Credentials},
    protocol::{Header, HeaderCodec, PacketKind},
    pull_controller, push_controller,
};
use teleport_tests::{
    log::Log,
    pair::dial,
    wire::{Wire, frame},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::Instant,
};

#[derive(Clone, Debug, PartialEq)]
struct User(&'static str);

/// Counts its calls.
#[derive(Clone, Default)]
struct Home(Arc<AtomicUsize>);

#[pull_controller]
impl Home {
    async fn whoami(&self, ctx: &PullCtx) -> String {
        self.0.fetch_add(1, Ordering::SeqCst);
        match ctx.session().values().get::<User>() {
            Some(User(name)) => name.to_owned(),
            None => "nobody".to_owned(),
        }
    }
}

impl Home {
    fn calls(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn tokens() -> Auth {
    Auth::tokens([
        ("sesame", User("ali")),
        ("sesame seed", User("baba")),
        ("", User("empty")),
    ])
}

fn server(plugin: impl Plugin, home: &Home) -> Peer {
    let builder = Peer::builder()
        .plugin(plugin)
        .routes(home.clone().into_router());
    builder.build().expect("a peer")
}

fn client(credentials: Credentials) -> Peer {
    let builder = Peer::builder().plugin(credentials);
    builder.build().expect("a peer")
}

/// The text of an error, causes and all.
fn whole(error: &Error) -> String {
    format!("{error:?}")
}

#[tokio::test]
async fn each_token_stands_for_its_own_identity_which_handlers_see() {
    let server = server(tokens(), &Home::default());
    for (token, name) in [("sesame", "ali"), ("sesame seed", "baba"), ("", "empty")] {
        let (accepted, dialled) = dial(&server, &client(Credentials::token(token))).await;
        let user = accepted.expect("let in").values().get::<User>();
        assert_eq!(user.map(|user| user.0), Some(name));
        let session = dialled.expect("let in");
        let whoami = HomeClient::new(&session).whoami().await;
        assert_eq!(whoami.expect("a name"), name);
    }
}

#[tokio::test]
async fn an_unknown_token_makes_the_dial_fail_with_401_and_why_and_leaves_nothing_behind() {
    let server = server(tokens(), &Home::default());
    for token in ["barley", "sesam", "sesame ", "SESAME"] {
        let client = client(Credentials::token(token));
        let (accepted, dialled) = dial(&server, &client).await;
        let error = dialled.expect_err("turned away");
        assert_eq!(error.code(), 401);
        assert!(error.to_string().contains("401 unknown token"), "{error}");
        assert_eq!(accepted.expect_err("turned away").code(), 401);
        assert_eq!((server.session_count(), client.session_count()), (0, 0));
    }
}

#[tokio::test]
async fn a_dial_over_tcp_tells_the_status_of_the_verifier() {
    let auth = Auth::verify(|request| async move {
        assert!(request.peer_addr().ip().is_some_and(|ip| ip.is_loopback()));
        assert_eq!(request.header().uri, "/~teleport/auth");
        match request.token() {
            "later" => Err(Status::unavailable("the user database is down")),
            token => Ok(token.to_owned()),
        }
    });
    let server = Peer::builder().listen_at("127.0.0.1:0").plugin(auth);
    let server = server.build().expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let error = client(Credentials::token("later")).dial(&address).await;
    let error = error.expect_err("not now");
    assert_eq!(error.code(), 503);
    assert!(error.to_string().contains("database is down"), "{error}");
    let ann = client(Credentials::token("ann")).dial(&address).await;
    ann.expect("let in");
    let accepted = server.sessions().next().expect("one session");
    assert_eq!(accepted.values().get::<String>().as_deref(), Some("ann"));
}

#[tokio::test]
async fn nothing_is_routed_before_the_verifier_has_decided() {
    let (asked, decide) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let home = Home::default();
    let auth = {
        let (asked, decide) = (Arc::clone(&asked), Arc::clone(&decide));
        Auth::verify(move |_| {
            let (asked, decide) = (Arc::clone(&asked), Arc::clone(&decide));
            async move {
                asked.notify_one();
                decide.notified().await;
                Ok(User("ann"))
            }
        })
    };
    let server = server(auth, &home);
    let (mut wire, other) = Wire::new();
    let serving = tokio::spawn({
        let server = server.clone();
        async move { server.serve_conn(other).await }
    });
    wire.pull(0, "/~teleport/auth", b"sanything").await;
    wire.pull(0, "/home/whoami", b"").await;
    asked.notified().await;
    assert_eq!((home.calls(), server.session_count()), (0, 0));
    decide.notify_one();
    let welcome = wire.hear().await.header;
    assert_eq!(
        (&*welcome.uri, welcome.status_code),
        ("/~teleport/auth", 200)
    );
    let reply = wire.hear().await;
    assert_eq!(reply.body, &b"j\"ann\""[..]);
    serving.await.expect("no panic").expect("let in");
}

#[tokio::test]
async fn the_packets_are_those_that_a_go_peer_can_read_and_write() {
    let (mut wire, other) = Wire::new();
    let client = client(Credentials::token("sesame"));
    let dialling = ConnOptions::new().dialling();
    let dialling = tokio::spawn(async move { client.serve_conn_with(other, dialling).await });
    let pull = wire.hear().await;
    let expected = b"\x00\x00\x00\x14p\x10\x01\x1a\x0f/~teleport/auth\x00\x00\x00\x07ssesame";
    assert_eq!(
        frame(HeaderCodec::Protobuf, &pull.header, &pull.body),
        &expected[..]
    );
    wire.answer(&pull, 200, "OK").await;
    dialling.await.expect("no panic").expect("let in");

    // In JSON, both the header and the credentials.
    let (mut wire, other) = Wire::new();
    let server = server(tokens(), &Home::default());
    let serving = tokio::spawn(async move { server.serve_conn(other).await });
    let header = br#"j{"seq":7,"type":1,"uri":"/~teleport/auth?from=go"}"#;
    wire.send(&(header.len() as u32).to_be_bytes()).await;
    wire.send(header).await;
    wire.send(b"\x00\x00\x00\x09j\"sesame\"").await;
    let reply = wire.hear().await;
    assert_eq!(reply.header_codec, HeaderCodec::Json);
    let header = &reply.header;
    assert_eq!((header.kind, header.seq), (PacketKind::Reply, 7));
    assert_eq!(
        (&*header.uri, &*header.status),
        ("/~teleport/auth?from=go", "OK")
    );
    assert!(reply.body.is_empty());
    serving.await.expect("no panic").expect("let in");
}

#[tokio::test]
async fn a_client_that_begins_with_a_pull_is_answered_401_and_closed() {
    let home = Home::default();
    let server = server(tokens(), &home);
    let (mut wire, other) = Wire::new();
    wire.pull(3, "/home/whoami", b"").await;
    let error = server.serve_conn(other).await.expect_err("turned away");
    assert_eq!(error.code(), 401);
    let reply = wire.hear().await.header;
    assert_eq!(
        (reply.kind, reply.seq, reply.status_code),
        (PacketKind::Reply, 3, 401)
    );
    assert!(reply.status.contains("credentials"), "{reply:?}");
    assert!(wire.is_closed().await);
    assert_eq!(home.calls(), 0);
}

#[tokio::test]
async fn a_client_that_begins_with_a_push_or_a_reply_is_closed_without_a_word() {
    let server = server(tokens(), &Home::default());
    for kind in [PacketKind::Push, PacketKind::Reply] {
        let (mut wire, other) = Wire::new();
        let header = Header::new(kind, 0, "/~teleport/auth");
        wire.say(&header, b"ssesame").await;
        let error = server.serve_conn(other).await.expect_err("turned away");
        assert_eq!(error.code(), 401);
        assert!(wire.is_closed().await);
    }
}

#[tokio::test]
async fn a_client_that_has_sent_more_can_read_the_401_over_tcp() {
    let server = Peer::builder().listen_at("127.0.0.1:0").plugin(tokens());
    let server = server.build().expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let pull = Header::new(PacketKind::Pull, 0, "/home/whoami");
    let mut bytes = frame(HeaderCodec::Protobuf, &pull, b"").to_vec();
    // More than the server reads at once: a socket that is closed with unread data is reset.
    bytes.resize(200_000, 0);
    stream.write_all(&bytes).await.expect("sent");
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer).await;
    end.expect("an orderly end, not a reset");
    assert!(answer.windows(11).any(|part| part == b"credentials"));
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_or_not_all_is_cut_after_the_accept_timeout() {
    let server = server(tokens(), &Home::default());
    for bytes in [
        &b""[..],
        b"\x00\x00\x00",
        b"\x00\x00\x00\x14p\x10\x01\x1a\x0f/~teleport",
    ] {
        let (mut wire, other) = Wire::new();
        wire.send(bytes).await;
        let start = Instant::now();
        let error = server.serve_conn(other).await.expect_err("cut");
        assert!(error.is_timeout(), "{error:?}");
        let accept_timeout = Duration::from_secs(10);
        assert!(start.elapsed() >= accept_timeout && start.elapsed() < accept_timeout * 2);
        assert!(wire.is_closed().await);
        assert_eq!(server.session_count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn garbage_and_packets_over_64_kib_close_the_connection_at_once() {
    let server = server(tokens(), &Home::default());
    let auth = Header::new(PacketKind::Pull, 0, "/~teleport/auth");
    let mut announced = frame(HeaderCodec::Protobuf, &auth, b"").to_vec();
    let end = announced.len();
    announced[end - 4..].copy_from_slice(&65_536_u32.to_be_bytes());
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &announced] {
        let (mut wire, other) = Wire::new();
        wire.send(bytes).await;
        let start = Instant::now();
        let error = server.serve_conn(other).await.expect_err("turned away");
        assert_eq!(error.code(), 401, "{error}");
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(wire.is_closed().await);
    }
    // Just below, they are only wrong.
    let (mut wire, other) = Wire::new();
    let long = vec![b's'; 65_000];
    wire.pull(0, "/~teleport/auth", &long).await;
    server.serve_conn(other).await.expect_err("turned away");
    let reply = wire.hear().await.header;
    assert_eq!(&*reply.status, "unknown token");
}

#[tokio::test]
async fn a_server_without_auth_makes_the_dial_fail_and_says_what_to_do() {
    let server = Peer::builder().build().expect("a peer");
    let (accepted, dialled) = dial(&server, &client(Credentials::token("sesame"))).await;
    let error = dialled.expect_err("nobody asked for it");
    assert_eq!(error.code(), 404);
    assert!(
        error.to_string().contains("takes no credentials"),
        "{error}"
    );
    accepted.expect("a session").closed().await;
}

#[tokio::test]
async fn optional_credentials_let_the_dial_go_on_without_auth_but_not_with_wrong_ones() {
    let open = Peer::builder().routes(Home::default().into_router());
    let open = open.build().expect("a peer");
    let (_, dialled) = dial(&open, &client(Credentials::token("sesame").optional())).await;
    let session = dialled.expect("goes on");
    let whoami = HomeClient::new(&session).whoami().await;
    assert_eq!(whoami.expect("a name"), "nobody");

    let closed = server(tokens(), &Home::default());
    let (_, dialled) = dial(&closed, &client(Credentials::token("barley").optional())).await;
    assert_eq!(dialled.expect_err("turned away").code(), 401);
}

/// Passes on what is pushed to it.
struct Taps(mpsc::UnboundedSender<u32>);

#[push_controller]
impl Taps {
    async fn tap(&self, number: u32) {
        self.0.send(number).ok();
    }
}

#[tokio::test]
async fn packets_that_come_before_the_404_are_handled_when_the_session_has_started() {
    let (sender, mut taps) = mpsc::unbounded_channel();
    let peer = |credentials| {
        let builder = Peer::builder().plugin(credentials);
        let routes = Taps(sender.clone()).into_router();
        builder.routes(routes).build().expect("a peer")
    };
    for optional in [true, false] {
        let credentials = Credentials::token("sesame");
        let client = peer(match optional {
            true => credentials.optional(),
            false => credentials,
        });
        let (mut wire, other) = Wire::new();
        let dialling = ConnOptions::new().dialling();
        let dialling = tokio::spawn(async move { client.serve_conn_with(other, dialling).await });
        let auth = wire.hear().await;
        wire.push(0, "/taps/tap", b"j1").await;
        wire.pull(0, "/no/such", b"").await;
        wire.push(1, "/taps/tap", b"j2").await;
        wire.answer(&auth, 404, "Not Found").await;
        wire.push(2, "/taps/tap", b"j3").await;
        let dialled = dialling.await.expect("no panic");
        if optional {
            dialled.expect("goes on");
            let answer = wire.hear().await.header;
            assert_eq!((&*answer.uri, answer.status_code), ("/no/such", 404));
            for number in 1..=3 {
                assert_eq!(taps.recv().await, Some(number));
            }
        } else {
            assert_eq!(dialled.expect_err("it takes none").code(), 404);
            assert!(taps.try_recv().is_err());
        }
    }
}

#[tokio::test]
async fn a_server_that_floods_the_client_instead_of_answering_is_given_up() {
    let (mut wire, other) = Wire::new();
    let client = client(Credentials::token("sesame").optional());
    let dialling = ConnOptions::new().dialling();
    let flood = tokio::spawn(async move {
        wire.hear().await;
        for seq in 0..1_000 {
            wire.push(seq, "/a", &[b'x'; 10_000]).await;
        }
    });
    let dialled = client.serve_conn_with(other, dialling).await;
    assert_eq!(dialled.expect_err("given up").code(), 404);
    flood.await.expect("no panic");
}

#[tokio::test]
async fn a_server_that_goes_away_instead_of_answering_is_told_from_one_that_refuses() {
    let (mut wire, other) = Wire::new();
    let client = client(Credentials::token("sesame"));
    let dialling = ConnOptions::new().dialling();
    let dialling = tokio::spawn(async move { client.serve_conn_with(other, dialling).await });
    wire.hear().await;
    drop(wire);
    let error = dialling.await.expect("no panic").expect_err("no answer");
    assert_eq!(error.code(), 101);
    assert!(error.to_string().contains("without a word"), "{error}");
}

#[tokio::test]
async fn a_token_is_asked_for_at_each_dial_and_may_be_refused_there() {
    let server = server(tokens(), &Home::default());
    let answers = ["sesame", "barley", "sesame seed"];
    let asked = Arc::new(AtomicUsize::new(0));
    let credentials = {
        let asked = Arc::clone(&asked);
        Credentials::from_fn(move |session| {
            assert_eq!(session.peer_addr().to_string(), "stream");
            let number = asked.fetch_add(1, Ordering::SeqCst);
            async move {
                let token = answers.get(number).map(|token| (*token).to_owned());
                token.ok_or_else(|| Status::new(1001, "no token left"))
            }
        })
    };
    let client = client(credentials);
    for let_in in [true, false, true] {
        let (_, dialled) = dial(&server, &client).await;
        assert_eq!(dialled.is_ok(), let_in);
    }
    let (accepted, dialled) = dial(&server, &client).await;
    assert_eq!(dialled.expect_err("none left").code(), 1001);
    assert!(whole(&accepted.expect_err("nothing came")).contains("before credentials came"));
}

#[tokio::test]
async fn credentials_are_never_logged() {
    let log = Log::start();
    let secret = "47114711";
    let auth = || Auth::tokens([(secret, User("ann"))]);
    let server = server(auth(), &Home::default());
    let mut seen = format!("{:?} {:?}", auth(), Credentials::token(secret));
    let verifier = Auth::verify(|request| async move {
        Err::<(), _>(Status::new(1001, format!("judging {request:?}")))
    });
    let strict = Peer::builder().plugin(verifier).build().expect("a peer");
    for (server, token) in [
        (&server, secret),
        (&server, "47114711 of another"),
        (&strict, secret),
    ] {
        let (accepted, dialled) = dial(server, &client(Credentials::token(token))).await;
        for session in [accepted, dialled] {
            seen += &match session {
                Ok(session) => format!("{session:?}"),
                Err(error) => whole(&error),
            };
        }
    }
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".to_owned()],
        print_bodies: Some(BodyText::default()),
        ..PeerConfig::default()
    };
    let listening = Peer::builder().config(config).plugin(auth());
    let listening = listening.build().expect("a peer");
    let address = listening.listen().await.expect("a free port").address();
    for body in [
        &b"s47114711 of another"[..],
        // What a decoder would complain about in its own words.
        b"j47114711",
        br#"j["47114711"]"#,
        br#"j{"password":"47114711"}"#,
        b"p47114711",
        b"z47114711",
        b"s\xff47114711",
    ] {
        let mut stream = TcpStream::connect(&address).await.expect("connected");
        let pull = Header::new(PacketKind::Pull, 0, "/~teleport/auth");
        stream
            .write_all(&frame(HeaderCodec::Protobuf, &pull, body))
            .await
            .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an end");
        seen += &String::from_utf8_lossy(&answer);
        let from = stream.local_addr().expect("an address");
        let line = log.line(&format!("peer={from}")).await;
        assert!(line.contains("connection refused"), "{line}");
    }
    seen += &log.so_far();
    assert!(!seen.contains(secret), "{seen}");
}

/// Counts the sessions that have a value of its kind.
struct Counting(Arc<()>);

impl Plugin for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        handshake.session().values().insert(Arc::clone(&self.0));
        Ok(())
    }
}

#[tokio::test]
async fn what_other_plugins_keep_with_a_refused_session_is_let_go_of() {
    let count = Arc::new(());
    let kept = Arc::new(Mutex::new(Vec::new()));
    let auth = {
        let kept = Arc::clone(&kept);
        Auth::verify(move |request| {
            kept.lock()
                .expect("no panic")
                .push(request.session().clone());
            async { Err::<(), _>(Status::unauthorized()) }
        })
    };
    let server = Peer::builder()
        .plugin(Counting(Arc::clone(&count)))
        .plugin(auth)
        .routes(Router::new());
    let server = server.build().expect("a peer");
    let (accepted, _) = dial(&server, &client(Credentials::token(""))).await;
    accepted.expect_err("turned away");
    let session = kept.lock().expect("no panic").pop().expect("a handle");
    // The plugin, and this test.
    assert_eq!(Arc::strong_count(&count), 2);
    session.closed().await;
}
