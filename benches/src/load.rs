//! What a client process does to a server, and the tasks that do it.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::contender::raw::RawClient;
use crate::contender::tarpc::TarpcClient;
use crate::contender::teleport::{TypedJson, TypedProtobuf, Untyped};
use crate::contender::tonic::TonicClient;
use crate::contender::{Client, Contender, echo};
use crate::message::{Blob, Pair};
use crate::recorder::Recorder;
use crate::task::Task;

/// How often the slow handler of a [`Neighbour`] is called: at 10 ms a call, a fifth of one CPU.
const NEIGHBOUR_EVERY: Duration = Duration::from_millis(50);

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// `{a, b} -> {a + b, a - b}`.
    Add,
    /// The same, one-way.
    Push,
    /// A payload there and back.
    Echo,
    /// The handler lets other tasks run.
    Yield,
    /// The handler asks another task.
    Channel,
    /// The handler calls on.
    Nested,
    /// One call for each session, then silence.
    Idle,
}

/// Who makes slow calls on the measured session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Neighbour {
    Sleeps,
    Computes,
}

/// The load of one measurement.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Load {
    /// The kind of call.
    pub op: Op,
    /// Calls in flight on each session, each from its own task.
    #[arg(long, default_value_t = 1)]
    pub in_flight: usize,
    #[arg(long, default_value_t = 1)]
    pub sessions: usize,
    /// Bytes that `echo` carries each way.
    #[arg(long, default_value_t = 0)]
    pub payload: usize,
    #[arg(long)]
    pub gzip: bool,
    /// Microseconds from one call of a task to its next; as soon as it is answered if 0.
    #[arg(long, default_value_t = 0)]
    pub every: u64,
    /// A slow handler is called beside the measured calls, 20 times a second.
    #[arg(long)]
    pub neighbour: Option<Neighbour>,
}

impl Load {
    /// `in_flight` calls of this kind on one session.
    pub fn new(op: Op, in_flight: usize) -> Self {
        Self {
            op,
            in_flight,
            sessions: 1,
            payload: 0,
            gzip: false,
            every: 0,
            neighbour: None,
        }
    }

    /// The arguments that make a `drive` process read this load.
    pub fn to_args(&self) -> Vec<String> {
        let name = |value: &dyn Fn() -> Option<clap::builder::PossibleValue>| {
            value()
                .map(|value| value.get_name().to_owned())
                .unwrap_or_default()
        };
        let mut args = vec![name(&|| self.op.to_possible_value())];
        for (flag, number) in [
            ("--in-flight", self.in_flight),
            ("--sessions", self.sessions),
            ("--payload", self.payload),
            ("--every", self.every as usize),
        ] {
            args.extend([flag.to_owned(), number.to_string()]);
        }
        if self.gzip {
            args.push("--gzip".to_owned());
        }
        if let Some(neighbour) = self.neighbour {
            args.extend([
                "--neighbour".to_owned(),
                name(&|| neighbour.to_possible_value()),
            ]);
        }
        args
    }
}

/// Where the tasks put their results.
#[derive(Clone)]
pub struct Results {
    pub recorder: Arc<Recorder>,
    failure: Arc<OnceLock<String>>,
    /// Each caller listens to it until it has had its first answer.
    waiting: Arc<watch::Sender<()>>,
}

impl Results {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            recorder: Arc::new(Recorder::new()),
            failure: Arc::default(),
            waiting: Arc::new(watch::Sender::new(())),
        }
    }

    /// An error if any task has failed: then the figures are worth nothing.
    pub fn check(&self) -> Result<()> {
        match self.failure.get() {
            Some(failure) => bail!("a call failed: {failure}"),
            None => Ok(()),
        }
    }

    /// Waits until each caller has had an answer, or has failed: with thousands of sessions some wait for a second, while others are
    /// served again and again.
    pub async fn all_answered(&self) {
        self.waiting.closed().await;
    }

    fn spawn(&self, work: impl Future<Output = Result<()>> + Send + 'static) {
        let failure = self.failure.clone();
        tokio::spawn(async move {
            if let Err(error) = work.await {
                failure.get_or_init(|| format!("{error:#}"));
            }
        });
    }
}

/// Connects and starts the tasks; they go on until the process ends.
pub async fn start(
    contender: Contender,
    addr: SocketAddr,
    load: &Load,
    results: &Results,
) -> Result<Sessions> {
    match contender {
        Contender::Echo => {
            for _ in 0..load.sessions {
                let recorder = results.recorder.clone();
                results.spawn(echo::drive(addr, load.in_flight, load.payload, recorder));
            }
            Ok(Box::new(()))
        }
        Contender::Raw => connect::<RawClient>(addr, load, results).await,
        Contender::Teleport => connect::<TypedProtobuf>(addr, load, results).await,
        Contender::TeleportJson => connect::<TypedJson>(addr, load, results).await,
        Contender::TeleportUntyped => connect::<Untyped>(addr, load, results).await,
        Contender::Tarpc => connect::<TarpcClient>(addr, load, results).await,
        Contender::Tonic => connect::<TonicClient>(addr, load, results).await,
    }
}

/// Keeps the sessions open.
pub type Sessions = Box<dyn std::any::Any>;

async fn connect<C: Client>(addr: SocketAddr, load: &Load, results: &Results) -> Result<Sessions> {
    let mut sessions = Vec::with_capacity(load.sessions);
    for _ in 0..load.sessions {
        sessions.push(C::connect(addr).await?);
    }
    let blob = Blob::text(load.payload);
    for client in &sessions {
        match load.op {
            Op::Idle => drop(client.add(Pair { a: 1, b: 2 }).await?),
            _ => (0..load.in_flight)
                .for_each(|number| spawn_caller(client, load, &blob, number, results)),
        }
        if let Some(neighbour) = load.neighbour {
            results.spawn(annoy(client.clone(), neighbour));
        }
    }
    Ok(Box::new(sessions))
}

fn spawn_caller<C: Client>(client: &C, load: &Load, blob: &Blob, number: usize, results: &Results) {
    let (client, recorder) = (client.clone(), results.recorder.clone());
    let mut waiting = Some(results.waiting.subscribe());
    let number = number as i32;
    match load.op {
        Op::Push => results.spawn(async move {
            loop {
                client
                    .note(Pair {
                        a: number,
                        b: 12_345,
                    })
                    .await?;
                drop(waiting.take());
            }
        }),
        Op::Echo => {
            let (blob, gzip) = (blob.clone(), load.gzip);
            results.spawn(async move {
                let mut start = Instant::now();
                loop {
                    let answer = client.echo(blob.clone(), gzip).await?;
                    ensure!(
                        answer.data.len() == blob.data.len(),
                        "the blob came back in another size"
                    );
                    start = recorder.record(start);
                    drop(waiting.take());
                }
            });
        }
        op => {
            let task = match op {
                Op::Yield => Some(Task::Yield),
                Op::Channel => Some(Task::Channel),
                Op::Nested => Some(Task::Nested),
                _ => None,
            };
            let every = load.every;
            results.spawn(async move {
                let mut pace = Pace::new(every, number);
                let mut args = Pair {
                    a: task.map_or(number, |task| task as i32),
                    b: 12_345,
                };
                loop {
                    let start = pace.next().await;
                    let answer = match task {
                        Some(_) => client.perform(args).await?,
                        None => client.add(args).await?,
                    };
                    ensure!(answer == args.answer(), "{args:?} was answered {answer:?}");
                    args.b = (args.b + 1) & 0xffff;
                    pace.ended = recorder.record(start);
                    drop(waiting.take());
                }
            });
        }
    }
}

/// When the next call is to start.
struct Pace {
    ticks: Option<tokio::time::Interval>,
    ended: Instant,
}

impl Pace {
    /// A call every so many microseconds, the tasks one after the other.
    fn new(every: u64, number: i32) -> Self {
        let ended = Instant::now();
        let ticks = (every > 0).then(|| {
            let first = ended + Duration::from_micros(number as u64 * 617 % every);
            tokio::time::interval_at(first.into(), Duration::from_micros(every))
        });
        Self { ticks, ended }
    }

    /// Waits, and gives the time from which the call's latency counts. A call that had to wait for the one before counts
    /// from when it was due: else a stall would only be seen once by each task, however many calls it delays.
    async fn next(&mut self) -> Instant {
        let Some(ticks) = &mut self.ticks else {
            return self.ended;
        };
        let due = ticks.tick().await.into_std();
        if due < self.ended {
            due
        } else {
            Instant::now()
        }
    }
}

/// Makes slow calls at a low rate.
async fn annoy<C: Client>(client: C, neighbour: Neighbour) -> Result<()> {
    let task = match neighbour {
        Neighbour::Sleeps => Task::Sleep,
        Neighbour::Computes => Task::Compute,
    };
    let mut ticks = tokio::time::interval(NEIGHBOUR_EVERY);
    loop {
        ticks.tick().await;
        client
            .perform(Pair {
                a: task as i32,
                b: 1,
            })
            .await?;
    }
}
