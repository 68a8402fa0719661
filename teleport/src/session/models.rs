//! Models: what the tasks of a session do at the same time, in many different orders.
//!
//! The session and its driver are the real ones; the other side is played here, at the end of an in-memory stream, by the real
//! protocol. What they share data through (`sync.rs`) belongs to shuttle here, which runs all tasks on one thread, decides
//! before each locking, each access to an atomic and each step of a `Notify` who goes on, and fails when nobody can, which is
//! what a lost wake-up comes to. Orders are drawn at random and by PCT, from fixed seeds; `MODEL_RUNS` makes it more of them,
//! `SHUTTLE_RANDOM_SEED` makes it others.
//!
//! It knows sequentially consistent memory only. There is one place where that matters, in `Shared::handler_ends`.
//!
//! ```console
//! $ RUSTFLAGS="--cfg shuttle" cargo test --target-dir target/shuttle -p teleport --lib models
//! ```

use std::{env, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use shuttle::{
    Config, Runner as Checker,
    future::{JoinHandle, block_on, spawn, yield_now},
    scheduler::{PctScheduler, RandomScheduler},
};
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::{
    Runner, Session,
    dispatch::{BoxFuture, Dispatch, Outbound},
    driver::Driver,
    memory::Memory,
    observer::Observer,
    reply::{self, ReplyHead},
    testing,
};
use crate::{
    protocol::{Decoded, Header, HeaderCodec, Limits, Packet, PacketKind, Protocol, Standard},
    socket::{
        inbox::Inbox,
        pool::{Lease, Pool},
    },
    status::{Status, code},
};

/// Runs of each model with each way to draw orders.
const RUNS: usize = 1000;
/// Changes of priority in one run of PCT.
const DEPTH: usize = 3;

/// Runs `model` in many orders.
fn check<F: Future<Output = ()> + 'static>(model: fn() -> F) {
    check_in_time(move |_| model());
}

/// Time stands still, so no limit is ever reached, unless the model turns the clock.
fn check_in_time<F: Future<Output = ()> + 'static>(
    model: impl Fn(Arc<Clock>) -> F + Copy + Send + Sync + 'static,
) {
    let runs = env::var("MODEL_RUNS").map_or(RUNS, |runs| runs.parse().expect("a number"));
    let clock = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let clock = Arc::new(Clock(clock));
    let _entered = clock.0.enter();
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    let random = RandomScheduler::new_from_seed(1, runs);
    let time = Arc::clone(&clock);
    Checker::new(random, config.clone()).run(move || block_on(model(Arc::clone(&time))));
    let pct = PctScheduler::new_from_seed(2, DEPTH, runs);
    let time = Arc::clone(&clock);
    Checker::new(pct, config).run(move || block_on(model(Arc::clone(&time))));
}

struct Clock(tokio::runtime::Runtime);

impl Clock {
    /// Wakes who waits for what is due by then.
    fn turn(&self, by: Duration) {
        self.0.block_on(tokio::time::advance(by));
    }
}

/// Where what comes goes to.
#[derive(Clone, Copy)]
enum Serve {
    /// Each call to a handler in a task of its own.
    InTasks,
    /// Refused at once, whatever waits to be written.
    Refuse,
    /// Refused with so many words that three refusals are more than a session forces on who does not read.
    RefuseAtLength,
}

impl Dispatch for Serve {
    fn inbound<'a>(&'a self, session: &Session, packet: &mut Packet, _: &mut Runner<'a>) {
        let session = session.clone();
        let shared = session.shared();
        let seq = packet.header.seq;
        let head = ReplyHead {
            seq,
            uri: "",
            gzip: 0,
            header_codec: HeaderCodec::Protobuf,
        };
        let open = session.is_open();
        if open && matches!(self, Self::InTasks) {
            shared.handler_starts();
            spawn(async move {
                let sent = reply::send_status(&session, head, &Status::new(1000, "served"));
                if let Some(frame) = sent.leftover {
                    reply::send_when_there_is_room(&session, frame).await;
                }
                session.shared().handler_ends();
            });
        } else {
            let text = match self {
                Self::RefuseAtLength => "refused ".repeat(2048),
                _ => "refused".to_owned(),
            };
            reply::send_status_now(&session, head, &Status::unavailable(text));
        }
    }

    fn outbound(&self) -> Option<&dyn Outbound> {
        None
    }

    fn observer(&self) -> Option<&dyn Observer> {
        None
    }

    fn before_header(&self, _: &Session) -> Option<BoxFuture<'static, Result<(), Status>>> {
        None
    }

    fn ended<'a>(&'a self, _: &'a Session) -> BoxFuture<'a, ()> {
        Box::pin(async {})
    }
}

/// A session whose driver runs, and what is at the other end of its stream.
struct Model {
    session: Session,
    driver: JoinHandle<()>,
    other: Other,
}

/// As much as anybody sends here.
const ROOMY: usize = 4096;

/// `write_buffer`: bytes that may wait to be written. `pipe`: bytes that the stream holds in each direction.
fn connect(serve: Serve, write_buffer: usize, pipe: usize) -> Model {
    start(serve, write_buffer, pipe, false)
}

/// `accepted`: the other side has just connected.
fn start(serve: Serve, write_buffer: usize, pipe: usize, accepted: bool) -> Model {
    let session = testing::with(serve, write_buffer);
    let (near, far) = tokio::io::duplex(pipe);
    let mut driver = Driver::new(near, &session, Inbox::new(Arc::default()), accepted);
    let driven = session.clone();
    let stream = session.stream_waker();
    let driver = spawn(async move {
        poll_fn(|cx| driver.poll(&driven, &stream, cx)).await;
        driver.part(&driven).await;
        drop(driver);
        driven.shared().release();
    });
    let other = Other {
        stream: far,
        inbox: Inbox::new(Arc::default()),
    };
    Model {
        session,
        driver,
        other,
    }
}

/// The other side.
struct Other {
    stream: DuplexStream,
    inbox: Inbox,
}

impl Other {
    /// `None` at the end of the stream.
    async fn next(&mut self) -> Option<Packet> {
        loop {
            let decoded = self.inbox.next(&Standard, &Limits::default());
            if let Decoded::Packet(packet) = decoded.expect("a packet") {
                return Some(packet);
            }
            let read = poll_fn(|cx| self.inbox.poll_read(cx, &mut self.stream)).await;
            if read.expect("an in-memory stream") == 0 {
                return None;
            }
        }
    }

    async fn expect(&mut self, kind: PacketKind) -> Packet {
        let packet = self.next().await.expect("a packet");
        assert_eq!(packet.header.kind, kind);
        packet
    }

    /// `false` if the session reads no more.
    async fn send(&mut self, kind: PacketKind, seq: u64, body: &[u8]) -> bool {
        let mut header = Header::new(kind, seq, "/a");
        header.status_code = match kind {
            PacketKind::Reply => code::OK,
            _ => 0,
        };
        let mut frame = Vec::new();
        let mut append = |out: &mut Vec<u8>| {
            out.extend_from_slice(body);
            Ok(())
        };
        Standard
            .encode(
                header.as_ref(),
                HeaderCodec::Protobuf,
                &mut append,
                &mut frame,
            )
            .expect("encodes");
        self.stream.write_all(&frame).await.is_ok()
    }

    /// Sends a pull's arguments back, and then something else, which is nobody's.
    async fn echo(&mut self, pull: &Packet) {
        let seq = pull.header.seq;
        self.send(PacketKind::Reply, seq, &pull.body).await;
        self.send(PacketKind::Reply, seq, b"j0").await;
    }

    /// Echoes pulls until the session ends its stream. Gives how many there were.
    async fn echo_in_order(mut self) -> usize {
        let mut pulls = 0;
        while let Some(packet) = self.next().await {
            self.echo(&packet).await;
            pulls += 1;
        }
        pulls
    }

    /// Echoes pulls, the second before the first.
    async fn echo_out_of_order(mut self) -> usize {
        let mut first = None;
        let mut pulls = 0;
        while let Some(packet) = self.next().await {
            pulls += 1;
            if pulls == 1 {
                first = Some(packet);
                continue;
            }
            self.echo(&packet).await;
            if let Some(first) = first.take() {
                self.echo(&first).await;
            }
        }
        pulls
    }
}

/// Calls that give back their argument, one after the other.
fn calls(session: &Session, arguments: [u32; 2]) -> JoinHandle<Vec<Result<(), i32>>> {
    let session = session.clone();
    spawn(async move {
        let mut results = Vec::new();
        for argument in arguments {
            let reply = session.pull::<_, u32>("/a", argument).await;
            results.push(match reply {
                Ok(value) => {
                    assert_eq!(value, argument, "the reply of another pull");
                    Ok(())
                }
                Err(error) => Err(error.code()),
            });
        }
        results
    })
}

fn pushes(session: &Session, count: usize) -> JoinHandle<Vec<Result<(), i32>>> {
    let session = session.clone();
    spawn(async move {
        let mut results = Vec::new();
        for _ in 0..count {
            let pushed = session.push("/a", 1).await;
            results.push(pushed.map_err(|error| error.code()));
        }
        results
    })
}

async fn joined<T>(task: JoinHandle<T>) -> T {
    task.await.expect("nobody aborted it")
}

/// Each of the senders makes so many pushes. All of them are sent, and arrive.
async fn all_pushes_arrive(mut model: Model, senders: &[usize]) {
    let tasks: Vec<_> = senders
        .iter()
        .map(|count| pushes(&model.session, *count))
        .collect();
    for _ in 0..senders.iter().sum::<usize>() {
        model.other.expect(PacketKind::Push).await;
    }
    for task in tasks {
        assert!(joined(task).await.iter().all(Result::is_ok));
    }
    model.session.abort();
    joined(model.driver).await;
}

#[test]
fn no_frame_is_left_behind_when_the_driver_goes_to_rest() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        all_pushes_arrive(model, &[2, 1]).await;
    });
}

#[test]
fn each_pull_gets_its_own_reply_once_and_its_place_is_free_again() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        let shared = Arc::clone(&model.session.0);
        let callers = [[1, 2], [3, 4]].map(|arguments| calls(&model.session, arguments));
        let given_up = calls(&model.session, [5, 6]);
        let other = spawn(model.other.echo_out_of_order());
        given_up.abort();
        drop(given_up.await);
        for caller in callers {
            assert_eq!(joined(caller).await, [Ok(()), Ok(())]);
        }
        assert_eq!(shared.entered_pulls(), 0);
        model.session.close().await;
        joined(model.driver).await;
        assert!(joined(other).await >= 4);
        assert_eq!(shared.entered_pulls(), 0);
    });
}

#[test]
fn a_pull_may_be_awaited_by_another_task_than_began_it() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        let session = model.session.clone();
        let mut pull = Box::pin(async move { session.pull::<_, u32>("/a", 1).await });
        let begins = spawn(async move {
            let ready = poll_fn(|cx| Poll::Ready(pull.as_mut().poll(cx).is_ready())).await;
            (!ready).then_some(pull)
        });
        let other = spawn(model.other.echo_in_order());
        if let Some(pull) = joined(begins).await {
            assert_eq!(pull.await.expect("a reply"), 1);
        }
        model.session.close().await;
        joined(model.driver).await;
        assert_eq!(joined(other).await, 1);
    });
}

#[test]
fn pulls_end_when_the_session_breaks_off() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        let shared = Arc::clone(&model.session.0);
        let callers = [[1, 2], [3, 4]].map(|arguments| calls(&model.session, arguments));
        let other = spawn(model.other.echo_out_of_order());
        model.session.abort();
        for caller in callers {
            for result in joined(caller).await {
                let known = [code::WRITE_FAILED, code::CONNECTION_CLOSED];
                assert!(result.is_ok() || known.contains(&result.unwrap_err()));
            }
        }
        assert_eq!(shared.entered_pulls(), 0);
        joined(model.driver).await;
        joined(other).await;
    });
}

#[test]
fn pulls_end_when_the_other_side_ends_its_stream() {
    check(|| async {
        let Model {
            session,
            driver,
            mut other,
        } = connect(Serve::Refuse, ROOMY, ROOMY);
        let shared = Arc::clone(&session.0);
        let callers = [[1, 2], [3, 4]].map(|arguments| calls(&session, arguments));
        let leaves = spawn(async move {
            let pull = other.expect(PacketKind::Pull).await;
            other.echo(&pull).await;
            other.stream.shutdown().await.expect("an in-memory stream");
            while other.next().await.is_some() {}
        });
        let mut answered = 0;
        for caller in callers {
            answered += joined(caller).await.iter().flatten().count();
        }
        assert_eq!(
            answered, 1,
            "the reply that came before the end is delivered"
        );
        assert_eq!(shared.entered_pulls(), 0);
        joined(leaves).await;
        joined(driver).await;
    });
}

#[test]
fn a_pull_that_is_given_up_says_so_though_the_driver_goes_to_rest() {
    check(|| async {
        let Model {
            session,
            driver,
            mut other,
        } = connect(Serve::Refuse, ROOMY, ROOMY);
        let shared = Arc::clone(&session.0);
        let caller = session.clone();
        let caller = spawn(async move { caller.pull::<_, u32>("/a", 1).cancel().await });
        other.expect(PacketKind::Pull).await;
        caller.abort();
        drop(caller.await);
        let push = other.expect(PacketKind::Push).await;
        assert_eq!(push.header.uri, "/~teleport/cancel?seq=0");
        assert_eq!(shared.entered_pulls(), 0);
        session.abort();
        joined(driver).await;
    });
}

#[test]
fn who_waits_for_room_goes_on_when_there_is_some() {
    check(|| async {
        let model = connect(Serve::Refuse, 1, 16);
        all_pushes_arrive(model, &[2, 2, 2]).await;
    });
}

#[test]
fn pulls_that_wait_for_room_are_sent_or_given_up() {
    check(|| async {
        let model = connect(Serve::Refuse, 1, 16);
        let shared = Arc::clone(&model.session.0);
        let callers = [[1, 2], [3, 4]].map(|arguments| calls(&model.session, arguments));
        let given_up = calls(&model.session, [5, 6]);
        let other = spawn(model.other.echo_out_of_order());
        given_up.abort();
        drop(given_up.await);
        for caller in callers {
            assert_eq!(joined(caller).await, [Ok(()), Ok(())]);
        }
        assert_eq!(shared.entered_pulls(), 0);
        model.session.close().await;
        joined(model.driver).await;
        joined(other).await;
    });
}

#[test]
fn who_waits_for_room_hears_of_the_end() {
    check(|| async {
        let model = connect(Serve::Refuse, 1, 16);
        let senders = [(); 3].map(|()| pushes(&model.session, 2));
        let caller = calls(&model.session, [1, 2]);
        model.session.abort();
        for sender in senders {
            joined(sender).await;
        }
        assert!(joined(caller).await.iter().all(Result::is_err));
        joined(model.driver).await;
        // Not before: the stream was full, and nobody has read from it.
        drop(model.other);
    });
}

#[test]
fn a_close_loses_no_call_that_was_taken_and_takes_none_after_it() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        let shared = Arc::clone(&model.session.0);
        let callers = [[1, 2], [3, 4]].map(|arguments| calls(&model.session, arguments));
        let other = spawn(model.other.echo_in_order());
        let waits = Arc::clone(&shared);
        let left = spawn(async move { waits.left_open().await });
        model.session.close().await;
        let mut answered = 0;
        for caller in callers {
            for result in joined(caller).await {
                match result {
                    Ok(()) => answered += 1,
                    Err(code) => assert_eq!(code, code::WRITE_FAILED),
                }
            }
        }
        assert_eq!(answered, joined(other).await, "sent is answered");
        assert_eq!(shared.entered_pulls(), 0);
        joined(left).await;
        joined(model.driver).await;
    });
}

#[test]
fn a_close_is_not_held_up_by_pulls_that_are_given_up() {
    check(|| async {
        let model = connect(Serve::Refuse, ROOMY, ROOMY);
        let caller = calls(&model.session, [1, 2]);
        let mut other = model.other;
        // Reads, and never answers.
        let other = spawn(async move { while other.next().await.is_some() {} });
        let closing = model.session.clone();
        let closing = spawn(async move { closing.close().await });
        caller.abort();
        drop(caller.await);
        joined(closing).await;
        joined(model.driver).await;
        joined(other).await;
    });
}

#[test]
fn a_close_waits_for_handlers_and_for_nothing_else() {
    check(|| async {
        let Model {
            session,
            driver,
            mut other,
        } = connect(Serve::InTasks, ROOMY, ROOMY);
        let other = spawn(async move {
            for seq in 0..2 {
                other.send(PacketKind::Pull, seq, b"j1").await;
            }
            let mut replies = 0;
            while let Some(packet) = other.next().await {
                assert!([1000, code::UNAVAILABLE].contains(&packet.header.status_code));
                replies += 1;
            }
            replies
        });
        session.close().await;
        joined(driver).await;
        assert!(joined(other).await <= 2);
    });
}

#[test]
fn handlers_still_reply_to_who_sends_no_more() {
    check(|| async {
        let Model {
            session: _,
            driver,
            mut other,
        } = connect(Serve::InTasks, 1, 16);
        for seq in 0..2 {
            other.send(PacketKind::Pull, seq, b"j1").await;
        }
        other.stream.shutdown().await.expect("an in-memory stream");
        for _ in 0..2 {
            let reply = other.expect(PacketKind::Reply).await;
            assert_eq!(reply.header.status_code, 1000);
        }
        assert!(other.next().await.is_none());
        joined(driver).await;
    });
}

#[test]
fn who_asks_without_reading_is_heard_again_once_it_reads() {
    check(|| async {
        const PULLS: u64 = 6;
        let Model {
            session,
            driver,
            mut other,
        } = connect(Serve::RefuseAtLength, 1, 16 * 1024);
        for seq in 0..PULLS {
            // They fit into the stream, which is why nobody waits here. The replies do not.
            other.send(PacketKind::Pull, seq, b"").await;
        }
        for _ in 0..PULLS {
            other.expect(PacketKind::Reply).await;
        }
        session.abort();
        joined(driver).await;
    });
}

#[test]
fn a_close_waits_for_the_first_packet_of_who_has_just_connected_but_not_for_ever() {
    check_in_time(|clock| async move {
        let Model {
            session,
            driver,
            mut other,
        } = start(Serve::Refuse, ROOMY, ROOMY, true);
        let closing = spawn(async move { session.close().await });
        // It sends nothing, and has gone when the stream ends.
        let silent = spawn(async move { assert!(other.next().await.is_none()) });
        for _ in 0..100 {
            yield_now().await;
            clock.turn(Duration::from_secs(1));
        }
        joined(closing).await;
        joined(driver).await;
        joined(silent).await;
    });
}

#[test]
fn what_calls_hold_goes_back_to_the_pool_in_whatever_order_they_end() {
    const SIZE: usize = 1 << 30;
    check(|| async {
        let pool = Arc::new(Pool::new(SIZE));
        let memory = Arc::new(Memory::new(usize::MAX, Arc::clone(&pool)));
        let calls = [1, 600_000, 700_000].map(|bytes| {
            let memory = Arc::clone(&memory);
            spawn(async move {
                let first = memory.hold(bytes);
                let second = memory.hold(bytes);
                drop(first);
                drop(second);
            })
        });
        let ends = Arc::clone(&memory);
        let ends = spawn(async move { ends.disown() });
        for call in calls {
            joined(call).await;
        }
        joined(ends).await;
        assert!(Lease::new(pool).grow(SIZE), "some of it was kept");
    });
}
