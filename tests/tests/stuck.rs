//! Handlers that hold their thread or never end, and runtimes that go away: whoever has to do with them gets an answer, and nobody else
//! notices.

use std::time::Duration;

use teleport::{PeerConfig, PullController, Router, pull_controller};
use teleport_tests::{
    gate::{Gate, GateClient},
    pair::{Pair, pair, peer},
};
use tokio::{sync::mpsc, task::yield_now};

fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(threads).enable_all();
    builder.build().expect("a runtime")
}

/// Holds its thread until the test lets it go.
struct Blocks {
    begun: mpsc::UnboundedSender<()>,
    go: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

#[pull_controller]
impl Blocks {
    async fn briefly(&self) {
        std::thread::sleep(Duration::from_millis(5));
    }

    async fn long(&self) {
        std::thread::sleep(Duration::from_millis(5));
        self.begun.send(()).ok();
        self.go.lock().expect("no panic").recv().expect("let go");
    }

    async fn number(&self) -> u32 {
        1
    }
}

#[test]
fn a_handler_that_blocks_its_thread_holds_up_no_other_connection_and_soon_not_its_own() {
    let runtime = runtime(2);
    let (begun, mut waiting) = mpsc::unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel();
    let go_on = gone.into();
    let blocks = Blocks { begun, go: go_on };
    runtime.block_on(async {
        let Pair {
            server, session, ..
        } = pair(blocks.into_router(), Router::new()).await;
        let (left, right) = tokio::io::duplex(1024);
        server.serve_conn(left).await.expect("a session");
        let other = peer(PeerConfig::default(), Router::new())
            .serve_conn(right)
            .await
            .expect("a session");
        let other = BlocksClient::new(&other);
        let long = || {
            let client = BlocksClient::new(&session);
            tokio::spawn(async move { client.long().await })
        };
        for _ in 0..3 {
            let call = long();
            waiting.recv().await.expect("it blocks");
            assert_eq!(other.number().await.expect("1"), 1);
            go.send(()).expect("it waits");
            call.await.expect("no panic").expect("answered");
        }
        // By now it is known for what it does.
        let call = long();
        waiting.recv().await.expect("it blocks");
        let own = BlocksClient::new(&session);
        assert_eq!(own.number().await.expect("1"), 1);
        go.send(()).expect("it waits");
        call.await.expect("no panic").expect("answered");
        own.briefly().await.expect("answered");
    });
}

#[test]
fn handlers_that_block_take_a_bounded_number_of_threads_and_are_all_answered() {
    const CALLS: usize = 200;
    let runtime = runtime(2);
    let (begun, mut waiting) = mpsc::unbounded_channel();
    let (go, gone) = std::sync::mpsc::channel();
    let go_on = gone.into();
    let blocks = Blocks { begun, go: go_on };
    let session = runtime.block_on(async {
        let Pair { session, .. } = pair(blocks.into_router(), Router::new()).await;
        session
    });
    // Until it is known for what it does.
    for _ in 0..4 {
        let client = BlocksClient::new(&session);
        let call = runtime.spawn(async move { client.long().await });
        waiting.blocking_recv().expect("it blocks");
        go.send(()).expect("it waits");
        runtime.block_on(call).expect("no panic").expect("answered");
    }
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let client = BlocksClient::new(&session);
            runtime.spawn(async move { client.long().await })
        })
        .collect();
    // 64 threads are taken, and then those that would read go without.
    for _ in 0..64 {
        waiting.blocking_recv().expect("it blocks");
    }
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    assert!(threads < 150, "{threads} threads");
    for _ in 0..CALLS {
        go.send(()).expect("it waits");
    }
    runtime.block_on(async {
        for call in calls {
            call.await.expect("no panic").expect("answered");
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_left_behind_and_one_that_can_be_stopped_is_not() {
    struct Never(mpsc::UnboundedSender<&'static str>);

    /// Tells of its end.
    struct End<'a>(&'a Never);

    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.0.send("dropped").ok();
        }
    }

    #[pull_controller]
    impl Never {
        #[pull(cancel)]
        async fn stoppable(&self) {
            let _end = End(self);
            self.0.send("begun").ok();
            std::future::pending().await
        }
    }

    let alive = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let before = alive();
    let (events, mut told) = mpsc::unbounded_channel();
    let Pair {
        server,
        session,
        client,
        ..
    } = pair(Never(events).into_router(), Router::new()).await;
    let call = tokio::spawn(async move { session.pull::<_, ()>("/never/stoppable", ()).await });
    assert_eq!(told.recv().await, Some("begun"));
    let report = server.shutdown(Duration::from_secs(1)).await;
    assert_eq!(report.sessions.len(), 1, "{report}");
    assert_eq!(told.recv().await, Some("dropped"));
    let error = call.await.expect("no panic").expect_err("cut");
    assert_eq!(error.code(), 101);
    client.close().await;
    yield_now().await;
    assert_eq!(alive(), before);
}

#[test]
fn a_runtime_that_goes_away_fails_all_who_wait_from_another_one() {
    type Ending = fn(tokio::runtime::Runtime);
    let endings: [Ending; 2] = [tokio::runtime::Runtime::shutdown_background, drop];
    for end in endings {
        let (drivers, callers) = (runtime(1), runtime(1));
        let gate = Gate::default();
        let (session, full) = drivers.block_on(async {
            let Pair { session, .. } = pair(gate.routes(), Router::new()).await;
            let (unread, stream) = tokio::io::duplex(1);
            let narrow = PeerConfig {
                write_buffer: 1,
                write_timeout: None,
                ..PeerConfig::default()
            };
            let full = peer(narrow, Router::new()).serve_conn(stream).await;
            std::mem::forget(unread);
            (session, full.expect("a session"))
        });
        let call = callers.spawn({
            let client = GateClient::new(&session);
            async move { client.pass(1).await }
        });
        callers.block_on(gate.arrived(1));
        callers
            .block_on(full.push("/fills/the/buffer", ()))
            .expect("there is room for one");
        let pull = callers.spawn({
            let full = full.clone();
            async move { full.pull::<_, ()>("/waits/for/room", ()).await }
        });
        let push = callers.spawn({
            let full = full.clone();
            async move { full.push("/waits/for/room", ()).await }
        });
        let close = callers.spawn({
            let session = session.clone();
            async move { session.close().await }
        });
        while full.pulls_in_flight() + session.pulls_in_flight() != 1 || session.is_open() {
            std::thread::yield_now();
        }
        end(drivers);
        callers.block_on(async {
            let error = call.await.expect("no panic").expect_err("cut");
            assert_eq!(error.code(), 101);
            for waiting in [pull.await, push.await] {
                assert_eq!(waiting.expect("no panic").expect_err("cut").code(), 100);
            }
            close.await.expect("no panic");
            full.closed().await;
            let error = session.pull::<_, ()>("/too/late", ()).await;
            assert_eq!(error.expect_err("ended").code(), 100);
        });
    }
}
