//! Both ends are peers: a server calls the clients that dialled it, and a contract is implemented where it suits.

use teleport::{
    Peer, PeerConfig, PullController, PullCtx, PushCtx, Router, Session, Status, pull_controller,
};
use teleport_tests::{
    contract::{Arith, ArithClient, News, NewsPushClient},
    gate::{Gate, GateClient},
    pair::{Pair, pair, peer},
};
use tokio::sync::mpsc;

/// An implementation of the contract, in another crate than it.
struct Abacus;

impl Arith for Abacus {
    async fn mul(&self, a: i64, b: i64) -> Result<i64, Status> {
        a.checked_mul(b)
            .ok_or_else(|| Status::bad_request("too large"))
    }

    async fn div(&self, ctx: &PullCtx, dividend: i64, divisor: i64) -> Result<i64, Status> {
        assert_eq!(ctx.path(), "/contract/arith/div");
        dividend
            .checked_div(divisor)
            .ok_or_else(|| Status::new(1000, "division by zero"))
    }
}

struct Reader(mpsc::UnboundedSender<String>);

impl News for Reader {
    async fn headline(&self, _: &PushCtx, text: String) {
        self.0.send(text).ok();
    }
}

#[tokio::test]
async fn a_contract_is_called_through_the_client_of_its_own_crate() {
    let Pair { session, .. } = pair(Abacus.into_router(), Router::new()).await;
    let arith = ArithClient::new(&session);
    assert_eq!(arith.mul(6, 7).await.expect("42"), 42);
    assert_eq!(arith.double(21).await.expect("by default"), 42);
    assert_eq!(arith.div(7, 2).await.expect("3"), 3);
    let error = arith.div(1, 0).await.expect_err("an error of the handler");
    assert!(error.is_remote() && error.code() == 1000, "{error}");
    assert_eq!(
        arith.mul(i64::MAX, 2).await.expect_err("too large").code(),
        400
    );
}

#[tokio::test]
async fn a_server_pulls_and_pushes_to_the_clients_that_dialled_it() {
    let server = Peer::builder().listen_at("127.0.0.1:0").build();
    let server = server.expect("a peer");
    let listening = server.listen().await.expect("a free port");
    let (sender, mut headlines) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let routes = Abacus
            .into_router()
            .merge(Reader(sender.clone()).into_router());
        let client = peer(PeerConfig::default(), routes);
        let session = client.dial(&listening.address()).await.expect("dialled");
        clients.push((client, session));
    }
    while server.session_count() < 3 {
        tokio::task::yield_now().await;
    }
    for session in server.sessions() {
        let product = ArithClient::new(&session).mul(3, 4).await;
        assert_eq!(product.expect("12"), 12);
        let news = NewsPushClient::new(&session);
        news.headline("hello".to_owned()).await.expect("sent");
    }
    for _ in 0..3 {
        assert_eq!(headlines.recv().await.as_deref(), Some("hello"));
    }
}

#[tokio::test]
async fn a_handler_calls_back_before_it_answers() {
    struct Chat;

    #[pull_controller]
    impl Chat {
        async fn join(&self, ctx: &PullCtx, number: u64) -> Result<u64, Status> {
            // An error of the other side, or of the connection, becomes this handler's own.
            Ok(GateClient::new(ctx.session()).open_road(number).await? + 1)
        }
    }

    let gate = Gate::default();
    let Pair { session, .. } = pair(Chat.into_router(), gate.routes()).await;
    assert_eq!(ChatClient::new(&session).join(1).await.expect("2"), 2);

    let Pair { session, .. } = pair(Chat.into_router(), Router::new()).await;
    let error = ChatClient::new(&session)
        .join(1)
        .await
        .expect_err("no route");
    assert_eq!(error.code(), 404, "the status comes through: {error}");
}

#[tokio::test]
async fn sessions_can_be_kept_and_called_later() {
    struct Lobby(mpsc::UnboundedSender<Session>);

    #[pull_controller]
    impl Lobby {
        async fn enter(&self, ctx: &PullCtx) {
            self.0.send(ctx.session().clone()).ok();
        }
    }

    let (sender, mut entered) = mpsc::unbounded_channel();
    let Pair { session, .. } = pair(Lobby(sender).into_router(), Abacus.into_router()).await;
    LobbyClient::new(&session).enter().await.expect("entered");
    let guest = entered.recv().await.expect("a session");
    assert_eq!(ArithClient::new(&guest).mul(2, 2).await.expect("4"), 4);
}
