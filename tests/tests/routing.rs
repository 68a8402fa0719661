//! Which handler answers which uri, and what a handler learns about its call.

use serde_json::{Value, json};
use teleport::{
    CodecId, Peer, PullController, PullCtx, PushController, PushCtx, Router, Status, UnknownPull,
    UnknownPush, pull_controller, push_controller,
};
use teleport_tests::pair::{Pair, pair};
use tokio::sync::mpsc;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> String {
        "home".to_owned()
    }

    #[pull(uri = "other/name")]
    async fn renamed(&self) -> String {
        "renamed".to_owned()
    }

    #[pull(uri = "/from/the/root")]
    async fn rooted(&self) -> String {
        "rooted".to_owned()
    }
}

struct HTTPServer2;

#[pull_controller(group = "/api", name = "x")]
impl HTTPServer2 {
    async fn get_page(&self) -> String {
        "page".to_owned()
    }
}

async fn text(session: &teleport::Session, uri: &str) -> Result<String, i32> {
    let pull = session.pull::<_, String>(uri.to_owned(), ());
    pull.await.map_err(|error| error.code())
}

#[tokio::test]
async fn groups_names_and_nesting_make_the_uri() {
    let inner = Router::new().nest("/b", Home.into_router());
    let router = Router::new()
        .merge(HTTPServer2.into_router())
        .nest("/a", inner);
    let Pair { session, .. } = pair(router, Router::new()).await;
    for (uri, answer) in [
        ("/a/b/home/test", Ok("home".to_owned())),
        ("/a/b/home/other/name", Ok("renamed".to_owned())),
        ("/a/b/from/the/root", Ok("rooted".to_owned())),
        ("/api/x/get_page", Ok("page".to_owned())),
        ("/a/b/home/test?with=query", Ok("home".to_owned())),
        ("/a/b/home/%74est", Ok("home".to_owned())),
        ("/home/test", Err(404)),
        ("/a/b/home/test/", Err(404)),
        ("/A/b/home/test", Err(404)),
        ("/a/b/home", Err(404)),
        ("%zz", Err(400)),
    ] {
        assert_eq!(text(&session, uri).await, answer, "{uri}");
    }
    let nested = HomeClient::new(&session).prefix("/a/b");
    assert_eq!(nested.test().await.expect("home"), "home");
    assert_eq!(nested.rooted().await.expect("rooted"), "rooted");
    assert_eq!(
        HTTPServer2Client::new(&session)
            .get_page()
            .await
            .expect("page"),
        "page"
    );
}

#[tokio::test]
async fn the_unknown_handler_with_the_longest_prefix_answers() {
    let answering = |name: &'static str| {
        move |pull: UnknownPull| async move {
            let args: Value = pull.bind()?;
            Ok::<_, Status>(json!([name, pull.path(), args]))
        }
    };
    let admin = Router::new().unknown_pull(answering("admin"));
    let router = Home
        .into_router()
        .unknown_pull(answering("root"))
        .nest("/admin", admin);
    let Pair { session, .. } = pair(router, Router::new()).await;
    let ask = async |uri: &'static str| session.pull::<_, Value>(uri, 5).await.expect("answered");
    assert_eq!(
        ask("/admin/no/such").await,
        json!(["admin", "/admin/no/such", 5])
    );
    assert_eq!(
        ask("/administrator").await,
        json!(["root", "/administrator", 5])
    );
    assert_eq!(ask("/").await, json!(["root", "/", 5]));
    assert_eq!(ask("/home/test").await, json!("home"));
}

#[tokio::test]
async fn unknown_pushes_have_a_handler_of_their_own() {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let router = Router::new().unknown_push(move |push: UnknownPush| {
        let sender = sender.clone();
        async move {
            let text: String = push.bind()?;
            sender.send((push.path().into_owned(), text)).ok();
            Ok(())
        }
    });
    let Pair { session, .. } = pair(router, Router::new()).await;
    session.push("/who/knows", "hello").await.expect("sent");
    assert_eq!(
        seen.recv().await,
        Some(("/who/knows".to_owned(), "hello".to_owned()))
    );
    assert_eq!(
        text(&session, "/who/knows").await,
        Err(404),
        "pulls are not pushes"
    );
}

#[test]
fn two_handlers_for_one_route_are_reported_with_both_origins() {
    struct Rival;

    #[pull_controller(name = "home")]
    impl Rival {
        async fn test(&self) {}
    }

    let router = Home.into_router().merge(Rival.into_router());
    let error = Peer::builder()
        .routes(router)
        .build()
        .expect_err("conflict");
    let cause = std::error::Error::source(&error).expect("a cause");
    let text = cause.to_string();
    for part in ["/home/test", "Home::test", "Rival::test", "routing.rs:"] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
}

#[test]
fn two_unknown_handlers_below_one_prefix_are_reported_with_both_origins() {
    let one = || Router::new().unknown_pull(async |_: UnknownPull| Ok::<_, Status>(()));
    let router = Router::new().nest("/a", one()).nest("/a/", one());
    let error = Peer::builder().routes(router.nest("/b", one())).build();
    let error = error.expect_err("conflict");
    let text = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert!(text.contains("pull") && text.contains("/a/*"), "{text}");
    assert_eq!(text.matches("routing.rs:").count(), 2, "{text}");
}

#[test]
fn a_pull_and_a_push_may_share_a_uri() {
    struct Both;

    #[pull_controller(client = BothPulls)]
    impl Both {
        async fn test(&self) {}
    }

    #[push_controller(client = BothPushes)]
    impl Both {
        #[push(uri = "test")]
        async fn test_push(&self) {}
    }

    let router = PullController::into_router(Both).merge(PushController::into_router(Both));
    let peer = Peer::builder().routes(router).build().expect("no conflict");
    let routes: Vec<_> = peer
        .routes()
        .iter()
        .map(|route| format!("{} {}", route.kind, route.uri))
        .collect();
    assert_eq!(routes, ["pull /both/test", "push /both/test"]);
}

#[test]
fn routes_tell_their_handler_types_and_docs() {
    struct Documented;

    #[pull_controller]
    impl Documented {
        /// Adds.
        ///
        /// Slowly.
        async fn add(&self, a: i32, b: Option<Vec<i32>>) -> Result<i64, Status> {
            Ok(i64::from(a) + i64::from(b.unwrap_or_default().len() as i32))
        }
    }

    let router = Documented.into_router();
    let route = router.routes().next().expect("one");
    assert_eq!(route.uri, "/documented/add");
    assert_eq!(route.handler, "Documented::add");
    assert_eq!(route.docs, "Adds.\n\nSlowly.");
    assert_eq!(route.args, "(i32, Option<Vec<i32>>)");
    assert_eq!(route.reply, "i64");
    assert!(route.file.ends_with("routing.rs") && route.line > 0);
}

#[tokio::test]
async fn a_context_knows_uri_query_header_codec_and_both_ends() {
    struct Tell;

    #[pull_controller]
    impl Tell {
        async fn all(&self, ctx: &PullCtx) -> Value {
            let pairs: Vec<_> = ctx.query_pairs().collect();
            json!({
                "uri": ctx.uri(),
                "path": ctx.path(),
                "raw_query": ctx.raw_query(),
                "a": ctx.query("a"),
                "none": ctx.query("none"),
                "pairs": pairs,
                "seq": ctx.header().seq,
                "codec": ctx.body_codec().map(CodecId::as_byte),
                "peer": ctx.peer_addr().to_string(),
                "same": ctx.session().id() == ctx.session().clone().id(),
            })
        }

        async fn as_text(&self, ctx: &PullCtx) -> String {
            ctx.set_reply_codec(CodecId::STRING);
            "plain".to_owned()
        }
    }

    let Pair { session, .. } = pair(Tell.into_router(), Router::new()).await;
    let uri = "/tell/%61ll?a=1%202&b=x&a=3&bad=%zz";
    let told: Value = session.pull(uri, 1).await.expect("told");
    assert_eq!(
        told,
        json!({
            "uri": uri,
            "path": "/tell/all",
            "raw_query": "a=1%202&b=x&a=3&bad=%zz",
            "a": "1 2",
            "none": null,
            "pairs": [["a", "1 2"], ["b", "x"], ["a", "3"]],
            "seq": 0,
            "codec": b'j',
            "peer": "stream",
            "same": true,
        })
    );
    assert_eq!(
        TellClient::new(&session).as_text().await.expect("text"),
        "plain"
    );
}

#[tokio::test]
async fn a_push_handler_that_fails_or_panics_leaves_the_session_as_it_is() {
    struct Bad(mpsc::UnboundedSender<u32>);

    #[push_controller]
    impl Bad {
        async fn fails(&self, _ctx: &PushCtx) -> Result<(), Status> {
            Err(Status::bad_request("no"))
        }

        async fn panics(&self) {
            panic!("on purpose")
        }

        async fn works(&self, number: u32) {
            self.0.send(number).ok();
        }
    }

    let (sender, mut seen) = mpsc::unbounded_channel();
    let Pair { session, .. } = pair(Bad(sender).into_router(), Router::new()).await;
    let client = BadPushClient::new(&session);
    client.fails().await.expect("sent");
    client.panics().await.expect("sent");
    session.push("/bad/none", 1).await.expect("sent");
    session.push("/bad/works", "no number").await.expect("sent");
    client.works(7).await.expect("sent");
    assert_eq!(seen.recv().await, Some(7));
    assert!(session.is_open());
}
