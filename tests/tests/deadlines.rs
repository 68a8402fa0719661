//! Time limits that travel with a call, what is inherited from it, and calls that are given up.

use std::{sync::Mutex, time::Duration};

use teleport::{
    Peer, PullController, PullCtx, PushController, PushCtx, Session, Status, protocol::Meta,
    pull_controller, push_controller,
};
use teleport_tests::{
    pair::{Pair, connect},
    wire::Wire,
};
use tokio::sync::mpsc;

/// Tells when it is dropped.
struct Dropped(mpsc::UnboundedSender<&'static str>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.send("dropped").ok();
    }
}

struct Work(mpsc::UnboundedSender<&'static str>);

#[pull_controller]
impl Work {
    async fn time_left(&self, ctx: &PullCtx) -> Option<Duration> {
        ctx.time_left()
    }

    /// Asks the caller how long it has.
    async fn relay(&self, ctx: &PullCtx) -> Result<(Option<Duration>, String), Status> {
        Ok(ctx.session().pull("/caller/inherited", ()).await?)
    }

    /// Asks the caller, who never answers.
    async fn ask_in_vain(&self, ctx: &PullCtx) -> Result<(), Status> {
        Ok(ctx.session().pull("/caller/never", ()).await?)
    }

    async fn in_a_task_of_its_own(&self, ctx: &PullCtx) -> Option<Duration> {
        let session = ctx.session().clone();
        let call = async move { session.pull("/caller/inherited", ()).await };
        let answer: (Option<Duration>, String) = tokio::spawn(call).await.ok()?.ok()?;
        answer.0
    }

    #[pull(cancel)]
    async fn stoppable(&self) {
        let _dropped = Dropped(self.0.clone());
        self.0.send("started").ok();
        std::future::pending().await
    }

    async fn unstoppable(&self) {
        let _dropped = Dropped(self.0.clone());
        self.0.send("started").ok();
        std::future::pending().await
    }
}

struct Caller;

#[pull_controller]
impl Caller {
    async fn inherited(&self, ctx: &PullCtx) -> (Option<Duration>, String) {
        let trace = ctx.meta("traceparent").unwrap_or_default();
        (ctx.time_left(), trace.to_owned())
    }

    async fn never(&self) {
        std::future::pending().await
    }
}

struct Unknown(Mutex<Vec<String>>);

async fn pair() -> (Session, mpsc::UnboundedReceiver<&'static str>) {
    let (sender, events) = mpsc::unbounded_channel();
    let server = Peer::builder().routes(Work(sender).into_router());
    let client = Peer::builder().routes(Caller.into_router());
    let Pair { session, .. } = connect(
        server.build().expect("a peer"),
        client.build().expect("a peer"),
    )
    .await;
    (session, events)
}

const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(start_paused = true)]
async fn a_handler_knows_how_long_its_caller_waits() {
    let (session, _events) = pair().await;
    let left = session.pull::<_, Option<Duration>>("/work/time_left", ());
    assert_eq!(left.await.expect("no limit"), None);
    let left = session.pull::<_, Option<Duration>>("/work/time_left", ());
    let left = left.timeout(LIMIT).await.expect("a limit");
    assert_eq!(left, Some(LIMIT));
    let huge = session.pull::<_, Option<Duration>>("/work/time_left", ());
    let left = huge.timeout(Duration::MAX).await.expect("as good as none");
    assert!(left.is_none_or(|left| left > LIMIT));
}

#[tokio::test(start_paused = true)]
async fn pulls_of_a_handler_wait_no_longer_than_its_caller_and_carry_the_trace_on() {
    let (session, _events) = pair().await;
    let relay = session.pull::<_, (Option<Duration>, String)>("/work/relay", ());
    let (left, trace) = relay.await.expect("answered");
    assert_eq!((left, &*trace), (None, ""));
    let relay = session.pull::<_, (Option<Duration>, String)>("/work/relay", ());
    let relay = relay.timeout(LIMIT).meta("traceparent", "00-a-b-01");
    let (left, trace) = relay.await.expect("answered");
    assert_eq!((left, &*trace), (Some(LIMIT), "00-a-b-01"));
}

#[tokio::test(start_paused = true)]
async fn a_pull_inside_a_handler_ends_when_the_outer_call_does() {
    let (session, _events) = pair().await;
    let start = tokio::time::Instant::now();
    let outer = session
        .pull::<_, ()>("/work/ask_in_vain", ())
        .timeout(LIMIT);
    let error = outer.await.expect_err("nobody answers");
    assert_eq!(start.elapsed(), LIMIT);
    assert!(error.is_timeout() || error.code() == 504, "{error}");
    while session.pulls_in_flight() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_handler_spawns_inherits_nothing() {
    let (session, _events) = pair().await;
    let left = session.pull::<_, Option<Duration>>("/work/in_a_task_of_its_own", ());
    assert_eq!(left.timeout(LIMIT).await.expect("answered"), None);
}

#[tokio::test]
async fn a_handler_whose_route_says_so_is_stopped_when_its_caller_gives_up() {
    let (session, mut events) = pair().await;
    let work = WorkClient::new(&session);
    let call = tokio::spawn(async move { work.stoppable().await });
    assert_eq!(events.recv().await, Some("started"));
    call.abort();
    assert_eq!(events.recv().await, Some("dropped"));
}

#[tokio::test]
async fn a_call_by_uri_can_be_cancelled_too() {
    let (session, mut events) = pair().await;
    let work = session.clone();
    let call = async move { work.pull::<_, ()>("/work/stoppable", ()).cancel().await };
    let call = tokio::spawn(call);
    assert_eq!(events.recv().await, Some("started"));
    call.abort();
    assert_eq!(events.recv().await, Some("dropped"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_route_says_so_is_stopped_when_its_callers_stream_ends() {
    let (sender, mut events) = mpsc::unbounded_channel();
    let server = Peer::builder().routes(Work(sender).into_router());
    let (mut wire, session) = Wire::to(&server.build().expect("a peer")).await;
    wire.pull(0, "/work/stoppable", b"").await;
    assert_eq!(events.recv().await, Some("started"));
    wire.finish().await;
    assert_eq!(events.recv().await, Some("dropped"));
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_route_says_so_is_stopped_when_the_time_is_over() {
    let (session, mut events) = pair().await;
    let work = session.pull::<_, ()>("/work/stoppable", ()).timeout(LIMIT);
    let error = work.await.expect_err("too long");
    assert!(error.is_timeout() || error.code() == 504, "{error}");
    assert_eq!(events.recv().await, Some("started"));
    assert_eq!(events.recv().await, Some("dropped"));
}

#[tokio::test]
async fn a_handler_whose_route_does_not_say_so_goes_on() {
    let (session, mut events) = pair().await;
    let work = session.clone();
    let call = async move { work.pull::<_, ()>("/work/unstoppable", ()).cancel().await };
    let call = tokio::spawn(call);
    assert_eq!(events.recv().await, Some("started"));
    call.abort();
    // The cancellation is on its way before this call is, and has no effect.
    call.await.expect_err("aborted");
    let left = session.pull::<_, Option<Duration>>("/work/time_left", ());
    assert_eq!(left.await.expect("answered"), None);
    assert!(events.try_recv().is_err(), "still at work");
}

struct Pushed(mpsc::UnboundedSender<(Option<Duration>, Option<String>)>);

#[push_controller]
impl Pushed {
    async fn note(&self, ctx: &PushCtx) {
        let tenant = ctx.meta("tenant").map(str::to_owned);
        self.0.send((ctx.time_left(), tenant)).ok();
    }
}

#[tokio::test]
async fn a_push_carries_values_in_its_header() {
    let (sender, mut notes) = mpsc::unbounded_channel();
    let server = Peer::builder().routes(Pushed(sender).into_router());
    let client = Peer::builder().build().expect("a peer");
    let session = connect(server.build().expect("a peer"), client)
        .await
        .session;
    let push = session.push("/pushed/note", ()).meta("tenant", "blue");
    push.await.expect("sent");
    assert_eq!(notes.recv().await, Some((None, Some("blue".to_owned()))));
}

#[tokio::test]
async fn more_values_than_a_header_may_have_are_left_out() {
    let seen = std::sync::Arc::new(Unknown(Mutex::default()));
    let known = std::sync::Arc::clone(&seen);
    let router = teleport::Router::new().unknown_pull(move |pull: teleport::UnknownPull| {
        let names = pull.header().meta.iter().map(|(name, _)| name.to_owned());
        known.0.lock().expect("no panic").extend(names);
        async { Ok::<_, Status>(()) }
    });
    let server = Peer::builder().routes(router).build().expect("a peer");
    let client = Peer::builder().build().expect("a peer");
    let session = connect(server, client).await.session;
    let mut pull = session.pull::<_, ()>("/any", ());
    for number in 0..100 {
        pull = pull.meta(number.to_string(), "x");
    }
    pull.await.expect("answered");
    assert_eq!(seen.0.lock().expect("no panic").len(), Meta::MOST);
}
