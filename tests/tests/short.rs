//! Sessions that live for one call each.

use std::{collections::HashSet, time::Duration};

use teleport::{
    ConnOptions, Connection, Handshake, Peer, PeerConfig, Plugin, Router, Short, Status,
};
use teleport_tests::{
    gate::{Gate, GateClient, GatePushClient},
    pair::peer,
};
use tokio::task::JoinSet;

struct Scene {
    gate: Gate,
    server: Peer,
    client: Peer,
    short: Short,
}

async fn scene() -> Scene {
    let gate = Gate::default();
    let config = PeerConfig {
        listen: vec!["127.0.0.1:0".into()],
        ..PeerConfig::default()
    };
    let server = peer(config, gate.routes());
    let address = server.listen().await.expect("a free port").address();
    let client = peer(PeerConfig::default(), Router::new());
    let short = client.short(&address);
    Scene {
        gate,
        server,
        client,
        short,
    }
}

async fn sessions(peer: &Peer, count: usize) {
    while peer.session_count() != count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_call_has_a_session_of_its_own_which_ends_with_it() {
    let scene = scene().await;
    let client = GateClient::new(&scene.short);
    for number in 0..3 {
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.pass(number).await }
        });
        scene.gate.arrived(number).await;
        assert_eq!(scene.client.session_count(), 1);
        assert_eq!(scene.server.session_count(), 1);
        scene.gate.open(number);
        assert_eq!(call.await.expect("no panic").expect("answered"), number);
        sessions(&scene.client, 0).await;
        sessions(&scene.server, 0).await;
    }
    let untyped: u64 = scene.short.pull("/gate/open_road", 7).await.expect("7");
    assert_eq!(untyped, 7);
    sessions(&scene.client, 0).await;
}

#[tokio::test]
async fn calls_at_the_same_time_do_not_close_each_other() {
    const CALLS: u64 = 30;
    let scene = scene().await;
    let client = GateClient::new(&scene.short);
    let mut calls = JoinSet::new();
    for number in 0..CALLS {
        let client = client.clone();
        calls.spawn(async move { (number, client.pass(number).await) });
    }
    for number in 0..CALLS {
        scene.gate.arrived(number).await;
    }
    let ids: HashSet<_> = scene
        .client
        .sessions()
        .map(|session| session.id())
        .collect();
    assert_eq!(ids.len(), CALLS as usize);
    for number in (0..CALLS).rev() {
        scene.gate.open(number);
    }
    while let Some(call) = calls.join_next().await {
        let (number, answer) = call.expect("no panic");
        assert_eq!(answer.expect("answered"), number);
    }
    sessions(&scene.client, 0).await;
    sessions(&scene.server, 0).await;
}

#[tokio::test]
async fn a_call_that_fails_leaves_no_session() {
    let scene = scene().await;
    let error = scene.short.pull::<_, ()>("/nobody", ()).await;
    assert_eq!(error.expect_err("no route").code(), 404);
    sessions(&scene.client, 0).await;
    let error = scene.short.pull::<_, u64>("/gate/open_road", 1).gzip(99);
    assert!(error.await.expect_err("no such level").is_encode());
    sessions(&scene.client, 0).await;
    let error = scene.short.pull::<_, String>("/gate/open_road", 1).await;
    assert!(error.expect_err("a number").is_decode());
    sessions(&scene.client, 0).await;
    sessions(&scene.server, 0).await;
    scene.server.close().await;
    let error = scene.short.pull::<_, u64>("/gate/open_road", 1).await;
    let error = error.expect_err("nobody listens");
    assert!(error.to_string().starts_with("dial 127.0.0.1"), "{error}");
    assert_eq!(scene.client.session_count(), 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_no_session() {
    let scene = scene().await;
    let client = GateClient::new(&scene.short);
    let call = tokio::spawn(async move { client.pass(1).await });
    scene.gate.arrived(1).await;
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    // Its handler runs on, and the session is there until it has ended.
    assert_eq!(scene.server.session_count(), 1);
    scene.gate.open(1);
    sessions(&scene.server, 0).await;
    sessions(&scene.client, 0).await;
}

#[tokio::test]
async fn a_push_arrives_although_its_session_is_closed_at_once() {
    let scene = scene().await;
    let push = GatePushClient::new(&scene.short);
    push.push(5).await.expect("sent");
    scene.gate.arrived(5).await;
    scene.gate.open(5);
    sessions(&scene.client, 0).await;
    sessions(&scene.server, 0).await;
}

#[tokio::test]
async fn ids_are_the_given_one_with_numbers() {
    let scene = scene().await;
    let address = scene.short.session().await.expect("a session");
    let options = ConnOptions::new().id("gate");
    let short = scene
        .client
        .short_with(address.peer_addr().to_string(), options);
    let session = short.session().await.expect("a session");
    assert_eq!(&*session.id(), "gate#1");
    assert_eq!(
        scene.client.session_count(),
        2,
        "not for a call, not closed"
    );
}

/// Its handshake never ends.
struct Silent;

impl Plugin for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn post_dial(&self, _: &mut Handshake<'_>) -> Result<(), Status> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn the_time_limit_of_a_call_includes_its_dial() {
    let scene = scene().await;
    let client = Peer::builder().plugin(Silent).build().expect("a peer");
    let address = scene.server.listen().await;
    assert!(address.is_ok(), "another port");
    let short = client.short(address.expect("another port").address());
    let call = short.pull::<_, u64>("/gate/open_road", 1);
    let error = call.timeout(Duration::from_millis(20)).await;
    assert!(error.expect_err("too late").is_timeout());
    assert_eq!(client.session_count(), 0);
    sessions(&scene.server, 0).await;
}
