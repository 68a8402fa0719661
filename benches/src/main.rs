//! Benchmarks of teleport beside what a user would pick instead: see the README of this package.

#![allow(clippy::print_stdout, reason = "results go to standard output")]
#![allow(missing_docs)]
#![allow(unreachable_pub)]

mod alloc;
mod contender;
mod frame;
mod message;
mod recorder;
mod usage;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Parser;

use contender::{Client, Contender};
use message::Pair;
use recorder::Recorder;

#[derive(Parser)]
enum Command {
    Serve { contender: Contender, #[arg(long)] cpu: Option<usize>, #[arg(long)] count: bool },
    Drive {
        contender: Contender,
        #[arg(long)] addr: SocketAddr,
        #[arg(long)] control: SocketAddr,
        #[arg(long)] cpu: Option<usize>,
        #[arg(long)] count: bool,
        #[arg(long, default_value_t = 1)] in_flight: usize,
        #[arg(long, default_value_t = 1)] sessions: usize,
        #[arg(long, default_value_t = 1.0)] seconds: f64,
        #[arg(long, default_value_t = 0.5)] warm_up: f64,
        #[arg(long)] push: bool,
    },
}

fn prepare(cpu: Option<usize>, count: bool) -> Result<tokio::runtime::Runtime> {
    if count { alloc::enable(); }
    if let Some(cpu) = cpu {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set)?;
    }
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?)
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Serve { contender, cpu, count } => {
            let rt = prepare(cpu, count)?;
            let control = std::net::TcpListener::bind("127.0.0.1:0")?;
            let control_addr = control.local_addr()?;
            usage::answer(control);
            rt.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                println!("{} {}", listener.local_addr()?, control_addr);
                let task = match contender {
                    Contender::Raw => tokio::spawn(contender::raw::serve(listener)),
                    Contender::Echo => tokio::spawn(contender::echo::serve(listener)),
                    Contender::Tarpc => tokio::spawn(contender::tarpc::serve(listener)),
                };
                task.await?
            })
        }
        Command::Drive { contender, addr, control, cpu, count, in_flight, sessions, seconds, warm_up, push } => {
            let rt = prepare(cpu, count)?;
            let rec = Arc::new(Recorder::new());
            rt.block_on(async {
                let mut probe = usage::Probe::connect(control)?;
                match contender {
                    Contender::Raw => spawn::<contender::raw::RawClient>(addr, sessions, in_flight, push, &rec).await?,
                    Contender::Tarpc => spawn::<contender::tarpc::TarpcClient>(addr, sessions, in_flight, push, &rec).await?,
                    Contender::Echo => for _ in 0..sessions { tokio::spawn(contender::echo::drive(addr, in_flight, 0, rec.clone())); },
                }
                tokio::time::sleep(Duration::from_secs_f64(warm_up)).await;
                rec.clear();
                let (s0, c0, t0) = (probe.usage()?, usage::Usage::now(), Instant::now());
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                let l = rec.latency();
                let (s1, c1, t) = (probe.usage()?, usage::Usage::now(), t0.elapsed().as_secs_f64());
                let calls = if push { s1.notes - s0.notes } else { l.count } as f64;
                println!("{:.0} {:.2} {:.1} {:.1} {:.1} {:.2} {:.2} {:.2} {:.2}", calls / t,
                    (s1.cpu_seconds - s0.cpu_seconds + c1.cpu_seconds - c0.cpu_seconds) / calls * 1e6, l.p50, l.p99, l.p999,
                    (s1.cpu_seconds - s0.cpu_seconds) / calls * 1e6, (c1.cpu_seconds - c0.cpu_seconds) / calls * 1e6,
                    (s1.allocations - s0.allocations) as f64 / calls, (c1.allocations - c0.allocations) as f64 / calls);
                std::process::exit(0);
                #[allow(unreachable_code)]
                Ok(())
            })
        }
    }
}

async fn spawn<C: Client>(addr: SocketAddr, sessions: usize, in_flight: usize, push: bool, rec: &Arc<Recorder>) -> Result<()> {
    for _ in 0..sessions {
        let client = C::connect(addr).await?;
        for i in 0..in_flight {
            let (client, rec) = (client.clone(), rec.clone());
            tokio::spawn(async move {
                let mut args = Pair { a: i as i32, b: 12_345 };
                let mut at = Instant::now();
                loop {
                    if push {
                        client.note(args).await.context("x")?;
                        continue;
                    }
                    let answer = client.add(args).await?;
                    assert_eq!(answer, args.answer());
                    args.a = (args.a + 1) & 0xffff;
                    at = rec.record(at);
                }
                #[allow(unreachable_code)]
                anyhow::Ok(())
            });
        }
    }
    Ok(())
}
