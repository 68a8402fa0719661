//! Routes by other names: aliases, and paths in any case.

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use teleport::{
    Peer, PullController, PullCtx, PushController, PushCtx, RoutePlugin, Router, Session, Status,
    pull_controller, push_controller,
};
use teleport_tests::{
    gate::Gate,
    pair::{Pair, pair},
    wire::Wire,
};
use tokio::sync::mpsc;

struct Home;

#[pull_controller]
impl Home {
    /// What the handler knows of its call.
    async fn test(&self, ctx: &PullCtx) -> String {
        let route = ctx.route().map(|route| route.uri.clone());
        let route = route.unwrap_or_default();
        let query = ctx.query("Tag").unwrap_or_default();
        format!("{route} as {} with {query}", ctx.path())
    }

    async fn other(&self) -> String {
        "other".to_owned()
    }
}

/// Passes on what is pushed to it.
struct News(mpsc::UnboundedSender<String>);

#[push_controller]
impl News {
    async fn headline(&self, ctx: &PushCtx, text: String) {
        self.0.send(format!("{} {text}", ctx.uri())).ok();
    }
}

async fn ask(session: &Session, uri: &str) -> Result<String, i32> {
    let pull = session.pull::<_, String>(uri.to_owned(), ());
    pull.await.map_err(|error| error.code())
}

/// What a peer with these routes says against them.
fn objection(router: Router) -> String {
    let error = Peer::builder().routes(router).build();
    let error = error.expect_err("not such routes");
    error.source().expect("a cause").to_string()
}

#[tokio::test]
async fn an_alias_is_answered_by_its_route_query_and_all() {
    let router = Home
        .into_router()
        .alias("/alias", "/home/test")
        .alias("no/slash in front", "home/other");
    let Pair { session, .. } = pair(router, Router::new()).await;
    for (uri, answer) in [
        ("/home/test?Tag=a", Ok("/home/test as /home/test with a")),
        ("/alias?Tag=B", Ok("/home/test as /alias with B")),
        ("/al%69as#x", Ok("/home/test as /alias with ")),
        ("/no/slash%20in%20front", Ok("other")),
        ("/no/slash in front", Ok("other")),
        ("/Alias", Err(404)),
        ("/alias/", Err(404)),
        ("/aliases", Err(404)),
    ] {
        let answer = answer.map(str::to_owned);
        assert_eq!(ask(&session, uri).await, answer, "{uri}");
    }
}

#[tokio::test]
async fn the_reply_repeats_the_alias() {
    let router = Home.into_router().alias("/alias", "/home/other");
    let peer = Peer::builder().routes(router).build().expect("a peer");
    let (mut wire, _session) = Wire::to(&peer).await;
    wire.pull(0, "/alias?a=b", b"").await;
    let reply = wire.hear().await;
    assert_eq!(&*reply.header.uri, "/alias?a=b");
    assert_eq!(reply.body, &b"j\"other\""[..]);
}

#[tokio::test]
async fn an_alias_is_for_pushes_where_the_route_is_and_for_both_where_both_are() {
    let (sender, mut news) = mpsc::unbounded_channel();
    let both = Home.into_router().merge(News(sender).into_router());
    let router = both
        .alias("/push", "/news/headline")
        // Taken for pushes, free for pulls.
        .alias("/news/headline", "/home/other");
    let Pair { session, .. } = pair(router, Router::new()).await;
    session.push("/push?a=b", "one").await.expect("sent");
    session.push("/news/headline", "two").await.expect("sent");
    assert_eq!(news.recv().await.as_deref(), Some("/push?a=b one"));
    assert_eq!(news.recv().await.as_deref(), Some("/news/headline two"));
    assert_eq!(ask(&session, "/push").await, Err(404));
    assert_eq!(
        ask(&session, "/news/headline").await.as_deref(),
        Ok("other")
    );
}

#[tokio::test]
async fn an_alias_is_for_both_kinds_where_both_have_the_route() {
    struct Push(mpsc::UnboundedSender<String>);

    #[push_controller(name = "home")]
    impl Push {
        async fn other(&self, text: String) {
            self.0.send(text).ok();
        }
    }

    let (sender, mut pushed) = mpsc::unbounded_channel();
    let router = Home.into_router().merge(Push(sender).into_router());
    let router = router.alias("/both", "/home/other");
    let Pair { session, .. } = pair(router, Router::new()).await;
    assert_eq!(ask(&session, "/both").await.as_deref(), Ok("other"));
    session.push("/both", "pushed").await.expect("sent");
    assert_eq!(pushed.recv().await.as_deref(), Some("pushed"));
}

/// Counts the calls around which it is put.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl RoutePlugin for Counter {
    fn name(&self) -> &str {
        "counter"
    }

    async fn pre_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn an_alias_moves_with_its_group_and_the_groups_plugins_are_around_it() {
    let counter = Counter::default();
    let group = Home
        .into_router()
        .alias("/short", "/home/other")
        .plugin(counter.clone());
    let router = Router::new()
        .nest("/a", Router::new().nest("/b", group))
        // From outside, with the whole uri.
        .alias("/s", "/a/b/home/other");
    let Pair { session, .. } = pair(router, Router::new()).await;
    for uri in ["/a/b/home/other", "/a/b/short", "/s"] {
        assert_eq!(ask(&session, uri).await.as_deref(), Ok("other"), "{uri}");
    }
    assert_eq!(ask(&session, "/short").await, Err(404));
    assert_eq!(counter.0.load(Ordering::SeqCst), 3);
}

#[test]
fn an_alias_that_leads_to_no_route_is_an_error_with_its_place() {
    let line = line!() + 1;
    let astray = || Home.into_router().alias("/a", "/home/tset");
    let is_told = |text: &str| {
        text.starts_with(&format!("the alias /a set at {}:{line}:", file!()))
            && text.ends_with(" leads to /home/tset, which is no route")
    };
    let text = objection(astray());
    assert!(is_told(&text), "{text}");
    let nested = objection(Router::new().nest("/x", astray()));
    assert!(nested.starts_with("the alias /x/a set at"), "{nested}");
    assert!(nested.contains("leads to /x/home/tset"), "{nested}");
    // An unknown handler is no route either: it may answer anything.
    let unknown = astray().unknown_pull(async |_| Ok::<_, Status>(()));
    assert!(is_told(&objection(unknown)));
}

#[test]
fn aliases_of_aliases_and_loops_of_them_are_errors() {
    let chain = Home
        .into_router()
        .alias("/c", "/b")
        .alias("/b", "/home/test");
    let text = objection(chain);
    assert!(
        text.starts_with("the alias /c set at")
            && text
                .ends_with("leads to /b, which is an alias of /home/test; let it lead to a route"),
        "{text}"
    );
    let ring = Home.into_router().alias("/c", "/b").alias("/b", "/c");
    assert!(objection(ring).contains("which is an alias of /c"));
    let own = Home.into_router().alias("/c", "/c");
    assert!(objection(own).contains("which is an alias of /c"));
}

#[test]
fn an_alias_with_the_name_of_a_route_or_of_another_alias_is_an_error_that_names_both() {
    let shadow = Home.into_router().alias("/home/other", "/home/test");
    let text = objection(shadow);
    assert!(
        text.starts_with("two pull handlers for /home/other: Home::other at "),
        "{text}"
    );
    assert!(
        text.contains(", and the alias of /home/test set at "),
        "{text}"
    );
    let twice = Home
        .into_router()
        .alias("/a", "/home/test")
        .alias("/a", "/home/other");
    let text = objection(twice);
    assert!(
        text.contains(": the alias of /home/test set at")
            && text.contains(", and the alias of /home/other set at"),
        "{text}"
    );
    let own = Home.into_router().alias("/home/test", "/home/test");
    assert!(objection(own).contains("two pull handlers for /home/test"));
}

#[tokio::test]
async fn paths_are_answered_in_any_case_where_that_is_wanted_and_nowhere_else() {
    struct Street;

    #[pull_controller(name = "straße_é")]
    impl Street {
        async fn name(&self) -> String {
            "street".to_owned()
        }
    }

    let lenient = Home
        .into_router()
        .merge(Street.into_router())
        .alias("/short", "/home/other")
        .ignore_case();
    let router = Home.into_router().nest("/Group", lenient);
    let Pair { session, .. } = pair(router, Router::new()).await;
    for (uri, answer) in [
        ("/Group/home/other", Ok("other")),
        ("/group/home/other", Ok("other")),
        ("/GROUP/HOME/OTHER?x", Ok("other")),
        ("/GROUP/h%4FmE/other", Ok("other")),
        ("/group/SHORT", Ok("other")),
        (
            "/group/Home/Test?Tag=Kept",
            Ok("/Group/home/test as /group/Home/Test with Kept"),
        ),
        (
            "/group/home/test?tag=no",
            Ok("/Group/home/test as /group/home/test with "),
        ),
        ("/group/STRAßE_é/name", Ok("street")),
        ("/group/STRASSE_é/name", Err(404)),
        ("/group/straße_É/name", Err(404)),
        ("/home/other", Ok("other")),
        ("/Home/other", Err(404)),
    ] {
        let answer = answer.map(str::to_owned);
        assert_eq!(ask(&session, uri).await, answer, "{uri}");
    }
}

#[tokio::test]
async fn pushes_are_taken_in_any_case_too() {
    let (sender, mut news) = mpsc::unbounded_channel();
    let router = News(sender).into_router().ignore_case();
    let Pair { session, .. } = pair(router, Router::new()).await;
    session.push("/News/HeadLine", "one").await.expect("sent");
    assert_eq!(news.recv().await.as_deref(), Some("/News/HeadLine one"));
}

#[test]
fn names_that_differ_in_case_only_are_an_error_where_case_is_ignored() {
    struct Upper;

    #[pull_controller(name = "HOME")]
    impl Upper {
        async fn test(&self) {}
    }

    let exact = || Home.into_router().merge(Upper.into_router());
    Peer::builder().routes(exact()).build().expect("two names");
    for both in [
        exact().ignore_case(),
        Home.into_router().ignore_case().merge(Upper.into_router()),
        Home.into_router().merge(Upper.into_router().ignore_case()),
    ] {
        let text = objection(both);
        assert!(
            text.starts_with(
                "two pull handlers for /HOME/test and /home/test, which are one where case is ignored: Upper::test at"
            ) && text.contains(", and Home::test at"),
            "{text}"
        );
    }
    let alias = Home
        .into_router()
        .alias("/HOME/test", "/home/other")
        .ignore_case();
    assert!(objection(alias).contains("the alias of /home/other set at"));
    // One pulls, the other pushes.
    let (sender, _news) = mpsc::unbounded_channel();
    let router = Router::new()
        .nest("/A", Home.into_router())
        .nest("/a", News(sender).into_router())
        .ignore_case();
    Peer::builder().routes(router).build().expect("no conflict");
}

#[tokio::test(start_paused = true)]
async fn a_call_by_another_name_is_told_once_and_by_its_route_when_a_shutdown_cuts_it() {
    let gate = Gate::default();
    let router = gate
        .routes()
        .alias("/a", "/gate/pass")
        .alias("/b", "/gate/pass")
        .ignore_case();
    let pair = pair(router, Router::new()).await;
    let session = pair.session.clone();
    let pull = tokio::spawn(async move { session.pull::<_, u64>("/A", 1).await });
    gate.arrived(1).await;
    let report = pair.server.shutdown(Duration::from_secs(1)).await;
    let cut: Vec<_> = report.routes.iter().map(ToString::to_string).collect();
    assert_eq!(cut, ["pull /gate/pass (1x)"]);
    pull.await.expect("no panic").expect_err("cut");
}
