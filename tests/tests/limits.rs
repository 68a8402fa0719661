//! What one side may take of the other, and what happens beyond.

use teleport::{
    PeerConfig, PullController, Raw, Router, Session, protocol::Limits, pull_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, connect, peer},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Size;

#[pull_controller]
impl Size {
    async fn of(&self, text: String) -> usize {
        text.len()
    }

    async fn make(&self, len: usize) -> String {
        "x".repeat(len)
    }
}

async fn session(server: PeerConfig, client: PeerConfig) -> Session {
    let server = peer(server, Size.into_router());
    connect(server, peer(client, Router::new())).await.session
}

fn limited(packet: usize, inflated: usize) -> PeerConfig {
    PeerConfig {
        limits: Limits {
            packet,
            inflated,
            ..Limits::default()
        },
        ..PeerConfig::default()
    }
}

#[tokio::test]
async fn a_packet_over_the_limit_closes_the_connection() {
    let session = session(limited(1000, 1000), PeerConfig::default()).await;
    let size = SizeClient::new(&session);
    assert_eq!(size.of("x".repeat(900)).await.expect("below"), 900);
    let error = size.of("x".repeat(1000)).await.expect_err("above");
    assert_eq!(error.code(), 101, "{error}");
    session.closed().await;
}

#[tokio::test]
async fn a_reply_over_the_callers_limit_closes_the_connection_there() {
    let session = session(PeerConfig::default(), limited(1000, 1000)).await;
    let size = SizeClient::new(&session);
    assert_eq!(size.make(900).await.expect("below").len(), 900);
    let error = size.make(1000).await.expect_err("above");
    assert_eq!(error.code(), 101);
    let cause = std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
        error.source()
    });
    let text: Vec<_> = cause.map(ToString::to_string).collect();
    assert!(
        text.join(": ").contains("1000"),
        "names the limit: {text:?}"
    );
}

#[tokio::test]
async fn a_body_that_inflates_over_the_limit_is_400_and_never_held_whole() {
    let session = session(limited(100_000, 1000), PeerConfig::default()).await;
    let bomb = "x".repeat(10_000_000);
    let pull = session.pull::<_, usize>("/size/of", &bomb).gzip(9);
    let error = pull.await.expect_err("too large");
    assert_eq!(error.code(), 400, "{error}");
    assert!(error.to_string().contains("1000"), "{error}");
    assert!(session.is_open());
    assert_eq!(
        SizeClient::new(&session).of("abc".into()).await.expect("3"),
        3
    );
}

#[tokio::test]
async fn an_inflated_reply_over_the_limit_fails_its_call_alone() {
    let session = session(PeerConfig::default(), limited(100_000, 1000)).await;
    let pull = session.pull::<_, String>("/size/make", 10_000).gzip(9);
    let error = pull.await.expect_err("too large");
    assert!(error.is_decode(), "{error}");
    assert!(session.is_open());
}

#[tokio::test]
async fn a_claimed_length_takes_no_memory_by_itself() {
    // The limits allow 64 MiB; 1,000 connections claim as much and send nothing of it.
    let server = peer(PeerConfig::default(), Size.into_router());
    let mut wires = Vec::new();
    for _ in 0..1000 {
        let (mut wire, stream) = tokio::io::duplex(256);
        server.serve_conn(stream).await.expect("a session");
        let mut head = Vec::new();
        head.extend_from_slice(&(60 * 1024 * 1024_u32).to_be_bytes());
        head.extend_from_slice(b"j{");
        wire.write_all(&head).await.expect("written");
        wires.push(wire);
    }
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    if let Some(peak) = peak {
        let kib: u64 = peak
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        assert!(kib < 600 * 1024, "{kib} KiB for 1,000 claims of 60 MiB");
    }
    assert_eq!(server.session_count(), 1000);
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_any_of_it_comes() {
    let server = peer(PeerConfig::default(), Size.into_router());
    let (mut wire, stream) = tokio::io::duplex(256);
    let session = server.serve_conn(stream).await.expect("a session");
    wire.write_all(&u32::MAX.to_be_bytes())
        .await
        .expect("written");
    session.closed().await;
    assert_eq!(wire.read(&mut [0; 8]).await.expect("the end"), 0);
}

#[tokio::test]
async fn pulls_over_the_limit_of_handlers_are_503_until_one_ends() {
    let gate = Gate::default();
    let config = PeerConfig {
        max_handlers: 2,
        ..PeerConfig::default()
    };
    let Pair { session, .. } = connect(
        peer(config, gate.routes()),
        peer(PeerConfig::default(), Router::new()),
    )
    .await;
    let client = GateClient::new(&session);
    let mut calls = Vec::new();
    for number in [1, 2] {
        let client = client.clone();
        calls.push(tokio::spawn(async move { client.pass(number).await }));
        gate.arrived(number).await;
    }
    let error = client.open_road(3).await.expect_err("no room");
    assert!(error.is_remote() && error.code() == 503, "{error}");
    gate.open(1);
    calls.remove(0).await.expect("no panic").expect("passed");
    assert_eq!(client.open_road(4).await.expect("room again"), 4);
    gate.open(2);
    calls.remove(0).await.expect("no panic").expect("passed");
}

#[tokio::test]
async fn a_large_body_comes_through_whole() {
    let session = session(PeerConfig::default(), PeerConfig::default()).await;
    let size = SizeClient::new(&session);
    let len = 8 * 1024 * 1024;
    assert_eq!(size.of("y".repeat(len)).await.expect("counted"), len);
    assert_eq!(size.make(len).await.expect("made").len(), len);
    let raw: Raw = session.pull("/size/make", len).await.expect("raw");
    assert_eq!(raw.0.len(), len + 3, "a codec id and two quotes");
}

fn sends_at_most(sent: usize) -> PeerConfig {
    PeerConfig {
        limits: Limits {
            sent,
            ..Limits::default()
        },
        ..PeerConfig::default()
    }
}

#[tokio::test]
async fn what_is_larger_than_this_side_may_send_fails_its_call_alone_and_names_both_numbers() {
    let session = session(PeerConfig::default(), sends_at_most(1000)).await;
    let size = SizeClient::new(&session);
    let error = size.of("x".repeat(1000)).await.expect_err("too large");
    assert!(error.is_encode(), "{error}");
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    // 21 bytes are the lengths, the header with its codec id, and the body's codec id and quotes.
    assert_eq!(
        cause,
        "a packet of 1024 bytes is over the limit of 1000 bytes for sending"
    );
    assert_eq!(size.of("x".repeat(900)).await.expect("below"), 900);
}

#[tokio::test]
async fn a_reply_larger_than_its_side_may_send_is_500_and_the_session_goes_on() {
    let session = session(sends_at_most(1000), PeerConfig::default()).await;
    let size = SizeClient::new(&session);
    let error = size.make(1000).await.expect_err("too large");
    assert!(error.is_remote() && error.code() == 500, "{error}");
    assert!(
        error.to_string().contains("over the limit of 1000 bytes"),
        "{error}"
    );
    assert_eq!(size.make(900).await.expect("below").len(), 900);
}
