//! Peers: addresses, dialling, sessions by id, values, shutdown.

use std::{collections::HashSet, sync::Arc, time::Duration};

use teleport::{Addr, ConnOptions, Peer, PeerConfig, Router};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, connect, pair, peer},
};

fn listening_peer(addresses: &[&str], routes: Router) -> Peer {
    let config = PeerConfig {
        listen: addresses.iter().map(ToString::to_string).collect(),
        ..PeerConfig::default()
    };
    peer(config, routes)
}

#[tokio::test]
async fn one_peer_listens_at_several_addresses_and_dials_others() {
    let gate = Gate::default();
    let server = listening_peer(&["127.0.0.1:0", "tcp://127.0.0.1:0"], gate.routes());
    let listening = server.listen().await.expect("free ports");
    let [Addr::Tcp(first), Addr::Tcp(second)] = listening.addrs() else {
        panic!("two TCP addresses: {:?}", listening.addrs())
    };
    assert_ne!(first.port(), second.port());
    for (number, address) in [first, second].into_iter().enumerate() {
        let session = server.dial(&address.to_string()).await.expect("itself");
        assert_eq!(session.peer_addr().ip(), Some(address.ip()));
        let number = number as u64;
        let answer = GateClient::new(&session).open_road(number).await;
        assert_eq!(answer.expect("an answer"), number);
    }
    server.close().await;
    assert_eq!(server.session_count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_carries_a_session_and_its_file_is_removed_at_the_end() {
    let path = std::env::temp_dir().join(format!("teleport-test-{}.sock", std::process::id()));
    let address = format!("unix://{}", path.display());
    // What a killed process leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket file"));
    let server = listening_peer(&[&address], Gate::default().routes());
    let listening = server.listen().await.expect("the stale file is replaced");
    assert_eq!(listening.address(), address);
    let client = peer(PeerConfig::default(), Router::new());
    let session = client.dial(&address).await.expect("dialled");
    assert_eq!(GateClient::new(&session).open_road(1).await.expect("1"), 1);
    client.close().await;
    let signal = std::future::ready(());
    assert!(listening.until(signal).await.is_clean());
    assert!(!path.exists());
}

#[tokio::test]
async fn dialling_where_nobody_listens_fails_and_names_the_address() {
    let client = peer(PeerConfig::default(), Router::new());
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let error = client.dial(&address).await.expect_err("nobody is there");
    assert!(error.to_string().contains(&address), "{error}");
    let error = client.dial("carrier-pigeon://roof").await;
    let error = error.expect_err("no such transport");
    let cause = std::error::Error::source(&error).expect("a cause");
    assert!(cause.to_string().contains("carrier-pigeon"), "{cause}");
}

/// Accepts and says nothing, which keeps a handshake waiting.
struct Silent;

impl teleport::Plugin for Silent {
    fn name(&self) -> &str {
        "silent"
    }

    async fn post_dial(
        &self,
        handshake: &mut teleport::Handshake<'_>,
    ) -> Result<(), teleport::Status> {
        handshake.recv().await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_dial_ends_at_its_time_limit() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let client = Peer::builder().plugin(Silent).build().expect("a peer");
    let options = ConnOptions::new().timeout(Duration::from_millis(20));
    let error = client.dial_with(&address, options).await;
    assert!(error.expect_err("too late").is_timeout());
    assert_eq!(client.session_count(), 0);
}

#[tokio::test]
async fn sessions_are_found_by_id_iterated_and_renamed() {
    let Pair {
        server,
        accepted,
        session,
        ..
    } = pair(Router::new(), Router::new()).await;
    let (left, right) = tokio::io::duplex(1024);
    let second = server
        .serve_conn_with(left, ConnOptions::new().id("second"))
        .await
        .expect("a session");
    assert_eq!(server.session_count(), 2);
    let ids: HashSet<Arc<str>> = server.sessions().map(|session| session.id()).collect();
    assert_eq!(ids, HashSet::from([accepted.id(), "second".into()]));
    assert_eq!(server.session("second").expect("known").id(), second.id());
    assert!(server.session("third").is_none());

    accepted.rename("first").expect("free");
    assert_eq!(server.session("first").expect("known").id(), accepted.id());
    let error = accepted.rename("second").expect_err("taken");
    assert!(error.to_string().contains("second"), "{error}");
    assert_eq!(&*accepted.id(), "first");

    drop(right);
    second.closed().await;
    assert!(server.session("second").is_none());
    accepted.rename("second").expect("free again");
    drop(session);
}

#[tokio::test]
async fn a_second_session_with_the_same_id_replaces_the_first_in_good_order() {
    let gate = Gate::default();
    let server = peer(PeerConfig::default(), gate.routes());
    let client = peer(PeerConfig::default(), Router::new());
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (left, right) = tokio::io::duplex(1024);
        server.serve_conn(left).await.expect("a session");
        let options = ConnOptions::new().id("the server");
        let session = client.serve_conn_with(right, options).await;
        sessions.push(session.expect("a session"));
        if sessions.len() == 1 {
            let first = GateClient::new(&sessions[0]);
            let call = tokio::spawn(async move { first.pass(1).await });
            gate.arrived(1).await;
            // Answered while the session is already being replaced.
            tokio::spawn({
                let (gate, old) = (gate.clone(), sessions[0].clone());
                async move {
                    while old.is_open() {
                        tokio::task::yield_now().await;
                    }
                    gate.open(1);
                    assert_eq!(call.await.expect("no panic").expect("delivered"), 1);
                }
            });
        }
    }
    sessions[0].closed().await;
    assert_eq!(client.session_count(), 1);
    let known = client.session("the server").expect("the second");
    assert!(known.is_open() && sessions[1].is_open());
}

#[tokio::test]
async fn values_live_as_long_as_their_session_and_are_kept_by_type() {
    #[derive(Clone, Debug, PartialEq)]
    struct User(&'static str);

    let Pair {
        accepted, session, ..
    } = pair(Router::new(), Router::new()).await;
    assert_eq!(accepted.values().insert(User("ann")), None);
    assert_eq!(accepted.values().insert(7_u32), None);
    assert_eq!(
        accepted.clone().values().insert(User("bob")),
        Some(User("ann"))
    );
    assert_eq!(accepted.values().get::<User>(), Some(User("bob")));
    assert_eq!(accepted.values().remove::<u32>(), Some(7));
    assert_eq!(accepted.values().get::<u32>(), None);
    assert_eq!(
        session.values().get::<User>(),
        None,
        "the other side has its own"
    );
}

#[tokio::test]
async fn a_closed_peer_takes_and_starts_no_sessions() {
    let server = listening_peer(&["127.0.0.1:0"], Router::new());
    let listening = server.listen().await.expect("a free port");
    server.close().await;
    let (left, _right) = tokio::io::duplex(1024);
    let error = server.serve_conn(left).await.expect_err("closed");
    assert!(
        std::error::Error::source(&error)
            .expect("a cause")
            .to_string()
            .contains("closed"),
        "{error}"
    );
    let stream = tokio::net::TcpStream::connect(listening.address()).await;
    stream.expect_err("nobody listens");
}

#[tokio::test]
async fn a_session_outlives_the_handles_to_its_peer() {
    let gate = Gate::default();
    let Pair {
        server,
        client,
        session,
        accepted,
    } = pair(gate.routes(), Router::new()).await;
    drop((server, client, accepted));
    assert_eq!(GateClient::new(&session).open_road(5).await.expect("5"), 5);
    assert!(session.peer().is_some());
}

#[tokio::test]
async fn listening_without_an_address_or_where_somebody_else_does_is_an_error() {
    let error = listening_peer(&[], Router::new()).listen().await;
    assert!(error.expect_err("nowhere").to_string().contains("listen"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address").to_string();
    let error = listening_peer(&[&address], Router::new()).listen().await;
    let error = error.expect_err("taken");
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_handler_finds_its_own_peer_and_the_other_sessions() {
    use teleport::{PullController, PullCtx, pull_controller};

    struct Count;

    #[pull_controller]
    impl Count {
        async fn sessions(&self, ctx: &PullCtx) -> usize {
            ctx.peer().map_or(0, |peer| peer.session_count())
        }
    }

    let server = peer(PeerConfig::default(), Count.into_router());
    let client = peer(PeerConfig::default(), Router::new());
    let first = connect(server.clone(), client.clone()).await;
    let _second = connect(server, client).await;
    assert_eq!(
        CountClient::new(&first.session)
            .sessions()
            .await
            .expect("2"),
        2
    );
}
