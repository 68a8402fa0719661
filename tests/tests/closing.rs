//! How sessions end, and what becomes of the calls that are in flight then.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use teleport::{
    Peer, PeerConfig, PullController, PullCtx, Raw, Router, Session, Status,
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    pull_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, connect, pair, peer},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf},
    sync::oneshot,
    time::Instant,
};

fn spawn_pass(
    session: &Session,
    number: u64,
) -> tokio::task::JoinHandle<Result<u64, teleport::Error>> {
    let client = GateClient::new(session);
    tokio::spawn(async move { client.pass(number).await })
}

#[tokio::test]
async fn every_pull_in_flight_fails_with_101_when_the_connection_ends() {
    let gate = Gate::default();
    let Pair {
        session, accepted, ..
    } = pair(gate.routes(), Router::new()).await;
    let mut calls = Vec::new();
    for number in 0..10 {
        calls.push(spawn_pass(&session, number));
        gate.arrived(number).await;
    }
    accepted.abort();
    for call in calls {
        let error = call.await.expect("no panic").expect_err("cut");
        assert!(error.is_closed() && error.code() == 101, "{error}");
        assert!(error.to_string().contains("/gate/pass"), "{error}");
    }
    session.closed().await;
    assert!(!session.is_open());
    let error = session
        .pull::<_, u64>("/gate/open_road", 1)
        .await
        .expect_err("closed");
    assert_eq!(error.code(), 100, "nothing was sent: {error}");
}

#[tokio::test]
async fn a_pull_made_by_a_handler_fails_too_when_its_connection_ends() {
    struct Relay(std::sync::Mutex<Option<oneshot::Sender<i32>>>);

    #[pull_controller]
    impl Relay {
        async fn ask_back(&self, ctx: &PullCtx) -> Result<u64, Status> {
            let result = ctx.session().pull::<_, u64>("/gate/pass", 7).await;
            let code = result.as_ref().map_or_else(teleport::Error::code, |_| 200);
            if let Some(seen) = self.0.lock().expect("no panic").take() {
                seen.send(code).ok();
            }
            Ok(result?)
        }
    }

    let gate = Gate::default();
    let (seen, code) = oneshot::channel();
    let relay = Relay(std::sync::Mutex::new(Some(seen)));
    let Pair {
        session, accepted, ..
    } = pair(relay.into_router(), gate.routes()).await;
    let outer = tokio::spawn(async move { session.pull::<_, u64>("/relay/ask_back", ()).await });
    gate.arrived(7).await;
    accepted.abort();
    assert_eq!(code.await.expect("the handler went on"), 101);
    assert_eq!(outer.await.expect("no panic").expect_err("cut").code(), 101);
    accepted.closed().await;
}

#[tokio::test]
async fn close_lets_calls_in_flight_finish_in_both_directions() {
    let (ours, theirs) = (Gate::default(), Gate::default());
    let announcing = |gate: &Gate| {
        let config = PeerConfig {
            announce: true,
            ..PeerConfig::default()
        };
        peer(config, gate.routes())
    };
    let Pair {
        session, accepted, ..
    } = connect(announcing(&theirs), announcing(&ours)).await;
    let call = spawn_pass(&session, 1);
    let back = spawn_pass(&accepted, 2);
    theirs.arrived(1).await;
    ours.arrived(2).await;

    session.start_closing();
    let refused = GateClient::new(&session).open_road(3).await;
    assert_eq!(refused.expect_err("this side closes").code(), 100);
    let refused = GateClient::new(&accepted).open_road(4).await;
    let refused = refused.expect_err("the other side closes");
    assert!(refused.is_closed() && refused.code() == 100, "{refused}");
    assert!(!accepted.is_open(), "it has understood");

    theirs.open(1);
    assert_eq!(call.await.expect("no panic").expect("delivered"), 1);
    ours.open(2);
    assert_eq!(back.await.expect("no panic").expect("delivered"), 2);
    session.closed().await;
    accepted.closed().await;
}

/// A packet with this body, of a peer as old as the seed.
fn old_bytes(kind: PacketKind, seq: u64, uri: &str, body: &[u8]) -> Vec<u8> {
    encoded(&Header::new(kind, seq, uri), body)
}

/// The same of a peer that shows that it understands extensions.
fn bytes(kind: PacketKind, seq: u64, uri: &str, body: &[u8]) -> Vec<u8> {
    let mut header = Header::new(kind, seq, uri);
    header.meta.insert("teleport", "1");
    encoded(&header, body)
}

fn encoded(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut write = |out: &mut Vec<u8>| {
        out.extend_from_slice(body);
        Ok(())
    };
    Standard
        .encode(
            header.as_ref(),
            HeaderCodec::Protobuf,
            &mut write,
            &mut bytes,
        )
        .expect("it fits");
    bytes
}

/// The next packet, or nothing at the end of the stream.
async fn next(stream: &mut (impl AsyncRead + Unpin), read: &mut BytesMut) -> Option<Packet> {
    loop {
        match Standard.decode(read, &Limits::default()).expect("a packet") {
            Decoded::Packet(packet) => return Some(packet),
            Decoded::NeedMore { .. } => {}
        }
        if stream.read_buf(read).await.expect("not cut") == 0 {
            assert!(read.is_empty(), "half a packet");
            return None;
        }
    }
}

#[tokio::test]
async fn a_pull_that_crosses_the_closing_of_the_other_side_fails_as_not_sent() {
    let client = peer(PeerConfig::default(), Router::new());
    let (mut wire, stream) = tokio::io::duplex(4096);
    let session = client.serve_conn(stream).await.expect("a session");
    let calls = [spawn_pass(&session, 1), spawn_pass(&session, 2)];
    let mut read = BytesMut::new();
    for seq in 0..2 {
        let pull = next(&mut wire, &mut read).await.expect("a pull");
        assert_eq!((pull.header.kind, pull.header.seq), (PacketKind::Pull, seq));
    }
    let farewell = bytes(PacketKind::Reply, u64::MAX, "/~teleport/closing", b"");
    wire.write_all(&farewell).await.expect("written");
    for call in calls {
        let error = call.await.expect("no panic").expect_err("not taken");
        assert!(error.is_closed() && error.code() == 100, "{error}");
    }
    drop(wire);
    session.closed().await;
}

#[tokio::test]
async fn a_closing_side_refuses_with_503_and_tells_at_the_end_that_the_rest_was_not_taken() {
    let gate = Gate::default();
    let server = peer(PeerConfig::default(), gate.routes());
    let (mut wire, stream) = tokio::io::duplex(4096);
    let session = server.serve_conn(stream).await.expect("a session");
    let first = bytes(PacketKind::Pull, 0, "/gate/pass", b"j7");
    wire.write_all(&first).await.expect("written");
    gate.arrived(7).await;
    session.start_closing();
    let late = bytes(PacketKind::Pull, 1, "/gate/open_road", b"j8");
    wire.write_all(&late).await.expect("written");
    let mut read = BytesMut::new();
    let refusal = next(&mut wire, &mut read).await.expect("a reply").header;
    assert_eq!((refusal.seq, refusal.status_code), (1, 503));
    gate.open(7);
    let reply = next(&mut wire, &mut read).await.expect("a reply").header;
    assert_eq!((reply.seq, reply.status_code), (0, 200));
    let farewell = next(&mut wire, &mut read).await.expect("a farewell").header;
    assert_eq!((farewell.kind, farewell.seq), (PacketKind::Reply, u64::MAX));
    assert!(next(&mut wire, &mut read).await.is_none());
    drop(wire);
    session.closed().await;
}

#[tokio::test]
async fn a_peer_that_shows_no_extension_is_refused_as_the_seed_would_and_gets_no_farewell() {
    let gate = Gate::default();
    let server = peer(PeerConfig::default(), gate.routes());
    let (mut wire, stream) = tokio::io::duplex(4096);
    let session = server.serve_conn(stream).await.expect("a session");
    let first = old_bytes(PacketKind::Pull, 0, "/gate/pass", b"j7");
    wire.write_all(&first).await.expect("written");
    gate.arrived(7).await;
    session.start_closing();
    let late = old_bytes(PacketKind::Pull, 1, "/gate/open_road", b"j8");
    wire.write_all(&late).await.expect("written");
    let mut read = BytesMut::new();
    let refusal = next(&mut wire, &mut read).await.expect("a reply").header;
    assert_eq!((refusal.seq, refusal.status_code), (1, 503));
    assert_eq!(refusal.uri, "/gate/open_road");
    gate.open(7);
    let reply = next(&mut wire, &mut read).await.expect("a reply").header;
    assert_eq!((reply.seq, reply.status_code), (0, 200));
    assert!(
        next(&mut wire, &mut read).await.is_none(),
        "no packet but the end"
    );
    drop(wire);
    session.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_last_reply_arrives_although_the_other_side_goes_on_sending() {
    struct Big;

    #[pull_controller]
    impl Big {
        async fn reply(&self, ctx: &PullCtx) -> Raw {
            ctx.session().start_closing();
            Raw(vec![b'x'; 2 << 20].into())
        }
    }

    let server = Peer::builder()
        .listen_at("127.0.0.1:0")
        .routes(Big.into_router())
        .build()
        .expect("a peer");
    let address = server.listen().await.expect("a free port").address();
    let stream = tokio::net::TcpStream::connect(address).await;
    let (mut reading, mut writing) = stream.expect("connected").into_split();
    let pull = bytes(PacketKind::Pull, 0, "/big/reply", b"");
    writing.write_all(&pull).await.expect("written");
    let (stop, mut stopped) = oneshot::channel::<()>();
    let pushing = tokio::spawn(async move {
        let push = bytes(PacketKind::Push, 0, "/nobody", b"");
        while stopped.try_recv().is_err() && writing.write_all(&push).await.is_ok() {
            tokio::task::yield_now().await;
        }
    });
    let mut read = BytesMut::new();
    let reply = next(&mut reading, &mut read).await.expect("a reply");
    assert!(reply.body.len() >= 2 << 20, "{}", reply.body.len());
    let farewell = next(&mut reading, &mut read).await.expect("a farewell");
    assert_eq!(farewell.header.seq, u64::MAX);
    assert!(next(&mut reading, &mut read).await.is_none(), "not reset");
    stop.send(()).ok();
    pushing.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn two_sides_that_take_leave_at_once_over_a_full_pipe_do_not_wait_for_each_other() {
    let gate = Gate::default();
    let config = || PeerConfig {
        announce: true,
        ..PeerConfig::default()
    };
    let (left, right) = (peer(config(), gate.routes()), peer(config(), gate.routes()));
    // Less than a farewell has.
    let (left_end, right_end) = tokio::io::duplex(7);
    let left = left.serve_conn(left_end).await.expect("a session");
    let right = right.serve_conn(right_end).await.expect("a session");
    for session in [&left, &right] {
        let client = GateClient::new(session);
        assert_eq!(client.open_road(1).await.expect("an answer"), 1);
    }
    let start = Instant::now();
    left.start_closing();
    right.start_closing();
    left.closed().await;
    right.closed().await;
    let elapsed = start.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
}

#[tokio::test]
async fn closing_twice_and_closing_an_idle_session_are_fine() {
    let Pair {
        session, accepted, ..
    } = pair(Router::new(), Router::new()).await;
    session.close().await;
    session.close().await;
    accepted.closed().await;
    accepted.close().await;
}

#[tokio::test]
async fn a_half_closed_peer_still_gets_the_replies_of_running_handlers() {
    let gate = Gate::default();
    let server = peer(PeerConfig::default(), gate.routes());
    let (mut wire, stream) = tokio::io::duplex(4096);
    let session = server.serve_conn(stream).await.expect("a session");
    let client = peer(PeerConfig::default(), Router::new());
    let (tap, stream) = tokio::io::duplex(4096);
    let calling = client.serve_conn(stream).await.expect("a session");
    let call = spawn_pass(&calling, 1);
    // The pull's own bytes, then the end of the stream.
    let mut tap = tap;
    let mut bytes = [0; 256];
    let count = tap.read(&mut bytes).await.expect("a pull");
    wire.write_all(&bytes[..count]).await.expect("written");
    wire.shutdown().await.expect("half closed");
    gate.arrived(1).await;
    gate.open(1);
    let mut reply = Vec::new();
    wire.read_to_end(&mut reply).await.expect("a reply");
    tap.write_all(&reply).await.expect("handed on");
    assert_eq!(call.await.expect("no panic").expect("not lost"), 1);
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_on_which_nothing_comes_is_closed_after_the_read_timeout() {
    let config = PeerConfig {
        read_timeout: Some(Duration::from_secs(30)),
        ..PeerConfig::default()
    };
    let gate = Gate::default();
    let server = peer(config, gate.routes());
    let Pair {
        session, accepted, ..
    } = connect(server, peer(PeerConfig::default(), Router::new())).await;
    let client = GateClient::new(&session);
    tokio::time::sleep(Duration::from_secs(20)).await;
    client.open_road(1).await.expect("not yet");
    let start = Instant::now();
    session.closed().await;
    accepted.closed().await;
    assert_eq!(
        start.elapsed().as_secs(),
        30,
        "counted from the last packet"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_cut_after_the_write_timeout() {
    let config = PeerConfig {
        write_timeout: Some(Duration::from_secs(10)),
        write_buffer: 1024,
        ..PeerConfig::default()
    };
    let client = peer(config, Router::new());
    let (_never_read, stream) = tokio::io::duplex(1024);
    let session = client.serve_conn(stream).await.expect("a session");
    let start = Instant::now();
    let mut sent = 0;
    let error = loop {
        let body = Raw(vec![0; 100].into());
        match session.push("/nobody", body).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(
        sent < 30,
        "the buffer and the pipe are all that it takes: {sent}"
    );
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(error.is_closed(), "{error}");
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_stream_with_a_buffer_still_holds_at_the_close_is_written_however_long_that_takes() {
    let client = peer(PeerConfig::default(), Router::new());
    let (mut other, stream) = tokio::io::duplex(64);
    let stream = BufWriter::with_capacity(1 << 20, stream);
    let session = client.serve_conn(stream).await.expect("a session");
    for _ in 0..10 {
        let body = Raw(vec![b'x'; 100].into());
        session.push("/nobody", body).await.expect("taken");
    }
    session.start_closing();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut all = Vec::new();
    other.read_to_end(&mut all).await.expect("all");
    let bodies = all.iter().filter(|byte| **byte == b'x').count();
    assert_eq!(bodies, 1000);
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_get_its_buffer_out_is_cut_after_the_write_timeout() {
    let config = PeerConfig {
        write_timeout: Some(Duration::from_secs(10)),
        ..PeerConfig::default()
    };
    let client = peer(config, Router::new());
    let (_never_read, stream) = tokio::io::duplex(64);
    let stream = BufWriter::with_capacity(1 << 20, stream);
    let session = client.serve_conn(stream).await.expect("a session");
    let start = Instant::now();
    let body = Raw(vec![0; 100].into());
    let error = session.pull::<_, ()>("/nobody", body).await;
    let error = format!("{:?}", error.expect_err("cut"));
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(error.contains("took no data"), "{error}");
}

#[tokio::test]
async fn callers_wait_while_the_other_side_does_not_read_and_go_on_when_it_does() {
    let config = PeerConfig {
        write_buffer: 1024,
        ..PeerConfig::default()
    };
    let client = peer(config, Router::new());
    let (mut other, stream) = tokio::io::duplex(1024);
    let session = client.serve_conn(stream).await.expect("a session");
    let pushing = session.clone();
    let pushes = tokio::spawn(async move {
        for _ in 0..1000 {
            let body = Raw(vec![b'x'; 100].into());
            pushing
                .push("/nobody", body)
                .await
                .expect("sent in the end");
        }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!pushes.is_finished(), "it is held back");
    let reader = tokio::spawn(async move {
        let mut all = Vec::new();
        other.read_to_end(&mut all).await.expect("all");
        all.len()
    });
    pushes.await.expect("no panic");
    session.close().await;
    assert!(reader.await.expect("no panic") > 100 * 1000);
}

#[tokio::test(start_paused = true)]
async fn two_sides_that_send_each_other_replies_larger_than_their_buffers_both_read() {
    struct Large;

    #[pull_controller]
    impl Large {
        async fn text(&self, len: usize) -> String {
            "x".repeat(len)
        }
    }

    let config = || PeerConfig {
        write_buffer: 100_000,
        ..PeerConfig::default()
    };
    let (left, right) = (
        peer(config(), Large.into_router()),
        peer(config(), Large.into_router()),
    );
    let Pair {
        accepted, session, ..
    } = connect(left, right).await;
    let start = Instant::now();
    let call = async |session: &Session| {
        let client = LargeClient::new(session);
        let text = client.text(1_000_000).await.expect("an answer");
        assert_eq!(text.len(), 1_000_000);
    };
    tokio::join!(call(&accepted), call(&session));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_full_buffer_does_not_keep_replies_from_being_read() {
    let gate = Gate::default();
    let config = || PeerConfig {
        write_buffer: 256,
        ..PeerConfig::default()
    };
    let Pair {
        session, accepted, ..
    } = connect(peer(config(), gate.routes()), peer(config(), gate.routes())).await;
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..500 {
        let (there, back) = (GateClient::new(&session), GateClient::new(&accepted));
        calls.spawn(async move { there.open_road(number).await });
        calls.spawn(async move { back.open_road(number).await });
    }
    while let Some(call) = calls.join_next().await {
        call.expect("no panic").expect("answered");
    }
}

#[test]
fn a_runtime_that_is_shut_down_fails_the_calls_in_flight() {
    let build = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (drivers, callers) = (build(), build());
    let gate = Gate::default();
    let Pair { session, .. } = drivers.block_on(pair(gate.routes(), Router::new()));
    let call = callers.spawn({
        let client = GateClient::new(&session);
        async move { client.pass(1).await }
    });
    callers.block_on(gate.arrived(1));
    drivers.shutdown_timeout(Duration::from_secs(10));
    let error = callers.block_on(call).expect("no panic").expect_err("cut");
    assert_eq!(error.code(), 101, "{error}");
    callers.block_on(session.closed());
}

/// A stream that fails in the middle.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_write_that_fails_ends_the_session_and_is_the_cause_that_callers_see() {
    let client = peer(PeerConfig::default(), Router::new());
    let session = client.serve_conn(Broken).await.expect("a session");
    let error = session.pull::<_, ()>("/a/b", ()).await.expect_err("broken");
    assert_eq!(error.code(), 101);
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let io = cause.downcast_ref::<io::Error>().expect("an I/O error");
    assert_eq!(io.kind(), io::ErrorKind::BrokenPipe);
}
