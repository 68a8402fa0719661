//! The run: server and client processes of all contenders, in turns.

pub mod plan;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum as _};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use self::plan::{Point, Work};
use crate::contender::Contender;
use crate::machine::Machine;
use crate::process::{Measured, Served, Setup};

/// A measurement may take so much longer than its own seconds: ten thousand sessions have to be opened.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Only these works.
    #[arg(long, value_delimiter = ',')]
    work: Vec<Work>,
    /// Only these contenders.
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<Contender>,
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Few points, two short rounds: does everything still work?
    #[arg(long)]
    quick: bool,
}

/// One measurement of one contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sample {
    pub contender: Contender,
    pub round: usize,
    /// The measurement, or why there is none.
    pub outcome: Result<Measured, String>,
}

/// All samples of one point.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Series {
    pub point: Point,
    pub samples: Vec<Sample>,
}

/// Everything a run has found out: `results.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub rounds: usize,
    pub seconds: f64,
    pub series: Vec<Series>,
}

/// Makes all measurements.
pub fn run(options: &Options) -> Result<Results> {
    let (rounds, seconds) = if options.quick {
        (2, 0.3)
    } else {
        (options.rounds, options.seconds)
    };
    ensure!(rounds > 0 && seconds > 0.0, "nothing to measure in no time");
    let machine = Machine::here();
    let mut results = Results {
        machine,
        rounds,
        seconds,
        series: Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let wanted = |work: &Work| options.work.is_empty() || options.work.contains(work);
    for &work in Work::value_variants().iter().filter(|work| wanted(work)) {
        for point in plan::points(work, options.quick) {
            let taking_part: Vec<_> = Contender::value_variants()
                .iter()
                .copied()
                .filter(|contender| {
                    options.contenders.is_empty() || options.contenders.contains(contender)
                })
                .filter(|&contender| point.includes(contender))
                .collect();
            println!(
                "{work:?}: {} ({} contenders, {rounds} rounds)",
                point.label,
                taking_part.len()
            );
            let mut samples = Vec::new();
            for round in 0..rounds {
                for &contender in &taking_part {
                    let outcome = runtime.block_on(measure(contender, &point, seconds));
                    let outcome = outcome.map_err(|error| format!("{error:#}"));
                    if let Err(error) = &outcome {
                        println!("  {}: {error}", contender.name());
                    }
                    samples.push(Sample {
                        contender,
                        round,
                        outcome,
                    });
                }
            }
            results.series.push(Series { point, samples });
        }
    }
    Ok(results)
}

/// One measurement in two fresh processes.
async fn measure(contender: Contender, point: &Point, seconds: f64) -> Result<Measured> {
    let setup = Setup {
        cpu: point.pinned.then_some(0),
        count_allocations: point.count_allocations,
    };
    let mut server = this_program()?
        .args(["serve", contender.name()])
        .args([
            "--routes",
            &point.routes.to_string(),
            "--in-flight",
            &point.load.in_flight.to_string(),
        ])
        .args(setup.to_args())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(server.stdout.take().context("the server's output")?).lines();
    let line = lines.next_line().await?.context("the server has ended")?;
    let served: Served = serde_json::from_str(&line)?;

    let client = this_program()?
        .args(["drive", contender.name()])
        .args(point.load.to_args())
        .args([
            "--addr",
            &served.addr.to_string(),
            "--control",
            &served.control.to_string(),
        ])
        .args([
            "--seconds",
            &seconds.to_string(),
            "--warm-up",
            &(seconds / 2.0).to_string(),
        ])
        .args(setup.to_args())
        .output();
    let output = tokio::time::timeout(PATIENCE, client)
        .await
        .context("the client takes too long")??;
    server.kill().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}",
        errors.lines().next().unwrap_or("the client failed")
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// A process of this very program, which ends when its handle is dropped.
fn this_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .kill_on_drop(true)
        .stdin(Stdio::null())
        .env("RUST_BACKTRACE", "0");
    Ok(command)
}
