//! Whole sessions: two peers with a pipe between them, and random operations on both ends. Every pull ends once, with its own reply
//! or an error that is true; no handler runs twice for one call; nothing hangs; afterwards nothing is left.

use std::{
    future::Future,
    pin::Pin,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};

use teleport::{Error, Peer, PeerConfig, Session, protocol::HeaderCodec};
use tokio::{task::JoinHandle, time::timeout};

use super::{
    input::Input,
    world::{self, MOST, PATIENCE, World},
};

/// Bytes that choose the configuration, and then operations.
///
/// # Panics
/// A promise is broken.
pub fn run(bytes: &[u8]) {
    world::run(converse(Input::new(bytes)));
}

async fn converse(mut input: Input<'_>) {
    let world = World::default();
    let mut talk = Talk::begin(&world, &mut input).await;
    for _ in 0..MOST {
        if input.is_empty() {
            break;
        }
        talk.operate(&mut input).await;
    }
    talk.end(&mut input).await;
    world.check();
}

type Answer = Result<u64, Error>;

/// A pull that is under way.
struct Call {
    id: u64,
    route: Route,
    /// The caller has set a time limit.
    limited: bool,
    state: State,
}

enum State {
    /// In a task.
    Task(JoinHandle<Answer>),
    /// Polled only when an operation says so.
    Slow(Pin<Box<dyn Future<Output = Answer>>>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Route {
    Now,
    Yielding,
    Sleeping,
    Waiting,
    Stoppable,
    Back,
    Closing,
    Missing,
    Unreadable,
}

const ROUTES: [Route; 9] = [
    Route::Now,
    Route::Yielding,
    Route::Sleeping,
    Route::Waiting,
    Route::Stoppable,
    Route::Back,
    Route::Closing,
    Route::Missing,
    Route::Unreadable,
];

impl Route {
    fn uri(self) -> &'static str {
        match self {
            Self::Now => "/world/now",
            Self::Yielding => "/world/yielding",
            Self::Sleeping => "/world/sleeping",
            Self::Waiting => "/world/waiting",
            Self::Stoppable => "/world/stoppable",
            Self::Back => "/world/back",
            Self::Closing => "/world/closing",
            Self::Missing => "/no/such",
            Self::Unreadable => "/world/now?unreadable",
        }
    }
}

struct Talk<'a> {
    world: &'a World,
    peers: [Peer; 2],
    sessions: [Session; 2],
    calls: Vec<Call>,
    /// Pushes and shutdowns.
    others: Vec<(&'static str, JoinHandle<()>)>,
    /// Nobody has closed or cut anything yet, and nothing but the routes decides how calls end.
    calm: bool,
    /// A handler may be refused for want of room.
    crowded: bool,
    /// Bytes that the pipe holds.
    pipe: usize,
}

impl<'a> Talk<'a> {
    async fn begin(world: &'a World, input: &mut Input<'_>) -> Self {
        let pipe = input.pick(&[64 * 1024, 4096, 64, 7, 1]);
        let handlers = input.pick(&[65_536, 4, 1]);
        let mut peer = || {
            let config = PeerConfig {
                announce: input.below(2) == 1,
                header_codec: input.pick(&[HeaderCodec::Protobuf, HeaderCodec::Json]),
                gzip: input.pick(&[0, 1]),
                write_buffer: input.pick(&[1024 * 1024, 100, 1]),
                max_handlers: handlers,
                slow_threshold: input.pick(&[None, Some(Duration::from_millis(5))]),
                ..PeerConfig::default()
            };
            let builder = Peer::builder().config(config).routes(world.routes());
            builder.build().expect("a peer")
        };
        let peers = [peer(), peer()];
        let (left, right) = tokio::io::duplex(pipe);
        let sessions = [
            peers[0].serve_conn(left).await.expect("a session"),
            peers[1].serve_conn(right).await.expect("a session"),
        ];
        for session in &sessions {
            // Is dropped with the last that knows the session.
            session.values().insert(world.present());
        }
        Self {
            world,
            peers,
            sessions,
            calls: Vec::new(),
            others: Vec::new(),
            calm: true,
            crowded: handlers < 65_536,
            pipe,
        }
    }

    async fn operate(&mut self, input: &mut Input<'_>) {
        let operation = input.byte();
        let side = usize::from(operation >> 7);
        let session = &self.sessions[side];
        match operation & 0x7f {
            0..=39 => self.pull(side, input),
            40..=49 => self.push(side, input),
            50..=59 => self.world.open(input.below(256)),
            60..=69 => self.drop_call(input).await,
            70..=79 => self.poll_call(input),
            80..=99 => {
                for _ in 0..input.below(8) {
                    tokio::task::yield_now().await;
                }
            }
            100..=113 => tokio::time::sleep(Duration::from_millis(input.byte().into())).await,
            114..=118 => {
                let calm = self.calm;
                self.finished(calm).await;
            }
            119..=121 => {
                self.calm = false;
                session.start_closing();
            }
            122 => {
                self.calm = false;
                session.abort();
            }
            123 => {
                self.calm = false;
                let peer = self.peers[side].clone();
                let closing = tokio::spawn(async move { peer.close().await });
                self.others.push(("a close", closing));
            }
            124 => {
                self.calm = false;
                let peer = self.peers[side].clone();
                let limit = Duration::from_millis(input.byte().into());
                let shutdown = tokio::spawn(async move {
                    peer.shutdown(limit).await;
                });
                self.others.push(("a shutdown", shutdown));
            }
            _ => {
                let in_flight = session.pulls_in_flight();
                assert!(in_flight <= self.world.calls(), "{in_flight}");
            }
        }
    }

    fn pull(&mut self, side: usize, input: &mut Input<'_>) {
        let route = input.pick(&ROUTES);
        let id = self.world.new_call();
        let options = input.byte();
        let limit = (options & 1 == 1).then(|| Duration::from_millis(input.byte().into()));
        let session = self.sessions[side].clone();
        // More would take its time in a narrow pipe, and show nothing else.
        let size = match options & 2 {
            0 => 0,
            _ => usize::from(input.number()).min(self.pipe * 64),
        };
        if route == Route::Closing {
            self.calm = false;
        }
        let call = async move {
            let args = (id, "x".repeat(size));
            let unreadable = format!("{id}?");
            let mut pull = match route {
                Route::Unreadable => {
                    let pull = session.pull::<_, u64>(route.uri(), unreadable);
                    return prepared(pull, options, limit).await;
                }
                _ => session.pull::<_, u64>(route.uri(), args),
            };
            if options & 16 == 16 {
                pull = pull.meta("name", "value");
            }
            prepared(pull, options, limit).await
        };
        let slow = options & 32 == 32;
        let state = if slow {
            State::Slow(Box::pin(call))
        } else {
            State::Task(tokio::spawn(call))
        };
        self.calls.push(Call {
            id,
            route,
            limited: limit.is_some(),
            state,
        });
        if slow {
            self.poll_last();
        }
    }

    fn push(&mut self, side: usize, input: &mut Input<'_>) {
        let id = self.world.new_call();
        let size = usize::from(input.byte()).min(self.pipe * 64);
        let session = self.sessions[side].clone();
        let world = self.world.clone();
        let push = tokio::spawn(async move {
            let pushed = session.push("/world/note", (id, "x".repeat(size))).await;
            if let Err(error) = pushed {
                assert!(error.is_closed(), "{error}");
                assert_eq!(world.runs(id), 0, "it was not sent");
            }
        });
        self.others.push(("a push", push));
    }

    /// The caller goes away.
    async fn drop_call(&mut self, input: &mut Input<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let call = self
            .calls
            .swap_remove(input.below(self.calls.len().min(256)));
        match call.state {
            State::Slow(future) => drop(future),
            State::Task(task) => {
                task.abort();
                match task.await {
                    Ok(answer) => self.judge(call.id, call.route, call.limited, &answer, false),
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
        }
    }

    /// A caller that nobody wakes looks after its call.
    fn poll_call(&mut self, input: &mut Input<'_>) {
        if self.calls.is_empty() {
            return;
        }
        let at = input.below(self.calls.len().min(256));
        let last = self.calls.len() - 1;
        self.calls.swap(at, last);
        self.poll_last();
    }

    fn poll_last(&mut self) {
        let Some(Call {
            id,
            route,
            limited,
            state: State::Slow(future),
        }) = self.calls.last_mut()
        else {
            return;
        };
        let mut context = TaskContext::from_waker(Waker::noop());
        if let Poll::Ready(answer) = future.as_mut().poll(&mut context) {
            let (id, route, limited) = (*id, *route, *limited);
            self.calls.pop();
            self.judge(id, route, limited, &answer, false);
        }
    }

    /// Waits for all calls that need nobody's help.
    async fn finished(&mut self, calm: bool) {
        let mut kept = Vec::new();
        for call in std::mem::take(&mut self.calls) {
            let helpless = matches!(call.route, Route::Waiting | Route::Stoppable);
            match call.state {
                State::Task(task) if !helpless => {
                    let answer = timeout(PATIENCE, task).await;
                    let answer = answer.unwrap_or_else(|_| panic!("{:?} hangs", call.route));
                    let answer = answer.expect("no panic");
                    self.judge(call.id, call.route, call.limited, &answer, calm);
                }
                _ => kept.push(call),
            }
        }
        self.calls = kept;
    }

    /// Whether the call may have ended like this. In the `calm` only its route decides.
    fn judge(&self, id: u64, route: Route, limited: bool, answer: &Answer, calm: bool) {
        let runs = self.world.runs(id);
        let error = match answer {
            Ok(value) => {
                assert_eq!((*value, runs), (id, 1), "{route:?}: another's reply");
                assert!(route != Route::Missing && route != Route::Unreadable);
                return;
            }
            Err(error) => error,
        };
        let code = error.code();
        match code {
            100 => assert_eq!(
                runs, 0,
                "{route:?}: it ran, and was told as not sent: {error}"
            ),
            101 => assert!(!calm, "{route:?}: {error}"),
            102 | 103 if limited => {}
            400 => assert!(route == Route::Unreadable && runs == 0, "{error}"),
            404 => assert!(route == Route::Missing, "{error}"),
            503 if route == Route::Back => assert!(self.crowded || !calm, "{error}"),
            503 => assert!(runs == 0 && (self.crowded || !calm), "{error}"),
            // What a handler that calls back has met.
            _ if route == Route::Back && error.is_remote() => {
                assert!(limited || !calm || self.crowded, "{error}");
            }
            // A handler that was stopped.
            _ if route == Route::Stoppable && error.is_remote() && (limited || !calm) => {}
            _ => panic!("{route:?} ends with {error} ({code})"),
        }
        if calm {
            let expected = match route {
                Route::Missing => code == 404,
                Route::Unreadable => code == 400,
                _ => false,
            };
            assert!(
                expected || limited || self.crowded,
                "{route:?} ends with {error} ({code})"
            );
        }
    }

    /// Lets all handlers go, closes both ends in one way or another, and looks whether anything is left.
    async fn end(mut self, input: &mut Input<'_>) {
        let way = input.byte();
        let calm = self.calm;
        self.world.open_all();
        if way & 8 == 0 {
            self.all_finished(calm).await;
        }
        match way & 7 {
            0 => self.sessions[0].start_closing(),
            1 => self.sessions[1].start_closing(),
            2 => {
                self.sessions[0].start_closing();
                self.sessions[1].start_closing();
            }
            3 => self.sessions[0].abort(),
            4 => self.sessions[1].abort(),
            _ => {
                self.sessions[0].start_closing();
                tokio::task::yield_now().await;
                self.sessions[1].abort();
            }
        }
        self.all_finished(false).await;
        for (what, other) in std::mem::take(&mut self.others) {
            let ended = timeout(PATIENCE, other).await;
            let ended = ended.unwrap_or_else(|_| panic!("{what} hangs: {:?}", self.sessions));
            ended.expect("no panic");
        }
        for (side, session) in self.sessions.iter().enumerate() {
            let closed = timeout(PATIENCE, session.closed()).await;
            closed.unwrap_or_else(|_| panic!("session {side} does not end: {:?}", self.sessions));
            assert_eq!(session.pulls_in_flight(), 0, "of side {side}");
            assert_eq!(self.peers[side].session_count(), 0, "of side {side}");
        }
        let Self {
            world,
            peers,
            sessions,
            ..
        } = self;
        drop((peers, sessions));
        // What is woken by the end has its turn.
        timeout(PATIENCE, world.alone())
            .await
            .expect("handlers, or sessions, are left");
    }

    async fn all_finished(&mut self, calm: bool) {
        for call in std::mem::take(&mut self.calls) {
            let wait = async {
                match call.state {
                    State::Task(task) => task.await.expect("no panic"),
                    State::Slow(future) => future.await,
                }
            };
            let answer = timeout(PATIENCE, wait).await;
            let answer = answer.unwrap_or_else(|_| panic!("{:?} hangs", call.route));
            self.judge(call.id, call.route, call.limited, &answer, calm);
        }
    }
}

fn prepared<'a, A>(
    mut pull: teleport::Pull<'a, A, u64>,
    options: u8,
    limit: Option<Duration>,
) -> teleport::Pull<'a, A, u64> {
    if let Some(limit) = limit {
        pull = pull.timeout(limit);
    }
    if options & 4 == 4 {
        pull = pull.cancel();
    }
    if options & 8 == 8 {
        pull = pull.gzip(1);
    }
    pull
}
