//! Calls over something that finds a session for each of them.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use teleport::{
    Connection, Error, Peer, PeerConfig, Plugin, PullController, PushController, Router, Session,
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient, GatePushClient},
    pair::{Pair, connect, peer},
};
use tokio::sync::mpsc;

struct Node(u32);

#[pull_controller]
impl Node {
    async fn number(&self) -> u32 {
        self.0
    }
}

struct Mailbox(mpsc::UnboundedSender<u32>);

#[push_controller]
impl Mailbox {
    async fn put(&self, number: u32) {
        self.0.send(number).ok();
    }
}

/// Takes one session after the other.
#[derive(Clone)]
struct Turns {
    sessions: Arc<Vec<Session>>,
    next: Arc<AtomicUsize>,
}

impl Connection for Turns {
    async fn session(&self) -> Result<Session, Error> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        Ok(self.sessions[next % self.sessions.len()].clone())
    }
}

async fn turns(count: u32) -> (Turns, Vec<Pair>) {
    let mut pairs = Vec::new();
    for number in 0..count {
        let server = peer(Default::default(), Node(number).into_router());
        pairs.push(connect(server, peer(Default::default(), Router::new())).await);
    }
    let sessions = pairs.iter().map(|pair| pair.session.clone()).collect();
    let turns = Turns {
        sessions: Arc::new(sessions),
        next: Arc::default(),
    };
    (turns, pairs)
}

#[tokio::test]
async fn a_client_asks_its_connection_for_a_session_at_each_call() {
    let (turns, _pairs) = turns(3).await;
    let node = NodeClient::new(&turns);
    for number in [0, 1, 2, 0, 1] {
        assert_eq!(node.number().await.expect("answered"), number);
    }
    let untyped: u32 = turns.pull("/node/number", ()).await.expect("answered");
    assert_eq!(untyped, 2);
}

#[tokio::test]
async fn a_call_takes_another_session_if_the_one_it_got_is_closed() {
    let (turns, pairs) = turns(3).await;
    pairs[0].session.close().await;
    pairs[1].session.close().await;
    let node = NodeClient::new(&turns);
    for _ in 0..3 {
        assert_eq!(node.number().await.expect("the third is up"), 2);
    }
    pairs[2].session.close().await;
    let error = node.number().await.expect_err("all are down");
    assert!(error.is_closed() && error.code() == 100, "{error}");
    assert!(error.to_string().contains("/node/number"), "{error}");
}

#[tokio::test]
async fn pushes_go_over_a_connection_too() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let server = peer(Default::default(), Mailbox(sender).into_router());
    let pair = connect(server, peer(Default::default(), Router::new())).await;
    let turns = Turns {
        sessions: Arc::new(vec![pair.session.clone()]),
        next: Arc::default(),
    };
    MailboxPushClient::new(&turns).put(7).await.expect("sent");
    turns.push("/mailbox/put", 8).await.expect("sent");
    assert_eq!(received.recv().await, Some(7));
    assert_eq!(received.recv().await, Some(8));
}

/// Looks at every call, which takes another path then.
struct Watching;

impl Plugin for Watching {
    fn name(&self) -> &str {
        "watching"
    }
}

#[tokio::test]
async fn what_a_closing_side_has_not_taken_goes_to_another_session_with_its_arguments() {
    for watched in [false, true] {
        let gates = [Gate::default(), Gate::default()];
        let mut pairs = Vec::new();
        for gate in &gates {
            let config = PeerConfig {
                announce: true,
                ..PeerConfig::default()
            };
            let mut client = Peer::builder().config(config);
            if watched {
                client = client.plugin(Watching);
            }
            let server = peer(PeerConfig::default(), gate.routes());
            pairs.push(connect(server, client.build().expect("a peer")).await);
        }
        let turns = Turns {
            sessions: Arc::new(pairs.iter().map(|pair| pair.session.clone()).collect()),
            next: Arc::default(),
        };
        // A call that runs keeps the first from its end, which its client has not heard of.
        let first = GateClient::new(&pairs[0].session);
        let running = tokio::spawn(async move { first.pass(1).await });
        gates[0].arrived(1).await;
        pairs[0].accepted.start_closing();
        assert!(pairs[0].session.is_open());

        let answer = GateClient::new(&turns).open_road(7).await;
        assert_eq!(answer.expect("by the second"), 7, "watched: {watched}");
        assert_eq!(turns.next.load(Ordering::Relaxed), 2, "both were asked");
        // Now the client has heard, and a push finds the first closed.
        assert!(!pairs[0].session.is_open());
        let push = GatePushClient::new(&turns).push(8).await;
        push.expect("to the second");
        gates[1].arrived(8).await;
        assert_eq!(turns.next.load(Ordering::Relaxed), 4, "both were asked");

        gates[0].open(1);
        let answer = running.await.expect("no panic");
        assert_eq!(answer.expect("taken before"), 1);
    }
}

/// Has none.
#[derive(Clone)]
struct Nowhere(Peer);

impl Connection for Nowhere {
    async fn session(&self) -> Result<Session, Error> {
        self.0.dial("nonsense://nowhere").await
    }
}

#[tokio::test]
async fn why_there_is_no_session_is_the_error_of_the_call() {
    let nowhere = Nowhere(peer(Default::default(), Router::new()));
    let error = NodeClient::new(&nowhere)
        .number()
        .await
        .expect_err("nowhere");
    assert_eq!(error.to_string(), "dial nonsense://nowhere: no connection");
}
