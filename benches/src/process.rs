//! What a server and a client process do, from their command lines to their results.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use rustix::process::{
    Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::alloc;
use crate::contender::Contender;
use crate::load::{self, Load, Op, Results};
use crate::recorder::Latency;
use crate::usage::{self, Probe, Usage};

/// How long idle sessions are left alone before their memory is looked at.
const SETTLE: Duration = Duration::from_secs(3);

/// The load is on for no longer than this before a measurement, whether or not each caller has had an answer.
const LONGEST_WARM_UP: Duration = Duration::from_secs(10);

/// What both sides are told about their process.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Setup {
    /// Binds the whole process to this CPU.
    #[arg(long)]
    pub cpu: Option<usize>,
    /// Counts allocations, which costs time.
    #[arg(long)]
    pub count_allocations: bool,
}

impl Setup {
    /// The arguments that make a process read this setup.
    pub fn to_args(self) -> Vec<String> {
        let mut args = Vec::new();
        if let Some(cpu) = self.cpu {
            args.extend(["--cpu".to_owned(), cpu.to_string()]);
        }
        if self.count_allocations {
            args.push("--count-allocations".to_owned());
        }
        args
    }

    /// Prepares this process; every side of every contender runs on two workers.
    fn runtime(self) -> Result<Runtime> {
        if self.count_allocations {
            alloc::enable();
        }
        if let Some(cpu) = self.cpu {
            let mut cpus = CpuSet::new();
            cpus.set(cpu);
            sched_setaffinity(None, &cpus)?;
        }
        // A run that is ended must not leave its servers behind.
        set_parent_process_death_signal(Some(Signal::TERM))?;
        let limit = getrlimit(Resource::Nofile);
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                ..limit
            },
        )?;
        Ok(tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?)
    }
}

/// Where a server can be reached: the line it prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Served {
    pub addr: SocketAddr,
    pub control: SocketAddr,
}

/// Serves until the process is ended.
pub fn serve(contender: Contender, routes: usize, in_flight: usize, setup: Setup) -> Result<()> {
    let runtime = setup.runtime()?;
    let control = TcpListener::bind("127.0.0.1:0")?;
    let control_addr = control.local_addr()?;
    usage::answer(control);
    runtime.block_on(async {
        let served = Served {
            addr: contender.serve(routes, in_flight).await?,
            control: control_addr,
        };
        println!("{}", serde_json::to_string(&served)?);
        std::io::stdout().flush()?;
        std::future::pending().await
    })
}

/// What a measurement used on one side, from its start to its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Side {
    pub cpu_seconds: f64,
    pub peak_rss_bytes: u64,
    pub rss_bytes: i64,
    pub allocations: u64,
    pub heap_bytes: i64,
}

impl Side {
    fn between(start: &Usage, end: &Usage) -> Self {
        Self {
            cpu_seconds: end.cpu_seconds - start.cpu_seconds,
            peak_rss_bytes: end.peak_rss_bytes,
            rss_bytes: end.rss_bytes as i64 - start.rss_bytes as i64,
            allocations: end.allocations - start.allocations,
            heap_bytes: end.heap_bytes - start.heap_bytes,
        }
    }
}

/// The result of one measurement: the line a client prints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub seconds: f64,
    /// What the whole machine was busy meanwhile, with both sides, other programs and the hypervisor.
    pub machine_cpu_seconds: f64,
    /// Calls that ended, or one-way messages that reached their handler, or idle sessions.
    pub count: u64,
    pub latency: Latency,
    pub client: Side,
    pub server: Side,
}

/// How long to measure.
#[derive(Clone, Copy, Debug, Args)]
pub struct Times {
    #[arg(long, default_value_t = 1.0)]
    pub seconds: f64,
    /// Seconds before the measurement in which the load is on already, or more, until each caller has had an answer.
    #[arg(long, default_value_t = 0.5)]
    pub warm_up: f64,
}

/// Puts `load` on a server and prints what was measured.
pub fn drive(
    contender: Contender,
    load: &Load,
    served: Served,
    times: Times,
    setup: Setup,
) -> Result<()> {
    ensure!(contender.can(load), "{} has no such work", contender.name());
    let runtime = setup.runtime()?;
    let results = Results::new();
    let measured = runtime.block_on(async {
        let mut probe = Probe::connect(served.control)?;
        if load.op == Op::Idle {
            measure_idle(contender, load, served, &results, &mut probe).await
        } else {
            measure(contender, load, served, times, &results, &mut probe).await
        }
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    std::io::stdout().flush()?;
    // The tasks never end, and ten thousand sessions need not be closed one by one.
    std::process::exit(0)
}

async fn measure(
    contender: Contender,
    load: &Load,
    served: Served,
    times: Times,
    results: &Results,
    probe: &mut Probe,
) -> Result<Measured> {
    let _sessions = load::start(contender, served.addr, load, results).await?;
    let warm = Duration::from_secs_f64(times.warm_up);
    let answered = tokio::time::timeout(LONGEST_WARM_UP.max(warm), results.all_answered());
    tokio::join!(tokio::time::sleep(warm), answered).1.ok();
    let busy = usage::machine_busy_seconds();
    let server = probe.usage()?;
    let (start, client) = (Instant::now(), Usage::now());
    results.recorder.clear();
    tokio::time::sleep(Duration::from_secs_f64(times.seconds)).await;
    let latency = results.recorder.latency();
    let (seconds, client_end) = (start.elapsed().as_secs_f64(), Usage::now());
    let server_end = probe.usage()?;
    let machine_cpu_seconds = usage::machine_busy_seconds() - busy;
    results.check()?;
    let count = if load.op == Op::Push {
        server_end.notes - server.notes
    } else {
        latency.count
    };
    ensure!(count > 0, "nothing came through");
    Ok(Measured {
        seconds,
        machine_cpu_seconds,
        count,
        latency,
        client: Side::between(&client, &client_end),
        server: Side::between(&server, &server_end),
    })
}

/// Opens sessions, makes one call on each, and looks at the memory when all is quiet.
async fn measure_idle(
    contender: Contender,
    load: &Load,
    served: Served,
    results: &Results,
    probe: &mut Probe,
) -> Result<Measured> {
    // What the first session costs both processes once is not the price of a session.
    let first = Load {
        sessions: 1,
        ..load.clone()
    };
    let _first = load::start(contender, served.addr, &first, results).await?;
    tokio::time::sleep(SETTLE).await;
    let (server, client, start) = (probe.usage()?, Usage::now(), Instant::now());
    let _sessions = load::start(contender, served.addr, load, results).await?;
    tokio::time::sleep(SETTLE).await;
    let (server_end, client_end) = (probe.usage()?, Usage::now());
    results.check()?;
    Ok(Measured {
        seconds: start.elapsed().as_secs_f64(),
        machine_cpu_seconds: 0.0,
        count: load.sessions as u64,
        latency: Latency::default(),
        client: Side::between(&client, &client_end),
        server: Side::between(&server, &server_end),
    })
}
