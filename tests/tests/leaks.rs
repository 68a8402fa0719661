//! Sessions leave nothing behind: no task, no file descriptor, no byte, in whatever way they end.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use teleport::{
    Peer, PeerConfig, PullController, PushController, Router, Session, pull_controller,
    push_controller,
};
use teleport_tests::{
    dice::Dice,
    faulty::{Break, Faults, faulty},
    pair::peer,
};
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    runtime::{Builder, Handle, Runtime},
    task::yield_now,
};

/// All that a test counts is its process's.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On one thread, so that what it allocates is counted.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

struct Things;

#[pull_controller]
impl Things {
    async fn echo(&self, text: String) -> String {
        text
    }

    async fn later(&self) {
        yield_now().await;
    }

    #[pull(cancel)]
    async fn never(&self) {
        std::future::pending().await
    }
}

#[push_controller]
impl Things {
    async fn note(&self, _text: String) {}
}

fn routes() -> Router {
    PullController::into_router(Things).merge(PushController::into_router(Things))
}

fn plain() -> Peer {
    peer(PeerConfig::default(), routes())
}

/// How a session ends.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// In good order.
    Closed,
    /// In good order, by the side that accepted.
    ClosedThere,
    /// In good order, after pulls were given up.
    GivenUp,
    /// By one side, with calls of both in flight.
    Cut,
    /// By the stream, with calls of both in flight.
    Reset,
    /// At once.
    Unused,
}

const WAYS: [Way; 6] = [
    Way::Closed,
    Way::ClosedThere,
    Way::GivenUp,
    Way::Cut,
    Way::Reset,
    Way::Unused,
];

/// Polls once.
async fn begin(call: impl Future) {
    let mut call = pin!(call);
    poll_fn(|cx| {
        let _ = call.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    // Dropped now, before its end.
}

/// Uses a connection and ends it.
async fn live(way: Way, session: &Session, accepted: &Session) {
    let endless = async |session: &Session| {
        let error = session.pull::<_, ()>("/things/never", ()).await;
        assert_eq!(error.expect_err("cut").code(), 101);
    };
    match way {
        Way::Closed | Way::ClosedThere | Way::GivenUp => {
            let text = "text".repeat(20);
            let echo = session.pull::<_, String>("/things/echo", &text);
            assert_eq!(echo.await.expect("answered"), text);
            let later = accepted.pull::<_, ()>("/things/later", ());
            later.await.expect("answered");
            session.push("/things/note", &text).await.expect("sent");
        }
        _ => {}
    }
    match way {
        Way::GivenUp => {
            begin(session.pull::<_, ()>("/things/never", ()).cancel()).await;
            begin(session.pull::<_, ()>("/things/later", ())).await;
            yield_now().await;
            session.close().await;
        }
        Way::Closed => session.close().await,
        Way::ClosedThere => accepted.close().await,
        Way::Cut => {
            tokio::join!(endless(session), endless(accepted), async {
                for _ in 0..4 {
                    yield_now().await;
                }
                accepted.abort();
            });
        }
        Way::Reset => _ = tokio::join!(endless(session), endless(accepted)),
        Way::Unused => session.abort(),
    }
    session.closed().await;
    accepted.closed().await;
}

/// One connection in memory.
async fn in_memory(way: Way, server: &Peer, client: &Peer) {
    let (accepted, session) = match way {
        Way::Reset => {
            let breaks = Faults {
                cut: Some((10, Break::Reset)),
                ..Faults::default()
            };
            let (left, right) = faulty(Dice::new(0), breaks, Faults::default());
            (
                server.serve_conn(left).await,
                client.serve_conn(right).await,
            )
        }
        _ => {
            let (left, right): (DuplexStream, _) = tokio::io::duplex(4096);
            (
                server.serve_conn(left).await,
                client.serve_conn(right).await,
            )
        }
    };
    let (accepted, session) = (accepted.expect("a session"), session.expect("a session"));
    live(way, &session, &accepted).await;
}

/// Waits until tasks that have nothing left to do are gone.
async fn settle(tasks: usize) {
    let patience = Instant::now() + Duration::from_secs(20);
    while Handle::current().metrics().num_alive_tasks() != tasks && Instant::now() < patience {
        yield_now().await;
    }
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
}

const SESSIONS: u64 = 100_000;

#[test]
fn sessions_in_memory_leave_no_task_and_no_byte() {
    let _alone = alone();
    let runtime = runtime();
    let (server, client) = (plain(), plain());
    let some = |count: u64| {
        runtime.block_on(async {
            for number in 0..count / 2 {
                let way = WAYS[number as usize % WAYS.len()];
                in_memory(way, &server, &client).await;
            }
            settle(0).await;
        });
    };
    some(1000);
    let start = Instant::now();
    let counted = measure(|| some(SESSIONS));
    assert!(
        counted.bytes_current.abs() < 4096,
        "{counted:?} of {SESSIONS} sessions in {:?}",
        start.elapsed()
    );
    assert_eq!((server.session_count(), client.session_count()), (0, 0));
}

#[test]
fn an_end_of_either_peer_leaves_nothing_of_it() {
    let _alone = alone();
    let runtime = runtime();
    let some = |count: usize| {
        runtime.block_on(async {
            for number in 0..count {
                let (server, client) = (plain(), plain());
                let (left, right) = tokio::io::duplex(4096);
                let accepted = server.serve_conn(left).await.expect("a session");
                let session = client.serve_conn(right).await.expect("a session");
                session.values().insert(client.clone());
                begin(session.pull::<_, ()>("/things/never", ()).cancel()).await;
                match number % 3 {
                    0 => server.close().await,
                    1 => _ = client.shutdown(Duration::ZERO).await,
                    _ => accepted.abort(),
                }
                session.closed().await;
                accepted.closed().await;
                // A peer that a session has and that has this session would keep each other.
                session.values().remove::<Peer>();
            }
            settle(0).await;
        });
    };
    some(100);
    let counted = measure(|| some(1000));
    assert!(counted.bytes_current.abs() < 4096, "{counted:?}");
}

#[cfg(target_os = "linux")]
mod sockets {
    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").expect("Linux").count()
    }

    /// The newest session of a peer that has one at a time.
    async fn accepted(server: &Peer) -> Session {
        loop {
            if let Some(session) = server.sessions().next() {
                return session;
            }
            yield_now().await;
        }
    }

    async fn gone(server: &Peer) {
        while server.session_count() > 0 {
            yield_now().await;
        }
    }

    async fn dialled(way: Way, address: &str, server: &Peer, client: &Peer) {
        if let (Way::Reset, Some(address)) = (way, address.strip_prefix("tcp://")) {
            let mut stream = TcpStream::connect(address).await.expect("a connection");
            stream.write_all(b"\0\0\0").await.expect("sent");
            let session = accepted(server).await;
            begin(session.pull::<_, ()>("/things/never", ())).await;
            stream.set_zero_linger().expect("set");
            drop(stream);
            session.closed().await;
        } else if let (Way::Reset, Some(path)) = (way, address.strip_prefix("unix://")) {
            let stream = UnixStream::connect(path).await.expect("a connection");
            let session = accepted(server).await;
            drop(stream);
            session.closed().await;
        } else {
            let session = client.dial(address).await.expect("a session");
            let accepted = accepted(server).await;
            live(way, &session, &accepted).await;
        }
        gone(server).await;
    }

    #[test]
    fn sessions_over_sockets_leave_no_task_no_descriptor_and_no_byte() {
        let _alone = alone();
        let runtime = runtime();
        let path = std::env::temp_dir().join(format!("teleport-leaks-{}", std::process::id()));
        let unix = format!("unix://{}", path.display());
        for address in ["tcp://127.0.0.1:0", &*unix] {
            let (server, client) = runtime.block_on(async {
                let server = Peer::builder().listen_at(address).routes(routes());
                (server.build().expect("a peer"), plain())
            });
            let listening = runtime.block_on(server.listen()).expect("a free port");
            let address = match listening.address() {
                tcp if !tcp.contains("://") => format!("tcp://{tcp}"),
                address => address,
            };
            let some = |count: usize| {
                runtime.block_on(async {
                    for number in 0..count {
                        let way = WAYS[number % WAYS.len()];
                        dialled(way, &address, &server, &client).await;
                    }
                    // That of the listener.
                    settle(1).await;
                });
            };
            some(120);
            let before = descriptors();
            let counted = measure(|| some(2000));
            assert!(counted.bytes_current.abs() < 4096, "{counted:?}");
            assert_eq!(descriptors(), before);
            runtime.block_on(async {
                tokio::join!(server.close(), client.close());
                settle(0).await;
            });
        }
    }
}
