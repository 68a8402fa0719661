//! Calls over something that finds a session for each of them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use teleport::{
    CallCtx, Connection, Error, Peer, PeerConfig, Plugin, PullController, PushController, Raw,
    Router, Session, Status, pull_controller, push_controller,
};
use teleport_tests::{
    gate::{Gate, GateClient, GatePushClient},
    pair::{Pair, connect, peer},
};
use tokio::{io::AsyncReadExt, sync::mpsc};

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

/// Takes one session after the other, and notes which it gets back.
#[derive(Clone)]
struct Noted {
    turns: Turns,
    released: Arc<Mutex<Vec<String>>>,
}

impl Noted {
    fn new(sessions: Vec<Session>) -> Self {
        let turns = Turns {
            sessions: Arc::new(sessions),
            next: Arc::default(),
        };
        Self {
            turns,
            released: Arc::default(),
        }
    }

    fn released(&self) -> Vec<String> {
        self.released.lock().expect("no panic").clone()
    }
}

impl Connection for Noted {
    async fn session(&self) -> Result<Session, Error> {
        self.turns.session().await
    }

    fn release(&self, session: &Session) {
        let mut released = self.released.lock().expect("no panic");
        released.push(session.id().to_string());
    }
}

/// Sees calls on their way, which makes that way another one.
struct Counting(AtomicUsize);

impl Plugin for Counting {
    fn name(&self) -> &str {
        "watching"
    }

    async fn pre_write_pull(&self, call: &mut CallCtx) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let tries = self.0.load(Ordering::Relaxed).to_string();
        call.header_mut().meta.insert("try", tries);
        Ok(())
    }
}

fn announcing() -> PeerConfig {
    PeerConfig {
        announce: true,
        ..PeerConfig::default()
    }
}

#[tokio::test]
async fn a_call_that_a_closing_side_has_not_taken_is_made_again_over_another_session() {
    for watched in [false, true] {
        let client = Peer::builder().config(announcing());
        let client = match watched {
            true => client.plugin(Counting(AtomicUsize::new(0))),
            false => client,
        };
        let client = client.build().expect("a peer");
        let gate = Gate::default();
        let first = connect(peer(announcing(), gate.routes()), client.clone()).await;
        let second = connect(peer(announcing(), gate.routes()), client).await;
        let busy = tokio::spawn({
            let client = GateClient::new(&first.session);
            async move { client.pass(1).await }
        });
        gate.arrived(1).await;
        first.accepted.start_closing();
        assert!(first.session.is_open(), "it has not heard");

        let noted = Noted::new(vec![first.session.clone(), second.session.clone()]);
        let answer = GateClient::new(&noted).open_road(7).await;
        assert_eq!(answer.expect("the second takes it"), 7);
        assert!(!first.session.is_open(), "it was refused there");
        let ids = [&first.session, &second.session].map(|session| session.id().to_string());
        assert_eq!(noted.released(), ids, "each is given back once");
        gate.open(1);
        assert_eq!(busy.await.expect("no panic").expect("delivered"), 1);
    }
}

#[tokio::test]
async fn a_push_that_waits_for_room_goes_over_another_session_if_its_own_ends() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let config = PeerConfig {
        write_buffer: 64,
        ..PeerConfig::default()
    };
    let client = peer(config, Router::new());
    let (mut never_read, stream) = tokio::io::duplex(64);
    let full = client.serve_conn(stream).await.expect("a session");
    // One lies in the pipe and the buffer, another waits.
    full.push("/mailbox/put", Raw(vec![b'x'; 200].into()))
        .await
        .expect("taken");
    let server = peer(Default::default(), Mailbox(sender).into_router());
    let Pair { session, .. } = connect(server, client).await;
    let noted = Noted::new(vec![full.clone(), session.clone()]);
    let push = tokio::spawn({
        let noted = noted.clone();
        async move { noted.push("/mailbox/put", 7).await }
    });
    let mut byte = [0];
    never_read.read_exact(&mut byte).await.expect("it writes");
    assert!(!push.is_finished());
    full.abort();
    push.await.expect("no panic").expect("sent");
    assert_eq!(received.recv().await, Some(7));
    assert_eq!(noted.released().len(), 2);
}

#[tokio::test]
async fn a_session_is_given_back_however_its_call_ends() {
    let gate = Gate::default();
    let server = peer(Default::default(), gate.routes());
    let pair = connect(server, peer(Default::default(), Router::new())).await;
    let noted = Noted::new(vec![pair.session.clone()]);
    let client = GateClient::new(&noted);
    client.open_road(1).await.expect("answered");
    assert_eq!(noted.released().len(), 1);
    let error = noted.pull::<_, ()>("/nobody", ()).await;
    assert_eq!(error.expect_err("no route").code(), 404);
    assert_eq!(noted.released().len(), 2);
    let error = noted.pull::<_, ()>("/gate/open_road", 1).gzip(99).await;
    assert!(error.expect_err("no such level").is_encode());
    assert_eq!(noted.released().len(), 3);
    noted.push("/gate/push", 1).await.expect("sent");
    assert_eq!(noted.released().len(), 4);
    let call = tokio::spawn(async move { client.pass(2).await });
    gate.arrived(2).await;
    assert_eq!(noted.released().len(), 4);
    call.abort();
    assert!(call.await.expect_err("aborted").is_cancelled());
    assert_eq!(noted.released().len(), 5);
}
