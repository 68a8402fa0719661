//! Links: sessions that are dialled again, the pauses between, what calls do meanwhile, and how a link ends.

use std::{
    collections::HashMap,
    error::Error as _,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use teleport::{
    Backoff, ConnOptions, Connection, Error, Handshake, Link, LinkOptions, LinkState, LinkStates,
    Peer, PeerConfig, Plugin, PullController, PullCtx, Router, Session, Status, pull_controller,
};
use teleport_tests::{
    door::Door,
    gate::{Gate, GateClient},
    pair::peer,
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

const MS: Duration = Duration::from_millis(1);
/// More than a session needs to have proved itself.
const A_WHILE: Duration = Duration::from_secs(2);

fn client() -> Peer {
    peer(PeerConfig::default(), Router::new())
}

fn server(routes: Router) -> Peer {
    peer(PeerConfig::default(), routes)
}

/// A link of this peer through this door.
fn link_of(client: &Peer, door: &Door, options: LinkOptions) -> Link {
    client.link_over(door.connect(), options)
}

fn link(door: &Door) -> Link {
    link_of(&client(), door, LinkOptions::new())
}

fn names(state: &LinkState) -> &'static str {
    match state {
        LinkState::Closed { .. } => "closed",
        LinkState::Connecting => "connecting",
        LinkState::Down { .. } => "down",
        LinkState::Draining => "draining",
        LinkState::Up(_) => "up",
        _ => "another",
    }
}

async fn next(states: &mut LinkStates) -> &'static str {
    states.next().await.as_ref().map_or("none", names)
}

async fn until(states: &mut LinkStates, name: &str) {
    while next(states).await != name {}
}

/// The causes of an error, itself first.
fn causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" < {error}"));
        cause = error.source();
    }
    text
}

/// Sessions go in a task of their own.
async fn no_sessions(peer: &Peer) {
    while peer.session_count() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_server_that_comes_late() {
    let gate = Gate::default();
    let door = Door::default();
    let link = link(&door);
    let call = tokio::spawn({
        let client = GateClient::new(&link);
        async move { client.open_road(1).await }
    });
    door.knocked(3).await;
    assert!(!call.is_finished());
    door.open(&server(gate.routes()));
    assert_eq!(call.await.expect("no panic").expect("in the end"), 1);
}

#[tokio::test(start_paused = true)]
async fn dials_are_as_far_apart_as_the_backoff_says() {
    let backoff = Backoff::new(100 * MS, 2000 * MS).seed(7);
    let door = Door::default();
    let options = LinkOptions::new().backoff(backoff.clone());
    let _link = link_of(&client(), &door, options);
    door.knocked(12).await;
    let mut backoff = backoff;
    for pair in door.knocks().windows(2) {
        let pause = backoff.next_pause();
        // A timer is as fine as a millisecond.
        let right = pause..=pause + 2 * MS;
        assert!(right.contains(&(pair[1] - pair[0])), "{pause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_dials_again_when_the_server_has_died_and_clients_stay_valid() {
    let gate = Gate::default();
    let door = Door::default();
    let link = link(&door);
    let client = GateClient::new(&link);
    let mut ids = Vec::new();
    for round in 1..4 {
        let server = server(gate.routes());
        door.open(&server);
        let session = link.connected().await.expect("up");
        assert_eq!(session.values().insert(round), None, "new values");
        ids.push(session.id());
        assert_eq!(client.open_road(round).await.expect("answered"), round);
        let call = tokio::spawn({
            let client = client.clone();
            async move { client.pass(round).await }
        });
        gate.arrived(round).await;
        sleep(A_WHILE).await;
        door.shut();
        server.sessions().for_each(|session| session.abort());
        let error = call.await.expect("no panic").expect_err("cut");
        assert_eq!(error.code(), 101, "it may have been served: {error}");
        session.closed().await;
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test(start_paused = true)]
async fn states_follow_each_other_as_drawn() {
    let gate = Gate::default();
    let door = Door::default();
    let link = link(&door);
    let mut states = link.states();
    assert_eq!(next(&mut states).await, "connecting");
    let Some(LinkState::Down { reason, next_try }) = states.next().await else {
        panic!("nobody is there: {link:?}")
    };
    assert_eq!(
        causes(&reason),
        "dial stream: no connection < connection refused"
    );
    let pause = Instant::from_std(next_try) - Instant::now();
    assert!(pause <= 100 * MS, "{pause:?}");

    let first = server(gate.routes());
    door.hold();
    assert_eq!(next(&mut states).await, "connecting");
    door.open(&first);
    assert_eq!(next(&mut states).await, "up");

    // It closes, with a call under way.
    let call = tokio::spawn({
        let client = GateClient::new(&link);
        async move { client.pass(1).await }
    });
    gate.arrived(1).await;
    sleep(A_WHILE).await;
    let accepted = first.sessions().next().expect("one");
    door.hold();
    accepted.start_closing();
    // It learns of it with the next call, which waits for the next session.
    let second_call = tokio::spawn({
        let client = GateClient::new(&link);
        async move { client.open_road(2).await }
    });
    assert_eq!(next(&mut states).await, "draining");
    let second = server(gate.routes());
    door.open(&second);
    assert_eq!(next(&mut states).await, "up");
    assert_eq!(second_call.await.expect("no panic").expect("taken"), 2);
    gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("delivered"), 1);

    // It goes, and does not come back at once.
    sleep(A_WHILE).await;
    door.hold();
    second.sessions().for_each(|session| session.abort());
    assert_eq!(next(&mut states).await, "draining");
    door.shut();
    assert_eq!(next(&mut states).await, "down");
    door.hold();
    assert_eq!(next(&mut states).await, "connecting");
    door.open(&second);
    assert_eq!(next(&mut states).await, "up");

    // This side closes.
    let call = tokio::spawn({
        let client = GateClient::new(&link);
        async move { client.pass(3).await }
    });
    gate.arrived(3).await;
    link.start_closing();
    assert_eq!(next(&mut states).await, "draining");
    gate.open(3);
    assert_eq!(call.await.expect("no panic").expect("delivered"), 3);
    assert_eq!(next(&mut states).await, "closed");
    assert_eq!(next(&mut states).await, "none");
    assert_eq!(names(&link.state()), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_breaks_leaves_the_link_down_for_the_first_pause() {
    let config = PeerConfig {
        read_timeout: Some(Duration::from_secs(30)),
        ..PeerConfig::default()
    };
    let door = Door::default();
    let server = server(Router::new());
    door.open(&server);
    let client = peer(config, Router::new());
    let link = link_of(&client, &door, LinkOptions::new());
    let mut states = link.states();
    until(&mut states, "up").await;
    let Some(LinkState::Down { reason, .. }) = states.next().await else {
        panic!("the server is silent: {link:?}")
    };
    assert_eq!(
        causes(&reason),
        "session stream: ended < no packet came within the read timeout of 30s"
    );
    until(&mut states, "up").await;
    let knocks = door.knocks();
    let between = knocks[1] - knocks[0] - Duration::from_secs(30);
    assert!(between <= 102 * MS, "{between:?}");
}

#[tokio::test(start_paused = true)]
async fn calls_that_shall_not_wait_fail_at_once_while_the_link_is_down() {
    let gate = Gate::default();
    let door = Door::default();
    door.hold();
    let link = link_of(&client(), &door, LinkOptions::new().fail_fast());
    let client = GateClient::new(&link);
    let first = tokio::spawn({
        let client = client.clone();
        async move { client.open_road(1).await }
    });
    door.knocked(1).await;
    tokio::task::yield_now().await;
    assert!(!first.is_finished(), "the first dial is not over");
    door.shut();
    let error = first.await.expect("no panic").expect_err("refused");
    assert_eq!(error.code(), 100);
    assert_eq!(
        causes(&error),
        "call /gate/open_road: the connection is closed, the call was not made \
         < the link to stream is down < dial stream: no connection < connection refused"
    );

    // Another dial under way changes nothing.
    door.hold();
    until(&mut link.states(), "connecting").await;
    let now = Instant::now();
    let error = client.open_road(2).await.expect_err("still down");
    assert!(error.is_closed() && error.code() == 100, "{error}");
    assert_eq!(now.elapsed(), Duration::ZERO);

    door.open(&server(gate.routes()));
    link.connected().await.expect("up");
    assert_eq!(client.open_road(3).await.expect("answered"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_no_longer_than_the_link_and_the_call_allow() {
    let door = Door::default();
    let link = link_of(&client(), &door, LinkOptions::new().wait(3000 * MS));
    let now = Instant::now();
    let error = link.pull::<_, ()>("/a/b", ()).await.expect_err("nobody");
    assert_eq!(now.elapsed(), 3000 * MS);
    assert_eq!(error.code(), 100);
    let text = causes(&error);
    assert!(
        text.contains("the link to stream was not up within 3s"),
        "{text}"
    );
    assert!(text.ends_with("< connection refused"), "{text}");

    let now = Instant::now();
    let call = link.pull::<_, ()>("/a/b", ()).timeout(1000 * MS);
    let error = call.await.expect_err("nobody");
    assert!(error.is_timeout(), "{error}");
    assert_eq!(now.elapsed(), 1000 * MS);
}

#[tokio::test(start_paused = true)]
async fn what_a_call_has_waited_is_taken_from_the_time_that_its_handler_has() {
    struct Clock;

    #[pull_controller]
    impl Clock {
        async fn time_left(&self, ctx: &PullCtx) -> Option<Duration> {
            ctx.time_left()
        }
    }

    let door = Door::default();
    door.hold();
    let link = link(&door);
    let call = tokio::spawn({
        let link = link.clone();
        async move {
            let call = link.pull("/clock/time_left", ()).timeout(10_000 * MS);
            call.await
        }
    });
    door.knocked(1).await;
    sleep(4000 * MS).await;
    door.open(&server(Clock.into_router()));
    let left: Option<Duration> = call.await.expect("no panic").expect("answered");
    assert_eq!(left, Some(6000 * MS));
}

#[tokio::test(start_paused = true)]
async fn closing_a_link_that_is_down_or_connecting_ends_its_dials() {
    for hold in [false, true] {
        let door = Door::default();
        if hold {
            door.hold();
        }
        let link = link(&door);
        let call = tokio::spawn({
            let client = GateClient::new(&link);
            async move { client.open_road(1).await }
        });
        door.knocked(1).await;
        until(&mut link.states(), if hold { "connecting" } else { "down" }).await;
        link.close().await;
        let error = call.await.expect("no panic").expect_err("closed");
        assert_eq!(error.code(), 100);
        assert!(causes(&error).ends_with("closed on this side"), "{error:?}");
        let knocks = door.knocks().len();
        let server = server(Router::new());
        door.open(&server);
        sleep(100 * A_WHILE).await;
        assert_eq!(door.knocks().len(), knocks);
        assert_eq!(server.session_count(), 0);
        let error = link.connected().await.expect_err("closed");
        assert!(causes(&error).ends_with("closed on this side"), "{error:?}");
        link.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn closing_a_link_that_is_up_lets_calls_finish_and_takes_no_more() {
    let gate = Gate::default();
    let door = Door::default();
    let server = server(gate.routes());
    door.open(&server);
    let peer = client();
    let link = link_of(&peer, &door, LinkOptions::new());
    let client = GateClient::new(&link);
    let call = tokio::spawn({
        let client = client.clone();
        async move { client.pass(1).await }
    });
    gate.arrived(1).await;
    let closing = tokio::spawn({
        let link = link.clone();
        async move { link.close().await }
    });
    until(&mut link.states(), "draining").await;
    assert_eq!(client.open_road(2).await.expect_err("closing").code(), 100);
    assert!(!closing.is_finished());
    gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("delivered"), 1);
    closing.await.expect("no panic");
    assert_eq!(peer.session_count(), 0);
    sleep(100 * A_WHILE).await;
    assert_eq!(door.knocks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_link_and_calls_over_its_session_finish() {
    let gate = Gate::default();
    let door = Door::default();
    let server = server(gate.routes());
    door.open(&server);
    let peer = client();
    let link = link_of(&peer, &door, LinkOptions::new());
    let mut states = link.states();
    let session = link.connected().await.expect("up");
    let call = tokio::spawn({
        let client = GateClient::new(&session);
        async move { client.pass(1).await }
    });
    gate.arrived(1).await;
    // A client is a handle too.
    let client = GateClient::new(&link);
    drop(link);
    assert_eq!(client.open_road(2).await.expect("still up"), 2);
    assert!(session.is_open());
    drop(client);
    until(&mut states, "closed").await;
    assert!(!session.is_open());
    gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("delivered"), 1);
    no_sessions(&peer).await;
    no_sessions(&server).await;
    sleep(100 * A_WHILE).await;
    assert_eq!(door.knocks().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_closes_at_once_causes_no_storm() {
    let door = Door::default();
    let server = server(Router::new());
    door.open(&server);
    let options = LinkOptions::new().backoff(Backoff::new(100 * MS, 10_000 * MS).seed(1));
    let link = link_of(&client(), &door, options);
    // Calls, for a reply that refuses one is a packet too.
    let calls = tokio::spawn({
        let link = link.clone();
        async move {
            loop {
                _ = link.pull::<_, ()>("/a/b", ()).await;
            }
        }
    });
    let closing = tokio::spawn({
        let server = server.clone();
        async move {
            loop {
                server
                    .sessions()
                    .for_each(|session| session.start_closing());
                tokio::task::yield_now().await;
                sleep(MS).await;
            }
        }
    });
    sleep(Duration::from_secs(120)).await;
    let knocks = door.knocks().len();
    assert!((20..50).contains(&knocks), "{knocks} dials in two minutes");
    calls.abort();
    closing.abort();
}

#[tokio::test(start_paused = true)]
async fn pauses_begin_anew_after_a_session_that_has_proved_itself() {
    let door = Door::default();
    let backoff = Backoff::new(100 * MS, 60_000 * MS);
    let options = LinkOptions::new().backoff(backoff);
    let link = link_of(&client(), &door, options);
    door.knocked(12).await;
    let server = server(Router::new());
    door.open(&server);
    link.connected().await.expect("up");
    sleep(A_WHILE).await;
    door.shut();
    let before = door.knocks().len();
    server.sessions().for_each(|session| session.abort());
    let now = Instant::now();
    door.knocked(before + 1).await;
    assert!(now.elapsed() <= 2 * MS, "at once");
    door.knocked(before + 3).await;
    assert!(now.elapsed() <= 304 * MS, "{:?}", now.elapsed());
}

#[tokio::test(start_paused = true)]
async fn it_gives_up_after_as_many_failures_as_it_was_told() {
    let door = Door::default();
    let link = link_of(&client(), &door, LinkOptions::new().tries(3));
    let error = link.connected().await.expect_err("nobody comes");
    assert_eq!(door.knocks().len(), 3);
    assert_eq!(names(&link.state()), "closed");
    assert_eq!(
        causes(&error),
        "wait for stream: the connection is closed, the call was not made \
         < the link to stream is down < dial stream: no connection < connection refused"
    );
    let error = link.pull::<_, ()>("/a/b", ()).await.expect_err("closed");
    assert_eq!(error.code(), 100);
}

#[tokio::test(start_paused = true)]
async fn its_peer_closes_it() {
    for up in [true, false] {
        let door = Door::default();
        let server = server(Router::new());
        if up {
            door.open(&server);
        }
        let peer = client();
        let link = link_of(&peer, &door, LinkOptions::new());
        until(&mut link.states(), if up { "up" } else { "down" }).await;
        peer.close().await;
        until(&mut link.states(), "closed").await;
        let LinkState::Closed { reason } = link.state() else {
            panic!("{link:?}")
        };
        assert_eq!(
            causes(&reason),
            "link to stream: ended < the peer is closed"
        );
        assert_eq!(door.knocks().len(), 1);
    }
}

#[test]
fn a_call_over_a_link_whose_runtime_is_gone_fails() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime")
    };
    let (theirs, ours) = (runtime(), runtime());
    let door = Door::default();
    door.hold();
    let link = theirs.block_on(async { link(&door) });
    let call = ours.spawn({
        let client = GateClient::new(&link);
        async move { client.open_road(1).await }
    });
    ours.block_on(door.knocked(1));
    theirs.shutdown_timeout(Duration::from_secs(10));
    let error = ours.block_on(call).expect("no panic").expect_err("gone");
    assert_eq!(error.code(), 100);
    assert_eq!(names(&link.state()), "closed");
    ours.block_on(link.close());
}

/// Says who it is at each dial, and keeps what it was told.
struct Login(AtomicUsize);

impl Plugin for Login {
    fn name(&self) -> &str {
        "login"
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        if number == 1 {
            return Err(Status::new(401, "not now"));
        }
        handshake.session().values().insert(number);
        Ok(())
    }
}

struct Front;

#[pull_controller]
impl Front {
    /// The number of the session on which it is asked.
    async fn number(&self, ctx: &PullCtx) -> Option<usize> {
        ctx.session().values().get()
    }
}

#[tokio::test(start_paused = true)]
async fn plugins_and_handlers_serve_each_new_session() {
    let door = Door::default();
    let server = server(Router::new());
    door.open(&server);
    let client = Peer::builder()
        .plugin(Login(AtomicUsize::new(0)))
        .routes(Front.into_router())
        .build()
        .expect("a peer");
    let link = link_of(&client, &door, LinkOptions::new());
    // The second dial is refused by the plugin.
    for number in [0, 2, 3] {
        let session = link.connected().await.expect("up");
        let accepted = server.sessions().next().expect("one");
        let front = FrontClient::new(&accepted);
        assert_eq!(front.number().await.expect("answered"), Some(number));
        sleep(A_WHILE).await;
        accepted.close().await;
        session.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_with_an_id_of_the_users_is_found_by_it_each_time() {
    let door = Door::default();
    let server = server(Router::new());
    door.open(&server);
    let client = client();
    let options = LinkOptions::new().connection(ConnOptions::new().id("backend"));
    let link = link_of(&client, &door, options);
    let mut before: Option<Session> = None;
    for _ in 0..3 {
        let session = link.connected().await.expect("up");
        let known = client.session("backend").expect("known");
        assert!(known.is_open() && session.is_open());
        assert!(before.is_none_or(|before| !before.is_open()));
        sleep(A_WHILE).await;
        server.sessions().for_each(|session| session.abort());
        session.closed().await;
        before = Some(session);
    }
}

fn free_address() -> String {
    let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
    free.local_addr().expect("an address").to_string()
}

async fn listening(address: &str, routes: Router) -> Peer {
    let config = PeerConfig {
        listen: vec![address.to_owned()],
        ..PeerConfig::default()
    };
    let server = peer(config, routes);
    server.listen().await.expect("free");
    server
}

#[tokio::test]
async fn two_links_to_one_address_leave_each_other_alone() {
    let gate = Gate::default();
    let address = free_address();
    let server = listening(&address, gate.routes()).await;
    let client = client();
    let links = [client.link(&address), client.link(&address)];
    for link in &links {
        assert_eq!(GateClient::new(link).open_road(1).await.expect("1"), 1);
    }
    assert_eq!((client.session_count(), server.session_count()), (2, 2));
    for link in &links {
        assert_eq!(names(&link.state()), "up");
        link.close().await;
    }
    assert_eq!(client.session_count(), 0);
}

/// Answers with its name.
struct Node(&'static str);

#[pull_controller]
impl Node {
    async fn name(&self) -> String {
        self.0.to_owned()
    }
}

#[tokio::test]
async fn of_several_addresses_it_takes_one_where_somebody_is() {
    let addresses = [free_address(), free_address(), free_address()];
    let _first = listening(&addresses[1], Node("first").into_router()).await;
    let options = LinkOptions::new()
        .or(&addresses[1])
        .or(&addresses[2])
        .backoff(Backoff::new(MS, MS))
        .fail_fast();
    let link = client().link_with(&addresses[0], options);
    let node = NodeClient::new(&link);
    assert_eq!(node.name().await.expect("not a failure yet"), "first");
    let _second = listening(&addresses[2], Node("second").into_router()).await;
    link.connected().await.expect("up").close().await;
    link.connected().await.expect("up again");
    assert_eq!(node.name().await.expect("answered"), "second");
}

/// Counts how often each number was served.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<u64, u32>>>);

#[pull_controller]
impl Ledger {
    async fn enter(&self, number: u64) -> u64 {
        *self.0.lock().expect("no panic").entry(number).or_default() += 1;
        // Some answer at once, others have to be waited for.
        if number.is_multiple_of(2) {
            sleep(Duration::from_millis(number % 7)).await;
        }
        number
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_in_good_order_under_load_loses_no_call() {
    const CALLERS: u64 = 300;
    const RESTARTS: usize = 5;
    let address = free_address();
    let ledger = Ledger::default();
    let mut server = listening(&address, ledger.clone().into_router()).await;
    let options = || LinkOptions::new().backoff(Backoff::new(5 * MS, 50 * MS));
    let links = [(); 3].map(|()| client().link_with(&address, options()));
    let next = Arc::new(AtomicUsize::new(0));
    let stop = tokio::sync::watch::Sender::new(false);
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (next, stop) = (Arc::clone(&next), stop.subscribe());
        let client = LedgerClient::new(&links[caller as usize % links.len()]);
        callers.spawn(async move {
            while !*stop.borrow() {
                let number = next.fetch_add(1, Ordering::Relaxed) as u64;
                assert_eq!(client.enter(number).await.expect("no call is lost"), number);
            }
        });
    }
    // So that it is dialled at once when it closes, the first time.
    sleep(A_WHILE).await;
    for _ in 0..RESTARTS {
        let begin = next.load(Ordering::Relaxed);
        while next.load(Ordering::Relaxed) < begin + 3 * CALLERS as usize {
            sleep(MS).await;
        }
        server.close().await;
        server = listening(&address, ledger.clone().into_router()).await;
    }
    for link in &links {
        link.connected().await.expect("up");
    }
    stop.send_replace(true);
    while let Some(caller) = callers.join_next().await {
        caller.expect("every call was answered");
    }
    let made = next.load(Ordering::Relaxed) as u64;
    let entries = ledger.0.lock().expect("no panic");
    for number in 0..made {
        assert_eq!(entries.get(&number), Some(&1), "{number} of {made}");
    }
}

/// A server in a process of its own, which dies when this is dropped, without a word to anyone.
struct Process(Child, String);

impl Process {
    fn start(address: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gate_server"))
            .arg(address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let stdout = child.stdout.as_mut().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("read");
        Self(child, line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL, where there are signals.
        self.0.kill().expect("killed");
        self.0.wait().expect("gone");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_process_that_is_killed_and_started_again_is_found_again() {
    let first = Process::start("127.0.0.1:0");
    let address = first.1.clone();
    let link = client().link(&address);
    let client = GateClient::new(&link);
    let endless = tokio::spawn({
        let client = client.clone();
        async move { client.pass(1).await }
    });
    let session = link.connected().await.expect("up");
    while session.pulls_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    // Packets are served in their order: it has arrived before this one is answered.
    assert_eq!(client.open_road(2).await.expect("answered"), 2);
    drop(first);
    let error = endless.await.expect("no panic").expect_err("killed");
    assert_eq!(error.code(), 101, "it may have been served: {error}");
    until(&mut link.states(), "down").await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.open_road(3).await }
    });
    let _second = Process::start(&address);
    assert_eq!(waiting.await.expect("no panic").expect("answered"), 3);
}
