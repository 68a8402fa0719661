//! Pools: sessions to the members of a service, and the choice among them.

use std::{collections::HashMap, sync::Arc};

use teleport::{
    Connection, Peer, PeerConfig, Router, Session,
    registry::{Link, Member, MemberList, Pool},
};
use teleport_tests::{
    gate::{Gate, GateClient},
    named::Named,
    pair::peer,
};

/// A server with a name and a gate.
struct Server {
    peer: Peer,
    gate: Gate,
    address: String,
}

impl Server {
    async fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0").await
    }

    async fn start_at(name: &str, address: &str) -> Self {
        let gate = Gate::default();
        let config = PeerConfig {
            listen: vec![address.to_owned()],
            ..PeerConfig::default()
        };
        let peer = peer(config, gate.routes().merge(Named::routes(name)));
        let address = peer.listen().await.expect("a free port").address();
        Self {
            peer,
            gate,
            address,
        }
    }

    fn member(&self) -> Member {
        Member::new(&self.address)
    }
}

async fn start<const N: usize>(names: [&str; N]) -> Vec<Server> {
    let mut servers = Vec::new();
    for name in names {
        servers.push(Server::start(name).await);
    }
    servers
}

/// A list of these servers, and a pool that is connected to all.
async fn follow(servers: &[Server]) -> (MemberList, Pool) {
    let list = MemberList::new(servers.iter().map(Server::member));
    let pool = Pool::new(&client(), list.discover());
    pool.wait_for(all_connected).await;
    (list, pool)
}

fn client() -> Peer {
    peer(PeerConfig::default(), Router::new())
}

fn all_connected(links: &[Link]) -> bool {
    !links.is_empty() && links.iter().all(|link| link.session.is_some())
}

/// Who answers.
async fn ask(pool: &Pool) -> String {
    pool.pull("/named/name", ()).await.expect("an answer")
}

fn pass(session: &Session, number: u64) -> tokio::task::JoinHandle<Result<u64, teleport::Error>> {
    let client = GateClient::new(session);
    tokio::spawn(async move { client.pass(number).await })
}

#[tokio::test]
async fn calls_go_to_all_members_in_turn_and_by_weight() {
    let servers = start(["a", "b", "c"]).await;
    let [a, b, c] = [3, 1, 0].map(|weight| move |member: Member| member.weight(weight));
    let members = [
        a(servers[0].member()),
        b(servers[1].member()),
        c(servers[2].member()),
    ];
    let list = MemberList::new(members);
    let pool = Pool::new(&client(), list.discover());
    pool.wait_for(all_connected).await;
    let mut answers = HashMap::new();
    for _ in 0..40 {
        *answers.entry(ask(&pool).await).or_default() += 1;
    }
    assert_eq!(answers, [("a".to_owned(), 30), ("b".to_owned(), 10)].into());

    list.set(servers.iter().map(Server::member));
    pool.wait_for(|links| links.iter().all(|link| link.member.weight == 1))
        .await;
    let mut answers: Vec<_> = [ask(&pool).await, ask(&pool).await, ask(&pool).await].into();
    answers.sort();
    assert_eq!(
        answers,
        ["a", "b", "c"],
        "the sessions stayed, the weights changed"
    );
    for server in &servers {
        assert_eq!(server.peer.session_count(), 1);
    }
}

#[tokio::test]
async fn the_member_with_the_least_in_flight_is_chosen() {
    let servers = start(["a", "b", "c"]).await;
    let (_list, pool) = follow(&servers).await;
    let pool = pool.least_in_flight();
    let mut calls = HashMap::new();
    for number in 0..3 {
        let session = pool.session().await.expect("a member");
        let call = pass(&session, number);
        let address = session.peer_addr().to_string();
        let server = servers.iter().find(|server| server.address == address);
        server.expect("one of them").gate.arrived(number).await;
        calls.insert(address, (number, call));
    }
    assert_eq!(calls.len(), 3, "each has one");
    for (name, server) in ["a", "b", "c"].into_iter().zip(&servers) {
        let (number, call) = calls.remove(&server.address).expect("one is there");
        server.gate.open(number);
        call.await.expect("no panic").expect("an answer");
        for _ in 0..3 {
            assert_eq!(ask(&pool).await, name, "it has none, the others have one");
        }
        let session = pool.session().await.expect("a member");
        let call = pass(&session, number);
        server.gate.arrived(number).await;
        calls.insert(server.address.clone(), (number, call));
    }
}

#[tokio::test]
async fn a_key_stays_with_its_member_and_only_the_keys_of_one_that_goes_move() {
    let servers = start(["a", "b", "c"]).await;
    let (list, pool) = follow(&servers).await;
    let owners = async || {
        let mut owners = Vec::new();
        for key in 0..60 {
            owners.push(ask(&pool.by_key(format!("user-{key}"))).await);
        }
        owners
    };
    let before = owners().await;
    assert_eq!(before, owners().await);
    for name in ["a", "b", "c"] {
        assert!(before.iter().any(|owner| owner == name), "{name} has keys");
    }

    list.set([servers[0].member(), servers[2].member()]);
    pool.wait_for(|links| links.len() == 2).await;
    for (before, after) in before.iter().zip(owners().await) {
        match before == "b" {
            true => assert_ne!(after, "b"),
            false => assert_eq!(after, *before),
        }
    }

    list.set(servers.iter().map(Server::member));
    pool.wait_for(|links| links.len() == 3 && all_connected(links))
        .await;
    assert_eq!(before, owners().await, "it is back, and so are its keys");
}

#[tokio::test]
async fn a_member_that_disappears_gets_no_more_calls_and_finishes_those_it_has() {
    let servers = start(["a", "b"]).await;
    let (list, pool) = follow(&servers).await;
    let links = pool.links();
    let link = links
        .iter()
        .find(|link| link.member.address == servers[0].address);
    let session = link.expect("known").session.clone().expect("connected");
    let call = pass(&session, 1);
    servers[0].gate.arrived(1).await;

    list.set([servers[1].member()]);
    pool.wait_for(|links| links.len() == 1).await;
    for _ in 0..4 {
        assert_eq!(ask(&pool).await, "b");
    }
    assert_eq!(servers[0].peer.session_count(), 1, "a call is in flight");
    servers[0].gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("its answer"), 1);
    session.closed().await;
}

#[tokio::test]
async fn a_member_whose_connection_breaks_is_left_out_until_it_is_connected_again() {
    let servers = start(["a", "b"]).await;
    let (_list, pool) = follow(&servers).await;
    let old = servers[0].peer.sessions().next().expect("the pool's");
    old.abort();
    pool.wait_for(|links| !all_connected(links)).await;
    for _ in 0..4 {
        assert_eq!(ask(&pool).await, "b");
    }
    pool.wait_for(all_connected).await;
    let mut answers = [ask(&pool).await, ask(&pool).await];
    answers.sort();
    assert_eq!(answers, ["a", "b"]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_member_that_is_announced_before_it_listens_is_dialled_until_it_does() {
    let path = std::env::temp_dir().join(format!("teleport-pool-{}.sock", std::process::id()));
    let address = format!("unix://{}", path.display());
    let list = MemberList::new([Member::new(&address)]);
    let pool = Pool::new(&client(), list.discover());
    pool.wait_for(|links| links.len() == 1).await;
    let error = pool.session().await.expect_err("nobody listens");
    assert_eq!(error.code(), 100);
    let cause = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!(cause, "none of the 1 known members is connected");

    let server = Server::start_at("late", &address).await;
    pool.ready().await;
    assert_eq!(ask(&pool).await, "late");
    server.peer.close().await;
}

#[tokio::test]
async fn calls_to_a_member_that_closes_go_to_another_and_none_fails() {
    let servers = start(["a", "b"]).await;
    let (_list, pool) = follow(&servers).await;
    let session = pool.by_key("any").session().await.expect("a member");
    let address = session.peer_addr().to_string();
    let closing = servers.iter().find(|server| server.address == address);
    let closing = closing.expect("one of them");
    // It is kept from its end by a call that runs. The client does not know that it closes.
    let call = pass(&session, 1);
    closing.gate.arrived(1).await;
    let accepted = closing.peer.sessions().next().expect("the pool's");
    accepted.start_closing();
    assert!(session.is_open());
    for _ in 0..20 {
        let gate = GateClient::new(&pool.by_key("any"));
        assert_eq!(gate.open_road(2).await.expect("the other answers"), 2);
    }
    closing.gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("taken before"), 1);
}

#[tokio::test]
async fn a_call_that_may_have_been_served_is_not_repeated() {
    let servers = start(["a", "b"]).await;
    let (_list, pool) = follow(&servers).await;
    let keyed = pool.by_key("any");
    let session = keyed.session().await.expect("a member");
    let address = session.peer_addr().to_string();
    let [hit, other] = &servers[..] else {
        panic!("two")
    };
    let (hit, other) = match hit.address == address {
        true => (hit, other),
        false => (other, hit),
    };
    let gate = GateClient::new(&keyed);
    let call = tokio::spawn(async move { gate.pass(1).await });
    hit.gate.arrived(1).await;
    hit.peer.sessions().next().expect("the pool's").abort();
    let error = call.await.expect("no panic").expect_err("cut");
    assert_eq!(error.code(), 101);
    assert!(!other.gate.has_arrived(1), "the other was not asked");
}

#[tokio::test]
async fn a_source_that_ends_leaves_the_members_as_they_are() {
    let servers = start(["a"]).await;
    let (list, pool) = follow(&servers).await;
    drop(list);
    assert_eq!(ask(&pool).await, "a");
    servers[0]
        .peer
        .sessions()
        .next()
        .expect("the pool's")
        .abort();
    pool.wait_for(|links| !all_connected(links)).await;
    pool.ready().await;
    assert_eq!(ask(&pool).await, "a", "it is even dialled again");
}

#[tokio::test]
async fn the_last_handle_closes_the_sessions_in_their_orderly_way() {
    let servers = start(["a"]).await;
    let (_list, pool) = follow(&servers).await;
    let session = pool.session().await.expect("a member");
    let call = pass(&session, 1);
    servers[0].gate.arrived(1).await;
    let keyed = pool.by_key("a key");
    drop(pool);
    assert_eq!(ask(&keyed).await, "a", "a handle is left");
    drop(keyed);
    while session.is_open() {
        tokio::task::yield_now().await;
    }
    servers[0].gate.open(1);
    assert_eq!(call.await.expect("no panic").expect("its answer"), 1);
    session.closed().await;
}

#[tokio::test]
async fn the_sessions_that_a_program_has_besides_are_its_own() {
    let servers = start(["a"]).await;
    let client = client();
    let own = client.dial(&servers[0].address).await.expect("a session");
    let list = MemberList::new([servers[0].member()]);
    let pools = [(); 2].map(|()| Pool::new(&client, list.discover()));
    for pool in &pools {
        pool.ready().await;
    }
    assert_eq!(client.session_count(), 3);
    assert!(own.is_open());
    drop(pools);
    while client.session_count() > 1 {
        tokio::task::yield_now().await;
    }
    assert!(own.is_open());
}

#[tokio::test]
async fn sessions_to_members_that_all_disappear_at_once_stay_until_one_is_back() {
    let servers = start(["a", "b"]).await;
    let (list, pool) = follow(&servers).await;
    let session = |server: &Server| server.peer.sessions().next().expect("the pool's");
    let old = session(&servers[0]).id();
    list.set([]);
    pool.wait_for(<[Link]>::is_empty).await;
    let mut answers = [ask(&pool).await, ask(&pool).await];
    answers.sort();
    assert_eq!(answers, ["a", "b"], "both still answer");

    list.set([servers[0].member()]);
    let links = pool.wait_for(all_connected).await;
    assert_eq!(links.len(), 1);
    for _ in 0..3 {
        assert_eq!(ask(&pool).await, "a");
    }
    let b = servers[1].peer.sessions().next();
    if let Some(session) = b {
        session.closed().await;
    }
    assert_eq!(session(&servers[0]).id(), old, "it was not dialled again");

    list.set([]);
    pool.wait_for(<[Link]>::is_empty).await;
    servers[0].peer.close().await;
    while pool.session().await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.session().await.expect_err("nobody").code(), 100);
}

#[tokio::test]
async fn a_pool_of_a_closed_peer_dials_no_more() {
    let servers = start(["a"]).await;
    let client = client();
    let list = MemberList::new([servers[0].member()]);
    let pool = Arc::new(Pool::new(&client, list.discover()));
    pool.ready().await;
    client.close().await;
    pool.wait_for(|links| !all_connected(links)).await;
    assert_eq!(pool.session().await.expect_err("closed").code(), 100);
    assert_eq!(client.session_count(), 0);
}
